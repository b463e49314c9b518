"""Standing mandates: what they let through, what waits all the same, and how it lapses."""

import re
from datetime import timedelta

import pytest

from category_lists.lists import store
from change_control.authority import NotAllowed
from change_control.lifecycle import State
from change_control.tables import ChangeRow
from change_control.verify import verify_installation
from policy.live import Live
from policy.proof import digest


def mandate(world, days=30):
    with world.store.write() as session:
        helen, signer = world.who(session, "helen"), world.signer(session, "helen")
        return world.office.sign_mandate(
            session,
            "oakfield",
            helen,
            lambda terms: signer.sign("mandate", "oakfield", terms),
            kinds=["dictionary"],
            roles=["technician"],
            until=world.clock() + timedelta(days=days),
        )


def accept(world, tmp_path, names="bets.example\n", category="gambling", form="domains", name="mine"):
    file = tmp_path / f"{category}.txt"
    file.write_text(names)
    world.data.joinpath("lists").unlink()  # a shared link in tests; this one is the test's own
    world.data.joinpath("lists").mkdir(exist_ok=True)
    shipped = world.data.joinpath("objects").resolve().parent / "lists"
    for folder in shipped.iterdir():
        (world.data / "lists" / folder.name).symlink_to(folder)
    version, report = store(
        world.data / "lists", file, list_id=f"{name}-{category}", category=category, format=form, at=world.clock()
    )
    with world.store.write() as session:
        asked = world.office.accept_list(session, "oakfield", version, report.exceptions, by=None, roles=("technician",))
    world.publish()
    return asked


def known(world, name):
    snapshot = Live(world.data).snapshot
    school = snapshot.schools["oakfield"]
    return [match.category for match in snapshot.dictionaries[school.dictionary].index.find(name)]


def verified(world):
    with world.store.read() as session:
        return {one.log: one for one in verify_installation(session, world.data)}


def test_without_a_mandate_a_list_waits(world, tmp_path):
    asked = accept(world, tmp_path)
    assert not asked.in_force
    assert "no standing mandate" in asked.waits_because
    assert known(world, "bets.example") == []
    verified(world)


def test_under_a_mandate_a_list_is_in_force_at_once_and_its_entry_says_why(world, tmp_path):
    number = mandate(world)
    asked = accept(world, tmp_path)
    assert asked.in_force
    assert known(world, "www.bets.example") == ["gambling"]
    with world.store.write() as session:
        assert world.office.book(session, "oakfield").entry(asked.change.entry)["rests_on"] == {"mandate": number}
    assert verified(world)["oakfield"].states[asked.change.id] is State.PROVISIONAL


@pytest.mark.parametrize(
    ("names", "category", "form", "why"),
    [
        ("bank.example\n", "finance_business", "domains", "keeps|looked at"),
        ("help.example\n", "essentials", "domains", "waits"),
        ("||bets.example^\n@@||good.example^\n", "gambling", "adblock", "opens 1"),
    ],
)
def test_some_lists_wait_even_under_a_mandate(world, tmp_path, names, category, form, why):
    mandate(world)
    asked = accept(world, tmp_path, names, category, form)
    assert not asked.in_force
    assert re.search(why, asked.waits_because)
    verified(world)


@pytest.mark.parametrize("name", ["corrections-oakfield", "starter-of-mine", "vouching"])
def test_no_list_comes_in_by_its_name_that_outweighs_others(world, tmp_path, name):
    mandate(world)
    asked = accept(world, tmp_path, name=name)
    assert not asked.in_force
    assert "waits for the headteacher" in asked.waits_because


def test_a_mandate_ends(world, tmp_path):
    mandate(world, days=30)
    world.clock.forward(days=31)
    assert not accept(world, tmp_path).in_force


def test_what_is_not_ratified_lapses(world, tmp_path):
    mandate(world)
    change = accept(world, tmp_path).change.id
    world.clock.forward(days=15)
    with world.store.write() as session:
        assert [row.id for row in world.office.tick(session)] == [change]
    world.publish()
    assert known(world, "bets.example") == []
    assert verified(world)["oakfield"].states[change] is State.LAPSED


def test_what_the_head_ratifies_stays(world, tmp_path):
    mandate(world)
    change = accept(world, tmp_path).change.id
    with world.store.write() as session:
        row = session.get(ChangeRow, change)
        with pytest.raises(NotAllowed):
            world.office.ratify(session, row, world.who(session, "tom"), world.signer(session, "tom"), digest(row.diff))
        helen, signer = world.who(session, "helen"), world.signer(session, "helen")
        world.office.ratify(session, row, helen, signer, digest(row.diff))
    world.clock.forward(days=15)
    with world.store.write() as session:
        assert world.office.tick(session) == []
    world.publish()
    assert known(world, "bets.example") == ["gambling"]
    assert verified(world)["oakfield"].states[change] is State.IN_FORCE
