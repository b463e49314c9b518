"""The lists of an installation: reading them safely, keeping them by digest, and the starter set that ships with us.

A kept list is a text file of sorted rows, `host[/path][ flags]`, where the flag `=` means the name alone and `@` an
exception. It is named by the SHA-256 of its bytes, so that a policy can name exactly which list it decides with, and it
never changes once it is there.
"""

import hashlib
import io
import json
import lzma
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import datetime
from gzip import GzipFile
from itertools import batched
from pathlib import Path
from typing import BinaryIO, Final

from category_lists.aside import Aside
from category_lists.names import shown
from category_lists.parsers import LONGEST_LINE, Entry, Report, collect, parse

LARGEST_SOURCE: Final = 1 << 30  # bytes once unpacked; the largest list in use is a tenth of it
_RATIO, _RATIO_FROM = 100, 16 << 20  # lists pack 3 to 15 times; beyond 100 times (and 16 MiB) it is a bomb
_XZ_MEMORY = 128 << 20  # bytes; `xz -9` needs 65 MiB
_PROGRESS_EVERY = 50_000  # lines
_STARTER_DATE = "2026-11-21"  # when the starter set was last gone through

type Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class ListVersion:
    """One version of one list. `version` is a date and the first digits of `digest`, the SHA-256 of the kept file."""

    id: str
    category: str
    version: str
    digest: str
    entries: int
    source: str
    format: str

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_fields(cls, given: object) -> "ListVersion":
        """Check what was read from JSON. Raises ValueError for anything but exactly these fields."""
        if not isinstance(given, dict) or {key: type(value) for key, value in given.items()} != _FIELDS:
            raise ValueError("The description of a list is damaged.")
        return cls(**given)


_FIELDS = {name: int if name == "entries" else str for name in ListVersion.__slots__}


# --- reading a source -------------------------------------------------------------------------------------------------


def read_source(path: Path, format: str) -> Iterator[bytes]:  # noqa: A002 - the word that users know
    """Give the lines of a list: a plain, gzip or xz file, or for `ut1` a category's folder (`domains`, `urls`).

    An over-long line arrives cut off just beyond `parsers.LONGEST_LINE`. Raises ValueError with a plain sentence for
    what cannot be read, is packed in another way, is damaged, or unpacks to too much.
    """
    try:
        if not path.is_dir():
            yield from _lines(path)
            return
        if format != "ut1":
            raise ValueError(f"{shown(path.name)} is a folder; only the format ut1 reads folders.")
        parts = [part for part in (path / "domains", path / "urls") if part.is_file()]
        if not parts:
            raise ValueError(f"The folder {shown(path.name)} holds neither 'domains' nor 'urls'.")
        for part in parts:
            yield from _lines(part)
    except OSError as error:
        raise ValueError(f"The list {shown(path.name)} cannot be read: {error.strerror or error}.") from error
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise ValueError(f"The list {shown(path.name)} is damaged and cannot be unpacked.") from error


def _lines(path: Path) -> Iterator[bytes]:
    total, limit = 0, LARGEST_SOURCE
    with ExitStack() as stack:
        source: BinaryIO = stack.enter_context(path.open("rb"))
        if packed := _unpacked(source, path):
            limit = min(limit, max(_RATIO_FROM, _RATIO * os.fstat(source.fileno()).st_size))
            source = stack.enter_context(packed)
        whole = True  # whether the last piece ended its line
        while piece := source.readline(LONGEST_LINE + 1):
            total += len(piece)
            if total > limit:
                raise ValueError(f"The list {shown(path.name)} unpacks to far too much; this is no honest list.")
            if whole:
                yield piece
            whole = len(piece) <= LONGEST_LINE or piece.endswith(b"\n")


_UNKNOWN_PACKING = {b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip", b"BZh": "bzip2"}


def _unpacked(source: BinaryIO, path: Path) -> BinaryIO | None:
    """Tell the packing by its first bytes: a feed's file name is not to be relied on."""
    start = source.read(6)
    source.seek(0)
    for magic, packing in _UNKNOWN_PACKING.items():
        if start.startswith(magic):
            raise ValueError(f"The list {shown(path.name)} is packed with {packing}; gzip and xz can be read.")
    if start.startswith(b"\x1f\x8b"):
        return io.BufferedReader(GzipFile(fileobj=source))
    if start == b"\xfd7zXZ\x00":
        return io.BufferedReader(_Unxz(source))
    return None


class _Unxz(io.RawIOBase):
    """An xz stream with a bound on memory, which `lzma.LZMAFile` has not: a header may ask for 4 GiB."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed asks for any writable buffer
        while True:
            if self._stream.eof:
                rest = self._stream.unused_data or self._source.read(1 << 16)
                if not rest.strip(b"\0"):  # padding between or after streams
                    return 0
                self._stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
                data = self._stream.decompress(rest.lstrip(b"\0"), len(buffer))
            else:
                packed = self._source.read(1 << 16) if self._stream.needs_input else b""
                if self._stream.needs_input and not packed:
                    raise EOFError
                data = self._stream.decompress(packed, len(buffer))
            if data:
                buffer[: len(data)] = data
                return len(data)


# --- keeping a list ---------------------------------------------------------------------------------------------------


def row(entry: Entry) -> str:
    """Write an entry as a row of a kept list."""
    flags = ("@" if entry.exception else "") + ("=" if entry.exact else "")
    return f"{entry.host}{entry.path} {flags}" if flags else entry.host + entry.path


def store(
    folder: Path,
    path: Path,
    *,
    list_id: str,
    category: str,
    format: str,  # noqa: A002 - the word that users know
    at: datetime,
    progress: Progress | None = None,
) -> tuple[ListVersion, Report]:
    """Read a list and keep it as `folder/<list_id>/<digest>.txt` with its description beside it.

    The same list kept twice is kept once, as it was first described. `progress` is told the number of lines read.
    Raises ValueError for a source that cannot be read or has no entry that can be taken, OSError when the disk refuses;
    either way nothing half-written is left.
    """
    _checked_id(list_id)
    report = Report()
    lines = _counted(read_source(path, format), progress)
    rows = sorted([row(entry) for entry in collect(parse(format, lines), report)])
    if not rows:
        why = f", for instance line {report.examples[0].line}: {report.examples[0].why}" if report.examples else ""
        raise ValueError(f"The list {shown(path.name)} has no entry that could be taken as {format}{why}.")
    home = folder / list_id
    home.mkdir(parents=True, exist_ok=True)
    with Aside(home) as text:
        entries = 0
        for some in batched(_once(rows), 10_000):  # a line at a time would cost more than reading the list
            text.write(("\n".join(some) + "\n").encode())
            entries += len(some)
        digest = text.digest()
        version = ListVersion(list_id, category, f"{at.date().isoformat()}-{digest[:8]}", digest, entries, path.name, format)
        text.keep(home / f"{digest}.txt")
    described = home / f"{digest}.json"
    if described.is_file():
        earlier = _described(described)
        if earlier.category == category:
            return earlier, report
    with Aside(home) as meta:  # last: a list without its description was never kept
        meta.write(version.to_json().encode() + b"\n")
        meta.keep(described)
    return version, report


def find(folder: Path, list_id: str, digest: str) -> tuple[ListVersion, Path]:
    """Find a kept list. Raises ValueError when it is not there or its description is damaged."""
    _checked_id(list_id)
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ValueError(f"A list's digest is 64 hex digits, and {shown(digest)} is not.")
    described, text = folder / list_id / f"{digest}.json", folder / list_id / f"{digest}.txt"
    if not described.is_file() or not text.is_file():
        raise ValueError(f"The list {list_id} is not kept here in the version {digest[:8]}.")
    version = _described(described)
    if (version.id, version.digest) != (list_id, digest):
        raise ValueError(f"The description of the list {list_id} ({digest[:8]}) is of another list.")
    return version, text


def _described(path: Path) -> ListVersion:
    try:
        return ListVersion.from_fields(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"The description {shown(path.name)} of a kept list is damaged.") from error


def _checked_id(list_id: str) -> None:
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", list_id):  # it becomes the name of a folder
        raise ValueError(f"A list's name is lower-case letters, digits, dots and hyphens, and {shown(list_id)} is not.")


def _counted(lines: Iterable[bytes], progress: Progress | None) -> Iterator[bytes]:
    count = 0
    for count, line in enumerate(lines, start=1):
        if progress and count % _PROGRESS_EVERY == 0:
            progress(count)
        yield line
    if progress:
        progress(count)


def _once(rows: Iterable[str]) -> Iterator[str]:
    """Leave out sorted rows that say nothing new: repeats, and `name =` beside `name` (RPZ writes both)."""
    last = ""
    for line in rows:
        wide = line[:-1].rstrip() if line.endswith("=") and " " in line else line
        if last not in (line, wide):
            yield line
            last = line


# --- the starter set --------------------------------------------------------------------------------------------------


def starter() -> tuple[tuple[ListVersion, Path], ...]:
    """Give the set that ships with the product, one list `starter-<category>` a category.

    The files are kept lists with comments, so that they can be read and corrected by hand; blank lines and `#` are
    passed over when an index is compiled.
    """
    found = []
    for path in sorted(Path(__file__).with_name("starter").glob("*.txt")):
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        entries = sum(1 for line in data.splitlines() if line.strip() and not line.startswith(b"#"))
        version = f"{_STARTER_DATE}-{digest[:8]}"
        found.append(
            (ListVersion(f"starter-{path.stem}", path.stem, version, digest, entries, "starter set", "domains"), path)
        )
    return tuple(found)
