"""minisign signatures, made here as minisign makes them."""

import base64
import hashlib
import io

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from category_lists.minisign import BadSignature, verify

KEY, NUMBER = Ed25519PrivateKey.from_private_bytes(bytes(range(32))), b"12345678"
PUBLIC = "untrusted comment: key\n" + base64.b64encode(b"Ed" + NUMBER + KEY.public_key().public_bytes_raw()).decode() + "\n"


def signature(data: bytes, comment: str = "made today", *, old: bool = False) -> str:
    first = KEY.sign(data if old else hashlib.blake2b(data).digest())
    kind = b"Ed" if old else b"ED"
    lines = ["untrusted comment: x", base64.b64encode(kind + NUMBER + first).decode(), f"trusted comment: {comment}"]
    return "\n".join([*lines, base64.b64encode(KEY.sign(first + comment.encode())).decode()]) + "\n"


def check(data: bytes, text: str, public: str = PUBLIC) -> str:
    return verify(io.BytesIO(data), len(data), text, public)


@pytest.mark.parametrize("old", [False, True])
def test_a_good_signature(old: bool) -> None:
    assert check(b"a.com\n", signature(b"a.com\n", old=old)) == "made today"
    assert check(b"", signature(b"", old=old), PUBLIC.splitlines()[1]) == "made today"


@pytest.mark.parametrize(
    ("data", "text", "why"),
    [
        (b"b.com\n", signature(b"a.com\n"), "does not hold"),
        (b"a.com\n", signature(b"a.com\n").replace("made today", "made later"), "does not hold"),
        (b"a.com\n", signature(b"a.com\n").replace("trusted comment: made", "comment: made"), "not one of"),
        (b"a.com\n", "\n".join(signature(b"a.com\n").splitlines()[:2]), "not one of"),
        (b"a.com\n", signature(b"a.com\n").replace("\n", "\nAAAA", 1), "wrong length|base64"),
        (b"a.com\n", "", "not one of"),
    ],
)
def test_a_bad_one(data: bytes, text: str, why: str) -> None:
    with pytest.raises(BadSignature, match=why):
        check(data, text)


def test_another_key() -> None:
    other = base64.b64encode(b"Ed" + b"87654321" + bytes(32)).decode()
    with pytest.raises(BadSignature, match="another key"):
        check(b"a", signature(b"a"), other)
    with pytest.raises(BadSignature, match=r"length|base64"):
        check(b"a", signature(b"a"), "")
