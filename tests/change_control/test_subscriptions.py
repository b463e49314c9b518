"""Feeds under change control: what takes effect by itself, what waits, what cannot happen."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from category_lists import sealed
from category_lists.catalogue import Bounds, Feed
from category_lists.lists import store_lines
from change_control import list_service
from change_control.authority import NotAllowed
from change_control.changes import sentence
from change_control.ledger import LedgerMismatch
from change_control.lifecycle import State
from change_control.list_service import Taken
from change_control.tables import ChangeRow, EntryRow
from change_control.verify import DoesNotAgree, verify_installation
from policy.decide import Question, Reason, decide
from policy.live import Live, PolicyMissing
from policy.proof import canonical, digest

FEED = Feed(
    "bets", "Bets", "https://lists.example/x", "domains", "CC0", "us", "here", {"*": "gambling"}, bounds=Bounds(10, 50, 100)
)
FIRST = [f"bet{number}.example" for number in range(20)]


@pytest.fixture
def own(world):
    """A world with a lists folder of its own."""
    shipped = world.data.joinpath("lists").resolve()
    world.data.joinpath("lists").unlink()
    world.data.joinpath("lists").mkdir()
    for folder in shipped.iterdir():
        (world.data / "lists" / folder.name).symlink_to(folder)
    return world


def kept(world, names, category="gambling", list_id="bets"):
    lines = [[name.encode() for name in names]]
    version, report = store_lines(
        world.data / "lists", lines, source="x", list_id=list_id, category=category, format="adblock" if "|" in names[0] else
        "domains", at=world.clock(),
    )  # fmt: skip
    return Taken(version, report.exceptions)


def ask(world, feed=FEED, by="tom"):
    with world.store.write() as session:
        return list_service.subscribe(
            world.office, session, "oakfield", feed, by=world.who(session, by), reason="we need it"
        ).id


def approve(world, change, *people):
    for person in people or ("helen",):
        with world.store.write() as session:
            row = session.get(ChangeRow, change)
            who, signer = world.who(session, person), world.signer(session, person)
            state = world.office.approve(session, row, who, signer, digest(row.diff))
    world.publish()
    return state


def bring(world, names, feed=FEED):
    taken = [kept(world, names)]
    with world.store.write() as session:
        asked = list_service.update(world.office, session, "oakfield", feed, taken)
    world.publish()
    return asked


def known(world, name):
    snapshot = Live(world.data).snapshot
    school = snapshot.schools["oakfield"]
    return [match.category for match in snapshot.dictionaries[school.dictionary].index.find(name)]


def verified(world):
    with world.store.read() as session:
        return {one.log: one for one in verify_installation(session, world.data)}


def test_an_approved_subscription_lets_updates_in_within_its_bounds(own):
    change = ask(own)
    assert not bring(own, FIRST).in_force  # asked for is not approved
    assert approve(own, change) is State.IN_FORCE
    assert known(own, "bet1.example") == []
    asked = bring(own, [*FIRST, "more.example"])
    assert asked.in_force
    assert known(own, "bet1.example") == ["gambling"]
    assert asked.change.requested_by == "feed:bets"
    diff = json.loads(asked.change.diff)
    assert (diff["feed"], diff["lists"][0]["entries"], diff["lists"][0]["before"]) == ("bets", 21, 0)
    assert bring(own, [*FIRST, "more.example"]) is None  # nothing new
    own.clock.forward(days=1)
    again = bring(own, [*FIRST[1:], "more.example", "new.example"])
    assert again.in_force
    assert json.loads(again.change.diff)["lists"][0] | {} == json.loads(again.change.diff)["lists"][0]
    assert [json.loads(again.change.diff)["lists"][0][name] for name in ("before", "added", "removed")] == [21, 1, 1]
    states = verified(own)["oakfield"].states
    assert states[change] is State.IN_FORCE
    assert states[again.change.id] is State.IN_FORCE  # by the signature on the subscription: nothing is ratified once more
    assert again.change.ratify_by is None
    with own.store.read() as session:
        entry = own.office.book(session, "oakfield").entry(again.change.entry)
    assert (entry["kind"], entry["by_roles"]) == ("change.updated", ["feed:bets"])


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (FIRST[5:], "loses 5 of 20"),
        ([*FIRST, *(f"extra{number}.example" for number in range(15))], "gains 15"),
        ([f"other{number}.example" for number in range(20)], "loses 20 of 20"),
        ([*FIRST, *(f"extra{number}.example" for number in range(90))], "more than 100"),
        ([*(f"||{name}^" for name in FIRST), "@@||good.example^"], "opens 1"),
    ],
)
def test_what_goes_beyond_the_bounds_waits(own, names, why):
    approve(own, ask(own))
    assert bring(own, FIRST).in_force
    asked = bring(own, names)
    assert not asked.in_force
    assert why in asked.waits_because
    assert known(own, "bet1.example") == ["gambling"]
    with own.store.read() as session:
        assert why in own.office.detail(session, asked.change.id)["reason"]
    verified(own)


PRESS = replace(FEED, id="press", name="Press", mapping={"*": "news"}, vouches=True)


def vouched(world, names, feed=PRESS):
    taken = [kept(world, names, "news", "vouching-press")]
    with world.store.write() as session:
        asked = list_service.update(world.office, session, "oakfield", feed, taken)
    world.publish()
    return asked


def test_a_feed_that_vouches_opens_sites_once_the_head_signed_that(own):
    with own.store.write() as session:
        games = list_service.accept(own.office, session, "oakfield", [kept(own, ["paper.example"], "games", "g")], by=None)
    approve(own, games.change.id)
    assert decided(own, "paper.example", group="ks2").action == "block"
    change = ask(own, PRESS)
    assert "Lists that vouch also open sites" in told(own, change)
    approve(own, change)
    assert vouched(own, ["paper.example"]).in_force
    assert decided(own, "paper.example", group="ks2").action == "allow"
    assert verified(own)["oakfield"]


def test_a_feed_that_vouches_without_being_signed_for_as_such_waits(own):
    approve(own, ask(own, replace(PRESS, vouches=False)))
    asked = vouched(own, ["paper.example"])
    assert not asked.in_force
    assert "vouch also open sites" in asked.waits_because
    assert "vouch for sites: vouching-press" in told(own, asked.change.id)


def test_a_newer_update_takes_the_place_of_one_that_waits(own):
    approve(own, ask(own))
    bring(own, FIRST)
    first = bring(own, FIRST[10:]).change.id
    second = bring(own, FIRST[11:]).change.id
    with own.store.read() as session:
        assert session.get(ChangeRow, first).state == State.WITHDRAWN
        assert session.get(ChangeRow, second).state == State.REQUESTED
    assert bring(own, FIRST[11:]).change.id == second  # the same again is the same request
    verified(own)


def test_a_subscription_that_is_taken_back_or_over_lets_nothing_in(own):
    change = ask(own)
    approve(own, change)
    own.clock.forward(days=366)
    assert not bring(own, FIRST).in_force
    with own.store.write() as session:
        own.office.tick(session)
        assert session.get(ChangeRow, change).state == State.EXPIRED
    own.cookies.clear()  # sessions do not last a year
    for name in ("tom", "helen"):
        own.cookie(name)
    other = ask(own)
    approve(own, other)
    with own.store.write() as session:
        row = session.get(ChangeRow, other)
        helen, signer = own.who(session, "helen"), own.signer(session, "helen")
        own.office.reverse(session, row, helen, signer, digest(row.diff))
    assert not bring(own, [*FIRST, "more.example"]).in_force
    verified(own)


def test_asking_twice_and_for_what_cannot_be(own):
    change = ask(own)
    with pytest.raises(ValueError, match="already"):
        ask(own)
    approve(own, change)
    with pytest.raises(ValueError, match="already"):
        ask(own)
    with pytest.raises(ValueError, match="cannot fill"):
        ask(own, replace(FEED, id="x", mapping={"*": "csam_illegal"}))
    with own.store.write() as session, pytest.raises(ValueError, match="a day to a year"):
        list_service.subscribe(own.office, session, "oakfield", replace(FEED, id="y"), by=None, reason="why not", days=400)


def told(world, change):
    with world.store.read() as session:
        force = world.office.book(session, "oakfield").in_force()
        return sentence(json.loads(session.get(ChangeRow, change).diff), force.document, world.office.taxonomy(force))


def test_the_sentence_says_the_bounds(own):
    said = told(own, ask(own))
    assert "subscribes to Bets (Gambling) until" in said
    assert "loses at most 10% and gains at most 50%" in said


@pytest.mark.parametrize("field", ["bounds", "counts"])
def test_bounds_and_counts_are_part_of_what_is_signed(own, field):
    approve(own, ask(own))
    asked = bring(own, FIRST)
    with own.store.write() as session:
        kind = "change.approved" if field == "bounds" else "change.updated"
        row = session.query(EntryRow).filter_by(log="oakfield", kind=kind).order_by(EntryRow.n.desc()).first()
        row.text = row.text.replace('"max_shrink_percent":10', '"max_shrink_percent":99').replace(
            '"entries":20', '"entries":19'
        )
    with own.store.write() as session, pytest.raises(LedgerMismatch):
        own.office.book(session, "oakfield").entry(row.n)
    with pytest.raises(DoesNotAgree):
        verified(own)
    assert asked.in_force


def test_waiting_requests_about_lists_follow_the_dictionary(own):
    """A daily update must not make every other waiting request impossible to approve."""
    waiting = kept(own, ["wait.example"], "games", "mine-games")
    with own.store.write() as session:
        asked = list_service.accept(own.office, session, "oakfield", [waiting], by=own.who(session, "tom"))
    assert not asked.in_force
    approve(own, ask(own))
    bring(own, FIRST)
    with own.store.write() as session:
        assert [row.id for row in list_service.renew(own.office, session, "oakfield")] == [asked.change.id]
    approve(own, asked.change.id)
    assert known(own, "wait.example") == ["games"]
    assert known(own, "bet1.example") == ["gambling"]
    verified(own)


# --- corrections ----------------------------------------------------------------------------------------------------------


def correct(world, site, category, by="tom"):
    with world.store.write() as session:
        row = list_service.recategorise(
            world.office, session, "oakfield", site, category, by=world.who(session, by), reason="it is not"
        )
        return row.id


def test_a_school_corrects_what_lists_say(own):
    assert "games" in known(own, "poki.com")
    change = correct(own, "https://www.poki.com/maths/", "education")
    approve(own, change)
    snapshot = Live(own.data).snapshot
    index = snapshot.dictionaries[snapshot.schools["oakfield"].dictionary].index
    assert [one.category for one in index.find("www.poki.com", "/maths/1")] == ["education"]
    assert [one.category for one in index.find("www.poki.com", "/other")] == ["games"]
    approve(own, correct(own, "poki.com", ""))
    assert known(own, "poki.com") == []
    assert known(own, "crazygames.com") == ["games"]
    approve(own, correct(own, "poki.com", "gambling"))
    assert known(own, "poki.com") == ["gambling"]
    with own.store.read() as session:
        assert json.loads(session.get(ChangeRow, change).diff)["overrules"] == ["starter-games"]
    verified(own)


@pytest.mark.parametrize(
    ("site", "category", "why"),
    [
        ("childline.org.uk", "games", "essential"),
        ("poki.com", "csam_illegal", "locked"),
        ("poki.com", "essentials", "locked"),
        ("poki.com", "nonsense", "locked"),
        ("no name!", "games", "name"),
    ],
)
def test_what_cannot_be_corrected(own, site, category, why):
    with pytest.raises(ValueError, match=why):
        correct(own, site, category)


# --- taking back what others have come after ------------------------------------------------------------------------------


def mandate(world, days=14):
    with world.store.write() as session:
        helen, signer = world.who(session, "helen"), world.signer(session, "helen")
        world.office.sign_mandate(
            session, "oakfield", helen, lambda terms: signer.sign("mandate", "oakfield", terms),
            kinds=["dictionary"], roles=["technician"], until=world.clock() + timedelta(days=90), ratify_days=days,
        )  # fmt: skip


def take_in(world, names, category="games", list_id="mine-games"):
    taken = kept(world, names, category, list_id)
    with world.store.write() as session:
        asked = list_service.accept(world.office, session, "oakfield", [taken], by=None, roles=("technician",))
    world.publish()
    assert asked.in_force
    return asked.change.id


def tick(world):
    with world.store.read() as session:
        list_service.prepare_lapses(world.office, session)
    with world.store.write() as session:
        moved = [row.id for row in world.office.tick(session)]
    world.publish()
    return moved


def state(world, change):
    with world.store.read() as session:
        return State(session.get(ChangeRow, change).state)


def test_nobody_waits_for_a_list_to_be_ratified_and_a_lapse_takes_out_that_list_alone(own):
    mandate(own)
    approve(own, ask(own))
    first = take_in(own, ["old.example", "both.example"])
    assert bring(own, FIRST).in_force
    approve(own, correct(own, "poki.com", "education"))  # nothing to ratify first
    own.clock.forward(days=1)
    second = take_in(own, ["new.example", "both.example"])
    other = take_in(own, ["film.example"], "streaming_media", "mine-films")
    assert known(own, "new.example") == ["games"]
    own.clock.forward(days=13, minutes=1)
    assert tick(own) == [second, first]  # a newer version of a list goes back with the one below it, the other list stays
    assert {name: known(own, name) for name in ("old.example", "new.example", "both.example", "film.example")} == {
        "old.example": [], "new.example": [], "both.example": [], "film.example": ["streaming_media"],
    }  # fmt: skip
    assert known(own, "bet1.example") == ["gambling"]
    assert known(own, "poki.com") == ["education"]
    assert [state(own, each) for each in (first, second, other)] == [State.LAPSED, State.LAPSED, State.PROVISIONAL]
    verified(own)


def test_a_list_that_was_signed_anew_since_outlives_the_lapse_of_its_older_version(own):
    mandate(own)
    first = take_in(own, ["old.example"])
    with own.store.write() as session:
        version = kept(own, ["signed.example"], "games", "mine-games")
        asked = list_service.accept(own.office, session, "oakfield", [version], by=own.who(session, "dora"))
    approve(own, asked.change.id)
    own.clock.forward(days=15)
    assert tick(own) == [first]
    assert (known(own, "signed.example"), known(own, "old.example")) == (["games"], [])
    verified(own)


def test_the_head_takes_back_a_list_that_others_have_come_after(own):
    mandate(own)
    approve(own, ask(own))
    first = take_in(own, ["old.example"])
    bring(own, FIRST)
    with own.store.write() as session:
        row = session.get(ChangeRow, first)
        helen, signer = own.who(session, "helen"), own.signer(session, "helen")
        own.office.reverse(session, row, helen, signer, digest(row.diff))
    own.publish()
    assert (known(own, "old.example"), known(own, "bet1.example")) == ([], ["gambling"])
    verified(own)


def test_a_correction_is_taken_back_alone(own):
    one, other = correct(own, "poki.com", "education"), correct(own, "miniclip.com", "education")
    approve(own, one)
    with own.store.write() as session:
        list_service.renew(own.office, session, "oakfield")
    approve(own, other)
    with own.store.write() as session:
        back = own.office.request_reversal(session, session.get(ChangeRow, one), own.who(session, "tom"), "it is a game").id
    approve(own, ask(own))
    bring(own, FIRST)
    with own.store.write() as session:  # the ground moves once more
        assert [row.id for row in list_service.renew(own.office, session, "oakfield")] == [back]
    approve(own, back)
    assert (known(own, "poki.com"), known(own, "miniclip.com")) == (["games"], ["education"])
    assert state(own, one) is State.REVERSED
    verified(own)


def test_a_subscription_signed_with_ratification_keeps_to_it(own):
    """What she signed is what happens: the first subscriptions said that she ratifies each update."""
    change = ask(own)
    with own.store.write() as session:
        row = session.get(ChangeRow, change)
        diff = json.loads(row.diff)
        diff["terms"]["ratify_days"] = 60
        row.diff = canonical(diff)
    approve(own, change)
    asked = bring(own, FIRST)
    assert (asked.change.state, asked.change.ratify_by is None) == (State.PROVISIONAL, False)
    verified(own)


# --- the sealed list ------------------------------------------------------------------------------------------------------


def sealing(world, text="# issuer: A body\n# issued: 2026-11-19\nillegal.example\nhost.example/bad\n"):
    (world.data / "bundle").write_text(text)
    bundle, _ = sealed.seal(world.data / "bundle", world.data / "sealed", world.data / "secrets" / "sealed.key")
    with world.store.write() as session:
        return list_service.request_sealed(world.office, session, "oakfield", bundle).id


def decided(world, host, path=None, group="staff"):
    return decide(Live(world.data).snapshot, Question("oakfield", group, host, world.clock(), path))


def test_two_people_install_the_sealed_list_and_nobody_takes_it_out(own):
    change = sealing(own)
    assert approve(own, change, "helen") is State.REQUESTED
    assert decided(own, "illegal.example").reason is not Reason.SEALED
    with pytest.raises(NotAllowed):
        approve(own, change, "tom")
    assert approve(own, change, "dora") is State.IN_FORCE
    found = decided(own, "www.illegal.example", "/x")
    assert (found.action, found.reason, found.category, found.list) == ("block", Reason.SEALED, None, None)
    assert decided(own, "host.example").handling == "inspect"
    assert decided(own, "host.example", "/bad/1").reason is Reason.SEALED
    assert found.told().reason is Reason.BLOCKED
    with own.store.write() as session:
        row = session.get(ChangeRow, change)
        helen, signer = own.who(session, "helen"), own.signer(session, "helen")
        with pytest.raises(NotAllowed, match="never taken out"):
            own.office.reverse(session, row, helen, signer, digest(row.diff))
        with pytest.raises(NotAllowed, match="never taken out"):
            own.office.request_reversal(session, row, helen, "I want to see it")
    approve(own, ask(own))
    assert bring(own, FIRST).in_force
    assert decided(own, "illegal.example").reason is Reason.SEALED  # list updates keep it
    newer = sealing(own, "# issuer: A body\n# issued: 2026-11-20\nother.example\n")
    assert approve(own, newer, "dora", "helen") is State.IN_FORCE
    assert decided(own, "other.example").reason is Reason.SEALED
    verified(own)


def test_a_sealed_list_that_is_gone_or_touched_is_a_refused_policy(own):
    approve(own, sealing(own), "helen", "dora")
    live = Live(own.data)
    for file in (own.data / "sealed").iterdir():
        file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(PolicyMissing, match="sealed list"):  # a start without it is no start
        Live(own.data)
    assert live.refresh() is False  # who has it open keeps it
    assert decide(live.snapshot, Question("oakfield", "staff", "illegal.example", own.clock())).reason is Reason.SEALED


def test_a_change_that_one_person_signed_is_refused_by_the_proof(own):
    change = sealing(own)
    approve(own, change, "helen", "dora")
    with own.store.read() as session:
        n = session.get(ChangeRow, change).entry
        entry = own.office.book(session, "oakfield").entry(n)
    from policy.grounds import check_authority
    from policy.proof import ProofRefused

    with own.store.read() as session:
        book = own.office.book(session, "oakfield")
        everyone = {at: book.entry(at) for at in range(book.size)}
    check_authority(entry, everyone)
    alone = {**entry, "rests_on": {"signatures": list(entry["rests_on"]["signatures"])[:1]}}
    with pytest.raises(ProofRefused):
        check_authority(alone, everyone)


def test_subscriptions_end_within_a_year():
    assert timedelta(days=366) >= list_service.YEAR
