"""Everything here that knows mitmproxy's inside.

Read against mitmproxy 12.3.1; tests/proxy/test_embedding.py checks the version.

What is ours and why:

- `GateMode`, `GateInstance`: a kind of server of our own, by mitmproxy's own registry of modes. It listens on a socket that
  we bound (SO_REUSEPORT, so that workers share a port; mitmproxy passes no such option), and carries the listener's name.
- `Handler`: one client's connection. It opens a connection upstream only to what a decision let through, at an address that
  our resolver gave and the guard accepts. The stock one lets the system resolve and goes anywhere.
- `Layers`: what may follow what in a connection. The stock addon also guesses DNS, raw TCP and TLS inside TLS: ways round.
- `Certificates`: the stock TLS addon without its answer to "…/mitmproxy-<serial>.crl" on every site, and a larger store.
- `speak_plainly`: mitmproxy's own error page in our words.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from mitmproxy import connection, ctx
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.addons.tlsconfig import TlsConfig
from mitmproxy.certs import CertStore
from mitmproxy.connection import ConnectionState
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy import commands, events, layer, layers, mode_specs
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import HTTPMode, _http1, _http2
from mitmproxy.proxy.mode_servers import AsyncioServerInstance, ProxyConnectionHandler
from mitmproxy.proxy.server import ConnectionIO

from category_lists.names import canonical_host, is_address
from proxy.answer import bare_page
from proxy.destinations import Destinations

READ_AGAINST = "12.3.1"
CERTIFICATES_KEPT = 10_000  # sites; the stock 100 costs 2 ms for each new one beyond it
INNER_ADDRESS = "Schoolgate: an inner address"
NOT_DECIDED = "Schoolgate: no decision let this through"
BAD_CERTIFICATE = "Certificate verify failed"  # how mitmproxy's message begins
TOO_OLD = ("cannot agree on a TLS version", "unsupported protocol", "alert protocol version", "wrong version number")

type Resolve = Callable[[str], Awaitable[Sequence[str]]]
log = logging.getLogger(__name__)


async def system_resolve(host: str) -> Sequence[str]:
    """The addresses of a name as this machine's resolver gives them."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class Reach:
    """How sites are reached: resolved by us, guarded, within a time."""

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
        host = canonical_host(host)
        async with asyncio.timeout(self.seconds):
            found = [each for each in await self.addresses(host) if self.destinations.may_connect(each)]
            if not found:
                raise OSError(INNER_ADDRESS)
            for address in found[:-1]:
                with contextlib.suppress(OSError):  # TimeoutError too: a dead IPv6 route must leave time for IPv4
                    async with asyncio.timeout(self.seconds / 4):
                        reader, writer = await asyncio.open_connection(address, port)
                    return reader, self._not_ourselves(writer)
            reader, writer = await asyncio.open_connection(found[-1], port)
            return reader, self._not_ourselves(writer)

    def _not_ourselves(self, writer: asyncio.StreamWriter) -> asyncio.StreamWriter:
        """A connection whose two ends have one address goes to this very box, by whatever name or public address."""
        peer, own = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
        if peer[0] == own[0] and (peer[1] in self.own_ports or not self.destinations.inside(peer[0])):
            writer.transport.abort()
            raise OSError(INNER_ADDRESS)
        return writer


class GateMode(mode_specs.ProxyMode):
    """`gate:NAME@host:port`: an explicit proxy whose clients are known by the listener's name (`data`)."""

    description = "Schoolgate proxy"
    transport_protocol = "tcp"

    def __post_init__(self) -> None:
        if not self.data:
            raise ValueError("a listener has a name")


class Gate(Proxyserver):
    """The server of all listeners. Named as mitmproxy's Master looks it up."""

    name = "proxyserver"

    def __init__(self, sockets: dict[str, socket.socket], reach: Reach) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sockets, self.reach = sockets, reach
        self.started = asyncio.Event()

    def running(self) -> None:
        super().running()  # type: ignore[no-untyped-call]
        self.started.set()

    def let_through(self, client: connection.Client, host: str, port: int) -> None:
        """A decision allows this client's connection to be carried on to this host and port."""
        handler = self.connections[client.id]
        assert isinstance(handler, Handler)
        handler.allowed.add((host, port))

    def cut(self, client_ids: Iterable[str]) -> list[asyncio.Task[Any]]:
        """Close these clients' connections, and what they opened upstream."""
        tasks = [
            io.handler
            for id_ in client_ids
            if id_ in self.connections
            for io in self.connections[id_].transports.values()
            if io.handler
        ]
        for task in tasks:
            task.cancel("cut")
        return tasks

    async def close(self) -> None:
        """Cut every connection that is still open."""
        if tasks := self.cut([str(id_) for id_ in self.connections]):
            await asyncio.wait(tasks, timeout=1)
        for _ in range(50):  # the handlers' own last steps
            if not self.connections:
                break
            await asyncio.sleep(0.01)


class Handler(ProxyConnectionHandler):
    """One client's connection and what it opened upstream."""

    def __init__(self, master: Any, reader: Any, writer: Any, options: Any, mode: GateMode, reach: Reach) -> None:
        super().__init__(master, reader, writer, options, mode)  # type: ignore[no-untyped-call]
        self.reach = reach
        self.allowed: set[tuple[str, int]] = set()

    async def open_connection(self, command: commands.OpenConnection) -> None:
        """As mitmproxy's own, but guarded. INVARIANT: nothing is opened that no decision let through."""
        server = command.connection
        address = server.address or ("", 0)
        async with self.max_conns[address]:
            try:
                if address[:2] not in self.allowed:
                    raise OSError(NOT_DECIDED)
                reader, writer = await self.reach.open(address[0], address[1])
            except asyncio.CancelledError:
                server.error = "connection cancelled"
                await self.server_event(events.OpenConnectionCompleted(command, server.error))
                raise
            except Exception as error:  # noqa: BLE001 - an enforcing edge: whatever went wrong, nothing is opened
                server.error = str(error) or "the site did not answer"
                await self.server_event(events.OpenConnectionCompleted(command, server.error))
                return
            server.state = ConnectionState.OPEN
            server.peername = writer.get_extra_info("peername")
            server.sockname = writer.get_extra_info("sockname")
            self.transports[server] = ConnectionIO(handler=asyncio.current_task(), reader=reader, writer=writer)
            try:
                await self.server_event(events.OpenConnectionCompleted(command, None))
                await self.handle_connection(server)
            finally:
                writer.close()  # a second cancel can end handle_connection before it closes


class GateInstance(AsyncioServerInstance[GateMode]):
    """One listener."""

    def make_top_layer(self, context: Context) -> layer.Layer:
        return layers.modes.HttpProxy(context)

    async def listen(self, host: str, port: int) -> list[Any]:  # noqa: ARG002 - the socket knows
        gate = self._gate
        return [await asyncio.start_server(self.handle_stream, sock=gate.sockets[self.mode.data])]

    async def handle_stream(self, reader: Any, writer: Any = None) -> None:
        gate = self._gate
        handler = Handler(ctx.master, reader, writer, ctx.options, self.mode, gate.reach)
        handler.layer = self.make_top_layer(handler.layer.context)
        try:
            with gate.register_connection(handler.client.id, handler):
                await handler.handle_client()
        finally:
            writer.close()  # as above

    @property
    def _gate(self) -> Gate:
        assert isinstance(self.manager, Gate)
        return self.manager


class Layers:
    """What follows what: proxy HTTP; after CONNECT either TLS or HTTP; inside TLS always HTTP."""

    name = "nextlayer"

    def next_layer(self, data: layer.NextLayer) -> None:
        context, sent = data.context, data.data_client()
        if len(context.layers) == 1:  # the proxy itself: no TLS to the proxy yet, so a greeting here is a bad request
            data.layer = layers.HttpLayer(context, HTTPMode.regular)
        elif isinstance(context.layers[-1], layers.ClientTLSLayer):
            data.layer = layers.HttpLayer(context, HTTPMode.transparent)
        elif len(sent) < 3:
            return
        elif starts_like_tls_record(sent):
            data.layer = layers.ServerTLSLayer(context)
            data.layer.child_layer = layers.ClientTLSLayer(context)
        else:
            data.layer = layers.HttpLayer(context, HTTPMode.transparent)


class Certificates(TlsConfig):
    """Certificates for intercepted sites, and the check of the sites' own."""

    name = "tlsconfig"

    def configure(self, updated: Any) -> None:
        super().configure(updated)  # type: ignore[no-untyped-call]
        if self.certstore is not None:
            self.certstore.STORE_CAP = CERTIFICATES_KEPT

    def request(self, flow: Any) -> None:
        """Nothing: the stock addon answers for a certificate list that our certificates do not name."""


assert CertStore.STORE_CAP < CERTIFICATES_KEPT


def speak_plainly() -> None:
    """Have mitmproxy's own error page (a site that cannot be reached, a request that is no HTTP) say it in our words."""
    for module in (_http1, _http2):
        module.format_error = _error_page  # type: ignore[attr-defined]


def _error_page(status: int, message: str) -> bytes:
    if BAD_CERTIFICATE in message:
        words = (
            "This site could not prove who it is",
            (
                "Its certificate is out of date, made for another name, or signed by nobody we trust, so it stays closed. "
                "Your own browser would have warned you too. Tell a member of staff if you need this site."
            ),
        )
    elif any(each in message for each in TOO_OLD):
        words = (
            "This site is not secure enough",
            "It speaks only old kinds of encryption that browsers refuse as well, so it stays closed.",
        )
    elif INNER_ADDRESS in message or NOT_DECIDED in message:
        words = ("This address cannot be opened", "It leads to an inner network and not to a site on the internet.")
    elif status >= 500:
        words = ("This site did not answer", "It may be switched off or very busy. Please try again in a few minutes.")
    else:
        words = ("This request could not be understood", "The filter passes on only what it can read.")
    return bare_page(status, *words).body
