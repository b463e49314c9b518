"""Names that no list may take away: the essentials, and the sites of each group that must stay open.

Two kinds. *Essential* names (helplines, certificates, connectivity checks, exam boards, gov.uk) stand in front of every other
list when a decision is made, so that nothing can refuse them; a list that names one all the same is wrong about it, and the
entry is set aside so that the error is seen. *Must-allow* names (schools, the health service, charities, museums, news) have
no such place, because a school may well decide about them; only somebody else's list may not. A list in a category that is
mandatory (malware) keeps those: a hospital's site may be taken over for a day, and essentials stay open even then.

What counts as a hit: an entry inside an essential site or below a name that only public bodies can register, an entry for a
must-allow site as a whole, and an entry that covers the host of an essential page, since DNS cannot see pages. Entries of
categories that are open at every age take nothing away and are left alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from category_lists.names import parents
from category_lists.taxonomy import Category

ESSENTIAL: Final = "essentials"
_HERE = Path(__file__).parent
_PUBLIC: Final = "schools_and_public_bodies"  # nobody else can register below these
_MUST_ALLOW_STARTERS = ("support_wellbeing", "health", "education", "government_law", "news", "sex_education_health")


@dataclass(frozen=True, slots=True)
class Protected:
    """Names that the entries of one list are held against. Bytes, because millions are."""

    sites: frozenset[bytes] = frozenset()  # with all that is below them
    alone: frozenset[bytes] = frozenset()  # as whole sites: `ads.` below a newspaper may well be what a list says
    page_hosts: frozenset[bytes] = frozenset()  # hosts of essential pages, and the names above them

    def __bool__(self) -> bool:
        return bool(self.sites or self.alone or self.page_hosts)

    def hit(self, host: str, path: str = "") -> str | None:
        """The protected name that an entry for this host, or a page of it, takes away; None when it takes none."""
        name = host.encode()
        if not path and (name in self.page_hosts or name in self.alone):
            return host
        return next((name for name in parents(host) if name.encode() in self.sites), None)

    def hits(self, names: list[bytes]) -> dict[bytes, bytes]:
        """The same for many plain names at once: each that hits, and what it hits."""
        found = {name: name for name in self.page_hosts.intersection(names)}
        found |= {name: name for name in self.sites.intersection(names)}
        found |= {name: name for name in self.alone.intersection(names)}
        sites = self.sites
        for name in names:
            if name.count(b".") > 1:
                dot = name.find(b".") + 1
                while dot:
                    if name[dot:] in sites:
                        found[name] = name[dot:]
                        break
                    dot = name.find(b".", dot) + 1
        return found


def protected(category: Category, essential: Iterable[str] | None = None) -> Protected:
    """What lists of a category are held against. `essential` are the rows of the essential lists in force (none: ours)."""
    if category.essential or all(action == "allow" for action in category.phases.values()):
        return Protected()
    rows = list(essential_rows() if essential is None else essential)
    sites = {row for row in rows if "/" not in row}
    pages = {name for row in rows if "/" in row for name in parents(row.partition("/")[0]) if "." in name}
    alone: set[str] = set()
    if not (category.mandatory or category.locked):
        sites.update(must_allow()[_PUBLIC])
        for some in must_allow().values():
            alone.update(name for row in some for name in (row, f"www.{row}"))
    return Protected(*(frozenset(name.encode() for name in some) for some in (sites, alone, pages)))


@cache
def essential_rows() -> tuple[str, ...]:
    """The essentials that ship with the product: names, and pages of names."""
    return tuple(rows_of(_HERE / "starter" / f"{ESSENTIAL}.txt"))


@cache
def must_allow() -> dict[str, tuple[str, ...]]:
    """The sites that must stay open, by group: what ships for this, and our own lists of the kinds never to refuse."""
    files = sorted((_HERE / "must_allow").glob("*.txt"))
    found = {path.stem: tuple(rows_of(path)) for path in files}
    for category in _MUST_ALLOW_STARTERS:
        rows = rows_of(_HERE / "starter" / f"{category}.txt")
        found[category] = tuple(row for row in rows if "/" not in row)
    return found


def rows_of(path: Path) -> Iterator[str]:
    """The rows of a kept list without their flags; comments and blank lines passed over."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            row = line.partition(" ")[0].strip()
            if row and not row.startswith("#"):
                yield row
