"""The door of every connection: reads who it is and where it wants to go, and then either refuses it, joins it to the site
untouched, or hands it to mitmproxy to be opened.

Most connections of a school pass through, and Python's share of one that does should be small: plain sockets
(proxy/wires.py), no stream objects, no layers, one task while the site is found, and from then on bytes carried from
socket to socket (proxy/relay.py).

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
import math
import socket
import ssl
import struct
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

from category_lists.names import NameRefused, canonical_host, is_address
from policy.synthetic import Names
from proxy import greeting as read
from proxy.answer import Answer, written
from proxy.destinations import web_port
from proxy.reach import Reach, keep_alive
from proxy.relay import Joined
from proxy.tls import honest_host
from proxy.tunnels import Tunnels
from proxy.wires import BROKEN, NOT_YET, READ, Wires, original

HEAD_SECONDS = 30.0  # for a head or greeting once it has begun
IDLE_SECONDS = 600.0  # for it to begin: browsers open connections ahead of need
SWEEP_SECONDS = 1.0  # between looks for those whose time is up
TAKEN_AT_ONCE = 16  # connections of one listener in one turn
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, no time
TUNNELLED = b"HTTP/1.1 200 Connection established\r\n\r\n"
ODD = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
MOST_AHEAD = 2 * read.LONGEST  # bytes kept while we think
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listener:
    """One listening socket and what its connections are."""

    name: str
    transparent: bool = False
    page: bool = False  # where DNS leads blocked names: everything is opened, and answered by us
    balancers: tuple[IPv4Network | IPv6Network, ...] = ()  # who may begin with a PROXY header; they must
    secure: ssl.SSLContext | None = None  # it is reached by TLS: proxy/secure.py


@dataclass(frozen=True, slots=True)
class Given:
    """A connection handed to mitmproxy. `tunnel`: where to, when that is settled; the bytes read so far come first, and may
    be a TLS greeting.
    """

    listener: str
    sock: socket.socket
    data: bytes
    address: tuple[str, int]
    tunnel: tuple[str, int] | None
    own: tuple[str, int] | None = None  # where it came in, when the socket does not know
    greeting: read.Greeting | None = None


class Front:
    """All doors of a worker."""

    def __init__(
        self,
        tunnels: Tunnels,
        reach: Reach,
        hand_over: Callable[[Given], Coroutine[None, None, None]],
        wires: Wires,
        names: Names | None = None,
    ) -> None:
        self.tunnels, self.reach, self.hand_over, self.wires, self.names = tunnels, reach, hand_over, wires, names
        self.open: dict[str, Door] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.loop = asyncio.get_running_loop()
        self.sweep = self.loop.call_later(SWEEP_SECONDS, self._sweep)

    def run(self, work: Coroutine[None, None, None]) -> None:
        """Begun at once, and a task only if it has to wait."""
        task = asyncio.Task(work, loop=self.loop, eager_start=True)
        if not task.done():
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    def _sweep(self) -> None:
        """Close those who kept us waiting. One look a second costs less than a timer for each."""
        self.sweep = self.loop.call_later(SWEEP_SECONDS, self._sweep)  # first: whatever comes of this look
        now = time.monotonic()
        for door in [door for door in self.open.values() if door.deadline < now]:
            _ended(door.close)

    def cut(self, ids: list[str]) -> None:
        """Reset these connections, and what they are joined to: a body that breaks off shall not look whole."""
        for id_ in ids:
            if door := self.open.get(id_):
                _ended(door.reset)

    async def close(self) -> None:
        self.sweep.cancel()
        self.cut(list(self.open))
        for task in list(self.tasks):
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=1)


def _ended(end: Callable[[], None]) -> None:
    """One that cannot be ended as it should keeps no other open."""
    try:
        end()
    except Exception:
        log.exception("a connection could not be closed")


class Entrance:
    """A listening socket: a door for each connection that comes."""

    def __init__(self, front: Front, listener: Listener, sock: socket.socket, door: "type[Door] | None" = None) -> None:
        self.front, self.listener, self.sock, self.door = front, listener, sock, door or Door
        self.sockets = (sock,)
        sock.setblocking(False)
        front.wires.watch(sock.fileno(), READ, self._come)

    def _come(self, _: int) -> None:
        for _ in range(TAKEN_AT_ONCE):
            try:
                sock, peer = self.sock.accept()
            except NOT_YET:
                return
            except ConnectionError:  # gone before it was taken
                continue
            except OSError as error:  # no file left for one more: those that are here go on, and then it is tried again
                log.warning("cannot take more connections just now: %s", error)
                self._rest()
                return
            sock.setblocking(False)
            self.door(self.front, self.listener, sock, peer).begin()

    def _rest(self) -> None:
        self.front.wires.forget(self.sock.fileno())
        self.front.loop.call_later(1, self._again)

    def _again(self) -> None:
        if self.sock.fileno() >= 0:
            self.front.wires.watch(self.sock.fileno(), READ, self._come)

    def close(self) -> None:
        self.front.wires.forget(self.sock.fileno())
        self.sock.close()


class Door:
    """One connection until it is known what it is."""

    def __init__(self, front: Front, listener: Listener, sock: socket.socket, peer: tuple[str, int]) -> None:
        self.front, self.listener, self.sock, self.fd = front, listener, sock, sock.fileno()
        self.id = f"d{id(self):x}"
        self.data = b""
        self.read: Callable[[], None] | None = self._head  # None: we think, and nothing is read
        self.deadline = time.monotonic() + IDLE_SECONDS
        self.begun = False  # something of what is awaited is here
        self.address = (peer[0].partition("%")[0], peer[1])
        self.own: tuple[str, int] | None = None  # as in `Given`
        self.target: tuple[str, int] | None = None  # where the tunnel goes, as it was asked for
        self.joined: Joined | None = None
        self.resting = False  # not watched for what it says, since it spoke while we think

    # --- the socket's side -----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        self.front.open[self.id] = self
        try:
            if not self.listener.balancers:
                self._known()
            elif any(ip_address(self.address[0]) in each for each in self.listener.balancers):
                self.read = self._proxied
            else:
                self.close()
        except Exception:  # noqa: BLE001 - an enforcing edge
            self.front.tunnels.trouble("a connection", self.address[0])
            self.close()
        if self.fd >= 0:
            try:
                self.front.wires.watch(self.fd, READ, self._happened)
            except OSError as error:
                log.warning("cannot watch more connections just now: %s", error)
                self.close()

    def _known(self) -> None:
        """The client's address is known."""
        if not self.front.tunnels.known(self.listener.name, self.address[0]):
            self.close()
            return
        self.read = self._head
        if self.listener.page:
            own = self.sock.getsockname()
            self.target, self.read = (str(own[0]), int(own[1])), self._meant
        elif self.listener.transparent:
            self.target, self.read = original(self.sock), self._meant
            name = self.front.names.of(self.target[0]) if self.front.names and self.target else None
            if self.target is None or name == "":
                self.close()
            elif name:
                self.target, self.read = (name, self.target[1]), self._greeting

    def _happened(self, what: int) -> None:
        if self.read is None:
            if what & BROKEN:
                self.close()
            else:  # it speaks while we think: it is listened to again once we know
                self.resting = True
                self.front.wires.change(self.fd, 0)
            return
        try:
            data = self.sock.recv(MOST_AHEAD)
        except NOT_YET:
            return
        except OSError:
            data = b""
        self.data += data
        if not data or len(self.data) > MOST_AHEAD:
            self.close()
            return
        if not self.begun:
            self.begun = True
            self.deadline = time.monotonic() + HEAD_SECONDS
        self._read()

    def _read(self) -> None:
        if self.read is None:
            return
        try:
            self.read()
        except read.Odd as odd:
            self.front.tunnels.refused(self.listener.name, self.address[0], (self.target or ("",))[0], odd.outcome)
            log.info("refused a connection: %s", odd)
            self._answer(ODD)
        except Exception:  # noqa: BLE001 - an enforcing edge
            self.front.tunnels.trouble("a connection", self.address[0])
            self.close()

    def close(self) -> None:
        """At once, and both ends where it is joined."""
        if self.joined:
            self.joined.close()
        elif self.fd >= 0:
            self.front.wires.forget(self.fd)
            self.sock.close()
            self._gone()

    def reset(self) -> None:
        for sock in (self.sock, self.joined.far.sock) if self.joined else (self.sock,):
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.close()

    def _gone(self) -> None:
        self.fd, self.read = -1, None
        self.front.open.pop(self.id, None)
        self.front.tunnels.over(self.id)

    # --- what is read, one after the other ---------------------------------------------------------------------------------

    def _proxied(self) -> None:
        header = read.proxied(self.data)
        if header is None:
            return
        if not header.address:  # the balancer asks whether we are alive
            self.close()
            return
        self.data = self.data[header.length :]
        self.address = (header.address, header.port)
        self._known()
        if self.data:
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
        if self.fd < 0:
            return
        if said is None:
            self.close()
        elif isinstance(said, Answer):
            self._answer(written(said))
        elif not all(_same(each, said) for each in asked.hosts):
            self.front.tunnels.refused(self.listener.name, self.address[0], asked.host, "name")
            self._answer(ODD)
        else:
            self.data = self.data[asked.length :]
            self.target, self.read = (said, asked.port), self._greeting
            self.begun = False
            self.deadline = time.monotonic() + IDLE_SECONDS
            self._say(TUNNELLED)
            if self.data:
                self._read()

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
            self._give(self.target, found)

    # --- what becomes of it ------------------------------------------------------------------------------------------------

    async def _join(self, host: str, port: int) -> None:
        """Untouched, from here to the site."""
        try:
            site = await self.front.reach.connected(host, port)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, it is not joined; the client sees a closed tunnel
            log.info("could not reach a site that passes through: %s", error)
            self.close()
            return
        if self.fd < 0:
            site.close()
            return
        try:
            keep_alive(self.sock)
            if self.resting:
                self.front.wires.change(self.fd, READ)
            joined = Joined(self.front.wires, self.sock, site, self._gone)
        except OSError:
            site.close()
            self.close()
            return
        self.joined = joined
        joined.far.send(self.data)
        self.data = b""

    def _give(self, tunnel: tuple[str, int] | None, greeting: read.Greeting | None = None) -> None:
        """To mitmproxy, which opens it."""
        keep_alive(self.sock)
        self.front.wires.forget(self.fd)
        self._gone()
        given = Given(self.listener.name, self.sock, self.data, self.address, tunnel, self.own, greeting)
        self.front.run(self.front.hand_over(given))

    def _wait(self) -> None:
        """We think; reaching a site has its own time."""
        self.read, self.deadline = None, math.inf

    def _say(self, data: bytes) -> None:
        """A few bytes on a connection on which nothing was said yet: they fit."""
        try:
            sent = self.sock.send(data)
        except OSError:
            sent = 0
        if sent < len(data):
            self.close()
        elif self.resting:
            self.resting = False
            self.front.wires.change(self.fd, READ)

    def _answer(self, data: bytes) -> None:
        """The last that is said here."""
        self.front.wires.forget(self.fd)
        self._gone()
        self.front.run(_last_words(self.sock, data))


async def _last_words(sock: socket.socket, data: bytes) -> None:
    try:
        async with asyncio.timeout(HEAD_SECONDS):
            await asyncio.get_running_loop().sock_sendall(sock, data)
    except OSError as error:
        log.info("could not answer a connection that was refused: %s", error)
    finally:
        sock.close()


def _same(name: str, host: str) -> bool:
    """Is this Host header of a CONNECT for the tunnel's own host?"""
    bare = name.partition("]")[0][1:] if name.startswith("[") else name.partition(":")[0]
    try:
        return canonical_host(bare) == host
    except NameRefused:
        return False
