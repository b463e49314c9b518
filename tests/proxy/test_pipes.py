"""Pipes into the front: both ways, with what waits, and how each side ends."""

import contextlib
import select
import socket

import pytest

from proxy.pipes import Pipe


class Wires:
    """An epoll that is looked at when the test says so."""

    def __init__(self):
        self.epoll, self.watchers = select.epoll(), {}

    def watch(self, fd, what, watcher):
        self.watchers[fd] = watcher
        self.epoll.register(fd, what)

    def change(self, fd, what):
        self.epoll.modify(fd, what)

    def forget(self, fd):
        if self.watchers.pop(fd, None):
            self.epoll.unregister(fd)

    def turn(self):
        found = self.epoll.poll(0)
        for fd, what in found:
            self.watchers[fd](what)
        return len(found)


class Outer:
    def __init__(self):
        self.data, self.taken, self.ends = b"", 0, []

    def says(self, data):
        self.data += data

    def took(self, count):
        self.taken += count

    def said_all(self, *, gone):
        self.ends.append(gone)

    def cut(self):
        self.ends.append("cut")


@pytest.fixture
def made():
    ours, theirs = socket.socketpair()
    for sock in (ours, theirs):
        sock.setblocking(False)
    wires, outer = Wires(), Outer()
    pipe = Pipe(wires, ours, outer)
    yield wires, outer, pipe, theirs
    pipe.close()
    theirs.close()
    wires.epoll.close()
    assert not wires.watchers


def test_both_ways(made):
    wires, outer, pipe, inside = made
    pipe.send(b"there")
    assert (inside.recv(100), outer.taken) == (b"there", 5)
    inside.send(b"back")
    wires.turn()
    assert outer.data == b"back"


def test_what_is_not_taken_waits(made):
    wires, outer, pipe, inside = made
    sent, got = 0, 0
    while not pipe.full:
        pipe.send(b"x" * 10_000)
        sent += 10_000
    assert outer.taken < sent
    pipe.send(b"x" * 10)
    pipe.end()
    while got < sent + 10:
        with contextlib.suppress(BlockingIOError):
            got += len(inside.recv(1 << 20))
        wires.turn()
    assert (outer.taken, inside.recv(1)) == (sent + 10, b"")


def test_each_side_ends_for_itself(made):
    wires, outer, pipe, inside = made
    pipe.end()
    assert inside.recv(1) == b""
    inside.send(b"still here")
    wires.turn()
    inside.shutdown(socket.SHUT_WR)
    wires.turn()
    assert (outer.data, outer.ends[0]) == (b"still here", True)


def test_who_has_gone_is_told_of_once_and_never_again(made):
    """A closed end would be told of at every turn."""
    wires, outer, pipe, inside = made
    inside.send(b"last words")
    inside.shutdown(socket.SHUT_WR)
    wires.turn()
    wires.turn()
    assert (outer.data, outer.ends) == (b"last words", [False])
    inside.close()
    wires.turn()
    assert outer.ends == [False, True]
    assert wires.turn() == 0
    pipe.send(b"for nobody")
    assert outer.taken == 10


def test_who_has_gone_while_nobody_listened_is_read_to_the_end(made):
    wires, outer, pipe, inside = made
    pipe.listen(wanted=False)
    inside.send(b"unread")
    inside.close()
    wires.turn()
    assert wires.turn() == 0
    assert (outer.data, outer.ends) == (b"", [])
    pipe.listen(wanted=True)
    wires.turn()
    wires.turn()
    assert (outer.data, outer.ends) == (b"unread", [True])
