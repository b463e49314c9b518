"""Both sides of witnessing: co-signing what other installations show, and having one's own change logs co-signed.

What a witness says is in `change_control/witness.py`; here are the files and the network. A witness keeps the last checkpoint
it co-signed for each log in state/witness/, and answers at /witness/add-checkpoint. Who has logs shows each new checkpoint
to the witnesses it knows (the authority's installation, a second school) and keeps what they co-signed in state/witnessed/,
from where it goes into each export. A witness that has seen more than is here now has found a rollback: that is an alarm.
"""

import contextlib
import fcntl
import hashlib
import http.client
import logging
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select

from change_control.keys import public_of, secret_of
from change_control.ledger import LedgerMismatch
from change_control.service import Office
from change_control.store import Store
from change_control.tables import LogRow
from change_control.witness import Witness, cosignatures, line, message, request, seen_next, size_of
from policy.live import write_aside
from policy.proof import ProofRefused, read_checkpoint

log = logging.getLogger(__name__)

EVERY_S = 20.0
TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Keeper:
    """This installation as a witness. `authorities`: whose logs it vouches for, name and public key."""

    data: Path
    name: str
    authorities: Mapping[str, bytes]

    @property
    def _private(self) -> bytes:
        return secret_of(self.data / "secrets" / "witness.key")

    @property
    def witness(self) -> Witness:
        return Witness(self.name, public_of(self._private))

    def add(self, text: str, now: datetime) -> str:
        """The cosignature of a checkpoint that continues what was seen; the errors are those of `seen_next`."""
        origin = text.partition("\n\n")[2].partition("\n")[0]
        signer = origin.split("/")[1] if origin.startswith("schoolgate/") and origin.count("/") == 2 else ""
        known = {origin: (signer, self.authorities[signer])} if signer in self.authorities else {}
        path = self.data / "state" / "witness" / f"{hashlib.sha256(origin.encode()).hexdigest()}.note"
        with self._alone():
            before = path.read_text(encoding="utf-8") if path.exists() else ""
            seen = read_checkpoint(before, *known[origin]) if before and known else None
            _, note = seen_next(seen, text, known)
            write_aside(path, note.encode())  # before the answer leaves: what was vouched for is never forgotten
        at = int(now.timestamp())
        signature = Ed25519PrivateKey.from_private_bytes(self._private).sign(message(note, at))
        return line(self.witness, at, signature)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        folder = self.data / "state" / "witness"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


@dataclass(frozen=True, slots=True)
class Asked:
    """A witness that is shown our checkpoints."""

    witness: Witness
    url: str  # add-checkpoint is below it
    ca: str = ""  # a PEM file of the authority behind its certificate


@dataclass(slots=True)
class Cosigner:
    """Shows each new checkpoint to the witnesses. `alarms` is where a rollback is named."""

    store: Store
    office: Office
    data: Path
    asked: Sequence[Asked]
    alarms: dict[str, str]
    now: Callable[[], float] = time.monotonic
    troubles: dict[str, str] = field(default_factory=dict)  # witnesses that did not answer
    _last: float = float("-inf")

    def __call__(self) -> None:
        if not self.asked or self.now() - self._last < EVERY_S:
            return
        self._last = self.now()
        with self.store.read() as session:
            names = session.scalars(select(LogRow.id).order_by(LogRow.id)).all()
        for one in self.asked:
            for name in names:
                try:
                    self.show(one, name)
                    self.troubles.pop(one.witness.name, None)
                except (OSError, http.client.HTTPException, ValueError, LookupError) as error:
                    self.troubles[one.witness.name] = str(error) or type(error).__name__
                    log.warning("the witness %s did not co-sign %s: %s", one.witness.name, name, error)
                    break

    def show(self, one: Asked, name: str, begins: int | None = None) -> None:
        """Have one log's checkpoint co-signed by one witness, if it has grown since."""
        path = witnessed_file(self.data, name, one.witness)
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        old = begins if begins is not None else size_of(before) if before else 0
        with self.store.read() as session:
            try:
                book = self.office.book(session, name)
                note, size = book.row.checkpoint, book.size
                if before and size < size_of(before):
                    self._rolled_back(one, name, size_of(before), size)
                    return
                if not size or (before and begins is None and size == size_of(before)):
                    return
                proof = book.consistency(old) if old else []
            except LedgerMismatch:
                return  # named by whoever publishes; nothing of it is shown to others
        status, text = post(one, request(old, proof, note))
        if status == 200:
            whole = note + text
            if not cosignatures(whole, [one.witness]):
                raise ProofRefused("its answer carries no signature of its own")
            write_aside(path, whole.encode())
            self.alarms.pop(f"{name} {one.witness.name}", None)
        elif status == 409 and begins is None:
            seen = int(text) if text.strip().isdigit() else 0
            if seen > size:
                self._rolled_back(one, name, seen, size)
            else:
                self.show(one, name, seen)
        elif status == 422:
            self.alarms[f"{name} {one.witness.name}"] = (
                f"{name}: the change log is not the one that the witness {one.witness.name} has seen before: it was rolled "
                f"back or made anew ({' '.join(text.split())[:150]})"
            )
        else:
            raise OSError(f"it answered {status} {text.strip()[:100]}")

    def _rolled_back(self, one: Asked, name: str, seen: int, size: int) -> None:
        self.alarms[f"{name} {one.witness.name}"] = (
            f"{name}: the change log has been rolled back: the witness {one.witness.name} has seen {seen} entries, "
            f"{size} are here"
        )


def post(one: Asked, body: str) -> tuple[int, str]:
    """Status and answer of a witness."""
    parts = urlsplit(one.url)
    made: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=one.ca or None)
        made = http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S, context=context)
    else:
        made = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    with contextlib.closing(made):
        made.request("POST", f"{parts.path.rstrip('/')}/add-checkpoint", body.encode(), {"Content-Type": "text/plain"})
        answer = made.getresponse()
        return answer.status, answer.read(10_000).decode("utf-8", "replace")


def witnessed_file(data: Path, name: str, witness: Witness) -> Path:
    return data / "state" / "witnessed" / name / f"{witness.key_id().hex()}.note"
