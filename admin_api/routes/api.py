"""/api/v1: the same services for scripts. Errors are {"error": "a plain sentence"}."""
# ruff: noqa: FAST003 - {number} is read by `on(...)`, which finds the change and checks the permission

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import select
from starlette.responses import JSONResponse, Response

from admin_api import words
from admin_api.auth import drop_cookie, set_cookie
from admin_api.deps import Desk, Visitor, services
from admin_api.eyes import eyes
from admin_api.filter_state import filter_state, problems
from admin_api.forms import EVERYONE, Filled, last_moment, moment, tidy
from admin_api.kinds import wish
from admin_api.permissions import Case, SignedIn, at, desk_at, on
from admin_api.routes import log as filter_log
from admin_api.routes import standing as pages
from admin_api.routes.changes import prove
from admin_api.routes.machine import behind
from admin_api.routes.requests import Given, decide, glass, preview_of, signing, submit
from admin_api.routes.rules import rules_in_force
from admin_api.routes.sign_in import Wait, sign_in
from admin_api.routes.today import list_ages
from admin_api.routes.why import answer
from admin_api.telling import Ground, Told, tell
from change_control import standing
from change_control.authority import Permission
from change_control.changes import Wish
from change_control.lifecycle import State
from change_control.people import WrongCredentials
from change_control.tables import ChangeRow, EntryRow, LogRow
from monitoring import export
from monitoring.log import Line
from monitoring.masks import Eyes, who_of
from policy.rules import SchoolPolicy, SiteRule, instant, write

type Text = Annotated[str, Field(max_length=2000), AfterValidator(tidy)]
type Json = Mapping[str, Any]
CLOSED = ConfigDict(extra="forbid")


class Error(BaseModel):
    """What went wrong, in one plain sentence."""

    error: str


_ERRORS: dict[int | str, dict[str, Any]] = {status: {"model": Error} for status in (400, 401, 403, 404, 409, 413, 422, 429)}
router = APIRouter(responses=_ERRORS)


# --- session ----------------------------------------------------------------------------------------------------------


class Credentials(BaseModel):
    """What a person signs in with."""

    model_config = CLOSED
    username: Text
    password: Annotated[str, Field(max_length=500)]
    totp: Annotated[str, Field(max_length=20)]


@router.post("/session", status_code=201)
def begin(request: Request, given: Credentials) -> Response:
    """Sign in; the answer sets the cookie."""
    try:
        cookie = sign_in(request, given.username, given.password, given.totp)
    except WrongCredentials as error:
        return JSONResponse({"error": str(error)}, 401)
    except Wait as error:
        return JSONResponse({"error": str(error)}, 429, headers={"Retry-After": str(error.seconds)})
    desk = services(request)
    with desk.store.read() as session:
        person = desk.registry.signed_in(session, cookie)
        who = Visitor.of(session, person, cookie, "") if person else None
    response = JSONResponse(_me(who) if who else {}, 201)
    set_cookie(response, cookie)
    return response


@router.get("/session")
def me(who: SignedIn) -> Json:
    """Who is signed in, with which roles where."""
    return _me(who)


@router.delete("/session")
def finish(request: Request, who: SignedIn) -> Response:
    """Sign out."""
    desk = services(request)
    with desk.store.write() as session:
        desk.registry.sign_out(session, who.cookie)
        for place in who.places:
            desk.office.access(session, "sign-out", "done", log=place.log, person=who.person.id, address=who.address)
    response = JSONResponse({"signed_in": False})
    drop_cookie(response)
    return response


def _me(who: Visitor) -> Json:
    return {
        "person": who.person.id,
        "name": who.person.name,
        "roles": {place.log: sorted(place.roles) for place in who.places},
    }


@router.get("/schools")
def schools(request: Request, who: SignedIn) -> Json:
    """The schools at which the signed-in person holds a role, and the authority if she holds one there."""
    snapshot = services(request).snapshot()
    return {
        "schools": [
            {
                "id": place.log,
                "name": place.name,
                "tier": place.tier,
                "roles": sorted(place.roles),
                "groups": [
                    {"id": group.id, "name": group.name, "phase": group.phase}
                    for group in (snapshot.schools[place.log].groups if place.log in snapshot.schools else ())
                ],
            }
            for place in who.places
        ]
    }


# --- changes ----------------------------------------------------------------------------------------------------------


class Asking(BaseModel):
    """A request for a change, with the fields of its kind's form at the desk.

    site: site, action, groups, during, until. category: category, action, groups, during, until. timetable: name, hours,
    terms, or timetable to change one, or gone. group: name, phase, group to change one. safety: group, safe_search "on" or
    "off", video "strict", "moderate" or "off" (left out: as safe_search). inspection: group, looks (some of "search",
    "video", "unknown", or "all" or "none" alone), wording "block", "tell" or "off". answer: answer "page", "nxdomain" or
    "null". tenants: google, microsoft (domains), directory. never_inspect, coursework: site, gone. video_site, platform:
    site, groups, until. suspension: groups or person, starts, until. unknown: sign "any", "looks_harmful" or "generated",
    action, groups, until. network: prefix, group, listener, forced, or network, the one that goes. `groups` left out or
    empty: everyone. `until`: 2026-12-18.
    """

    model_config = CLOSED
    school: Text = ""
    kind: Literal[
        "site",
        "category",
        "network",
        "timetable",
        "group",
        "safety",
        "answer",
        "unknown",
        "inspection",
        "tenants",
        "never_inspect",
        "coursework",
        "video_site",
        "platform",
        "suspension",
        "head",
    ]
    reason: Text
    site: Text = ""
    category: Text = ""
    action: Text = ""
    groups: Annotated[list[Text], Field(max_length=200)] = []
    until: Text = ""
    prefix: Text = ""
    group: Text = ""
    listener: Text = "*"
    during: Text = ""
    name: Text = ""
    hours: Text = ""
    terms: Text = ""
    timetable: Text = ""
    phase: Text = ""
    safe_search: Text = ""
    video: Text = ""
    answer: Text = ""
    sign: Text = ""
    looks: Annotated[list[Text], Field(max_length=5)] = []
    wording: Text = ""
    google: Text = ""
    microsoft: Text = ""
    directory: Text = ""
    person: Text = ""
    starts: Text = ""
    network: Text = ""
    forced: bool = False
    gone: bool = False
    mandatory: bool = False  # at the authority: above the schools' own rules
    phases: Annotated[list[Text], Field(max_length=10)] = []  # at the authority, for categories
    now: bool = False  # block at once, under a standing mandate that names your role

    def wish(self) -> Wish:
        texts = {name: (str(value),) for name, value in self if isinstance(value, str)}
        flags = {name: ("yes" if getattr(self, name) else "",) for name in ("forced", "gone", "mandatory")}
        lists = {"phases": tuple(self.phases), "looks": tuple(self.looks)}
        everyone = () if self.kind == "suspension" else (EVERYONE,)
        return wish(self.kind, Filled({**texts, **flags, **lists, "groups": tuple(self.groups) or everyone}))


class Deciding(BaseModel):
    """An act that is signed: the digest of the diff that was shown, and a code or a passkey's answer.

    The passkey's challenge is the SHA-256 of {"act":…,"log":…,"over":…}, canonical: the act ("approve", "ratify",
    "reverse", "enforce"), the school, and the digest. `assertion` is a JSON text of its id, authenticatorData,
    clientDataJSON and signature, each base64url.
    """

    model_config = CLOSED
    digest: Text
    totp: Annotated[str, Field(max_length=20)] = ""
    assertion: Annotated[str, Field(max_length=8000)] = ""

    @model_validator(mode="after")
    def signed_somehow(self) -> Self:
        if not self.totp and not self.assertion:
            raise ValueError("sign with a code (totp) or a passkey's answer (assertion)")
        return self

    @property
    def given(self) -> Given:
        return Given(self.totp, self.assertion)


class Reasoned(BaseModel):
    """An act that needs a reason."""

    model_config = CLOSED
    reason: Text


@router.get("/changes")
def all_changes(
    desk: Annotated[Desk, at(Permission.READ_CHANGES)],
    state: str = "",
    before: Annotated[int, Query(ge=0, le=2**31)] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Json:
    """Changes, newest first."""
    if state and state not in set(State):
        raise ValueError(f"there is no state {state[:40]!r}; there are: {', '.join(State)}")
    wanted = select(ChangeRow).where(ChangeRow.log == desk.place.log).order_by(ChangeRow.id.desc()).limit(limit)
    if state:
        wanted = wanted.where(ChangeRow.state == state)
    if before:
        wanted = wanted.where(ChangeRow.id < before)
    ground = Ground.of(desk.services.snapshot(), desk.place.log)
    with desk.read() as session:
        return {"changes": [_change(told) for told in tell(session, desk.services, ground, session.scalars(wanted))]}


@router.post("/changes", status_code=201)
def ask(request: Request, who: SignedIn, given: Asking) -> Json:
    """Ask for a change."""
    desk = desk_at(request, who, given.school, Permission.REQUEST)
    asked = given.wish()
    row = submit(desk, asked, given.reason, now=given.now)
    return _one(desk, row.id)


@router.get("/changes/{number}")
def one_change(case: Annotated[Case, on(Permission.READ_CHANGES)]) -> Json:
    """A change: what it does, where it stands, what it would have done to the last seven days."""
    return _one(case.desk, case.id, impact=True)


@router.post("/changes/{number}/approve")
def approve(case: Annotated[Case, on(Permission.APPROVE, Permission.SECOND, Permission.DELEGATED)], given: Deciding) -> Json:
    """Sign a request into force; the head's own also waits for the second person."""
    decide(case.desk, case.id, given.given, "approve", signing(case.desk, case.desk.office.approve, given.digest))
    return _one(case.desk, case.id)


@router.post("/changes/{number}/ratify")
def ratify(case: Annotated[Case, on(Permission.RATIFY, Permission.DELEGATED)], given: Deciding) -> Json:
    """Sign what a standing mandate let through."""
    decide(case.desk, case.id, given.given, "ratify", signing(case.desk, case.desk.office.ratify, given.digest))
    return _one(case.desk, case.id)


@router.post("/changes/{number}/reverse")
def reverse(case: Annotated[Case, on(Permission.REVERSE)], given: Deciding) -> Json:
    """Take back what is in force."""
    decide(case.desk, case.id, given.given, "reverse", signing(case.desk, case.desk.office.reverse, given.digest))
    return _one(case.desk, case.id)


@router.post("/changes/{number}/break-glass")
def break_glass(case: Annotated[Case, on(Permission.BREAK_GLASS)], given: Deciding) -> Json:
    """Two people whom a mandate names, one after the other; the second puts the change in force for 24 hours."""
    decide(case.desk, case.id, given.given, "break_glass", glass(case.desk, given.digest))
    return _one(case.desk, case.id)


@router.post("/changes/{number}/refuse")
def refuse(
    case: Annotated[Case, on(Permission.REFUSE, Permission.REPLACE_HEAD, Permission.DELEGATED)], given: Reasoned
) -> Json:
    """Say no to a request, with a reason."""
    desk = case.desk
    if len(given.reason.strip()) < 3:
        raise ValueError("say why, in a sentence: whoever asked gets it")
    with desk.write() as session:
        desk.office.refuse(session, session.get_one(ChangeRow, case.id), desk.visitor.person, given.reason.strip())
    desk.note("refuse", "done", f"change {case.id}")
    return _one(desk, case.id)


@router.post("/changes/{number}/withdraw")
def withdraw(case: Annotated[Case, on(Permission.REQUEST)]) -> Json:
    """Whoever asked no longer wants it."""
    desk = case.desk
    with desk.write() as session:
        desk.office.withdraw(session, session.get_one(ChangeRow, case.id), desk.visitor.person)
    return _one(desk, case.id)


@router.post("/changes/{number}/request-reversal", status_code=201)
def request_reversal(case: Annotated[Case, on(Permission.REQUEST)], given: Reasoned) -> Json:
    """Ask that a change in force be taken back; answers with the new request."""
    desk = case.desk
    with desk.read() as session:
        desk.office.taken_back(session, session.get_one(ChangeRow, case.id))  # compiled outside of the transaction
    with desk.write() as session:
        row = desk.office.request_reversal(session, session.get_one(ChangeRow, case.id), desk.visitor.person, given.reason)
    return _one(desk, row.id)


def _change(told: Told) -> dict[str, Any]:
    return {
        "id": told.id,
        "school": told.log,
        "kind": told.kind,
        "state": told.state,
        "sentence": told.sentence,
        "diff": told.diff,
        "digest": told.digest,
        "fingerprint": told.fingerprint,
        "requested_by": told.asked_by,
        "requested_at": instant(told.asked_at),
        "reason": told.reason,
        "until": _when(told.until),
        "decided_by": told.decided_by or None,
        "decided_at": _when(told.decided_at),
        "refusal": told.refusal or None,
        "ratify_by": _when(told.ratify_by),
        "reverses": told.reverses,
        "entry": told.entry,
    }


def _when(moment_: datetime | None) -> str | None:
    return instant(moment_) if moment_ else None


def _one(desk: Desk, change: int, *, impact: bool = False) -> Json:
    ground = Ground.of(desk.services.snapshot(), desk.place.log)
    with desk.read() as session:
        row = session.get_one(ChangeRow, change)
        (told,) = tell(session, desk.services, ground, [row])
    state = filter_state(desk.services)
    found = _change(told)
    on_how_many = state.on(told.log, told.entry) if told.entry is not None else 0
    found["in_force"] = {"on": on_how_many, "of": state.of}
    if impact:
        found["impact"] = _impact(desk, row) if row.state == State.REQUESTED else None
    return found


def _impact(desk: Desk, row: ChangeRow) -> Json:
    seen = preview_of(desk, row.log, row)
    counted = seen.impact
    return {
        "sentence": counted.sentence() if counted else seen.why_not,
        "looked_at": counted.looked_at if counted else None,
        "opened": counted.opened if counted else None,
        "opened_for": counted.opened_for if counted else None,
        "closed": counted.closed if counted else None,
        "closed_for": counted.closed_for if counted else None,
        "complete": bool(counted) and seen.all_of_it,
        "groups": [{"group": effect.group, "before": effect.before, "after": effect.after} for effect in seen.effects],
    }


# --- standing in ------------------------------------------------------------------------------------------------------


class Mandate(BaseModel):
    """A standing mandate. kinds: dictionary (take in lists), site and suspension (block at once); until: 2026-12-18."""

    model_config = CLOSED
    school: Text = ""
    kinds: Annotated[list[Text], Field(max_length=10)]
    roles: Annotated[list[Text], Field(max_length=20)]
    until: Text
    ratify_days: Annotated[int, Field(ge=1, le=60)] = 5
    break_glass: bool = False
    totp: Annotated[str, Field(max_length=20)]


class Delegation(BaseModel):
    """Who approves in the headteacher's place, which kinds, from and to which day."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    school: Text = ""
    person: Text
    kinds: Annotated[list[Text], Field(max_length=30)]
    begins: Annotated[Text, Field(alias="from")] = ""
    to: Text
    totp: Annotated[str, Field(max_length=20)]


class Ending(BaseModel):
    """A signed end: of a mandate or a delegation by its entry, or of a person's roles."""

    model_config = CLOSED
    school: Text = ""
    entry: Annotated[int, Field(ge=0, le=2**31)] = 0
    person: Text = ""
    totp: Annotated[str, Field(max_length=20)]


@router.get("/standing")
def standing_now(desk: Annotated[Desk, at(Permission.READ_CHANGES)]) -> Json:
    """The mandates and delegations in force, or signed for later."""
    return _standing(desk)


def _standing(desk: Desk) -> Json:
    with desk.read() as session:
        mandates = desk.office.mandates(session, desk.place.log)
        delegations = standing.delegations(desk.office, session, desk.place.log, also_later=True)
    return {
        "mandates": [{"entry": one["n"], **one["mandate"]} for one in mandates],
        "delegations": [{"entry": one["n"], **one["delegation"]} for one in delegations],
    }


@router.post("/standing/mandates", status_code=201)
def sign_mandate(request: Request, who: SignedIn, given: Mandate) -> Json:
    """Sign a standing mandate."""
    desk = desk_at(request, who, given.school, Permission.MANDATE)
    until = last_moment(given.until, words.ZONE)
    if until is None:
        raise ValueError("say until when, at most a year from now")
    do = pages.mandate(desk, given.kinds, given.roles, until, given.ratify_days, glass=given.break_glass)
    pages.signed(desk, given.totp, "mandate", do)
    return _standing(desk)


@router.post("/standing/delegations", status_code=201)
def sign_delegation(request: Request, who: SignedIn, given: Delegation) -> Json:
    """Sign a delegation."""
    desk = desk_at(request, who, given.school, Permission.DELEGATE)
    until = last_moment(given.to, words.ZONE)
    if until is None:
        raise ValueError("say until which day")
    do = pages.delegation(desk, given.person, tuple(given.kinds), moment(given.begins, words.ZONE), until)
    pages.signed(desk, given.totp, "delegate", do)
    return _standing(desk)


@router.post("/standing/revoke")
def revoke(request: Request, who: SignedIn, given: Ending) -> Json:
    """End a mandate or a delegation before its time."""
    desk = desk_at(request, who, given.school, Permission.MANDATE)
    pages.signed(desk, given.totp, "revoke", pages.revocation(desk, given.entry))
    return _standing(desk)


@router.post("/people/release")
def release(request: Request, who: SignedIn, given: Ending) -> Json:
    """End all roles of a person at a school."""
    desk = desk_at(request, who, given.school, Permission.RELEASE)
    pages.signed(desk, given.totp, "release", pages.releasing(desk, given.person))
    return {"released": given.person}


# --- looking ----------------------------------------------------------------------------------------------------------


@router.get("/rules")
def rules(desk: Annotated[Desk, at(Permission.READ_CHANGES)]) -> Json:
    """The rules in force of a school, with the change behind each, and the whole policy as it was signed."""
    snapshot = desk.services.snapshot()
    ground = Ground.of(snapshot, desk.place.log)
    with desk.read() as session:
        found = rules_in_force(session, desk, ground)
    document = ground.document
    return {
        "school": desk.place.log,
        "revision": snapshot.revisions.get(desk.place.log),
        "rules": [
            {
                "id": one.rule.id,
                "kind": "site" if isinstance(one.rule, SiteRule) else "category",
                "about": one.about,
                "action": one.rule.action,
                "groups": list(one.rule.groups),
                "until": _when(one.rule.until),
                "change": one.rule.change,
                "sentence": one.change.sentence if one.change else None,
            }
            for one in found
        ],
        "groups": [group.id for group in document.groups] if isinstance(document, SchoolPolicy) else [],
        "document": write(document),
    }


@router.get("/ledger")
def ledger(
    desk: Annotated[Desk, at(Permission.READ_CHANGES)],
    after: Annotated[int, Query(ge=-1, le=2**31)] = -1,
    limit: Annotated[int, Query(ge=1, le=1000)] = 500,
) -> Json:
    """The change log's entries after a number, as canonical texts, and the signed checkpoint."""
    log = desk.place.log
    with desk.read() as session:
        row = session.get_one(LogRow, log)
        wanted = select(EntryRow.text).where(EntryRow.log == log, EntryRow.n > after).order_by(EntryRow.n).limit(limit)
        return {"school": log, "size": row.size, "checkpoint": row.checkpoint, "entries": list(session.scalars(wanted))}


@router.get("/ledger/verify")
def verify(desk: Annotated[Desk, at(Permission.READ_CHANGES)]) -> Json:
    """Replay every change log of the installation: does everything agree?"""
    with desk.read() as session:
        proof = prove(session, desk)
    return {"agrees": proof.agrees, "entries": proof.size, "said": proof.said}


@router.get("/events")
def events(
    desk: Annotated[Desk, at(Permission.READ_LOG)],
    asked: Annotated[filter_log.Search, Depends(filter_log.search)],
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Json:
    """The filter log, newest first; `next` is the `after` of what follows. Each look is written into the access log."""
    query = filter_log.query_of(desk, asked, limit)
    found = filter_log.filter_log(desk)
    filter_log.note_search(desk, asked)
    page, sees = found.search(query), eyes(desk)
    return {
        "events": [_line(line, sees) for line in page.rows],
        "next": page.next,
        "looked_back": page.looked_back.isoformat() if page.looked_back else None,
    }


def _line(line: Line, sees: Eyes) -> Json:
    """A line under its pseudonym; with person, device and address only where the visitor has said why."""
    who = who_of(line)
    said = export.fields(line, lambda one: sees.name(who, one.group), named=sees.sees(who))
    return {**said, "at": line.at.isoformat(), "last": line.last.isoformat()}


@router.get("/why")
def why(
    desk: Annotated[Desk, at(Permission.READ_CHANGES)],
    site: Annotated[str, Query(max_length=2000)],
    group: Annotated[str, Query(max_length=100)],
    at: Annotated[str, Query(max_length=40)] = "",
) -> Json:
    """May this group open this site at this time? The one decision, said."""
    found = answer(desk.services.snapshot(), desk.place.log, group, site, moment(at, words.ZONE) or desk.office.now())
    decision = found.decision
    return {
        "asked": site,
        "school": desk.place.log,
        "group": group,
        "at": instant(found.question.at),
        "action": decision.action,
        "handling": decision.handling,
        "until": _when(decision.until),
        "category": decision.category,
        "reason": decision.reason,
        "rule": decision.rule,
        "list": decision.list,
        "list_version": decision.list_version,
        "change": decision.change,
        "revision": decision.revision,
        "sentence": found.sentence,
    }


@router.get("/lists")
def lists(desk: Annotated[Desk, at(Permission.READ_CHANGES)]) -> Json:
    """The lists that a school decides with."""
    ground = Ground.of(desk.services.snapshot(), desk.place.log)
    return {
        "dictionary": ground.document.dictionary,
        "lists": [
            {"id": one.id, "category": one.category, "version": one.version, "entries": one.entries, "days_old": one.days}
            for one in list_ages(desk, ground)
        ],
    }


@router.get("/status")
def status(desk: Annotated[Desk, at(Permission.READ_SYSTEM)]) -> Json:
    """How the filter is running."""
    snapshot = desk.services.snapshot()
    state = filter_state(desk.services)
    log = desk.place.log
    revision = snapshot.revisions.get(log, -1)
    return {
        "generation": snapshot.generation,
        "revision": revision,
        "in_force": {"on": state.on(log, revision), "of": state.of},
        "workers": [
            {"name": worker.name, "generation": worker.generation, "revision": worker.revisions.get(log)}
            for worker in state.workers
        ],
        "problems": problems(desk, snapshot, state),
        "spool_behind_bytes": behind(desk.services),
    }
