"""/requests: asking for a change, and the page on which the headteacher decides (what she then does: acts.py)."""
# ruff: noqa: FAST003 - {number} is read by `on(...)`, which finds the change and checks the permission

import logging
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import Response

from admin_api import words
from admin_api.ceremony import passkey_asks
from admin_api.deps import Desk
from admin_api.filter_state import filter_state, wait
from admin_api.forms import Filled, Form, Wrong
from admin_api.hours import hours_typed, terms_typed
from admin_api.kinds import KINDS, OFFERED, wish
from admin_api.past import LONGEST, Preview, diff_of, preview
from admin_api.permissions import Case, at, on, open_acts
from admin_api.telling import Ground, actors, names, standing_sentence, tell
from change_control import adviser, screening, standing, talk
from change_control.authority import TIGHTENING, NotAllowed, Permission
from change_control.changes import Wish
from change_control.group_wishes import PHASE_WORDS
from change_control.ledger import LedgerMismatch
from change_control.lifecycle import State
from change_control.people_wishes import ALERT_THEMES
from change_control.tables import ChangeRow
from policy.passages import Way, way_of
from policy.rules import SchoolPolicy

logger = logging.getLogger(__name__)
router = APIRouter()
A_PAGE = 25
SAY_WHY = "say why, in a sentence: the headteacher decides on it"


# --- the list ---------------------------------------------------------------------------------------------------------


@router.get("/requests")
def all_requests(
    desk: Annotated[Desk, at(Permission.READ_CHANGES)],
    state: str = "",
    before: Annotated[int, Query(ge=0, le=2**31)] = 0,
    said: str = "",
) -> Response:
    wanted = select(ChangeRow).where(ChangeRow.log == desk.place.log).order_by(ChangeRow.id.desc()).limit(A_PAGE + 1)
    if before:
        wanted = wanted.where(ChangeRow.id < before)
    known = state if state in words.STATES else ""
    if known:
        wanted = wanted.where(ChangeRow.state == known)
    ground = Ground.of(desk.services.snapshot(), desk.place.log)
    with desk.read() as session:
        rows = list(session.scalars(wanted))
        told = tell(session, desk.services, ground, rows[:A_PAGE])
    more = rows[A_PAGE - 1].id if len(rows) > A_PAGE else None
    return desk.page("requests.html", told=told, state=known, more=more, said=said)


# --- asking -----------------------------------------------------------------------------------------------------------


@router.get("/requests/new")
def new_request(
    desk: Annotated[Desk, at(Permission.REQUEST)],
    kind: str = "",
    site: str = "",
    group: str = "",
    category: str = "",
    action: str = "",
    timetable: str = "",
    network: str = "",
    prefix: str = "",
    gone: str = "",
    does: str = "",
    phrase: str = "",
    theme: str = "",
    rule: str = "",
    role: str = "",
) -> Response:
    typed = {
        "role": (role[:121],),
        "does": (does[:10],),
        "phrase": (phrase[:80],),
        "theme": (theme[:40],),
        "rule": (rule[:64],),
        "site": (site[:500],),
        "groups": (group,) if group else (),
        "group": (group,),
        "category": (category,),
        "action": (action,),
        "timetable": (timetable,),
        "network": (network,),
        "prefixes": (prefix[:60],) if prefix else (),
        "gone": (gone,),
    }
    return _new(desk, kind, Filled(typed))


def _new(desk: Desk, kind: str, typed: Filled, errors: dict[str, str] | None = None, status: int = 200) -> Response:
    ground = Ground.of(desk.services.snapshot(), desk.place.log)
    school = ground.document if isinstance(ground.document, SchoolPolicy) else None
    tables = school.timetables if school else ()
    chosen = next((table for table in tables if table.id == typed.text("timetable")), None)
    open_to_change = [one for one in ground.taxonomy.categories.values() if not one.locked and not one.essential]
    return desk.page(
        "request_new.html",
        status,
        kind=KINDS.get(kind),
        kinds=[KINDS[one] for one in (OFFERED if school else ("site", "category"))],
        typed=typed,
        errors=errors or {},
        groups=school.groups if school else (),
        timetables=tables,
        networks=school.networks if school else (),
        way=_way(school, typed),
        chosen=chosen,
        hours=hours_typed(chosen.windows) if chosen else "",
        terms=terms_typed(chosen.terms) if chosen else "",
        phases=PHASE_WORDS,
        themes=ALERT_THEMES,
        at_once=_at_once(desk, kind),
        categories=sorted(open_to_change, key=lambda one: one.name),
    )


def _way(school: SchoolPolicy | None, typed: Filled) -> Way:
    """What a form about a network begins from: what was typed, or else what holds for the first of those chosen."""
    held = next((one for one in school.passages if one.prefix in typed.many("prefixes")), None) if school else None
    if typed.text("ports") or typed.text("filtered") or held is None:
        ports = tuple(typed.text("ports").split())
        return Way(ports, typed.many("reach"), typed.text("filtered") != "no", typed.text("when_dead") or "closed")
    return way_of(held)


def _at_once(desk: Desk, kind: str) -> bool:
    """May this visitor block at once, under a standing mandate?"""
    if kind not in TIGHTENING or not desk.place.may(Permission.TIGHTEN):
        return False
    with desk.read() as session:
        log, roles = desk.place.log, desk.place.roles
        return standing.mandate_for(desk.office, session, log, roles, kind, glass=False) is not None


@router.post("/requests/new")
def ask(desk: Annotated[Desk, at(Permission.REQUEST)], form: Form) -> Response:
    kind = form.text("kind")
    try:
        asked = _asked(kind, form)
        row = submit(desk, asked, form.text("reason"), now=form.text("now") == "yes")
    except Wrong as error:
        return _new(desk, kind, form, error.fields, 422)
    except LedgerMismatch:
        raise
    except ValueError as error:  # what only the policy knows: a locked category, a network of another school
        return _new(desk, kind, form, {KINDS[kind].about: str(error)}, 422)
    return desk.go(f"/requests/{row.id}", "enforced" if row.state == State.PROVISIONAL else "asked")


def submit(desk: Desk, asked: Wish, reason: str, *, now: bool) -> ChangeRow:
    """Ask for a change; `now`: put it in force at once under a mandate that names the visitor. Also the API's."""
    who = desk.visitor
    try:
        with desk.write() as session:
            source = "desk" if desk.place.scopes is None else "api"  # a token's
            row = desk.office.request(session, desk.place.log, asked, by=who.person, reason=reason, source=source)
            if now:
                signer = replace(desk.registry.signer(session, who.cookie, desk.place.log), factor="session")
                standing.tighten(desk.office, session, row, who.person, signer)
    except NotAllowed as error:
        if not now:
            raise
        raise Wrong({"now": str(error)}) from None
    if now:
        desk.note("tighten", "done", f"change {row.id}")
        if row.entry is not None:
            wait(desk.services, row.log, row.entry)
    return row


def _asked(kind: str, form: Filled) -> Wish:
    """The wish and its reason; what is wrong with either is said at once."""
    unsaid = {"reason": SAY_WHY} if len(form.text("reason")) < 3 else {}
    try:
        found = wish(kind, form)
    except Wrong as error:
        raise Wrong({**error.fields, **unsaid}) from None
    if unsaid:
        raise Wrong(unsaid)
    return found


# --- the approval page ------------------------------------------------------------------------------------------------


@router.get("/requests/{number}")
def one_request(case: Annotated[Case, on(Permission.READ_CHANGES)], said: str = "") -> Response:
    return show(case.desk, case.id, said=said)


def show(
    desk: Desk,
    change: int,
    *,
    said: str = "",
    error: str = "",
    at_field: str = "code",
    status: int = 200,
    code: str = "",
) -> Response:
    """The approval page, with what went wrong just now."""
    snapshot = desk.services.snapshot()
    ground = Ground.of(snapshot, desk.place.log)
    with desk.read() as session:
        row = session.get_one(ChangeRow, change)
        first = talk.asked_first(session, desk.office, row)
        said_before = talk.talk(session, change)
        may_ask = talk.may_ask(desk.office, session, row, desk.visitor.person)
        like = len(talk.alike(session, desk.office, row)) if row.state == State.REQUESTED else 0
        (told,) = tell(session, desk.services, ground, [row])
        acts = open_acts(desk, session, row, told.diff)
        signed = names(session, (str(one["person"]) for one in standing.signatures_of(session, row, "approve")))
        waiting_before = _place_in_line(session, row)
        glass_signed = sorted(
            names(session, (str(one["person"]) for one in standing.signatures_of(session, row, "enforce"))).values()
        )
        under = _rests_on(desk, session, row)
        with_teacher = screening.is_with_teacher(desk.office, session, row)
        passed_on = desk.office.detail(session, change, "passed-on")
        passkeys = passkey_asks(desk, session, row) if acts else {}
    impact = preview_of(desk, told.log, row) if row.state == State.REQUESTED else None
    state = filter_state(desk.services)
    narrower = "approve" in acts and row.requested_by != desk.visitor.person.id and adviser.opening(told.diff)
    document = ground.document
    offered = (
        adviser.proposals(document, told.diff, impact.evidence, row.group, desk.office.now())
        if narrower and impact and isinstance(document, SchoolPolicy)
        else ()
    )
    return desk.page(
        "request.html",
        status,
        change=told,
        acts=acts,
        preview=impact,
        number=change,
        signed=sorted(signed.values()) if row.state == State.REQUESTED else [],
        line=waiting_before,
        state=state,
        in_force=state.on(told.log, told.entry) if told.entry is not None else 0,
        said=said,
        error=error,
        at_field=at_field,
        code=code,
        glass_signed=glass_signed,
        under=under,
        with_teacher=with_teacher,
        passed_on=passed_on,
        passkeys=passkeys,
        first=ground.sentence(first) if first else "",
        talk=said_before,
        may_ask=may_ask,
        may_answer=talk.may_answer(row, desk.visitor.person, desk.place.tier),
        like=like if "approve" in acts else 0,
        narrower=narrower or None,
        groups=document.groups if isinstance(document, SchoolPolicy) else (),
        timetables=document.timetables if isinstance(document, SchoolPolicy) else (),
        offered=offered,
    )


def _rests_on(desk: Desk, session: Session, row: ChangeRow) -> str:
    """The delegation or the mandate that a change rests on, in a sentence; "" for the headteacher's own signature."""
    if row.entry is None:
        return ""
    rests = desk.office.book(session, row.log).entry(row.entry).get("rests_on") or {}
    number = rests.get("delegation", rests.get("mandate", rests.get("subscription")))
    if number is None:
        return ""
    entry = desk.office.book(session, row.log).entry(int(number))
    return f"{standing_sentence(entry, names(session, actors(entry)), None)} (entry {number} of the change log)"


def _place_in_line(session: Session, row: ChangeRow) -> tuple[int, int] | None:
    """This is the first, second ... of so many that wait."""
    if row.state != State.REQUESTED:
        return None
    ids = list(
        session.scalars(
            select(ChangeRow.id).where(ChangeRow.log == row.log, ChangeRow.state == State.REQUESTED).order_by(ChangeRow.id)
        )
    )
    return ids.index(row.id) + 1, len(ids)


UNCOUNTED = {  # kinds of change for which past traffic, judged once more, would say that nothing changes
    "passage": "It is about ports and networks, not about sites, so the filter log has nothing to compare with.",
    "portal": "It is about who signs in, and in the filter log of before nobody had, so there is nothing to compare with.",
}


def preview_of(desk: Desk, log: str, row: ChangeRow, patience: float = LONGEST) -> Preview:
    if why_not := UNCOUNTED.get(row.kind):
        return Preview(why_not=why_not)
    try:
        return preview(
            desk.services.snapshot(),
            desk.office.dictionaries.objects,
            desk.services.log,
            log,
            diff_of(row.diff),
            desk.office.now(),
            desk.services.counts,
            patience=patience,
        )
    except Exception:
        # The count is a help, not a condition: without it she can still read what the change does, and decide.
        logger.exception("could not work out what change %s would have done", row.id)
        return Preview(why_not="Past traffic could not be counted just now. The filter log did not answer.")
