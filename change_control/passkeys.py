"""Passkeys: the headteacher's own device signs exactly what she saw. And recovery codes, for when a phone is lost.

A passkey never leaves its device; we hold its public half. It is *signed in*: an entry in each log where she holds a role,
signed with the key that she enrolled there, says that this passkey is hers, and for which origin. To sign a change the
challenge is the digest of the act and the diff (policy/proof.py, `challenge`), so the authenticator's answer is itself the
signature that stands in the log, and anyone can check it with the log alone. To sign in, the challenge is random.
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicNumbers
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fido2.cose import ES256, CoseKey, EdDSA
from fido2.webauthn import AttestationObject
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from change_control import keys, standing
from change_control.keys import Signer
from change_control.people import Registry, WrongCredentials, new_code
from change_control.service import Person
from change_control.tables import PasskeyRow, RecoveryRow, RoleRow
from policy.proof import assertion_holds, canonical, challenge, digest

STATE_LIVES = timedelta(minutes=10)
RECOVERY_CODES = 8
NOT_GOOD = "the passkey's answer does not hold; try again"


@dataclass(frozen=True, slots=True)
class Where:
    """The one origin that passkeys of this desk are for."""

    origin: str

    @property
    def rp_id(self) -> str:
        return urlsplit(self.origin).hostname or ""


def url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unurl64(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise WrongCredentials(NOT_GOOD) from None


@dataclass(frozen=True, slots=True)
class Assertion:
    """What an authenticator answers."""

    credential: str  # base64url
    authenticator: bytes
    client: bytes
    signature: bytes

    @classmethod
    def read(cls, text: str) -> "Assertion":
        """The JSON that static/passkey.js sends."""
        try:
            found = json.loads(text)
            parts = [str(found[name]) for name in ("id", "authenticatorData", "clientDataJSON", "signature")]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise WrongCredentials(NOT_GOOD) from None
        return cls(parts[0], *(unurl64(part) for part in parts[1:]))

    @property
    def counter(self) -> int:
        return int.from_bytes(self.authenticator[33:37])

    def as_signature(self) -> dict[str, object]:
        """As an entry carries it."""
        return {
            "authenticator": keys.b64(self.authenticator),
            "client": keys.b64(self.client),
            "signature": keys.b64(self.signature),
        }


@dataclass(frozen=True, slots=True)
class PasskeySigner:
    """A person about to sign with a passkey: what she answered, held against what is to be signed."""

    person: str
    enrolled: int
    passkey: int  # the entry that signed it in
    terms: Mapping[str, object]
    answer: Assertion

    def sign(self, act: str, log: str, over: object) -> dict[str, object]:
        shown = digest(canonical(over))
        made = self.answer.as_signature()
        if not assertion_holds(self.terms, made, challenge(act, log, shown)):
            raise WrongCredentials(NOT_GOOD)
        return {
            "person": self.person,
            "enrolled": self.enrolled,
            "passkey": self.passkey,
            "act": act,
            "over": shown,
            "factor": "passkey",
            **made,
        }


@dataclass(frozen=True, slots=True)
class Passkeys:
    """The passkeys of an installation's people."""

    registry: Registry
    where: Where

    # --- states between two requests ----------------------------------------------------------------------------------

    def state(self, purpose: str) -> tuple[str, str]:
        """A random challenge (base64url), and the sealed state that comes back with the answer. Nothing is stored."""
        made = secrets.token_bytes(32)
        until = int((self.registry.office.now() + STATE_LIVES).timestamp())
        text = json.dumps({"challenge": url64(made), "until": until})
        return url64(made), keys.wrap(text.encode(), self.registry.desk_secret, f"passkey {purpose}".encode())

    def _challenge(self, state: str, purpose: str) -> bytes:
        try:
            found = json.loads(keys.unwrap(state, self.registry.desk_secret, f"passkey {purpose}".encode()))
        except ValueError:
            raise WrongCredentials("this page is too old; open it again") from None
        if found["until"] < self.registry.office.now().timestamp():
            raise WrongCredentials("this page is too old; open it again")
        return unurl64(found["challenge"])

    # --- adding and taking away ---------------------------------------------------------------------------------------

    def add(
        self, session: Session, by: Person, signers: Sequence[tuple[str, Signer]], label: str, state: str, answer: str
    ) -> None:
        """Take a new passkey in, and sign it into each log where the person holds a role (`signers`: log, opened key)."""
        terms, counter = self._registered(state, answer, by)
        if session.get(PasskeyRow, str(terms["id"])):
            raise ValueError("this passkey is known already")
        for log, signer in signers:
            signature = signer.sign("passkey", log, terms)
            self.registry.office.book(session, log).append(
                "person.passkey",
                self.registry.office.now(),
                person=by.id,
                passkey=terms,
                rests_on={"signatures": [signature]},
            )
        session.add(
            PasskeyRow(
                id=str(terms["id"]),
                person=by.id,
                label=" ".join(label.split())[:60] or "Passkey",
                terms=canonical(terms),
                counter=counter,
                created=self.registry.office.now(),
                used=None,
            )
        )

    def _registered(self, state: str, answer: str, by: Person) -> tuple[dict[str, str], int]:
        """A registration's answer, checked (WebAuthn 2, 7.1). No attestation is asked for: the person signs it in herself."""
        wanted = self._challenge(state, f"add {by.id}")
        try:
            found = json.loads(answer)
            client = unurl64(str(found["clientDataJSON"]))
            said = json.loads(client)
            held = AttestationObject(unurl64(str(found["attestationObject"]))).auth_data
            credential = held.credential_data
        except (ValueError, KeyError, TypeError, IndexError, RecursionError, AttributeError):
            raise WrongCredentials(NOT_GOOD) from None
        good = (
            credential is not None
            and said.get("type") == "webauthn.create"
            and said.get("challenge") == url64(wanted)
            and said.get("origin") == self.where.origin
            and held.rp_id_hash == hashlib.sha256(self.where.rp_id.encode()).digest()
            and held.is_user_present()
            and held.is_user_verified()
        )
        if not good or credential is None:
            raise WrongCredentials(NOT_GOOD)
        algorithm, public = _public(credential.public_key)
        terms = {
            "id": url64(credential.credential_id),
            "alg": algorithm,
            "key": keys.b64(public),
            "rp_id": self.where.rp_id,
            "origin": self.where.origin,
        }
        return terms, held.counter

    def mine(self, session: Session, person: str) -> list[PasskeyRow]:
        wanted = select(PasskeyRow).where(PasskeyRow.person == person).order_by(PasskeyRow.created)
        return list(session.scalars(wanted))

    def revoke(self, session: Session, by: Person, signers: Sequence[tuple[str, Signer]], credential: str) -> None:
        """Take a passkey away, in each log that knows it. What it signed stays signed."""
        row = session.get(PasskeyRow, credential)
        if row is None or row.person != by.id:
            raise LookupError("there is no such passkey")
        for log, signer in signers:
            book = self.registry.office.book(session, log)
            number = self._entry(session, log, credential)
            if number is None:
                continue
            terms = {"of": number}
            book.append(
                "passkey.revoked",
                self.registry.office.now(),
                person=by.id,
                revoked=terms,
                rests_on={"signatures": [signer.sign("revoke", log, terms)]},
            )
        session.delete(row)
        session.flush()

    def _entry(self, session: Session, log: str, credential: str) -> int | None:
        book = self.registry.office.book(session, log)
        gone = {int(one["revoked"]["of"]) for one in standing.entries(session, book, "passkey.revoked")}
        for entry in standing.entries(session, book, "person.passkey"):
            if entry["passkey"]["id"] == credential and entry["n"] not in gone:
                return int(entry["n"])
        return None

    # --- using --------------------------------------------------------------------------------------------------------

    def usable(self, session: Session, person: str, log: str) -> list[str]:
        """The credentials with which a person can sign in a log."""
        return [row.id for row in self.mine(session, person) if self._entry(session, log, row.id) is not None]

    def signer(self, session: Session, person: Person, log: str, answer: str) -> PasskeySigner:
        """The signed-in person's answer, ready to be held against what it signs."""
        given = Assertion.read(answer)
        row = session.get(PasskeyRow, given.credential)
        number = self._entry(session, log, given.credential)
        if row is None or row.person != person.id or number is None:
            raise WrongCredentials("this passkey is not known here; add it on the page Your sign-in")
        self._counted(row, given)
        (signature,) = self.registry.office.book(session, log).entry(number)["rests_on"]["signatures"]
        return PasskeySigner(person.id, int(signature["enrolled"]), number, json.loads(row.terms), given)

    def sign_in(self, session: Session, state: str, answer: str, *, address: str = "", agent: str = "") -> str:
        """The cookie of a new session, opened by a passkey. Her enrolled key stays shut: it opens only by her password."""
        wanted = self._challenge(state, "sign-in")
        given = Assertion.read(answer)
        row = session.get(PasskeyRow, given.credential)
        if row is None or not assertion_holds(json.loads(row.terms), given.as_signature(), wanted):
            raise WrongCredentials("this passkey is not known here")
        self.registry.once(session, row.person, f"passkey {hashlib.sha256(wanted).hexdigest()[:40]}")
        self._counted(row, given)
        return self.registry.open_session(session, row.person, None, address=address, agent=agent)

    def _counted(self, row: PasskeyRow, given: Assertion) -> None:
        """An authenticator that counts never counts backwards; one that does has been copied."""
        if (given.counter or row.counter) and given.counter <= row.counter:
            raise WrongCredentials(
                "this passkey answered out of turn; it may have been copied. Take it away and add a new one"
            )
        row.counter = given.counter
        row.used = self.registry.office.now()

    # --- recovery -----------------------------------------------------------------------------------------------------

    def recovery_codes(self, session: Session, person: str) -> list[str]:
        """New recovery codes, shown once; older ones are void."""
        session.execute(delete(RecoveryRow).where(RecoveryRow.person == person))
        codes = [new_code() for _ in range(RECOVERY_CODES)]
        session.add_all(RecoveryRow(person=person, code=_hash(code), used=None) for code in codes)
        return codes

    def one_code(self, session: Session, person: str) -> str:
        """One more recovery code, beside those that she has."""
        code = new_code()
        session.add(RecoveryRow(person=person, code=_hash(code), used=None))
        return code

    def left(self, session: Session, person: str) -> int:
        """How many recovery codes are left."""
        rows = session.scalars(select(RecoveryRow).where(RecoveryRow.person == person, RecoveryRow.used.is_(None)))
        return len(rows.all())

    def recover(self, session: Session, username: str, password: str, code: str, secret: str) -> Person:
        """A new phone: password and a recovery code put a new second factor in the place of the lost one. It is recorded."""
        row = self.registry.known(session, username, password)
        spent = session.get(RecoveryRow, (row.id, _hash(code.strip().upper()))) if row else None
        if row is None or spent is None or spent.used is not None:
            raise WrongCredentials("the user name, password or recovery code is wrong")
        spent.used = self.registry.office.now()
        row.totp = keys.wrap(secret.encode(), self.registry.desk_secret, b"totp")
        self.registry.end_sessions(session, row.id)
        for log in set(session.scalars(select(RoleRow.log).where(RoleRow.person == row.id))):
            self.registry.office.book(session, log).append("person.recovered", spent.used, person=row.id)
        return self.registry.person(session, row.id)


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()


def _public(key: CoseKey) -> tuple[str, bytes]:
    """A public key as the log holds it: which algorithm, and its plain bytes."""
    if isinstance(key, ES256):
        numbers = EllipticCurvePublicNumbers(int.from_bytes(key[-2]), int.from_bytes(key[-3]), SECP256R1())
        try:
            return "ES256", numbers.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        except ValueError:
            raise WrongCredentials(NOT_GOOD) from None
    if isinstance(key, EdDSA):
        return "EdDSA", bytes(key[-2])
    raise WrongCredentials("this passkey signs in a way that we cannot check; use another device")
