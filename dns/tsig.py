"""Messages signed with a shared secret (TSIG, RFC 8945): who may fetch a zone, unchanged by anyone on the way. Pure."""

import base64
import hashlib
import hmac
import struct
from dataclasses import dataclass
from typing import Final

from dns import codec
from dns.codec import Malformed

TSIG: Final = 250
ANY_CLASS: Final = 255
FUDGE_S: Final = 300
BADSIG, BADKEY, BADTIME = 16, 17, 18
ALGORITHMS: Final = {"hmac-sha256": hashlib.sha256, "hmac-sha384": hashlib.sha384, "hmac-sha512": hashlib.sha512}


class NotSigned(Exception):
    """The message bears no signature that holds; `error` is what TSIG calls that, 0: it bears none at all."""

    def __init__(self, error: int, why: str) -> None:
        super().__init__(why)
        self.error = error


@dataclass(frozen=True, slots=True)
class Key:
    """A secret, its name, and the zones that it opens."""

    name: str
    algorithm: str
    secret: bytes
    zones: frozenset[str]

    @classmethod
    def of(cls, name: str, algorithm: str, secret: str, zones: frozenset[str]) -> "Key":
        """ValueError in a plain sentence for what cannot be a key."""
        if algorithm not in ALGORITHMS:
            raise ValueError(f"the key {name}: {algorithm!r} is none of {', '.join(ALGORITHMS)}")
        try:
            found = base64.b64decode(secret, validate=True)
        except ValueError:
            raise ValueError(f"the key {name}: its secret is not base64") from None
        if len(found) < 16:
            raise ValueError(f"the key {name}: its secret has fewer than 16 bytes")
        return cls(name, algorithm, found, zones)


@dataclass(slots=True)
class Signer:
    """Signs the messages of one answer. Each is signed together with the signature before it."""

    key: Key
    before: bytes  # the request's signature, then our own
    first: bool = True

    def signed(self, message: bytes, now: float) -> bytes:
        """A message with its signature behind it."""
        timers = struct.pack("!HIH", int(now) >> 32, int(now) & 0xFFFFFFFF, FUDGE_S)
        name, algorithm = codec.wire_name(self.key.name), codec.wire_name(self.key.algorithm)
        said = struct.pack("!H", len(self.before)) + self.before + message
        if self.first:
            said += name + struct.pack("!HI", ANY_CLASS, 0) + algorithm + timers + struct.pack("!HH", 0, 0)
        else:
            said += timers
        self.before, self.first = _mac(self.key, said), False
        original = int.from_bytes(message[:2])
        rdata = algorithm + timers + struct.pack("!H", len(self.before)) + self.before + struct.pack("!HHH", original, 0, 0)
        record = name + struct.pack("!HHIH", TSIG, ANY_CLASS, 0, len(rdata)) + rdata
        more = int.from_bytes(message[10:12]) + 1
        return message[:10] + struct.pack("!H", more) + message[12:] + record


def _mac(key: Key, said: bytes) -> bytes:
    return hmac.new(key.secret, said, ALGORITHMS[key.algorithm]).digest()


def checked(message: bytes, keys: dict[str, Key], now: float) -> Signer:
    """Who signed a request, ready to sign the answer. NotSigned otherwise; Malformed when it cannot be read."""
    try:
        at = _last_record(message)
        labels, behind = codec.name_at(message, at)
        rtype, rclass, ttl, length = struct.unpack_from("!HHIH", message, behind)
        if rtype != TSIG or rclass != ANY_CLASS or ttl != 0 or behind + 10 + length != len(message):
            raise NotSigned(0, "it is not signed")
        algorithm, place = codec.name_at(message, behind + 10)
        high, low, fudge, size = struct.unpack_from("!HIHH", message, place)
        mac = message[place + 10 : place + 10 + size]
        original, error, other = struct.unpack_from("!HHH", message, place + 10 + size)
        timers = message[place : place + 8]
    except (IndexError, struct.error) as problem:
        raise Malformed(str(problem)) from None
    name = b".".join(labels).lower().decode("ascii", "replace")
    key = keys.get(name)
    if key is None or b".".join(algorithm).lower() != key.algorithm.encode():
        raise NotSigned(BADKEY, "there is no such key")
    count = int.from_bytes(message[10:12]) - 1
    bare = struct.pack("!H", original) + message[2:10] + struct.pack("!H", count) + message[12:at]
    said = bare + codec.wire_name(key.name) + struct.pack("!HI", ANY_CLASS, 0) + codec.wire_name(key.algorithm)
    said += timers + struct.pack("!HH", error, other)
    if not hmac.compare_digest(mac, _mac(key, said)):
        raise NotSigned(BADSIG, "the signature is not the key's")
    if abs(now - (high << 32 | low)) > min(fudge, FUDGE_S):
        raise NotSigned(BADTIME, "the signature is of another time")
    return Signer(key, mac)


def _last_record(message: bytes) -> int:
    """Where the last of the additional records begins."""
    questions, *records = struct.unpack_from("!HHHH", message, 4)
    if records[2] == 0:
        raise NotSigned(0, "it is not signed")
    at = 12
    for _ in range(questions):
        at = codec.name_at(message, at)[1] + 4
    begin = at
    for _ in range(sum(records)):
        begin = at
        at = codec.name_at(message, at)[1]
        at += 10 + int(struct.unpack_from("!H", message, at + 8)[0])
        if at > len(message):
            raise Malformed("a record that is cut off")
    return begin
