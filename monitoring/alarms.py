"""What cannot wait for the weekly review: told at once, until somebody says that she has it.

An alarm goes along a chain of people (rota.py). Each step has so many minutes; when nobody has acknowledged by then the next
is told as well, and nobody is told less; where a step reaches nobody, the next does not wait. About pupils: whoever is on the
rota today, then all DSLs, the headteacher, the LA. About staff: the headteacher, then the chair of governors; about the
headteacher: the chair of governors, then the LA. So nothing about a member of staff ever passes the people she works beside.

No alarm holds a name, not even a pseudonym: its words go out by e-mail. INVARIANT: raising the same thing again tells nobody
twice; what was told at a step is told before the step is taken, so a crash tells once more rather than never.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sql

from monitoring import rota, store
from monitoring.lines import microseconds, moment
from monitoring.log import Log
from monitoring.rules import THEMES
from monitoring.tables import alarms


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


type Tell = Callable[[Telling], bool | None]  # False: nobody could be written to


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


def go_on(
    log: Log, tell: Tell, now: datetime, zones: Mapping[str, str], terms: Mapping[str, rota.Terms] = MappingProxyType({})
) -> int:
    """Tell whoever is next of everything that is due; `zones` and `terms` by school. Returns how many tellings."""
    with store.reading(log) as connection:
        asked = sql.select(alarms).where(alarms.c.acknowledged_at.is_(None), alarms.c.due <= microseconds(now))
        due = [_alarm(row) for row in store.rows(connection, asked.order_by(alarms.c.id).limit(100))]
    for one in due:
        wanted = rota.plan(log, one.school)
        local = now.astimezone(ZoneInfo(zones.get(one.school, "Europe/London")))
        turn = wanted.turn(one.subject, one.step, local, terms.get(one.school, ()))
        if isinstance(turn, datetime):
            _wait(log, one, turn)
            continue
        reached = tell(Telling(one, turn.roles, turn.people)) is not False
        told = [*one.told, {"at": now.isoformat(), "step": turn.step, "roles": turn.roles, "people": turn.people}]
        last = turn.step >= len(rota.CHAINS.get(one.subject, rota.CHAINS["pupil"])) - 1
        waits = timedelta(minutes=wanted.minutes * 6) if last else timedelta(minutes=wanted.minutes) * reached
        again = 0 if not reached else turn.step  # the last one cannot be reached either: from the beginning, after a while
        _told(log, one, again if last else turn.step + 1, told, now + waits)
    return len(due)


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


def taken_with(log: Log, school: str, numbers: Iterable[int], *, person: str, now: datetime) -> None:
    """Whoever has judged captures has them: nobody else is told of these."""
    about = [f"capture:{number}" for number in numbers]
    with store.changing(log) as connection:
        connection.execute(
            sql.update(alarms)
            .where(alarms.c.school == school, alarms.c.about.in_(about), alarms.c.acknowledged_at.is_(None))
            .values(acknowledged_by=person, acknowledged_at=microseconds(now))
        )


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
