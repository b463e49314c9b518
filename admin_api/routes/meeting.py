"""/meeting: DSL and co-ordinator review together and both sign; /constancy: that somebody looked, every school day."""

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from admin_api import words
from admin_api.agenda import agenda, leads, subjects, terms, zone
from admin_api.ceremony import Given, signed
from admin_api.deps import Desk
from admin_api.eyes import filter_log
from admin_api.forms import Form, last_moment
from admin_api.papers import Paper, Section, Table, pdf
from admin_api.permissions import NUMBER, at
from admin_api.routes.captures import people
from admin_api.routes.sign_in import Wait
from change_control.authority import NotAllowed, Permission
from change_control.ledger import LedgerMismatch
from change_control.people import WrongCredentials
from monitoring import alarms, captures, constancy, incidents, meetings
from monitoring.meetings import Meeting, Minute

router = APIRouter()
type Number = Annotated[int, NUMBER]
Reviewer = Annotated[Desk, at(Permission.READ_LOG)]
ENTRY = "review.signed"


@router.get("/meeting")
def listed(desk: Reviewer, said: str = "") -> Response:
    log, school, now = filter_log(desk), desk.place.log, desk.office.now()
    found = meetings.listed(log, school)
    return desk.page(
        "meetings.html",
        said=said,
        found=found,
        open=next((one for one in found if one.state == "open"), None),
        since=meetings.since(log, school, now),
        next=next((one.next for one in found if one.state == "signed" and one.next), None),
        now=now,
        who=people(desk, *(row["person"] for one in found for row in one.signed)),
    )


@router.post("/meeting")
def open_(desk: Reviewer) -> Response:
    log, school, now = filter_log(desk), desk.place.log, desk.office.now()
    since = meetings.since(log, school, now)
    number = meetings.open_(log, school, desk.visitor.person.id, agenda(desk, since), since, now)
    captures.look(log, school, desk.visitor.person.id, now)
    desk.note("open a review meeting", "done", f"meeting {number}")
    return desk.go(f"/meeting/{number}")


@router.get("/meeting/{number}")
def meeting(desk: Reviewer, number: Number, said: str = "") -> Response:
    return page(desk, number, said, {})


def page(desk: Desk, number: int, said: str, errors: Mapping[str, str], status: int = 200) -> Response:
    found = meetings.one(filter_log(desk), desk.place.log, number)
    return desk.page(
        "meeting.html",
        status,
        said=said,
        errors=errors,
        found=found,
        shown=found.shown(),
        blank=Minute(),
        leads=leads,
        who=people(desk, found.opened_by, *(row["person"] for row in found.signed)),
        me=desk.visitor.person.id,
    )


@router.post("/meeting/{number}/minutes")
def minutes(desk: Reviewer, number: Number, form: Form) -> Response:
    log, school, now = filter_log(desk), desk.place.log, desk.office.now()
    found = meetings.one(log, school, number)
    typed = {
        item.id: Minute(
            form.text(f"said-{item.id}"),
            form.text(f"decision-{item.id}"),
            form.text(f"owner-{item.id}", 100),
            form.text(f"due-{item.id}", 10),
        )
        for item in found.agenda
    }
    try:
        next_ = last_moment(form.text("next"), words.ZONE)
        if next_ is not None and next_ <= now:
            raise ValueError("the next meeting lies ahead; give a later date")
        for minute in typed.values():
            last_moment(minute.due, words.ZONE)
        meetings.write(log, school, number, typed, next_)
    except ValueError as error:
        return page(desk, number, "", {"next": str(error)}, 422)
    return desk.go(f"/meeting/{number}", "kept")


@router.post("/meeting/{number}/sign")
def sign(desk: Reviewer, number: Number, form: Form) -> Response:
    """One of the two signs with her second factor; with both, an entry of the change log holds the minutes' digest."""
    log, school, now = filter_log(desk), desk.place.log, desk.office.now()
    found, me = meetings.one(log, school, number), desk.visitor.person
    both = False

    def do(session: Any, make: Any) -> None:
        nonlocal both
        meetings.part_of(desk.place.roles, found, me.id)
        signature = make(found.terms())
        both = meetings.sign(log, school, number, me.id, desk.place.roles, form.text("digest", 64), signature, now)
        if both:
            every = [json.loads(row["text"]) for row in meetings.one(log, school, number).signed]
            said = {"number": number, "minutes": found.shown(), "next": found.next.isoformat() if found.next else ""}
            entry = desk.office.book(session, school).append(ENTRY, now, review=said, signatures=every)
            meetings.close(log, school, number, found.shown(), entry)

    try:
        signed(desk, Given(form.text("code")), "review", do)
    except (WrongCredentials, Wait) as error:
        desk.note("review", "refused", why=str(error))
        return page(desk, number, "", {"code": str(error)}, 429 if isinstance(error, Wait) else 403)
    except (LedgerMismatch, NotAllowed, LookupError):
        raise
    except ValueError as error:
        return page(desk, number, "", {"code": str(error)}, 422)
    if both:
        _actions(desk, found, now)
    return desk.go(f"/meeting/{number}", "signed")


def _actions(desk: Desk, found: Meeting, now: datetime) -> None:
    """What was decided with an owner and a date becomes an action that the next agenda asks after."""
    for minute in found.minutes.values():
        due = last_moment(minute.due, words.ZONE)
        if minute.decision and minute.owner and due:
            incidents.act(
                filter_log(desk), desk.place.log, minute.decision[:1000], minute.owner, due,
                person=desk.visitor.person.id, now=now, meeting=found.id,
            )  # fmt: skip


@router.get("/meeting/{number}/minutes.pdf")
def minutes_pdf(desk: Reviewer, number: Number) -> Response:
    found = meetings.one(filter_log(desk), desk.place.log, number)
    desk.note("download minutes", "done", f"meeting {number}")
    who = people(desk, found.opened_by, *(row["person"] for row in found.signed))
    sections = []
    for item in found.agenda:
        minute = found.minutes.get(item.id, Minute())
        paragraphs = [minute.said] if minute.said else []
        if minute.decision:
            owner = f" {minute.owner}" if minute.owner else ""
            paragraphs.append(f"Decided: {minute.decision}{f' ({owner.strip()}, by {minute.due})' if owner else ''}")
        sections.append(Section(item.title, tuple(paragraphs), item.lines or ("Nothing.",)))
    ends = [
        f"Signed by {who.get(row['person'], 'someone')} as {words.ROLES[row['role']]}, {words.day(_moment(row['at']))}."
        for row in found.signed
    ]
    ends.append(
        f"Fingerprint {words.fingerprint(found.shown())}."
        + (f" Entry {found.entry} of the change log." if found.state == "signed" else " Not signed by both yet.")
    )
    if found.next:
        ends.append(f"Next meeting: {words.day(found.next)}.")
    paper = Paper(
        f"Review meeting of {words.day(found.at)}",
        f"{desk.place.name}, looking back to {words.day(found.since)}",
        tuple(sections),
        tuple(ends),
    )
    return paper_response(paper, found.at, f"{desk.place.log}-review-{number}.pdf")


def _moment(at: int) -> datetime:
    from monitoring.lines import moment

    return moment(at)


def paper_response(paper: Paper, at: datetime, name: str) -> Response:
    return Response(
        pdf(paper, at),
        media_type="application/pdf",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )


# --- constancy ------------------------------------------------------------------------------------------------------------


@router.get("/constancy")
def looked(desk: Reviewer, weeks: Annotated[int, Query(ge=1, le=60)] = 20, format: str = "") -> Response:  # noqa: A002
    log, school, now = filter_log(desk), desk.place.log, desk.office.now()
    today = words.local(now, zone(desk)).date()
    some = constancy.days(log, school, today - timedelta(weeks=weeks), today, terms(desk), today)
    proof = constancy.proof(some)
    if format == "pdf":
        desk.note("download the constancy proof", "done")
        return paper_response(_constancy_paper(desk, some, proof), now, f"{school}-constancy.pdf")
    return desk.page(
        "constancy.html",
        weeks=[week for week in constancy.weeks(some) if any(one and one.there for one in week[1])],
        proof=proof,
        gap=constancy.nobody_looked(log, school, now, terms(desk), zone(desk)),
        terms=terms(desk),
        alarms=[one for one in alarms.open_(log, school, subjects(desk)) if one.subject == "review"],
        span=weeks,
        day=_day,
    )


def _day(at: date) -> str:
    return f"{at.day} {at:%B %Y}"


def _constancy_paper(desk: Desk, some: Any, proof: constancy.Proof) -> Paper:
    rows = tuple(
        (
            f"{one.day:%a} {_day(one.day)}",
            "school day" if one.school else "no school" if one.there else "before there was a filter",
            f"{one.people} looked",
            f"{one.graded} graded",
        )
        for one in some
    )
    return Paper(
        "That somebody looked",
        f"{desk.place.name}: reviewing of captures by school day",
        (
            Section(
                "In short",
                (
                    f"Somebody looked on {proof.looked} of {proof.every} school days ({proof.percent:.0f} %).",
                    f"The longest gap was {proof.longest_gap} school days.",
                ),
            ),
            Section("Day by day", (), (), Table(("Day", "", "People", "Captures"), rows)),
        ),
    )  # fmt: skip
