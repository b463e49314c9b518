"""The filter log: what passed the gate, kept so that it can be searched.

What a person may ask about later has a line of its own: every block, warning, search, page, request and notice. Names looked
up, pieces of pages and tunnels that were simply allowed are counted by the minute instead: same person, same site, same
rule, same minute is one line with a count. That keeps every query accounted for at a tenth of the size.

Events arrive with the positions of the spools they were read from, and both are stored in one transaction: after a crash,
reading begins again exactly behind what is stored.
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from threading import Lock
from typing import Any, Self

import sqlalchemy as sql
from sqlalchemy.sql.dml import ReturningDelete

from monitoring import search, tallies, titles, traffic
from monitoring.database import LogTooNew, connect, writing
from monitoring.lines import HOUR, Completeness, Counted, Hour, Line, Page, Query, Summary, microseconds, moment
from monitoring.rows import FOLDED, OWN, Row, fitted, fold, folds, row_of, sound
from monitoring.tables import (
    SIZES,
    clean,
    day_sums,
    events,
    folded,
    handovers,
    hour_sums,
    mixes,
    seats,
    spool_positions,
)
from monitoring.tables import tallies as tally_rows
from monitoring.tidying import Tidier, emptied
from policy.event import Event, Kind, decode

__all__ = ["Hour", "Line", "Log", "LogTooNew", "Page", "PositionsMoved", "Query", "Spool", "Summary", "advanced", "sound"]

type Position = tuple[int, int]

# The words of policy.rules.Action. Written out: the log must be readable where the rule book cannot be loaded.
BLOCK, WARN = "block", "warn"
logger = logging.getLogger(__name__)

MANY = 10_000
# A batch of many changes tens of thousands of pages of the indexes. Where there is no room for all of them, SQLite writes and
# reads the same ones again and again. Only who stores so much takes so much memory: the recorder.
ROOM = "PRAGMA cache_size=-256000"
NOT_ASKED = (Kind.REQUEST, Kind.NOTICE)  # people and the filter speaking, not traffic

# Retention speaks of three classes. INVARIANT: every own line is in exactly one of them; folded lines are "allowed".
_SEARCH = events.c.kind == Kind.SEARCH
_BLOCKED = events.c.action.in_((BLOCK, WARN))
CLASSES: Mapping[str, sql.ColumnElement[bool]] = {
    "search": _SEARCH,
    "blocked": _BLOCKED & ~_SEARCH,
    "allowed": ~_BLOCKED & ~_SEARCH,
}


class PositionsMoved(RuntimeError):
    """The log is further, or elsewhere, than the events' reader believed: another recorder is at work."""


@dataclass(frozen=True, slots=True)
class Spool:
    """How far the log has read one worker's spool, and what never arrived."""

    position: Position
    lost_seen: int  # the worker's own count
    lost: int  # dropped by the worker or found damaged, ever


def advanced(spool: Spool | None, position: Position, lost_seen: int | None, damaged: int) -> Spool:
    """The spool once it is read up to `position`, its worker's count of losses being `lost_seen` (None: unreadable)."""
    old = spool or Spool((0, 0), 0, 0)
    seen = old.lost_seen if lost_seen is None else lost_seen
    dropped = seen - old.lost_seen if seen >= old.lost_seen else seen  # a smaller count is that of a new folder
    return Spool(position, seen, old.lost + dropped + (damaged if position != old.position else 0))


class Log:
    """The filter log of this machine. Opens at first use, so that a database that is down can be tried again."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine: sql.Engine | None = None
        self._opening = Lock()
        self._tidier: Tidier | None = None

    def open(self) -> sql.Engine:
        with self._opening:
            if self._engine is None:
                self._engine = connect(self.url)
                self._tidier = Tidier(self._engine.url.database) if self._engine.dialect.name == "sqlite" else None
            return self._engine

    def close(self) -> None:
        with self._opening:
            if self._tidier is not None:
                self._tidier.close()
                self._tidier = None
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- writing

    def spools(self) -> Mapping[str, Spool]:
        with self.open().connect() as connection:
            return _spools(connection)

    def append(
        self,
        recorded: Sequence[Event],
        positions: Mapping[str, Position],
        *,
        after: Mapping[str, Position] | None = None,
        lost: Mapping[str, int] | None = None,
        damaged: Mapping[str, int] | None = None,
    ) -> None:
        """Store events and the positions they were read up to, in one transaction.

        The same again changes nothing. With `after`, the positions the reading began from, a second recorder is noticed.
        """
        recorded, late = titles.joined(recorded)
        fit = fitted(recorded)
        own, like = [event for event in fit if not folds(event)], [event for event in fit if folds(event)]
        lines, counts = list(map(row_of, own)), fold(like)
        onward = [{"record": event.encode()} for event in recorded if event.kind in NOT_ASKED]
        engine = self.open()
        with writing(engine).begin() as connection:
            if len(recorded) >= MANY and engine.dialect.name == "sqlite":
                connection.exec_driver_sql(ROOM)
            known = _spools(connection, lock=True)
            stored = {worker: spool.position for worker, spool in known.items() if worker in positions}
            if not positions or stored != dict(positions):
                if after is not None and stored != dict(after):
                    raise PositionsMoved(f"expected the log to be at {dict(after)}, and it is at {stored}")
                _insert(connection, events, OWN, lines)
                _insert(connection, folded, FOLDED, counts, UPSERT)
                tallies.add(connection, own, like)
                titles.add(connection, late)
                if onward:
                    connection.execute(sql.insert(handovers), onward)
            _store_spools(connection, known, positions, lost or {}, damaged or {})
        if self._tidier is not None:
            self._tidier.stored(len(recorded))

    def handovers(self, limit: int = 500) -> Sequence[tuple[int, Event]]:
        """Requests and notices that nobody has taken yet, oldest first."""
        asked = sql.select(handovers.c.id, handovers.c.record).order_by(handovers.c.id).limit(limit)
        with self.open().connect() as connection:
            return [(number, decode(record)) for number, record in connection.execute(asked)]

    def handed_over(self, numbers: Sequence[int]) -> None:
        with writing(self.open()).begin() as connection:
            connection.execute(sql.delete(handovers).where(handovers.c.id.in_(numbers)))

    def purge(
        self, before: Mapping[str, datetime], school: str | None = None, *, held: Sequence[Mapping[str, Any]] = ()
    ) -> Mapping[str, int]:
        """Delete what is older than its class ("search", "blocked", "allowed") may be; returns how many events went.

        What a hold names (`who`, or anybody; `begins`, `ends`) stays.
        """
        if unknown := set(before) - set(CLASSES):
            raise ValueError(f"no such class of data: {', '.join(sorted(unknown))}; there are {', '.join(CLASSES)}")
        gone = dict.fromkeys(before, 0)
        for each in self.schools() if school is None else [clean(school, SIZES["school"])]:
            self._forget_counts(each, before, held)
            for kept, until in before.items():
                end = microseconds(until)
                old = events.c.id.in_(
                    sql.select(events.c.id)
                    .where(events.c.school == each, events.c.at < end, CLASSES[kept], *_free(events, held))
                    .limit(5_000)
                )
                gone[kept] += self._delete(sql.delete(events).where(old).returning(sql.literal(1)))
                if kept == "allowed":
                    number = sql.tuple_(folded.c.minute, folded.c.fold)
                    old = number.in_(
                        sql.select(folded.c.minute, folded.c.fold)
                        .where(folded.c.school == each, folded.c.at < end, folded.c.last < end, *_free(folded, held))
                        .limit(5_000)
                    )
                    gone[kept] += self._delete(sql.delete(folded).where(old).returning(folded.c.count))
        self.forget()
        return gone

    def _forget_counts(self, school: str, before: Mapping[str, datetime], held: Sequence[Mapping[str, Any]]) -> None:
        """Counts that hold a person, a site or a search go with the lines they counted: a whole day with its last line.

        What is held keeps its counts: by them its lines are found.
        """
        refused = tally_rows.c.action.in_((BLOCK, WARN))
        for kept, which in (("allowed", ~refused), ("blocked", refused), ("search", tally_rows.c.what == "term")):
            if kept in before:
                some = which if kept == "search" else which & (tally_rows.c.what != "term")
                old = (tally_rows.c.school == school) & (tally_rows.c.day < microseconds(before[kept]) // tallies.DAY)
                for one in held:
                    stays = tally_rows.c.day.between(one["begins"] // tallies.DAY, one["ends"] // tallies.DAY)
                    if one["who"]:
                        stays &= (tally_rows.c.what == "who") & (tally_rows.c.value == one["who"])
                    old &= ~stays
                with writing(self.open()).begin() as connection:
                    connection.execute(sql.delete(tally_rows).where(old, some))
        if set(before) == set(CLASSES):  # who was where goes with the last line of that day, whatever class it is of
            last = microseconds(min(before.values())) // tallies.DAY
            for table in (mixes, seats):
                old = (table.c.school == school) & (table.c.day < last)
                if table is seats:
                    for one in held:
                        stays = seats.c.day.between(one["begins"] // tallies.DAY, one["ends"] // tallies.DAY)
                        old &= ~(stays & (seats.c.who == one["who"])) if one["who"] else ~stays
                with writing(self.open()).begin() as connection:
                    connection.execute(sql.delete(table).where(old))

    def _delete(self, some: ReturningDelete[int]) -> int:
        """Little by little: the recorder must get its turn in between."""
        gone = 0
        while True:
            with writing(self.open()).begin() as connection:
                counts = connection.scalars(some).all()
            if not counts:
                return gone
            gone += sum(counts)

    def forget(self) -> None:
        """What was deleted must not linger in files either."""
        engine = self.open()
        if engine.dialect.name == "sqlite":
            with closing(engine.raw_connection()) as raw, closing(raw.cursor()) as cursor:
                if not emptied(cursor):
                    logger.warning("what was deleted stays in the log's write-ahead file for now: somebody reads it")
        else:
            with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
                for table in (events, folded, handovers, tally_rows, mixes, seats):
                    connection.execute(sql.text(f"VACUUM {table.name}"))

    # -- reading

    def schools(self) -> Sequence[str]:
        with self.open().connect() as connection:
            return search.schools(connection)

    def search(self, query: Query) -> Page:
        """Newest first; within about a second, however much there is (see Page)."""
        with self.open().connect() as connection:
            return search.search(connection, query)

    def questions(self, school: str, since: datetime, until: datetime) -> Iterator[tuple[Line, int]]:
        """All that was asked, and how often: for "what would this change have done?". Newest first, in bounded memory.

        Page by page, never one long read: a reader that stays keeps SQLite's write-ahead file from being emptied.
        """
        for line in self.every(Query(school=school, since=since, until=until)):
            if line.host and line.kind not in NOT_ASKED:
                yield line, line.count

    def every(self, query: Query) -> Iterator[Line]:
        """All lines that match, newest first."""
        query = replace(query, limit=500)  # so that an export begins at once
        while True:
            page = self.search(query)
            yield from page.rows
            if page.next is None:
                return
            query = replace(query, limit=5_000, after=page.next)

    def traffic(
        self, school: str, since: datetime, until: datetime, *, through: Collection[str] = ()
    ) -> Iterator[traffic.Rows]:
        """The same as bare rows, a stretch of time after the other and the newest first: for counting millions."""
        return traffic.batches(self.open(), school, since, until, through=through)

    def top(
        self,
        by: str,
        school: str,
        since: datetime,
        until: datetime,
        *,
        action: str | None = None,
        but_groups: Sequence[str] = (),
        limit: int = 10,
    ) -> Sequence[tuple[str, int]]:
        """The most frequent values of a field; blanks do not count. Over more than a day it counts whole days (UTC)."""
        if by not in search.TOP:
            raise ValueError(f"cannot count by {by!r}; there are {', '.join(sorted(search.TOP))}")
        with self.open().connect() as connection:
            if by in tallies.BY_HOUR:
                return tallies.top_by_hour(connection, by, school, since, until, action=action, but_groups=but_groups)[:limit]
            if by in tallies.COUNTED and until - since > search.SHORT:
                return tallies.top(connection, by, school, since, until, action=action, but_groups=but_groups, limit=limit)
            return search.top(connection, by, school, since, until, action, but_groups, limit)

    def summary(self, school: str, since: datetime, until: datetime, *, but_groups: Sequence[str] = ()) -> Summary:
        """A period in numbers: whole hours."""

        def top(by: str, action: str | None = None) -> Sequence[tuple[str, int]]:
            return self.top(by, school, since, until, action=action, but_groups=but_groups)

        counted = self.counted(school, since, until, but_groups=but_groups)
        categories: Counter[str] = Counter()
        blocked: Counter[str] = Counter()
        actions: Counter[str] = Counter()
        for one in counted.what:
            actions[one.action] += one.count
            categories[one.category] += one.count
            if one.action == BLOCK:
                blocked[one.category] += one.count
        return Summary(
            asked=actions.total(),
            blocked=actions[BLOCK],
            warned=actions[WARN],
            searches=sum(one.count for one in counted.what if one.kind == Kind.SEARCH),
            sites_blocked=top("host", BLOCK),
            categories=_ten(categories),
            categories_blocked=_ten(blocked),
            by_hour=counted.hours,
        )

    def counted(self, school: str, since: datetime, until: datetime, *, but_groups: Sequence[str] = ()) -> Counted:
        """What was asked, by the hour and by what it was."""
        with self.open().connect() as connection:
            return tallies.counted(connection, school, since, until, but_groups=but_groups)

    def begun(self, school: str) -> datetime | None:
        """When this school's first line came, however long ago that was deleted; None before there was any."""
        with self.open().connect() as connection:
            hour = connection.scalar(sql.select(sql.func.min(hour_sums.c.hour)).where(hour_sums.c.school == school))
            return None if hour is None else moment(hour * HOUR)

    def days_of(self, school: str, who: str, since: datetime, until: datetime) -> Sequence[tuple[datetime, int, int]]:
        """A person's days: how much was asked, and how much of it blocked."""
        with self.open().connect() as connection:
            return tallies.days_of(connection, school, who, since, until)

    def completeness(self) -> Completeness:
        """What arrived of all that the filter saw, ever: every line that was dropped or damaged on its way is counted."""
        with self.open().connect() as connection:
            stored = connection.scalar(sql.select(sql.func.sum(day_sums.c["count"]))) or 0
            lost = sum(spool.lost for spool in _spools(connection).values())
            return Completeness(int(stored), lost)


def _free(table: sql.Table, held: Sequence[Mapping[str, Any]]) -> Iterator[sql.ColumnElement[bool]]:
    """Lines that no hold names."""
    for one in held:
        period = (table.c.at >= one["begins"]) & (table.c.at < one["ends"])
        yield ~(period & (search.who(table) == one["who"])) if one["who"] else ~period


def _ten(counted: Counter[str]) -> Sequence[tuple[str, int]]:
    return tuple(sorted(((value, n) for value, n in counted.items() if value), key=lambda one: (-one[1], one[0]))[:10])


# -- rows to the database

UPSERT = (
    " ON CONFLICT (minute, fold) DO UPDATE SET"
    ' "at" = CASE WHEN excluded."at" < folded."at" THEN excluded."at" ELSE folded."at" END,'
    ' "last" = CASE WHEN excluded."last" > folded."last" THEN excluded."last" ELSE folded."last" END,'
    ' "count" = folded."count" + excluded."count"'
)


def _insert(connection: sql.Connection, table: sql.Table, names: Sequence[str], rows: Sequence[Row], more: str = "") -> None:
    """Said to the driver itself: making each row's parameters by name takes longer than storing them."""
    if rows:
        mark = "?" if connection.dialect.name == "sqlite" else "%s"
        said = ", ".join(f'"{name}"' for name in names)
        adding = f"INSERT INTO {table.name} ({said}) VALUES ({', '.join([mark] * len(names))}){more}"  # noqa: S608 - our own names
        connection.exec_driver_sql(adding, list(rows))


def _spools(connection: sql.Connection, *, lock: bool = False) -> Mapping[str, Spool]:
    asked = sql.select(spool_positions)
    rows = connection.execute(asked.with_for_update() if lock else asked)  # SQLite knows no FOR UPDATE and needs none
    return {row.worker: Spool((row.seq, row.offset), row.lost_seen, row.lost) for row in rows}


def _store_spools(
    connection: sql.Connection,
    known: Mapping[str, Spool],
    positions: Mapping[str, Position],
    lost: Mapping[str, int],
    damaged: Mapping[str, int],
) -> None:
    for worker, position in positions.items():
        before = known.get(worker)
        new = advanced(before, position, lost.get(worker), damaged.get(worker, 0))
        values = {"seq": position[0], "offset": position[1], "lost_seen": new.lost_seen, "lost": new.lost}
        if before is None:
            connection.execute(sql.insert(spool_positions).values(worker=worker, **values))
        elif new != before:
            connection.execute(sql.update(spool_positions).where(spool_positions.c.worker == worker).values(values))
