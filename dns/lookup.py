"""Addresses of a name, for the proxy beside us: asked of the same upstreams, so that both agree on where a name leads."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from dns import codec
from dns.codec import Query, wire_name
from dns.settings import Settings
from dns.upstream import NoAnswer, Upstream

REMEMBERED: Final = 4096  # names; then the memory starts afresh
LONGEST_S: Final = 60.0
SHORTEST_S: Final = 1.0


class Lookup:
    """A stub resolver with a small memory. Used from one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._upstream = Upstream(settings)
        self._hosts = dict(settings.hosts)
        self._known: dict[str, tuple[float, tuple[str, ...]]] = {}

    async def addresses(self, host: str) -> Sequence[str]:
        """IPv4 addresses first, then IPv6; OSError when the name has none or no upstream answers."""
        if host in self._hosts:
            return self._hosts[host]
        known = self._known.get(host)
        if known and known[0] > time.monotonic():
            return known[1]
        answers = await asyncio.gather(self._ask(host, codec.A), self._ask(host, codec.AAAA), return_exceptions=True)
        found: list[str] = []
        lifetime = LONGEST_S
        for answer in answers:
            if isinstance(answer, codec.Answer):
                found += answer.addresses
                lifetime = min(lifetime, answer.lifetime)
            elif not isinstance(answer, NoAnswer | ValueError):
                raise answer
        if not found:
            reason = next((str(answer) for answer in answers if isinstance(answer, NoAnswer)), "the name has no address")
            raise OSError(f"{host}: {reason}")
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[host] = (time.monotonic() + max(SHORTEST_S, lifetime), tuple(found))
        return found

    async def _ask(self, host: str, qtype: int) -> codec.Answer:
        return await self._upstream.fetch(Query(0, host, wire_name(host), qtype))

    async def close(self) -> None:
        await self._upstream.close()
