"""Zone transfers: response policy zones served to other resolvers by AXFR and IXFR (RFC 5936, RFC 1995), signed with TSIG.

One question a message, answered only if a key signed it that this zone is open to; everything else is refused without a word
about what is there. A zone is swapped whole. What the last versions changed is kept, within bounds, so that a secondary that
was up to date fetches a difference; one that is further behind gets the whole zone.
"""

import asyncio
import contextlib
import logging
import secrets
import struct
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from dns import codec, tsig
from dns.codec import Malformed
from dns.server import bind
from dns.tsig import Key, NotSigned

log = logging.getLogger(__name__)

AXFR, IXFR = 252, 251
TTL_S: Final = 60
REFRESH_S, RETRY_S, EXPIRE_S = 30, 15, 86_400
MESSAGE: Final = 16_384  # bytes of records in one message: names pack best where pointers reach
VERSIONS: Final = 10  # changes kept for IXFR
MOST_CHANGED: Final = 50_000  # lines of a change that is worth keeping
CONNECTIONS: Final = 20
IDLE_S: Final = 30.0
NOTAUTH: Final = 9
NOTIFY_OPCODE: Final = 4 << 11

type Lines = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Zone:
    """One zone: its lines, the serial of this version, and what the last versions changed."""

    name: str
    serial: int
    lines: Lines
    words: tuple[str, ...] = ()  # about the zone, at its top
    changes: deque[tuple[int, Lines, Lines]] = field(default_factory=lambda: deque(maxlen=VERSIONS))  # from, gone, new

    def become(self, serial: int, lines: Lines, words: tuple[str, ...]) -> None:
        """Another version."""
        before, after = set(self.lines), set(lines)
        gone, new = tuple(sorted(before - after)), tuple(sorted(after - before))
        if len(gone) + len(new) > MOST_CHANGED:
            self.changes.clear()
        else:
            self.changes.append((self.serial, gone, new))
        self.serial, self.lines, self.words = serial, lines, words

    def since(self, serial: int) -> list[tuple[int, Lines, Lines]] | None:
        """What changed since a serial, version by version; None when that is not known any more."""
        known = list(self.changes)
        for place, (from_, _, _) in enumerate(known):
            if from_ == serial:
                return known[place:]
        return None


def next_serial(last: int, now: float) -> int:
    """A serial above the last one; the clock's, so that one can read it."""
    return max(last + 1, int(now)) & 0xFFFFFFFF


# --- records -------------------------------------------------------------------------------------------------------------


def soa(serial: int) -> bytes:
    """Where a version begins and ends."""
    names = codec.wire_name("localhost") + codec.wire_name("hostmaster.schoolgate.internal")
    rdata = names + struct.pack("!IIIII", serial, REFRESH_S, RETRY_S, EXPIRE_S, TTL_S)
    return _record(b"\xc0\x0c", codec.SOA, rdata)


def _record(owner: bytes, rtype: int, rdata: bytes) -> bytes:
    return owner + struct.pack("!HHIH", rtype, codec.IN, TTL_S, len(rdata)) + rdata


def _line(line: tuple[str, str]) -> bytes:
    name, target = line
    return _record(codec.wire_name(name)[:-1] + b"\xc0\x0c", codec.CNAME, codec.wire_name(target))


def whole(zone: Zone) -> Iterator[bytes]:
    """AXFR: the SOA, everything, the SOA again."""
    yield soa(zone.serial)
    yield _record(b"\xc0\x0c", 2, codec.wire_name("localhost"))
    if zone.words:
        texts = [word.encode("ascii", "replace")[:255] for word in zone.words]
        yield _record(b"\xc0\x0c", 16, b"".join(bytes((len(text),)) + text for text in texts))
    yield from map(_line, zone.lines)
    yield soa(zone.serial)


def difference(zone: Zone, serial: int) -> Iterator[bytes]:
    """IXFR: what changed; the whole zone when that is not known; the SOA alone when nothing did (RFC 1995 4)."""
    if serial == zone.serial:
        yield soa(zone.serial)
        return
    changes = zone.since(serial)
    if changes is None:
        yield from whole(zone)
        return
    yield soa(zone.serial)
    following = [from_ for from_, _, _ in changes[1:]] + [zone.serial]
    for (from_, gone, new), to in zip(changes, following, strict=True):
        yield soa(from_)
        yield from map(_line, gone)
        yield soa(to)
        yield from map(_line, new)
    yield soa(zone.serial)


def messages(records: Iterable[bytes], id_: int, question: bytes) -> Iterator[bytes]:
    """Records packed into messages, the question in each: the names' pointers lead there."""
    held: list[bytes] = []
    size = 0
    for record in records:
        if held and size + len(record) > MESSAGE:
            yield _message(id_, question, held)
            held, size = [], 0
        held.append(record)
        size += len(record)
    yield _message(id_, question, held)


def _message(id_: int, question: bytes, records: list[bytes], rcode: int = 0) -> bytes:
    return struct.pack("!HHHHHH", id_, 0x8400 | rcode, 1, len(records), 0, 0) + question + b"".join(records)


# --- serving -------------------------------------------------------------------------------------------------------------


class Transfers:
    """Who may have which zone, and what a message gets. `zones` is swapped by whoever keeps them in step."""

    def __init__(self, keys: Mapping[str, Key], clock: Callable[[], float] = time.time) -> None:
        self._keys, self._clock = dict(keys), clock
        self.zones: dict[str, Zone] = {}
        self.refused = 0

    def answer(self, packet: bytes, *, tcp: bool) -> Iterator[bytes]:
        """The messages that a packet gets; none at all when it is no question."""
        try:
            labels, at = codec.name_at(packet, 12)
            qtype, qclass = struct.unpack_from("!HH", packet, at)
            id_, flags, questions = struct.unpack_from("!HHH", packet)
            if flags & 0xF800 or questions != 1:
                raise Malformed("not a question")
            question = packet[12 : at + 4]
            signer = tsig.checked(packet, self._keys, self._clock())
        except NotSigned as error:
            self.refused += 1
            rcode = NOTAUTH if error.error else codec.REFUSED
            yield _message(int.from_bytes(packet[:2]), packet[12 : codec.name_at(packet, 12)[1] + 4], [], rcode)
            return
        except (Malformed, IndexError, struct.error):
            return
        name = b".".join(labels).lower().decode("ascii", "replace")
        zone = self.zones.get(name) if name in signer.key.zones and qclass == codec.IN else None
        for message in self._messages(zone, packet, id_, question, qtype, tcp=tcp):
            yield signer.signed(message, self._clock())

    def _messages(
        self, zone: Zone | None, packet: bytes, id_: int, question: bytes, qtype: int, *, tcp: bool
    ) -> Iterable[bytes]:
        if zone is None:
            self.refused += 1
            return [_message(id_, question, [], codec.REFUSED)]
        if qtype == codec.SOA or (qtype == IXFR and not tcp):  # over UDP: the SOA, and come by TCP (RFC 1995 2)
            return [_message(id_, question, [soa(zone.serial)])]
        if qtype == IXFR and (serial := _serial_in(packet)) is not None:
            return messages(difference(zone, serial), id_, question)
        if qtype in (AXFR, IXFR) and tcp:
            return messages(whole(zone), id_, question)
        return [_message(id_, question, [], codec.REFUSED)]


def _serial_in(packet: bytes) -> int | None:
    """The serial that a secondary says it has: in the SOA of the authority section."""
    if int.from_bytes(packet[8:10]) != 1:
        return None
    at = codec.name_at(packet, codec.name_at(packet, 12)[1] + 4)[1]
    rtype, _, _, length = struct.unpack_from("!HHIH", packet, at)
    if rtype != codec.SOA or length < 22:
        return None
    return int(struct.unpack_from("!I", packet, at + 10 + length - 20)[0])


async def serve(
    listen: Iterable[tuple[str, int]], transfers: Transfers, *, ready: Callable[[list[str]], None], stop: asyncio.Event
) -> None:
    """Answer until `stop` is set. OSError in a plain sentence when a port cannot be had."""
    async with contextlib.AsyncExitStack() as stack:
        names = []
        for host, port in listen:
            udp, tcp = bind(host, port)
            names.append(f"{host}:{tcp.getsockname()[1]}")
            way, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: _Datagrams(transfers), sock=udp)
            stack.callback(way.close)
            connections = _Connections(transfers)
            server = await asyncio.start_server(connections.serve, sock=tcp)
            stack.push_async_callback(connections.close)
            stack.callback(server.close)
        ready(names)
        await stop.wait()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, transfers: Transfers) -> None:
        self._transfers = transfers
        self._way: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._way = transport if isinstance(transport, asyncio.DatagramTransport) else None

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        with contextlib.suppress(Malformed, IndexError, struct.error):
            for message in self._transfers.answer(data, tcp=False):
                if self._way and len(message) <= codec.OUR_SIZE:
                    self._way.sendto(message, addr)


class _Connections:
    def __init__(self, transfers: Transfers) -> None:
        self._transfers = transfers
        self._open: set[asyncio.Task[None] | None] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if len(self._open) >= CONNECTIONS:
            writer.transport.abort()
            return
        self._open.add(task)
        try:
            while True:
                async with asyncio.timeout(IDLE_S):
                    packet = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                for message in self._transfers.answer(packet, tcp=True):
                    writer.write(len(message).to_bytes(2) + message)
                    async with asyncio.timeout(IDLE_S):
                        await writer.drain()
        except (OSError, EOFError, TimeoutError, Malformed, IndexError, struct.error):
            pass  # it went away, or says what is no question
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def close(self) -> None:
        tasks = [task for task in self._open if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def notice(zone: Zone) -> bytes:
    """NOTIFY (RFC 1996): the zone has changed."""
    question = codec.wire_name(zone.name) + struct.pack("!HH", codec.SOA, codec.IN)
    head = struct.pack("!HHHHHH", secrets.randbelow(0x10000), NOTIFY_OPCODE | 0x0400, 1, 1, 0, 0)
    return head + question + soa(zone.serial)


async def notify(zone: Zone, where: Iterable[tuple[str, int]]) -> None:
    """Tell secondaries. Who does not hear it asks by itself within REFRESH_S."""
    for address in where:
        with contextlib.suppress(OSError):
            way, _ = await asyncio.get_running_loop().create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=address)
            way.sendto(notice(zone))
            way.close()
