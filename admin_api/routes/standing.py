"""/standing: mandates and delegations, and the headteacher's forms to sign or revoke them."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import Response

from admin_api import words
from admin_api.deps import Desk
from admin_api.forms import Checks, Filled, Form, last_moment, moment
from admin_api.permissions import at
from admin_api.routes.sign_in import Wait
from admin_api.telling import MANDATED, actors, names, standing_sentence
from change_control import standing
from change_control.authority import DELEGABLE, MAY, ROLES, NotAllowed, Permission
from change_control.ledger import LedgerMismatch
from change_control.people import WrongCredentials
from change_control.standing import Sign
from change_control.tables import PersonRow, RoleRow
from policy.proof import Entry

router = APIRouter()
type Doing = Callable[[Session, Sign], object]


@router.get("/standing")
def standing_page(desk: Annotated[Desk, at(Permission.READ_CHANGES)], said: str = "") -> Response:
    return show(desk, Filled(), said=said)


def show(desk: Desk, typed: Filled, *, said: str = "", errors: dict[str, str] | None = None, status: int = 200) -> Response:
    log = desk.place.log
    with desk.read() as session:
        mandates = desk.office.mandates(session, log)
        delegations = standing.delegations(desk.office, session, log, also_later=True)
        who = names(session, {each for entry in (*mandates, *delegations) for each in actors(entry)})
        rows = session.execute(
            select(PersonRow.id, PersonRow.name)
            .join(RoleRow, RoleRow.person == PersonRow.id)
            .where(RoleRow.log == log, PersonRow.id != desk.visitor.person.id)
            .order_by(PersonRow.name)
            .distinct()
        )
        people = [(person, name) for person, name in rows]
    return desk.page(
        "standing.html",
        status,
        mandates=[_line(entry, who) for entry in mandates],
        delegations=[_line(entry, who) for entry in delegations],
        people=people,
        roles=[role for role in ROLES if role in MAY[Permission.TIGHTEN] and role != "headteacher"],
        mandated=MANDATED,
        kinds=[(kind, words.CHANGE_KINDS[kind]) for kind in words.CHANGE_KINDS if kind in DELEGABLE],
        typed=typed,
        errors=errors or {},
        said=said,
    )


def _line(entry: Entry, who: dict[str, str]) -> tuple[int, str, str, datetime]:
    return entry["n"], standing_sentence(entry, who), who.get(entry["by"], ""), datetime.fromisoformat(entry["at"])


def signed(desk: Desk, code: str, act: str, do: Doing) -> None:
    """Something that the visitor signs beforehand: her code checked, her key opened, done and noted. Also the API's."""
    who, log = desk.visitor, desk.place.log
    if seconds := desk.services.attempts.seconds(who.address, f"code of {who.person.id}"):
        raise Wait(seconds)
    try:
        with desk.write() as session:
            desk.registry.check_code(session, who.person.id, code, act)
            signer = desk.registry.signer(session, who.cookie, log)
            do(session, lambda terms: signer.sign(act, log, terms))
    except WrongCredentials:
        desk.services.attempts.failed(who.address, f"code of {who.person.id}")
        raise
    desk.note(act, "done")


def _done(desk: Desk, form: Filled, act: str, do: Doing, said: str, *, field: str, page: str = "/standing") -> Response:
    try:
        signed(desk, form.text("code"), act, do)
    except (WrongCredentials, Wait) as error:
        desk.note(act, "refused", why=str(error))
        return show(desk, form, errors={"code": str(error)}, status=429 if isinstance(error, Wait) else 403)
    except (LedgerMismatch, NotAllowed):
        raise
    except ValueError as error:
        return show(desk, form, errors={field: str(error)}, status=422)
    return desk.go(page, said)


@router.post("/standing/mandate")
def sign_mandate(desk: Annotated[Desk, at(Permission.MANDATE)], form: Form) -> Response:
    """Who may block at once, take in lists, or break the glass; until when, and how soon she ratifies."""
    checks = Checks()
    kinds = [kind for kind in form.many("kinds") if kind in MANDATED]
    glass = "break_glass" in form.many("kinds")
    if not kinds and not glass:
        checks.fields["kinds"] = "choose what may be done under it"
    if kinds and glass:
        checks.fields["kinds"] = "breaking the glass takes a mandate of its own"
    if not form.many("roles"):
        checks.fields["roles"] = "choose who may act under it"
    until = checks.check("until", lambda: last_moment(form.text("until"), words.ZONE))
    days = form.text("days") or "5"
    if not days.isdecimal() or not 1 <= int(days[:4]) <= 60:
        checks.fields["days"] = "give a number of days from 1 to 60"
    if until is None and "until" not in checks.fields:
        checks.fields["until"] = "say until when, at most a year from now"
    if checks.fields or until is None:
        return show(desk, form, errors=checks.fields, status=422)
    do = mandate(
        desk, kinds or ["site"], [role for role in form.many("roles") if role in ROLES], until, int(days), glass=glass
    )
    return _done(desk, form, "mandate", do, "mandated", field="until")


def mandate(desk: Desk, kinds: list[str], roles: list[str], until: datetime, days: int, *, glass: bool) -> Doing:
    return lambda session, sign: desk.office.sign_mandate(
        session,
        desk.place.log,
        desk.visitor.person,
        sign,
        kinds=kinds,
        roles=roles,
        until=until,
        ratify_days=days,
        break_glass=glass,
    )


@router.post("/standing/delegation")
def sign_delegation(desk: Annotated[Desk, at(Permission.DELEGATE)], form: Form) -> Response:
    """Who approves in the headteacher's place, what, from and to which day."""
    checks = Checks()
    if not form.text("person"):
        checks.fields["person"] = "choose a person"
    if not form.many("scope"):
        checks.fields["scope"] = "choose what may be approved in your place"
    starts = checks.check("from", lambda: moment(form.text("from"), words.ZONE))
    until = checks.check("to", lambda: last_moment(form.text("to"), words.ZONE))
    if until is None and "to" not in checks.fields:
        checks.fields["to"] = "say until which day"
    if checks.fields or until is None:
        return show(desk, form, errors=checks.fields, status=422)
    do = delegation(desk, form.text("person"), form.many("scope"), starts, until)
    return _done(desk, form, "delegate", do, "delegated", field="to")


def delegation(desk: Desk, person: str, kinds: tuple[str, ...], starts: datetime | None, until: datetime) -> Doing:
    return lambda session, sign: standing.sign_delegation(
        desk.office,
        session,
        desk.place.log,
        desk.visitor.person,
        sign,
        person=person,
        kinds=kinds,
        starts=starts or desk.office.now() - timedelta(seconds=1),
        until=until,
    )


@router.post("/standing/revoke")
def revoke(desk: Annotated[Desk, at(Permission.MANDATE)], form: Form) -> Response:
    number = form.text("entry", 10)
    if not number.isdecimal():
        return show(desk, form, errors={"entry": "choose what is revoked"}, status=422)
    return _done(desk, form, "revoke", revocation(desk, int(number)), "revoked", field="entry")


def revocation(desk: Desk, number: int) -> Doing:
    return lambda session, sign: standing.revoke(desk.office, session, desk.place.log, number, desk.visitor.person, sign)


@router.post("/people/release")
def release(desk: Annotated[Desk, at(Permission.RELEASE)], form: Form) -> Response:
    person = form.text("person", 64)
    return _done(desk, form, "release", releasing(desk, person), "released", field="person", page="/people")


def releasing(desk: Desk, person: str) -> Doing:
    return lambda session, sign: standing.release(desk.office, session, desk.place.log, person, desk.visitor.person, sign)
