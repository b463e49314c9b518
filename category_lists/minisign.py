"""minisign signatures, as makers of lists publish them beside their files: Ed25519 over the file's BLAKE2b.

A signature file has four lines: a comment, the signature (algorithm, key's number, 64 bytes), a comment that is trusted, and
a second signature over the first one with that comment. Algorithm `ED` signs the file's BLAKE2b-512; the older `Ed` signs the
file itself. Pure: gives a sentence or raises `BadSignature`.
"""

import base64
import binascii
import hashlib
import io
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_TRUSTED = "trusted comment: "
_LARGEST_OLD = 64 << 20  # bytes: the old kind needs the whole file in memory


class BadSignature(ValueError):
    """The file is not what its maker signed."""


def verify(file: io.BufferedIOBase, size: int, signature: str, public: str) -> str:
    """The trusted comment of a good signature; BadSignature otherwise."""
    key = _decoded(public.strip().splitlines()[-1] if public.strip() else "", 42)
    lines = signature.splitlines()
    if len(lines) < 4 or not lines[2].startswith(_TRUSTED):
        raise BadSignature("the signature is not one of minisign's")
    first, second = _decoded(lines[1], 74), _decoded(lines[3], 64)
    if key[:2] != b"Ed" or first[2:10] != key[2:10]:
        raise BadSignature("the file is signed with another key")
    if first[:2] == b"ED":
        message = hashlib.file_digest(file, hashlib.blake2b).digest()
    elif first[:2] == b"Ed" and size <= _LARGEST_OLD:
        message = file.read()
    else:
        raise BadSignature("the signature is of a kind that is not known")
    comment = lines[2].removeprefix(_TRUSTED)
    try:
        holder = Ed25519PublicKey.from_public_bytes(key[10:])
        holder.verify(first[10:], message)
        holder.verify(second, first[10:] + comment.encode())
    except (InvalidSignature, ValueError) as error:
        raise BadSignature("the signature does not hold: the file was changed, or it is another one") from error
    return comment


def verify_file(path: Path, signature: str, public: str) -> str:
    with path.open("rb") as file:
        return verify(file, path.stat().st_size, signature, public)


def _decoded(text: str, length: int) -> bytes:
    try:
        data = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadSignature("the signature or the key is not base64") from error
    if len(data) != length:
        raise BadSignature("the signature or the key has the wrong length")
    return data
