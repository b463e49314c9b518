"""The authority's rules: above or below the school's own, and in force in a school only as its headteacher has it."""

from datetime import timedelta

import pytest

from change_control import tiers
from change_control.changes import CategoryWish, SiteWish, sentence
from change_control.lifecycle import State
from change_control.tables import ChangeRow
from change_control.verify import verify_installation
from policy.decide import Question, Reason, decide
from policy.live import Live
from policy.proof import digest
from policy.rules import Action, AuthorityPolicy, CategoryRule, SiteRule

MANDATORY = SiteWish("bbc.co.uk", Action.BLOCK, mandatory=True)
SUGGESTED = SiteWish("bbc.co.uk", Action.BLOCK)


@pytest.fixture
def world(world):
    """The authority has a technician, who asks, beside its officer, who signs."""
    if "tina" not in world.secrets:
        world.enrol("birchwood", "tina", "technician", by="laura")
    world.cookie("tina")
    return world


def approve(world, username, change, log):
    with world.store.write() as session:
        row = session.get_one(ChangeRow, change)
        who, signer = world.who(session, username), world.signer(session, username, log)
        return world.office.approve(session, row, who, signer, digest(row.diff))


def authority_rule(world, wish=MANDATORY):
    with world.store.write() as session:
        made = world.office.request(session, "birchwood", wish, by=world.who(session, "tina"), reason="for every school").id
    approve(world, "laura", made, "birchwood")
    return made


def offered(world, state=State.REQUESTED):
    with world.store.read() as session:
        found = session.query(ChangeRow).filter_by(log="oakfield", kind=tiers.KIND, state=state).all()
        return [row.id for row in found]


def mandate(world):
    with world.store.write() as session:
        helen, signer = world.who(session, "helen"), world.signer(session, "helen")
        return world.office.sign_mandate(
            session, "oakfield", helen, lambda terms: signer.sign("mandate", "oakfield", terms),
            kinds=["authority"], roles=["la_officer"], until=world.clock() + timedelta(days=90),
        )  # fmt: skip


def gets(world, host="bbc.co.uk"):
    world.publish()
    found = decide(Live(world.data).snapshot, Question("oakfield", "ks2", host, world.clock(), "/"))
    return found.action, found.reason


def agreed(world):
    world.publish()
    with world.store.read() as session:
        return {one.log: one for one in verify_installation(session, world.data)}


def test_an_authority_rule_waits_for_each_head_and_is_shown_to_her(world):
    authority_rule(world)
    assert gets(world) == (Action.ALLOW, Reason.UNKNOWN_NAME) or gets(world)[0] is Action.ALLOW
    (change,) = offered(world)
    with world.store.read() as session:
        row = session.get_one(ChangeRow, change)
        force = world.office.book(session, "oakfield").in_force()
        said = sentence(world.office.diff_of(row), force.document, world.office.taxonomy(force))
    assert said == (
        "Oakfield Primary accepts its authority’s rules as they stand now. New: everyone may no longer use bbc.co.uk until "
        "someone changes it. No school can change this."
    )
    assert approve(world, "helen", change, "oakfield") is State.IN_FORCE
    assert gets(world) == (Action.BLOCK, Reason.AUTHORITY_SITE)
    assert agreed(world)["oakfield"].states[change] is State.IN_FORCE


def test_a_suggestion_is_below_the_schools_own_rule(world):
    authority_rule(world, SUGGESTED)
    (change,) = offered(world)
    approve(world, "helen", change, "oakfield")
    assert gets(world) == (Action.BLOCK, Reason.DEFAULT_SITE)
    with world.store.write() as session:
        own = world.office.request(
            session, "oakfield", SiteWish("bbc.co.uk", Action.ALLOW), by=world.who(session, "adam"), reason="news"
        ).id
    approve(world, "helen", own, "oakfield")
    assert gets(world) == (Action.ALLOW, Reason.SCHOOL_SITE)


def test_under_a_mandate_it_is_in_force_at_once_and_lapses_unless_ratified(world):
    mandate(world)
    authority_rule(world)
    (change,) = offered(world, State.PROVISIONAL)
    assert gets(world) == (Action.BLOCK, Reason.AUTHORITY_SITE)
    agreed(world)
    world.clock.forward(days=15)
    with world.store.write() as session:
        assert [row.id for row in world.office.tick(session)] == [change]
    assert gets(world)[0] is Action.ALLOW
    assert agreed(world)["oakfield"].states[change] is State.LAPSED


def test_a_newer_document_takes_the_place_of_the_one_that_waits(world):
    authority_rule(world)
    (first,) = offered(world)
    authority_rule(world, CategoryWish("games", Action.BLOCK, mandatory=True, phases=("ks2",)))
    (second,) = offered(world)
    assert offered(world, State.WITHDRAWN) == [first]
    approve(world, "helen", second, "oakfield")
    assert gets(world) == (Action.BLOCK, Reason.AUTHORITY_SITE)
    agreed(world)


def test_only_the_authority_has_mandatory_rules(world):
    for wish in (MANDATORY, CategoryWish("games", Action.BLOCK, phases=("ks2",))):
        with world.store.write() as session, pytest.raises(ValueError, match="only the authority"):
            world.office.request(session, "oakfield", wish, by=world.who(session, "adam"), reason="ours")
    with world.store.write() as session, pytest.raises(ValueError, match="no phase"):
        world.office.request(
            session, "birchwood", CategoryWish("games", Action.BLOCK, phases=("ks9",)), by=None, reason="no such"
        )


def test_what_comes_and_what_goes():
    site, category = SiteRule("s1", "a.example", Action.BLOCK, 1, mandatory=True), CategoryRule("k2", "games", Action.WARN, 2)
    old, new = (AuthorityPolicy("b", "B", "d" * 64, sites, kinds) for sites, kinds in (((site,), ()), ((), (category,))))
    found = tiers.between(old, new)
    assert [rule["id"] for rule in found["add"]["category_rules"]] == ["k2"]
    assert [rule["id"] for rule in found["remove"]["site_rules"]] == ["s1"]
