"""Which parts of the log a search has to read: the newest first, and of each only what can hold an answer.

Three things are known beforehand, because they were counted when the lines were stored, and none of them needs a line:

- Days. What never was together on a day (a group, a rule and a reason: `mixes`; a person and a device: `seats`; a site, a
  group and an action: `tallies`) need not be looked for on that day. Where there are no such counts (held lines outlive them,
  and older logs had none) a day may hold anything.
- Ways. An index leads to the lines of a person, of a site, of a category or of a moment. A device and an address have none of
  their own: who was at them is known, and the index of people leads there. A site is the names below it that ever came up, so
  that each is one entry of the index, in order of time.
- Weights: how many lines the way leads past in each hour. A stretch is as many hours as can be read in a moment; how many
  those are shows with the last one.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sql

from monitoring import tallies
from monitoring.lines import HOUR, LARGEST, Cursor, Query, microseconds, moment
from monitoring.rows import FOLDED_ACTIONS
from monitoring.tables import (
    MIXED,
    NOT_ASKED,
    SIZES,
    UNCOUNTED,
    clean,
    day_sums,
    events,
    folded,
    hour_sums,
    meta,
    mixes,
    seats,
    site,
)
from monitoring.tables import tallies as tally_rows
from policy.event import Kind

AT_ONCE = 40_000  # lines of the first stretch, where each has to be looked at and they lie in a row
A_MOMENT = 0.1  # seconds that each later one shall take, as far as the last one tells
# A line that an index leads to may lie by itself on the disk: to read it takes as long as so many in a row, but never longer
# than to read all that lies between.
APART = 80
TEXT = 3  # to look for words within four fields of a line takes as long as so many lines
LONGEST = 31  # days of a stretch in which there is hardly anything
NAMES, PEOPLE = 200, 200  # so many names of a site, or people at a device, are gone to one by one

type Weights = Mapping[int, float]  # by day


@dataclass(frozen=True, slots=True)
class Stretch:
    """From a moment (None: the beginning) until another; and the way there."""

    since: datetime | None
    until: datetime | None
    whos: tuple[str, ...] | None = None  # nobody else's lines can be meant
    sites: tuple[str, ...] | None = None  # all names of the site
    way: str = ""  # by which field's index; blank: whichever the database likes


def plain(query: Query) -> bool:
    """Does an index lead straight to what is asked, newest first? Time, person, action or category alone have one."""
    asked = {name for name in (*MIXED, "device", "address", "person", "who") if getattr(query, name) is not None}
    if query.text is not None or query.term is not None or query.change is not None or query.host is not None:
        return False
    if asked <= {"person", "who"}:
        return bool(said_to_be(query)) or not (asked or query.but_groups)
    return not query.but_groups and (asked == {"category"} or (asked == {"action"} and not _counted(query)))


def said_to_be(query: Query) -> Sequence[str]:
    """Whose lines are asked for, as `who` has them. (Those of no known person are everybody else's.)"""
    asked = ((query.person or None, SIZES["person"]), (query.who, SIZES["device"]))
    return [clean(value, size) for value, size in asked if value is not None]


def _counted(query: Query) -> bool:
    """Of what is counted by the minute no index tells the action; most of it was allowed."""
    return query.action in FOLDED_ACTIONS and query.action != "allow"


@dataclass(slots=True)
class Pace:
    """How much to read at once. What is in memory is read a hundred times as fast as what is not, and the next stretch may be

    either: so never much more than what can be waited for in the worst case.
    """

    lines: float = AT_ONCE

    def took(self, seconds: float) -> None:
        self.lines = min(2 * AT_ONCE, max(AT_ONCE / 16, self.lines * A_MOMENT / max(seconds, 0.001)))


def stretches(connection: sql.Connection, school: str, query: Query, cursor: Cursor | None, pace: Pace) -> Iterator[Stretch]:
    bounds = _bounds(connection, school)
    if bounds is None:
        return
    first, last = bounds
    if query.since is not None:
        first = max(first, microseconds(query.since))
    if query.until is not None:
        last = min(last, microseconds(query.until) - 1)
    if cursor is not None:
        last = min(last, cursor.at - (cursor.number == -LARGEST))  # nothing of that moment is left, where a stretch ended
    people = _people(connection, school, query, first // tallies.DAY)
    sites = None if query.host is None else names_of(connection, school, query.host)
    if sites == ():
        return
    wanted = _days(connection, school, query, first // tallies.DAY, people, sites)
    hours = _hours(connection, school, first // HOUR, last // HOUR)
    whole = _by_day(hours)
    way, weights = _way(connection, school, query, people, sites, whole)
    each = 1 if query.text is None else TEXT
    told = None if people is None or people.since == LARGEST else (people.since + 1) * tallies.DAY
    end = (last // HOUR + 1) * HOUR
    while end > first:
        day = (end - 1) // tallies.DAY
        if wanted is not None and day not in wanted:
            older = [each for each in wanted if each < day]
            if not older:
                return
            day = max(older)
            end = (day + 1) * tallies.DAY
        start, weight = end, 0.0
        while start > first and weight <= pace.lines and end - start < LONGEST * tallies.DAY:
            if start < end and ((wanted is not None and (start - 1) // tallies.DAY not in wanted) or start == told):
                break  # the days between need not be read; and where nobody knows who was there, another way begins
            start -= HOUR
            on = start // tallies.DAY
            share = hours.get(start // HOUR, 0) / whole[on] if whole.get(on) else 1 / 24
            weight += each * min(APART * weights.get(on, 0), whole.get(on, 0)) * share
        yield Stretch(
            max(moment(start), query.since) if query.since else moment(start),
            min(moment(end), query.until) if query.until else moment(end),
            _those(people, start // tallies.DAY, (end - 1) // tallies.DAY),
            sites,
            way,
        )
        end = start


def _those(people: "_People | None", first: int, last: int) -> tuple[str, ...] | None:
    if people is None or first <= people.since:
        return None
    whos = {who for day in range(first, last + 1) for who in people.days.get(day, ())}
    return tuple(sorted(whos)) if len(whos) <= PEOPLE else None


def _way(
    connection: sql.Connection,
    school: str,
    query: Query,
    people: "_People | None",
    sites: Sequence[str] | None,
    whole: Weights,
) -> tuple[str, Weights]:
    """The shortest way to what is asked, and how many lines of each day it leads past."""
    if people is not None:
        whos = {who for some in people.days.values() for who in some}
        if len(whos) <= PEOPLE:
            unknown = {day: weight for day, weight in whole.items() if day <= people.since}
            return "who", unknown | _tallied(connection, school, "who", whos)
    if query.term is not None:
        return "term", _sums(connection, school, kind=Kind.SEARCH)
    if sites is not None:
        return "site", _tallied(connection, school, "host", _hosts(sites))
    if query.category is not None:
        return "category", _sums(connection, school, category=query.category)
    if query.action is not None and query.action not in FOLDED_ACTIONS:
        return "action", _sums(connection, school, action=query.action)
    return "at", whole


def _hours(connection: sql.Connection, school: str, first: int, last: int) -> Mapping[int, int]:
    table = hour_sums.c
    asked = sql.select(table.hour, sql.func.sum(table["count"])).where(
        table.school == school, table.hour >= first // 24 * 24, table.hour <= last
    )
    return {hour: int(count) for hour, count in connection.execute(asked.group_by(table.hour))}


def _by_day(hours: Mapping[int, int]) -> dict[int, float]:
    found: dict[int, float] = {}
    for hour, count in hours.items():
        found[hour // 24] = found.get(hour // 24, 0) + count
    return found


def _sums(connection: sql.Connection, school: str, **of: str) -> Weights:
    table = day_sums.c
    wanted = [table[name] == clean(value, SIZES[name]) for name, value in of.items()]
    asked = sql.select(table.day, sql.func.sum(table["count"])).where(table.school == school, *wanted).group_by(table.day)
    return {day: int(count) for day, count in connection.execute(asked)}


def _tallied(connection: sql.Connection, school: str, what: str, values: Collection[str]) -> dict[int, float]:
    table = tally_rows.c
    asked = sql.select(table.day, sql.func.sum(table["count"])).where(
        table.school == school, table.what == what, table.value.in_(values)
    )
    return {day: int(count) for day, count in connection.execute(asked.group_by(table.day))}


def _bounds(connection: sql.Connection, school: str) -> tuple[int, int] | None:
    """The first and the last moment of a school's lines."""
    found = [
        moments
        for table in (events, folded)
        for moments in connection.execute(
            sql.select(
                sql.select(sql.func.min(table.c.at)).where(table.c.school == school).scalar_subquery(),
                sql.select(sql.func.max(table.c.at)).where(table.c.school == school).scalar_subquery(),
            )
        )
        if moments[0] is not None
    ]
    return (min(one[0] for one in found), max(one[1] for one in found)) if found else None


def names_of(connection: sql.Connection, school: str, host: str) -> tuple[str, ...] | None:
    """The site and all names below it that ever came up, from their ends; None: too many to go to one by one.

    Jumps from one name to the next in the index, instead of reading the site's lines.
    """
    below = site(clean(host, SIZES["host"]))
    found: set[str] = set()
    for table in (events, folded):
        asked = sql.select(sql.func.min(table.c.site)).where(table.c.school == school, table.c.site < below[:-1] + "/")
        name = connection.scalar(asked.where(table.c.site >= below))
        while name is not None and len(found) <= NAMES:
            found.add(name)
            name = connection.scalar(asked.where(table.c.site > name))
    return tuple(sorted(found)) if len(found) <= NAMES else None


def _hosts(sites: Sequence[str]) -> list[str]:
    """What they were made of, as tallies have it."""
    return [".".join(reversed(name.strip(".").split(".")))[: tallies.LONGEST] for name in sites]


# -- days


@dataclass(frozen=True, slots=True)
class _People:
    """Who was at a device or address, by day; up to and with the day `since` nobody can say."""

    days: Mapping[int, frozenset[str]]
    since: int


def _people(connection: sql.Connection, school: str, query: Query, first: int) -> _People | None:
    """Whose lines can be meant; None: anybody's."""
    table = seats.c
    wanted: list[sql.ColumnElement[bool]] = [table.school == school]
    for name, size in (("device", SIZES["device"]), ("address", SIZES["address"])):
        if (value := getattr(query, name)) is not None:
            wanted.append(table[name] == clean(value, size))
    wanted += [table.who == named for named in said_to_be(query)]
    if len(wanted) == 1:
        return None
    since = _since(connection, seats, school)
    found: dict[int, set[str]] = {}
    for day, who in connection.execute(sql.select(table.day, table.who).where(*wanted, table.day >= first).distinct()):
        found.setdefault(day, set()).add(who)
    return _People({day: frozenset(whos) for day, whos in found.items()}, since)


def _since(connection: sql.Connection, table: sql.Table, school: str) -> int:
    """The first day of which there are such counts: of it, and of what was before, they need not tell all."""
    day: int | None = connection.scalar(sql.select(sql.func.min(table.c.day)).where(table.c.school == school))
    if day is None:
        return LARGEST
    return max(day, int(connection.scalar(sql.select(meta.c.value).where(meta.c.name == UNCOUNTED)) or 0))


def _days(
    connection: sql.Connection, school: str, query: Query, first: int, people: _People | None, sites: Sequence[str] | None
) -> set[int] | None:
    """The days on which everything that is asked for can have been together, from the first; None: any day."""
    found: list[set[int]] = []
    whos = [("who", named) for named in said_to_be(query)]
    for what, value in (*whos, ("rule", query.rule), ("change", query.change)):
        if value and query.kind not in NOT_ASKED:  # requests and notices are lines, too, but are not tallied; nor are blanks
            found.append(tallies.days(connection, school, what, str(value)))
    if people is not None and people.since != LARGEST:
        found.append(set(people.days) | set(range(first, people.since + 1)))
    mixed = [mixes.c[name] == clean(value, SIZES[name]) for name in MIXED if (value := getattr(query, name)) is not None]
    if query.change is not None:
        mixed.append(mixes.c.change == query.change)
    if query.but_groups:
        mixed.append(mixes.c.group.not_in([clean(group, SIZES["group"]) for group in query.but_groups]))
    if mixed and (since := _since(connection, mixes, school)) != LARGEST:
        asked = sql.select(mixes.c.day).where(mixes.c.school == school, mixes.c.day >= first, *mixed).distinct()
        found.append(set(connection.scalars(asked)) | set(range(first, since + 1)))
    table = tally_rows.c
    tallied = sql.select(sql.func.min(table.day)).where(table.school == school, table.what == "host")
    if sites is not None and query.action and (begun := connection.scalar(tallied)) is not None:
        # Requests and notices are not tallied, and have no action: what is asked for here is traffic.
        asked = sql.select(table.day).where(
            table.school == school,
            table.what == "host",
            table.value.in_(_hosts(sites)),
            table.action == clean(query.action, SIZES["action"]),
            *([] if query.group is None else [table.group == clean(query.group, SIZES["group"])]),
        )
        found.append(set(connection.scalars(asked.distinct())) | set(range(first, begun)))
    return set.intersection(*found) if found else None
