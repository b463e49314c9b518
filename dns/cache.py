"""A memory with a bound that costs nothing to keep: two generations, the older one dropped whole when the younger is full.

What is asked for again moves to the younger generation, so names in use survive. No order is kept, no clock is read on a
hit, and no single entry is ever searched out to be evicted. What was dropped is given back to the machine bit by bit: to free
fifty thousand entries at once takes tens of milliseconds, in which nobody would be answered.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from dns import codec
from dns.codec import Answer, Query

LARGEST = 4_096  # bytes of records; larger answers are rare, and are fetched afresh
STALE_TTL = 30  # seconds that a client may keep a stale answer: RFC 8767 4
SOON = 0.1  # of its time before its end, an answer that is still asked for is fetched anew
FREED = 4  # dropped entries given back to the machine for each new one
PREFETCHED_S = 20  # answers kept for less are not worth it


def _one(_: object) -> int:
    return 1


class Generations[K, V]:
    """Values of at most `most` in weight, and at least the last half of that that were used. Each weighs 1 unless said.

    `young` is for a caller in a hurry: what it holds, `get` would give.
    """

    def __init__(self, most: int, weigh: Callable[[V], int] = _one) -> None:
        self._half, self._weigh = max(1, most // 2), weigh
        self.young: dict[K, V] = {}
        self._old: dict[K, V] = {}
        self._dying: list[dict[K, V]] = []
        self._weight = 0

    def get(self, key: K) -> V | None:
        found = self.young.get(key)
        if found is None:
            found = self._old.get(key)
            if found is not None:
                self.put(key, found)
        return found

    def put(self, key: K, value: V) -> None:
        weight, known = self._weigh(value), self.young.get(key)
        if known is not None:
            self._weight -= self._weigh(known)
        if self.young and self._weight + weight > self._half:
            self._dying.append(self._old)
            self._old, self.young, self._weight = self.young, {}, 0
        self.young[key] = value
        self._weight += weight
        if self._dying:
            self._free()

    def _free(self) -> None:
        """A few entries for each new one, so that all are gone before as many have come."""
        dying = self._dying[-1]
        for _ in range(min(FREED, len(dying))):
            dying.popitem()
        if not dying:
            self._dying.pop()

    def take(self, values: dict[K, V]) -> None:
        """Hold these, which are nobody else's any more. Where nothing is held yet that takes no time, whatever they are."""
        if self.young or self._old or self._weigh is not _one:
            for key, value in values.items():
                self.put(key, value)
        else:
            self.young, self._weight = values, len(values)

    def clear(self) -> None:
        self._dying += (self._old, self.young)
        self.young, self._old, self._weight = {}, {}, 0

    def __len__(self) -> int:
        return len(self.young) + len(self._old)

    def __iter__(self) -> Iterator[K]:
        """The keys, those of the older generation first; some may come twice."""
        yield from self._old
        yield from self.young

    def items(self) -> Iterator[tuple[K, V]]:
        """The keys with their values, in the same order."""
        yield from self._old.items()
        yield from self.young.items()


@dataclass(frozen=True, slots=True)
class Stored:
    """An upstream's answer and when it came."""

    answer: Answer
    at: float
    fresh: bool = True

    def age(self, now: float) -> int:
        return int(now - self.at)

    def ends_soon(self, now: float) -> bool:
        """Is it time to fetch it anew, while this one can still be given?"""
        lifetime = self.answer.lifetime
        return self.fresh and lifetime >= PREFETCHED_S and now > self.at + lifetime * (1 - SOON)

    def stale(self, now: float) -> "Stored":
        """The same answer past its time, for a little while, and without the word of whoever validated it."""
        answer = self.answer
        ttls = tuple((offset, STALE_TTL) for offset, _ in answer.ttls)
        return Stored(replace(answer, ttls=ttls, lifetime=STALE_TTL, ad=False), now, fresh=False)


type Key = tuple[bytes, int, int, bool, bool]


def key(query: Query) -> Key:
    """What makes two questions the same to an upstream. CD is part of it: unvalidated data is not for others."""
    return query.qname.lower(), query.qtype, query.qclass, query.do, query.cd


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long answers are kept, in seconds."""

    least: int = 0
    most: int = 86_400
    absent: int = 3_600
    stale: int = 86_400


def bytes_of(stored: Stored) -> int:
    """About what an answer takes of memory: its records, and Python's own for each value and text."""
    answer = stored.answer
    texts = sum(map(len, answer.targets)) + sum(map(len, answer.addresses))
    return 700 + len(answer.body) + 150 * len(answer.ttls) + texts + 60 * (len(answer.targets) + len(answer.addresses))


class Cache:
    """Upstream answers by question. It stands below the decision: a new policy must not wait for a TTL."""

    def __init__(self, size: int, bounds: Bounds = Bounds()) -> None:
        self._kept: Generations[Key, Stored] = Generations(size, bytes_of)
        self._bounds = bounds

    def get(self, query: Query, now: float) -> Stored | None:
        stored = self._kept.get(key(query))
        if stored and stored.at <= now < stored.at + stored.answer.lifetime:  # a clock set back: expired
            return stored
        return None

    def stale(self, query: Query, now: float) -> Stored | None:
        """An answer whose time is over, but not for long; one can be given only while no better is to be had (RFC 8767)."""
        stored = self._kept.get(key(query))
        if stored and stored.at <= now < stored.at + stored.answer.lifetime + self._bounds.stale:
            return stored.stale(now)
        return None

    def put(self, query: Query, stored: Stored) -> Stored:
        """Keep an answer, for as long as the bounds allow. Returns it as it is kept."""
        answer = stored.answer
        if answer.lifetime <= 0 or answer.rcode not in (codec.NOERROR, codec.NXDOMAIN):
            return stored
        absent = answer.rcode == codec.NXDOMAIN or answer.counts[0] == 0
        most = min(self._bounds.most, self._bounds.absent) if absent else self._bounds.most
        lifetime = min(max(answer.lifetime, self._bounds.least), most)
        if lifetime != answer.lifetime:
            ttls = tuple((offset, min(max(ttl, self._bounds.least), most)) for offset, ttl in answer.ttls)
            stored = replace(stored, answer=replace(answer, lifetime=lifetime, ttls=ttls))
        if len(answer.body) <= LARGEST:
            self._kept.put(key(query), stored)
        return stored

    def __len__(self) -> int:
        return len(self._kept)
