"""/api/v1/standing: mandates, delegations and what ends them."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from admin_api import words
from admin_api.api_shapes import CLOSED, Json, Text
from admin_api.ceremony import Given, signed
from admin_api.deps import Desk
from admin_api.forms import last_moment, moment
from admin_api.permissions import SignedIn, at, desk_at
from admin_api.routes import standing as pages
from change_control import standing
from change_control.authority import Permission

router = APIRouter()


PASSKEYS = "A passkey answers on the desk's own pages alone, so what is signed by API is signed with a code."


class Mandate(BaseModel):
    """A standing mandate. kinds: dictionary (take in lists), site and suspension (block at once); until: 2026-12-18."""

    model_config = CLOSED
    school: Text = ""
    kinds: Annotated[list[Text], Field(max_length=10)]
    roles: Annotated[list[Text], Field(max_length=20)]
    until: Text
    ratify_days: Annotated[int, Field(ge=1, le=60)] = 5
    break_glass: bool = False
    totp: Annotated[str, Field(max_length=20, description=PASSKEYS)]


class Delegation(BaseModel):
    """Who approves in the headteacher's place, which kinds, from and to which day.

    kinds: ["pupil_requests"] names who looks first at what pupils ask for; groups: of which groups, if not of all.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    school: Text = ""
    person: Text
    kinds: Annotated[list[Text], Field(max_length=30)]
    begins: Annotated[Text, Field(alias="from")] = ""
    to: Text
    groups: Annotated[list[Text], Field(max_length=50)] = []
    totp: Annotated[str, Field(max_length=20, description=PASSKEYS)]


class Ending(BaseModel):
    """A signed end: of a mandate or a delegation by its entry, or of a person's roles."""

    model_config = CLOSED
    school: Text = ""
    entry: Annotated[int, Field(ge=0, le=2**31)] = 0
    person: Text = ""
    totp: Annotated[str, Field(max_length=20, description=PASSKEYS)]


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


def _sign(desk: Desk, code: str, act: str, draw: pages.Drawing) -> None:
    office, log, who = desk.office, desk.place.log, desk.visitor.person
    signed(desk, Given(code), act, lambda session, sign: standing.write(office, session, log, who, act, draw(session), sign))


@router.post("/standing/mandates", status_code=201)
def sign_mandate(request: Request, who: SignedIn, given: Mandate) -> Json:
    """Sign a standing mandate."""
    desk = desk_at(request, who, given.school, Permission.MANDATE)
    until = last_moment(given.until, words.ZONE)
    if until is None:
        raise ValueError("say until when, at most a year from now")
    draw = pages.mandate(desk, given.kinds, given.roles, until, given.ratify_days, glass=given.break_glass)
    _sign(desk, given.totp, "mandate", draw)
    return _standing(desk)


@router.post("/standing/delegations", status_code=201)
def sign_delegation(request: Request, who: SignedIn, given: Delegation) -> Json:
    """Sign a delegation."""
    desk = desk_at(request, who, given.school, Permission.DELEGATE)
    until = last_moment(given.to, words.ZONE)
    if until is None:
        raise ValueError("say until which day")
    draw = pages.delegation(desk, given.person, tuple(given.kinds), moment(given.begins, words.ZONE), until, given.groups)
    _sign(desk, given.totp, "delegate", draw)
    return _standing(desk)


@router.post("/standing/revoke")
def revoke(request: Request, who: SignedIn, given: Ending) -> Json:
    """End a mandate or a delegation before its time."""
    desk = desk_at(request, who, given.school, Permission.MANDATE)
    signed(desk, Given(given.totp), "revoke", pages.revocation(desk, given.entry))
    return _standing(desk)


@router.post("/people/release")
def release(request: Request, who: SignedIn, given: Ending) -> Json:
    """End all roles of a person at a school."""
    desk = desk_at(request, who, given.school, Permission.RELEASE)
    signed(desk, Given(given.totp), "release", pages.releasing(desk, given.person))
    return {"released": given.person}
