"""A packet's way from bytes to bytes: who asks, the reply kept ready, the decision, the cache, an upstream, the screen.

The theory of the fast path. Most queries are repeats: the same question by clients of the same profile, with the same flags
and the same plain EDNS. Their reply differs in two places only, the id and the asker's own spelling of the name (0x20). So
a finished reply is kept under everything of the packet but these two, behind the profile's number, and a repeat costs one
look into a dict and one join: no parsing, no decision, no copy of the question.

INVARIANT: a reply kept ready never outlives the snapshot that it was decided with, the decision's `until`, or its TTLs.
INVARIANT: what cannot be decided is refused. Nothing here raises to the sockets.
"""

import asyncio
import logging
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Final, Protocol

from dns import bypass, codec
from dns.bypass import Scores
from dns.cache import Bounds, Cache, Generations, Stored
from dns.codec import Answer, Ede, Malformed, Query
from dns.local import Local
from dns.respond import Forward, Reply, Ways, could_not_decide, remaining, respond, tunnelled
from dns.screen import screened
from dns.settings import Settings
from dns.tunnel import Tunnels
from dns.upstream import DEFINITE, NoAnswer, Upstream
from policy.decide import Decision, Reason
from policy.event import Event
from policy.identity import Client
from policy.rules import Action
from policy.snapshot import Snapshot

log = logging.getLogger(__name__)

FOREVER: Final = float("inf")
LARGEST_MESSAGE: Final = 65_535
STALE: Final = Ede(codec.STALE, "No resolver can be reached just now; this is what the last one said.")
COMPLAINTS: Final = 20  # different failures that are logged with where they were; all are counted
NAMES: Final = 100_000  # names remembered, to tell a new one
ADDRESSES: Final = 65_536  # clients remembered; then the memory starts afresh


class InForce(Protocol):
    """Where the policy in force is found: policy.live.Live."""

    @property
    def snapshot(self) -> Snapshot: ...

    def refresh(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Seat:
    """A client's address on one listener: what its events say, and which replies it shares with its profile."""

    client: Client | None
    who: tuple[str, str, str, str, str, str]  # school, group, network, identified_by, person, address
    profile: bytes  # two bytes at the end of a key: a reply is for all clients that are decided upon alike


type What = tuple[str, str, str, str, str, str, int, str, str]  # action, handling, reason ... change, outcome, detail


@dataclass(frozen=True, slots=True)
class Ready:
    """A reply kept ready, in two halves between which the asker's spelling goes, and its event's words."""

    made: float
    until: float
    head: bytes  # from behind the id to the question
    tail: bytes  # from behind the name's last letter
    host: str
    what: What


@dataclass(frozen=True, slots=True)
class Waiting:
    """A query that an upstream has to be asked about, and where it came from."""

    query: Query
    packet: bytes
    listener: str
    address: str
    tcp: bool
    asked: Query | None = None  # what the upstream is asked, where it is not the client's own question
    attempt: str = ""  # what looks like a way round the filter about it


class Answers:
    """What one worker knows and says. All of it runs in the event loop's thread."""

    def __init__(
        self,
        settings: Settings,
        live: InForce,
        record: Callable[[Event], None],
        *,
        worker: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._live, self._record, self._worker, self._clock = live, record, worker, clock
        self._upstream = Upstream(settings)
        bounds = Bounds(settings.keep_min_s, settings.keep_max_s, settings.keep_absent_max_s, settings.stale_s)
        self._cache, self._stale_after = Cache(settings.cache_bytes, bounds), settings.stale_after_s
        self._ready: Generations[bytes, Ready] = Generations(settings.reply_entries)
        inner = tuple(map(ip_network, settings.inner_networks))
        local = Local.of(settings.hosts, (zone for zone, _ in settings.forward))
        self._ways = Ways(settings.page_addresses, settings.ttl_block_s, settings.ttl_allow_max_s, inner, local)
        self._tunnels, self._block_tunnels, self._scores = Tunnels(), settings.block_tunnels, Scores()
        self._snapshot: Snapshot | None = None
        self._seats: dict[tuple[str, str], Seat] = {}
        self._profiles: dict[tuple[str, str, bool, str | None], bytes] = {}
        self._complained: set[str] = set()
        self.unrecorded = 0  # events that the recorder would not take
        self._known_names: Generations[str, bool] = Generations(NAMES)
        self.new_names = 0  # names asked of an upstream for the first time, as far as this worker remembers
        self.undecided = 0  # queries refused because deciding failed

    async def close(self) -> None:
        await self._upstream.close()

    # --- a packet's way ---

    def at_once(self, packet: bytes, listener: str, address: str, *, tcp: bool = False) -> bytes | Waiting | None:
        """The reply to a packet, None for silence, or what has to be asked about first: hand that to `later`."""
        now = self._clock()
        try:
            seat = self._seat(listener, address)
            if not tcp:
                end = packet.find(b"\0", 12)
                ready = self._ready.get(packet[2:end].lower() + packet[end:] + seat.profile)
                if ready and ready.made <= now < ready.until:
                    self._tell(now, seat, ready.host, ready.what)
                    return b"".join((packet[:2], ready.head, packet[12:end], ready.tail))
            query = codec.parse(packet)
        except Malformed as error:
            self._tell(now, seat, "", ("block", "", Reason.ERROR, "", "", "", 0, error.outcome, f"malformed: {error}"))
            return error.reply if seat.client else None  # a stranger gets nothing for it
        except Exception as error:  # noqa: BLE001 - the enforcing edge: whatever it is, the answer is no
            return self._undecided(packet, address, error, now)
        return self._conclude(Waiting(query, packet, listener, address, tcp), None, now)

    async def later(self, waiting: Waiting) -> bytes | None:
        """Ask an upstream, and conclude under the policy that is in force when its answer has come."""
        asked = waiting.asked or waiting.query
        stale = self._cache.stale(asked, self._clock())
        try:
            return self._final(waiting, await self._fetched(asked, stale))
        except NoAnswer as none:
            return self._final(waiting, Ede(none.code, none.text))
        except Exception as error:  # noqa: BLE001 - as above
            return self._undecided(waiting.packet, waiting.address, error, self._clock())

    async def _fetched(self, asked: Query, stale: Stored | None) -> Stored | Ede:
        """An answer fetched now; the stale one when that takes long or fails (RFC 8767 5), while fetching goes on."""
        patience = None if stale is None else 0.0 if self._upstream.is_down(asked) else self._stale_after
        task = self._upstream.started(asked)
        try:
            async with asyncio.timeout(patience):
                answer = await asyncio.shield(task)
        except (NoAnswer, TimeoutError):
            if stale is None:
                raise
            task.add_done_callback(lambda done: self._keep(asked, done))
            return stale
        if answer.rcode not in DEFINITE:
            return stale or Ede(codec.NO_UPSTREAM, "The resolver that this network asks found no answer.")
        return self._cache.put(asked, Stored(answer, self._clock()))

    def _prefetch(self, asked: Query, stored: Stored, now: float) -> None:
        """Fetch anew what is asked for near the end of its time, so that nobody waits for it."""
        if stored.ends_soon(now) and not self._upstream.is_busy(asked):
            self._upstream.started(asked).add_done_callback(lambda done: self._keep(asked, done))

    def _keep(self, asked: Query, done: "asyncio.Task[Answer]") -> None:
        if not done.cancelled() and done.exception() is None and done.result().rcode in DEFINITE:
            self._cache.put(asked, Stored(done.result(), self._clock()))

    def overloaded(self, waiting: Waiting) -> bytes | None:
        """What a query gets that would be one too many to wait."""
        return self._final(waiting, Ede(codec.NETWORK_ERROR, "Too many questions are waiting for an answer already."))

    def _final(self, waiting: Waiting, got: Stored | Ede) -> bytes | None:
        wire = self._conclude(waiting, got, self._clock())
        return None if isinstance(wire, Waiting) else wire  # silence if a new policy asks something else: they ask again

    def _conclude(self, waiting: Waiting, got: Stored | Ede | None, now: float) -> bytes | Waiting | None:
        """Decide, and make the reply from what was got: an upstream's answer, the trouble with it, or nothing yet."""
        query = waiting.query
        try:
            seat = self._seat(waiting.listener, waiting.address)
            snapshot, client, at = self._live.snapshot, seat.client, datetime.fromtimestamp(now, UTC)
            said = respond(snapshot, query, client, at, self._ways)
            if isinstance(said, Reply):
                return self._reply(waiting, seat, said, now, FOREVER)
            if isinstance(got, Stored) and said.instead != waiting.asked:
                got = None
            got = got or self._cache.get(said.instead or query, now)
            if got is None or client is None:
                return self._to_ask(waiting, seat, said, now)
            if isinstance(got, Stored):
                self._prefetch(said.instead or query, got, now)
            if isinstance(got, Ede):
                wire = codec.error(query, codec.SERVFAIL, got)
                what = describe(query, said.decision, said.decision.action, "SERVFAIL", got.text)
                return self._send(waiting, seat, wire, what, now=now, until=now)
            said = screened(snapshot, query, client, got.answer, said, at=at, ways=self._ways)
            if isinstance(said, Reply):
                return self._reply(waiting, seat, said, now, got.at + got.answer.lifetime)
            return self._relay(waiting, seat, said, got, now)
        except Exception as error:  # noqa: BLE001 - the enforcing edge: whatever it is, the answer is no
            return self._undecided(waiting.packet, waiting.address, error, now)

    def _to_ask(self, waiting: Waiting, seat: Seat, said: Forward, now: float) -> bytes | Waiting:
        """A name that the cache does not know: an upstream is asked, unless it is one of a tunnel's."""
        if self._known_names.get(waiting.query.name) is None:
            self._known_names.put(waiting.query.name, True)
            self.new_names += 1
        attempt = "tunnel" if self._tunnels.noticed(waiting.address, waiting.query.name, now) else ""
        if attempt and self._block_tunnels:
            return self._reply(waiting, seat, tunnelled(waiting.query, self._ways), now, now)
        return replace(waiting, asked=said.instead, attempt=attempt)

    # --- replies ---

    def _reply(self, waiting: Waiting, seat: Seat, said: Reply, now: float, until: float) -> bytes:
        """A reply of our own. It says the same until its TTL would reach past the decision's `until`."""
        decision = said.decision
        if decision and decision.until:
            until = min(until, decision.until.timestamp() - self._ways.ttl_block_s)
        action = decision.action if decision else Action.BLOCK if said.refused else Action.ALLOW
        what = describe(waiting.query, decision, action, said.outcome, said.detail)
        if said.attempt:
            return self._attempted(waiting, seat, said.wire, what, said.attempt, now=now, until=min(until, now + 1))
        return self._send(waiting, seat, said.wire, what, now=now, until=until)

    def _attempted(
        self, waiting: Waiting, seat: Seat, wire: bytes, what: What, kind: str, *, now: float, until: float
    ) -> bytes:
        """A reply to what looks like a way round the filter: the event says which way, and the client's score with it.

        What is kept ready says the way without the score, which is the client's own, and is kept for a second only: so a
        program that tries a thousand times a second is answered fast, and one that tries on is still counted.
        """
        detail = "; ".join((what[-1], bypass.told(kind)))
        wire = self._send(waiting, seat, wire, (*what[:-1], detail), now=now, until=until, tell=False)
        scored = "; ".join((what[-1], bypass.told(kind, self._scores.note(waiting.address, kind, now))))
        self._tell(now, seat, waiting.query.name or ".", (*what[:-1], scored))
        return wire

    def _relay(self, waiting: Waiting, seat: Seat, said: Forward, stored: Stored, now: float) -> bytes:
        """An upstream's answer. It stays the same while all its TTLs are above the cap, else for a second."""
        query, answer, decision = waiting.query, said.changed or stored.answer, said.decision
        most = remaining(decision, datetime.fromtimestamp(now, UTC), self._ways.ttl_allow_max_s)
        limit = LARGEST_MESSAGE if waiting.tcp else query.size
        ede = said.ede or (None if stored.fresh else STALE)
        wire = codec.relay(query, answer, age=stored.age(now), ttl_max=most, limit=limit, ede=ede)
        lowest = min((ttl for _, ttl in answer.ttls), default=0)
        until = min(max(now + 1, stored.at + lowest - most), stored.at + answer.lifetime)
        if decision.until:
            until = min(until, decision.until.timestamp() - self._ways.ttl_allow_max_s)
        what = describe(query, decision, decision.action, codec.rcode_text(answer.rcode), said.detail)
        if waiting.attempt:
            return self._attempted(waiting, seat, wire, what, waiting.attempt, now=now, until=now)
        return self._send(waiting, seat, wire, what, now=now, until=until)

    def _send(
        self, waiting: Waiting, seat: Seat, wire: bytes, what: What, *, now: float, until: float, tell: bool = True
    ) -> bytes:
        """Record a reply, and keep it ready if it may be said again."""
        query, packet = waiting.query, waiting.packet
        host = query.name or "."
        if tell:
            self._tell(now, seat, host, what)
        end = 11 + len(query.qname)
        if until > now and not waiting.tcp and seat.client and repeatable(packet, end, query):
            key = packet[2:end].lower() + packet[end:] + seat.profile
            self._ready.put(key, Ready(now, until, wire[2:12], wire[end:], host, what))
        return wire

    def _undecided(self, packet: bytes, address: str, error: Exception, now: float) -> bytes | None:
        """Fail closed: an event each time, and once a line in the program's log, without the name (that is the pupil's)."""
        self.undecided += 1
        where = "".join(traceback.format_tb(error.__traceback__))
        if where not in self._complained and len(self._complained) < COMPLAINTS:
            self._complained.add(where)
            log.error("could not decide, and refused: %s\n%s", type(error).__name__, where)
        try:
            query = codec.parse(packet)
        except Malformed as malformed:
            return malformed.reply
        reply = could_not_decide(query)
        who = ("", "", "", "none", "", address)
        what = describe(query, reply.decision, Action.BLOCK, reply.outcome)
        self._tell(now, Seat(None, who, b""), query.name or ".", what)
        return reply.wire

    # --- what is remembered ---

    def _seat(self, listener: str, address: str) -> Seat:
        """Who asks. With another snapshot all that rests on the old one is forgotten."""
        if self._live.snapshot is not self._snapshot:
            self._seats.clear()
            self._profiles.clear()
            self._ready.clear()
            self._snapshot = self._live.snapshot
        return self._seats.get((listener, address)) or self._new_seat(self._snapshot, listener, address)

    def _new_seat(self, snapshot: Snapshot, listener: str, address: str) -> Seat:
        if len(self._seats) >= ADDRESSES:
            self._seats.clear()
        client = snapshot.clients.of(listener, address)
        if client is None:
            seat = Seat(None, ("", "", "", "none", "", address), b"\0\0")
        else:
            alike = (client.school, client.group, client.forced, client.person)
            number = self._profiles.setdefault(alike, (len(self._profiles) + 1).to_bytes(2))
            who = (client.school, client.group, client.network, client.identified_by, client.person or "", address)
            seat = Seat(client, who, number)
        self._seats[listener, address] = seat
        return seat

    def _tell(self, now: float, seat: Seat, host: str, what: What) -> None:
        """Record one query. By position, in the order of Event's fields: this runs for each of them."""
        school, group, network, identified_by, person, address = seat.who
        action, handling, reason, category, list_, rule, change, outcome, detail = what
        try:
            self._record(
                Event(
                    now, "dns", school, group, network, identified_by, person, address, "", host, "", "",
                    action, handling, reason, category, list_, rule, change, outcome, detail, self._worker,
                )
            )  # fmt: skip
        except Exception:  # noqa: BLE001 - a full log must not stop a school's lookups; the count shows what was lost
            self.unrecorded += 1


def describe(query: Query, decision: Decision | None, action: str, outcome: str, detail: str = "") -> What:
    """What an event says of a reply."""
    kind = codec.type_text(query.qtype)
    detail = f"{kind}; {detail}" if detail else kind
    if decision is None:
        return action, "", "", "", "", "", 0, outcome, detail
    return (
        action,
        decision.handling,
        decision.reason,
        decision.category or "",
        decision.list or "",
        decision.rule or "",
        decision.change or 0,
        outcome,
        detail,
    )


def repeatable(packet: bytes, end: int, query: Query) -> bool:
    """May the reply to this packet be kept under its bytes? Only if id and spelling are all that it may differ in.

    Lower-casing from the flags to the name's end must change nothing but the name, so no bit may be set that makes a flag
    byte look like a letter, and the counts must be plain; options (a cookie, say) are new each time, and not worth keeping.
    """
    return (
        packet.find(b"\0", 12) == end
        and not packet[3] & 0x4F
        and packet[10] == 0
        and packet[11] == (query.edns is not None)
        and len(packet) == end + (16 if query.edns else 5)
    )
