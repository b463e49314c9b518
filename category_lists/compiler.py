"""Compiles kept lists to the index file that index_format.py describes.

numpy is loaded only here, and only when something is compiled: the workers that read an index stay small.
"""

import hashlib
import io
import re
from array import array
from collections.abc import Iterable, Iterator
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from xxhash import xxh3_64_intdigest as hash_of

from category_lists.aside import Aside
from category_lists.corrections import PREFIX, UNTOUCHED
from category_lists.index_format import (
    DEEPER,
    EMPTY,
    EXACT,
    EXCEPTION,
    HASH_TAIL,
    HEADER,
    HOME_BITS,
    PAGES,
    SPAN,
    Layout,
    tables_to_json,
)
from category_lists.lists import ListVersion, Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ROOM: Final = 7, 4  # homes per name: at 1.75 a look-up passes 1.7 slots on average and a name takes 17.5 bytes
_PROGRESS_EVERY: Final = 50_000  # rows
_PIECE: Final = 1 << 20  # bytes
# A name of at least two labels and nothing else; not an IPv6 address, which has no dots, and no comment.
_PLAIN: Final = re.compile(rb"(?m)^([a-z0-9_-]+(?:\.[a-z0-9_-]+)+)$").findall
_IS_PLAIN: Final = re.compile(rb"[a-z0-9_-]+(?:\.[a-z0-9_-]+)+").fullmatch


def compile_index(lists: Iterable[tuple[ListVersion, Path]], out: Path, *, progress: Progress | None = None) -> str:
    """Write the index of these kept lists to `out`, whole or not at all, and return the SHA-256 of the file in hex.

    The same lists give the same bytes, in whatever order they come. `progress` is told the number of rows read.
    Raises ValueError for a list that is named twice, has changed since it was kept, or holds a row that cannot be one.
    """
    chosen = sorted(lists, key=lambda pair: pair[0].id)
    versions = [version for version, _ in chosen]
    if len({version.id for version in versions}) != len(versions):
        raise ValueError("Two lists with the same name cannot be in one index.")
    # The seed depends on the lists, so that nobody can prepare a name whose hash equals that of an essential site
    # without knowing every list that a school uses. By chance two names meet once in a million indexes of 5 M names.
    seed = int.from_bytes(hashlib.sha256(tables_to_json(versions, [])).digest()[:8], "little")
    overruled = [
        number
        for number, version in enumerate(versions)
        if not version.id.startswith(PREFIX) and version.category not in UNTOUCHED
    ]
    rows = _Rows(seed, progress)
    for number, (version, path) in enumerate(chosen):
        rows.read(number, version, path)
        if version.id.startswith(PREFIX):
            rows.overrule(path, overruled)
    return _write(rows, versions, out)


class _Rows:
    """What the rows say, as two columns: hashes of names, and sayings. Marks stand in the same columns."""

    def __init__(self, seed: int, progress: Progress | None) -> None:
        self.seed = seed
        self.progress = progress
        self.hashes, self.sayings = array("Q"), array("I")
        self.deeper, self.pages = array("Q"), array("Q")
        self.deepest = self.count = 0

    def read(self, number: int, version: ListVersion, path: Path) -> None:
        data = path.read_bytes()  # at once: what is checked is what is compiled
        if hashlib.sha256(data).hexdigest() != version.digest:
            raise ValueError(f"The list {version.id} ({version.version}) has changed since it was kept.")
        for some in _pieces(data):
            plain = _PLAIN(some)
            self._plain(number, plain)
            if len(plain) < some.count(b"\n"):
                self._rest(number, version, some)

    def overrule(self, path: Path, numbers: list[int]) -> None:
        """What a school's correction names is an exception in the other lists (see corrections.py)."""
        for line in path.read_bytes().splitlines():
            name = line.partition(b" ")[0]
            if name and not name.startswith(b"#"):
                self.hashes.extend(repeat(hash_of(name, self.seed), len(numbers)))
                self.sayings.extend(number * SPAN + EXCEPTION for number in numbers)

    def _plain(self, number: int, names: list[bytes]) -> None:
        """Rows that are a name and nothing else, which is nearly all of them."""
        seed, deeper = self.seed, self.deeper
        self.hashes.extend(map(hash_of, names, repeat(seed)))
        self.sayings.extend(repeat(number * SPAN, len(names)))
        for name in names:
            if name.count(b".") > 1:
                first = name.find(b".") + 1
                while (dot := name.find(b".", first)) > 0:
                    deeper.append(hash_of(name[first:], seed))
                    first = dot + 1
        self._counted(len(names))

    def _rest(self, number: int, version: ListVersion, some: bytes) -> None:
        """Rows with a path, flags or an address, and comments."""
        seed, hashes, sayings, deeper = self.seed, self.hashes, self.sayings, self.deeper
        for line in io.BytesIO(some):
            text = line.rstrip()
            if not text or text[0] == 0x23 or _IS_PLAIN(text):  # "#"
                continue
            name, _, flags = text.partition(b" ")
            host, slash, rest = name.partition(b"/")
            first = host.find(b".") + 1
            if not first and b":" not in host:
                raise ValueError(f"The list {version.id} ({version.version}) holds a whole top-level domain.")
            kind = (EXACT if b"=" in flags else 0) | (EXCEPTION if b"@" in flags else 0)
            hashes.append(hash_of(name, seed))
            sayings.append(number * SPAN + kind)
            while (dot := host.find(b".", first)) > 0:
                deeper.append(hash_of(host[first:], seed))
                first = dot + 1
            if slash:
                self.pages.append(hash_of(host, seed))
                self.deepest = max(self.deepest, rest.count(b"/") + 1)
            self._counted(1)

    def _counted(self, rows: int) -> None:
        before, self.count = self.count, self.count + rows
        if self.progress and before // _PROGRESS_EVERY != self.count // _PROGRESS_EVERY:
            self.progress(self.count)


def _pieces(data: bytes) -> Iterator[bytes]:
    """Whole rows, some hundred thousand bytes at a time, so that few of them are Python objects at any moment."""
    begin = 0
    while begin < len(data):
        end = data.find(b"\n", min(begin + _PIECE, len(data) - 1)) + 1 or len(data)
        yield data[begin:end]
        begin = end


def _write(rows: _Rows, versions: list[ListVersion], out: Path) -> str:
    import numpy as np

    entries = np.frombuffer(rows.hashes, np.uint64)
    names = _distinct(entries).size
    deeper, pages = _distinct(np.frombuffer(rows.deeper, np.uint64)), _distinct(np.frombuffer(rows.pages, np.uint64))
    hashes = np.concatenate((entries, deeper, pages))
    marks = np.repeat(np.array([DEEPER, PAGES], np.uint32), (deeper.size, pages.size))
    sayings = np.concatenate((np.frombuffer(rows.sayings, np.uint32), marks))
    order = np.argsort(hashes)
    hashes, sayings = hashes[order], sayings[order]
    _order_ties(hashes, sayings)
    fresh = np.ones(hashes.size, bool)
    fresh[1:] = (hashes[1:] != hashes[:-1]) | (sayings[1:] != sayings[:-1])
    hashes, sayings = hashes[fresh], sayings[fresh]
    begins = np.ones(hashes.size, bool)
    begins[1:] = hashes[1:] != hashes[:-1]
    numbers, labels = _labels(sayings, begins)
    hashes = hashes[begins]
    if hashes.size and int(hashes[-1]) == EMPTY:
        raise ValueError("A name's hash means an empty slot; drop one list and compile again.")  # 1 in 10**12

    buckets = max(8, hashes.size * _ROOM[0] // _ROOM[1])
    home = (((hashes >> np.uint64(HASH_TAIL)) * np.uint64(buckets)) >> np.uint64(HOME_BITS)).astype(np.int64)
    place = np.arange(hashes.size)
    slot = np.maximum.accumulate(home - place) + place
    # INVARIANT: the last slot is empty, so every search ends inside the table.
    slots = max(buckets, int(slot[-1]) + 1 if slot.size else 0) + 1
    column = np.full(slots, EMPTY, np.uint64)
    column[slot] = hashes
    width = 2 if len(labels) <= 0x10000 else 4
    numbered = np.zeros(slots, np.uint16 if width == 2 else np.uint32)
    numbered[slot] = numbers

    table = tables_to_json(versions, labels, np.bincount(numbers, minlength=len(labels)).tolist())
    layout = Layout(names, rows.seed, buckets, slots, len(table), width, rows.deepest)
    out.parent.mkdir(parents=True, exist_ok=True)
    with Aside(out.parent) as file:
        file.write(layout.pack() + table.ljust(layout.hashes_at - HEADER.size))
        file.write(memoryview(column).cast("B"))
        file.write(memoryview(numbered).cast("B"))
        digest = file.digest()
        file.keep(out)
    if rows.progress:
        rows.progress(rows.count)
    return digest


def _distinct(values: "NDArray[np.uint64]") -> "NDArray[np.uint64]":
    """Sorted, each once: three times as fast here as `np.unique`, which hashes."""
    import numpy as np

    ordered = np.sort(values)
    fresh = np.ones(ordered.size, bool)
    fresh[1:] = ordered[1:] != ordered[:-1]
    return ordered[fresh]


def _order_ties(hashes: "NDArray[np.uint64]", sayings: "NDArray[np.uint32]") -> None:
    """Bring what is said of one name into rising order. Few names have more than one saying, so only those are sorted."""
    import numpy as np

    same = hashes[1:] == hashes[:-1]
    tied = np.zeros(hashes.size, bool)
    tied[1:] |= same
    tied[:-1] |= same
    where = np.flatnonzero(tied)
    sayings[where] = sayings[where][np.lexsort((sayings[where], hashes[where]))]


def _labels(sayings: "NDArray[np.uint32]", begins: "NDArray[np.bool_]") -> tuple["NDArray[np.uint32]", list[tuple[int, ...]]]:
    """Number the distinct combinations of sayings: one number a name, and what each number stands for.

    Nearly all names have one saying, and those never become Python objects.
    """
    import numpy as np

    first = np.flatnonzero(begins)
    length = np.diff(first, append=sayings.size)
    numbers = np.zeros(first.size, np.uint32)
    alone = length == 1
    single, numbers[alone] = np.unique(sayings[first[alone]], return_inverse=True)
    labels: dict[tuple[int, ...], int] = {(saying,): number for number, saying in enumerate(single.tolist())}
    several = sayings[np.repeat(~alone, length)].tolist()
    together, begin = [], 0
    for count in length[~alone].tolist():
        together.append(labels.setdefault(tuple(several[begin : begin + count]), len(labels)))
        begin += count
    numbers[~alone] = together
    return numbers, list(labels)
