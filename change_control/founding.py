"""How a log begins: the authority's with its policy, a school's with what is usual at each age."""

from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from change_control import changes
from change_control.book import CONSOLE
from change_control.tables import LogRow
from policy.proof import digest
from policy.rules import AuthorityPolicy, SchoolPolicy, write

if TYPE_CHECKING:
    from change_control.service import Office


def found_authority(office: "Office", session: Session, document: AuthorityPolicy) -> None:
    """Begin the authority's own log with its policy."""
    _found(office, session, document, "authority")


def found_school(office: "Office", session: Session, document: SchoolPolicy) -> None:
    """Begin a school's log with what is usual at each age; from here on every change needs its headteacher."""
    force = office.book(session, office.key.authority).in_force()
    if force is None or digest(force.text) != document.authority:
        raise ValueError("a school begins with its authority's rules as they stand")
    _found(office, session, document, "school")


def _found(office: "Office", session: Session, document: AuthorityPolicy | SchoolPolicy, tier: str) -> None:
    if session.get(LogRow, document.log):
        raise ValueError(f"{document.log} is here already")
    session.add(LogRow(id=document.log, tier=tier, name=document.name, size=0, checkpoint=""))
    session.flush()
    book = office.book(session, document.log)
    text = write(document)
    n = book.append(
        "log.founded",
        office.now(),
        diff=changes.founding(document),
        by=CONSOLE,
        rests_on={"founding": True},
        policy={"digest": digest(text)},
    )
    book.keep(n, text)
