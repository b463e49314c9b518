"""People: invited by their headteacher, enrolled with a one-time code, signed in with a password and a second factor.

Each person has a key pair of her own, made when she enrols; its public half stands in the log of each school where she has a
role. A log's first people (the LA officer, the headteacher) enrol by a code from the machine's console; once a headteacher is
there, every further person needs an invitation that she signed.
"""

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

import pyotp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from change_control import keys, standing
from change_control.authority import ROLES, NotAllowed, Permission, require
from change_control.book import Book
from change_control.keys import Signer
from change_control.lifecycle import State
from change_control.quorum import enrolled
from change_control.service import HEAD, Office, Person
from change_control.tables import ChangeRow, InviteRow, PersonRow, RoleRow, SessionRow, UsedCodeRow

CODE_LIVES = timedelta(days=7)
SESSION_IDLE = timedelta(hours=1)
SESSION_LONGEST = timedelta(hours=12)
SHORTEST_PASSWORD = 10
SIGN_IN = "sign-in"
ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # nothing that reads like something else


class WrongCredentials(PermissionError):
    """Name, password or code are wrong; which one is not said."""


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def new_code() -> str:
    """A one-time enrolment code such as K7F2-9QXM-3DPL (60 bits)."""
    letters = [secrets.choice(ALPHABET) for _ in range(12)]
    return "-".join("".join(letters[start : start + 4]) for start in (0, 4, 8))


@dataclass(frozen=True, slots=True)
class Registry:
    """The people of an installation. `desk_secret` wraps what only the desk may read (TOTP secrets)."""

    office: Office
    desk_secret: bytes

    # --- invitations and enrolment ------------------------------------------------------------------------------------

    def invite(
        self,
        session: Session,
        log: str,
        name: str,
        roles: Sequence[str],
        *,
        by: Person | None,
        sign: Callable[[object], Mapping[str, object]] | None = None,
    ) -> str:
        """A one-time code for a person to enrol with these roles. `by` None: the console, before there is a head."""
        if by is not None:
            if sign is None:
                raise NotAllowed("an invitation needs a signature")
            return self.invite_on(session, log, name, self.invite_terms(session, log, roles, by), by, sign)
        book = self.office.book(session, log)
        if self._invitable(session, book, roles):
            head = _head(book).replace("_", " ")
            raise NotAllowed(f"{book.row.name} has its {head}, who invites everyone else from the desk")
        return self._code(session, log, name, roles, None)

    def invite_terms(self, session: Session, log: str, roles: Sequence[str], by: Person) -> standing.Terms:
        """What an invitation would say. No name: that stands in the desk's own table, and can be deleted."""
        book = self.office.book(session, log)
        require(by.at(log), Permission.INVITE, tier=book.tier)
        self._invitable(session, book, roles)
        return {"invitee": secrets.token_hex(8), "roles": sorted(roles)}

    def invite_on(self, session: Session, log: str, name: str, terms: standing.Terms, by: Person, sign: standing.Sign) -> str:
        """The code for an invitation in these terms, once they are signed."""
        self._invitable(session, self.office.book(session, log), terms["roles"])
        entry = standing.write(self.office, session, log, by, "invite", terms, sign)
        return self._code(session, log, name, terms["roles"], entry)

    def _invitable(self, session: Session, book: Book, roles: Sequence[str]) -> bool:
        """Whether there is a head already. ValueError or NotAllowed when nobody can be invited to these roles."""
        unknown = set(roles) - set(ROLES)
        if unknown or not roles:
            raise ValueError(f"there is no role {', '.join(sorted(unknown)) or 'given'}; there are: {', '.join(ROLES)}")
        head = _head(book)
        has_head = bool(enrolled(session, book, head))
        if head in roles and has_head:
            raise NotAllowed(
                f"{book.row.name} has its {head.replace('_', ' ')} already; to replace her takes the signatures of the LA "
                "officer and of a second person: ask for it at the desk"
            )
        return has_head

    def _code(self, session: Session, log: str, name: str, roles: Sequence[str], entry: int | None) -> str:
        code = new_code()
        session.add(
            InviteRow(
                code=_hash(code),
                log=log,
                name=name.strip()[:200],
                roles=",".join(sorted(roles)),
                entry=entry,
                expires=self.office.now() + CODE_LIVES,
                used=None,
            )
        )
        return code

    def invite_head(self, session: Session, row: ChangeRow, name: str, by: Person) -> str:
        """The code for the new headteacher, once her coming is signed; a new code makes an older one void."""
        require(by.at(row.log), Permission.REPLACE_HEAD)
        if row.kind != HEAD or row.state != State.IN_FORCE or row.entry is None:
            raise NotAllowed("the LA officer and a second person sign first")
        if any(
            entry["rests_on"].get("invited") == row.entry
            for entry in standing.entries(session, self.office.book(session, row.log), "person.enrolled")
        ):
            raise NotAllowed("she has enrolled already")
        older = select(InviteRow).where(InviteRow.log == row.log, InviteRow.entry == row.entry, InviteRow.used.is_(None))
        for invite in session.scalars(older).all():
            session.delete(invite)
        session.flush()
        return self._code(session, row.log, name, ["headteacher"], row.entry)

    def invitation(self, session: Session, code: str) -> InviteRow:
        """The invitation that a code stands for; WrongCredentials when it is unknown, used or too old."""
        row = session.get(InviteRow, _hash(code.strip().upper()))
        if row is None or row.used is not None or row.expires <= self.office.now():
            raise WrongCredentials("this code is not valid (any more); ask for a new one")
        return row

    def enrol(self, session: Session, code: str, username: str, password: str, totp_secret: str) -> Person:
        """Use up a code: make the person (or add roles to one who has an account) and write the enrolment into the log."""
        invitation = self.invitation(session, code)
        username = username.strip().lower()
        if not 2 <= len(username) <= 100 or not username.isprintable():
            raise ValueError("a user name has 2 to 100 letters")
        row = session.scalar(select(PersonRow).where(PersonRow.username == username))
        if row is None:
            row = self._new_person(session, invitation.name, username, password, totp_secret)
        elif not keys.password_holds(row.password, password):
            raise WrongCredentials("that user name is taken; if it is yours, give its password")
        self._enter(session, invitation, row)
        invitation.used = self.office.now()
        return self.person(session, row.id)

    def _new_person(self, session: Session, name: str, username: str, password: str, totp_secret: str) -> PersonRow:
        if len(password) < SHORTEST_PASSWORD:
            raise ValueError(f"a password has at least {SHORTEST_PASSWORD} characters; three random words do well")
        private = Ed25519PrivateKey.generate().private_bytes_raw()
        row = PersonRow(
            id=f"p-{secrets.token_hex(6)}",
            name=name,
            username=username,
            password=keys.hash_password(password),
            totp=keys.wrap(totp_secret.encode(), self.desk_secret, b"totp"),
            public=keys.b64(keys.public_of(private)),
            sealed=keys.seal(private, password),
        )
        session.add(row)
        session.flush()
        return row

    def _enter(self, session: Session, invitation: InviteRow, row: PersonRow) -> None:
        book = self.office.book(session, invitation.log)
        roles = invitation.roles.split(",")
        replaces = invitation.entry is not None and book.entry(invitation.entry)["kind"] == "change.approved"
        if _head(book) in roles and not replaces and enrolled(session, book, _head(book)):
            raise NotAllowed(f"{book.row.name} has its {_head(book).replace('_', ' ')} already")
        if invitation.entry is None and enrolled(session, book, _head(book)):
            raise NotAllowed(
                f"this code was made before {book.row.name} had its {_head(book).replace('_', ' ')}, who invites everyone now"
            )
        rests_on: dict[str, object]
        rests_on = {"code": invitation.code} if invitation.entry is None else {"invited": invitation.entry}
        if replaces:
            rests_on["replaces"] = True
            gone = select(RoleRow.enrolled).where(RoleRow.log == book.log, RoleRow.role == "headteacher")
            ended = list(session.scalars(gone))  # her other roles were given by the same enrolment, and end with it
            session.execute(delete(RoleRow).where(RoleRow.log == book.log, RoleRow.enrolled.in_(ended)))
        n = book.append("person.enrolled", self.office.now(), person=row.id, roles=roles, key=row.public, rests_on=rests_on)
        for role in roles:
            session.merge(RoleRow(person=row.id, log=invitation.log, role=role, enrolled=n))
        session.flush()

    # --- signing in ---------------------------------------------------------------------------------------------------

    def person(self, session: Session, person_id: str) -> Person:
        row = session.get(PersonRow, person_id)
        if row is None:
            raise LookupError("there is no such person")
        roles: dict[str, frozenset[str]] = {}
        for role in session.scalars(select(RoleRow).where(RoleRow.person == person_id)):
            roles[role.log] = roles.get(role.log, frozenset()) | {role.role}
        return Person(row.id, row.name, roles)

    def sign_in(
        self, session: Session, username: str, password: str, code: str | None, *, address: str = "", agent: str = ""
    ) -> str:
        """The cookie of a new session; WrongCredentials otherwise. Takes as long for a name that is not there.

        `code` None is for the box itself, when it founds its demonstration; the desk always gives one.
        """
        row = session.scalar(select(PersonRow).where(PersonRow.username == username.strip().lower()))
        if row is None:
            keys.password_holds(_nobody(), password)
            raise WrongCredentials("the user name, password or code is wrong")
        if not keys.password_holds(row.password, password):
            raise WrongCredentials("the user name, password or code is wrong")
        if code is not None:
            self._check_code_at_door(session, row.id, code, address)
        return self.open_session(session, row.id, keys.unseal(row.sealed, password), address=address, agent=agent)

    def open_session(
        self, session: Session, person: str, private: bytes | None, *, address: str = "", agent: str = ""
    ) -> str:
        """The cookie of a new session; `private` is the opened key, None when no password opened it."""
        cookie = secrets.token_urlsafe(32)
        now = self.office.now()
        session.add(
            SessionRow(
                id=_hash(cookie),
                person=person,
                wrapped=keys.wrap(private, cookie.encode()) if private else "",
                created=now,
                seen=now,
                address=address[:200],
                agent=agent[:200],
            )
        )
        return cookie

    def known(self, session: Session, username: str, password: str) -> PersonRow | None:
        """The account that a name and password open; takes as long when there is none."""
        row = session.scalar(select(PersonRow).where(PersonRow.username == username.strip().lower()))
        holds = keys.password_holds(row.password if row else _nobody(), password)
        return row if holds else None

    def once(self, session: Session, person: str, purpose: str) -> None:
        """What may happen once."""
        step = int(self.office.now().timestamp()) // 30
        if session.scalar(select(UsedCodeRow.step).where(UsedCodeRow.person == person, UsedCodeRow.purpose == purpose)):
            raise WrongCredentials("this has been used already; open the page again")
        session.add(UsedCodeRow(person=person, step=step, purpose=purpose))

    def sessions(self, session: Session, person: str) -> list[SessionRow]:
        """A person's open sessions, the latest first."""
        now = self.office.now()
        rows = session.scalars(select(SessionRow).where(SessionRow.person == person).order_by(SessionRow.seen.desc()))
        return [row for row in rows if now - row.seen <= SESSION_IDLE and now - row.created <= SESSION_LONGEST]

    def end_sessions(self, session: Session, person: str, *, only: str = "", keep: str = "") -> None:
        """End a person's sessions: one (`only` its id), or all but that of a cookie (`keep`)."""
        gone = delete(SessionRow).where(SessionRow.person == person)
        session.execute(gone.where(SessionRow.id == only) if only else gone.where(SessionRow.id != _hash(keep)))

    def is_mine(self, row: SessionRow, cookie: str) -> bool:
        return row.id == _hash(cookie)

    def check_code(self, session: Session, person_id: str, code: str, purpose: str) -> None:
        """The second factor for one purpose. A code holds for a minute around its time, and once for each purpose."""
        step = self._step(session, person_id, code)
        if session.get(UsedCodeRow, (person_id, step, purpose)):
            raise WrongCredentials("this code has been used; wait for the next one")
        self._used(session, person_id, step, purpose)

    def _check_code_at_door(self, session: Session, person_id: str, code: str, address: str) -> None:
        """Signing in: a code seen over someone's shoulder is of no use at another device, while the same one may sign in
        again (a second window, a phone that lost its page) without waiting for the next code.
        """
        step = self._step(session, person_id, code)
        mine = f"{SIGN_IN} {address}"[:200]
        used = select(UsedCodeRow.purpose).where(
            UsedCodeRow.person == person_id, UsedCodeRow.step == step, UsedCodeRow.purpose.startswith(f"{SIGN_IN} ")
        )
        before = session.scalars(used).first()
        if before is None:
            self._used(session, person_id, step, mine)
        elif before != mine:
            raise WrongCredentials("this code has been used; wait for the next one")

    def _step(self, session: Session, person_id: str, code: str) -> int:
        """The time step that a code is of (RFC 6238), one either way allowed for clocks that differ."""
        row = session.get(PersonRow, person_id)
        if row is None:
            raise WrongCredentials("the code is wrong")
        totp = pyotp.TOTP(keys.unwrap(row.totp, self.desk_secret, b"totp").decode())
        now = self.office.now()
        digits = "".join(code.split()).encode()
        for drift in (0, -1, 1):
            step = totp.timecode(now) + drift
            if secrets.compare_digest(totp.generate_otp(step).encode(), digits):
                return step
        raise WrongCredentials("the code is wrong; codes change every 30 seconds")

    def _used(self, session: Session, person_id: str, step: int, purpose: str) -> None:
        session.execute(delete(UsedCodeRow).where(UsedCodeRow.person == person_id, UsedCodeRow.step < step - 10))
        session.add(UsedCodeRow(person=person_id, step=step, purpose=purpose))

    def signed_in(self, session: Session, cookie: str) -> Person | None:
        """Who a session cookie belongs to; None when there is no such session, or it is over."""
        row = self._session(session, cookie)
        return self.person(session, row.person) if row else None

    def _session(self, session: Session, cookie: str) -> SessionRow | None:
        row = session.get(SessionRow, _hash(cookie)) if cookie else None
        now = self.office.now()
        if row is None or now - row.seen > SESSION_IDLE or now - row.created > SESSION_LONGEST:
            return None
        return row

    def touch(self, session: Session, cookie: str) -> None:
        """Note that a session is in use."""
        if row := session.get(SessionRow, _hash(cookie)):
            row.seen = self.office.now()

    def sign_out(self, session: Session, cookie: str) -> None:
        if row := session.get(SessionRow, _hash(cookie)):
            session.delete(row)

    def signer(self, session: Session, cookie: str, log: str) -> Signer:
        """The signed-in person's opened key, for one act in one log; NotAllowed when she has no role there."""
        row = self._session(session, cookie)  # a session that is over opens no key
        if row is None:
            raise WrongCredentials("sign in first")
        numbers = session.scalars(
            select(RoleRow.enrolled).where(RoleRow.person == row.person, RoleRow.log == log).order_by(RoleRow.enrolled.desc())
        )
        # She may have enrolled here twice, with other roles each time: the enrolment that carries most is used.
        heads = list(numbers)
        if not heads:
            raise NotAllowed("you have no role at this school")
        book = self.office.book(session, log)
        best = max(heads, key=lambda n: (_head(book) in book.entry(n)["roles"], n))
        if not row.wrapped:
            raise keys.Locked("you signed in with a passkey; to sign with a code, sign in with your password")
        return Signer(row.person, best, keys.unwrap(row.wrapped, cookie.encode()))

    def purge_sessions(self, session: Session) -> None:
        """Forget sessions that are over."""
        longest: datetime = self.office.now() - SESSION_LONGEST
        session.execute(delete(SessionRow).where(SessionRow.created < longest))


def _head(book: Book) -> str:
    return "la_officer" if book.tier == "authority" else "headteacher"


@cache
def _nobody() -> str:
    """A hash to compare with when there is no such person, so that the answer takes as long."""
    return keys.hash_password(secrets.token_urlsafe(16))
