"""Who is told first, on every day of the year: weekdays, Saturdays, holidays, days outside the terms, somebody away."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring import alarms, rota
from monitoring.rota import Dates, Plan, Turn

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)  # a Friday
TERMS = ((date(2026, 9, 1), date(2026, 12, 18)), (date(2027, 1, 4), date(2027, 3, 26)))
CHRISTMAS = Dates(date(2026, 12, 21), date(2027, 1, 1), ("olive",))
AWAY = Dates(date(2026, 11, 25), date(2026, 11, 25), ("max",), closed=False)
PLAN = Plan(
    rota=(("mon",), ("tue",), ("wed",), ("thu",), ("fri",), ("sat",), ()),
    outside="head",
    closed="at_once",
    dates=(CHRISTMAS, AWAY),
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/London"))


def said(turn: Turn | datetime) -> tuple[str, ...] | str:
    return f"{turn:%Y-%m-%d %H:%M}" if isinstance(turn, datetime) else turn.people or turn.roles


@pytest.mark.parametrize(
    ("when", "who"),
    [
        ("2026-11-20T11:00", ("fri",)),
        ("2026-11-20T22:00", ("headteacher",)),  # out of hours
        ("2026-11-21T11:00", ("sat",)),  # the weekend has its own
        ("2026-11-21T23:00", ("sat",)),
        ("2026-11-22T11:00", ("dsl",)),  # nobody on Sundays: all of them
        ("2026-11-25T11:00", ("max",)),  # somebody covers; the school is open
        ("2026-11-25T22:00", ("headteacher",)),
        ("2026-12-23T11:00", ("olive",)),  # a holiday with its own people
        ("2026-12-26T11:00", ("olive",)),  # and its Saturdays
        ("2027-04-05T11:00", ("dsl",)),  # outside the terms: no one who is only on weekdays of term
        ("2027-04-10T11:00", ("sat",)),
    ],
)
def test_who_is_told_first(when, who):
    assert said(PLAN.turn("pupil", 0, at(when), TERMS)) == who


@pytest.mark.parametrize(
    ("when", "until"),
    [
        ("2026-11-20T07:00", "2026-11-20 08:00"),
        ("2026-11-20T18:00", "2026-11-23 08:00"),
        ("2026-11-21T11:00", "2026-11-23 08:00"),
        ("2026-12-23T11:00", ("olive",)),  # a holiday's Wednesday is not waited through
        ("2026-12-23T20:00", "2026-12-24 08:00"),
        ("2026-12-25T20:00", "2026-12-28 08:00"),
    ],
)
def test_who_waits_for_the_morning_does_not_wait_for_the_end_of_the_holidays(when, until):
    plan = Plan(outside="morning", dates=(CHRISTMAS,))
    assert said(plan.turn("pupil", 0, at(when), TERMS)) == until


def test_weekends_may_be_otherwise_than_evenings():
    plan = Plan(outside="at_once", closed="head")
    assert said(plan.turn("pupil", 0, at("2026-11-20T22:00"))) == ("dsl",)
    assert said(plan.turn("pupil", 0, at("2026-11-21T11:00"))) == ("headteacher",)
    assert said(plan.turn("staff", 0, at("2026-11-21T11:00"))) == ("headteacher",)  # past colleagues on any day
    assert said(plan.turn("head", 0, at("2026-11-21T11:00"))) == ("chair_of_governors",)


@given(
    st.datetimes(NOW.replace(tzinfo=None), NOW.replace(year=2028, tzinfo=None)),
    st.sampled_from(rota.CHOICES), st.sampled_from(["", *rota.CHOICES]), st.sampled_from([(), TERMS]),
)  # fmt: skip
def test_nothing_waits_longer_than_a_weekend(moment, outside, closed, terms):
    local = moment.replace(tzinfo=ZoneInfo("Europe/London"))
    plan = Plan(outside=outside, closed=closed, dates=(CHRISTMAS,))
    turn = plan.turn("pupil", 0, local, terms)
    if isinstance(turn, datetime):
        assert 0 < (turn - local).total_seconds() <= 3 * 86_400
        assert isinstance(plan.turn("pupil", 0, turn, terms), Turn)  # then somebody is told


def test_the_plan_is_kept_whole_and_what_is_over_goes(log):
    over = Dates(date(2026, 10, 26), date(2026, 10, 30))
    wanted = Plan(rota=PLAN.rota, closed="head", dates=(CHRISTMAS, over, AWAY))
    rota.set_plan(log, "hillview", wanted, person="h", now=NOW)
    kept = rota.plan(log, "hillview")
    assert kept.dates == (AWAY, CHRISTMAS)
    assert (kept.closed, kept.rota) == ("head", PLAN.rota)
    assert rota.plan(log, "oakfield") == Plan()
    for wrong in (
        Dates(date(2026, 12, 2), date(2026, 12, 1)),
        Dates(date(2026, 12, 1), date(2027, 12, 1)),
    ):
        with pytest.raises(ValueError, match="dates"):
            rota.set_plan(log, "hillview", Plan(dates=(wrong,)), person="h", now=NOW)
    with pytest.raises(ValueError, match="out of hours"):
        rota.set_plan(log, "hillview", Plan(closed="never"), person="h", now=NOW)


def test_an_alarm_in_the_holidays_goes_to_whoever_said_that_she_is_there(log):
    rota.set_plan(log, "hillview", PLAN, person="h", now=NOW)
    wednesday = datetime(2026, 12, 23, 11, 0, tzinfo=UTC)
    alarms.raise_(log, "hillview", "capture:1", "Something", "pupil", wednesday)
    told: list[alarms.Telling] = []
    alarms.go_on(log, told.append, wednesday, {}, {"hillview": TERMS})
    assert [one.people for one in told] == [("olive",)]
