"""What is rewritten of an answer, and that nothing else is."""

import dnslib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dns import codec, rewrite
from dns.codec import Edns, Query
from dns.reading import read_answer


def query(name="shop.example", kind="HTTPS", **more):
    return Query(7, name, codec.wire_name(name), getattr(dnslib.QTYPE, kind), **more)


def answered(asked, *zone, ad=False, extra=()):
    reply = dnslib.DNSRecord(dnslib.DNSHeader(id=9, qr=1, ra=1, ad=ad), q=dnslib.DNSQuestion(asked.name, asked.qtype))
    for line in zone:
        reply.add_answer(*dnslib.RR.fromZone(line))
    for rr in extra:
        reply.add_answer(rr)
    return read_answer(bytes(reply.pack()), asked, 9)


def said(asked, answer):
    return dnslib.DNSRecord.parse(codec.relay(asked, answer, age=0, ttl_max=300, limit=4096))


HIDDEN = [
    ("shop.example. 300 IN HTTPS 1 . alpn=h3,h2 echconfig=AAAA", "1 . alpn=h2"),
    ("shop.example. 300 IN HTTPS 1 . alpn=h3 no-default-alpn ipv4hint=203.0.113.7", "1 . ipv4hint=203.0.113.7"),
    ("shop.example. 300 IN HTTPS 1 svc.example. alpn=h3-29,h2 port=8443", "1 svc.example. alpn=h2 port=8443"),
    ("shop.example. 300 IN HTTPS 1 . mandatory=alpn,echconfig alpn=h2 echconfig=AAAA", "1 . mandatory=alpn alpn=h2"),
    ("shop.example. 300 IN HTTPS 1 . mandatory=echconfig echconfig=AAAA", "1 ."),
]


@pytest.mark.parametrize(("line", "expected"), HIDDEN)
def test_ech_and_http3_go(line, expected):
    asked = query()
    plain = rewrite.unhidden(asked, answered(asked, line, ad=True))
    assert " ".join(str(said(asked, plain).rr[0].rdata).replace('"', "").split()) == expected
    assert plain.ad is False
    assert rewrite.unhidden(asked, plain) is plain


@pytest.mark.parametrize("line", [
    "shop.example. 300 IN HTTPS 1 . alpn=h2", "shop.example. 300 IN HTTPS 0 other.example.",
    "shop.example. 300 IN HTTPS 1 . ipv6hint=2001:db8::1",
])  # fmt: skip
def test_what_hides_nothing_is_the_very_same_answer(line):
    asked = query(edns=Edns(1232, True))
    answer = answered(asked, line, ad=True)
    assert rewrite.unhidden(asked, answer) is answer


def test_an_alias_in_front_stays_and_signatures_go():
    asked = query(edns=Edns(1232, True))
    signature = dnslib.RR(
        "shop.example", 46, rdata=dnslib.RRSIG(65, 13, 2, 300, 1_800_000_000, 1_790_000_000, 7, "example", bytes(64)), ttl=300
    )
    answer = answered(
        asked,
        "shop.example. 300 IN CNAME cdn.example.",
        "cdn.example. 200 IN HTTPS 1 . alpn=h3,h2 echconfig=AAAA",
        extra=[signature],
    )
    plain = said(asked, rewrite.unhidden(asked, answer))
    assert [(str(rr.rname), rr.rtype, rr.ttl) for rr in plain.rr] == [("shop.example.", 5, 300), ("cdn.example.", 65, 200)]


@pytest.mark.parametrize(("kind", "found", "rcode", "records"), [
    ("A", ["forcesafesearch.google.com. 250 IN A 216.239.38.120"], 0, [("CNAME", "forcesafesearch.google.com."), ("A", "216.239.38.120")]),
    ("AAAA", ["forcesafesearch.google.com. 250 IN AAAA 2001:4860:4802:32::78"], 0,
     [("CNAME", "forcesafesearch.google.com."), ("AAAA", "2001:4860:4802:32::78")]),
    ("HTTPS", None, 0, [("CNAME", "forcesafesearch.google.com.")]),
    ("TXT", None, 0, [("CNAME", "forcesafesearch.google.com.")]),
])  # fmt: skip
def test_an_engines_name_is_led_to_its_safe_one(kind, found, rcode, records):
    asked = query("www.google.com", kind)
    other = rewrite.instead(asked, "forcesafesearch.google.com")
    made = rewrite.led(asked, other.name, answered(other, *found) if found else None)
    reply = said(asked, made)
    assert reply.header.rcode == rcode
    assert [(dnslib.QTYPE.get(rr.rtype), str(rr.rdata)) for rr in reply.rr] == records
    assert {str(rr.rname) for rr in reply.rr} <= {"www.google.com.", "forcesafesearch.google.com."}
    assert all(0 < rr.ttl <= 250 for rr in reply.rr)
    assert bool(reply.auth) is (len(records) == 1)


@given(st.binary(max_size=80))
def test_strangers_parameters_raise_only_malformed(data):
    asked = query()
    body = b"\xc0\x0c" + b"\0\x41\0\1\0\0\1\0" + len(data).to_bytes(2) + data
    packet = b"\0\x09\x81\x80\0\1\0\1\0\0\0\0" + asked.qname + b"\0\x41\0\1" + body
    try:
        answer = read_answer(packet, asked, 9)
    except codec.Malformed:
        return
    plain = rewrite.unhidden(asked, answer)
    assert codec.relay(asked, plain, age=0, ttl_max=60, limit=4096)


def test_an_answer_that_cannot_be_read_whole_says_nothing():
    """Found by the fuzzer: an owner that runs through a TTL and on to behind the answers."""
    wire = bytes.fromhex(
        "00078180000100030000000103626574076578616d706c650000010001c00c000500010000012c0002c00cc00c004100012a18012c001a00010001"
        "010003026833000400040102030400050004656368a5c031001c00010000012c00100000000000000000000000000000000000002904d00000000d"
        "000068330004000401020304000500046563"
    )
    asked = query("bet.example", "A")
    got = read_answer(wire, asked, 7)
    assert got.counts[0] == 3
    assert rewrite.unhidden(asked, got).counts == (0, 0, 0)
