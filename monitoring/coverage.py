"""What a gateway saw of the connections that went through it: counted by day, network and device. Files, no database.

The process that steers counts, a file a day; the desk and the command line read. Counts hold no site and no person, and
go after a week.
"""

import json
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

WAYS: Final = {  # what became of a connection: what was seen of it
    "content": "opened by the proxy: its pages are seen",
    "name": "forwarded, or passed on unopened: only its site’s name is seen",
    "forwarded": "forwarded unseen: other ports that a network may use, and networks that are not filtered",
    "refused": "refused: other ports, encrypted DNS elsewhere, or the filter was not there",
    "unresolved": "to an address that this machine told nobody: the proxy judges the name that it gives",
}
BYTES: Final = " bytes"  # behind a way: how many went over connections that have ended
NO_BYTES: Final = (
    "No bytes are counted yet: a connection's are, some two minutes after its end. If that stays so, this kernel does not "
    "account for connections, or was not told to: `schoolgate gateway apply` does."
)
KEPT_DAYS: Final = 7
MOST: Final = 20_000  # devices of a day; the others are counted together
OTHERS: Final = "others"

KEYS: Final = (*WAYS, *(way + BYTES for way in WAYS))

type Who = tuple[str, str, str]  # school, network of the gateway, device


@dataclass(frozen=True, slots=True)
class Share:
    """How the connections of one network, or of one device in it, went."""

    network: str
    device: str
    counts: Counter[str]
    bytes: Counter[str] = field(default_factory=Counter)  # of connections that have ended, where the kernel counts them

    @property
    def total(self) -> int:
        return self.counts.total()

    @property
    def size(self) -> int:
        return self.bytes.total()

    def percent(self, way: str) -> int:
        return round(100 * self.counts[way] / self.total) if self.total else 0

    def percent_of_bytes(self, way: str) -> int:
        return round(100 * self.bytes[way] / self.size) if self.size else 0


class Tally:
    """Of the process that counts: one day's."""

    def __init__(self, folder: Path, now: float) -> None:
        self._folder, self._day = folder, _day(now)
        self._counts = _read(folder / f"{self._day}.json")
        self._told = True

    def count(self, who: Who, way: str, now: float, size: int = 0) -> None:
        """One connection that begins; or, with a size, the bytes of one that has ended."""
        if (day := _day(now)) != self._day:
            self.write()
            self._day, self._counts = day, {}
        if who not in self._counts and len(self._counts) >= MOST:
            who = (who[0], who[1], OTHERS)
        self._counts.setdefault(who, Counter())[way + BYTES if size else way] += size or 1
        self._told = False

    def write(self) -> None:
        """What is new, to the day's file; and files that are too old go."""
        if self._told:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self._day}.json"
        aside = path.with_suffix(".new")
        rows = [[*who, {key: counts[key] for key in KEYS if counts[key]}] for who, counts in self._counts.items()]
        aside.write_text(json.dumps(rows), encoding="utf-8")
        aside.chmod(0o640)
        aside.replace(path)
        self._told = True
        for old in sorted(self._folder.glob("*.json"))[:-KEPT_DAYS]:
            old.unlink(missing_ok=True)


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).date().isoformat()


def _read(path: Path) -> dict[Who, Counter[str]]:
    found: dict[Who, Counter[str]] = {}
    with suppress(OSError, ValueError):  # none, or torn: what it said is lost, and counting goes on
        for row in json.loads(path.read_text(encoding="utf-8")):
            match row:
                case [str(school), str(network), str(device), dict(counts)]:
                    found[(school, network, device)] = Counter({key: int(counts.get(key, 0)) for key in KEYS})
    return found


def seen(folder: Path, now: float, days: int, schools: Iterable[str] | None = None) -> list[Share]:
    """The last days', today among them: each network (device ""), and after it its devices, the busiest first."""
    sums: dict[tuple[str, str], Counter[str]] = {}
    wanted = None if schools is None else set(schools)
    for back in range(days):
        for (school, network, device), counts in _read(
            folder / f"{_day(now - timedelta(days=back).total_seconds())}.json"
        ).items():
            if wanted is None or school in wanted:
                for key in ((network, ""), (network, device)):
                    sums.setdefault(key, Counter()).update(counts)
    found = [
        Share(
            network, device, Counter({way: counts[way] for way in WAYS}), Counter({way: counts[way + BYTES] for way in WAYS})
        )
        for (network, device), counts in sums.items()
    ]
    return sorted(found, key=lambda one: (one.network, bool(one.device), -one.total, one.device))
