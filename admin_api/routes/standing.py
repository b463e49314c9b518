"""/standing: mandates and delegations, and the headteacher's forms to sign or revoke them."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import Response

from admin_api import ceremony, words
from admin_api.ceremony import Doing, Draft, Given
from admin_api.deps import Desk
from admin_api.forms import Checks, Filled, Form, last_moment, moment
from admin_api.permissions import at
from admin_api.routes.sign_in import Wait
from admin_api.telling import MANDATED, Ground, actors, names, standing_sentence
from change_control import standing
from change_control.authority import DELEGABLE, MAY, PUPILS, ROLES, NotAllowed, Permission
from change_control.keys import Locked
from change_control.ledger import LedgerMismatch
from change_control.people import WrongCredentials
from change_control.standing import Terms
from change_control.tables import PersonRow, RoleRow
from policy.proof import Entry
from policy.rules import Document, SchoolPolicy

router = APIRouter()
type Drawing = Callable[[Session], Terms]
SAID = {"mandate": "mandated", "delegate": "delegated"}


@router.get("/standing")
def standing_page(desk: Annotated[Desk, at(Permission.READ_CHANGES)], said: str = "") -> Response:
    return show(desk, Filled(), said=said)


def show(desk: Desk, typed: Filled, *, said: str = "", errors: dict[str, str] | None = None, status: int = 200) -> Response:
    log = desk.place.log
    document = Ground.of(desk.services.snapshot(), log).document
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
        known = ceremony.known(desk, session)
    return desk.page(
        "standing.html",
        status,
        mandates=[_line(entry, who, document) for entry in mandates],
        delegations=[_line(entry, who, document) for entry in delegations],
        people=people,
        roles=[role for role in ROLES if role in MAY[Permission.TIGHTEN] and role != "headteacher"],
        mandated=MANDATED,
        kinds=[(kind, words.CHANGE_KINDS[kind]) for kind in words.CHANGE_KINDS if kind in DELEGABLE],
        pupils=PUPILS,
        groups=document.groups if isinstance(document, SchoolPolicy) else (),
        typed=typed,
        errors=errors or {},
        said=said,
        passkey=bool(known),
        asks={n: ceremony.ask(desk, known, "revoke", {"of": n}) for n in (entry["n"] for entry in (*mandates, *delegations))},
    )


def _line(entry: Entry, who: dict[str, str], document: Document) -> tuple[int, str, str, datetime]:
    return entry["n"], standing_sentence(entry, who, document), who.get(entry["by"], ""), datetime.fromisoformat(entry["at"])


type Shows = Callable[..., Response]  # the page that the form is on, with what went wrong


def _done(
    desk: Desk, form: Filled, act: str, do: Doing, said: str, *, field: str, page: str = "/standing", shows: Shows = show
) -> Response:
    try:
        ceremony.signed(desk, Given.of(form), act, do)
    except (WrongCredentials, Locked, Wait) as error:
        desk.note(act, "refused", why=str(error))
        return shows(desk, form, errors={"code": str(error)}, status=429 if isinstance(error, Wait) else 403)
    except (LedgerMismatch, NotAllowed):
        raise
    except ValueError as error:
        return shows(desk, form, errors={field: str(error)}, status=422)
    return desk.go(page, said)


def drafted(
    desk: Desk, form: Filled, act: str, draw: Drawing, said: str, *, field: str, page: str = "/standing", shows: Shows = show
) -> Response:
    """Whoever has a passkey reads what she signs once more, on a page of its own; a code signs at once."""
    if form.text("code"):
        do: Doing = lambda session, sign: standing.write(  # noqa: E731 - one line of it
            desk.office, session, desk.place.log, desk.visitor.person, act, draw(session), sign
        )
        return _done(desk, form, act, do, said, field=field, page=page, shows=shows)
    try:
        with desk.read() as session:
            draft = Draft(act, draw(session))
    except (LedgerMismatch, NotAllowed):
        raise
    except ValueError as error:
        return shows(desk, form, errors={field: str(error)}, status=422)
    return ceremony.page(desk, draft, "/standing/sign")


@router.post("/standing/sign")
def sign(desk: Annotated[Desk, at(Permission.MANDATE)], form: Form) -> Response:
    """A mandate or a delegation that was read once more, signed with a passkey or a code."""
    try:
        draft = Draft.unseal(desk, form.text("draft", 20_000), SAID)
    except WrongCredentials as error:
        return show(desk, Filled(), errors={"code": str(error)}, status=409)
    log, who = desk.place.log, desk.visitor.person
    try:
        ceremony.signed(
            desk,
            Given.of(form),
            draft.act,
            lambda session, sign: standing.write(desk.office, session, log, who, draft.act, draft.terms, sign),
        )
    except (WrongCredentials, Locked, Wait) as error:
        desk.note(draft.act, "refused", why=str(error))
        status = 429 if isinstance(error, Wait) else 403
        return ceremony.page(desk, draft, "/standing/sign", error=str(error), status=status)
    return desk.go("/standing", SAID[draft.act])


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
    draw = mandate(
        desk, kinds or ["site"], [role for role in form.many("roles") if role in ROLES], until, int(days), glass=glass
    )
    return drafted(desk, form, "mandate", draw, "mandated", field="until")


def mandate(desk: Desk, kinds: list[str], roles: list[str], until: datetime, days: int, *, glass: bool) -> Drawing:
    return lambda session: standing.mandate_terms(
        desk.office,
        session,
        desk.place.log,
        desk.visitor.person,
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
    draw = delegation(desk, form.text("person"), form.many("scope"), starts, until, form.many("groups"))
    return drafted(desk, form, "delegate", draw, "delegated", field="to")


def delegation(
    desk: Desk, person: str, kinds: tuple[str, ...], starts: datetime | None, until: datetime, groups: Sequence[str] = ()
) -> Drawing:
    return lambda session: standing.delegation_terms(
        desk.office,
        session,
        desk.place.log,
        desk.visitor.person,
        person=person,
        kinds=kinds,
        starts=starts or desk.office.now() - timedelta(seconds=1),
        until=until,
        groups=groups,
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
