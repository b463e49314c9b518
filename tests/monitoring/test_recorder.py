import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sql
from hypothesis import given
from hypothesis import strategies as st

from monitoring.log import Log, Query
from monitoring.recorder import Patience, Recorder, _decoded
from monitoring.spool import Batch, Reader, Writer, segments
from policy.event import Event

T = 1_770_000_000.0
PAGE = Event(T, "page", "hillview", "ks3", host="www.bbc.co.uk", action="allow", worker="dns-0")
REQUEST = PAGE._replace(kind="request", detail="please", outcome="R-1")
NOTICE = PAGE._replace(kind="notice", detail="policy refused", host="")


class Clock:
    def __init__(self) -> None:
        self.now = T

    def __call__(self) -> float:
        return self.now


class Down(Log):
    """A log whose database can be switched off before, or just after, it has stored."""

    down = False
    dies_after = False

    def open(self) -> sql.Engine:
        if self.down:
            raise OSError("no database there\nand a second line")
        return super().open()

    def append(self, *args, **kwargs) -> None:
        super().append(*args, **kwargs)
        if self.dies_after:
            raise OSError("the line went dead at commit")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def writer(folder: Path) -> Iterator[Writer]:
    writer = Writer(folder, "dns-0", segment_bytes=4096, limit_segments=4)
    yield writer
    writer.close()


@pytest.fixture
def switched(url: str) -> Iterator[Down]:
    with Down(url) as log:
        yield log


def record(writer: Writer, *events: Event) -> None:
    for event in events:
        writer.write(event.encode())


def persons(log: Log) -> list[str]:
    return sorted(line.person for line in log.search(Query(limit=10_000)).rows)


def test_events_go_from_the_spool_into_the_log(folder: Path, writer: Writer, log: Log, rows: Callable[[str], int]):
    recorder = Recorder(Reader(folder), log, clock=Clock(), batch=10)
    record(writer, *[PAGE._replace(person=f"p{number:02}") for number in range(25)])
    assert [recorder.step() for _ in range(4)] == [10, 10, 5, 0]
    assert persons(log) == [f"p{number:02}" for number in range(25)]
    status = recorder.status()
    assert (status.behind, status.lost, status.error, status.waiting) == (0, 0, "", False)
    assert status.last_ok is not None
    assert status.last_ok.timestamp() == T


def test_stored_segments_are_deleted(folder: Path, writer: Writer, log: Log):
    recorder = Recorder(Reader(folder), log)
    for _ in range(40):
        record(writer, *[PAGE] * 10)
        recorder.step()
    assert writer.lost == 0
    assert len(segments(folder)["dns-0"]) <= 2


def test_a_crash_at_any_moment_stores_each_event_once(folder: Path, writer: Writer, log: Log):
    """A recorder that dies between storing and deleting leaves the log's positions to the next."""
    for number in range(12):
        record(writer, *[PAGE._replace(person=f"p{number:02}-{each}") for each in range(10)])
        batch = Reader(folder).read({worker: spool.position for worker, spool in log.spools().items()}, 7)
        events, damaged = _decoded(batch)
        log.append(events, batch.positions, after=batch.after, lost=batch.lost, damaged=damaged)  # and dies here
        if number % 3 == 0:
            Recorder(Reader(folder), log, batch=9).step()
    recorder = Recorder(Reader(folder), log)
    while recorder.step():
        pass
    assert writer.lost == 0
    assert persons(log) == sorted(f"p{number:02}-{each}" for number in range(12) for each in range(10))


def test_a_database_that_is_down_keeps_events_in_the_spool_and_says_so(folder: Path, writer: Writer, switched: Down):
    clock = Clock()
    recorder = Recorder(Reader(folder), switched, clock=clock)
    switched.down = True
    record(writer, PAGE, PAGE)
    assert recorder.step() == 0
    status = recorder.status()
    assert status.error == "OSError: no database there"
    assert status.behind > 0
    assert status.last_ok is None
    switched.down = False
    assert recorder.step() == 0  # not at once again
    clock.now += 1
    assert recorder.step() == 2
    assert recorder.status().error == ""
    assert recorder.status().behind == 0
    assert len(persons(switched)) == 2


def test_a_commit_whose_answer_was_lost_is_not_stored_twice(folder: Path, writer: Writer, switched: Down):
    clock = Clock()
    recorder = Recorder(Reader(folder), switched, clock=clock)
    record(writer, PAGE._replace(person="p1"))
    switched.dies_after = True
    assert recorder.step() == 0
    switched.dies_after = False
    record(writer, PAGE._replace(person="p2"))
    clock.now += 1
    assert recorder.step() == 1
    assert persons(switched) == ["p1", "p2"]


def test_a_log_that_stays_down_until_the_spool_is_full_shows_the_loss(folder: Path, writer: Writer, switched: Down):
    clock = Clock()
    notices: list[Event] = []
    recorder = Recorder(Reader(folder), switched, on_notice=notices.append, clock=clock)
    switched.down = True
    record(writer, *[PAGE] * 300)
    recorder.step()
    switched.down = False
    clock.now += 1
    kept = recorder.step()
    assert kept + writer.lost == 300
    assert recorder.status().lost == writer.lost > 0
    (notice,) = notices
    assert notice.detail == f"{writer.lost} records of dns-0 did not reach the log: its spool was full or damaged"
    assert switched.search(Query(kind="notice")).rows[0].detail == notice.detail
    recorder.step()
    assert len(notices) == 1
    assert Recorder(Reader(folder), switched, clock=clock).step() == 0
    assert switched.spools()["dns-0"].lost == writer.lost


def test_losses_are_not_told_for_each_record_anew(folder: Path, writer: Writer, log: Log):
    clock = Clock()
    notices: list[Event] = []
    recorder = Recorder(Reader(folder), log, on_notice=notices.append, clock=clock)
    for seconds in (0, 1, 58, 2, 1):
        clock.now += seconds
        writer.write(b"no event")
        recorder.step()
    assert [notice.detail.split()[0] for notice in notices] == ["1", "3"]
    assert recorder.status().lost == 5


def test_requests_and_notices_reach_their_receivers_once_they_are_stored(folder: Path, writer: Writer, log: Log):
    requests: list[Event] = []
    notices: list[Event] = []
    record(writer, PAGE, REQUEST, NOTICE)
    recorder = Recorder(Reader(folder), log, on_request=requests.append, on_notice=notices.append)
    recorder.step()
    recorder.step()
    assert (requests, notices) == ([REQUEST], [NOTICE])
    assert not recorder.status().waiting
    assert log.search(Query(kind="request")).rows[0].detail == ""


def test_a_receiver_in_trouble_is_asked_again_and_stops_nobody_else(folder: Path, writer: Writer, log: Log):
    clock = Clock()
    tries: list[str] = []
    notices: list[Event] = []

    def receive(event: Event) -> None:
        tries.append(event.outcome)
        if event.outcome == "R-1" and len(tries) < 4:
            raise RuntimeError("the desk is not there")

    recorder = Recorder(Reader(folder), log, on_request=receive, on_notice=notices.append, clock=clock)
    record(writer, REQUEST, REQUEST._replace(outcome="R-2"), NOTICE)
    recorder.step()
    assert (tries, notices) == (["R-1", "R-2"], [NOTICE])
    assert recorder.status().error == "RuntimeError: the desk is not there"
    assert recorder.status().waiting
    record(writer, PAGE)
    assert recorder.step() == 1  # the log goes on
    for _ in range(2):
        clock.now += 5
        recorder.step()
    assert tries == ["R-1", "R-2", "R-1", "R-1"]
    assert recorder.status().error == ""


def test_what_was_stored_and_not_handed_over_is_handed_over_by_the_next_recorder(folder: Path, writer: Writer, log: Log):
    def dies(_: Event) -> None:
        raise RuntimeError("killed")

    record(writer, REQUEST)
    Recorder(Reader(folder), log, on_request=dies).step()
    requests: list[Event] = []
    Recorder(Reader(folder), log, on_request=requests.append).step()
    assert requests == [REQUEST]


@given(st.lists(st.one_of(st.binary(max_size=60), st.text(st.sampled_from('[]{}"0,.eE-naN:'), max_size=30).map(str.encode))))
def test_any_bytes_are_an_event_or_counted_as_damage(records: list[bytes]):
    events, damaged = _decoded(Batch({"dns-0": records}, {}, {}, {}, {}))
    assert len(events) + damaged.get("dns-0", 0) == len(records)


@pytest.mark.parametrize(
    "bad",
    [b"", b"[" * 100_000, b'["now","dns"]', b'[1e999,"dns"]', b"[1,2]", b'[1,"dns",null]', b'[1,"dns",[]]', b"\xff", b"[]"],
)
def test_one_bad_record_does_not_stop_those_behind_it(tmp_path: Path, bad: bytes):
    with Log(f"sqlite:///{tmp_path / 'log.db'}") as log:
        writer = Writer(tmp_path, "dns-0")
        record(writer, PAGE)
        writer.write(bad)
        record(writer, PAGE)
        recorder = Recorder(Reader(tmp_path), log)
        assert recorder.step() == 3
        writer.close()
        assert len(log.search(Query(kind="page")).rows) == 2
        assert recorder.status().lost == 1
        assert recorder.status().error == ""


def test_patience_doubles_up_to_a_limit_and_a_clock_set_back_ends_it():
    clock = Clock()
    patience = Patience(clock)
    assert patience.over()
    waits = []
    for _ in range(9):
        patience.failed(ValueError("no"))
        assert not patience.over()
        before = clock.now
        while not patience.over():
            clock.now += 0.5
        waits.append(clock.now - before)
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    patience.failed(ValueError("no"))
    clock.now -= 3600
    assert patience.over()
    patience.worked()
    assert patience.error == ""


def test_it_runs_until_told_to_stop_and_reads_what_came_last(folder: Path, writer: Writer, log: Log):
    async def story() -> None:
        stop = asyncio.Event()
        seen = asyncio.Event()
        loop = asyncio.get_running_loop()
        recorder = Recorder(Reader(folder), log, on_request=lambda _: loop.call_soon_threadsafe(seen.set), batch=2)
        record(writer, PAGE, PAGE, PAGE, REQUEST)
        running = asyncio.create_task(recorder.run(stop))
        await asyncio.wait_for(seen.wait(), 10)
        record(writer, PAGE._replace(person="last"))
        stop.set()
        await asyncio.wait_for(running, 10)

    asyncio.run(story())
    assert persons(log) == ["", "", "", "", "last"]
