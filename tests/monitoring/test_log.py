import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sql
from hypothesis import given
from hypothesis import strategies as st

from monitoring.lines import Cursor
from monitoring.log import CLASSES, Line, Log, LogTooNew, PositionsMoved, Query, Spool, advanced, sound
from monitoring.tables import SIZES, clean, events, folded, site
from policy.event import FIELDS, Event, Kind

MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
T = MONDAY.timestamp()
DNS = Event(
    T, "dns", "hillview", "ks3", host="www.bbc.co.uk", action="allow", category="news", person="p1", outcome="NOERROR"
)
PAGE = DNS._replace(kind="page", path="/news", outcome="200")
BLOCKED = DNS._replace(host="casino.example", action="block", category="gambling", reason="phase_default")
SEARCH = DNS._replace(
    kind="search", host="www.google.co.uk", term="how to build a volcano", action="restrict", category="search"
)


def hosts(log: Log, query: Query) -> list[str]:
    return [line.host for line in log.search(query).rows]


def test_every_field_of_an_event_has_its_place():
    assert set(FIELDS) <= {column.name for column in events.columns}
    assert set(FIELDS) - {column.name for column in folded.columns} == {"path", "term", "detail", "worker", "title"}
    assert [field.name for field in fields(Line)] == ["id", "at", "last", "count", *FIELDS[1:]]


def test_a_line_says_all_that_the_event_said(log: Log):
    said = {name: f"a {name}" for name in SIZES} | {"kind": "page", "at": T + 0.25, "change": 7}
    log.append([Event(**said)], {"dns-0": (1, 100)})  # type: ignore[arg-type]
    (line,) = log.search(Query()).rows
    assert {name: getattr(line, name) for name in FIELDS} == said | {"at": MONDAY + timedelta(seconds=0.25)}
    assert (line.count, line.last) == (1, line.at)


@pytest.mark.parametrize(
    ("event", "own"),
    [
        (DNS, False),
        (DNS._replace(kind="resource"), False),
        (DNS._replace(kind="connection", action="restrict"), False),
        (DNS._replace(action="warn"), True),
        (DNS._replace(reason="error"), True),
        (DNS._replace(action=""), True),
        (BLOCKED, True),
        (PAGE, True),
        (SEARCH, True),
        (DNS._replace(kind="request"), True),
        (DNS._replace(kind="notice"), True),
    ],
)
def test_what_deserves_a_line_of_its_own(log: Log, rows: Callable[[str], int], event: Event, own: bool):
    log.append([event, event], {})
    assert (rows("events"), rows("folded")) == ((2, 0) if own else (0, 1))
    assert sum(line.count for line in log.search(Query()).rows) == 2


def test_repeated_allows_of_a_minute_are_one_line_with_a_count(log: Log):
    log.append([DNS, DNS._replace(at=T + 59.5), DNS._replace(at=T + 60)], {"dns-0": (1, 100)})
    log.append([DNS._replace(at=T + 30), DNS._replace(person="p2"), DNS._replace(at=T + 61)], {"dns-0": (1, 200)})
    found = [(line.at, line.last, line.count, line.person) for line in log.search(Query()).rows]
    second = timedelta(seconds=1)
    assert sorted(found) == [
        (MONDAY, MONDAY, 1, "p2"),
        (MONDAY, MONDAY + 59.5 * second, 3, "p1"),
        (MONDAY + 60 * second, MONDAY + 61 * second, 2, "p1"),
    ]


def test_whatever_distinguishes_two_allows_keeps_them_apart(log: Log):
    others = [DNS._replace(**{name: "other"}) for name in SIZES if name in folded.c and name not in ("kind", "action")]
    log.append([DNS, *others, DNS._replace(kind="resource"), DNS._replace(action="restrict"), DNS._replace(change=1)], {})
    lines = log.search(Query()).rows
    assert len(lines) == len(others) + 4
    assert {line.count for line in lines} == {1}


def test_the_same_batch_again_changes_nothing(log: Log):
    for _ in range(3):
        log.append([DNS, BLOCKED], {"dns-0": (1, 100)}, lost={"dns-0": 4}, damaged={"dns-0": 1})
    assert [line.count for line in log.search(Query()).rows] == [1, 1]
    assert log.spools() == {"dns-0": Spool((1, 100), 4, 5)}


def test_a_second_recorder_is_noticed_and_adds_nothing(log: Log):
    log.append([BLOCKED], {"dns-0": (1, 100)}, after={})
    with pytest.raises(PositionsMoved):
        log.append([BLOCKED], {"dns-0": (1, 150)}, after={})
    assert len(log.search(Query()).rows) == 1


def test_what_cannot_be_stored_takes_its_positions_with_it(log: Log):
    log.append([], {"dns-0": (1, 100)})
    with pytest.raises((sql.exc.SQLAlchemyError, OverflowError)):
        log.append([DNS, BLOCKED, BLOCKED._replace(change=1 << 70)], {"dns-0": (1, 200)})
    assert log.search(Query()).rows == ()
    assert log.spools()["dns-0"].position == (1, 100)


def test_losses_add_up_over_new_folders():
    spool = advanced(None, (1, 64), 3, 0)
    spool = advanced(spool, (1, 90), 5, 1)
    spool = advanced(spool, (9, 64), 2, 0)  # the worker's count began anew
    spool = advanced(spool, (9, 64), None, 7)  # nothing was read, so nothing was damaged
    assert spool == Spool((9, 64), 2, 8)


WANTED = Event(
    T,
    "page",
    "hillview",
    "ks4",
    "lan",
    "radius",
    "p7",
    "10.0.0.7",
    "tablet-7",
    "a.b.example",
    "/x_y%z",
    "50% of_all",
    "warn",
    "inspect",
    "school_site",
    "games",
    "starter",
    "rule-7",
    7,
    "200",
    "Words\\here",
)
PLAIN = Event(
    T,
    "search",
    "oakfield",
    "ks1",
    person="p1",
    address="10.0.0.1",
    host="b.example.org",
    term="x",
    action="block",
    path="/xaybz",
)


@pytest.mark.parametrize(
    "query",
    [
        Query("hillview"),
        Query(person="p7"),
        Query(address="10.0.0.7"),
        Query(device="tablet-7"),
        Query(group="ks4"),
        Query(host="a.b.example"),
        Query(host="b.example"),
        Query(host=" B.Example. "),
        Query(category="games"),
        Query(action="warn"),
        Query(kind="page"),
        Query(reason="school_site"),
        Query(rule="rule-7"),
        Query(change=7),
        Query(term="% of"),
        Query(term="OF_ALL"),
        Query(text="x_y%Z"),
        Query(text="words\\H"),
        Query(text="a.b.ex"),
        Query("hillview", MONDAY, MONDAY + timedelta(seconds=1), "p7", host="example", action="warn", text="of_"),
    ],
)
def test_search_by_each_field_finds_the_line_and_no_other(log: Log, query: Query):
    log.append([WANTED, PLAIN], {})
    assert hosts(log, query) == ["a.b.example"]
    assert hosts(log, replace(query, school="hillview")) == ["a.b.example"]  # as every page asks
    assert "a.b.example" not in hosts(log, replace(query, school="oakfield"))


def test_a_site_is_its_name_and_all_below_and_nothing_that_looks_like_it(log: Log):
    names = ["bbc.co.uk", "www.bbc.co.uk", "a.b.bbc.co.uk", "notbbc.co.uk", "bbc.co.uk.evil.example", "bbcxco.uk", "co.uk"]
    log.append([kind._replace(host=name) for name in names for kind in (DNS, BLOCKED)], {})
    assert sorted(hosts(log, Query("hillview", host="bbc.co.uk"))) == sorted(2 * names[:3])
    assert hosts(log, Query(host="bbc_co.uk")) == hosts(log, Query(host="%")) == []


def test_any_two_or_three_fields_find_what_reading_all_lines_would_find(log: Log):
    rng, start = random.Random(7), int(T) - 6 * 86_400
    some = [
        Event(
            start + rng.randrange(6 * 86_400), rng.choice(("dns", "page", "search", "connection", "request")), "hillview",
            rng.choice(("ks3", "ks4")), rng.choice(("lan", "wifi")), rng.choice(("lease", "proxy")), rng.choice(("p1", "p2", "")),
            rng.choice(("10.0.0.1", "10.0.0.2")), rng.choice(("pc-1", "pc-2", "")),
            rng.choice(("a.example", "www.a.example", "B.example.", "c.example")), action=rng.choice(("allow", "block", "restrict")),
            reason=rng.choice(("phase_default", "school_site")), category=rng.choice(("games", "news")),
            rule=rng.choice(("", "rule-7")), change=rng.choice((0, 7)), term=rng.choice(("", "volcano")),
        )
        for _ in range(300)
    ]  # fmt: skip
    some = [event._replace(action="") if event.kind == "request" else event for event in some]
    log.append(some[:200], {})
    log.append(some[200:], {})
    every = list(log.search(Query("hillview", limit=1000)).rows)
    assert sum(line.count for line in every) == 300

    def said(line: Line, name: str) -> object:
        return line.person or line.device or line.address if name == "who" else getattr(line, name)

    names = ("person", "who", "address", "device", "group", "category", "action", "kind", "reason", "rule", "network")
    for name in (*names, "identified_by", "change", "host", "term"):
        for _ in range(2):
            asked = {each: said(rng.choice(every), each) for each in {name, *rng.sample(names, rng.randrange(3))}}
            wanted = [
                line.id
                for line in every
                if all(said(line, each) == value for each, value in asked.items() if each not in {"host", "term"})
                and (not asked.get("term") or "volcano" in line.term)
                and ("host" not in asked or f".{site_of(line)}".endswith(f".{str(asked['host']).strip('.').lower()}"))
            ]
            asked = {each: value for each, value in asked.items() if each != "term" or value}
            assert [line.id for line in log.every(Query("hillview", **asked))] == wanted, asked  # type: ignore[arg-type]


def site_of(line: Line) -> str:
    return line.host.strip(".").lower()


def test_a_period_has_its_beginning_and_not_its_end(log: Log):
    minutes = [MONDAY + timedelta(minutes=number) for number in range(4)]
    log.append([kind._replace(at=at.timestamp()) for at in minutes for kind in (DNS, PAGE)], {})
    found = log.search(Query("hillview", minutes[1], minutes[3])).rows
    assert [line.at for line in found] == [minutes[2]] * 2 + [minutes[1]] * 2


@pytest.mark.parametrize("school", ["hillview", None])
@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_pages_follow_each_other_without_gap_or_repetition(log: Log, school: str | None, limit: int):
    mixed = [
        kind._replace(at=T + 60 * (number // 3), person=f"p{number}", school=("hillview", "oakfield")[number % 5 == 0])
        for number in range(20)
        for kind in (DNS, BLOCKED)
    ]
    log.append(mixed, {})
    found: list[Line] = []
    query = Query(school, limit=limit)
    while True:
        page = log.search(query)
        found += page.rows
        assert page.more == (page.next is not None)
        if page.next is None:
            break
        assert len(page.rows) == limit
        query = replace(query, after=page.next)
    assert [line.at for line in found] == sorted((line.at for line in found), reverse=True)
    assert len({line.id for line in found}) == len(found) == len([each for each in mixed if school in (None, each.school)])


HOSTILE = [
    "a\0b",
    "\ud800 half a pair",
    "\u202eright to left",
    "<script>alert(1)</script>",
    "=cmd|'/c calc'!A1",
    "'; DROP TABLE events; --",
    "x" * 100_000,
    "é" * 100_000,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_stored_and_found_harmlessly(log: Log, text: str):
    said = dict.fromkeys((*SIZES,), text)
    own = Event(T, **said | {"kind": "search"})  # type: ignore[arg-type]
    allowed = Event(T, **said | {"kind": "dns", "action": "allow"})  # type: ignore[arg-type]
    log.append([own, allowed, own._replace(kind=text), own._replace(kind="request")], {})
    found = log.search(Query(school=text, term=text, text=text, host=text, person=text)).rows
    assert len(found) == 3
    assert {line.term for line in found} == {clean(text, SIZES["term"])}
    assert len(log.search(Query(school=text)).rows) == 4
    list(log.questions(text, MONDAY, MONDAY + timedelta(days=1)))
    log.summary(text, MONDAY, MONDAY + timedelta(days=1))


@given(st.text(st.characters(), max_size=50), st.integers(1, 20))
def test_clean_text_is_short_and_can_be_encoded(text: str, size: int):
    kept = clean(text, size)
    assert len(kept) <= size
    assert b"\0" not in kept.encode()


names = st.lists(st.text(st.sampled_from("abé-0/%_"), min_size=1, max_size=3), min_size=1, max_size=4).map(".".join)


@given(names, names, st.booleans())
def test_names_from_their_end_have_a_site_and_all_below_as_one_range(name: str, above: str, below: bool):
    name = f"{name}.{above}" if below else name
    assert (site(above) <= site(name) < site(above)[:-1] + "/") == (name == above or name.endswith("." + above))


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": 0},
        {"limit": 10_001},
        {"change": 1 << 64},
        {"since": datetime(2026, 1, 1)},  # noqa: DTZ001
        {"after": "x"},
        {"after": "1e"},
        {"after": "9" * 50 + "e1"},
        {"after": "1e2; DROP TABLE events"},
    ],
)
def test_a_query_that_makes_no_sense_is_refused(wrong: dict[str, object]):
    with pytest.raises(ValueError):
        Query(**wrong)  # type: ignore[arg-type]


@given(st.text(max_size=40))
def test_any_text_as_a_place_in_the_log_is_a_place_or_refused(text: str):
    try:
        cursor = Cursor.parse(text)
    except ValueError:
        return
    assert Cursor.parse(str(cursor)) == cursor


def test_the_words_of_a_request_are_not_in_the_log_but_reach_their_receiver(log: Log):
    asked = PAGE._replace(kind="request", detail="for my sister's project", outcome="R-1", term="ks3")
    told = PAGE._replace(kind="notice", detail="policy refused", host="")
    log.append([PAGE, asked, told], {})
    assert [line.detail for line in log.search(Query(kind="request")).rows] == [""]
    assert [line.detail for line in log.search(Query(kind="notice")).rows] == ["policy refused"]
    waiting = log.handovers()
    assert [event for _, event in waiting] == [asked, told]
    log.handed_over([waiting[0][0]])
    assert [event for _, event in log.handovers()] == [told]


def test_questions_are_all_that_was_asked_with_counts(log: Log):
    other = PAGE._replace(school="oakfield")
    notice = PAGE._replace(kind="notice")
    log.append([DNS, DNS, DNS._replace(at=T + 60), PAGE, BLOCKED, SEARCH, other, notice, PAGE._replace(at=T - 1)], {})
    found = log.questions("hillview", MONDAY, MONDAY + timedelta(hours=1))
    assert sorted((line.kind, line.host, line.path, count) for line, count in found) == [
        ("dns", "casino.example", "", 1),
        ("dns", "www.bbc.co.uk", "", 1),
        ("dns", "www.bbc.co.uk", "", 2),
        ("page", "www.bbc.co.uk", "/news", 1),
        ("search", "www.google.co.uk", "", 1),
    ]


def test_the_summary_counts_what_was_folded_too(log: Log):
    later = T + 3600
    log.append([DNS] * 5 + [BLOCKED] * 2 + [BLOCKED._replace(at=later, host="poker.example"), SEARCH], {})
    log.append([PAGE._replace(action="warn", at=later), PAGE._replace(kind="notice"), PAGE._replace(school="oakfield")], {})
    found = log.summary("hillview", MONDAY, MONDAY + timedelta(days=1))
    assert (found.asked, found.blocked, found.warned, found.searches) == (10, 3, 1, 1)
    assert found.sites_blocked == (("casino.example", 2), ("poker.example", 1))
    assert found.categories == (("news", 6), ("gambling", 3), ("search", 1))
    assert found.categories_blocked == (("gambling", 3),)
    assert [(each.at, each.asked, each.blocked) for each in found.by_hour] == [
        (MONDAY, 8, 2),
        (MONDAY + timedelta(hours=1), 2, 1),
    ]
    day = MONDAY, MONDAY + timedelta(days=1)
    assert log.top("person", "hillview", *day) == (("p1", 10),)
    assert log.top("term", "hillview", *day) == (("how to build a volcano", 1),)
    assert log.top("host", "hillview", *day, action="warn") == (("www.bbc.co.uk", 1),)
    with pytest.raises(ValueError, match="detail"):
        log.top("detail", "hillview", *day)


def test_an_empty_log_answers(log: Log):
    assert log.search(Query()).rows == ()
    assert log.schools() == []
    assert log.summary("hillview", MONDAY, MONDAY + timedelta(days=1)).asked == 0
    assert log.purge(dict.fromkeys(CLASSES, MONDAY)) == dict.fromkeys(CLASSES, 0)


def test_purge_deletes_each_class_at_its_own_age_and_counts_events(log: Log, rows: Callable[[str], int]):
    kinds = [DNS, DNS, PAGE, BLOCKED, PAGE._replace(action="warn"), SEARCH, SEARCH._replace(action="block")]
    for days in (0, 10, 20):
        for school in ("hillview", "oakfield"):
            log.append([kind._replace(school=school, at=T - days * 86_400) for kind in kinds], {})
    before = {"allowed": MONDAY, "blocked": MONDAY - timedelta(days=15), "search": MONDAY - timedelta(days=30)}
    assert log.purge(before, "oakfield") == {"allowed": 6, "blocked": 2, "search": 0}
    assert log.purge(before) == {"allowed": 6, "blocked": 2, "search": 0}
    assert log.purge(before) == {"allowed": 0, "blocked": 0, "search": 0}
    assert (rows("events"), rows("folded")) == (2 * (1 + 2 * 2 + 3 * 2), 2)
    with pytest.raises(ValueError, match="everything"):
        log.purge({"everything": MONDAY})


def test_what_was_purged_is_in_no_file_any_more(tmp_path: Path):
    path = tmp_path / "log.db"
    with Log(f"sqlite:///{path}") as log:
        log.append([SEARCH._replace(term="verysecretwords")], {})
        log.purge({"search": MONDAY + timedelta(days=1)})
        assert [file.name for file in tmp_path.iterdir() if b"verysecretwords" in file.read_bytes()] == []
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_log_opens_again_with_what_it_held(url: str):
    for _ in range(2):
        with Log(url) as log:
            log.append([BLOCKED], {"dns-0": (1, 100)})
    with Log(url) as one, Log(url) as two:
        assert len(one.search(Query()).rows) == len(two.search(Query()).rows) == 1


def test_several_may_open_a_new_log_at_once(url: str):
    logs = [Log(url) for _ in range(6)]
    with ThreadPoolExecutor(len(logs)) as threads:
        list(threads.map(Log.open, logs))
    logs[0].append([BLOCKED], {})
    assert [len(log.search(Query()).rows) for log in logs] == [1] * len(logs)
    for log in logs:
        log.close()


def test_a_log_from_a_later_version_is_refused_in_plain_words(log: Log, url: str):
    with log.open().begin() as connection:
        connection.execute(sql.text("UPDATE meta SET value = '99' WHERE name = 'version'"))
    with pytest.raises(LogTooNew, match=r"newer Schoolgate .* update Schoolgate"):
        Log(url).open()


def test_searches_use_the_indices(log: Log):
    if log.open().dialect.name != "sqlite":
        return  # PostgreSQL chooses by what it knows of the data, and there is none
    log.append([PAGE._replace(school="s")], {})
    for query, index in [
        ({"school": "s"}, "events_at"),
        ({"school": "s", "person": "p"}, "events_who"),
        ({"school": "s", "host": "bbc.co.uk"}, "events_site"),
        ({"school": "s", "action": "block"}, "events_action"),
        ({"school": "s", "category": "c"}, "events_category"),
    ]:  # a search for words may use events_term or events_at: both begin with school and time
        seen: list[str] = []
        sql.event.listen(log.open(), "before_cursor_execute", lambda *said, seen=seen: seen.append((said[2], said[3])))
        log.search(Query(**query))  # type: ignore[arg-type]
        statement, parameters = next(each for each in seen if "FROM events" in each[0] and "ORDER BY" in each[0])
        with log.open().connect() as connection:
            plan = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, parameters).all()
        assert any(f"INDEX {index} " in row.detail for row in plan), (query, plan)


@pytest.mark.parametrize(
    ("wrong", "good"),
    [
        ({}, True),
        ({"at": float("nan")}, False),
        ({"at": float("inf")}, False),
        ({"at": -1}, False),
        ({"at": "now"}, False),
        ({"at": True}, False),
        ({"change": 1.5}, False),
        ({"change": 1 << 64}, False),
        ({"host": None}, False),
        ({"host": ["x"]}, False),
        ({"kind": 3}, False),
    ],
)
def test_an_event_is_what_it_says_or_is_not_sound(wrong: dict[str, object], good: bool):
    assert sound(DNS._replace(**wrong)) is good  # type: ignore[arg-type]


def test_kinds_may_come_as_words_or_as_members(log: Log):
    log.append([PAGE._replace(kind=Kind.PAGE)], {})
    assert log.search(Query(kind=Kind.PAGE)).rows[0].kind == "page"
