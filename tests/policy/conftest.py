"""A small school to decide about, built from plain values, without files."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from category_lists.index import Match
from category_lists.names import parents
from category_lists.taxonomy import load
from change_control.keys import AuthorityKey, Signer
from change_control.ledger import append, inclusion, root, shown
from policy.identity import Clients
from policy.proof import Checkpoint, canonical, leaf_hash, origin
from policy.rules import AuthorityPolicy, Group, Network, SchoolPolicy, Timetable, Window
from policy.search_engines import load as load_engines
from policy.snapshot import LoadedDictionary, Snapshot

LESSON = datetime(2026, 11, 24, 11, 5, tzinfo=UTC)  # a Tuesday in term
LUNCH = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)

NAMES = {
    "games.example": ("games",),
    "bets.example": ("gambling",),
    "both.example": ("games", "gambling"),
    "bank.example": ("finance_business",),
    "illegal.example": ("csam_illegal",),
    "childline.example": ("essentials",),
    "childline-games.example": ("essentials", "games"),
    "forum.example": ("forums_blogs",),
    "malware.example": ("malware_phishing",),
    "club.org.uk": ("games",),
}
LUNCHTIME = Timetable("lunch", "Lunch", (Window((0, 1, 2, 3, 4), "12:10", "13:10"),))


@dataclass(frozen=True)
class FakeNames:
    """An index that is a dict."""

    names: dict[str, tuple[str, ...]] = field(default_factory=lambda: NAMES)

    def find(self, host, path=None):
        return tuple(
            Match(category, f"test-{category}", "1", name, "")
            for name in parents(host)
            for category in self.names.get(name, ())
        )

    def kin(self, host):
        return tuple((match.category, match.list_id, match.version) for match in self.find(host))

    def has_pages(self, host):
        return False


@pytest.fixture(scope="session")
def dictionary() -> LoadedDictionary:
    return LoadedDictionary("d" * 64, FakeNames(), load(), load_engines())


@pytest.fixture
def snapshot(dictionary) -> Callable[..., Snapshot]:
    """Make a snapshot of one school with these rules, under an authority with those."""

    def make(
        *,
        sites=(),
        categories=(),
        authority_sites=(),
        authority_categories=(),
        networks=(),
        blocked_answer="page",
        unknown=(),
    ):
        authority = AuthorityPolicy(
            "birchwood", "Birchwood", dictionary.digest, tuple(authority_sites), tuple(authority_categories)
        )
        school = SchoolPolicy(
            "hillview",
            "Hillview Academy",
            "a" * 64,
            dictionary.digest,
            groups=(
                Group("ks3", "Years 7-9", "ks3"),
                Group("ks4", "Years 10-11", "ks4"),
                Group("staff", "Staff", "staff", safe_search=False),
            ),
            networks=tuple(networks) or (Network("n1", "ks3", "127.20.3.0/24"),),
            timetables=(LUNCHTIME,),
            site_rules=tuple(sites),
            category_rules=tuple(categories),
            blocked_answer=blocked_answer,
            unknown_rules=tuple(unknown),
        )
        return Snapshot(
            generation=1,
            authority=authority,
            schools={"hillview": school},
            authorities={"a" * 64: authority},
            dictionaries={dictionary.digest: dictionary},
            revisions={"hillview": 7},
            clients=Clients([school]),
        )

    return make


# --- a log without a database -------------------------------------------------------------------------------------------

KEY = AuthorityKey("birchwood", b"a" * 32)
HELEN = Signer("p-helen", 1, b"h" * 32)  # the headteacher, enrolled by entry 1


@dataclass
class Log:
    """A school's or the authority's log in memory, and what is published of it."""

    name: str = "oakfield"
    entries: list = field(default_factory=list)
    nodes: dict = field(default_factory=dict)

    def add(self, entry):
        append(self.nodes, len(self.entries), leaf_hash(canonical(entry).encode()))
        self.entries.append(canonical(entry))

    def part(self, document, *numbers):
        size = len(self.entries)
        checkpoint = Checkpoint(origin("birchwood", self.name), size, root(self.nodes, size))
        entries = [shown(n, self.entries[n], inclusion(self.nodes, n, size)) for n in numbers]
        return {"document": document, "proof": {"checkpoint": KEY.sign(checkpoint), "entries": entries}}
