"""Who may be forwarded where: as policy says, for as long as it says so, by whichever name still holds."""

from datetime import UTC, datetime, timedelta

import pytest

from appliance.gateway.netlink import key
from appliance.gateway.permits import REMEMBERED_S, Asker, Permits, removal
from appliance.gateway.ruleset import RENEWED_S
from policy.rules import Action, SiteRule

PUPIL = Asker("dns", "127.20.3.5")
NEAR = Asker("dns", "127.20.3.5", b"\x02\0\0\0\0\x05")
A, A6 = "45.33.32.1", "2a00::1"


def rule(site: str, action: str = "block", **more) -> SiteRule:
    return SiteRule(f"r-{site}", site, Action(action), 1, **more)


@pytest.fixture
def permits(make_snapshot):
    made = Permits()
    made.follow(make_snapshot())
    return made


def test_only_what_policy_calls_direct(permits, at):
    assert permits.grant(PUPIL, "bet.example", [A], at) == ([], 0.0), "blocked"
    assert permits.grant(PUPIL, "unheard.example", [A], at) == ([], 0.0), "to be looked into"
    assert permits.grant(Asker("dns", "8.8.8.8"), "news.example", [A], at) == ([], 0.0), "nobody's client"
    assert len(permits) == 0
    (element,), seconds = permits.grant(PUPIL, "news.example", [A], at)
    assert (element.set, element.key, element.seconds, seconds) == (
        "direct_ip4", key(b"\x7f\x14\x03\x05", b"\x2d\x21\x20\x01"), RENEWED_S, RENEWED_S,
    )  # fmt: skip


def test_by_device_where_it_is_next_to_us(permits, at):
    elements, _ = permits.grant(NEAR, "news.example", [A, A6], at)
    assert [each.set for each in elements] == ["direct_mac4", "direct_mac6"]
    elements, _ = permits.grant(PUPIL, "news.example", [A6], at)
    assert elements == [], "an IPv4 address says nothing of the IPv6 address that comes"


def test_no_longer_than_policy_says(make_snapshot, at):
    permits = Permits()
    until = datetime.fromtimestamp(at, UTC) + timedelta(minutes=3)
    permits.follow(make_snapshot(site_rules=(rule("bet.example", "allow", until=until),)))
    (element,), seconds = permits.grant(NEAR, "bet.example", [A], at)
    assert (element.set, element.seconds, seconds) == ("until_mac4", 180.0, 180.0)
    assert permits.ended(permits.due(at + 179), at + 179) == []
    assert permits.ended(permits.due(at + 180), at + 180) == [(NEAR.owner, b"\x2d\x21\x20\x01")]
    assert not permits.holds(NEAR.owner, b"\x2d\x21\x20\x01")


def test_a_change_ends_what_it_speaks_of_and_nothing_else(permits, make_snapshot, at):
    permits.grant(NEAR, "news.example", [A], at)
    permits.grant(NEAR, "helpline.example", [A, "45.33.32.2"], at)
    permits.grant(PUPIL, "news.example", ["45.33.32.3"], at)
    assert not permits.follow(permits._snapshot)
    assert permits.follow(make_snapshot(site_rules=(rule("news.example"),)))
    assert permits.ended(permits.pairs(), at) == [(PUPIL.owner, b"\x2d\x21\x20\x03")]
    assert permits.because(NEAR.owner, b"\x2d\x21\x20\x01") == ["helpline.example"]
    taken = removal([(NEAR.owner, b"\x2d\x21\x20\x01")])
    assert [(each.set, each.seconds) for each in taken] == [("direct_mac4", 0), ("until_mac4", 0)]


def test_what_was_not_asked_for_in_half_a_day_is_forgotten(permits, at):
    permits.grant(NEAR, "news.example", [A], at)
    assert permits.ended(permits.pairs(), at + REMEMBERED_S) == []
    assert permits.ended(permits.pairs(), at + REMEMBERED_S + 1) == [(NEAR.owner, b"\x2d\x21\x20\x01")]
