"""Whose signatures together are enough: the headteacher's, the second person's, the LA officer's. Read from the log."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from change_control import standing
from change_control.book import Book
from change_control.tables import ChangeRow
from policy.grounds import SECOND_ROLES, TWO_PERSON_KINDS


def enrolled(session: Session, book: Book, role: str) -> set[str]:
    """Who holds a role in a log now, by the log itself."""
    return {person for person, roles in standing.holding(session, book).items() if role in roles}


def asked_by_head(session: Session, book: Book, row: ChangeRow) -> bool:
    heads = enrolled(session, book, "la_officer" if book.tier == "authority" else "headteacher")
    return row.requested_by in heads


def both(session: Session, book: Book, row: ChangeRow, *, signatures: Sequence[Mapping[str, Any]]) -> bool:
    signed = {str(signature["person"]) for signature in signatures}
    heads = enrolled(session, book, "la_officer" if book.tier == "authority" else "headteacher") & signed
    seconds = {person for role in SECOND_ROLES for person in enrolled(session, book, role)} & signed
    first = heads & {row.requested_by} or (heads if row.kind in TWO_PERSON_KINDS else set())
    return any(seconds - {head} for head in first)


def officer_and_second(session: Session, book: Book, signatures: Sequence[Mapping[str, Any]]) -> bool:
    """The LA officer has signed, and someone else who may stand second."""
    signed = {str(signature["person"]) for signature in signatures}
    officers = enrolled(session, book, "la_officer")
    seconds = {person for role in SECOND_ROLES for person in enrolled(session, book, role)}
    return bool(signed & officers) and len(signed & seconds) > 1
