"""The time machine: what was in force in a log at any instant, and who authorised each part of it.

The document of an instant is the one that the last policy entry before it put in force; it is read from its table and
believed because that entry, proven to be in the tree, names its digest, and because the next policy entry, proven too, is
dated later. For each rule the entry is found that brought it in, proven likewise; its signatures say who.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from change_control.ledger import LedgerMismatch
from change_control.tables import DocumentRow, EntryRow
from policy.proof import Checkpoint, Entry, canonical, digest
from policy.rules import Document, read_document

if TYPE_CHECKING:
    from change_control.service import Office

KINDS = {  # the kind of change that speaks of each collection
    "site_rules": "site",
    "category_rules": "category",
    "networks": "network",
    "groups": "group",
    "timetables": "timetable",
    "never_inspect": "never_inspect",
    "coursework": "coursework",
    "suspensions": "suspension",
    "belongings": "belonging",
    "passages": "passage",
    "portals": "portal",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One value of the policy (a rule, a network, a suspension), the entry that brought it in, and who signed that."""

    collection: str
    value: Mapping[str, Any]
    entry: int
    at: datetime
    change: int | None
    signed: tuple[tuple[str, str], ...]  # (person, factor)
    rests_on: Mapping[str, int]  # the mandate or delegation, by its entry
    ratified: int | None  # the entry by which the headteacher ratified what a mandate let through, if she had by then

    @property
    def diff(self) -> dict[str, Any]:
        """As a diff that adds this and nothing else: for the sentence."""
        kind = KINDS.get(self.collection, self.collection)
        return {"kind": kind, "change": self.change or 0, "add": {self.collection: [self.value]}, "remove": {}, "set": {}}

    def holds(self, at: datetime) -> bool:
        """Had it begun, and not ended by its own date?"""
        starts, until = self.value.get("starts"), self.value.get("until")
        begun = starts is None or datetime.fromisoformat(starts) <= at
        return begun and (until is None or at < datetime.fromisoformat(until))

    def about(self, group: str, person: str) -> bool:
        """Does it say something for this group, or person? Without either: everything does."""
        groups, whose = self.value.get("groups") or (), self.value.get("person")
        own = self.value.get("group") or (self.value["id"] if self.collection == "groups" else None)
        if person:
            return whose in {None, person}
        if group:
            return whose is None and (own == group if own else not groups or group in groups)
        return True


@dataclass(frozen=True, slots=True)
class Then:
    """What was in force at an instant, with its proof."""

    log: str
    at: datetime
    entry: int  # the one that put it in force
    since: datetime
    document: Document
    text: str
    checkpoint: Checkpoint  # the log's, under which every entry named here was proven
    lines: tuple[Line, ...]
    settings: Mapping[str, int]  # dictionary and authority: the entry that set each

    @property
    def digest(self) -> str:
        return digest(self.text)

    def some(self, group: str = "", person: str = "") -> tuple[Line, ...]:
        """What held at the instant for a group or a person."""
        return tuple(line for line in self.lines if line.holds(self.at) and line.about(group, person))


def then(office: "Office", session: Session, log: str, at: datetime) -> Then:
    """What was in force; LookupError before the log began."""
    book = office.book(session, log)
    rows = session.scalars(select(EntryRow.n).where(EntryRow.log == log, EntryRow.policy).order_by(EntryRow.n)).all()
    low, high = 0, len(rows)
    while low < high:  # entries are dated in their order; each date that is looked at is proven
        middle = (low + high) // 2
        if _at(book.entry(rows[middle])) <= at:
            low = middle + 1
        else:
            high = middle
    if low == 0:
        raise LookupError(f"{log} had no policy yet at {at:%Y-%m-%d %H:%M} UTC")
    n = rows[low - 1]
    entry, row = book.entry(n), session.get(DocumentRow, (log, n))
    if row is None or digest(row.text) != entry["policy"]["digest"]:
        raise LedgerMismatch(f"the policy of {log} is not the one that entry {n} signs")
    document, plain = read_document(row.text), json.loads(row.text)
    brought = _brought(session, log, n)
    lines = []
    for collection, values in plain.items():
        for value in values if isinstance(values, list) else ():
            source = brought.get((collection, canonical(value)))
            if source is None:
                raise LedgerMismatch(f"{log}: no entry brought in {collection} {value.get('id')}")
            lines.append(_line(session, book.entry(source), collection, value, at, book.entry))
    settings = {name: brought[name, ""] for name in ("dictionary", "authority") if (name, "") in brought}
    return Then(log, at, n, _at(entry), document, row.text, book.checkpoint, tuple(lines), settings)


def _at(entry: Entry) -> datetime:
    return datetime.fromisoformat(str(entry["at"]))


def _brought(session: Session, log: str, last: int) -> dict[tuple[str, str], int]:
    """The last entry, up to one, that added each value. Read as texts; what is used of it is proven by its entry."""
    found: dict[tuple[str, str], int] = {}
    wanted = select(EntryRow.n, EntryRow.text).where(EntryRow.log == log, EntryRow.policy, EntryRow.n <= last)
    for n, text in session.execute(wanted.order_by(EntryRow.n)):
        diff = json.loads(text).get("diff") or {}
        if diff.get("kind") == "founding":
            added = {name: values for name, values in diff["document"].items() if isinstance(values, list)}
            found |= {(name, ""): n for name in ("dictionary", "authority") if name in diff["document"]}
        else:
            added = diff.get("add") or {}
            found |= {(name, ""): n for name in diff.get("set") or {}}
        for collection, values in added.items():
            for value in values:
                found[collection, canonical(value)] = n
    return found


def _line(session: Session, entry: Entry, collection: str, value: Mapping[str, Any], at: datetime, proven: Any) -> Line:
    """A value with who authorised it, from its proven entry."""
    diff = entry["diff"]
    added = diff["document"].get(collection, ()) if diff["kind"] == "founding" else diff["add"].get(collection, ())
    if value not in added:
        raise LedgerMismatch(f"{entry['log']}: entry {entry['n']} did not bring in {value.get('id')}")
    rests = entry.get("rests_on") or {}
    ratified = None
    if "mandate" in rests:
        wanted = select(EntryRow.n).where(
            EntryRow.log == entry["log"], EntryRow.kind == "change.ratified", EntryRow.change == entry.get("change")
        )
        for n in session.scalars(wanted).all():
            one = proven(n)
            if one.get("of") == entry["n"] and _at(one) <= at:
                ratified = n
                rests = {**rests, "signatures": [*(rests.get("signatures") or ()), *one["rests_on"]["signatures"]]}
    return Line(
        collection,
        value,
        int(entry["n"]),
        _at(entry),
        entry.get("change"),
        tuple((str(one["person"]), str(one.get("factor", ""))) for one in rests.get("signatures") or ()),
        {name: int(rests[name]) for name in ("mandate", "delegation") if name in rests},
        ratified,
    )


@dataclass(frozen=True, slots=True)
class Between:
    """How the policies of two instants differ, for a group or a person."""

    gone: tuple[Line, ...]
    come: tuple[Line, ...]
    set: tuple[str, ...]  # "dictionary", "authority"

    @classmethod
    def of(cls, first: Then, second: Then, group: str = "", person: str = "") -> "Between":
        before, after = first.some(group, person), second.some(group, person)
        old, new = ({(one.collection, canonical(one.value)) for one in some} for some in (before, after))
        changed = tuple(
            name
            for name in ("dictionary", "authority")
            if getattr(first.document, name, "") != getattr(second.document, name, "")
        )
        return cls(
            tuple(one for one in before if (one.collection, canonical(one.value)) not in new),
            tuple(one for one in after if (one.collection, canonical(one.value)) not in old),
            changed,
        )
