"""Both ends of a connection that passes through, over real sockets."""

import asyncio
import contextlib
import socket
import struct

import pytest

from proxy.relay import Joined
from proxy.wires import LARGEST_PIECE, READ, Wires

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: what is not read yet is thrown away, and the other side told so


class Between:
    """A client and a site, and what joins them."""

    def __init__(self) -> None:
        self.wires, self.gone = Wires(), 0
        self.client, near = connected()
        self.site, far = connected()
        self.wires.watch(near.fileno(), READ, lambda _: None)
        self.joined = Joined(self.wires, near, far, self.count)

    def count(self) -> None:
        self.gone += 1

    async def closed(self) -> None:
        async with asyncio.timeout(10):
            for _ in iter(lambda: bool(self.joined.over), True):
                await asyncio.sleep(0)
        assert self.gone == 1

    def close(self) -> None:
        self.joined.close()
        self.wires.close()
        self.client.close()
        self.site.close()


def connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as door:
        out = socket.create_connection(door.getsockname())
        back, _ = door.accept()
    out.setblocking(False)
    back.setblocking(False)
    return out, back


def joined(story) -> None:
    """Tell a story of two ends."""

    async def told() -> None:
        between = Between()
        with contextlib.closing(between):
            async with asyncio.timeout(30):
                await story(between, asyncio.get_running_loop())

    asyncio.run(told())


def test_what_comes_in_at_one_end_goes_out_at_the_other():
    async def story(between, loop):
        await loop.sock_sendall(between.client, b"a question")
        assert await loop.sock_recv(between.site, 100) == b"a question"
        await loop.sock_sendall(between.site, b"an answer")
        assert await loop.sock_recv(between.client, 100) == b"an answer"

    joined(story)


@pytest.mark.parametrize("first", ["client", "site"])
def test_who_has_said_all_may_still_be_answered(first):
    async def story(between, loop):
        one, other = (between.client, between.site) if first == "client" else (between.site, between.client)
        await loop.sock_sendall(one, b"all I have to say")
        one.shutdown(socket.SHUT_WR)
        assert await loop.sock_recv(other, 100) == b"all I have to say"
        assert await loop.sock_recv(other, 100) == b""
        await loop.sock_sendall(other, b"well then")
        assert await loop.sock_recv(one, 100) == b"well then"
        assert not between.joined.over
        other.close()
        await between.closed()
        assert await loop.sock_recv(one, 100) == b""

    joined(story)


def test_an_end_that_takes_no_more_is_waited_for():
    """A slow client holds the site up; nothing is lost, and little is kept."""
    sent = bytes(range(256)) * 40_000

    async def story(between, loop):
        sending = loop.create_task(loop.sock_sendall(between.site, sent))
        async with asyncio.timeout(10):
            for _ in iter(lambda: bool(between.joined.near.unsent), True):
                await asyncio.sleep(0)
        assert not between.joined.far.watched & READ
        assert len(between.joined.near.unsent) <= LARGEST_PIECE
        await loop.sock_sendall(between.client, b"the other way goes on")
        assert await loop.sock_recv(between.site, 100) == b"the other way goes on"
        got = bytearray()
        while len(got) < len(sent):
            got += await loop.sock_recv(between.client, 1 << 20)
        await sending
        assert bytes(got) == sent
        between.site.close()
        assert await loop.sock_recv(between.client, 100) == b""

    joined(story)


def test_what_a_broken_end_had_said_still_arrives():
    sent = b"x" * 8_000_000

    async def story(between, loop):
        sending = loop.create_task(loop.sock_sendall(between.site, sent))
        async with asyncio.timeout(10):
            for _ in iter(lambda: bool(between.joined.near.unsent), True):
                await asyncio.sleep(0)
        kept = len(between.joined.near.unsent)
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending
        between.site.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        between.site.close()
        got = bytearray()
        while piece := await loop.sock_recv(between.client, 1 << 20):
            got += piece
        assert len(got) >= kept
        await between.closed()

    joined(story)


@pytest.mark.parametrize("first", ["client", "site"])
def test_an_end_that_breaks_takes_the_other_with_it(first):
    async def story(between, loop):
        one, other = (between.client, between.site) if first == "client" else (between.site, between.client)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        one.close()
        await between.closed()
        assert await loop.sock_recv(other, 100) == b""

    joined(story)


def test_an_answer_to_what_is_no_longer_read_is_passed_on():
    """A site that has heard enough of an upload says so and closes; its words are not lost."""

    async def story(between, loop):
        await loop.sock_sendall(between.site, b"413 too large")
        between.site.shutdown(socket.SHUT_RDWR)
        for _ in range(3):
            with contextlib.suppress(OSError):
                await loop.sock_sendall(between.client, b"more " * 1000)
        assert await loop.sock_recv(between.client, 100) == b"413 too large"

    joined(story)
