"""TLS on a plain socket, for whoever reads and writes as with asyncio's streams.

mitmproxy has a layer for each side that speaks TLS, with a machine of generators around it, and below that a transport of
asyncio's. Of a connection that is opened that was the greater part. Here a flight of a handshake is one read, one call into
OpenSSL and one write, on the same watched sockets as everything that passes through (proxy/wires.py).

    the socket --wires--> bytes --> OpenSSL's memory --> plain text     read()
    the socket <--------- bytes <-- OpenSSL's memory <-- plain text     write()

What OpenSSL has to say at the end of a handshake goes out with what follows, and at the latest before we wait for the other
side: the end of our greeting and the request are one packet. Nothing is read that nobody asked for, so a slow reader holds up
its sender, as it should. An end without TLS's own word of farewell is an end; whether a body was whole is for HTTP to say.
"""

import asyncio
import socket
from contextlib import suppress
from typing import Any

from OpenSSL import SSL

from proxy.records import ended, ffi, opened, seal, space, to_send
from proxy.wires import BROKEN, NOT_YET, READ, WRITE, Wires

GREETING_SECONDS = 30.0  # for a handshake, all of it
LAST_SECONDS = 300.0  # for what is still to go out after the end
MOST_UNSAID = 1 << 18  # bytes for the other side that it does not take, before more of it is heard


class Line:
    """One end of a TLS connection. `tls` is set before anything else is done, with memory for its input and output."""

    def __init__(self, wires: Wires, sock: socket.socket, **known: object) -> None:
        """`known`: what is known of the socket that it does not know itself."""
        self.wires, self.sock, self.fd = wires, sock, sock.fileno()
        self._known = known
        self.tls: SSL.Connection
        self.watched = 0
        self._waiter: asyncio.Future[None] | None = None  # of whoever reads
        self._room: asyncio.Event | None = None  # for those who wait until more can be written
        self.held = True  # OpenSSL may have something for us
        self._unsaid = False  # OpenSSL may have something for the other side
        self._ended = False  # nothing more comes
        self._deaf = False  # nothing more can be sent
        self.unsent = bytearray()  # what the socket did not take yet
        self._last = False  # what is unsent is the last, and the other side is to see that
        self._closing = False
        self._resting = False
        self.detour: asyncio.BufferedProtocol | None = None
        self.transport = Below(self)

    async def greet(self) -> None:
        """The handshake. OSError, or SSL.Error when it came to nothing; the other side has been told why."""
        async with asyncio.timeout(GREETING_SECONDS):
            while True:
                try:
                    self.tls.do_handshake()
                except SSL.WantReadError:
                    pass
                except SSL.Error:
                    self._say()
                    raise
                else:
                    self._unsaid = True
                    return
                self._say()
                if self._ended:
                    raise ConnectionResetError("connection closed")
                await self._more()

    # --- as a StreamReader -------------------------------------------------------------------------------------------------

    async def read(self, _: int = -1) -> bytes:
        """All that is here, b"" once nothing more comes."""
        while True:
            if self.held and (data := self._opened()):
                return data
            if self._ended:
                return b""
            await self._more()

    def _opened(self) -> bytes:
        self.held = False
        count, said = opened(self.tls)
        found = bytes(space.opened[:count])
        if said > 0:
            self.held = True
        elif ended(self.tls, said):
            self._ended = True
        if not count:
            self._unsaid = True  # it may have been a question of TLS's own
        return found

    async def _more(self) -> None:
        """Wait until there is more from the other side, or its end."""
        if self._unsaid and self.fd >= 0:
            self._say()
            if len(self.unsent) > MOST_UNSAID:  # it asks and asks, and does not listen
                await self.drain()
        if self.fd < 0:
            return
        self._waiter = self.wires.loop.create_future()
        if not self._resting:
            self.watch(self.watched | READ)
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _happened(self, what: int) -> None:
        if what & (WRITE | BROKEN) and self.watched & WRITE:
            self._send_on()
        if self.fd < 0 or not self.watched & READ or not what & (READ | BROKEN):
            return
        if not self.detour and (self._waiter is None or self._waiter.done()):  # nobody reads just now
            self.watch(self.watched & ~READ)
            return
        try:
            count = self.sock.recv_into(self.detour.get_buffer(-1) if self.detour else self.wires.space)
        except NOT_YET:
            return
        except OSError:
            count = 0
        if self.detour:
            self.detour.buffer_updated(count) if count else self.detour.eof_received()
        elif count:
            self.tls.bio_write(self.wires.space[:count])
            self.turn(None)
        else:
            self.eof_received()

    def eof_received(self) -> None:
        self._ended = True
        self.turn(None)

    def turn(self, detour: asyncio.BufferedProtocol | None) -> None:
        """From now on, what comes goes to this one before TLS, or, with None, as ever to whoever reads."""
        self.detour = detour
        if detour is None:
            self.held = True
            if self._waiter and not self._waiter.done():
                self._waiter.set_result(None)

    def rest(self, *, resting: bool) -> None:
        """Is nothing to be taken in for now?"""
        self._resting = resting
        self.watch(self.watched & ~READ if resting else self.watched | READ)

    # --- as a StreamWriter -------------------------------------------------------------------------------------------------

    def get_extra_info(self, name: str, default: object = None) -> Any:
        if known := self._known.get(name):
            return known
        with suppress(OSError):  # it is gone already: reading tells
            match name:
                case "peername":
                    return self.sock.getpeername()
                case "sockname":
                    return self.sock.getsockname()
        return default

    def is_closing(self) -> bool:
        return self._closing or self._deaf

    def write(self, data: bytes) -> None:
        if not data or self.is_closing():
            return
        with suppress(SSL.ZeroReturnError, SSL.SysCallError):  # it has said farewell
            seal(self.tls, ffi.from_buffer(data), len(data))
        self._say()

    async def drain(self) -> None:
        """Wait until all that was written is with the kernel."""
        while self.unsent and self.fd >= 0:
            self._room = self._room or asyncio.Event()
            await self._room.wait()

    def write_eof(self) -> None:
        """Nothing follows; what the other side has to say is still read."""
        self._last = True
        if not self.unsent and self.fd >= 0:
            self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """What was written still goes out, if it is taken in time; then it is over."""
        if not self._closing:
            self._closing = True
            if self.unsent:
                self.watch(WRITE)
                self.wires.loop.call_later(LAST_SECONDS, self._over)
            else:
                self._over()

    def _say(self) -> None:
        """What OpenSSL has for the other side goes out."""
        self._unsaid = False
        if data := to_send(self.tls):
            self.send(data)

    def send(self, data: bytes) -> None:
        if self.unsent:
            self.unsent += data
            return
        if self._deaf or self.fd < 0:
            return
        try:
            sent = self.sock.send(data)
        except NOT_YET:
            sent = 0
        except OSError:
            self._deaf = True
            return
        if sent < len(data):
            self.unsent += memoryview(data)[sent:]
            self.watch(self.watched | WRITE)

    def _send_on(self) -> None:
        try:
            sent = self.sock.send(self.unsent)
        except NOT_YET:
            return
        except OSError:
            self._deaf, sent = True, len(self.unsent)
        del self.unsent[:sent]
        if self.unsent:
            return
        if self._room:
            self._room.set()
            self._room = None
        if self._closing:
            self._over()
            return
        self.watch(self.watched & ~WRITE)
        if self._last and not self._deaf:
            with suppress(OSError):  # it has gone: reading tells
                self.sock.shutdown(socket.SHUT_WR)

    def watch(self, what: int) -> None:
        if what == self.watched or self.fd < 0:
            return
        before, self.watched = self.watched, what
        if not what:  # not even for the end of it, which would be told again and again
            self.wires.forget(self.fd)
        elif before:
            self.wires.change(self.fd, what)
        else:
            self.wires.watch(self.fd, what, self._happened)

    def _over(self) -> None:
        if self.fd < 0:
            return
        self.watch(0)
        self.sock.close()
        self.fd, self._ended, self.held = -1, True, False
        vars(self).pop("tls", None)  # now, and not when garbage is collected: it is by far the largest part of all this
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)
        if self._room:
            self._room.set()


class Below:
    """A line below TLS, in the words of asyncio's transports: for a body's short cut (proxy/inside/bodies.py)."""

    __slots__ = ("line",)

    def __init__(self, line: Line) -> None:
        self.line = line

    def get_protocol(self) -> Line:
        return self.line

    def set_protocol(self, protocol: Any) -> None:
        self.line.turn(None if protocol is self.line else protocol)

    def pause_reading(self) -> None:
        self.line.rest(resting=True)

    def resume_reading(self) -> None:
        self.line.rest(resting=False)

    def write(self, data: bytes) -> None:
        self.line.send(data)

    def get_write_buffer_size(self) -> int:
        return len(self.line.unsent)
