"""Our resolver as benchmarks/dns.py asks it: eight groups, a large list, every event into a real spool.

SIGUSR1: write down which turns of the event loop were longest since the last time, and count from now on.

    .venv/bin/python benchmarks/servers/resolver.py FOLDER PORT PORT_OF_THE_UPSTREAM MICROSECONDS_OF_BUSY_POLLING
"""

import asyncio
import hashlib
import json
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import uvloop

from category_lists import taxonomy
from category_lists.index import Index
from dns.server import serve, steady
from dns.settings import Settings
from monitoring.spool import Writer
from policy import search_engines
from policy.identity import Clients
from policy.rules import Action, AuthorityPolicy, CategoryRule, Group, Network, SchoolPolicy, SiteRule
from policy.snapshot import LoadedDictionary, Snapshot

GROUPS = ("early-years", "ks1", "ks2", "ks3", "ks4", "sixth-form", "staff", "guest")  # a profile each
TICK_S = 0.001


class Turns:
    """How long the event loop is held at a time, seen from outside: something is due in it every millisecond.

    Between two of these ticks lies at most one turn that is longer than a millisecond. Of it are known the time by the clock,
    the processor time of the serving thread, which is what the resolver did itself, and that of the whole process, with the
    thread that loads a policy. What is left of the clock's time the machine gave to others.
    """

    def __init__(self, file: Path) -> None:
        self._file, self._loop, self._began = file, asyncio.get_running_loop(), False
        self._last = self._clocks()
        self._forget()

    def _forget(self) -> None:
        none = (0.0, 0.0, 0.0)
        self._longest = [none, none, none]  # by each of the clocks

    @staticmethod
    def _clocks() -> tuple[float, float, float]:
        return time.perf_counter(), time.thread_time(), time.process_time()

    def _tick(self) -> None:
        now = self._clocks()
        turn = (now[0] - self._last[0], now[1] - self._last[1], now[2] - self._last[2])
        for clock, longest in enumerate(self._longest):
            if turn[clock] > longest[clock]:
                self._longest[clock] = turn
        self._last = now
        self._loop.call_later(TICK_S, self._tick)

    def tell(self) -> None:
        told = self._file.with_suffix(".new")
        told.write_text(json.dumps(dict(zip(("clock", "own", "process"), self._longest, strict=True))))
        told.rename(self._file)
        self._last = self._clocks()
        self._forget()
        if not self._began:  # rates are measured without it
            self._began = True
            self._tick()


def run(folder: Path, port: int, upstream: int, busy_poll_us: int) -> None:
    """Serve eight groups, none of which may have the blocked names' category, until SIGTERM."""
    school = SchoolPolicy(
        "hillview",
        "Hillview School",
        "a",
        "d",
        groups=tuple(Group(each, each, each) for each in GROUPS),
        networks=tuple(Network(each, each, f"127.{number + 1}.0.0/16") for number, each in enumerate(GROUPS)),
        site_rules=tuple(SiteRule(f"s{each}", f"r{each}.example", Action.ALLOW, 3) for each in range(50)),
        category_rules=(CategoryRule("c1", "gambling", Action.BLOCK, 4),),
    )
    authority = AuthorityPolicy("birchwood", "Birchwood", "d")
    known, engines = taxonomy.load(), search_engines.load()

    class Live:
        """policy.live without the proofs: another list, or a changed rule, when the file of that name is touched."""

        def __init__(self) -> None:
            self.seen: dict[str, int] = {}
            self.revision, self.digest = 7, hashlib.sha256((folder / "names.idx").read_bytes()).hexdigest()
            self.dictionary = self.opened()
            self.snapshot = self.built()

        def opened(self) -> LoadedDictionary:
            file = folder / ("names.idx" if self.revision % 2 else "others.idx")
            return LoadedDictionary("d", Index.open(file, expect=self.digest), known, engines)

        def built(self) -> Snapshot:
            rules = (*school.site_rules[1:], SiteRule("s0", f"r{self.revision}.example", Action.ALLOW, self.revision))
            schools = {"hillview": replace(school, site_rules=rules)}
            clients, revisions = Clients(schools.values()), {"hillview": self.revision}
            return Snapshot(self.revision, authority, schools, {"a": authority}, {"d": self.dictionary}, revisions, clients)

        def touched(self, name: str) -> bool:
            file = folder / name
            stamp = file.stat().st_mtime_ns if file.exists() else 0
            changed, self.seen[name] = self.seen.get(name, 0) != stamp, stamp
            return changed

        def refresh(self, before: Callable[[Snapshot], None] = lambda _: None) -> bool:
            other_list, other_rule = self.touched("list"), self.touched("rule")
            if not other_list and not other_rule:
                return False
            self.revision += 1
            if other_list:
                self.dictionary = self.opened()
            snapshot = self.built()
            before(snapshot)
            self.snapshot = snapshot
            return True

    settings = Settings((("127.0.0.1", port),), (("127.0.0.1", upstream),), busy_poll_s=busy_poll_us / 1e6)
    writer = Writer(folder / f"spool-{port}", "dns-1", limit_segments=64)

    async def forget() -> None:
        """What the recorder does with a spool, without its work: it would take its share of the core that we measure."""
        while True:
            await asyncio.sleep(1)
            for old in sorted((folder / f"spool-{port}").glob("*.seg"))[:-2]:
                old.unlink()

    async def main() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, Turns(folder / "turns.json").tell)
        forgetting = asyncio.create_task(forget())
        ready = lambda names: print(*names, flush=True)  # noqa: E731
        steady()
        await serve(
            settings, Live(), lambda event: writer.write(event.encode()), ready=ready, stop=stop, worker="dns-1",
            write=writer.write_all,
        )  # fmt: skip
        forgetting.cancel()

    uvloop.run(main())
    print(f"not recorded: {writer.lost}", file=sys.stderr)


if __name__ == "__main__":
    where, *numbers = sys.argv[1:]
    run(Path(where), *map(int, numbers))
