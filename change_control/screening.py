"""A pupil's request from the block page goes to a named teacher first, who passes it on to the headteacher or says no.

The headteacher names that teacher by a delegation whose scope is `PUPILS`: signed, from and to a day, revoked like any other.
It names groups, whose requests go to this teacher, or none: then it is for all groups that have no teacher of their own. It
lets nobody sign anything. Nothing opens by passing on; and the headteacher may decide whatever has been passed on or not, so
a teacher who is away keeps nothing from her. Where nobody is named for a pupil's group, the request waits for her at once.

Each function takes a session and never commits.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from change_control import standing
from change_control.authority import PUPILS, NotAllowed, Permission, require
from change_control.lifecycle import NotPossible, State
from change_control.tables import ChangeRow, EntryRow

if TYPE_CHECKING:
    from change_control.service import Office, Person

PASSED_ON = "change.passed_on"
BLOCK_PAGE = "block-page"  # where pupils' requests come from


@dataclass(frozen=True, slots=True)
class Named:
    """The teachers whom the headteacher named, just now: for a group's requests, and for all others'."""

    groups: Mapping[str, frozenset[str]]
    others: frozenset[str]

    def of(self, row: ChangeRow) -> frozenset[str]:
        """Who looks first at this request."""
        return self.groups.get(row.group, self.others)


def named(office: "Office", session: Session, log: str) -> Named:
    groups: dict[str, frozenset[str]] = {}
    others: frozenset[str] = frozenset()
    for terms in (one["delegation"] for one in standing.delegations(office, session, log)):
        if PUPILS not in terms["kinds"]:
            continue
        person = {str(terms["person"])}
        if "groups" not in terms:
            others |= person
        for group in terms.get("groups", ()):
            groups[group] = groups.get(group, frozenset()) | person
    return Named(groups, others)


def with_teacher(office: "Office", session: Session, log: str, rows: Iterable[ChangeRow]) -> frozenset[int]:
    """Which of a school's requests nobody has passed on yet."""
    waiting = [row for row in rows if row.source == BLOCK_PAGE and row.state == State.REQUESTED]
    if not waiting:
        return frozenset()
    teachers = named(office, session, log)
    asked = {row.id for row in waiting if teachers.of(row)}
    if not asked:
        return frozenset()
    passed = select(EntryRow.change).where(EntryRow.log == log, EntryRow.change.in_(asked), EntryRow.kind == PASSED_ON)
    return frozenset(asked - set(session.scalars(passed)))


def is_with_teacher(office: "Office", session: Session, row: ChangeRow) -> bool:
    return bool(with_teacher(office, session, row.log, (row,)))


def may_screen(office: "Office", session: Session, row: ChangeRow, by: "Person") -> bool:
    """Is this request before this teacher?"""
    return by.id in named(office, session, row.log).of(row) and is_with_teacher(office, session, row)


def pass_on(office: "Office", session: Session, row: ChangeRow, by: "Person", words: str = "") -> None:
    """The named teacher has looked at it, and puts it before the headteacher with a word of her own."""
    book = office.book(session, row.log)
    if by.id not in named(office, session, row.log).of(row):
        require(by.at(row.log), Permission.SCREEN, tier=book.tier)
    if not is_with_teacher(office, session, row):
        raise (
            NotPossible(State(row.state), "pass on")
            if row.state != State.REQUESTED
            else NotAllowed("this waits for the headteacher already")
        )
    detail = office.keep_detail(session, row, "passed-on", {"by": by.name, "text": words.strip()[:2000]})
    book.append(PASSED_ON, office.now(), change=row.id, by=by.id, by_roles=sorted(by.at(row.log)), detail=detail)


def where(office: "Office", session: Session, reference: str) -> tuple[str, str]:
    """What became of a request, for whoever has its reference: where it stands, and the reason if it was refused.

    Who asked, for what and who decided is not told: a reference can be read over a shoulder.
    """
    row = session.scalar(select(ChangeRow).where(ChangeRow.reference == reference, ChangeRow.source == BLOCK_PAGE))
    if row is None:
        return "unknown", ""
    if is_with_teacher(office, session, row):
        return "teacher", ""
    return row.state, office.detail(session, row.id, "refuse").get("reason", "") if row.state == State.REFUSED else ""
