"""The policy in force in this process: loaded with its proof, swapped whole, the last good one kept.

The theory. Publishing leaves in the data folder

    policy/current.json     {"generation": n, "authority": id, "parts": {log: file name}}, renamed into place
    policy/<file>.json      a part: a document and its proof (policy/proof.py)
    objects/<digest>.*      dictionaries, taxonomies, engines, indexes, authority documents: named by their content
    trust/authority.json    the authority's name and public key: the one thing a worker starts from

A worker looks at `current.json` a few times a second, loads aside what changed, checks every proof, and assigns
`Live.snapshot` once. Each part stands alone: a part that is refused keeps that log's last good one and is named in
`Live.problems`. What a worker accepted it copies to state/last-good/, so that it can start again while the published files
are broken, and so that a tree smaller than the last one seen is refused after a restart too (a rollback).
"""

import base64
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from category_lists import sealed
from category_lists.classifier import Model
from category_lists.index import Index
from category_lists.phrases import Sets
from category_lists.sealed import Sealed
from category_lists.taxonomy import Taxonomy
from policy.grounds import Proven, check_part
from policy.identity import Clients
from policy.presence import Presence
from policy.proof import ProofRefused
from policy.rules import AuthorityPolicy, Dictionary, SchoolPolicy, read, read_document
from policy.search_engines import Engines
from policy.snapshot import LoadedDictionary, Snapshot

log = logging.getLogger(__name__)


type Before = Callable[[Snapshot], None]


class PolicyMissing(RuntimeError):
    """There is no policy that can be proven, so nothing may be filtered by it."""


@dataclass(frozen=True, slots=True)
class Trust:
    """The authority's name and public key (32 bytes)."""

    authority: str
    public: bytes

    @classmethod
    def load(cls, data: Path) -> "Trust":
        try:
            found = json.loads((data / "trust" / "authority.json").read_text(encoding="utf-8"))
            return cls(str(found["authority"]), base64.b64decode(found["public"], validate=True))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PolicyMissing(
                f"{data}/trust/authority.json cannot be read ({error}); run `schoolgate init` first"
            ) from None


@dataclass(frozen=True, slots=True)
class Part:
    """One log's proven document."""

    file: str
    proven: Proven
    document: AuthorityPolicy | SchoolPolicy


def write_aside(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write, fsync and rename into place: a reader sees the old file or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class Objects:
    """Files named by the SHA-256 of their content; a file that is not what its name says is refused."""

    def __init__(self, data: Path) -> None:
        self.folder = data / "objects"
        self.sealed_folder, self.sealed_key = data / "sealed", data / "secrets" / "sealed.key"

    def path(self, digest: str, suffix: str = "json") -> Path:
        return self.folder / f"{digest}.{suffix}"

    def put(self, text: str) -> str:
        """Store a text under its digest; a file that someone edited is put right."""
        data = text.encode()
        digest = hashlib.sha256(data).hexdigest()
        path = self.path(digest)
        if not path.exists() or path.read_bytes() != data:
            write_aside(path, data)
        return digest

    def text(self, digest: str) -> str:
        try:
            data = self.path(digest).read_bytes()
        except OSError as error:
            raise ProofRefused(f"object {digest[:12]} cannot be read: {error.strerror}") from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise ProofRefused(f"object {digest[:12]} is not what its name says")
        return data.decode()

    def dictionary(self, digest: str) -> LoadedDictionary:
        """A dictionary with all it names, opened and checked."""
        named = read(Dictionary, self.text(digest))
        try:
            index = Index.open(self.path(named.index, "idx"), expect=named.index)
        except (OSError, ValueError) as error:
            raise ProofRefused(f"index {named.index[:12]}: {error}") from None
        return LoadedDictionary(
            digest,
            index,
            Taxonomy.from_json(self.text(named.taxonomy)),
            Engines.from_json(self.text(named.engines)),
            self.sealed(named.sealed) if named.sealed else None,
            self.model(named.model) if named.model else None,
            Sets(self.text(named.phrases)) if named.phrases else None,
        )

    def model(self, digest: str) -> Model:
        """The model of names that a dictionary names."""
        try:
            data = self.path(digest, "model").read_bytes()
            if hashlib.sha256(data).hexdigest() != digest:
                raise ValueError("it is not what was accepted")
            return Model.from_bytes(data)
        except (OSError, ValueError) as error:
            raise ProofRefused(f"model {digest[:12]}: {error}") from None

    def sealed(self, digest: str) -> Sealed:
        """The sealed list of illegal content that a dictionary names."""
        try:
            return sealed.load(self.sealed_folder, self.sealed_key, digest)
        except sealed.CannotOpen as error:
            raise ProofRefused(str(error)) from None


class Live:
    """The snapshot in force, and what was refused. One a process; `refresh` is called by one thread at a time."""

    def __init__(self, data: Path, worker: str = "", *, told: Callable[[str], None] = lambda _: None) -> None:
        self._data, self._worker, self._told = data, worker, told
        self.presence = Presence(data / "run" / "presence")
        self._trust = Trust.load(data)
        self._objects = Objects(data)
        self._stamp: tuple[int, int] | None = None
        self._parts: dict[str, Part] = {}
        self._read: dict[str, tuple[str, int, int, int]] = {}  # what each part was read from: 499 of 500 schools stay
        self._proved: dict[str, bytes] = {}  # the digest of the bytes that each part was proven from
        self._dictionaries: dict[str, LoadedDictionary] = {}
        self.problems: Mapping[str, str] = {}
        self._snapshot: Snapshot | None = None
        self._recall()
        self.refresh()
        if self._snapshot is None:
            self._build(0, self.problems)
        if self._snapshot is None:
            raise PolicyMissing("; ".join(self.problems.values()) or "no policy has been published yet")

    @property
    def snapshot(self) -> Snapshot:
        if self._snapshot is None:
            raise PolicyMissing("no policy has been published yet")
        return self._snapshot

    def refresh(self, before: Before = lambda _: None) -> bool:
        """Load what was published since the last look. True when another snapshot is now in force.

        `before` is given it first: what it wants to do beforehand, the old policy being in force, is done when it returns.
        Its ValueError is a reason to keep the old one.
        Who is at which address is looked at as well; that changes no snapshot.
        """
        self.presence.refresh(time.time())
        current = self._data / "policy" / "current.json"
        try:
            stat = current.stat()
            stamp = (stat.st_mtime_ns, stat.st_ino)
            if stamp == self._stamp:
                return False
            self._stamp = stamp
            listed = json.loads(current.read_text(encoding="utf-8"))
            files = {str(name): str(file) for name, file in listed["parts"].items()}
            generation = int(listed["generation"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            self._report({"current.json": f"policy/current.json cannot be read ({error})"})
            return False
        problems = {name: f"{name}: missing from policy/current.json" for name in self._parts if name not in files}
        for name, file in files.items():
            known = self._parts.get(name)
            try:
                if self._read.get(name) == (seen := self._seen(file)):
                    continue
                self._read.pop(name, None)  # what is refused is looked at again
                part = self._load(name, file)
                if known and part.proven.size < known.proven.size:
                    raise ProofRefused(f"a log of {part.proven.size} entries, though {known.proven.size} were seen before")
                self._parts[name] = part
                if known is None or part.proven != known.proven:
                    self._keep(name, file)
                self._read[name] = seen
            except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
                problems[name] = f"{name}: {file}: {error}"
        return self._build(generation, problems, before)

    def _seen(self, file: str) -> tuple[str, int, int, int]:
        stat = (self._data / "policy" / Path(file).name).stat()
        return file, stat.st_mtime_ns, stat.st_ino, stat.st_size

    def _load(self, name: str, file: str) -> Part:
        data = (self._data / "policy" / Path(file).name).read_bytes()
        known, mark = self._parts.get(name), hashlib.sha256(data).digest()
        if known and self._proved.get(name) == mark:
            return replace(known, file=file)  # the very bytes that were proven at the start, from the last good ones
        part = self._prove(name, file, json.loads(data))
        self._proved[name] = mark
        return part

    def _prove(self, name: str, file: str, raw: Mapping[str, Any]) -> Part:
        proven = check_part(raw, authority=self._trust.authority, log=name, public=self._trust.public)
        document = read_document(proven.text)
        if document.log != name:
            raise ProofRefused(f"the document is of {document.log}")
        return Part(file, proven, document)

    def _recall(self) -> None:
        """Start from what this machine's workers last accepted; the published files are looked at after that."""
        for path in sorted((self._data / "state" / "last-good").glob("*.json")):
            try:
                data = path.read_bytes()
                self._parts[path.stem] = self._prove(path.stem, path.name, json.loads(data))
                self._proved[path.stem] = hashlib.sha256(data).digest()
            except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
                log.warning("last good policy of %s cannot be used: %s", path.stem, error)

    def _keep(self, name: str, file: str) -> None:
        data = (self._data / "policy" / Path(file).name).read_bytes()
        try:
            write_aside(self._data / "state" / "last-good" / f"{name}.json", data)
        except OSError as error:  # a full disk must not stop filtering; a later start has only the published file
            log.warning("cannot keep the last good policy of %s: %s", name, error)

    def _build(self, generation: int, problems: Mapping[str, str], before: Before = lambda _: None) -> bool:
        """Put the proven parts together and swap. What they name must all be there, or the old snapshot stays."""
        authority = self._parts.get(self._trust.authority)
        if authority is None or not isinstance(authority.document, AuthorityPolicy):
            self._report(problems)
            return False
        try:
            schools = {name: part.document for name, part in self._parts.items() if isinstance(part.document, SchoolPolicy)}
            wanted = {authority.document.dictionary, *(school.dictionary for school in schools.values())}
            dictionaries = {
                digest: self._dictionaries.get(digest) or self._objects.dictionary(digest) for digest in sorted(wanted)
            }
            authorities = {
                digest: read(AuthorityPolicy, self._objects.text(digest))
                for digest in {school.authority for school in schools.values()}
            }
        except (OSError, ValueError) as error:
            self._report({**problems, "objects": str(error)})
            return False
        snapshot = Snapshot(
            generation=generation,
            authority=authority.document,
            schools=schools,
            authorities=authorities,
            dictionaries=dictionaries,
            revisions={name: part.proven.entry for name, part in self._parts.items()},
            clients=Clients(schools.values(), self.presence),
        )
        try:
            before(snapshot)
        except ValueError as error:  # what it names is signed and whole, and cannot be used
            self._report({**problems, "objects": str(error)})
            return False
        self._report(problems)
        self._dictionaries, self._snapshot = dictionaries, snapshot
        self._report_state()
        return True

    def _report(self, problems: Mapping[str, str]) -> None:
        fresh = [text for key, text in problems.items() if self.problems.get(key) != text]
        self.problems = dict(problems)
        for text in fresh:
            log.error("policy refused, last good one kept: %s", text)
            self._told(text)
        if fresh:
            self._report_state()

    def _report_state(self) -> None:
        """Say at run/workers/<name>.json what is in force here, for the desk's "in force on 4 of 4"."""
        if not self._worker:
            return
        state = {
            "pid": os.getpid(),
            "generation": self._snapshot.generation if self._snapshot else 0,
            "revisions": dict(self._snapshot.revisions) if self._snapshot else {},
            "problems": dict(self.problems),
        }
        try:
            write_aside(self._data / "run" / "workers" / f"{self._worker}.json", json.dumps(state).encode())
        except OSError as error:
            log.warning("cannot report the policy in force: %s", error)
