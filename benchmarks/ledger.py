"""The change log at a million entries: what an append costs as it grows, and how long the full replay takes.

    python benchmarks/ledger.py [--entries 1000000] [--rules 200]

The entries are what a school leaves behind: of eight, three belong to a change asked for, approved and taken back (two
signatures), two to one that is refused, two to one that is withdrawn, and one is a day's digest of the access log. The policy
has 200 rules, so each policy that is put in force is a text of some 40 KB that is hashed. One process, one core.
"""

import argparse
import resource
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from change_control.keys import AuthorityKey, Signer, b64, public_of
from change_control.ledger import append, inclusion, root
from change_control.replay import LogExport, Policy, replay
from policy.proof import Checkpoint, canonical, digest, leaf_hash, origin, root_from_inclusion, undone

KEY, HEAD = AuthorityKey("birchwood", b"k" * 32), Signer("p-head", 1, b"h" * 32)
START = datetime(2000, 1, 1, tzinfo=UTC)


def rule(number: int, host: str) -> dict[str, object]:
    return {
        "id": f"c{number}-1", "host": host, "path": "", "action": "allow", "groups": ["ks2"], "person": None, "starts": None,
        "until": "2026-12-18T23:59:00Z", "during": None, "change": number, "mandatory": False,
    }  # fmt: skip


def entries(count: int, rules: int):
    """Canonical texts of a log that verifies."""
    site_rules = sorted((rule(10**9 + n, f"site{n}.example") for n in range(rules)), key=lambda one: one["id"])
    document = {"category_rules": [], "groups": [], "kind": "school", "log": "oakfield", "site_rules": site_rules}
    policy, n = Policy(document), 0

    def entry(kind: str, **values: object) -> str:
        nonlocal n
        at = (START + timedelta(seconds=60 * n)).strftime("%Y-%m-%dT%H:%M:%SZ")
        text = canonical({"v": 1, "log": "oakfield", "tier": "school", "n": n, "at": at, "kind": kind, **values})
        n += 1
        return text

    def signed(kind: str, act: str, change: int, diff: dict[str, object]) -> str:
        policy.apply(diff)
        rests = {"signatures": [HEAD.sign(act, "oakfield", diff)]}
        return entry(kind, change=change, diff=diff, rests_on=rests, policy={"digest": digest(policy.text())})

    founding = {"kind": "founding", "change": 0, "document": document}
    yield entry("log.founded", diff=founding, rests_on={"founding": True}, policy={"digest": digest(policy.text())})
    yield entry(
        "person.enrolled", person="p-head", roles=["headteacher"], key=b64(public_of(HEAD.private)), rests_on={"code": "x"}
    )
    change = 0
    while n < count:
        for end in ("approved", "change.refused", "change.withdrawn"):
            change += 1
            diff = {
                "kind": "site",
                "change": change,
                "add": {"site_rules": [rule(change, "poki.com")]},
                "remove": {},
                "set": {},
            }
            yield entry(
                "change.requested", change=change, diff=diff, requested_by="p-teacher", source="desk", detail="d" * 64
            )
            if end == "approved":
                yield signed("change.approved", "approve", change, diff)
                yield signed("change.reversed", "reverse", change, undone(diff))
            else:
                yield entry(end, change=change, by="p-head", by_roles=["headteacher"])
        yield entry("access.digest", day="2026-11-20", rows=40, access="a" * 64)


def measure(count: int, rules: int) -> tuple[int, float, float, float, float]:
    """Entries, microseconds an append (tree and checkpoint) and a proof, seconds of replay by the clock and of the core."""
    texts = tuple(entries(count, rules))
    nodes: dict[tuple[int, int], bytes] = {}
    for size, text in enumerate(texts):
        append(nodes, size, leaf_hash(text.encode()))
    size = len(texts)
    began = time.perf_counter()
    for n in range(1000):
        append(nodes, size + n, leaf_hash(b"one more"))
        KEY.sign(Checkpoint(origin("birchwood", "oakfield"), size + n + 1, root(nodes, size + n + 1)))
    appended = (time.perf_counter() - began) * 1000
    began = time.perf_counter()
    top = root(nodes, size)
    for n in range(0, size, max(1, size // 1000)):
        assert root_from_inclusion(n, size, nodes[0, n], inclusion(nodes, n, size)) == top
    proved = (time.perf_counter() - began) / min(size, 1000) * 1e6
    note = KEY.sign(Checkpoint(origin("birchwood", "oakfield"), size, top))
    leaves = tuple(nodes[0, n] for n in range(size))
    nodes.clear()
    began, used = time.perf_counter(), time.process_time()
    outcome = replay(LogExport("oakfield", "school", texts, leaves, note), "birchwood", KEY.public)
    took, used = time.perf_counter() - began, time.process_time() - used
    assert outcome.size == size
    return size, appended, proved, took, used


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--entries", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--rules", type=int, default=200)
    given = parser.parse_args()
    print(f"{'entries':>10} {'append us':>10} {'proof us':>9} {'replay s':>9} {'core s':>7} {'peak MB':>8}")
    took = 0.0
    for count in given.entries:
        size, appended, proved, took, used = measure(count, given.rules)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{size:>10,} {appended:>10.0f} {proved:>9.0f} {took:>9.1f} {used:>7.1f} {peak:>8.0f}", flush=True)
    return 0 if took < 60 else 1


if __name__ == "__main__":
    sys.exit(main())
