"""The desk as one application: its routes, and what becomes of everything that goes wrong in them."""

import logging
from collections.abc import Sequence
from functools import cache
from types import CodeType
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from jinja2 import BytecodeCache, Environment, PackageLoader, StrictUndefined
from jinja2.bccache import Bucket
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from admin_api import words
from admin_api.auth import SAFE, Guard, onward
from admin_api.deps import Desk, Services, Visitor, address, services
from admin_api.forms import ForgedForm, Wrong, filled
from admin_api.permissions import NotHere, SignInFirst
from admin_api.permissions import visitor as find_visitor
from admin_api.routes import (
    access,
    acts,
    api,
    archive,
    asked,
    captures,
    changes,
    contact,
    coverage,
    deciding,
    devices,
    enrol,
    escalation,
    guests,
    help,  # noqa: A004 - a page is one name in four places
    incidents,
    keeping,
    list_categories,
    list_name,
    lists,
    machine,
    meeting,
    people,
    reports,
    requests,
    resolver,
    rollup,
    rules,
    sign_in,
    standing,
    then,
    today,
    together,
    tokens,
    why,
    witness,
    you,
)
from admin_api.routes import (
    log as filter_log,
)
from admin_api.routes.sign_in import Wait
from change_control.authority import NotAllowed
from change_control.changes import DoesNotFit
from change_control.keys import Locked
from change_control.ledger import LedgerMismatch
from change_control.lifecycle import NotPossible
from change_control.people import WrongCredentials
from change_control.service import ChangedSinceShown
from change_control.tokens import NoSuchToken
from monitoring.captures import NotYours
from policy.live import PolicyMissing
from policy.proof import ProofRefused
from policy.words import uk_date, uk_end

logger = logging.getLogger(__name__)

PAGES = (
    sign_in, asked, enrol, today, requests, acts, deciding, together, rules, changes, filter_log, archive, captures,
    escalation, incidents,
    meeting, reports, rollup, keeping, why, lists, list_categories, list_name, people, standing, you, contact, then, tokens,
    access, resolver, coverage, devices, guests, help,
)  # fmt: skip

# What an error means to whoever asked. The first that fits counts, so the special ones stand before ValueError.
STATUS: tuple[tuple[type[Exception], int], ...] = (
    (NoSuchToken, 401),
    (NotAllowed, 403),
    (WrongCredentials, 403),
    (Locked, 403),
    (Wait, 429),
    (LookupError, 404),
    (NotPossible, 409),
    (ChangedSinceShown, 409),
    (DoesNotFit, 409),
    (LedgerMismatch, 503),  # what is stored is not what was signed: nothing may be done on it
    (ProofRefused, 503),
    (PolicyMissing, 503),
    (ValueError, 422),
)
TITLES = {
    400: "That did not make sense",
    403: "You may not do this",
    404: "There is no such page",
    405: "That cannot be done here",
    409: "This has changed in the meantime",
    413: "That was too long",
    422: "Something is missing or wrong",
    429: "Please wait a moment",
    500: "Something went wrong at the desk",
    503: "The desk cannot answer just now",
}


def status_of(error: Exception) -> int:
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


def create_app(given: Services) -> FastAPI:
    """The desk on these services."""
    app = FastAPI(
        routes=list(_routes()),
        title="Schoolgate",
        description="Filtering changes of a school: asked for, decided, recorded. The same services as the pages.",
        version="1",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # no exporter may see what pupils did
    )
    app.state.services = given
    app.state.templates = Jinja2Templates(env=_environment(given))
    app.mount("/static", StaticFiles(directory=words.STATIC), name="static")
    app.add_middleware(Guard, public_url=given.public_url, local=given.demo)
    app.add_exception_handler(SignInFirst, _sign_in_first)
    app.add_exception_handler(ForgedForm, _forged)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(SQLAlchemyError, _database)
    app.add_exception_handler(Exception, _broken)
    for kind, _ in STATUS:
        app.add_exception_handler(kind, _known)
    return app


@cache
def _routes() -> Sequence[BaseRoute]:
    """All routes, read once in a process: a second goes into what FastAPI makes of their signatures."""
    router = APIRouter()
    for page in PAGES:
        router.include_router(page.router, include_in_schema=False, dependencies=[Depends(filled)])
    router.include_router(api.router, prefix="/api/v1")
    router.include_router(machine.router, include_in_schema=False)
    router.include_router(witness.router, include_in_schema=False)
    return router.routes


class _Compiled(BytecodeCache):
    """Templates as they were compiled, once in a process."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._kept.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        if bucket.code:
            self._kept[bucket.key, bucket.checksum] = bucket.code


_COMPILED = _Compiled()


def _environment(given: Services) -> Environment:
    environment = Environment(
        bytecode_cache=_COMPILED,
        loader=PackageLoader("admin_api"),
        autoescape=True,
        undefined=StrictUndefined,  # a page with a hole in it is a fault, not a blank
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "date": uk_date,
        "day": words.day,
        "end": uk_end,
        "moment": words.clock(given.office.now),
        "number": words.number,
        "plain": words.plain,
        "zip": zip,
        "fingerprint": words.fingerprint,
        "shown": words.shown_text,
        "swap": lambda row: (row[0], row[2], row[1]),
        "named": lambda row, names: (names.get(row[0], row[0]), row[1]),
        "iso_day": lambda at: words.local(at).date().isoformat(),
    }
    environment.globals |= {"words": words, "asset": words.asset, "demo": given.demo, "many": words.many}
    return environment


def _is_api(request: Request) -> bool:
    return request.url.path.startswith("/api/")


def answer(request: Request, status: int, why: str, headers: dict[str, str] | None = None) -> Response:
    """An error as JSON for scripts and as a page with a way on for people."""
    if _is_api(request):
        return JSONResponse({"error": why}, status, headers=headers)
    visitor = _visitor(request)
    title = TITLES.get(status, TITLES[500])
    if visitor and visitor.places:
        place = visitor.at(getattr(request.state, "log", "")) or visitor.places[0]
        desk = Desk(services(request), request, visitor, place)
        response = desk.page("error.html", status, title=title, why=why)
    else:
        found: Jinja2Templates = request.app.state.templates
        response = found.TemplateResponse(request, "error_signed_out.html", {"title": title, "why": why}, status_code=status)
    response.headers.update(headers or {})
    return response


def _visitor(request: Request) -> Visitor | None:
    """Who is signed in, also where no route asked for it: a mistyped address must not look like being signed out."""
    known: Visitor | None = getattr(request.state, "visitor", None)
    try:
        return known or find_visitor(request)
    except (SignInFirst, SQLAlchemyError):
        return None


def note_refusal(request: Request, why: str, *, act: str = "") -> None:
    """Each refused act goes to the access log: who, what, on what, why, from where."""
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    services(request).note(
        act or getattr(request.state, "act", "") or request.method.lower(),
        "refused",
        log=getattr(request.state, "log", ""),
        person=visitor.person.id if visitor else "",
        target=request.url.path,
        why=why,
        address=address(request),
    )


def _sign_in_first(request: Request, _: Exception) -> Response:
    if _is_api(request):
        return JSONResponse({"error": "sign in first"}, 401)
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    wanted = onward(target) if request.method in SAFE else "/"
    return RedirectResponse(f"/sign-in?{urlencode({'next': wanted})}" if wanted != "/" else "/sign-in", 303)


def _forged(request: Request, _: Exception) -> Response:
    why = "the form was too old, or not from this desk, so nothing was done; open the page again and repeat it"
    note_refusal(request, why, act="form")
    return answer(request, 403, why)


def _known(request: Request, error: Exception) -> Response:
    status = status_of(error)
    why = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if isinstance(error, LookupError) and not isinstance(error, (NotHere, NotYours)) and type(error) is not LookupError:
        return _broken(request, error)  # a KeyError or IndexError is a fault of ours, not an answer
    if isinstance(error, UnicodeError):
        return _broken(request, error)
    if status == 403 or (isinstance(error, (NotHere, NotYours)) and getattr(request.state, "log", None)):
        note_refusal(request, why)
    if status == 503:
        logger.error("refused to act on what does not agree: %s", why)
        why = f"What is stored does not agree with what was signed, so nothing can be done on it. Filtering goes on. ({why})"
    if isinstance(error, Wrong) and not _is_api(request):
        why = "; ".join(error.fields.values())
    return answer(request, status, why)


def _http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        return _broken(request, error)
    plain = {
        404: "there is nothing at this address; it may have been mistyped",
        405: "this address does not take what was sent",
        413: "that was longer than 64 KB, so nothing was done",
    }
    return answer(request, error.status_code, plain.get(error.status_code, str(error.detail)), dict(error.headers or {}))


def _not_valid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        return _broken(request, error)
    first: dict[str, Any] = error.errors()[0]
    where = first["loc"]
    if where and where[0] == "path":
        return answer(request, 404, "there is nothing at this address; it may have been mistyped")
    name = ".".join(str(part) for part in where[1:]) or "what was sent"
    return answer(request, 422, f"{name}: {str(first['msg']).removeprefix('Value error, ')}")


def _database(request: Request, error: Exception) -> Response:
    logger.error("the database does not answer: %s", error)
    return answer(request, 503, "the database does not answer, so nothing was done; filtering goes on. Try again in a minute")


def _broken(request: Request, error: Exception) -> Response:
    logger.error("a fault at %s %s", request.method, request.url.path, exc_info=error)
    return answer(request, 500, "this is a fault of the desk, not yours; it has been noted. Filtering goes on")
