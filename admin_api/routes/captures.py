"""/captures: triage. One line a capture, grouped by person and theme; by keyboard or by hand; a grade can be taken back."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy import select
from starlette.responses import JSONResponse, Response

from admin_api import escalate
from admin_api.deps import Desk
from admin_api.eyes import eyes, filter_log, hidden_groups, looker, my_subjects
from admin_api.forms import Form, moment
from admin_api.permissions import NUMBER, at
from admin_api.routes.log import as_person
from admin_api.telling import Ground, names
from admin_api.words import ZONE
from change_control.authority import Permission
from change_control.tables import PersonRow, RoleRow
from monitoring import alarms, captures, guidance, incidents
from monitoring.captures import GRADES, Capture
from monitoring.log import Log
from monitoring.log import Query as Lines
from monitoring.masks import who_of
from monitoring.rules import THEMES
from monitoring.watch import Caught
from policy.rules import SchoolPolicy

router = APIRouter()
type CaptureId = Annotated[int, NUMBER]
Reviewer = Annotated[Desk, at(Permission.REVIEW)]
AT_ONCE = frozenset({"dsl", "headteacher", "chair_of_governors", "la_officer"})  # those to whom what is serious goes
ROUTES = {"urgent": "told at once", "review": "to review", "weekly": "weekly"}


def groups(desk: Desk) -> dict[str, str]:
    document = Ground.of(desk.services.snapshot(), desk.place.log).document
    return {group.id: group.name for group in document.groups} if isinstance(document, SchoolPolicy) else {}


def numbers(form: Form) -> list[int]:
    return [int(text) for text in form.many("capture") if text.isdecimal() and text.isascii() and len(text) < 16]


def reviewers(desk: Desk) -> Mapping[str, str]:
    """Who may be given captures here."""
    wanted = (
        select(PersonRow.id, PersonRow.name)
        .join(RoleRow, RoleRow.person == PersonRow.id)
        .where(RoleRow.log == desk.place.log, RoleRow.role.in_(("headteacher", "dsl", "online_safety_coordinator")))
    )
    with desk.read() as session:
        return {row.id: row.name for row in session.execute(wanted.order_by(PersonRow.name))}


def people(desk: Desk, *ids: str) -> Mapping[str, str]:
    with desk.read() as session:
        return names(session, ids)


def shared(desk: Desk) -> dict[str, Any]:
    return {"eyes": eyes(desk), "groups": groups(desk), "grades": GRADES, "themes": THEMES, "routes": ROUTES}


@router.get("/captures")
def triage(
    desk: Reviewer,
    said: str = "",
    batch: Annotated[str, Query(max_length=32)] = "",
    theme: Annotated[str, Query(max_length=32)] = "",
    mine: str = "",
    weekly: str = "",
) -> Response:
    log, school, me, subjects = filter_log(desk), desk.place.log, desk.visitor.person.id, my_subjects(desk)
    captures.look(log, school, me, desk.office.now())
    desk.note("look at captures", "done", theme or "those that wait")
    found = captures.waiting(
        log,
        school,
        subjects,
        routes=("weekly",) if weekly else ("urgent", "review"),
        assigned=me if mine else "",
        theme=theme,
        looker=looker(desk),
    )
    return desk.page(
        "captures.html",
        said=said,
        batch=batch,
        theme=theme,
        mine=mine,
        weekly=weekly,
        episodes=captures.episodes(found),
        shown=len(found),
        counts=captures.counts(log, school, subjects),
        oldest=captures.oldest(log, school, subjects),
        alarms=alarms.open_(log, school, subjects),
        lessons=captures.declared(log, school, desk.office.now()),
        agreement=captures.agreement(log, school, desk.office.now() - timedelta(days=90)),
        reviewers=reviewers(desk),
        **shared(desk),
    )


@router.post("/captures/grade")
def grade(desk: Reviewer, form: Form) -> Response:
    log, chosen, given = filter_log(desk), numbers(form), form.text("grade")
    batch = captures.grade(
        log, desk.place.log, chosen, given, person=desk.visitor.person.id, subjects=my_subjects(desk),
        now=desk.office.now(), said=form.text("said", 1000), looker=looker(desk),
    )  # fmt: skip
    desk.note("grade captures", "done", f"{len(chosen)} as {GRADES[given]}")
    if given == "serious":
        told(desk, log, chosen)
    if given != "serious" or not AT_ONCE.isdisjoint(
        desk.place.roles
    ):  # what a co-ordinator calls serious still goes to the DSL
        alarms.taken_with(log, desk.place.log, chosen, person=desk.visitor.person.id, now=desk.office.now())
    more = "".join(f"&{name}={form.text(name)}" for name in ("theme", "mine", "weekly") if form.text(name).isalnum())
    if form.text("back") == "capture" and len(chosen) == 1:
        return desk.go(f"/captures/{chosen[0]}?batch={batch}", "graded")
    return desk.go(f"/captures?batch={batch}{more}", "graded")


def told(desk: Desk, log: Log, chosen: Sequence[int]) -> None:
    """Serious by grade: the DSL is told at once, as she is of what is serious by rule."""
    for number in chosen:
        one = captures.one(log, desk.place.log, number, my_subjects(desk))
        caught = Caught(one.id, desk.place.log, one.theme, one.subject, one.at, one.phase)
        escalate.raise_for(log, caught, desk.office.now())


@router.post("/captures/undo")
def undo(desk: Reviewer, form: Form) -> Response:
    count = captures.undo(
        filter_log(desk), desk.place.log, form.text("batch", 32), person=desk.visitor.person.id, now=desk.office.now()
    )
    desk.note("take grades back", "done", str(count))
    back = numbers(form)[:1]
    return desk.go(f"/captures/{back[0]}" if back else "/captures", "undone" if count else "")


@router.post("/captures/assign")
def assign(desk: Reviewer, form: Form) -> Response:
    to = form.text("to", 200)
    if to and to not in reviewers(desk):
        raise ValueError("choose somebody who reviews here")
    captures.assign(filter_log(desk), desk.place.log, numbers(form), to, my_subjects(desk), looker=looker(desk))
    desk.note("assign captures", "done", str(len(numbers(form))))
    return desk.go("/captures", "assigned")


@router.post("/captures/welfare")
def welfare(desk: Reviewer) -> Response:
    """The reviewer would like to talk to someone about what she has had to read."""
    now = desk.office.now()
    words = "Someone who reviews captures would like to talk about what they have had to read"
    about = f"welfare:{now.date()}:{desk.visitor.person.id[:16]}"
    alarms.raise_(filter_log(desk), desk.place.log, about, words, "staff", now)
    return desk.go("/captures", "welfare")


@router.get("/captures/blind")
def blind(desk: Reviewer, said: str = "") -> Response:
    """Captures that a colleague graded, to grade again without seeing how."""
    log = filter_log(desk)
    me, who = desk.visitor.person.id, looker(desk)
    found = captures.sample(log, desk.place.log, me, my_subjects(desk), desk.office.now(), looker=who)
    desk.note("look at captures", "done", "a sample to grade again")
    return desk.page(
        "captures_blind.html",
        said=said,
        found=found,
        agreement=captures.agreement(log, desk.place.log, desk.office.now() - timedelta(days=90)),
        **shared(desk),
    )


@router.post("/captures/blind")
def blind_grade(desk: Reviewer, form: Form) -> Response:
    captures.grade(
        filter_log(desk), desk.place.log, numbers(form)[:1], form.text("grade"), person=desk.visitor.person.id,
        subjects=my_subjects(desk), now=desk.office.now(), purpose="blind", looker=looker(desk),
    )  # fmt: skip
    return desk.go("/captures/blind", "graded")


@router.post("/captures/{number}/ask")
def ask_opinion(desk: Reviewer, number: CaptureId, form: Form) -> Response:
    """A colleague is asked for a second opinion: it is among hers until she gave one."""
    log, to = filter_log(desk), form.text("to", 200)
    captures.one(log, desk.place.log, number, my_subjects(desk), person=looker(desk))
    if to not in reviewers(desk) or to == desk.visitor.person.id:
        raise ValueError("choose a colleague who reviews here")
    captures.assign(log, desk.place.log, [number], to, my_subjects(desk))
    desk.note("ask for a second opinion", "done", f"capture {number}")
    return desk.go(f"/captures/{number}", "opinion-asked")


@router.post("/captures/{number}/opinion")
def opinion(desk: Reviewer, number: CaptureId, form: Form) -> Response:
    """A second opinion stands beside the grade and changes nothing: who graded reads it and may grade anew."""
    captures.grade(
        filter_log(desk), desk.place.log, [number], form.text("grade"), person=desk.visitor.person.id,
        subjects=my_subjects(desk), now=desk.office.now(), said=form.text("opinion", 1000), purpose="second",
        looker=looker(desk),
    )  # fmt: skip
    desk.note("give a second opinion", "done", f"capture {number}")
    return desk.go(f"/captures/{number}", "opinion")


@router.get("/captures/{number}")
def capture(desk: Reviewer, number: CaptureId, said: str = "", batch: Annotated[str, Query(max_length=32)] = "") -> Response:
    log, school = filter_log(desk), desk.place.log
    one = captures.one(log, school, number, my_subjects(desk), person=looker(desk))
    captures.look(log, school, desk.visitor.person.id, desk.office.now())
    desk.note("look at a capture", "done", f"capture {number}")
    found = captures.history(log, school, number)
    who = people(desk, *(row["person"] for row in found), one.assigned)
    return desk.page(
        "capture.html",
        said=said,
        batch=batch,
        one=one,
        onward=next(
            (
                each.id
                for each in captures.waiting(log, school, my_subjects(desk), limit=2, looker=looker(desk))
                if each.id != number
            ),
            0,
        ),
        history=found,
        who=who,
        around=_around(desk, log, one),
        others=[
            other
            for other in captures.of_person(
                log, school, one.who, my_subjects(desk), desk.office.now() - timedelta(days=30), person=looker(desk)
            )
            if other.id != one.id
        ],
        open_incidents=[
            incident
            for incident in incidents.listed(log, school, my_subjects(desk), states=("open",))
            if not incident["held_by"]
        ],
        alarm=next((alarm for alarm in alarms.open_(log, school, my_subjects(desk)) if alarm.capture == one.id), None),
        card=guidance.CARDS.get(one.theme, ()),
        reviewers=reviewers(desk),
        me=desk.visitor.person.id,
        who_of=who_of,
        categories={},
        **shared(desk),
    )


def _around(desk: Desk, log: Log, one: Capture) -> Sequence[Any]:
    """The person's lines of the minutes around it, as long as the log keeps them."""
    query = Lines(
        desk.place.log,
        since=one.at - timedelta(minutes=10),
        until=one.last + timedelta(minutes=10),
        who=one.who,
        but_groups=hidden_groups(desk),
        limit=60,
    )
    return log.search(as_person(log, query)).rows


# --- alarms ---------------------------------------------------------------------------------------------------------------


@router.get("/alarms/open")
def open_alarms(desk: Reviewer) -> Response:
    """For pages that are open: what nobody has yet. Words without a name, as in an e-mail."""
    found = alarms.open_(filter_log(desk), desk.place.log, my_subjects(desk))
    said = [
        {"id": one.id, "words": one.words, "href": desk.link(f"/captures/{one.capture}" if one.capture else "/captures")}
        for one in found
    ]
    return JSONResponse({"alarms": said}, headers={"Cache-Control": "no-store"})


@router.post("/alarms/acknowledge")
def acknowledge_all(desk: Reviewer, form: Form) -> Response:
    """Those that the page showed, and none that came since."""
    log, mine, now = filter_log(desk), my_subjects(desk), desk.office.now()
    shown = {int(text) for text in form.many("alarm") if text.isdecimal() and text.isascii() and len(text) < 16}
    taken = [one for one in alarms.open_(log, desk.place.log, mine) if one.id in shown]
    for one in taken:
        alarms.acknowledge(log, desk.place.log, one.id, mine, person=desk.visitor.person.id, now=now)
    desk.note("acknowledge an alarm", "done", f"{len(taken)} together")
    return desk.go("/captures", "acknowledged")


@router.post("/alarms/{number}/acknowledge")
def acknowledge(desk: Reviewer, number: CaptureId) -> Response:
    found = alarms.acknowledge(
        filter_log(desk), desk.place.log, number, my_subjects(desk), person=desk.visitor.person.id, now=desk.office.now()
    )
    desk.note("acknowledge an alarm", "done", found.words)
    return desk.go(f"/captures/{found.capture}" if found.capture else "/captures", "acknowledged")


# --- lessons --------------------------------------------------------------------------------------------------------------

Teacher = Annotated[Desk, at(Permission.DECLARE)]


@router.get("/lessons")
def lessons(desk: Teacher, said: str = "") -> Response:
    return _lessons(desk, said, {}, {})


def _lessons(desk: Desk, said: str, errors: Mapping[str, str], typed: Mapping[str, str], status: int = 200) -> Response:
    found = captures.declared(filter_log(desk), desk.place.log, desk.office.now())
    return desk.page(
        "lessons.html",
        status,
        said=said,
        errors=errors,
        typed=typed,
        found=found,
        who=people(desk, *(row["person"] for row in found)),
        groups=groups(desk),
        themes=THEMES,
    )


@router.post("/lessons")
def declare(desk: Teacher, form: Form) -> Response:
    typed = {name: form.text(name, 200) for name in ("topic", "group", "theme", "begins", "ends")}
    try:
        begins, ends = moment(typed["begins"], ZONE), moment(typed["ends"], ZONE)
        if begins is None or ends is None:
            raise ValueError("give the beginning and the end of the lessons")
        if typed["theme"] and typed["theme"] not in THEMES:
            raise ValueError("choose a theme")
        captures.declare(
            filter_log(desk), desk.place.log, desk.visitor.person.id, topic=typed["topic"], group=typed["group"],
            theme=typed["theme"], begins=begins, ends=ends,
        )  # fmt: skip
    except ValueError as error:
        return _lessons(desk, "", {"topic": str(error)}, typed, 422)
    desk.note("declare a lesson", "done", typed["topic"])
    return desk.go("/lessons", "declared")
