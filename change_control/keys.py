"""Keys: the authority's, which signs checkpoints, and each person's, which signs acts.

A person's private key is never stored bare. At rest it is sealed under her password (Argon2id, AES-256-GCM). While she is
signed in, it is wrapped under the secret in her session cookie, so that the database alone, or the box while she is away,
cannot sign for her: it takes her cookie, and for each act her second factor too.
"""

import base64
import contextlib
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from policy.live import write_aside
from policy.proof import Checkpoint, act_message, canonical, digest, signature_line

# OWASP's first choice for Argon2id: 19 MiB, two passes, one lane.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


class Locked(ValueError):
    """A key could not be opened with what was given."""


def public_of(private: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def hash_password(password: str) -> str:
    return _HASHER.hash(password)


def password_holds(hashed: str, password: str) -> bool:
    try:
        return _HASHER.verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False


def _stretch(password: str, salt: bytes) -> bytes:
    return hash_secret_raw(password.encode(), salt, time_cost=2, memory_cost=19_456, parallelism=1, hash_len=32, type=Type.ID)


def seal(private: bytes, password: str) -> str:
    """A private key under a password, as text to be stored."""
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    return b64(salt + nonce + AESGCM(_stretch(password, salt)).encrypt(nonce, private, b"seal"))


def unseal(sealed: str, password: str) -> bytes:
    """The private key that was sealed; Locked when the password is another."""
    blob = base64.b64decode(sealed)
    try:
        return AESGCM(_stretch(password, blob[:16])).decrypt(blob[16:28], blob[28:], b"seal")
    except InvalidTag:
        raise Locked("the password does not open this key") from None


def _derived(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, None, purpose).derive(secret)


def wrap(data: bytes, secret: bytes, purpose: bytes = b"session") -> str:
    """Bytes under a high-entropy secret (a session's, the desk's own)."""
    nonce = secrets.token_bytes(12)
    return b64(nonce + AESGCM(_derived(secret, purpose)).encrypt(nonce, data, purpose))


def unwrap(wrapped: str, secret: bytes, purpose: bytes = b"session") -> bytes:
    blob = base64.b64decode(wrapped)
    try:
        return AESGCM(_derived(secret, purpose)).decrypt(blob[:12], blob[12:], purpose)
    except InvalidTag:
        raise Locked("this key is not open in this session; sign in again") from None


class Signs(Protocol):
    """Someone about to sign, with whichever key."""

    @property
    def person(self) -> str: ...

    def sign(self, act: str, log: str, over: object) -> dict[str, object]: ...


@dataclass(frozen=True, slots=True)
class Signer:
    """A person about to sign: who, with which enrolment, by which factor, and the opened key."""

    person: str
    enrolled: int  # number of the enrolment entry in the log it signs in
    private: bytes
    factor: str = "password+totp"

    def sign(self, act: str, log: str, over: object) -> dict[str, object]:
        """The signature over the digest of what was shown, as an entry carries it."""
        shown = digest(canonical(over))
        signature = Ed25519PrivateKey.from_private_bytes(self.private).sign(act_message(act, log, shown))
        return {
            "person": self.person,
            "enrolled": self.enrolled,
            "act": act,
            "over": shown,
            "factor": self.factor,
            "signature": b64(signature),
        }


@dataclass(frozen=True, slots=True)
class AuthorityKey:
    """The authority's name and private key: signs checkpoints, and nothing else."""

    authority: str
    private: bytes

    @property
    def public(self) -> bytes:
        return public_of(self.private)

    def sign(self, checkpoint: Checkpoint) -> str:
        """The checkpoint as a C2SP signed note."""
        body = checkpoint.body()
        signature = Ed25519PrivateKey.from_private_bytes(self.private).sign(body.encode())
        return f"{body}\n{signature_line(self.authority, self.public, signature)}"

    @classmethod
    def create(cls, data: Path, authority: str) -> "AuthorityKey":
        """Make the key and the trust file of a new installation; FileExistsError if there is one."""
        if (data / "trust" / "authority.json").exists():
            raise FileExistsError(f"{data} is an installation already")
        key = cls(authority, Ed25519PrivateKey.generate().private_bytes_raw())
        write_secret(data / "secrets" / "authority.key", key.private)
        trust = json.dumps({"authority": authority, "public": b64(key.public)})
        write_aside(data / "trust" / "authority.json", trust.encode())
        return key

    @classmethod
    def load(cls, data: Path) -> "AuthorityKey":
        authority = json.loads((data / "trust" / "authority.json").read_text(encoding="utf-8"))["authority"]
        return cls(str(authority), read_secret(data / "secrets" / "authority.key"))


def write_secret(path: Path, secret: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    write_aside(path, b64(secret).encode(), mode=0o600)


def read_secret(path: Path) -> bytes:
    return base64.b64decode(path.read_bytes(), validate=True)


def secret_of(path: Path) -> bytes:
    """The 32 random bytes in a file, made at first use: once, even if several workers start at the same moment."""
    if not path.exists():
        aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        write_secret(aside, secrets.token_bytes(32))
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)  # unlike a rename, this never replaces what another worker has made
        aside.unlink()
    return read_secret(path)
