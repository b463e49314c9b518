"""The door of a worker, with nobody behind it."""

import asyncio
import socket
from types import SimpleNamespace

import pytest

from proxy import pipes
from proxy.destinations import Destinations
from proxy.front import Entrance, Front, Listener
from proxy.reach import Reach
from proxy.wires import Wires


class Everyone:
    """Tunnels that know everyone and are never asked."""

    def __init__(self) -> None:
        self.ended = []

    def known(self, _listener, _address):
        return True

    def over(self, id_):
        self.ended.append(id_)


async def nobody(_given):
    raise AssertionError("nothing is handed over here")


async def resolve(_host):
    return ()


def at_a_door(story, wires=Wires) -> SimpleNamespace:
    seen = SimpleNamespace(tunnels=Everyone())

    async def told() -> None:
        seen.wires = wires()
        seen.front = Front(seen.tunnels, Reach(resolve, Destinations(()), 5), nobody, seen.wires)
        sock = socket.create_server(("127.0.0.1", 0))
        entrance = Entrance(seen.front, Listener("x"), sock)
        try:
            async with asyncio.timeout(20):
                await story(seen, sock.getsockname())
        finally:
            entrance.close()
            await seen.front.close()
            seen.wires.close()

    asyncio.run(told())
    return seen


async def arrived(seen):
    for _ in iter(lambda: bool(seen.front.open), True):
        await asyncio.sleep(0)
    (door,) = seen.front.open.values()
    return door


def test_who_says_nothing_in_time_is_let_go():
    async def story(seen, address):
        reader, writer = await asyncio.open_connection(*address)
        door = await arrived(seen)
        writer.write(b"CONN")
        for _ in iter(lambda: bool(door.begun), True):
            await asyncio.sleep(0)
        door.deadline = 0
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()

    seen = at_a_door(story)
    assert not seen.front.open
    assert len(seen.tunnels.ended) == 1


def test_who_leaves_is_forgotten():
    async def story(seen, address):
        _, writer = await asyncio.open_connection(*address)
        await arrived(seen)
        writer.close()
        await writer.wait_closed()
        for _ in iter(lambda: bool(seen.front.open), False):
            await asyncio.sleep(0)

    assert len(at_a_door(story).tunnels.ended) == 1


def test_what_policy_ends_is_reset_and_does_not_look_whole():
    async def story(seen, address):
        reader, writer = await asyncio.open_connection(*address)
        door = await arrived(seen)
        seen.front.cut([door.id])
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()

    assert not at_a_door(story).front.open


def test_what_is_no_connect_is_answered_and_closed():
    async def story(seen, address):
        reader, writer = await asyncio.open_connection(*address)
        seen.tunnels.refused = lambda *_: None
        writer.write(b"CONNECT a b c HTTP/1.1\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
        writer.close()
        await writer.wait_closed()

    assert not at_a_door(story).front.open


@pytest.mark.parametrize("cut", [False, True])
def test_one_that_cannot_be_closed_keeps_no_other_open(cut, caplog):
    def broken():
        raise RuntimeError

    async def story(seen, address):
        with socket.create_connection(address):
            door = await arrived(seen)
            seen.front.open["x"] = SimpleNamespace(deadline=0, close=broken, reset=broken)
            seen.front.open[door.id] = seen.front.open.pop(door.id)  # behind it
            door.deadline = 0
            before = seen.front.sweep
            if cut:
                seen.front.cut(["x", door.id])
            else:
                before.cancel()
                seen.front._sweep()
                assert seen.front.sweep is not before
            assert door.fd < 0

    at_a_door(story)
    assert "could not be closed" in caplog.text


class Full(Wires):
    """The kernel watches no more than the listener."""

    places = 1

    def watch(self, fd, what, watcher):
        self.places -= 1
        if self.places < 0:
            raise OSError(28, "No space left on device")
        super().watch(fd, what, watcher)


@pytest.mark.parametrize("piped", [False, True])
def test_one_too_many_to_be_watched_is_closed_and_the_listener_goes_on(piped, caplog):
    async def story(seen, address):
        seen.front.wires.places = 1 if piped else 0
        if piped:
            with pytest.raises(OSError, match="No space"):
                pipes.piped(seen.front, Listener("x"), ("127.0.0.1", 1), address, SimpleNamespace(cut=None))
            assert not seen.front.open
        else:
            with socket.create_connection(address) as client:
                client.setblocking(False)
                assert await asyncio.get_running_loop().sock_recv(client, 1) == b""
        seen.front.wires.places = 9
        with socket.create_connection(address):
            await arrived(seen)

    at_a_door(story, Full)
    assert piped or "cannot watch" in caplog.text


def test_what_is_cut_in_a_pipe_is_closed_whatever_its_other_side_does():
    def broken():
        raise RuntimeError

    async def story(seen, address):
        pipe = pipes.piped(seen.front, Listener("x"), ("127.0.0.1", 1), address, SimpleNamespace(cut=broken))
        (door,) = seen.front.open.values()
        seen.front.cut([door.id])
        assert door.fd < 0
        assert not seen.front.open
        pipe.close()

    at_a_door(story)
