"""/people: who holds which role, and how the headteacher invites someone."""

from typing import Annotated

from fastapi import APIRouter
from sqlalchemy import select
from starlette.responses import Response

from admin_api.deps import Desk
from admin_api.forms import Checks, Filled, Form
from admin_api.permissions import at
from admin_api.routes.sign_in import Wait
from change_control.authority import ROLES, NotAllowed, Permission
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
