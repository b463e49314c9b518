"""What the resolver's workers count, from run/counters/<worker>.json: as Prometheus reads it, and summed up for people."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COUNTED = {  # key: metric, its label, its meaning
    "queries": ("schoolgate_dns_queries_total", "transport", "Queries that came."),
    "decisions": ("schoolgate_dns_decisions_total", "decision", "Queries by action and reason."),
    "replies": ("schoolgate_dns_replies_total", "from", "Replies by where they came from."),
    "dropped": ("schoolgate_dns_dropped_total", "why", "What was not answered, or not let in."),
    "troubles": (
        "schoolgate_dns_troubles",
        "what",
        "Events not recorded, queries not decided, replies not sent; connections open.",
    ),
}
LATENCY = "schoolgate_dns_upstream_seconds"
UPSTREAMS = {  # key: metric, its type, its meaning
    "asked": ("schoolgate_dns_upstream_asked_total", "counter", "Questions that an upstream resolver was asked."),
    "lost": ("schoolgate_dns_upstream_lost_total", "counter", "Questions that it did not answer in time, or not at all."),
    "latency": ("schoolgate_dns_upstream_latency_seconds", "gauge", "Its usual latency of late."),
    "rests": ("schoolgate_dns_upstream_rests", "gauge", "1 while it has failed and is asked only when no other is left."),
}


def told(data: Path) -> list[Mapping[str, Any]]:
    """What each resolver told last; what cannot be read is left out."""
    found: list[Mapping[str, Any]] = []
    for path in sorted((data / "run" / "counters").glob("*.json")):
        try:
            one = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(one, dict) and "upstream" in one:  # others count, too: the process that steers a gateway
            found.append(one)
    return found


def lines(data: Path) -> Iterator[str]:
    """Prometheus text."""
    workers = told(data)
    if not workers:
        return
    for key, (metric, label, meaning) in COUNTED.items():
        yield f"# HELP {metric} {meaning}\n# TYPE {metric} {'counter' if metric.endswith('_total') else 'gauge'}\n"
        for worker in workers:
            for name, value in sorted(worker.get(key, {}).items()):
                yield f'{metric}{{worker="{worker["worker"]}",{label}="{name}"}} {value}\n'
    yield f"# HELP {LATENCY} Time until an upstream's answer, or its failure.\n# TYPE {LATENCY} histogram\n"
    for worker in workers:
        total = 0
        for bound, count in worker["upstream"]["buckets"]:
            total += count
            yield f'{LATENCY}_bucket{{worker="{worker["worker"]}",le="{bound}"}} {total}\n'
        yield f'{LATENCY}_sum{{worker="{worker["worker"]}"}} {worker["upstream"]["sum"]}\n'
        yield f'{LATENCY}_count{{worker="{worker["worker"]}"}} {total}\n'
    for key, (metric, kind, meaning) in UPSTREAMS.items():
        yield f"# HELP {metric} {meaning}\n# TYPE {metric} {kind}\n"
        for worker in workers:
            for one in worker.get("upstreams", ()):
                yield f'{metric}{{worker="{worker["worker"]}",upstream="{one["name"]}"}} {float(one[key]):g}\n'


@dataclass(frozen=True, slots=True)
class Resolver:
    """An upstream resolver as all workers find it."""

    name: str
    asked: int
    lost: int
    latency_ms: float | None
    rests: bool


@dataclass(frozen=True, slots=True)
class Summary:
    """All workers together, since each of them started."""

    workers: int
    queries: Mapping[str, int]  # by transport
    decisions: Sequence[tuple[str, str, int]]  # action, reason, how often; the most frequent first
    replies: Mapping[str, int]
    dropped: Mapping[str, int]
    troubles: Mapping[str, int]
    within: Sequence[tuple[str, int]]  # seconds, how many answers took at most so long, and longer than the last
    upstreams: Sequence[Resolver]

    @property
    def ready_percent(self) -> int:
        """How many replies needed nobody to be asked."""
        of = sum(self.replies.values())
        return round(100 * (of - self.replies.get("upstream", 0) - self.replies.get("failure", 0)) / of) if of else 0


def summary(data: Path) -> Summary | None:
    """None: no resolver has told anything."""
    workers = told(data)
    if not workers:
        return None
    sums: dict[str, Counter[str]] = {key: Counter() for key in COUNTED}
    within: Counter[str] = Counter()
    for worker in workers:
        for key, counted in sums.items():
            counted.update(worker.get(key, {}))
        for bound, count in worker["upstream"]["buckets"]:
            within[bound] += count
    decisions = [(*key.partition(" ")[::2], count) for key, count in sums["decisions"].most_common()]
    return Summary(
        len(workers),
        sums["queries"],
        decisions,
        sums["replies"],
        sums["dropped"],
        sums["troubles"],
        tuple(within.items()),
        _resolvers(workers),
    )


def _resolvers(workers: Sequence[Mapping[str, Any]]) -> tuple[Resolver, ...]:
    each: dict[str, list[Mapping[str, Any]]] = {}
    for worker in workers:
        for one in worker.get("upstreams", ()):
            each.setdefault(str(one["name"]), []).append(one)
    found = []
    for name, some in each.items():
        known = [one["latency"] for one in some if one["latency"]]
        latency = 1000 * sum(known) / len(known) if known else None
        asked, lost = sum(one["asked"] for one in some), sum(one["lost"] for one in some)
        found.append(Resolver(name, asked, lost, latency, any(one["rests"] for one in some)))
    return tuple(found)
