"""Witnesses: others who remember how far a change log had come, and say so by their signature. Pure.

The theory. Whoever rules one machine could roll everything on it back together: logs, tables, files, backups. What they
cannot take back is what someone elsewhere has seen. A witness keeps, for each log, the largest checkpoint it has seen; it
co-signs a newer one only with a proof that this continues the older one (RFC 6962), and refuses a smaller or another one.
The forms are those of C2SP tlog-witness and tlog-cosignature, so that others' witnesses can do it as well:

    POST add-checkpoint     "old N", the consistency proof in base64 lines, an empty line, the signed checkpoint
    the answer              cosignature/v1: a signature line over "cosignature/v1", "time T" and the checkpoint's body

A verifier that is given a witness's key tells which checkpoint it vouches for, and when.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from change_control.ledger import verify_consistency
from policy.proof import Checkpoint, ProofRefused, read_checkpoint, verified

COSIGNATURE_V1 = b"\x04"


class Behind(ValueError):
    """The witness has seen another size than the request begins from; `size` is the one to begin from (HTTP 409)."""

    def __init__(self, size: int) -> None:
        super().__init__(f"this witness has seen {size} entries")
        self.size = size


class RolledBack(ValueError):
    """The log is smaller than, or not a continuation of, what the witness has seen."""


@dataclass(frozen=True, slots=True)
class Witness:
    """Whose cosignatures count: a name as in signed notes, and an Ed25519 public key."""

    name: str
    public: bytes

    def vkey(self) -> str:
        """The verifier key as others' tools write it: name+hash+key."""
        return f"{self.name}+{self.key_id().hex()}+{base64.b64encode(COSIGNATURE_V1 + self.public).decode()}"

    def key_id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + COSIGNATURE_V1 + self.public).digest()[:4]

    @classmethod
    def read(cls, vkey: str) -> "Witness":
        """From the form of `vkey`; ValueError for anything else."""
        name, _, rest = vkey.strip().partition("+")
        mark, _, encoded = rest.partition("+")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if not name or any(each.isspace() for each in name) or len(raw) != 33 or raw[:1] != COSIGNATURE_V1:
            raise ValueError(f"{vkey[:80]!r} is not a witness's key such as schools.example/witness+1a2b3c4d+BA...")
        found = cls(name, raw[1:])
        if found.key_id().hex() != mark:
            raise ValueError(f"the key of {name[:60]} does not belong to its name; copy it again")
        return found


@dataclass(frozen=True, slots=True)
class Cosigned:
    """A witness saw this checkpoint at this time."""

    witness: str
    at: datetime


def message(note: str, at: int) -> bytes:
    """What a witness signs: the time and the checkpoint's body."""
    body = note.partition("\n\n")[0]
    return f"cosignature/v1\ntime {at}\n{body}\n".encode()


def line(witness: Witness, at: int, signature: bytes) -> str:
    """A cosignature as a line of a signed note."""
    blob = witness.key_id() + at.to_bytes(8, "big") + signature
    return f"— {witness.name} {base64.b64encode(blob).decode()}\n"


def cosignatures(note: str, witnesses: Sequence[Witness]) -> list[Cosigned]:
    """The cosignatures of these witnesses that hold; ProofRefused for one in a witness's name that does not."""
    found = []
    by_id = {(one.name, one.key_id()): one for one in witnesses}
    for text in note.partition("\n\n")[2].splitlines():
        mark, _, rest = text.partition(" ")
        name, _, encoded = rest.partition(" ")
        try:
            blob = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise ProofRefused("a signature line of the checkpoint is not base64") from None
        witness = by_id.get((name, blob[:4]))
        if mark != "—" or witness is None:
            continue
        at = int.from_bytes(blob[4:12], "big")
        if not verified(witness.public, blob[12:], message(note, at)):
            raise ProofRefused(f"the cosignature of {name} does not hold")
        found.append(Cosigned(name, datetime.fromtimestamp(at, UTC)))
    return found


def size_of(note: str) -> int:
    """How many entries a checkpoint counts."""
    return int(note.split("\n", 2)[1])


def request(old: int, proof: Sequence[bytes], note: str) -> str:
    """The body of an add-checkpoint request."""
    steps = "".join(f"{base64.b64encode(step).decode()}\n" for step in proof)
    return f"old {old}\n{steps}\n{note}"


def read_request(text: str) -> tuple[int, list[bytes], str]:
    """The size begun from, the consistency proof and the checkpoint; ValueError for anything else."""
    head, gap, note = text.partition("\n\n")
    first, *steps = head.split("\n")
    word, _, size = first.partition(" ")
    if not gap or word != "old" or not size.isascii() or not size.isdigit() or len(size) > 15 or len(steps) > 63:
        raise ValueError("this is not an add-checkpoint request")
    try:
        proof = [base64.b64decode(step, validate=True) for step in steps]
    except (binascii.Error, ValueError):
        raise ValueError("the consistency proof is not base64") from None
    return int(size), proof, note


def seen_next(seen: Checkpoint | None, text: str, keys: Mapping[str, tuple[str, bytes]]) -> tuple[Checkpoint, str]:
    """What a witness that saw `seen` may co-sign next, and the note; `keys` has (signer, public key) by log's origin.

    Behind when the request begins from another size; RolledBack when the log shrank or was made anew; ProofRefused when the
    checkpoint is not signed by whose log it is; LookupError for a log that is none of ours.
    """
    old, proof, note = read_request(text)
    origin = note.partition("\n")[0]
    if origin not in keys:
        raise LookupError(f"this witness does not know the log {origin[:100]!r}")
    newer = read_checkpoint(note, *keys[origin])
    if old > newer.size:
        raise ValueError("the request begins behind its own checkpoint")
    if seen is None:
        return newer, note
    if newer.size < seen.size:
        raise RolledBack(f"{origin}: {seen.size} entries were seen before, and now there are {newer.size}")
    if old != seen.size:
        raise Behind(seen.size)
    try:
        verify_consistency(seen, newer, proof)
    except ProofRefused as error:
        raise RolledBack(f"{origin}: {error}") from None
    return newer, note
