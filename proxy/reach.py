"""How sites are reached: resolved by us, guarded, within a time."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from category_lists.names import canonical_host, is_address
from proxy.destinations import Destinations

SILENT_SECONDS = 300
LARGEST_PIECE = 1 << 18  # bytes, as asyncio reads them
INNER_ADDRESS = "Schoolgate: an inner address"

type Resolve = Callable[[str], Awaitable[Sequence[str]]]
type Connect = Callable[[str, int], Awaitable[socket.socket]]


async def system_resolve(host: str) -> Sequence[str]:
    """The addresses of a name as this machine's resolver gives them."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


async def connect(address: str, port: int) -> socket.socket:
    """A plain socket that is connected to an address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, socket.IPPROTO_TCP)
    try:
        await asyncio.get_running_loop().sock_connect(made, (address, port))
    except BaseException:
        made.close()
        raise
    return made


class Reach:
    """Where connections to sites come from."""

    def __init__(self, resolve: Resolve, destinations: Destinations, seconds: float) -> None:
        self.resolve, self.destinations, self.seconds = resolve, destinations, seconds
        self.own_ports: frozenset[int] = frozenset()
        self.connect: Connect = connect  # a worker's wires do it with less

    async def addresses(self, host: str) -> Sequence[str]:
        """Every address of a canonical host; OSError when there is none."""
        found = [host] if is_address(host) else await self.resolve(host)
        if not found:
            raise OSError("the name has no address")
        return found

    async def open(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the first address that answers; OSError otherwise."""
        return await spoken_to(await self.connected(host, port))

    async def connected(self, host: str, port: int) -> socket.socket:
        """The same as a plain socket, for its taker to close."""
        host = canonical_host(host)
        async with asyncio.timeout(self.seconds):
            found = [each for each in await self.addresses(host) if self.destinations.may_connect(each)]
            if not found:
                raise OSError(INNER_ADDRESS)
            for address in found[:-1]:
                with contextlib.suppress(OSError):  # TimeoutError too: a dead IPv6 route must leave time for IPv4
                    async with asyncio.timeout(self.seconds / 4):
                        made = await self.connect(address, port)
                    return self._not_ourselves(made)
            return self._not_ourselves(await self.connect(found[-1], port))

    def _not_ourselves(self, made: socket.socket) -> socket.socket:
        """A connection whose two ends have one address goes to this very box, by whatever name or public address."""
        try:
            peer, own = made.getpeername(), made.getsockname()
            if peer[0] == own[0] and (peer[1] in self.own_ports or not self.destinations.inside(peer[0])):
                raise OSError(INNER_ADDRESS)
            keep_alive(made)
        except BaseException:
            made.close()
            raise
        return made


class Reader(asyncio.StreamReader):
    """mitmproxy asks for 64 KB at a time. What is here is given whole, for each piece goes through all its layers."""

    held = 0  # bytes that came and were not read yet

    def feed_data(self, data: Any) -> None:
        self.held += len(data)
        super().feed_data(data)

    async def read(self, n: int = -1) -> bytes:
        data = await super().read(max(n, LARGEST_PIECE) if n > 0 else n)
        self.held -= len(data)
        return data


class Writer(asyncio.StreamWriter):
    """One that knows better than its socket where it leads: behind a balancer, or in a pipe."""

    known: Mapping[str, object] = {}

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self.known.get(name) or super().get_extra_info(name, default)


async def spoken_to(sock: socket.socket, data: bytes = b"", **known: object) -> tuple[Reader, Writer]:
    """A connected socket as asyncio's streams; `data` was read from it before, and this much is known of it."""
    reader, loop = Reader(), asyncio.get_running_loop()
    if data:
        reader.feed_data(data)
    try:
        transport, protocol = await loop.create_connection(lambda: asyncio.StreamReaderProtocol(reader), sock=sock)
    except BaseException:
        sock.close()
        raise
    writer = Writer(transport, protocol, reader, loop)
    writer.known = known
    return reader, writer


def keep_alive(sock: socket.socket) -> None:
    """Have the kernel ask after a silent other end, a phone that left the building would be waited for for ever; and send at
    once what is to be sent.
    """
    if sock.family == socket.AF_UNIX:  # a pipe of ours
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, SILENT_SECONDS)
