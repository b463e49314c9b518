"""Who tries to get round the filter, and how hard: each attempt of a client adds points, and points fade. Pure.

One refused name is an accident; a VPN's whole list of servers is not. The score is for people to look at, beside the events
that made it up. It decides nothing.
"""

import math
from typing import Final

from dns.cache import Generations
from policy.attempts import POINTS

HALF_LIFE_S: Final = 600.0  # after ten minutes of nothing, half is left
CLIENTS: Final = 16_384  # remembered by each worker

BY_CATEGORY: Final = {
    "doh_dns_bypass": "doh",
    "proxy_vpn": "vpn",
    "dynamic_dns_new": "dynamic DNS",
    "remote_access": "remote control",
    "search_unsafe": "search",
}


class Scores:
    """The scores of the clients of one worker."""

    def __init__(self, clients: int = CLIENTS) -> None:
        self._known: Generations[str, tuple[float, float]] = Generations(clients)

    def note(self, client: str, kind: str, now: float) -> float:
        """Count an attempt; the client's score with it."""
        score = self.of(client, now) + POINTS[kind]
        self._known.put(client, (score, now))
        return score

    def of(self, client: str, now: float) -> float:
        known = self._known.get(client)
        if known is None:
            return 0.0
        score, at = known
        return score * math.pow(0.5, max(0.0, now - at) / HALF_LIFE_S)
