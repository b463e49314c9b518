"""What the filter judges an upstream's answer by, with dnslib as the second opinion."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dns import codec
from dns.codec import Malformed
from dns.reading import read_answer

from .test_codec import MUTATIONS, RICH, mutated, query, upstream_says


@given(MUTATIONS, st.integers(0, 150))
def test_an_answer_spoilt_anywhere_is_an_answer_or_malformed(changes, cut):
    asked, packet = upstream_says(RICH)
    packet = mutated(packet, changes, cut)
    try:
        read = read_answer(packet, asked, 77)
    except Malformed:
        return
    if read:
        codec.relay(asked, read, age=0, ttl_max=60, limit=65535)


@given(st.binary(max_size=300))
def test_any_bytes_behind_a_question_are_an_answer_or_malformed(rest):
    asked = query()
    head = bytes.fromhex("004d81800001000200010001")
    with suppress(Malformed):
        read_answer(head + asked.qname + b"\0\1\0\1" + rest, asked, 77)


def test_an_answer_is_read_as_far_as_it_is_judged():
    asked, packet = upstream_says(RICH)
    read = read_answer(packet, asked, 77)
    assert read.targets == ("other.example", "svc.example")
    assert read.addresses == ("203.0.113.7", "203.0.113.8", "2001:db8::1")
    assert read.lifetime == 90
    assert read.counts == (4, 0, 0)  # the upstream's OPT is its own


@pytest.mark.parametrize(("zone", "rcode", "authority", "lifetime"), [
    ("www.bet.example. 300 IN A 203.0.113.7", 0, "", 300),
    ("", 3, "bet.example. 900 IN SOA a. b. 1 2 3 4 60", 60),  # RFC 2308 5: the lesser of TTL and MINIMUM
    ("", 0, "bet.example. 30 IN SOA a. b. 1 2 3 4 60", 30),
    ("", 3, "", 0),  # without an SOA nothing is kept
    ("", 0, "bet.example. 300 IN NS a.", 0),
    ("www.bet.example. 300 IN CNAME gone.example.", 3, "example. 900 IN SOA a. b. 1 2 3 4 60", 60),
])  # fmt: skip
def test_how_long_an_answer_may_be_kept(zone, rcode, authority, lifetime):
    asked, packet = upstream_says(zone, rcode=rcode, authority=authority)
    assert read_answer(packet, asked, 77).lifetime == lifetime


def test_an_answer_to_something_else_is_not_taken():
    asked, packet = upstream_says(RICH)
    for other, id_ in ((query("bet.example"), 77), (query(qtype=codec.AAAA), 77), (asked, 78)):
        with pytest.raises(Malformed):
            read_answer(packet, other, id_)
    with pytest.raises(Malformed):
        read_answer(codec.ask(asked, 77), asked, 77)  # a query is no answer


def test_a_truncated_answer_is_none():
    asked, packet = upstream_says(RICH)
    assert read_answer(packet[:2] + bytes((packet[2] | 2,)) + packet[3:], asked, 77) is None
