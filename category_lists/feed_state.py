"""How each feed is doing: when it was last looked for, what came of it, and how often it failed since.

A small JSON file a feed, `feeds/<id>/state.json` in the data folder, written whole by the updater and read by the desk and by
`schoolgate lists status`. It decides nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from category_lists.aside import Aside

_NEVER: Final = ""
RETRY_FIRST, RETRY_LONGEST = timedelta(minutes=10), timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class ListState:
    """What one list of a feed was read as."""

    entries: int
    refused: int
    set_aside: int
    version: str
    digest: str
    category: str


@dataclass(frozen=True, slots=True)
class FeedState:
    """Moments are RFC 3339 texts, "" for never."""

    id: str
    tried: str = _NEVER
    succeeded: str = _NEVER  # when it was last known to be current
    changed: str = _NEVER  # when it last brought something new
    failures: int = 0  # since it last succeeded
    said: str = ""  # what went wrong last, or what waits
    sha256: str = ""
    lists: Mapping[str, ListState] = field(default_factory=dict)

    def due(self, now: datetime, every_hours: int) -> bool:
        """Should it be looked for now? What failed is tried again soon, then more and more seldom."""
        if not self.tried:
            return True
        since = now - datetime.fromisoformat(self.tried)
        if self.failures:
            return since >= min(RETRY_LONGEST, RETRY_FIRST * (1 << min(self.failures - 1, 10)))
        return since >= timedelta(hours=every_hours)

    def days_old(self, now: datetime) -> int | None:
        """Whole days since it was last known to be current."""
        return max(0, (now - datetime.fromisoformat(self.succeeded)).days) if self.succeeded else None

    def late(self, now: datetime, every_hours: int) -> bool:
        """Has it missed two of its turns? Then somebody should know."""
        if not self.tried:
            return False
        since = datetime.fromisoformat(self.succeeded or self.tried)
        return bool(self.failures) and now - since > timedelta(hours=2 * every_hours)

    def failed(self, now: datetime, why: str) -> "FeedState":
        return replace(self, tried=_text(now), failures=self.failures + 1, said=why[:500])

    def worked(self, now: datetime, sha256: str, lists: Mapping[str, ListState] | None = None, said: str = "") -> "FeedState":
        changed = _text(now) if sha256 != self.sha256 else self.changed
        return FeedState(
            self.id, _text(now), _text(now), changed, 0, said[:500], sha256, self.lists if lists is None else lists
        )


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def folder(data: Path) -> Path:
    return data / "feeds"


def load(data: Path, feed: str) -> FeedState:
    """What is known of a feed; nothing, where its file is missing or damaged."""
    try:
        raw = json.loads((folder(data) / feed / "state.json").read_text("utf-8"))
        some = {str(name): ListState(**one) for name, one in raw.pop("lists").items()}
        state = FeedState(**raw, lists=some)
        for moment in (state.tried, state.succeeded, state.changed):
            if moment:
                datetime.fromisoformat(moment)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return FeedState(feed)
    return state


def save(data: Path, state: FeedState) -> None:
    home = folder(data) / state.id
    home.mkdir(parents=True, exist_ok=True)
    with Aside(home) as file:
        file.write(json.dumps(asdict(state), indent=1).encode())
        file.keep(home / "state.json")
