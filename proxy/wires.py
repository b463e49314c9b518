"""Sockets watched beside asyncio: an epoll of our own that the loop watches as one file.

A connection that passes through is a handful of short events: read so much here, send it there. asyncio spends some 20 us on
each of them (a transport, a handle, a selector in Python), which is more than the event itself. Here an event is one call
of a function. What is opened is no such matter, and stays asyncio's.

Within one batch of events a socket may be closed and its number become another's. So an event counts only for the watcher
that was there when the batch was fetched; whatever is still true is told again with the next.
"""

import asyncio
import errno
import logging
import os
import select
import socket
import struct
from collections.abc import Callable

READ, WRITE, BROKEN = select.EPOLLIN, select.EPOLLOUT, select.EPOLLERR | select.EPOLLHUP
AT_ONCE = 128  # events of one turn of the loop
LARGEST_PIECE = 1 << 18  # bytes carried in one event
SO_ORIGINAL_DST = 80  # of IPv4, and of IPv6 at its own level
NOT_YET = (BlockingIOError, InterruptedError)

type Watcher = Callable[[int], object]

log = logging.getLogger(__name__)


class Wires:
    """The watched sockets of a worker."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.space = memoryview(bytearray(LARGEST_PIECE))  # for what is read and sent on: empty between events
        self._epoll = select.epoll()
        self._watchers: dict[int, Watcher] = {}
        self.loop.add_reader(self._epoll.fileno(), self._turn)

    def watch(self, fd: int, what: int, watcher: Watcher) -> None:
        self._epoll.register(fd, what)  # OSError when the kernel watches no more: then nobody is told of it
        self._watchers[fd] = watcher

    def change(self, fd: int, what: int) -> None:
        self._epoll.modify(fd, what)

    def pass_on(self, fd: int, watcher: Watcher) -> None:
        """The same socket, watched for the same, by another."""
        self._watchers[fd] = watcher

    def forget(self, fd: int) -> None:
        """Before a socket is closed or given away."""
        if self._watchers.pop(fd, None):
            self._epoll.unregister(fd)

    def close(self) -> None:
        self.loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
        self._watchers.clear()

    def _turn(self) -> None:
        watchers = self._watchers
        for fd, what, watcher in [(fd, what, watchers.get(fd)) for fd, what in self._epoll.poll(0, AT_ONCE)]:
            if watcher is None or watchers.get(fd) is not watcher:
                continue
            try:
                watcher(what)
            except Exception:  # one connection's trouble is not the others'
                log.exception("a connection's event could not be handled")
                if watchers.get(fd) is watcher:  # or the number is another's by now
                    self.forget(fd)

    async def connect(self, address: str, port: int) -> socket.socket:
        """A socket that is connected to an address. It is its taker's to close."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, socket.IPPROTO_TCP)
        try:
            wrong = made.connect_ex((address, port))
            if wrong == errno.EINPROGRESS:
                await self._connected(made)
                wrong = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if wrong:
                raise OSError(wrong, os.strerror(wrong))
        except BaseException:
            made.close()
            raise
        return made

    async def _connected(self, made: socket.socket) -> None:
        done: asyncio.Future[None] = self.loop.create_future()

        def happened(_: int) -> None:
            if not done.done():
                done.set_result(None)

        fd = made.fileno()
        self.watch(fd, WRITE, happened)
        try:
            await done
        finally:
            self.forget(fd)


def original(sock: socket.socket) -> tuple[str, int] | None:
    """Where a redirected connection was going, as the kernel remembers it; None when it was not redirected."""
    own = sock.getsockname()
    try:
        if sock.family == socket.AF_INET:
            raw = sock.getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16)
            found = (socket.inet_ntop(socket.AF_INET, raw[4:8]), struct.unpack("!H", raw[2:4])[0])
        else:
            raw = sock.getsockopt(socket.IPPROTO_IPV6, SO_ORIGINAL_DST, 28)
            found = (socket.inet_ntop(socket.AF_INET6, raw[8:24]), struct.unpack("!H", raw[2:4])[0])
    except OSError:
        return None
    return None if found == (str(own[0]), int(own[1])) else found
