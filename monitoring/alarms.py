"""What cannot wait for the weekly review: told at once, until somebody says that she has it.

An alarm goes along a chain of people. Each step has so many minutes; when nobody has acknowledged by then the next is told as
well, and nobody is told less. About pupils: whoever is on the rota today, then all DSLs, the headteacher, the LA. About
staff: the headteacher, then the chair of governors; about the headteacher: the chair of governors, then the LA. So nothing
about a member of staff ever passes the people she works beside.

No alarm holds a name, not even a pseudonym: its words go out by e-mail. INVARIANT: raising the same thing again tells nobody
twice; what was told at a step is told before the step is taken, so a crash tells once more rather than never.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sql

from monitoring import store
from monitoring.lines import microseconds, moment
from monitoring.log import Log
from monitoring.rules import THEMES
from monitoring.tables import alarms

CHAINS: Mapping[str, Sequence[tuple[str, ...]]] = {
    "pupil": (("rota",), ("dsl",), ("headteacher",), ("la_officer",)),
    "staff": (("headteacher",), ("chair_of_governors",), ("la_officer",)),
    "head": (("chair_of_governors",), ("la_officer",)),
    "review": (("online_safety_coordinator", "dsl"), ("headteacher",), ("la_officer",)),
}
NOBODY: tuple[tuple[str, ...], ...] = ((),) * 7
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, slots=True)
class Plan:
    """How a school wants to be told."""

    minutes: int = 20  # for each step
    starts: str = "08:00"  # of the school's day
    ends: str = "17:00"
    outside: str = "at_once"  # out of hours: "at_once", "head" (the headteacher first) or "morning"
    rota: tuple[tuple[str, ...], ...] = NOBODY  # people by weekday, who is told first; none: all DSLs
    cover: tuple[str, ...] = ()  # told with whoever is on the rota

    def plain(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def plan(log: Log, school: str) -> Plan:
    said = store.setting(log, school, "escalation")
    if not said:
        return Plan()
    rota = tuple(tuple(day) for day in said.get("rota", ())) or NOBODY
    return Plan(**{**said, "rota": rota, "cover": tuple(said.get("cover", ()))})


def set_plan(log: Log, school: str, wanted: Plan, *, person: str, now: datetime) -> None:
    if not 5 <= wanted.minutes <= 240:
        raise ValueError("each step has 5 to 240 minutes")
    if wanted.outside not in {"at_once", "head", "morning"}:
        raise ValueError("choose what happens out of hours")
    try:
        begins, ends = (time.fromisoformat(text) for text in (wanted.starts, wanted.ends))
    except ValueError:
        raise ValueError("write the school's hours as 08:00 and 17:00") from None
    if begins >= ends:
        raise ValueError("the school's hours end before they begin")
    store.set_setting(log, school, "escalation", wanted.plain(), person=person, now=now)


@dataclass(frozen=True, slots=True)
class Alarm:
    id: int
    school: str
    at: datetime
    about: str
    words: str
    subject: str
    step: int
    due: datetime
    acknowledged_by: str
    acknowledged_at: datetime | None
    told: Sequence[Mapping[str, Any]]

    @property
    def capture(self) -> int:
        kind, _, number = self.about.partition(":")
        return int(number) if kind == "capture" and number.isdecimal() else 0


@dataclass(frozen=True, slots=True)
class Telling:
    """Whom to tell of an alarm now: people by name, else everyone with one of the roles."""

    alarm: Alarm
    roles: tuple[str, ...]
    people: tuple[str, ...]


type Tell = Callable[[Telling], None]


def _alarm(row: store.Row) -> Alarm:
    done = row["acknowledged_at"]
    return Alarm(
        row["id"], row["school"], moment(row["at"]), row["about"], row["words"], row["subject"], row["step"],
        moment(row["due"]),
        row["acknowledged_by"], None if done is None else moment(done), json.loads(row["told"] or "[]"),
    )  # fmt: skip


def about_capture(theme: str) -> str:
    found = THEMES.get(theme)
    return f"Something serious was captured: {found.name if found else theme}"


def raise_(log: Log, school: str, about: str, words: str, subject: str, now: datetime) -> bool:
    """A new alarm, due at once. False: there is one about this already."""
    with store.changing(log) as connection:
        known = connection.scalar(sql.select(alarms.c.id).where(alarms.c.school == school, alarms.c.about == about))
        if known is not None:
            return False
        store.add(
            connection, alarms, school=school, at=microseconds(now), about=about, words=words, subject=subject, step=0,
            due=microseconds(now), told="[]", acknowledged_by="",
        )  # fmt: skip
    return True


def go_on(log: Log, tell: Tell, now: datetime, zones: Mapping[str, str]) -> int:
    """Tell whoever is next of everything that is due. Returns how many tellings."""
    with store.reading(log) as connection:
        asked = sql.select(alarms).where(alarms.c.acknowledged_at.is_(None), alarms.c.due <= microseconds(now))
        due = [_alarm(row) for row in store.rows(connection, asked.order_by(alarms.c.id).limit(100))]
    for one in due:
        wanted = plan(log, one.school)
        chain = CHAINS.get(one.subject, CHAINS["pupil"])
        local = now.astimezone(ZoneInfo(zones.get(one.school, "Europe/London")))
        open_ = local.weekday() < 5 and wanted.starts <= f"{local:%H:%M}" < wanted.ends
        if not open_ and wanted.outside == "morning":
            _wait(log, one, _morning(local, wanted))
            continue
        step = one.step
        if not open_ and wanted.outside == "head" and one.subject == "pupil":
            step = max(step, 2)
        step = min(step, len(chain) - 1)
        roles: tuple[str, ...] = chain[step]
        people: tuple[str, ...] = ()
        if roles == ("rota",):
            on = wanted.rota[local.weekday()] if len(wanted.rota) == 7 else ()
            roles, people = ("dsl",), (*on, *(wanted.cover if on else ()))
        tell(Telling(one, roles, people))
        told = [*one.told, {"at": now.isoformat(), "step": step, "roles": roles, "people": people}]
        last = step >= len(chain) - 1
        _told(log, one, step if last else step + 1, told, now + timedelta(minutes=wanted.minutes * (6 if last else 1)))
    return len(due)


def _morning(local: datetime, wanted: Plan) -> datetime:
    start = time.fromisoformat(wanted.starts)
    day = local.date() if local.timetz().replace(tzinfo=None) < start else local.date() + timedelta(days=1)
    while day.weekday() >= 5:
        day += timedelta(days=1)
    return datetime.combine(day, start, local.tzinfo)


def _wait(log: Log, one: Alarm, until: datetime) -> None:
    with store.changing(log) as connection:
        connection.execute(sql.update(alarms).where(alarms.c.id == one.id).values(due=microseconds(until)))


def _told(log: Log, one: Alarm, step: int, told: Sequence[Mapping[str, Any]], due: datetime) -> None:
    with store.changing(log) as connection:
        connection.execute(
            sql.update(alarms)
            .where(alarms.c.id == one.id)
            .values(step=step, told=json.dumps(told[-50:]), due=microseconds(due))
        )


def acknowledge(log: Log, school: str, number: int, subjects: Iterable[str], *, person: str, now: datetime) -> Alarm:
    """Somebody has it. LookupError where there is none that she may see."""
    with store.changing(log) as connection:
        where = (alarms.c.school == school) & (alarms.c.id == number) & alarms.c.subject.in_((*subjects, "review"))
        found = store.rows(connection, sql.select(alarms).where(where))
        if not found:
            raise LookupError(f"there is no alarm {number} here")
        if found[0]["acknowledged_at"] is None:
            connection.execute(
                sql.update(alarms).where(where).values(acknowledged_by=person, acknowledged_at=microseconds(now))
            )
    return _alarm(found[0])


def open_(log: Log, school: str, subjects: Iterable[str]) -> Sequence[Alarm]:
    """What nobody has acknowledged, oldest first."""
    asked = sql.select(alarms).where(
        alarms.c.school == school,
        alarms.c.acknowledged_at.is_(None),
        alarms.c.subject.in_((*subjects, "review")),
    )
    with store.reading(log) as connection:
        return [_alarm(row) for row in store.rows(connection, asked.order_by(alarms.c.at).limit(100))]


def past(log: Log, school: str, subjects: Iterable[str], since: datetime) -> Sequence[Alarm]:
    asked = sql.select(alarms).where(
        alarms.c.school == school, alarms.c.at >= microseconds(since), alarms.c.subject.in_((*subjects, "review"))
    )
    with store.reading(log) as connection:
        return [_alarm(row) for row in store.rows(connection, asked.order_by(alarms.c.id.desc()).limit(200))]
