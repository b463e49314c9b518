"""A packet's way from bytes to bytes: who asks, the reply kept ready, the decision, the cache, an upstream, the screen.

The fast path's theory stands in ready.py.

INVARIANT: what cannot be decided is refused. Nothing here raises to the sockets.
"""

import logging
import secrets
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Final, Protocol

from dns import codec
from dns.bypass import Scores
from dns.cache import Stored
from dns.codec import Ede, Edns, Malformed
from dns.cookies import cookie, valid
from dns.counters import Counters
from dns.explain import Parts
from dns.fetching import Fetching
from dns.limits import Rate
from dns.local import Local
from dns.newnames import NewNames
from dns.ready import Form, Found, ReadyReplies
from dns.respond import Forward, Reply, Ways, could_not_decide, question, remaining, respond, tunnelled
from dns.screen import screened
from dns.seats import Seat, Seats, text_of
from dns.settings import Settings
from dns.steering import Needs, Steering, Wanted, Way
from dns.tunnel import Tunnels
from dns.waiting import Waiting, What, describe
from policy import attempts
from policy.decide import Reason, decide
from policy.event import Event, decode, ending, stamp
from policy.rules import Action
from policy.snapshot import Snapshot

log = logging.getLogger(__name__)

FOREVER: Final = float("inf")
LARGEST_MESSAGE: Final = 65_535
LARGE: Final = 512  # bytes of a UDP reply that are worth an attacker's while
COMPLAINTS: Final = 20  # different failures that are logged with where they were; all are counted
STALE: Final = Ede(codec.STALE, "No resolver can be reached just now; this is what the last one said.")


class InForce(Protocol):
    """Where the policy in force is found: policy.live.Live."""

    @property
    def snapshot(self) -> Snapshot: ...

    def refresh(self) -> bool: ...


type Write = Callable[[Sequence[bytes]], None]


class Answers:
    """What one worker knows and says. All of it runs in the event loop's thread."""

    def __init__(
        self,
        settings: Settings,
        live: InForce,
        record: Callable[[Event], None],
        *,
        write: Write | None = None,
        worker: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`record` takes events one by one, `write` many that are encoded already (none: they go to `record`)."""
        self._write = write or self._record_each
        self._live, self._record, self._worker, self._clock = live, record, worker, clock
        self._fetching = Fetching(settings, clock)
        self._new_names = NewNames(Path(settings.names_folder) if settings.names_folder else None, worker, clock)
        self._ready = ReadyReplies(settings.reply_entries)
        inner = tuple(map(ip_network, settings.inner_networks))
        local = Local.of(settings.hosts, (zone for zone, _ in settings.forward))
        self._ways = Ways(settings.page_addresses, settings.ttl_block_s, settings.ttl_allow_max_s, inner, local)
        self._tunnels, self._block_tunnels, self._scores = Tunnels(), settings.block_tunnels, Scores()
        self._snapshot: Snapshot | None = None
        self._present = 0  # the version of who is where that the seats rest on
        self._complained: set[str] = set()
        self._latest = 0.0  # when something was last asked
        self.counters = Counters()
        self.steering = Steering(settings.steered, clock, self._forget) if settings.steered else None
        self._seats = Seats(self.steering)
        self._cookie_key, self._keepalive = settings.cookie_key or secrets.token_bytes(32), int(settings.tcp_idle_s * 10)
        self._large, self._refusals = Rate(settings.large_replies_s), Rate(settings.refusals_s)
        self.unrecorded = 0  # events that the recorder would not take
        self.undecided = 0  # queries refused because deciding failed

    async def close(self) -> None:
        await self._fetching.close()

    def dropped(self, why: str) -> None:
        """Something was not answered, or not let in."""
        self.counters.dropped[why] += 1

    def parts(self) -> Parts:
        """What `explain` takes its steps with."""
        return Parts(self._live.snapshot, self._fetching.cache, self._fetching.upstream, self._ways, self._clock())

    def told(self, **more: int) -> dict[str, object]:
        """The counters as JSON has them."""
        self._new_names.save()
        new = self._new_names.count
        upstreams = [peer.told() for peer in self._fetching.upstream.peers]
        told = self.counters.told(unrecorded=self.unrecorded, undecided=self.undecided, new_names=new, **more)
        return {**told, "upstreams": upstreams}

    @staticmethod
    def come_by_tcp(packet: bytes) -> bytes | None:
        try:
            return codec.truncated(codec.parse(packet))
        except Malformed:
            return None

    # --- a packet's way ---

    def at_once(self, packet: bytes, listener: str, address: str, *, tcp: bool = False) -> bytes | Waiting | None:
        """The reply to a packet, None for silence, or what has to be asked about first: hand that to `later`."""
        now = self._now()
        kind = listener.partition(":")[0]
        self.counters.queries[kind if kind != "dns" else "tcp" if tcp else "udp"] += 1
        try:
            seat = self._seat(listener, address, tcp)
            found = self._ready.find(packet, seat, now)
            if found and self._permitted(listener, [(seat, found)], now):
                reply, written, of_kind, _ = found
                self._log((stamp(now) + seat.opening + written,))
                self.counters.decisions[of_kind] += 1
                self.counters.replies["ready"] += 1
                return reply
        except Exception as error:  # noqa: BLE001 - the enforcing edge: whatever it is, the answer is no
            return self._undecided(packet, address, error, now)
        return self._the_long_way(packet, listener, address, seat, now, tcp=tcp)

    def many(self, packets: Sequence[tuple[bytes, bytes]], listener: str) -> list[bytes | Waiting | None]:
        """`at_once` for datagrams that came together, each with its sender's address as sockets have it: 4 bytes or 16.

        Their events are written together, before any of the replies can leave.
        """
        now = self._now()
        began = stamp(now)
        lines: list[bytes] = []
        replies: list[bytes | Waiting | None] = []
        snapshot = self._follow_snapshot()
        near, find = self._seats.near(listener), self._ready.find
        kinds: list[tuple[str, str]] = []
        held: list[tuple[int, bytes, Seat, Found]] = []  # what a gateway's kernel has to know of first
        for packet, source in packets:
            try:
                seat = near.get(source) or self._seats.sit(snapshot, listener, source)
                if found := find(packet, seat, now):
                    reply, written, kind, needs = found
                    if needs and self.steering and self.steering.lacks(listener, seat.who[5], needs, now):
                        held.append((len(replies), packet, seat, found))
                        replies.append(None)
                        continue
                    lines.append(began + seat.opening + written)
                    replies.append(reply if len(reply) <= LARGE else self._moderated(packet, reply, seat.who[5], now))
                    kinds.append(kind)
                    continue
            except Exception as error:  # noqa: BLE001 - as above
                replies.append(self._undecided(packet, text_of(source), error, now))
                continue
            said = self._the_long_way(packet, listener, seat.who[5], seat, now, tcp=False)
            if isinstance(said, bytes) and len(said) > LARGE:
                said = self._moderated(packet, said, seat.who[5], now)
            replies.append(said)
        permitted = not held or self._permitted(listener, [(seat, found) for _, _, seat, found in held], now)
        for place, packet, seat, (reply, written, kind, _) in held:
            if permitted:
                lines.append(began + seat.opening + written)
                kinds.append(kind)
                replies[place] = reply if len(reply) <= LARGE else self._moderated(packet, reply, seat.who[5], now)
            else:
                replies[place] = self._the_long_way(packet, listener, seat.who[5], seat, now, tcp=False)
        self._log(lines)
        self.counters.queries["udp"] += len(packets)
        self.counters.replies["ready"] += len(lines)
        self.counters.decisions.update(kinds)
        return replies

    def _permitted(self, listener: str, some: Sequence[tuple[Seat, Found]], now: float) -> bool:
        """Does a gateway's kernel know all that these replies need? What it does not is asked for at once, together."""
        if self.steering is None:
            return True
        lacks = self.steering.lacks
        wanted = [each for seat, found in some if found[3] and (each := lacks(listener, seat.who[5], found[3], now))]
        return not wanted or self.steering.had(wanted)

    def _the_long_way(
        self, packet: bytes, listener: str, address: str, seat: Seat, now: float, *, tcp: bool
    ) -> bytes | Waiting | None:
        if seat.client is None and not tcp and self._refusals.over(address, now):
            self.counters.dropped["stranger"] += 1
            return None  # neither told nor recorded: who forges addresses must not fill a victim's line, nor our log
        try:
            query = codec.parse(packet)
            if query.edns and (query.edns.cookie or query.edns.keepalive or query.edns.padded):
                query = replace(query, edns=self._greeted(query.edns, listener, address, now, tcp=tcp))
        except Malformed as error:
            self.counters.dropped["malformed"] += 1
            self._tell(now, seat, "", ("block", "", Reason.ERROR, "", "", "", 0, error.outcome, f"malformed: {error}"))
            return error.reply if seat.client else None  # a stranger gets nothing for it
        except Exception as error:  # noqa: BLE001 - as above
            return self._undecided(packet, address, error, now)
        return self._conclude(Waiting(query, packet, listener, address, tcp), None, now)

    def _greeted(self, edns: Edns, listener: str, address: str, now: float, *, tcp: bool) -> Edns:
        """What the client said of itself, with what we say to it."""
        secret = listener.startswith(("dot:", "doh:"))
        reply = b""
        if edns.cookie:
            reply += codec.option(codec.COOKIE, cookie(self._cookie_key, edns.cookie, address, now))
        if edns.keepalive and tcp and not listener.startswith("doh:"):  # RFC 7828 3.2.1: not by UDP; HTTP has its own way
            reply += codec.option(codec.KEEPALIVE, self._keepalive.to_bytes(2))
        return replace(edns, reply=reply, padded=edns.padded and secret)

    def _moderated(self, packet: bytes, reply: bytes, address: str, now: float) -> bytes:
        """A large reply by UDP: an address that asks for many may be a victim's, unless it has brought our cookie."""
        if not self._large.over(address, now):
            return reply
        query = codec.parse(packet)
        if query.edns and valid(self._cookie_key, query.edns.cookie, address, now):
            return reply
        self.counters.dropped["large reply"] += 1
        return codec.truncated(query)

    async def later(self, waiting: Waiting) -> bytes | None:
        """Ask an upstream, and conclude under the policy that is in force when its answer has come."""
        began = time.monotonic()
        reply = await self._later(waiting)
        self.counters.took(time.monotonic() - began)
        if reply is not None and not waiting.tcp and len(reply) > LARGE:
            return self._moderated(waiting.packet, reply, waiting.address, self._clock())
        return reply

    async def _later(self, waiting: Waiting) -> bytes | None:
        """Ask an upstream, and conclude under the policy that is in force when its answer has come."""
        try:
            said: bytes | Waiting | None = waiting
            if not waiting.wanted:
                got = await self._fetching.fetched(waiting.asked or waiting.query)
                said = self._conclude(waiting, got, self._now())
            if self.steering and isinstance(said, Waiting) and said.wanted:
                await self.steering.ask(said.wanted)
                said = self._after_asking(said, self._now())
            return None if isinstance(said, Waiting) else said  # silence if a new policy asks something else: they ask again
        except Exception as error:  # noqa: BLE001 - as above
            return self._undecided(waiting.packet, waiting.address, error, self._clock())

    def overloaded(self, waiting: Waiting) -> bytes | None:
        """What a query gets that would be one too many to wait."""
        self.counters.dropped["overloaded"] += 1
        too_many = Ede(codec.NETWORK_ERROR, "Too many questions are waiting for an answer already.")
        wire = self._conclude(waiting, too_many, self._now())
        return None if isinstance(wire, Waiting) else wire

    def _conclude(self, waiting: Waiting, got: Stored | Ede | None, now: float) -> bytes | Waiting | None:
        """Decide, and make the reply from what was got: an upstream's answer, the trouble with it, or nothing yet."""
        query = waiting.query
        try:
            seat = self._seat(waiting.listener, waiting.address, waiting.tcp)
            snapshot, client, at = self._live.snapshot, seat.client, datetime.fromtimestamp(now, UTC)
            said = respond(snapshot, query, client, at, self._ways)
            if isinstance(said, Reply):
                blocked = (  # by the rule book, and with nothing said that is this name's alone
                    said.refused
                    and client is not None
                    and not said.detail
                    and not said.attempt  # each of these is the client's own matter: it has a score
                    and said.decision == decide(snapshot, question(client, query.name, at))
                )
                self.counters.replies["ourselves"] += 1
                return self._reply(waiting, seat, said, now, FOREVER, blocked=blocked)
            if isinstance(got, Stored) and said.instead != waiting.asked:
                got = None
            origin = "upstream" if got else "cache"
            got = got or self._fetching.kept(said.instead or query, now)
            if got is None or client is None:
                return self._to_ask(waiting, seat, said, now)
            if isinstance(got, Stored) and not got.fresh:
                origin = "stale"
            self.counters.replies["failure" if isinstance(got, Ede) else origin] += 1
            if isinstance(got, Ede):
                wire = codec.error(query, codec.SERVFAIL, got)
                what = describe(query, said.decision, said.decision.action, "SERVFAIL", got.text)
                return self._send(waiting, seat, wire, what, now=now, until=now)
            said = screened(snapshot, query, client, got.answer, said, at=at, ways=self._ways)
            if isinstance(said, Reply):
                return self._reply(waiting, seat, said, now, got.at + got.answer.lifetime)
            if self.steering and client.forced:
                way = self.steering.way(waiting.listener, waiting.address, query, said, got.answer, asked=False)
                if isinstance(way, Wanted) and self.steering.had((way,)):
                    way = self.steering.way(waiting.listener, waiting.address, query, said, got.answer, asked=True)
                if isinstance(way, Wanted):
                    return replace(waiting, wanted=way, held=(snapshot, said, got))
                if way:
                    return self._steered(waiting, seat, said, got, way, now)
            return self._relay(waiting, seat, said, got, now)
        except Exception as error:  # noqa: BLE001 - the enforcing edge: whatever it is, the answer is no
            return self._undecided(waiting.packet, waiting.address, error, now)

    def _to_ask(self, waiting: Waiting, seat: Seat, said: Forward, now: float) -> bytes | Waiting:
        """A name that the cache does not know: an upstream is asked, unless it is one of a tunnel's."""
        unheard = self._new_names.noticed(waiting.query.name) and said.decision.reason is Reason.UNKNOWN_NAME
        attempt = "tunnel" if self._tunnels.noticed(waiting.address, waiting.query.name, now) else ""
        attempt = attempt or ("new name" if unheard else "")
        if attempt == "tunnel" and self._block_tunnels:
            return self._reply(waiting, seat, tunnelled(waiting.query, self._ways), now, now)
        return replace(waiting, asked=said.instead, attempt=attempt)

    # --- replies ---

    def _reply(self, waiting: Waiting, seat: Seat, said: Reply, now: float, until: float, *, blocked: bool = False) -> bytes:
        """A reply of our own. It says the same until its TTL would reach past the decision's `until`."""
        decision = said.decision
        if decision and decision.until:
            until = min(until, decision.until.timestamp() - self._ways.ttl_block_s)
        action = decision.action if decision else Action.BLOCK if said.refused else Action.ALLOW
        what = describe(waiting.query, decision, action, said.outcome, said.detail)
        if said.attempt:
            return self._attempted(waiting, seat, said.wire, what, said.attempt, now=now, until=min(until, now + 1))
        return self._send(waiting, seat, said.wire, what, now=now, until=until, blocked=blocked)

    def _attempted(
        self, waiting: Waiting, seat: Seat, wire: bytes, what: What, kind: str, *, now: float, until: float
    ) -> bytes:
        """A reply to what looks like a way round the filter: the event says which way, and the client's score with it.

        What is kept ready says the way without the score, which is the client's own, and is kept for a second only: so a
        program that tries a thousand times a second is answered fast, and one that tries on is still counted.
        """
        scored = "; ".join((what[-1], attempts.told(kind, self._scores.note(waiting.address, kind, now))))
        self._tell(now, seat, waiting.query.name or ".", (*what[:-1], scored))
        self._keep_ready(waiting, seat, wire, (*what[:-1], "; ".join((what[-1], attempts.told(kind)))), now=now, until=until)
        return wire

    def _after_asking(self, waiting: Waiting, now: float) -> bytes | Waiting | None:
        """What a gateway's kernel had to know was asked for: the answer that was held back, unless policy has changed."""
        if waiting.held is None or self.steering is None or waiting.held[0] is not self._follow_snapshot():
            return None
        _, said, got = waiting.held
        way = self.steering.way(waiting.listener, waiting.address, waiting.query, said, got.answer, asked=True)
        seat = self._seat(waiting.listener, waiting.address, waiting.tcp)
        return self._steered(waiting, seat, said, got, way, now) if isinstance(way, Way) else None

    def _steered(self, waiting: Waiting, seat: Seat, said: Forward, stored: Stored, way: Way, now: float) -> bytes:
        """An answer on a network whose web traffic the kernel steers."""
        if way.wire is None:
            return self._relay(waiting, seat, said, stored, now, way.needs)
        what = describe(waiting.query, said.decision, said.decision.action, "NOERROR", "seen by the proxy")
        if waiting.attempt:
            return self._attempted(waiting, seat, way.wire, what, waiting.attempt, now=now, until=now)
        return self._send(waiting, seat, way.wire, what, now=now, until=way.until)

    def _relay(
        self, waiting: Waiting, seat: Seat, said: Forward, stored: Stored, now: float, needs: Needs | None = None
    ) -> bytes:
        """An upstream's answer. It stays the same while all its TTLs are above the cap, else for a second."""
        query, answer, decision = waiting.query, said.changed or stored.answer, said.decision
        ttl = remaining(decision, datetime.fromtimestamp(now, UTC), self._ways.ttl_allow_max_s)
        limit = LARGEST_MESSAGE if waiting.tcp else query.size
        ede = said.ede or (None if stored.fresh else STALE)
        wire = codec.relay(query, answer, age=stored.age(now), ttl_max=ttl, limit=limit, ede=ede)
        lowest = min((ttl for _, ttl in answer.ttls), default=0)
        until = min(max(now + 1, stored.at + lowest - ttl), stored.at + answer.lifetime)
        if decision.until:
            until = min(until, decision.until.timestamp() - self._ways.ttl_allow_max_s)
        what = describe(query, decision, decision.action, codec.rcode_text(answer.rcode), said.detail)
        if waiting.attempt:
            return self._attempted(waiting, seat, wire, what, waiting.attempt, now=now, until=now)
        self._tell(now, seat, query.name or ".", what)
        self._keep_ready(waiting, seat, wire, what, now=now, until=until, needs=needs)
        return wire

    def _send(
        self, waiting: Waiting, seat: Seat, wire: bytes, what: What, *, now: float, until: float, blocked: bool = False
    ) -> bytes:
        """Record a reply, and keep it ready if it may be said again."""
        self._tell(now, seat, waiting.query.name or ".", what)
        self._keep_ready(waiting, seat, wire, what, now=now, until=until, blocked=blocked)
        return wire

    def _keep_ready(
        self,
        waiting: Waiting,
        seat: Seat,
        wire: bytes,
        what: What,
        *,
        now: float,
        until: float,
        blocked: bool = False,
        needs: Needs | None = None,
    ) -> None:
        if until > now and seat.client:
            query = waiting.query
            end = 11 + len(query.qname)
            written = ending(query.name or ".", "", "", *what, self._worker)
            said = Form(until, wire[2:12], wire[end:], written, (what[0], what[2]), needs)
            self._ready.keep(waiting.packet, query, seat, said, blocked=blocked)

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
        who = ("", "", "", "none", "", address, "")
        what = describe(query, reply.decision, Action.BLOCK, reply.outcome)
        self._tell(now, Seat(None, who, b""), query.name or ".", what)
        return reply.wire

    # --- what is remembered ---

    def _forget(self) -> None:
        """At the next question."""
        self._snapshot = None

    def _now(self) -> float:
        """The time. When the clock was set back, nothing that was made in what is now the future is said again."""
        now = self._clock()
        if now < self._latest:
            self._ready.clear()
        self._latest = now
        return now

    def _follow_snapshot(self) -> Snapshot:
        """With another snapshot all that rests on the old one is forgotten; with other people, who sat in their places."""
        snapshot = self._live.snapshot
        presence = snapshot.clients.presence
        if snapshot is not self._snapshot:
            self._seats.clear()
            self._ready.clear()
            if self.steering:
                self.steering.follow(snapshot)
            self._snapshot, self._present = snapshot, presence.version
        elif presence.version != self._present:
            changed, self._present = presence.since(self._present), presence.version
            self._seats.clear() if changed is None else self._seats.leave(changed)
            if self.steering:
                self.steering.turned(changed)
        return snapshot

    def _seat(self, listener: str, address: str, tcp: bool) -> Seat:
        """Who asks."""
        return self._seats.of(self._follow_snapshot(), listener, address, tcp)

    def _log(self, lines: Sequence[bytes]) -> None:
        try:
            self._write(lines)
        except Exception:  # noqa: BLE001 - as in `_tell`
            self.unrecorded += len(lines)

    def _record_each(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            self._record(decode(line))

    def _tell(self, now: float, seat: Seat, host: str, what: What) -> None:
        """Record one query. By position, in the order of Event's fields: this runs for each of them."""
        school, group, network, identified_by, person, address, device = seat.who
        action, handling, reason, category, list_, rule, change, outcome, detail = what
        self.counters.decisions[action, reason] += 1
        try:
            self._record(
                Event(
                    now, "dns", school, group, network, identified_by, person, address, device, host, "", "",
                    action, handling, reason, category, list_, rule, change, outcome, detail, self._worker,
                )
            )  # fmt: skip
        except Exception:  # noqa: BLE001 - a full log must not stop a school's lookups; the count shows what was lost
            self.unrecorded += 1
