"""Long bodies on their short cut: whole, at the receiver's pace, and ended by whoever ends them."""

import asyncio
import contextlib
import hashlib
import random
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from h11._readers import ContentLengthReader
from mitmproxy import http
from mitmproxy.proxy.layers import tls
from OpenSSL import SSL

from policy.rules import Action, SiteRule
from proxy.inside import bodies
from proxy.inside.bodies import LONG, TAIL, Detour, is_long
from proxy.reach import spoken_to

from .conftest import site_context

SIZE = 3_000_000
BODY = random.Random(7).randbytes(SIZE)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: %d\r\n\r\n"


@contextlib.contextmanager
def site(context: ssl.SSLContext | None, serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """An origin for one connection; its port."""

    def once() -> None:
        client = server.accept()[0]
        client.settimeout(20)
        with contextlib.suppress(OSError), context.wrap_socket(client, server_side=True) if context else client as talk:
            serve(talk)

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        thread = threading.Thread(target=once)
        thread.start()
        yield server.getsockname()[1]
        thread.join(20)
        assert not thread.is_alive()


def head(sock: socket.socket) -> bytes:
    got = b""
    while not got.endswith(b"\r\n\r\n") and (more := sock.recv(1)):
        got += more
    return got


def body(sock: socket.socket, size: int = SIZE) -> bytes:
    got = bytearray()
    while len(got) < size and (more := sock.recv(min(65_536, size - len(got)))):
        got += more
    return bytes(got)


def same(got: bytes, whole: bytes) -> bool:
    """Without writing megabytes into a failure."""
    return hashlib.sha256(got).digest() == hashlib.sha256(whole).digest()


@pytest.fixture
def ask(school):
    """A connection through the proxy: open if `secure`, or the proxy's plain way."""

    @contextlib.contextmanager
    def asked(port: int, *, secure: bool) -> Iterator[tuple[socket.socket, bytes]]:
        if secure:
            with school.tunnel("ks3", f"allowed.test:{port}", "allowed.test") as sock:
                yield sock, b"/film"
        else:
            with socket.create_connection(school.proxy("ks3"), timeout=20) as sock:
                yield sock, b"http://allowed.test:%d/film" % port

    return asked


def get(path: bytes) -> bytes:
    return b"GET %s HTTP/1.1\r\nHost: allowed.test\r\n\r\n" % path


@pytest.mark.parametrize("secure", [True, False])
def test_a_body_comes_as_it_was_sent_and_the_connection_goes_on(school, ask, secure):
    def serve(talk: socket.socket) -> None:
        for _ in range(2):
            head(talk)
            talk.sendall(HEAD % SIZE)
            for at in range(0, SIZE, 70_001):
                talk.sendall(BODY[at : at + 70_001])
        head(talk)
        talk.sendall(HEAD % 5 + b"short")

    context = school.internet.https.context if secure else None
    with site(context, serve) as port, ask(port, secure=secure) as (sock, path):
        for _ in range(2):
            sock.sendall(get(path))
            assert b" 200 " in head(sock)
            assert same(body(sock), BODY)
        sock.sendall(get(path))
        assert b" 200 " in head(sock)
        assert body(sock, 5) == b"short"


@pytest.mark.parametrize("secure", [True, False])
def test_an_upload_arrives_as_it_was_sent(school, ask, secure):
    def serve(talk: socket.socket) -> None:
        for _ in range(2):
            head(talk)
            talk.sendall(HEAD % 5 + (b"whole" if same(body(talk), BODY) else b"other"))

    context = school.internet.https.context if secure else None
    with site(context, serve) as port, ask(port, secure=secure) as (sock, path):
        for _ in range(2):
            sock.sendall(b"POST %s HTTP/1.1\r\nHost: allowed.test\r\nContent-Length: %d\r\n\r\n" % (path, SIZE))
            sock.sendall(BODY)
            assert b" 200 " in head(sock)
            assert body(sock, 5) == b"whole"


def test_an_upload_that_is_answered_early_goes_on_to_its_end(school, ask):
    def serve(talk: socket.socket) -> None:
        head(talk)
        body(talk, 1_000_000)
        talk.sendall(HEAD.replace(b"200 OK", b"413 Too Much") % 5 + b"never")
        body(talk, SIZE - 1_000_000)

    with site(school.internet.https.context, serve) as port, ask(port, secure=True) as (sock, path):
        sock.sendall(b"POST %s HTTP/1.1\r\nHost: allowed.test\r\nContent-Length: %d\r\n\r\n" % (path, SIZE))
        sock.sendall(BODY)
        assert b" 413 " in head(sock)
        assert body(sock, 5) == b"never"


MANY = 60  # times the body: more than the kernel's buffers on the way take


def test_a_client_that_stalls_stalls_the_site_and_gets_everything(school, ask):
    """What does not fit into the kernel's buffers stays with the site: it is not gathered here."""
    stalled, sent = threading.Event(), [0]

    def serve(talk: socket.socket) -> None:
        head(talk)
        talk.sendall(HEAD % (MANY * SIZE))
        for _ in range(MANY):
            for at in range(0, SIZE, 100_000):
                if not stalled.is_set() and not select.select([], [talk], [], 1)[1]:
                    stalled.set()
                talk.sendall(BODY[at : at + 100_000])
                sent[0] += 100_000

    with site(None, serve) as port, ask(port, secure=False) as (sock, path):
        sock.sendall(get(path))
        head(sock)
        assert stalled.wait(20)
        assert sent[0] < MANY * SIZE / 2
        for _ in range(MANY):
            assert same(body(sock), BODY)


def test_a_client_that_goes_ends_the_sites_answer(school, ask):
    ended = threading.Event()

    def serve(talk: socket.socket) -> None:
        head(talk)
        talk.sendall(HEAD % (1000 * SIZE))
        try:
            while True:
                talk.sendall(BODY)
        except OSError:
            ended.set()

    with site(school.internet.https.context, serve) as port:
        with ask(port, secure=True) as (sock, path):
            sock.sendall(get(path))
            head(sock)
            body(sock)
        assert ended.wait(20)


def test_a_site_that_goes_once_it_has_greeted_did_not_answer(school, ask):
    def serve(talk: socket.socket) -> None:
        talk.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with site(school.internet.https.context, serve) as port, ask(port, secure=True) as (sock, path):
        sock.sendall(get(path))
        assert b" 502 " in head(sock)


@pytest.mark.parametrize("politely", [True, False])
def test_a_site_that_goes_ends_it_short_for_the_client(school, ask, politely):
    def serve(talk: socket.socket) -> None:
        head(talk)
        talk.sendall(HEAD % (2 * SIZE) + BODY)
        if politely:
            with contextlib.suppress(OSError):
                talk.unwrap()

    with site(school.internet.https.context, serve) as port, ask(port, secure=True) as (sock, path):
        sock.sendall(get(path))
        assert b" 200 " in head(sock)
        got = b""
        with contextlib.suppress(ssl.SSLEOFError, ConnectionResetError):  # what a browser calls a failed download
            got = body(sock)
            assert not sock.recv(1)
        assert same(got, BODY)


def test_a_new_policy_holds_from_the_next_request_on(school, ask):
    """A page that was let through is not cut in the middle; what is asked next on its connection is judged anew."""
    half, changed = threading.Event(), threading.Event()

    def serve(talk: socket.socket) -> None:
        head(talk)
        talk.sendall(HEAD % SIZE + BODY[: SIZE // 2])
        half.set()
        assert changed.wait(20)
        talk.sendall(BODY[SIZE // 2 :])
        assert not talk.recv(1)  # nothing more is ever asked

    before = school.live.kept
    try:
        with site(school.internet.https.context, serve) as port, ask(port, secure=True) as (sock, path):
            sock.sendall(get(path))
            head(sock)
            assert half.wait(20)
            school.live.kept = school.build(SiteRule("r-new", "allowed.test", Action.BLOCK, 11))
            changed.set()
            assert same(body(sock), BODY)
            sock.sendall(get(path))
            assert b" 403 " in head(sock)
    finally:
        school.live.kept = before


# --- by itself -----------------------------------------------------------------------------------------------------------


class FakeHandler:
    """Whoever the layers belong to: it hears of what the detour leaves to them."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.wakeup_timer: set[object] = set()
        self.timeout_watchdog = SimpleNamespace(register_activity=lambda: None)
        self.was_broken = False

    def happened(self, event) -> None:
        self.heard.append(event.data)

    def broken(self) -> None:
        self.was_broken = True


@contextlib.asynccontextmanager
async def detour(length: int):
    """Plain on both sides: (site's end, client's end, the detour)."""
    pairs = [socket.socketpair() for _ in range(2)]
    for each in (sock for pair in pairs for sock in pair):
        each.setblocking(False)
    (site_end, far), (near, client_end) = pairs
    (reader, source), (_, sink) = await spoken_to(far), await spoken_to(near)
    made = Detour(FakeHandler(), None, ContentLengthReader(length), source, sink, None, None)
    try:
        yield site_end, client_end, made, reader
    finally:
        for writer in (source, sink):
            writer.close()
        for sock in (site_end, client_end):
            sock.close()
        for writer in (source, sink):
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def until(what: Callable[[], object]) -> None:
    for _ in range(1000):
        if what():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it did not come to pass")


@pytest.mark.anyio
async def test_the_layers_hear_of_the_last_bytes_alone_and_then_of_all():
    async with detour(LONG) as (site_end, client_end, made, reader):
        made.begin()
        loop = asyncio.get_running_loop()
        sending = asyncio.ensure_future(loop.sock_sendall(site_end, b"a" * (LONG - TAIL) + b"tail"))
        got = bytearray()
        while len(got) < LONG - TAIL:
            got += await loop.sock_recv(client_end, 65_536)
        await sending
        await until(lambda: b"".join(made.handler.heard) == b"tail" or reader.held)
        assert same(bytes(got), b"a" * (LONG - TAIL))
        assert made.counts._remaining == TAIL
        site_end.send(b"more")  # read as ever
        seen = b"".join(made.handler.heard)
        while len(seen) < 8:
            seen += await reader.read(100)
        assert seen == b"tailmore"


@pytest.mark.anyio
async def test_nothing_is_read_that_the_receiver_does_not_take():
    async with detour(1 << 40) as (site_end, client_end, made, _):
        made.begin()
        loop = asyncio.get_running_loop()
        piece, sent = b"b" * 65_536, 0
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(0.3):
                    await loop.sock_sendall(site_end, piece)
                sent += len(piece)
        assert sent < 4 << 20
        assert made.sink.transport.get_write_buffer_size() <= bodies.LONG + bodies.MOST_WAITING
        assert not made.source.is_reading()
        while not made.source.is_reading():
            await loop.sock_recv(client_end, 1 << 20)


@pytest.mark.anyio
async def test_the_end_of_either_side_is_heard_by_who_reads_it():
    async with detour(1 << 40) as (site_end, _, made, reader):
        made.begin()
        site_end.close()
        assert await reader.read(10) == b""
        assert made.source.get_protocol() is made.before


@pytest.mark.anyio
async def test_what_nobody_takes_any_more_is_the_layers_matter():
    async with detour(1 << 40) as (site_end, _, made, _reader):
        made.begin()
        made.sink.close()
        site_end.send(b"late")
        await until(lambda: made.handler.heard)
        assert made.handler.heard == [b"late"]


@pytest.mark.anyio
async def test_what_nobody_takes_any_more_is_still_tls(internet, tmp_path):
    """Of a site under TLS nothing goes to the layers as it came, and nothing of it is lost."""
    site_context(tmp_path, internet.ca, ("body.test",))
    (pem,) = tmp_path.glob("site-*.pem")
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate_file(str(pem))
    context.use_privatekey_file(str(pem))
    client, server = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD)), SSL.Connection(context)
    client.set_connect_state()
    server.set_accept_state()
    for one, other in ((client, server), (server, client), (client, server), (server, client)):
        with contextlib.suppress(SSL.WantReadError):
            one.do_handshake()
        with contextlib.suppress(SSL.WantReadError):
            other.bio_write(one.bio_read(65_536))
    server.send(b"late")
    async with detour(1 << 40) as (site_end, _, made, _reader):
        made.opens = client
        made.begin()
        made.sink.close()
        site_end.send(server.bio_read(65_536))
        await until(lambda: made.handler.heard)
        assert made.handler.heard == [b""], "the layers look for what there is"
        assert client.recv(100) == b"late"


@pytest.mark.anyio
async def test_when_the_receiver_breaks_off_the_sender_is_heard_again():
    async with detour(1 << 40) as (site_end, client_end, made, _reader):
        made.begin()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                await asyncio.get_running_loop().sock_sendall(site_end, b"b" * 5_000_000)
        assert not made.source.is_reading()
        client_end.close()
        await until(made.source.is_reading)


@pytest.mark.anyio
async def test_what_breaks_in_it_ends_the_connection():
    async with detour(1 << 40) as (site_end, _, made, _reader):
        made.opens = object()  # no TLS
        made.begin()
        site_end.send(b"x")
        await until(lambda: made.handler.was_broken)


@pytest.mark.parametrize(
    ("length", "long"),
    [("", False), ("5", False), (str(LONG), False), (str(LONG + TAIL + 1), True), ("٣" * 9, False), ("9" * 5000, False), ("-999999", False)],
)  # fmt: skip
def test_what_a_detour_pays_for(length, long):
    headers = http.Headers(content_length=length) if length else http.Headers()
    assert bool(is_long(SimpleNamespace(headers=headers))) is long


def test_with_another_pyopenssl_nothing_is_put_in_place():
    before = tls.TLSLayer.receive_data
    assert not bodies.install("99.0")
    assert tls.TLSLayer.receive_data is before
    assert bodies.install()
