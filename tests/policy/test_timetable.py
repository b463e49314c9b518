"""When a timetable applies, held against the school's wall clock, and when that next changes."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.rules import Timetable, Window
from policy.timetable import applies, next_change

LONDON = "Europe/London"
WEEK = (0, 1, 2, 3, 4)
TERMS = ((date(2026, 9, 2), date(2026, 10, 23)), (date(2026, 11, 2), date(2026, 12, 18)))


def table(*windows, terms=()):
    return Timetable("t", "A timetable", tuple(Window(days, start, end) for days, start, end in windows), terms)


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


LUNCH = table((WEEK, "12:10", "13:10"))
NIGHT = table(((4,), "22:00", "06:00"))  # Friday night
ALL_DAY = table(((6,), "00:00", "00:00"))  # Sunday
EARLY = table(((6,), "00:30", "02:30"))  # across the hour at which clocks change


@pytest.mark.parametrize(
    ("timetable", "moment", "applies_then", "changes"),
    [
        (LUNCH, "2026-11-24T12:09:59", False, "2026-11-24T12:10:00"),
        (LUNCH, "2026-11-24T12:10:00", True, "2026-11-24T13:10:00"),
        (LUNCH, "2026-11-24T13:10:00", False, "2026-11-25T12:10:00"),
        (LUNCH, "2026-11-27T13:10:00", False, "2026-11-30T12:10:00"),  # over the weekend
        (LUNCH, "2026-06-16T11:10:00", True, "2026-06-16T12:10:00"),  # the same lunch, an hour earlier in UTC
        (NIGHT, "2026-11-27T21:59:00", False, "2026-11-27T22:00:00"),
        (NIGHT, "2026-11-28T00:00:00", True, "2026-11-28T06:00:00"),
        (NIGHT, "2026-11-28T05:59:59", True, "2026-11-28T06:00:00"),
        (NIGHT, "2026-11-28T06:00:00", False, "2026-12-04T22:00:00"),
        (NIGHT, "2026-11-26T23:00:00", False, "2026-11-27T22:00:00"),  # Thursday night is none of it
        (ALL_DAY, "2026-11-22T00:00:00", True, "2026-11-23T00:00:00"),
        (ALL_DAY, "2026-03-29T00:00:00", True, "2026-03-29T23:00:00"),  # a day of 23 hours
        (ALL_DAY, "2026-10-24T23:00:00", True, "2026-10-26T00:00:00"),  # a day of 25 hours
        (EARLY, "2026-03-29T00:29:59", False, "2026-03-29T00:30:00"),
        (EARLY, "2026-03-29T01:00:00", True, "2026-03-29T01:30:00"),  # 02:30 comes an hour sooner
        (EARLY, "2026-10-24T23:30:00", True, "2026-10-25T02:30:00"),  # the hour that comes twice is in it twice
        (EARLY, "2026-10-25T01:15:00", True, "2026-10-25T02:30:00"),
    ],
)
def test_at_this_moment(timetable, moment, applies_then, changes):
    assert applies(timetable, at(moment), LONDON) is applies_then
    assert next_change(timetable, at(moment), LONDON) == at(changes)


@pytest.mark.parametrize(
    ("moment", "applies_then", "changes"),
    [
        ("2026-10-23T12:30:00", False, None),  # 13:30 in London; after it comes half-term, and nothing within eight days
        ("2026-10-23T11:30:00", True, "2026-10-23T12:10:00"),  # the last day belongs to the term
        ("2026-10-27T12:30:00", False, "2026-11-02T12:10:00"),  # half-term
        ("2026-11-02T12:30:00", True, "2026-11-02T13:10:00"),  # and so does the first
        ("2026-12-18T12:30:00", True, "2026-12-18T13:10:00"),
        ("2026-12-18T13:10:00", False, None),  # nothing within eight days
    ],
)
def test_terms(moment, applies_then, changes):
    in_term = table((WEEK, "12:10", "13:10"), terms=TERMS)
    assert applies(in_term, at(moment), LONDON) is applies_then
    assert next_change(in_term, at(moment), LONDON) == (at(changes) if changes else None)


def test_an_empty_timetable_never_applies_and_never_changes():
    assert not applies(table(), at("2026-11-24T12:30:00"), LONDON)
    assert next_change(table(), at("2026-11-24T12:30:00"), LONDON) is None


CLOCKS = st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.sampled_from([0, 1, 10, 30, 59]))
TABLES = st.builds(
    lambda windows, terms: table(*windows, terms=terms),
    st.lists(
        st.tuples(st.lists(st.integers(0, 6), min_size=1, max_size=7).map(tuple), CLOCKS, CLOCKS), min_size=1, max_size=3
    ),
    st.sampled_from([(), TERMS]),
)
MOMENTS = st.integers(1767225600, 1798761600).map(lambda second: datetime.fromtimestamp(second, UTC))  # within 2026
ZONES = st.sampled_from([LONDON, "UTC", "Asia/Kolkata", "America/New_York"])


def on_the_wall(timetable, moment, zone):
    """Read off the clock on the wall, minute by minute. On a day when clocks change this reads otherwise for an hour."""
    local = moment.astimezone(ZoneInfo(zone))
    clock = f"{local:%H:%M}"
    for window in timetable.windows:
        over_midnight = window.start >= window.end
        for day, inside in (
            (local.date(), window.start <= clock if over_midnight else window.start <= clock < window.end),
            (local.date() - timedelta(days=1), over_midnight and clock < window.end),
        ):
            in_term = not timetable.terms or any(first <= day <= last for first, last in timetable.terms)
            if inside and in_term and day.weekday() in window.days:
                return True
    return False


@given(TABLES, MOMENTS)
def test_it_applies_when_the_wall_clock_says_so(timetable, moment):
    assert applies(timetable, moment, "Asia/Kolkata") is on_the_wall(timetable, moment, "Asia/Kolkata")


@given(TABLES, MOMENTS, ZONES, st.data())
def test_until_the_next_change_the_answer_stays(timetable, moment, zone, data):
    change = next_change(timetable, moment, zone)
    end = change or moment + timedelta(days=7)
    assert end > moment
    seconds = int((end - moment).total_seconds())
    for ahead in (seconds - 1, data.draw(st.integers(0, seconds - 1))):
        between = moment + timedelta(seconds=ahead)
        assert applies(timetable, between, zone) is applies(timetable, moment, zone)
        if change:
            assert next_change(timetable, between, zone) == change
