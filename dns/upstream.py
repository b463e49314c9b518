"""Asking an upstream resolver: UDP from a fresh socket each time, the next upstream when one is silent, TCP when truncated.

Every question leaves from a port of the kernel's random choice with a random id, on a connected socket, so that only a packet
from the upstream's own address arrives here; one that does not answer this very question is passed over (RFC 5452).
Identical questions under way at the same time are asked once.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Final

from dns import cache, codec
from dns.codec import Answer, Malformed, Query
from dns.settings import LONGEST_WAIT_S, Settings

DEFINITE: Final = frozenset({codec.NOERROR, codec.NXDOMAIN})


class NoAnswer(Exception):
    """No upstream had a usable answer in time; `code` is the extended error that says how (RFC 8914)."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


SILENT: Final = "The resolver that this network asks did not answer."
UNREACHABLE: Final = "The resolver that this network asks cannot be reached."


class Upstream:
    """The upstreams of one worker."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._first = 0  # the upstream that answered last
        self._slots = asyncio.Semaphore(settings.asking_at_once)
        self._under_way: dict[cache.Key, asyncio.Task[Answer]] = {}

    async def fetch(self, query: Query) -> Answer:
        """The answer to a query; NoAnswer when none came. Never longer than LONGEST_WAIT_S, waiting for a turn included."""
        key = cache.key(query)
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.get_running_loop().create_task(self._ask(query))
            task.add_done_callback(lambda done: self._finished(key, done))
        return await asyncio.shield(task)  # one client's going away must not take the answer from the others

    def _finished(self, key: cache.Key, done: asyncio.Task[Answer]) -> None:
        del self._under_way[key]
        if not done.cancelled():
            done.exception()  # looked at, so that nobody left waiting is no complaint of asyncio's

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = tuple(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, query: Query) -> Answer:
        try:
            async with asyncio.timeout(LONGEST_WAIT_S), self._slots:
                return await self._try_each(query)
        except TimeoutError:
            raise NoAnswer(codec.NO_UPSTREAM, SILENT) from None

    async def _try_each(self, query: Query) -> Answer:
        upstreams, first = self._settings.upstreams, self._first
        doubtful: Answer | None = None
        trouble = NoAnswer(codec.NO_UPSTREAM, SILENT)
        for attempt in range(self._settings.tries):
            number = (first + attempt) % len(upstreams)
            try:
                async with asyncio.timeout(self._settings.timeout_s):
                    answer = await self._try(query, upstreams[number])
            except TimeoutError:
                continue
            except (OSError, asyncio.IncompleteReadError, Malformed):
                trouble = NoAnswer(codec.NETWORK_ERROR, UNREACHABLE)
                continue
            if answer.rcode in DEFINITE:
                self._first = number
                return answer
            doubtful = answer  # SERVFAIL, REFUSED: another may know better
        if doubtful is None:
            raise trouble
        return doubtful

    async def _try(self, query: Query, upstream: tuple[str, int]) -> Answer:
        answer = await self._by_udp(query, upstream)
        return answer or await self._by_tcp(query, upstream)

    async def _by_udp(self, query: Query, upstream: tuple[str, int]) -> Answer | None:
        loop = asyncio.get_running_loop()
        id_ = secrets.randbelow(0x10000)
        came: asyncio.Future[Answer | None] = loop.create_future()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _OneAnswer(came, lambda data: codec.read_answer(data, query, id_)), remote_addr=upstream
        )
        try:
            transport.sendto(codec.ask(query, id_))
            return await came
        finally:
            transport.close()

    async def _by_tcp(self, query: Query, upstream: tuple[str, int]) -> Answer:
        id_ = secrets.randbelow(0x10000)
        reader, writer = await asyncio.open_connection(*upstream)
        try:
            asked = codec.ask(query, id_)
            writer.write(len(asked).to_bytes(2) + asked)
            length = int.from_bytes(await reader.readexactly(2))
            answer = codec.read_answer(await reader.readexactly(length), query, id_)
        finally:
            writer.close()
        if answer is None:
            raise Malformed("truncated by TCP too")
        return answer


class _OneAnswer(asyncio.DatagramProtocol):
    """Waits for the packet that is the answer, passing over all that are not."""

    def __init__(self, came: asyncio.Future[Answer | None], read: Callable[[bytes], Answer | None]) -> None:
        self._came, self._read = came, read

    def datagram_received(self, data: bytes, _addr: object) -> None:
        if self._came.done():
            return
        try:
            self._came.set_result(self._read(data))
        except Malformed:
            return  # a guess of somebody's, or an answer come late

    def error_received(self, exc: Exception) -> None:
        if not self._came.done():
            self._came.set_exception(exc)
