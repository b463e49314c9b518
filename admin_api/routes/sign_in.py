"""/sign-in and /sign-out."""

import json
from datetime import timedelta

from fastapi import APIRouter, Request
from sqlalchemy import select
from starlette.responses import RedirectResponse, Response

from admin_api.auth import COOKIE, drop_cookie, form_token, onward, set_cookie
from admin_api.deps import Services, Visitor, address, services, templates
from admin_api.forms import Form
from admin_api.permissions import SignedIn
from change_control.people import WrongCredentials
from change_control.tables import AccessRow, PersonRow

router = APIRouter()


class Wait(Exception):
    """Too many wrong tries; how long to wait."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many wrong tries; wait {seconds} seconds and try again")
        self.seconds = seconds


def sign_in(request: Request, username: str, password: str, code: str) -> str:
    """The cookie of a new session, noted in the access log either way. Also the API's."""
    desk, where = services(request), address(request)
    _at_home(desk, where, username)
    if seconds := desk.attempts.seconds(where, username):
        raise Wait(seconds)
    try:
        with desk.store.write() as session:
            desk.registry.purge_sessions(session)
            desk.registry.sign_out(session, request.cookies.get(COOKIE, ""))  # who signs in anew leaves the old session
            cookie = desk.registry.sign_in(
                session, username, password, code, address=where, agent=request.headers.get("user-agent", "")
            )
    except WrongCredentials as error:
        desk.attempts.failed(where, username)
        _note_refusal(desk, username, str(error), where)
        raise
    desk.attempts.succeeded(where, username)
    _note_entry(desk, cookie, where)
    return cookie


def _at_home(desk: Services, where: str, username: str) -> None:
    """A stranger's guesses elsewhere do not count where a person has signed in before, also before the desk was restarted."""
    if desk.attempts.at_home(where, username):
        return
    with desk.store.read() as session:
        person = session.scalar(select(PersonRow.id).where(PersonRow.username == username.strip().lower()[:200]))
        before = select(AccessRow.id).where(
            AccessRow.person == (person or "-"),
            AccessRow.address == where,
            AccessRow.act == "sign-in",
            AccessRow.outcome == "done",
            AccessRow.at > desk.office.now() - timedelta(days=90),
        )
        if person and session.scalar(before.limit(1)):
            desk.attempts.welcome(where, username)


def _note_refusal(desk: Services, username: str, why: str, where: str) -> None:
    """Never what was typed as the name, for people type passwords there; but whose account it was, if it is one."""
    with desk.store.write() as session:
        row = session.scalar(select(PersonRow).where(PersonRow.username == username.strip().lower()[:200]))
        logs = list(desk.registry.person(session, row.id).roles) if row else []
        for log in logs or [""]:
            desk.office.access(session, "sign-in", "refused", log=log, person=row.id if row else "", why=why, address=where)


def _note_entry(desk: Services, cookie: str, where: str) -> None:
    with desk.store.write() as session:
        person = desk.registry.signed_in(session, cookie)
        if person is not None:
            for place in Visitor.of(session, person, cookie, where).places:  # each of her heads may read it
                desk.office.access(session, "sign-in", "done", log=place.log, person=person.id, address=where)


def _page(
    request: Request, status: int = 200, error: str = "", username: str = "", target: str = "", said: str = ""
) -> Response:
    desk = services(request)
    with desk.store.read() as session:
        nobody = session.scalar(select(PersonRow.id).limit(1)) is None
    challenge, state = desk.passkeys.state("sign-in")
    return templates(request).TemplateResponse(
        request,
        "sign_in.html",
        {
            "nobody": nobody,
            "state": state,
            "ask": json.dumps({"challenge": challenge, "rp": desk.passkeys.where.rp_id, "known": []}),
            "error": error,
            "username": username,
            "next": onward(target),
            "said": said,
            "sso": desk.provider.name if desk.provider else "",
            "hint": services(request).accounts_hint,
            "token": form_token(services(request).registry.desk_secret, request.cookies.get(COOKIE, "")),
        },
        status_code=status,
    )


@router.get("/sign-in", name="sign_in_page")
def sign_in_page(request: Request, next: str = "/", said: str = "") -> Response:  # noqa: A002 - the word in the address
    return _page(request, target=next, said=said)


@router.post("/sign-in")
def sign_in_now(request: Request, form: Form) -> Response:
    try:
        cookie = sign_in(request, form.text("username"), _password(form.values.get("password", ())), form.text("code"))
    except WrongCredentials as error:
        return _page(request, 401, str(error), form.text("username", 100), form.text("next"))
    except Wait as error:
        response = _page(request, 429, str(error), form.text("username", 100), form.text("next"))
        response.headers["Retry-After"] = str(error.seconds)
        return response
    response = RedirectResponse(onward(form.text("next")), 303)
    set_cookie(response, cookie)
    return response


@router.post("/sign-in/passkey")
def sign_in_by_passkey(request: Request, form: Form) -> Response:
    """The passkey says who it is; nothing else is typed.

    Tries are not counted: nobody guesses a signature, and a count would let a stranger keep a headteacher out.
    """
    desk, where, target = services(request), address(request), form.text("next")
    try:
        with desk.store.write() as session:
            desk.registry.purge_sessions(session)
            desk.registry.sign_out(session, request.cookies.get(COOKIE, ""))
            agent = request.headers.get("user-agent", "")
            state, answer = form.text("state"), form.text("answer", 8000)
            cookie = desk.passkeys.sign_in(session, state, answer, address=where, agent=agent)
    except WrongCredentials as error:
        desk.note("sign-in", "refused", why=str(error), address=where)
        return _page(request, 401, str(error), target=target)
    _note_entry(desk, cookie, where)
    response = RedirectResponse(onward(target), 303)
    set_cookie(response, cookie)
    return response


# --- by the school's identity provider --------------------------------------------------------------------------------

SSO_COOKIE = "__Host-schoolgate-sso"


@router.get("/sign-in/sso")
def sign_in_elsewhere(request: Request, next: str = "/") -> Response:  # noqa: A002 - the word in the address
    """To the provider's page, with a sealed cookie to come back with."""
    return leave(request, link="", target=onward(next))


def leave(request: Request, *, link: str, target: str) -> Response:
    """A page that goes on to the provider: after a form, a redirect to another origin is not followed."""
    sso = services(request).sso
    if sso is None:
        raise LookupError("there is no sign-in by another account here")
    try:
        page, sealed = sso.begin(link=link, target=target)
    except WrongCredentials as error:
        return _page(request, 503, str(error))
    response = templates(request).TemplateResponse(request, "onward.html", {"to": page, "name": sso.provider.name})
    # Lax: it must come back with a visit that another site begins, which a strict cookie does not.
    response.set_cookie(SSO_COOKIE, sealed, max_age=600, path="/", secure=True, httponly=True, samesite="lax")
    return response


@router.get("/sign-in/sso/back")
def back_from_elsewhere(request: Request, code: str = "", state: str = "") -> Response:
    """Answers with a page of our own that goes on by itself: with a redirect, the strict cookie would not be sent along."""
    desk, where = services(request), address(request)
    sso = desk.sso
    if sso is None:
        raise LookupError("there is no sign-in by another account here")
    cookie = ""
    try:
        who = sso.answered(request.cookies.get(SSO_COOKIE, ""), state[:500], code[:4000])
        with desk.store.write() as session:
            if who.link:
                sso.link(session, who)
            else:
                desk.registry.purge_sessions(session)
                cookie = sso.sign_in(session, who, address=where, agent=request.headers.get("user-agent", ""))
    except WrongCredentials as error:
        desk.note("sign-in", "refused", why=str(error), address=where)
        return _page(request, 401, str(error))
    target = "/you?said=linked" if who.link else onward(who.target)
    response = templates(request).TemplateResponse(request, "onward.html", {"to": target, "name": ""})
    response.delete_cookie(SSO_COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    if cookie:
        _note_entry(desk, cookie, where)
        set_cookie(response, cookie)
    else:
        desk.note("link account", "done", person=who.link, address=where)
    return response


def _password(values: object) -> str:
    return str(values[0])[:500] if isinstance(values, list) and values else ""


@router.post("/sign-out")
def sign_out(request: Request, who: SignedIn) -> Response:
    desk = services(request)
    with desk.store.write() as session:
        desk.registry.sign_out(session, request.cookies.get(COOKIE, ""))
        for place in who.places:
            desk.office.access(session, "sign-out", "done", log=place.log, person=who.person.id, address=who.address)
    response = RedirectResponse("/sign-in?said=signed-out", 303)
    drop_cookie(response)
    return response
