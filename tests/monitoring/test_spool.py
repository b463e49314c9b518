import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.spool import RECORD, START, Header, Position, Reader, Writer, scan, segments

payloads = st.lists(st.binary(max_size=300), max_size=40)


def everything(folder: Path, limit: int = 7) -> tuple[dict[str, list[bytes]], dict[str, Position], int]:
    """All records, a few at a time; positions; damage."""
    found: dict[str, list[bytes]] = {}
    positions: dict[str, Position] = {}
    damaged = 0
    while True:
        batch = Reader(folder).read(positions, limit)
        damaged += sum(batch.damaged.values())
        if batch.positions == positions:
            return found, positions, damaged
        positions = dict(batch.positions)
        for worker, records in batch.records.items():
            found.setdefault(worker, []).extend(records)


@settings(max_examples=60, deadline=None)
@given(payloads, st.integers(1, 50))
def test_whatever_is_written_comes_back_in_order(written: list[bytes], limit: int):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        writer = Writer(folder, "dns-0", segment_bytes=512)
        for data in written:
            writer.write(data)
        found, positions, damaged = everything(folder, limit)
        writer.close()
        assert found.get("dns-0", []) == written
        assert damaged == writer.lost == 0
        assert Reader(folder).behind(positions) == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(payloads, max_size=8), st.integers(1, 50))
def test_what_is_written_together_comes_back_in_order_too(batches: list[list[bytes]], limit: int):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        writer = Writer(folder, "dns-0", segment_bytes=700)
        for batch in batches:
            writer.write_all(batch)
            writer.write(b"alone")
        found, positions, damaged = everything(folder, limit)
        writer.close()
        assert found.get("dns-0", []) == [data for batch in batches for data in (*batch, b"alone")]
        assert damaged == writer.lost == 0
        assert Reader(folder).behind(positions) == 0


def test_of_what_is_written_together_all_that_is_lost_is_counted(tmp_path: Path):
    writer = Writer(tmp_path, "dns-0", segment_bytes=256, limit_segments=2)
    writer.write_all([bytes(40)] * 20)
    kept, _, _ = everything(tmp_path)
    assert len(kept["dns-0"]) + writer.lost == 20
    writer.close()
    writer.write_all([b"late"] * 3)
    assert len(kept["dns-0"]) + writer.lost == 23


def test_what_is_written_is_there_at_once_and_only_once(tmp_path: Path):
    writer, reader = Writer(tmp_path, "dns-0"), Reader(tmp_path)
    writer.write(b"one")
    first = reader.read({}, 10)
    assert first.records == {"dns-0": [b"one"]}
    assert reader.read(first.positions, 10).records == {}
    writer.write(b"two")
    assert reader.behind(first.positions) == RECORD.size + 3
    assert reader.read(first.positions, 10).records == {"dns-0": [b"two"]}
    writer.close()


def test_several_workers_share_a_batch_and_none_starves(tmp_path: Path):
    writers = [Writer(tmp_path, f"proxy-{number}") for number in range(3)]
    for number, writer in enumerate(writers):
        for index in range((1, 2, 100)[number]):
            writer.write(b"%d %d" % (number, index))
    batch = Reader(tmp_path).read({}, 30)
    assert {worker: len(records) for worker, records in batch.records.items()} == {"proxy-0": 1, "proxy-1": 2, "proxy-2": 27}
    for writer in writers:
        writer.close()


def test_a_new_start_goes_on_behind_the_last_record(tmp_path: Path):
    for data in (b"before", b"after"):
        writer = Writer(tmp_path, "dns-0")
        writer.write(data)
        writer.close()
    assert everything(tmp_path)[0] == {"dns-0": [b"before", b"after"]}


def test_a_worker_that_still_lives_is_waited_for_though_its_successor_writes(tmp_path: Path):
    old, new = Writer(tmp_path, "dns-0"), Writer(tmp_path, "dns-0")
    old.write(b"one")
    new.write(b"three")
    reader = Reader(tmp_path)
    batch = reader.read({}, 10)
    assert batch.records == {"dns-0": [b"one"]}
    old.write(b"two")
    old.close()
    assert reader.read(batch.positions, 10).records == {"dns-0": [b"two", b"three"]}
    new.close()


def test_consumed_segments_are_deleted_but_not_the_last(tmp_path: Path):
    writer, reader = Writer(tmp_path, "dns-0", segment_bytes=256), Reader(tmp_path)
    for _ in range(20):
        writer.write(b"x" * 50)
    count = len(segments(tmp_path)["dns-0"])
    assert count > 5
    some = reader.read({}, 5).positions
    assert reader.discard(some) == 1
    rest = reader.read(some, 100)
    assert len(rest.records["dns-0"]) == 15
    assert reader.discard(rest.positions) == count - 2
    assert len(segments(tmp_path)["dns-0"]) == 1
    writer.write(b"still here")
    assert reader.read(rest.positions, 100).records == {"dns-0": [b"still here"]}
    writer.close()


def test_a_full_spool_drops_and_counts_and_goes_on_once_there_is_room(tmp_path: Path):
    now = [0.0]
    writer = Writer(tmp_path, "dns-0", segment_bytes=256, limit_segments=3, clock=lambda: now[0])
    for index in range(20):
        writer.write(b"%050d" % index)
    reader = Reader(tmp_path)
    batch = reader.read({}, 100)
    kept = len(batch.records["dns-0"])
    assert kept == 9
    assert batch.lost == {"dns-0": 11}
    reader.discard(batch.positions)
    now[0] += 1
    writer.write(b"room again")
    batch = reader.read(batch.positions, 100)
    assert batch.records == {"dns-0": [b"room again"]}
    assert batch.lost == {"dns-0": 11}  # the count goes on from segment to segment
    writer.close()
    again = Writer(tmp_path, "dns-0", segment_bytes=256)
    assert again.lost == 11  # and from start to start
    again.close()


def test_a_record_larger_than_a_segment_is_lost_and_counted(tmp_path: Path):
    writer = Writer(tmp_path, "dns-0", segment_bytes=256)
    writer.write(b"x" * 1000)
    writer.write(b"small")
    batch = Reader(tmp_path).read({}, 10)
    assert (batch.records, batch.lost) == ({"dns-0": [b"small"]}, {"dns-0": 1})
    writer.close()


def test_nothing_raises_where_there_is_no_folder_to_write_in(tmp_path: Path):
    (tmp_path / "file").write_text("not a folder")
    writer = Writer(tmp_path / "file", "dns-0")
    writer.write(b"one")
    writer.write("not bytes")  # type: ignore[arg-type]
    assert writer.lost == 2
    writer.close()
    writer.close()


def test_after_closing_nothing_is_kept_and_nothing_raises(tmp_path: Path):
    writer = Writer(tmp_path, "dns-0")
    writer.close()
    writer.write(b"late")
    assert writer.lost == 1


@pytest.mark.parametrize("name", ["", "../dns", "dns/0", ".hidden", "a" * 64])
def test_a_worker_has_a_plain_name(tmp_path: Path, name: str):
    with pytest.raises(ValueError, match="name"):
        Writer(tmp_path, name)


def test_a_folder_emptied_by_hand_is_read_from_its_new_beginning(tmp_path: Path):
    writer = Writer(tmp_path, "dns-0")
    writer.write(b"old")
    positions = Reader(tmp_path).read({}, 10).positions
    writer.close()
    for path in segments(tmp_path)["dns-0"].values():
        path.unlink()
    beyond = {"dns-0": (positions["dns-0"][0] + 10**9, positions["dns-0"][1])}  # even if the clock was set back
    writer = Writer(tmp_path, "dns-0")
    writer.write(b"new")
    assert Reader(tmp_path).read(beyond, 10).records == {"dns-0": [b"new"]}
    writer.close()


def spooled(folder: Path, written: Sequence[bytes]) -> Path:
    """A finished segment of these records, and an empty one behind it."""
    writer = Writer(folder, "dns-0", segment_bytes=4096)
    for data in written:
        writer.write(data)
    writer.close()
    Writer(folder, "dns-0", segment_bytes=4096).close()
    return next(iter(segments(folder)["dns-0"].values()))


def subsequence(found: Sequence[bytes], written: Sequence[bytes]) -> bool:
    rest = iter(written)
    return all(data in rest for data in found)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=20), st.data())
def test_a_flipped_or_cut_segment_gives_no_wrong_record_and_says_that_it_is_damaged(
    written: list[bytes], data: st.DataObject
):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = spooled(folder, written)
        used = START + sum(RECORD.size + len(each) for each in written)
        content = bytearray(path.read_bytes())
        if data.draw(st.booleans(), "flip"):
            content[data.draw(st.integers(START, used - 1))] ^= 1 << data.draw(st.integers(0, 7))
        else:
            del content[data.draw(st.integers(0, used - 1)) :]
        path.write_bytes(content)
        found, _, damaged = everything(folder)
        assert subsequence(found.get("dns-0", []), written)
        assert found.get("dns-0", []) != written
        assert damaged >= 1


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400))
def test_any_file_at_all_is_read_without_an_exception(content: bytes):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spooled(folder, [b"x"]).write_bytes(content)
        assert everything(folder)[0] == {}


@given(st.binary(max_size=400), st.integers(0, 500), st.booleans(), st.integers(1, 20))
def test_scanning_any_bytes_never_raises_nor_goes_beyond_them(data: bytes, end: int, finished: bool, limit: int):
    found = scan(data, (1, START), Header(True, end), finished=finished, limit=limit)
    assert START <= found.position[1] <= START + len(data)


def test_a_torn_last_record_is_waited_for_while_its_writer_lives(tmp_path: Path):
    writer = Writer(tmp_path, "dns-0")
    writer.write(b"whole")
    writer.write(b"torn")
    path = next(iter(segments(tmp_path)["dns-0"].values()))
    with path.open("r+b") as file:
        file.seek(START + RECORD.size + 5 + RECORD.size)
        file.write(b"TORN")
    batch = Reader(tmp_path).read({}, 10)
    assert (batch.records, batch.damaged) == ({"dns-0": [b"whole"]}, {})
    with path.open("r+b") as file:
        file.seek(START + RECORD.size + 5 + RECORD.size)
        file.write(b"torn")
    assert Reader(tmp_path).read(batch.positions, 10).records == {"dns-0": [b"torn"]}
    writer.close()


CHILD = """
import sys
from pathlib import Path
from monitoring.spool import Writer
writer = Writer(Path(sys.argv[1]), "dns-0", segment_bytes=65536, limit_segments=10_000)
number = 0
while True:
    writer.write(b"%d" % number)
    number += 1
    print(number, flush=True)
"""


def test_kill_9_loses_no_record_that_was_written(tmp_path: Path):
    for round_ in range(3):
        folder = tmp_path / str(round_)
        with subprocess.Popen([sys.executable, "-c", CHILD, str(folder)], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            told = [child.stdout.readline() for _ in range(2_000 + 777 * round_)]
            child.kill()
            told += child.stdout.read().splitlines(keepends=True)
        written = int([line for line in told if line.endswith(b"\n")][-1])
        found, _, damaged = everything(folder, 1_000)
        assert len(found["dns-0"]) in (written, written + 1)  # the last may have been written and not yet told
        assert found["dns-0"] == [b"%d" % number for number in range(len(found["dns-0"]))]
        assert damaged == 0


FULL = """
import resource, sys
from pathlib import Path
from monitoring.spool import Writer
writer = Writer(Path(sys.argv[1]), "dns-0", segment_bytes=4096)
resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))
for _ in range(100):
    writer.write(b"x" * 92)
print(writer.lost)
"""


def test_a_disk_without_room_for_another_segment_costs_records_and_no_worker(tmp_path: Path):
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, check=True)
    batch = Reader(tmp_path).read({}, 1_000)
    assert (len(batch.records["dns-0"]), batch.lost) == (40, {"dns-0": 60})
    assert done.stdout == b"60\n"
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".seg"] == []


def test_segments_are_the_owner_s_alone(tmp_path: Path):
    Writer(tmp_path / "spool", "dns-0").close()
    path = next(iter(segments(tmp_path / "spool")["dns-0"].values()))
    assert path.stat().st_mode & 0o777 == 0o600
