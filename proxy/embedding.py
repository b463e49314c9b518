"""Everything here that knows mitmproxy's inside.

Read against mitmproxy 12.3.1. A test checks the version, and so does `install` at start: with another version what is only
faster or kinder is left out, loudly, and the plain path is taken. What guards is in use in any case.

Guards (any version):

- `GateMode`, `GateInstance`, `Gate`: a kind of server of our own, by mitmproxy's own registry of modes. It listens on sockets
  that we bound (SO_REUSEPORT, so that workers share a port), through the front, which hands over what is to be opened.
- `Handler`: one client's connection. It opens a connection upstream only to what a decision let through, at an address that
  our resolver gave and the guard accepts. The stock one lets the system resolve and goes anywhere.

Of this version:

- `Quick`: hooks are called where they arise, without a task and a turn of the loop for each; half of the time of a request
  went there. A layer that waits for a hook is told of its end once its generator is through, so the order stays mitmproxy's.
- `Server1`, `Client1`: HTTP/1 with an end to what is kept of a head, answers before the answer (1xx) left out, and trailers
  left out: mitmproxy keeps all, takes a 103 for the answer, and stumbles.
- error pages in our words.
"""

import asyncio
import inspect
import logging
import socket
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import h11
from h11._readers import ChunkedReader
from mitmproxy import connection, ctx
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.connection import ConnectionState
from mitmproxy.proxy import commands, events, layer, layers, mode_specs
from mitmproxy.proxy.layers import http as _http
from mitmproxy.proxy.layers.http import _http1, _http2
from mitmproxy.proxy.layers.modes import TransparentProxy
from mitmproxy.proxy.mode_servers import AsyncioServerInstance, ProxyConnectionHandler
from mitmproxy.proxy.server import ConnectionIO
from mitmproxy.version import VERSION

from proxy.failures import NOT_DECIDED, failure
from proxy.front import Front, Given, Listener
from proxy.reach import Reach

READ_AGAINST = "12.3.1"
LONGEST_HEAD = 65_536  # bytes of a request's or an answer's head
MOST_WAITING = 1 << 16  # bytes that wait to be sent before the other side is read no further
MOST_UNREAD = 1 << 18  # bytes of a client before any of it is a request or a greeting

type Hooks = Mapping[str, Sequence[Callable[..., Any]]]
log = logging.getLogger(__name__)


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
        self.front: Front  # set by whoever puts the parts together
        self.hooks: Hooks = {}
        self.modes: dict[str, GateMode] = {}

    def running(self) -> None:
        super().running()  # type: ignore[no-untyped-call]
        self.started.set()

    def let_through(self, client: connection.Client, host: str, port: int) -> None:
        """A decision allows this client's connection to be carried on to this host and port."""
        handler = self.connections[client.id]
        assert isinstance(handler, Handler)
        handler.allowed.add((host, port))

    async def take(self, given: Given) -> None:
        """Open a connection that the front hands over."""
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        given.transport.set_protocol(protocol)
        protocol.connection_made(given.transport)
        writer = asyncio.StreamWriter(given.transport, protocol, reader, asyncio.get_running_loop())
        if given.data:
            reader.feed_data(given.data)
        handler = HANDLER(ctx.master, reader, writer, ctx.options, self.modes[given.listener], self)
        handler.client.peername = given.address
        context = handler.layer.context
        if given.tunnel:
            context.server.address = given.tunnel
            handler.layer = TransparentProxy(context)
        else:
            handler.layer = layers.modes.HttpProxy(context)
        try:
            if not given.transport.is_closing():
                given.transport.resume_reading()
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
        loop = asyncio.get_running_loop()
        return [await loop.create_server(gate.front.door(gate.listeners[name]), sock=gate.sockets[name])]


class Handler(ProxyConnectionHandler):
    """One client's connection and what it opened upstream."""

    def __init__(self, master: Any, reader: Any, writer: Any, options: Any, mode: GateMode, gate: Any) -> None:
        super().__init__(master, reader, writer, options, mode)  # type: ignore[no-untyped-call]
        self.gate = gate
        self.allowed: set[tuple[str, int]] = set()

    async def open_connection(self, command: commands.OpenConnection) -> None:
        """As mitmproxy's own, but guarded. INVARIANT: nothing is opened that no decision let through."""
        server = command.connection
        address = server.address or ("", 0)
        async with self.max_conns[address]:
            try:
                if address[:2] not in self.allowed:
                    raise OSError(NOT_DECIDED)
                reader, writer = await self.gate.reach.open(address[0], address[1])
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


class Quick(Handler):
    """The same with hooks called in place."""

    unread = 0  # bytes of the client since the last hook

    async def server_event(self, event: events.Event) -> None:
        self.timeout_watchdog.register_activity()
        try:
            if self.unread >= 0 and isinstance(event, events.DataReceived) and event.connection is self.client:
                self.unread += len(event.data)
            waiting = deque((event,))
            while waiting:
                for command in self.layer.handle_event(waiting.popleft()):
                    self._obey(command, waiting)
            if self.unread > MOST_UNREAD:
                raise OverflowError("a client says nothing that can be understood")
        except Exception:  # whatever it was, this connection's layers are in no state that may go on
            log.warning("closed a connection", exc_info=True)
            for io in list(self.transports.values()):
                if io.handler:
                    io.handler.cancel("closed")

    def _obey(self, command: commands.Command, waiting: deque[events.Event]) -> None:
        match command:
            case commands.StartHook():
                self._hook(command, waiting)
            case commands.OpenConnection():
                task = asyncio.ensure_future(self.open_connection(command))
                self.transports[command.connection] = ConnectionIO(handler=task)
            case commands.RequestWakeup():
                self.wakeup_timer.add(asyncio.ensure_future(self.wakeup(command)))
            case commands.ConnectionCommand() if command.connection not in self.transports:
                pass  # closed already
            case commands.SendData():
                writer = self.transports[command.connection].writer
                if writer and not writer.is_closing():
                    writer.write(command.data)
            case commands.CloseTcpConnection():
                self.close_connection(command.connection, command.half_close)
            case commands.CloseConnection():
                self.close_connection(command.connection, half_close=False)
            case commands.Log():
                pass  # mitmproxy's log says who visits what
            case _:
                raise RuntimeError(f"Unexpected command: {command}")

    def _hook(self, hook: commands.StartHook, waiting: deque[events.Event]) -> None:
        called = self.gate.hooks.get(hook.name, ())
        self.unread = -1 if hook.name in {"requestheaders", "tls_clienthello"} else self.unread
        if any(inspect.iscoroutinefunction(each) for each in called):
            task = asyncio.ensure_future(self.hook_task(hook))
            self.wakeup_timer.add(task)
            task.add_done_callback(self.wakeup_timer.discard)
            return
        for each in called:
            each(*hook.args())
        if hook.blocking:
            waiting.append(events.HookCompleted(hook))

    async def drain_writers(self) -> None:
        """Wait only for those that have more than they can send."""
        for io in list(self.transports.values()):
            if isinstance(io.writer, asyncio.StreamWriter) and io.writer.transport.get_write_buffer_size() > MOST_WAITING:
                try:
                    await io.writer.drain()
                except OSError as error:
                    if io.handler is not None:
                        io.handler.cancel(f"Error sending data: {error}")


HANDLER: type[Handler] = Handler


def hooks_of(addons: Sequence[object]) -> Hooks:
    """Which functions a hook calls, in the order of the addons."""
    names = {name for addon in addons for name in dir(addon) if not name.startswith("_")}
    found = {name: [getattr(addon, name) for addon in addons if hasattr(addon, name)] for name in names}
    return {name: [each for each in some if callable(each)] for name, some in found.items()}


class Server1(_http1.Http1Server):
    """The client's side of HTTP/1."""

    def read_headers(self, event: Any) -> Any:
        yield from super().read_headers(event)
        if self.state == self.read_headers and len(self.buf) > LONGEST_HEAD:
            self.state = self.done
            yield commands.SendData(self.conn, _http1.make_error_response(431, "The request's head is too long."))
            yield commands.CloseConnection(self.conn)


class Client1(_http1.Http1Client):
    """The site's side of HTTP/1."""

    def read_headers(self, event: Any) -> Any:
        if isinstance(event, events.DataReceived) and self.request:
            while len(self.buf) < LONGEST_HEAD and _informs(bytes(self.buf)[:12]) and self.buf.maybe_extract_lines():
                pass
            if not self.buf:
                return
        yield from super().read_headers(event)
        if self.state == self.read_headers and len(self.buf) > LONGEST_HEAD:
            raise OverflowError("an answer's head that does not end")


def _informs(start: bytes) -> bool:
    """Is this the beginning of a 1xx answer, after which the answer follows? 101 is one itself."""
    return len(start) == 12 and start[:7] == b"HTTP/1." and start[9:10] == b"1" and start[9:12] != b"101"


def _body_reader(expected_size: int | None) -> Any:
    """mitmproxy's, without trailers and without a chunk's beginning that does not end."""
    inner = _stock_body_reader(expected_size)
    if not isinstance(inner, ChunkedReader):
        return inner

    def read(buf: Any) -> Any:
        event = inner(buf)
        if event is None and len(buf) > LONGEST_HEAD:
            raise h11.RemoteProtocolError("a chunk that does not begin")
        return h11.EndOfMessage() if isinstance(event, h11.EndOfMessage) else event

    read.read_eof = inner.read_eof  # type: ignore[attr-defined]
    return read


_stock_body_reader = _http1.make_body_reader


def install() -> bool:
    """Put what is of this version in place. False, and the plain path, with another one."""
    global HANDLER  # noqa: PLW0603 - chosen once, at start
    if VERSION != READ_AGAINST:
        log.error("mitmproxy %s is not %s: the proxy takes the slow path. Install the locked version.", VERSION, READ_AGAINST)
        return False
    HANDLER = Quick
    _http.Http1Server, _http.Http1Client = Server1, Client1  # type: ignore[attr-defined]
    _http1.make_body_reader = _body_reader
    for module in (_http1, _http2):
        module.format_error = lambda status, message: failure(status, message).body  # type: ignore[attr-defined]
    return True
