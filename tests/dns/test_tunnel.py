"""Data in names, and what only looks like it."""

import base64
import random

import pytest

from dns.tunnel import Tunnels, entropy, parent_of

RANDOM = random.Random(4)


def label(size):
    return base64.b32encode(RANDOM.randbytes(size * 5 // 8)).decode().lower().rstrip("=")


def iodine(n):
    return f"{label(60)}.{label(60)}.{label(40)}.t.tunnel.example"


def dnscat(n):
    return f"{RANDOM.randbytes(28).hex()}.dnscat.example"


def exfiltration(n):
    return f"{n}.{label(50)}.leak.co.uk"


def words(n):
    return f"the-{n}-english-words-of-a-long-page-title.blog.example"


def content(n):
    return f"{label(32)}.cloudfront.net"  # each its own customer's


def repeated(n):
    return f"{'abcdefgh23456712' * 3}{n % 5}.cdn.example"


def short(n):
    return f"{label(10)}.tracker.example"


def scanner(n):
    return f"{label(60)}.sophosxl.net"


@pytest.mark.parametrize(("made", "tunnel"), [
    (iodine, True), (dnscat, True), (exfiltration, True),
    (words, False), (content, False), (repeated, False), (short, False), (scanner, False),
])  # fmt: skip
def test_what_is_a_tunnel(made, tunnel):
    watch = Tunnels()
    noticed = [watch.noticed("10.0.0.5", made(n), 1000 + n / 10) for n in range(200)]
    assert noticed[-1] is tunnel
    if tunnel:
        assert noticed.index(True) < 40
        assert not watch.noticed("10.0.0.6", made(0), 1020)  # another client's own


def test_a_slow_one_passes_and_a_tunnel_is_one_while_it_goes_on():
    slow, fast = Tunnels(), Tunnels()
    assert not any(slow.noticed("c", iodine(n), n * 10) for n in range(100))
    assert sum(fast.noticed("c", iodine(n), n) for n in range(59)) > 20
    assert fast.noticed("c", iodine(0), 61)  # the next minute begins as the last ended
    assert not fast.noticed("c", iodine(0), 500)


@pytest.mark.parametrize(("name", "parent"), [
    ("a.b.example.com", "example.com"), ("a.b.example.co.uk", "example.co.uk"), ("x.github.io", "x.github.io"), ("com", "com"),
])  # fmt: skip
def test_parents(name, parent):
    assert parent_of(name) == parent


def test_entropy():
    assert entropy("") == 0
    assert entropy("aaaa") == 0
    assert entropy("ab") == 1
