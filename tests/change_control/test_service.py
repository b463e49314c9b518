"""What people do with changes, on both databases."""

import json

import pytest

from change_control.authority import NotAllowed
from change_control.changes import CategoryWish, SiteWish
from change_control.lifecycle import NotPossible, State
from change_control.service import ChangedSinceShown
from change_control.tables import ChangeRow
from change_control.verify import verify_installation
from policy.live import Live
from policy.proof import digest
from policy.rules import Action


def ask(world, username="adam", wish=None, reason="for a class debate"):
    with world.store.write() as session:
        wish = wish or SiteWish("crazygames.com", Action.ALLOW, ("ks2",))
        return world.office.request(session, "oakfield", wish, by=world.who(session, username), reason=reason).id


def approve(world, change, username="helen", shown=None):
    with world.store.write() as session:
        row = session.get(ChangeRow, change)
        return world.office.approve(
            session, row, world.who(session, username), world.signer(session, username), shown or digest(row.diff)
        )


def verify(world):
    with world.store.read() as session:
        return {one.log: one for one in verify_installation(session, world.data)}


def test_a_request_waits_and_the_heads_signature_puts_it_in_force(world):
    change = ask(world)
    world.publish()
    live = Live(world.data)
    assert live.snapshot.schools["oakfield"].site_rules == ()
    assert approve(world, change) is State.IN_FORCE
    world.publish()
    assert live.refresh()
    (rule,) = live.snapshot.schools["oakfield"].site_rules
    assert (rule.host, rule.change, rule.action) == ("crazygames.com", change, Action.ALLOW)
    assert verify(world)["oakfield"].states == {change: State.IN_FORCE}


@pytest.mark.parametrize("username", ["adam", "dora", "tom", "laura"])
def test_only_the_head_approves(world, username):
    change = ask(world, "adam")
    with pytest.raises(NotAllowed):
        approve(world, change, username)


def test_the_heads_own_request_needs_her_and_the_second_person(world):
    change = ask(world, "helen")
    assert approve(world, change, "helen") is State.REQUESTED
    with pytest.raises(NotAllowed):
        approve(world, change, "tom")
    assert approve(world, change, "dora") is State.IN_FORCE
    world.publish()
    assert verify(world)["oakfield"].states[change] is State.IN_FORCE


def test_what_was_not_shown_is_not_signed(world):
    change = ask(world)
    with pytest.raises(ChangedSinceShown):
        approve(world, change, shown="0" * 64)


def test_refused_and_withdrawn_changes_stay_so(world):
    refused, withdrawn = ask(world), ask(world)
    with world.store.write() as session:
        world.office.refuse(session, session.get(ChangeRow, refused), world.who(session, "helen"), "not for lessons")
        world.office.withdraw(session, session.get(ChangeRow, withdrawn), world.who(session, "adam"))
    with pytest.raises(NotPossible):
        approve(world, refused)
    assert verify(world)["oakfield"].states == {refused: State.REFUSED, withdrawn: State.WITHDRAWN}


def test_reversing_what_loosened_is_the_heads_alone(world):
    change = ask(world)
    approve(world, change)
    with world.store.write() as session:
        row = session.get(ChangeRow, change)
        world.office.reverse(session, row, world.who(session, "helen"), world.signer(session, "helen"), digest(row.diff))
    world.publish()
    assert Live(world.data).snapshot.schools["oakfield"].site_rules == ()
    assert verify(world)["oakfield"].states[change] is State.REVERSED


def test_reversing_what_tightened_is_asked_for(world):
    change = ask(world, wish=SiteWish("bbc.co.uk", Action.BLOCK))
    approve(world, change)
    with world.store.write() as session:
        row = session.get(ChangeRow, change)
        helen, signer = world.who(session, "helen"), world.signer(session, "helen")
        with pytest.raises(NotAllowed):
            world.office.reverse(session, row, helen, signer, digest(row.diff))
        again = world.office.request_reversal(session, row, world.who(session, "adam"), "needed in class").id
    assert approve(world, again) is State.IN_FORCE
    world.publish()
    assert Live(world.data).snapshot.schools["oakfield"].site_rules == ()
    assert verify(world)["oakfield"].states == {change: State.REVERSED, again: State.IN_FORCE}


def test_an_allowance_ends_and_that_is_noted(world):
    change = ask(world)
    approve(world, change)
    world.clock.forward(days=29)
    with world.store.write() as session:
        (moved,) = world.office.tick(session)
        assert (moved.id, moved.state) == (change, State.EXPIRED)
    world.publish()
    verify(world)


def test_no_exception_without_an_end(world):
    change = ask(world)
    with world.store.read() as session:
        assert json.loads(session.get(ChangeRow, change).diff)["add"]["site_rules"][0]["until"] == "2026-12-18T10:00:00Z"


def test_a_category_rule_takes_the_place_of_the_one_for_the_same_groups(world):
    for action in (Action.ALLOW, Action.BLOCK):
        approve(world, ask(world, wish=CategoryWish("games", action, ("ks2",))))
    world.publish()
    (rule,) = Live(world.data).snapshot.schools["oakfield"].category_rules
    assert rule.action is Action.BLOCK
    verify(world)


@pytest.mark.parametrize("category", ["csam_illegal", "essentials", "nonsense"])
def test_some_categories_are_nobodys_to_change(world, category):
    with pytest.raises(ValueError, match=r"locked|stay open|no category"):
        ask(world, wish=CategoryWish(category, Action.ALLOW))
