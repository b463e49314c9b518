"""Where mitmproxy meets our listeners and our guard. What reaches further inside it is in proxy/inside.

- `GateMode`, `GateInstance`, `Gate`: a kind of server of our own, by mitmproxy's own registry of modes. It listens on sockets
  that we bound (SO_REUSEPORT, so that workers share a port), through the front, which hands over what is to be opened.
- `Handler`: one client's connection. It opens a connection upstream only to what a decision let through, at an address that
  our resolver gave and the guard accepts. The stock one lets the system resolve and goes anywhere.
"""

import asyncio
import inspect
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mitmproxy import connection
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.connection import ConnectionState
from mitmproxy.master import Master
from mitmproxy.proxy import commands, events, layer, layers, mode_specs
from mitmproxy.proxy.layers.modes import TransparentProxy
from mitmproxy.proxy.mode_servers import AsyncioServerInstance, ProxyConnectionHandler
from mitmproxy.proxy.server import ConnectionIO

from proxy.failures import NOT_DECIDED
from proxy.front import Entrance, Front, Given, Listener
from proxy.reach import Reach, spoken_to
from proxy.secure import SecureDoor

SWEEP_SECONDS = 15.0  # between looks for those who have been silent for too long

type Hooks = Mapping[str, Sequence[Callable[..., Any]]]


class GateMode(mode_specs.ProxyMode):
    """`gate:NAME@host:port`: a proxy whose clients are known by the listener's name (`data`)."""

    description = "Schoolgate proxy"
    transport_protocol = "tcp"

    def __post_init__(self) -> None:
        if not self.data:
            raise ValueError("a listener has a name")


class Gate(Proxyserver):
    """The server of all listeners. Named as mitmproxy's Master looks it up."""

    name = "proxyserver"

    def __init__(self, sockets: Mapping[str, socket.socket], listeners: Mapping[str, Listener], reach: Reach) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sockets, self.listeners, self.reach = sockets, listeners, reach
        self.started = asyncio.Event()
        self.front: Front  # set by whoever puts the parts together, as is:
        self.chief: Master
        self.hooks: Hooks = {}
        self.slow_hooks: frozenset[str] = frozenset()  # those that have to be awaited
        self.handler: type[Handler] = Handler  # proxy/inside has a quicker one
        self.modes: dict[str, GateMode] = {}
        self.sweep: asyncio.TimerHandle | None = None

    def running(self) -> None:
        super().running()  # type: ignore[no-untyped-call]
        self.sweep = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)
        self.started.set()

    def _sweep(self) -> None:
        self.sweep = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)  # first: whatever comes of this look
        now = time.time()
        for each in list(self.connections.values()):
            if isinstance(each, Handler):
                each.look(now)

    def let_through(self, client: connection.Client, host: str, port: int) -> None:
        """A decision allows this client's connection to be carried on to this host and port."""
        handler = self.connections[client.id]
        assert isinstance(handler, Handler)
        handler.allowed.add((host, port))

    def use(self, addons: Sequence[object]) -> None:
        """Whose hooks are called."""
        self.hooks = hooks_of(addons)
        self.slow_hooks = frozenset(
            name for name, called in self.hooks.items() if any(inspect.iscoroutinefunction(each) for each in called)
        )

    async def take(self, given: Given) -> None:
        """Open a connection that the front hands over."""
        handler = await self.handler.made(self, given)
        if handler is None:
            return
        writer = handler.transports[handler.client].writer
        assert writer
        try:
            with self.register_connection(handler.client.id, handler):
                await handler.handle_client()
        finally:
            writer.close()  # a second cancel can end handle_client before it closes

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
        if self.sweep:
            self.sweep.cancel()
        if tasks := self.cut([str(id_) for id_ in self.connections]):
            await asyncio.wait(tasks, timeout=1)
        for _ in range(50):  # the handlers' own last steps
            if not self.connections:
                break
            await asyncio.sleep(0.01)


class GateInstance(AsyncioServerInstance[GateMode]):
    """One listener."""

    def make_top_layer(self, context: Any) -> layer.Layer:
        raise NotImplementedError("connections come from the front")  # pragma: no cover

    async def listen(self, host: str, port: int) -> list[Any]:  # noqa: ARG002 - the socket knows
        gate = self.manager
        assert isinstance(gate, Gate)
        name = self.mode.data
        gate.modes[name] = self.mode
        listener = gate.listeners[name]
        return [Entrance(gate.front, listener, gate.sockets[name], SecureDoor if listener.secure else None)]


class Handler(ProxyConnectionHandler):
    """One client's connection and what it opened upstream."""

    def __init__(self, master: Any, reader: Any, writer: Any, options: Any, mode: GateMode, gate: Any) -> None:
        super().__init__(master, reader, writer, options, mode)  # type: ignore[no-untyped-call]
        self.gate = gate
        self.allowed: set[tuple[str, int]] = set()

    @classmethod
    async def made(cls, gate: Gate, given: Given) -> "Handler | None":
        """The handler of a connection, with the first of mitmproxy's layers."""
        reader, writer = await spoken_to(given.sock, given.data, peername=given.address, sockname=given.own)
        made = cls(gate.chief, reader, writer, gate.chief.options, gate.modes[given.listener], gate)
        context = made.layer.context
        if given.tunnel:
            context.server.address = given.tunnel
            made.layer = TransparentProxy(context)
        else:
            made.layer = layers.modes.HttpProxy(context)
        return made

    async def reached(self, server: connection.Server) -> tuple[Any, Any]:
        """A connection to a site, to read from and to write to."""
        assert server.address
        found: tuple[Any, Any] = await self.gate.reach.open(*server.address[:2])
        return found

    def look(self, now: float) -> None:
        """Close what has been silent for too long; here a task of each connection sees to that."""

    async def handle_connection(self, connection: Any) -> None:
        """As mitmproxy's own, once mitmproxy knows this task: the loop begins tasks at once, and first bytes may be here."""
        if self.transports[connection].handler is None:
            await asyncio.sleep(0)
        await super().handle_connection(connection)

    async def open_connection(self, command: commands.OpenConnection) -> None:
        """As mitmproxy's own, but guarded. INVARIANT: nothing is opened that no decision let through."""
        server = command.connection
        address = server.address or ("", 0)
        async with self.max_conns[address]:
            try:
                if address[:2] not in self.allowed:
                    raise OSError(NOT_DECIDED)
                reader, writer = await self.reached(server)
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


def hooks_of(addons: Sequence[object]) -> Hooks:
    """Which functions a hook calls, in the order of the addons."""
    names = {name for addon in addons for name in dir(addon) if not name.startswith("_")}
    found = {name: [getattr(addon, name) for addon in addons if hasattr(addon, name)] for name in names}
    return {name: [each for each in some if callable(each)] for name, some in found.items()}
