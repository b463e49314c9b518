"""What was in force at any instant, who authorised it, and what differs between two; from the log, never from the tables."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from admin_api.then import said
from change_control.changes import SiteWish
from change_control.history import Between, then
from change_control.ledger import LedgerMismatch
from policy.rules import Action


def at(world, instant, group="", person=""):
    with world.store.read() as session:
        return then(world.office, session, "oakfield", instant).some(group, person)


def hosts(lines):
    return [line.value["host"] for line in lines if line.collection == "site_rules"]


@pytest.fixture
def lived(world):
    """A site opened for Years 3-6 until noon, and later another blocked for everyone; the moments in between."""
    before = world.clock.at
    end = world.clock.at + timedelta(hours=4)
    opened = world.ask("adam", SiteWish("crazygames.com", Action.ALLOW, ("ks2",), end))
    world.browser("helen").sign("approve", opened)
    between = world.clock.at
    world.clock.forward(minutes=50)
    blocked = world.ask("adam", SiteWish("poki.com", Action.BLOCK))
    world.browser("helen").sign("approve", blocked)
    return world, before, between, world.clock.at, end


def test_each_instant_has_its_rules(lived):
    world, before, between, after, end = lived
    assert hosts(at(world, before)) == []
    assert hosts(at(world, between)) == ["crazygames.com"]
    assert sorted(hosts(at(world, after))) == ["crazygames.com", "poki.com"]
    assert hosts(at(world, after, group="staff")) == ["poki.com"]
    assert hosts(at(world, end)) == ["poki.com"], "what ended by its own date was no longer in force"
    with pytest.raises(LookupError, match="had no policy yet"):
        at(world, before - timedelta(days=300))


def test_each_rule_says_who_authorised_it(lived):
    world, _, _, after, _ = lived
    with world.store.read() as session:
        found = then(world.office, session, "oakfield", after)
        taxonomy = world.office.dictionaries.taxonomy(found.document.dictionary)
        rule, *_ = said(session, found, found.some("ks2"), taxonomy)
    assert rule.sentence.startswith("Years 3-6 may use crazygames.com until ")
    assert rule.authorised == "signed by Helen (password and code)"
    assert rule.change == 1


def test_two_instants_compared(lived):
    world, _, between, after, end = lived
    with world.store.read() as session:
        times = [then(world.office, session, "oakfield", one) for one in (between, after, end)]
        assert hosts(Between.of(times[0], times[1]).come) == ["poki.com"]
        assert Between.of(times[0], times[1]).gone == ()
        assert hosts(Between.of(times[1], times[2]).gone) == ["crazygames.com"]
        assert Between.of(times[0], times[1], group="staff").come[0].value["host"] == "poki.com"


def test_the_page_shows_it_with_its_proof(lived):
    world, before, between, after, _ = lived
    nora = world.browser("nora")
    page = nora.get("/then")
    assert page.status_code == 200
    assert "Proof" not in page.text
    page = nora.get("/then", params={"when": between.isoformat(), "group": "ks2"})
    assert "may use crazygames.com" in page.text
    assert "signed by Helen" in page.text
    with world.store.read() as session:
        digest = then(world.office, session, "oakfield", between).digest
    assert digest in page.text
    page = nora.get("/then", params={"when": after.isoformat(), "other": before.isoformat()})
    assert "may no longer use poki.com" in page.text
    assert nora.get("/then", params={"when": "yesterday"}).status_code == 422
    assert nora.get("/then", params={"when": "2001-01-01T10:00"}).status_code == 422
    assert world.stranger().get("/then").status_code == 303


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE documents SET text = replace(text, 'crazygames.com', 'gambling.example') WHERE log = 'oakfield'",
        "UPDATE entries SET text = replace(text, 'crazygames.com', 'gambling.example') WHERE log = 'oakfield'",
        "UPDATE entries SET at = '2020-01-01' WHERE log = 'oakfield' AND text LIKE '%change.approved%'",
    ],
)
def test_history_is_not_rewritten_by_sql(lived, statement):
    world, _, between, _, _ = lived
    with world.store.write() as session:
        session.execute(text(statement))
    if "SET at" in statement:
        assert hosts(at(world, between)) == ["crazygames.com"], "the date beside an entry decides nothing"
    else:
        with pytest.raises(LedgerMismatch):
            at(world, between)
