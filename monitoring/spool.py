"""What a worker saw, kept where its death cannot take it: one file mapping a worker, read by the recorder alone.

The data path must never wait for the log and the log must not lose what the data path told it. So a worker does not send
events anywhere: it copies each into a file that it has mapped into memory. The kernel owns those pages; `kill -9` of the
worker leaves them where they are. (A power cut may take the last seconds: nothing here waits for a disk.)

A worker writes a row of segments, `<worker>-<sequence>.seg`, each of a fixed size that is allocated before it is mapped (a
hole in a mapped file on a full disk would kill the worker). A segment is a header and then records:

    header   magic (8)   end: bytes written so far (u64)   lost: records this worker ever dropped (u64)
    record   mark (u32)  crc32 (u32)  payload              mark = length with its top bit set

The mark is written last, its top byte last of all: no mark, no record, whatever stands behind it. The checksum begins from
the record's own place (sequence and offset), so that bytes that look like a record are one only where they were written.

The writer holds a lock (flock) on its current segment; the kernel lets go of it when the process dies. So the reader knows
when a segment is finished for good: a later one exists and nobody holds the lock. Only then may it pass over damage and go
on; in a segment still being written, what does not add up yet may do so in a moment.

INVARIANT: the last segment of a worker is never deleted; it carries the sequence and the count of what was lost.
"""

import fcntl
import mmap
import os
import re
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from zlib import crc32

type Position = tuple[int, int]  # sequence of the segment, offset in it

MAGIC = b"SGSPOOL1"
HEADER = struct.Struct("<8sQQ")
START = 64  # records begin here; what the header does not use is kept for later
RECORD = struct.Struct("<II")
NUMBER = struct.Struct("<Q")
WORD = struct.Struct("<I")
END_AT, LOST_AT = 8, 16
COMMITTED = 0x8000_0000
MASK = 0xFFFF_FFFF
_record = RECORD.pack
WORKER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
SEGMENT_NAME = re.compile(r"(?P<worker>[A-Za-z0-9][A-Za-z0-9._-]{0,62})-(?P<seq>[0-9]{1,18})\.seg")
LOOK_AGAIN = 0.1  # seconds between two looks whether a full spool has room again: a look costs a directory listing


class Writer:
    """One worker's spool. A worker's name should stay the same over restarts ("dns-0"), as its last segment is kept."""

    def __init__(
        self,
        folder: Path,
        worker: str,
        *,
        segment_bytes: int = 4 << 20,
        limit_segments: int = 64,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not WORKER_NAME.fullmatch(worker):
            raise ValueError(f"not a worker's name: {worker!r}")
        if segment_bytes <= START + RECORD.size or limit_segments < 2:
            raise ValueError("a spool needs two segments at least, each larger than its header")
        self.folder = folder
        self.worker = worker
        self._size = segment_bytes
        self._limit = limit_segments
        self._clock = clock
        self._look_again = clock()
        self._lock = Lock()  # mitmproxy's helpers may run in threads; uncontended it costs some 30 ns
        self._closed = False
        self._map: mmap.mmap | None = None
        self._file = -1
        self._sequence = 0
        self._at = segment_bytes  # full: the first write makes a segment if this one could not be made here
        self._lost = 0
        with suppress(OSError):  # the filter runs on without a log; `lost` says so
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if existing := segments(folder).get(worker):
                self._sequence = max(existing)
                self._lost = read_header(existing[self._sequence]).lost
            for stale in folder.glob(f"{worker}-*.new"):
                stale.unlink()
            self._next_segment()

    @property
    def lost(self) -> int:
        """How many records this worker's spool had no room for, since its folder was new."""
        return self._lost

    def write(self, data: bytes) -> None:
        """Keep one record. Never waits and never raises: what cannot be kept is counted in `lost`."""
        with self._lock:
            try:
                at = self._at
                after = at + RECORD.size + len(data)
                if after > self._size:
                    if not self._make_room(len(data)):
                        self._drop()
                        return
                    at = self._at
                    after = at + RECORD.size + len(data)
                view = self._map
                if view is None:
                    self._drop()
                    return
                view[at + RECORD.size : after] = data
                WORD.pack_into(view, at + 4, crc32(data, (self._sequence + at) & MASK))
                WORD.pack_into(view, at, COMMITTED | len(data))
                NUMBER.pack_into(view, END_AT, after)
                self._at = after
            except Exception:  # noqa: BLE001 - the data path must not know that there is a log
                self._drop()

    def write_all(self, lines: Sequence[bytes]) -> None:
        """Keep many records, in order, at a fifth of the cost of each alone. As `write`: never waits, never raises."""
        if len(lines) == 1:
            self.write(lines[0])
            return
        with self._lock:
            start, view = self._at, self._map
            after = start + sum(map(len, lines)) + RECORD.size * len(lines)
            if lines and view is not None and after <= self._size:
                try:
                    at = self._sequence + start
                    parts: list[bytes] = []
                    for line in lines:
                        parts += (_record(COMMITTED | len(line), crc32(line, at & MASK)), line)
                        at += RECORD.size + len(line)
                    view[start + WORD.size : after] = b"".join(parts)[WORD.size :]
                    WORD.pack_into(view, start, COMMITTED | len(lines[0]))  # the first mark last: all of them, or none
                    NUMBER.pack_into(view, END_AT, after)
                    self._at = after
                except Exception:  # noqa: BLE001 - as in `write`
                    for _ in lines:
                        self._drop()
                return
        for line in lines:  # the end of a segment lies between them
            self.write(line)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._release()

    def _drop(self) -> None:
        self._lost += 1
        if self._map is not None:
            NUMBER.pack_into(self._map, LOST_AT, self._lost)

    def _make_room(self, length: int) -> bool:
        if self._closed or START + RECORD.size + length > self._size:
            return False
        if (now := self._clock()) < self._look_again:
            return False
        try:
            if len(segments(self.folder).get(self.worker, ())) < self._limit:
                self._next_segment()
                return True
        except OSError:
            pass  # the disk is full, or the folder is gone
        self._look_again = now + LOOK_AGAIN
        return False

    def _next_segment(self) -> None:
        # A new row of segments starts from the clock: should the folder have been emptied by hand, the reader's position
        # in the old row is still behind the new one.
        sequence = self._sequence + 1 if self._sequence else time.time_ns() // 1_000_000
        path = self.folder / f"{self.worker}-{sequence:016d}.seg"
        new = path.with_suffix(".new")
        file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        view = None
        try:
            os.posix_fallocate(file, 0, self._size)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            view = mmap.mmap(file, self._size)
            HEADER.pack_into(view, 0, MAGIC, START, self._lost)
            new.rename(path)  # appears whole, or not at all
        except BaseException:
            if view is not None:
                view.close()
            os.close(file)
            with suppress(OSError):
                new.unlink()
            raise
        self._release()  # only now that a later one exists: see the lock, above
        self._map, self._file, self._sequence, self._at = view, file, sequence, START

    def _release(self) -> None:
        if self._map is not None:
            self._map.close()
            os.close(self._file)
            self._map = None


@dataclass(frozen=True, slots=True)
class Batch:
    """What was read: payloads by worker, in the order they were written."""

    records: Mapping[str, Sequence[bytes]]
    after: Mapping[str, Position]  # where reading began, for those workers whose position was known
    positions: Mapping[str, Position]  # where the next read begins
    lost: Mapping[str, int]  # records a worker ever dropped
    damaged: Mapping[str, int]  # records found damaged in this batch; a hole of unknown size counts as one


class Reader:
    """The other end of every worker's spool. Keeps no position of its own: those belong to where the events go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, positions: Mapping[str, Position], limit: int) -> Batch:
        """At most `limit` records after `positions`."""
        rows = segments(self.folder)
        waiting = {worker: _behind(row, positions.get(worker)) for worker, row in rows.items()}
        readings: dict[str, _Reading] = {}
        # The least busy first, each an equal share of what is left: nobody starves, and no share goes unused.
        for done, worker in enumerate(sorted(rows, key=lambda name: waiting[name])):
            share = -(-limit // (len(rows) - done))
            readings[worker] = _read_row(rows[worker], positions.get(worker), share)
            limit -= len(readings[worker].records)
        headers = {worker: read_header(row[max(row)]) for worker, row in rows.items()}
        return Batch(
            records={worker: reading.records for worker, reading in readings.items() if reading.records},
            after={worker: positions[worker] for worker in readings if worker in positions},
            positions={worker: reading.position for worker, reading in readings.items()},
            lost={worker: header.lost for worker, header in headers.items() if header.sound},
            damaged={worker: reading.damaged for worker, reading in readings.items() if reading.damaged},
        )

    def behind(self, positions: Mapping[str, Position]) -> int:
        """Bytes written and not yet read."""
        return sum(_behind(row, positions.get(worker)) for worker, row in segments(self.folder).items())

    def discard(self, positions: Mapping[str, Position]) -> int:
        """Delete the segments that lie wholly before `positions`, but never a worker's last; returns how many."""
        gone = 0
        for worker, row in segments(self.folder).items():
            passed, _ = positions.get(worker, (0, 0))
            for sequence in [each for each in row if each < passed and each != max(row)]:
                row[sequence].unlink(missing_ok=True)
                gone += 1
        return gone


def segments(folder: Path) -> dict[str, dict[int, Path]]:
    """Every worker's segments by sequence, oldest first. Other files are not ours and are left alone."""
    found: dict[str, dict[int, Path]] = {}
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if name := SEGMENT_NAME.fullmatch(entry.name):
                found.setdefault(name["worker"], {})[int(name["seq"])] = Path(entry.path)
    return {worker: dict(sorted(row.items())) for worker, row in sorted(found.items())}


@dataclass(frozen=True, slots=True)
class Header:
    sound: bool
    end: int = START
    lost: int = 0


def read_header(path: Path) -> Header:
    with path.open("rb") as file:
        return _header(file.fileno())


def _header(file: int) -> Header:
    data = os.pread(file, HEADER.size, 0)
    if len(data) < HEADER.size:
        return Header(sound=False)
    magic, end, lost = HEADER.unpack(data)
    # A count that nobody can have reached is damage, and would not fit the log's column.
    return Header(True, end, lost) if magic == MAGIC and lost < 1 << 53 else Header(sound=False)


@dataclass(frozen=True, slots=True)
class _Reading:
    records: Sequence[bytes]
    position: Position
    damaged: int


def _place(row: Mapping[int, Path], position: Position | None) -> Position:
    """Where to go on reading. A position beyond all there is comes from a folder that was emptied since: begin anew."""
    if position is None or position[0] > max(row):
        return min(row), START
    sequence = min(each for each in row if each >= position[0])
    return (sequence, max(position[1], START)) if sequence == position[0] else (sequence, START)


def _behind(row: Mapping[int, Path], position: Position | None) -> int:
    sequence, offset = _place(row, position)
    unread = sum(max(0, read_header(path).end - START) for each, path in row.items() if each > sequence)
    return unread + max(0, read_header(row[sequence]).end - offset)


def _read_row(row: Mapping[int, Path], position: Position | None, limit: int) -> _Reading:
    """One worker's records, over as many segments as it takes."""
    sequence, offset = _place(row, position)
    rest = [each for each in row if each >= sequence]
    records: list[bytes] = []
    damaged = 0
    for later in [*rest[1:], None]:
        with row[sequence].open("rb") as file:
            # INVARIANT: finished is asked before the bytes are read, or what is written in between would be passed over.
            finished = later is not None and not _held(file.fileno())
            header = _header(file.fileno())
            size = os.fstat(file.fileno()).st_size
            stop = size if finished else min(size, header.end)
            data = os.pread(file.fileno(), max(0, stop - offset), offset)
        found = scan(data, (sequence, offset), header, finished=finished, limit=limit - len(records))
        records += found.records
        damaged += found.damaged
        offset = found.position[1]
        if not found.exhausted or later is None:
            break
        sequence, offset = later, START
    return _Reading(records, (sequence, offset), damaged)


def _held(file: int) -> bool:
    """Is a living writer still at this segment?"""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False  # our own lock goes when the file is closed


@dataclass(frozen=True, slots=True)
class Found:
    records: Sequence[bytes]
    position: Position
    damaged: int = 0
    exhausted: bool = False  # nothing will ever follow in this segment


def scan(data: bytes, start: Position, header: Header, *, finished: bool, limit: int) -> Found:
    """The whole records at the beginning of `data`, which stands at `start`. Pure; any bytes will do."""
    sequence, base = start
    if not header.sound:
        return Found((), start, damaged=int(finished), exhausted=finished)
    records: list[bytes] = []
    at = damaged = 0
    while len(records) < limit:
        mark, check = RECORD.unpack_from(data, at) if at + RECORD.size <= len(data) else (0, 0)
        after = at + RECORD.size + (mark & ~COMMITTED)
        if not mark & COMMITTED or after > len(data):
            hole = finished and (mark & COMMITTED or base + at < header.end)  # something stood here
            return Found(records, (sequence, base + at), damaged + bool(hole), exhausted=finished)
        payload = data[at + RECORD.size : after]
        if crc32(payload, (sequence + base + at) & MASK) == check:
            records.append(payload)
        elif finished:
            damaged += 1
        else:
            break  # look again later: it may be a write we see half of
        at = after
    return Found(records, (sequence, base + at), damaged)
