"""A new policy is tried on what is asked just now, before it comes into force; then it comes with these replies ready.

The theory. Every reply kept ready rests on one policy, so with another all of them would have to be decided anew, each when
it is next asked for: a hundred microseconds instead of three, for thousands of names at once. At a few thousand queries a
second the queue that this made took tens of milliseconds to go. So the worker listens for a moment while the old policy
still answers, decides what it hears by the new one too, in slices far shorter than anybody would notice, and then turns from
the one to the other between two batches, with the most frequent questions answered already. That makes an approval wait for
`LISTEN_S` at most; where little is asked there is nothing to gain, and `GLANCE_S` are enough to know that.

INVARIANT: nothing that was decided here is said before the new policy is in force, and nothing of the old one after.
INVARIANT: a rehearsal leaves no trace but the replies: no event, no count, no question to an upstream or a gateway's kernel.

On a gateway a reply says what the kernel must know of each client who gets it, as all that are kept ready do. It is looked up
and asked for when the reply is said, so by the policy that is in force then; what was permitted under the old one is over by
then. A name whose pages must be seen is rehearsed where the address that stands for it is known already.

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
from dns.made import Made, by_rule_book_alone, ours, passed_on
from dns.ready import ReadyReplies, repeatable
from dns.respond import Reply, Ways, respond
from dns.screen import screened
from dns.seats import Seat, Seats
from dns.steering import NotSteered, Steering, Wanted
from policy.snapshot import Snapshot

GLANCE_S: Final = 0.05
LISTEN_S: Final = 0.25
FEW: Final = 25  # questions in a glance
PAUSE_S: Final = 0.005
SLICE_S: Final = 0.0005
MOST: Final = 8_192  # questions that are heard; more would make the policy wait, and the rest is decided when it is asked


class Rehearsal:
    """Of one worker, for one snapshot that is about to come into force."""

    def __init__(
        self, snapshot: Snapshot, seats: Seats, cache: Cache, ways: Ways, worker: str, steering: Steering | None = None
    ) -> None:
        """`seats` are those under the new policy."""
        self.snapshot, self.seats, self.ready = (
            snapshot,
            seats,
            ReadyReplies(4 * MOST),
        )  # more than twice what is heard: all in one generation
        self._cache, self._ways, self._worker, self._steering = cache, ways, worker, steering
        self._heard: deque[tuple[str, bytes, bytes | str, bool]] = deque()
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
        """These have come by UDP. What is too much is passed over."""
        if self.count < MOST:
            self.count += len(packets)
            self._heard.extend((listener, packet, source, False) for packet, source in packets)

    def hear_one(self, listener: str, packet: bytes, address: str, *, tcp: bool) -> None:
        """The same for one that came by itself, as on a connection."""
        if self.count < MOST:
            self.count += 1
            self._heard.append((listener, packet, address, tcp))

    def work(self, now: float, seconds: float = SLICE_S) -> bool:
        """Decide for so long, at least one. True: there is more to do."""
        heard, until = self._heard, perf_counter() + seconds
        while heard:
            self._decide(*heard.popleft(), now)
            if perf_counter() > until:
                break
        return bool(heard)

    def _decide(self, listener: str, packet: bytes, source: bytes | str, tcp: bool, now: float) -> None:
        try:
            seat = self._seat(listener, source, tcp)
            if seat.client is None or self.seats.stayed(seat) or self.ready.find(packet, seat, now):
                return
            query = codec.parse(packet)
            if not repeatable(packet, 11 + len(query.qname), query):
                return
            made = self._made(query, seat, listener, now, tcp=tcp)
            if made and made.until > now and not made.attempt:
                self.ready.keep(packet, query, seat, made.form(query, self._worker), blocked=made.blocked)
        except Malformed:
            return
        except Exception:  # noqa: BLE001 - what cannot be decided is refused when the policy is in force, and said then
            return

    def _seat(self, listener: str, source: bytes | str, tcp: bool) -> Seat:
        if isinstance(source, bytes):
            return self.seats.near(listener).get(source) or self.seats.sit(self.snapshot, listener, source)
        return self.seats.of(self.snapshot, listener, source, tcp)

    def _made(self, query: codec.Query, seat: Seat, listener: str, now: float, *, tcp: bool) -> Made | None:
        """What would be said, unless an upstream or who steers had to be asked first."""
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
        way = None
        if self._steering and client.forced:
            answer, networks = stored.answer, self.seats.steered
            try:
                # As if the permit had been had: whether this client has it is looked up when the reply is said.
                way = self._steering.way(listener, seat.who[5], query, said, answer, asked=True, networks=networks)
            except NotSteered:
                return None
        return None if isinstance(way, Wanted) else passed_on(query, said, stored, way, now, self._ways, tcp=tcp)
