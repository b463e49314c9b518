"""TLS on a watched socket: whole at any size, no quicker than its reader, and over when either side says so."""

import asyncio
import contextlib
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from OpenSSL import SSL

from proxy import records
from proxy.greeting import greeting
from proxy.inside import tls as inside_tls
from proxy.line import LAST_SECONDS, Line
from proxy.wires import Wires

from .conftest import site_context


@pytest.fixture
def pem(internet, tmp_path):
    """A certificate and its key, as for a site."""
    site_context(tmp_path, internet.ca, ("line.test",))
    (found,) = tmp_path.glob("site-*.pem")
    return str(found)


def talk(pem, ours, theirs):
    """`ours` with a line that answers as a server, `theirs` with the other end of its socket, in a thread."""

    async def both():
        wires = Wires()
        near, far = socket.socketpair()
        near.setblocking(False)
        far.settimeout(20)
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.use_certificate_file(pem)
        context.use_privatekey_file(pem)
        line = Line(wires, near, peername=("10.0.0.7", 1))
        line.tls = SSL.Connection(context)
        line.tls.set_accept_state()
        try:
            with ThreadPoolExecutor(1) as pool:
                there = asyncio.get_running_loop().run_in_executor(pool, theirs, far)
                try:
                    return await ours(line), await there
                finally:
                    line.close()
                    with contextlib.suppress(OSError):
                        far.shutdown(socket.SHUT_RDWR)
        finally:
            wires.close()
            near.close()
            far.close()

    return asyncio.run(both())


def greeted(far):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(far, suppress_ragged_eofs=True)


def exactly(sock, size):
    got = b""
    while len(got) < size and (more := sock.recv(65536)):
        got += more
    return got


@pytest.mark.parametrize("size", [1, 16_384, 16_385, 3_000_000])
def test_what_is_said_comes_back_whole(pem, size):
    said = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    async def ours(line):
        await line.greet()
        got = b""
        while len(got) < size:
            got += await line.read()
        line.write(got)
        await line.drain()
        assert line.get_extra_info("peername") == ("10.0.0.7", 1)
        return got == said

    def theirs(far):
        with greeted(far) as sock:
            sock.sendall(said)
            return exactly(sock, size) == said

    assert talk(pem, ours, theirs) == (True, True)


def test_what_was_written_still_goes_out_after_the_end(pem):
    size = 3_000_000

    async def ours(line):
        await line.greet()
        line.write(b"x" * size)
        waiting = line.transport.get_write_buffer_size()
        line.close()
        line.write(b"more")
        async with asyncio.timeout(20):
            await line.drain()
        assert not hasattr(line, "tls")  # its memory is not kept until garbage is collected
        return waiting > 0, line.is_closing(), await line.read()

    def theirs(far):
        with greeted(far) as sock:
            return len(exactly(sock, 2 * size))

    assert talk(pem, ours, theirs) == ((True, True, b""), size)


def test_what_nobody_reads_is_not_taken_in(pem):
    """The other side is held up by the kernel, and hears of it."""
    stalled = threading.Event()

    async def ours(line):
        await line.greet()
        assert await line.read() == b"first"
        line.write(b"go on")
        assert await asyncio.to_thread(stalled.wait, 20)
        got = 0
        while data := await line.read():
            got += len(data)
        return got

    def theirs(far):
        with greeted(far) as sock:
            sock.sendall(b"first")
            assert exactly(sock, 5) == b"go on"
            sock.settimeout(0.3)
            sent = 0
            with contextlib.suppress(TimeoutError):
                while sent < 50_000_000:
                    sent += sock.send(b"y" * 16_000)
            stalled.set()
            return sent

    got, sent = talk(pem, ours, theirs)
    assert sent < 5_000_000
    assert 0 < got <= sent  # the last record was cut


@pytest.mark.parametrize("bytes_", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\3\1\0\5hello"])
def test_what_is_no_handshake_ends(pem, bytes_):
    async def ours(line):
        with pytest.raises((OSError, SSL.Error)):
            await line.greet()
        return True

    def theirs(far):
        far.sendall(bytes_)
        far.shutdown(socket.SHUT_WR)

    assert talk(pem, ours, theirs)[0]


def test_a_farewell_is_the_end_and_may_be_answered(pem):
    async def ours(line):
        await line.greet()
        assert await line.read() == b"bye"
        assert await line.read() == b""
        line.write(b"and you")
        line.write_eof()
        return await line.read()

    def theirs(far):
        with greeted(far) as sock:
            sock.sendall(b"bye")
            with contextlib.suppress(OSError):
                sock.unwrap()  # what comes instead of a farewell is an answer
        return True

    assert talk(pem, ours, theirs) == (b"", True)


@pytest.mark.parametrize("quantum", [True, False])
def test_a_site_is_offered_what_the_browser_offered(internet, quantum):
    """Keys for the time of quantum computers, and their cost, only to those who asked us for them."""
    made = SSL.Connection(inside_tls._outward(str(internet.ca.path), quantum))
    made.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        made.do_handshake()
    assert greeting(made.bio_read(65536)).quantum is quantum


@pytest.mark.parametrize(("silent", "busy", "closed"), [(601, False, True), (599, False, False), (601, True, False)])
def test_who_is_silent_too_long_is_closed(silent, busy, closed):
    said = []
    clock = SimpleNamespace(can_timeout=SimpleNamespace(is_set=lambda: not busy), last_activity=1000.0, timeout=600)
    one = SimpleNamespace(
        timeout_watchdog=clock, client="c", transports={"c": SimpleNamespace(handler=SimpleNamespace(cancel=said.append))}
    )
    inside_tls.Spoken.look(one, 1000.0 + silent)
    assert said == (["timeout"] if closed else [])


def test_what_one_connection_did_wrong_is_not_anothers(pem):
    """OpenSSL has one list of errors for a thread."""
    bad = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD))
    bad.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        bad.do_handshake()
    bad.bio_write(b"this is no TLS" * 9)

    async def ours(line):
        await line.greet()
        assert records.ended(bad, records.opened(bad)[1])
        assert not records.lib.ERR_peek_error()
        first = await line.read()
        line.write(b"go on")
        return first, await line.read()

    def theirs(far):
        with greeted(far) as sock:
            sock.sendall(b"good")
            assert exactly(sock, 5) == b"go on"
            sock.sendall(b"still good")
            return True

    assert talk(pem, ours, theirs) == ((b"good", b"still good"), True)


class Later:
    """The sockets' keeper and its loop, by hand."""

    def __init__(self):
        self.loop, self.calls = self, []

    def call_later(self, seconds, what):
        self.calls.append((seconds, what))

    def watch(self, *_):
        pass

    change = forget = watch


def test_what_is_not_taken_in_the_end_is_let_go():
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        wires = Later()
        line = Line(wires, near)
        line.send(b"x" * 5_000_000)
        line.close()
        assert near.fileno() >= 0
        ((seconds, over),) = wires.calls
        assert seconds == LAST_SECONDS
        over()
        assert near.fileno() < 0


def test_where_a_site_is_that_has_gone_is_not_known():
    with socket.socket() as sock:  # as after a reset
        line = Line(Later(), sock)
        assert line.get_extra_info("peername") is None
        assert line.get_extra_info("sockname") is not None


def test_who_asks_and_does_not_listen_is_not_heard_on(pem):
    over = threading.Event()

    async def ours(line):
        await line.greet()
        line.write(b"x" * 5_000_000)
        line._unsaid = True  # an answer to a question of TLS's own
        reading = asyncio.ensure_future(line.read())
        for _ in range(3):
            await asyncio.sleep(0)
        assert line._waiter is None
        over.set()
        return await reading

    def theirs(far):
        with greeted(far):
            return over.wait(20)

    assert talk(pem, ours, theirs) == (b"", True)
