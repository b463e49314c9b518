"""/escalation: who is told at once of what cannot wait, on every day of the year, and what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter
from starlette.responses import Response

from admin_api import outbox
from admin_api.agenda import terms, zone
from admin_api.deps import Desk
from admin_api.eyes import filter_log, my_subjects
from admin_api.forms import Form, Wrong, last_moment
from admin_api.permissions import at
from admin_api.routes.captures import Reviewer, reviewers
from change_control.authority import Permission
from monitoring import alarms, rota
from monitoring.rota import Dates, Plan, Turn

router = APIRouter()
Planner = Annotated[Desk, at(Permission.DECIDE)]
ROLES = {
    "dsl": "all DSLs", "headteacher": "the headteacher", "la_officer": "the LA officer",
    "chair_of_governors": "the chair of governors", "online_safety_coordinator": "the co-ordinators",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Would:
    """Who would be told first of a pupil's capture that cannot wait."""

    when: str
    who: str
    closed: bool


@router.get("/escalation")
def escalation(desk: Reviewer, said: str = "") -> Response:
    return _page(desk, said, {}, {"first": "", "last": ""})


def _page(desk: Desk, said: str, errors: Mapping[str, str], typed: Mapping[str, str], status: int = 200) -> Response:
    log, school = filter_log(desk), desk.place.log
    plan, who = rota.plan(log, school), reviewers(desk)
    with desk.read() as session:
        written_to = outbox.addresses(session, school, ("headteacher", "dsl", "online_safety_coordinator"))
        dsl = outbox.addresses(session, school, ("dsl",))
    asked = {*plan.cover, *(one for day in plan.rota for one in day), *(one for each in plan.dates for one in each.people)}
    return desk.page(
        "escalation.html",
        status,
        said=said,
        errors=errors,
        typed=typed,
        plan=plan,
        would=would(plan, who, desk.office.now(), zone(desk), terms(desk)),
        no_dsl=not dsl,
        unreachable=[who[one] for one in who if one in asked and one not in written_to],
        past=alarms.past(log, school, my_subjects(desk), desk.office.now() - timedelta(days=90)),
        reviewers=who,
        days=rota.DAYS,
    )


def would(plan: Plan, who: Mapping[str, str], now: datetime, in_zone: str, of_terms: rota.Terms) -> Sequence[Would]:
    """Now, tonight, at the weekend, in the next holiday: so that nobody finds out on the day."""
    here = now.astimezone(ZoneInfo(in_zone))
    asked = [("Now", here)]
    asked += [("Tonight at 22:00", _at(here, here.date(), 22))]
    saturday = here.date() + timedelta(days=(5 - here.weekday()) % 7 or 7)
    asked += [(f"Saturday {saturday.day} {saturday:%B} at 11:00", _at(here, saturday, 11))]
    coming = (here.date() + timedelta(days=n) for n in range(1, 366))
    holiday = next((day for day in coming if day.weekday() < 5 and not plan.open_day(day, of_terms)), None)
    if holiday:
        asked += [(f"In the next holiday, {holiday:%A} {holiday.day} {holiday:%B} at 11:00", _at(here, holiday, 11))]
    return [Would(when, _who(plan, who, then, of_terms), not plan.open_day(then.date(), of_terms)) for when, then in asked]


def _at(here: datetime, day: date, hour: int) -> datetime:
    return datetime.combine(day, time(hour), here.tzinfo)


def _who(plan: Plan, who: Mapping[str, str], then: datetime, of_terms: rota.Terms) -> str:
    turn = plan.turn("pupil", 0, then, of_terms)
    if isinstance(turn, Turn):
        return ", ".join(who[one] for one in turn.people if one in who) or ROLES[turn.roles[0]]
    later = plan.turn("pupil", 0, turn, of_terms)
    waited = f"nobody until {turn:%A} at {turn:%H:%M}, then "
    return waited + (_who(plan, who, turn, of_terms) if isinstance(later, Turn) else "whoever is next")


@router.post("/escalation")
def keep(desk: Planner, form: Form) -> Response:
    known, before = reviewers(desk), rota.plan(filter_log(desk), desk.place.log)
    return _keep(
        desk,
        Plan(
            minutes=int(form.text("minutes")) if form.text("minutes").isdecimal() else 0,
            starts=form.text("starts", 5),
            ends=form.text("ends", 5),
            outside=form.text("outside"),
            closed=form.text("closed"),
            rota=tuple(tuple(one for one in form.many(f"rota{n}") if one in known) for n in range(7)),
            cover=tuple(one for one in form.many("cover") if one in known),
            dates=before.dates,
        ),
    )


@router.post("/escalation/dates")
def add_dates(desk: Planner, form: Form) -> Response:
    known, before = reviewers(desk), rota.plan(filter_log(desk), desk.place.log)
    typed = {name: form.text(name, 20) for name in ("first", "last")}
    try:
        first = _day(typed["first"], zone(desk), "first")
        last = _day(typed["last"], zone(desk), "last") if typed["last"] else first
        if last < first:
            raise Wrong({"last": "the dates end before they begin"})
        if last < desk.office.now().astimezone(ZoneInfo(zone(desk))).date():
            raise Wrong({"last" if typed["last"] else "first": "these dates are over"})
    except Wrong as wrong:
        return _page(desk, "", wrong.fields, typed, 422)
    more = Dates(first, last, tuple(one for one in form.many("people") if one in known), form.text("closed") != "no")
    return _keep(desk, replace(before, dates=(*before.dates, more)))


@router.post("/escalation/dates/away")
def take_dates(desk: Planner, form: Form) -> Response:
    """Two may be of the same days: a holiday, and who covers in it. So each is known by its place, too."""
    before, chosen = rota.plan(filter_log(desk), desk.place.log), form.text("dates", 30)
    kept = tuple(one for n, one in enumerate(before.dates) if f"{one.first}/{one.last}/{n}" != chosen)
    return _keep(desk, replace(before, dates=kept))


def _keep(desk: Desk, wanted: Plan) -> Response:
    rota.set_plan(filter_log(desk), desk.place.log, wanted, person=desk.visitor.person.id, now=desk.office.now())
    desk.note("set the escalation plan", "done")
    return desk.go("/escalation", "planned")


def _day(text: str, in_zone: str, name: str) -> date:
    try:
        found = last_moment(text, in_zone)
    except ValueError as error:
        raise Wrong({name: str(error)}) from None
    if found is None:
        raise Wrong({name: "give a date, such as 21/12/2026"})
    return found.astimezone(ZoneInfo(in_zone)).date()
