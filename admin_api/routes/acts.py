"""What one does to a change: approve, ratify, take back, break the glass, refuse, withdraw. Each back to its page.

A signed act takes what was given (a code, or a passkey's answer) and the digest of what was shown; `decide` checks both, does
it and records it in one transaction. The API's acts are the same ones.
"""
# ruff: noqa: FAST003 - {number} is read by `on(...)`, which finds the change and checks the permission

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.responses import Response

from admin_api.ceremony import Given
from admin_api.deps import Desk
from admin_api.filter_state import wait
from admin_api.forms import Filled, Form
from admin_api.permissions import Case, on
from admin_api.routes.requests import SAY_WHY, show
from admin_api.routes.sign_in import Wait
from change_control import list_service, standing
from change_control.authority import NotAllowed, Permission
from change_control.keys import Locked, Signs
from change_control.lifecycle import NotPossible, State
from change_control.people import WrongCredentials
from change_control.service import ChangedSinceShown
from change_control.tables import ChangeRow
from policy.proof import digest

router = APIRouter()
type Doing = Callable[[Session, ChangeRow, Signs], State]


def decide(desk: Desk, change: int, given: Given, act: str, do: Doing) -> State:
    """One act on a change: what was given checked, the act done and recorded, in one transaction. Also the API's."""
    who = desk.visitor
    if seconds := desk.services.attempts.seconds(who.address, f"code of {who.person.id}"):
        raise Wait(seconds)
    _on_new_ground(desk, change, act)
    try:
        with desk.write() as session:
            row = session.get_one(ChangeRow, change, with_for_update=True)
            state = do(session, row, given.signer(desk, session, row.log, f"{act}:{change}"))
    except WrongCredentials:
        desk.services.attempts.failed(who.address, f"code of {who.person.id}")
        raise
    desk.note(act, "done", f"change {change}")
    if row.entry is not None:
        wait(desk.services, row.log, row.entry)
    return state


def _on_new_ground(desk: Desk, change: int, act: str) -> None:
    """Bring a request about lists onto the dictionary in force, if that is another one by now, and have it read once more.

    What has to be compiled for it is compiled here, before the transaction that needs it.
    """
    with desk.read() as session:
        row = session.get_one(ChangeRow, change)
        force = desk.office.book(session, row.log).in_force()
        if act == "reverse":
            desk.office.taken_back(session, row)
            return
        if force is None or row not in list_service.stale(session, row.log, force.document.dictionary):
            return
        log = row.log
        list(list_service.moved(desk.office, session, log))
    with desk.write() as session:
        list_service.renew(desk.office, session, log)
    raise ChangedSinceShown(
        "lists have changed since this was asked for, and it now stands on the new ones; read it once more"
    )


def _decided(desk: Desk, change: int, form: Filled, act: str, do: Doing, said: str) -> Response:
    """`decide`, and back to the page: with what was done, or with what was wrong."""
    try:
        state = decide(desk, change, Given.of(form), act, do)
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
def approve(case: Annotated[Case, on(Permission.APPROVE, Permission.SECOND, Permission.DELEGATED)], form: Form) -> Response:
    """The head signs, or the second person agrees to the head's own request; which of them it takes, change_control says."""
    desk = case.desk
    return _decided(desk, case.id, form, "approve", signing(desk, desk.office.approve, form.text("digest")), "approved")


@router.post("/requests/{number}/ratify")
def ratify(case: Annotated[Case, on(Permission.RATIFY, Permission.DELEGATED)], form: Form) -> Response:
    desk = case.desk
    return _decided(desk, case.id, form, "ratify", signing(desk, desk.office.ratify, form.text("digest")), "ratified")


@router.post("/requests/{number}/reverse")
def reverse(case: Annotated[Case, on(Permission.REVERSE)], form: Form) -> Response:
    desk = case.desk
    return _decided(desk, case.id, form, "reverse", signing(desk, desk.office.reverse, form.text("digest")), "reversed")


def signing(desk: Desk, act: Callable[..., State], shown: str) -> Doing:
    """An act of change control that needs the visitor's signature over what was shown."""
    return lambda session, row, signer: act(session, row, desk.visitor.person, signer, shown)


@router.post("/requests/{number}/break-glass")
def break_glass(case: Annotated[Case, on(Permission.BREAK_GLASS)], form: Form) -> Response:
    """Two people whom a mandate names, one after the other; the second one's signature puts it in force."""
    desk = case.desk
    return _decided(desk, case.id, form, "break_glass", glass(desk, form.text("digest")), "glass")


def glass(desk: Desk, shown: str) -> Doing:
    def do(session: Session, row: ChangeRow, signer: Signs) -> State:
        if digest(row.diff) != shown:
            raise ChangedSinceShown("this is no longer what was shown; read it once more")
        return standing.break_glass(desk.office, session, row, desk.visitor.person, signer)

    return do


@router.post("/requests/{number}/head-code")
def head_code(case: Annotated[Case, on(Permission.REPLACE_HEAD)], form: Form) -> Response:
    """Answers with the page itself: the new headteacher's code is shown this once and kept nowhere."""
    desk, name = case.desk, form.text("name", 200)
    if len(name) < 2:
        return show(desk, case.id, error="give the new headteacher’s name", at_field="name", status=422)
    with desk.write() as session:
        code = desk.registry.invite_head(session, session.get_one(ChangeRow, case.id), name, desk.visitor.person)
    desk.note("replace_head", "done", f"change {case.id}")
    return show(desk, case.id, code=code)


@router.post("/requests/{number}/refuse")
def refuse(
    case: Annotated[Case, on(Permission.REFUSE, Permission.REPLACE_HEAD, Permission.DELEGATED, Permission.SCREEN)], form: Form
) -> Response:
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
    with desk.read() as session:
        desk.office.taken_back(session, session.get_one(ChangeRow, case.id))  # compiled outside of the transaction
    with desk.write() as session:
        row = desk.office.request_reversal(session, session.get_one(ChangeRow, case.id), desk.visitor.person, reason)
    return desk.go(f"/requests/{row.id}", "asked")
