"""How bytes get through TLS cheaply, and how long bodies take a short cut round mitmproxy's layers.

A part of what overrides mitmproxy's inside; the package puts it in place and checks the versions. Read against
mitmproxy 12.3.1 and pyOpenSSL 26.4.0.

What a long body costs is not its encryption but its copies: made as asked by pyOpenSSL's public functions, each record of
16 KB takes a fresh buffer and leaves in a fresh object. So OpenSSL reads and writes in buffers of ours (proxy/records.py).

A `Detour` is the short cut: while a body of known length passes that nobody judges, what its sender's socket gives is
opened into one buffer, sealed into another and written to its receiver, and no layer hears of it. It begins between two
events, when the layers have passed on all that they had, and ends before the last of the body, so that the layers see each
end as they always do: that of the body, or that of a connection. In between only the count of what is still to come is
theirs and changed here. The other direction and whatever else happens stay with the layers throughout.
"""

import asyncio
from contextlib import suppress
from typing import Any

import h11
import OpenSSL
from h11._readers import ChunkedReader, ContentLengthReader
from mitmproxy import connection
from mitmproxy.proxy import commands, events, tunnel
from mitmproxy.proxy.layers import http as _http
from mitmproxy.proxy.layers import tls as _tls
from mitmproxy.proxy.layers.http import _http1
from OpenSSL import SSL

from proxy.line import Line
from proxy.reach import LARGEST_PIECE, Reader
from proxy.records import ended, lib, opened, seal, space, to_send

READ_AGAINST = "26.4.0"  # pyOpenSSL
LONG = LARGEST_PIECE  # bytes still to come, for which a detour pays
TAIL = 16_384  # the last bytes of a body, which are the layers'
LONGEST_HEAD = 65_536  # bytes of a chunk's beginning
MOST_WAITING = 1 << 16  # bytes that wait to be sent before the other side is read no further


def _interact(self: _tls.TLSLayer) -> Any:
    """`TLSLayer.tls_interact`."""
    if data := to_send(self.tls):
        yield commands.SendData(self.conn, data)


def _receive(self: _tls.TLSLayer, data: bytes) -> Any:
    """`TLSLayer.receive_data`."""
    tls, parts, close = self.tls, [], False
    if data:
        tls.bio_write(data)
    while True:
        count, said = opened(tls)
        if count:
            parts.append(space.opened[:count])
        if said > 0:
            continue
        try:
            tls._raise_ssl_error(tls._ssl, said)  # noqa: SLF001
        except SSL.WantReadError:
            break
        except SSL.ZeroReturnError:
            close = True
            break
        except SSL.Error:
            break
    yield from self.tls_interact()
    if parts:
        yield from self.event_to_child(events.DataReceived(self.conn, parts[0] if len(parts) == 1 else b"".join(parts)))
    if close:
        self.conn.state &= ~connection.ConnectionState.CAN_READ
        yield from self.event_to_child(events.ConnectionClosed(self.conn))


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


class Streaming(_http.HttpStream):
    """One request and its answer, whose long bodies are pointed out to the handler."""

    handler: Any

    def start_request_stream(self) -> Any:
        yield from super().start_request_stream()
        if is_long(self.flow.request):
            self.handler.long.append((self, True))

    def start_response_stream(self) -> Any:
        yield from super().start_response_stream()
        if is_long(self.flow.response):
            self.handler.long.append((self, False))


def is_long(message: Any) -> bool:
    length = message.headers.get("content-length", "")
    return 5 < len(length) < 19 and length.isascii() and length.isdecimal() and int(length) > LONG + TAIL


def shorten(handler: Any) -> None:
    """Between two events: let the bodies that can take the short cut take it."""
    handler.long = [(stream, asks) for stream, asks in handler.long if _may_yet(handler, stream, asks=asks)]


def _may_yet(handler: Any, stream: Any, *, asks: bool) -> bool:
    """Begin a detour, for a request's body or an answer's. True: not now, but it may be possible at the next event."""
    parent = next(each for each in reversed(stream.context.layers) if isinstance(each, _http.HttpLayer))
    client, server = stream.context.client, stream.flow.server_conn
    near, far = parent.connections.get(client), parent.connections.get(server)
    if stream not in parent.streams.values() or far is None:
        return False
    asked, answered = near, far.context.layers[-1]  # who speaks HTTP at the two ends
    if not isinstance(asked, _http1.Http1Server) or not isinstance(answered, _http1.Http1Client):
        return False
    http = asked if asks else answered
    reader = getattr(http, "body_reader", None)
    if http.stream_id != stream.stream_id or http.state != http.read_body:
        return False
    if type(reader) is not ContentLengthReader or reader._remaining <= LONG + TAIL:  # noqa: SLF001
        return False
    if asks:
        streamed = stream.client_state == stream.state_stream_request_body and stream.flow.request.stream is True
    else:
        streamed = stream.server_state == stream.state_stream_response_body and stream.flow.response.stream is True
    from_, to = (client, server) if asks else (server, client)
    source, sink = handler.transports.get(from_), handler.transports.get(to)
    if not (source and sink and source.writer and sink.writer) or sink.writer.is_closing() or source.writer.is_closing():
        return False
    if not streamed or stream._paused or http.buf or not isinstance(source.reader, Reader | Line) or source.reader.held:  # noqa: SLF001
        return True
    spoken = {client: _tls_of(handler, asked.context.layers, client), server: _tls_of(handler, (far,), server)}
    if all(len(each) == bool(conn.tls) for conn, each in spoken.items()):  # anything odder stays with the layers
        opens, seals = ([*spoken[each], None][0] for each in (from_, to))
        Detour(handler, from_, reader, source.writer, sink.writer, opens, seals).begin()
    return False


def _tls_of(handler: Any, layers: Any, of: connection.Connection) -> list[Any]:
    """The TLS that a connection speaks, below these layers or by them."""
    line = handler.transports[of].writer
    if isinstance(line, Line):
        return [line.tls]
    found = [each for each in layers if isinstance(each, _tls.TLSLayer) and each.conn is of]
    return [each.tls for each in found if each.tunnel_state is tunnel.TunnelState.OPEN]


class Detour(asyncio.BufferedProtocol):
    """A body's way from the socket that it comes from to the writer of the other."""

    def __init__(
        self,
        handler: Any,
        conn: connection.Connection,
        counts: ContentLengthReader,
        source: asyncio.StreamWriter,
        sink: asyncio.StreamWriter,
        opens: Any,
        seals: Any,
    ) -> None:
        """`opens`, `seals`: TLS of the two sides, None where there is none."""
        self.handler, self.conn, self.counts = handler, conn, counts
        self.source: Any = source.transport  # a writer cannot tell its protocol, nor change it
        self.sink, self.opens, self.seals = sink, opens, seals
        self.before: Any = self.source.get_protocol()

    def begin(self) -> None:
        self.source.set_protocol(self)
        self._brake()

    def get_buffer(self, _: int) -> memoryview:
        return space.came

    def buffer_updated(self, count: int) -> None:
        self.handler.timeout_watchdog.register_activity()
        try:
            self._carry(count)
        except Exception:  # noqa: BLE001 - whatever it was, this connection is in no state that may go on
            self.handler.broken()

    def _carry(self, count: int) -> None:
        end = self.sink.is_closing()  # the layers know what becomes of a body that nobody takes
        left = 0 if end else self.counts._remaining - TAIL  # noqa: SLF001
        rest = b""
        if self.opens is None:
            taken = min(count, left)
            rest = bytes(space.came[taken:count])
            self._pass_on(space.came_at, space.came, taken)
        else:
            if lib.BIO_write(self.opens._into_ssl, space.came_at, count) != count:  # noqa: SLF001
                raise MemoryError
            said = 1
            while left and said > 0:
                taken, said = opened(self.opens, min(left, LARGEST_PIECE))
                end = ended(self.opens, said)
                left -= taken
                if taken:
                    self._pass_on(space.opened_at, space.opened, taken)
            if answer := to_send(self.opens):
                self.source.write(answer)
        if end or self.counts._remaining <= TAIL:  # noqa: SLF001
            self._back()
            self.handler.happened(events.DataReceived(self.conn, rest))  # the layers look for what there is
        else:
            self._brake()

    def _pass_on(self, at: Any, data: Any, count: int) -> None:
        if self.seals is None:
            self.sink.transport.write(bytes(data[:count]))
        else:
            seal(self.seals, at, count)
            self.sink.transport.write(to_send(self.seals))
        self.counts._remaining -= count  # noqa: SLF001

    def _brake(self) -> None:
        """What the receiver does not take is not read."""
        if self.sink.transport.get_write_buffer_size() > MOST_WAITING:
            self.source.pause_reading()
            waiting = asyncio.ensure_future(self._taken())
            self.handler.wakeup_timer.add(waiting)
            waiting.add_done_callback(self.handler.wakeup_timer.discard)

    async def _taken(self) -> None:
        with suppress(OSError):  # with what comes next it is seen that nobody takes it
            await self.sink.drain()
        self.source.resume_reading()

    def _back(self) -> None:
        self.source.set_protocol(self.before)

    def eof_received(self) -> Any:
        self._back()
        return self.before.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.before.connection_lost(exc)

    def pause_writing(self) -> None:
        self.before.pause_writing()

    def resume_writing(self) -> None:
        self.before.resume_writing()


def install(version: str = OpenSSL.__version__) -> bool:
    """TLS in buffers of ours, and bodies read as ours are. False with another version."""
    if version != READ_AGAINST:
        return False
    _tls.TLSLayer.receive_data, _tls.TLSLayer.tls_interact = _receive, _interact  # type: ignore[method-assign]
    _http1.make_body_reader = _body_reader
    return True
