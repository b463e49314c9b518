"""What time alone does: unratified changes lapse, ended ones are marked, and each day's access log gets its digest.

Each function takes a session and never commits.
"""

import json
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from change_control import access
from change_control.authority import stacks_with
from change_control.lifecycle import Act, State
from change_control.tables import ChangeRow, LogRow

if TYPE_CHECKING:
    from change_control.service import Office


def tick(office: "Office", session: Session) -> list[ChangeRow]:
    """What time alone does: unratified changes lapse (the newest first), ended ones are marked, and the access log of
    each day that is over gets its digest into the change log. Returns the changes that moved.
    """
    now = office.now()
    for log in session.scalars(select(LogRow.id)).all():
        access.write_digests(session, office.book(session, log), now)
    moved = lapsing(office, session)
    for row in moved:
        _lapse(office, session, row)
    ended = select(ChangeRow).where(ChangeRow.state == State.IN_FORCE, ChangeRow.until <= now)
    for row in session.scalars(ended).all():
        office.note(session, office.book(session, row.log), row, Act.EXPIRE, None, "")
        moved.append(row)
    return moved


def lapsing(office: "Office", session: Session) -> list[ChangeRow]:
    """What lapses now, in the order in which it does."""
    found: list[ChangeRow] = []
    due = select(ChangeRow).where(ChangeRow.state == State.PROVISIONAL, ChangeRow.ratify_by <= office.now())
    for first in session.scalars(due.order_by(ChangeRow.entry)).all():
        if first in found:
            continue  # it goes back with one before it
        stacked = select(ChangeRow).where(
            ChangeRow.log == first.log,
            ChangeRow.state == State.PROVISIONAL,
            ChangeRow.entry >= first.entry,
            (ChangeRow.id == first.id) | ChangeRow.kind.in_(stacks_with(first.kind)),
        )
        found += [
            row
            for row in session.scalars(stacked.order_by(ChangeRow.entry.desc())).all()
            if row not in found and _stands_on(row, first)
        ]
    return found


def daily(office: "Office", session: Session) -> int:
    """The access log of each day that is over gets its digest into the change log. Returns how many were written."""
    logs = session.scalars(select(LogRow.id)).all()
    return sum(access.write_digests(session, office.book(session, log), office.now()) for log in logs)


def _lapse(office: "Office", session: Session, row: ChangeRow) -> None:
    book = office.book(session, row.log)
    if row.entry is None:
        return
    let_through = book.entry(row.entry)
    rests_on = {"mandate": let_through["rests_on"]["mandate"], "of": row.entry}
    office.put_in_force(book, row, office.taken_back(session, row), Act.LAPSE, None, rests_on)


def _stands_on(row: ChangeRow, first: ChangeRow) -> bool:
    """Does a change go back with an earlier one? The authority's rules do; lists only if both speak of the same list."""
    if row.id == first.id or row.kind != "dictionary":
        return True
    named, before = ({one["id"] for one in json.loads(each.diff).get("lists", ())} for each in (row, first))
    return not named.isdisjoint(before)
