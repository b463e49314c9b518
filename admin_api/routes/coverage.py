"""/coverage: how much of a gateway's traffic is seen, and how; apps that refuse to be seen; who tries to get round."""

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter
from fastapi import Query as Asked
from starlette.responses import Response

from admin_api.deps import Desk
from admin_api.eyes import filter_log, hidden_groups
from admin_api.permissions import at
from change_control.authority import Permission
from monitoring import attempts, coverage, devices
from monitoring.devices import MOST_ROWS, Wanted

router = APIRouter()
PERIODS = {1: "Today", 7: "7 days"}
SHOWN = 100  # devices of a network


def _names(desk: Desk) -> Callable[[str], str]:
    """What people call a device, of its MAC, for those who may read the register."""
    if not desk.place.may(Permission.READ_DEVICES) or desk.place.tier == "authority":
        return str
    found = {one.mac: one.called for one in devices.search(filter_log(desk), desk.place.log, Wanted(), limit=MOST_ROWS)}
    return lambda mac: found.get(mac, mac)


@router.get("/coverage")
def show(desk: Annotated[Desk, at(Permission.READ_SYSTEM)], days: Annotated[int, Asked(ge=1, le=7)] = 1) -> Response:
    now, school = desk.office.now(), desk.place.log
    since, hidden = now - timedelta(days=days), hidden_groups(desk)
    shares = coverage.seen(desk.services.data / "gateway" / "coverage", now.timestamp(), days, {school, ""})
    log = filter_log(desk)
    return desk.page(
        "coverage.html",
        days=days,
        periods=PERIODS,
        ways=coverage.WAYS,
        networks=[one for one in shares if not one.device],
        devices=[one for one in shares if one.device],
        most=SHOWN,
        pinned=attempts.pinned(log, school, since, now, but_groups=hidden),
        tried=attempts.attempts(log, school, since, now, but_groups=hidden),
        name_of=_names(desk),
    )
