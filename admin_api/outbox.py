"""Messages that leave this machine: put into the outbox within the caller's own transaction, sent later (post.py).

So a message exists exactly when what it tells of was committed, and no page ever waits for a mail server. The same message
(kind, where to, key) is put once however often it is asked for: whoever watches something may look again and again.

A message tells, and never does: its link leads to a page of the desk, where one signs in and decides.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from change_control.tables import ContactRow, OutboxRow, RoleRow

EMAIL, WEBHOOK = "email", "webhook"
WAITING, SENT, FAILED = "waiting", "sent", "failed"
ALL_HOOKS = "*"
KEPT = timedelta(days=400)  # then the mark that something was sent goes; until then it is not sent twice
GIVEN_UP_AFTER = timedelta(days=3)
PAUSES_S = (30, 120, 600, 1800, 3600)  # between tries; the last one again and again
_LONGEST_SUBJECT, _LONGEST_TEXT = 200, 20_000
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@(?:[A-Za-z0-9][A-Za-z0-9-]{0,62}\.)+[A-Za-z][A-Za-z0-9-]{1,62}")


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be said, to whom. `key` names the occasion: the same to the same place goes out once."""

    log: str  # the school it is about, "" for the machine itself
    kind: str  # EMAIL or WEBHOOK
    to: str  # an address; for a webhook its name, or ALL_HOOKS
    subject: str  # for a webhook: what happened, such as "request.waiting"
    text: str  # plain text; for a webhook: JSON
    key: str


@dataclass(frozen=True, slots=True)
class State:
    """How the outbox stands, for pages and metrics."""

    waiting: int = 0  # tried at least once, in vain, and tried again
    failed: int = 0
    why: tuple[str, ...] = field(default=())  # the latest reasons, without doubles

    @property
    def troubled(self) -> bool:
        return bool(self.waiting or self.failed)


def address_of(text: str) -> str:
    """An e-mail address as a mail server takes it; ValueError for anything else."""
    text = text.strip()
    if len(text) > 254 or not _ADDRESS.fullmatch(text):
        raise ValueError(f"{text[:60]!r} is not an e-mail address such as head@school.example")
    return text


def event(what: str, at: datetime, data: Mapping[str, object]) -> str:
    """The JSON that a webhook gets."""
    return json.dumps({"type": what, "timestamp": at.isoformat(), "data": data}, ensure_ascii=False)


def put(session: Session, message: Message, now: datetime) -> bool:
    """Into the outbox, within the caller's transaction. False: the same is there, or was sent, already."""
    if message.kind not in {EMAIL, WEBHOOK}:
        raise ValueError(f"there is no way to send a message of kind {message.kind!r}")
    to = address_of(message.to) if message.kind == EMAIL else message.to
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    values = {
        "log": message.log,
        "kind": message.kind,
        "to": to,
        "key": message.key[:200],
        "subject": " ".join(message.subject.split())[:_LONGEST_SUBJECT],
        "text": message.text[:_LONGEST_TEXT],
        "state": WAITING,
        "made": now,
        "due": now,
        "tries": 0,
        "why": "",
    }
    adding = dialect.insert(OutboxRow).values(values).on_conflict_do_nothing(index_elements=["kind", "to", "key"])
    return session.execute(adding.returning(OutboxRow.id)).first() is not None


def put_to_roles(
    session: Session, log: str, roles: Iterable[str], subject: str, text: str, key: str, now: datetime, *, but: str = ""
) -> int:
    """One e-mail to each person who holds one of the roles at a school and gave an address (`but` one person).

    Returns how many people it is for: 0 means that nobody is told this way.
    """
    found = addresses(session, log, roles)
    found.pop(but, None)
    for to in sorted(set(found.values())):
        put(session, Message(log, EMAIL, to, subject, text, key), now)
    return len(found)


def addresses(session: Session, log: str, roles: Iterable[str]) -> dict[str, str]:
    """The e-mail addresses of those who hold one of the roles at a school, by person."""
    wanted = (
        select(ContactRow.person, ContactRow.email)
        .join(RoleRow, RoleRow.person == ContactRow.person)
        .where(RoleRow.log == log, RoleRow.role.in_(tuple(roles)))
    )
    return {row.person: row.email for row in session.execute(wanted)}


def address_at(session: Session, person: str) -> str:
    """A person's e-mail address, "" when she gave none."""
    row = session.get(ContactRow, person)
    return row.email if row else ""


def set_address(session: Session, person: str, email: str) -> None:
    """A person's e-mail address; "" takes it away."""
    if email:
        session.merge(ContactRow(person=person, email=address_of(email)))
    else:
        session.execute(delete(ContactRow).where(ContactRow.person == person))


# --- for whoever sends ----------------------------------------------------------------------------------------------------


def take(session: Session, now: datetime, limit: int = 50) -> list[OutboxRow]:
    """What is due, the oldest first. It is due again after a pause: a sender that dies on the way loses nothing, and two
    senders do not send the same.
    """
    wanted = select(OutboxRow).where(OutboxRow.state == WAITING, OutboxRow.due <= now)
    rows = list(session.scalars(wanted.order_by(OutboxRow.due, OutboxRow.id).limit(limit).with_for_update(skip_locked=True)))
    for row in rows:
        row.due = now + timedelta(seconds=PAUSES_S[min(row.tries, len(PAUSES_S) - 1)])
        row.tries += 1
    return rows


def sent(session: Session, number: int) -> None:
    row = session.get_one(OutboxRow, number)
    row.state, row.text, row.why = SENT, "", ""


def not_sent(session: Session, number: int, why: str, now: datetime, *, for_good: bool = False) -> bool:
    """It did not leave. True when that is final: what cannot be delivered, or was tried for three days."""
    row = session.get_one(OutboxRow, number)
    row.why = why[:500]
    if for_good or now - row.made >= GIVEN_UP_AFTER:
        row.state, row.text = FAILED, ""
    return row.state == FAILED


def spread(session: Session, row: OutboxRow, hooks: Iterable[str], now: datetime) -> None:
    """A message for all webhooks becomes one for each that is configured."""
    for name in hooks:
        put(session, Message(row.log, WEBHOOK, name, row.subject, row.text, row.key), now)
    sent(session, row.id)


def prune(session: Session, now: datetime) -> None:
    session.execute(delete(OutboxRow).where(OutboxRow.state != WAITING, OutboxRow.made < now - KEPT))


def state(session: Session, now: datetime) -> State:
    """What could not leave: what is tried again, and what was given up in the last 14 days."""
    waiting = (OutboxRow.state == WAITING) & (OutboxRow.why != "")
    failed = (OutboxRow.state == FAILED) & (OutboxRow.made > now - timedelta(days=14))
    count = select(func.count()).select_from(OutboxRow)
    reasons = select(OutboxRow.why).where(waiting | failed).order_by(OutboxRow.id.desc()).limit(50)
    return State(
        session.scalar(count.where(waiting)) or 0,
        session.scalar(count.where(failed)) or 0,
        tuple(dict.fromkeys(session.scalars(reasons)))[:3],
    )
