"""v2fly service lists: files that include each other and mark their lines with attributes.

`include:name` takes another file in, `include:name @ads` only its lines that carry the attribute, `include:name @-cn` only
those that do not. A line `x.com &name` belongs to the file `name` as well. Resolving gives plain lines for the parser; what
cannot be resolved is passed on as it stands, so that the parser refuses it with its line.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from category_lists.packings import TooMuch, open_packed

MOST_LINES: Final = 5_000_000  # of one list once resolved; the largest honest one has 12,000
_DEEPEST = 32
_LONGEST = 1024


class Services:
    """The files of one tree by name, and which lines other files lend them."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files
        self._lent: dict[str, list[str]] = {}
        for name in files:
            for line in self._read(name):
                for word in line.split()[1:]:
                    if word.startswith("&"):
                        self._lent.setdefault(word[1:].lower(), []).append(line)

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a service's list with everything that it includes, each once."""
        seen: set[str] = set()
        for count, line in enumerate(self._resolved(name.lower(), ()), start=1):
            if count > MOST_LINES:
                raise TooMuch(f"The service list {name} includes too much; this is no honest list.")
            if line not in seen:
                seen.add(line)
                yield line.encode("utf-8", "surrogateescape")

    def _resolved(self, name: str, under: tuple[str, ...]) -> Iterator[str]:
        for line in (*self._read(name), *self._lent.get(name, ())):
            if not line.startswith("include:"):
                yield line
                continue
            what, *marks = line.removeprefix("include:").split() or [""]
            what = what.lower()
            if what in under or what == name:
                continue  # included by what it includes: all its lines come anyway
            if what not in self._files or len(under) >= _DEEPEST:
                yield line
                continue
            wanted = {mark[1:] for mark in marks if mark.startswith("@") and not mark.startswith("@-")}
            unwanted = {mark[2:] for mark in marks if mark.startswith("@-")}
            yield from _with(self._resolved(what, (*under, name)), wanted, unwanted)

    def _read(self, name: str) -> Iterator[str]:
        with open_packed(self._files[name]) as source:
            while raw := source.readline(_LONGEST):
                line = raw.decode("utf-8", "surrogateescape").partition("#")[0].strip()
                if line:
                    yield line


def _with(lines: Iterable[str], wanted: set[str], unwanted: set[str]) -> Iterator[str]:
    for line in lines:
        marks = {word[1:] for word in line.split()[1:] if word.startswith("@")}
        if wanted <= marks and not unwanted & marks:
            yield line
