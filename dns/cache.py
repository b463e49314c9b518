"""A memory with a bound that costs nothing to keep: two generations, the older one dropped whole when the younger is full.

What is asked for again moves to the younger generation, so names in use survive. No order is kept, no clock is read on a
hit, and no single entry is ever searched out to be evicted.
"""

from dataclasses import dataclass

from dns.codec import Answer, Query

LONGEST_S = 86_400  # nothing is kept for more than a day
LARGEST = 4_096  # bytes of records; larger answers are rare, and are fetched afresh


class Generations[K, V]:
    """At most `entries` values, and at least the last half of that many that were used."""

    def __init__(self, entries: int) -> None:
        self._half = max(1, entries // 2)
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        found = self._young.get(key)
        if found is None:
            found = self._old.get(key)
            if found is not None:
                self.put(key, found)
        return found

    def put(self, key: K, value: V) -> None:
        if len(self._young) >= self._half and key not in self._young:
            self._old, self._young = self._young, {}
        self._young[key] = value

    def clear(self) -> None:
        self._young, self._old = {}, {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)


@dataclass(frozen=True, slots=True)
class Stored:
    """An upstream's answer and when it came."""

    answer: Answer
    at: float

    def age(self, now: float) -> int:
        return int(now - self.at)


type Key = tuple[bytes, int, int, bool, bool]


def key(query: Query) -> Key:
    """What makes two questions the same to an upstream. CD is part of it: unvalidated data is not for others."""
    return query.qname.lower(), query.qtype, query.qclass, query.do, query.cd


class Cache:
    """Upstream answers by question. It stands below the decision: a new policy must not wait for a TTL."""

    def __init__(self, entries: int) -> None:
        self._kept: Generations[Key, Stored] = Generations(entries)

    def get(self, query: Query, now: float) -> Stored | None:
        stored = self._kept.get(key(query))
        if stored and stored.at <= now < stored.at + min(stored.answer.lifetime, LONGEST_S):  # a clock set back: expired
            return stored
        return None

    def put(self, query: Query, stored: Stored) -> None:
        if stored.answer.lifetime > 0 and stored.answer.rcode in (0, 3) and len(stored.answer.body) <= LARGEST:
            self._kept.put(key(query), stored)

    def __len__(self) -> int:
        return len(self._kept)
