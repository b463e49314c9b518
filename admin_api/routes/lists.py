"""/lists: the lists in force, what the categories mean, and the standing mandates under which lists are taken in."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response

from admin_api import ceremony, list_state, words
from admin_api.deps import Desk
from admin_api.forms import Checks, Filled, Form, Wrong, last_moment
from admin_api.permissions import at
from admin_api.routes import standing
from admin_api.routes.today import list_ages
from admin_api.routes.together import taken_in
from admin_api.telling import Ground, mandate_sentence, names
from category_lists import catalogue
from change_control import list_service
from change_control.authority import Permission
from change_control.ledger import LedgerMismatch

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
        feeds = list_state.feeds(desk, session, ground)
        wrong = list_state.overruled(desk, session, ground)
        known = ceremony.known(desk, session)
        provisional = len(taken_in(session, desk.place.log)) if desk.place.may(Permission.RATIFY) else 0
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
        feeds=feeds,
        wrong=wrong,
        shared=desk.services.snapshot().dictionaries[ground.document.dictionary].index.shared(),
        provisional=provisional,
        sealed=list_state.sealed_list(desk, ground),
        passkey=bool(known),
        typed=typed,
        errors=errors or {},
        said=said,
    )


@router.post("/lists/subscribe")
def subscribe(desk: Annotated[Desk, at(Permission.REQUEST)], form: Form) -> Response:
    """Ask for a subscription to a feed of the catalogue."""
    ground = Ground.of(desk.services.snapshot(), desk.place.log)
    try:
        feed = catalogue.load(desk.services.data, ground.taxonomy.categories).get(form.text("feed"))
        if feed is None:
            raise Wrong({"feed": "choose a feed of the catalogue"})
        if len(form.text("reason")) < 3:
            raise Wrong({"reason": "say why, in a sentence: the headteacher decides on it"})
        with desk.write() as session:
            row = list_service.subscribe(
                desk.office, session, desk.place.log, feed, by=desk.visitor.person, reason=form.text("reason")
            )
    except Wrong as error:
        return show(desk, form, errors=error.fields, status=422)
    except LedgerMismatch:
        raise
    except ValueError as error:
        return show(desk, form, errors={"feed": str(error)}, status=422)
    return desk.go(f"/requests/{row.id}", "asked")


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
    if checks.fields or until is None or days is None:
        return show(desk, form, errors=checks.fields, status=422)
    draw = standing.mandate(desk, ["dictionary"], roles, until, days, glass=False)
    return standing.drafted(desk, form, "mandate", draw, "mandated", field="until", page="/lists", shows=show)


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text[:4]) <= 60:
        raise ValueError("give a number of days from 1 to 60")
    return int(text)
