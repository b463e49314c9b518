"""The authority table cell by cell: each role, each act, each kind of change, tried against the service and rolled back.

Who may is written here a second time, by hand; the head's delegate and the second person have rules of their own below.
"""

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

import pytest

from admin_api.kinds import OFFERED
from change_control import screening, standing, talk
from change_control.authority import DELEGABLE, PUPILS, ROLES, NotAllowed
from change_control.changes import CategoryWish, NetworkWish, SiteWish
from change_control.device_wishes import BelongingWish
from change_control.group_wishes import GroupWish, InspectionWish, SafetyWish
from change_control.hour_wishes import TimetableWish
from change_control.lifecycle import State
from change_control.passage_wishes import PassageWish
from change_control.people_wishes import AlertWish, SuspensionWish
from change_control.portal_wishes import PortalWish
from change_control.school_wishes import AnswerWish, HeadWish, TenantsWish
from change_control.service import Person
from change_control.site_wishes import ListedWish, PlatformWish, UnknownWish
from change_control.tables import ChangeRow
from policy.proof import canonical, digest
from policy.rules import Action, Window

NOW = datetime(2026, 11, 20, 10, 5, tzinfo=UTC)  # as the world's clock
SOON = NOW + timedelta(days=7)
WISHES = {
    "site": SiteWish("poki.com", Action.ALLOW, ("ks2",), SOON),
    "category": CategoryWish("games", Action.ALLOW, ("ks2",)),
    "timetable": TimetableWish("Lunch", (Window((0,), "12:00", "13:00"),), ((date(2026, 9, 1), date(2026, 12, 18)),)),
    "group": GroupWish("Year 7", "ks3"),
    "belonging": BelongingWish("ks2", user="2*@oakfield.sch.uk"),
    "portal": PortalWish(("n-first",), "offered"),
    "network": NetworkWish("10.9.0.0/16", "ks2"),
    "passage": PassageWish(("127.10.2.0/24",), ("tcp/993",)),
    "safety": SafetyWish("ks2", safe_search=False),
    "answer": AnswerWish("nxdomain"),
    "unknown": UnknownWish("any", Action.BLOCK, ("ks2",)),
    "inspection": InspectionWish("ks2", ("all",)),
    "tenants": TenantsWish("oakfield.sch.uk"),
    "alert_rules": AlertWish("ignore", phrase="sex pistols", theme="pornography"),
    "never_inspect": ListedWish("never_inspect", "bank.example"),
    "coursework": ListedWish("coursework", "seneca.example"),
    "video_site": PlatformWish("video_site", "vimeo.com", ("ks2",), SOON),
    "platform": PlatformWish("platform", "edmodo.example", ("ks2",), SOON),
    "suspension": SuspensionWish(SOON, ("ks2",)),
}
HEAD, SECOND = {"headteacher"}, {"deputy", "chair_of_governors", "la_officer"}
ASKS = set(ROLES) - {"analyst", "governor"}
NEVER: set[str] = set()
# Rows: what is tried on someone else's waiting request (or, the last three, on what is in force). Who may.
ACTS = {
    "request": ASKS,
    "approve": HEAD,
    "refuse": HEAD,
    "question": HEAD | SECOND,
    "narrow": HEAD,
    "withdraw": NEVER,  # who asked does, and nobody else
    "reverse": HEAD,
    "request_reversal": ASKS,
    "ratify": HEAD,
}


class Pen:
    """Signs anything for anyone: what is tried here is who may, before any signature is looked at."""

    def sign(self, act, log, over):
        return {
            "person": "nobody",
            "enrolled": 0,
            "act": act,
            "over": digest(canonical(over)),
            "factor": "test",
            "signature": "",
        }


class Undo(Exception):
    """Ends a transaction without a trace."""


def attempt(world, do) -> bool:
    """Was it allowed? Whatever it did is taken back."""
    try:
        with world.store.write() as session:
            try:
                do(session)
            except NotAllowed:
                return False
            except ValueError:
                pass  # allowed, and for another reason not possible here: only sites can be made smaller, for one
            raise Undo
    except Undo:
        return True


def person(role: str) -> Person:
    return Person(f"p-{role}", role, {"oakfield": frozenset({role})})


@pytest.mark.parametrize("kind", sorted(WISHES))
def test_each_role_and_each_act(world, kind):
    office, asker = world.office, Person("p-asker", "Asker", {"oakfield": frozenset({"teacher"})})
    with world.store.write() as session:
        waiting = office.request(session, "oakfield", WISHES[kind], by=asker, reason="for a lesson").id
    shown = digest(_row(world, waiting).diff)

    def row(session, state=State.REQUESTED):
        found = session.get_one(ChangeRow, waiting)
        found.state, found.entry = state, 0
        return found

    def tried(act, who, session):
        if act == "request":
            office.request(session, "oakfield", WISHES[kind], by=who, reason="for a lesson")
        elif act == "refuse":
            office.refuse(session, row(session), who, "not now")
        elif act == "question":
            talk.ask(office, session, row(session), who, "why so long?")
        elif act == "narrow":
            talk.narrow(office, session, row(session), SiteWish("poki.com/a", Action.ALLOW, ("ks2",), SOON), who)
        elif act == "withdraw":
            office.withdraw(session, row(session), who)
        elif act == "request_reversal":
            office.request_reversal(session, row(session, State.IN_FORCE), who, "over")
        elif act == "ratify":
            office.ratify(session, row(session, State.PROVISIONAL), who, Pen(), shown)
        elif act == "reverse":
            office.reverse(session, row(session, State.PROVISIONAL), who, Pen(), shown)
        else:
            office.approve(session, row(session), who, Pen(), shown)

    for act, may in ACTS.items():
        for role in ROLES:
            done = attempt(world, lambda session, act=act, role=role: tried(act, person(role), session))
            assert done == (role in may), (kind, act, role)
    # Nobody decides on their own: not even a head who is a teacher elsewhere and asked for it.
    own = Person("p-asker", "Asker", {"oakfield": frozenset({"headteacher"})})
    assert not attempt(world, lambda session: office.approve(session, row(session), own, Pen(), shown))


def _row(world, number):
    with world.store.read() as session:
        return session.get_one(ChangeRow, number)


@pytest.mark.parametrize("kind", sorted(WISHES))
def test_a_delegate_decides_on_the_kinds_that_were_delegated_and_no_other(world, kind):
    office, head = world.office, person("headteacher")
    asker, dora = person("teacher"), person("deputy")
    with world.store.write() as session:
        waiting = office.request(session, "oakfield", WISHES[kind], by=asker, reason="for a lesson").id
    shown = digest(_row(world, waiting).diff)
    for kinds in ({kind}, DELEGABLE - {kind}):

        def stand_in(session, kinds=kinds):
            terms = {"person": dora.id, "kinds": sorted(kinds), "from": _at(NOW - timedelta(days=1)), "until": _at(SOON)}
            book = office.book(session, "oakfield")
            book.append("delegation.signed", office.now(), delegation=terms, by=head.id, rests_on={"signatures": []})
            office.approve(session, session.get_one(ChangeRow, waiting), dora, Pen(), shown)

        assert attempt(world, stand_in) == (kind in kinds), (kind, kinds)


def _at(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("role", ROLES)
def test_who_asks_for_another_headteacher(world, role):
    def ask(session):
        world.office.request(session, "oakfield", HeadWish(), by=person(role), reason="she retires")

    assert attempt(world, ask) == (role in SECOND)


@pytest.mark.parametrize("role", ROLES)
def test_who_signs_beforehand(world, role):
    office, who = world.office, person(role)

    def mandate(session):
        until = NOW + timedelta(days=9)
        office.sign_mandate(session, "oakfield", who, lambda _: {}, kinds=["site"], roles=["dsl"], until=until)

    def revoke(session):
        with suppress(LookupError):
            standing.revoke(office, session, "oakfield", 1, who, lambda _: {})

    assert attempt(world, mandate) == (role in HEAD)
    assert attempt(world, revoke) == (role in HEAD)


def test_every_kind_that_the_desk_offers_is_in_this_table():
    assert {*DELEGABLE} - {"dictionary", "reverse"} == set(WISHES) == set(OFFERED)


@pytest.mark.parametrize("role", ROLES)
def test_a_pupils_request_is_screened_by_whom_the_head_named_and_by_no_role(world, role):
    office, who = world.office, person(role)
    with world.store.write() as session:
        waiting = office.request(session, "oakfield", WISHES["site"], by=None, reason="for maths", source="block-page").id

    def delegate(session, to):
        terms = {"person": to, "kinds": [PUPILS], "from": _at(NOW - timedelta(days=1)), "until": _at(SOON)}
        book = office.book(session, "oakfield")
        book.append("delegation.signed", office.now(), delegation=terms, by="p-head", rests_on={"signatures": []})

    def tried(do, to):
        def each(session):
            delegate(session, to)
            do(session, session.get_one(ChangeRow, waiting))

        return attempt(world, each)

    def passes(session, row):
        screening.pass_on(office, session, row, who)

    def refuses(session, row):
        office.refuse(session, row, who, "not now")

    def approves(session, row):
        office.approve(session, row, who, Pen(), digest(row.diff))

    assert tried(passes, who.id)
    assert tried(refuses, who.id)
    assert not tried(passes, "p-other")
    assert tried(refuses, "p-other") == tried(approves, who.id) == (role in HEAD)
