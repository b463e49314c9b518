"""/coverage: how much of a gateway's traffic is seen, and how; apps that refuse to be seen; who tries to get round."""

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

router = APIRouter()
PERIODS = {1: "Today", 7: "7 days"}
SHOWN = 100  # devices of a network


@router.get("/coverage")
def show(desk: Annotated[Desk, at(Permission.READ_SYSTEM)], days: Annotated[int, Asked(ge=1, le=7)] = 1) -> Response:
    now, school = desk.office.now(), desk.place.log
    since, hidden = now - timedelta(days=days), hidden_groups(desk)
    shares = coverage.seen(desk.services.data / "gateway" / "coverage", now.timestamp(), days, {school, ""})
    log = filter_log(desk)
    codes = [one.device for one in shares]  # beside what somebody tried stands no name: that takes a reason
    names = devices.called(log, school, codes) if desk.place.may(Permission.READ_DEVICES) else {}
    return desk.page(
        "coverage.html",
        days=days,
        periods=PERIODS,
        ways=coverage.WAYS,
        no_bytes=coverage.NO_BYTES.replace("`", ""),
        networks=[one for one in shares if not one.device],
        devices=[one for one in shares if one.device],
        most=SHOWN,
        pinned=attempts.pinned(log, school, since, now, but_groups=hidden),
        tried=attempts.attempts(log, school, since, now, but_groups=hidden),
        name_of=lambda device: names.get(device, device),
    )
