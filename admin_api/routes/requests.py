"""/requests: asking for a change, and the page on which the headteacher decides."""
# ruff: noqa: FAST003 - {number} is read by `on(...)`, which finds the change and checks the permission

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import Response

from admin_api import words
from admin_api.ceremony import Given, passkey_asks
from admin_api.deps import Desk
from admin_api.filter_state import filter_state, wait
from admin_api.forms import Filled, Form, Wrong
from admin_api.hours import hours_typed, terms_typed
from admin_api.kinds import KINDS, OFFERED, wish
from admin_api.past import LONGEST, Preview, diff_of, preview
from admin_api.permissions import Case, at, on, open_acts
from admin_api.routes.sign_in import Wait
from admin_api.telling import Ground, actors, names, standing_sentence, tell
from change_control import adviser, list_service, screening, standing, talk
from change_control.authority import TIGHTENING, NotAllowed, Permission
from change_control.changes import Wish
from change_control.group_wishes import PHASE_WORDS
from change_control.keys import Locked, Signs
from change_control.ledger import LedgerMismatch
from change_control.lifecycle import NotPossible, State
from change_control.people import WrongCredentials
from change_control.people_wishes import ALERT_THEMES
from change_control.service import ChangedSinceShown
from change_control.tables import ChangeRow
from policy.proof import digest
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
    gone: str = "",
    does: str = "",
    phrase: str = "",
    theme: str = "",
    rule: str = "",
) -> Response:
    typed = {
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
        chosen=chosen,
        hours=hours_typed(chosen.windows) if chosen else "",
        terms=terms_typed(chosen.terms) if chosen else "",
        phases=PHASE_WORDS,
        themes=ALERT_THEMES,
        at_once=_at_once(desk, kind),
        categories=sorted(open_to_change, key=lambda one: one.name),
    )


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


def preview_of(desk: Desk, log: str, row: ChangeRow, patience: float = LONGEST) -> Preview:
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


# --- deciding ---------------------------------------------------------------------------------------------------------

type Doing = Callable[[Session, ChangeRow, Signs], State]


def decide(desk: Desk, change: int, given: Given, act: str, do: Doing) -> State:
    """One act on a change: what was given checked, the act done and recorded, in one transaction. Also the API's."""
    who = desk.visitor
    if seconds := desk.services.attempts.seconds(who.address, f"code of {who.person.id}"):
        raise Wait(seconds)
    _on_new_ground(desk, change, act)
    try:
        with desk.write() as session:
            row = session.get_one(ChangeRow, change, with_for_update=True)
            state = do(session, row, given.signer(desk, session, row.log, f"{act}:{change}"))
    except WrongCredentials:
        desk.services.attempts.failed(who.address, f"code of {who.person.id}")
        raise
    desk.note(act, "done", f"change {change}")
    if row.entry is not None:
        wait(desk.services, row.log, row.entry)
    return state


def _on_new_ground(desk: Desk, change: int, act: str) -> None:
    """Bring a request about lists onto the dictionary in force, if that is another one by now, and have it read once more.

    What has to be compiled for it is compiled here, before the transaction that needs it.
    """
    with desk.read() as session:
        row = session.get_one(ChangeRow, change)
        force = desk.office.book(session, row.log).in_force()
        if act == "reverse":
            desk.office.taken_back(session, row)
            return
        if force is None or row not in list_service.stale(session, row.log, force.document.dictionary):
            return
        log = row.log
        list(list_service.moved(desk.office, session, log))
    with desk.write() as session:
        list_service.renew(desk.office, session, log)
    raise ChangedSinceShown(
        "lists have changed since this was asked for, and it now stands on the new ones; read it once more"
    )


def _decided(desk: Desk, change: int, form: Filled, act: str, do: Doing, said: str) -> Response:
    """`decide`, and back to the page: with what was done, or with what was wrong."""
    try:
        state = decide(desk, change, Given.of(form), act, do)
    except (WrongCredentials, Locked) as error:
        desk.note(act, "refused", f"change {change}", str(error))
        return show(desk, change, error=str(error), status=403)
    except Wait as error:
        return show(desk, change, error=str(error), status=429)
    except (ChangedSinceShown, NotPossible) as error:
        return show(desk, change, error=str(error), status=409)
    except NotAllowed as error:
        desk.note(act, "refused", f"change {change}", str(error))
        return show(desk, change, error=str(error), status=403)
    return desk.go(f"/requests/{change}", "waits" if act == "approve" and state == State.REQUESTED else said)


@router.post("/requests/{number}/approve")
def approve(case: Annotated[Case, on(Permission.APPROVE, Permission.SECOND, Permission.DELEGATED)], form: Form) -> Response:
    """The head signs, or the second person agrees to the head's own request; which of them it takes, change_control says."""
    desk = case.desk
    return _decided(desk, case.id, form, "approve", signing(desk, desk.office.approve, form.text("digest")), "approved")


@router.post("/requests/{number}/ratify")
def ratify(case: Annotated[Case, on(Permission.RATIFY, Permission.DELEGATED)], form: Form) -> Response:
    desk = case.desk
    return _decided(desk, case.id, form, "ratify", signing(desk, desk.office.ratify, form.text("digest")), "ratified")


@router.post("/requests/{number}/reverse")
def reverse(case: Annotated[Case, on(Permission.REVERSE)], form: Form) -> Response:
    desk = case.desk
    return _decided(desk, case.id, form, "reverse", signing(desk, desk.office.reverse, form.text("digest")), "reversed")


def signing(desk: Desk, act: Callable[..., State], shown: str) -> Doing:
    """An act of change control that needs the visitor's signature over what was shown."""
    return lambda session, row, signer: act(session, row, desk.visitor.person, signer, shown)


@router.post("/requests/{number}/break-glass")
def break_glass(case: Annotated[Case, on(Permission.BREAK_GLASS)], form: Form) -> Response:
    """Two people whom a mandate names, one after the other; the second one's signature puts it in force."""
    desk = case.desk
    return _decided(desk, case.id, form, "break_glass", glass(desk, form.text("digest")), "glass")


def glass(desk: Desk, shown: str) -> Doing:
    def do(session: Session, row: ChangeRow, signer: Signs) -> State:
        if digest(row.diff) != shown:
            raise ChangedSinceShown("this is no longer what was shown; read it once more")
        return standing.break_glass(desk.office, session, row, desk.visitor.person, signer)

    return do


@router.post("/requests/{number}/head-code")
def head_code(case: Annotated[Case, on(Permission.REPLACE_HEAD)], form: Form) -> Response:
    """Answers with the page itself: the new headteacher's code is shown this once and kept nowhere."""
    desk, name = case.desk, form.text("name", 200)
    if len(name) < 2:
        return show(desk, case.id, error="give the new headteacher’s name", at_field="name", status=422)
    with desk.write() as session:
        code = desk.registry.invite_head(session, session.get_one(ChangeRow, case.id), name, desk.visitor.person)
    desk.note("replace_head", "done", f"change {case.id}")
    return show(desk, case.id, code=code)


@router.post("/requests/{number}/refuse")
def refuse(
    case: Annotated[Case, on(Permission.REFUSE, Permission.REPLACE_HEAD, Permission.DELEGATED, Permission.SCREEN)], form: Form
) -> Response:
    desk, reason = case.desk, form.text("reason")
    if len(reason) < 3:
        return show(desk, case.id, error="say why, in a sentence: whoever asked gets it", at_field="reason", status=422)
    with desk.write() as session:
        desk.office.refuse(session, session.get_one(ChangeRow, case.id), desk.visitor.person, reason)
    desk.note("refuse", "done", f"change {case.id}")
    return desk.go(f"/requests/{case.id}", "refused")


@router.post("/requests/{number}/withdraw")
def withdraw(case: Annotated[Case, on(Permission.REQUEST)], form: Form) -> Response:
    del form
    desk = case.desk
    with desk.write() as session:
        desk.office.withdraw(session, session.get_one(ChangeRow, case.id), desk.visitor.person)
    return desk.go(f"/requests/{case.id}", "withdrawn")


@router.post("/requests/{number}/request-reversal")
def request_reversal(case: Annotated[Case, on(Permission.REQUEST)], form: Form) -> Response:
    desk, reason = case.desk, form.text("reason")
    if len(reason) < 3:
        return show(desk, case.id, error=SAY_WHY, at_field="reason", status=422)
    with desk.read() as session:
        desk.office.taken_back(session, session.get_one(ChangeRow, case.id))  # compiled outside of the transaction
    with desk.write() as session:
        row = desk.office.request_reversal(session, session.get_one(ChangeRow, case.id), desk.visitor.person, reason)
    return desk.go(f"/requests/{row.id}", "asked")
