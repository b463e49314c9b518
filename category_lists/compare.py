"""Two versions of a list beside each other: how much came and went, and what, for instance."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

EXAMPLES = 20


@dataclass(frozen=True, slots=True)
class Difference:
    """Counts of rows, and the first few of each kind in order."""

    before: int
    after: int
    added: int
    removed: int
    came: tuple[str, ...] = ()
    went: tuple[str, ...] = ()


def compare(old: Path, new: Path, examples: int = EXAMPLES) -> Difference:
    """Compare two kept lists. Both are sorted, so they are read side by side and neither is held in memory."""
    counts = {"before": 0, "after": 0, "added": 0, "removed": 0}
    came: list[str] = []
    went: list[str] = []
    with old.open("rb") as first, new.open("rb") as second:
        for row, here, there in _merged(_rows(first), _rows(second)):
            counts["before"] += here
            counts["after"] += there
            if here and not there:
                counts["removed"] += 1
                if len(went) < examples:
                    went.append(row.decode("utf-8", "replace"))
            elif there and not here:
                counts["added"] += 1
                if len(came) < examples:
                    came.append(row.decode("utf-8", "replace"))
    return Difference(**counts, came=tuple(came), went=tuple(went))


def _rows(file: Iterable[bytes]) -> Iterator[bytes]:
    for line in file:
        row = line.rstrip()
        if row and not row.startswith(b"#"):
            yield row


def _merged(first: Iterator[bytes], second: Iterator[bytes]) -> Iterator[tuple[bytes, bool, bool]]:
    """Each row of either, and in which it stands."""
    one, two = next(first, None), next(second, None)
    while one is not None or two is not None:
        if two is None or (one is not None and one < two):
            yield one or b"", True, False
            one = next(first, None)
        elif one is None or two < one:
            yield two, False, True
            two = next(second, None)
        else:
            yield two, True, True
            one, two = next(first, None), next(second, None)
