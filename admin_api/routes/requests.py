"""/requests: asking for a change, and the page on which the headteacher decides."""
# ruff: noqa: FAST003 - {number} is read by `on(...)`, which finds the change and checks the permission

import logging
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import Response

from admin_api import words
from admin_api.deps import Desk
from admin_api.filter_state import filter_state, wait
from admin_api.forms import Filled, Form, Wrong, category_wish, network_wish, site_wish
from admin_api.past import Preview, diff_of, preview
from admin_api.permissions import Case, at, on, open_acts
from admin_api.routes.sign_in import Wait
from admin_api.telling import Ground, names, tell
from change_control.authority import NotAllowed, Permission
from change_control.changes import Wish
from change_control.keys import Locked
from change_control.ledger import LedgerMismatch
from change_control.lifecycle import NotPossible, State
from change_control.people import WrongCredentials
from change_control.service import ChangedSinceShown
from change_control.tables import ChangeRow, SignatureRow
from policy.rules import SchoolPolicy

logger = logging.getLogger(__name__)
router = APIRouter()
A_PAGE = 25
SAY_WHY = "say why, in a sentence: the headteacher decides on it"


# --- the list ---------------------------------------------------------------------------------------------------------


@router.get("/requests")
def all_requests(
    desk: Annotated[Desk, at(Permission.READ_CHANGES)],
    state: str = "",
    before: Annotated[int, Query(ge=0, le=2**31)] = 0,
    said: str = "",
) -> Response:
    wanted = select(ChangeRow).where(ChangeRow.log == desk.place.log).order_by(ChangeRow.id.desc()).limit(A_PAGE + 1)
    if before:
        wanted = wanted.where(ChangeRow.id < before)
    known = state if state in words.STATES else ""
    if known:
        wanted = wanted.where(ChangeRow.state == known)
    ground = Ground.of(desk.services.snapshot(), desk.place.log)
    with desk.read() as session:
        rows = list(session.scalars(wanted))
        told = tell(session, desk.services, ground, rows[:A_PAGE])
    more = rows[A_PAGE - 1].id if len(rows) > A_PAGE else None
    return desk.page("requests.html", told=told, state=known, more=more, said=said)


# --- asking -----------------------------------------------------------------------------------------------------------

KINDS = ("site", "category", "network")


@router.get("/requests/new")
def new_request(
    desk: Annotated[Desk, at(Permission.REQUEST)],
    kind: str = "",
    site: str = "",
    group: str = "",
    category: str = "",
    action: str = "",
) -> Response:
    typed = {"site": (site[:500],), "groups": (group,) if group else (), "category": (category,), "action": (action,)}
    return _new(desk, kind, Filled(typed))


def _new(desk: Desk, kind: str, typed: Filled, errors: dict[str, str] | None = None, status: int = 200) -> Response:
    ground = Ground.of(desk.services.snapshot(), desk.place.log)
    groups = ground.document.groups if isinstance(ground.document, SchoolPolicy) else ()
    open_to_change = [one for one in ground.taxonomy.categories.values() if not one.locked and not one.essential]
    return desk.page(
        "request_new.html",
        status,
        kind=kind if kind in KINDS else "",
        typed=typed,
        errors=errors or {},
        groups=groups,
        categories=sorted(open_to_change, key=lambda one: one.name),
    )


@router.post("/requests/new")
def ask(desk: Annotated[Desk, at(Permission.REQUEST)], form: Form) -> Response:
    kind = form.text("kind")
    try:
        wish = _asked(kind, form)
        with desk.write() as session:
            row = desk.office.request(session, desk.place.log, wish, by=desk.visitor.person, reason=form.text("reason"))
    except Wrong as error:
        return _new(desk, kind, form, error.fields, 422)
    except LedgerMismatch:
        raise
    except ValueError as error:  # what only the policy knows: a locked category, a network of another school
        return _new(desk, kind, form, {_about(kind): str(error)}, 422)
    return desk.go(f"/requests/{row.id}", "asked")


def _asked(kind: str, form: Filled) -> Wish:
    """The wish and its reason; what is wrong with either is said at once."""
    unsaid = {"reason": SAY_WHY} if len(form.text("reason")) < 3 else {}
    try:
        wish = _wish(kind, form)
    except Wrong as error:
        raise Wrong({**error.fields, **unsaid}) from None
    if unsaid:
        raise Wrong(unsaid)
    return wish


def _about(kind: str) -> str:
    """The field that a sentence of change control is shown at."""
    return {"site": "site", "category": "category", "network": "prefix"}.get(kind, "site")


def _wish(kind: str, form: Filled) -> Wish:
    if kind == "network":
        return network_wish(form.text("prefix"), form.text("group"), form.text("listener"))
    zone, groups, until = words.ZONE, form.many("groups"), form.text("until")
    if kind == "category":
        chosen: Wish = category_wish(form.text("category"), form.text("action"), groups, until, zone)
    elif kind == "site":
        chosen = site_wish(form.text("site"), form.text("action"), groups, until, zone)
    else:
        raise Wrong({"site": "choose what the request is about"})
    return chosen


# --- the approval page ------------------------------------------------------------------------------------------------


@router.get("/requests/{number}")
def one_request(case: Annotated[Case, on(Permission.READ_CHANGES)], said: str = "") -> Response:
    return show(case.desk, case.id, said=said)


def show(desk: Desk, change: int, *, said: str = "", error: str = "", at_field: str = "code", status: int = 200) -> Response:
    """The approval page, with what went wrong just now."""
    snapshot = desk.services.snapshot()
    ground = Ground.of(snapshot, desk.place.log)
    with desk.read() as session:
        row = session.get_one(ChangeRow, change)
        (told,) = tell(session, desk.services, ground, [row])
        acts = open_acts(desk, session, row, told.diff)
        signed = names(session, session.scalars(select(SignatureRow.person).where(SignatureRow.change == change)))
        waiting_before = _place_in_line(session, row)
    impact = preview_of(desk, told.log, row) if row.state == State.REQUESTED else None
    state = filter_state(desk.services)
    return desk.page(
        "request.html",
        status,
        change=told,
        acts=acts,
        preview=impact,
        signed=sorted(signed.values()) if row.state == State.REQUESTED else [],
        line=waiting_before,
        state=state,
        in_force=state.on(told.log, told.entry) if told.entry is not None else 0,
        said=said,
        error=error,
        at_field=at_field,
    )


def _place_in_line(session: Session, row: ChangeRow) -> tuple[int, int] | None:
    """This is the first, second ... of so many that wait."""
    if row.state != State.REQUESTED:
        return None
    ids = list(
        session.scalars(
            select(ChangeRow.id).where(ChangeRow.log == row.log, ChangeRow.state == State.REQUESTED).order_by(ChangeRow.id)
        )
    )
    return ids.index(row.id) + 1, len(ids)


def preview_of(desk: Desk, log: str, row: ChangeRow) -> Preview:
    try:
        return preview(
            desk.services.snapshot(),
            desk.office.dictionaries.objects,
            desk.services.log,
            log,
            diff_of(row.diff),
            desk.office.now(),
        )
    except Exception:
        # The count is a help, not a condition: without it she can still read what the change does, and decide.
        logger.exception("could not work out what change %s would have done", row.id)
        return Preview(why_not="Past traffic could not be counted just now. The filter log did not answer.")


# --- deciding ---------------------------------------------------------------------------------------------------------

type Doing = Callable[[Session, ChangeRow], State]


def decide(desk: Desk, change: int, code: str, act: str, do: Doing) -> State:
    """One act on a change: the code checked, the act done and recorded, in one transaction. Also the API's."""
    who = desk.visitor
    if seconds := desk.services.attempts.seconds(who.address, f"code of {who.person.id}"):
        raise Wait(seconds)
    try:
        with desk.write() as session:
            desk.registry.check_code(session, who.person.id, code, f"{act}:{change}")
            row = session.get_one(ChangeRow, change, with_for_update=True)
            state = do(session, row)
    except WrongCredentials:
        desk.services.attempts.failed(who.address, f"code of {who.person.id}")
        raise
    desk.note(act, "done", f"change {change}")
    if row.entry is not None:
        wait(desk.services, row.log, row.entry)
    return state


def _decided(desk: Desk, change: int, form: Filled, act: str, do: Doing, said: str) -> Response:
    """`decide`, and back to the page: with what was done, or with what was wrong."""
    try:
        state = decide(desk, change, form.text("code"), act, do)
    except (WrongCredentials, Locked) as error:
        desk.note(act, "refused", f"change {change}", str(error))
        return show(desk, change, error=str(error), status=403)
    except Wait as error:
        return show(desk, change, error=str(error), status=429)
    except (ChangedSinceShown, NotPossible) as error:
        return show(desk, change, error=str(error), status=409)
    except NotAllowed as error:
        desk.note(act, "refused", f"change {change}", str(error))
        return show(desk, change, error=str(error), status=403)
    return desk.go(f"/requests/{change}", "waits" if act == "approve" and state == State.REQUESTED else said)


@router.post("/requests/{number}/approve")
def approve(case: Annotated[Case, on(Permission.APPROVE, Permission.SECOND)], form: Form) -> Response:
    """The head signs, or the second person agrees to the head's own request; which of them it takes, change_control says."""
    desk = case.desk
    return _decided(desk, case.id, form, "approve", signing(desk, desk.office.approve, form.text("digest")), "approved")


@router.post("/requests/{number}/ratify")
def ratify(case: Annotated[Case, on(Permission.RATIFY)], form: Form) -> Response:
    desk = case.desk
    return _decided(desk, case.id, form, "ratify", signing(desk, desk.office.ratify, form.text("digest")), "ratified")


@router.post("/requests/{number}/reverse")
def reverse(case: Annotated[Case, on(Permission.REVERSE)], form: Form) -> Response:
    desk = case.desk
    return _decided(desk, case.id, form, "reverse", signing(desk, desk.office.reverse, form.text("digest")), "reversed")


def signing(desk: Desk, act: Callable[..., State], shown: str) -> Doing:
    """An act of change control that needs the visitor's signature over what was shown."""

    def do(session: Session, row: ChangeRow) -> State:
        signer = desk.registry.signer(session, desk.visitor.cookie, row.log)
        return act(session, row, desk.visitor.person, signer, shown)

    return do


@router.post("/requests/{number}/refuse")
def refuse(case: Annotated[Case, on(Permission.REFUSE)], form: Form) -> Response:
    desk, reason = case.desk, form.text("reason")
    if len(reason) < 3:
        return show(desk, case.id, error="say why, in a sentence: whoever asked gets it", at_field="reason", status=422)
    with desk.write() as session:
        desk.office.refuse(session, session.get_one(ChangeRow, case.id), desk.visitor.person, reason)
    desk.note("refuse", "done", f"change {case.id}")
    return desk.go(f"/requests/{case.id}", "refused")


@router.post("/requests/{number}/withdraw")
def withdraw(case: Annotated[Case, on(Permission.REQUEST)], form: Form) -> Response:
    del form
    desk = case.desk
    with desk.write() as session:
        desk.office.withdraw(session, session.get_one(ChangeRow, case.id), desk.visitor.person)
    return desk.go(f"/requests/{case.id}", "withdrawn")


@router.post("/requests/{number}/request-reversal")
def request_reversal(case: Annotated[Case, on(Permission.REQUEST)], form: Form) -> Response:
    desk, reason = case.desk, form.text("reason")
    if len(reason) < 3:
        return show(desk, case.id, error=SAY_WHY, at_field="reason", status=422)
    with desk.write() as session:
        row = desk.office.request_reversal(session, session.get_one(ChangeRow, case.id), desk.visitor.person, reason)
    return desk.go(f"/requests/{row.id}", "asked")
