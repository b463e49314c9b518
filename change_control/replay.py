"""The replay of one change log, from its first entry to its last. Pure: texts come in, what they amount to goes out.

The theory. A worker sees a policy with a few entries that it rests on, and can tell that it *was signed*. Only who reads all
entries can tell that it is *all* that they amount to, that no role, mandate, delegation or passkey had ended when it was
used, and that each change went through its states as `lifecycle.py` has them. That is done here: with the authority's public
key and nothing else. An entry is believed because the entries together lead to the signed root; what it says is then held
against the entries before it. Only those that a later entry can still refer to are kept, so a log of a million entries needs
no more memory than its texts.

The policy is built up here as plain JSON, not as the values of `policy/rules.py`: a digest tells whether it is the one that
was signed (`plain.py`), and so this module and those that it imports are the verifier that goes with each export
(`standalone.py`, `offline.py`), with nothing but the `cryptography` package below them.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from change_control.claims import FEW, Claims, lead_to, split_off
from change_control.lifecycle import ENTRY_KINDS, POLICY_ACTS, Act, State, after
from change_control.plain import DoesNotFit, Policy
from policy.grounds import check_authority, check_signatures, head_role, tightens, undone
from policy.proof import (
    Checkpoint,
    Entry,
    Holds,
    ProofRefused,
    canonical_part,
    digest,
    leaf_hash,
    origin,
    parse_entry,
    read_checkpoint,
    signature_holds,
    signed_by,
)
from policy.rebuild import takes_back

REVOKES = {
    "mandate.revoked": "mandate.signed",
    "delegation.revoked": "delegation.signed",
    "passkey.revoked": "person.passkey",
}
OWN_TERMS = {  # what a person signs herself
    "person.passkey": "passkey",
    "passkey.revoked": "revoked",
    "recovery.named": "named",
    "recovery.agreed": "agreed",
}
WHILE_WAITING = frozenset({"change.amended", "change.questioned", "change.answered", "change.passed_on"})
SIGNED_TERMS = {  # what the head's signature in such an entry is over
    "mandate.signed": "mandate",
    "mandate.revoked": "revoked",
    "delegation.signed": "delegation",
    "delegation.revoked": "revoked",
    "person.released": "released",
}
ONCE = frozenset({"mandate.signed", "delegation.signed", "person.invited"})  # or what was revoked could be brought back
PEOPLE = ("person.enrolled", "person.released")
POLICY_KINDS = frozenset({ENTRY_KINDS[act] for act in POLICY_ACTS} | {"log.founded"})
IN_FORCE_BY = frozenset({"change.approved", "change.mandated", "change.updated"})
ENDS = frozenset({State.REFUSED, State.WITHDRAWN, State.REVERSED, State.EXPIRED, State.LAPSED})
LASTING = frozenset({"subscription", "head"})  # kinds of change that entries rest on long after they were approved
KEPT = frozenset({"log.founded", "change.approved", "change.mandated"})  # with all that is not a change's
ACTS = {kind: act for act, kind in ENTRY_KINDS.items()}


class DoesNotAgree(ValueError):
    """The first thing that does not agree, in plain words."""


@dataclass(frozen=True, slots=True)
class LogExport:
    """One log as it leaves the box: its entries as canonical texts, their leaf hashes as they were stored when each was
    written (they prove nothing, but tell which entry was altered), and the signed checkpoint.
    """

    log: str
    tier: str
    entries: tuple[str, ...]
    leaves: tuple[bytes, ...]
    checkpoint: str
    witnessed: tuple[str, ...] = ()  # the newest checkpoint that each witness co-signed


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a log amounts to: the policy as text, the entry that put it in force, and what became of each change."""

    log: str
    size: int
    text: str
    last: int
    states: Mapping[int, State]
    root: bytes


# --- who, and what had ended --------------------------------------------------------------------------------------------


def ended_by(entry: Entry, before: Iterable[Entry], *, head: str = "headteacher") -> set[int]:
    """The enrolments, among those before, that an entry ends: a release, or a new headteacher in the place of the old."""
    earlier = [one for one in before if one["kind"] == "person.enrolled"]
    if entry["kind"] == "person.released":
        return {int(one["n"]) for one in earlier if one["person"] == entry["person"]}
    if entry["kind"] == "person.enrolled" and "replaces" in (entry.get("rests_on") or {}):
        return {int(one["n"]) for one in earlier if head in one["roles"]}
    return set()


def signed_under(entry: Entry) -> set[int]:
    """The enrolments that an entry's signatures were made under."""
    return {int(signature["enrolled"]) for signature in (entry.get("rests_on") or {}).get("signatures") or ()}


# --- the replay -----------------------------------------------------------------------------------------------------------


def replay(export: LogExport, authority: str, public: bytes, *, others: int = 0) -> Outcome:
    """Check one log from its first entry to its last; DoesNotAgree names the first that is not good.

    `others`: how many more processes may check the signatures of a long log (claims.py); the answer is the same.
    """
    checkpoint = _checkpoint(export, authority, public)
    found = None
    if others and len(export.entries) > FEW:
        found = _all_at_once(export, checkpoint, authority, public, others)
    if found is None:
        _check_roots(export, checkpoint, authority, public)
        found = _followed(export, signature_holds)
    return Outcome(export.log, checkpoint.size, found.text, found.last, found.states, checkpoint.root)


def _all_at_once(export: LogExport, checkpoint: Checkpoint, authority: str, public: bytes, others: int) -> "_Replay | None":
    """The replay with its signatures and roots checked by others; None when anything at all was wrong."""
    with Claims(split_off(others, export.entries)) as claims:
        try:
            shown = [_witnessed(export, note, authority, public) for note in export.witnessed]
            claims.lead_to([checkpoint, *shown])
            found = _followed(export, claims.believe)
        except DoesNotAgree:
            return None
        return found if claims.good() else None


def _followed(export: LogExport, holds: Holds) -> "_Replay":
    found = _Replay(export, holds)
    for n, text in enumerate(export.entries):
        try:
            found.take(n, parse_entry(text))
        except (ProofRefused, DoesNotFit, KeyError, TypeError, ValueError, AttributeError) as error:
            raise DoesNotAgree(f"{export.log}: entry {n} is not good: {_said(error)}") from None
    return found


def _check_roots(export: LogExport, checkpoint: Checkpoint, authority: str, public: bytes) -> None:
    """The entries lead to the signed root, and begin with those that witnesses were shown; DoesNotAgree otherwise."""
    if not lead_to(export.entries, [checkpoint]):
        where = _first_wrong(export)
        raise DoesNotAgree(f"{export.log}: {where} is not what was signed: the entries do not lead to the signed root")
    shown = [_witnessed(export, note, authority, public) for note in export.witnessed]
    if not lead_to(export.entries, shown):
        raise _rolled_back(export, next(one for one in shown if not lead_to(export.entries, [one])))


def _witnessed(export: LogExport, note: str, authority: str, public: bytes) -> Checkpoint:
    """A checkpoint that was signed, and shown to a witness, earlier; the entries are to begin with those that it signs."""
    try:
        earlier = read_checkpoint(note, authority, public)
    except ProofRefused as error:
        raise DoesNotAgree(f"{export.log}: a checkpoint shown to a witness: {error}") from None
    if earlier.origin != origin(authority, export.log) or earlier.size > len(export.entries):
        raise _rolled_back(export, earlier)
    return earlier


def _rolled_back(export: LogExport, earlier: Checkpoint) -> DoesNotAgree:
    return DoesNotAgree(
        f"{export.log}: it has been rolled back or made anew: {earlier.size} entries were signed and shown to a witness, "
        "and these are not they"
    )


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, ProofRefused | DoesNotFit) else f"{type(error).__name__} {error}"


def _checkpoint(export: LogExport, authority: str, public: bytes) -> Checkpoint:
    """The signed checkpoint, if it is of as many entries as there are; else DoesNotAgree names the first that is not good."""
    log = export.log
    try:
        checkpoint = read_checkpoint(export.checkpoint, authority, public)
    except ProofRefused as error:
        raise DoesNotAgree(f"{log}: {error}") from None
    if checkpoint.origin != origin(authority, log):
        raise DoesNotAgree(f"{log}: its checkpoint is of {checkpoint.origin}")
    if checkpoint.size == len(export.entries):
        return checkpoint
    if checkpoint.size > len(export.entries):
        raise DoesNotAgree(
            f"{log}: the change log is cut short: of {checkpoint.size} signed entries {len(export.entries)} are there, and "
            f"{_first_wrong(export)} is the first that is missing"
        )
    where = _first_wrong(export)
    if where == f"entry {len(export.entries)}":
        where = f"entry {checkpoint.size}"
    raise DoesNotAgree(f"{log}: {where} and what follows was never signed there")


def _first_wrong(export: LogExport) -> str:
    """The first entry that is not at its place, or not as it was hashed when it was written."""
    for n, text in enumerate(export.entries):
        try:
            said = json.loads(text).get("n")
        except (ValueError, AttributeError, RecursionError):
            said = None
        if said != n or (n < len(export.leaves) and leaf_hash(text.encode()) != export.leaves[n]):
            return f"entry {n}"
    return f"entry {len(export.entries)}" if export.entries else "an entry"


@dataclass(slots=True)
class _Replay:
    """How far the replay has come."""

    export: LogExport
    holds: Holds
    states: dict[int, State] = field(default_factory=dict)
    last: int = -1
    text: str = ""
    _policy: Policy | None = None
    _known: dict[int, Entry] = field(default_factory=dict)
    _people: list[Entry] = field(default_factory=list)
    _in_force: dict[int, Entry] = field(default_factory=dict)  # what put each change in force
    _ratified: set[int] = field(default_factory=set)
    _replaced: set[int] = field(default_factory=set)
    _head_enrolled: bool = False
    _ended: set[int] = field(default_factory=set)
    _revoked: set[int] = field(default_factory=set)
    _before: str = ""
    _beforehand: set[str] = field(default_factory=set)  # signatures of mandates, delegations and invitations

    def take(self, n: int, entry: Entry) -> None:
        """The next entry; raises when it is not good."""
        if (entry.get("log"), entry.get("n"), entry.get("tier")) != (self.export.log, n, self.export.tier):
            raise ProofRefused("it belongs elsewhere")
        if str(entry["at"]) < self._before:
            raise ProofRefused(f"it is dated {entry['at']}, before the entry above it")
        self._before = str(entry["at"])
        self._known[n] = entry
        self._check_standing(entry)
        if entry["kind"] in POLICY_KINDS:
            check_authority(entry, self._known, self.holds)
            self._check_subscription(entry)
            self._apply(entry)
            self.last = n
            if digest(self.text) != entry["policy"]["digest"]:
                raise ProofRefused("the policy it names is not what its change makes of the one before")
        elif "policy" in entry:
            raise ProofRefused(f"an entry of kind {entry['kind']} changes no policy")
        self._check_people(entry)
        self._check_change(entry)
        if entry["kind"].startswith(("change.", "access.")) and entry["kind"] not in KEPT:
            del self._known[n]  # nothing can refer to it

    def _apply(self, entry: Entry) -> None:
        diff = entry["diff"]
        if diff["kind"] == "founding":
            if self._policy is not None:
                raise DoesNotFit("a policy is founded once")
            self._policy = Policy(diff["document"])
        elif self._policy is None:
            raise DoesNotFit("there is no policy to change yet")
        else:
            self._policy.apply(diff)
        self.text = self._policy.text()

    def _check_standing(self, entry: Entry) -> None:
        """Who has lost a role, and what has been revoked, as the entries go by: what no single proof can show."""
        rests = entry.get("rests_on") or {}
        if not rests and entry["kind"] not in PEOPLE and entry["kind"] not in REVOKES:
            return
        if signed_under(entry) & self._ended:
            raise ProofRefused("it is signed by someone who no longer held the role")
        if "of" not in rests:  # what a mandate let through may lapse after the mandate has
            for number in (int(rests[name]) for name in ("mandate", "subscription", "delegation") if name in rests):
                if number in self._revoked or signed_under(self._known.get(number, {})) & self._ended:
                    raise ProofRefused("it rests on what had been revoked")
        if any(int(one.get("passkey", -1)) in self._revoked for one in rests.get("signatures") or ()):
            raise ProofRefused("it is signed with a passkey that had been revoked")
        if entry["kind"] in REVOKES:
            number = int(entry["revoked"]["of"])
            if self._known.get(number, {}).get("kind") != REVOKES[entry["kind"]]:
                raise ProofRefused("it revokes what is not there")
            self._revoked.add(number)
        if entry["kind"] in PEOPLE:
            self._ended |= ended_by(entry, self._people)
            self._people.append(entry)

    def _check_people(self, entry: Entry) -> None:
        """Invitations are the head's; before there is a head, the console's codes enrol the first people; one head a log."""
        kind, known = entry["kind"], self._known
        if kind in ONCE:
            for signature in entry["rests_on"]["signatures"]:
                if signature["signature"] in self._beforehand:
                    raise ProofRefused("its signature was given once, and stands in the log already")
                self._beforehand.add(signature["signature"])
        if kind == "person.invited":
            check_signatures(
                entry, entry["rests_on"]["signatures"], digest(canonical_part(entry["invite"])), known, holds=self.holds
            )
        if kind in SIGNED_TERMS:
            check_signatures(
                entry,
                entry["rests_on"]["signatures"],
                digest(canonical_part(entry[SIGNED_TERMS[kind]])),
                known,
                holds=self.holds,
            )
        if kind in OWN_TERMS:
            (signature,) = entry["rests_on"]["signatures"]
            enrolled = known[int(signature["enrolled"])]
            over = digest(canonical_part(entry[OWN_TERMS[kind]]))
            passkey = None if kind == "person.passkey" else known.get(int(signature.get("passkey", -1)))
            if entry["person"] != signature["person"] or not signed_by(entry, signature, over, enrolled, passkey, self.holds):
                raise ProofRefused("the person did not sign this herself")
            if kind == "passkey.revoked" and known[int(entry["revoked"]["of"])]["person"] != entry["person"]:
                raise ProofRefused("it revokes another person's passkey")
        if kind == "person.enrolled":
            self._check_enrolment(entry)

    def _check_enrolment(self, entry: Entry) -> None:
        rests = entry["rests_on"]
        is_head = head_role(entry) in entry["roles"]
        if rests.get("replaces"):
            replacing = self._known.get(int(rests["invited"]))
            if replacing is None or replacing.get("kind") != "change.approved" or replacing["diff"]["kind"] != "head":
                raise ProofRefused("nobody signed that there should be another headteacher")
            if int(rests["invited"]) in self._replaced:
                raise ProofRefused("the headteacher is replaced twice by the same signatures")
            self._replaced.add(int(rests["invited"]))
            if entry["roles"] != ["headteacher"]:
                raise ProofRefused("it gives other roles than were signed")
            self._head_enrolled = True
            return
        if self._head_enrolled and is_head:
            raise ProofRefused("a second person is enrolled as the one whose signature counts")
        if "invited" in rests:
            invited = self._known.get(int(rests["invited"]))
            if invited is None or invited.get("kind") != "person.invited" or invited["invite"]["roles"] != entry["roles"]:
                raise ProofRefused("it names an invitation that is not there")
        elif self._head_enrolled:
            raise ProofRefused("someone was enrolled without the head's invitation")
        self._head_enrolled = self._head_enrolled or is_head

    def _check_subscription(self, entry: Entry) -> None:
        """A feed's update rests on a subscription that nobody had taken back by then."""
        rests = entry.get("rests_on") or {}
        number = rests.get("subscription", rests.get("mandate")) if "of" not in rests else None
        mandate = self._known.get(int(number)) if number is not None else None
        if mandate and mandate["kind"] == "change.approved" and self.states.get(mandate["change"]) != State.IN_FORCE:
            raise ProofRefused("the subscription that it rests on had been taken back")

    def _check_change(self, entry: Entry) -> None:
        """Follow each change through its states, as the table in lifecycle.py has them."""
        if entry["kind"] == "change.requested":
            if entry["change"] in self.states:
                raise ProofRefused(f"change {entry['change']} is requested twice")
            self.states[entry["change"]] = State.REQUESTED
            return
        if entry["kind"] in WHILE_WAITING and self.states.get(entry["change"]) != State.REQUESTED:
            raise ProofRefused("it is about a request that did not wait any more")
        act = ACTS.get(entry["kind"])
        if act is None:
            return
        change = entry["change"]
        self.states[change] = after(self.states[change], act)
        if entry["kind"] in IN_FORCE_BY:
            self._in_force[change] = entry
        if act is Act.RATIFY:
            let_through = self._known[int(entry["of"])]
            signed, kind = entry["rests_on"]["signatures"], str(let_through["diff"]["kind"])
            check_signatures(
                entry, signed, digest(canonical_part(let_through["diff"])), self._known, kind=kind, holds=self.holds
            )
            if "delegation" in entry["rests_on"] and let_through.get("requested_by") == entry.get("by"):
                raise ProofRefused("it was asked for and ratified by the same person")
            self._ratified.add(change)
        if act is Act.APPROVE and entry["diff"]["kind"] == "reverse":
            other = entry["diff"]["change"]
            self.states[other] = after(self.states[other], Act.REVERSE)
            self._forget(other)
        if act is Act.REVERSE:
            in_force = self._in_force.get(change)
            back = entry["diff"]
            if in_force is None or (undone(in_force["diff"]) != back and not takes_back(in_force["diff"], back)):
                raise ProofRefused("it does not undo the change that it names")
            signed_by_head = in_force["kind"] != "change.mandated" or change in self._ratified
            if signed_by_head and not tightens(back):
                raise ProofRefused("the head alone took back what had tightened")
        if self.states[change] in ENDS:
            self._forget(change)

    def _forget(self, change: int) -> None:
        """What put a change in force that has come to its end: nothing can refer to it any more."""
        entry = self._in_force.pop(change, None)
        if entry is not None and entry["diff"]["kind"] not in LASTING:
            self._known.pop(int(entry["n"]), None)
