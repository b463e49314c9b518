"""Streams of the filter log: each receiver of the configuration with its sender, and how it stands, for desk and commands."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from urllib.parse import urlsplit

from admin_api import outbox
from admin_api.post import Hook, send_hook
from appliance.config import Config
from appliance.receivers import StreamConfig, syslog_server
from change_control.tables import OutboxRow
from monitoring.lines import Line
from monitoring.log import Log
from monitoring.stream import Send, State, Stream, as_json
from monitoring.syslog import Syslog
from policy.live import Live, PolicyMissing
from policy.rules import SchoolPolicy

log = logging.getLogger(__name__)


class Staff:
    """Which groups of a school are staff's, by the policy in force."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._live: Live | None = None
        self._lock = Lock()  # each stream is a thread

    def __call__(self, school: str) -> frozenset[str] | None:
        try:
            with self._lock:
                self._live = self._live or Live(self._data)
                self._live.refresh()
                schools = self._live.snapshot.schools
        except PolicyMissing:
            raise RuntimeError("no policy is in force yet, so nobody can say which lines are staff’s") from None
        if not school:
            return frozenset()
        document = schools.get(school)
        if not isinstance(document, SchoolPolicy):
            return None
        return frozenset(group.id for group in document.groups if group.phase == "staff")


def sender(config: Config, stream: StreamConfig) -> Send:
    """What takes a stream's lines to where they go."""
    if stream.syslog:
        how, host, port = syslog_server(f"log_to.{stream.name}", stream.syslog)
        return Syslog(how, host, port, ca=stream.ca, sender=urlsplit(config.desk_url).hostname or "schoolgate")
    hook = Hook(stream.name, stream.webhook, stream.secret_file, stream.ca)

    def post(lines: Sequence[tuple[Line, str]]) -> None:
        now = datetime.now(UTC)
        said = outbox.event("log.lines", now, {"stream": stream.name, "lines": [as_json(line, code) for line, code in lines]})
        key = f"log {lines[0][0].id} {lines[-1][0].id}"
        send_hook(hook, OutboxRow(kind=outbox.WEBHOOK, to=stream.name, key=key, text=said), now)

    return post


def state_file(data: Path, name: str) -> Path:
    return data / "run" / "streams" / f"{name.encode().hex()}.json"


def streams(config: Config, write: Callable[[Path, bytes], None]) -> Sequence[Stream]:
    """The streams of this installation, not started yet."""
    staff = Staff(config.data)

    def stream(one: StreamConfig) -> Stream:
        def told(state: State) -> None:
            said = {"name": one.name, "to": one.syslog or one.webhook, "at": datetime.now(UTC).timestamp(), **asdict(state)}
            write(state_file(config.data, one.name), json.dumps(said).encode())

        return Stream(one.name, Log(config.log_database), sender(config, one), staff, school=one.school, told=told)

    there = {state_file(config.data, one.name) for one in config.log_to}
    for path in (config.data / "run" / "streams").glob("*.json"):
        if path not in there:  # of a receiver that is configured no more
            path.unlink(missing_ok=True)
    return [stream(one) for one in config.log_to]


def example() -> tuple[Line, str]:
    """A line that says nothing, for trying a receiver out."""
    now = datetime.now(UTC)
    blank = dict.fromkeys(Line.__slots__, "") | {"id": "0e0", "at": now, "last": now, "count": 1, "change": 0}
    return Line(**(blank | {"kind": "notice", "reason": "test", "detail": "a test from Schoolgate"})), ""  # type: ignore[arg-type]
