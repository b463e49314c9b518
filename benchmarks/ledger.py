"""The change log at a million entries: what an append costs as it grows, and how long the full replay takes.

    python benchmarks/ledger.py [--entries 1000000] [--rules 200]

The entries are what a school leaves behind: of eight, three belong to a change asked for, approved and taken back (two
signatures), two to one that is refused, two to one that is withdrawn, and one is a day's digest of the access log. The policy
has 200 rules, so each policy that is put in force is a text of some 40 KB that is hashed. The replay is timed by one process
alone, and with its signatures checked by another one beside (`--alone` leaves that out); `--export` times the single-file
verifier, started as anyone would start it, on the export of the largest log.

With `--keep FILE` one run makes the export of one size and leaves it there, and the next run only times what it is for.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from change_control import standalone
from change_control.claims import processes
from change_control.keys import AuthorityKey, Signer, b64, public_of
from change_control.ledger import append, inclusion, root
from change_control.offline import read_export
from change_control.plain import Policy
from change_control.replay import LogExport, replay
from policy.grounds import undone
from policy.proof import Checkpoint, canonical_part, digest, leaf_hash, origin, root_from_inclusion, signature_holds

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
    untouched = digest(policy.text())

    def entry(kind: str, **values: object) -> str:
        nonlocal n
        at = (START + timedelta(seconds=60 * n)).strftime("%Y-%m-%dT%H:%M:%SZ")
        text = canonical_part({"v": 1, "log": "oakfield", "tier": "school", "n": n, "at": at, "kind": kind, **values})
        n += 1
        return text

    def signed(kind: str, act: str, change: int, diff: dict[str, object]) -> str:
        policy.apply(diff)
        rests = {"signatures": [HEAD.sign(act, "oakfield", diff)]}
        return entry(
            kind,
            change=change,
            diff=diff,
            rests_on=rests,
            policy={"digest": untouched if act == "reverse" else digest(policy.text())},
        )

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


@dataclass(frozen=True, slots=True)
class Measured:
    export: LogExport
    appended: float  # microseconds: tree and checkpoint
    proved: float  # microseconds


def made(count: int, rules: int) -> Measured:
    """A log, and what it takes to append to it and to prove an entry of it."""
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
    return Measured(LogExport("oakfield", "school", texts, leaves, note), appended, proved)


def replayed(export: LogExport, others: int) -> float:
    """Seconds by the clock."""
    began = time.perf_counter()
    outcome = replay(export, "birchwood", KEY.public, others=others)
    assert outcome.size == len(export.entries)
    return time.perf_counter() - began


def written(export: LogExport, file: Path) -> None:
    one = {
        "log": export.log,
        "tier": export.tier,
        "checkpoint": export.checkpoint,
        "entries": export.entries,
        "leaves": [leaf.hex() for leaf in export.leaves],
        "witnessed": [],
    }
    with file.open("w") as out:
        out.write(json.dumps({"authority": "birchwood", "public": b64(KEY.public), "logs": [one], "policies": []}))


def single_file(file: Path) -> float:
    """Seconds that the verifier takes that goes with each export, reading the file and all."""
    with tempfile.TemporaryDirectory() as folder:
        verifier = Path(folder) / standalone.NAME
        verifier.write_text(standalone.text())
        print(f"an export of {file.stat().st_size / 1e6:,.0f} MB:", flush=True)
        began = time.perf_counter()
        subprocess.run([sys.executable, "-I", str(verifier), str(file)], check=True)
        return time.perf_counter() - began


def core() -> float:
    """Seconds of the processor that we, and processes of ours that have ended, took."""
    return sum(resource.getrusage(who).ru_utime for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def kept(file: Path, count: int, rules: int, others: int) -> int:
    """The export of one log: made if it is not there, else verified in the three ways."""
    if not file.exists():
        written(made(count, rules).export, file)
        return 0
    used = core()
    took = single_file(file)
    print(f"the single-file verifier: {took:.1f} s, {core() - used:.1f} of the processor's", flush=True)
    export = read_export(file.read_text()).logs[0]
    used, own = core(), time.process_time()
    both = replayed(export, others)
    own = time.process_time() - own
    print(f"with {others} beside it: {both:.1f} s; {core() - used:.1f} of the processor's, {own:.1f} of one's", flush=True)
    signature_holds.cache_clear()
    used = core()
    alone = replayed(export, 0)
    print(f"by one process: {alone:.1f} s; {core() - used:.1f} of the processor's")
    return 0 if took < 60 else 1


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--entries", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--rules", type=int, default=200)
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--export", action="store_true")
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    others = 0 if given.alone else processes()
    if given.keep:
        return kept(given.keep, given.entries[-1], given.rules, others)
    print(f"one process, and with {others} beside it")
    print(
        f"{'entries':>10} {'made s':>7} {'append us':>10} {'proof us':>9} {'one s':>7} {'both s':>7} {'us each':>8} {'MB':>6}"
    )
    took = 0.0
    for count in given.entries:
        began = time.perf_counter()
        found = made(count, given.rules)
        making, size = time.perf_counter() - began, len(found.export.entries)
        both = replayed(found.export, others) if others else 0.0
        signature_holds.cache_clear()
        one = replayed(found.export, 0)
        took = both or one
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{size:>10,} {making:>7.1f} {found.appended:>10.0f} {found.proved:>9.0f} {one:>7.1f} {both:>7.1f} "
            f"{took / size * 1e6:>8.0f} {peak:>6.0f}",
            flush=True,
        )
        if given.export and count == given.entries[-1]:
            with tempfile.TemporaryDirectory() as folder:
                written(found.export, Path(folder) / "export.json")
                print(f"the single-file verifier: {single_file(Path(folder) / 'export.json'):.1f} s")
    return 0 if took < 60 else 1


if __name__ == "__main__":
    sys.exit(main())
