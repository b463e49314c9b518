"""Strangers' frames: whatever they are, nothing raises, nothing grows, and who asks too much is let go."""

import math
import struct
from types import SimpleNamespace

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, ResponseReceived, StreamReset
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.front import Listener
from proxy.h2_frames import MOST, TAKEN_BACK
from proxy.h2_streams import AT_ONCE, IN_ALL, WINDOW_OF_ALL, Streams

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PING, WINDOW, CONTINUATION = 0, 1, 2, 3, 4, 6, 8, 9


class Wires:
    """Watches nothing: what is sent inside stays in its pipe."""

    def __init__(self):
        self.watched = {}

    def watch(self, fd, what, watcher):
        self.watched[fd] = watcher
        del what

    def change(self, fd, what):
        pass

    def forget(self, fd):
        self.watched.pop(fd, None)


class Sealed:
    """The client's socket: all that is said is kept, as much as it would keep."""

    def __init__(self):
        self.said, self.wanted, self.finished, self.full = b"", True, False, False

    def send(self, data):
        self.said += data

    def listen(self, *, wanted):
        self.wanted = wanted

    def finish(self):
        self.finished = True


class Tunnels:
    def __init__(self):
        self.outcomes = []

    def known(self, *_):
        return True

    def over(self, _):
        pass

    def refused(self, *said):
        self.outcomes.append(said[-1])


def carried():
    front = SimpleNamespace(wires=Wires(), tunnels=Tunnels(), open={}, names=None)
    carrier = SimpleNamespace(
        front=front, inner=Listener("x"), address=("10.0.0.1", 5), own=("10.0.0.2", 8), sealed=Sealed(), deadline=math.inf
    )
    streams = Streams(carrier)
    return SimpleNamespace(carrier=carrier, front=front, sealed=carrier.sealed, streams=streams)


@pytest.fixture
def connection():
    made = carried()
    yield made
    closed(made)


def closed(made):
    made.streams.farewell()
    for door in list(made.front.open.values()):
        door.close()
    assert not made.streams.open
    assert not made.front.wires.watched


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def a_client():
    client = H2Connection(H2Configuration(header_encoding="latin-1"))
    client.initiate_connection()
    return client


def connect(client, place="a.test:443"):
    id_ = client.get_next_available_stream_id()
    client.send_headers(id_, [(":method", "CONNECT"), (":authority", place)])
    return id_


def goodbye(client, made):
    """With which code the proxy says goodbye; None: it does not."""
    events, made.sealed.said = client.receive_data(made.sealed.said), b""
    return next((each.error_code for each in events if isinstance(each, ConnectionTerminated)), None)


def test_streams_opened_and_taken_back_at_once(connection):
    """CVE-2023-44487."""
    client = a_client()
    count = 0
    while not connection.sealed.finished:
        client.reset_stream(connect(client))
        connection.streams.heard(client.data_to_send())
        count += 1
    assert MOST / TAKEN_BACK / 2 < count < MOST / TAKEN_BACK * 2
    assert goodbye(client, connection) == ErrorCodes.ENHANCE_YOUR_CALM
    assert connection.front.tunnels.outcomes == ["flood"]


FLOODS = {
    "pings": frame(PING, 0, 0, b"12345678"),
    "answers to pings": frame(PING, 1, 0, b"12345678"),
    "settings": frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65_535)),
    "priorities": frame(PRIORITY, 0, 1, struct.pack(">IB", 0, 1)),
    "windows": frame(WINDOW, 0, 0, struct.pack(">I", 1)),
    "unknown frames": frame(0xFA, 0, 0),
    "empty data": frame(DATA, 0, 1),
    "data of a byte": frame(DATA, 0, 1, b"x"),
    "data of padding": frame(DATA, 8, 1, b"\x09" + bytes(9)),
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_frames_that_carry_nothing(connection, flood):
    client = a_client()
    connect(client)
    connection.streams.heard(client.data_to_send())
    for _ in range(100):
        connection.streams.heard(flood * 100)
    assert connection.sealed.finished
    assert connection.front.tunnels.outcomes == ["flood"]
    assert len(connection.sealed.said) < 30 * MOST  # what is answered meanwhile
    assert not connection.streams.open


def test_a_header_block_without_an_end(connection):
    """CONTINUATION floods."""
    connection.streams.heard(PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, 0, 1, b"\0\1x\x7f\x80\x7f" + bytes(100)))
    for _ in range(100):
        connection.streams.heard(frame(CONTINUATION, 0, 1, bytes(16_000)))
    assert connection.sealed.finished
    assert connection.front.tunnels.outcomes == ["odd"]


@pytest.mark.parametrize("many", [False, True])
def test_headers_that_are_too_large(connection, many):
    client = a_client()
    fields = [("x", "y" * 16)] * 2000 if many else [("x", "y" * 70_000)]
    id_ = client.get_next_available_stream_id()
    client.send_headers(id_, [(":method", "CONNECT"), (":authority", "a.test:443"), *fields])
    connection.streams.heard(client.data_to_send())
    assert connection.sealed.finished
    assert not connection.streams.open


def test_so_many_streams_at_once(connection):
    client = a_client()
    ids = [connect(client) for _ in range(AT_ONCE)]
    connection.streams.heard(client.data_to_send())
    assert len(connection.streams.open) == AT_ONCE
    client.receive_data(connection.sealed.said)
    connection.sealed.said = b""
    assert client.remote_settings.max_concurrent_streams == AT_ONCE
    client.reset_stream(ids[0])
    connect(client)
    connection.streams.heard(client.data_to_send())
    assert len(connection.streams.open) == AT_ONCE
    client.remote_settings[3] = 1000
    client.remote_settings.acknowledge()
    connect(client)
    connection.streams.heard(client.data_to_send())
    assert connection.sealed.finished


def test_so_many_streams_in_all(connection):
    """Then those that are here go on, and a new one goes to a new connection."""
    client = a_client()
    stays = connect(client)
    connection.streams.heard(client.data_to_send())
    connection.streams._ever = IN_ALL - 1  # ten thousand take their time
    connect(client)
    connection.streams.heard(client.data_to_send())
    assert goodbye(client, connection) == ErrorCodes.NO_ERROR
    late = stays + 4
    connection.streams.heard(frame(HEADERS, 4, late, BLOCKS[0]))
    assert connection.sealed.said == frame(RST, 0, late, int(ErrorCodes.REFUSED_STREAM).to_bytes(4))
    assert sorted(connection.streams.open) == [stays, stays + 2]
    connection.streams.heard(frame(RST, 0, stays, bytes(4)) + frame(RST, 0, stays + 2, bytes(4)))
    assert connection.sealed.finished


def test_what_the_inside_does_not_take_is_bounded(connection):
    """All windows of a connection, and then the client may send no more."""
    client = a_client()
    ids = [connect(client) for _ in range(100)]
    connection.streams.heard(client.data_to_send())
    sent = 0
    for _ in range(200):
        client.receive_data(connection.sealed.said)
        connection.sealed.said = b""
        for id_ in ids:
            while (size := min(client.local_flow_control_window(id_), 16_384)) > 0:
                client.send_data(id_, bytes(size))
                sent += size
                connection.streams.heard(client.data_to_send())
    assert not connection.sealed.finished
    in_the_kernel = 100 * 131_072
    assert WINDOW_OF_ALL * 0.9 < sent < WINDOW_OF_ALL + in_the_kernel
    assert len(connection.streams.open) == 100


def test_while_the_client_does_not_read_it_is_not_read(connection):
    client = a_client()
    connection.streams.heard(client.data_to_send())
    connection.sealed.full = True
    connection.streams.heard(FLOODS["pings"])
    assert not connection.sealed.wanted
    connection.sealed.full = False
    connection.streams.writable()
    assert connection.sealed.wanted


def test_no_file_is_left_for_a_stream(connection):
    class Full(dict):
        def __setitem__(self, key, value):
            raise OSError("too many open files")

    client = a_client()
    id_ = connect(client)
    connection.front.open = Full()
    connection.streams.heard(client.data_to_send())
    events = client.receive_data(connection.sealed.said)
    assert [each.error_code for each in events if isinstance(each, StreamReset)] == [ErrorCodes.REFUSED_STREAM]
    assert id_ not in connection.streams.open
    connection.front.open = {}


def test_an_answer_that_is_none_breaks_its_stream_alone(connection):
    client = a_client()
    first, second = connect(client), connect(client)
    connection.streams.heard(client.data_to_send())
    connection.streams.open[first].says(b"NOTHING OF HTTP\r\n\r\n")
    connection.streams.open[second].says(b"HTTP/1.1 200 Connection established\r\n\r\nhello")
    events = client.receive_data(connection.sealed.said)
    assert [each.stream_id for each in events if isinstance(each, StreamReset)] == [first]
    assert [each.stream_id for each in events if isinstance(each, ResponseReceived)] == [second]
    assert list(connection.streams.open) == [second]


def test_a_goodbye_of_the_client(connection):
    client = a_client()
    connect(client)
    connection.streams.heard(client.data_to_send())
    client.close_connection()
    connection.streams.heard(client.data_to_send())
    assert connection.sealed.finished
    assert not connection.front.tunnels.outcomes


BLOCKS = [
    b"\x02\x07CONNECT\x01\x0aa.test:443",  # :method and :authority, as literals
    b"\x82\x86\x84\x41\x06a.test",
    b"\x83\x86\x84\x41\x06a.test",
    b"\x88",
    b"",
]
FRAMES = st.builds(
    frame,
    st.sampled_from([DATA, HEADERS, PRIORITY, RST, SETTINGS, 5, PING, 7, WINDOW, CONTINUATION, 0xEE]),
    st.sampled_from([0, 1, 4, 5, 8, 0x20, 0xFF]),
    st.sampled_from([0, 1, 1, 1, 2, 3, 3, 5, 7, 2**31 - 1]),
    st.sampled_from([*BLOCKS, bytes(4), bytes(8), b"\0\3\0\0\0\1", b"\x7f\xff\xff\xff"]) | st.binary(max_size=40),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(FRAMES, max_size=20), st.binary(max_size=30), st.integers(1, 200))
def test_any_frames_at_all(frames, tail, cut):
    made = carried()
    data = PREFACE + frame(SETTINGS, 0, 0) + b"".join(frames) + tail
    for at in range(0, len(data), cut):
        made.streams.heard(data[at : at + cut])
    assert len(made.streams.open) <= AT_ONCE
    assert len(made.sealed.said) < 100_000
    for stream in list(made.streams.open.values()):
        stream.says(b"HTTP/1.1 200 OK\r\n\r\n")
        stream.said_all(gone=True)
    closed(made)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_at_all(data):
    for before in (b"", PREFACE, PREFACE + frame(SETTINGS, 0, 0)):
        made = carried()
        made.streams.heard(before + data)
        closed(made)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([b"HTTP/1.1 ", b"200", b"407", b" OK\r\n", b"\r\n", b"Content-Length: 5\r\n", b"hello"])
                | st.binary(max_size=20), max_size=12), st.booleans())  # fmt: skip
def test_any_answer_at_all(pieces, gone):
    made = carried()
    client = a_client()
    id_ = connect(client)
    made.streams.heard(client.data_to_send())
    for piece in pieces:
        if stream := made.streams.open.get(id_):
            stream.says(piece)
    if stream := made.streams.open.get(id_):
        stream.said_all(gone=gone)
    client.receive_data(made.sealed.said)  # what we say is always HTTP/2
    closed(made)
