"""A client's socket under TLS: what is heard, what waits, and how it ends."""

import contextlib
import socket
import ssl
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.sealed import MOST_WAITING, Sealed, context
from proxy.wires import BROKEN, READ, WRITE

from .test_secure import own_certificate


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sealed")
    return SimpleNamespace(context=context(*own_certificate(folder)), ca=folder / "schoolgate-ca.pem")


class Wires:
    """Tells its one watcher when asked to."""

    def __init__(self):
        self.what, self.later = READ, []
        self.loop = SimpleNamespace(call_soon=lambda call, *words: self.later.append((call, words)))

    def pass_on(self, _fd, watcher):
        self.watcher = watcher

    def change(self, _fd, what):
        self.what = what

    def turn(self, what=READ | WRITE):
        if what & self.what or what & BROKEN:
            self.watcher(what & (self.what | BROKEN))
        while self.later:
            call, words = self.later.pop()
            call(*words)


class Owner:
    def __init__(self):
        self.protocol, self.data, self.told = None, b"", []

    def greeted(self, protocol):
        self.protocol = protocol

    def heard(self, data):
        self.data += data

    def ended(self):
        self.told.append("ended")

    def writable(self):
        self.told.append("writable")


@contextlib.contextmanager
def joined(secure):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        wires, owner = Wires(), Owner()
        sealed = Sealed(wires, ours, secure.context, owner, lambda: owner.told.append("gone"))
        client = ssl.create_default_context(cafile=secure.ca)
        client.set_alpn_protocols(["h2"])
        tls = client.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")
        yield SimpleNamespace(wires=wires, owner=owner, sealed=sealed, sock=theirs, client=client, tls=tls)


def greeted(made):
    """The client's side of the same, as a file of both."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = made.client.wrap_bio(incoming, outgoing, server_hostname="localhost")
    for _ in range(10):
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        made.sock.send(outgoing.read())
        made.wires.turn()
        with contextlib.suppress(BlockingIOError):
            incoming.write(made.sock.recv(65536))
        if made.owner.protocol and tls.version():
            break
    made.tls, made.incoming, made.outgoing = tls, incoming, outgoing
    return made


def say(made, data):
    made.tls.write(data)
    made.sock.send(made.outgoing.read())


def test_what_is_said_is_heard_and_answered(secure):
    with joined(secure) as made:
        greeted(made)
        assert made.owner.protocol == "h2"
        say(made, b"hello")
        made.wires.turn()
        assert made.owner.data == b"hello"
        made.sealed.send(b"back")
        made.incoming.write(made.sock.recv(65536))
        assert made.tls.read(100) == b"back"


def test_who_rests_hears_nothing_and_then_all(secure):
    with joined(secure) as made:
        greeted(made)
        made.sealed.listen(wanted=False)
        assert made.wires.what == 0
        say(made, b"one")
        made.wires.turn()
        assert made.owner.data == b""
        made.sealed.listen(wanted=True)
        made.wires.turn()
        assert made.owner.data == b"one"


def test_what_is_not_taken_is_kept_and_said_to_be_too_much(secure):
    with joined(secure) as made:
        greeted(made)
        sent = 0
        while not made.sealed.full:
            made.sealed.send(b"x" * 10_000)
            sent += 10_000
        assert sent > MOST_WAITING
        got = 0
        while got < sent:
            with contextlib.suppress(BlockingIOError):
                made.incoming.write(made.sock.recv(1 << 20))
            made.wires.turn()
            with contextlib.suppress(ssl.SSLWantReadError):
                while piece := made.tls.read(65536):
                    got += len(piece)
        assert made.owner.told == ["writable"]
        assert not made.sealed.full


def test_a_goodbye_is_an_end_and_silence_is_none(secure):
    for clean in (True, False):
        with joined(secure) as made:
            greeted(made)
            if clean:
                with contextlib.suppress(ssl.SSLWantReadError):
                    made.tls.unwrap()
                made.sock.send(made.outgoing.read())
            else:
                made.sock.shutdown(socket.SHUT_WR)
            made.wires.turn()
            assert made.owner.told == (["ended"] if clean else ["gone"])


def test_what_is_finished_says_so_and_goes_once_it_is_out(secure):
    with joined(secure) as made:
        greeted(made)
        made.sealed.send(b"bye")
        made.sealed.finish()
        assert made.owner.told == ["gone"]
        made.incoming.write(made.sock.recv(65536))
        assert made.tls.read(100) == b"bye"
        assert made.tls.read(100) == b""


@settings(max_examples=50, deadline=None)
@given(data=st.binary(min_size=1, max_size=200), greets=st.booleans())
def test_whatever_a_stranger_says(secure, data, greets):
    with joined(secure) as made:
        if greets:
            greeted(made)
        made.sock.send(data)
        made.wires.turn()
        made.wires.turn(BROKEN)
        assert made.owner.data == b""
        assert made.owner.told in (["gone"], [])
