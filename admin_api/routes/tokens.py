"""/tokens: tokens by which scripts use the API. Made with a code of the second factor, shown once, revoked at once."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response

from admin_api import words
from admin_api.deps import Desk
from admin_api.forms import Filled, Form, last_moment
from admin_api.permissions import at
from admin_api.routes.sign_in import Wait
from admin_api.telling import names
from change_control import tokens
from change_control.authority import Permission
from change_control.people import WrongCredentials

router = APIRouter()
type Here = Annotated[Desk, at(Permission.TOKENS)]


@router.get("/tokens")
def all_tokens(desk: Here, said: str = "") -> Response:
    return _show(desk, said=said)


def _show(
    desk: Desk,
    *,
    said: str = "",
    made: str = "",
    typed: Filled | None = None,
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    now = desk.office.now()
    with desk.read() as session:
        rows = tokens.of_log(session, desk.place.log)
        who = names(session, {row.person for row in rows})
    usual = f"{words.local(now + timedelta(days=90)):%Y-%m-%d}"
    return desk.page(
        "tokens.html",
        status,
        rows=[(row, who[row.person], row.revoked is None and row.expires > now) for row in rows],
        scopes=words.SCOPES,
        said=said,
        made=made,
        typed=typed or Filled({"until": (usual,)}),
        errors=errors or {},
    )


@router.post("/tokens")
def make(desk: Here, form: Form) -> Response:
    """Answers with the page itself: the token is shown this once and kept nowhere."""
    who = desk.visitor
    if seconds := desk.services.attempts.seconds(who.address, f"code of {who.person.id}"):
        return _show(desk, typed=form, errors={"code": str(Wait(seconds))}, status=429)
    try:
        until = last_moment(form.text("until"), words.ZONE)
        if until is None:
            raise ValueError("say until which day")
        with desk.services.store.write() as session:
            desk.registry.check_code(session, who.person.id, form.text("code"), "token")
            now = desk.office.now()
            made = tokens.make(session, desk.place.log, who.person.id, form.text("label"), form.many("scopes"), until, now)
    except WrongCredentials as error:
        desk.services.attempts.failed(who.address, f"code of {who.person.id}")
        desk.note("token", "refused", why=str(error))
        return _show(desk, typed=form, errors={"code": str(error)}, status=403)
    except ValueError as error:
        return _show(desk, typed=form, errors={"label": str(error)}, status=422)
    desk.note("token", "done", f"{form.text('label', 60)}: {', '.join(form.many('scopes'))}")
    return _show(desk, made=made)


@router.post("/tokens/revoke")
def revoke(desk: Here, form: Form) -> Response:
    with desk.services.store.write() as session:
        tokens.revoke(session, desk.place.log, form.text("token_id", 40), desk.office.now())
    desk.note("token revoked", "done", form.text("token_id", 40))
    return desk.go("/tokens", "token-gone")
