"""How the filter is running, from what each worker says at run/workers/<name>.json."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from admin_api.deps import Desk, Services
from policy.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Worker:
    """One part of the filter: what is in force there, and what it refused."""

    name: str
    generation: int
    revisions: dict[str, int]
    problems: dict[str, str]


@dataclass(frozen=True, slots=True)
class FilterState:
    """All parts of the filter that are running, and how many should be."""

    workers: tuple[Worker, ...]
    expected: int

    @property
    def of(self) -> int:
        return max(self.expected, len(self.workers))

    def on(self, log: str, entry: int) -> int:
        """On how many parts an entry of a log, or a later one, is in force."""
        return sum(worker.revisions.get(log, -1) >= entry for worker in self.workers)

    def problems(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(text for worker in self.workers for text in worker.problems.values()))


def filter_state(services: Services) -> FilterState:
    folder = services.data / "run" / "workers"
    found = [worker for path in sorted(folder.glob("*.json")) if (worker := _worker(path))]
    return FilterState(tuple(found), services.workers_expected)


def wait(services: Services, log: str, entry: int) -> None:
    """Give the workers a moment to take up an entry; a page that says "in force on 4 of 4" spares a second look."""
    until = time.monotonic() + services.patience
    while time.monotonic() < until:
        state = filter_state(services)
        if state.on(log, entry) == len(state.workers):
            return
        time.sleep(0.05)


def problems(desk: Desk, snapshot: Snapshot, state: FilterState) -> tuple[str, ...]:
    """What the desk or a worker refused; of schools that are none of the visitor's, nothing."""
    foreign = tuple(f"{log}:" for log in snapshot.revisions if desk.visitor.at(log) is None)
    every = dict.fromkeys((*desk.services.live.problems.values(), *state.problems(), *desk.services.alarms.values()))
    return tuple(text for text in every if not text.startswith(foreign))


def _worker(path: Path) -> Worker | None:
    """What a running worker says; None for what a worker that is gone left behind."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        os.kill(int(said["pid"]), 0)
        return Worker(
            path.stem,
            int(said["generation"]),
            {str(log): int(entry) for log, entry in said["revisions"].items()},
            {str(key): str(text) for key, text in said["problems"].items()},
        )
    except PermissionError:  # it runs, as another user
        return Worker(path.stem, int(said["generation"]), dict(said["revisions"]), dict(said["problems"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
