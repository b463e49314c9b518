"""Small signed notes that go to a browser and come back: what the block page was about, or that a warning was read.

A token is `payload.signature`, both base64url without padding; the payload is a flat JSON object of texts and whole numbers
with the second it was made at. The purpose is part of what is signed, so that a note for one thing is none for another.
INVARIANT: `read` answers None to whatever was not signed here with this key for this purpose, and never raises.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping

LONGEST = 4096  # characters of a token that is looked at
_AHEAD = 60  # seconds that another worker's clock may run ahead


def sign(key: bytes, purpose: str, fields: Mapping[str, str], at: float) -> str:
    payload = json.dumps({**fields, "at": int(at)}, separators=(",", ":"), sort_keys=True).encode()
    return f"{_text(payload)}.{_text(_digest(key, purpose, payload))}"


def read(key: bytes, purpose: str, token: str, now: float, lifetime: float) -> dict[str, str] | None:
    """The fields that were signed, without the time; None if the token is not ours or too old."""
    if len(token) > LONGEST or not token.isascii():
        return None
    payload_text, _, signature_text = token.partition(".")
    payload, signature = _bytes(payload_text), _bytes(signature_text)
    if payload is None or signature is None or not hmac.compare_digest(_digest(key, purpose, payload), signature):
        return None
    fields = json.loads(payload)  # ours: it was signed
    at = fields.pop("at")
    if not -_AHEAD <= now - at <= lifetime:
        return None
    return {name: str(value) for name, value in fields.items()}


def _digest(key: bytes, purpose: str, payload: bytes) -> bytes:
    return hmac.digest(key, purpose.encode() + b"\0" + payload, hashlib.sha256)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes | None:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
