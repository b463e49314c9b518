"""A log's entries in the database: appended under one signed checkpoint, and never believed without it.

Everything read here is authenticated before it is used: the stored checkpoint carries the authority's signature, the stored
nodes must lead to its root, and an entry must be in the tree at its number. So a row edited by SQL is found when it is next
read, not merely at an audit.
"""

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import batched
from typing import Any

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from change_control.keys import AuthorityKey
from change_control.ledger import Leaf, LedgerMismatch, append, consistency, inclusion, needed, root, shown
from change_control.tables import DocumentRow, EntryRow, LogRow, NodeRow
from policy.grounds import check_authority, references
from policy.proof import (
    Checkpoint,
    Entry,
    ProofRefused,
    digest,
    leaf_hash,
    origin,
    parse_entry,
    read_checkpoint,
    root_from_inclusion,
)
from policy.rules import Document, instant, read_document

CLOCKS_DIFFER = timedelta(minutes=5)
TOGETHER = 500  # rows that are asked for by one statement


class _Nodes(MutableMapping[tuple[int, int], bytes]):
    """The nodes table of one log as the mapping that ledger.py works on. A node, once there, never changes."""

    def __init__(self, session: Session, log: str) -> None:
        self._session, self._log = session, log
        self._read: dict[tuple[int, int], bytes] = {}

    def read(self, keys: Iterable[tuple[int, int]]) -> None:
        """Read these together, for they will be asked for one by one."""
        missing = dict.fromkeys(key for key in keys if key not in self._read)
        for some in batched(missing, TOGETHER):
            wanted = tuple_(NodeRow.level, NodeRow.position).in_(some)
            rows = self._session.execute(
                select(NodeRow.level, NodeRow.position, NodeRow.hash).where(NodeRow.log == self._log, wanted)
            )
            self._read.update({(level, position): node for level, position, node in rows})

    def __getitem__(self, key: tuple[int, int]) -> bytes:
        self.read([key])
        try:
            return self._read[key]
        except KeyError:
            raise LedgerMismatch(f"the change log of {self._log} has lost a part of its tree") from None

    def __setitem__(self, key: tuple[int, int], value: bytes) -> None:
        self._session.merge(NodeRow(log=self._log, level=key[0], position=key[1], hash=value))
        self._read[key] = value

    def __delitem__(self, key: tuple[int, int]) -> None:
        raise TypeError("nodes are never taken away")

    def __iter__(self) -> Iterator[tuple[int, int]]:
        raise TypeError("nodes are asked for one by one")

    def __len__(self) -> int:
        raise TypeError("nodes are asked for one by one")


CONSOLE = "console"  # the machine's own command line, where a person would stand


@dataclass(frozen=True, slots=True)
class InForce:
    """The policy that a log amounts to: the document and the number of the entry that put it in force."""

    n: int
    text: str
    document: Document


class Book:
    """One log, within one transaction."""

    def __init__(self, session: Session, key: AuthorityKey, log: str) -> None:
        # Writers of one log stand in line for its row; who only looks takes no lock.
        row = session.get(LogRow, log, with_for_update=True if session.info.get("writes") else None)
        if row is None:
            raise LookupError(f"there is no school or authority {log[:60]!r}")
        self._session, self._key, self.row, self.log = session, key, row, log
        self._nodes = _Nodes(session, log)
        self._entries: dict[int, Entry] = {}  # that have been proven
        self.checkpoint = self._authenticated()

    @property
    def tier(self) -> str:
        return self.row.tier

    @property
    def size(self) -> int:
        return self.row.size

    def _authenticated(self) -> Checkpoint:
        if self.row.size == 0 and not self.row.checkpoint:
            return Checkpoint(origin(self._key.authority, self.log), 0, root({}, 0))
        try:
            checkpoint = read_checkpoint(self.row.checkpoint, self._key.authority, self._key.public)
        except ProofRefused as error:
            raise LedgerMismatch(f"the change log of {self.log}: {error}") from None
        if checkpoint.origin != origin(self._key.authority, self.log) or checkpoint.size != self.row.size:
            raise LedgerMismatch(
                f"the change log of {self.log}: its checkpoint signs {checkpoint.size} entries, not {self.row.size}"
            )
        self._nodes.read(needed(checkpoint.size))
        if root(self._nodes, checkpoint.size) != checkpoint.root:
            raise LedgerMismatch(f"the change log of {self.log}: its tree does not lead to the root that was signed")
        return checkpoint

    def append(self, kind: str, at: datetime, **values: Any) -> int:
        """Write the next entry and sign the tree with it. Values that are None are left out. Returns its number."""
        n = self.row.size
        at = self._not_before_the_last(at)
        entry = {"v": 1, "log": self.log, "tier": self.tier, "n": n, "at": instant(at), "kind": kind}
        entry |= {name: value for name, value in values.items() if value is not None}
        leaf = Leaf.of(entry)
        if "policy" in entry:
            self._borne_out(parse_entry(leaf.text))
        append(self._nodes, n, leaf.hash)
        self._session.add(
            EntryRow(
                log=self.log, n=n, kind=kind, change=values.get("change"), policy="policy" in entry, at=at, text=leaf.text
            )
        )
        self._session.flush()
        self.row.size = n + 1
        self.checkpoint = Checkpoint(self.checkpoint.origin, n + 1, root(self._nodes, n + 1))
        self.row.checkpoint = self._key.sign(self.checkpoint)
        self._session.info.setdefault("logs", set()).add(self.log)  # what this transaction has to publish
        self._session.flush()
        return n

    def known(self, entry: Entry) -> dict[int, Entry]:
        """The entries that an entry rests on, and those that they rest on, each proven. The nearest come first."""
        found: dict[int, Entry] = {}
        queue = sorted(references(entry))
        while queue:
            found.update(zip(queue, self.entries(queue), strict=True))
            further = dict.fromkeys(n for one in queue for n in sorted(references(found[one])))
            queue = [n for n in further if n not in found]
        return found

    def _borne_out(self, entry: Entry) -> None:
        """What every worker will ask of this entry is asked before it is written: a role that only a table gives (someone
        edited it) must not bring into the log what nobody could take out again.
        """
        try:
            check_authority(entry, self.known(entry))
        except (ProofRefused, LookupError, TypeError, ValueError) as error:
            raise LedgerMismatch(f"the change log of {self.log} does not bear this out: {error}") from None

    def _not_before_the_last(self, at: datetime) -> datetime:
        """Entries are dated in their order: a clock that was put right by seconds waits, one set back is refused."""
        last = self._session.get(EntryRow, (self.log, self.row.size - 1))
        if last is None or last.at <= at:
            return at
        if last.at - at > CLOCKS_DIFFER:
            raise LedgerMismatch(
                f"the clock of this machine says {instant(at)}, but entry {last.n} of the change log of {self.log} was "
                f"written at {instant(last.at)}; set the clock right"
            )
        return last.at

    def consistency(self, old: int) -> list[bytes]:
        """The proof that the log's first `old` entries are still its beginning."""
        return consistency(self._nodes, old, self.checkpoint.size)

    def entry(self, n: int) -> Entry:
        """Entry number n, proven to be in the tree."""
        if n not in self._entries:
            self._entries[n] = parse_entry(self._proven(n)[0])
        return self._entries[n]

    def entries(self, numbers: Iterable[int]) -> list[Entry]:
        """The entries with these numbers, each proven to be in the tree."""
        wanted = list(numbers)
        for some in batched([n for n in wanted if n not in self._entries], TOGETHER):
            rows = self._session.scalars(select(EntryRow).where(EntryRow.log == self.log, EntryRow.n.in_(some))).all()
            self._nodes.read(key for n in some for key in needed(self.size, n) if n < self.size)
            for row in rows:  # which the session then has at hand
                self.entry(row.n)
        return [self.entry(n) for n in wanted]

    def _proven(self, n: int) -> tuple[str, list[bytes]]:
        row = self._session.get(EntryRow, (self.log, n))
        if row is None:
            raise LedgerMismatch(f"the change log of {self.log} has lost entry {n}")
        self._nodes.read(needed(self.checkpoint.size, n))
        path = inclusion(self._nodes, n, self.checkpoint.size)
        found = root_from_inclusion(n, self.checkpoint.size, leaf_hash(row.text.encode()), path)
        if found != self.checkpoint.root:
            raise LedgerMismatch(f"the change log of {self.log}: entry {n} is not what was signed")
        return row.text, path

    def in_force(self) -> InForce | None:
        """The policy in force, proven to be what its entry signs; None before the founding."""
        last = self._session.scalars(
            select(EntryRow.n).where(EntryRow.log == self.log, EntryRow.policy).order_by(EntryRow.n.desc()).limit(1)
        ).first()
        if last is None:
            return None
        entry = self.entry(last)
        row = self._session.get(DocumentRow, (self.log, last))
        if row is None or digest(row.text) != entry["policy"]["digest"]:
            raise LedgerMismatch(f"the policy of {self.log} is not the one that entry {last} signs")
        return InForce(last, row.text, read_document(row.text))

    def keep(self, n: int, text: str) -> None:
        """Store the document that entry n put in force."""
        self._session.add(DocumentRow(log=self.log, n=n, text=text))
        self._session.flush()

    def part(self) -> Mapping[str, object] | None:
        """The policy in force with its proof, as it is published; None before the founding."""
        force = self.in_force()
        if force is None:
            return None
        order = [force.n, *(n for n in self.known(self.entry(force.n)) if n != force.n)]
        return {
            "document": force.text,
            "proof": {"checkpoint": self.row.checkpoint, "entries": [shown(n, *self._proven(n)) for n in order]},
        }


def policy_of(book: Book) -> InForce:
    force = book.in_force()
    if force is None:
        raise LookupError(f"{book.log} has no policy yet")
    return force
