"""A client that speaks HTTP/2 to its proxy, under TLS: the installed curl is too old to."""

import socket
import ssl
from types import SimpleNamespace

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    InformationalResponseReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)


class Client:
    """One connection. `before` goes out ahead of the TLS; `reads` False: no window is given back."""

    def __init__(self, address, ca, *, before=b"", source="127.0.0.1", alpn=("h2",), reads=True, validate=True):
        self.reads, self.goodbye, self.streams = reads, None, {}
        sock = socket.create_connection(address, timeout=20, source_address=(source, 0))
        try:
            sock.sendall(before)
            context = ssl.create_default_context(cafile=ca)
            context.set_alpn_protocols(list(alpn))
            self.sock = sock = context.wrap_socket(sock, server_hostname="localhost", do_handshake_on_connect=False)
            sock.do_handshake()
        except BaseException:
            sock.close()
            raise
        self.protocol = self.sock.selected_alpn_protocol()
        config = H2Configuration(
            header_encoding="latin-1", validate_outbound_headers=validate, normalize_outbound_headers=validate
        )
        self.said = H2Connection(config)
        if self.protocol == "h2":
            self.said.initiate_connection()
            self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def flush(self):
        if data := self.said.data_to_send():
            self.sock.sendall(data)

    def ask(self, fields, *, end=True):
        id_ = self.said.get_next_available_stream_id()
        self.streams[id_] = SimpleNamespace(id=id_, status=0, headers={}, body=b"", ended=False, reset=None, informed=[])
        self.said.send_headers(id_, fields, end_stream=end)
        self.flush()
        return self.streams[id_]

    def turn(self):
        """What comes next. False when nothing does any more."""
        try:
            data = self.sock.recv(65536)
        except ConnectionError:
            data = b""
        for event in self.said.receive_data(data) if data else ():
            stream = self.streams.get(getattr(event, "stream_id", None))
            if isinstance(event, ConnectionTerminated):
                self.goodbye = event.error_code
            elif stream is None:
                continue
            elif isinstance(event, ResponseReceived):
                stream.headers = dict(event.headers)
                stream.status = int(stream.headers[":status"])
            elif isinstance(event, InformationalResponseReceived):
                stream.informed.append(dict(event.headers)[":status"])
            elif isinstance(event, DataReceived):
                stream.body += event.data
                if self.reads:
                    self.said.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                stream.ended = True
            elif isinstance(event, StreamReset):
                stream.reset = event.error_code
        if self.goodbye is None:
            self.flush()
        return bool(data)

    def until(self, what):
        while not what():
            assert self.turn(), "the proxy closed the connection"

    def answer(self, fields, *, end=True):
        """The whole answer to a request."""
        stream = self.ask(fields, end=end)
        self.until(lambda: stream.ended or stream.reset is not None)
        return stream

    def get(self, url, *more):
        scheme, _, rest = url.partition("://")
        place, slash, path = rest.partition("/")
        fields = [(":method", "GET"), (":scheme", scheme), (":authority", place), (":path", slash + path or "/")]
        return self.answer([*fields, *more])

    def connect(self, target, *more):
        stream = self.ask([(":method", "CONNECT"), (":authority", target), *more], end=False)
        self.until(lambda: stream.status or stream.reset is not None)
        return stream

    def send(self, stream, data, *, end=False):
        """As far as the windows reach at a time."""
        while data:
            self.until(lambda: self.said.local_flow_control_window(stream.id) > 0 or stream.reset is not None)
            if stream.reset is not None:
                return
            size = min(self.said.local_flow_control_window(stream.id), self.said.max_outbound_frame_size)
            self.said.send_data(stream.id, data[:size])
            data = data[size:]
            self.flush()
        if end:
            self.said.end_stream(stream.id)
            self.flush()

    def inside(self, stream, host, ca):
        return Inside(self, stream, host, ca)


class Inside:
    """TLS with the site, in a tunnel that is a stream."""

    def __init__(self, client, stream, host, ca):
        self.client, self.stream = client, stream
        context = ssl.create_default_context(cafile=ca)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=host)
        self._waiting(self.tls.do_handshake)

    @property
    def issuer(self):
        return dict(pair for (pair,) in self.tls.getpeercert()["issuer"])["commonName"]

    def _waiting(self, what):
        while True:
            try:
                return what()
            except ssl.SSLWantReadError:
                self._exchange()

    def _exchange(self):
        if self.outgoing.pending:
            self.client.send(self.stream, self.outgoing.read())
        stream = self.stream
        self.client.until(lambda: stream.body or stream.ended or stream.reset is not None)
        self.incoming.write(stream.body)
        if not stream.body:
            self.incoming.write_eof()
        stream.body = b""

    def say(self, data):
        self.tls.write(data)
        self.client.send(self.stream, self.outgoing.read())

    def read(self):
        try:
            return self._waiting(lambda: self.tls.read(65536))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def get(self, host, path="/", *more):
        """Head and body of a page that says its length."""
        head = "".join(f"{line}\r\n" for line in (f"GET {path} HTTP/1.1", f"Host: {host}", *more))
        self.say(f"{head}\r\n".encode())
        return self.whole()

    def whole(self):
        got = b""
        while b"\r\n\r\n" not in got:
            more = self.read()
            assert more, got
            got += more
        head, _, body = got.partition(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        while len(body) < length and (more := self.read()):
            body += more
        return head.decode("latin-1"), body
