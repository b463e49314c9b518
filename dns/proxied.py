"""PROXY protocol, version 2: a balancer in front of us says whose packet it passes on. Pure.

The words are those of the specification (haproxy.org, proxy-protocol.txt, 2.2). From addresses that are configured as
balancers the header is required, from all others it is never read: who could send it could claim to be any pupil.
"""

import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
START: Final = 16  # bytes up to the length, and with it
LONGEST: Final = 536  # of the rest: addresses, and what a balancer adds (TLVs), which is passed over


class NotProxied(ValueError):
    """These bytes do not begin with a PROXY header that can be used."""


@dataclass(frozen=True, slots=True)
class Proxied:
    """Whom a connection or packet is from; None: from the balancer itself, which looks whether we live (LOCAL)."""

    source: bytes | None  # an address as sockets have it
    size: int  # of the header

    @property
    def address(self) -> str | None:
        if self.source is None:
            return None
        return socket.inet_ntop(socket.AF_INET if len(self.source) == 4 else socket.AF_INET6, self.source)


class Balancers:
    """The addresses from which a header is required."""

    def __init__(self, prefixes: Iterable[str]) -> None:
        self._networks = tuple(map(ip_network, prefixes))

    def __contains__(self, address: str) -> bool:
        if not self._networks:
            return False
        ip = ip_address(address.partition("%")[0])
        return any(ip in network for network in self._networks)

    def __bool__(self) -> bool:
        return bool(self._networks)


def length(start: bytes) -> int:
    """How many bytes follow the first 16 of a header."""
    if len(start) < START or not start.startswith(SIGNATURE) or start[12] >> 4 != 2:
        raise NotProxied("no PROXY header of version 2")
    more = int.from_bytes(start[14:16])
    if more > LONGEST:
        raise NotProxied("a PROXY header that is too long")
    return more


def read(data: bytes) -> Proxied:
    """The header that `data` begins with; NotProxied when it begins with none."""
    size = START + length(data[:START])
    command, family = data[12] & 0xF, data[13] >> 4
    try:
        if command == 0:
            source = None
        elif command == 1 and family == 1:
            (source,) = struct.unpack_from("!4s8x", data[:size], START)
        elif command == 1 and family == 2:
            (source,) = struct.unpack_from("!16s20x", data[:size], START)
        else:
            raise NotProxied("a PROXY header of an unknown command or family")
    except struct.error:
        raise NotProxied("a PROXY header that is cut off") from None
    if len(data) < size:
        raise NotProxied("a PROXY header that is cut off")
    return Proxied(source, size)
