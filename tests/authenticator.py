"""A passkey in software, for tests: what a phone would answer, or something that is wrong in one way."""

import hashlib
import json
import secrets
from base64 import urlsafe_b64encode
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from fido2 import cbor
from fido2.cose import ES256, EdDSA


def url64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


class Authenticator:
    def __init__(self, origin: str, algorithm: str = "ES256") -> None:
        self.origin = origin
        self.id = secrets.token_bytes(32)
        self.counter = 0
        self.es256 = algorithm == "ES256"
        self.key = ec.generate_private_key(ec.SECP256R1()) if self.es256 else Ed25519PrivateKey.generate()

    @property
    def credential(self) -> str:
        return url64(self.id)

    def create(self, challenge, **wrong) -> str:
        public = (ES256 if self.es256 else EdDSA).from_cryptography_key(self.key.public_key())
        credential = b"\0" * 16 + len(self.id).to_bytes(2, "big") + self.id + cbor.encode(dict(public))
        data = self._data(0x40, **wrong) + credential
        client = self._client("webauthn.create", challenge, **wrong)
        statement = cbor.encode({"fmt": "none", "attStmt": {}, "authData": data})
        return json.dumps({"attestationObject": url64(statement), "clientDataJSON": url64(client)})

    def get(self, challenge, **wrong) -> str:
        if self.counter:
            self.counter += 1
        data = self._data(0, **wrong)
        client = self._client("webauthn.get", challenge, **wrong)
        message = data + hashlib.sha256(client).digest()
        signature = self.key.sign(message, ec.ECDSA(SHA256())) if self.es256 else self.key.sign(message)
        if wrong.get("flip"):
            signature = signature[:-1] + bytes([signature[-1] ^ 1])
        return json.dumps(
            {
                "id": self.credential,
                "authenticatorData": url64(data),
                "clientDataJSON": url64(client),
                "signature": url64(signature),
            }
        )

    def _data(self, flags: int, **wrong) -> bytes:
        rp_id = wrong.get("rp_id") or urlsplit(self.origin).hostname
        flags |= wrong.get("present", True) * 0x01 | wrong.get("verified", True) * 0x04
        return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + self.counter.to_bytes(4, "big")

    def _client(self, usual: str, challenge: bytes, **wrong) -> bytes:
        said = {
            "type": wrong.get("kind", usual),
            "challenge": url64(wrong.get("other", challenge)),
            "origin": wrong.get("origin", self.origin),
        }
        return json.dumps({**said, "crossOrigin": wrong.get("cross", False)}).encode()
