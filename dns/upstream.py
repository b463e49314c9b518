"""Asking the resolvers above us: the healthiest first, a second one before the first is given up, and what they say checked.

Each resolver has a latency (an average that forgets) and, after failures one after the other, a time in which it is asked
only when no other is left. A question goes to the best; when no answer has come after a few times that resolver's usual
latency, the next is asked as well and the first good answer wins ("hedging"), so one that is slow, silent or loses packets
costs a client milliseconds and not seconds. Zones of the school's own have resolvers of their own and are asked of no other.
Identical questions under way at the same time are asked once; one that nobody could answer is not asked again for a second
(RFC 9520).
"""

import asyncio
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from dns import cache, codec
from dns.bailiwick import confined
from dns.cache import Generations
from dns.codec import Answer, Malformed, Query
from dns.local import under
from dns.servers import Given, Server, server
from dns.settings import LONGEST_WAIT_S, Settings
from dns.transports import Transport, transport

DEFINITE: Final = frozenset({codec.NOERROR, codec.NXDOMAIN})
WEIGHT: Final = 0.3  # of the newest latency in the average
HEDGE: Final = 3.0  # how many times its usual latency a resolver is waited for alone
SHORTEST_HEDGE_S: Final = 0.03
BACK_OFF_S: Final = (0.0, 0.0, 1.0, 2.0, 5.0, 15.0, 30.0)  # by failures one after the other
FAILED_FOR_S: Final = 1.0
FAILURES: Final = 4_096  # questions without an answer that are remembered


class NoAnswer(Exception):
    """No upstream had a usable answer in time; `code` is the extended error that says how (RFC 8914)."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


SILENT: Final = "The resolver that this network asks did not answer."
UNREACHABLE: Final = "The resolver that this network asks cannot be reached."


@dataclass(slots=True)
class Peer:
    """A resolver and how it has been lately."""

    server: Server
    transport: Transport
    latency: float = 0.0  # seconds; 0: not known yet
    failures: int = 0  # one after the other
    asked: int = 0
    lost: int = 0
    rests_until: float = 0.0

    def told(self) -> dict[str, object]:
        """What the counters say of it."""
        rests = self.rests_until > time.monotonic()
        return {"name": self.server.words, "asked": self.asked, "lost": self.lost, "latency": self.latency, "rests": rests}

    def answered(self, took: float) -> None:
        self.latency = took if not self.latency else self.latency + WEIGHT * (took - self.latency)
        self.failures, self.rests_until = 0, 0.0

    def outrun(self, waited: float) -> None:
        """Another answered before it did: it takes at least this long."""
        self.latency = max(self.latency, self.latency + WEIGHT * (2 * waited - self.latency), waited)

    def failed(self, now: float) -> None:
        self.failures += 1
        self.lost += 1
        self.rests_until = now + BACK_OFF_S[min(self.failures, len(BACK_OFF_S) - 1)]


@dataclass(slots=True)
class Pool:
    """Resolvers that know the same names."""

    peers: list[Peer] = field(default_factory=list)

    @classmethod
    def of(cls, servers: Sequence[Given], context: ssl.SSLContext | None) -> "Pool":
        return cls([Peer(each, transport(each, context)) for each in map(server, servers)])

    def in_order(self, now: float) -> list[Peer]:
        """The best first: those that rest last, then by latency; of equals, as they were configured."""
        return sorted(self.peers, key=lambda peer: (max(0.0, peer.rests_until - now), peer.latency))

    def is_down(self, now: float) -> bool:
        return all(peer.rests_until > now for peer in self.peers)


class Upstream:
    """The upstreams of one worker."""

    def __init__(self, settings: Settings, context: ssl.SSLContext | None = None) -> None:
        self._settings = settings
        self._pool = Pool.of(settings.upstreams, context)
        self._forwarded = {zone: Pool.of(servers, context) for zone, servers in settings.forward}
        self._slots = asyncio.Semaphore(settings.asking_at_once)
        self._under_way: dict[cache.Key, asyncio.Task[Answer]] = {}
        self._failed: Generations[cache.Key, tuple[float, NoAnswer]] = Generations(FAILURES)

    @property
    def peers(self) -> list[Peer]:
        """All resolvers with their health, for those who look after them."""
        return [peer for pool in (self._pool, *self._forwarded.values()) for peer in pool.peers]

    def is_down(self, query: Query) -> bool:
        """Have all resolvers that know this name failed just now?"""
        return self._pool_for(query).is_down(time.monotonic())

    def is_busy(self, query: Query) -> bool:
        """Is this question under way, or are so many that a further one should wait until it is needed?"""
        return cache.key(query) in self._under_way or len(self._under_way) >= self._settings.asking_at_once // 2

    async def fetch(self, query: Query) -> Answer:
        """The answer to a query; NoAnswer when none came. Never longer than LONGEST_WAIT_S, waiting for a turn included."""
        return await asyncio.shield(self.started(query))  # one client's going away must not take the answer from the others

    def started(self, query: Query) -> "asyncio.Task[Answer]":
        """The question as a task that is under way, begun now unless it is already."""
        key = cache.key(query)
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.get_running_loop().create_task(self._ask(key, query))
            task.add_done_callback(lambda done: self._finished(key, done))
        return task

    def _finished(self, key: cache.Key, done: asyncio.Task[Answer]) -> None:
        del self._under_way[key]
        if not done.cancelled():
            done.exception()  # looked at, so that nobody left waiting is no complaint of asyncio's

    async def close(self) -> None:
        """Give up what is under way, and close what is open."""
        tasks = tuple(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for peer in self.peers:
            await peer.transport.close()

    def _pool_for(self, query: Query) -> Pool:
        zone = under(query.name, self._forwarded) if self._forwarded else None
        return self._forwarded[zone] if zone else self._pool

    async def _ask(self, key: cache.Key, query: Query) -> Answer:
        known = self._failed.get(key)
        if known and time.monotonic() < known[0] + FAILED_FOR_S:
            raise known[1]
        try:
            async with asyncio.timeout(LONGEST_WAIT_S), self._slots:
                return await self._hedged(query, self._pool_for(query))
        except (TimeoutError, NoAnswer) as error:
            trouble = error if isinstance(error, NoAnswer) else NoAnswer(codec.NO_UPSTREAM, SILENT)
            self._failed.put(key, (time.monotonic(), trouble))
            raise trouble from None

    async def _hedged(self, query: Query, pool: Pool) -> Answer:
        """The first definite answer of any; else the best of the others; NoAnswer when there is none at all."""
        loop = asyncio.get_running_loop()
        settings = self._settings
        order = pool.in_order(time.monotonic())
        deadline = loop.time() + settings.timeout_s * settings.tries
        running: dict[asyncio.Task[Answer], tuple[Peer, float]] = {}
        doubtful: Answer | None = None
        unreachable, begun = False, 0
        try:
            while loop.time() < deadline and (running or begun < settings.tries):
                patience = deadline - loop.time()
                if begun < settings.tries:
                    peer = order[begun % len(order)]
                    begun += 1
                    peer.asked += 1
                    running[loop.create_task(self._one(peer, query))] = peer, loop.time()
                    if begun < settings.tries:
                        patience = min(patience, self._patience(peer, begun))
                done, _ = await asyncio.wait(running, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    peer, since = running.pop(task)
                    trouble = task.exception()
                    if trouble is None and task.result().rcode in DEFINITE:
                        peer.answered(loop.time() - since)
                        return task.result()
                    if trouble is None:
                        doubtful = task.result()  # SERVFAIL, REFUSED: another may know better
                    elif isinstance(trouble, OSError):
                        peer.failed(time.monotonic())
                        unreachable = True
                    else:
                        raise trouble
        finally:
            self._leave(running, answered=loop.time())
        if doubtful is not None:
            return doubtful
        raise NoAnswer(codec.NETWORK_ERROR, UNREACHABLE) if unreachable else NoAnswer(codec.NO_UPSTREAM, SILENT)

    def _patience(self, peer: Peer, begun: int) -> float:
        """How long to wait for a resolver alone before the next is asked as well."""
        longest = self._settings.timeout_s
        usual = HEDGE * peer.latency if peer.latency and begun == 1 else longest / 2
        return min(max(usual, SHORTEST_HEDGE_S), longest)

    def _leave(self, running: "dict[asyncio.Task[Answer], tuple[Peer, float]]", answered: float) -> None:
        """Those that have not answered: one asked long enough has failed, the others are slower than was thought."""
        for task, (peer, since) in running.items():
            task.cancel()
            waited = answered - since
            if waited >= self._settings.timeout_s:
                peer.failed(time.monotonic())
            else:
                peer.outrun(waited)

    async def _one(self, peer: Peer, query: Query) -> Answer:
        try:
            return confined(query, await peer.transport.ask(query))
        except (Malformed, EOFError, ssl.SSLError) as error:
            raise ConnectionError(str(error)) from None
