"""On what authority an entry changes a policy: the signatures, mandates, delegations and subscriptions that it rests on.

What an entry and a signature *are* stands in `proof.py`. Here is what must be signed by whom, over what, so that an entry
counts; and with that the check of a whole published part, which every worker makes before it obeys. Each function takes the
entry and those that it refers to; none looks anything up. How a signature's arithmetic is done is handed in as `holds`: at
once by default, which is what every worker does. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from policy import passages
from policy.bounds import opening, outside
from policy.proof import (
    Entry,
    Holds,
    ProofRefused,
    canonical_part,
    decoded,
    digest,
    leaf_hash,
    origin,
    parse_entry,
    read_checkpoint,
    root_from_inclusion,
    signature_holds,
    signed_by,
)
from policy.rebuild import takes_back

TAKEN_IN = frozenset({"dictionary", "authority"})  # what a mandate lets through though it is no rule of a site
TWO_PERSON_KINDS = frozenset({"sealed"})  # whoever asks, the head and a second person sign
HARMLESS = frozenset({"blocked_answer"})  # settings that decide nothing
SECOND_ROLES = frozenset({"deputy", "chair_of_governors", "la_officer"})  # who may agree to the head's own request


def undone(diff: Mapping[str, Any]) -> dict[str, Any]:
    """The diff that undoes a diff: what was added is removed, what was set is set back."""
    return {
        "kind": "reverse",
        "change": diff["change"],
        "add": diff["remove"],
        "remove": diff["add"],
        "set": {name: [new, old] for name, (old, new) in diff["set"].items()},
    }


def tightens(diff: Mapping[str, Any]) -> bool:
    """Is it proven that no question gets a weaker answer? Only what stops comes, only what opens goes, nothing else moves.

    INVARIANT: an allow is the weakest answer and a block the strongest, so whatever other rules say once an allow is gone
    or a block has come is at least as strict. A suspension only blocks, and what its coursework list spares is answered as
    it is without one. The words in which DNS refuses open nothing. A network's passage is compared with the one before it,
    port by port. Nothing else is taken as proven: networks, groups,
    timetables, never-inspect entries and settings move questions between rules, so they wait.
    """
    if diff["kind"] in {"founding", "subscription"} or set(diff["set"]) - HARMLESS:
        return False
    if not passages.tightens(diff["add"].get("passages", ()), diff["remove"].get("passages", ())):
        return False
    return all(_stops(name, value) for name, values in diff["add"].items() for value in values) and all(
        _opens(name, value) for name, values in diff["remove"].items() for value in values
    )


def _stops(collection: str, value: Mapping[str, Any]) -> bool:
    if collection in {"site_rules", "category_rules"}:
        return bool(value["action"] == "block")
    return collection in {"suspensions", "passages"}  # of those each has been compared with what it replaces


def _opens(collection: str, value: Mapping[str, Any]) -> bool:
    if collection in {"site_rules", "category_rules"}:
        return bool(value["action"] == "allow")
    return collection in {"coursework", "passages"}


def references(entry: Entry) -> set[int]:
    """The numbers of the entries that an entry rests on directly: who was enrolled, which mandate, what it lets lapse."""
    rests = entry.get("rests_on") or {}
    signatures = rests.get("signatures") or ()
    found = {int(signature[name]) for signature in signatures for name in ("enrolled", "passkey") if name in signature}
    return found | {int(rests[name]) for name in ("mandate", "subscription", "of", "invited", "delegation") if name in rests}


def head_role(entry: Entry) -> str:
    """Whose signature a log's entries rest on: a school's headteacher, or the authority's officer for its own log."""
    return "la_officer" if entry.get("tier") == "authority" else "headteacher"


def check_authority(entry: Entry, known: Mapping[int, Entry], holds: Holds = signature_holds) -> None:
    """Does this policy-changing entry rest on the authority that it names? `known` holds the entries it refers to.

    INVARIANT: an entry that changes a policy carries the head's signature over its own diff, or rests on a mandate that
    carries one and covers this kind, this actor and this moment. Only the first entry of a log (its founding, before
    there is a head) does without.
    """
    rests = entry.get("rests_on") or {}
    if rests.get("founding"):
        if entry.get("n") != 0:
            raise ProofRefused("only the first entry of a log may be its founding")
        return
    if "mandate" in rests:
        _check_mandate(entry, rests, known, holds)
        return
    if "subscription" in rests:
        _check_update(entry, rests, known, holds)
        return
    diff = entry["diff"]
    if diff["kind"] == "head":
        _check_replacement(entry, rests, known, holds)
        return
    check_signatures(
        entry, rests.get("signatures") or (), digest(canonical_part(diff)), known, kind=str(diff["kind"]), holds=holds
    )


def check_signatures(
    entry: Entry,
    signatures: Sequence[Mapping[str, Any]],
    over: str,
    known: Mapping[int, Entry],
    *,
    kind: str = "",
    holds: Holds = signature_holds,
) -> None:
    """The head signed this; and when she asked for it herself, so did the named second person.

    A person to whom she delegated changes of this `kind` may sign in her place; never what either of them asked for.
    """
    signers = _signers(entry, signatures, over, known, holds)
    asker = entry.get("requested_by")
    heads = {person for person, roles in signers.items() if head_role(entry) in roles}
    if not heads and kind and kind not in TWO_PERSON_KINDS and "delegation" in (entry.get("rests_on") or {}):
        _check_delegation(entry, signers, known, kind, holds)
        return
    if not heads:
        raise ProofRefused(f"entry {entry.get('n')} is not signed by the {head_role(entry).replace('_', ' ')}")
    two = (entry.get("diff") or {}).get("kind") in TWO_PERSON_KINDS
    for head in heads & {asker} or (heads if two else ()):
        if not any(roles & SECOND_ROLES for person, roles in signers.items() if person != head):
            raise ProofRefused(f"entry {entry.get('n')} was signed by the same person alone")


def _signers(
    entry: Entry, signatures: Sequence[Mapping[str, Any]], over: str, known: Mapping[int, Entry], holds: Holds
) -> dict[str, set[str]]:
    """Who signed this very thing, with the roles of the enrolments that they signed under."""
    signers: dict[str, set[str]] = {}
    for signature in signatures:
        enrolled = known.get(int(signature.get("enrolled", -1)))
        passkey = known.get(int(signature.get("passkey", -1)))
        if enrolled is None or not signed_by(entry, signature, over, enrolled, passkey, holds):
            raise ProofRefused(f"entry {entry.get('n')} carries a signature that does not hold")
        signers.setdefault(str(signature["person"]), set()).update(enrolled.get("roles") or ())
    return signers


def _check_delegation(
    entry: Entry, signers: Mapping[str, set[str]], known: Mapping[int, Entry], kind: str, holds: Holds
) -> None:
    number = entry.get("n")
    delegation = known.get(int(entry["rests_on"]["delegation"]))
    if delegation is None or delegation.get("kind") != "delegation.signed" or int(delegation["n"]) >= int(entry["n"]):
        raise ProofRefused(f"entry {number} names a delegation that is not there")
    terms = delegation["delegation"]
    check_signatures(delegation, delegation["rests_on"]["signatures"], digest(canonical_part(terms)), known, holds=holds)
    if terms["person"] not in signers:
        raise ProofRefused(f"entry {number} is not signed by the person that its delegation names")
    if kind not in terms["kinds"]:
        raise ProofRefused(f"entry {number}: the delegation does not cover {kind}")
    if not _within(entry, terms):
        raise ProofRefused(f"entry {number}: the delegation was not in force then")
    if entry.get("requested_by") in {terms["person"], delegation.get("by")}:
        raise ProofRefused(f"entry {number} was asked for by the delegate or by the headteacher, so it needs her signature")


def _within(entry: Entry, terms: Mapping[str, Any]) -> bool:
    at, first, last = (datetime.fromisoformat(str(text)) for text in (entry["at"], terms["from"], terms["until"]))
    return first <= at < last


def _check_replacement(entry: Entry, rests: Mapping[str, Any], known: Mapping[int, Entry], holds: Holds) -> None:
    """Another headteacher: the LA officer signed it, and a second person who is neither of the two."""
    signers = _signers(entry, rests.get("signatures") or (), digest(canonical_part(entry["diff"])), known, holds)
    officers = {person for person, roles in signers.items() if "la_officer" in roles}
    others = {person for person, roles in signers.items() if roles & SECOND_ROLES}
    if not officers or len(officers | others) < 2:
        raise ProofRefused(f"entry {entry.get('n')} is not signed by the LA officer and a second person")
    if entry["diff"]["add"] or entry["diff"]["remove"] or entry["diff"]["set"]:
        raise ProofRefused(f"entry {entry.get('n')} changes more than who is headteacher")


def _check_mandate(entry: Entry, rests: Mapping[str, Any], known: Mapping[int, Entry], holds: Holds) -> None:
    number = entry.get("n")
    mandate = known.get(int(rests["mandate"]))
    terms = terms_of(mandate) if mandate else None
    if mandate is None or terms is None or int(mandate["n"]) >= int(entry["n"]):
        raise ProofRefused(f"entry {number} names a mandate that is not there")
    signed = terms if mandate["kind"] == "mandate.signed" else mandate["diff"]
    check_signatures(mandate, mandate["rests_on"]["signatures"], digest(canonical_part(signed)), known, holds=holds)
    if "of" in rests:  # what the mandate let through goes back to the last state that the head signed
        let_through = known.get(int(rests["of"]))
        if let_through is None or (let_through.get("rests_on") or {}).get("mandate") != rests["mandate"]:
            raise ProofRefused(f"entry {number} lets lapse what no mandate let through")
        back = entry["diff"]
        if back != undone(let_through["diff"]) and not takes_back(let_through["diff"], back):
            raise ProofRefused(f"entry {number} does not undo what it lets lapse")
        return
    diff = entry["diff"]
    if diff["kind"] not in terms["kinds"]:
        raise ProofRefused(f"entry {number}: the mandate does not cover {diff['kind']}")
    if not set(entry.get("by_roles") or ()) & set(terms["roles"]):
        raise ProofRefused(f"entry {number}: the mandate does not cover who acted")
    if not _within(entry, terms):
        raise ProofRefused(f"entry {number}: the mandate was not in force then")
    some = diff.get("lists") or ()
    if why := outside(some, terms["bounds"]) if "bounds" in terms else opening(some):
        raise ProofRefused(f"entry {number} goes beyond the mandate: {why[0]}")
    if diff["kind"] in TAKEN_IN and not terms.get("break_glass"):
        return  # what a list does to whom was judged by the desk, when it was taken in
    signers = _signers(entry, rests.get("signatures") or (), digest(canonical_part(diff)), known, holds)
    named = {person for person, roles in signers.items() if roles & set(terms["roles"])}
    if terms.get("break_glass"):
        if len(named) < 2:
            raise ProofRefused(f"entry {number}: breaking the glass takes two people whom the mandate names")
    elif not named:
        raise ProofRefused(f"entry {number}: nobody whom the mandate names signed it")
    elif not tightens(diff):
        raise ProofRefused(f"entry {number}: the mandate lets through only what is proven to tighten")


def _check_update(entry: Entry, rests: Mapping[str, Any], known: Mapping[int, Entry], holds: Holds) -> None:
    """A feed's update: its subscription is the headteacher's signature, and the update lies within what she signed.

    INVARIANT: it changes the dictionary and nothing else, names the lists that it changes, is of the feed, the time and the
    bounds that were signed, and is an entry of its own kind. So nothing but the daily update of a list goes this way, and it
    asks for no second signature: the first one was given for exactly this.
    """
    number = entry.get("n")
    signed = known.get(int(rests["subscription"]))
    terms = terms_of(signed) if signed else None
    if signed is None or terms is None or signed["kind"] != "change.approved" or int(signed["n"]) >= int(entry["n"]):
        raise ProofRefused(f"entry {number} names a subscription that is not there")
    check_signatures(signed, signed["rests_on"]["signatures"], digest(canonical_part(signed["diff"])), known, holds=holds)
    diff = entry["diff"]
    if entry["kind"] != "change.updated" or diff["kind"] != "dictionary" or set(diff["set"]) != {"dictionary"}:
        raise ProofRefused(f"entry {number}: a subscription covers updates of lists and nothing else")
    if diff["add"] or diff["remove"]:
        raise ProofRefused(f"entry {number}: a subscription covers updates of lists and nothing else")
    if "ratify_days" in terms:  # as subscriptions were first signed: each update to be ratified
        raise ProofRefused(f"entry {number}: its subscription was signed to have each update ratified")
    if diff.get("feed") != terms["feed"]["id"] or not set(entry.get("by_roles") or ()) & set(terms["roles"]):
        raise ProofRefused(f"entry {number}: the subscription is to another feed")
    if not _within(entry, terms):
        raise ProofRefused(f"entry {number}: the subscription was not in force then")
    if why := outside(diff.get("lists") or (), terms["bounds"]):
        raise ProofRefused(f"entry {number} goes beyond the subscription: {why[0]}")


def terms_of(entry: Entry) -> Mapping[str, Any] | None:
    """The terms of a standing mandate: signed by itself, or as the approved request for a subscription to a feed."""
    if entry.get("kind") == "mandate.signed":
        terms: Mapping[str, Any] = entry["mandate"]
        return terms
    diff = entry.get("diff") or {}
    if entry.get("kind") == "change.approved" and diff.get("kind") == "subscription":
        return dict(diff["terms"])
    return None


@dataclass(frozen=True, slots=True)
class Proven:
    """A document whose proof holds, with the size of the tree that proved it and the entry that brought it about."""

    text: str
    size: int
    entry: int


def check_part(part: Mapping[str, Any], *, authority: str, log: str, public: bytes) -> Proven:
    """The document of a published part, if its whole proof holds under the authority's key; ProofRefused otherwise."""
    try:
        text, proof = str(part["document"]), part["proof"]
        checkpoint = read_checkpoint(str(proof["checkpoint"]), authority, public)
        if checkpoint.origin != origin(authority, log):
            raise ProofRefused(f"the checkpoint is of {checkpoint.origin[:80]!r}, not of {log}")
        known: dict[int, Entry] = {}
        order: list[int] = []
        for shown in proof["entries"]:
            index, leaf = int(shown["n"]), str(shown["entry"])
            if (
                root_from_inclusion(
                    index, checkpoint.size, leaf_hash(leaf.encode()), [decoded(step) for step in shown["path"]]
                )
                != checkpoint.root
            ):
                raise ProofRefused(f"entry {index} is not in the log that the checkpoint signs")
            known[index] = parse_entry(leaf)
            order.append(index)
        entry = known[order[0]]
        if entry.get("log") != log or entry.get("n") != order[0]:
            raise ProofRefused("the entry is of another log")
        if entry["policy"]["digest"] != digest(text):
            raise ProofRefused(f"the document is not the one that entry {order[0]} signs")
        check_authority(entry, known)
    except ProofRefused:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ProofRefused(f"the proof is not whole ({type(error).__name__})") from None
    return Proven(text, checkpoint.size, order[0])
