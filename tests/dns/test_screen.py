"""What an upstream says, judged before it goes out."""

from datetime import timedelta
from ipaddress import ip_network

import dnslib
import pytest

from dns import codec
from dns.codec import Answer, Query
from dns.inner import inner_address
from dns.local import Local
from dns.respond import Forward, Reply, Ways, respond
from dns.screen import screened
from policy.decide import Reason
from policy.rules import Action, SiteRule


def screen(snapshot, at, answer, address="127.20.3.5", ways=None):
    asked = Query(7, "allowed.example", codec.wire_name("allowed.example"), codec.A)
    client = snapshot.clients.of("dns:127.0.0.1:53", address)
    ways = ways or Ways()
    passed = respond(snapshot, asked, client, at, ways)
    assert isinstance(passed, Forward)
    return screened(snapshot, asked, client, answer, passed, at=at, ways=ways)


def answer(*targets, addresses=()):
    return Answer(0, False, (0, 0, 0), b"", (), 300, targets, addresses)


@pytest.mark.parametrize(("targets", "reason"), [
    ((), None),
    (("cdn.example", "edge.cdn.example"), None),
    (("bet.example",), Reason.PHASE_DEFAULT),
    (("cdn.example", "x.y.bet.example"), Reason.PHASE_DEFAULT),
    (("sealed.example",), Reason.SEALED),
    (("a\\032b.example",), Reason.ERROR),
])  # fmt: skip
def test_a_name_that_leads_to_a_blocked_one_is_blocked(make_snapshot, at, targets, reason):
    got = screen(make_snapshot(), at, answer(*targets))
    if reason is None:
        assert isinstance(got, Forward)
    else:
        assert isinstance(got, Reply)
        assert (got.decision.action, got.decision.reason) == (Action.BLOCK, reason)
        assert got.detail == f"via {targets[-1]}"


def test_an_answer_rests_on_all_its_names(make_snapshot, at):
    soon, late = at + timedelta(seconds=20), at + timedelta(hours=1)
    rules = (
        SiteRule("r1", "allowed.example", Action.ALLOW, 4, until=late),
        SiteRule("r2", "cdn.example", Action.ALLOW, 5, until=soon),
    )
    assert screen(make_snapshot(site_rules=rules), at, answer("cdn.example")).decision.until == soon


@pytest.mark.parametrize("address", [
    "10.0.0.1", "127.0.0.1", "192.168.1.1", "172.31.255.255", "169.254.1.1", "0.0.0.0", "100.64.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "2002:0a00:0001::1", "::7f00:1",
])  # fmt: skip
def test_public_names_do_not_lead_into_private_networks(make_snapshot, at, address):
    got = screen(make_snapshot(), at, answer(addresses=("203.0.113.7", address)))
    assert dnslib.DNSRecord.parse(got.wire).header.rcode == 3
    assert got.detail == f"leads to {address}"


@pytest.mark.parametrize(
    "address", ["203.0.113.7", "172.32.0.1", "2606:4700::1", "64:ff9b::203.0.113.7", "2002:cb00:7107::1"]
)
def test_public_addresses_pass(address):
    assert inner_address((address,), ()) is None


def test_networks_of_the_school_may_be_named(make_snapshot, at):
    ways = Ways(inner_networks=(ip_network("10.20.0.0/16"), ip_network("fd00::/8")))
    assert isinstance(screen(make_snapshot(), at, answer(addresses=("10.20.0.5", "fd00::5")), ways=ways), Forward)
    assert isinstance(screen(make_snapshot(), at, answer(addresses=("10.21.0.5",)), ways=ways), Reply)


@pytest.mark.parametrize(("address", "names", "reason"), [
    ("203.0.113.7", {}, None),
    ("203.0.113.7", {"203.0.113.7": "proxy_vpn"}, Reason.PHASE_DEFAULT),
    ("203.0.113.7", {"203.0.113.7": "csam_illegal"}, Reason.SEALED),
    ("2001:db8:1::7", {"2001:db8:1::7": "doh_dns_bypass"}, Reason.PHASE_DEFAULT),
    ("203.0.113.7", {"203.0.113.7": "news"}, None),
])  # fmt: skip
def test_listed_addresses_are_refused_whatever_the_name(make_snapshot, at, address, names, reason):
    got = screen(make_snapshot(names=names), at, answer(addresses=("203.0.113.9", address)))
    if reason is None:
        assert isinstance(got, Forward)
    else:
        assert (got.decision.reason, got.detail) == (reason, f"leads to {address}")


@pytest.mark.parametrize(("target", "passes"), [("bet.example", True), ("sealed.example", False)])
def test_essential_sites_resolve_wherever_they_stand(make_snapshot, at, target, passes):
    names = {"allowed.example": "essentials", "bet.example": "gambling", "sealed.example": "csam_illegal"}
    got = screen(make_snapshot(names=names), at, answer(target))
    assert isinstance(got, Forward) is passes


def test_the_schools_own_zones_lead_into_the_school(make_snapshot, at):
    ways = Ways(local=Local.of((), ("example",)))
    assert isinstance(screen(make_snapshot(), at, answer(addresses=("10.21.0.5",)), ways=ways), Forward)
