"""The lists of an installation: reading them safely, keeping them by digest, and the starter set that ships with us.

A kept list is a text file of sorted rows, `host[/path][ flags]`, where the flag `=` means the name alone and `@` an
exception. It is named by the SHA-256 of its bytes, so that a policy can name exactly which list it decides with, and it
never changes once it is there.
"""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import batched
from pathlib import Path
from typing import Final

from category_lists.aside import Aside
from category_lists.essentials import Protected
from category_lists.names import shown
from category_lists.parsers import Report
from category_lists.rows import NOTHING_PROTECTED, read_rows, row
from category_lists.sources import read_batches, read_source

__all__ = ["ListVersion", "Progress", "called", "find", "read_source", "row", "starter", "store", "store_lines"]

_PROGRESS_EVERY: Final = 50_000  # lines
_EXACT: Final = ord("=")
_STARTER_DATE = "2026-11-22"  # when the starter set was last gone through

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


# --- keeping a list ---------------------------------------------------------------------------------------------------


def store(
    folder: Path,
    path: Path,
    *,
    list_id: str,
    category: str,
    format: str,  # noqa: A002 - the word that users know
    at: datetime,
    allow_wide: Collection[str] = (),
    protected: Protected = NOTHING_PROTECTED,
    progress: Progress | None = None,
) -> tuple[ListVersion, Report]:
    """Read a list and keep it as `folder/<list_id>/<digest>.txt` with its description beside it.

    The same list kept twice is kept once, as it was first described. `progress` is told the number of lines read.
    Raises ValueError for a source that cannot be read or has no entry that can be taken, OSError when the disk refuses;
    either way nothing half-written is left.
    """
    return store_lines(
        folder,
        read_batches(path, format),
        source=path.name,
        list_id=list_id,
        category=category,
        format=format,
        at=at,
        allow_wide=allow_wide,
        protected=protected,
        progress=progress,
    )


def store_lines(
    folder: Path,
    batches: Iterable[Sequence[bytes]],
    *,
    source: str,
    list_id: str,
    category: str,
    format: str,  # noqa: A002
    at: datetime,
    allow_wide: Collection[str] = (),
    protected: Protected = NOTHING_PROTECTED,
    progress: Progress | None = None,
) -> tuple[ListVersion, Report]:
    """The same for batches of lines from anywhere; `source` names where for people."""
    _checked_id(list_id)
    report = Report()
    rows = read_rows(format, _counted(batches, progress), report, allow_wide, protected)
    if not rows:
        examples = report.examples or report.aside_examples
        why = f", for instance line {examples[0].line}: {examples[0].why}" if examples else ""
        raise ValueError(f"The list {shown(source)} has no entry that could be taken as {format}{why}.")
    rows.sort()
    home = folder / list_id
    home.mkdir(parents=True, exist_ok=True)
    with Aside(home) as text:
        entries = 0
        for some in batched(_once(rows), 10_000):  # a line at a time would cost more than reading the list
            text.write(b"\n".join(some) + b"\n")
            entries += len(some)
        digest = text.digest()
        version = ListVersion(list_id, category, f"{at.date().isoformat()}-{digest[:8]}", digest, entries, source, format)
        text.keep(home / f"{digest}.txt")
    return _describe(home, version), report


def _describe(home: Path, version: ListVersion) -> ListVersion:
    """Put the description beside a list, unless there is one: the same list keeps its first."""
    described = home / f"{version.digest}.json"
    if described.is_file():
        earlier = _described(described)
        if earlier.category == version.category:
            return earlier
    with Aside(home) as meta:  # last: a list without its description was never kept
        meta.write(version.to_json().encode() + b"\n")
        meta.keep(described)
    return version


def called(folder: Path, version: ListVersion, list_id: str) -> ListVersion:
    """Keep a list that is kept already under another name, too. Raises as `store` does."""
    _checked_id(list_id)
    _, kept = find(folder, version.id, version.digest)
    home = folder / list_id
    home.mkdir(parents=True, exist_ok=True)
    with Aside(home) as text:
        text.write(kept.read_bytes())
        text.keep(home / kept.name)
    return _describe(home, replace(version, id=list_id))


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


def _counted(batches: Iterable[Sequence[bytes]], progress: Progress | None) -> Iterator[Sequence[bytes]]:
    count = told = 0
    for batch in batches:
        yield batch
        count += len(batch)
        if progress and count - told >= _PROGRESS_EVERY:
            progress(told := count)
    if progress:
        progress(count)


def _once(rows: Iterable[bytes]) -> Iterator[bytes]:
    """Leave out sorted rows that say nothing new: repeats, and `name =` beside `name` (RPZ writes both)."""
    last = b""
    for line in rows:
        if line != last and (line[-1] != _EXACT or line[:-1].rstrip() != last or b" " not in line):
            yield line
            last = line


# --- the starter set --------------------------------------------------------------------------------------------------


def starter() -> tuple[tuple[ListVersion, Path], ...]:
    """Give the set that ships with the product, one list `starter-<category>` a category, and behind them
    `starter-remembered-<category>` with names that nobody has visited, which count for less (weigh.py).

    The files are kept lists with comments, so that they can be read and corrected by hand; blank lines and `#` are
    passed over when an index is compiled.
    """
    found = []
    folder = Path(__file__).with_name("starter")
    for path in [*sorted(folder.glob("*.txt")), *sorted(folder.glob("remembered/*.txt"))]:
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        entries = sum(1 for line in data.splitlines() if line.strip() and not line.startswith(b"#"))
        version = f"{_STARTER_DATE}-{digest[:8]}"
        name = f"starter-{path.stem}" if path.parent == folder else f"starter-{path.parent.name}-{path.stem}"
        found.append((ListVersion(name, path.stem, version, digest, entries, "starter set", "domains"), path))
    return tuple(found)
