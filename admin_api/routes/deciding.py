"""Beside the approval page: making a request smaller, questions, like requests together, and how far a count is."""
# ruff: noqa: FAST003 - {number} is read by `on(...)`, which finds the change and checks the permission

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response

from admin_api import words
from admin_api.deps import Desk
from admin_api.forms import Checks, Filled, Form, Wrong, groups_chosen, last_moment
from admin_api.permissions import Case, on
from admin_api.routes.requests import preview_of, show
from admin_api.telling import Ground
from change_control import adviser, screening, talk
from change_control.adviser import Narrow
from change_control.authority import Permission
from change_control.changes import DoesNotFit, SiteWish
from change_control.ledger import LedgerMismatch
from change_control.lifecycle import NotPossible, State
from change_control.tables import ChangeRow
from policy.rules import Action, SchoolPolicy

router = APIRouter()
MOST = 50  # requests signed together: no more than one can read
type Deciding = Annotated[Case, on(Permission.APPROVE, Permission.DELEGATED)]


# --- smaller --------------------------------------------------------------------------------------------------------------


@router.post("/requests/{number}/narrow")
def narrow(case: Deciding, form: Form) -> Response:
    """One tap on a proposal, or her own words for it. The request becomes another, which she then reads and signs."""
    desk = case.desk
    try:
        with desk.read() as session:
            row = session.get_one(ChangeRow, case.id)
        wanted = _narrower(desk, row, form)
        with desk.write() as session:
            talk.narrow(desk.office, session, session.get_one(ChangeRow, case.id), wanted, desk.visitor.person)
    except Wrong as error:
        return show(desk, case.id, error="; ".join(error.fields.values()), at_field="narrower", status=422)
    except (LedgerMismatch, NotPossible, DoesNotFit):
        raise
    except ValueError as error:
        return show(desk, case.id, error=str(error), at_field="narrower", status=422)
    desk.note("narrow", "done", f"change {case.id}")
    return desk.go(f"/requests/{case.id}", "narrowed")


def _narrower(desk: Desk, row: ChangeRow, form: Filled) -> Narrow:
    diff = desk.office.diff_of(row)
    rule = adviser.opening(diff)
    if rule is None:
        raise ValueError("only what opens a site or a category can be made smaller; refuse it, and say what would do")
    if key := form.text("proposal", 10):
        document = Ground.of(desk.services.snapshot(), row.log).document
        if not isinstance(document, SchoolPolicy):
            raise ValueError("there is no traffic here to go by")
        evidence = preview_of(desk, row.log, row).evidence
        offered = adviser.proposals(document, diff, evidence, row.group, desk.office.now())
        chosen = next((one.wish for one in offered if one.key == key), None)
        if chosen is None:
            raise ValueError("this proposal no longer fits; choose again")
        return chosen
    whole = adviser.wish_of(rule)
    wrong = Checks()
    groups = wrong.check("groups", lambda: groups_chosen(form.many("groups")))
    until = wrong.check("until", lambda: last_moment(form.text("until"), words.ZONE))
    wrong.done()
    ends = min(until, whole.until) if until and whole.until else until or whole.until
    action = Action.WARN if form.text("action") == "warn" else whole.action
    smaller: Narrow = replace(
        whole, groups=groups or (), until=ends, during=form.text("during", 64) or whole.during, action=action
    )
    if isinstance(smaller, SiteWish) and form.text("site"):
        smaller = replace(smaller, site=form.text("site", 500))
    return smaller


# --- questions ------------------------------------------------------------------------------------------------------------


@router.post("/requests/{number}/question")
def question(case: Annotated[Case, on(Permission.REFUSE, Permission.SECOND, Permission.DELEGATED)], form: Form) -> Response:
    return _say(case, form, "question", "question")


@router.post("/requests/{number}/answer")
def answer(case: Annotated[Case, on(Permission.REQUEST)], form: Form) -> Response:
    return _say(case, form, "answer", "answered")


def _say(case: Case, form: Filled, field: str, said: str) -> Response:
    desk, text = case.desk, form.text(field)
    if len(text) < 2:
        return show(desk, case.id, error="write a sentence", at_field=field, status=422)
    act = talk.ask if field == "question" else talk.answer
    try:
        with desk.write() as session:
            act(desk.office, session, session.get_one(ChangeRow, case.id), desk.visitor.person, text)
    except (LedgerMismatch, NotPossible):
        raise
    except ValueError as error:
        return show(desk, case.id, error=str(error), at_field=field, status=422)
    desk.note(field, "done", f"change {case.id}")
    return desk.go(f"/requests/{case.id}", said)


# --- a pupil's request, before the teacher whom the headteacher named -------------------------------------------------------


@router.post("/requests/{number}/pass-on")
def pass_on(case: Annotated[Case, on(Permission.SCREEN)], form: Form) -> Response:
    desk = case.desk
    with desk.write() as session:
        screening.pass_on(desk.office, session, session.get_one(ChangeRow, case.id), desk.visitor.person, form.text("words"))
    desk.note("pass_on", "done", f"change {case.id}")
    return desk.go(f"/requests/{case.id}", "passed-on")


# --- how far the count is -------------------------------------------------------------------------------------------------


@router.get("/requests/{number}/impact")
def impact(case: Annotated[Case, on(Permission.READ_CHANGES)]) -> Response:
    """The part of the approval page that counts the past, for its script to put in place of the one that is there."""
    desk = case.desk
    with desk.read() as session:
        row = session.get_one(ChangeRow, case.id)
    seen = preview_of(desk, row.log, row, patience=0.5) if row.state == State.REQUESTED else None
    return desk.page("impact.html", preview=seen, number=case.id)
