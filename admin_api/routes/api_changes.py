"""/api/v1/changes: ask, look, sign, refuse; the same acts as the pages', for scripts."""
# ruff: noqa: FAST003 - {number} is read by `on(...)`, which finds the change and checks the permission

from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field, model_validator
from sqlalchemy import select

from admin_api.api_shapes import CLOSED, Json, Text, when
from admin_api.ceremony import Given
from admin_api.deps import Desk
from admin_api.filter_state import filter_state
from admin_api.forms import EVERYONE, Filled
from admin_api.kinds import wish
from admin_api.permissions import Case, SignedIn, at, desk_at, on
from admin_api.routes.acts import decide, glass, signing
from admin_api.routes.requests import preview_of, submit
from admin_api.telling import Ground, Told, tell
from change_control import screening
from change_control.authority import Permission
from change_control.changes import Wish
from change_control.lifecycle import State
from change_control.tables import ChangeRow
from policy.rules import instant

router = APIRouter()


class Asking(BaseModel):
    """A request for a change, with the fields of its kind's form at the desk.

    site: site, action, groups, during, until. category: category, action, groups, during, until. timetable: name, hours,
    terms, or timetable to change one, or gone. group: name, phase, group to change one. safety: group, safe_search "on" or
    "off", video "strict", "moderate" or "off" (left out: as safe_search). inspection: group, looks (some of "search",
    "video", "unknown", or "all" or "none" alone), wording "block", "tell" or "off". answer: answer "page", "nxdomain" or
    "null". tenants: google, microsoft (domains), directory. never_inspect, coursework: site, gone. video_site, platform:
    site, groups, until. suspension: groups or person, starts, until. unknown: sign "any", "looks_harmful" or "generated",
    action, groups, until. network: prefix, group, listener, forced, or network, the one that goes. belonging: group ("none":
    their network's again), and devices (ids of the register), user or role. portal:
    networks (their ids), mode "required", "offered" or "off". passage: prefixes (of the school's networks),
    ports ("tcp/993 udp/5000-5100", or "all"), reach (prefixes), filtered "yes" or "no", when_dead "closed" or "direct"; what
    is left out is nothing, filtered, closed. `groups` left out or empty: everyone. `until`:
    2026-12-18.
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
        "belonging",
        "passage",
        "portal",
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
    devices: Annotated[list[Text], Field(max_length=2000)] = []
    user: Text = ""
    role: Text = ""
    prefixes: Annotated[list[Text], Field(max_length=200)] = []
    ports: Text = ""
    reach: Annotated[list[Text], Field(max_length=200)] = []
    filtered: Text = ""
    when_dead: Text = ""
    networks: Annotated[list[Text], Field(max_length=200)] = []
    mode: Text = ""
    forced: bool = False
    gone: bool = False
    mandatory: bool = False  # at the authority: above the schools' own rules
    phases: Annotated[list[Text], Field(max_length=10)] = []  # at the authority, for categories
    now: bool = False  # block at once, under a standing mandate that names your role

    def wish(self) -> Wish:
        texts = {name: (str(value),) for name, value in self if isinstance(value, str)}
        flags = {name: ("yes" if getattr(self, name) else "",) for name in ("forced", "gone", "mandatory")}
        many = ("phases", "looks", "devices", "networks", "prefixes", "reach")
        lists = {name: tuple(getattr(self, name)) for name in many}
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
    case: Annotated[Case, on(Permission.REFUSE, Permission.REPLACE_HEAD, Permission.DELEGATED, Permission.SCREEN)],
    given: Reasoned,
) -> Json:
    """Say no to a request, with a reason."""
    desk = case.desk
    if len(given.reason.strip()) < 3:
        raise ValueError("say why, in a sentence: whoever asked gets it")
    with desk.write() as session:
        desk.office.refuse(session, session.get_one(ChangeRow, case.id), desk.visitor.person, given.reason.strip())
    desk.note("refuse", "done", f"change {case.id}")
    return _one(desk, case.id)


@router.post("/changes/{number}/pass-on")
def pass_on(case: Annotated[Case, on(Permission.SCREEN)], given: Reasoned) -> Json:
    """The teacher whom the headteacher named puts a pupil's request before her, with a word of her own."""
    desk = case.desk
    with desk.write() as session:
        screening.pass_on(desk.office, session, session.get_one(ChangeRow, case.id), desk.visitor.person, given.reason)
    desk.note("pass_on", "done", f"change {case.id}")
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
        "until": when(told.until),
        "decided_by": told.decided_by or None,
        "decided_at": when(told.decided_at),
        "refusal": told.refusal or None,
        "ratify_by": when(told.ratify_by),
        "reverses": told.reverses,
        "entry": told.entry,
    }


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
