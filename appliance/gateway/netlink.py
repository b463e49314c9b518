"""What is said to the kernel over netlink: elements of our sets, marks of running connections, who is next to us.

Our own, in the standard library: one acknowledged batch takes some 40 microseconds, where starting `nft` takes 5 ms and its
open pipe acknowledges nothing. What it must know: an acknowledgement is asked for with a batch's last message only (four
hundred of them overflow the socket; errors come anyway), and where the kernel is older than 6.12 an element is added, deleted
and added again, since such a kernel does not renew the timeout of one that is there.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from appliance.gateway.ruleset import SETS, TABLE

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
REQUEST, ACK, DUMP, CREATE, EXCLUSIVE = 0x1, 0x4, 0x300, 0x400, 0x200
NFNETLINK, ROUTE = 12, 0
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NEW_ELEMENT, _GET_ELEMENT, _DELETE_ELEMENT = (10 << 8) | 12, (10 << 8) | 13, (10 << 8) | 14
_CT_NEW, _CT_GET, _CT_ENDED = (1 << 8) | 0, (1 << 8) | 1, (1 << 8) | 2
_LOG_PACKET, _LOG_CONFIG = (4 << 8) | 0, (4 << 8) | 1
_ERROR, _DONE = 2, 3
_NESTED = 0x8000
_GET_NEIGHBOUR = 30
_REACHABLE: Final = 0x02 | 0x04 | 0x08 | 0x10 | 0x80  # reachable, stale, delay, probe, permanent: the address is theirs
RECEIVE = 1 << 18
RENEWS: Final = tuple(int(each) for each in os.uname().release.split("-")[0].split(".")[:2]) >= (6, 12)


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a set of ours; `seconds` 0: deleted."""

    set: str
    key: bytes  # of a concatenation each part filled up to four bytes: `key`
    seconds: float


@dataclass(frozen=True, slots=True)
class Flow:
    """One connection that the kernel forwards."""

    source: str
    to: str
    mark: int
    tuple: bytes  # as the kernel has it, to name the connection by
    family: int


def key(*parts: bytes) -> bytes:
    """The key of a concatenation: each part fills whole registers of four bytes."""
    return b"".join(part + bytes(-len(part) % 4) for part in parts)


def _attribute(kind: int, data: bytes) -> bytes:
    return _ATTRIBUTE.pack(4 + len(data), kind) + data + bytes(-len(data) % 4)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < 4:
            return
        yield kind & 0x3FFF, data[at + 4 : at + length]
        at += (length + 3) & ~3


def _family(family: int, resource: int = 0) -> bytes:
    return struct.pack("=BBH", family, 0, socket.htons(resource))


class Netlink:
    """One netlink socket of a process: asks, and waits for what the kernel says. OSError is the kernel's own."""

    def __init__(self, protocol: int = NFNETLINK) -> None:
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self.sock.bind((0, 0))
        self.sock.settimeout(2.0)
        self._number = 0

    def close(self) -> None:
        self.sock.close()

    def message(self, kind: int, flags: int, body: bytes) -> bytes:
        self._number += 1
        return _HEADER.pack(_HEADER.size + len(body), kind, REQUEST | flags, self._number, 0) + body

    def say(self, messages: Iterable[bytes]) -> None:
        """Send messages of which the last asks for an acknowledgement, and wait for it."""
        self.sock.send(b"".join(messages))
        wanted, trouble = self._number, 0
        for number, kind, body in self._received():
            if kind == _ERROR:
                code = -struct.unpack_from("=i", body)[0]
                trouble = trouble or code
                if number == wanted or trouble:
                    break
        if trouble:
            self._drain()
            raise OSError(trouble, os.strerror(trouble))

    def ask(self, message: bytes) -> Iterator[tuple[int, bytes]]:
        """All that a dump has."""
        self.sock.send(message)
        for _, kind, body in self._received():
            if kind == _DONE:
                return
            if kind == _ERROR:
                code = -struct.unpack_from("=i", body)[0]
                if code:
                    raise OSError(code, os.strerror(code))
                return
            yield kind, body

    def _received(self) -> Iterator[tuple[int, int, bytes]]:
        while True:
            data, at = self.sock.recv(RECEIVE), 0
            while at + _HEADER.size <= len(data):
                length, kind, _, number, _ = _HEADER.unpack_from(data, at)
                yield number, kind, data[at + _HEADER.size : at + length]
                at += (length + 3) & ~3

    def _drain(self) -> None:
        """What is still to come of a batch that failed."""
        self.sock.settimeout(0)
        try:
            while self.sock.recv(RECEIVE):
                pass
        except OSError:
            self.sock.settimeout(2.0)

    # --- sets ---

    def write(self, elements: Iterable[Element]) -> None:
        """These elements as they are said to be, all or none, acknowledged."""
        said = [self.message(_BATCH_BEGIN, 0, _family(0, 10))]
        inet = _family(1)
        for each in elements:
            added = _element(each, inet)
            if each.seconds > 0:
                said.append(self.message(_NEW_ELEMENT, CREATE, added))
                if RENEWS:
                    continue
            else:  # so that deleting what is not there is no error
                said.append(self.message(_NEW_ELEMENT, CREATE, _element(Element(each.set, each.key, 1), inet)))
            bare = _element(Element(each.set, each.key, 0), inet)
            said.append(self.message(_DELETE_ELEMENT, 0, bare))
            if each.seconds > 0:
                said.append(self.message(_NEW_ELEMENT, CREATE, added))
        if len(said) == 1:
            return
        self._say_batch(said)

    def forget_permits(self) -> None:
        """Empty the sets of permits. FileNotFoundError: our table is not in the kernel."""
        said = [self.message(_BATCH_BEGIN, 0, _family(0, 10))]
        said += [self.message(_DELETE_ELEMENT, 0, _family(1) + _of_set(name)) for name in SETS]
        self._say_batch(said)

    def has(self, name: str, key: bytes) -> bool:
        """Is this element in a set? No also where the set is not."""
        try:
            self.say([self.message(_GET_ELEMENT, ACK, _element(Element(name, key, 0), _family(1)))])
        except OSError as error:
            if error.errno == errno.ENOENT:
                return False
            raise
        return True

    def _say_batch(self, said: list[bytes]) -> None:
        """The last message of a batch asks for an acknowledgement; its end does not."""
        last = bytearray(said[-1])
        struct.pack_into("=H", last, 6, struct.unpack_from("=H", last, 6)[0] | ACK)
        wanted = self._number
        end = self.message(_BATCH_END, 0, _family(0, 10))
        self._number = wanted
        self.say([*said[:-1], bytes(last), end])
        self._number += 1

    # --- connections ---

    def flows(self, mark: int, mask: int = 0xFF) -> list[Flow]:
        """Connections with this mark, IPv4 and IPv6."""
        found = []
        for family in (socket.AF_INET, socket.AF_INET6):
            body = _family(family) + _attribute(8, struct.pack("!I", mark)) + _attribute(21, struct.pack("!I", mask))
            for _, data in self.ask(self.message(_CT_GET, DUMP, body)):
                if flow := _flow(data, family):
                    found.append(flow)
        return [each for each in found if each.mark & mask == mark]

    def remark(self, flow: Flow, mark: int) -> bool:
        """Give a connection another mark in the lowest byte. No: it has ended."""
        body = _family(flow.family) + _attribute(1 | _NESTED, flow.tuple)
        body += _attribute(8, struct.pack("!I", (flow.mark & ~0xFF) | mark))
        try:
            self.say([self.message(_CT_NEW, ACK, body)])
        except OSError as error:
            if error.errno == errno.ENOENT:
                return False
            raise
        return True


def _element(each: Element, family: bytes) -> bytes:
    inner = _attribute(1 | _NESTED, _attribute(1, each.key))
    if each.seconds > 0:
        milliseconds = struct.pack("!Q", max(1, int(each.seconds * 1000)))
        inner += _attribute(4, milliseconds) + _attribute(
            5, milliseconds
        )  # without the second, one that is there stays as old
    found = _attribute(3 | _NESTED, _attribute(1 | _NESTED, inner))
    return family + _of_set(each.set) + found


def _of_set(name: str) -> bytes:
    return _attribute(1, TABLE.encode() + b"\0") + _attribute(2, name.encode() + b"\0")


def _flow(data: bytes, family: int) -> Flow | None:
    original, mark = b"", 0
    for kind, value in _attributes(data[4:]):
        if kind == 1:
            original = value
        elif kind == 8:
            mark = struct.unpack("!I", value)[0]
    ends = dict(_attributes(dict(_attributes(original)).get(1, b"")))
    pair = (ends.get(1), ends.get(2)) if family == socket.AF_INET else (ends.get(3), ends.get(4))
    if pair[0] is None or pair[1] is None:
        return None
    return Flow(str(ip_address(pair[0])), str(ip_address(pair[1])), mark, original, family)


def ended(data: bytes) -> Iterator[tuple[Flow, int]]:
    """Of what the kernel tells of connections that have ended: those with a mark, and the bytes of both ways."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size:
            return
        body = data[at + _HEADER.size : at + length]
        at += (length + 3) & ~3
        if kind != _CT_ENDED or not (flow := _flow(body, body[0])) or not flow.mark:
            continue
        counters = [dict(_attributes(value)) for kind, value in _attributes(body[4:]) if kind in (9, 10)]
        yield flow, sum(int.from_bytes(each.get(2, b"")) for each in counters)


def flow_of(source: bytes, to: bytes, ports: tuple[int, int], mark: int) -> Flow:
    """The TCP connection between these ends, as its first packet had them."""
    four = len(source) == 4
    addresses = _attribute(1 if four else 3, source) + _attribute(2 if four else 4, to)
    protocol = _attribute(1, bytes([socket.IPPROTO_TCP]))
    protocol += b"".join(_attribute(kind, port.to_bytes(2)) for kind, port in zip((2, 3), ports, strict=True))
    named = _attribute(1 | _NESTED, addresses) + _attribute(2 | _NESTED, protocol)
    family = socket.AF_INET if four else socket.AF_INET6
    return Flow(str(ip_address(source)), str(ip_address(to)), mark, named, family)


def ends_of(flow: Flow) -> tuple[int, int]:
    """The protocol of a connection, and the port that it goes to; 0 where there is none."""
    protocol = dict(_attributes(dict(_attributes(flow.tuple)).get(2, b"")))
    return int.from_bytes(protocol.get(1, b"")), int.from_bytes(protocol.get(3, b""))


class Shown:
    """The packets that the rules show us: those of one nflog group. The socket is read when it is ready."""

    def __init__(self, group: int) -> None:
        self._netlink = Netlink()
        self.sock = self._netlink.sock
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        for attribute in (
            _attribute(1, b"\x01"),  # bind
            _attribute(2, struct.pack("!IBB", 0xFFFF, 2, 0)),  # whole packets
            _attribute(5, struct.pack("!I", 1)),  # each by itself, at once
        ):
            self._netlink.say([self._netlink.message(_LOG_CONFIG, ACK, _family(0, group) + attribute)])
        self.sock.setblocking(False)

    def packets(self) -> list[tuple[str, bytes]]:
        """What has come, and what the rule says of it. What was lost (the buffer was full) is not read, and so refused."""
        found: list[tuple[str, bytes]] = []
        for data in come(self.sock):
            at = 0
            while at + _HEADER.size <= len(data):
                length, kind = struct.unpack_from("=IH", data, at)
                if kind == _LOG_PACKET:
                    values = dict(_attributes(data[at + 20 : at + length]))
                    found.append((values.get(10, b"").rstrip(b"\0").decode("ascii", "replace"), values.get(9, b"")))
                at += (length + 3) & ~3
        return found

    def close(self) -> None:
        self._netlink.close()


def come(sock: socket.socket) -> Iterator[bytes]:
    """What a socket that does not wait has ready, within reason. What was lost (its buffer was full) is passed over."""
    try:
        for _ in range(256):
            yield sock.recv(RECEIVE)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.ENOBUFS):
            raise


def neighbours(netlink: Netlink) -> dict[str, bytes]:
    """Who is next to us: address -> MAC, of a socket for ROUTE."""
    found: dict[str, bytes] = {}
    for _, body in netlink.ask(netlink.message(_GET_NEIGHBOUR, DUMP, struct.pack("=BBHiHBB", 0, 0, 0, 0, 0, 0, 0))):
        state = struct.unpack_from("=H", body, 8)[0]
        values = dict(_attributes(body[12:]))
        address, device = values.get(1, b""), values.get(2, b"")
        if state & _REACHABLE and len(device) == 6 and len(address) in (4, 16):
            found[str(ip_address(address))] = device
    return found
