"""/devices: the register of what is in the school's networks. Names are given here; whose rules hold is asked for."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.responses import Response

from admin_api.deps import Desk
from admin_api.eyes import filter_log
from admin_api.forms import Filled, Form, tidy
from admin_api.permissions import at
from admin_api.routes.requests import submit
from change_control.authority import Permission
from change_control.device_wishes import BelongingWish
from change_control.diffs import InForceAlready
from change_control.keys import secret_of
from monitoring import devices
from monitoring.devices import A_PAGE, MOST_ROWS, STANDINGS, Device, Names, Wanted
from policy.rules import SchoolPolicy

router = APIRouter()
type Sees = Annotated[Desk, at(Permission.READ_DEVICES)]
type Describes = Annotated[Desk, at(Permission.DEVICES)]
type Text = Annotated[str, Query(max_length=200)]
LONGEST_TABLE = 1_000_000
HERE = timedelta(minutes=15)
NAMED = 12  # devices that a request names in its reason


def document(desk: Desk) -> SchoolPolicy:
    """The school's policy; LookupError at the authority, which has no devices."""
    found = desk.services.snapshot().schools.get(desk.place.log)
    if found is None:
        raise LookupError("devices belong to schools; choose one")
    return found


def groups_of(policy: SchoolPolicy) -> dict[str, str]:
    """Devices with a group of their own."""
    return {each.device: each.group for each in policy.belongings if each.device}


@router.get("/devices")
def register(
    desk: Sees, words: Text = "", standing: Text = "", after: Annotated[int, Query(ge=0, le=MOST_ROWS)] = 0, said: str = ""
) -> Response:
    return _show(desk, Wanted(tidy(words), standing if standing in STANDINGS or standing == "none" else ""), after, said=said)


def _show(
    desk: Desk,
    wanted: Wanted,
    after: int = 0,
    *,
    said: str = "",
    errors: Mapping[str, str] | None = None,
    wrong: tuple[str, ...] = (),
    typed: Filled | None = None,
    status: int = 200,
) -> Response:
    policy, log, school = document(desk), filter_log(desk), desk.place.log
    found = devices.search(log, school, wanted, after=after, limit=A_PAGE + 1)
    counted = devices.counts(log, school)
    return desk.page(
        "devices.html",
        status,
        rows=found[:A_PAGE],
        more=urlencode({"words": wanted.words, "standing": wanted.standing, "after": after + A_PAGE})
        if len(found) > A_PAGE
        else "",
        wanted=wanted,
        standings=STANDINGS,
        counted=counted,
        total=sum(counted.values()),
        groups={group.id: group.name for group in policy.groups},
        own=groups_of(policy),
        made_up=devices.made_up,
        recent=desk.office.now() - HERE,
        said=said,
        errors=errors or {},
        wrong=wrong,
        typed=typed or Filled(),
    )


@router.get("/devices/table.csv")
def table(desk: Sees) -> Response:
    """The whole register, for a spreadsheet."""
    found = devices.search(filter_log(desk), desk.place.log, Wanted(), limit=MOST_ROWS)
    desk.note("devices", "done", f"took out a table of {len(found)} devices")
    return Response(
        devices.write_csv(found, groups_of(document(desk))),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{desk.place.log}-devices.csv"'},
    )


@router.post("/devices/table")
def bring(desk: Describes, form: Form) -> Response:
    """A table is taken in; groups in it become requests, one a group, which the headteacher decides on."""
    policy, log, school = document(desk), filter_log(desk), desk.place.log
    try:
        read = devices.narrowed(devices.read_csv(form.text("table", LONGEST_TABLE)), [group.id for group in policy.groups])
    except ValueError as error:
        return _show(desk, Wanted(), errors={"table": str(error)}, typed=form, status=422)
    if read.wrong:  # all of it or nothing: a table is mended in the spreadsheet and pasted again
        told = {"table": "nothing was taken in; these lines cannot be read"}
        return _show(desk, Wanted(), errors=told, wrong=read.wrong, typed=form, status=422)
    names = Names(secret_of(desk.services.data / "secrets" / "people.key"))
    count = devices.take_csv(log, school, read, names)
    desk.note("devices", "done", f"brought in a table of {count} devices")
    asked = _ask_for_groups(desk, policy, read, names)
    return desk.go("/requests" if asked else "/devices", "devices-asked" if asked else "devices-taken")


def _ask_for_groups(desk: Desk, policy: SchoolPolicy, read: devices.Read, names: Names) -> int:
    held, school = groups_of(policy), desk.place.log
    wished: dict[str, dict[str, str]] = {}  # group -> device -> what it is called
    for mac, group in read.groups.items():
        device = names.of(school, "d", mac)
        if held.get(device) != group:
            wished.setdefault(group, {})[device] = read.said[mac].get("name") or mac
    count = 0
    for group, some in wished.items():
        called = list(some.values())
        rest = f" and {len(called) - NAMED} more" if len(called) > NAMED else ""
        reason = f"From a table of devices: {', '.join(called[:NAMED])}{rest}"
        try:
            submit(desk, BelongingWish(group, tuple(some)), reason, now=False)
        except InForceAlready:
            continue
        count += 1
    return count


@router.get("/devices/{device}")
def one_device(desk: Sees, device: str, said: str = "") -> Response:
    return _one(desk, devices.one(filter_log(desk), desk.place.log, tidy(device)[:64]), said=said)


def _one(
    desk: Desk, found: Device, *, said: str = "", errors: Mapping[str, str] | None = None, status: int = 200
) -> Response:
    policy = document(desk)
    return desk.page(
        "device.html",
        status,
        one=found,
        standings=STANDINGS,
        groups=policy.groups,
        own=groups_of(policy).get(found.device, ""),
        belonging=next((each for each in policy.belongings if each.device == found.device), None),
        made_up=devices.made_up(found.mac),
        said=said,
        errors=errors or {},
    )


@router.post("/devices/{device}")
def describe(desk: Describes, device: str, form: Form) -> Response:
    """What it is called, whose it is, where it stands. No answer of the filter changes by that."""
    log, school = filter_log(desk), desk.place.log
    found = devices.one(log, school, tidy(device)[:64])
    if form.text("act") == "forget":
        devices.forget(log, school, found.device)
        desk.note("devices", "done", f"took {found.device} out of the register")
        return desk.go("/devices", "device-forgotten")
    said = {name: form.text(name, 200) for name in devices.FIELDS}
    try:
        devices.describe(log, school, found.device, said)
    except ValueError as error:
        return _one(desk, found, errors={"name": str(error)}, status=422)
    desk.note("devices", "done", f"described {found.device}")
    return desk.go(f"/devices/{found.device}", "device-described")


@router.post("/devices/{device}/group")
def ask_for_group(desk: Annotated[Desk, at(Permission.REQUEST)], device: str, form: Form) -> Response:
    """Whose rules hold for it is a change like any other."""
    found = devices.one(filter_log(desk), desk.place.log, tidy(device)[:64])
    group, reason = form.text("group", 64), form.text("reason", 500)
    errors = {} if group else {"group": "choose whose rules hold for it"}
    if len(reason) < 3:
        errors["reason"] = "say why, in a sentence"
    if errors:
        return _one(desk, found, errors=errors, status=422)
    wish = BelongingWish("" if group == "none" else group, (found.device,))
    try:
        row = submit(desk, wish, f"{found.called}: {reason}", now=False)
    except ValueError as error:
        return _one(desk, found, errors={"group": str(error)}, status=422)
    return desk.go(f"/requests/{row.id}", "asked")
