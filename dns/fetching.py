"""The cache and the resolvers above us, as one: an answer kept, an answer fetched, or a stale one while fetching goes on.

A stale answer (RFC 8767) goes out when the resolvers take long or fail, for a limited time, and is judged like any other. An
answer that is still asked for near its end is fetched before it ends, so that nobody waits for a name in use.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from dns import codec
from dns.cache import Bounds, Cache, Stored
from dns.codec import Answer, Ede, Query
from dns.settings import Settings
from dns.upstream import DEFINITE, NoAnswer, Upstream

NO_ANSWER_FOUND: Final = Ede(codec.NO_UPSTREAM, "The resolver that this network asks found no answer.")


class Fetching:
    """Of one worker."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        bounds = Bounds(settings.keep_min_s, settings.keep_max_s, settings.keep_absent_max_s, settings.stale_s)
        self.cache, self.upstream = Cache(settings.cache_bytes, bounds), Upstream(settings)
        self._stale_after, self._clock = settings.stale_after_s, clock

    def kept(self, asked: Query, now: float) -> Stored | None:
        """What the cache has. Near its end it is fetched anew as well."""
        stored = self.cache.get(asked, now)
        if stored and stored.ends_soon(now) and not self.upstream.is_busy(asked):
            self.upstream.started(asked).add_done_callback(lambda done: self._keep(asked, done))
        return stored

    async def fetched(self, asked: Query) -> Stored | Ede:
        """An answer fetched now; a stale one when that takes long or fails; what the trouble is when there is neither."""
        stale = self.cache.stale(asked, self._clock())
        patience = None if stale is None else 0.0 if self.upstream.is_down(asked) else self._stale_after
        task = self.upstream.started(asked)
        try:
            async with asyncio.timeout(patience):
                answer = await asyncio.shield(task)
        except NoAnswer as none:
            return stale or Ede(none.code, none.text)
        except TimeoutError:
            if stale is None:
                raise
            task.add_done_callback(lambda done: self._keep(asked, done))
            return stale
        if answer.rcode not in DEFINITE:
            return stale or NO_ANSWER_FOUND
        return self.cache.put(asked, Stored(answer, self._clock()))

    def _keep(self, asked: Query, done: "asyncio.Task[Answer]") -> None:
        if not done.cancelled() and done.exception() is None and done.result().rcode in DEFINITE:
            self.cache.put(asked, Stored(done.result(), self._clock()))

    async def close(self) -> None:
        await self.upstream.close()
