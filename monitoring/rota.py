"""How a school wants to be told of what cannot wait: its hours, a rota by day, and dates on which everything is otherwise.

A day is closed when it is a Saturday or Sunday, when the school named it a holiday, or when it lies outside the terms that
its timetables name. What happens on closed days and out of hours is the school's to choose. INVARIANT: nothing waits longer
than until the next Monday to Friday, holiday or not: who waits for "the morning" does not wait for the end of summer.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any

from monitoring import store
from monitoring.log import Log

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
CHAINS: Mapping[str, Sequence[tuple[str, ...]]] = {
    "pupil": (("rota",), ("dsl",), ("headteacher",), ("la_officer",)),
    "staff": (("headteacher",), ("chair_of_governors",), ("la_officer",)),
    "head": (("chair_of_governors",), ("la_officer",)),
    "review": (("online_safety_coordinator", "dsl"), ("headteacher",), ("la_officer",)),
}
HEAD = CHAINS["pupil"].index(("headteacher",))
NOBODY: tuple[tuple[str, ...], ...] = ((),) * 7
CHOICES = ("at_once", "head", "morning")
MOST_DATES, LONGEST = 40, timedelta(days=100)
_HOURS = re.compile("(?:[01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII).fullmatch

type Terms = Sequence[tuple[date, date]]


def school_day(day: date, terms: Terms) -> bool:
    """A Monday to Friday within the terms; all year where none are named."""
    return day.weekday() < 5 and (not terms or any(first <= day <= last for first, last in terms))


@dataclass(frozen=True, slots=True)
class Dates:
    """Days that are otherwise: a holiday, or somebody away."""

    first: date
    last: date
    people: tuple[str, ...] = ()  # told first instead of the rota; nobody: all DSLs
    closed: bool = True

    def plain(self) -> dict[str, Any]:
        return {"first": str(self.first), "last": str(self.last), "people": self.people, "closed": self.closed}


@dataclass(frozen=True, slots=True)
class Turn:
    """Who is told now: people by name, else everyone with one of the roles."""

    step: int
    roles: tuple[str, ...]
    people: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """How a school wants to be told."""

    minutes: int = 20  # for each step
    starts: str = "08:00"  # of the school's day
    ends: str = "17:00"
    outside: str = "at_once"  # out of hours: "at_once", "head" (the headteacher first) or "morning"
    closed: str = ""  # on closed days: the same words; blank: as out of hours
    rota: tuple[tuple[str, ...], ...] = NOBODY  # people by weekday, who is told first; none: all DSLs
    cover: tuple[str, ...] = ()  # told with whoever is on the rota
    dates: tuple[Dates, ...] = ()

    def plain(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__} | {"dates": [one.plain() for one in self.dates]}

    def open_day(self, day: date, terms: Terms = ()) -> bool:
        return school_day(day, terms) and not any(one.closed for one in self._dated(day))

    def first(self, day: date, terms: Terms = ()) -> tuple[str, ...]:
        """Who is told first on a day; nobody: all DSLs. On a holiday nobody is asked who did not say so."""
        if dated := self._dated(day):
            on = tuple(dict.fromkeys(person for one in dated for person in one.people))
        elif day.weekday() < 5 and not school_day(day, terms):
            on = ()
        else:
            on = self.rota[day.weekday()] if len(self.rota) == 7 else ()
        return tuple(dict.fromkeys((*on, *self.cover))) if on else ()

    def turn(self, subject: str, step: int, local: datetime, terms: Terms = ()) -> Turn | datetime:
        """Who is next at this step of the chain, or until when it waits."""
        chain = CHAINS.get(subject, CHAINS["pupil"])
        how = self._how(local, terms)
        if how == "morning":
            return self._morning(local)
        if how == "head" and subject == "pupil":
            step = max(step, HEAD)
        step = min(step, len(chain) - 1)
        if chain[step] == ("rota",):
            return Turn(step, ("dsl",), self.first(local.date(), terms))
        return Turn(step, chain[step])

    def _how(self, local: datetime, terms: Terms) -> str:
        hours = self.starts <= f"{local:%H:%M}" < self.ends
        if hours and self.open_day(local.date(), terms):
            return "at_once"
        how = self.outside if self.open_day(local.date(), terms) else self.closed or self.outside
        return "at_once" if how == "morning" and hours and local.weekday() < 5 else how  # a holiday's own day: see INVARIANT

    def _morning(self, local: datetime) -> datetime:
        start = time.fromisoformat(self.starts)
        day = local.date() if local.timetz().replace(tzinfo=None) < start else local.date() + timedelta(days=1)
        while day.weekday() >= 5:
            day += timedelta(days=1)
        return datetime.combine(day, start, local.tzinfo)

    def _dated(self, day: date) -> Sequence[Dates]:
        return [one for one in self.dates if one.first <= day <= one.last]


def plan(log: Log, school: str) -> Plan:
    said = store.setting(log, school, "escalation")
    if not said:
        return Plan()
    rota = tuple(tuple(day) for day in said.get("rota", ())) or NOBODY
    dates = tuple(
        Dates(date.fromisoformat(one["first"]), date.fromisoformat(one["last"]), tuple(one["people"]), bool(one["closed"]))
        for one in said.get("dates", ())
    )
    return Plan(**{**said, "rota": rota, "cover": tuple(said.get("cover", ())), "dates": dates})


def set_plan(log: Log, school: str, wanted: Plan, *, person: str, now: datetime) -> None:
    """Keep it; dates that are over go. ValueError in a sentence."""
    if not 5 <= wanted.minutes <= 240:
        raise ValueError("each step has 5 to 240 minutes")
    if wanted.outside not in CHOICES or wanted.closed not in (*CHOICES, ""):
        raise ValueError("choose what happens out of hours")
    if not all(map(_HOURS, (wanted.starts, wanted.ends))):  # they are compared as text: "8:00" would be after noon
        raise ValueError("write the school's hours as 08:00 and 17:00")
    begins, ends = (time.fromisoformat(text) for text in (wanted.starts, wanted.ends))
    if begins >= ends:
        raise ValueError("the school's hours end before they begin")
    if any(one.last < one.first for one in wanted.dates):
        raise ValueError("the dates end before they begin")
    if any(one.last - one.first > LONGEST for one in wanted.dates):
        raise ValueError(f"dates are at most {LONGEST.days} days")
    kept = tuple(sorted((one for one in wanted.dates if one.last >= now.date()), key=lambda one: (one.first, one.last)))
    if len(kept) > MOST_DATES:
        raise ValueError(f"at most {MOST_DATES} dates; take some away first")
    store.set_setting(log, school, "escalation", replace(wanted, dates=kept).plain(), person=person, now=now)
