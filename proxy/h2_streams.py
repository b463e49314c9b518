"""HTTP/2 to the proxy: each stream goes, by a pipe of its own, where a connection of HTTP/1.1 would go.

mitmproxy takes no CONNECT by HTTP/2 from a client, and passing through has no need of it. So the frames end here: the h2
library reads and writes them, h11 writes the request that the front reads and reads the answer. An open tunnel is bytes.

Bounds. A client may send a stream's window ahead of what the inside takes, and a connection's in all; from the inside no more
is read than one piece a stream until the client's windows let it go; answers to frames wait in the socket, and while it is
full the client is read no further. How many streams, headers and frames there may be is said below and in proxy/h2_frames.py.
"""

import logging
import math
import time
from contextlib import suppress
from typing import Protocol

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import h11
from h2.errors import ErrorCodes as Code

from proxy.front import HEAD_SECONDS, IDLE_SECONDS, Front, Listener
from proxy.greeting import LONGEST, Odd
from proxy.h2_frames import TAKEN_BACK, Frames, Patience
from proxy.h2_requests import Asked, asked
from proxy.pipes import Pipe, piped
from proxy.sealed import Sealed

AT_ONCE = 250  # streams
IN_ALL = 10_000  # streams; then the client is asked to come by a new connection, since the library remembers each
WINDOW = 65_535  # bytes of a stream that the inside did not take yet
WINDOW_OF_ALL = 1 << 22  # bytes of a connection
GOAWAY = 7
_SETTINGS = {
    h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: AT_ONCE,
    h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: LONGEST,
    h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: WINDOW,
}
_NOT_IN_2 = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})
log = logging.getLogger(__name__)


class Carrier(Protocol):
    """The connection that carries the streams: secure.SecureDoor."""

    front: Front
    inner: Listener
    address: tuple[str, int]
    own: tuple[str, int]
    sealed: Sealed
    deadline: float


class Streams:
    """All streams of a connection."""

    def __init__(self, carrier: Carrier) -> None:
        self.carrier, self.sealed = carrier, carrier.sealed
        config = h2.config.H2Configuration(client_side=False, header_encoding=None, validate_inbound_headers=False)
        self.said = h2.connection.H2Connection(config)  # malformed headers are their stream's matter: h2_requests.py
        self.said.local_settings = h2.settings.Settings(client=False, initial_values=_SETTINGS)
        self.said.initiate_connection()
        self.said.increment_flow_control_window(WINDOW_OF_ALL - WINDOW)
        self.open: dict[int, Stream] = {}
        self._frames, self.patience = Frames(), Patience(time.monotonic())
        self._ever = self._last = 0
        self._retired = self._over = False
        self.rest()
        self.flush()

    def rest(self) -> None:
        """No stream is left: another may come for a while."""
        if not self.open:
            self.carrier.deadline = time.monotonic() + IDLE_SECONDS
            if self._retired:
                self._finish()

    # --- what the connection tells -----------------------------------------------------------------------------------------

    def heard(self, data: bytes) -> None:
        if self._over:
            return
        try:
            if not self.patience.spend(self._frames.begun(data), time.monotonic()):
                self._end(Code.ENHANCE_YOUR_CALM)
                return
            for event in self.said.receive_data(data):
                if not self._over:
                    self._take(event)
        except h2.exceptions.ProtocolError as error:  # its goodbye is among what is to be sent
            log.info("closed a connection that is no HTTP/2: %s", error)
            self.carrier.front.tunnels.refused(self.carrier.inner.name, self.carrier.address[0], "", "odd")
            self._finish()
            return
        self.flush()
        if self.patience.left < 0 and not self._over:
            self._end(Code.ENHANCE_YOUR_CALM)

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived():
                self._begin(event.stream_id, event)
            case h2.events.DataReceived():
                if stream := self.open.get(event.stream_id):
                    self.patience.earn(len(event.data))
                    stream.hear(event.data, event.flow_controlled_length)
                else:
                    self.said.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                if stream := self.open.get(event.stream_id):
                    stream.end()
            case h2.events.StreamReset():
                if stream := self.open.get(event.stream_id):
                    if not stream.answered:
                        self.patience.left -= TAKEN_BACK
                    stream.close()
            case h2.events.WindowUpdated() if event.stream_id:
                if stream := self.open.get(event.stream_id):
                    stream.pump()
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                self.writable()
            case h2.events.ConnectionTerminated():  # those that say goodbye close; the library says nothing more after it
                self._finish()
            case _:
                pass

    def ended(self) -> None:
        """The client says nothing more at all."""
        self._finish()

    def writable(self) -> None:
        """In turn: who was served goes to the end."""
        for id_, stream in list(self.open.items()):
            if self.sealed.full:
                return
            if stream.waiting and stream.pump() and id_ in self.open:
                self.open[id_] = self.open.pop(id_)
        self.flush()

    def farewell(self) -> None:
        """We close, for whatever reason."""
        if not self._over:
            self._over = True
            with suppress(h2.exceptions.ProtocolError):
                self.said.close_connection(Code.NO_ERROR, last_stream_id=self._last)
            self.flush()
        self._drop()

    # --- the streams -------------------------------------------------------------------------------------------------------

    def _begin(self, id_: int, event: h2.events.RequestReceived) -> None:
        carrier, fields = self.carrier, [(bytes(name), bytes(value)) for name, value in event.headers]
        if self._retired:
            self.said.reset_stream(id_, Code.REFUSED_STREAM)
            return
        self._ever, self._last = self._ever + 1, id_
        try:
            what = asked(fields, whole=event.stream_ended is not None)
        except Odd as odd:
            log.info("refused a stream: %s", odd)
            carrier.front.tunnels.refused(carrier.inner.name, carrier.address[0], "", odd.outcome)
            self.said.send_headers(id_, [(":status", "400"), ("content-length", "0")], end_stream=True)
            if not event.stream_ended:
                self.said.reset_stream(id_, Code.NO_ERROR)
            return
        try:
            self.open[id_] = Stream(self, id_, what)
        except OSError as error:  # no file is left for it: the others go on
            log.warning("cannot take more streams just now: %s", error)
            self.said.reset_stream(id_, Code.REFUSED_STREAM)
            return
        carrier.deadline = math.inf
        if self._ever == IN_ALL:
            self._retire()

    def _retire(self) -> None:
        """Those that are here go on, others are asked to come elsewhere. The library knows only goodbyes that end all."""
        self.flush()
        said = self._last.to_bytes(4) + int(Code.NO_ERROR).to_bytes(4)
        self.sealed.send(len(said).to_bytes(3) + bytes([GOAWAY, 0]) + bytes(4) + said)
        self._retired = True

    def flush(self) -> None:
        self.sealed.send(self.said.data_to_send())
        self.sealed.listen(wanted=not self.sealed.full)

    def _end(self, code: Code) -> None:
        log.info("closed a connection by HTTP/2: %s", code.name)
        self.carrier.front.tunnels.refused(self.carrier.inner.name, self.carrier.address[0], "", "flood")
        with suppress(h2.exceptions.ProtocolError):
            self.said.close_connection(code, last_stream_id=self._last)
        self._finish()

    def _finish(self) -> None:
        if not self._over:
            self._over = True
            self._drop()
            self.carrier.deadline = time.monotonic() + HEAD_SECONDS  # for the last bytes
            self.flush()
            self.sealed.finish()

    def _drop(self) -> None:
        for stream in list(self.open.values()):
            stream.close()


class Stream:
    """One stream, and the pipe that it goes by."""

    def __init__(self, streams: Streams, id_: int, what: Asked) -> None:
        self._streams, self._said, self._id = streams, streams.said, id_
        self._tunnel, self._raw = what.tunnel, False  # a tunnel is raw once it is open
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=LONGEST + 1)
        self._owed = 0  # bytes of the window that the client gets back once the inside has taken them
        self._heard_all = False  # of the client
        self._said_all = self._gone = False  # by the inside; and it listens no more
        self._ended = False  # the client knows
        self.waiting = b""  # for the client's window
        self.answered = False
        carrier = streams.carrier
        self._pipe: Pipe = piped(carrier.front, carrier.inner, carrier.address, carrier.own, self)
        self._pipe.send(self._http.send(what.request) or b"")
        if self._tunnel:
            self._http.send(h11.EndOfMessage())

    # --- the client's side -------------------------------------------------------------------------------------------------

    def hear(self, data: bytes, length: int) -> None:
        self._owed += length
        try:
            self._pipe.send(data if self._tunnel else self._http.send(h11.Data(data=data)) or b"")
        except h11.LocalProtocolError:
            self._break()
            return
        self.took(0)

    def took(self, count: int) -> None:
        del count
        if self._owed and not self._pipe.full:
            owed, self._owed = self._owed, 0
            self._said.acknowledge_received_data(owed, self._id)
            self._streams.flush()

    def end(self) -> None:
        self._heard_all = True
        if self._tunnel:
            self._pipe.end()
        else:
            try:
                self._pipe.send(self._http.send(h11.EndOfMessage()) or b"")
            except h11.LocalProtocolError:
                self._break()
                return
        if self._ended:
            self.close()

    def pump(self) -> bool:
        """What waits goes out as far as the client's windows reach. Did any?"""
        moved = False
        try:
            while self.waiting and not self._streams.sealed.full:
                size = min(self._said.local_flow_control_window(self._id), self._said.max_outbound_frame_size)
                if size <= 0:
                    break
                piece, self.waiting, moved = self.waiting[:size], self.waiting[size:], True
                self._said.send_data(self._id, piece)
                self._streams.patience.earn(len(piece))
            if self._said_all and not self.waiting and not self._ended:
                self._said.send_data(self._id, b"", end_stream=True)
                self._ended = True
        except h2.exceptions.ProtocolError:  # the client has taken it back
            self.close()
            return moved
        self._streams.flush()
        self._pipe.listen(wanted=not self.waiting and not self._said_all)
        if self._ended and (self._heard_all or self._gone or not self._raw):
            self._break(Code.NO_ERROR)
        return moved

    # --- the inside's side -------------------------------------------------------------------------------------------------

    def says(self, data: bytes) -> None:
        if self._raw:
            self.waiting += data
            self.pump()
        else:
            self._read(data)

    def said_all(self, *, gone: bool) -> None:
        self._gone = self._gone or gone
        if self._raw:
            self._said_all = True
            self.pump()
        elif not self._said_all:
            self._read(b"")

    def cut(self) -> None:
        self._break()

    def _read(self, data: bytes) -> None:
        """An answer, or its beginning."""
        try:
            self._http.receive_data(data)
            while not self._raw:
                event = self._http.next_event()
                if isinstance(event, h11.Response | h11.InformationalResponse):
                    self._answer(event)
                elif isinstance(event, h11.Data):
                    self.waiting += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    self._said_all = True
                else:
                    break
        except (h11.ProtocolError, h2.exceptions.ProtocolError):  # broken off, or no answer that can be passed on
            self._break()
            return
        self.pump()

    def _answer(self, event: h11.Response | h11.InformationalResponse) -> None:
        fields = [(b":status", b"%d" % event.status_code)]
        self._raw = self._tunnel and 200 <= event.status_code < 300
        if self._raw:
            self.waiting += self._http.trailing_data[0]
        else:
            fields += [(name, value) for name, value in event.headers if name not in _NOT_IN_2]
        self.answered = self.answered or isinstance(event, h11.Response)
        self._said.send_headers(self._id, fields)

    def _break(self, code: Code | None = None) -> None:
        """Over: whole with NO_ERROR, which a client that has said all need not be told."""
        if code is None:
            code = Code.CONNECT_ERROR if self._tunnel else Code.INTERNAL_ERROR
        if code is not Code.NO_ERROR or not self._heard_all:
            with suppress(h2.exceptions.ProtocolError):
                self._said.reset_stream(self._id, code)
        self.close()
        self._streams.flush()

    def close(self) -> None:
        """Nothing more of it."""
        self._pipe.close()
        if self._streams.open.pop(self._id, None):
            if self._owed:
                with suppress(h2.exceptions.ProtocolError):
                    self._said.acknowledge_received_data(self._owed, self._id)
            self._streams.rest()
