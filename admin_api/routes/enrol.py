"""/enrol: the first-run page, and how every further person gets an account."""

import io
import json

import pyotp
import segno
from fastapi import APIRouter, Request
from sqlalchemy import select
from starlette.responses import RedirectResponse, Response

from admin_api.auth import COOKIE, form_token
from admin_api.deps import Services, address, services, templates
from admin_api.forms import Checks, Form
from admin_api.routes.sign_in import Wait
from change_control import keys
from change_control.authority import NotAllowed
from change_control.people import SHORTEST_PASSWORD, WrongCredentials
from change_control.publish import publish
from change_control.tables import LogRow, PersonRow

router = APIRouter()


def _page(request: Request, status: int = 200, **context: object) -> Response:
    token = form_token(services(request).registry.desk_secret, request.cookies.get(COOKIE, ""))
    usual = {
        "token": token,
        "code": "",
        "errors": {},
        "step": 1,
        "username": "",
        "secret": "",
        "qr": "",
        "sealed": "",
        "who": None,
    }
    return templates(request).TemplateResponse(request, "enrol.html", {**usual, **context}, status_code=status)


@router.get("/enrol")
def enrol_page(request: Request) -> Response:
    return _page(request)


@router.post("/enrol")
def enrol_now(request: Request, form: Form) -> Response:
    """First the code alone; then, on the same address, name, password and the code of the phone."""
    desk, where = services(request), address(request)
    if seconds := desk.attempts.seconds(where, "enrolment code"):
        return _page(request, 429, errors={"code": str(Wait(seconds))})
    code = form.text("code", 40)
    try:
        with desk.store.read() as session:
            invitation = desk.registry.invitation(session, code)
            log = session.get(LogRow, invitation.log)
            who = {"name": invitation.name, "roles": invitation.roles.split(","), "school": log.name if log else ""}
    except WrongCredentials as error:
        desk.attempts.failed(where, "enrolment code")
        desk.note("enrol", "refused", why=str(error), address=where)
        return _page(request, 403, code=code, errors={"code": str(error)})
    if not form.text("sealed"):
        return _second(request, 200, code, who, pyotp.random_base32(), form)
    try:
        secret = _opened(desk, code, form.text("sealed"))
    except (keys.Locked, ValueError):
        return _second(request, 403, code, who, pyotp.random_base32(), form)
    return _enrol(request, desk, form, code=code, secret=secret, who=who, log=invitation.log)


def _enrol(request: Request, desk: Services, form: Form, *, code: str, secret: str, who: object, log: str) -> Response:
    checks = Checks()
    password = next(iter(form.values.get("password", ())), "")[:500]
    if len(form.text("username", 100)) < 2:
        checks.fields["username"] = "choose a user name of at least 2 letters"
    if len(password) < SHORTEST_PASSWORD:
        checks.fields["password"] = f"a password has at least {SHORTEST_PASSWORD} characters; three random words do well"
    username = form.text("username", 100).lower()
    with desk.store.read() as session:
        known = session.scalar(select(PersonRow.id).where(PersonRow.username == username))
    right = pyotp.TOTP(secret).verify("".join(form.text("totp").split()), for_time=desk.office.now(), valid_window=1)
    if known is None and not right:
        checks.fields["totp"] = "the code is wrong; codes change every 30 seconds"
    if checks.fields:
        return _second(request, 422, code, who, secret, form, checks.fields)
    try:
        with desk.store.write() as session:
            person = desk.registry.enrol(session, code, username, password, secret)
            if known is not None:  # who has an account already proves it with the code of that account
                desk.registry.check_code(session, person.id, form.text("totp"), "enrol")
    except (NotAllowed, WrongCredentials) as error:
        desk.note("enrol", "refused", log=log, why=str(error), address=address(request))
        return _second(request, 403, code, who, secret, form, {"username": str(error)})
    except ValueError as error:
        return _second(request, 422, code, who, secret, form, {"username": str(error)})
    desk.note("enrol", "done", log=log, person=person.id, address=address(request))
    with desk.store.write() as session:
        publish(session, desk.office.key, desk.data, logs=(log,))
    return RedirectResponse("/sign-in?said=enrolled", 303)


def _second(
    request: Request, status: int, code: str, who: object, secret: str, form: Form, errors: dict[str, str] | None = None
) -> Response:
    desk = services(request)
    name = form.text("username", 100)
    address_of_secret = pyotp.TOTP(secret).provisioning_uri(name=name or "desk", issuer_name="Schoolgate")
    picture = io.BytesIO()
    segno.make(address_of_secret, error="m").save(picture, kind="svg", xmldecl=False, svgns=True, omitsize=True, border=2)
    return _page(
        request,
        status,
        step=2,
        code=code,
        who=who,
        username=name,
        secret=" ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
        qr=picture.getvalue().decode(),
        sealed=_sealed(desk, code, secret),
        errors=errors or {},
    )


# The secret that the phone is given travels in the form, sealed to the desk and to this one code: nothing is stored for
# somebody who never finishes, and nobody can hand in a secret of her own choosing for another's code.


def _sealed(desk: Services, code: str, secret: str) -> str:
    return keys.wrap(json.dumps({"code": code, "secret": secret}).encode(), desk.registry.desk_secret, b"enrol")


def _opened(desk: Services, code: str, sealed: str) -> str:
    found = json.loads(keys.unwrap(sealed, desk.registry.desk_secret, b"enrol"))
    if found["code"] != code:
        raise keys.Locked("this form belongs to another code")
    return str(found["secret"])
