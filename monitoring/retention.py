"""How long each class of data is kept, why, and deleting it when its time is over.

Each school sets a number of days for each class, with its reason. A legal hold keeps what it names, whatever its age, until
it is lifted; the police hold of an incident does the same without a trace that the person could notice. A run says what it
deleted and how much; what is deleted is overwritten in the files (see `Log.purge`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sql

from monitoring import store
from monitoring.devices import forget_old
from monitoring.lines import HOUR, microseconds
from monitoring.log import Log
from monitoring.tables import (
    actions,
    alarms,
    captures,
    day_sums,
    deletions,
    entries,
    hour_sums,
    hours,
    incidents,
    marks,
    unmaskings,
)
from monitoring.tables import holds as hold_rows


@dataclass(frozen=True, slots=True)
class Class:
    """A class of data, and how long it is kept unless the school says otherwise."""

    id: str
    name: str
    days: int
    longest: int
    why: str


CLASSES: Mapping[str, Class] = {
    one.id: one
    for one in (
        Class("allowed", "What was open", 90, 400, "Long enough to find out about a pattern over a term, and no longer."),
        Class("blocked", "What was blocked or warned before", 365, 800, "A year, so that the yearly review can compare."),
        Class("search", "Searches", 365, 800, "A year, so that a concern can be followed back to where it began."),
        Class("capture", "Captures without an incident", 365, 800, "A year, so that patterns over terms can be seen."),
        Class("incident", "Closed incidents, with their captures", 2555, 12_775, "Seven years from closing; a child "
              "protection file follows the pupil until the age of 25."),
        Class("device", "Whose pseudonym is whose, and devices that nobody described", 365, 800,
              "A year after they were last there: as long as there are lines of the log about them."),
        Class("access", "The access log: who looked, who was named to whom, and why", 1095, 3650,
              "Three years, so that looking itself can be looked at."),
        Class("counts", "Counts without anybody’s name", 1825, 3650, "Five years, for trends in reports."),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kept:
    """How long a class is kept at a school, and why."""

    of: Class
    days: int
    why: str
    own: bool  # the school decided this itself


def kept(log: Log, school: str) -> Sequence[Kept]:
    own: Mapping[str, Any] = store.setting(log, school, "retention") or {}
    found = []
    for one in CLASSES.values():
        said = own.get(one.id)
        found.append(Kept(one, int(said["days"]), str(said["why"]), True) if said else Kept(one, one.days, one.why, False))
    return found


def keep(log: Log, school: str, which: str, days: int, why: str, *, person: str, now: datetime) -> None:
    """Another length for a class. ValueError in a sentence for what cannot be."""
    one = CLASSES.get(which)
    if one is None:
        raise ValueError(f"there is no class of data {which[:40]!r}")
    if not 1 <= days <= one.longest:
        raise ValueError(f"{one.name} can be kept for 1 to {one.longest:,} days")
    if len(why.strip()) < 10:
        raise ValueError("say why it is kept this long, in a sentence; people may ask")
    own = dict(store.setting(log, school, "retention") or {})
    own[which] = {"days": days, "why": why.strip()}
    store.set_setting(log, school, "retention", own, person=person, now=now)


# --- holds ------------------------------------------------------------------------------------------------------------


def hold(
    log: Log, school: str, who: str, begins: datetime, ends: datetime, reason: str, *, person: str, now: datetime
) -> int:
    """Nothing about `who` (blank: anybody) from this period is deleted until the hold is lifted."""
    if len(reason.strip()) < 10:
        raise ValueError("say why this must not be deleted, in a sentence")
    if begins >= ends:
        raise ValueError("the period ends before it begins")
    with store.changing(log) as connection:
        return store.add(
            connection, hold_rows, school=school, who=who, begins=microseconds(begins), ends=microseconds(ends),
            person=person, reason=reason.strip(), at=microseconds(now),
        )  # fmt: skip


def lift(log: Log, school: str, number: int, *, person: str, now: datetime) -> None:
    with store.changing(log) as connection:
        done = connection.execute(
            sql.update(hold_rows)
            .where(hold_rows.c.school == school, hold_rows.c.id == number, hold_rows.c.lifted_at.is_(None))
            .values(lifted_at=microseconds(now), lifted_by=person)
        )
    if not done.rowcount:
        raise LookupError("there is no such hold here")


def holds(log: Log, school: str) -> Sequence[store.Row]:
    with store.reading(log) as connection:
        return store.rows(
            connection, sql.select(hold_rows).where(hold_rows.c.school == school).order_by(hold_rows.c.id.desc())
        )


# --- running ----------------------------------------------------------------------------------------------------------


def due(log: Log, school: str, now: datetime) -> Mapping[str, datetime]:
    """Before which moment each class is over."""
    return {one.of.id: now - timedelta(days=one.days) for one in kept(log, school)}


def everybody_held(log: Log, school: str) -> bool:
    return any(one["lifted_at"] is None and not one["who"] for one in holds(log, school))


def run(
    log: Log, school: str, now: datetime, *, person: str = "", also: Mapping[str, int] | None = None
) -> Mapping[str, int]:
    """Delete what is over, but for what is held; returns how much of each class went, and keeps a record of it.

    `also`: what of a class was deleted elsewhere, to stand in the same record.
    """
    before = due(log, school, now)
    held = [one for one in holds(log, school) if one["lifted_at"] is None]
    gone = dict(log.purge({name: before[name] for name in ("allowed", "blocked", "search")}, school, held=held))
    everybody = any(not one["who"] for one in held)
    gone["device"] = 0 if everybody else forget_old(log, school, before["device"], but=[one["who"] for one in held])
    with store.changing(log) as connection:
        gone["capture"] = _captures(connection, school, before["capture"], held)
        gone["incident"] = _incidents(connection, school, before["incident"], held)
        gone["access"] = 0 if everybody else _before(connection, unmaskings, unmaskings.c.until, school, before["access"])
        for name, count in (also or {}).items():
            gone[name] += count
        hour = microseconds(before["counts"]) // HOUR
        gone["counts"] = connection.execute(sql.delete(hours).where(hours.c.school == school, hours.c.hour < hour)).rowcount
        connection.execute(sql.delete(hour_sums).where(hour_sums.c.school == school, hour_sums.c.hour < hour))
        connection.execute(sql.delete(day_sums).where(day_sums.c.school == school, day_sums.c.day < hour // 24))
        if not everybody:
            _before(connection, alarms, alarms.c.acknowledged_at, school, before["incident"])
        for name, count in gone.items():
            if count:
                store.add(
                    connection, deletions, **{"class": name}, school=school, at=microseconds(now),
                    before=microseconds(before[name]), count=count, person=person,
                )  # fmt: skip
    log.forget()
    return gone


def _before(connection: sql.Connection, table: sql.Table, column: sql.Column[int], school: str, moment: datetime) -> int:
    return connection.execute(sql.delete(table).where(table.c.school == school, column < microseconds(moment))).rowcount


def _captures(connection: sql.Connection, school: str, before: datetime, held: Sequence[store.Row]) -> int:
    old = sql.select(captures.c.id).where(
        captures.c.school == school, captures.c.incident == 0, captures.c.last < microseconds(before)
    )
    for one in held:
        period = (captures.c.at < one["ends"]) & (captures.c.last >= one["begins"])
        old = old.where(~(period & (captures.c.who == one["who"])) if one["who"] else ~period)
    connection.execute(sql.delete(marks).where(marks.c.school == school, marks.c.capture.in_(old)))
    return connection.execute(sql.delete(captures).where(captures.c.id.in_(old))).rowcount


def _incidents(connection: sql.Connection, school: str, before: datetime, held: Sequence[store.Row]) -> int:
    old = sql.select(incidents.c.id).where(
        incidents.c.school == school,
        incidents.c.state == "closed",
        incidents.c.held_by == "",
        incidents.c.id.not_in(
            sql.select(entries.c.incident).where(entries.c.school == school, entries.c.at >= microseconds(before))
        ),
    )
    for one in held:
        period = (captures.c.at < one["ends"]) & (captures.c.last >= one["begins"])
        theirs = sql.select(captures.c.incident).where(captures.c.school == school, period)
        old = old.where(incidents.c.id.not_in(theirs.where(captures.c.who == one["who"]) if one["who"] else theirs))
        if not one["who"]:  # also those without a capture
            old = old.where(~incidents.c.at.between(one["begins"], one["ends"]))
    numbers = list(connection.scalars(old))
    if not numbers:
        return 0
    for table in (entries, actions, captures):
        connection.execute(sql.delete(table).where(table.c.school == school, table.c.incident.in_(numbers)))
    return connection.execute(sql.delete(incidents).where(incidents.c.id.in_(numbers))).rowcount


def said(log: Log, school: str, limit: int = 50) -> Sequence[store.Row]:
    """What was deleted, newest first."""
    with store.reading(log) as connection:
        asked = sql.select(deletions).where(deletions.c.school == school).order_by(deletions.c.id.desc()).limit(limit)
        return store.rows(connection, asked)
