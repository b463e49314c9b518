import asyncio
import socket

import pytest

from proxy.wires import READ, Wires


def test_a_socket_is_connected():
    async def tries():
        wires = Wires()
        try:
            with socket.create_server(("127.0.0.1", 0)) as door:
                made = await wires.connect(*door.getsockname())
                with made:
                    assert made.getpeername() == door.getsockname()
        finally:
            wires.close()

    asyncio.run(tries())


def test_who_does_not_answer_is_an_error():
    async def tries():
        wires = Wires()
        try:
            with socket.create_server(("127.0.0.1", 0)) as door:
                gone = door.getsockname()
            with pytest.raises(ConnectionRefusedError):
                await wires.connect(*gone)
        finally:
            wires.close()

    asyncio.run(tries())


def test_one_watchers_trouble_is_not_the_others():
    heard = []

    def stumble(_):
        raise RuntimeError("for a test")

    async def tries():
        wires = Wires()
        (a, b), (c, d) = socket.socketpair(), socket.socketpair()
        try:
            wires.watch(b.fileno(), READ, stumble)
            wires.watch(d.fileno(), READ, lambda _: heard.append(d.recv(10)))
            a.send(b"x")
            c.send(b"y")
            async with asyncio.timeout(10):
                for _ in iter(lambda: bool(heard), True):
                    await asyncio.sleep(0)
        finally:
            wires.close()
            for each in (a, b, c, d):
                each.close()

    asyncio.run(tries())
    assert heard == [b"y"]


def test_an_event_is_not_for_who_has_the_number_now():
    """Two sockets speak at once; whoever hears the first closes the second, and another comes to have its number."""
    heard, opened = [], []

    async def tries():
        wires = Wires()
        (a, b), (c, d) = socket.socketpair(), socket.socketpair()

        def close(other):
            def happened(_):
                wires.forget(other.fileno())
                number = other.fileno()
                other.close()
                opened.extend(socket.socketpair())
                assert number in {each.fileno() for each in opened}
                wires.watch(number, READ, heard.append)
                wires.forget(b.fileno() if other is d else d.fileno())

            return happened

        try:
            wires.watch(b.fileno(), READ, close(d))
            wires.watch(d.fileno(), READ, close(b))
            a.send(b"x")
            c.send(b"y")
            for _ in iter(lambda: bool(opened), True):
                await asyncio.sleep(0)
            await asyncio.sleep(0)
        finally:
            wires.close()
            for each in (a, b, c, d, *opened):
                each.close()

    asyncio.run(tries())
    assert heard == []
