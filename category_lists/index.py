"""Look-ups in a compiled index: what is this name, who says so, and since which version of which list.

How the file is laid out, and why a look-up is cheap, stands at the top of index_format.py.
"""

import hashlib
import json
import mmap
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Self

from xxhash import xxh3_64_intdigest as hash_of

from category_lists.compiler import compile_index
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
)
from category_lists.lists import ListVersion
from category_lists.names import parents

__all__ = ["Index", "Match", "Shared", "compile_index"]

_DAMAGED = "The index is damaged; compile it again."
_GIVES_WAY = 19  # the nice value
_REMEMBERED = 1 << 16  # combinations of labels whose categories are kept; there are seldom a hundred
_GOES_DEEPER, _HAS_PAGES, _SAYS = 1, 2, 4

type _Walk = Callable[[str, str | None, list[tuple[int, int]] | None], list[int] | None]


@dataclass(frozen=True, slots=True)
class Match:
    """What a list says about what was asked: `host` and `path` are the entry's, so that a person can find the line."""

    category: str
    list_id: str
    version: str
    host: str
    path: str


@dataclass(frozen=True, slots=True)
class Shared:
    """How many percent of a list's entries another list of its category holds as well, and which list that is."""

    percent: int
    other: str


class Index:
    """A compiled index, open for look-ups from any number of threads. Nothing in it changes while it is open.

    Every method takes canonical hosts and paths. After `close`, and in a damaged file, look-ups raise ValueError.
    """

    __slots__ = (
        "_answers", "_counts", "_digest", "_hashes", "_labels", "_map", "_mark", "_said", "_view", "_walk", "lists", "names",
    )  # fmt: skip

    def __init__(self, view: mmap.mmap, digest: str | None) -> None:
        layout = Layout.unpack(view[: HEADER.size])
        if layout.size != len(view) or layout.width not in (2, 4) or layout.slots <= layout.buckets:
            raise ValueError(_DAMAGED)
        self.names = layout.names
        self.lists, labels, self._counts = _tables(view[HEADER.size : HEADER.size + layout.table_bytes])
        self._map, self._digest = view, digest
        self._view = memoryview(view)
        self._hashes = self._view[layout.hashes_at : layout.labels_at].cast("Q")
        self._labels = self._view[layout.labels_at :].cast("H" if layout.width == 2 else "I")
        if self._hashes[-1] != EMPTY:
            self.close()
            raise ValueError(_DAMAGED)
        marks = [_mark(label) for label in labels]
        self._walk = _walker(layout, self._hashes, self._labels, marks)
        self._mark = _marker(layout, self._hashes, self._labels, marks)
        self._said = labels
        self._answers: dict[int | tuple[int, ...], tuple[str, ...]] = {}

    @classmethod
    def open(cls, path: Path, *, expect: str | None = None) -> Self:
        """Open an index file; with `expect`, only if the SHA-256 of the whole file is that.

        Raises ValueError with a plain sentence for a file that cannot be read, is no index, or is not the one expected.
        """
        if sys.byteorder != "little":
            raise ValueError("The index can be read only on a little-endian machine.")
        try:
            with path.open("rb") as file:
                if len(file.read(HEADER.size)) < HEADER.size:
                    raise ValueError(_DAMAGED)
                view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise ValueError(f"The index cannot be read: {error.strerror or error}.") from error
        if expect is not None and _digest_of(view) != expect:
            view.close()
            raise ValueError("The index is not the one that was expected: its digest differs.")
        return cls(view, expect)

    @property
    def digest(self) -> str:
        """SHA-256 of the file in hex, read through once when it was not checked on opening."""
        if self._digest is None:
            self._digest = _digest_of(self._map)
        return self._digest

    def close(self) -> None:
        for view in (self._hashes, self._labels, self._view):
            view.release()
        self._map.close()

    def categories(self, host: str, path: str | None = None) -> tuple[str, ...]:
        """Give the categories of a name or page, most specific first, each once. Equal answers share one tuple."""
        found = self._walk(host, path, None)
        if not found:
            return ()
        key = found[0] if len(found) == 1 else tuple(found)
        answer = self._answers.get(key)
        if answer is None:
            spoken = [self.lists[number].category for _, number in self._spoken(found)]
            answer = tuple(dict.fromkeys(spoken))
            if len(self._answers) >= _REMEMBERED:
                self._answers.clear()
            self._answers[key] = answer
        return answer

    def kin(self, host: str) -> Hashable:
        """What lists say of a name, as a value to compare: names of equal value match alike but for the entry's own host.

        A quarter of the cost of `find`, for callers who know already what follows from the same matches.
        """
        found = self._walk(host, None, None)
        return () if not found else found[0] if len(found) == 1 else tuple(found)

    def has_pages(self, host: str) -> bool:
        """Does any list speak of single pages of this name, or of a name above it?"""
        return any(self._mark(name.encode()) & _HAS_PAGES for name in parents(host))

    def find(self, host: str, path: str | None = None) -> tuple[Match, ...]:
        """Give everything that lists say about a name or page, most specific entry first."""
        places: list[tuple[int, int]] = []
        found = self._walk(host, path, places) or []
        matches = []
        for place, number in self._spoken(found):
            start, end = places[place]
            version = self.lists[number]
            entry_path = (path or "")[:end]
            matches.append(Match(version.category, version.id, version.version, host[start:], entry_path))
        return tuple(matches)

    def shared(self) -> dict[str, Shared]:
        """Of each list, the other list of its category that says most of the same names; not those that nobody doubles.

        A list that is wholly in another adds nothing. Counted by what the compiler counted: whatever the size, in no time.
        """
        pairs: Counter[tuple[int, int]] = Counter()
        whole: Counter[int] = Counter()
        for label, count in zip(self._said, self._counts, strict=False):  # an index of an older version has no counts
            said = {number for number, kind in (divmod(one, SPAN) for one in label) if kind in (0, EXACT)}
            whole.update(dict.fromkeys(said, count))
            for one in said:
                alike = [other for other in said if other != one and self.lists[other].category == self.lists[one].category]
                pairs.update({(one, other): count for other in alike})
        found: dict[str, Shared] = {}
        for (one, other), count in sorted(pairs.items(), key=lambda pair: pair[1]):
            found[self.lists[one].id] = Shared(count * 100 // whole[one], self.lists[other].id)
        return found

    def _spoken(self, found: list[int]) -> list[tuple[int, int]]:
        """Turn a walk into (place in it, list), most specific first, without the lists that make an exception here."""
        spoken, excepted = [], set()
        for place in range(len(found) - 1, -1, -1):
            label, below = divmod(found[place], 2)
            for saying in self._said[label]:
                number, kind = divmod(saying, SPAN)
                if kind >= DEEPER or (below and kind & EXACT):
                    continue
                if kind & EXCEPTION:
                    excepted.add(number)
                else:
                    spoken.append((place, number))
        heard = dict.fromkeys(said for said in spoken if said[1] not in excepted)
        return list(heard)


def _walker(layout: Layout, hashes: "memoryview[int]", labels: "memoryview[int]", marks: list[int]) -> _Walk:
    """Make the function that walks a name from the top down and collects what is said on the way.

    It gives label * 2, plus 1 when that is said of a name above the one asked for; `places` takes where each was found
    (start in the name, end in the path). A closure, because this is the hottest loop of the product and reading an
    attribute costs as much as reading the table.
    """
    seed, buckets, deepest = layout.seed, layout.buckets, layout.deepest

    def walk(host: str, path: str | None, places: list[tuple[int, int]] | None) -> list[int] | None:
        name = host.encode()  # once: slices of bytes can be hashed as they are
        dot = name.rfind(b".")
        start = name.rfind(b".", 0, dot) + 1 if dot > 0 else 0
        found: list[int] | None = None
        try:
            while True:
                wanted = hash_of(name[start:], seed)
                slot = (wanted >> HASH_TAIL) * buckets >> HOME_BITS
                while (there := hashes[slot]) < wanted:
                    slot += 1
                if there != wanted:
                    return found
                label = labels[slot]
                mark = marks[label]
                if mark & _SAYS:
                    found = found or []
                    found.append(label * 2 + (start > 0))
                    if places is not None:
                        places.append((start, 0))
                if mark & _HAS_PAGES and path:
                    found = found or []
                    walk_pages(name[start:], start, path.encode(), found, places)
                if not (start and mark & _GOES_DEEPER):
                    return found
                start = name.rfind(b".", 0, start - 1) + 1
        except IndexError as error:  # a label or slot that cannot be: the file was not written by the compiler
            raise ValueError(_DAMAGED) from error

    def walk_pages(site: bytes, start: int, path: bytes, found: list[int], places: list[tuple[int, int]] | None) -> None:
        # The same for the prefixes of a path, shortest first. Only hosts that have entries for pages come here.
        end = 0
        for _ in range(deepest):
            end = path.find(b"/", end + 1)
            prefix = path if end < 0 else path[:end]
            wanted = hash_of(site + prefix, seed)
            slot = (wanted >> HASH_TAIL) * buckets >> HOME_BITS
            while (there := hashes[slot]) < wanted:
                slot += 1
            if there == wanted and marks[label := labels[slot]] & _SAYS:
                found.append(label * 2 + (start > 0))
                if places is not None:
                    places.append((start, len(prefix)))
            if end < 0:
                return

    return walk


def _marker(layout: Layout, hashes: "memoryview[int]", labels: "memoryview[int]", marks: list[int]) -> Callable[[bytes], int]:
    """Make the function that gives the mark of one name, 0 where no list has it or a name below it."""
    seed, buckets = layout.seed, layout.buckets

    def mark(name: bytes) -> int:
        wanted = hash_of(name, seed)
        slot = (wanted >> HASH_TAIL) * buckets >> HOME_BITS
        try:
            while (there := hashes[slot]) < wanted:
                slot += 1
            return marks[labels[slot]] if there == wanted else 0
        except IndexError as error:
            raise ValueError(_DAMAGED) from error

    return mark


def _mark(label: list[int]) -> int:
    mark = 0
    for saying in label:
        kind = saying % SPAN
        mark |= _GOES_DEEPER if kind == DEEPER else _HAS_PAGES if kind == PAGES else _SAYS
    return mark


def _digest_of(view: mmap.mmap) -> str:
    """SHA-256 in hex, read by a thread that gives way: the tenth of a second that a hundred megabytes take is time in which
    the same core answers questions.
    """

    def read() -> str:
        if sys.platform == "linux":
            with suppress(OSError):  # a sandbox may forbid it, and an index is no worse for having been read eagerly
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _GIVES_WAY)
        return hashlib.sha256(view).hexdigest()

    with ThreadPoolExecutor(1) as aside:  # of its own, as a thread cannot take its priority back
        return aside.submit(read).result()


def _tables(data: bytes) -> tuple[tuple[ListVersion, ...], list[list[int]], list[int]]:
    """Read the JSON table. There are thousands of labels, and a worker must open an index within 20 ms."""
    try:
        given = json.loads(data)
        lists = tuple(ListVersion.from_fields(fields) for fields in given["lists"])
        labels, counts = given["labels"], given.get("counts", [])
        sayings = set(chain.from_iterable(labels))
        sound = isinstance(labels, list) and set(map(type, sayings)) <= {int}
        sound = sound and len(counts) in (0, len(labels)) and set(map(type, counts)) <= {int}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(_DAMAGED) from error
    if not sound or not all(0 <= saying < len(lists) * SPAN for saying in sayings):
        raise ValueError(_DAMAGED)
    return lists, labels, counts
