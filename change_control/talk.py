"""Before a request is decided: made smaller by whoever decides, and questions with their answers. All of it is recorded.

Each function takes a session and never commits.
"""

import json
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from change_control import adviser, changes
from change_control.authority import NotAllowed, Permission, may, require
from change_control.book import policy_of
from change_control.bounds import bounded
from change_control.lifecycle import NotPossible, State
from change_control.screening import BLOCK_PAGE
from change_control.service import Office, Person
from change_control.tables import ChangeRow, DetailRow, EntryRow, SignatureRow
from policy.proof import canonical

AMENDED, QUESTIONED, ANSWERED = "change.amended", "change.questioned", "change.answered"
MOST = 40  # lines of one talk


class NotNarrower(ValueError):
    """What was made of a request goes beyond it."""


def narrow(office: Office, session: Session, row: ChangeRow, wish: adviser.Narrow, by: Person) -> None:
    """Whoever decides makes a request smaller. It is another diff, shown anew and then signed; signatures so far are void."""
    book = office.book(session, row.log)
    _waits(row, "narrow")
    office.standing_in(session, book, row, by, Permission.APPROVE)
    if row.requested_by == by.id:
        raise NotAllowed("this is your own request; withdraw it, and ask for less")
    old = adviser.opening(office.diff_of(row))
    if old is None:
        raise ValueError("only what opens a site or a category can be made smaller; refuse it, and say what would do")
    force = policy_of(book)
    made = bounded(wish, office.now()).diff(row.id, force.document, office.taxonomy(force))
    diff = {**made, "kind": row.kind}  # an approved video site stays one
    new = adviser.opening(diff)
    if new is None or not adviser.within(new, old):
        raise NotNarrower("this goes beyond what was asked for; it can only be made smaller")
    if canonical(diff) == row.diff:
        raise ValueError("this is what was asked for already")
    changes.apply(force.document, diff)
    row.diff, row.until = canonical(diff), changes.until(diff)
    session.execute(delete(SignatureRow).where(SignatureRow.change == row.id))
    book.append(AMENDED, office.now(), change=row.id, diff=diff, by=by.id, by_roles=sorted(by.at(row.log)))


def asked_first(session: Session, office: Office, row: ChangeRow) -> changes.Diff | None:
    """What was asked for before someone made it smaller; None when nobody did."""
    book = office.book(session, row.log)
    kinds = select(EntryRow.n).where(EntryRow.log == row.log, EntryRow.change == row.id)
    if session.scalar(kinds.where(EntryRow.kind == AMENDED).limit(1)) is None:
        return None
    first = session.scalar(kinds.where(EntryRow.kind == "change.requested").limit(1))
    found: changes.Diff | None = book.entry(first)["diff"] if first is not None else None
    return found


# --- questions ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """One question or answer."""

    question: bool
    by: str
    text: str


def talk(session: Session, change: int) -> tuple[Line, ...]:
    """What has been asked and answered about a request, in its order."""
    wanted = select(DetailRow).where(DetailRow.change == change, DetailRow.part.startswith("talk-")).order_by(DetailRow.part)
    found = [(row.part, json.loads(row.text)) for row in session.scalars(wanted)]
    return tuple(Line(part.endswith("question"), words["by"], words["text"]) for part, words in found)


def may_ask(office: Office, session: Session, row: ChangeRow, by: Person) -> bool:
    """Those who have a say in a request may ask about it."""
    if row.requested_by == by.id or row.state != State.REQUESTED:
        return False
    book = office.book(session, row.log)
    if may(by.at(row.log), Permission.SECOND):
        return True
    try:
        office.standing_in(session, book, row, by, Permission.REFUSE)
    except NotAllowed:
        return False
    return True


def may_answer(row: ChangeRow, by: Person, tier: str) -> bool:
    """Whoever asked for it; for a request from the block page, whoever may ask for changes and knows."""
    if row.state != State.REQUESTED:
        return False
    return row.requested_by == by.id or (row.source == BLOCK_PAGE and may(by.at(row.log), Permission.REQUEST, tier=tier))


def ask(office: Office, session: Session, row: ChangeRow, by: Person, text: str) -> None:
    """Put a question to whoever asked for the change."""
    _waits(row, "ask about")
    if not may_ask(office, session, row, by):
        require(by.at(row.log), Permission.REFUSE, tier=office.book(session, row.log).tier)
        raise NotAllowed("this is your own request")
    _say(office, session, row, by, text, question=True)


def answer(office: Office, session: Session, row: ChangeRow, by: Person, text: str) -> None:
    """Answer the last question."""
    _waits(row, "answer questions about")
    if not may_answer(row, by, office.book(session, row.log).tier):
        raise NotAllowed("only the person who asked for the change may answer")
    said = talk(session, row.id)
    if not said or not said[-1].question:
        raise ValueError("there is no question to answer")
    _say(office, session, row, by, text, question=False)


def _say(office: Office, session: Session, row: ChangeRow, by: Person, text: str, *, question: bool) -> None:
    text = text.strip()
    if len(text) < 2:
        raise ValueError("write a sentence")
    number = len(talk(session, row.id)) + 1
    if number > MOST:
        raise ValueError("enough has been said; decide, or talk to each other")
    part = f"talk-{number:02d}-{'question' if question else 'answer'}"
    detail = office.keep_detail(session, row, part, {"by": by.name, "text": text[:2000]})
    kind = QUESTIONED if question else ANSWERED
    office.book(session, row.log).append(
        kind, office.now(), change=row.id, by=by.id, by_roles=sorted(by.at(row.log)), detail=detail
    )


def _waits(row: ChangeRow, what: str) -> None:
    if row.state != State.REQUESTED:
        raise NotPossible(State(row.state), what)


# --- like requests --------------------------------------------------------------------------------------------------------


def alike(session: Session, office: Office, row: ChangeRow) -> list[ChangeRow]:
    """The waiting requests of the same kind that do the same (open, warn, block), this one among them, oldest first."""
    wanted = select(ChangeRow).where(ChangeRow.log == row.log, ChangeRow.kind == row.kind, ChangeRow.state == State.REQUESTED)
    does = _does(office.diff_of(row))
    return [one for one in session.scalars(wanted.order_by(ChangeRow.id)) if _does(office.diff_of(one)) == does]


def _does(diff: changes.Diff) -> frozenset[str]:
    values = [value for side in ("add", "remove") for some in diff[side].values() for value in some]
    return frozenset(str(value.get("action", "")) for value in values)
