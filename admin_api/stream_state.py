"""How the streams of the filter log stand, from what each says at run/streams/."""

import json
from dataclasses import dataclass
from pathlib import Path

from monitoring.lines import moment


@dataclass(frozen=True, slots=True)
class StreamState:
    """One receiver of the log."""

    name: str
    to: str
    behind: int  # lines that wait
    since: float | None  # of when the oldest of them is
    error: str

    @property
    def words(self) -> str:
        if not self.behind:
            return f"{self.to} has everything" + (f", after trouble ({self.error})" if self.error else "")
        oldest = "" if self.since is None else f", the oldest of {moment(int(self.since * 1_000_000)):%d %B %Y %H:%M} UTC"
        lines = f"{self.behind:,} {'line waits' if self.behind == 1 else 'lines wait'}{oldest}"
        return f"{lines}: {self.error}" if self.error else lines


def stream_states(data: Path) -> tuple[StreamState, ...]:
    found = []
    for path in sorted((data / "run" / "streams").glob("*.json")):
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            since = None if said["since"] is None else float(said["since"])
            found.append(StreamState(str(said["name"]), str(said["to"]), int(said["behind"]), since, str(said["error"])))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # half of what a crash left behind
    return tuple(found)


def troubled_streams(data: Path) -> tuple[StreamState, ...]:
    """Those whose receiver takes nothing just now."""
    return tuple(one for one in stream_states(data) if one.error)
