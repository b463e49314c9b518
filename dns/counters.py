"""What a worker counts: queries, decisions, where replies came from, how upstreams fared, what was dropped."""

from bisect import bisect_left
from collections import Counter
from typing import Final

BUCKETS_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.5)  # of an upstream's answer
TRANSPORTS: Final = ("udp", "tcp", "dot", "doh")


class Counters:
    """Of one worker, since it started. Plain sums: whoever reads them twice knows what happened in between."""

    def __init__(self) -> None:
        self.queries: Counter[str] = Counter(dict.fromkeys(TRANSPORTS, 0))
        self.decisions: Counter[tuple[str, str]] = Counter()  # action, reason
        self.replies: Counter[str] = Counter(dict.fromkeys(("ready", "cache", "upstream", "ourselves", "failure"), 0))
        self.dropped: Counter[str] = Counter()
        self.upstream = [0] * (len(BUCKETS_S) + 1)
        self.upstream_s = 0.0

    def took(self, seconds: float) -> None:
        """An upstream answered, or was given up."""
        self.upstream[bisect_left(BUCKETS_S, seconds)] += 1
        self.upstream_s += seconds

    def told(self, **more: int) -> dict[str, object]:
        """All of it as JSON has it: names, labels and numbers."""
        buckets = list(zip((*map(str, BUCKETS_S), "+Inf"), self.upstream, strict=True))
        return {
            "queries": dict(self.queries),
            "decisions": {f"{action} {reason}".strip(): count for (action, reason), count in sorted(self.decisions.items())},
            "replies": dict(self.replies),
            "dropped": dict(self.dropped),
            "upstream": {"buckets": buckets, "sum": self.upstream_s},
            "troubles": more,
        }
