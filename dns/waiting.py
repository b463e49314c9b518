"""A query that cannot be answered at once, and what an event says of a reply."""

from dataclasses import dataclass

from dns import codec
from dns.cache import Stored
from dns.codec import Query
from dns.respond import Forward
from dns.steering import Wanted
from policy.decide import Decision
from policy.snapshot import Snapshot

type What = tuple[str, str, str, str, str, str, int, str, str]  # action, handling, reason ... change, outcome, detail


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
    wanted: Wanted | None = None  # what a gateway's kernel has to know first (steering.py)
    held: tuple[Snapshot, Forward, Stored] | None = None  # and what was decided meanwhile


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
