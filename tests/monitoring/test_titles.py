"""Titles of pages: they come after the page, become part of its line and of the captures that show it, and count as nothing."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sql
from hypothesis import given
from hypothesis import strategies as st

from monitoring import archive, store
from monitoring.archive import Sought
from monitoring.database import _create, writing
from monitoring.lines import Query
from monitoring.log import Log
from monitoring.recorder import Recorder
from monitoring.spool import Reader, Writer
from monitoring.tables import captures as rows
from monitoring.tables import events
from monitoring.titles import joined
from monitoring.watch import Watcher
from policy.event import Event
from policy.rules import Group, SchoolPolicy

T = datetime(2026, 11, 16, 10, 0, tzinfo=UTC).timestamp()
PAGE = Event(
    T, "page", "hillview", "ks4", person="p1", host="a.example", path="/one", action="allow", handling="inspect", worker="w0"
)
NO_CAPTURE = {"hillview": SchoolPolicy("hillview", "Hillview", "a", "d", groups=(Group("ks4", "Y10", "ks4"),))}


def called(page: Event, title: str) -> Event:
    return Event(page.at, "title", page.school, host=page.host, worker=page.worker, title=title)


def titles(log: Log) -> list[tuple[str, str]]:
    return [(line.path or line.term, line.title) for line in log.search(Query()).rows]


def test_a_title_becomes_part_of_its_page_in_the_same_batch_or_later(log: Log):
    second = PAGE._replace(at=T + 1, path="/two")
    third = PAGE._replace(at=T + 2, kind="search", path="/search", term="lava")
    log.append([PAGE, called(PAGE, "One"), second, third], {"w0": (1, 1)})
    assert titles(log) == [("/search", ""), ("/two", ""), ("/one", "One")]
    log.append([called(second, "Two"), called(third, "lava - Search")], {"w0": (1, 2)})
    assert titles(log) == [("/search", "lava - Search"), ("/two", "Two"), ("/one", "One")]
    assert log.completeness().stored == 3
    assert [line.path for line in log.search(Query(text="TWO")).rows] == ["/two"]


def test_a_title_goes_to_no_line_but_its_own(log: Log):
    """Another worker, another school, another site, another moment, something that is no page: none of them takes it."""
    others = [
        PAGE._replace(worker="w1"), PAGE._replace(school="oakfield"), PAGE._replace(host="b.example"),
        PAGE._replace(at=T + 0.001), PAGE._replace(kind="connection", action="block"),
    ]  # fmt: skip
    log.append(others, {"w0": (1, 1)})
    log.append([called(PAGE, "One")], {"w0": (1, 2)})
    assert {line.title for line in log.search(Query()).rows} == {""}
    assert log.completeness().stored == len(others)


def test_a_title_that_outlives_its_page_is_not_kept(log: Log):
    log.append([PAGE], {"w0": (1, 1)})
    log.purge({"allowed": datetime(2027, 1, 1, tzinfo=UTC)})
    log.append([called(PAGE, "A name that must not stay")], {"w0": (1, 2)})
    assert log.search(Query()).rows == ()


def test_a_worker_that_dies_between_page_and_title_loses_no_line(log: Log, tmp_path: Path):
    """Its next life goes on where it was; the page is in the log, and nothing counts as lost."""
    spool = tmp_path / "spool"
    recorder = Recorder(Reader(spool), log)
    first = Writer(spool, "w0")
    first.write(PAGE.encode())
    recorder.step()
    first.close()
    second = Writer(spool, "w0")
    another = PAGE._replace(at=T + 5, path="/two")
    for event in (another, called(another, "Two"), called(PAGE, "One, told late")):
        second.write(event.encode())
    recorder.step()
    second.close()
    assert titles(log) == [("/two", "Two"), ("/one", "One, told late")]
    assert (log.completeness().stored, recorder.status().lost) == (2, 0)


HOSTILE = ["=cmd|' /C calc'!A0", "a\0b", "\ud800", "\u202etxt.exe", "x" * 100_000, "<script>alert(1)</script>", "پاکستان", ""]


@pytest.mark.parametrize("title", HOSTILE)
def test_whatever_a_stranger_wrote_is_stored_harmlessly(log: Log, title: str):
    log.append([PAGE], {"w0": (1, 1)})
    log.append([called(PAGE, title)], {"w0": (1, 2)})
    (line,) = log.search(Query()).rows
    assert len(line.title) <= 200
    assert "\0" not in line.title
    line.title.encode()


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from(["page", "search", "title", "dns"]), st.text(max_size=3)), max_size=12
    )
)
def test_every_event_stays_and_no_title_is_an_event(made):
    some = [PAGE._replace(at=T + at, kind=kind, title=said if kind == "title" else "") for at, kind, said in made]
    whole, late = joined(some)
    assert [event.kind for event in whole] == [event.kind for event in some if event.kind != "title"]
    assert set(late.values()) <= {event.title for event in some}


def test_a_capture_shows_titles_of_what_came_before_within_and_after(log: Log):
    watcher = Watcher(log, NO_CAPTURE.get)
    search = PAGE._replace(at=T + 60, kind="search", path="/search", term="how to buy cocaine", host="www.google.com")
    later = PAGE._replace(at=T + 90, path="/later")
    log.append([PAGE, called(PAGE, "A page before"), search, later], {"w0": (1, 1)})
    watcher.step()
    log.append([called(search, "how to buy cocaine - Search"), called(later, "A page after")], {"w0": (1, 2)})
    assert watcher.step() == (0, ())  # nothing new to look through: titles find their captures all the same
    with store.reading(log) as connection:
        (found,) = store.rows(connection, rows.select())
    context = json.loads(found["context"])
    assert context["before"] == ["a.example/one “A page before”"]
    assert context["titles"] == ["how to buy cocaine - Search"]
    assert context["after"] == ["a.example/later “A page after”"]
    (one,) = archive.found(log, "hillview", ["pupil"], Sought(words="A page after"), person="")
    assert one.titles == ("how to buy cocaine - Search",)


def test_a_log_from_before_titles_is_brought_up(log: Log, url: str):
    log.append([PAGE], {"w0": (1, 1)})
    with log.open().begin() as connection:
        connection.execute(sql.text("ALTER TABLE events DROP COLUMN title"))
        connection.execute(sql.text("UPDATE meta SET value = '4' WHERE name = 'version'"))
    log.close()
    with Log(url) as opened:
        opened.append([PAGE._replace(at=T + 1), called(PAGE._replace(at=T + 1), "New")], {"w0": (1, 2)})
        assert [line.title for line in opened.search(Query()).rows] == ["New", ""]
        with opened.open().connect() as connection:
            assert {"title"} <= {each["name"] for each in sql.inspect(connection).get_columns(events.name)}


def older(log: Log) -> None:
    """As a database of version 4 is."""
    with log.open().begin() as connection:
        for table in ("mixes", "seats"):
            connection.execute(sql.text(f"DROP TABLE {table}"))
        connection.execute(sql.text("ALTER TABLE events DROP COLUMN title"))
        connection.execute(sql.text("UPDATE meta SET value = '4' WHERE name = 'version'"))


def test_bringing_up_that_is_cut_off_begins_again(log: Log, url: str):
    log.append([PAGE], {"w0": (1, 1)})
    older(log)
    with writing(log.open()).connect() as connection:
        cut = connection.begin()
        _create(connection)
        cut.rollback()  # what the database does when its process is killed
    with log.open().connect() as connection:
        assert "title" not in {each["name"] for each in sql.inspect(connection).get_columns(events.name)}
        assert not sql.inspect(connection).has_table("mixes")
    log.close()
    with Log(url) as opened:
        assert [line.title for line in opened.search(Query()).rows] == [""]


def test_a_line_that_comes_late_hides_none_from_before_they_were_counted(log: Log, url: str):
    day = 86_400
    log.append([PAGE._replace(category="games", device="d1")], {"w0": (1, 1)})
    older(log)
    log.close()
    with Log(url) as opened:
        opened.append([PAGE._replace(at=T + day), PAGE._replace(at=T - 2 * day)], {"w0": (1, 2)})
        assert len(opened.search(Query(category="games", kind="page")).rows) == 1
        assert len(opened.search(Query(device="d1")).rows) == 1
