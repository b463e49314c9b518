"""/people: who holds which role, and how the headteacher invites someone."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter
from sqlalchemy import select
from starlette.responses import Response

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
    who = desk.visitor
    if seconds := desk.services.attempts.seconds(who.address, f"code of {who.person.id}"):
        checks.fields["code"] = str(Wait(seconds))
    if checks.fields:
        return show(desk, form, errors=checks.fields, status=422)
    log = desk.place.log
    try:
        with desk.write() as session:
            desk.registry.check_code(session, who.person.id, form.text("code"), "invite")
            signer = desk.registry.signer(session, who.cookie, log)
            code = desk.registry.invite(
                session,
                log,
                form.text("name", 200),
                roles,
                by=who.person,
                sign=lambda terms: signer.sign("invite", log, terms),
            )
    except WrongCredentials as error:
        desk.services.attempts.failed(who.address, f"code of {who.person.id}")
        desk.note("invite", "refused", why=str(error))
        return show(desk, form, errors={"code": str(error)}, status=403)
    except NotAllowed as error:
        desk.note("invite", "refused", why=str(error))
        return show(desk, form, errors={"roles": str(error)}, status=403)
    desk.note("invite", "done", ", ".join(roles))
    return show(desk, Filled(), code=code)


@router.post("/people/back-in")
def back_in(desk: Annotated[Desk, at(Permission.READ_CHANGES)], form: Form) -> Response:
    """One of the three signatures that help a person back in. The last one's answer shows the code, this once."""
    who, log, person = desk.visitor, desk.place.log, form.text("person", 64)
    if seconds := desk.services.attempts.seconds(who.address, f"code of {who.person.id}"):
        return show(desk, form, errors={"back-code": str(Wait(seconds))}, status=429)
    try:
        with desk.write() as session:
            desk.registry.check_code(session, who.person.id, form.text("code"), f"back in {person}"[:200])
            signer = desk.registry.signer(session, who.cookie, log)
            sign = partial(signer.sign, "help back in", log)
            code = recovery.agree(desk.services.passkeys, session, log, person, who.person, sign)
    except (WrongCredentials, Locked) as error:
        desk.services.attempts.failed(who.address, f"code of {who.person.id}")
        desk.note("help back in", "refused", why=str(error))
        return show(desk, form, errors={"back-code": str(error)}, status=403)
    desk.note("help back in", "done", person)
    return show(desk, Filled(), recovery_code=code) if code else desk.go("/people", "agreed")
