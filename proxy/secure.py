"""The proxy reached by TLS: `HTTPS host:port` in a device's proxy setting or PAC file.

    a connection          PROXY header, where a balancer stands before us -> greeting -> ALPN
      http/1.1, or none     its bytes, as on the plain listener
      h2                    each stream is a connection of its own (proxy/h2_streams.py)

What is unwrapped goes through a pipe (proxy/pipes.py) to a door of the front like every other connection: there it is read,
judged, and joined or opened. This file and those it leads to decide nothing; what is odd in the wrapping ends here.
"""

import math
import socket
import time
from dataclasses import replace

from proxy import greeting as read
from proxy.front import HEAD_SECONDS, Door, Front, Listener
from proxy.h2_streams import Streams
from proxy.pipes import piped
from proxy.reach import keep_alive
from proxy.sealed import Sealed

GREETING = 0x16  # the first byte of every TLS connection


class SecureDoor(Door):
    """One connection, under TLS as far as its pipes."""

    def __init__(self, front: Front, listener: Listener, sock: socket.socket, peer: tuple[str, int]) -> None:
        super().__init__(front, listener, sock, peer)
        self.inner = replace(listener, balancers=(), secure=None)  # whose it is, is known by then
        place = sock.getsockname()
        self.own: tuple[str, int] = (str(place[0]), int(place[1]))
        self.sealed: Sealed
        self.spoken: Straight | Streams | None = None
        self.shut = False

    def _head(self) -> None:
        """The first bytes, after a balancer's."""
        if self.data[0] != GREETING:
            raise read.Odd("no TLS where only TLS is spoken")
        assert self.listener.secure is not None
        data, self.data = self.data, b""
        self.deadline = time.monotonic() + HEAD_SECONDS  # for the whole greeting
        keep_alive(self.sock)
        self.sealed = Sealed(self.front.wires, self.sock, self.listener.secure, self, self.close)
        self.shut = True
        self.sealed.take(data)

    def close(self) -> None:
        """With a goodbye, as far as it can be said at once."""
        if self.shut:
            self.shut = False
            try:
                if self.spoken:
                    self.spoken.farewell()
                self.sealed.finish()
            finally:
                self.sealed.over()
                super().close()
            return
        super().close()

    def reset(self) -> None:
        if isinstance(self.spoken, Streams):  # its streams end as what they are: broken off, or whole already
            self.close()
            return
        if self.shut:  # without a goodbye, which would make an end of it
            self.shut = False
            if self.spoken:
                self.spoken.farewell()
            self.sealed.over()
        super().reset()

    # --- what the TLS tells ------------------------------------------------------------------------------------------------

    def greeted(self, protocol: str | None) -> None:
        self.spoken = Streams(self) if protocol == "h2" else Straight(self)

    def heard(self, data: bytes) -> None:
        if self.spoken:
            self.spoken.heard(data)

    def ended(self) -> None:
        if self.spoken:
            self.spoken.ended()

    def writable(self) -> None:
        if self.spoken:
            self.spoken.writable()


class Straight:
    """HTTP/1.1: one pipe. Where the inside has said all, the connection ends: TLS is not left open on one side."""

    def __init__(self, door: SecureDoor) -> None:
        self._door, self._sealed = door, door.sealed
        door.deadline = math.inf  # the door inside has its own
        self._pipe = piped(door.front, door.inner, door.address, door.own, self)

    def heard(self, data: bytes) -> None:
        self._pipe.send(data)
        self._sealed.listen(wanted=not self._pipe.full)

    def took(self, count: int) -> None:
        del count
        self._sealed.listen(wanted=not self._pipe.full)

    def ended(self) -> None:
        self._pipe.end()

    def writable(self) -> None:
        self._pipe.listen(wanted=True)

    def says(self, data: bytes) -> None:
        self._sealed.send(data)
        self._pipe.listen(wanted=not self._sealed.full)

    def said_all(self, *, gone: bool) -> None:
        del gone
        self._pipe.close()
        self._door.deadline = time.monotonic() + HEAD_SECONDS
        self._sealed.finish()

    def cut(self) -> None:
        self._door.reset()

    def farewell(self) -> None:
        self._pipe.close()
