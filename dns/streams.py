"""Connections: TCP (RFC 7766), TLS (RFC 7858) and HTTPS (RFC 8484), behind one door with a bound.

The theory of the door. Connections cost memory, and anybody may open ten thousand and say nothing. Closing the newcomer when
all places are taken would let them lock a school out, so the one that was silent for longest goes instead, and nobody
has more than a share. Time limits are for whole messages, not for bytes: who drips one byte a second is as slow as who sends
none. Behind a balancer the door counts by the address that the PROXY header names, which is read from the bare socket,
byte for byte, since what follows it is already the client's TLS.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Final
from weakref import WeakKeyDictionary

from dns import proxied
from dns.answers import Answers
from dns.doh import Http
from dns.settings import Settings
from dns.tasks import Tasks
from dns.waiting import Waiting

log = logging.getLogger(__name__)

BACKLOG: Final = 1024
HANDSHAKE_S: Final = 5.0
HEADER_S: Final = 3.0
LOOKED_THROUGH: Final = 16  # connections that are looked at for a silent one when all places are taken
PAUSE_S: Final = 0.1  # when the process has no descriptor left


class Guest:
    """One connection that is in."""

    def __init__(self, address: str, close: Callable[[], object]) -> None:
        self.address = address
        self.busy = 0  # queries under way
        self.close = close


class Door:
    """All connections of a worker, the one that was silent for longest first."""

    def __init__(self, most: int, per_client: int, dropped: Callable[[str], None]) -> None:
        self._most, self._per_client, self._dropped = most, per_client, dropped
        self._guests: dict[Guest, None] = {}
        self._clients: dict[str, int] = {}

    def enter(self, address: str, close: Callable[[], object]) -> Guest | None:
        """A place, if there is one for this client; `close` ends the connection when another needs its place."""
        if self._clients.get(address, 0) >= self._per_client or (len(self._guests) >= self._most and not self._make_room()):
            self._dropped("connection")
            return None
        guest = Guest(address, close)
        self._guests[guest] = None
        self._clients[address] = self._clients.get(address, 0) + 1
        return guest

    def _make_room(self) -> bool:
        silent = (guest for guest, _ in zip(self._guests, range(LOOKED_THROUGH), strict=False) if not guest.busy)
        if guest := next(silent, None):
            self._dropped("silent connection")
            self.leave(guest)
            guest.close()
        return guest is not None

    def heard(self, guest: Guest) -> None:
        if guest in self._guests:
            del self._guests[guest]
            self._guests[guest] = None

    def leave(self, guest: Guest) -> None:
        if guest in self._guests:
            del self._guests[guest]
            self._clients[guest.address] -= 1
            if not self._clients[guest.address]:
                del self._clients[guest.address]

    def __len__(self) -> int:
        return len(self._guests)


class Listener:
    """One listening socket of one kind: "dns", "dot" or "doh"."""

    def __init__(
        self, kind: str, name: str, sock: socket.socket, answers: Answers, tasks: Tasks, settings: Settings, door: Door
    ) -> None:
        self._kind, self._name, self._sock, self._settings, self._door = kind, name, sock, settings, door
        self._answers, self._tasks = answers, tasks
        self._balancers = proxied.Balancers(settings.balancers)
        self._named: WeakKeyDictionary[ssl.SSLObject, str] = WeakKeyDictionary()
        self._tls = None if kind == "dns" else self._context()
        self._idle_s = settings.tcp_idle_s if kind == "dns" else settings.tls_idle_s
        self._open: set[asyncio.Task[None]] = set()
        sock.listen(BACKLOG)
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._settings.certificate:
            context.load_cert_chain(*self._settings.certificate)
        context.set_alpn_protocols(["h2", "http/1.1"] if self._kind == "doh" else ["dot"])
        context.sni_callback = self._note_name
        return context

    def _note_name(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        self._named[connection] = (name or "").partition(".")[0].lower()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, peer = await loop.sock_accept(self._sock)
            except OSError as error:
                log.warning("cannot take another connection: %s", error)
                await asyncio.sleep(PAUSE_S)
                continue
            task = loop.create_task(self._welcome(sock, str(peer[0])))
            self._open.add(task)
            task.add_done_callback(self._open.discard)

    async def _welcome(self, sock: socket.socket, address: str) -> None:
        guest = None
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if address in self._balancers:
                address = await _announced(sock) or address
            guest = self._door.enter(address, _current().cancel)  # a socket that a transport has is not closed under it
            if guest is None:
                sock.close()
            elif self._kind == "doh":
                await self._browse(guest, sock)
            else:
                await self._stream(guest, sock)
        except asyncio.CancelledError:
            sock.close()
            raise
        except (OSError, TimeoutError, proxied.NotProxied):
            sock.close()  # it went away, does not read, or is not who it should be
        except Exception:  # as for a packet: one connection's trouble is nobody else's
            log.exception("a connection ended in trouble")
            sock.close()
        finally:
            if guest:
                self._door.leave(guest)

    async def _browse(self, guest: Guest, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        http = Http(self._name, guest.address, self._answers, self._tasks, self._idle_s)
        http.heard = lambda: self._door.heard(guest)
        await loop.connect_accepted_socket(lambda: http, sock, ssl=self._tls, ssl_handshake_timeout=HANDSHAKE_S)
        guest.close = http.abort
        try:
            await http.ended.wait()
        finally:
            http.abort()

    async def _stream(self, guest: Guest, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)  # what uvloop returns with TLS is its own
        patience = HANDSHAKE_S if self._tls else None
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol, sock, ssl=self._tls, ssl_handshake_timeout=patience
        )
        guest.close = transport.abort
        listener = self._name
        if self._tls and (label := self._named.get(transport.get_extra_info("ssl_object"))):
            listener = f"dot:{label}"
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            await self._converse(guest, listener, reader, writer)
            async with asyncio.timeout(self._idle_s):
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError):
            pass  # it went away, or does not read
        finally:
            transport.abort()

    async def _converse(
        self, guest: Guest, listener: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer queries until the client closes its side, says nothing for long, or says what is not DNS."""
        slots = asyncio.Semaphore(self._settings.tcp_pipelined)
        while True:
            await slots.acquire()
            try:
                async with asyncio.timeout(self._idle_s):
                    await writer.drain()  # who does not read is not read from
                    packet = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
            except (TimeoutError, asyncio.IncompleteReadError):
                slots.release()
                break
            self._door.heard(guest)
            reply = self._answers.at_once(packet, listener, guest.address, tcp=True)
            if isinstance(reply, Waiting) and not self._tasks.full:
                guest.busy += 1
                self._tasks.start(self._later(reply, guest, writer, slots))
                continue
            slots.release()
            if isinstance(reply, Waiting):
                reply = self._answers.overloaded(reply)
            if reply is None:
                break
            writer.write(len(reply).to_bytes(2) + reply)
        for _ in range(self._settings.tcp_pipelined):
            await slots.acquire()  # what was asked before the client closed its side is still answered

    async def _later(self, waiting: Waiting, guest: Guest, writer: asyncio.StreamWriter, slots: asyncio.Semaphore) -> None:
        try:
            reply = await self._answers.later(waiting)
            if reply is not None:
                writer.write(len(reply).to_bytes(2) + reply)
        finally:
            guest.busy -= 1
            slots.release()

    async def close(self) -> None:
        tasks = (self._accepting, *self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._sock.close()


def _current() -> asyncio.Task[object]:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a connection is the matter of a task")
    return task


async def _announced(sock: socket.socket) -> str | None:
    """Whom a balancer's connection is from; None: the balancer itself."""
    async with asyncio.timeout(HEADER_S):
        start = await _exactly(sock, proxied.START)
        return proxied.read(start + await _exactly(sock, proxied.length(start))).address


async def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = await asyncio.get_running_loop().sock_recv(sock, size - len(data))
        if not more:
            raise proxied.NotProxied("a PROXY header that is cut off")
        data += more
    return data
