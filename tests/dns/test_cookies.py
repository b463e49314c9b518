"""Cookies, rates and PROXY headers: pure, so tables and strangers' bytes."""

import contextlib
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dns.cookies import cookie, valid
from dns.limits import Rate
from dns.proxied import SIGNATURE, Balancers, NotProxied, read

KEY, CLIENT, NOW = b"k" * 32, b"12345678", 1_795_000_000.0


@pytest.mark.parametrize(("key", "address", "later", "good"), [
    (KEY, "127.20.3.5", 0, True),
    (KEY, "127.20.3.5", 3600, True),
    (KEY, "127.20.3.5", 3601, False),  # RFC 9018 4.3: an hour
    (KEY, "127.20.3.5", -300, True),  # another worker's clock
    (KEY, "127.20.3.5", -301, False),
    (KEY, "127.20.3.6", 0, False),  # RFC 7873 6: bound to the address
    (b"l" * 32, "127.20.3.5", 0, False),
])  # fmt: skip
def test_a_cookie_holds_for_its_client_and_its_hour(key, address, later, good):
    assert valid(key, cookie(KEY, CLIENT, "127.20.3.5", NOW), address, NOW + later) is good


@given(st.binary(max_size=40))
def test_no_guess_is_a_cookie(brought):
    assert not valid(KEY, brought, "2001:db8::1", NOW)


def test_a_cookie_begins_with_the_clients_half_and_a_private_version():
    made = cookie(KEY, CLIENT + b"old server half!", "::1", NOW)
    assert (made[:8], made[8], len(made)) == (CLIENT, 240, 24)


def test_a_rate_is_counted_by_the_second():
    rate = Rate(2)
    assert [rate.over("a", 10.0), rate.over("a", 10.5), rate.over("a", 10.9), rate.over("b", 10.9)] == [
        False,
        False,
        True,
        False,
    ]
    assert not rate.over("a", 11.0)
    assert not any(Rate(0).over("a", 1.0) for _ in range(100))


def header(source="203.0.113.9", command=1, more=b""):
    family, size = (2, 16) if ":" in source else (1, 4)
    ip = socket.inet_pton(socket.AF_INET6 if family == 2 else socket.AF_INET, source)
    body = (b"" if command == 0 else ip + bytes(size) + struct.pack("!HH", 5353, 53)) + more
    return SIGNATURE + bytes((0x20 | command, family << 4 | 1)) + struct.pack("!H", len(body)) + body


@pytest.mark.parametrize(("data", "address", "size"), [
    (header() + b"rest", "203.0.113.9", 28),
    (header("2001:db8::7"), "2001:db8::7", 52),
    (header(more=b"\x03\0\4abcd"), "203.0.113.9", 35),
    (header(command=0), None, 16),
])  # fmt: skip
def test_a_header_names_the_client(data, address, size):
    found = read(data)
    assert (found.address, found.size) == (address, size)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        header()[:20],
        header(command=2),
        SIGNATURE + b"\x11\x11\0\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11\xff\xff" + bytes(600),
    ],
)
def test_what_is_no_header_is_refused(data):
    with pytest.raises(NotProxied):
        read(data)


@given(st.binary(max_size=80) | st.binary(max_size=60).map(lambda data: SIGNATURE + data))
def test_any_bytes_are_a_header_or_not(data):
    with contextlib.suppress(NotProxied):
        read(data)


def test_only_balancers_are_believed():
    balancers = Balancers(("10.0.0.0/30", "2001:db8::/64"))
    assert "10.0.0.2" in balancers
    assert "10.0.0.4" not in balancers
    assert "2001:db8::1" in balancers
    assert not Balancers(())
