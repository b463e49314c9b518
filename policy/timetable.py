"""When a timetable applies, in the school's own local time, and when that next changes."""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from policy.rules import Timetable

HORIZON_DAYS = 8  # a weekly pattern shows each of its edges within eight days


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def applies(table: Timetable, at: datetime, zone: str) -> bool:
    """Does the timetable apply at this instant?"""
    local = at.astimezone(_zone(zone))
    return any(start <= at < end for start, end in _spans(table, local.date() - timedelta(days=1), 2, zone))


def next_change(table: Timetable, at: datetime, zone: str) -> datetime | None:
    """The first instant after `at` at which the answer of `applies` may change; None when none comes within eight days.

    A caller that is told None asks again within that time: no answer of ours outlives a day.
    """
    first = at.astimezone(_zone(zone)).date() - timedelta(days=1)
    edges = [edge for span in _spans(table, first, HORIZON_DAYS + 1, zone) for edge in span if edge > at]
    return min(edges, default=None)


@lru_cache(maxsize=256)  # all questions of a day ask for the same spans
def _spans(table: Timetable, first: date, days: int, zone: str) -> tuple[tuple[datetime, datetime], ...]:
    tz = _zone(zone)
    spans: list[tuple[datetime, datetime]] = []
    for offset in range(days):
        day = first + timedelta(days=offset)
        if table.terms and not any(start <= day <= end for start, end in table.terms):
            continue
        for window in table.windows:
            if day.weekday() not in window.days:
                continue
            start, end = time.fromisoformat(window.start), time.fromisoformat(window.end)
            last = day if start < end else day + timedelta(days=1)
            spans.append(
                (datetime.combine(day, start, tz).astimezone(UTC), datetime.combine(last, end, tz).astimezone(UTC)),
            )
    return tuple(spans)
