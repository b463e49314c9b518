"""/guests: codes for the sign-in page, and who has signed in there just now.

A code says who somebody is; whose rules hold for guests with a code is signed (change_control/guests.py). So issuing and
revoking are acts in the access log, and no change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import Annotated, Any, Final

from fastapi import APIRouter
from starlette.responses import Response

from admin_api import words
from admin_api.deps import Desk
from admin_api.eyes import filter_log
from admin_api.forms import Checks, Filled, Form, Wrong, last_moment, moment
from admin_api.permissions import at
from admin_api.routes.devices import document
from admin_api.telling import names
from change_control import guests
from change_control.authority import Permission
from change_control.keys import secret_of
from monitoring import devices
from policy.doors import ask, portal_door

router = APIRouter()
_HANDING_OVER = Lock()  # the file is written by one at a time, so that the last one wrote what holds
PATIENCE_S: Final = 2.0  # for the keeper of the portal, which answers at once
type Sees = Annotated[Desk, at(Permission.READ_GUESTS)]
type Issues = Annotated[Desk, at(Permission.GUESTS)]


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody who has signed in at the portal."""

    key: str
    name: str
    code: str
    device: str
    called: str
    addresses: tuple[str, ...]
    at: datetime
    until: datetime


@router.get("/guests")
def page(desk: Sees, said: str = "") -> Response:
    return _show(desk, said=said)


def _show(
    desk: Desk,
    *,
    said: str = "",
    made: str = "",
    typed: Filled | None = None,
    errors: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    now, policy = desk.office.now(), document(desk)
    with desk.read() as session:
        rows = guests.of_log(session, desk.place.log)
        who = names(session, {row.person for row in rows})
    keeper = _asked(desk, "sessions", {})
    here = _here(desk, keeper) if keeper else []
    in_use = {row.id: sum(one.code == row.id for one in here) for row in rows}
    prefixes = {each.id: each.prefix for each in policy.networks}
    usual = f"{words.local(now):%Y-%m-%d}"
    return desk.page(
        "guests.html",
        status,
        here=here,
        keeper=keeper is not None,
        rows=[(row, who[row.person], _standing(row, now), in_use[row.id]) for row in rows],
        groups=guests.groups(policy),
        unsigned=[group for group in policy.groups if group.id not in guests.groups(policy)],
        portals=[(prefixes[each.network], each) for each in policy.portals if each.network in prefixes],
        said=said,
        made=made,
        typed=typed or Filled({"until": (usual,), "devices": ("1",)}),
        errors=errors or {},
    )


def _standing(row: Any, now: datetime) -> str:
    if row.revoked:
        return "revoked"
    return "ended" if row.ends <= now else "early" if row.starts > now else "good"


def _here(desk: Desk, told: Mapping[str, Any]) -> list[SignedIn]:
    """Who is signed in at this school."""
    some = [one for one in told.get("sessions", ()) if one["school"] == desk.place.log]
    seen = [one["device"] for one in some if one["device"]] if desk.place.may(Permission.READ_DEVICES) else []
    called = devices.called(filter_log(desk), desk.place.log, seen) if seen else {}
    found = [
        SignedIn(
            one["key"], one["name"], one["code"], one["device"], called.get(one["device"], ""), tuple(one["addresses"]),
            datetime.fromtimestamp(one["at"], UTC), datetime.fromtimestamp(one["until"], UTC),
        )
        for one in some
    ]  # fmt: skip
    return sorted(found, key=lambda one: one.at, reverse=True)


def _asked(desk: Desk, act: str, more: Mapping[str, str]) -> Mapping[str, Any] | None:
    """What the keeper of the portal says; None where there is none just now."""
    try:
        return ask(portal_door(desk.services.data), {"act": act, **more}, PATIENCE_S)
    except (OSError, ValueError):
        return None


@router.post("/guests")
def issue(desk: Issues, form: Form) -> Response:
    """Answers with the page itself: the code is shown this once and kept nowhere."""
    try:
        starts, ends, count = _times(desk, form)
        with desk.services.store.write() as session:
            made = guests.issue(
                session,
                secret_of(desk.services.data / "secrets" / "portal.key"),
                document(desk),
                person=desk.visitor.person.id,
                label=form.text("label", 80),
                group=form.text("group", 64),
                devices=count,
                starts=starts,
                ends=ends,
                now=desk.office.now(),
            )
    except Wrong as wrong:
        return _show(desk, typed=form, errors=wrong.fields, status=422)
    except ValueError as error:
        return _show(desk, typed=form, errors={"label": str(error)}, status=422)
    _hand_over(desk)
    group = form.text("group", 64) or "its network’s group"
    desk.note("guests", "done", f"a code for {form.text('label', 60)}: {count} devices, {group}, until {ends:%Y-%m-%d %H:%M}")
    return _show(desk, made=made, typed=Filled({"label": (form.text("label", 60),)}))


def _times(desk: Desk, form: Filled) -> tuple[datetime, datetime, int]:
    wrong, now = Checks(), desk.office.now()
    ends = wrong.check("until", lambda: last_moment(form.text("until"), words.ZONE))
    starts = wrong.check("starts", lambda: moment(form.text("starts"), words.ZONE))
    count = form.text("devices", 5)
    if not (count.isascii() and count.isdecimal()):
        wrong.fields["devices"] = "say on how many devices at a time, as a number"
    if ends is None and "until" not in wrong.fields:
        wrong.fields["until"] = "say until which day"
    wrong.done()
    return starts or now, ends or now, int(count)


def _hand_over(desk: Desk) -> None:
    with _HANDING_OVER, desk.services.store.write() as session:
        guests.hand_over(session, desk.services.data, desk.office.now())


@router.post("/guests/revoke")
def revoke(desk: Issues, form: Form) -> Response:
    with desk.services.store.write() as session:
        row = guests.revoke(session, desk.place.log, form.text("code_id", 40), desk.office.now())
        label = row.label
    _hand_over(desk)
    desk.note("guests", "done", f"revoked the code for {label}")
    return desk.go("/guests", "guest-revoked")


@router.post("/guests/end")
def end(desk: Issues, form: Form) -> Response:
    """End one sign-in. Its code holds on, so whoever has it can sign in again."""
    told = _asked(desk, "end", {"school": desk.place.log, "session": form.text("session", 64)})
    if told is None:
        return _show(desk, errors={"session": "the process that keeps sign-ins does not answer; try again"}, status=503)
    desk.note("guests", "done", f"ended the sign-in {form.text('session', 64)}")
    return desk.go("/guests", "guest-ended")
