"""The tables of change control. Nothing here is trusted by itself: what decides is authenticated by the ledger."""

from datetime import UTC, datetime

from sqlalchemy import (
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Instant(TypeDecorator[datetime]):
    """An aware datetime, stored in UTC without a zone so that SQLite and PostgreSQL hold the same."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        return value.astimezone(UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        return value.replace(tzinfo=UTC) if value else None


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {str: String(200), datetime: Instant, bytes: LargeBinary}  # noqa: RUF012 - SQLAlchemy's way


class LogRow(Base):
    """One change log: a school's, or the authority's."""

    __tablename__ = "logs"
    id: Mapped[str] = mapped_column(primary_key=True)
    tier: Mapped[str]  # "school" or "authority"
    name: Mapped[str]
    size: Mapped[int] = mapped_column(default=0)
    checkpoint: Mapped[str] = mapped_column(Text, default="")  # signed note over `size` entries


class EntryRow(Base):
    """One entry, as its canonical text. `kind` and `change` repeat what the text says, to search by."""

    __tablename__ = "entries"
    log: Mapped[str] = mapped_column(ForeignKey("logs.id"), primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(index=True)
    change: Mapped[int | None] = mapped_column(index=True)
    policy: Mapped[bool] = mapped_column(default=False)  # it put another policy in force
    at: Mapped[datetime]
    text: Mapped[str] = mapped_column(Text)


class NodeRow(Base):
    """A complete subtree of a log's Merkle tree (see ledger.py)."""

    __tablename__ = "nodes"
    log: Mapped[str] = mapped_column(ForeignKey("logs.id"), primary_key=True)
    level: Mapped[int] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    hash: Mapped[bytes]


class DocumentRow(Base):
    """A policy document as an entry put it in force."""

    __tablename__ = "documents"
    log: Mapped[str] = mapped_column(ForeignKey("logs.id"), primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(Text)


class ChangeRow(Base):
    """A change, from request to its end."""

    __tablename__ = "changes"
    __table_args__ = (Index("ix_changes_log_state", "log", "state"), UniqueConstraint("reference"))
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    log: Mapped[str] = mapped_column(ForeignKey("logs.id"))
    kind: Mapped[str]
    state: Mapped[str] = mapped_column(index=True)
    diff: Mapped[str] = mapped_column(Text, default="{}")
    requested_by: Mapped[str]  # a person's id, or "block-page", "filter" or "console"
    requested_at: Mapped[datetime]
    source: Mapped[str]  # "desk", "block-page", "filter" or "console"
    reference: Mapped[str | None]  # what a pupil was told, unique: the same request never counts twice
    group: Mapped[str] = mapped_column(default="")
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None] = mapped_column(index=True)
    entry: Mapped[int | None]  # the entry that put it in force
    reverses: Mapped[int | None]  # the change that it takes back
    ratify_by: Mapped[datetime | None]
    until: Mapped[datetime | None]


class DetailRow(Base):
    """What a change's entries point to by salted digest: names and words. Deleting it breaks no proof."""

    __tablename__ = "details"
    change: Mapped[int] = mapped_column(ForeignKey("changes.id"), primary_key=True)
    part: Mapped[str] = mapped_column(primary_key=True)  # "request", "refusal", ...
    salt: Mapped[str]
    text: Mapped[str] = mapped_column(Text)  # canonical JSON


class SignatureRow(Base):
    """A signature given to a change that waits for another one."""

    __tablename__ = "signatures"
    change: Mapped[int] = mapped_column(ForeignKey("changes.id"), primary_key=True)
    person: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    text: Mapped[str] = mapped_column(Text)


class PersonRow(Base):
    """A person who signs in at the desk."""

    __tablename__ = "people"
    id: Mapped[str] = mapped_column(primary_key=True)  # a pseudonym; the only thing of a person that entries hold
    name: Mapped[str]
    username: Mapped[str] = mapped_column(unique=True)
    password: Mapped[str]
    totp: Mapped[str] = mapped_column(Text)  # wrapped under the desk's key
    public: Mapped[str]
    sealed: Mapped[str] = mapped_column(Text)  # the private key under the password


class ContactRow(Base):
    """Where a person is told by e-mail. It only tells: nobody signs in, approves or recovers anything by e-mail."""

    __tablename__ = "contacts"
    person: Mapped[str] = mapped_column(ForeignKey("people.id"), primary_key=True)
    email: Mapped[str] = mapped_column(String(254))


class OutboxRow(Base):
    """A message that is to leave, or has left, this machine (admin_api/outbox.py)."""

    __tablename__ = "outbox"
    __table_args__ = (UniqueConstraint("kind", "to", "key"), Index("ix_outbox_state_due", "state", "due"))
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    log: Mapped[str]  # the school it is about, "" for the machine itself
    kind: Mapped[str]  # "email" or "webhook"
    to: Mapped[str] = mapped_column(String(254))  # an address, or the name of a webhook; "*" for all webhooks
    key: Mapped[str]  # the same message to the same place is put once
    subject: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)  # emptied once it has left, or was given up
    state: Mapped[str]  # "waiting", "sent" or "failed"
    made: Mapped[datetime]
    due: Mapped[datetime]  # when it is tried next
    tries: Mapped[int] = mapped_column(default=0)
    why: Mapped[str] = mapped_column(Text, default="")  # what went wrong at the last try


class TokenRow(Base):
    """A token by which a script uses the API (tokens.py)."""

    __tablename__ = "tokens"
    id: Mapped[str] = mapped_column(primary_key=True)
    secret: Mapped[str]  # hex SHA-256
    log: Mapped[str] = mapped_column(ForeignKey("logs.id"), index=True)
    person: Mapped[str] = mapped_column(ForeignKey("people.id"))  # in whose name
    label: Mapped[str]
    scopes: Mapped[str]  # comma-separated
    created: Mapped[datetime]
    expires: Mapped[datetime]
    revoked: Mapped[datetime | None]
    used: Mapped[datetime | None]


class RoleRow(Base):
    """A role that a person holds at a school, and the entry of that school's log that says so."""

    __tablename__ = "roles"
    person: Mapped[str] = mapped_column(ForeignKey("people.id"), primary_key=True)
    log: Mapped[str] = mapped_column(ForeignKey("logs.id"), primary_key=True)
    role: Mapped[str] = mapped_column(primary_key=True)
    enrolled: Mapped[int]


class InviteRow(Base):
    """A one-time code by which someone enrols."""

    __tablename__ = "invites"
    code: Mapped[str] = mapped_column(primary_key=True)  # hex SHA-256 of the code
    log: Mapped[str] = mapped_column(ForeignKey("logs.id"))
    name: Mapped[str]
    roles: Mapped[str]  # comma-separated
    entry: Mapped[int | None]  # the head's invitation; none for a log's first people
    expires: Mapped[datetime]
    used: Mapped[datetime | None]


class SessionRow(Base):
    """A signed-in browser."""

    __tablename__ = "sessions"
    id: Mapped[str] = mapped_column(primary_key=True)  # hex SHA-256 of the cookie
    person: Mapped[str] = mapped_column(ForeignKey("people.id"), index=True)
    wrapped: Mapped[str] = mapped_column(Text)  # the private key under the cookie's secret
    created: Mapped[datetime]
    seen: Mapped[datetime]
    address: Mapped[str]
    agent: Mapped[str]


class PasskeyRow(Base):
    """A passkey of a person; the log of each school where she signs with it says so too, and that is what counts."""

    __tablename__ = "passkeys"
    id: Mapped[str] = mapped_column(String(1400), primary_key=True)  # the credential's id, base64url
    person: Mapped[str] = mapped_column(ForeignKey("people.id"), index=True)
    label: Mapped[str]
    terms: Mapped[str] = mapped_column(Text)  # canonical JSON: id, alg, key, rp_id, origin
    counter: Mapped[int] = mapped_column(default=0)
    created: Mapped[datetime]
    used: Mapped[datetime | None]


class RecoveryRow(Base):
    """A recovery code: in the place of the second factor, once."""

    __tablename__ = "recovery_codes"
    person: Mapped[str] = mapped_column(ForeignKey("people.id"), primary_key=True)
    code: Mapped[str] = mapped_column(primary_key=True)  # hex SHA-256 of the code
    used: Mapped[datetime | None]


class SsoRow(Base):
    """An account at the school's identity provider that its owner linked to her own here."""

    __tablename__ = "sso_links"
    issuer: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(String(255), primary_key=True)
    person: Mapped[str] = mapped_column(ForeignKey("people.id"), index=True)
    label: Mapped[str]
    created: Mapped[datetime]


class GuestRow(Base):
    """A code with which guests sign in at the portal."""

    __tablename__ = "guest_codes"
    id: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(unique=True)  # keyed; the code itself is kept nowhere
    log: Mapped[str] = mapped_column(ForeignKey("logs.id"), index=True)
    label: Mapped[str]  # for whom
    group: Mapped[str]  # whose rules hold for them, where a signed rule says so; none: their network's
    devices: Mapped[int]  # so many at a time
    starts: Mapped[datetime]
    ends: Mapped[datetime]
    person: Mapped[str] = mapped_column(ForeignKey("people.id"))  # who issued it
    created: Mapped[datetime]
    revoked: Mapped[datetime | None]


class UsedCodeRow(Base):
    """A second-factor code that was accepted, so that the same code does not count twice for the same thing."""

    __tablename__ = "used_codes"
    person: Mapped[str] = mapped_column(ForeignKey("people.id"), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    purpose: Mapped[str] = mapped_column(primary_key=True)


class AccessRow(Base):
    """Who did or tried what at the desk."""

    __tablename__ = "access_log"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(index=True)
    log: Mapped[str] = mapped_column(default="")
    person: Mapped[str] = mapped_column(default="")
    act: Mapped[str]
    target: Mapped[str] = mapped_column(default="")
    outcome: Mapped[str]  # "done" or "refused"
    why: Mapped[str] = mapped_column(default="")
    address: Mapped[str] = mapped_column(default="")
