"""One stream of HTTP/2, and the pipe that it goes by: a tunnel, or a request for a plain page.

Its request goes inside as one of HTTP/1.1, and h11 reads what is answered: a refusal, a page, or that a tunnel is open. From
then on it is bytes, and each side ends for itself. What was broken off inside is reset here, and never looks like an end.
"""

from contextlib import suppress
from typing import Protocol

import h2.connection
import h2.exceptions
import h11
from h2.errors import ErrorCodes as Code

from proxy.front import Front, Listener
from proxy.greeting import LONGEST
from proxy.h2_frames import Patience
from proxy.h2_requests import Asked
from proxy.pipes import Pipe, piped
from proxy.sealed import Sealed

_NOT_IN_2 = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})


class Carrier(Protocol):
    """The connection that carries the streams: secure.SecureDoor."""

    front: Front
    inner: Listener
    address: tuple[str, int]
    own: tuple[str, int]
    sealed: Sealed
    deadline: float


class Together(Protocol):
    """All streams of a connection: h2_streams.Streams."""

    carrier: Carrier
    said: h2.connection.H2Connection
    sealed: Sealed
    patience: Patience

    def flush(self) -> None: ...

    def over(self, id_: int) -> bool:
        """This one is. False: that was known."""


class Stream:
    """One stream, and the pipe that it goes by."""

    def __init__(self, streams: Together, id_: int, what: Asked) -> None:
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
        if self._streams.over(self._id) and self._owed:
            with suppress(h2.exceptions.ProtocolError):
                self._said.acknowledge_received_data(self._owed, self._id)
