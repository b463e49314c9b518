"""What to do with a query: answer it ourselves, or let it be resolved. Pure: time, policy and client come in as arguments.

Read `respond`. What an upstream then says is judged in screen.py. Both ask `policy.decide`, and nothing else decides.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from category_lists import embedded
from category_lists.names import NameRefused, canonical_host
from dns import bypass, codec, local, rewrite
from dns.codec import Answer, Ede, Query
from dns.inner import INNER_ADDRESS, inner_address
from dns.local import Local
from policy.decide import REFUSED_ON_ERROR, Decision, Question, Reason, decide
from policy.identity import Client
from policy.rules import Action, SchoolPolicy
from policy.snapshot import Snapshot
from policy.words import WHY, because

OUR_NAME: Final = "schoolgate.internal"
OUR_TTL: Final = 60
CANARIES: Final = frozenset(  # a network says with NXDOMAIN that it filters, and that browsers should not go round it
    {
        "use-application-dns.net",  # Firefox
        "mask.icloud.com",  # Apple's Private Relay
        "mask-h2.icloud.com",
        "mask-api.icloud.com",
        "mask.apple-dns.net",
        "mask-t.apple-dns.net",
        "mask-api.fe.apple-dns.net",
    }
)
ODD_NAME: Final = Ede(codec.BLOCKED, "This is not a name that a browser could look up.")
_NOT_DECIDED: Final = (OUR_NAME, local.DESIGNATION, local.TOR, *CANARIES)  # and what only ends like these, to be quick
OUT_OF_USE: Final = Ede(codec.FILTERED, "This network filters names; other ways to look them up are closed.")
TUNNEL: Final = Ede(codec.BLOCKED, "Names like this one carry data past the filter.")
LED: Final = Ede(codec.FORGED, "Safe search is on: this name leads to the engine's own safe one.")
COULD_NOT_DECIDE: Final = Ede(codec.BLOCKED, WHY[Reason.ERROR])
BLOCKLISTS: Final = frozenset({Reason.SEALED, Reason.AUTHORITY_SITE, Reason.AUTHORITY_CATEGORY, Reason.ERROR})


@dataclass(frozen=True, slots=True)
class Ways:
    """How we answer: the part of the settings that a reply is made of (settings.py says what each is)."""

    page_addresses: tuple[str, ...] = ("127.0.0.1",)
    ttl_block_s: int = 5
    ttl_allow_max_s: int = 60
    inner_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    local: Local = field(default_factory=Local)


@dataclass(frozen=True, slots=True)
class Reply:
    """These bytes go back at once; `outcome` and `detail` are for the event."""

    wire: bytes
    outcome: str
    decision: Decision | None = None  # None: no matter of policy
    refused: bool = False
    detail: str = ""
    attempt: str = ""  # the way round the filter that was tried, as bypass.py calls it


@dataclass(frozen=True, slots=True)
class Forward:
    """The name may be resolved: from the cache, or by an upstream."""

    decision: Decision
    instead: Query | None = None  # what is asked in its place: the engine's safe name
    changed: Answer | None = None  # what goes out in the place of what came, once that was screened
    ede: Ede | None = None
    detail: str = ""


def respond(snapshot: Snapshot, query: Query, client: Client | None, at: datetime, ways: Ways) -> Reply | Forward:
    """What this client gets for this query. Raises whatever `decide` raises; the edge then refuses (answers.py)."""
    if client is None:  # a public address of no school: we are no open resolver
        return Reply(codec.error(query, codec.REFUSED), "refused", refused=True)
    if query.qclass != codec.IN or query.qtype in codec.NOT_RESOLVED:  # version.bind, zone transfers
        attempt = "transfer" if query.qclass == codec.IN else "other class"
        return Reply(codec.error(query, codec.REFUSED), "refused", refused=True, attempt=attempt)
    if query.name == OUR_NAME or query.name.endswith("." + OUR_NAME):
        return Reply(codec.pointing(query, ways.page_addresses, OUR_TTL), "NOERROR", detail="our own name")
    if reply := other_ways(query, ways):
        return reply
    if not canonical(query.name):
        return odd_name(query, ways)
    decision = decide(snapshot, question(client, query.name, at))
    if decision.action is Action.BLOCK:
        return blocked(snapshot, query, client, decision, at=at, ways=ways)
    if reply := private_inside(query, ways):
        return reply
    if own := ways.local.answer(query):
        return Reply(own[0], codec.rcode_text(own[0][3] & 0xF), decision, detail=own[1])
    if query.qtype == codec.ANY:
        return Reply(codec.minimal_any(query, ways.ttl_allow_max_s), "NOERROR", decision)
    if safe := snapshot.profile(client.school, client.group).led(query.name):
        return led(query, decision, safe, at, ways)
    return Forward(decision)


def other_ways(query: Query, ways: Ways) -> Reply | None:
    """Names by which devices look for another resolver than this one: none is there."""
    if local.under(query.name, CANARIES):
        wire = codec.absent(query, codec.NXDOMAIN, ways.ttl_block_s, OUT_OF_USE)
        return Reply(wire, "NXDOMAIN", refused=True, detail="canary", attempt="canary")
    if local.under(query.name, (local.DESIGNATION,)):  # RFC 9462 6.4: nobody stands for us
        wire = codec.absent(query, codec.NOERROR, ways.ttl_block_s, OUT_OF_USE)
        return Reply(wire, "NOERROR", refused=True, detail="designates nobody", attempt="designation")
    if local.under(query.name, (local.TOR,)):  # RFC 7686 2
        wire = codec.absent(query, codec.NXDOMAIN, ways.ttl_block_s, OUT_OF_USE)
        return Reply(wire, "NXDOMAIN", refused=True, detail="a Tor name", attempt="tor")
    return None


def private_inside(query: Query, ways: Ways) -> Reply | None:
    """A refusal of a name that holds an address of a private network; `decide` judges all else that stands inside."""
    address = inner_address(embedded.addresses_in(query.name), ways.inner_networks)
    if address is None:
        return None
    wire = codec.absent(query, codec.NXDOMAIN, ways.ttl_block_s, INNER_ADDRESS)
    detail = f"holds {address}"
    return Reply(wire, "NXDOMAIN", REFUSED_ON_ERROR, refused=True, detail=detail, attempt="address inside")


def listed(snapshot: Snapshot, client: Client, address: str, at: datetime) -> Decision | None:
    """The decision that blocks an address, if something is said of this very address; few are in any list."""
    found = decide(snapshot, question(client, address, at))
    return found if found.action is Action.BLOCK and found.reason is not Reason.UNKNOWN_NAME else None


def led(query: Query, decision: Decision, safe: str, at: datetime, ways: Ways) -> Reply | Forward:
    """The engine's own name for safe search in the place of this one."""
    detail = f"led to {safe}"
    if query.qtype in (codec.A, codec.AAAA):
        return Forward(decision, instead=rewrite.instead(query, safe), ede=LED, detail=detail)
    answer = rewrite.led(query, safe, None)
    ttl = remaining(decision, at, ways.ttl_block_s)
    wire = codec.relay(query, answer, age=0, ttl_max=ttl, limit=query.size, ede=LED)
    return Reply(wire, "NOERROR", decision, detail=detail)


def by_rule_book(name: str) -> bool:
    """Is what a canonical name gets a matter of `decide` alone, for every type that may be resolved? See `respond`."""
    return not name.endswith(_NOT_DECIDED)


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
    return Reply(wire, "NXDOMAIN", REFUSED_ON_ERROR, refused=True, detail=detail, attempt="odd name")


def blocked(
    snapshot: Snapshot, query: Query, client: Client, decision: Decision, *, at: datetime, ways: Ways, detail: str = ""
) -> Reply:
    """The answer for a blocked name as the school chose it, the same for every type: none may leak past the block."""
    profile = snapshot.profile(client.school, client.group)
    ttl = remaining(decision, at, ways.ttl_block_s)
    ede = None
    if query.edns:
        code = codec.BLOCKED if decision.reason in BLOCKLISTS else codec.FILTERED
        ede = Ede(code, _reason(query.edns, because(snapshot, profile, decision), snapshot.schools.get(client.school)))
    write = _WAYS[profile.blocked_answer]
    rcode = "NXDOMAIN" if profile.blocked_answer == "nxdomain" else "NOERROR"
    return Reply(
        write(query, ways, ttl, ede), rcode, decision, refused=True, detail=detail, attempt=attempted(query, decision)
    )


def _reason(edns: codec.Edns, text: str, school: SchoolPolicy | None) -> str:
    """Why, in a sentence; as JSON for a client that has said that it reads that."""
    if not edns.structured:
        return text
    said = {"j": text, "l": "en-GB", **({"o": school.name} if school else {})}
    made = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
    return made if len(made.encode()) <= codec.LONGEST_TEXT else text


def attempted(query: Query, decision: Decision) -> str:
    """Which way round the filter a blocked name is, "" if it is none."""
    if embedded.hosts_in(query.name):
        return "name inside" if embedded.name_in(query.name) else "address inside"
    return "search" if decision.reason is Reason.SAFE_SEARCH else bypass.BY_CATEGORY.get(decision.category or "", "")


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


def tunnelled(query: Query, ways: Ways) -> Reply:
    """A name that looks like a piece of something smuggled out, where the school chose to stop that."""
    wire = codec.absent(query, codec.NXDOMAIN, ways.ttl_block_s, TUNNEL)
    return Reply(wire, "NXDOMAIN", REFUSED_ON_ERROR, refused=True, detail="looks like data in names", attempt="tunnel")


def could_not_decide(query: Query) -> Reply:
    """Fail closed: SERVFAIL, and an event that says why."""
    return Reply(codec.error(query, codec.SERVFAIL, COULD_NOT_DECIDE), "SERVFAIL", REFUSED_ON_ERROR, refused=True)
