"""/keeping: how long each class of data is kept and why, what is held from deletion, and what was deleted."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response

from admin_api import words
from admin_api.deps import Desk
from admin_api.eyes import eyes, filter_log, masks
from admin_api.forgetting import forget
from admin_api.forms import Form, last_moment, moment
from admin_api.permissions import at
from admin_api.routes.captures import people
from change_control.authority import Permission
from monitoring import retention
from monitoring.lines import moment as when

router = APIRouter()
Keeper = Annotated[Desk, at(Permission.RETAIN)]


@router.get("/keeping")
def keeping(desk: Keeper, said: str = "") -> Response:
    return page(desk, said, {})


def page(desk: Desk, said: str, errors: Mapping[str, str], status: int = 200) -> Response:
    log, school = filter_log(desk), desk.place.log
    gone, held = retention.said(log, school), retention.holds(log, school)
    return desk.page(
        "keeping.html",
        status,
        said=said,
        errors=errors,
        kept=retention.kept(log, school),
        over=retention.due(log, school, desk.office.now()),
        classes=retention.CLASSES,
        gone=[row | {"at": when(row["at"]), "before": when(row["before"])} for row in gone],
        held=[row | {"begins": when(row["begins"]), "ends": when(row["ends"])} for row in held],
        who=people(desk, *(row["person"] for row in (*gone, *held) if row["person"])),
        eyes=eyes(desk),
    )


@router.post("/keeping")
def keep(desk: Keeper, form: Form) -> Response:
    which, days, why = form.text("class"), form.text("days", 8), form.text("why", 500)
    try:
        number = int(days) if days.isdecimal() and days.isascii() else 0
        retention.keep(
            filter_log(desk), desk.place.log, which, number, why, person=desk.visitor.person.id, now=desk.office.now()
        )
    except ValueError as error:
        return page(desk, "", {f"days-{which}" if which in retention.CLASSES else "class": str(error)}, 422)
    desk.note("set how long data is kept", "done", f"{which}: {days} days", why)
    return desk.go("/keeping", "kept")


@router.post("/keeping/hold")
def hold(desk: Keeper, form: Form) -> Response:
    log, school, who = filter_log(desk), desk.place.log, ""
    try:
        if code := form.text("who", 40):
            who = masks(log).who(school, code)
            if not who:
                raise ValueError("nobody here has this pseudonym")
        begins, ends = moment(form.text("begins"), words.ZONE), last_moment(form.text("ends"), words.ZONE)
        if begins is None or ends is None:
            raise ValueError("say from and to which day")
        retention.hold(
            log, school, who, begins, ends, form.text("reason", 500), person=desk.visitor.person.id, now=desk.office.now()
        )
    except ValueError as error:
        return page(desk, "", {"reason": str(error)}, 422)
    desk.note("hold data from deletion", "done", why=form.text("reason", 200))
    return desk.go("/keeping", "held")


@router.post("/keeping/lift")
def lift(desk: Keeper, form: Form) -> Response:
    number = form.text("hold", 12)
    retention.lift(
        filter_log(desk),
        desk.place.log,
        int(number) if number.isdecimal() else 0,
        person=desk.visitor.person.id,
        now=desk.office.now(),
    )
    desk.note("lift a hold", "done", number)
    return desk.go("/keeping", "lifted")


@router.post("/keeping/run")
def run(desk: Keeper) -> Response:
    """What the night would do, now."""
    gone = forget(filter_log(desk), desk.services.store, desk.place.log, desk.office.now(), person=desk.visitor.person.id)
    desk.note(
        "delete what is over",
        "done",
        ", ".join(f"{name}: {count}" for name, count in gone.items() if count) or "nothing was over",
    )
    return desk.go("/keeping", "deleted")
