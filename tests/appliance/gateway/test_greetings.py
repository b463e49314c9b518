"""First words of connections, put together from packets in any order; what cannot be read names nothing."""

import random
import ssl
import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.gateway.greetings import MOST_PIECES, Greetings, Named, tcp_of

FOUR, SIX = (bytes([10, 0, 0, 1]), bytes([45, 33, 32, 1])), (bytes(15) + b"\1", bytes(15) + b"\2")


def hello(name: str | None) -> bytes:
    """What OpenSSL says first."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname = False
    try:
        context.wrap_bio(into, out, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        return out.read()
    raise AssertionError


def packet(data: bytes, number: int, flags: int = 0x18, port: int = 443, between=FOUR, extension: bytes = b"") -> bytes:
    tcp = struct.pack("!HHIIBBHHH", 40000, port, number & 0xFFFFFFFF, 0, 5 << 4, flags, 0, 0, 0) + data
    if len(between[0]) == 4:
        return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0) + b"".join(between) + tcp
    kind = 60 if extension else 6
    return struct.pack("!IHBB", 6 << 28, len(extension) + len(tcp), kind, 64) + b"".join(between) + extension + tcp


def said(*packets: bytes) -> str | None:
    greetings, found = Greetings(), None
    for each in packets:
        found = greetings.seen(each) or found
    return found.host if isinstance(found, Named) else None


SYN = packet(b"", 99, 0x02)


@pytest.mark.parametrize("between", [FOUR, SIX])
def test_a_name_in_one_packet(between):
    syn = packet(b"", 99, 0x02, between=between)
    assert said(syn, packet(b"", 100, 0x10, between=between), packet(hello("a.example"), 100, between=between)) == "a.example"


def test_headers_before_tcp_hide_nothing():
    options = bytes([6, 1]) + bytes(14)
    syn = packet(b"", 99, 0x02, between=SIX, extension=options)
    assert said(syn, packet(hello("a.example"), 100, between=SIX, extension=options)) == "a.example"


def test_a_plain_request():
    syn = packet(b"", 99, 0x02, 80)
    assert said(syn, packet(b"GET / HTTP/1.1\r\nHost: a.exa", 100, port=80)) is None
    assert (
        said(syn, packet(b"GET / HTTP/1.1\r\nHost: a.exa", 100, port=80), packet(b"mple\r\n\r\n", 127, port=80))
        == "a.example"
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.randoms(use_true_random=False), st.integers(1, 6))
def test_pieces_in_any_order(base, chance, count):
    text = hello("a-name-of-some-length.example")
    cuts = sorted({0, *chance.sample(range(1, len(text)), count), len(text)})
    pieces = [packet(text[at:to], base + 1 + at) for at, to in pairwise(cuts)]
    pieces += random.Random(count).choices(pieces, k=2)  # what is lost comes again
    chance.shuffle(pieces)
    assert said(packet(b"", base, 0x02), *pieces) == "a-name-of-some-length.example"


@pytest.mark.parametrize(
    "packets",
    [
        (SYN, packet(hello(None), 100)),
        (SYN, packet(b"SSH-2.0-OpenSSH\r\n", 100)),
        (packet(hello("a.example"), 100),),  # it began before we looked
        (SYN, *(packet(bytes([each]), 100 + at) for at, each in enumerate(hello("a.example")[: MOST_PIECES + 1]))),
        (packet(b"", 99, 0x02, 80), packet(b"\x13BitTorrent protocol", 100, port=80), packet(b"x" * 20000, 120, port=80)),
    ],
    ids=["no name", "no TLS", "its middle", "byte by byte", "no HTTP"],
)
def test_what_cannot_be_read_names_nothing(packets):
    assert said(*packets) == ""


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes(data):
    tcp_of(data)
    Greetings().seen(data)
