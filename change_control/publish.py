"""Publishing: every log's policy in force, with its proof, put where the workers look. Idempotent; also done at start-up.

A log whose stored rows do not agree with what was signed is not published: its last good file stays, and the caller is told.
"""

import fcntl
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from change_control.book import Book, InForce
from change_control.dictionaries import Dictionaries
from change_control.keys import AuthorityKey
from change_control.ledger import LedgerMismatch
from change_control.tables import LogRow
from policy.decide import Question, decide
from policy.grounds import check_part
from policy.identity import UNASSIGNED, Clients
from policy.live import Objects, write_aside
from policy.proof import ProofRefused, digest
from policy.rules import Action, AuthorityPolicy, Document, SchoolPolicy, read, write
from policy.snapshot import Snapshot

ANY_TIME = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Published:
    """What is now where the workers look, and what was not published and why."""

    generation: int
    parts: Mapping[str, str]
    problems: Mapping[str, str]


def publish(session: Session, key: AuthorityKey, data: Path, logs: Collection[str] = ()) -> Published:
    """Write aside, fsync, rename `current.json`, for some logs or (none named) for all.

    Safe to call from several processes and at any time.
    """
    folder = data / "policy"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = _current(folder)
        parts: dict[str, str] = dict(before.parts)
        problems: dict[str, str] = {}
        put_right = False
        # Where the list of parts is lost, naming some logs would lose the others.
        chosen = sorted(logs) if parts else ()
        for log in chosen or session.scalars(select(LogRow.id).order_by(LogRow.id)):
            try:
                if written := _write(session, key, data, log, before.parts.get(log, "")):
                    parts[log], fresh = written
                    put_right |= fresh
            except (LedgerMismatch, ProofRefused, ValueError) as error:
                problems[log] = str(error)
        generation = before.generation
        if parts != before.parts or put_right:  # workers look at a part again only when this file is written anew
            generation += parts != before.parts
            current = {"generation": generation, "authority": key.authority, "parts": parts}
            write_aside(folder / "current.json", json.dumps(current, indent=1).encode())
    return Published(generation, parts, problems)


def _write(session: Session, key: AuthorityKey, data: Path, log: str, last: str) -> tuple[str, bool] | None:
    """The file of a log's part, and whether it had to be written. None: the log has no policy yet."""
    book = Book(session, key, log)
    force = book.in_force()
    if force is None:
        return None
    file = f"{log}-{force.n:06d}-{digest(force.text)[:12]}.json"
    path = data / "policy" / file
    if isinstance(force.document, AuthorityPolicy):
        Objects(data).put(force.text)  # schools name the authority's document that they accepted by its digest
    if path.name != last:
        _check_essentials(data, force.document)
    if _holds(path, key, log, force):
        return file, False
    write_aside(path, json.dumps(book.part()).encode())  # a file that someone edited is put right, too
    return file, True


def _check_essentials(data: Path, document: Document) -> None:
    """Every group still reaches every essential site under this policy, or it is not published: ValueError names the site.

    Asked of `decide` itself, at any hour: no rule stands above the essentials, so no time can either.
    """
    dictionaries = Dictionaries(data)
    objects = dictionaries.objects
    named = dictionaries.named(document.dictionary)
    loaded = objects.dictionary(document.dictionary)
    schools = {document.log: document} if isinstance(document, SchoolPolicy) else {}
    authority = document if isinstance(document, AuthorityPolicy) else read(AuthorityPolicy, objects.text(document.authority))
    own = {digest(write(authority)): authority}
    clients = Clients(schools.values())
    snapshot = Snapshot(0, authority, schools, own, {loaded.digest: loaded}, {}, clients)
    who = [(document.log, group.id) for group in document.groups] if isinstance(document, SchoolPolicy) else []
    rows = dictionaries.essential_rows_of(named)
    for school, group in who or [(UNASSIGNED.school, UNASSIGNED.group)]:
        for row in rows:
            host, slash, rest = row.partition("/")
            asked = Question(school, group, host, ANY_TIME, slash + rest if slash else None)
            if decide(snapshot, asked).action is not Action.ALLOW:
                raise ValueError(f"the essential site {row} would be refused to {group or 'devices of no school'}")


def _holds(path: Path, key: AuthorityKey, log: str, force: InForce) -> bool:
    """Is the file a good proof of this very policy? An older good part under a newer name is not."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        proven = check_part(raw, authority=key.authority, log=log, public=key.public)
    except (OSError, ValueError, RecursionError):
        return False
    return (proven.text, proven.entry) == (force.text, force.n)


def _current(folder: Path) -> Published:
    try:
        found = json.loads((folder / "current.json").read_text(encoding="utf-8"))
        return Published(int(found["generation"]), {str(k): str(v) for k, v in found["parts"].items()}, {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Published(0, {}, {})
