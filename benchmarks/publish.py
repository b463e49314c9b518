"""From the headteacher's approval to "in force on all workers", in an installation of many schools with many rules each.

    python benchmarks/publish.py [--schools 500] [--rules 200] [--workers 4] [--times 5]

Workers are processes of their own that look five times a second, as the real ones do. What is measured is the approval's own
transaction, publishing, and when the last worker reports the new revision; and how it grows with the number of schools.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from change_control import founding
from change_control.changes import SiteWish
from change_control.keys import AuthorityKey
from change_control.people import Registry
from change_control.publish import publish
from change_control.service import Office
from change_control.store import Store
from policy.proof import digest
from policy.rules import Action, AuthorityPolicy, Group, Network, SchoolPolicy, SiteRule, write

WORKER = """
import sys, time
from pathlib import Path
from policy.live import Live
live = Live(Path(sys.argv[1]), sys.argv[2])
print("ready", flush=True)
while True:
    time.sleep(0.2)
    live.refresh()
"""


def rules(count: int) -> tuple[SiteRule, ...]:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=60)
    made = (
        SiteRule(f"c{n}-1", f"site{n}.example", Action.ALLOW if n % 2 else Action.BLOCK, n + 1, groups=("ks2",), until=until)
        for n in range(count)
    )
    return tuple(sorted(made, key=lambda rule: rule.id))


def built(data: Path, schools: int, each: int) -> tuple[Store, Office, Registry]:
    from change_control.dictionaries import Dictionaries

    key = AuthorityKey.create(data, "birchwood")
    store = Store(f"sqlite:///{data}/desk.sqlite3")
    store.migrate()
    office = Office(key, Dictionaries(data))
    registry = Registry(office, b"d" * 32)
    dictionary = office.dictionaries.first()
    authority = AuthorityPolicy("birchwood", "Birchwood", dictionary)
    groups = tuple(Group(name, name, name) for name in ("ks1", "ks2", "staff"))
    with store.write() as session:
        founding.found_authority(office, session, authority)
        for n in range(schools):
            network = Network("n-1", "ks2", f"10.{n // 250}.{n % 250}.0/24")
            policy = SchoolPolicy(
                f"school-{n}", f"School {n}", digest(write(authority)), dictionary, groups, (network,), site_rules=rules(each)
            )
            founding.found_school(office, session, policy)
        code = registry.invite(session, "school-0", "helen", ["headteacher"], by=None)
        registry.enrol(session, code, "helen", "three random words", "JBSWY3DPEHPK3PXP")
    with store.write() as session:
        publish(session, key, data)
    return store, office, registry


def reported(data: Path, worker: str) -> int:
    try:
        return int(json.loads((data / "run" / "workers" / f"{worker}.json").read_text())["revisions"]["school-0"])
    except (OSError, ValueError, KeyError):
        return -1


def measure(schools: int, each: int, workers: int, times: int) -> list[tuple[float, float, float]]:
    """(approved, published, in force on all) in milliseconds, each time."""
    with tempfile.TemporaryDirectory(prefix="publish-") as folder, contextlib.ExitStack() as held:
        data = Path(folder)
        began = time.monotonic()
        store, office, registry = built(data, schools, each)
        built_s = time.monotonic() - began
        names = [f"dns-{n}" for n in range(workers)]
        began = time.monotonic()
        running = []
        for name in names:
            process = subprocess.Popen(
                [sys.executable, "-c", WORKER, str(data), name], stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]
            )
            held.callback(process.wait)
            held.callback(process.kill)
            running.append(process)
        for process in running:
            process.stdout.readline()
        print(
            f"{schools} schools x {each} rules: built in {built_s:.1f} s, "
            f"{workers} workers up in {time.monotonic() - began:.1f} s"
        )
        with store.write() as session:
            cookie = registry.sign_in(session, "helen", "three random words", None)
        found = []
        for n in range(times):
            with store.write() as session:
                wish = SiteWish(f"new{n}.example", Action.BLOCK, ("ks2",))
                row = office.request(
                    session, "school-0", wish, by=None, reason="benchmark", source="console", asker="benchmark"
                )
                change, shown = row.id, digest(row.diff)
            start = time.perf_counter()
            with store.write() as session:
                from change_control.tables import ChangeRow

                row = session.get_one(ChangeRow, change)
                helen, signer = registry.signed_in(session, cookie), registry.signer(session, cookie, "school-0")
                office.approve(session, row, helen, signer, shown)
                entry = row.entry
            approved = time.perf_counter()
            with store.write() as session:
                done = publish(session, office.key, data, {"school-0"})
            assert not done.problems, done.problems
            published = time.perf_counter()
            while any(reported(data, name) < entry for name in names):
                time.sleep(0.005)
            end = time.perf_counter()
            found.append(((approved - start) * 1000, (published - approved) * 1000, (end - start) * 1000))
        store.close()
    return found


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--schools", type=int, nargs="+", default=[1, 50, 500])
    parser.add_argument("--rules", type=int, default=200)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--times", type=int, default=5)
    given = parser.parse_args()
    rows = []
    for schools in given.schools:
        found = measure(schools, given.rules, given.workers, given.times)
        rows.append(
            (schools, *(statistics.median(column) for column in zip(*found, strict=True)), max(each[2] for each in found))
        )
    print(f"\n{'schools':>8} {'approve ms':>11} {'publish ms':>11} {'in force on all ms':>19} {'worst ms':>9}")
    for schools, approve, published, everywhere, worst in rows:
        print(f"{schools:>8} {approve:>11.0f} {published:>11.0f} {everywhere:>19.0f} {worst:>9.0f}")
    return 0 if rows[-1][3] < 1000 else 1


if __name__ == "__main__":
    sys.exit(main())
