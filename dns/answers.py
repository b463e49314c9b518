"""A packet's way from bytes to bytes: who asks, the reply kept ready, the decision, the cache, an upstream, the screen.

The fast path's theory stands in ready.py.

INVARIANT: what cannot be decided is refused. Nothing here raises to the sockets.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Protocol

from dns import codec
from dns.bypass import Scores
from dns.cache import Stored
from dns.codec import Ede, Malformed
from dns.counters import Counters
from dns.explain import Parts
from dns.fetching import Fetching
from dns.local import Local
from dns.made import Made, by_rule_book_alone, ours, passed_on
from dns.moderation import LARGE, Moderation
from dns.newnames import NewNames
from dns.ready import Found, ReadyReplies
from dns.rehearsal import Rehearsal
from dns.respond import Forward, Reply, Ways, respond, tunnelled
from dns.screen import screened
from dns.seats import Seat, Seats, text_of
from dns.settings import Settings
from dns.steering import Steering, Wanted, Way
from dns.telling import Telling, Write
from dns.tunnel import Tunnels
from dns.waiting import Waiting, describe
from policy import attempts
from policy.decide import Reason
from policy.event import Event, stamp
from policy.snapshot import Snapshot


class InForce(Protocol):
    """Where the policy in force is found: policy.live.Live."""

    @property
    def snapshot(self) -> Snapshot: ...

    def refresh(self, before: Callable[[Snapshot], None] = ...) -> bool: ...


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
        self._live, self._worker, self._clock = live, worker, clock
        self.counters = Counters()
        self._telling, self._moderation = Telling(record, write, worker, self.counters), Moderation(settings, self.counters)
        self._fetching = Fetching(settings, clock)
        self._new_names = NewNames(Path(settings.names_folder) if settings.names_folder else None, worker, clock)
        self._ready = ReadyReplies(settings.reply_entries)
        inner = tuple(map(ip_network, settings.inner_networks))
        local = Local.of(settings.hosts, (zone for zone, _ in settings.forward))
        self._ways = Ways(settings.page_addresses, settings.ttl_block_s, settings.ttl_allow_max_s, inner, local)
        self._tunnels, self._block_tunnels, self._scores = Tunnels(), settings.block_tunnels, Scores()
        self._snapshot: Snapshot | None = None
        self._rehearsal: Rehearsal | None = None  # of a policy that is about to come into force
        self._present = 0  # the version of who is where that the seats rest on
        self._latest = 0.0  # when something was last asked
        self.steering = Steering(settings.steered, clock, self._forget) if settings.steered else None
        self._seats = Seats(self.steering.networks if self.steering else None)

    @property
    def undecided(self) -> int:
        """Queries refused because deciding failed."""
        return self._telling.undecided

    @property
    def unrecorded(self) -> int:
        """Events that the recorder would not take."""
        return self._telling.unrecorded

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
            if self._rehearsal:
                self._rehearsal.hear_one(listener, packet, address, tcp=tcp)
            found = self._ready.find(packet, seat, now)
            if found and self._permitted(listener, [(seat, found)], now):
                reply, written, of_kind, _ = found
                self._telling.lines((stamp(now) + seat.opening + written,))
                self.counters.decisions[of_kind] += 1
                self.counters.replies["ready"] += 1
                return reply
        except Exception as error:  # noqa: BLE001 - the enforcing edge: whatever it is, the answer is no
            return self._telling.refused(packet, address, error, now)
        return self._the_long_way(packet, listener, address, seat, now, tcp=tcp)

    def many(self, packets: Sequence[tuple[bytes, bytes]], listener: str) -> list[bytes | Waiting | None]:
        """`at_once` for datagrams that came together, each with its sender's address as sockets have it: 4 bytes or 16.

        Their events are written together, before any of the replies can leave.
        """
        now = self._now()
        began = stamp(now)
        lines: list[bytes] = []
        replies: list[bytes | Waiting | None] = []
        try:
            snapshot = first = self._follow_snapshot()
            if self._rehearsal:
                self._rehearsal.hear(listener, packets)
        except Exception as error:  # noqa: BLE001 - the enforcing edge: whatever it is, the answer is no
            return [self._telling.refused(packet, text_of(source), error, now) for packet, source in packets]
        near, find, moderated = self._seats.near(listener), self._ready.find, self._moderation.moderated
        kinds: list[tuple[str, str]] = []
        held: list[tuple[int, bytes, Seat, Found]] = []  # what a gateway's kernel has to know of first
        for packet, source in packets:
            try:
                if self._snapshot is not snapshot:  # another policy came into force, and a packet before this one met it
                    snapshot = self._follow_snapshot()
                    near = self._seats.near(listener)
                seat = near.get(source) or self._seats.sit(snapshot, listener, source)
                if found := find(packet, seat, now):
                    reply, written, kind, needs = found
                    if needs and self.steering and self.steering.lacks(listener, seat.who[5], needs, now):
                        held.append((len(replies), packet, seat, found))
                        replies.append(None)
                        continue
                    lines.append(began + seat.opening + written)
                    replies.append(reply if len(reply) <= LARGE else moderated(packet, reply, seat.who[5], now))
                    kinds.append(kind)
                    continue
            except Exception as error:  # noqa: BLE001 - as above
                replies.append(self._telling.refused(packet, text_of(source), error, now))
                continue
            said = self._the_long_way(packet, listener, seat.who[5], seat, now, tcp=False)
            if isinstance(said, bytes) and len(said) > LARGE:
                said = moderated(packet, said, seat.who[5], now)
            replies.append(said)
        for written, kind in self._released(held, replies, listener, now, same=self._snapshot is first) if held else ():
            lines.append(began + written)
            kinds.append(kind)
        self._telling.lines(lines)
        self.counters.queries["udp"] += len(packets)
        self.counters.replies["ready"] += len(lines)
        self.counters.decisions.update(kinds)
        return replies

    def _released(
        self,
        held: Sequence[tuple[int, bytes, Seat, Found]],
        replies: list[bytes | Waiting | None],
        listener: str,
        now: float,
        *,
        same: bool,
    ) -> Iterator[tuple[bytes, tuple[str, str]]]:
        """Put what waited for a gateway's kernel into its place; gives what their events say, and of which kind they are.

        `same`: the policy that it was decided by is still in force.
        """
        permitted, trouble = False, None
        try:
            permitted = same and self._permitted(listener, [(seat, found) for _, _, seat, found in held], now)
        except Exception as error:  # noqa: BLE001 - the enforcing edge: whatever it is, the answer is no
            trouble = error
        for place, packet, seat, (reply, written, kind, _) in held:
            address = seat.who[5]
            if trouble:
                replies[place] = self._telling.refused(packet, address, trouble, now)
            elif permitted:
                replies[place] = reply if len(reply) <= LARGE else self._moderation.moderated(packet, reply, address, now)
                yield seat.opening + written, kind
            else:
                replies[place] = self._the_long_way(packet, listener, address, seat, now, tcp=False)

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
        if seat.client is None and not tcp and self._moderation.silent(address, now):
            return None  # neither told nor recorded
        try:
            query = codec.parse(packet)
            if query.edns and (query.edns.cookie or query.edns.keepalive or query.edns.padded):
                query = replace(query, edns=self._moderation.greeted(query.edns, listener, address, now, tcp=tcp))
        except Malformed as error:
            self.counters.dropped["malformed"] += 1
            what = ("block", "", Reason.ERROR, "", "", "", 0, error.outcome, f"malformed: {error}")
            self._telling.query(now, seat, "", what)
            return error.reply if seat.client else None  # a stranger gets nothing for it
        except Exception as error:  # noqa: BLE001 - as above
            return self._telling.refused(packet, address, error, now)
        return self._conclude(Waiting(query, packet, listener, address, tcp), None, now)

    async def later(self, waiting: Waiting) -> bytes | None:
        """Ask an upstream, and conclude under the policy that is in force when its answer has come."""
        began = time.monotonic()
        reply = await self._later(waiting)
        self.counters.took(time.monotonic() - began)
        if reply is not None and not waiting.tcp and len(reply) > LARGE:
            return self._moderation.moderated(waiting.packet, reply, waiting.address, self._clock())
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
            return self._telling.refused(waiting.packet, waiting.address, error, self._clock())

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
                alone = by_rule_book_alone(snapshot, query, client, said, at)
                self.counters.replies["ourselves"] += 1
                return self._say(waiting, seat, ours(query, said, now, self._ways, blocked=alone), now)
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
                what = describe(query, said.decision, said.decision.action, "SERVFAIL", got.text)
                return self._say(waiting, seat, Made(codec.error(query, codec.SERVFAIL, got), what, until=now), now)
            said = screened(snapshot, query, client, got.answer, said, at=at, ways=self._ways)
            if isinstance(said, Reply):
                made = ours(query, said, now, self._ways, until=got.at + got.answer.lifetime)
                return self._say(waiting, seat, made, now)
            way: Wanted | Way | None = None
            if self.steering and client.forced:
                way = self.steering.way(waiting.listener, waiting.address, query, said, got.answer, asked=False)
                if isinstance(way, Wanted) and self.steering.had((way,)):
                    way = self.steering.way(waiting.listener, waiting.address, query, said, got.answer, asked=True)
            if isinstance(way, Wanted):
                return replace(waiting, wanted=way, held=(snapshot, said, got))
            return self._pass_on(waiting, seat, said, got, way, now)
        except Exception as error:  # noqa: BLE001 - the enforcing edge: whatever it is, the answer is no
            return self._telling.refused(waiting.packet, waiting.address, error, now)

    def _to_ask(self, waiting: Waiting, seat: Seat, said: Forward, now: float) -> bytes | Waiting:
        """A name that the cache does not know: an upstream is asked, unless it is one of a tunnel's."""
        unheard = self._new_names.noticed(waiting.query.name) and said.decision.reason is Reason.UNKNOWN_NAME
        attempt = "tunnel" if self._tunnels.noticed(waiting.address, waiting.query.name, now) else ""
        attempt = attempt or ("new name" if unheard else "")
        if attempt == "tunnel" and self._block_tunnels:
            made = ours(waiting.query, tunnelled(waiting.query, self._ways), now, self._ways, until=now)
            return self._say(waiting, seat, made, now)
        return replace(waiting, asked=said.instead, attempt=attempt)

    # --- replies ---

    def _say(self, waiting: Waiting, seat: Seat, made: Made, now: float) -> bytes:
        """Record a reply, and keep it ready if it may be said again.

        To what looks like a way round the filter: the event says which way, and the client's score with it. What is kept
        ready says the way without the score, which is the client's own.
        """
        host, what = waiting.query.name or ".", made.what
        if not made.attempt:
            self._telling.query(now, seat, host, what)
        else:
            scored = attempts.told(made.attempt, self._scores.note(waiting.address, made.attempt, now))
            self._telling.query(now, seat, host, (*what[:-1], f"{what[-1]}; {scored}"))
            made = replace(made, what=(*what[:-1], f"{what[-1]}; {attempts.told(made.attempt)}"))
        if made.until > now and seat.client:
            form = made.form(waiting.query, self._worker)
            self._ready.keep(waiting.packet, waiting.query, seat, form, blocked=made.blocked)
        return made.wire

    def _after_asking(self, waiting: Waiting, now: float) -> bytes | Waiting | None:
        """What a gateway's kernel had to know was asked for: the answer that was held back, unless policy has changed."""
        if waiting.held is None or self.steering is None or waiting.held[0] is not self._follow_snapshot():
            return None
        _, said, got = waiting.held
        way = self.steering.way(waiting.listener, waiting.address, waiting.query, said, got.answer, asked=True)
        seat = self._seat(waiting.listener, waiting.address, waiting.tcp)
        return self._pass_on(waiting, seat, said, got, way, now) if isinstance(way, Way) else None

    def _pass_on(self, waiting: Waiting, seat: Seat, said: Forward, stored: Stored, way: Way | None, now: float) -> bytes:
        """An upstream's answer."""
        made = passed_on(waiting.query, said, stored, way, now, self._ways, tcp=waiting.tcp)
        if waiting.attempt:
            made = replace(made, attempt=waiting.attempt, until=now)
        return self._say(waiting, seat, made, now)

    # --- what is remembered ---

    def _forget(self) -> None:
        """At the next question. What was rehearsed may rest on addresses that stand for other names now."""
        self._snapshot = self._rehearsal = None

    def _now(self) -> float:
        """The time. When the clock was set back, nothing that was made in what is now the future is said again."""
        now = self._clock()
        if now < self._latest:
            self._ready.clear()
            self._rehearsal = None
        self._latest = now
        return now

    def _follow_snapshot(self) -> Snapshot:
        """The policy in force, and with other people at the addresses, who sat there is forgotten."""
        snapshot = self._live.snapshot
        presence = snapshot.clients.presence
        try:
            if snapshot is not self._snapshot:
                self._turn_to(snapshot)
            if (version := presence.version) != self._present:
                changed = presence.since(self._present)
                self._seats.clear() if changed is None else self._seats.leave(changed)
                if self.steering:
                    self.steering.turned(changed)
                self._present = version  # from before `since`: what came in between is seen the next time
        except BaseException:
            self._snapshot = self._rehearsal = None  # nothing that was remembered is used: the next question begins afresh
            raise
        return snapshot

    def _turn_to(self, snapshot: Snapshot) -> None:
        """Another policy is in force: what rests on the old one is forgotten, what was rehearsed takes its place."""
        old, coming, self._rehearsal = self._snapshot, self._rehearsal, None
        self._snapshot, self._present = snapshot, snapshot.clients.presence.version
        if coming and coming.snapshot is snapshot:
            self._seats, self._present = coming.seats, coming.present
        else:
            self._seats = self._seats_under(snapshot, old)
        if not self._seats.some_stayed:
            self._ready.clear()
        if coming and coming.snapshot is snapshot:
            coming.ready.give(self._ready)
        if self.steering and self._seats.steered:
            self.steering.follow(self._seats.steered)

    def _seats_under(self, snapshot: Snapshot, old: Snapshot | None) -> Seats:
        """The seats under another policy, empty. On a gateway nobody keeps a number: what the kernel was told is over."""
        if self.steering:
            return Seats(self.steering.networks_under(snapshot))
        return self._seats.following(old, snapshot) if old else Seats(None)

    def rehearsal(self, snapshot: Snapshot) -> Rehearsal | None:
        """What makes ready for a policy that is about to come into force, hearing from now on what is asked.

        None before the first question.
        """
        if self._snapshot is None:
            return None
        seats = self._seats_under(snapshot, self._snapshot)
        self._rehearsal = Rehearsal(snapshot, seats, self._fetching.cache, self._ways, self._worker, self.steering)
        return self._rehearsal

    async def rehearse(self, snapshot: Snapshot) -> None:
        """The same, until what matters is ready."""
        if coming := self.rehearsal(snapshot):
            await coming.listen(self._clock)

    def _seat(self, listener: str, address: str, tcp: bool) -> Seat:
        """Who asks."""
        snapshot = self._follow_snapshot()  # first: with another policy come other seats
        return self._seats.of(snapshot, listener, address, tcp)
