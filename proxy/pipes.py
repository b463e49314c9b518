"""Ways into the front for what came to us in a wrapping: under TLS (proxy/secure.py), or as a stream of HTTP/2.

The front, what it joins, and mitmproxy behind it speak to sockets, and so what is unwrapped gets one: a pair of the kernel's.
One half goes through a door like every other connection, is judged like it, and waits like it for who takes no more; the
other half is here. Nothing is decided in this file, and no way leads out of it but through that door.
"""

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from proxy.front import Door, Front, Listener
from proxy.wires import BROKEN, NOT_YET, READ, WRITE, Wires

PIECE = 65_536  # bytes that are read at once
KERNEL = 131_072  # bytes that the kernel keeps for each direction: asked for here, so that it is the same on every box


class Outer(Protocol):
    """Whoever has the other side of a pipe: the client's."""

    def says(self, data: bytes) -> None:
        """The inside says this to the client."""

    def took(self, count: int) -> None:
        """So much of what was sent is out of our hands."""

    def said_all(self, *, gone: bool) -> None:
        """The inside says no more. `gone`: and it listens no more."""

    def cut(self) -> None:
        """Policy ended it in the middle: that shall not look like an end."""


class Inner(Door):
    """The door that a pipe leads through. It knows whose connection it is, and where that came in."""

    def __init__(
        self,
        front: Front,
        listener: Listener,
        sock: socket.socket,
        peer: tuple[str, int],
        own: tuple[str, int],
        cut: Callable[[], None],
    ) -> None:
        super().__init__(front, listener, sock, peer)
        self.own, self._cut = own, cut

    def reset(self) -> None:
        try:
            self._cut()
        finally:
            super().reset()


class Pipe:
    """Our half of the pair."""

    __slots__ = ("_ended", "_fd", "_sock", "_unsent", "_watched", "_wires", "closed", "ending", "outer")

    def __init__(self, wires: Wires, sock: socket.socket, outer: Outer) -> None:
        self._wires, self._sock, self._fd, self.outer = wires, sock, sock.fileno(), outer
        self._unsent = bytearray()  # bounded by the outer: a window of HTTP/2, or one read
        self._watched: int | None = READ  # None: forgotten, since it would be told again and again that the other end is gone
        self._ended = False  # nothing more is read
        self.ending = False  # nothing more is sent once what waits is out
        self.closed = False
        wires.watch(self._fd, READ, self._happened)

    @property
    def full(self) -> bool:
        return bool(self._unsent)

    def send(self, data: bytes) -> None:
        """What the client says. Where the inside listens no more it is dropped, and counts as taken."""
        if self.closed or self.ending:
            self.outer.took(len(data))
        elif self._unsent:
            self._unsent += data
        else:
            self._out(data)

    def _out(self, data: bytes | bytearray) -> None:
        try:
            count = self._sock.send(data)
        except NOT_YET:
            count = 0
        except OSError:  # it does not listen any more; what it said may still be read
            count, self.ending = len(data), True
        self._unsent = bytearray(data[count:])
        self._watch((self._watched or 0) | WRITE if self._unsent else (self._watched or 0) & ~WRITE)
        if self.ending and not self._unsent:
            self._shut()
        if count:
            self.outer.took(count)

    def end(self) -> None:
        """The client has said all it will."""
        if not self.ending and not self.closed:
            self.ending = True
            if not self._unsent:
                self._shut()

    def _shut(self) -> None:
        if not self.closed:
            with suppress(OSError):  # it is gone already: reading tells
                self._sock.shutdown(socket.SHUT_WR)

    def listen(self, *, wanted: bool) -> None:
        """Is more of the inside wanted just now?"""
        now = self._watched or 0
        self._watch(now | READ if wanted else now & ~READ)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._wires.forget(self._fd)
            self._sock.close()

    def _watch(self, what: int) -> None:
        if self.closed or what == self._watched:
            return
        if self._watched is not None:
            self._wires.change(self._fd, what)
        elif what:
            self._wires.watch(self._fd, what, self._happened)
        else:
            return
        self._watched = what

    def _happened(self, what: int) -> None:
        try:
            if what & WRITE and self._unsent:
                self._out(self._unsent)
            if self.closed:
                return
            if self._watched and self._watched & READ:
                if what & (READ | BROKEN):
                    self._take(gone=bool(what & BROKEN))
            elif what & BROKEN:  # what is left to be read is read when more is wanted
                self._wires.forget(self._fd)
                self._watched = None
                if self._ended:
                    self.outer.said_all(gone=True)
        except BaseException:
            self.outer.cut()
            raise

    def _take(self, *, gone: bool) -> None:
        try:
            data = self._sock.recv(PIECE)
        except NOT_YET:
            return
        except OSError:
            data, gone = b"", True
        if data:
            self.outer.says(data)
            return
        self._ended = True
        self.listen(wanted=False)
        self.outer.said_all(gone=gone)


def piped(front: Front, listener: Listener, peer: tuple[str, int], own: tuple[str, int], outer: Outer) -> Pipe:
    """A pipe to a new door. OSError when there is no file left for it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    door = Inner(front, listener, theirs, peer, own, outer.cut)
    try:
        for sock in (ours, theirs):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL // 2)  # the kernel doubles it
        door.begin()
        return Pipe(front.wires, ours, outer)
    except BaseException:
        ours.close()
        door.close()
        raise
