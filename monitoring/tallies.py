"""Counts beside the lines: by the hour, and by day for each person, site and search.

They are written in the transaction that writes the lines, so they cannot disagree with them, and they answer what would
otherwise read a month of lines: the pictures of a report, the top tens, and on which days something was seen at all.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import batched
from typing import Any

import sqlalchemy as sql

from monitoring.lines import HOUR, Counted, Hour, Tally, microseconds, moment
from monitoring.rows import FEW
from monitoring.tables import MIXED, NOT_ASKED, SIZES, clean, day_sums, hour_sums, hours, mixes, seats, tallies
from policy.event import FIELDS, Event

DAY = 24 * HOUR
# What is counted by day: whom a report names, and by what a search may skip the days on which nothing can match. `who` is
# the person, or the device or address where no person is known.
COUNTED = ("who", "host", "term", "rule", "change")
BY_HOUR = ("category", "group", "action", "kind")
OWN_SIZES = {"who": SIZES["device"], "change": 20}  # of what is counted and is no text of an event's own
LONGEST = 200  # characters of a value: an index of PostgreSQL holds no more than some 2,700 bytes
BLOCK, WARN = "block", "warn"


def add(connection: sql.Connection, own: Sequence[Event], folded: Sequence[Event]) -> None:
    """Count events as they are stored: column by column (see rows.py), and all that has few values once, together."""
    mixed: Counter[tuple[Any, ...]] = Counter()  # school, hour, what is MIXED, change
    seated: Counter[tuple[Any, ...]] = Counter()  # school, day, group, action, who, device, address; hosts: without the last
    hosts: Counter[tuple[Any, ...]] = Counter()
    places: set[tuple[Any, ...]] = set()  # of those who spoke to the filter: that is no traffic
    for few in batched((*own, *folded), FEW):
        mixed.update(_keys(few, HOUR, (*MIXED, "change")))
        asked: Sequence[Event] = few
        if not NOT_ASKED.isdisjoint(event.kind for event in few):
            asked = [event for event in few if event.kind not in NOT_ASKED]
            spoke = [event for event in few if event.kind in NOT_ASKED]
            places.update(_keys(spoke, DAY, (), _whos(spoke), *_places(spoke)))
        if asked:
            seated.update(_keys(asked, DAY, ("group", "action"), _whos(asked), *_places(asked)))
            hosts.update(_keys(asked, DAY, ("group", "action"), [event.host.strip(". ").lower() for event in asked]))
    by_day: Counter[tuple[Any, ...]] = Counter()
    by_hour: Counter[tuple[Any, ...]] = Counter()
    days: set[tuple[Any, ...]] = set()
    for (school, day, group, action, who, device, address), count in seated.items():
        places.add((school, day, who, device, address))
        if who:
            by_day[school, "who", day, who, group, action] += count
    for (school, day, group, action, host), count in hosts.items():
        by_day[school, "host", day, host[:LONGEST], group, action] += count
    for (school, hour, group, kind, action, category, *other, rule, change), count in mixed.items():
        by_hour[school, hour, group, kind, action, category] += count
        days.add((school, hour // 24, group, kind, action, category, *other, rule, change))
        if kind not in NOT_ASKED and rule:
            by_day[school, "rule", hour // 24, rule, group, action] += count
        if kind not in NOT_ASKED and change:
            by_day[school, "change", hour // 24, str(change), group, action] += count
    # A name that was looked up carries no words that are kept.
    searched = [event for event in own if event.term and event.kind not in NOT_ASKED]
    words = [event.term[:LONGEST] for event in searched]
    for school, day, group, action, term in _keys(searched, DAY, ("group", "action"), words):
        by_day[school, "term", day, term, group, action] += 1
    _upsert(connection, hours, by_hour)
    sums: Counter[tuple[Any, ...]] = Counter()
    whole: Counter[tuple[Any, ...]] = Counter()
    for (school, hour, group, kind, action, category), count in by_hour.items():
        whole[school, hour // 24, group, kind, action, category] += count
        if kind not in NOT_ASKED:
            sums[school, hour, group, action] += count
    _upsert(connection, hour_sums, sums)
    _upsert(connection, day_sums, whole)
    _upsert(connection, tallies, by_day)
    _once(connection, mixes, days)
    _once(connection, seats, places)


def _keys(some: Sequence[Event], period: int, names: Sequence[str], *more: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Of each event its school, in which period it was, and what else it is counted by."""
    if not some:
        return iter(())
    columns = list(zip(*some, strict=True))
    at = [int(moment * 1_000_000) // period for moment in columns[0]]
    return zip(columns[FIELDS.index("school")], at, *(columns[FIELDS.index(name)] for name in names), *more, strict=True)


def _places(some: Sequence[Event]) -> tuple[Sequence[str], Sequence[str]]:
    return [event.device for event in some], [event.address for event in some]


def _whos(some: Sequence[Event]) -> Sequence[str]:
    return [event.person or event.device or event.address for event in some]


def _once(connection: sql.Connection, table: sql.Table, rows: Collection[tuple[Any, ...]]) -> None:
    """What is there already costs a look, and no writing."""
    if rows:
        key = [f'"{column.name}"' for column in table.primary_key.columns]
        mark = "?" if connection.dialect.name == "sqlite" else "%s"
        adding = f"INSERT INTO {table.name} ({', '.join(key)}) VALUES ({', '.join([mark] * len(key))}) ON CONFLICT DO NOTHING"  # noqa: S608 - our own names
        connection.exec_driver_sql(adding, sorted(rows))


def _upsert(connection: sql.Connection, table: sql.Table, counted: Mapping[tuple[Any, ...], int]) -> None:
    if not counted:
        return
    key = [column.name for column in table.primary_key.columns]
    # Said to the driver itself: building each row's parameters by name takes longer than storing them.
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    names = ", ".join(f'"{name}"' for name in key)
    adding = (
        f'INSERT INTO {table.name} ({names}, "count") VALUES ({", ".join([mark] * (len(key) + 1))}) '  # noqa: S608 - our own names
        f'ON CONFLICT ({names}) DO UPDATE SET "count" = {table.name}."count" + excluded."count"'
    )
    # In the order of the index: neighbours are written together, and two writers never wait for each other crosswise.
    connection.exec_driver_sql(adding, [(*row, count) for row, count in sorted(counted.items())])


def days(connection: sql.Connection, school: str, what: str, value: str) -> set[int]:
    """On which days was this seen?"""
    asked = sql.select(tallies.c.day).where(
        tallies.c.school == clean(school, SIZES["school"]),
        tallies.c.what == what,
        tallies.c.value == clean(value, min(OWN_SIZES.get(what) or SIZES[what], LONGEST)),
    )
    return set(connection.scalars(asked.distinct()))


def top(
    connection: sql.Connection,
    what: str,
    school: str,
    since: datetime,
    until: datetime,
    *,
    action: str | None = None,
    but_groups: Sequence[str] = (),
    limit: int = 10,
) -> tuple[tuple[str, int], ...]:
    """The most frequent values over whole days (UTC) that the period touches."""
    school = clean(school, SIZES["school"])
    total = sql.func.sum(tallies.c["count"])
    asked = sql.select(tallies.c.value, total).where(
        tallies.c.school == school,
        tallies.c.what == what,
        tallies.c.day >= microseconds(since) // DAY,
        tallies.c.day < -(-microseconds(until) // DAY),
    )
    if action is not None:
        asked = asked.where(tallies.c.action == action)
    if but_groups:
        asked = asked.where(tallies.c.group.not_in(but_groups))
    asked = asked.group_by(tallies.c.value).order_by(total.desc(), tallies.c.value).limit(limit)
    return tuple((value, int(count)) for value, count in connection.execute(asked))


def top_by_hour(
    connection: sql.Connection,
    by: str,
    school: str,
    since: datetime,
    until: datetime,
    *,
    action: str | None = None,
    but_groups: Sequence[str] = (),
) -> tuple[tuple[str, int], ...]:
    """The most frequent categories, groups, actions or kinds over whole hours that the period touches."""
    found: Counter[str] = Counter()
    for table, period in _parts(since, until):
        for value, kind, did, count in _summed(connection, table, school, period, (by, "kind", "action"), but_groups):
            if value and kind not in NOT_ASKED and action in (None, did):
                found[value] += count
    return tuple(sorted(found.items(), key=lambda one: (-one[1], one[0])))


def days_of(
    connection: sql.Connection, school: str, who: str, since: datetime, until: datetime
) -> Sequence[tuple[datetime, int, int]]:
    """A person's days: how much was asked, and how much of it blocked."""
    table = tallies.c
    refused = sql.func.sum(sql.case((table.action == BLOCK, table["count"]), else_=0))
    asked = (
        sql.select(table.day, sql.func.sum(table["count"]), refused)
        .where(
            table.school == clean(school, SIZES["school"]),
            table.what == "who",
            table.value == clean(who, 128),
            table.day >= microseconds(since) // DAY,
            table.day <= microseconds(until) // DAY,
        )
        .group_by(table.day)
        .order_by(table.day)
    )
    return [(moment(day * DAY), int(count), int(blocked)) for day, count, blocked in connection.execute(asked)]


def counted(
    connection: sql.Connection, school: str, since: datetime, until: datetime, *, but_groups: Sequence[str] = ()
) -> Counted:
    """What was asked in a period, whole hours: its whole days from the sums of days, and only what is left from hours."""
    begin, end = _hours(since, until)
    asked: Counter[int] = Counter()
    blocked: Counter[int] = Counter()
    for hour, action, count in _summed(connection, hour_sums, school, (begin, end), ("hour", "action"), but_groups):
        asked[hour] += count
        if action == BLOCK:
            blocked[hour] += count
    what: Counter[tuple[str, str, str]] = Counter()
    for table, period in _parts(since, until):
        for *said, count in _summed(connection, table, school, period, ("kind", "action", "category"), but_groups):
            what[said[0], said[1], said[2]] += count
    return Counted(
        tuple(Hour(moment(hour * HOUR), asked[hour], blocked[hour]) for hour in sorted(asked)),
        tuple(Tally(*said, count) for said, count in what.items() if said[0] not in NOT_ASKED),
    )


def _hours(since: datetime, until: datetime) -> tuple[int, int]:
    return microseconds(since) // HOUR, -(-microseconds(until) // HOUR)


def _parts(since: datetime, until: datetime) -> Sequence[tuple[sql.Table, tuple[int, int]]]:
    """A period's whole days, and the hours before and after them, each with the table that counts it."""
    begin, end = _hours(since, until)
    first, last = -(-begin // 24), end // 24
    if first >= last:
        return ((hours, (begin, end)),)
    return ((day_sums, (first, last)), (hours, (begin, first * 24)), (hours, (last * 24, end)))


def _summed(
    connection: sql.Connection,
    table: sql.Table,
    school: str,
    period: tuple[int, int],
    by: Sequence[str],
    but_groups: Sequence[str],
) -> Iterable[Sequence[Any]]:
    names = [table.c[name] for name in by]
    number = table.c.day if table is day_sums else table.c.hour
    asked = sql.select(*names, sql.func.sum(table.c["count"])).where(
        table.c.school == clean(school, SIZES["school"]), number >= period[0], number < period[1]
    )
    if but_groups:
        asked = asked.where(table.c.group.not_in(but_groups))
    return [(*said, int(count)) for *said, count in connection.execute(asked.group_by(*names))]
