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

from change_control import access, standalone
from change_control.claims import processes
from change_control.lifecycle import State
from change_control.offline import agree, check_policies, read_export
from change_control.replay import DoesNotAgree, LogExport
from change_control.replay import replay as replay_log
from change_control.tables import ChangeRow, DocumentRow, EntryRow, LogRow, NodeRow
from policy.grounds import check_part
from policy.live import Trust
from policy.proof import canonical, parse_entry
from policy.rules import Document, instant, read_document, write

__all__ = ["DoesNotAgree", "LogExport"]
ASKED = ("change.requested", "change.amended", "change.renewed")  # entries that say what waits


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a log amounts to."""

    log: str
    size: int
    document: Document | None
    last: int  # number of the entry that put the document in force
    states: Mapping[int, State]  # what became of each change
    said: str  # in words


def replay(export: LogExport, trust: Trust) -> Replayed:
    """Check one log from its first entry to its last; DoesNotAgree names the first that is not good."""
    found = replay_log(export, trust.authority, trust.public, others=processes())
    try:
        document = read_document(found.text) if found.text else None
    except ValueError as error:
        raise DoesNotAgree(f"{export.log}: the policy that entry {found.last} signs is none: {error}") from None
    return Replayed(export.log, found.size, document, found.last, found.states, agree(found))


# --- an installation, and an export ---------------------------------------------------------------------------------------


def witnessed(data: Path) -> dict[str, tuple[str, ...]]:
    """What witnesses co-signed of each log, as it was kept."""
    found: dict[str, tuple[str, ...]] = {}
    for path in sorted((data / "state" / "witnessed").glob("*/*.note")):
        found[path.parent.name] = (*found.get(path.parent.name, ()), path.read_text(encoding="utf-8"))
    return found


def export_logs(session: Session, notes: Mapping[str, tuple[str, ...]] | None = None) -> list[LogExport]:
    """All logs as they stand in the database, with what witnesses co-signed."""
    found = []
    for row in session.scalars(select(LogRow).order_by(LogRow.tier, LogRow.id)):
        texts = session.scalars(select(EntryRow.text).where(EntryRow.log == row.id).order_by(EntryRow.n))
        leaves = session.scalars(
            select(NodeRow.hash).where(NodeRow.log == row.id, NodeRow.level == 0).order_by(NodeRow.position)
        )
        found.append(LogExport(row.id, row.tier, tuple(texts), tuple(leaves), row.checkpoint, (notes or {}).get(row.id, ())))
    return found


def write_export(session: Session, trust: Trust, notes: Mapping[str, tuple[str, ...]] | None = None) -> str:
    """Everything that `verify_export` needs, as JSON."""
    logs = [
        {
            "log": one.log,
            "tier": one.tier,
            "checkpoint": one.checkpoint,
            "entries": list(one.entries),
            "leaves": [leaf.hex() for leaf in one.leaves],
            "witnessed": list(one.witnessed),
        }
        for one in export_logs(session, notes)
    ]
    documents = session.scalars(select(DocumentRow).order_by(DocumentRow.log, DocumentRow.n))
    return json.dumps(
        {
            "schoolgate": "change-log-export",
            "v": 1,
            "authority": trust.authority,
            "public": base64.b64encode(trust.public).decode(),
            "logs": logs,
            "verifier": {"name": standalone.NAME, "sha256": standalone.sha256(), "text": standalone.text()},
            "policies": [{"log": row.log, "n": row.n, "text": row.text} for row in documents],
        },
        indent=1,
    )


def verify_export(text: str) -> list[Replayed]:
    """Replay an export by itself; DoesNotAgree names the first thing that is not good."""
    export = read_export(text)
    trust = Trust(export.authority, export.public)
    replayed = [replay(log, trust) for log in export.logs]
    check_policies(export.policies, export.logs)
    return replayed


def verify_installation(session: Session, data: Path) -> list[Replayed]:
    """Replay all logs of an installation and hold its tables and published files against them."""
    try:
        return _verified(session, data)
    except DoesNotAgree:
        raise
    except ValueError as error:  # a row that was edited into something that is no date, no number, no text
        raise DoesNotAgree(f"the database holds something that cannot be read: {error}") from None


def _verified(session: Session, data: Path) -> list[Replayed]:
    trust = Trust.load(data)
    logs = export_logs(session, witnessed(data))
    replayed = [replay(log, trust) for log in logs]
    policies = session.execute(
        select(DocumentRow.log, DocumentRow.n, DocumentRow.text).order_by(DocumentRow.log, DocumentRow.n)
    )
    check_policies([(log, n, text) for log, n, text in policies], logs)
    by_log = {one.log: one for one in replayed}
    _check_rows(session, by_log)
    _check_access(session, logs)
    _check_files(data, trust, by_log)
    return replayed


def _check_rows(session: Session, replayed: Mapping[str, Replayed]) -> None:
    """The tables that pages read must say what the logs say."""
    asked = _asked(session)
    for row in session.scalars(select(ChangeRow).order_by(ChangeRow.id)):
        said = replayed[row.log].states.get(row.id) if row.log in replayed else None
        if said != row.state:
            raise DoesNotAgree(
                f"{row.log}: change {row.id} is marked {row.state}, the change log says {said or 'nothing of it'}"
            )
        if row.state == State.REQUESTED and row.diff != asked.get(row.id):
            raise DoesNotAgree(f"{row.log}: what waits as change {row.id} is not what was asked for")
    for log, replay_ in replayed.items():
        beside = select(EntryRow.n, EntryRow.kind, EntryRow.at, EntryRow.change, EntryRow.policy, EntryRow.text)
        for n, kind, at, change, policy, text in session.execute(beside.where(EntryRow.log == log)):
            entry = parse_entry(text)
            beside_it = (entry["n"], entry["kind"], entry["at"], entry.get("change"), "policy" in entry)
            if beside_it != (n, kind, instant(at), change, policy):
                raise DoesNotAgree(f"{log}: what is stored beside entry {n} is not what the entry says")
        stored = session.get(DocumentRow, (log, replay_.last))
        if replay_.document is not None and (stored is None or stored.text != write(replay_.document)):
            raise DoesNotAgree(f"{log}: the stored policy is not what its change log amounts to")


def _asked(session: Session) -> dict[int, str]:
    """What each request is for: as it was asked, or as it was made smaller or brought onto newer lists since."""
    wanted = select(EntryRow.text).where(EntryRow.kind.in_(ASKED)).order_by(EntryRow.log, EntryRow.n)
    found = map(parse_entry, session.scalars(wanted))
    return {int(entry["change"]): canonical(entry["diff"]) for entry in found}


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
