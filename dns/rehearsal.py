"""A new policy is tried on what is asked just now, before it comes into force; then it comes with these replies ready.

The theory. Every reply kept ready rests on one policy, so with another all of them would have to be decided anew, each when
it is next asked for: a hundred microseconds instead of three, for thousands of names at once. At a few thousand queries a
second the queue that this made took tens of milliseconds to go. So the worker listens for a moment while the old policy
still answers, decides what it hears by the new one too, in slices far shorter than anybody would notice, and then turns from
the one to the other between two batches, with the most frequent questions answered already. That makes an approval wait for
`LISTEN_S` at most; where little is asked there is nothing to gain, and `GLANCE_S` are enough to know that.

INVARIANT: nothing that was decided here is said before the new policy is in force, and nothing of the old one after.
INVARIANT: a rehearsal leaves no trace but the replies: no event, no count, no question to an upstream.

What is each client's own matter (ways round the filter have a score) and what no reply is kept of is not rehearsed.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from time import perf_counter
from typing import Final

from dns import codec
from dns.cache import Cache
from dns.codec import Malformed
from dns.made import Made, by_rule_book_alone, ours, relayed
from dns.ready import ReadyReplies
from dns.respond import Reply, Ways, respond
from dns.screen import screened
from dns.seats import Seat, Seats
from policy.snapshot import Snapshot

GLANCE_S: Final = 0.05
LISTEN_S: Final = 0.25
FEW: Final = 25  # datagrams in a glance
PAUSE_S: Final = 0.005
SLICE_S: Final = 0.0005
MOST: Final = 8_192  # datagrams that are heard; more would make the policy wait, and the rest is decided when it is asked


class Rehearsal:
    """Of one worker, for one snapshot that is about to come into force."""

    def __init__(self, snapshot: Snapshot, seats: Seats, cache: Cache, ways: Ways, worker: str) -> None:
        self.snapshot, self.seats, self.ready = snapshot, seats, ReadyReplies(2 * MOST)
        self._cache, self._ways, self._worker = cache, ways, worker
        self._heard: deque[tuple[str, bytes, bytes]] = deque()
        self.present = snapshot.clients.presence.version  # what is known of people later is looked at when it is in force
        self.count = 0  # of all that were heard

    async def listen(self, clock: Callable[[], float]) -> None:
        """Hear and decide, until what matters is ready."""
        began = perf_counter()
        while True:
            more, passed = self.work(clock()), perf_counter() - began
            heard_enough = passed > LISTEN_S or (passed > GLANCE_S and self.count < FEW)
            if passed > 2 * LISTEN_S or (heard_enough and not more):
                return
            await asyncio.sleep(0 if more else PAUSE_S)

    def hear(self, listener: str, packets: Sequence[tuple[bytes, bytes]]) -> None:
        """These have come. What is too much is passed over."""
        if self.count < MOST:
            self.count += len(packets)
            self._heard.extend((listener, packet, source) for packet, source in packets)

    def work(self, now: float, seconds: float = SLICE_S) -> bool:
        """Decide for so long, at least one. True: there is more to do."""
        heard, until = self._heard, perf_counter() + seconds
        while heard:
            self._decide(*heard.popleft(), now)
            if perf_counter() > until:
                break
        return bool(heard)

    def _decide(self, listener: str, packet: bytes, source: bytes, now: float) -> None:
        try:
            seat = self.seats.near(listener).get(source) or self.seats.sit(self.snapshot, listener, source)
            if seat.client is None or self.seats.stayed(seat) or self.ready.find(packet, seat, now):
                return
            query = codec.parse(packet)
            made = self._made(query, seat, now)
            if made and made.until > now and not made.attempt:
                self.ready.keep(packet, query, seat, made.form(query, self._worker), blocked=made.blocked)
        except Malformed:
            return
        except Exception:  # noqa: BLE001 - what cannot be decided is refused when the policy is in force, and said then
            return

    def _made(self, query: codec.Query, seat: Seat, now: float) -> Made | None:
        """What would be said, unless an upstream had to be asked first."""
        client, at = seat.client, datetime.fromtimestamp(now, UTC)
        said = respond(self.snapshot, query, client, at, self._ways)
        if isinstance(said, Reply):
            alone = by_rule_book_alone(self.snapshot, query, client, said, at)
            return ours(query, said, now, self._ways, blocked=alone)
        stored = self._cache.get(said.instead or query, now)
        if stored is None or client is None:
            return None
        said = screened(self.snapshot, query, client, stored.answer, said, at=at, ways=self._ways)
        if isinstance(said, Reply):
            return ours(query, said, now, self._ways, until=stored.at + stored.answer.lifetime)
        return relayed(query, said, stored, now, self._ways, tcp=False)
