"""Replies kept ready and answers cached: right after a new policy, a new hour, a new spelling. With a clock of its own."""

import asyncio
import hashlib
import logging
from datetime import timedelta

import dnslib
import pytest

from dns.answers import Answers
from dns.settings import Settings
from dns.waiting import Waiting
from policy.rules import Action, Group, SiteRule

LISTENER, KS3, STAFF = "dns:127.0.0.1:53", "127.20.3.5", "127.20.9.5"


class Desk:
    """Answers with a clock to turn."""

    def __init__(self, live, at, upstream, record=None, **settings):
        self.now = at.timestamp()
        self.live = live
        self.events = []
        given = Settings((("127.0.0.1", 0),), (upstream.address,), **settings)
        self.answers = Answers(given, live, record or self.events.append, worker="dns-1", clock=lambda: self.now)

    def packet(self, packet, address=KS3):
        async def whole():
            reply = self.answers.at_once(packet, LISTENER, address)
            return await self.answers.later(reply) if isinstance(reply, Waiting) else reply

        return asyncio.run(whole())

    def ask(self, name, kind="A", address=KS3, id_=7):
        query = dnslib.DNSRecord.question(name, kind)
        query.header.id = id_
        packet = bytes(query.pack())
        wire = self.packet(packet, address)
        assert wire[12 : 12 + len(packet) - 12] == packet[12:]  # the question comes back as it was spelt
        said = dnslib.DNSRecord.parse(wire)
        assert said.header.id == id_
        return said


@pytest.fixture
def desk(make_live, at, upstream):
    upstream.zone["news.example", "A"] = "news.example. 300 IN A 203.0.113.7"
    return lambda live=None, **more: Desk(live or make_live(), at, upstream, **more)


def addresses(said):
    return [str(rr.rdata) for rr in said.rr]


def test_a_ready_reply_keeps_id_and_spelling(desk, upstream):
    it = desk()
    for id_, name in enumerate(("news.example", "NEWS.example", "nEwS.eXaMpLe", "news.example")):
        assert addresses(it.ask(name, id_=id_)) == ["203.0.113.7"]
    for id_, name in enumerate(("bet.example", "BET.example")):
        assert addresses(it.ask(name, id_=id_)) == ["127.0.0.1"]
    assert len(upstream.asked) == 1
    assert [event.host for event in it.events] == ["news.example"] * 4 + ["bet.example"] * 2
    assert {event.detail for event in it.events} == {"A"}


def test_type_65_is_not_type_97(desk, upstream):
    it = desk()
    it.ask("news.example", "HTTPS")
    query = bytearray(dnslib.DNSRecord.question("news.example", "HTTPS").pack())
    query[-3] = 97
    it.packet(bytes(query))
    assert [kind for _, kind, _ in upstream.asked] == ["HTTPS", "97"]


def test_ttls_age_are_capped_and_end(desk, upstream):
    it = desk()
    ttls = []
    for step in (0, 200, 60, 20, 19.5, 0.5):
        it.now += step
        ttls.append(it.ask("news.example").rr[0].ttl)
    assert ttls == [60, 60, 40, 20, 1, 60]
    assert len(upstream.asked) == 2


def test_no_answer_outlives_its_decision(desk, make_live, at):
    until = at + timedelta(seconds=90)
    rules = (SiteRule("r1", "news.example", Action.ALLOW, 4, until=until), SiteRule("r2", "example", Action.BLOCK, 5))
    it = desk(make_live(site_rules=rules))
    ttls = []
    for step in (0, 20, 20, 30, 19, 1):
        it.now += step
        ttls.append(it.ask("news.example").rr[0].ttl)
    assert ttls == [60, 60, 50, 20, 1, 5]
    assert addresses(it.ask("news.example")) == ["127.0.0.1"]


def test_a_block_ends_on_time(desk, make_live, at):
    rule = SiteRule("r1", "news.example", Action.BLOCK, 4, until=at + timedelta(seconds=60))
    it = desk(make_live(site_rules=(rule,)))
    seen = []
    for step in (0, 50, 8, 1.9, 0.1):
        it.now += step
        seen.append((it.ask("news.example").rr[0].ttl, *addresses(it.ask("news.example"))))
    assert seen == [(5, "127.0.0.1"), (5, "127.0.0.1"), (2, "127.0.0.1"), (0, "127.0.0.1"), (60, "203.0.113.7")]


def test_a_new_policy_holds_at_once_and_the_cache_stays(desk, make_live, make_snapshot, upstream):
    live = make_live()
    it = desk(live)
    assert addresses(it.ask("news.example")) == ["203.0.113.7"]
    live.snapshot = make_snapshot(site_rules=(SiteRule("r1", "news.example", Action.BLOCK, 4),))
    assert addresses(it.ask("news.example")) == ["127.0.0.1"]
    live.snapshot = make_snapshot()
    assert addresses(it.ask("news.example")) == ["203.0.113.7"]
    assert len(upstream.asked) == 1


def test_a_policy_that_changes_while_an_upstream_is_asked_holds(desk, make_live, make_snapshot):
    live = make_live()
    it = desk(live)
    packet = bytes(dnslib.DNSRecord.question("news.example").pack())
    waiting = it.answers.at_once(packet, LISTENER, KS3)
    assert isinstance(waiting, Waiting)
    live.snapshot = make_snapshot(site_rules=(SiteRule("r1", "news.example", Action.BLOCK, 4),))
    assert addresses(dnslib.DNSRecord.parse(asyncio.run(it.answers.later(waiting)))) == ["127.0.0.1"]


def test_groups_do_not_share_replies(desk, make_live, upstream):
    rule = SiteRule("r1", "news.example", Action.BLOCK, 4, groups=("ks3",))
    it = desk(make_live(site_rules=(rule,)))
    for _ in range(2):
        assert addresses(it.ask("news.example")) == ["127.0.0.1"]
        assert addresses(it.ask("news.example", address=STAFF)) == ["203.0.113.7"]


def test_a_cookie_is_answered_but_not_kept(desk):
    it = desk()
    query = dnslib.DNSRecord.question("bet.example")
    query.add_ar(dnslib.EDNS0(udp_len=1232, opts=[dnslib.EDNSOption(10, b"12345678")]))
    for _ in range(3):
        it.packet(bytes(query.pack()))
    assert len(it.answers._ready) == 0


def test_a_deceptive_name_with_a_nul_is_not_kept(desk):
    it = desk()
    packet = b"\0\7\1\0\0\1\0\0\0\0\0\0" + b"\x05a\0b\0c\x07example\0" + b"\0\1\0\1"
    assert it.packet(packet)[3] & 0xF == 3
    assert len(it.answers._ready) == 0


def test_what_cannot_be_decided_is_refused_counted_and_logged_without_the_name(desk, make_live, caplog):
    live = make_live()
    it = desk(live)

    class Broken:
        def find(self, host, path=None):
            raise RuntimeError(host)

    object.__setattr__(live.snapshot.dictionaries["d"], "index", Broken())
    with caplog.at_level(logging.ERROR):
        assert it.ask("news.example").header.rcode == 2
        assert it.ask("news.example").header.rcode == 2
    assert it.answers.undecided == 2
    assert len(caplog.records) == 1
    assert "news.example" not in caplog.text
    assert [(event.action, event.reason, event.outcome) for event in it.events] == [("block", "error", "SERVFAIL")] * 2


def test_a_recorder_that_fails_stops_nothing(desk):
    def full(event):
        raise OSError("no space")

    it = desk(record=full)
    assert addresses(it.ask("news.example")) == ["203.0.113.7"]
    assert addresses(it.ask("bet.example")) == ["127.0.0.1"]
    assert it.answers.unrecorded == 2


def test_an_event_says_who_what_and_why(desk):
    it = desk()
    it.ask("www.bet.example", "AAAA")
    (event,) = it.events
    assert event.at == it.now
    assert (event.kind, event.school, event.group, event.network, event.identified_by, event.address, event.worker) == (
        "dns", "hillview", "ks3", "n-ks3", "network", KS3, "dns-1",
    )  # fmt: skip
    assert (event.host, event.action, event.handling, event.reason, event.category, event.list) == (
        "www.bet.example", "block", "inspect", "phase_default", "gambling", "starter",
    )  # fmt: skip
    assert (event.outcome, event.detail) == ("NOERROR", "AAAA")


def test_safe_search_is_led_screened_and_never_kept_past_its_policy(desk, upstream, make_snapshot):
    upstream.zone["forcesafesearch.google.com", "A"] = "forcesafesearch.google.com. 300 IN A 216.239.38.120"
    it = desk()
    for name in ("www.google.com", "WWW.google.co.uk", "www.google.com"):
        reply = it.ask(name)
        assert addresses(reply) == ["forcesafesearch.google.com.", "216.239.38.120"]
        assert all(rr.ttl <= 60 for rr in reply.rr)
    assert [name for name, _, _ in upstream.asked] == ["forcesafesearch.google.com"]
    assert addresses(it.ask("www.google.com", "HTTPS")) == ["forcesafesearch.google.com."]
    assert {event.action for event in it.events} == {"restrict"}
    assert it.events[0].detail == "A; led to forcesafesearch.google.com"
    upstream.zone["www.google.com", "A"] = "www.google.com. 300 IN A 203.0.113.80"
    it.live.snapshot = make_snapshot(
        groups=(Group("ks3", "K", "ks3", safe_search=False), Group("staff", "S", "staff")), generation=2
    )
    assert addresses(it.ask("www.google.com")) == ["203.0.113.80"]


def test_ech_and_http3_never_reach_a_school_that_inspects(desk, upstream):
    upstream.zone["news.example", "HTTPS"] = "news.example. 300 IN HTTPS 1 . alpn=h3,h2 echconfig=AAAA ipv4hint=203.0.113.7"
    it = desk()
    for _ in range(2):
        assert str(it.ask("news.example", "HTTPS").rr[0].rdata) == "1 . alpn=h2 ipv4hint=203.0.113.7"


SIGNATURE = dnslib.RRSIG(1, 13, 2, 300, 1_800_000_000, 1_790_000_000, 7, "example", bytes(range(64)))


def test_a_signed_allowed_answer_goes_out_as_it_came(desk, upstream):
    def signed(packet):
        query = dnslib.DNSRecord.parse(packet)
        reply = query.reply(ra=1, aa=0)
        reply.header.ad = 1
        reply.add_answer(*dnslib.RR.fromZone("signed.example. 300 IN A 203.0.113.7"))
        if query.ar and query.ar[0].edns_do:
            reply.add_answer(dnslib.RR("signed.example", 46, rdata=SIGNATURE, ttl=300))
        reply.add_ar(dnslib.EDNS0(udp_len=1232, flags="do"))
        return bytes(reply.pack())

    upstream.zone["signed.example", "A"] = signed
    it = desk()
    query = dnslib.DNSRecord.question("signed.example")
    query.add_ar(dnslib.EDNS0(udp_len=1232, flags="do"))
    for _ in range(2):
        reply = dnslib.DNSRecord.parse(it.packet(bytes(query.pack())))
        assert (reply.header.ad, [rr.rtype for rr in reply.rr]) == (1, [1, 46])
        assert reply.rr[1].rdata.sig == SIGNATURE.sig
    assert [rr.rtype for rr in it.ask("signed.example").rr] == [1]  # who did not ask for signatures gets none


def test_ways_round_are_told_with_a_score_of_the_clients_own(desk):
    it = desk()
    for _ in range(3):
        it.ask("_dns.resolver.arpa", "SVCB")
        it.ask("uk.search.yahoo.com")
        it.now += 2
    it.ask("uk.search.yahoo.com", address="127.20.3.77")
    told = [event.detail for event in it.events if event.host == "uk.search.yahoo.com"]
    assert told == [f"A; bypass:search (score {n})" for n in (1, 2, 3, 1)]
    assert it.events[0].detail == "SVCB; designates nobody; bypass:designation (score 0)"


@pytest.mark.parametrize("stopped", [False, True])
def test_a_tunnel_is_told_and_stopped_if_the_school_chose_so(desk, upstream, stopped):
    it = desk(block_tunnels=stopped)
    names = [f"{hashlib.sha256(str(n).encode()).hexdigest()[:60]}.t.tunnel.example" for n in range(40)]
    for name in names:
        it.ask(name, "TXT")
    told = [event for event in it.events if "bypass:tunnel" in event.detail]
    assert len(told) > 10
    assert {event.action for event in told} == ({"block"} if stopped else {"allow"})
    assert (len(upstream.asked) < 30) is stopped


def extended(reply):
    return [int.from_bytes(option.data[:2]) for rr in reply.ar if rr.rtype == 41 for option in rr.rdata if option.code == 15]


def with_edns(it, name):
    query = dnslib.DNSRecord.question(name)
    query.add_ar(dnslib.EDNS0(udp_len=1232))
    return dnslib.DNSRecord.parse(it.packet(bytes(query.pack())))


def test_a_stale_answer_is_better_than_none_and_says_so(desk, upstream):
    it = desk(timeout_s=0.05, tries=2, stale_s=3600)
    assert addresses(with_edns(it, "news.example")) == ["203.0.113.7"]
    upstream.zone["news.example", "A"] = None
    it.now += 301
    reply = with_edns(it, "news.example")
    assert (addresses(reply), reply.rr[0].ttl, extended(reply)) == (["203.0.113.7"], 30, [3])
    it.now += 3601
    reply = with_edns(it, "news.example")
    assert (reply.header.rcode, extended(reply)) == (2, [22])


def test_a_stale_answer_is_still_judged(desk, upstream, make_snapshot):
    it = desk(timeout_s=0.05, tries=2)
    upstream.zone["shop.example", "A"] = "shop.example. 300 IN CNAME cdn.example.\ncdn.example. 300 IN A 203.0.113.9"
    assert len(it.ask("shop.example").rr) == 2
    upstream.zone["shop.example", "A"] = None
    it.now += 301
    it.live.snapshot = make_snapshot(names={"cdn.example": "gambling"}, generation=2)
    assert addresses(it.ask("shop.example")) == ["127.0.0.1"]


def test_while_the_resolver_is_slow_the_stale_answer_goes_out_and_the_new_one_is_kept(desk, upstream):
    it = desk(stale_after_s=0.05)
    it.ask("news.example")
    it.now += 301
    packet = bytes(dnslib.DNSRecord.question("news.example").pack())

    async def whole():
        upstream.hold.clear()
        first = await it.answers.later(it.answers.at_once(packet, LISTENER, KS3))
        upstream.zone["news.example", "A"] = "news.example. 300 IN A 203.0.113.8"
        upstream.hold.set()
        await asyncio.gather(*it.answers._fetching.upstream._under_way.values())
        await asyncio.sleep(0)
        it.now += 31
        return first, it.answers.at_once(packet, LISTENER, KS3)

    stale, fresh = asyncio.run(whole())
    assert addresses(dnslib.DNSRecord.parse(stale)) == ["203.0.113.7"]
    assert addresses(dnslib.DNSRecord.parse(fresh)) == ["203.0.113.8"]


def test_a_name_in_use_is_fetched_before_its_time_is_over(desk, upstream):
    it = desk()
    packet = bytes(dnslib.DNSRecord.question("news.example").pack())

    async def whole():
        await it.answers.later(it.answers.at_once(packet, LISTENER, KS3))
        it.now += 280
        assert isinstance(it.answers.at_once(packet, LISTENER, KS3), bytes)
        await asyncio.gather(*it.answers._fetching.upstream._under_way.values())
        await asyncio.sleep(0)
        it.now += 200
        return it.answers.at_once(packet, LISTENER, KS3)

    assert isinstance(asyncio.run(whole()), bytes)
    assert len(upstream.asked) == 2


def test_names_of_the_network_are_answered_here_after_the_decision(desk, upstream):
    it = desk(hosts=(("printer.school.local", ("10.1.0.9",)), ("bet.example", ("10.1.0.8",))))
    assert addresses(it.ask("printer.school.local")) == ["10.1.0.9"]
    assert addresses(it.ask("9.0.1.10.in-addr.arpa", "PTR")) == ["printer.school.local."]
    assert addresses(it.ask("bet.example")) == ["127.0.0.1"]  # a setting opens nothing
    assert it.answers._new_names.count == 0
    for name in ("one.example", "two.example", "www.one.example"):
        it.ask(name)
        it.now += 3_700
    assert it.answers._new_names.count == 2
    upstream.asked.clear()
    assert upstream.asked == []
