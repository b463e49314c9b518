"""Searching the log: newest first, and never for longer than a person waits.

A search that an index answers is one look. One that has to read lines (words within an address, a site and a kind together)
reads them stretch by stretch from the newest (see stretches.py); when its time is up it says how far back it has looked, and
goes on from there when asked. So no view of ten million events makes anybody wait, and none says "nothing" about days that it
has not read.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sql

from monitoring.lines import LARGEST, Cursor, Line, Page, Query, microseconds, moment
from monitoring.rows import FOLDED_ACTIONS, FOLDED_KINDS
from monitoring.stretches import Pace, Stretch, plain, said_to_be, stretches
from monitoring.tables import NOT_ASKED, SIZES, clean, events, folded, site
from policy.event import FIELDS

EQUAL = (
    "school", "person", "address", "device", "group", "category", "action", "kind", "reason", "rule", "network",
    "identified_by",
)  # fmt: skip
TOP = frozenset({"who", "host", "category", "person", "group", "action", "kind", "reason", "term", "device", "address"})
SHORT = timedelta(hours=25)  # so long may a period be whose lines are counted one by one
PATIENCE = 0.35  # seconds after which no further stretch is read


def search(connection: sql.Connection, query: Query, clock: Callable[[], float] = time.monotonic) -> Page:
    """Newest first."""
    cursor = Cursor.parse(query.after) if query.after else None
    named = schools(connection) if query.school is None else [clean(query.school, SIZES["school"])]
    rows: list[Any] = []
    made: dict[tuple[str, str, bool], sql.Select[Any] | None] = {}
    began = clock()
    at_once, pace = len(named) != 1 or plain(query), Pace()
    for one in (Stretch(query.since, query.until),) if at_once else stretches(connection, named[0], query, cursor, pace):
        before = clock()
        times = {
            "since": 0 if one.since is None else microseconds(one.since),
            "until": LARGEST if one.until is None else microseconds(one.until),
        }
        people = {} if one.whos is None else {"whos": one.whos}
        for school in named:
            for table in (events, folded):
                key = school, table.name, one.whos is None
                if key not in made:  # to make a statement takes longer than to run it over a few hundred lines
                    made[key] = _lines(table, replace(query, school=school), cursor, one)
                if (asked := made[key]) is not None:
                    rows += connection.execute(asked, times | people)
        if len(rows) > query.limit:
            break
        pace.took(clock() - before)
        if one.since is not None and one.since != query.since and clock() - began > PATIENCE:
            lines = _in_order(rows)
            return Page(lines, str(Cursor(microseconds(one.since), "f", -LARGEST)), one.since)
    lines = _in_order(rows)
    kept = lines[: query.limit]
    return Page(kept, kept[-1].id if len(lines) > query.limit else None)


def _in_order(rows: list[Any]) -> tuple[Line, ...]:
    rows.sort(key=lambda row: (-row[0], row[1], -row[2]))
    return tuple(_line(row) for row in rows)


def after(connection: sql.Connection, wanted: Sequence[sql.ColumnElement[bool]], limit: int) -> Sequence[tuple[int, Line]]:
    """Own lines with their numbers, in the order in which they were stored: for whoever follows the log."""
    asked = sql.select(*_columns(events)).where(*wanted).order_by(events.c.id).limit(limit)
    return [(row[2], _line(row)) for row in connection.execute(asked)]


# -- rows to lines


def _columns(table: sql.Table) -> list[sql.ColumnElement[Any]]:
    """The same columns from either table; what folding leaves out is blank."""
    head = (
        [events.c.at, sql.literal_column("'e'"), events.c.id, events.c.at, sql.literal_column("1")]
        if table is events
        else [folded.c.at, sql.literal_column("'f'"), folded.c.fold, folded.c.last, folded.c["count"]]
    )
    return [*head, *(table.c[name] if name in table.c else sql.literal_column("''") for name in FIELDS[1:])]


def _line(row: Sequence[Any]) -> Line:
    at, table, number, last, count, *said = row
    return Line(str(Cursor(at, table, number)), moment(at), moment(last), count, *said)


def _lines(table: sql.Table, query: Query, cursor: Cursor | None, within: Stretch) -> sql.Select[Any] | None:
    """One table's share of a page, or None where nothing in it can match."""
    if table is folded and not _may_fold(query):
        return None
    number = events.c.id if table is events else folded.c.fold
    asked = sql.select(*_columns(table)).where(*_matching(table, query, within))
    if cursor is not None:
        own = "e" if table is events else "f"
        if own == cursor.table:
            asked = asked.where(table.c.at <= cursor.at, (table.c.at < cursor.at) | (number < cursor.number))
        else:
            asked = asked.where(table.c.at <= cursor.at if own > cursor.table else table.c.at < cursor.at)
    return asked.order_by(table.c.at.desc(), number.desc()).limit(query.limit + 1)


def _may_fold(query: Query) -> bool:
    """Nothing that was refused, and no search, is ever counted by the minute: the many lines that are need not be read."""
    other_action = query.action is not None and query.action not in FOLDED_ACTIONS
    other_kind = query.kind is not None and query.kind not in FOLDED_KINDS
    return not (query.term is not None or other_action or other_kind)


def _matching(table: sql.Table, query: Query, within: Stretch) -> Iterator[sql.ColumnElement[bool]]:
    def field(name: str) -> sql.ColumnElement[Any]:
        # A database without statistics would guess by which index to go: with nothing put to its end, a field has none.
        aside = within.way and name != within.way and name in {"site", "category", "action"}
        return table.c[name].concat(sql.literal_column("''")) if aside else table.c[name]

    for name in EQUAL:
        if (value := getattr(query, name)) is not None:
            yield field(name) == clean(value, SIZES[name])
    # `who` has an index, and a person is who she is; a device or an address is found by whoever was there.
    yield from (who(table) == named for named in said_to_be(query))
    if within.whos is not None and not said_to_be(query):
        yield who(table).in_(sql.bindparam("whos", expanding=True))
    if query.but_groups:
        yield table.c.group.not_in([clean(group, SIZES["group"]) for group in query.but_groups])
    if query.change is not None:
        yield table.c.change == query.change
    yield table.c.at >= sql.bindparam("since", type_=sql.BigInteger)
    yield table.c.at < sql.bindparam("until", type_=sql.BigInteger)
    if within.sites is not None:
        yield field("site").in_(within.sites)
    elif query.host is not None:
        below = site(clean(query.host, SIZES["host"]))
        yield table.c.site >= below
        yield table.c.site < below[:-1] + "/"  # "/" comes right after "."
    if query.term is not None:
        yield table.c.term != sql.literal_column("''")  # word for word, or the index of lines with search words is not used
        yield table.c.term.icontains(clean(query.term, SIZES["term"]), autoescape=True)
    if query.text is not None:
        words = clean(query.text, SIZES["path"])
        places = [table.c[name] for name in ("host", "path", "term", "detail", "title") if name in table.c]
        yield sql.or_(*(place.icontains(words, autoescape=True) for place in places))


def schools(connection: sql.Connection) -> Sequence[str]:
    """Jumps from one school to the next in the index, instead of reading all lines."""
    found: set[str] = set()
    for table in (events, folded):
        school = connection.scalar(sql.select(sql.func.min(table.c.school)))
        while school is not None:
            found.add(school)
            school = connection.scalar(sql.select(sql.func.min(table.c.school)).where(table.c.school > school))
    return sorted(found)


def _within(table: sql.Table, school: str, since: datetime, until: datetime) -> list[sql.ColumnElement[bool]]:
    return [
        table.c.school == clean(school, SIZES["school"]),
        table.c.at >= microseconds(since),
        table.c.at < microseconds(until),
    ]


def who(table: sql.Table) -> sql.ColumnElement[str]:
    """The person, or the device or address where no person is known."""
    blank: sql.ColumnElement[str] = sql.literal_column("''")
    return sql.func.coalesce(sql.func.nullif(table.c.person, blank), sql.func.nullif(table.c.device, blank), table.c.address)


def _asked(
    by: str, school: str, since: datetime, until: datetime, action: str | None, but_groups: Sequence[str]
) -> sql.Subquery:
    """The traffic of a period, from both tables, with its counts: its moments, actions and one more field."""
    parts = []
    for table in (events, folded):
        field = who(table) if by == "who" else table.c[by] if by in table.c else sql.literal_column("''")
        count = folded.c["count"] if table is folded else sql.literal_column("1").label("count")
        part = sql.select(table.c.at, table.c.action, count, field.label("field")).where(
            *_within(table, school, since, until)
        )
        if table is events:
            part = part.where(events.c.kind.not_in(NOT_ASKED))
        if but_groups:
            part = part.where(table.c.group.not_in(but_groups))
        parts.append(part if action is None else part.where(table.c.action == clean(action, SIZES["action"])))
    return sql.union_all(*parts).subquery()


def top(
    connection: sql.Connection,
    by: str,
    school: str,
    since: datetime,
    until: datetime,
    action: str | None,
    but_groups: Sequence[str],
    limit: int,
) -> Sequence[tuple[str, int]]:
    """The most frequent values, to the moment, from the lines themselves: for short periods."""
    asked = _asked(by, school, since, until, action, but_groups)
    field, total = asked.c.field, sql.func.sum(asked.c["count"])
    counted = sql.select(field, total).where(field != "").group_by(field).order_by(total.desc(), field).limit(limit)
    return tuple((value, int(count)) for value, count in connection.execute(counted))
