"""The first bytes of a connection, read: a balancer's PROXY header, a CONNECT request, a Host, a TLS greeting. Pure.

Each reader answers None while more bytes are needed, and raises `Odd` for what no honest client sends. It must not read
anything differently from the site that reads the same bytes after us, so where the standards leave room it is odd.

INVARIANT: a reader never asks for more than LONGEST bytes.
"""

import ipaddress
import re
import struct
from dataclasses import dataclass

LONGEST = 65_536  # bytes: of a request's head, and of a greeting with all its records
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_CONNECT = re.compile(rb"CONNECT ([!-~]{1,300}) HTTP/1\.[01]")
_TARGET = re.compile(r"(?:\[([0-9a-fA-F:.]{2,45})\]|([^\[\]:@/\\?#%\s]{1,253})):([0-9]{1,5})")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n\0]*?)[ \t]*")
SERVER_NAME, GROUPS, PROTOCOLS = 0, 10, 16  # extensions of TLS
X25519MLKEM768 = 4588


class Odd(ValueError):
    """These bytes are not what any honest client sends. `outcome`: the event's word for it."""

    def __init__(self, why: str, outcome: str = "odd") -> None:
        super().__init__(why)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Proxied:
    """What a balancer says of a connection: whose it is ("" where it is the balancer's own), and how long its header is."""

    address: str
    port: int
    length: int


def proxied(data: bytes) -> Proxied | None:
    """The PROXY header, version 2, that the bytes begin with."""
    if not _SIGNATURE.startswith(data[:12]) or len(data) < 16:
        if len(data) >= 16 or not _SIGNATURE.startswith(data[:12]):
            raise Odd("no PROXY header of version 2")
        return None
    command, family, size = data[12], data[13], int.from_bytes(data[14:16])
    if command >> 4 != 2 or command & 15 > 1 or size > 2048:
        raise Odd("a PROXY header of an unknown kind")
    if len(data) < 16 + size:
        return None
    width = {0x11: 4, 0x21: 16}.get(family, 0)
    if command & 15 == 0 or family == 0:  # LOCAL: the balancer looks after us itself
        return Proxied("", 0, 16 + size)
    if not width or size < 2 * width + 4:
        raise Odd("a PROXY header without an address")
    source = ipaddress.ip_address(data[16 : 16 + width])
    port = int.from_bytes(data[16 + 2 * width : 18 + 2 * width])
    return Proxied(str(source), port, 16 + size)


@dataclass(frozen=True, slots=True)
class Connect:
    """A tunnel that is asked for: as it was written, and how long the request is."""

    host: str
    port: int
    hosts: tuple[str, ...]  # what Host headers say
    length: int


def _head(data: bytes) -> tuple[bytes, list[tuple[bytes, bytes]], int] | None:
    """First line, fields and length of a request's head."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if len(data) >= LONGEST:
            raise Odd("a head that does not end")
        return None
    first, *lines = data[:end].split(b"\r\n")
    fields = []
    for line in lines:
        found = _FIELD.fullmatch(line)
        if not found:
            raise Odd("a field that is none")
        fields.append((found[1].lower(), found[2]))
    return first, fields, end + 4


def connect(data: bytes) -> Connect | None:
    """The CONNECT request that the bytes begin with."""
    head = _head(data)
    if head is None:
        return None
    first, fields, length = head
    line = _CONNECT.fullmatch(first)
    target = _TARGET.fullmatch(line[1].decode("ascii")) if line else None
    if target is None or int(target[3]) > 65535 or any(name in _BODY for name, _ in fields):
        raise Odd("a CONNECT that is none")
    hosts = tuple([value.decode("latin-1") for name, value in fields if name == b"host"])
    return Connect(target[1] or target[2], int(target[3]), hosts, length)


def begins_as_http(data: bytes) -> None:
    """Odd, as soon as it can be told, for first bytes that are no request's: a tunnel's, a shell's, a mail server's."""
    line, ended, _ = data[:LONGEST].partition(b"\n")
    method, space, rest = line.partition(b" ")
    whole = not ended or (space and _REQUESTED.fullmatch(rest))
    if not _METHOD.fullmatch(method) or len(method) > _LONGEST_METHOD or not whole:
        raise Odd("neither TLS nor a request", "protocol")


_METHOD = re.compile(rb"[A-Za-z][A-Za-z_-]*")
_LONGEST_METHOD = 24
_REQUESTED = re.compile(rb"[^ \r\n]+ HTTP/[0-9]\.[0-9]\r?")
_BODY = frozenset({b"content-length", b"transfer-encoding", b"upgrade"})


def plain_host(data: bytes) -> str | None:
    """The host that a plain request to a site names; "" when it names none."""
    head = _head(data)
    if head is None:
        return None
    named = [value.decode("latin-1") for name, value in head[1] if name == b"host"]
    if len(named) > 1:
        raise Odd("two Host fields")
    host = named[0] if named else ""
    if host.startswith("["):
        return host.partition("]")[0][1:]
    return host.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a ClientHello says of where it is going. `name` None: nothing; `bent`: something that cannot be read one way.
    `offers`: the protocols inside TLS, as they were offered; `quantum`: it would agree on keys that a quantum computer to
    come does not break either.
    """

    name: str | None
    bent: bool = False
    offers: tuple[bytes, ...] = ()
    quantum: bool = False


def greeting(data: bytes) -> Greeting | None:
    """The TLS greeting that the bytes begin with, put together from its records."""
    message, at = b"", 0
    while True:
        if len(message) >= 4:
            size = 4 + int.from_bytes(message[1:4])
            if message[0] != 1 or size > LONGEST:
                raise Odd("no greeting")
            if len(message) >= size:
                return _hello(message[4:size])
        if len(data) < at + 5:
            if len(data) > at and data[at] != 0x16:
                raise Odd("no greeting")
            return None
        length = int.from_bytes(data[at + 3 : at + 5])
        if data[at] != 0x16 or data[at + 1] != 3 or not 0 < length <= 16_384 + 256 or at > LONGEST:
            raise Odd("no greeting")
        if len(data) < at + 5 + length:
            return None
        message += data[at + 5 : at + 5 + length]
        at += 5 + length


class _Reader:
    """Takes vectors off the front; Odd when there is not enough."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        found = self.data[self.at : self.at + count]
        if len(found) < count:
            raise Odd("a greeting that is cut off")
        self.at += count
        return found

    def vector(self, width: int) -> bytes:
        return self.take(int.from_bytes(self.take(width)))

    @property
    def left(self) -> int:
        return len(self.data) - self.at


def _hello(body: bytes) -> Greeting:
    reader = _Reader(body)
    reader.take(34)  # version and random
    reader.vector(1)  # session
    reader.vector(2)  # ciphers
    reader.vector(1)  # compression
    if not reader.left:
        return Greeting(None)
    extensions = _Reader(reader.vector(2))
    names: list[bytes] = []
    offers: tuple[bytes, ...] = ()
    quantum = False
    while extensions.left:
        kind = int.from_bytes(extensions.take(2))
        content = extensions.vector(2)
        if kind == SERVER_NAME:
            names.append(content)
        elif kind == PROTOCOLS:
            offers = _protocols(content)
        elif kind == GROUPS:
            quantum = X25519MLKEM768 in struct.unpack(f"!{len(content) // 2}H", content[: len(content) & ~1])
    if reader.left or len(names) > 1:
        return Greeting(None, bent=True)
    name = _server_name(names[0]) if names else Greeting(None)
    return name if name.bent else Greeting(name.name, offers=offers, quantum=quantum)


def _protocols(content: bytes) -> tuple[bytes, ...]:
    listed, found = _Reader(_Reader(content).vector(2)), []
    while listed.left:
        found.append(listed.vector(1))
    return tuple(found)


def _server_name(content: bytes) -> Greeting:
    """Exactly one host name, in plain ASCII: what else a list might hold, some server may read otherwise than we."""
    try:
        listed = _Reader(_Reader(content).vector(2))
        kind, name = listed.take(1), listed.vector(2)
    except Odd:
        return Greeting(None, bent=True)
    if kind != b"\0" or listed.left or len(content) != len(name) + 5 or not name.isascii() or not 0 < len(name) < 256:
        return Greeting(None, bent=True)
    return Greeting(name.decode("ascii"))
