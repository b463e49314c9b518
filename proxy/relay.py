"""A connection that passes through, once it is joined: what comes in at one end goes out at the other, as it is.

An end that takes no more is waited for, and the other is read no further. An end that has said all it has to say is passed on
as just that, and the other may go on. An end that breaks takes the other with it, once that has what was meant for it.
"""

import socket
from collections.abc import Callable

from proxy.wires import BROKEN, NOT_YET, READ, WRITE, Wires


class End:
    """One end of it."""

    __slots__ = ("ended", "fd", "joined", "other", "sock", "unsent", "watched")

    def __init__(self, joined: "Joined", sock: socket.socket) -> None:
        self.joined, self.sock, self.fd = joined, sock, sock.fileno()
        self.other = self
        self.watched = READ
        self.unsent = b""  # what is to go out here and did not go yet
        self.ended = False  # nothing more comes in here

    def happened(self, what: int) -> None:
        try:
            self._act(what)
        except BaseException:
            self.joined.close()
            raise

    def _act(self, what: int) -> None:
        if what & WRITE and self.unsent:
            self._send_on()
        if self.joined.over:
            return
        if self.watched & READ:
            if what & (READ | BROKEN):
                self._take()
        elif what & BROKEN:
            self._broken()

    def _take(self) -> None:
        try:
            count = self.sock.recv_into(self.joined.wires.space)
        except NOT_YET:
            return
        except OSError:
            self._broken()
            return
        if count:
            self.other.send(self.joined.wires.space[:count])
        else:
            self._said_all()

    def send(self, data: memoryview | bytes) -> None:
        try:
            sent = self.sock.send(data)
        except NOT_YET:
            sent = 0
        except OSError:
            self._deaf()
            return
        if sent < len(data):
            self.unsent = bytes(data[sent:])
            self.watch(self.watched | WRITE)
            self.other.watch(self.other.watched & ~READ)

    def _send_on(self) -> None:
        try:
            sent = self.sock.send(self.unsent)
        except NOT_YET:
            return
        except OSError:
            self._deaf()
            return
        self.unsent = self.unsent[sent:]
        if self.unsent:
            return
        self.watch(self.watched & ~WRITE)
        if not self.other.ended:
            self.other.watch(self.other.watched | READ)
        else:
            self.finish()

    def _said_all(self) -> None:
        self.ended = True
        self.watch(self.watched & ~READ)
        if not self.other.unsent:
            self.other.finish()

    def finish(self) -> None:
        """The other end has ended and everything of it is out."""
        if self.ended and not self.other.unsent:
            self.joined.close()
            return
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.joined.close()

    def _deaf(self) -> None:
        """Nothing more can be sent here. What this end said before may still be read."""
        self.unsent, self.other.ended = b"", True
        self.watch(self.watched & ~WRITE)
        self.other.watch(self.other.watched & ~READ)
        if self.ended and not self.other.unsent:
            self.joined.close()

    def _broken(self) -> None:
        """Nothing more comes, and nothing more can be sent here."""
        self.ended, self.unsent, self.other.ended = True, b"", True
        self.joined.wires.forget(self.fd)
        self.watched = 0
        if self.other.unsent:
            self.other.watch(WRITE)
        else:
            self.joined.close()

    def watch(self, what: int) -> None:
        if what != self.watched:
            self.watched = what
            self.joined.wires.change(self.fd, what)


class Joined:
    """Both ends. `gone` is called once, when both are closed."""

    def __init__(self, wires: Wires, near: socket.socket, far: socket.socket, gone: Callable[[], None]) -> None:
        """`near` is watched already, for reading; `far` is not."""
        self.wires, self.gone, self.over = wires, gone, False
        self.near, self.far = End(self, near), End(self, far)
        self.near.other, self.far.other = self.far, self.near
        wires.pass_on(self.near.fd, self.near.happened)
        wires.watch(self.far.fd, READ, self.far.happened)

    def close(self) -> None:
        if self.over:
            return
        self.over = True
        for end in (self.near, self.far):
            self.wires.forget(end.fd)
            end.sock.close()
        self.gone()
