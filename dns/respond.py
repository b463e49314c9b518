"""What to do with a query: answer it ourselves, or let it be resolved. Pure: time, policy and client come in as arguments.

Read `respond`. What an upstream then says is judged in screen.py. Both ask `policy.decide`, and nothing else decides.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from category_lists.names import NameRefused, canonical_host
from dns import codec
from dns.codec import Ede, Query
from policy.decide import REFUSED_ON_ERROR, Decision, Question, Reason, decide
from policy.identity import Client
from policy.rules import Action
from policy.snapshot import Snapshot
from policy.words import WHY, because

OUR_NAME: Final = "schoolgate.internal"
OUR_TTL: Final = 60
CANARIES: Final = frozenset(  # a network says with NXDOMAIN that it filters, and that browsers should not go round it
    {
        "use-application-dns.net",  # Firefox
        "mask.icloud.com",  # Apple's Private Relay
        "mask-h2.icloud.com",
    }
)
ODD_NAME: Final = Ede(codec.BLOCKED, "This is not a name that a browser could look up.")
COULD_NOT_DECIDE: Final = Ede(codec.BLOCKED, WHY[Reason.ERROR])
BLOCKLISTS: Final = frozenset({Reason.SEALED, Reason.AUTHORITY_SITE, Reason.AUTHORITY_CATEGORY, Reason.ERROR})


@dataclass(frozen=True, slots=True)
class Ways:
    """How we answer: the part of the settings that a reply is made of (settings.py says what each is)."""

    page_addresses: tuple[str, ...] = ("127.0.0.1",)
    ttl_block_s: int = 5
    ttl_allow_max_s: int = 60
    inner_networks: tuple[IPv4Network | IPv6Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """These bytes go back at once; `outcome` and `detail` are for the event."""

    wire: bytes
    outcome: str
    decision: Decision | None = None  # None: no matter of policy
    refused: bool = False
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Forward:
    """The name may be resolved: from the cache, or by an upstream."""

    decision: Decision


def respond(snapshot: Snapshot, query: Query, client: Client | None, at: datetime, ways: Ways) -> Reply | Forward:
    """What this client gets for this query. Raises whatever `decide` raises; the edge then refuses (answers.py)."""
    if client is None:  # a public address of no school: we are no open resolver
        return Reply(codec.error(query, codec.REFUSED), "refused", refused=True)
    if query.qclass != codec.IN or query.qtype in codec.NOT_RESOLVED:  # version.bind, zone transfers
        return Reply(codec.error(query, codec.REFUSED), "refused", refused=True)
    if query.name == OUR_NAME or query.name.endswith("." + OUR_NAME):
        return Reply(codec.pointing(query, ways.page_addresses, OUR_TTL), "NOERROR", detail="our own name")
    if query.name in CANARIES:
        return Reply(codec.absent(query, codec.NXDOMAIN, ways.ttl_block_s), "NXDOMAIN", refused=True, detail="canary")
    if not canonical(query.name):
        return odd_name(query, ways)
    decision = decide(snapshot, question(client, query.name, at))
    if decision.action is Action.BLOCK:
        return blocked(snapshot, query, client, decision, at=at, ways=ways)
    if query.qtype == codec.ANY:
        return Reply(codec.minimal_any(query, ways.ttl_allow_max_s), "NOERROR", decision)
    return Forward(decision)


def by_rule_book(name: str) -> bool:
    """Is what a canonical name gets a matter of `decide` alone, for every type that may be resolved? See `respond`."""
    return name not in CANARIES and not name.endswith(OUR_NAME)


def canonical(name: str) -> bool:
    """Is a name what every other part of the product would call it? One that reads in two ways could be judged as the other.

    The root is: it is asked for by validating resolvers, and is in no list.
    """
    try:
        return not name or canonical_host(name) == name
    except NameRefused:
        return False


def question(client: Client, host: str, at: datetime) -> Question:
    """DNS asks without a path; on networks whose web traffic is forced through the proxy, a question with one follows."""
    return Question(client.school, client.group, host, at, None, client.forced, client.person)


def odd_name(query: Query, ways: Ways, detail: str = "odd name") -> Reply:
    """Spaces, escapes, binary labels: legal in DNS, but no site, and nothing that a rule could speak of."""
    wire = codec.absent(query, codec.NXDOMAIN, ways.ttl_block_s, ODD_NAME)
    return Reply(wire, "NXDOMAIN", REFUSED_ON_ERROR, refused=True, detail=detail)


def blocked(
    snapshot: Snapshot, query: Query, client: Client, decision: Decision, *, at: datetime, ways: Ways, detail: str = ""
) -> Reply:
    """The answer for a blocked name as the school chose it, the same for every type: none may leak past the block."""
    profile = snapshot.profile(client.school, client.group)
    ttl = remaining(decision, at, ways.ttl_block_s)
    ede = None
    if query.edns:
        code = codec.BLOCKED if decision.reason in BLOCKLISTS else codec.FILTERED
        ede = Ede(code, because(snapshot, profile, decision))
    write = _WAYS[profile.blocked_answer]
    rcode = "NXDOMAIN" if profile.blocked_answer == "nxdomain" else "NOERROR"
    return Reply(write(query, ways, ttl, ede), rcode, decision, refused=True, detail=detail)


def _page(query: Query, ways: Ways, ttl: int, ede: Ede | None) -> bytes:
    return codec.pointing(query, ways.page_addresses, ttl, ede)


def _nxdomain(query: Query, _: Ways, ttl: int, ede: Ede | None) -> bytes:
    return codec.absent(query, codec.NXDOMAIN, ttl, ede)


def _null(query: Query, _: Ways, ttl: int, ede: Ede | None) -> bytes:
    return codec.pointing(query, ("0.0.0.0", "::"), ttl, ede)  # noqa: S104 - not listened on: nowhere


_WAYS: Final[dict[str, Callable[[Query, Ways, int, Ede | None], bytes]]] = {
    "page": _page,
    "nxdomain": _nxdomain,
    "null": _null,
}


def remaining(decision: Decision, at: datetime, most: int) -> int:
    """The TTL that an answer may have: at most `most`, and never past the instant at which time alone changes it."""
    if decision.until is None:
        return most
    return max(0, min(most, int((decision.until - at).total_seconds())))


def could_not_decide(query: Query) -> Reply:
    """Fail closed: SERVFAIL, and an event that says why."""
    return Reply(codec.error(query, codec.SERVFAIL, COULD_NOT_DECIDE), "SERVFAIL", REFUSED_ON_ERROR, refused=True)
