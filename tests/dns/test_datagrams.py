"""Batches of datagrams over real sockets."""

import socket

import pytest

from dns.datagrams import AT_ONCE, LARGEST, Batches


@pytest.fixture
def pair():
    made = []

    def make(host="127.0.0.1", client="127.0.0.1"):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        server, asker = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_DGRAM)
        made.extend((server, asker))
        server.bind((host, 0))
        asker.bind((client, 0))
        asker.settimeout(5)
        return server, asker, server.getsockname()[1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize(("host", "source"), [("127.0.0.1", "127.20.3.5"), ("::1", "::1")])
def test_a_batch_comes_whole_and_goes_back(pair, host, source):
    server, asker, port = pair(host, source)
    batches = Batches(server)
    sent = [bytes((n,)) * (n + 1) for n in range(AT_ONCE + 10)]
    for each in sent:
        asker.sendto(each, (host, port))
    got = batches.receive()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    assert got == [(each, socket.inet_pton(family, source)) for each in sent[:AT_ONCE]]
    assert batches.sender(3)[:2] == (source, asker.getsockname()[1])
    batches.send([packet * 2 for packet, _ in got])
    assert [asker.recv(65535) for _ in got] == [each * 2 for each in sent[:AT_ONCE]]
    assert len(batches.receive()) == 10
    assert batches.receive() == []


def test_fewer_can_be_taken_at_a_time(pair):
    server, asker, port = pair()
    batches = Batches(server)
    for n in range(6):
        asker.sendto(b"%d" % n, ("127.0.0.1", port))
    got = [[packet for packet, _ in batches.receive(4)] for _ in range(3)]
    assert got == [[b"0", b"1", b"2", b"3"], [b"4", b"5"], []]


def test_what_has_no_reply_yet_is_passed_over(pair):
    server, asker, port = pair()
    batches = Batches(server)
    for n in range(6):
        asker.sendto(b"%d" % n, ("127.0.0.1", port))
    batches.receive()
    batches.send([None, b"1", None, None, b"4", None])
    assert [asker.recv(10) for _ in range(2)] == [b"1", b"4"]
    asker.setblocking(False)
    with pytest.raises(BlockingIOError):
        asker.recv(10)


def test_a_reply_that_cannot_leave_stops_no_other(pair):
    server, asker, port = pair()
    batches = Batches(server)
    for n in range(3):
        asker.sendto(b"%d" % n, ("127.0.0.1", port))
    batches.receive()
    batches._names[28 + 2 : 28 + 4] = b"\0\0"  # as if from port 0
    batches.send([b"0", b"1", b"2"])
    assert [asker.recv(10) for _ in range(2)] == [b"0", b"2"]
    assert batches.unsent == 1


def test_a_long_packet_is_cut(pair):
    server, asker, port = pair()
    asker.sendto(bytes(60_000), ("127.0.0.1", port))
    ((packet, _),) = Batches(server).receive()
    assert packet == bytes(LARGEST)


@pytest.mark.parametrize(("host", "asked"), [("0.0.0.0", "127.0.0.77"), ("::", "::1")])
def test_on_a_wildcard_the_reply_leaves_from_where_the_question_came_to(pair, host, asked):
    server, asker, port = pair(host, "::1" if ":" in host else "127.0.0.1")
    batches = Batches(server)
    asker.connect((asked, port))  # takes packets from that address only
    for _ in range(2):
        asker.send(b"who?")
        batches.receive()
        batches.send([b"I"])
        assert asker.recv(10) == b"I"
