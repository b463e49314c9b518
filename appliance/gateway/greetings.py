"""The first words of connections that the kernel forwards: do they name a site that this client may have unseen?

An address is not a name: behind one that a client was permitted there may be others, and a changed hosts file or a bent
greeting reaches them. So the kernel shows us (nflog) what a device sends on a permitted connection until we have said what
it is: good, and the kernel looks no further, or not, and both ends are reset. It does not wait for us; but a greeting is only
the first of several words that both sides must exchange, so a connection that is none ends before a page has come.

Put together by sequence numbers, from the first packet on: hellos come in several segments, and in any order. What cannot be
read is refused. Pure but for its memory.
"""

import struct
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from proxy.greeting import Odd, begins_as_http, greeting, plain_host

MOST_FLOWS: Final = 16_384  # whose first words are not all there; then those that waited longest are forgotten
MOST_BYTES: Final = 16_384  # of first words
MOST_PIECES: Final = 32
_TCP: Final = 6
_SKIPPED: Final = frozenset({0, 43, 60})  # headers of IPv6 that may stand before TCP: hop-by-hop, routing, destination
_SYN: Final = 0x02


@dataclass(frozen=True, slots=True)
class Ends:
    """A connection, as its packets have it."""

    source: bytes
    to: bytes
    ports: tuple[int, int]


@dataclass(slots=True)
class _Words:
    base: int | None = None  # the sequence number of the first byte
    pieces: dict[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Named:
    """What a connection called its site; "": nothing that can be read."""

    ends: Ends
    host: str
    kind: str  # of the attempt that it is, if it may not call it so (policy/attempts.py); "": nobody is to blame


class Greetings:
    """Of the process that steers."""

    def __init__(self) -> None:
        self._words: dict[Ends, _Words] = {}
        self._known: dict[Ends, None] = {}  # said already; more of their packets may be on the way to us

    def seen(self, packet: bytes) -> Named | None:
        """One packet that a device sent; what its connection is to, once that is known."""
        parts = tcp_of(packet)
        if parts is None:
            return None
        ends, number, flags, data = parts
        if flags & _SYN:
            self._known.pop(ends, None)
        elif ends in self._known:
            return None
        if ends not in self._words and len(self._words) >= MOST_FLOWS:
            self._words.pop(next(iter(self._words)))
        words = self._words.setdefault(ends, _Words())
        if flags & _SYN:
            words.base, number = (number + 1) & 0xFFFFFFFF, number + 1
        if not data:
            return None
        words.pieces.setdefault(number & 0xFFFFFFFF, data)
        said = self._said(words, ends.ports[1])
        if said is None:
            return None
        del self._words[ends]
        if len(self._known) >= MOST_FLOWS:
            self._known.pop(next(iter(self._known)))
        self._known[ends] = None
        return Named(ends, *said)

    @staticmethod
    def _said(words: _Words, port: int) -> tuple[str, str] | None:
        """The name, and what it is to say it where one may not."""
        if words.base is None or len(words.pieces) > MOST_PIECES:  # it began before we looked, or dribbles
            return "", ""
        text = b""
        for number, data in sorted(words.pieces.items(), key=lambda one: (one[0] - (words.base or 0)) & 0xFFFFFFFF):
            at = (number - words.base) & 0xFFFFFFFF
            if at > len(text):
                break  # a piece is missing
            text = text[:at] + data if at + len(data) > len(text) else text
        if not text:
            return None
        try:
            name: str | None
            if port == 80 and text[0] != 0x16:
                begins_as_http(text)
                name, bent = plain_host(text), False
                if name is None and len(text) < MOST_BYTES:
                    return None
            else:
                found = greeting(text)
                if found is None:
                    return None if len(text) < MOST_BYTES else ("", "odd")
                name, bent = found.name, found.bent
        except Odd:
            return "", "no web"
        if bent or not name:
            return "", "odd" if bent else "no name"
        return name.lower(), "wrong name"


def source_of(packet: bytes) -> str:
    """Who sent it. ValueError: it is no packet."""
    return str(ip_address(packet[12:16] if packet[:1] and packet[0] >> 4 == 4 else packet[8:24]))


def tcp_of(packet: bytes) -> tuple[Ends, int, int, bytes] | None:
    """Ends, sequence number, flags and data of a TCP packet; None for what is none."""
    try:
        if packet[0] >> 4 == 4:
            start, size, kind = (packet[0] & 15) * 4, int.from_bytes(packet[2:4]), packet[9]
            source, to = packet[12:16], packet[16:20]
        else:
            start, size, kind = 40, 40 + int.from_bytes(packet[4:6]), packet[6]
            source, to = packet[8:24], packet[24:40]
            while kind in _SKIPPED:
                kind, start = packet[start], start + 8 + packet[start + 1] * 8
        if kind != _TCP:
            return None
        near, far, number = struct.unpack_from("!HHI", packet, start)
        data = packet[start + (packet[start + 12] >> 4) * 4 : size]
        return Ends(source, to, (near, far)), number, packet[start + 13], data
    except (IndexError, struct.error):
        return None
