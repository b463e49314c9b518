"""/you: a person's own passkeys, sessions and recovery codes. /recover: a new phone in the place of a lost one."""

import io
import json
from collections.abc import Callable
from functools import partial
from typing import Annotated

import pyotp
import segno
from fastapi import APIRouter, Request
from sqlalchemy.orm import Session
from starlette.responses import RedirectResponse, Response

from admin_api.auth import COOKIE, form_token
from admin_api.deps import Desk, address, services, templates
from admin_api.forms import Filled, Form
from admin_api.permissions import at
from admin_api.routes.sign_in import Wait, leave
from admin_api.telling import names
from change_control import keys, recovery, sso, standing
from change_control.authority import Permission
from change_control.keys import Signer
from change_control.passkeys import url64
from change_control.people import WrongCredentials

router = APIRouter()
type Here = Annotated[Desk, at(Permission.READ_CHANGES)]
type Signers = list[tuple[str, Signer]]


@router.get("/you")
def you(desk: Here, said: str = "") -> Response:
    return show(desk, said=said)


def show(
    desk: Desk, *, said: str = "", errors: dict[str, str] | None = None, status: int = 200, codes: tuple[str, ...] = ()
) -> Response:
    me, passkeys = desk.visitor.person, desk.services.passkeys
    with desk.read() as session:
        mine = passkeys.mine(session, me.id)
        sessions = desk.registry.sessions(session, me.id)
        left = passkeys.left(session, me.id)
        linked = [row.label for row in sso.mine(session, me.id)]
        book = desk.office.book(session, desk.place.log)
        holding = standing.holding(session, book)
        known = names(session, holding)
        helpers = recovery.named(session, book, me.id)
    challenge, state = passkeys.state(f"add {me.id}")
    ask = {"create": True, "challenge": challenge, "rp": passkeys.where.rp_id, "user": url64(me.id.encode()), "name": me.name}
    return desk.page(
        "you.html",
        status,
        mine=mine,
        sessions=[(row, desk.registry.is_mine(row, desk.visitor.cookie)) for row in sessions],
        left=left,
        linked=linked,
        provider=desk.services.provider.name if desk.services.provider else "",
        helpers=[known[one] for one in helpers],
        others=[(one, known[one]) for one in holding if one != me.id and "la_officer" not in holding[one]],
        state=state,
        ask=json.dumps({**ask, "known": [row.id for row in mine]}),
        said=said,
        errors=errors or {},
        codes=codes,
    )


def _with_code(desk: Desk, form: Filled, act: str, do: Callable[[Session, Signers], object]) -> Response | None:
    """Something about one's own sign-in: the code checked, the key opened in each log. None when it is done."""
    who = desk.visitor
    if seconds := desk.services.attempts.seconds(who.address, f"code of {who.person.id}"):
        return show(desk, errors={"code": str(Wait(seconds))}, status=429)
    try:
        with desk.write() as session:
            desk.registry.check_code(session, who.person.id, form.text("code"), act)
            do(session, [(place.log, desk.registry.signer(session, who.cookie, place.log)) for place in who.places])
    except (WrongCredentials, keys.Locked) as error:
        desk.services.attempts.failed(who.address, f"code of {who.person.id}")
        desk.note(act, "refused", why=str(error))
        return show(desk, errors={"code": str(error)}, status=403)
    except LookupError:
        raise
    except ValueError as error:
        return show(desk, errors={"code": str(error)}, status=422)
    desk.note(act, "done")
    return None


@router.post("/you/passkeys")
def add_passkey(desk: Here, form: Form) -> Response:
    """A new passkey, signed in with the enrolled key: it takes the password's session and a code."""
    state, answer = form.text("state"), form.text("answer", 8000)
    refused = _with_code(
        desk,
        form,
        "add passkey",
        lambda session, signers: desk.services.passkeys.add(
            session, desk.visitor.person, signers, form.text("label", 60), state, answer
        ),
    )
    return refused or desk.go("/you", "passkey-added")


@router.post("/you/passkeys/revoke")
def revoke_passkey(desk: Here, form: Form) -> Response:
    credential = form.text("credential", 1400)
    refused = _with_code(
        desk,
        form,
        "revoke passkey",
        lambda session, signers: desk.services.passkeys.revoke(session, desk.visitor.person, signers, credential),
    )
    return refused or desk.go("/you", "passkey-gone")


@router.post("/you/sessions")
def end_session(desk: Here, form: Form) -> Response:
    """End one other session, or all others."""
    only = form.text("session", 64)
    with desk.services.store.write() as session:
        desk.registry.end_sessions(session, desk.visitor.person.id, only=only, keep=desk.visitor.cookie)
    desk.note("end session", "done")
    return desk.go("/you", "session-ended")


@router.post("/you/recovery")
def new_codes(desk: Here, form: Form) -> Response:
    """Answers with the page itself: the codes are shown this once."""
    made: list[str] = []
    refused = _with_code(
        desk,
        form,
        "recovery codes",
        lambda session, _: made.extend(desk.services.passkeys.recovery_codes(session, desk.visitor.person.id)),
    )
    return refused or show(desk, codes=tuple(made))


@router.post("/you/helpers")
def name_helpers(desk: Here, form: Form) -> Response:
    """The two who can help her back in, together with the LA officer. She names them at this school."""
    people, log = form.many("person"), desk.place.log

    def do(session: Session, signers: Signers) -> None:
        signer = dict(signers)[log]
        sign = partial(signer.sign, "name helpers", log)
        recovery.name(desk.services.passkeys, session, log, desk.visitor.person, people, sign)

    return _with_code(desk, form, "name helpers", do) or desk.go("/you", "helpers")


@router.post("/you/sso")
def link_account(desk: Here, form: Form) -> Response:
    """Her account at the school's identity provider; from then on it opens a session, but signs nothing."""
    refused = _with_code(desk, form, "link account", lambda *_: None)
    return refused or leave(desk.request, link=desk.visitor.person.id, target="/you")


@router.post("/you/sso/unlink")
def unlink_account(desk: Here, form: Form) -> Response:
    del form
    with desk.services.store.write() as session:
        sso.unlink(session, desk.visitor.person.id)
    desk.note("unlink account", "done")
    return desk.go("/you", "unlinked")


# --- a new phone ----------------------------------------------------------------------------------------------------------


@router.get("/recover")
def recover_page(request: Request) -> Response:
    return _recover(request, pyotp.random_base32())


def _recover(request: Request, secret: str, username: str = "", error: str = "", status: int = 200) -> Response:
    desk = services(request)
    uri = pyotp.TOTP(secret).provisioning_uri(name=username or "desk", issuer_name="Schoolgate")
    picture = io.BytesIO()
    segno.make(uri, error="m").save(picture, kind="svg", xmldecl=False, svgns=True, omitsize=True, border=2)
    context = {
        "token": form_token(desk.registry.desk_secret, request.cookies.get(COOKIE, "")),
        "username": username,
        "error": error,
        "qr": picture.getvalue().decode(),
        "secret": " ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
        "sealed": keys.wrap(secret.encode(), desk.registry.desk_secret, b"recover"),
    }
    return templates(request).TemplateResponse(request, "recover.html", context, status_code=status)


@router.post("/recover")
def recover(request: Request, form: Form) -> Response:
    """Password, a recovery code, and a code of the new phone; all sessions end, and the change log records it."""
    desk, where, username = services(request), address(request), form.text("username", 100)
    try:
        secret = keys.unwrap(form.text("sealed"), desk.registry.desk_secret, b"recover").decode()
    except (keys.Locked, ValueError):
        return _recover(request, pyotp.random_base32(), username, "this page is too old; begin again", 403)
    if seconds := desk.attempts.seconds(where, username):
        return _recover(request, secret, username, str(Wait(seconds)), 429)
    digits = "".join(form.text("code").split())
    if not pyotp.TOTP(secret).verify(digits, for_time=desk.office.now(), valid_window=1):
        return _recover(request, secret, username, "the code of the new phone is wrong", 422)
    password = next(iter(form.values.get("password", ())), "")[:500]
    try:
        with desk.store.write() as session:
            person = desk.passkeys.recover(session, username, password, form.text("recovery", 40), secret)
    except WrongCredentials as error:
        desk.attempts.failed(where, username)
        desk.note("recover", "refused", why=str(error), address=where)
        return _recover(request, secret, username, str(error), 401)
    for log in person.roles:
        desk.note("recover", "done", log=log, person=person.id, address=where)
    return RedirectResponse("/sign-in?said=recovered", 303)
