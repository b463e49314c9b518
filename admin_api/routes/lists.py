"""/lists: the lists in force, what the categories mean, and the standing mandates under which lists are taken in."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response

from admin_api import words
from admin_api.deps import Desk
from admin_api.forms import Checks, Filled, Form, last_moment
from admin_api.permissions import at
from admin_api.routes.sign_in import Wait
from admin_api.routes.today import list_ages
from admin_api.telling import Ground, mandate_sentence, names
from change_control.authority import Permission
from change_control.ledger import LedgerMismatch
from change_control.people import WrongCredentials

router = APIRouter()
MAY_TAKE_IN = ("technician", "online_safety_coordinator", "dsl", "deputy")


@router.get("/lists")
def lists(desk: Annotated[Desk, at(Permission.READ_CHANGES)], said: str = "") -> Response:
    return show(desk, Filled(), said=said)


def show(desk: Desk, typed: Filled, *, said: str = "", errors: dict[str, str] | None = None, status: int = 200) -> Response:
    ground = Ground.of(desk.services.snapshot(), desk.place.log)
    with desk.read() as session:
        entries = desk.office.mandates(session, desk.place.log)
        who = names(session, {entry["by"] for entry in entries})
        mandates = [
            (entry["n"], mandate_sentence(entry), who[entry["by"]], datetime.fromisoformat(entry["at"])) for entry in entries
        ]
    kinds: dict[str, list[object]] = {}
    for category in ground.taxonomy.categories.values():
        kinds.setdefault(category.group, []).append(category)
    return desk.page(
        "lists.html",
        status,
        lists=list_ages(desk, ground),
        kinds=kinds,
        mandates=mandates,
        roles=MAY_TAKE_IN,
        typed=typed,
        errors=errors or {},
        said=said,
    )


@router.post("/lists/mandate")
def sign_mandate(desk: Annotated[Desk, at(Permission.MANDATE)], form: Form) -> Response:
    """The headteacher says beforehand who may take in lists, until when, and how soon she ratifies each."""
    checks = Checks()
    roles = [role for role in form.many("roles") if role in MAY_TAKE_IN]
    if not roles:
        checks.fields["roles"] = "choose who may take in lists"
    until = checks.check("until", lambda: last_moment(form.text("until"), words.ZONE))
    if until is None and "until" not in checks.fields:
        checks.fields["until"] = "say until when, at most a year from now"
    days = checks.check("days", lambda: _days(form.text("days")))
    who = desk.visitor
    if seconds := desk.services.attempts.seconds(who.address, f"code of {who.person.id}"):
        checks.fields["code"] = str(Wait(seconds))
    if checks.fields or until is None or days is None:
        return show(desk, form, errors=checks.fields, status=422)
    log = desk.place.log
    try:
        with desk.write() as session:
            desk.registry.check_code(session, who.person.id, form.text("code"), "mandate")
            signer = desk.registry.signer(session, who.cookie, log)
            desk.office.sign_mandate(
                session,
                log,
                who.person,
                lambda terms: signer.sign("mandate", log, terms),
                kinds=["dictionary"],
                roles=roles,
                until=until,
                ratify_days=days,
            )
    except WrongCredentials as error:
        desk.services.attempts.failed(who.address, f"code of {who.person.id}")
        desk.note("mandate", "refused", why=str(error))
        return show(desk, form, errors={"code": str(error)}, status=403)
    except LedgerMismatch:
        raise
    except ValueError as error:
        return show(desk, form, errors={"until": str(error)}, status=422)
    desk.note("mandate", "done")
    return desk.go("/lists", "mandated")


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text[:4]) <= 60:
        raise ValueError("give a number of days from 1 to 60")
    return int(text)
