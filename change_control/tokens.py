"""Tokens by which scripts use the API: in the name of whoever made them, for a few purposes, until a date.

A token can ask and read, and nothing else: what is signed is signed by a person. It asks as its maker, so what a head's own
token asked for is her own request, which needs the second person. When its maker no longer holds a role, it opens nothing.
Only a digest of the secret is kept.
"""

import hashlib
import hmac
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from change_control.authority import Permission
from change_control.tables import TokenRow

SCOPES = {
    "request": Permission.REQUEST,
    "read-changes": Permission.READ_CHANGES,
    "read-status": Permission.READ_SYSTEM,
}
LONGEST = timedelta(days=366)
PREFIX = "sg"


class NoSuchToken(PermissionError):
    """The token opens nothing: unknown, expired or revoked."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it was accepted."""

    id: str
    log: str
    person: str
    label: str
    scopes: frozenset[Permission]


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def make(
    session: Session, log: str, person: str, label: str, scopes: Collection[str], expires: datetime, now: datetime
) -> str:
    """A new token's text, which is kept nowhere."""
    label = " ".join(label.split())[:60]
    if len(label) < 2:
        raise ValueError("say what the token is for, such as: the help desk's script")
    if not scopes or set(scopes) - set(SCOPES):
        raise ValueError(f"choose what it may do: {', '.join(SCOPES)}")
    if not now < expires <= now + LONGEST:
        raise ValueError("a token ends in the future, and within a year")
    number, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    session.add(
        TokenRow(
            id=number,
            secret=_hash(secret),
            log=log,
            person=person,
            label=label,
            scopes=",".join(sorted(set(scopes))),
            created=now,
            expires=expires,
            revoked=None,
            used=None,
        )
    )
    return f"{PREFIX}_{number}_{secret}"


def accepted(session: Session, text: str, now: datetime) -> Token:
    """What a token opens; NoSuchToken otherwise, in the same words whatever is wrong."""
    prefix, _, rest = text.partition("_")
    number, _, secret = rest.partition("_")
    row = session.get(TokenRow, number) if prefix == PREFIX and number else None
    good = hmac.compare_digest(row.secret if row else _hash(""), _hash(secret))
    if row is None or not good or row.revoked is not None or row.expires <= now:
        raise NoSuchToken("this token is unknown, has ended or was revoked")
    scopes = frozenset(SCOPES[scope] for scope in row.scopes.split(","))
    return Token(row.id, row.log, row.person, row.label, scopes)


def used(session: Session, number: str, now: datetime) -> None:
    session.get_one(TokenRow, number).used = now


def revoke(session: Session, log: str, number: str, now: datetime) -> None:
    """It opens nothing from now on."""
    row = session.get(TokenRow, number)
    if row is None or row.log != log or row.revoked is not None:
        raise LookupError("there is no such token here")
    row.revoked = now


def of_log(session: Session, log: str) -> list[TokenRow]:
    """A school's tokens, the newest first."""
    return list(session.scalars(select(TokenRow).where(TokenRow.log == log).order_by(TokenRow.created.desc())))
