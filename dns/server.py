"""The sockets: UDP and TCP on every listen address, shared by workers. Bytes in, answers.py asked, bytes out.

One bad packet never stops the loop: `Answers` turns every error into a refusal, and what fails in here is the matter of one
packet or one connection only.
"""

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Coroutine
from typing import Any, Final

from dns.answers import Answers, InForce, Waiting, Write
from dns.datagrams import Batches
from dns.settings import Settings
from policy.event import Event

log = logging.getLogger(__name__)

REFRESH_S: Final = 0.2  # how often the published policy is looked for: an approval is felt within two seconds
RECEIVE_BUFFER: Final = 4 << 20  # what the kernel holds for us while a policy is loaded
PORT_TRIES: Final = 50  # port 0: a port that is free for UDP may be taken for TCP


async def serve(
    settings: Settings,
    live: InForce,
    record: Callable[[Event], None],
    *,
    ready: Callable[[list[str]], None],
    stop: asyncio.Event,
    worker: str = "",
    write: Write | None = None,
) -> None:
    """Answer until `stop` is set. OSError in a plain sentence when a port cannot be had."""
    answers = Answers(settings, live, record, worker=worker, write=write)
    tasks = _Tasks(settings.waiting_at_most)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(answers.close)
        stack.push_async_callback(tasks.close)
        names = [await _listen(stack, address, answers, tasks, settings) for address in settings.listen]
        stack.push_async_callback(_ended, asyncio.get_running_loop().create_task(_keep_fresh(live)))
        ready(names)
        await stop.wait()


async def _listen(
    stack: contextlib.AsyncExitStack, address: tuple[str, int], answers: Answers, tasks: "_Tasks", settings: Settings
) -> str:
    host = address[0]
    udp, tcp = bind(*address)
    name = f"[{host}]:{tcp.getsockname()[1]}" if ":" in host else f"{host}:{tcp.getsockname()[1]}"
    stack.callback(_Udp(udp, f"dns:{name}", answers, tasks).close)
    connections = _Tcp(f"dns:{name}", answers, tasks, settings)
    server = await asyncio.start_server(connections.serve, sock=tcp, backlog=256)
    stack.push_async_callback(connections.close)
    stack.callback(server.close)
    return name


def bind(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """A UDP and a listening TCP socket on one port, which other workers may share."""
    made: list[socket.socket] = []
    try:
        port = port or _free_port(host)
        made.append(_socket(host, port, socket.SOCK_DGRAM))
        made.append(_socket(host, port, socket.SOCK_STREAM))
    except OSError as error:
        for sock in made:
            sock.close()
        raise OSError(error.errno, f"DNS cannot listen on {host} port {port}: {_why(error)}") from None
    return made[0], made[1]


def _free_port(host: str) -> int:
    """A port that nobody has. Asked for without SO_REUSEPORT: with it, the kernel may give one that another worker has."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(PORT_TRIES):
        with socket.socket(family, socket.SOCK_DGRAM) as udp, socket.socket(family, socket.SOCK_STREAM) as tcp:
            udp.bind((host, 0))
            port = int(udp.getsockname()[1])
            with contextlib.suppress(OSError):
                tcp.bind((host, port))
                return port
    raise OSError(errno.EADDRINUSE, "no port is free for both UDP and TCP")


def _why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program has this port"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "ports below 1024 need the capability CAP_NET_BIND_SERVICE"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine does not have that address"
    return error.strerror or "it was refused"


def _socket(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_DGRAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


async def _keep_fresh(live: InForce) -> None:
    """Look for a newer policy. Whatever goes wrong, the last good one stays in force."""
    while True:
        try:
            live.refresh()
        except Exception:
            log.exception("could not look for a newer policy; the last good one stays in force")
        await asyncio.sleep(REFRESH_S)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class _Tasks:
    """What is under way, with a bound."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._running: set[asyncio.Task[None]] = set()

    @property
    def full(self) -> bool:
        return len(self._running) >= self._most

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("a query was lost: %s", type(error).__name__)

    async def close(self) -> None:
        running = tuple(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


class _Udp:
    """One UDP socket: a batch of packets at each call of the event loop."""

    def __init__(self, sock: socket.socket, listener: str, answers: Answers, tasks: _Tasks) -> None:
        self._sock, self._listener, self._answers, self._tasks = sock, listener, answers, tasks
        self._batches = Batches(sock)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._come)

    def _come(self) -> None:
        try:
            packets = self._batches.receive()
        except OSError:  # an ICMP of a client that went away is no news
            return
        replies = self._answers.many(packets, self._listener)
        self._batches.send([self._wait(n, reply) if isinstance(reply, Waiting) else reply for n, reply in enumerate(replies)])

    def _wait(self, number: int, waiting: Waiting) -> bytes | None:
        if self._tasks.full:
            return self._answers.overloaded(waiting)
        self._tasks.start(self._later(waiting, self._batches.sender(number)))
        return None

    async def _later(self, waiting: Waiting, sender: tuple[str, int] | tuple[str, int, int, int]) -> None:
        reply = await self._answers.later(waiting)
        if reply is not None and sender[1]:  # nobody can listen on port 0
            with contextlib.suppress(OSError):
                self._sock.sendto(reply, sender)

    def close(self) -> None:
        self._loop.remove_reader(self._sock)
        self._sock.close()


class _Tcp:
    """Connections (RFC 7766): many queries each, answered as they are ready, within bounds."""

    def __init__(self, listener: str, answers: Answers, tasks: _Tasks, settings: Settings) -> None:
        self._listener, self._answers, self._tasks, self._settings = listener, answers, tasks, settings
        self._open: set[asyncio.Task[Any]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._open) >= self._settings.tcp_connections:
            writer.transport.abort()
            return
        self._open.add(task)
        slots = asyncio.Semaphore(self._settings.tcp_pipelined)
        try:
            await self._converse(reader, writer, slots)
            for _ in range(self._settings.tcp_pipelined):
                await slots.acquire()  # what was asked before the client closed its side is still answered
            async with asyncio.timeout(self._settings.tcp_idle_s):
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError):
            pass  # it went away, or does not read
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, slots: asyncio.Semaphore) -> None:
        """Answer queries until the client closes its side, says nothing for long, or says what is not DNS."""
        address = str(writer.get_extra_info("peername")[0])
        while True:
            await slots.acquire()
            try:
                async with asyncio.timeout(self._settings.tcp_idle_s):
                    await writer.drain()  # who does not read is not read from
                    packet = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
            except (TimeoutError, asyncio.IncompleteReadError):
                slots.release()
                return
            reply = self._answers.at_once(packet, self._listener, address, tcp=True)
            if isinstance(reply, Waiting) and not self._tasks.full:
                self._tasks.start(self._later(reply, writer, slots))
                continue
            slots.release()
            if isinstance(reply, Waiting):
                reply = self._answers.overloaded(reply)
            if reply is None:
                return
            writer.write(len(reply).to_bytes(2) + reply)

    async def _later(self, waiting: Waiting, writer: asyncio.StreamWriter, slots: asyncio.Semaphore) -> None:
        try:
            reply = await self._answers.later(waiting)
            if reply is not None:
                writer.write(len(reply).to_bytes(2) + reply)
        finally:
            slots.release()

    async def close(self) -> None:
        connections = tuple(self._open)
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
