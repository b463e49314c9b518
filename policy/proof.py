"""What ties a policy document to a headteacher's signature, checked by every worker before it obeys.

The theory. Every school has an append-only log of entries (the change log). Its Merkle tree is RFC 6962's: a leaf is
SHA-256(0x00 || entry), a node SHA-256(0x01 || left || right). A *checkpoint* is the tree's size and root, signed by the
authority's key in the C2SP signed-note and tlog-checkpoint form. A published document carries a *proof*: a checkpoint, and
with an inclusion proof each, the entry that brought the document about and the entries it rests on (who was enrolled with
which key, which mandate was signed). So a worker needs one thing to begin with, the authority's public key, and can tell:
this document is what that entry says (digest), that entry stands in the log (inclusion), the headteacher signed exactly its
difference (with the Ed25519 key she enrolled, or with a passkey that this key signed in, over the digest of the diff), or
signed earlier the mandate or the delegation that it rests on. Whether the document is *all* that the log amounts to, and
whether a mandate, a delegation, a passkey or a role had ended by then, no worker can see from a few entries: that is what the
full replay, `schoolgate changes verify`, tells. What must be signed by whom for which entry: `grounds.py`.

Pure: bytes and texts come in, an answer or a `ProofRefused` goes out.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256


class ProofRefused(ValueError):
    """The proof does not hold; the message says which part."""


# No check for values that hold themselves: what is read from a text cannot, and `_plain` would not end on one either.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False)


def canonical(value: object) -> str:
    """RFC 8785 (JCS) for what we use: ASCII keys, no floats. Equal values give equal bytes."""
    return _ENCODER.encode(_plain(value))


def _plain(value: object) -> object:
    """In the order of how often each is met; an abstract Mapping takes long to tell."""
    if isinstance(value, str):
        if not value.isascii():
            value.encode()  # a lone surrogate has no UTF-8 and so no digest
        return value
    if isinstance(value, dict) or (not isinstance(value, list | tuple | int) and isinstance(value, Mapping)):
        if not all(isinstance(key, str) and key.isascii() for key in value):
            raise ValueError("canonical JSON has ASCII names only")
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        raise TypeError("canonical JSON here has no floats")
    return value


def canonical_part(value: object) -> str:
    """`canonical` for a part of an entry that `parse_entry` has read: names and numbers have been looked at there."""
    return _ENCODER.encode(value)


def digest(text: str) -> str:
    """Hex SHA-256 of a canonical text."""
    return hashlib.sha256(text.encode()).hexdigest()


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_from_inclusion(index: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes:
    """The root that an inclusion proof leads to (RFC 9162, 2.1.3.2). ProofRefused when its shape is wrong."""
    if not 0 <= index < size:
        raise ProofRefused(f"entry {index} cannot stand in a log of {size}")
    node, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise ProofRefused("the inclusion proof is too long")
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise ProofRefused("the inclusion proof is too short")
    return found


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree's size and root under the name of its log."""

    origin: str
    size: int
    root: bytes

    def body(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def origin(authority: str, log: str) -> str:
    return f"schoolgate/{authority}/{log}"


def key_id(name: str, public: bytes) -> bytes:
    """The four bytes by which a signed note names its Ed25519 key (C2SP signed-note)."""
    return hashlib.sha256(f"{name}\n".encode() + b"\x01" + public).digest()[:4]


def signature_line(name: str, public: bytes, signature: bytes) -> str:
    return f"— {name} {base64.b64encode(key_id(name, public) + signature).decode()}\n"


def read_checkpoint(note: str, name: str, public: bytes) -> Checkpoint:
    """The checkpoint of a signed note whose signature by `name` holds under `public` (32 bytes)."""
    body, gap, signatures = note.partition("\n\n")
    lines = body.split("\n")
    if not gap or len(lines) < 3 or not lines[1].isascii() or not lines[1].isdigit():
        raise ProofRefused("the checkpoint is not a signed note")
    for line in signatures.splitlines():
        mark, _, rest = line.partition(" ")
        signer, _, encoded = rest.partition(" ")
        if mark != "—" or signer != name:
            continue
        blob = decoded(encoded)
        if blob[:4] == key_id(name, public) and verified(public, blob[4:], f"{body}\n".encode()):
            root = decoded(lines[2])
            if len(root) != 32:
                raise ProofRefused("the checkpoint's root is not a SHA-256")
            return Checkpoint(lines[0], int(lines[1]), root)
    raise ProofRefused(f"the checkpoint does not carry a good signature by {name}")


class Claim(NamedTuple):
    """That a signature over a message holds under a public key, in one of the two ways that are known here."""

    algorithm: str  # EdDSA (Ed25519), or ES256 (a passkey's P-256)
    public: bytes
    signature: bytes
    message: bytes


type Holds = Callable[[Claim], bool]


@lru_cache(maxsize=1024)  # one mandate, delegation or passkey is looked at again by each entry that rests on it
def signature_holds(claim: Claim) -> bool:
    """The arithmetic of a signature."""
    algorithm, public, signature, message = claim
    try:
        if algorithm == "EdDSA":
            _key(public).verify(signature, message)
        elif algorithm == "ES256":
            _point(public).verify(signature, message, ECDSA(SHA256()))
        else:
            return False
    except (InvalidSignature, ValueError):
        return False
    return True


def verified(public: bytes, signature: bytes, message: bytes) -> bool:
    """Does an Ed25519 signature hold?"""
    return signature_holds(Claim("EdDSA", public, signature, message))


@lru_cache(maxsize=256)
def _key(public: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(public)


@lru_cache(maxsize=256)
def _point(public: bytes) -> EllipticCurvePublicKey:
    return EllipticCurvePublicKey.from_encoded_point(SECP256R1(), public)


def decoded(text: str) -> bytes:
    """The bytes of a text in base64; ProofRefused when it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ProofRefused("something that should be base64 is not") from None


def act_message(act: str, log: str, over: str) -> bytes:
    """What a person signs: the act, the log it stands in and the digest of what she was shown, and nothing else."""
    return _ENCODER.encode({"act": act, "log": log, "over": over}).encode()


Entry = Mapping[str, Any]  # an entry of a log after json.loads; every field is checked where it is read


def parse_entry(leaf: str) -> Entry:
    try:
        entry = _DECODER.decode(leaf)
    except (ValueError, RecursionError):
        raise ProofRefused("an entry of the log is not JSON") from None
    # A text of ASCII alone has ASCII names alone, and needs no walk through its values: a million entries are read this way.
    same = _ENCODER.encode(entry) == leaf if leaf.isascii() else isinstance(entry, dict) and canonical(entry) == leaf
    if not isinstance(entry, dict) or not same:
        raise ProofRefused("an entry of the log is not in canonical form")
    return entry


def _no_float(text: str) -> float:
    raise ProofRefused(f"canonical JSON here has no floats, and {text[:20]} is one")


_DECODER = json.JSONDecoder(parse_float=_no_float)


def challenge(act: str, log: str, over: str) -> bytes:
    """What a passkey is asked to sign: the SHA-256 of the act's message, and so of exactly what was shown."""
    return hashlib.sha256(act_message(act, log, over)).digest()


PRESENT, VERIFIED = 0x01, 0x04  # authenticator flags: someone was there, and it was she (fingerprint, face, PIN)


def assertion_holds(
    passkey: Mapping[str, Any], signature: Mapping[str, Any], wanted: bytes, holds: Holds = signature_holds
) -> bool:
    """Did this passkey, with its user verified, answer this challenge on the desk's own page? (WebAuthn 2, 7.2)"""
    authenticator, client = decoded(str(signature.get("authenticator"))), decoded(str(signature.get("client")))
    try:
        said = json.loads(client)
    except ValueError:
        return False
    if not isinstance(said, dict) or len(authenticator) < 37:
        return False
    flags = authenticator[32]
    return (
        said.get("type") == "webauthn.get"
        and said.get("challenge") == base64.urlsafe_b64encode(wanted).decode().rstrip("=")
        and said.get("origin") == passkey["origin"]
        and said.get("crossOrigin") in {None, False}
        and authenticator[:32] == hashlib.sha256(str(passkey["rp_id"]).encode()).digest()
        and bool(flags & PRESENT)
        and bool(flags & VERIFIED)
        and holds(
            Claim(
                str(passkey["alg"]),
                decoded(str(passkey["key"])),
                decoded(str(signature.get("signature"))),
                authenticator + hashlib.sha256(client).digest(),
            )
        )
    )


SIGNED_AS = {  # what a signature in an entry of each kind was given for: one given for another act does not count
    "change.approved": "approve",
    "change.reversed": "reverse",
    "change.ratified": "ratify",
    "change.mandated": "enforce",
    "delegation.signed": "delegate",
    "delegation.revoked": "revoke",
    "mandate.revoked": "revoke",
    "person.released": "release",
    "person.passkey": "passkey",
    "passkey.revoked": "revoke",
    "mandate.signed": "mandate",
    "person.invited": "invite",
    "recovery.named": "name helpers",
    "recovery.agreed": "help back in",
}


def signed_by(
    entry: Entry,
    signature: Mapping[str, Any],
    over: str,
    enrolled: Entry,
    passkey: Entry | None = None,
    holds: Holds = signature_holds,
) -> bool:
    """Did the person enrolled in `enrolled` sign this very thing for this log, with her key or with her `passkey`?"""
    if not (
        enrolled.get("kind") == "person.enrolled"
        and signature.get("act") == SIGNED_AS.get(str(entry.get("kind")))
        and enrolled.get("log") == entry.get("log")
        and enrolled.get("person") == signature.get("person")
        and signature.get("over") == over
    ):
        return False
    act, log = str(signature.get("act")), str(entry.get("log"))
    if "passkey" in signature:
        return (
            passkey is not None
            and _is_hers(passkey, enrolled, holds)
            and assertion_holds(passkey["passkey"], signature, challenge(act, log, over), holds)
        )
    public, given = decoded(str(enrolled.get("key"))), decoded(str(signature.get("signature")))
    return holds(Claim("EdDSA", public, given, act_message(act, log, over)))


def _is_hers(passkey: Entry, enrolled: Entry, holds: Holds) -> bool:
    """A passkey counts because the person's enrolled key signed it in."""
    terms = passkey.get("passkey")
    signatures: Sequence[Mapping[str, Any]] = (passkey.get("rests_on") or {}).get("signatures") or []
    return (
        passkey.get("kind") == "person.passkey"
        and passkey.get("person") == enrolled.get("person")
        and passkey.get("log") == enrolled.get("log")
        and len(signatures) == 1
        and signatures[0].get("enrolled") == enrolled.get("n")
        and "passkey" not in signatures[0]
        and signed_by(passkey, signatures[0], digest(canonical_part(terms)), enrolled, holds=holds)
    )
