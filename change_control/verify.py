"""Does everything agree? The full replay of every change log: entries, signatures, proofs and the policy in force.

A worker checks that a policy *was signed*; only the replay tells that it is *all* that the log amounts to, nothing more and
nothing less. It needs the export and the authority's public key, no database and no secret: so anyone can do it elsewhere.
What it finds first, it names.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from change_control import access, changes, ledger, standing
from change_control.changes import DoesNotFit
from change_control.lifecycle import ENTRY_KINDS, POLICY_ACTS, Act, State, after
from change_control.tables import ChangeRow, DocumentRow, EntryRow, LogRow, NodeRow
from policy.live import Trust
from policy.proof import (
    Checkpoint,
    Entry,
    ProofRefused,
    canonical,
    check_authority,
    check_part,
    check_signatures,
    digest,
    head_role,
    leaf_hash,
    origin,
    parse_entry,
    read_checkpoint,
    signed_by,
    undone,
)
from policy.rules import Document, instant, write

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
SIGNED_TERMS = {  # what the head's signature in such an entry is over
    "mandate.signed": "mandate",
    "mandate.revoked": "revoked",
    "delegation.signed": "delegation",
    "delegation.revoked": "revoked",
    "person.released": "released",
}
WHILE_WAITING = frozenset({"change.amended", "change.questioned", "change.answered"})
POLICY_KINDS = frozenset({ENTRY_KINDS[act] for act in POLICY_ACTS} | {"log.founded"})


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


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a log amounts to."""

    log: str
    size: int
    document: Document | None
    last: int  # number of the entry that put the document in force
    states: Mapping[int, State]  # what became of each change


def replay(export: LogExport, trust: Trust) -> Replayed:
    """Check one log from its first entry to its last; DoesNotAgree names the first that is not good."""
    checkpoint = _checkpoint(export, trust)
    nodes: dict[tuple[int, int], bytes] = {}
    for n, text in enumerate(export.entries):
        ledger.append(nodes, n, leaf_hash(text.encode()))
    if ledger.root(nodes, checkpoint.size) != checkpoint.root:
        raise DoesNotAgree(
            f"{export.log}: {_first_altered(export)} is not what was signed: the entries do not lead to the signed root"
        )
    known: dict[int, Entry] = {}
    document: Document | None = None
    last = -1
    states: dict[int, State] = {}
    head_enrolled = False
    people = _Standing()
    before = ""
    for n, text in enumerate(export.entries):
        try:
            entry = parse_entry(text)
            if (entry.get("log"), entry.get("n"), entry.get("tier")) != (export.log, n, export.tier):
                raise ProofRefused("it belongs elsewhere")
            if str(entry["at"]) < before:
                raise ProofRefused(f"it is dated {entry['at']}, before the entry above it")
            before = str(entry["at"])
            known[n] = entry
            people.check(entry, known)
            if entry["kind"] in POLICY_KINDS:
                check_authority(entry, known)
                _check_subscription(entry, known, states)
                document = changes.apply(document, entry["diff"])
                last = n
                if digest(write(document)) != entry["policy"]["digest"]:
                    raise ProofRefused("the policy it names is not what its change makes of the one before")
            elif "policy" in entry:
                raise ProofRefused(f"an entry of kind {entry['kind']} changes no policy")
            head_enrolled = _check_people(entry, known, head_enrolled=head_enrolled)
            _check_change(entry, known, states)
        except (ProofRefused, DoesNotFit, KeyError, TypeError, ValueError, AttributeError) as error:
            raise DoesNotAgree(f"{export.log}: entry {n} is not good: {_said(error)}") from None
    return Replayed(export.log, checkpoint.size, document, last, states)


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, ProofRefused | DoesNotFit) else f"{type(error).__name__} {error}"


def _checkpoint(export: LogExport, trust: Trust) -> Checkpoint:
    try:
        checkpoint = read_checkpoint(export.checkpoint, trust.authority, trust.public)
    except ProofRefused as error:
        raise DoesNotAgree(f"{export.log}: {error}") from None
    if checkpoint.origin != origin(trust.authority, export.log):
        raise DoesNotAgree(f"{export.log}: its checkpoint is of {checkpoint.origin}")
    if checkpoint.size > len(export.entries):
        raise DoesNotAgree(
            f"{export.log}: the change log is cut short: of {checkpoint.size} signed entries {len(export.entries)} are there"
        )
    if checkpoint.size < len(export.entries):
        raise DoesNotAgree(f"{export.log}: entry {checkpoint.size} and what follows was never signed")
    return checkpoint


def _first_altered(export: LogExport) -> str:
    for n, (text, leaf) in enumerate(zip(export.entries, export.leaves, strict=False)):
        if leaf_hash(text.encode()) != leaf:
            return f"entry {n}"
    return "an entry"


def _check_people(entry: Entry, known: Mapping[int, Entry], *, head_enrolled: bool) -> bool:
    """Invitations are the head's; before there is a head, the console's codes enrol the first people; one head a log."""
    kind = entry["kind"]
    if kind == "person.invited":
        check_signatures(entry, entry["rests_on"]["signatures"], digest(canonical(entry["invite"])), known)
    if kind in SIGNED_TERMS:
        check_signatures(entry, entry["rests_on"]["signatures"], digest(canonical(entry[SIGNED_TERMS[kind]])), known)
    if kind in OWN_TERMS:
        (signature,) = entry["rests_on"]["signatures"]
        enrolled = known[int(signature["enrolled"])]
        over = digest(canonical(entry[OWN_TERMS[kind]]))
        if entry["person"] != signature["person"] or not signed_by(entry, signature, over, enrolled):
            raise ProofRefused("the person did not sign this herself")
        if kind == "passkey.revoked" and known[int(entry["revoked"]["of"])]["person"] != entry["person"]:
            raise ProofRefused("it revokes another person's passkey")
    if kind != "person.enrolled":
        return head_enrolled
    rests = entry["rests_on"]
    is_head = head_role(entry) in entry["roles"]
    if rests.get("replaces"):
        replacing = known.get(int(rests["invited"]))
        if replacing is None or replacing.get("kind") != "change.approved" or replacing["diff"]["kind"] != "head":
            raise ProofRefused("nobody signed that there should be another headteacher")
        if any((one.get("rests_on") or {}).get("invited") == rests["invited"] for one in known.values() if one is not entry):
            raise ProofRefused("the headteacher is replaced twice by the same signatures")
        if entry["roles"] != ["headteacher"]:
            raise ProofRefused("it gives other roles than were signed")
        return True
    if head_enrolled and is_head:
        raise ProofRefused("a second person is enrolled as the one whose signature counts")
    if "invited" in rests:
        invited = known.get(int(rests["invited"]))
        if invited is None or invited.get("kind") != "person.invited" or invited["invite"]["roles"] != entry["roles"]:
            raise ProofRefused("it names an invitation that is not there")
    elif head_enrolled:
        raise ProofRefused("someone was enrolled without the head's invitation")
    return head_enrolled or is_head


class _Standing:
    """Who has lost a role, and what has been revoked, as the entries go by: what no single proof can show."""

    def __init__(self) -> None:
        self.ended: set[int] = set()
        self.revoked: set[int] = set()

    def check(self, entry: Entry, known: Mapping[int, Entry]) -> None:
        rests = entry.get("rests_on") or {}
        if standing.signed_under(entry) & self.ended:
            raise ProofRefused("it is signed by someone who no longer held the role")
        if "of" not in rests:  # what a mandate let through may lapse after the mandate has
            for number in (int(rests[name]) for name in ("mandate", "delegation") if name in rests):
                if number in self.revoked or standing.signed_under(known.get(number, {})) & self.ended:
                    raise ProofRefused("it rests on what had been revoked")
        if any(int(one.get("passkey", -1)) in self.revoked for one in rests.get("signatures") or ()):
            raise ProofRefused("it is signed with a passkey that had been revoked")
        if entry["kind"] in REVOKES:
            number = int(entry["revoked"]["of"])
            if known.get(number, {}).get("kind") != REVOKES[entry["kind"]]:
                raise ProofRefused("it revokes what is not there")
            self.revoked.add(number)
        before = [one for n, one in known.items() if n < int(entry["n"])] if entry["kind"] in standing.PEOPLE else []
        self.ended |= standing.ended_by(entry, before)


def _check_subscription(entry: Entry, known: Mapping[int, Entry], states: Mapping[int, State]) -> None:
    """A feed's update rests on a subscription that nobody had taken back by then."""
    rests = entry.get("rests_on") or {}
    mandate = known.get(int(rests["mandate"])) if "mandate" in rests and "of" not in rests else None
    if mandate and mandate["kind"] == "change.approved" and states.get(mandate["change"]) != State.IN_FORCE:
        raise ProofRefused("the subscription that it rests on had been taken back")


def _check_change(entry: Entry, known: Mapping[int, Entry], states: dict[int, State]) -> None:
    """Follow each change through its states, as the table in lifecycle.py has them."""
    if entry["kind"] == "change.requested":
        if entry["change"] in states:
            raise ProofRefused(f"change {entry['change']} is requested twice")
        states[entry["change"]] = State.REQUESTED
        return
    if entry["kind"] in WHILE_WAITING and states.get(entry["change"]) != State.REQUESTED:
        raise ProofRefused("it is about a request that did not wait any more")
    act = next((act for act, kind in ENTRY_KINDS.items() if kind == entry["kind"]), None)
    if act is None:
        return
    states[entry["change"]] = after(states[entry["change"]], act)
    if act is Act.RATIFY:
        let_through = known[int(entry["of"])]
        signed, kind = entry["rests_on"]["signatures"], str(let_through["diff"]["kind"])
        check_signatures(entry, signed, digest(canonical(let_through["diff"])), known, kind=kind)
        if "delegation" in entry["rests_on"] and let_through.get("requested_by") == entry.get("by"):
            raise ProofRefused("it was asked for and ratified by the same person")
    if act is Act.APPROVE and entry["diff"]["kind"] == "reverse":
        states[entry["diff"]["change"]] = after(states[entry["diff"]["change"]], Act.REVERSE)
    if act is Act.REVERSE:
        in_force = [
            one
            for one in known.values()
            if one.get("change") == entry["change"] and one["kind"] in {"change.approved", "change.mandated"}
        ]
        if not in_force or undone(in_force[-1]["diff"]) != entry["diff"]:
            raise ProofRefused("it does not undo the change that it names")
        ratified = any(one["kind"] == "change.ratified" and one.get("change") == entry["change"] for one in known.values())
        if (in_force[-1]["kind"] == "change.approved" or ratified) and not changes.tightens(entry["diff"]):
            raise ProofRefused("the head alone took back what had tightened")


# --- an installation, and an export ---------------------------------------------------------------------------------------


def export_logs(session: Session) -> list[LogExport]:
    """All logs as they stand in the database."""
    found = []
    for row in session.scalars(select(LogRow).order_by(LogRow.tier, LogRow.id)):
        texts = session.scalars(select(EntryRow.text).where(EntryRow.log == row.id).order_by(EntryRow.n))
        leaves = session.scalars(
            select(NodeRow.hash).where(NodeRow.log == row.id, NodeRow.level == 0).order_by(NodeRow.position)
        )
        found.append(LogExport(row.id, row.tier, tuple(texts), tuple(leaves), row.checkpoint))
    return found


def write_export(session: Session, trust: Trust) -> str:
    """Everything that `verify_export` needs, as JSON."""
    logs = [
        {
            "log": one.log,
            "tier": one.tier,
            "checkpoint": one.checkpoint,
            "entries": list(one.entries),
            "leaves": [leaf.hex() for leaf in one.leaves],
        }
        for one in export_logs(session)
    ]
    documents = session.scalars(select(DocumentRow).order_by(DocumentRow.log, DocumentRow.n))
    return json.dumps(
        {
            "schoolgate": "change-log-export",
            "v": 1,
            "authority": trust.authority,
            "public": base64.b64encode(trust.public).decode(),
            "logs": logs,
            "policies": [{"log": row.log, "n": row.n, "text": row.text} for row in documents],
        },
        indent=1,
    )


def verify_export(text: str) -> list[Replayed]:
    """Replay an export by itself; DoesNotAgree names the first thing that is not good."""
    try:
        found = json.loads(text)
        trust = Trust(str(found["authority"]), base64.b64decode(found["public"], validate=True))
        logs = [
            LogExport(
                _text(one["log"]),
                _text(one["tier"]),
                tuple(_text(entry) for entry in one["entries"]),
                tuple(bytes.fromhex(leaf) for leaf in one["leaves"]),
                _text(one["checkpoint"]),
            )
            for one in found["logs"]
        ]
        policies = [(_text(one["log"]), int(one["n"]), _text(one["text"])) for one in found["policies"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DoesNotAgree("this is not an export of change logs") from None
    if not logs:
        raise DoesNotAgree("this export holds no change log")
    replayed = [replay(log, trust) for log in logs]
    _check_policies(policies, logs)
    return replayed


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is expected")
    value.encode()  # a lone surrogate has no digest
    return value


def _check_policies(policies: Sequence[tuple[str, int, str]], logs: Sequence[LogExport]) -> None:
    entries = {log.log: log.entries for log in logs}
    for log, n, text in policies:
        signed = entries.get(log, ())
        entry = parse_entry(signed[n]) if 0 <= n < len(signed) else {}
        if entry.get("policy", {}).get("digest") != digest(text):
            raise DoesNotAgree(f"{log}: the stored policy of entry {n} is not the one that the entry signs")


def verify_installation(session: Session, data: Path) -> list[Replayed]:
    """Replay all logs of an installation and hold its tables and published files against them."""
    trust = Trust.load(data)
    logs = export_logs(session)
    replayed = [replay(log, trust) for log in logs]
    policies = session.execute(
        select(DocumentRow.log, DocumentRow.n, DocumentRow.text).order_by(DocumentRow.log, DocumentRow.n)
    )
    _check_policies([(log, n, text) for log, n, text in policies], logs)
    by_log = {one.log: one for one in replayed}
    _check_rows(session, by_log)
    _check_access(session, logs)
    _check_files(data, trust, by_log)
    return replayed


def _check_rows(session: Session, replayed: Mapping[str, Replayed]) -> None:
    """The tables that pages read must say what the logs say."""
    for row in session.scalars(select(ChangeRow).order_by(ChangeRow.id)):
        said = replayed[row.log].states.get(row.id) if row.log in replayed else None
        if said != row.state:
            raise DoesNotAgree(
                f"{row.log}: change {row.id} is marked {row.state}, the change log says {said or 'nothing of it'}"
            )
    for log, replay_ in replayed.items():
        for n, kind, at, text in session.execute(
            select(EntryRow.n, EntryRow.kind, EntryRow.at, EntryRow.text).where(EntryRow.log == log)
        ):
            entry = parse_entry(text)
            if (entry["kind"], entry["at"]) != (kind, instant(at)):
                raise DoesNotAgree(f"{log}: what is stored beside entry {n} is not what the entry says")
        stored = session.get(DocumentRow, (log, replay_.last))
        if replay_.document is not None and (stored is None or stored.text != write(replay_.document)):
            raise DoesNotAgree(f"{log}: the stored policy is not what its change log amounts to")


def _check_access(session: Session, logs: Sequence[LogExport]) -> None:
    """The access log's rows of a day, as long as they are kept, are those that the day's digest was made of."""
    for log in logs:
        for entry in map(parse_entry, log.entries):
            if entry["kind"] != access.KIND:
                continue
            rows = access.day_rows(session, log.log, date.fromisoformat(entry["day"]))
            if rows and access.day_digest(rows) != entry["access"]:
                raise DoesNotAgree(
                    f"{log.log}: the access log of {entry['day']} is not the one that entry {entry['n']} was made of"
                )


def _check_files(data: Path, trust: Trust, replayed: Mapping[str, Replayed]) -> None:
    """The published files and what the workers last accepted: each proven, none ahead of the log, the newest up to date."""
    current = data / "policy" / "current.json"
    try:
        parts = json.loads(current.read_text(encoding="utf-8"))["parts"]
    except (OSError, ValueError, KeyError, TypeError):
        raise DoesNotAgree("policy/current.json cannot be read; `schoolgate up` publishes it anew") from None
    for log, one in replayed.items():
        if log not in parts:
            raise DoesNotAgree(f"{log}: its policy is not published")
        for path, newest in (
            (data / "policy" / Path(str(parts[log])).name, True),
            (data / "state" / "last-good" / f"{log}.json", False),
        ):
            if newest or path.exists():
                _check_file(path, trust, one, newest=newest)


def _check_file(path: Path, trust: Trust, one: Replayed, *, newest: bool) -> None:
    try:
        raw: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        proven = check_part(raw, authority=trust.authority, log=one.log, public=trust.public)
    except (OSError, ValueError) as error:
        raise DoesNotAgree(f"{one.log}: {path.parent.name}/{path.name}: {error}") from None
    if proven.size > one.size:
        raise DoesNotAgree(
            f"{one.log}: the change log has been rolled back: a worker has seen {proven.size} entries, {one.size} are there"
        )
    if newest and (one.document is None or proven.text != write(one.document)):
        raise DoesNotAgree(f"{one.log}: {path.parent.name}/{path.name} is not the policy that its change log amounts to")
