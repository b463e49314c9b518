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
full replay, `schoolgate changes verify`, tells.

Pure: bytes and texts come in, an answer or a `ProofRefused` goes out.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from policy.bounds import outside
from policy.rebuild import takes_back

TAKEN_IN = frozenset({"dictionary", "authority"})  # what a mandate lets through though it is no rule of a site
TWO_PERSON_KINDS = frozenset({"sealed"})  # whoever asks, the head and a second person sign
HARMLESS = frozenset({"blocked_answer"})  # settings that decide nothing
SECOND_ROLES = frozenset({"deputy", "chair_of_governors", "la_officer"})  # who may agree to the head's own request


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
        blob = _b64(encoded)
        if blob[:4] == key_id(name, public) and verified(public, blob[4:], f"{body}\n".encode()):
            root = _b64(lines[2])
            if len(root) != 32:
                raise ProofRefused("the checkpoint's root is not a SHA-256")
            return Checkpoint(lines[0], int(lines[1]), root)
    raise ProofRefused(f"the checkpoint does not carry a good signature by {name}")


@lru_cache(maxsize=1024)  # one mandate, delegation or passkey is looked at again by each entry that rests on it
def verified(public: bytes, signature: bytes, message: bytes) -> bool:
    """Does an Ed25519 signature hold?"""
    try:
        _key(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(maxsize=256)
def _key(public: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(public)


@lru_cache(maxsize=256)
def _point(public: bytes) -> EllipticCurvePublicKey:
    return EllipticCurvePublicKey.from_encoded_point(SECP256R1(), public)


def _b64(text: str) -> bytes:
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


def assertion_holds(passkey: Mapping[str, Any], signature: Mapping[str, Any], wanted: bytes) -> bool:
    """Did this passkey, with its user verified, answer this challenge on the desk's own page? (WebAuthn 2, 7.2)"""
    authenticator, client = _b64(str(signature.get("authenticator"))), _b64(str(signature.get("client")))
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
        and _passkey_verified(passkey, _b64(str(signature.get("signature"))), authenticator + hashlib.sha256(client).digest())
    )


def _passkey_verified(passkey: Mapping[str, Any], signature: bytes, message: bytes) -> bool:
    public = _b64(str(passkey["key"]))
    if passkey["alg"] == "EdDSA":
        return verified(public, signature, message)
    if passkey["alg"] != "ES256":
        return False
    try:
        _point(public).verify(signature, message, ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


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


def signed_by(entry: Entry, signature: Mapping[str, Any], over: str, enrolled: Entry, passkey: Entry | None = None) -> bool:
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
            and _is_hers(passkey, enrolled)
            and assertion_holds(passkey["passkey"], signature, challenge(act, log, over))
        )
    return verified(_b64(str(enrolled.get("key"))), _b64(str(signature.get("signature"))), act_message(act, log, over))


def _is_hers(passkey: Entry, enrolled: Entry) -> bool:
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
        and signed_by(passkey, signatures[0], digest(canonical_part(terms)), enrolled)
    )


def undone(diff: Mapping[str, Any]) -> dict[str, Any]:
    """The diff that undoes a diff: what was added is removed, what was set is set back."""
    return {
        "kind": "reverse",
        "change": diff["change"],
        "add": diff["remove"],
        "remove": diff["add"],
        "set": {name: [new, old] for name, (old, new) in diff["set"].items()},
    }


def tightens(diff: Mapping[str, Any]) -> bool:
    """Is it proven that no question gets a weaker answer? Only what stops comes, only what opens goes, nothing else moves.

    INVARIANT: an allow is the weakest answer and a block the strongest, so whatever other rules say once an allow is gone
    or a block has come is at least as strict. A suspension only blocks, and what its coursework list spares is answered as
    it is without one. The words in which DNS refuses open nothing. Nothing else is taken as proven: networks, groups,
    timetables, never-inspect entries and settings move questions between rules, so they wait.
    """
    if diff["kind"] in {"founding", "subscription"} or set(diff["set"]) - HARMLESS:
        return False
    return all(_stops(name, value) for name, values in diff["add"].items() for value in values) and all(
        _opens(name, value) for name, values in diff["remove"].items() for value in values
    )


def _stops(collection: str, value: Mapping[str, Any]) -> bool:
    if collection in {"site_rules", "category_rules"}:
        return bool(value["action"] == "block")
    return collection == "suspensions"


def _opens(collection: str, value: Mapping[str, Any]) -> bool:
    if collection in {"site_rules", "category_rules"}:
        return bool(value["action"] == "allow")
    return collection == "coursework"


def references(entry: Entry) -> set[int]:
    """The numbers of the entries that an entry rests on directly: who was enrolled, which mandate, what it lets lapse."""
    rests = entry.get("rests_on") or {}
    signatures = rests.get("signatures") or ()
    found = {int(signature[name]) for signature in signatures for name in ("enrolled", "passkey") if name in signature}
    return found | {int(rests[name]) for name in ("mandate", "subscription", "of", "invited", "delegation") if name in rests}


def head_role(entry: Entry) -> str:
    """Whose signature a log's entries rest on: a school's headteacher, or the authority's officer for its own log."""
    return "la_officer" if entry.get("tier") == "authority" else "headteacher"


def check_authority(entry: Entry, known: Mapping[int, Entry]) -> None:
    """Does this policy-changing entry rest on the authority that it names? `known` holds the entries it refers to.

    INVARIANT: an entry that changes a policy carries the head's signature over its own diff, or rests on a mandate that
    carries one and covers this kind, this actor and this moment. Only the first entry of a log (its founding, before
    there is a head) does without.
    """
    rests = entry.get("rests_on") or {}
    if rests.get("founding"):
        if entry.get("n") != 0:
            raise ProofRefused("only the first entry of a log may be its founding")
        return
    if "mandate" in rests:
        _check_mandate(entry, rests, known)
        return
    if "subscription" in rests:
        _check_update(entry, rests, known)
        return
    diff = entry["diff"]
    if diff["kind"] == "head":
        _check_replacement(entry, rests, known)
        return
    check_signatures(entry, rests.get("signatures") or (), digest(canonical_part(diff)), known, kind=str(diff["kind"]))


def check_signatures(
    entry: Entry, signatures: Sequence[Mapping[str, Any]], over: str, known: Mapping[int, Entry], *, kind: str = ""
) -> None:
    """The head signed this; and when she asked for it herself, so did the named second person.

    A person to whom she delegated changes of this `kind` may sign in her place; never what either of them asked for.
    """
    signers = _signers(entry, signatures, over, known)
    asker = entry.get("requested_by")
    heads = {person for person, roles in signers.items() if head_role(entry) in roles}
    if not heads and kind and kind not in TWO_PERSON_KINDS and "delegation" in (entry.get("rests_on") or {}):
        _check_delegation(entry, signers, known, kind)
        return
    if not heads:
        raise ProofRefused(f"entry {entry.get('n')} is not signed by the {head_role(entry).replace('_', ' ')}")
    two = (entry.get("diff") or {}).get("kind") in TWO_PERSON_KINDS
    for head in heads & {asker} or (heads if two else ()):
        if not any(roles & SECOND_ROLES for person, roles in signers.items() if person != head):
            raise ProofRefused(f"entry {entry.get('n')} was signed by the same person alone")


def _signers(
    entry: Entry, signatures: Sequence[Mapping[str, Any]], over: str, known: Mapping[int, Entry]
) -> dict[str, set[str]]:
    """Who signed this very thing, with the roles of the enrolments that they signed under."""
    signers: dict[str, set[str]] = {}
    for signature in signatures:
        enrolled = known.get(int(signature.get("enrolled", -1)))
        passkey = known.get(int(signature.get("passkey", -1)))
        if enrolled is None or not signed_by(entry, signature, over, enrolled, passkey):
            raise ProofRefused(f"entry {entry.get('n')} carries a signature that does not hold")
        signers.setdefault(str(signature["person"]), set()).update(enrolled.get("roles") or ())
    return signers


def _check_delegation(entry: Entry, signers: Mapping[str, set[str]], known: Mapping[int, Entry], kind: str) -> None:
    number = entry.get("n")
    delegation = known.get(int(entry["rests_on"]["delegation"]))
    if delegation is None or delegation.get("kind") != "delegation.signed" or int(delegation["n"]) >= int(entry["n"]):
        raise ProofRefused(f"entry {number} names a delegation that is not there")
    terms = delegation["delegation"]
    check_signatures(delegation, delegation["rests_on"]["signatures"], digest(canonical_part(terms)), known)
    if terms["person"] not in signers:
        raise ProofRefused(f"entry {number} is not signed by the person that its delegation names")
    if kind not in terms["kinds"]:
        raise ProofRefused(f"entry {number}: the delegation does not cover {kind}")
    if not _within(entry, terms):
        raise ProofRefused(f"entry {number}: the delegation was not in force then")
    if entry.get("requested_by") in {terms["person"], delegation.get("by")}:
        raise ProofRefused(f"entry {number} was asked for by the delegate or by the headteacher, so it needs her signature")


def _within(entry: Entry, terms: Mapping[str, Any]) -> bool:
    at, first, last = (datetime.fromisoformat(str(text)) for text in (entry["at"], terms["from"], terms["until"]))
    return first <= at < last


def _check_replacement(entry: Entry, rests: Mapping[str, Any], known: Mapping[int, Entry]) -> None:
    """Another headteacher: the LA officer signed it, and a second person who is neither of the two."""
    signers = _signers(entry, rests.get("signatures") or (), digest(canonical_part(entry["diff"])), known)
    officers = {person for person, roles in signers.items() if "la_officer" in roles}
    others = {person for person, roles in signers.items() if roles & SECOND_ROLES}
    if not officers or len(officers | others) < 2:
        raise ProofRefused(f"entry {entry.get('n')} is not signed by the LA officer and a second person")
    if entry["diff"]["add"] or entry["diff"]["remove"] or entry["diff"]["set"]:
        raise ProofRefused(f"entry {entry.get('n')} changes more than who is headteacher")


def _check_mandate(entry: Entry, rests: Mapping[str, Any], known: Mapping[int, Entry]) -> None:
    number = entry.get("n")
    mandate = known.get(int(rests["mandate"]))
    terms = terms_of(mandate) if mandate else None
    if mandate is None or terms is None or int(mandate["n"]) >= int(entry["n"]):
        raise ProofRefused(f"entry {number} names a mandate that is not there")
    signed = terms if mandate["kind"] == "mandate.signed" else mandate["diff"]
    check_signatures(mandate, mandate["rests_on"]["signatures"], digest(canonical_part(signed)), known)
    if "of" in rests:  # what the mandate let through goes back to the last state that the head signed
        let_through = known.get(int(rests["of"]))
        if let_through is None or (let_through.get("rests_on") or {}).get("mandate") != rests["mandate"]:
            raise ProofRefused(f"entry {number} lets lapse what no mandate let through")
        back = entry["diff"]
        if back != undone(let_through["diff"]) and not takes_back(let_through["diff"], back):
            raise ProofRefused(f"entry {number} does not undo what it lets lapse")
        return
    diff = entry["diff"]
    if diff["kind"] not in terms["kinds"]:
        raise ProofRefused(f"entry {number}: the mandate does not cover {diff['kind']}")
    if not set(entry.get("by_roles") or ()) & set(terms["roles"]):
        raise ProofRefused(f"entry {number}: the mandate does not cover who acted")
    if not _within(entry, terms):
        raise ProofRefused(f"entry {number}: the mandate was not in force then")
    if "bounds" in terms and (why := outside(diff.get("lists") or (), terms["bounds"])):
        raise ProofRefused(f"entry {number} goes beyond the mandate: {why[0]}")
    if diff["kind"] in TAKEN_IN and not terms.get("break_glass"):
        return  # what a list does to whom was judged by the desk, when it was taken in
    signers = _signers(entry, rests.get("signatures") or (), digest(canonical_part(diff)), known)
    named = {person for person, roles in signers.items() if roles & set(terms["roles"])}
    if terms.get("break_glass"):
        if len(named) < 2:
            raise ProofRefused(f"entry {number}: breaking the glass takes two people whom the mandate names")
    elif not named:
        raise ProofRefused(f"entry {number}: nobody whom the mandate names signed it")
    elif not tightens(diff):
        raise ProofRefused(f"entry {number}: the mandate lets through only what is proven to tighten")


def _check_update(entry: Entry, rests: Mapping[str, Any], known: Mapping[int, Entry]) -> None:
    """A feed's update: its subscription is the headteacher's signature, and the update lies within what she signed.

    INVARIANT: it changes the dictionary and nothing else, names the lists that it changes, is of the feed, the time and the
    bounds that were signed, and is an entry of its own kind. So nothing but the daily update of a list goes this way, and it
    asks for no second signature: the first one was given for exactly this.
    """
    number = entry.get("n")
    signed = known.get(int(rests["subscription"]))
    terms = terms_of(signed) if signed else None
    if signed is None or terms is None or signed["kind"] != "change.approved" or int(signed["n"]) >= int(entry["n"]):
        raise ProofRefused(f"entry {number} names a subscription that is not there")
    check_signatures(signed, signed["rests_on"]["signatures"], digest(canonical_part(signed["diff"])), known)
    diff = entry["diff"]
    if entry["kind"] != "change.updated" or diff["kind"] != "dictionary" or set(diff["set"]) != {"dictionary"}:
        raise ProofRefused(f"entry {number}: a subscription covers updates of lists and nothing else")
    if diff["add"] or diff["remove"]:
        raise ProofRefused(f"entry {number}: a subscription covers updates of lists and nothing else")
    if "ratify_days" in terms:  # as subscriptions were first signed: each update to be ratified
        raise ProofRefused(f"entry {number}: its subscription was signed to have each update ratified")
    if diff.get("feed") != terms["feed"]["id"] or not set(entry.get("by_roles") or ()) & set(terms["roles"]):
        raise ProofRefused(f"entry {number}: the subscription is to another feed")
    if not _within(entry, terms):
        raise ProofRefused(f"entry {number}: the subscription was not in force then")
    if why := outside(diff.get("lists") or (), terms["bounds"]):
        raise ProofRefused(f"entry {number} goes beyond the subscription: {why[0]}")


def terms_of(entry: Entry) -> Mapping[str, Any] | None:
    """The terms of a standing mandate: signed by itself, or as the approved request for a subscription to a feed."""
    if entry.get("kind") == "mandate.signed":
        terms: Mapping[str, Any] = entry["mandate"]
        return terms
    diff = entry.get("diff") or {}
    if entry.get("kind") == "change.approved" and diff.get("kind") == "subscription":
        return dict(diff["terms"])
    return None


@dataclass(frozen=True, slots=True)
class Proven:
    """A document whose proof holds, with the size of the tree that proved it and the entry that brought it about."""

    text: str
    size: int
    entry: int


def check_part(part: Mapping[str, Any], *, authority: str, log: str, public: bytes) -> Proven:
    """The document of a published part, if its whole proof holds under the authority's key; ProofRefused otherwise."""
    try:
        text, proof = str(part["document"]), part["proof"]
        checkpoint = read_checkpoint(str(proof["checkpoint"]), authority, public)
        if checkpoint.origin != origin(authority, log):
            raise ProofRefused(f"the checkpoint is of {checkpoint.origin[:80]!r}, not of {log}")
        known: dict[int, Entry] = {}
        order: list[int] = []
        for shown in proof["entries"]:
            index, leaf = int(shown["n"]), str(shown["entry"])
            if (
                root_from_inclusion(index, checkpoint.size, leaf_hash(leaf.encode()), [_b64(step) for step in shown["path"]])
                != checkpoint.root
            ):
                raise ProofRefused(f"entry {index} is not in the log that the checkpoint signs")
            known[index] = parse_entry(leaf)
            order.append(index)
        entry = known[order[0]]
        if entry.get("log") != log or entry.get("n") != order[0]:
            raise ProofRefused("the entry is of another log")
        if entry["policy"]["digest"] != digest(text):
            raise ProofRefused(f"the document is not the one that entry {order[0]} signs")
        check_authority(entry, known)
    except ProofRefused:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ProofRefused(f"the proof is not whole ({type(error).__name__})") from None
    return Proven(text, checkpoint.size, order[0])
