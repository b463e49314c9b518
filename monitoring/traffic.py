"""Past traffic by the million, as bare rows: for whoever puts every question of the last weeks once more.

What it costs is what the database takes to hand a row over, so a row is made by the database as it is needed, and comes out
of the driver as it is. Two things more:

- Folded lines are stored in the order of their minutes. Where a log holds a few schools only, reading whole minutes and
  passing over the others' lines takes half as long as going to each line by the school's own index.
- A stretch of time is read at once and let go of: a reader that stays keeps SQLite's write-ahead file from being emptied.
  How long a stretch is follows from how much there was in the last one.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from operator import itemgetter
from typing import NamedTuple, cast

import sqlalchemy as sql

from monitoring import search
from monitoring.lines import HOUR, MINUTE, microseconds
from monitoring.tables import NOT_ASKED, SIZES, clean, events, folded
from policy.event import Kind

AT_ONCE = 20_000  # about so many rows a stretch
LONGEST = 48 * HOUR
FEW = 3  # schools

_WITH_PATH = ("page", "resource", "search")
_ALLOWED = ("allow", "restrict")


class Asked(NamedTuple):
    """What was asked, once or several times. The driver's own tuples say the same, place by place."""

    group: str
    host: str
    at: float  # seconds since 1970, of the first
    path: str | None  # None: could not be seen
    follows: bool  # the page would have been asked for, too: it was seen, or the network leads all pages through the proxy
    times: int
    who: str  # the person, or the device or address where no person is known
    person: str
    allowed: bool


type Rows = Sequence[Asked]


def batches(
    engine: sql.Engine, school: str, since: datetime, until: datetime, *, through: Collection[str] = ()
) -> Iterator[Rows]:
    """All that was asked, the newest first, a stretch at a time. `through`: networks whose pages all go through the proxy."""
    school, first, end = clean(school, SIZES["school"]), microseconds(since), microseconds(until)
    span = HOUR
    while True:
        with engine.connect() as connection:
            latest = [_latest(connection, table, school, first, end) for table in (events, folded)]
            if not any(latest):
                return
            end = min(end, max(filter(None, latest)) + 1)  # stretches without traffic are not looked at one by one
            begin = max(first, (end - span) // MINUTE * MINUTE)
            rows = [*_own(connection, school, begin, end, through), *_folded(connection, school, begin, end, through)]
        rows.sort(key=itemgetter(2), reverse=True)
        yield rows
        end = begin
        if len(rows) < AT_ONCE // 2:
            span = min(LONGEST, span * 2)
        elif len(rows) > AT_ONCE * 2:
            span = max(MINUTE, span // 2)


def _latest(connection: sql.Connection, table: sql.Table, school: str, first: int, end: int) -> int | None:
    asked = sql.select(sql.func.max(table.c.at)).where(table.c.school == school, table.c.at >= first, table.c.at < end)
    latest: int | None = connection.scalar(asked)
    return latest


def _own(connection: sql.Connection, school: str, begin: int, end: int, through: Collection[str]) -> Rows:
    path = sql.case((events.c.path == "", "/"), else_=events.c.path)
    mine = events.c.school == school
    return _read(connection, events, (mine,), (begin, end), path, sql.literal_column("1"), through)


def _folded(connection: sql.Connection, school: str, begin: int, end: int, through: Collection[str]) -> Rows:
    mine: list[sql.ColumnElement[bool]] = [folded.c.minute >= begin // MINUTE, folded.c.minute <= (end - 1) // MINUTE]
    if connection.dialect.name == "sqlite" and len(search.schools(connection)) <= FEW:
        mine.append(sql.literal_column("+folded.school") == school)  # the plus keeps SQLite from going by the school's index
    else:
        mine.append(folded.c.school == school)
    return _read(connection, folded, mine, (begin, end), sql.literal("/"), folded.c["count"], through)


def _read(
    connection: sql.Connection,
    table: sql.Table,
    mine: Sequence[sql.ColumnElement[bool]],
    within: tuple[int, int],
    path: sql.ColumnElement[str],
    count: sql.ColumnElement[int],
    through: Collection[str],
) -> Rows:
    column = table.c
    who = sql.case((column.person != "", column.person), (column.device != "", column.device), else_=column.address)
    asked = sql.select(
        column.group,
        column.host,
        sql.cast(column.at, sql.Double) / sql.literal_column("1000000.0"),
        sql.case((column.kind.in_(_WITH_PATH), path)),
        (column.kind != Kind.DNS) | column.network.in_(through),
        count,
        who,
        column.person,
        column.action.in_(_ALLOWED),
    ).where(*mine, column.at >= within[0], column.at < within[1], column.host != "", column.kind.not_in(NOT_ASKED))
    # Past the rows of SQLAlchemy, which would cost as much as the database does: the driver's tuples are what is wanted.
    return cast("Rows", connection.execute(asked).cursor.fetchall())
