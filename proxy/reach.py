"""How sites are reached: resolved by us, guarded, within a time."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Sequence

from category_lists.names import canonical_host, is_address
from proxy.destinations import Destinations

SILENT_SECONDS = 300
INNER_ADDRESS = "Schoolgate: an inner address"

type Resolve = Callable[[str], Awaitable[Sequence[str]]]


async def system_resolve(host: str) -> Sequence[str]:
    """The addresses of a name as this machine's resolver gives them."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class Reach:
    """Where connections to sites come from."""

    def __init__(self, resolve: Resolve, destinations: Destinations, seconds: float) -> None:
        self.resolve, self.destinations, self.seconds = resolve, destinations, seconds
        self.own_ports: frozenset[int] = frozenset()

    async def addresses(self, host: str) -> Sequence[str]:
        """Every address of a canonical host; OSError when there is none."""
        found = [host] if is_address(host) else await self.resolve(host)
        if not found:
            raise OSError("the name has no address")
        return found

    async def open(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the first address that answers; OSError otherwise."""
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport = await self.transport(host, port, lambda: protocol)
        return reader, asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())

    async def transport[P: asyncio.BaseProtocol](self, host: str, port: int, make: Callable[[], P]) -> asyncio.Transport:
        """The same, spoken to through a protocol of the caller's."""
        host = canonical_host(host)
        async with asyncio.timeout(self.seconds):
            found = [each for each in await self.addresses(host) if self.destinations.may_connect(each)]
            if not found:
                raise OSError(INNER_ADDRESS)
            loop = asyncio.get_running_loop()
            for address in found[:-1]:
                with contextlib.suppress(OSError):  # TimeoutError too: a dead IPv6 route must leave time for IPv4
                    async with asyncio.timeout(self.seconds / 4):
                        transport, _ = await loop.create_connection(make, address, port)
                    return self._not_ourselves(transport)
            transport, _ = await loop.create_connection(make, found[-1], port)
            return self._not_ourselves(transport)

    def _not_ourselves(self, transport: asyncio.Transport) -> asyncio.Transport:
        """A connection whose two ends have one address goes to this very box, by whatever name or public address."""
        peer, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        if peer[0] == own[0] and (peer[1] in self.own_ports or not self.destinations.inside(peer[0])):
            transport.abort()
            raise OSError(INNER_ADDRESS)
        keep_alive(transport)
        return transport


def keep_alive(transport: asyncio.BaseTransport) -> None:
    """Have the kernel ask after a silent other end: a phone that left the building would be waited for for ever."""
    if sock := transport.get_extra_info("socket"):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, SILENT_SECONDS)
