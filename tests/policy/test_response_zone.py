"""A policy as lines for other resolvers: what is blocked, what is open below a block, what never leaves."""

from datetime import timedelta

import pytest

from policy.response_zone import GONE, PASS, as_text, header, response_zone
from policy.rules import Action, CategoryRule, SiteRule

from .conftest import LESSON, NAMES

ROWS = [*NAMES, "# a comment", "203.0.113.7", "pages.example/one", f"{'a' * 60}.{'b' * 60}.{'c' * 60}.{'d' * 60}.example"]


def zone(snapshot, rows=ROWS, group="ks3", **more):
    return response_zone(snapshot(**more), "hillview", group, rows, LESSON, ("use-application-dns.net",))


def test_what_is_blocked_and_what_never_leaves(snapshot):
    made = zone(snapshot)
    lines = dict(made.lines)
    for name in ("games.example", "bets.example", "malware.example", "use-application-dns.net"):
        assert lines[name] == lines[f"*.{name}"] == GONE
    for name in ("bank.example", "childline.example", "unheard-of.example"):
        assert name not in lines
    assert not any("illegal" in name for name in lines)
    assert (made.withheld, made.left_out, made.revision) == (1, 3, 7)
    assert any("Withheld: 1 names" in sentence for sentence in header(made))


def test_a_site_opened_below_a_blocked_one_is_let_through(snapshot):
    sites = [
        SiteRule("s1", "learn.games.example", Action.ALLOW, 1),
        SiteRule("s2", "bad.learn.games.example", Action.BLOCK, 2),
    ]
    lines = dict(zone(snapshot, sites=sites).lines)
    assert [
        lines[name] for name in ("games.example", "learn.games.example", "*.learn.games.example", "bad.learn.games.example")
    ] == [GONE, PASS, PASS, GONE]


def test_a_name_that_gets_what_its_parent_gets_needs_no_line(snapshot):
    lines = dict(zone(snapshot, rows=[*ROWS, "www.games.example", "a.b.games.example"]).lines)
    assert "www.games.example" not in lines
    assert "a.b.games.example" not in lines


def test_safe_search_is_led_there_too(snapshot):
    lines = dict(zone(snapshot).lines)
    assert lines["www.google.co.uk"] == "forcesafesearch.google.com"
    assert lines["www.youtube.com"] == "restrict.youtube.com"
    assert lines["search.yahoo.com"] == GONE
    assert "www.google.co.uk" not in dict(zone(snapshot, group="staff").lines)


def test_it_says_until_when_it_holds(snapshot):
    soon = LESSON + timedelta(minutes=9)
    rules = [CategoryRule("k1", "games", Action.ALLOW, 1, until=soon)]
    made = zone(snapshot, categories=rules)
    assert made.until == soon
    assert "games.example" not in dict(made.lines)


@pytest.mark.parametrize("group", ["ks3", "ks4", "staff"])
def test_a_zone_says_what_the_decision_says(snapshot, group):
    """Every line against the decision it came from, and every name without one too."""
    from policy.decide import Question, decide

    force = snapshot()
    lines = dict(response_zone(force, "hillview", group, ROWS, LESSON).lines)
    for name in [*NAMES, "www.google.com", "search.yahoo.com"]:
        decision = decide(force, Question("hillview", group, name, LESSON, None, path_follows=False))
        if name != "illegal.example":
            assert (lines.get(name, PASS) == GONE) is (decision.action is Action.BLOCK)


def test_the_file(snapshot):
    text = list(as_text(zone(snapshot), 77))
    assert text[0].startswith("; The policy of ks3 at hillview, revision 7")
    assert "$ORIGIN ks3.hillview.rpz.schoolgate." in text
    assert "@ SOA localhost. hostmaster.schoolgate.internal. 77 30 15 86400 60" in text
    assert "games.example CNAME ." in text
    assert "*.games.example CNAME ." in text
