"""From the categories of a list's maker to ours: a table that a person writes as CSV.

Columns `source_category` and `school_category`, and perhaps `source` when one file serves several makers; other columns are
notes. A cell may name several alike: `ads / tracking`, `gambling / .medium` (short for gambling.medium), `native.*`.
"""

import csv
import io
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from category_lists.names import shown

_LARGEST: Final = 1 << 20  # bytes
# What makers append to a list's name for another size or spelling of it: `phishing-nl`, `pro.plus.mini`.
_VARIANT: Final = re.compile(r"(?:-nl|-ags|-dnsmasq|-onlydomains|-compressed|(?:\.plus)?\.mini|\.medium|\.plus)$")


@dataclass(frozen=True, slots=True)
class Mapped:
    """Which of our categories a maker's category is: exact names first, then patterns."""

    exact: Mapping[str, str]
    patterns: tuple[tuple[str, str], ...] = ()

    def category(self, theirs: str) -> str | None:
        known = theirs.strip().lower()
        if found := self.exact.get(known) or self.exact.get(_VARIANT.sub("", known)):
            return found
        return next((ours for pattern, ours in self.patterns if fnmatchcase(known, pattern)), None)


def read_map(path: Path, source: str, known: Container[str]) -> Mapped:
    """Read the rows of one source. ValueError with the line for a category that we do not have, or where there is no row."""
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise ValueError(f"The map {shown(path.name)} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"The map {shown(path.name)} is not UTF-8 text.") from error
    if len(data) > _LARGEST:
        raise ValueError(f"The map {shown(path.name)} has more than a megabyte; a map has a line for each category.")
    rows = csv.DictReader(io.StringIO(text))
    names = [name.strip().lower() for name in rows.fieldnames or ()]
    if not {"source_category", "school_category"} <= set(names):
        raise ValueError(f"The map {shown(path.name)} begins with a line that names source_category and school_category.")
    exact: dict[str, str] = {}
    patterns: list[tuple[str, str]] = []
    sources: set[str] = set()
    for number, row in enumerate(rows, start=2):
        cells = {str(key).strip().lower(): (value or "").strip() for key, value in row.items() if isinstance(value, str)}
        sources.add(cells.get("source", ""))
        if "source" in names and source and cells.get("source", "").lower() != source.lower():
            continue
        theirs, ours = cells.get("source_category", ""), cells.get("school_category", "")
        if not theirs or not ours or ours.startswith("("):  # (ignore): looked at, and left out on purpose
            continue
        if ours not in known:
            raise ValueError(f"The map {shown(path.name)}, line {number}: there is no category {shown(ours)}.")
        for name in _each(theirs.lower()):
            if any(char in name for char in "*?["):
                patterns.append((name, ours))
            else:
                exact[name] = ours
    if not exact and not patterns:
        there = ", ".join(sorted(filter(None, sources)))
        raise ValueError(f"The map {shown(path.name)} has no line for the source {shown(source)}; it has: {there}.")
    return Mapped(exact, tuple(patterns))


def _each(cell: str) -> Iterator[str]:
    """`a / .b` names a and a.b."""
    first = ""
    for part in cell.split(" / "):
        name = part.strip()
        first = first or name
        yield first + name if name.startswith(".") else name
