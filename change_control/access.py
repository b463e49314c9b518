"""The access log: who did or tried what at the desk, and its daily digest in the change log.

Rows are ordinary rows, which retention may delete as a whole day; while a day's rows are there, they must be those that the
digest of that day was made of.
"""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from change_control.book import Book
from change_control.tables import AccessRow, EntryRow, LogRow
from policy.proof import canonical, digest
from policy.rules import instant

KIND = "access.digest"


def write_digests(session: Session, book: Book, now: datetime) -> int:
    """Put the digest of each day that is over, and has rows, into the log's entries. Returns how many were written."""
    last = _last_digest(session, book.log)
    oldest = session.scalar(select(func.min(AccessRow.at)).where(AccessRow.log == book.log))
    if oldest is None:
        return 0
    day = date.fromisoformat(book.entry(last.n)["day"]) + timedelta(days=1) if last is not None else oldest.date()
    day = max(day, oldest.date())
    written = 0
    while day < now.astimezone(UTC).date():
        if rows := day_rows(session, book.log, day):
            book.append(KIND, now, day=day.isoformat(), rows=len(rows), access=day_digest(rows))
            written += 1
        day += timedelta(days=1)
    return written


def _last_digest(session: Session, log: str) -> EntryRow | None:
    wanted = select(EntryRow).where(EntryRow.log == log, EntryRow.kind == KIND)
    return session.scalars(wanted.order_by(EntryRow.n.desc()).limit(1)).first()


def day_rows(session: Session, log: str, day: date) -> Sequence[AccessRow]:
    """A day's rows (UTC), oldest first."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    wanted = select(AccessRow).where(AccessRow.log == log, AccessRow.at >= start, AccessRow.at < start + timedelta(days=1))
    return session.scalars(wanted.order_by(AccessRow.id)).all()


def day_digest(rows: Sequence[AccessRow]) -> str:
    return digest(
        canonical(
            [[row.id, instant(row.at), row.person, row.act, row.target, row.outcome, row.why, row.address] for row in rows]
        )
    )


def forget(session: Session, log: str, before: datetime) -> int:
    """Retention: whole days, and of a log that has entries only those whose digest is among them.

    Returns how many rows went.
    """
    day = before.astimezone(UTC).date()
    if session.get(LogRow, log) is not None:
        last = _last_digest(session, log)
        if last is None:
            return 0
        day = min(day, date.fromisoformat(json.loads(last.text)["day"]) + timedelta(days=1))
    end = datetime(day.year, day.month, day.day, tzinfo=UTC)
    gone = session.scalars(delete(AccessRow).where(AccessRow.log == log, AccessRow.at < end).returning(AccessRow.id))
    return len(gone.all())
