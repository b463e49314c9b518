"""Permission stands at the route: `desk: Annotated[Desk, at(Permission.READ_LOG)]`, `case: Annotated[Case, on(...)]`.

What is not allowed is raised here or by change_control, and turned into an answer and a line of the access log in app.py.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Request
from sqlalchemy.orm import Session

from admin_api.auth import COOKIE
from admin_api.deps import Desk, Place, Visitor, address, services
from change_control import screening, tokens
from change_control.authority import GLASS, NotAllowed, Permission, require
from change_control.changes import Diff, tightens
from change_control.lifecycle import State
from change_control.service import HEAD
from change_control.standing import mandate_for, signatures_of
from change_control.tables import ChangeRow, LogRow, RoleRow
from policy.grounds import undone

NUMBER = Path(ge=1, le=2**31 - 1)
type ChangeId = Annotated[int, NUMBER]
type School = Annotated[str, Query(max_length=64)]


class SignInFirst(Exception):
    """Nobody is signed in."""


class NotHere(LookupError):
    """There is no such thing, or it belongs to a school where the visitor has no role: the answer is the same."""


def _by_token(request: Request, text: str) -> Visitor:
    """Whoever made a token, as far as it reaches: at one school, for its scopes, and without a key to sign with."""
    desk = services(request)
    with desk.store.read() as session:
        token = tokens.accepted(session, text, desk.office.now())
        maker = desk.registry.person(session, token.person)
        row = session.get_one(LogRow, token.log)
    roles = maker.at(token.log)
    person = replace(maker, name=f"{maker.name} (by the token “{token.label}”)", roles={token.log: roles} if roles else {})
    places = (Place(row.id, row.name, row.tier, roles, scopes=token.scopes),) if roles else ()
    if desk.touches.due(f"token {token.id}"):
        with desk.store.write() as session:
            tokens.used(session, token.id, desk.office.now())
    return Visitor(person, "", address(request), places)


def visitor(request: Request) -> Visitor:
    """The signed-in person, or SignInFirst. On the API's paths a token stands for its maker."""
    desk = services(request)
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and request.url.path.startswith("/api/"):
        request.state.visitor = _by_token(request, text.strip())
        found_by_token: Visitor = request.state.visitor
        return found_by_token
    cookie = request.cookies.get(COOKIE, "")
    with desk.store.read() as session:
        person = desk.registry.signed_in(session, cookie)
        found = Visitor.of(session, person, cookie, address(request), desk.office) if person else None
    if found is None:
        raise SignInFirst
    if request.url.path not in BY_ITSELF and desk.touches.due(cookie):
        with desk.store.write() as session:
            desk.registry.touch(session, cookie)
    request.state.visitor = found
    return found


BY_ITSELF = frozenset({"/alarms/open"})  # what an open page asks without anybody at it: that keeps no session alive
SignedIn = Annotated[Visitor, Depends(visitor)]


def _place(request: Request, who: Visitor, log: str) -> Place:
    """The place that was asked for; the first one when none was named."""
    if not who.places:
        raise NotAllowed("you hold no role at any school; the headteacher can invite you")
    place = who.at(log) if log else who.places[0]
    if place is None:
        with services(request).store.read() as session:
            there = session.get(LogRow, log) is not None
        request.state.log = log if there else ""
        raise NotHere("there is no such school here")
    request.state.log = place.log
    return place


def _desk(request: Request, who: Visitor, place: Place, *permissions: Permission) -> Desk:
    request.state.act = permissions[0].value
    if not any(place.may(permission) for permission in permissions):
        if place.scopes is not None:
            raise NotAllowed(f"this token may not {permissions[0].replace('_', ' ')} here")
        require(place.roles, permissions[0], tier=place.tier)
    return Desk(services(request), request, who, place)


def desk_at(request: Request, who: Visitor, school: str, permission: Permission) -> Desk:
    """The desk at a school that the request names in its body."""
    return _desk(request, who, _place(request, who, school), permission)


def at(permission: Permission) -> Any:
    """The desk at the school named by `?school=`, if the visitor may do this there."""

    def found(request: Request, who: SignedIn, school: School = "") -> Desk:
        return desk_at(request, who, school, permission)

    return Depends(found)


@dataclass(frozen=True, slots=True)
class Case:
    """A change, and the desk at its school."""

    desk: Desk
    id: int


def on(*permissions: Permission) -> Any:
    """The change with the number in the path, if the visitor may do one of these at its school."""

    def found(request: Request, who: SignedIn, number: ChangeId) -> Case:
        with services(request).store.read() as session:
            row = session.get(ChangeRow, number)
            log = row.log if row else ""
        if not log:
            raise NotHere(f"there is no change {number}")
        if who.at(log) is None:
            request.state.log = log
            raise NotHere(f"there is no change {number}")
        return Case(_desk(request, who, _place(request, who, log), *permissions), number)

    return Depends(found)


def open_acts(desk: Desk, session: Session, row: ChangeRow, diff: Diff) -> frozenset[str]:
    """What this visitor could do with a change now, for the page to offer. The service decides when it is done."""
    place, me = desk.place, desk.visitor.person.id
    acts = set()
    if row.state == State.REQUESTED:
        head_role = "la_officer" if place.tier == "authority" else "headteacher"
        own = session.get(RoleRow, (row.requested_by, row.log, head_role)) is not None
        signed = any(one["person"] == me for one in signatures_of(session, row, "approve"))
        head = place.may(Permission.APPROVE)
        stands_in = row.kind in place.delegated and not own and row.requested_by != me
        if row.kind == HEAD:
            if place.may(Permission.REPLACE_HEAD):
                acts |= {"refuse"} if signed else {"agree", "refuse"}
        elif not signed and ((own and (head or place.may(Permission.SECOND))) or (head and row.requested_by != me)):
            acts.add("approve" if head else "agree")
        elif stands_in:
            acts.add("approve")
        screens = screening.may_screen(desk.office, session, row, desk.visitor.person)
        if screens:
            acts.add("pass_on")
        if row.kind != HEAD and (place.may(Permission.REFUSE) or stands_in or screens) and row.requested_by != me:
            acts.add("refuse")
        if (
            row.kind in GLASS
            and place.may(Permission.BREAK_GLASS)
            and mandate_for(desk.office, session, row.log, place.roles, row.kind, glass=True)
            and not any(one["person"] == me for one in signatures_of(session, row, "enforce"))
        ):
            acts.add("break_glass")
        if row.requested_by == me:
            acts.add("withdraw")
    if row.state == State.PROVISIONAL and place.may(Permission.RATIFY):
        acts |= {"ratify", "reverse"}
    elif row.state == State.PROVISIONAL and row.kind in place.delegated and row.requested_by != me:
        acts.add("ratify")
    if row.kind == HEAD and row.state == State.IN_FORCE:
        return frozenset({"head_code"} if place.may(Permission.REPLACE_HEAD) else ())
    if row.state == State.IN_FORCE:
        if place.may(Permission.REVERSE) and tightens(undone(diff)):
            acts.add("reverse")
        elif place.may(Permission.REQUEST):
            acts.add("request_reversal")
    return frozenset(acts)
