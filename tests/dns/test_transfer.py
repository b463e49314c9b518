"""Zones that other resolvers fetch: whole, as a difference, under a key, within bounds."""

import base64
import contextlib
import struct

import dnslib
import pytest

from dns import codec, transfer
from dns.transfer import IXFR, MOST_CHANGED, VERSIONS, Transfers, Zone, difference, messages, next_serial, notice, whole
from dns.tsig import Key

NAME = "ks3.hillview.rpz.schoolgate"
QUESTION = codec.wire_name(NAME) + b"\0\xfc\0\1"
FIRST = (("*.bet.example", ""), ("bet.example", ""), ("www.google.com", "forcesafesearch.google.com"))
SECOND = (("*.bet.example", ""), ("bet.example", ""), ("poki.example", ""))


def said(records):
    found = []
    for wire in messages(records, 7, QUESTION):
        message = dnslib.DNSRecord.parse(wire)
        assert str(message.q.qname) == f"{NAME}."
        for rr in message.rr:
            name = str(rr.rname).removesuffix(f"{NAME}.").rstrip(".")
            found.append((name, str(rr.rdata.times[0]) if rr.rtype == 6 else str(rr.rdata)))
    return found


def test_a_whole_zone():
    zone = Zone(NAME, 5, FIRST, ("a word",))
    assert said(whole(zone)) == [
        ("", "5"), ("", "localhost."), ("", '"a word"'), ("*.bet.example", "."), ("bet.example", "."),
        ("www.google.com", "forcesafesearch.google.com."), ("", "5"),
    ]  # fmt: skip


def test_differences():
    zone = Zone(NAME, 5, FIRST)
    zone.become(6, SECOND, ())
    zone.become(9, SECOND[:2], ())
    one = [("", "9"), ("", "6"), ("poki.example", "."), ("", "9"), ("", "9")]
    assert said(difference(zone, 6)) == one
    assert said(difference(zone, 5)) == [
        ("", "9"), ("", "5"), ("www.google.com", "forcesafesearch.google.com."), ("", "6"), ("poki.example", "."),
        ("", "6"), ("poki.example", "."), ("", "9"), ("", "9"),
    ]  # fmt: skip
    assert said(difference(zone, 9)) == [("", "9")]
    assert said(difference(zone, 4)) == said(whole(zone))


def test_what_is_remembered_is_bounded():
    zone = Zone(NAME, 0, ())
    for serial in range(1, 50):
        zone.become(serial, ((f"n{serial}.example", ""),), ())
    assert len(zone.changes) == VERSIONS
    assert zone.since(10) is None
    zone.become(50, tuple((f"n{n}.example", "") for n in range(MOST_CHANGED + 9)), ())
    assert not zone.changes


def test_large_zones_come_in_many_messages_and_memory_is_one_at_a_time():
    zone = Zone(NAME, 5, tuple((f"name{n}.example", "") for n in range(20_000)))
    sizes = [len(wire) for wire in messages(whole(zone), 7, QUESTION)]
    assert len(sizes) > 20
    assert max(sizes) < 20_000


@pytest.mark.parametrize(("last", "now", "serial"), [(0, 1000, 1000), (1000, 1000, 1001), (5000, 1000, 5001)])
def test_serials_only_rise(last, now, serial):
    assert next_serial(last, now) == serial


def test_a_notice():
    message = dnslib.DNSRecord.parse(notice(Zone(NAME, 5, ())))
    assert (message.header.opcode, str(message.q.qname), message.rr[0].rdata.times[0]) == (4, f"{NAME}.", 5)


def asked(qtype, key=None, serial=None, name=NAME):
    from dns.tsig import Signer

    authority = b"" if serial is None else transfer.soa(serial)
    packet = (
        struct.pack("!HHHHHH", 7, 0, 1, 0, bool(authority), 0)
        + codec.wire_name(name)
        + struct.pack("!HH", qtype, 1)
        + authority
    )
    if key is None:
        return packet
    signer = Signer(key, b"")
    import hmac

    wire = signer.signed(packet, 1000)
    owner, algorithm = codec.wire_name(key.name), codec.wire_name(key.algorithm)
    text = packet + owner + b"\0\xff\0\0\0\0" + algorithm + struct.pack("!HIH", 0, 1000, 300) + b"\0\0\0\0"
    return wire.replace(signer.before, hmac.new(key.secret, text, "sha256").digest())


KEY = Key.of("k", "hmac-sha256", base64.b64encode(bytes(range(32))).decode(), frozenset({NAME}))
ELSE = Key.of("e", "hmac-sha256", base64.b64encode(bytes(range(32))).decode(), frozenset({"other.zone"}))


@pytest.mark.parametrize(("packet", "tcp", "rcode", "records"), [
    (asked(252, KEY), True, 0, 6),
    (asked(252, KEY), False, 5, 0),  # a zone does not fit into a datagram
    (asked(6, KEY), False, 0, 1),
    (asked(IXFR, KEY, 5), False, 0, 1),
    (asked(IXFR, KEY, 5), True, 0, 1),
    (asked(IXFR, KEY, 4), True, 0, 6),
    (asked(1, KEY), True, 5, 0),
    (asked(252), True, 5, 0),
    (asked(252, ELSE), True, 5, 0),
    (asked(252, KEY, name="other.zone"), True, 5, 0),
    (asked(252, Key("x", "hmac-sha256", KEY.secret, KEY.zones)), True, 9, 0),
])  # fmt: skip
def test_who_gets_what(packet, tcp, rcode, records):
    transfers = Transfers({"k": KEY, "e": ELSE}, clock=lambda: 1000)
    transfers.zones[NAME] = Zone(NAME, 5, FIRST)
    (answer,) = transfers.answer(packet, tcp=tcp)
    assert (answer[3] & 15, int.from_bytes(answer[6:8])) == (rcode, records)
    assert transfers.refused in ((0,) if rcode == 0 else (0, 1))


@pytest.mark.parametrize("packet", [b"", b"\0" * 11, b"\0" * 12, asked(252, KEY)[:40], b"\xff" * 60])
def test_strangers_bytes_get_nothing_or_a_refusal(packet):
    with contextlib.suppress(codec.Malformed, IndexError, struct.error):  # the sockets pass over these
        assert all(answer[3] & 15 for answer in Transfers({"k": KEY}).answer(packet, tcp=True))
