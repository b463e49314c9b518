"""DNS cookies (RFC 7873, 9018): a client that brings back what we sent to its address is where it says it is. Pure.

The server's half is made as RFC 9018 4 has it (version, time, a keyed hash over both halves and the address), but with
BLAKE2s from the standard library in place of SipHash-2-4, which Python has only for its own dicts: hence a version from the
range for private use. All workers of a box share one key, since a client's next query may come to another worker.
"""

import hashlib
import hmac
from ipaddress import ip_address
from typing import Final

VERSION: Final = bytes((240, 0, 0, 0))  # RFC 9018 4.1 and 4.2: private use, reserved
CLIENT: Final = 8  # bytes of the client's half
OLDEST_S, NEWEST_S = 3600, 300  # RFC 9018 4.3


def cookie(key: bytes, client: bytes, address: str, now: float) -> bytes:
    """Both halves, for a client (its first 8 bytes) at an address."""
    at = (int(now) & 0xFFFFFFFF).to_bytes(4)
    said = client[:CLIENT] + VERSION + at
    return said + _hash(key, said, address)


def valid(key: bytes, brought: bytes, address: str, now: float) -> bool:
    """Did we give this client that cookie, within the last hour?"""
    said, hashed = brought[: CLIENT + 8], brought[CLIENT + 8 :]
    age = (int(now) - int.from_bytes(said[CLIENT + 4 :])) & 0xFFFFFFFF  # serial arithmetic: RFC 1982
    fresh = age <= OLDEST_S or age >= 0x100000000 - NEWEST_S
    return fresh and said[CLIENT : CLIENT + 4] == VERSION and hmac.compare_digest(hashed, _hash(key, said, address))


def _hash(key: bytes, said: bytes, address: str) -> bytes:
    return hashlib.blake2s(said + ip_address(address.partition("%")[0]).packed, digest_size=8, key=key[:32]).digest()
