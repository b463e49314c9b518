"""/people: who holds which role, and how the headteacher invites someone."""

from typing import Annotated

from fastapi import APIRouter
from sqlalchemy import select
from starlette.responses import Response

from admin_api import ceremony
from admin_api.ceremony import Draft, Given
from admin_api.deps import Desk
from admin_api.forms import Checks, Filled, Form
from admin_api.permissions import at
from admin_api.routes.sign_in import Wait
from admin_api.telling import names
from change_control import recovery
from change_control.authority import ROLES, NotAllowed, Permission
from change_control.keys import Locked
from change_control.people import CODE_LIVES, WrongCredentials
from change_control.tables import InviteRow, PersonRow, RoleRow

router = APIRouter()


@router.get("/people")
def people(desk: Annotated[Desk, at(Permission.READ_CHANGES)], said: str = "") -> Response:
    return show(desk, Filled(), said=said)


def show(
    desk: Desk,
    typed: Filled,
    *,
    errors: dict[str, str] | None = None,
    status: int = 200,
    code: str = "",
    said: str = "",
    recovery_code: str = "",
) -> Response:
    log = desk.place.log
    with desk.read() as session:
        held: dict[tuple[str, str], list[str]] = {}
        rows = session.execute(
            select(PersonRow.id, PersonRow.name, RoleRow.role)
            .join(RoleRow, RoleRow.person == PersonRow.id)
            .where(RoleRow.log == log)
            .order_by(PersonRow.name)
        )
        for person, name, role in rows:
            held.setdefault((person, name), []).append(role)
        invites = list(
            session.scalars(
                select(InviteRow)
                .where(InviteRow.log == log, InviteRow.used.is_(None), InviteRow.expires > desk.office.now())
                .order_by(InviteRow.expires)
            )
        )
        back = recovery.cases(desk.services.passkeys, session, log, desk.visitor.person)
        known = ceremony.known(desk, session)
        back_names = names(session, {each for one in back for each in (one.person, *one.signed)})
    first = "la_officer" if desk.place.tier == "authority" else "headteacher"
    everyone = sorted(held.items(), key=lambda one: min(ROLES.index(role) for role in one[1]))
    return desk.page(
        "people.html",
        status,
        held=[(person, name, sorted(roles, key=ROLES.index)) for (person, name), roles in everyone],
        said=said,
        invites=invites,
        roles=[role for role in ROLES if role != first],
        typed=typed,
        errors=errors or {},
        code=code,
        days=CODE_LIVES.days,
        back=back,
        names=back_names,
        recovery_code=recovery_code,
        passkey=bool(known),
        releases={person: ceremony.ask(desk, known, "release", {"person": person}) for person, _ in held},
        helps={one.person: ceremony.ask(desk, known, "help back in", {"person": one.person}) for one in back},
    )


@router.post("/people/invite")
def invite(desk: Annotated[Desk, at(Permission.INVITE)], form: Form) -> Response:
    """Answers with the page itself, not with a redirect: the code is shown this once and kept nowhere."""
    checks = Checks()
    roles = [role for role in form.many("roles") if role in ROLES]
    if len(form.text("name", 200)) < 2:
        checks.fields["name"] = "give the person’s name"
    if not roles:
        checks.fields["roles"] = "choose at least one role"
    if checks.fields:
        return show(desk, form, errors=checks.fields, status=422)
    name, who = form.text("name", 200), desk.visitor.person
    try:
        with desk.read() as session:
            draft = Draft("invite", desk.registry.invite_terms(session, desk.place.log, roles, who), name)
    except NotAllowed as error:
        desk.note("invite", "refused", why=str(error))
        return show(desk, form, errors={"roles": str(error)}, status=403)
    if not form.text("code"):
        return ceremony.page(desk, draft, "/people/sign")
    return _invite(desk, form, draft)


@router.post("/people/sign")
def sign(desk: Annotated[Desk, at(Permission.INVITE)], form: Form) -> Response:
    """An invitation that was read once more, signed with a passkey or a code."""
    try:
        draft = Draft.unseal(desk, form.text("draft", 20_000), ("invite",))
    except WrongCredentials as error:
        return show(desk, Filled(), errors={"code": str(error)}, status=409)
    return _invite(desk, form, draft)


def _invite(desk: Desk, form: Filled, draft: Draft) -> Response:
    log, who = desk.place.log, desk.visitor.person
    try:
        code = ceremony.signed(
            desk,
            Given.of(form),
            "invite",
            lambda session, sign: desk.registry.invite_on(session, log, draft.name, draft.terms, who, sign),
        )
    except (WrongCredentials, Locked, Wait) as error:
        desk.note("invite", "refused", why=str(error))
        status = 429 if isinstance(error, Wait) else 403
        if form.text("draft", 20_000):
            return ceremony.page(desk, draft, "/people/sign", error=str(error), status=status)
        return show(desk, form, errors={"code": str(error)}, status=status)
    return show(desk, Filled(), code=code)


@router.post("/people/back-in")
def back_in(desk: Annotated[Desk, at(Permission.READ_CHANGES)], form: Form) -> Response:
    """One of the three signatures that help a person back in. The last one's answer shows the code, this once."""
    log, person, passkeys = desk.place.log, form.text("person", 64), desk.services.passkeys
    try:
        code = ceremony.signed(
            desk,
            Given.of(form),
            "help back in",
            lambda session, sign: recovery.agree(passkeys, session, log, person, desk.visitor.person, sign),
        )
    except (WrongCredentials, Locked, Wait) as error:
        desk.note("help back in", "refused", why=str(error))
        return show(desk, form, errors={"back-code": str(error)}, status=429 if isinstance(error, Wait) else 403)
    return show(desk, Filled(), recovery_code=code) if code else desk.go("/people", "agreed")
