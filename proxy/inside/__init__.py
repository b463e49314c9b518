"""Everything of ours that overrides mitmproxy's inside.

Read against mitmproxy 12.3.1. A test checks the version, and so does `install` at start: with another version all of this is
left out, loudly, and the plain path is taken, which is slower and stumbles over the oddities below, but lets nothing more
through: what guards is in proxy/embedding.py and proxy/addon.py.

- tls.py: TLS with both sides, spoken by us.
- bodies.py: TLS in buffers of ours, and a short cut for long bodies.
- `Quick`: hooks are called where they arise, without a task and a turn of the loop for each; half of the time of a request
  went there. A layer that waits for a hook is told of its end once its generator is through, so the order stays mitmproxy's.
  What one event sends to one side goes out in one write, and events enter below the layers that have nothing more to say.
- `Stream`: its own hooks do not even leave it.
- `Server1`, `Client1`: HTTP/1 with an end to what is kept of a head, answers before the answer (1xx) left out, and trailers
  left out: mitmproxy keeps all, takes a 103 for the answer, and stumbles.
- `Stream` again: an answer that is held back to be judged is judged at the latest when so much of it is here.
- error pages in our words.
- often.py: what is asked some fifty times a request, said without the detours.
"""

import asyncio
import logging
from collections import deque
from types import SimpleNamespace
from typing import Any

import OpenSSL
from mitmproxy import connection, http, optmanager
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import http as _http
from mitmproxy.proxy.layers.http import _http1, _http2
from mitmproxy.proxy.layers.http._events import ErrorCode, RequestProtocolError, ResponseData
from mitmproxy.proxy.layers.modes import TransparentProxy
from mitmproxy.proxy.server import ConnectionIO
from mitmproxy.version import VERSION

from proxy.content import LONGEST_PAGE
from proxy.embedding import Gate
from proxy.failures import failure
from proxy.inside import bodies
from proxy.inside.bodies import MOST_WAITING
from proxy.inside.often import args_of, current, has_header, header, typed
from proxy.inside.tls import Spoken, fork, no_layer

READ_AGAINST = "12.3.1"
LONGEST_HEAD = 65_536  # bytes of a request's or an answer's head
MOST_UNREAD = 1 << 18  # bytes of a client before any of it is a request or a greeting
HELD = "schoolgate.held"  # flow.metadata: judges the beginning of an answer that is held back

log = logging.getLogger(__name__)


class Quick(Spoken):
    """The same with hooks called in place."""

    unread = 0  # bytes of the client since the last hook; -1 once there was one that counts

    async def server_event(self, event: events.Event) -> None:
        self.happened(event)

    def happened(self, event: events.Event) -> None:
        self.timeout_watchdog.register_activity()
        self.sent: dict[connection.Connection, list[bytes]] = {}
        if type(self.layer) is TransparentProxy:
            self._enter_below(getattr(self.layer, "child_layer", None))
        try:
            if self.unread >= 0 and isinstance(event, events.DataReceived) and event.connection is self.client:
                self.unread += len(event.data)
            waiting = deque((event,))
            while waiting:
                for command in self.layer.handle_event(waiting.popleft()):
                    if type(command) is commands.SendData:
                        self.sent.setdefault(command.connection, []).append(command.data)
                    else:
                        self._obey(command, waiting)
            self._send()
            if self.unread > MOST_UNREAD:
                raise OverflowError("a client says nothing that can be understood")
            if self.long:
                bodies.shorten(self)
        except Exception:  # noqa: BLE001 - whatever it was, this connection's layers are in no state that may go on
            self.broken()

    def broken(self) -> None:
        """To be called where an exception is handled."""
        log.warning("closed a connection", exc_info=True)  # noqa: LOG014
        for io in list(self.transports.values()):
            if io.handler:
                io.handler.cancel("closed")

    def _obey(self, command: commands.Command, waiting: deque[events.Event]) -> None:
        match command:
            case commands.StartHook():
                self._hook(command, waiting)
            case commands.OpenConnection():
                # not begun at once, as mitmproxy's loop begins tasks: what fails at once would speak into a running layer
                task = asyncio.Task(self.open_connection(command), loop=asyncio.get_running_loop())
                self.transports[command.connection] = ConnectionIO(handler=task)
            case commands.RequestWakeup():
                self.wakeup_timer.add(asyncio.ensure_future(self.wakeup(command)))
            case commands.ConnectionCommand() if command.connection not in self.transports:
                pass  # closed already
            case commands.CloseTcpConnection():
                self._send()
                self.close_connection(command.connection, command.half_close)
            case commands.CloseConnection():
                self._send()
                self.close_connection(command.connection, half_close=False)
            case commands.Log():
                pass  # mitmproxy's log says who visits what
            case _:
                raise RuntimeError(f"Unexpected command: {command}")

    def _hook(self, hook: commands.StartHook, waiting: deque[events.Event]) -> None:
        called = self.gate.hooks.get(hook.name, ())
        self.unread = -1 if hook.name == "tls_clienthello" else self.unread
        if hook.name in self.gate.slow_hooks:
            task = asyncio.ensure_future(self.hook_task(hook))
            self.wakeup_timer.add(task)
            task.add_done_callback(self.wakeup_timer.discard)
            return
        for each in called:
            each(*args_of(hook))
        if hook.blocking:
            waiting.append(events.HookCompleted(hook))

    def _send(self) -> None:
        """What was said so far goes out, to each side in one piece."""
        for to, parts in self.sent.items():
            io = self.transports.get(to)
            if io and io.writer and not io.writer.is_closing():
                io.writer.write(parts[0] if len(parts) == 1 else b"".join(parts))
        self.sent.clear()

    def _enter_below(self, first: Any) -> None:
        """Once it is known what a tunnel carries, its mode and the choice of the next layer have nothing more to say."""
        if isinstance(first, layer.NextLayer) and first.layer is not None:
            self.layer = first.layer

    async def drain_writers(self) -> None:
        """Wait only for those that have more than they can send."""
        for io in list(self.transports.values()):
            if io.writer and io.writer.transport.get_write_buffer_size() > MOST_WAITING:  # type: ignore[union-attr]
                try:
                    await io.writer.drain()
                except OSError as error:
                    if io.handler is not None:
                        io.handler.cancel(f"Error sending data: {error}")


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


class Stream(bodies.Streaming):
    """One request and its answer: hooks called in place, and of an answer that is held to be judged only so much."""

    def __init__(self, context: Any, stream_id: int) -> None:
        super().__init__(context, stream_id)
        self.handler: Quick = context.client.handler

    def _handle_event(self, event: events.Event) -> Any:
        steps, reply = super()._handle_event(event), None
        while True:
            try:
                command = steps.send(reply)
            except StopIteration:
                return
            reply = None
            if (
                isinstance(command, commands.StartHook)
                and command.blocking is True
                and command.name not in self.handler.gate.slow_hooks
            ):
                if command.name == "requestheaders":
                    self.handler.unread = -1
                for each in self.handler.gate.hooks.get(command.name, ()):
                    each(*args_of(command))
            elif type(command) is not commands.Log:
                reply = yield command

    def check_body_size(self, request: bool) -> Any:
        if request or HELD not in self.flow.metadata or len(self.response_body_buf) <= LONGEST_PAGE:
            return (yield from super().check_body_size(request))
        start = bytes(self.response_body_buf)
        self.response_body_buf.clear()
        refused = self.flow.metadata.pop(HELD)(start)
        assert self.flow.response
        if refused is None:
            self.flow.response.stream = True
            yield from self.start_response_stream()
            yield from self.handle_event(ResponseData(self.stream_id, start))
            return False
        self.flow.response = refused
        yield _http.SendHttp(RequestProtocolError(self.stream_id, "refused", ErrorCode.CANCEL), self.context.server)
        yield from self.send_response()
        self.server_state = self.state_errored
        return True


def _informs(start: bytes) -> bool:
    """Is this the beginning of a 1xx answer, after which the answer follows? 101 is one itself."""
    return len(start) == 12 and start[:7] == b"HTTP/1." and start[9:10] == b"1" and start[9:12] != b"101"


def install(gate: Gate, version: str = VERSION) -> bool:
    """Put all this in place. False, and the plain path, with another version."""
    if version != READ_AGAINST or not bodies.install():
        log.error(
            "mitmproxy %s with pyOpenSSL %s is not %s with %s: the proxy takes the slow path. Install the locked versions.",
            version, OpenSSL.__version__, READ_AGAINST, bodies.READ_AGAINST,
        )  # fmt: skip
        return False
    gate.handler = Quick
    _http.Http1Server, _http.Http1Client = Server1, Client1  # type: ignore[attr-defined]
    _http.HttpStream = Stream  # type: ignore[misc]
    _http.tls = SimpleNamespace(ServerTLSLayer=no_layer)  # type: ignore[assignment,attr-defined]
    for module in (_http1, _http2):
        module.format_error = lambda status, message: failure(status, message).body  # type: ignore[attr-defined]
    http.Headers.get, http.Headers.__contains__ = header, has_header  # type: ignore[method-assign,assignment]
    http.MessageData.__post_init__ = typed  # type: ignore[method-assign]
    Context.fork = fork  # type: ignore[method-assign]
    optmanager._Option.current = current  # type: ignore[method-assign]  # noqa: SLF001
    return True
