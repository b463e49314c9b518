"""From the lines of a list to the rows that are kept: plain names by the thousand, everything else line by line.

Nearly every line of nearly every list is one plain, canonical name with a fixed frame around it (`0.0.0.0 name`, `||name^`).
Those are found by one regular expression over a batch of lines, in C; whatever it does not match exactly goes through the
parser, which knows every case. INVARIANT: both ways give the same rows and the same counts; a test holds them side by side.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from category_lists.essentials import Protected
from category_lists.names import LONGEST_NAME
from category_lists.parsers import LONGEST_LINE, Entry, Refused, Report, check_format, parse
from category_lists.suffixes import load

NOTHING_PROTECTED: Final = Protected()

_WWW: Final = b"www."
# A plain name of at least two labels whose last label cannot be read as a number.
_NAME = rb"((?:[a-z0-9_-]{1,63}\.)+[a-z_-][a-z0-9_-]{0,62})"
_FRAMES: Final = {
    "domains": _NAME,
    "ut1": _NAME,
    "hosts": rb"(?:(?:0\.0\.0\.0|127\.0\.0\.1)[ \t]+)?(?!localhost|ip6-)" + _NAME,
    "adblock": rb"\|\|" + _NAME + rb"\^",
    "dnsmasq": rb"(?:local|server)=/" + _NAME + b"/",
    "urls": rb"(?:https?://)?" + _NAME + b"/?",
}
_PLAIN: Final = {name: re.compile(rb"(?m)^(?:" + frame + rb"[ \t]*\r?|([^\n]*))$") for name, frame in _FRAMES.items()}


def row(entry: Entry) -> str:
    """Write an entry as a row of a kept list."""
    flags = ("@" if entry.exception else "") + ("=" if entry.exact else "")
    return f"{entry.host}{entry.path} {flags}" if flags else entry.host + entry.path


def read_rows(
    format: str,  # noqa: A002 - the word that users know
    batches: Iterable[Sequence[bytes]],
    report: Report,
    allow_wide: Collection[str] = (),
    protected: Protected = NOTHING_PROTECTED,
) -> list[bytes]:
    """The rows of a list, in no order and with repeats; what became of its lines is counted in `report`.

    `batches` are lines without their line feeds.
    """
    check_format(format)
    keeper = _Keeper(format, report, allow_wide, protected)
    first = 1
    for some in batches:
        keeper.take(some, first)
        first += len(some)
    return keeper.rows


class _Keeper:
    """Rows so far, and what each line is held against."""

    def __init__(self, format: str, report: Report, allow_wide: Collection[str], protected: Protected) -> None:  # noqa: A002
        self.rows: list[bytes] = []
        self._format, self._report, self._allow, self._protected = format, report, allow_wide, protected
        self._find = _PLAIN[format].findall if format in _PLAIN else None
        self._shared = frozenset(name.encode() for name in load().names)
        self._wild = frozenset(name.encode() for name in load().wild)

    def take(self, lines: Sequence[bytes], first: int) -> None:
        if self._find is None or max(map(len, lines)) > LONGEST_LINE:
            self._slowly(lines, first)
            return
        text = b"\n".join(lines)
        found = self._find(text)
        names = [name for name, _ in found if name]
        odd = self._odd(names, text)
        if odd or len(names) < len(lines):
            for number, (line, (name, _)) in enumerate(zip(lines, found, strict=False), start=first):
                if not name or name in odd:
                    self._slowly((line,), number)
        if odd:
            names = [name for name in names if name not in odd]
        self._report.accepted += len(names)
        if self._protected and (hits := self._protected.hits(names)):
            self._aside(found, hits, first)
            names = [name for name in names if name not in hits]
        self.rows += names
        self._same_sites([name for name in names if name.startswith(_WWW)])

    def _odd(self, names: list[bytes], text: bytes) -> set[bytes]:
        """Names that need a closer look: encoded ones, too long ones, and those that may be shared by many sites."""
        odd = self._shared.intersection(names)
        wild = self._wild
        more = {name for name in names if name.partition(b".")[2] in wild}
        if b"xn--" in text:
            more.update(name for name in names if b"xn--" in name)
        if max(map(len, names), default=0) > LONGEST_NAME:
            more.update(name for name in names if len(name) > LONGEST_NAME)
        return more.union(odd)

    def _slowly(self, lines: Iterable[bytes], first: int) -> None:
        for number, line in enumerate(lines, start=first):
            for item in parse(self._format, (line,), self._allow, first=number):
                self._one(item, number)

    def _one(self, item: Entry | Refused, number: int) -> None:
        if isinstance(item, Refused):
            self._report.refuse(item)
            return
        self._report.accepted += 1
        taken = self._protected.hit(item.host, item.path) if self._protected and not item.exception else None
        if taken:
            self._report.put_aside(Refused(number, row(item), _why(taken)))
            return
        self._report.exceptions += item.exception
        self.rows.append(row(item).encode())
        if not item.exception and not item.path and item.host.startswith("www."):
            self._same_sites([item.host.encode()])

    def _same_sites(self, names: list[bytes]) -> None:
        """For `www.site.example` also `site.example` alone: it is the same site, and hosts files often name but the one.

        Exactly that name, since nothing was said of what else lies below it; never one that is shared by many, or protected.
        """
        bare = [name[len(_WWW) :] for name in names]
        bare = [
            name for name in bare if b"." in name and name not in self._shared and name.partition(b".")[2] not in self._wild
        ]
        if self._protected and bare:
            hits = self._protected.hits(bare)
            bare = [name for name in bare if name not in hits]
        self.rows += [name + b" =" for name in bare]

    def _aside(self, found: list[tuple[bytes, bytes]], hits: dict[bytes, bytes], first: int) -> None:
        for number, (name, _) in enumerate(found, start=first):
            if name in hits:
                self._report.put_aside(Refused(number, name.decode(), _why(hits[name].decode())))


def _why(name: str) -> str:
    return f"{name} must stay open"


__all__ = ["NOTHING_PROTECTED", "read_rows", "row"]
