"""What each client gets for each name: the table of the resolver."""

from datetime import timedelta

import dnslib
import pytest

from dns import codec
from dns.codec import Edns, Query
from dns.respond import Forward, Reply, Ways, could_not_decide, respond
from policy.decide import Reason
from policy.rules import Action, SiteRule

WAYS = Ways(("192.0.2.80", "2001:db8::80"))
LISTENER = "dns:127.0.0.1:53"
KS3, FORCED, STAFF, NOBODY, STRANGER = "127.20.3.5", "127.20.4.5", "127.20.9.5", "192.168.7.7", "8.8.8.8"


def query(name, kind="A", **more):
    return Query(7, name, codec.wire_name(name), getattr(dnslib.QTYPE, kind), **more)


def respond_to(snapshot, at, asked, address=KS3):
    return respond(snapshot, asked, snapshot.clients.of(LISTENER, address), at, WAYS)


def said(reply):
    record = dnslib.DNSRecord.parse(reply.wire)
    return dnslib.RCODE.get(record.header.rcode), [str(rr.rdata) for rr in record.rr]


PAGE4, PAGE6, NOTHING = ("NOERROR", ["192.0.2.80"]), ("NOERROR", ["2001:db8::80"]), ("NOERROR", [])
GONE, REFUSED, PASSED = ("NXDOMAIN", []), ("REFUSED", []), None


@pytest.mark.parametrize(("address", "name", "kind", "expected", "reason"), [
    (KS3, "bet.example", "A", PAGE4, Reason.PHASE_DEFAULT),
    (KS3, "www.bet.example", "AAAA", PAGE6, Reason.PHASE_DEFAULT),
    (KS3, "bet.example", "HTTPS", NOTHING, Reason.PHASE_DEFAULT),  # no type leaks past a block
    (KS3, "bet.example", "SVCB", NOTHING, Reason.PHASE_DEFAULT),
    (KS3, "bet.example", "MX", NOTHING, Reason.PHASE_DEFAULT),
    (KS3, "bet.example", "TXT", NOTHING, Reason.PHASE_DEFAULT),
    (KS3, "bet.example", "ANY", NOTHING, Reason.PHASE_DEFAULT),
    (KS3, "sealed.example", "A", PAGE4, Reason.SEALED),
    (STAFF, "sealed.example", "A", PAGE4, Reason.SEALED),
    (NOBODY, "bet.example", "A", PAGE4, Reason.PHASE_DEFAULT),  # of no school: the strictest profile
    (NOBODY, "unheard-of.example", "A", PASSED, Reason.UNKNOWN_NAME),
    (KS3, "helpline.example", "A", PASSED, Reason.ESSENTIAL),
    (KS3, "news.example", "HTTPS", PASSED, Reason.PHASE_DEFAULT),
    (KS3, "unheard-of.example", "A", PASSED, Reason.UNKNOWN_NAME),
    (KS3, "7.113.0.204.in-addr.arpa", "PTR", PASSED, Reason.UNKNOWN_NAME),
    (KS3, "_ldap._tcp.unheard-of.example", "SRV", PASSED, Reason.UNKNOWN_NAME),
    (KS3, "", "NS", PASSED, Reason.UNKNOWN_NAME),
    (STRANGER, "news.example", "A", REFUSED, None),  # no open resolver
    (STRANGER, "bet.example", "A", REFUSED, None),
    (STRANGER, "schoolgate.internal", "A", REFUSED, None),
    (KS3, "news.example", "AXFR", REFUSED, None),
    (KS3, "schoolgate.internal", "A", PAGE4, None),
    (KS3, "help.schoolgate.internal", "AAAA", PAGE6, None),
    (KS3, "use-application-dns.net", "A", GONE, None),
    (KS3, "mask.icloud.com", "AAAA", GONE, None),
    (KS3, "mask-h2.icloud.com", "HTTPS", GONE, None),
    (KS3, "x.mask.apple-dns.net", "A", GONE, None),
    (KS3, "_dns.resolver.arpa", "SVCB", NOTHING, None),  # RFC 9462: nobody is designated
    (KS3, "resolver.arpa", "SOA", NOTHING, None),
    (KS3, "hidden.onion", "A", GONE, None),  # RFC 7686
    (KS3, "10-0-0-1.nip.io", "A", GONE, Reason.ERROR),
    (KS3, "bet-example.translate.goog", "A", PAGE4, Reason.PHASE_DEFAULT),
    (KS3, "news-example.translate.goog", "A", PASSED, Reason.UNKNOWN_NAME),
    (KS3, "uk.search.yahoo.com", "A", PAGE4, Reason.SAFE_SEARCH),
    (FORCED, "uk.search.yahoo.com", "A", PASSED, Reason.UNKNOWN_NAME),
    (KS3, "1.2.3", "A", GONE, Reason.ERROR),  # ends in a number, and is no address
])  # fmt: skip
def test_what_each_client_gets(make_snapshot, at, *, address, name, kind, expected, reason):
    got = respond_to(make_snapshot(), at, query(name, kind), address)
    assert (None if isinstance(got, Forward) else said(got)) == expected
    assert (got.decision.reason if got.decision else None) == reason
    if isinstance(got, Reply) and expected is not None:
        assert got.refused is (name not in ("schoolgate.internal", "help.schoolgate.internal") or address == STRANGER)


@pytest.mark.parametrize(("label"), [b"a b", b"a.b", b"\x00", b"\xff\xfe", b"a%2eb", b"\x1b[2J", b"*"])
def test_names_that_no_rule_could_speak_of_are_refused(make_snapshot, at, label):
    wire = bytes((len(label),)) + label + codec.wire_name("news.example")
    asked = codec.parse(b"\0\7\1\0\0\1\0\0\0\0\0\0" + wire + b"\0\1\0\1")
    got = respond_to(make_snapshot(), at, asked)
    assert (got.outcome, got.wire[3] & 0xF) == ("NXDOMAIN", 3)
    assert (got.decision.action, got.decision.reason) == (Action.BLOCK, Reason.ERROR)


@pytest.mark.parametrize("label", ["xn--0", "xn--a", "xn--zzzzzzzzz"])
def test_wrongly_encoded_names_are_refused(make_snapshot, at, label):
    assert said(respond_to(make_snapshot(), at, query(f"{label}.news.example"))) == GONE


def test_other_classes_are_refused(make_snapshot, at):
    assert said(respond_to(make_snapshot(), at, query("version.bind", "TXT", qclass=3))) == REFUSED


@pytest.mark.parametrize(("way", "kind", "expected"), [
    ("page", "A", PAGE4),
    ("nxdomain", "A", GONE),
    ("nxdomain", "HTTPS", GONE),
    ("null", "A", ("NOERROR", ["0.0.0.0"])),
    ("null", "AAAA", ("NOERROR", ["::"])),
    ("null", "HTTPS", NOTHING),
])  # fmt: skip
def test_a_school_chooses_how_a_blocked_name_is_answered(make_snapshot, at, way, kind, expected):
    assert said(respond_to(make_snapshot(blocked_answer=way), at, query("bet.example", kind))) == expected


def extended_error(reply):
    (option,) = dnslib.DNSRecord.parse(reply.wire).ar[0].rdata
    return option.code, int.from_bytes(option.data[:2]), option.data[2:].decode()


@pytest.mark.parametrize(("name", "code", "words"), [
    ("bet.example", 17, "Gambling"),
    ("shut.example", 17, "(change 4)"),
    ("sealed.example", 15, "blocked"),
])  # fmt: skip
def test_an_extended_error_says_why(make_snapshot, at, name, code, words):
    rule = SiteRule("r1", "shut.example", Action.BLOCK, 4)
    got = respond_to(make_snapshot(site_rules=(rule,)), at, query(name, edns=Edns(1232, do=False)))
    assert extended_error(got)[:2] == (15, code)
    assert words in extended_error(got)[2]


def test_a_sealed_name_does_not_say_which_list(make_snapshot, at):
    got = respond_to(make_snapshot(), at, query("sealed.example", edns=Edns(1232, do=False)))
    assert got.decision.category is None
    assert got.decision.list is None


def test_a_path_that_is_open_resolves_only_where_the_proxy_sees_it(make_snapshot, at):
    rules = (
        SiteRule("r1", "video.example", Action.BLOCK, 4),
        SiteRule("r2", "video.example", Action.ALLOW, 5, path="/lesson"),
    )
    snapshot = make_snapshot(site_rules=rules)
    assert isinstance(respond_to(snapshot, at, query("video.example"), FORCED), Forward)
    assert said(respond_to(snapshot, at, query("video.example"), KS3)) == PAGE4


def test_warn_is_block_where_nobody_can_warn(make_snapshot, at):
    snapshot = make_snapshot(site_rules=(SiteRule("r1", "think.example", Action.WARN, 4),))
    assert said(respond_to(snapshot, at, query("think.example"), KS3)) == PAGE4
    assert isinstance(respond_to(snapshot, at, query("think.example"), FORCED), Forward)


@pytest.mark.parametrize(("left", "ttl"), [(100, 5), (3, 3), (0.5, 0)])
def test_no_block_outlives_its_rule(make_snapshot, at, left, ttl):
    rule = SiteRule("r1", "shut.example", Action.BLOCK, 4, until=at + timedelta(seconds=left))
    got = respond_to(make_snapshot(site_rules=(rule,)), at, query("shut.example"))
    assert dnslib.DNSRecord.parse(got.wire).rr[0].ttl == ttl


def test_what_cannot_be_decided_is_refused():
    got = could_not_decide(query("news.example", edns=Edns(1232, do=False)))
    assert said(got) == ("SERVFAIL", [])
    assert got.decision.reason == Reason.ERROR
    assert extended_error(got)[1] == 15


@pytest.mark.parametrize(("name", "kind", "target"), [
    ("www.google.co.uk", "A", "forcesafesearch.google.com"),
    ("www.youtube.com", "AAAA", "restrict.youtube.com"),
    ("mail.google.com", "A", None),
])  # fmt: skip
def test_an_upstream_is_asked_for_the_engines_safe_name(make_snapshot, at, name, kind, target):
    got = respond_to(make_snapshot(), at, query(name, kind))
    assert isinstance(got, Forward)
    assert (got.instead.name if got.instead else None) == target
    assert got.decision.action is Action.RESTRICT


def test_other_types_of_an_engines_name_say_only_where_it_is_led(make_snapshot, at):
    got = respond_to(make_snapshot(), at, query("www.google.com", "HTTPS"))
    assert said(got) == ("NOERROR", ["forcesafesearch.google.com."])


def test_private_reverse_zones_are_answered_here(make_snapshot, at):
    assert said(respond_to(make_snapshot(), at, query("7.3.20.127.in-addr.arpa", "PTR"))) == GONE


def test_an_address_inside_a_name_is_judged(make_snapshot, at):
    snapshot = make_snapshot(names={"203.0.113.66": "malware_phishing"})
    got = respond_to(snapshot, at, query("203-0-113-66.nip.io"))
    assert (said(got), got.attempt, got.detail) == (PAGE4, "address inside", "")
    assert isinstance(respond_to(snapshot, at, query("203-0-113-67.nip.io")), Forward)
