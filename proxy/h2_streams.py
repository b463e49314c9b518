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

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from h2.errors import ErrorCodes as Code

from proxy.front import HEAD_SECONDS, IDLE_SECONDS
from proxy.greeting import LONGEST, Odd
from proxy.h2_frames import TAKEN_BACK, Frames, Patience
from proxy.h2_requests import asked
from proxy.h2_stream import Carrier, Stream

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
log = logging.getLogger(__name__)


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

    def over(self, id_: int) -> bool:
        if self.open.pop(id_, None) is None:
            return False
        self.rest()
        return True

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
            # Its words may say what was asked for, which is not for our log.
            log.info("closed a connection that is no HTTP/2: %s", type(error).__name__)
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
