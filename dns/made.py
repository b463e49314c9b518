"""A reply as it leaves, what its event says, and for how long it may be said again. Pure: time and policy are arguments.

Made from what `respond` or `screened` said, whether somebody has asked just now or a new policy is rehearsed (rehearsal.py).
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from dns import codec
from dns.cache import Stored
from dns.codec import Ede, Query
from dns.ready import Form
from dns.respond import Forward, Reply, Ways, question, remaining
from dns.steering import Needs, Way
from dns.waiting import What, describe
from policy.decide import decide
from policy.event import ending
from policy.identity import Client
from policy.rules import Action
from policy.snapshot import Snapshot

FOREVER: Final = float("inf")
LARGEST_MESSAGE: Final = 65_535
STALE: Final = Ede(codec.STALE, "No resolver can be reached just now; this is what the last one said.")


@dataclass(frozen=True, slots=True)
class Made:
    """`until`: no longer said again; in the past, said this once."""

    wire: bytes
    what: What
    until: float
    blocked: bool = False  # by the rule book, and with nothing said that is this name's alone
    attempt: str = ""  # the way round the filter that was tried
    needs: Needs | None = None  # what a gateway's kernel must know of each client who gets it

    def form(self, query: Query, worker: str) -> Form:
        """As it is kept ready."""
        end = 11 + len(query.qname)
        written = ending(query.name or ".", "", "", *self.what, worker)
        return Form(self.until, self.wire[2:12], self.wire[end:], written, (self.what[0], self.what[2]), self.needs)


def ours(query: Query, said: Reply, now: float, ways: Ways, *, until: float = FOREVER, blocked: bool = False) -> Made:
    """A reply of our own. It says the same until its TTL would reach past the decision's `until`.

    One to what looks like a way round the filter is said again for a second only: so a program that tries a thousand times a
    second is answered fast, and one that tries on is still counted.
    """
    decision = said.decision
    if decision and decision.until:
        until = min(until, decision.until.timestamp() - ways.ttl_block_s)
    if said.attempt:
        until = min(until, now + 1)
    action = decision.action if decision else Action.BLOCK if said.refused else Action.ALLOW
    return Made(said.wire, describe(query, decision, action, said.outcome, said.detail), until, blocked, said.attempt)


def by_rule_book_alone(snapshot: Snapshot, query: Query, client: Client | None, said: Reply, at: datetime) -> bool:
    """May this block be the form of all names that are blocked alike?"""
    return (
        said.refused
        and client is not None
        and not said.detail
        and not said.attempt  # each of these is the client's own matter: it has a score
        and said.decision == decide(snapshot, question(client, query.name, at))
    )


def relayed(query: Query, said: Forward, stored: Stored, now: float, ways: Ways, *, tcp: bool) -> Made:
    """An upstream's answer. It stays the same while all its TTLs are above the cap, else for a second."""
    answer, decision = said.changed or stored.answer, said.decision
    ttl = remaining(decision, datetime.fromtimestamp(now, UTC), ways.ttl_allow_max_s)
    limit = LARGEST_MESSAGE if tcp else query.size
    ede = said.ede or (None if stored.fresh else STALE)
    wire = codec.relay(query, answer, age=stored.age(now), ttl_max=ttl, limit=limit, ede=ede)
    lowest = min((ttl for _, ttl in answer.ttls), default=0)
    until = min(max(now + 1, stored.at + lowest - ttl), stored.at + answer.lifetime)
    if decision.until:
        until = min(until, decision.until.timestamp() - ways.ttl_allow_max_s)
    return Made(wire, describe(query, decision, decision.action, codec.rcode_text(answer.rcode), said.detail), until)


def passed_on(query: Query, said: Forward, stored: Stored, way: Way | None, now: float, ways: Ways, *, tcp: bool) -> Made:
    """An upstream's answer, the way that it takes where a gateway's kernel steers."""
    if way is None or way.wire is None:
        made = relayed(query, said, stored, now, ways, tcp=tcp)
        return replace(made, needs=way.needs) if way else made
    return Made(way.wire, describe(query, said.decision, said.decision.action, "NOERROR", "seen by the proxy"), way.until)
