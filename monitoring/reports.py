"""Reports: a period in numbers, with what they mean and what can be done. Nobody is named in one.

The same figures go on the page, into the PDF and into the CSV. A report for the LA is counts alone, and counts below five are
said as "fewer than 5" there, since a small number in a small school is a person.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sql

from monitoring import store
from monitoring.captures import GRADES
from monitoring.lines import Hour, microseconds
from monitoring.log import Log
from monitoring.rules import AREAS, THEMES
from monitoring.tables import alarms, captures, incidents
from monitoring.tallies import DAY

FEWEST = 5


@dataclass(frozen=True, slots=True)
class Kind:
    """Captures that a report tells apart."""

    theme: str
    area: str
    grade: str
    route: str


@dataclass(frozen=True, slots=True)
class Figures:
    """A school's period in numbers."""

    since: datetime
    until: datetime
    asked: int
    blocked: int
    warned: int
    searches: int
    by_day: Sequence[tuple[date, int, int]]  # asked, blocked
    by_hour: Sequence[tuple[str, int, int]]  # hours of the school's day, summed over the period
    categories_blocked: Sequence[tuple[str, int]]
    sites_blocked: Sequence[tuple[str, int]]
    captures: int
    waiting: int
    by_theme: Sequence[tuple[str, int]]
    by_grade: Mapping[str, int]
    by_area: Sequence[tuple[str, int]]
    serious_by_week: Sequence[tuple[date, int, int]]  # of 12 weeks: serious, all but off task
    incidents_opened: int
    incidents_closed: int
    alarms: int
    minutes_to_acknowledge: int | None  # the middle one
    before: "Figures | None" = None

    @property
    def days(self) -> int:
        return (self.until - self.since).days


def figures(
    log: Log, school: str, since: datetime, until: datetime, *, subjects: Sequence[str], but_groups: Sequence[str], zone: str,
    compare: bool = True,
) -> Figures:  # fmt: skip
    counted = log.counted(school, since, until, but_groups=but_groups)
    caught = _caught(log, school, since, until, subjects)
    total = sum(caught.values())
    there = ZoneInfo(zone)
    local = {one.at: one.at.astimezone(there) for one in counted.hours}
    blocked = Counter[str]()
    actions = Counter[str]()
    for each in counted.what:
        actions[each.action] += each.count
        if each.action == "block" and each.category:
            blocked[each.category] += each.count
    opened, closed, raised, minutes = _dealt(log, school, since, until, subjects)
    return Figures(
        since=since,
        until=until,
        asked=actions.total(),
        blocked=actions["block"],
        warned=actions["warn"],
        searches=sum(each.count for each in counted.what if each.kind == "search"),
        by_day=_by(counted.hours, lambda one: local[one.at].date()),
        by_hour=_by(counted.hours, lambda one: f"{local[one.at].hour:02}"),
        categories_blocked=tuple(blocked.most_common(10)),
        sites_blocked=tuple(log.top("host", school, since, until, action="block", but_groups=but_groups)),
        captures=total,
        waiting=sum(count for one, count in caught.items() if not one.grade and one.route != "weekly"),
        by_theme=_names(_summed(caught, lambda one: one.theme), {key: theme.name for key, theme in THEMES.items()}),
        by_grade={GRADES[name]: _summed(caught, lambda one: one.grade)[name] for name in GRADES},
        by_area=_names(_summed(caught, lambda one: one.area), AREAS),
        serious_by_week=_trend(log, school, until, subjects) if compare else (),
        incidents_opened=opened,
        incidents_closed=closed,
        alarms=raised,
        minutes_to_acknowledge=minutes,
        before=figures(
            log, school, since - (until - since), since, subjects=subjects, but_groups=but_groups, zone=zone, compare=False
        )
        if compare
        else None,
    )


def _by[T: (str, date)](counted: Sequence[Hour], key: Callable[[Hour], T]) -> Sequence[tuple[T, int, int]]:
    asked: Counter[T] = Counter()
    blocked: Counter[T] = Counter()
    for one in counted:
        at = key(one)
        asked[at] += one.asked
        blocked[at] += one.blocked
    return tuple((at, asked[at], blocked[at]) for at in sorted(asked))


def _names(counted: Counter[str], names: Mapping[str, str]) -> Sequence[tuple[str, int]]:
    return tuple((names.get(name, name), count) for name, count in counted.most_common())


def _summed(caught: Mapping[Kind, int], by: Callable[[Kind], str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for one, count in caught.items():
        found[by(one)] += count
    return found


def _caught(log: Log, school: str, since: datetime, until: datetime, subjects: Sequence[str]) -> Mapping[Kind, int]:
    """A period's captures, counted where they lie: a month of a large school is thousands of them."""
    told = (captures.c.theme, captures.c.area, captures.c.grade, captures.c.route)
    asked = _of(sql.select(*told, sql.func.count()), school, since, until, subjects).group_by(*told)
    with store.reading(log) as connection:
        return {Kind(*one[:4]): int(one[4]) for one in connection.execute(asked)}


def _trend(log: Log, school: str, until: datetime, subjects: Sequence[str]) -> Sequence[tuple[date, int, int]]:
    """Twelve weeks: serious ones, and all that were shown for review."""
    first = until.date() + timedelta(days=1) - timedelta(weeks=12)
    begins = datetime.combine(first, time(), until.tzinfo)
    week = (captures.c.at - microseconds(begins)) // (7 * DAY)
    serious, shown = captures.c.grade == "serious", captures.c.route.in_(("urgent", "review"))
    asked = _of(sql.select(week, serious, shown, sql.func.count()), school, begins, until, subjects)
    found: dict[int, tuple[int, int]] = {}
    with store.reading(log) as connection:
        for number, is_serious, is_shown, count in connection.execute(asked.group_by(week, serious, shown)):
            before = found.get(int(number), (0, 0))
            found[int(number)] = before[0] + count * bool(is_serious), before[1] + count * bool(is_shown)
    return tuple((first + timedelta(weeks=n), *found.get(n, (0, 0))) for n in range(12))


def _of[T: sql.Select[Any]](asked: T, school: str, since: datetime, until: datetime, subjects: Sequence[str]) -> T:
    return asked.where(
        captures.c.school == school, captures.c.route != "faint", captures.c.subject.in_(tuple(subjects)),
        captures.c.at >= microseconds(since), captures.c.at < microseconds(until),
    )  # fmt: skip


def _dealt(
    log: Log, school: str, since: datetime, until: datetime, subjects: Sequence[str]
) -> tuple[int, int, int, int | None]:
    begins, ends = microseconds(since), microseconds(until)
    mine = (incidents.c.school == school) & incidents.c.subject.in_(tuple(subjects)) & (incidents.c.held_by == "")
    follow = microseconds(since + timedelta(weeks=6)), microseconds(until + timedelta(weeks=6))
    with store.reading(log) as connection:
        count = sql.select(sql.func.count()).select_from(incidents)
        opened = connection.scalar(count.where(mine, incidents.c.at >= begins, incidents.c.at < ends)) or 0
        closed = (
            connection.scalar(count.where(mine, incidents.c.follow_up >= follow[0], incidents.c.follow_up < follow[1])) or 0
        )
        raised = store.rows(
            connection,
            sql.select(alarms.c.at, alarms.c.acknowledged_at).where(
                alarms.c.school == school,
                alarms.c.at >= begins,
                alarms.c.at < ends,
                alarms.c.subject.in_((*subjects, "review")),
            ),
        )
    took = sorted((one["acknowledged_at"] - one["at"]) // 60_000_000 for one in raised if one["acknowledged_at"] is not None)
    return opened, closed, len(raised), took[len(took) // 2] if took else None


def meaning(found: Figures) -> Sequence[str]:
    """What it means and what can be done, in sentences that follow from the figures."""
    said = []
    before = found.before
    if not found.asked:
        return (
            "Nothing passed the gate in this period. If school was open, devices go round the filter: ask the technician.",
        )
    share = 100 * found.blocked / found.asked
    said.append(f"{share:.1f} % of what was asked was blocked.")
    if before and before.asked:
        was = 100 * before.blocked / before.asked
        if share > 1.5 * was and found.blocked - before.blocked > 50:
            said.append(
                f"That is more than before ({was:.1f} %). One app that tries again and again is the usual reason: "
                "see the sites blocked most."
            )
        elif share < was / 1.5 and before.blocked - found.blocked > 50:
            said.append(
                f"That is less than before ({was:.1f} %). Ask whether devices found a way round, or a rule was opened."
            )
    if found.waiting:
        said.append(
            f"{found.waiting} {'capture has' if found.waiting == 1 else 'captures have'} not been looked at. "
            "Look this week, at urgent ones today."
        )
    elif found.captures:
        said.append("Every capture that waits for review has been looked at.")
    serious = found.by_grade.get("Serious", 0)
    if serious:
        earlier = before.by_grade.get("Serious", 0) if before else 0
        trend = "more than" if serious > earlier else "fewer than" if serious < earlier else "as many as"
        said.append(
            f"{serious} serious, {trend} in the period before. Are they the same pupils? "
            "Does a theme need an assembly or a lesson?"
        )
    false = found.by_grade.get("False positive", 0)
    if found.captures >= 20 and false > found.captures / 3:
        said.append("A third of the captures were false positives: propose words that mean no harm here.")
    if found.minutes_to_acknowledge is not None:
        said.append(f"Half of the alarms were taken within {found.minutes_to_acknowledge + 1} minutes.")
        if found.minutes_to_acknowledge > 60:
            said.append("That is long: look at the rota and at who covers.")
    return said


def read(found: Figures) -> Mapping[str, str]:
    """What each picture says and what can be done, in a sentence or two: for whoever would rather read."""
    said: dict[str, str] = {}
    if found.by_day:
        day, asked, _ = max(found.by_day, key=lambda one: one[1])
        said["day"] = f"Most was asked on {day:%A}, {asked:,} times."
        worst = max(found.by_day, key=lambda one: one[2] / max(1, one[1]))
        if worst[2]:
            said["day"] += f" The share blocked was highest on {worst[0]:%A}: look at that day in the filter log."
    if found.by_hour:
        hour, asked, _ = max(found.by_hour, key=lambda one: one[1])
        late = sum(asked for at, asked, _ in found.by_hour if int(at) >= 22 or int(at) < 6)
        share = 100 * late / max(1, sum(asked for _, asked, _ in found.by_hour))
        said["hour"] = f"The busiest hour begins at {hour}:00."
        said["hour"] += (
            f" {share:.0f} % was between 22:00 and 6:00: ask whether devices at home should rest then."
            if share >= 10
            else " Hardly anything was at night."
        )
    if found.by_theme:
        name, count = found.by_theme[0]
        said["theme"] = f"{name} came up most, {count} of {found.captures}. Is it in the lessons of this term?"
    graded = sum(found.by_grade.values())
    said["grade"] = f"{graded} of {found.captures} have been graded." + (
        " Grade the others first; a share of few says little." if found.captures > 2 * graded else ""
    )
    weeks = [serious for _, serious, _ in found.serious_by_week]
    if any(weeks):
        half = len(weeks) // 2
        now, then = sum(weeks[half:]), sum(weeks[:half])
        trend = "rose" if now > then else "fell" if now < then else "stayed as they were"
        said["serious"] = f"Serious captures {trend}: {now} in the last {len(weeks) - half} weeks, {then} before."
        said["serious"] += " Speak of it at the next review meeting." if now > then else ""
    else:
        said["serious"] = "No capture of these weeks was graded serious."
    if found.categories_blocked:
        said["category"] = (
            f"Of {found.blocked:,} that were blocked, {found.categories_blocked[0][1]:,} are of one category. "
            "If a lesson needs it, ask for an exception for its class."
        )
    if found.sites_blocked:
        said["site"] = (
            f"{found.sites_blocked[0][0]} was blocked most, {found.sites_blocked[0][1]:,} times. "
            "Many times from few devices is an app that tries again; from many, somebody wants it."
        )
    return said


def few(count: int) -> str:
    """A count as it may leave the school."""
    return f"fewer than {FEWEST}" if 0 < count < FEWEST else f"{count:,}"


def in_counts(found: Figures) -> Sequence[tuple[str, str]]:
    """What the LA and governors read: counts alone."""
    rows: list[tuple[str, int]] = [("Asked", found.asked), ("Blocked", found.blocked), ("Captures", found.captures)]
    rows += [(f"Captures: {name}", count) for name, count in found.by_theme]
    rows += [(f"Graded {name.lower()}", count) for name, count in found.by_grade.items()]
    rows += [
        ("Incidents opened", found.incidents_opened),
        ("Incidents closed", found.incidents_closed),
        ("Alarms", found.alarms),
    ]
    rows.append(("Captures nobody has looked at", found.waiting))
    return [(name, few(count)) for name, count in rows]
