"""What an upstream says is judged before it goes out: a name that may be opened must not lead to what may not. Pure."""

from dataclasses import replace
from datetime import datetime

from dns import codec, rewrite
from dns.codec import Answer, Query
from dns.inner import INNER_ADDRESS, inner_address
from dns.respond import Forward, Reply, Ways, blocked, canonical, listed, odd_name, question
from policy.decide import REFUSED_ON_ERROR, Decision, Reason, decide
from policy.identity import Client
from policy.rules import Action
from policy.snapshot import Snapshot

MOST_ADDRESSES = 32  # of an answer that are looked up in the lists; real answers have up to eight


def screened(
    snapshot: Snapshot, query: Query, client: Client, answer: Answer, passed: Forward, *, at: datetime, ways: Ways
) -> Reply | Forward:
    """What an answer to a query that `passed` comes to: still to be passed on, perhaps changed, or a refusal.

    The targets of CNAME, DNAME, SVCB and HTTPS records are decided upon for this client (CNAME cloaking), and so are its
    addresses as far as lists or rules name them. Addresses in private networks are refused (DNS rebinding), except in the
    school's own zones. Essential sites are not judged by where they lead: half of them stand on somebody else's machines.
    """
    decision = passed.decision
    for target in answer.targets:
        via = f"via {target}"
        if not canonical(target):
            return odd_name(query, ways, via)
        found = decide(snapshot, question(client, target, at))
        if found.action is Action.BLOCK and _counts(found, decision):
            return blocked(snapshot, query, client, found, at=at, ways=ways, detail=via)
        decision = _resting_on(decision, found)
    inside = ways.local.asked_inside(query.name)
    if not inside and (address := inner_address(answer.addresses, ways.inner_networks)):
        wire = codec.absent(query, codec.NXDOMAIN, ways.ttl_block_s, INNER_ADDRESS)
        detail = f"leads to {address}"
        return Reply(wire, "NXDOMAIN", REFUSED_ON_ERROR, refused=True, detail=detail, attempt="rebinding")
    for address in answer.addresses[:MOST_ADDRESSES]:
        listing = listed(snapshot, client, address, at)
        if listing and _counts(listing, decision):
            return blocked(snapshot, query, client, listing, at=at, ways=ways, detail=f"leads to {address}")
    passed = replace(passed, decision=decision)
    if passed.instead:
        return replace(passed, changed=rewrite.led(query, passed.instead.name, answer))
    if query.qtype in (codec.HTTPS, codec.SVCB):  # of what passes the proxy unopened too: it must see the greeting's name
        return replace(passed, changed=rewrite.unhidden(query, answer))
    return passed


def _counts(found: Decision, of_the_name: Decision) -> bool:
    """Does a block of where a name leads count? Of an essential name only what nobody may open."""
    return of_the_name.reason is not Reason.ESSENTIAL or found.reason is Reason.SEALED


def _resting_on(decision: Decision, found: Decision) -> Decision:
    """The decision, for no longer than the other one holds too."""
    if found.until and (decision.until is None or found.until < decision.until):
        return replace(decision, until=found.until)
    return decision
