"""Does a worker grow? Requests and connections in numbers, and its resident memory along the way.

Pages whose words are judged, their parts, searches, new names, sites that pass through, and new connections among them,
through one worker on one core. `--requests 1000000 --connections 10000` is the whole; the default is a minute's share. Memory
is taken as settled after the first tenth, and 10,000 requests at least: until then caches fill. Ends with code 1 where it
grew by more than a tenth since.
"""

import argparse
import asyncio
import itertools
import os
import random
import shutil
import signal
import ssl
import sys
import tempfile
import time
from pathlib import Path

from school_hour import HERE, HOSTS, PAGE, PART, PRIVATE, SEARCH, Got, Visit, beside, visit

AT_ONCE, MARKS, SETTLED = 16, 20, 10_000
MOST_GROWN = 1.10


def endless(dice: random.Random, each: int):
    """Visits of about so many requests, with names and words that were not there before among them."""
    for number in itertools.count():
        kind = number % 10
        if kind == 0:
            yield Visit(SEARCH, (f"/search?q=lesson+{number}", *([f"/{PART}"] * (each - 1))), page=True)
        elif kind < 3:
            yield Visit(dice.choice(PRIVATE), (f"/{PART}",) * each)
        elif kind == 3:
            yield Visit(f"new{number % 200}.open.test", (f"/{PART}",) * each)
        else:
            yield Visit(dice.choice(HOSTS), (f"/{PAGE if kind == 4 else PART}", *([f"/{1024}"] * (each - 1))), page=True)


async def soak(bench, process, visits, proxy: int, port: int, requests: int) -> list[tuple[int, float]]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    got, marks = Got(), [(0, bench.memory(process))]
    print(f"| requests | resident MB |\n|---|---|\n| 0 | {marks[0][1]:.0f} |", flush=True)

    async def browser() -> None:
        while got.requests < requests:
            await visit(next(visits), proxy, port, context, got)
            if got.requests >= requests * len(marks) / MARKS:
                marks.append((got.requests, bench.memory(process)))
                print(f"| {got.requests:,} | {marks[-1][1]:.0f} |", flush=True)

    await asyncio.gather(*(browser() for _ in range(AT_ONCE)))
    if got.failed:
        raise SystemExit(f"not everything was answered well: {got.failed}")
    return marks


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=30_000)
    parser.add_argument("--connections", type=int, default=1_500)
    told = parser.parse_args()
    if not shutil.which("taskset") or (os.cpu_count() or 1) < 2:
        print("two cores and taskset are needed: nothing to measure with")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))
    bench, folder = beside("proxy"), Path(tempfile.mkdtemp(prefix="schoolgate-soak-"))
    try:
        bench.certificates(folder, ("localhost", "*.open.test", "*.passed.test", SEARCH))
        origin, proxy = bench.free_port(), bench.free_port()
        me = [sys.executable, str(HERE.with_name("proxy.py")), "--folder", str(folder), "--port"]
        serve = [*me, str(origin), "--serve", "origin"]
        worker = bench.commands(folder, proxy, direct=False)["ours"]
        with bench.running(serve, bench.LOAD_CORE, origin), bench.running(worker, bench.PROXY_CORE, proxy) as process:
            os.sched_setaffinity(0, {int(bench.LOAD_CORE)})
            began, visits = time.monotonic(), endless(random.Random(7), max(1, told.requests // told.connections))
            marks = asyncio.run(soak(bench, process, visits, proxy, origin, told.requests))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    first = next((size for count, size in marks if count >= max(SETTLED, told.requests // 10)), marks[-1][1])
    grown = marks[-1][1] / first
    print(f"\n{told.connections:,} connections, {time.monotonic() - began:.0f} s: {grown:.2f} times what was settled")
    return int(grown > MOST_GROWN)


if __name__ == "__main__":
    sys.exit(main())
