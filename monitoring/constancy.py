"""Did somebody look, on every school day? The heat-map that proves it, and the alarm when nobody did.

A school day is a Monday to Friday within the terms that the school's timetables name (all year where none are named), from
the day on which the filter saw something first. Nobody
looking for two school days raises an alarm that goes to co-ordinator and DSL, then the headteacher, then the LA.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from monitoring import alarms, captures
from monitoring.log import Log
from monitoring.rota import Terms, school_day

EPOCH = date(1970, 1, 1)
DAYS_WITHOUT = 2  # school days on end on which nobody looked


@dataclass(frozen=True, slots=True)
class Day:
    day: date
    school: bool  # a school day
    people: int
    graded: int
    over: bool  # the day is past
    there: bool = True  # the filter was there already

    @property
    def heat(self) -> str:
        """How it is coloured."""
        if not self.people:
            return "none" if self.school and self.over else "off"
        return "h3" if self.graded >= 20 else "h2" if self.graded >= 5 else "h1"


def days(log: Log, school: str, since: date, until: date, terms: Terms, today: date) -> Sequence[Day]:
    """Every day of a period, Mondays to Fridays; others only where somebody looked."""
    looked = captures.looks_of(log, school, datetime(since.year, since.month, since.day, tzinfo=UTC))
    first, earliest = log.begun(school), captures.first_look(log, school)
    begun = min(first.date() if first else today, EPOCH + timedelta(days=earliest) if earliest is not None else today)
    found = []
    day = since
    while day <= until:
        people, graded = looked.get((day - EPOCH).days, (0, 0))
        if day.weekday() < 5 or people:
            there = day >= begun or bool(people)
            found.append(Day(day, there and school_day(day, terms), people, graded, day < today, there))
        day += timedelta(days=1)
    return found


def weeks(some: Sequence[Day]) -> Sequence[tuple[date, Sequence[Day | None]]]:
    """By week: its Monday, and its five days."""
    by_monday: dict[date, list[Day | None]] = {}
    for one in some:
        if one.day.weekday() < 5:
            row = by_monday.setdefault(one.day - timedelta(days=one.day.weekday()), [None] * 5)
            row[one.day.weekday()] = one
    return sorted(by_monday.items())


@dataclass(frozen=True, slots=True)
class Proof:
    """School days on which somebody looked, of all that are over."""

    looked: int
    every: int
    longest_gap: int  # school days on end

    @property
    def percent(self) -> float:
        return 100.0 if not self.every else 100.0 * self.looked / self.every


def proof(some: Sequence[Day]) -> Proof:
    past = [one for one in some if one.school and one.over]
    gap = longest = 0
    for one in past:
        gap = 0 if one.people else gap + 1
        longest = max(longest, gap)
    return Proof(sum(bool(one.people) for one in past), len(past), longest)


def nobody_looked(log: Log, school: str, now: datetime, terms: Terms, zone: str) -> Sequence[date]:
    """The school days on end, up to yesterday, on which nobody looked; none where somebody looked today."""
    today = now.astimezone(ZoneInfo(zone)).date()
    some = days(log, school, today - timedelta(days=60), today, terms, today)
    if any(one.day == today and one.people for one in some):
        return ()
    gap: list[date] = []
    for one in some:
        if one.people:
            gap = []
        elif one.school and one.over:
            gap.append(one.day)
    return gap


def alarm_if_nobody_looked(log: Log, school: str, now: datetime, terms: Terms, zone: str) -> bool:
    """Tell, once for each gap: where there was anything to look at, or ever somebody who looked."""
    gap = nobody_looked(log, school, now, terms, zone)
    if len(gap) < DAYS_WITHOUT or not captures.counts(log, school, ("pupil", "staff")):
        return False
    words = f"Nobody has looked at captures since {gap[0]:%d %B %Y}: {len(gap)} school days"
    return alarms.raise_(log, school, f"nobody-looked:{gap[0].isoformat()}", words, "review", now)
