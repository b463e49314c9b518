"""The quick rows of past traffic are what the slow way, line by line, says."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitoring.lines import Line
from monitoring.log import Log
from monitoring.traffic import Asked
from policy.event import Event

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
WEEK = 7 * 86_400
FORCED = ("lan",)


def slowly(log: Log, school: str, since: datetime) -> Iterator[Asked]:
    """As questions were made of lines one at a time."""
    for line, count in log.questions(school, since, NOW):
        yield Asked(
            line.group,
            line.host,
            line.at.timestamp(),
            (line.path or "/") if line.kind in ("page", "resource", "search") else None,
            _follows(line),
            count,
            line.person or line.device or line.address,
            line.person,
            line.action in ("allow", "restrict"),
        )


def _follows(line: Line) -> bool:
    return line.kind != "dns" or line.network in FORCED


NAMES = st.sampled_from(["", "bbc.co.uk", "poki.com", "Ünlikely", "a.b.c.example"])
WHO = st.sampled_from(["", "x", "y"])
EVENTS = st.builds(
    lambda ago, **said: Event(round(NOW.timestamp() - ago, 6), **said),
    st.one_of(st.floats(-60, WEEK + 60), st.integers(0, 3).map(lambda n: n * 60.0)),
    kind=st.sampled_from(["dns", "page", "resource", "search", "connection", "request", "notice"]),
    school=st.sampled_from(["hillview", "oakfield"]),
    group=st.sampled_from(["ks3", "staff"]),
    network=st.sampled_from(["lan", "guest"]),
    person=WHO,
    address=WHO,
    device=WHO,
    host=NAMES,
    path=st.sampled_from(["", "/", "/lessons/1"]),
    action=st.sampled_from(["allow", "restrict", "warn", "block"]),
)


def same(log: Log, school: str) -> list[Asked]:
    since = NOW - timedelta(seconds=WEEK)
    found = [Asked._make(row) for rows in log.traffic(school, since, NOW, through=FORCED) for row in rows]
    assert Counter(map(str, map(_exact, found))) == Counter(map(str, map(_exact, slowly(log, school, since))))
    assert [one.at for one in found] == sorted((one.at for one in found), reverse=True)
    return found


def _exact(one: Asked) -> Asked:
    """Databases say true or 1."""
    return one._replace(at=round(one.at, 5), follows=bool(one.follows), allowed=bool(one.allowed))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(EVENTS, max_size=40), st.booleans())
def test_the_quick_rows_are_the_slow_lines(log: Log, some: list[Event], crowded: bool):
    worker = f"dns-{len(log.spools())}"
    more = [Event(NOW.timestamp() - 5, "dns", f"s{n}", host="a.example", action="allow") for n in range(5)] if crowded else []
    log.append([*some, *more], {worker: (1, 1)})
    for school in ("hillview", "oakfield"):
        same(log, school)


def test_nothing_of_another_school_and_nothing_where_there_is_none(log: Log):
    log.append([Event(NOW.timestamp() - 5, "dns", "hillview", host="a.example", action="allow")], {"dns-0": (1, 1)})
    assert same(log, "oakfield") == []
    assert len(same(log, "hillview")) == 1


def test_a_long_time_is_read_in_pieces(log: Log):
    events = [
        Event(NOW.timestamp() - hours * 3600, "page", "hillview", host="a.example", action="allow") for hours in range(1, 99)
    ]
    log.append(events, {"proxy-0": (1, 1)})
    assert len(same(log, "hillview")) == 98
    assert len(list(log.traffic("hillview", NOW - timedelta(days=7), NOW))) > 2
