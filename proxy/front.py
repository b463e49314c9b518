"""The door of every connection: reads who it is and where it wants to go, and then either refuses it, joins it to the site
untouched, or hands it to mitmproxy to be opened.

Most connections of a school pass through, and Python's share of one that does should be small: no stream objects, no layers,
one task while the site is found, and from then on bytes carried from socket to socket (`Relay`).

    explicit listener      CONNECT host:port -> 200 -> greeting     anything else -> mitmproxy, as it came
    transparent listener   greeting, or a plain request's Host      whatever else -> closed
    page listener          the same, always to mitmproxy, which answers with the block page

A transparent listener stands behind an nftables redirect. Where the client meant to go is read from the kernel, and used for
the port and where no name is given; the site itself is found by its name, so that no client can name one site and reach
another. On a gateway an address may stand for a name (policy/synthetic.py): then that is where the connection goes, as if by
CONNECT; and an address that no name led to is gone to only if policy speaks of it. A listener behind a balancer begins with
its PROXY header.

INVARIANT: nothing is joined but what `Tunnels.passes` said yes to, for the very host that `Reach` then resolves.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

from category_lists.names import NameRefused, canonical_host, is_address
from policy.synthetic import Names
from proxy import greeting as read
from proxy.answer import Answer
from proxy.destinations import web_port
from proxy.reach import Reach, keep_alive
from proxy.tls import honest_host
from proxy.tunnels import Tunnels

SO_ORIGINAL_DST = 80  # of IPv4, and of IPv6 at its own level
HEAD_SECONDS = 30.0  # for a head or greeting once it has begun
IDLE_SECONDS = 600.0  # for it to begin: browsers open connections ahead of need
TUNNELLED = b"HTTP/1.1 200 Connection established\r\n\r\n"
MOST_AHEAD = 2 * read.LONGEST  # bytes kept while we think
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listener:
    """One listening socket and what its connections are."""

    name: str
    transparent: bool = False
    page: bool = False  # where DNS leads blocked names: everything is opened, and answered by us
    balancers: tuple[IPv4Network | IPv6Network, ...] = ()  # who may begin with a PROXY header; they must


@dataclass(frozen=True, slots=True)
class Given:
    """A connection handed to mitmproxy. `tunnel`: where to, when that is settled; the bytes read so far come first."""

    listener: str
    transport: asyncio.Transport
    data: bytes
    address: tuple[str, int]
    tunnel: tuple[str, int] | None


class Front:
    """All doors of a worker."""

    def __init__(
        self, tunnels: Tunnels, reach: Reach, hand_over: Callable[[Given], Awaitable[None]], names: Names | None = None
    ) -> None:
        self.tunnels, self.reach, self.hand_over, self.names = tunnels, reach, hand_over, names
        self.open: dict[str, Door] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    def door(self, listener: Listener) -> Callable[[], "Door"]:
        return lambda: Door(self, listener)

    def run(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def cut(self, ids: list[str]) -> None:
        """Close these connections, and what they are joined to."""
        for id_ in ids:
            if door := self.open.get(id_):
                door.close()

    async def close(self) -> None:
        self.cut(list(self.open))
        for task in list(self.tasks):
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=1)


class Door(asyncio.Protocol):
    """One connection until it is known what it is."""

    def __init__(self, front: Front, listener: Listener) -> None:
        self.front, self.listener = front, listener
        self.id = f"d{id(self):x}"
        self.data = b""
        self.read: Callable[[], None] = self._head
        self.deadline: asyncio.TimerHandle | None = None
        self.begun = False  # something of what is awaited is here
        self.address: tuple[str, int] = ("", 0)
        self.target: tuple[str, int] | None = None  # where the tunnel goes, as it was asked for
        self.relay: Relay | None = None

    # --- asyncio's side --------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.front.open[self.id] = self
        keep_alive(transport)
        self._await(IDLE_SECONDS)
        peer = transport.get_extra_info("peername") or ("", 0)
        self.address = (str(peer[0]).partition("%")[0], int(peer[1]))
        if self.listener.balancers:
            if not any(ip_address(self.address[0]) in each for each in self.listener.balancers):
                transport.abort()
            self.read = self._proxied
        else:
            self._begin()

    def _begin(self) -> None:
        """The client's address is known."""
        if not self.front.tunnels.known(self.listener.name, self.address[0]):
            self.transport.abort()
            return
        self.read = self._head
        if self.listener.page:
            own = self.transport.get_extra_info("sockname")
            self.target, self.read = (str(own[0]), int(own[1])), self._meant
        elif self.listener.transparent:
            self.target, self.read = original(self.transport), self._meant
            name = self.front.names.of(self.target[0]) if self.front.names and self.target else None
            if self.target is None or name == "":
                self.transport.abort()
            elif name:
                self.target, self.read = (name, self.target[1]), self._greeting

    def data_received(self, data: bytes) -> None:
        self.data += data
        if len(self.data) > MOST_AHEAD:
            self.transport.abort()
            return
        if not self.begun:
            self.begun = True
            self._await(HEAD_SECONDS)
        self._read()

    def _read(self) -> None:
        try:
            self.read()
        except read.Odd as odd:
            self.front.tunnels.refused(self.listener.name, self.address[0], (self.target or ("",))[0], odd.outcome)
            log.info("refused a connection: %s", odd)
            self._answer(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        except Exception:  # noqa: BLE001 - an enforcing edge
            self.front.tunnels.trouble("a connection", self.address[0])
            self.close()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.gone()

    def gone(self) -> None:
        self._done()
        self.front.open.pop(self.id, None)
        self.front.tunnels.over(self.id)

    def _await(self, seconds: float) -> None:
        """The client has so long for what comes next."""
        self._done()
        self.deadline = asyncio.get_running_loop().call_later(seconds, self.transport.abort)

    def _done(self) -> None:
        """Nothing more is awaited of the client before we act."""
        if self.deadline:
            self.deadline.cancel()
        self.deadline = None

    # --- what is read, one after the other ---------------------------------------------------------------------------------

    def _proxied(self) -> None:
        header = read.proxied(self.data)
        if header is None:
            return
        if not header.address:  # the balancer asks whether we are alive
            self.transport.close()
            return
        self.data = self.data[header.length :]
        self.address = (header.address, header.port)
        self._begin()
        if self.data and not self.transport.is_closing():
            self._read()

    def _head(self) -> None:
        """The first request at an explicit listener."""
        if not b"CONNECT ".startswith(self.data[:8]):
            self._give(None)
        elif len(self.data) >= 8 and (asked := read.connect(self.data)):
            self._wait()
            self.front.run(self._tunnel(asked))

    async def _tunnel(self, asked: read.Connect) -> None:
        said = await self.front.tunnels.ask(self.listener.name, self.address[0], asked.host, asked.port)
        if self.transport.is_closing():
            return
        if said is None:
            self.transport.abort()
        elif isinstance(said, Answer):
            self._answer(written(said))
        elif not all(_same(each, said) for each in asked.hosts):
            self.front.tunnels.refused(self.listener.name, self.address[0], asked.host, "name")
            self._answer(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        else:
            self.data = self.data[asked.length :]
            self.target, self.read = (said, asked.port), self._greeting
            self.transport.write(TUNNELLED)
            self.begun = False
            self._await(IDLE_SECONDS)
            self._go_on()

    def _meant(self) -> None:
        """The first bytes at a transparent listener: a greeting, or a plain request."""
        assert self.target is not None
        if not self.listener.page and not web_port(self.target[1]):
            raise read.Odd("not a port of the web")
        if self.data[0] == 0x16:
            found = read.greeting(self.data)
            if found is None:
                return
            if found.name and not found.bent:  # no name: the address itself is what was meant
                with suppress(NameRefused):
                    self.target = (canonical_host(found.name), self.target[1])
            self._not_unasked(self.target[0])
            self._greeted(found)
            return
        read.begins_as_http(self.data)
        host = read.plain_host(self.data)
        if host is not None:
            self._not_unasked(host or self.target[0])
            self._give((host or self.target[0], self.target[1]))

    def _not_unasked(self, host: str) -> None:
        """Behind a resolver that steers, an address that no name led to is gone to only if policy speaks of this address."""
        steered = self.front.names is not None and not self.listener.page
        if steered and is_address(host) and not self.front.tunnels.spoken_of(self.listener.name, self.address[0], host):
            raise read.Odd("an address that no name led to", "unresolved")

    def _greeting(self) -> None:
        """The first bytes inside a tunnel."""
        if not self.data:
            return
        if self.data[0] != 0x16:
            read.begins_as_http(self.data)
            self._give(self.target)
        elif (found := read.greeting(self.data)) is not None:
            self._greeted(found)

    def _greeted(self, found: read.Greeting) -> None:
        assert self.target is not None
        host = None if found.bent else honest_host(self.target[0], found.name)
        if host and not self.listener.page and self.front.tunnels.passes(self.id, self.listener.name, self.address[0], host):
            self._wait()
            self.front.run(self._join(host, self.target[1]))
        else:
            self._give(self.target)

    # --- what becomes of it ------------------------------------------------------------------------------------------------

    async def _join(self, host: str, port: int) -> None:
        """Untouched, from here to the site."""
        far = Relay(self)
        try:
            site = await self.front.reach.transport(host, port, lambda: far)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, it is not joined; the client sees a closed tunnel
            log.info("could not reach a site that passes through: %s", error)
            self.transport.abort()
            return
        if self.transport.is_closing():
            site.abort()
            return
        near = self.relay = Relay(self)
        near.peer, far.peer = site, self.transport
        near.transport = self.transport
        self.transport.set_protocol(near)
        site.write(self.data)
        self.data = b""
        with suppress(RuntimeError):
            self.transport.resume_reading()

    def _give(self, tunnel: tuple[str, int] | None) -> None:
        """To mitmproxy, which opens it."""
        self._wait()
        self.front.open.pop(self.id, None)
        self.front.run(self.front.hand_over(Given(self.listener.name, self.transport, self.data, self.address, tunnel)))

    def _wait(self) -> None:
        self._done()
        self.transport.pause_reading()
        self.read = lambda: None

    def _go_on(self) -> None:
        self.transport.resume_reading()
        if self.data:
            self._read()

    def _answer(self, data: bytes) -> None:
        self._done()
        self.read = lambda: None
        self.transport.write(data)
        self.transport.close()

    def close(self) -> None:
        """Both ends at once."""
        if self.relay and self.relay.peer:
            self.relay.peer.abort()
        self.transport.abort()


class Relay(asyncio.Protocol):
    """One end of a connection that passes through: what comes in here goes out at the other end."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.peer: asyncio.Transport | None = None
        self.transport: asyncio.Transport | None = None
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.peer:
            self.peer.write(data)

    def pause_writing(self) -> None:
        """This end takes no more: the other is read no further."""
        if self.peer and not self.peer.is_closing():
            self.peer.pause_reading()

    def resume_writing(self) -> None:
        if self.peer and not self.peer.is_closing():
            self.peer.resume_reading()

    def eof_received(self) -> bool:
        """One side has said all it has to say; the other may go on."""
        self.ended = True
        if self.peer and not self.peer.is_closing():
            other = self.peer.get_protocol()
            if isinstance(other, Relay) and other.ended:
                self.peer.close()
                return False
            self.peer.write_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self.peer and not self.peer.is_closing():
            self.peer.close()
        self.door.gone()


def _same(name: str, host: str) -> bool:
    """Is this Host header of a CONNECT for the tunnel's own host?"""
    bare = name.partition("]")[0][1:] if name.startswith("[") else name.partition(":")[0]
    try:
        return canonical_host(bare) == host
    except NameRefused:
        return False


def written(answer: Answer) -> bytes:
    """An answer of ours as the bytes of HTTP/1.1, after which the connection ends."""
    lines = [f"HTTP/1.1 {answer.status} Refused", *(f"{name}: {value}" for name, value in answer.headers)]
    lines += [f"Content-Length: {len(answer.body)}", "Connection: close"]
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + answer.body


def original(transport: asyncio.BaseTransport) -> tuple[str, int] | None:
    """Where a redirected connection was going, as the kernel remembers it; None when it was not redirected."""
    sock, own = transport.get_extra_info("socket"), transport.get_extra_info("sockname")
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
