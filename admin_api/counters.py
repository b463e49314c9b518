"""What the resolver's workers count, from run/counters/<worker>.json, as Prometheus reads it."""

import json
from collections.abc import Iterator, Mapping
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


def told(data: Path) -> list[Mapping[str, Any]]:
    """What each worker told last; what cannot be read is left out."""
    found: list[Mapping[str, Any]] = []
    for path in sorted((data / "run" / "counters").glob("*.json")):
        try:
            one = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(one, dict):
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
