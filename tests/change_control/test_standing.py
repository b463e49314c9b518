"""Standing in for the headteacher, acting at once, breaking the glass, and another headteacher."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import select

from change_control import standing
from change_control.authority import DELEGABLE, NotAllowed, Waiting, waits
from change_control.book import Book, policy_of
from change_control.changes import SiteWish, apply
from change_control.ledger import LedgerMismatch
from change_control.lifecycle import State
from change_control.people_wishes import SuspensionWish
from change_control.school_wishes import HeadWish
from change_control.service import HEAD
from change_control.tables import ChangeRow, EntryRow
from change_control.verify import DoesNotAgree, export_logs, replay, verify_installation
from policy.decide import Question, decide
from policy.grounds import check_authority
from policy.live import Live, Trust
from policy.proof import ProofRefused, digest
from policy.rules import Action, write

LOG = "oakfield"
AT = "2026-11-20T10:00:00Z"
OPEN = SiteWish("crazygames.com", Action.ALLOW, ("ks2",))
SHUT = SiteWish("bbc.co.uk", Action.BLOCK, ("ks2",))


def ask(world, username="adam", wish=OPEN):
    world.cookie(username)
    with world.store.write() as session:
        return world.office.request(session, LOG, wish, by=world.who(session, username), reason="for a lesson").id


def act(world, username, change, do):
    """One act on a change, in a transaction of its own."""
    world.cookie(username)
    with world.store.write() as session:
        row = session.get_one(ChangeRow, change)
        return do(session, row, world.who(session, username), world.signer(session, username))


def approve(world, username, change):
    return act(
        world, username, change, lambda s, row, who, signer: world.office.approve(s, row, who, signer, digest(row.diff))
    )


def ratify(world, username, change):
    return act(
        world, username, change, lambda s, row, who, signer: world.office.ratify(s, row, who, signer, digest(row.diff))
    )


def tighten(world, username, change):
    return act(world, username, change, lambda s, row, who, signer: standing.tighten(world.office, s, row, who, signer))


def glass(world, username, change):
    return act(world, username, change, lambda s, row, who, signer: standing.break_glass(world.office, s, row, who, signer))


def signed(world, act_, do):
    """Something that the headteacher signs beforehand."""
    with world.store.write() as session:
        signer = world.signer(session, "helen")
        return do(session, world.who(session, "helen"), lambda terms: signer.sign(act_, LOG, terms))


def delegate(world, to="dora", kinds=("site",), starts=0, days=10):
    with world.store.write() as session:
        person = world.who(session, to).id
    now = world.clock()
    return signed(
        world,
        "delegate",
        lambda s, helen, sign: standing.sign_delegation(
            world.office, s, LOG, helen, sign, person=person, kinds=kinds,
            starts=now + timedelta(days=starts), until=now + timedelta(days=starts + days),
        ),
    )  # fmt: skip


def mandate(world, kinds=("site", "suspension"), roles=("teacher", "dsl"), **more):
    return signed(
        world,
        "mandate",
        lambda s, helen, sign: world.office.sign_mandate(
            s, LOG, helen, sign, kinds=kinds, roles=roles, until=world.clock() + timedelta(days=90), **more
        ),
    )


def revoke(world, number):
    return signed(world, "revoke", lambda s, helen, sign: standing.revoke(world.office, s, LOG, number, helen, sign))


def agreed(world):
    world.publish()
    with world.store.read() as session:
        return {one.log: one for one in verify_installation(session, world.data)}[LOG]


def gets(world, host, group="ks2"):
    world.publish()
    return decide(Live(world.data).snapshot, Question(LOG, group, host, world.clock(), "/")).action


def entry(world, n):
    with world.store.read() as session:
        return world.office.book(session, LOG).entry(n)


def entry_of(world, change):
    with world.store.read() as session:
        return session.get_one(ChangeRow, change).entry


def later(world, **by):
    """Time goes by, and everyone signs in anew."""
    world.clock.forward(**by)
    world.cookies.clear()


# --- the table ------------------------------------------------------------------------------------------------------------


def test_what_a_delegation_never_covers():
    assert not DELEGABLE & {HEAD, "authority", "founding", "mandate", "delegation"}


MONDAY = datetime(2026, 11, 16, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("days", "terms", "stage"),
    [
        (0, (), Waiting.FRESH),
        (1, (), Waiting.FRESH),
        (2, (), Waiting.REMINDED),
        (4, (), Waiting.DEPUTY),
        (6, (), Waiting.DEPUTY),  # a weekend is no school day
        (8, (), Waiting.OFFICER),
        (300, (), Waiting.OFFICER),
        (8, ((date(2026, 11, 1), date(2026, 11, 18)),), Waiting.REMINDED),  # nor is half-term
    ],
)
def test_who_hears_of_a_request_that_waits(days, terms, stage):
    assert waits(MONDAY, MONDAY + timedelta(days=days), terms) is stage


# --- delegation -----------------------------------------------------------------------------------------------------------


def test_a_named_deputy_approves_under_a_delegation_and_the_worker_accepts_it(world):
    with pytest.raises(NotAllowed):
        approve(world, "dora", ask(world))
    number = delegate(world)
    change = ask(world)
    assert approve(world, "dora", change) is State.IN_FORCE
    found = entry(world, entry_of(world, change))
    assert found["rests_on"]["delegation"] == number
    assert gets(world, "crazygames.com") is Action.ALLOW
    assert agreed(world).states[change] is State.IN_FORCE


@pytest.mark.parametrize(
    ("terms", "asker", "wish"),
    [
        ({"kinds": ("category",)}, "adam", OPEN),  # another kind
        ({"starts": 3}, "adam", OPEN),  # not yet
        ({"to": "tom"}, "adam", OPEN),  # another person
        ({}, "dora", OPEN),  # her own request
        ({}, "helen", OPEN),  # the head's own takes the head's signature
    ],
)
def test_what_a_delegation_does_not_cover(world, terms, asker, wish):
    delegate(world, **terms)
    change = ask(world, asker, wish)
    if asker == "helen":
        assert approve(world, "dora", change) is State.REQUESTED  # she has agreed as second person, no more
        agreed(world)
        return
    with pytest.raises(NotAllowed):
        approve(world, "dora", change)


def test_a_delegation_ends_mid_flow(world):
    delegate(world, days=2)
    change = ask(world)
    later(world, days=3)
    with pytest.raises(NotAllowed):
        approve(world, "dora", change)
    assert agreed(world).states[change] is State.REQUESTED


def test_a_revoked_delegation_is_over_and_an_approval_under_it_is_found(world):
    number = delegate(world)
    revoke(world, number)
    change = ask(world)
    with pytest.raises(NotAllowed):
        approve(world, "dora", change)
    with world.store.write() as session:  # a desk gone bad writes it all the same
        row = session.get_one(ChangeRow, change)
        dora, signer = world.who(session, "dora"), world.signer(session, "dora")
        diff = json.loads(row.diff)
        rests = {"delegation": number, "signatures": [signer.sign("approve", LOG, diff)]}
        world.office.put_in_force(world.office.book(session, LOG), row, diff, "approve", dora, rests)
    with world.store.read() as session, pytest.raises(DoesNotAgree, match="revoked"):
        verify_installation(session, world.data)


def forged(world, username, change, rests, *, at=None):
    """An approval as a desk gone bad would write it, held against the proof."""
    with world.store.read() as session:
        book = world.office.book(session, LOG)
        row = session.get_one(ChangeRow, change)
        diff = json.loads(row.diff)
        signer = world.signer(session, username)
        made = {
            "v": 1, "log": LOG, "tier": "school", "n": book.size, "at": at or "2026-11-20T10:00:00Z", "kind": "change.approved",
            "diff": diff, "requested_by": row.requested_by, "by": signer.person,
            "rests_on": {**rests, "signatures": [signer.sign("approve", LOG, diff)]},
        }  # fmt: skip
        known = {n: book.entry(n) for n in range(book.size)}
        check_authority(made, known)


def test_the_worker_refuses_a_delegates_signature_without_or_outside_her_delegation(world):
    number = delegate(world)
    mandated = mandate(world)
    change, own, heads = ask(world), ask(world, "dora"), ask(world, "helen")
    forged(world, "dora", change, {"delegation": number})
    for who, which, rests, at in (
        ("dora", change, {}, None),
        ("tom", change, {"delegation": number}, None),
        ("dora", change, {"delegation": mandated}, None),
        ("dora", change, {"delegation": 999}, None),
        ("dora", change, {"delegation": number}, "2026-12-24T10:00:00Z"),
        ("dora", own, {"delegation": number}, None),
        ("dora", heads, {"delegation": number}, None),
    ):
        with pytest.raises(ProofRefused):
            forged(world, who, which, rests, at=at)


def test_only_the_head_delegates_and_to_someone_else(world):
    with world.store.write() as session:
        dora, signer = world.who(session, "dora"), world.signer(session, "dora")
        terms = {"person": dora.id, "kinds": ["site"], "starts": world.clock(), "until": world.clock() + timedelta(days=1)}
        with pytest.raises(NotAllowed):
            standing.sign_delegation(world.office, session, LOG, dora, lambda t: signer.sign("delegate", LOG, t), **terms)
    for wrong in ({"to": "helen"}, {"kinds": ()}, {"kinds": (HEAD,)}, {"days": 0}, {"days": 400}):
        with pytest.raises(ValueError, match=r"choose|ends"):
            delegate(world, **wrong)


# --- at once --------------------------------------------------------------------------------------------------------------


def test_a_named_role_blocks_at_once_and_it_lapses_unless_ratified(world):
    change = ask(world, wish=SHUT)
    with pytest.raises(NotAllowed, match="no standing mandate"):
        tighten(world, "adam", change)
    number = mandate(world, ratify_days=5)
    assert tighten(world, "adam", change) is State.PROVISIONAL
    assert entry(world, entry_of(world, change))["rests_on"]["mandate"] == number
    assert gets(world, "bbc.co.uk") is Action.BLOCK
    agreed(world)
    later(world, days=6)
    with world.store.write() as session:
        assert [row.id for row in world.office.tick(session)] == [change]
    assert gets(world, "bbc.co.uk") is Action.ALLOW
    assert agreed(world).states[change] is State.LAPSED


def test_blocks_at_once_lapse_and_are_ratified_one_by_one(world):
    mandate(world, ratify_days=5)
    delegate(world)
    first, second = ask(world, wish=SHUT), ask(world, wish=SiteWish("nhs.uk", Action.BLOCK, ("ks2",)))
    tighten(world, "adam", first)
    tighten(world, "adam", second)
    assert ratify(world, "dora", second) is State.IN_FORCE  # the delegate, under her delegation
    later(world, days=6)
    with world.store.write() as session:
        assert [row.id for row in world.office.tick(session)] == [first]
    assert agreed(world).states[second] is State.IN_FORCE


@pytest.mark.parametrize(
    ("who", "wish"),
    [
        ("adam", OPEN),  # it loosens
        ("adam", SiteWish("bbc.co.uk", Action.WARN, ("ks2",))),
        ("tom", SHUT),  # not named
    ],
)
def test_what_waits_all_the_same(world, who, wish):
    mandate(world)
    change = ask(world, who, wish)
    with pytest.raises(NotAllowed):
        tighten(world, who, change)
    assert agreed(world).states[change] is State.REQUESTED


def test_a_suspension_begins_at_once_under_a_mandate(world):
    mandate(world)
    change = ask(world, wish=SuspensionWish(world.clock() + timedelta(days=2), ("ks2",)))
    assert tighten(world, "adam", change) is State.PROVISIONAL
    assert gets(world, "bbc.co.uk") is Action.BLOCK
    assert gets(world, "bbc.co.uk", "staff") is Action.ALLOW
    agreed(world)


class Unasked(Book):
    """Who rules the machine writes what the desk would not."""

    def _borne_out(self, entry):
        pass


def test_a_worker_refuses_what_loosens_under_a_tightening_mandate(world):
    number = mandate(world)
    change = ask(world)
    with world.store.write() as session:
        row = session.get_one(ChangeRow, change)
        adam, signer, diff = world.who(session, "adam"), world.signer(session, "adam"), json.loads(row.diff)
        rests = {"mandate": number, "signatures": [signer.sign("enforce", LOG, diff)]}
        with pytest.raises(LedgerMismatch, match="proven to tighten"):  # the desk does not write it
            world.office.put_in_force(world.office.book(session, LOG), row, diff, "mandate", adam, rests)
        world.office.put_in_force(Unasked(session, world.office.key, LOG), row, diff, "mandate", adam, rests)
    live = Live(world.data)
    world.publish()
    live.refresh()
    assert "proven to tighten" in str(live.problems)
    assert decide(live.snapshot, Question(LOG, "ks2", "crazygames.com", world.clock(), "/")).action is Action.BLOCK
    with world.store.read() as session, pytest.raises(DoesNotAgree, match="tighten"):
        verify_installation(session, world.data)


def test_a_revoked_mandate_lets_nothing_through_and_what_it_let_through_still_lapses(world):
    number = mandate(world, ratify_days=2)
    before, after = ask(world, wish=SHUT), ask(world, wish=SiteWish("nhs.uk", Action.BLOCK))
    tighten(world, "adam", before)
    revoke(world, number)
    with pytest.raises(NotAllowed):
        tighten(world, "adam", after)
    later(world, days=3)
    with world.store.write() as session:
        assert [row.id for row in world.office.tick(session)] == [before]
    agreed(world)
    with pytest.raises(LookupError):
        revoke(world, number)


# --- breaking the glass ---------------------------------------------------------------------------------------------------


def test_two_people_break_the_glass_for_a_day(world):
    mandate(world, kinds=("site",), roles=("deputy", "technician"), break_glass=True)
    change = ask(world, "tom")
    with pytest.raises(NotAllowed):
        glass(world, "adam", change)
    assert glass(world, "tom", change) is State.REQUESTED
    assert glass(world, "tom", change) is State.REQUESTED  # one person twice is one person
    assert glass(world, "dora", change) is State.PROVISIONAL
    found = entry(world, entry_of(world, change))["rests_on"]
    assert found["glass"] is True
    assert len(found["signatures"]) == 2
    assert gets(world, "crazygames.com") is Action.ALLOW
    agreed(world)
    with world.store.read() as session:
        assert [row.id for row in standing.broken_glass(session, LOG)] == [change]
    later(world, hours=25)
    with world.store.write() as session:
        assert [row.id for row in world.office.tick(session)] == [change]
        assert standing.broken_glass(session, LOG) == []
    assert gets(world, "crazygames.com") is Action.BLOCK
    assert agreed(world).states[change] is State.LAPSED


def test_an_ordinary_mandate_breaks_no_glass(world):
    mandate(world, roles=("deputy", "technician"))
    with pytest.raises(NotAllowed, match="no mandate"):
        glass(world, "tom", ask(world, "tom"))


# --- people ---------------------------------------------------------------------------------------------------------------


def replace_head(world, *signers):
    change = ask(world, "laura", HeadWish())
    for username in signers:
        state = approve(world, username, change)
    return change, state


def test_another_headteacher_takes_the_la_officer_and_a_second_person(world):
    mandated = mandate(world)
    delegate(world)
    with pytest.raises(NotAllowed):
        ask(world, "adam", HeadWish())
    change, state = replace_head(world, "laura")
    assert state is State.REQUESTED
    with pytest.raises(NotAllowed):
        approve(world, "tom", change)
    assert approve(world, "dora", change) is State.IN_FORCE
    with world.store.write() as session:
        row = session.get_one(ChangeRow, change)
        code = world.registry.invite_head(session, row, "Hana", world.who(session, "laura"))
        again = world.registry.invite_head(session, row, "Hana", world.who(session, "laura"))
        with pytest.raises(PermissionError):
            world.registry.enrol(session, code, "hana", "three random words", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
        world.registry.enrol(session, again, "hana", "three random words", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
        world.secrets["hana"] = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
        with pytest.raises(NotAllowed):
            world.registry.invite_head(session, row, "Hana", world.who(session, "laura"))
    site = ask(world)
    with pytest.raises(NotAllowed):
        approve(world, "helen", site)
    with pytest.raises(NotAllowed):
        approve(world, "dora", site)  # the old head's delegation went with her
    assert approve(world, "hana", site) is State.IN_FORCE
    with pytest.raises(NotAllowed):
        tighten(world, "adam", ask(world, wish=SHUT))
    agreed(world)
    with world.store.read() as session:
        assert mandated not in {one["n"] for one in world.office.mandates(session, LOG)}


def test_two_officers_alone_or_a_second_alone_replace_nobody(world):
    change, state = replace_head(world, "dora")
    assert state is State.REQUESTED
    with world.store.write() as session, pytest.raises(NotAllowed):
        world.registry.invite_head(session, session.get_one(ChangeRow, change), "Hana", world.who(session, "laura"))


def test_the_old_heads_signature_after_she_left_is_found(world):
    change, _ = replace_head(world, "laura", "dora")
    with world.store.write() as session:
        helens = world.signer(session, "helen")
        row = session.get_one(ChangeRow, change)
        code = world.registry.invite_head(session, row, "Hana", world.who(session, "laura"))
        world.registry.enrol(session, code, "hana", "three random words", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
    site = ask(world)
    with world.store.write() as session:
        row = session.get_one(ChangeRow, site)
        diff = json.loads(row.diff)
        rests = {"signatures": [helens.sign("approve", LOG, diff)]}
        helen, book = world.who(session, "helen"), world.office.book(session, LOG)
        with pytest.raises(LedgerMismatch, match="no longer holds the role"):  # the desk does not write it
            world.office.put_in_force(book, row, diff, "approve", helen, rests)
        text = write(apply(policy_of(book).document, diff))
        book.append(
            "change.approved", world.clock(), change=site, diff=diff, requested_by=row.requested_by, by=helen.id,
            rests_on=rests, policy={"digest": digest(text)},
        )  # fmt: skip
    with world.store.read() as session:
        trust = Trust.load(world.data)
        with pytest.raises(DoesNotAgree, match="no longer held the role"):
            replay(next(one for one in export_logs(session) if one.log == LOG), trust)


def test_the_head_ends_someones_roles(world):
    with world.store.write() as session:
        tom, dora = world.who(session, "tom").id, world.who(session, "dora")
        signer = world.signer(session, "dora")
        with pytest.raises(NotAllowed):
            standing.release(world.office, session, LOG, tom, dora, lambda t: signer.sign("release", LOG, t))
    signed(world, "release", lambda s, helen, sign: standing.release(world.office, s, LOG, tom, helen, sign))
    with world.store.read() as session:
        assert tom not in standing.holding(session, world.office.book(session, LOG))
        assert world.who(session, "tom").at(LOG) == frozenset()
    with pytest.raises(NotAllowed):
        ask(world, "tom")
    agreed(world)
    with world.store.write() as session:
        helen, signer = world.who(session, "helen"), world.signer(session, "helen")
        with pytest.raises(NotAllowed):
            standing.release(world.office, session, LOG, helen.id, helen, lambda t: signer.sign("release", LOG, t))


def test_every_entry_of_these_stories_is_of_a_known_kind(world):
    from admin_api.words import ENTRIES

    revoke(world, delegate(world))
    with world.store.read() as session:
        kinds = set(session.scalars(select(EntryRow.kind).where(EntryRow.log == LOG)))
    assert kinds <= set(ENTRIES)


def test_a_signature_given_beforehand_counts_once(world):
    """Whoever rules the database and the authority's key could otherwise bring back a mandate that she revoked."""
    number = mandate(world)
    first = entry(world, number)
    revoke(world, number)
    with pytest.raises(ValueError, match="signed already"):
        signed(world, "mandate", lambda s, helen, _: standing.write(
            world.office, s, LOG, helen, "mandate", first["mandate"], lambda _: first["rests_on"]["signatures"][0]
        ))  # fmt: skip
    agreed(world)
    with world.store.write() as session:
        again = {name: first[name] for name in ("mandate", "by", "rests_on")}
        world.office.book(session, LOG).append("mandate.signed", world.clock(), **again)
    with pytest.raises(DoesNotAgree, match="given once, and stands in the log already"):
        agreed(world)


def test_nobody_signs_beforehand_by_a_role_that_the_log_does_not_give(world):
    with world.store.write() as session:
        adam, signer = world.who(session, "adam"), world.signer(session, "adam")
        terms = {"kinds": ["site"], "roles": ["teacher"], "from": AT, "until": "2026-12-20T10:00:00Z", "ratify_days": 5}
        made = {"kind": "mandate.signed", "by": adam.id, "at": AT}
        made["rests_on"] = {"signatures": [signer.sign("mandate", LOG, terms)]}
        with pytest.raises(LedgerMismatch, match="not signed by the headteacher"):
            standing.borne_out(session, world.office.book(session, LOG), made, terms)
