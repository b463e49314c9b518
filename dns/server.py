"""The sockets: UDP and TCP on every listen address, TLS and HTTPS where wanted, shared by workers. Bytes in, bytes out.

One bad packet never stops the loop: `Answers` turns every error into a refusal, and what fails in here is the matter of one
packet or one connection only. Datagrams are handled here, connections in streams.py and doh.py.
"""

import asyncio
import contextlib
import errno
import gc
import logging
import socket
import sys
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Final

from dns import proxied
from dns.answers import Answers, InForce
from dns.busypoll import BusyPoll
from dns.datagrams import AT_ONCE, Batches
from dns.explain import Questions
from dns.limits import Rate
from dns.proxied import Balancers
from dns.seats import text_of
from dns.settings import Settings
from dns.streams import Door, Listener
from dns.tasks import Tasks
from dns.telling import Write
from dns.waiting import Waiting
from policy.event import Event
from policy.snapshot import Snapshot

log = logging.getLogger(__name__)

REFRESH_S: Final = 0.2  # how often the published policy is looked for: an approval is felt within two seconds
REHEARSED_S: Final = 2.0  # a new policy waits no longer than that for being rehearsed; it takes a quarter of a second
TELL_S: Final = 1.0  # how often the counters are told
QUICK_S: Final = 50e-6  # a packet whose reply is ready takes a quarter of that, one that is decided twice as long
FEWER: Final = 16  # packets of a batch while they are slow, so that no turn of the loop takes more than some milliseconds
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
    told: Callable[[dict[str, object]], None] = lambda _: None,
) -> None:
    """Answer until `stop` is set; `ready` gets the addresses in the settings' order. OSError in a plain sentence when a port

    cannot be had. `told` is given the counters once a second.
    """
    answers = Answers(settings, live, record, worker=worker, write=write)
    tasks = Tasks(settings.waiting_at_most)
    door = Door(settings.tcp_connections, settings.tcp_per_client, answers.dropped)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(answers.close)
        stack.push_async_callback(tasks.close)

        def listen(kind: str, address: tuple[str, int], sock: socket.socket) -> str:
            name = _name(address[0], sock)
            listener = Listener(kind, f"{kind}:{name}", sock, answers, tasks, settings, door)
            stack.push_async_callback(listener.close)
            return name

        names = []
        datagrams = []
        for address in settings.listen:
            udp, tcp = bind(*address)
            names.append(listen("dns", address, tcp))
            datagrams.append(Udp(udp, f"dns:{names[-1]}", answers, tasks, settings))
            stack.callback(datagrams[-1].close)
        names += [listen("dot", address, bind_stream(*address)) for address in settings.dot_listen]
        names += [listen("doh", address, bind_stream(*address)) for address in settings.doh_listen]
        works = [_keep_fresh(live, answers), _tell(told, answers, datagrams, door)]
        if settings.explain_socket:
            works.append(Questions(answers.parts, worker).serve(settings.explain_socket))
        if answers.steering:
            works.append(answers.steering.run())
        for work in works:
            stack.push_async_callback(_ended, asyncio.get_running_loop().create_task(work))
        ready(names)
        await stop.wait()


def steady() -> None:
    """Set the interpreter up for even answers. Once, in a process of its own, when everything is loaded."""
    gc.freeze()  # what is loaded now stays: no collection looks through it again
    # Replies kept ready are no garbage, and yet they are looked through: 2,000 in half a millisecond, and never so many at
    # once (10,000 take two, 200,000 forty) that answers are late.
    gc.set_threshold(2_000, 5, 2_000)
    sys.setswitchinterval(0.001)  # a policy is loaded in a thread, and must not hold up answers for 5 ms at a time


def _name(host: str, sock: socket.socket) -> str:
    port = sock.getsockname()[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


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


def bind_stream(host: str, port: int) -> socket.socket:
    """A listening TCP socket for DNS over TLS or HTTPS, which other workers may share."""
    try:
        return _socket(host, port, socket.SOCK_STREAM)
    except OSError as error:
        raise OSError(error.errno, f"DNS cannot listen on {host} port {port}: {_why(error)}") from None


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
    # Named, since asyncio switches Nagle's algorithm off only where a socket says that it is TCP's.
    protocol = socket.IPPROTO_TCP if kind == socket.SOCK_STREAM else socket.IPPROTO_UDP
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind, protocol)
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


async def _keep_fresh(live: InForce, answers: Answers) -> None:
    """Look for a newer policy, in a thread: a list of five million names is read through to check its digest.

    Before it comes into force the loop rehearses it. Whatever goes wrong, the last good one stays in force.
    """
    loop = asyncio.get_running_loop()

    def before(snapshot: Snapshot) -> None:
        try:
            asyncio.run_coroutine_threadsafe(answers.rehearse(snapshot), loop).result(REHEARSED_S)
        except Exception:
            log.exception("a new policy comes into force unrehearsed; its first answers take longer")

    while True:
        try:
            await asyncio.to_thread(live.refresh, before)
        except Exception:
            log.exception("could not look for a newer policy; the last good one stays in force")
        await asyncio.sleep(REFRESH_S)


async def _tell(told: Callable[[dict[str, object]], None], answers: Answers, datagrams: "list[Udp]", door: Door) -> None:
    while True:
        await asyncio.sleep(TELL_S)
        try:
            unsent = sum(each.unsent for each in datagrams)
            told(answers.told(unsent=unsent, connections=len(door)))
        except Exception:
            log.exception("could not tell the counters")


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class Udp:
    """One UDP socket: a batch of packets at each call of the event loop."""

    def __init__(self, sock: socket.socket, listener: str, answers: Answers, tasks: Tasks, settings: Settings) -> None:
        self._sock, self._listener, self._answers, self._tasks = sock, listener, answers, tasks
        self._batches = Batches(sock)
        self._balancers = Balancers(settings.balancers)
        self._rate = Rate(settings.client_queries_s)
        self._most = AT_ONCE
        self._loop = asyncio.get_running_loop()
        self._busy = BusyPoll(self._loop, settings.busy_poll_s) if settings.busy_poll_s else None
        self._loop.add_reader(sock, self._come)

    @property
    def unsent(self) -> int:
        return self._batches.unsent

    def _come(self) -> None:
        if self._busy:
            self._busy.came()
        began = perf_counter()
        try:
            packets = self._batches.receive(self._most)
        except OSError:  # an ICMP of a client that went away is no news
            return
        self._answer(packets)
        self._most = AT_ONCE if perf_counter() - began < QUICK_S * len(packets) else FEWER

    def _answer(self, packets: list[tuple[bytes, bytes]]) -> None:
        if not self._balancers and not self._rate.most:  # the usual way, and the short one
            self._send(self._answers.many(packets, self._listener))
            return
        places: Sequence[int] = range(len(packets))
        if self._balancers:
            announced = [(place, found) for place, each in enumerate(packets) if (found := self._announced(*each))]
            places, packets = [place for place, _ in announced], [found for _, found in announced]
        said: list[bytes | Waiting | None] = [None] * (places[-1] + 1 if places else 0)
        if self._rate.most:
            places, packets = self._within_rate(places, packets, said)
        for place, reply in zip(places, self._answers.many(packets, self._listener), strict=True):
            said[place] = reply
        self._send(said)

    def _send(self, said: list[bytes | Waiting | None]) -> None:
        """What can be said at once leaves now; what waits for an upstream, later."""
        replies: list[bytes | None] = [each if type(each) is bytes else None for each in said]
        if None in replies:
            for place, each in enumerate(said):
                if isinstance(each, Waiting):
                    replies[place] = self._wait(place, each)
        self._batches.send(replies)

    def _announced(self, packet: bytes, source: bytes) -> tuple[bytes, bytes] | None:
        """A balancer's packet without its header, and whom it is from."""
        if text_of(source) not in self._balancers:
            return packet, source
        try:
            header = proxied.read(packet)
        except proxied.NotProxied:
            self._answers.dropped("not proxied")
            return None
        return packet[header.size :], header.source or source

    def _within_rate(
        self, places: Sequence[int], packets: list[tuple[bytes, bytes]], said: list[bytes | Waiting | None]
    ) -> tuple[Sequence[int], list[tuple[bytes, bytes]]]:
        """Without those that are too many. Every second of these is told to come by TCP, which only who is there can do."""
        now = self._loop.time()
        kept = []
        for place, (packet, source) in zip(places, packets, strict=True):
            if not self._rate.over(source, now):
                kept.append((place, (packet, source)))
                continue
            self._answers.dropped("client rate")
            if self._rate.count(source) % 2:
                said[place] = self._answers.come_by_tcp(packet)
        return [place for place, _ in kept], [packet for _, packet in kept]

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
