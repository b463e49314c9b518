"""/: what waits for whom, and whether the filter is well. Each role sees its own."""

import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import Response

from admin_api import list_state, outbox
from admin_api.deps import Desk
from admin_api.filter_state import filter_state, problems
from admin_api.notices import stage
from admin_api.permissions import at
from admin_api.stream_state import troubled_streams
from admin_api.telling import Ground, tell
from change_control import screening, talk
from change_control.authority import Permission, Waiting
from change_control.lifecycle import State
from change_control.service import HEAD
from change_control.tables import ChangeRow, RoleRow
from monitoring import alarms, captures
from monitoring.captures import subjects_for

router = APIRouter()
SHOWN = 5


@dataclass(frozen=True, slots=True)
class ListAge:
    """How old a list is, by the date in its version."""

    id: str
    category: str
    version: str
    entries: int
    days: int | None


def list_ages(desk: Desk, ground: Ground) -> tuple[ListAge, ...]:
    """The lists of a school's dictionary, the oldest first."""
    today = desk.office.now().date()
    named = desk.office.dictionaries.named(ground.document.dictionary)
    ages = []
    for ref in named.lists:
        found = re.match(r"\d{4}-\d{2}-\d{2}", ref.version)
        days = max(0, (today - date.fromisoformat(found[0])).days) if found else None
        ages.append(ListAge(ref.id, ground.category(ref.category), ref.version, ref.entries, days))
    return tuple(sorted(ages, key=lambda one: (-(one.days or 0), one.id)))


def waiting(session: Session, log: str, *states: State) -> list[ChangeRow]:
    """Changes in these states, the oldest first."""
    wanted = select(ChangeRow).where(ChangeRow.log == log, ChangeRow.state.in_(states)).order_by(ChangeRow.id)
    return list(session.scalars(wanted))


def own_of_head(session: Session, desk: Desk, rows: list[ChangeRow]) -> list[ChangeRow]:
    """Those that the head asked for herself, and that a second person may agree to."""
    role = "la_officer" if desk.place.tier == "authority" else "headteacher"
    heads = set(session.scalars(select(RoleRow.person).where(RoleRow.log == desk.place.log, RoleRow.role == role)))
    return [row for row in rows if row.requested_by in heads and row.requested_by != desk.visitor.person.id]


def days_left(now: datetime, until: datetime | None) -> int:
    return max(0, (until - now).days) if until else 0


LONG = {
    Waiting.REMINDED: "waits for two school days or more",
    Waiting.DEPUTY: "waits for four school days or more; whoever stands in for the headteacher is asked too",
    Waiting.OFFICER: "waits for six school days or more; the LA officer is told",
}


def stage_of(desk: Desk, ground: Ground, row: ChangeRow) -> Waiting:
    return stage(desk.office.now(), ground, row)


@router.get("/")
def today(desk: Annotated[Desk, at(Permission.READ_CHANGES)], said: str = "") -> Response:
    place, me = desk.place, desk.visitor.person.id
    snapshot = desk.services.snapshot()
    ground = Ground.of(snapshot, place.log)
    state = filter_state(desk.services)
    with desk.read() as session:
        requested = waiting(session, place.log, State.REQUESTED)
        mine = [row for row in requested if row.requested_by == me]
        first = screening.with_teacher(desk.office, session, place.log, requested)
        if place.may(Permission.APPROVE):
            todo = [row for row in requested if row.requested_by != me and row.kind != HEAD and row.id not in first]
        elif place.delegated:
            own = {row.id for row in own_of_head(session, desk, requested)}
            todo = [row for row in requested if row.requested_by != me and (row.kind in place.delegated or row.id in own)]
        elif place.may(Permission.SECOND):
            todo = [*own_of_head(session, desk, requested), *(row for row in requested if row.kind == HEAD)]
        else:
            todo = []
        screened = [row for row in requested if row.id in first] if place.may(Permission.SCREEN) else []
        late = list_state.late_feeds(desk, session, ground) if place.may(Permission.READ_SYSTEM) else ()
        post = outbox.state(session, desk.office.now()) if place.may(Permission.READ_SYSTEM) else outbox.State()
        provisional = [
            row
            for row in waiting(session, place.log, State.PROVISIONAL)
            if place.may(Permission.RATIFY) or (row.kind in place.delegated and row.requested_by != me)
        ]
        long = {row.id: stage for row in requested if (stage := stage_of(desk, ground, row)) is not Waiting.FRESH}
        overdue = [row for row in requested if long.get(row.id) is Waiting.OFFICER]
        context: dict[str, Any] = {
            "todo": tell(session, desk.services, ground, sorted(todo, key=lambda row: row.id)[:SHOWN]),
            "long": {change: LONG[stage] for change, stage in long.items()},
            "overdue": tell(session, desk.services, ground, overdue) if "la_officer" in place.roles else (),
            "todo_count": len(todo),
            "asked_back": {row.id for row in mine if (lines := talk.talk(session, row.id)) and lines[-1].question},
            "screened": tell(session, desk.services, ground, screened[:SHOWN]),
            "with_teacher": 0 if place.may(Permission.SCREEN) or not place.may(Permission.APPROVE) else len(first),
            "mine": tell(session, desk.services, ground, mine[:SHOWN]),
            "provisional": [
                (told, days_left(desk.office.now(), told.ratify_by))
                for told in tell(session, desk.services, ground, provisional)
            ],
        }
    if place.may(Permission.REVIEW) and desk.services.log is not None:
        subjects = subjects_for(place.roles)
        context["alarms"] = alarms.open_(desk.services.log, place.log, subjects)
        waits = captures.counts(desk.services.log, place.log, subjects)
        context["captures_waiting"] = waits.get("urgent", 0) + waits.get("review", 0)
    return desk.page(
        "today.html",
        said=said,
        now=desk.office.now(),
        state=state,
        in_force=state.on(place.log, snapshot.revisions.get(place.log, 0)),
        problems=problems(desk, snapshot, state),
        late=late,
        post=post,
        streams=troubled_streams(desk.services.data) if place.may(Permission.READ_SYSTEM) else (),
        sealed=list_state.sealed_list(desk, ground),
        lists=list_ages(desk, ground) if place.may(Permission.READ_SYSTEM) else (),
        **context,
    )
