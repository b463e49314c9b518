"""DNS over HTTPS (RFC 8484), by HTTP/2 and, for scripts, HTTP/1.1.

`/dns-query` is for devices that are known by where they are. `/dns-query/<token>` is for those that are not, at home or
on a telephone's network: a network of the policy whose listener is `doh:<token>` says which school and group they belong
to, so that a tablet keeps its school's rules wherever it is. What a token is worth is the head's decision as any network is.

Framing, flow control and header compression are h2's and h11's; what is asked is read by `question`, which is pure. Bounds:
streams at once, the size of headers and bodies, streams taken back, and seconds between whole questions.
"""

import asyncio
import base64
import binascii
import contextlib
import re
from collections.abc import Callable, Mapping
from typing import Final, Protocol, cast
from urllib.parse import parse_qsl

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import h11

from dns import codec
from dns.answers import Answers
from dns.tasks import Tasks
from dns.waiting import Waiting

PATH: Final = "/dns-query"
MEDIA_TYPE: Final = "application/dns-message"
LARGEST: Final = 65_535  # bytes of a question: RFC 8484 6
HEADERS: Final = 16_384  # bytes of a request's headers; a GET has the question in its path
STREAMS: Final = 100  # under way at once on a connection
RESETS: Final = 200  # streams that a client may take back on one connection before it is closed
_TOKEN = re.compile(r"[a-z0-9][a-z0-9._:/-]{0,127}").fullmatch

type Headers = Mapping[str, str]
type Send = Callable[[int, Headers, bytes], None]


class Refused(ValueError):
    """A request that is no question; `status` says why in HTTP's way."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def question(method: str, target: str, headers: Headers, body: bytes) -> tuple[str, bytes]:
    """The token ("" for none) and the message of a request."""
    path, _, query = target.partition("?")
    token = path.removeprefix(PATH).removeprefix("/")
    if not path.startswith(PATH) or path not in (PATH, f"{PATH}/{token}") or (token and not _TOKEN(token)):
        raise Refused(404, f"Questions go to {PATH}.")
    if method == "POST":
        if headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
            raise Refused(415, f"A question is {MEDIA_TYPE}.")
        message = body
    elif method == "GET":
        given = dict(parse_qsl(query)).get("dns", "")
        try:
            message = base64.b64decode(given + "=" * (-len(given) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise Refused(400, "dns= is not base64url.") from None
    else:
        raise Refused(405, "Questions come by GET or POST.")
    if not message:
        raise Refused(400, "There is no question.")
    if len(message) > LARGEST:
        raise Refused(413, "No question is that long.")
    return token, message


class _Version(Protocol):
    """One version of HTTP on one connection."""

    def received(self, data: bytes) -> None: ...


class Http(asyncio.Protocol):
    """One connection. `heard` is called for each whole question."""

    def __init__(self, name: str, address: str, answers: Answers, tasks: Tasks, idle_s: float) -> None:
        self._name, self._address, self._answers, self._tasks, self._idle_s = name, address, answers, tasks, idle_s
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._version: _Version | None = None
        self._asked_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self.under_way = 0
        self.heard: Callable[[], None] = lambda: None
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        tls = transport.get_extra_info("ssl_object")
        self._version = _Two(self) if tls and tls.selected_alpn_protocol() == "h2" else _One(self)
        self._timer = self._loop.call_later(self._idle_s, self._look)

    def data_received(self, data: bytes) -> None:
        if self._version:
            self._version.received(data)

    def pause_writing(self) -> None:
        self.reading(wanted=False)  # who does not read is not read from; the timer sees to the rest

    def resume_writing(self) -> None:
        self.reading(wanted=True)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None
        if self._timer:
            self._timer.cancel()
        self.ended.set()

    def reading(self, *, wanted: bool) -> None:
        if self._transport and self._transport.is_reading() is not wanted:
            (self._transport.resume_reading if wanted else self._transport.pause_reading)()

    def write(self, data: bytes) -> None:
        if self._transport and data:
            self._transport.write(data)

    def close(self) -> None:
        if self._transport:
            self._transport.close()

    def abort(self) -> None:
        if self._transport:
            self._transport.abort()

    def _look(self) -> None:
        left = self._asked_at + self._idle_s - self._loop.time()
        if left <= 0:
            self.abort()
        else:
            self._timer = self._loop.call_later(left, self._look)

    def ask(self, method: str, target: str, headers: Headers, body: bytes, send: Send) -> None:
        """Answer a request, now or later."""
        self._asked_at = self._loop.time()
        self.heard()
        try:
            token, packet = question(method, target, headers, body)
        except Refused as refused:
            more = {"allow": "GET, POST"} if refused.status == 405 else {}
            send(refused.status, {"content-type": "text/plain", **more}, str(refused).encode())
            return
        listener = f"doh:{token}" if token else self._name
        reply = self._answers.at_once(packet, listener, self._address, tcp=True)
        if isinstance(reply, Waiting):
            if not self._tasks.full and self.under_way < STREAMS:
                self.under_way += 1
                self._tasks.start(self._later(reply, send))
                return
            reply = self._answers.overloaded(reply)
        self._say(reply, send)

    async def _later(self, waiting: Waiting, send: Send) -> None:
        try:
            self._say(await self._answers.later(waiting), send)
        finally:
            self.under_way -= 1

    @staticmethod
    def _say(reply: bytes | None, send: Send) -> None:
        if reply is None:
            send(400, {"content-type": "text/plain"}, b"This is no question.")
        else:
            fresh = codec.lifetime(reply) if len(reply) > codec.HEADER_SIZE else 0
            send(200, {"content-type": MEDIA_TYPE, "cache-control": f"max-age={fresh}"}, reply)


class _Two:
    """HTTP/2 (RFC 9113)."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self._two = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
        self._two.local_settings = h2.settings.Settings(
            client=False,
            initial_values={
                h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS,
                h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: HEADERS,
            },
        )
        self._two.initiate_connection()
        self._coming: dict[int, tuple[dict[str, str], bytearray]] = {}
        self._going: dict[int, bytes] = {}  # what a client's window had no room for
        self._resets = 0
        self._flush()

    def received(self, data: bytes) -> None:
        try:
            for event in self._two.receive_data(data):
                self._take(event)
        except h2.exceptions.ProtocolError:
            self._flush()
            self._http.close()
            return
        self._flush()
        if self._resets > RESETS:
            self._http.abort()

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived():
                headers = {bytes(name).decode("latin-1"): bytes(value).decode("latin-1") for name, value in event.headers}
                self._coming[event.stream_id] = headers, bytearray()
            case h2.events.DataReceived():
                self._two.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                if event.stream_id in self._coming:
                    self._more(event.stream_id, event.data)
            case h2.events.StreamEnded():
                if asked := self._coming.pop(event.stream_id, None):
                    self._ask(event.stream_id, asked[0], bytes(asked[1]))
            case h2.events.StreamReset():
                self._resets += 1
                self._coming.pop(event.stream_id, None)
                self._going.pop(event.stream_id, None)
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                for stream in tuple(self._going):
                    self._pump(stream)
            case h2.events.ConnectionTerminated():
                self._http.close()
            case _:
                pass

    def _more(self, stream: int, data: bytes) -> None:
        body = self._coming[stream][1]
        body += data
        if len(body) > LARGEST:
            del self._coming[stream]
            self._send(stream, 413, {}, b"")

    def _ask(self, stream: int, headers: dict[str, str], body: bytes) -> None:
        def send(status: int, more: Headers, said: bytes) -> None:
            self._send(stream, status, more, said)
            self._flush()

        self._http.ask(headers.get(":method", ""), headers.get(":path", ""), headers, body, send)

    def _send(self, stream: int, status: int, headers: Headers, body: bytes) -> None:
        try:
            fields = [(":status", str(status)), *headers.items(), ("content-length", str(len(body)))]
            self._two.send_headers(stream, fields, end_stream=not body)
            if body:
                self._going[stream] = body
                self._pump(stream)
        except h2.exceptions.ProtocolError:
            self._going.pop(stream, None)  # the client has taken its question back

    def _pump(self, stream: int) -> None:
        try:
            while body := self._going.get(stream):
                size = min(self._two.local_flow_control_window(stream), self._two.max_outbound_frame_size, len(body))
                if size <= 0:
                    return
                self._going[stream] = body[size:]
                self._two.send_data(stream, body[:size], end_stream=size == len(body))
        except h2.exceptions.ProtocolError:
            pass
        self._going.pop(stream, None)

    def _flush(self) -> None:
        self._http.write(self._two.data_to_send())


class _One:
    """HTTP/1.1 (RFC 9112): one question at a time."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self._one = h11.Connection(h11.SERVER, max_incomplete_event_size=HEADERS)
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._answering = False

    def received(self, data: bytes) -> None:
        try:
            self._one.receive_data(data)
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint)
        self._resume()

    def _resume(self) -> None:
        try:
            self._go_on()
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint)

    def _go_on(self) -> None:
        while not self._answering:
            event = self._one.next_event()
            match event:
                case h11.Request():
                    self._request = event
                    self._body.clear()
                    if self._one.they_are_waiting_for_100_continue:
                        self._http.write(self._one.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
                case h11.Data():
                    self._body += event.data
                    if len(self._body) > LARGEST:
                        self._refuse(413)
                        return
                case h11.EndOfMessage() if self._request:
                    self._ask(self._request)
                case h11.ConnectionClosed():
                    self._http.close()
                    return
                case _:
                    return

    def _ask(self, request: h11.Request) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers}
        self._answering = True
        self._http.reading(wanted=False)
        method, target = request.method.decode("latin-1"), request.target.decode("latin-1")
        self._http.ask(method, target, headers, bytes(self._body), self._answer)

    def _answer(self, status: int, headers: Headers, body: bytes) -> None:
        try:
            self._say(status, headers, body)
            self._answering = False
            if self._one.our_state is h11.MUST_CLOSE or self._one.their_state is h11.MUST_CLOSE:
                self._http.close()
                return
            self._one.start_next_cycle()
            self._http.reading(wanted=True)
            asyncio.get_running_loop().call_soon(self._resume)  # another request may have come behind this one
        except h11.ProtocolError:
            self._http.close()

    def _say(self, status: int, headers: Headers, body: bytes) -> None:
        fields = [*headers.items(), ("content-length", str(len(body)))]
        self._http.write(self._one.send(h11.Response(status_code=status, headers=fields)) or b"")
        self._http.write(self._one.send(h11.Data(data=body)) or b"")
        self._http.write(self._one.send(h11.EndOfMessage()) or b"")

    def _refuse(self, status: int) -> None:
        with contextlib.suppress(h11.ProtocolError):  # an answer may be under way already
            self._say(status, {"connection": "close"}, b"")
        self._http.close()
