"""Signing several at once: requests of one kind, and list updates to ratify. Each gets a signature of its own."""
# ruff: noqa: FAST003 - {number} is read by `on(...)`, which finds the change and checks the permission

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import Response

from admin_api.ceremony import Given, passkey_asks
from admin_api.deps import Desk
from admin_api.filter_state import wait
from admin_api.forms import Filled, Form
from admin_api.permissions import Case, at, on
from admin_api.routes.deciding import Deciding
from admin_api.routes.sign_in import Wait
from admin_api.telling import Ground, tell
from change_control import talk
from change_control.authority import NotAllowed, Permission
from change_control.changes import DoesNotFit
from change_control.keys import Locked, Signs
from change_control.lifecycle import NotPossible, State
from change_control.people import WrongCredentials
from change_control.service import ChangedSinceShown, Person
from change_control.tables import ChangeRow

router = APIRouter()
MOST = 50  # signed together: no more than one can read
type Signing = Callable[[Session, ChangeRow, Person, Signs, str], State]


@dataclass(frozen=True, slots=True)
class Several:
    """Changes that one person may sign together, as a page shows them."""

    act: str  # approve, ratify
    heading: str  # what they are
    path: str  # where the form goes
    back: str
    after: str  # where one is when it is done
    said: str
    find: Callable[[Session], Sequence[ChangeRow]]
    sign: Signing


def _page(desk: Desk, some: Several, error: str = "", status: int = 200) -> Response:
    ground = Ground.of(desk.services.snapshot(), desk.place.log)
    with desk.read() as session:
        rows = list(some.find(session))[:MOST]
        told = tell(session, desk.services, ground, rows)
        asks = {str(one.id): passkey_asks(desk, session, one).get(some.act, "") for one in rows}
    many = json.dumps({"many": {one: json.loads(ask) for one, ask in asks.items()}}) if asks and all(asks.values()) else ""
    return desk.page("together.html", status, told=told, some=some, error=error, passkey=many)


def _sign(desk: Desk, some: Several, form: Filled) -> Response:
    """Each that is chosen is signed over its own diff: all of them, or none."""
    who = desk.visitor
    chosen = {int(one): form.text(f"digest-{one}", 64) for one in form.many("change") if one.isdecimal() and len(one) < 10}
    if not chosen:
        return _page(desk, some, "choose at least one", 422)
    if seconds := desk.services.attempts.seconds(who.address, f"code of {who.person.id}"):
        return _page(desk, some, str(Wait(seconds)), 429)
    try:
        with desk.write() as session:
            entries = _sign_each(desk, session, some, chosen, form)
    except (WrongCredentials, Locked) as error:
        desk.services.attempts.failed(who.address, f"code of {who.person.id}")
        desk.note(some.act, "refused", some.heading, str(error))
        return _page(desk, some, str(error), 403)
    except NotAllowed as error:
        desk.note(some.act, "refused", some.heading, str(error))
        return _page(desk, some, str(error), 403)
    except (ChangedSinceShown, NotPossible, DoesNotFit) as error:
        return _page(desk, some, str(error), 409)
    for change in chosen:
        desk.note(some.act, "done", f"change {change}")
    if entries:
        wait(desk.services, desk.place.log, max(entries))
    return desk.go(some.after, some.said)


def _sign_each(desk: Desk, session: Session, some: Several, chosen: Mapping[int, str], form: Filled) -> list[int]:
    person, log = desk.visitor.person, desk.place.log
    known = {one.id: one for one in some.find(session)}
    if strangers := set(chosen) - set(known):
        raise ChangedSinceShown(f"request {min(strangers)} no longer waits, or is of another kind; read them once more")
    answers = _answers(form.text("answer", 60_000))
    purpose = f"{some.act}:{','.join(map(str, sorted(chosen)))}"[:200]
    shared = None if answers else Given(form.text("code")).signer(desk, session, log, purpose)
    entries = []
    for number, shown in sorted(chosen.items()):
        signer = shared or desk.services.passkeys.signer(session, person, log, answers.get(str(number), ""))
        row = known[number]
        if some.sign(session, row, person, signer, shown) == State.IN_FORCE and row.entry is not None:
            entries.append(row.entry)
    return entries


def _answers(text: str) -> dict[str, str]:
    if not text:
        return {}
    try:
        found = json.loads(text)
        return {str(number): json.dumps(one) for number, one in found.items()}
    except (ValueError, AttributeError, RecursionError):
        raise WrongCredentials("the passkey’s answers do not hold; try again") from None


# --- requests of one kind ---------------------------------------------------------------------------------------------------


def _like(case: Case) -> Several:
    office, me = case.desk.office, case.desk.visitor.person.id

    def find(session: Session) -> Sequence[ChangeRow]:
        row = session.get_one(ChangeRow, case.id)
        return [one for one in talk.alike(session, office, row) if one.requested_by != me]

    page = f"/requests/{case.id}"
    return Several("approve", "requests of the same kind", f"{page}/like", page, "/requests", "batch", find, office.approve)


@router.get("/requests/{number}/like")
def like(case: Deciding) -> Response:
    return _page(case.desk, _like(case))


@router.post("/requests/{number}/like")
def approve_like(case: Annotated[Case, on(Permission.APPROVE, Permission.DELEGATED)], form: Form) -> Response:
    return _sign(case.desk, _like(case), form)


# --- lists that were taken in under a mandate -------------------------------------------------------------------------------


def taken_in(session: Session, log: str) -> Sequence[ChangeRow]:
    """List changes that took effect under a mandate and are not ratified, the oldest first."""
    wanted = select(ChangeRow).where(
        ChangeRow.log == log, ChangeRow.state == State.PROVISIONAL, ChangeRow.kind == "dictionary"
    )
    return session.scalars(wanted.order_by(ChangeRow.entry)).all()


def _lists(desk: Desk) -> Several:
    def find(session: Session) -> Sequence[ChangeRow]:
        return taken_in(session, desk.place.log)

    return Several(
        "ratify", "list updates to ratify", "/lists/ratify", "/lists", "/lists", "ratified", find, desk.office.ratify
    )


@router.get("/lists/ratify")
def ratify_page(desk: Annotated[Desk, at(Permission.RATIFY)]) -> Response:
    return _page(desk, _lists(desk))


@router.post("/lists/ratify")
def ratify_all(desk: Annotated[Desk, at(Permission.RATIFY)], form: Form) -> Response:
    return _sign(desk, _lists(desk), form)
