# ruff: noqa: E501 - a row of data stays a row
"""The filter log at full size: intake, and how long each view takes with ten million events of a month in it.

    python benchmarks/log.py [--events 10000000] [--keep FOLDER [--days 0:10]] [--bursts] [--url postgresql+psycopg://...]

The month is a secondary school's: 1,200 pupils and 100 staff, 9 in 10 events within school hours, sites by Zipf. It is stored
by the real path, from a worker's spool by the recorder; what is timed is the recorder alone. With --keep a month can be filled
in pieces of days. Every event stands for itself, so that little can be folded: the worst case for size and time. --bursts makes
pages with all that they pull in instead, as browsers do.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import batched
from pathlib import Path

import sqlalchemy as sql

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from monitoring import archive, captures, store
from monitoring.archive import Sought
from monitoring.lines import Page, Query
from monitoring.log import Log
from monitoring.masks import Masks
from monitoring.recorder import BATCH, Recorder
from monitoring.reports import figures
from monitoring.spool import Reader, Writer
from monitoring.tables import captures as rows
from policy.event import Event

START = datetime(2026, 11, 1, tzinfo=UTC)
SCHOOL = "hillview"
DAYS = 30
POPULAR = "site0.example"  # nearly half of all lines
PULLED = 25  # events that one page makes, where browsers are imitated
GROUPS = ("ks3", "ks4", "sixth-form", "staff")
CATEGORIES = (
    "education", "search", "games", "social_networks", "streaming_media", "news", "infrastructure", "advertising", "",
)  # fmt: skip
WORDS = (
    "how", "to", "revise", "for", "maths", "volcano", "facts", "romeo", "juliet", "essay",
    "football", "scores", "capital", "of", "peru", "photosynthesis", "diagram",
)  # fmt: skip
KINDS = ("dns",) * 60 + ("resource",) * 22 + ("page",) * 13 + ("search",) * 3 + ("connection",) * 2


def month(count: int, first: int = 0, last: int = DAYS, *, bursts: bool = False) -> Iterator[Event]:
    """Some days of a month of so many events, in order of time."""
    for day in range(first, last):
        rng = random.Random(7_000 + day)
        begin = (START + timedelta(days=day)).timestamp()
        pages = count // DAYS // (PULLED if bursts else 1)
        for at in sorted(
            begin + (rng.uniform(8.5, 15.5) if rng.random() < 0.9 else rng.uniform(6, 23)) * 3600 for _ in range(pages)
        ):
            person = int(1300 * rng.random() ** 1.3)
            number = min(19_999, int(rng.paretovariate(0.9)) - 1)
            if not bursts:
                yield _event(rng, at, rng.choice(KINDS), person, number)
                continue
            beside = [number, *(rng.randrange(50) for _ in range(5))]  # the page's own site, and what it pulls in from
            yield _event(rng, at, "search" if rng.random() < 0.2 else "page", person, number)
            for n in range(PULLED - 1):
                yield _event(rng, at + n / 10, "dns" if n < 12 else "resource", person, beside[n % 6])


def _event(rng: random.Random, at: float, kind: str, person: int, number: int) -> Event:
    return Event(
        at, kind, SCHOOL, GROUPS[person % 4] if person < 1200 else "staff", "lan", "lease", f"p{person:04}",
        f"10.20.{person >> 8}.{person & 255}", f"pc-{person}", f"www{number % 7}.site{number}.example",
        "/lesson/page" if kind in ("page", "search") else "", " ".join(rng.choices(WORDS, k=4)) if kind == "search" else "",
        "block" if rng.random() < 0.06 else "allow", "inspect", "phase_default", CATEGORIES[number % len(CATEGORIES)], "starter",
        "", 0, "200", "", "proxy-1",
    )  # fmt: skip


def waited() -> float:
    """Seconds that this thread was ready to run and somebody else ran: the rest of the clock's time is ours, and the disk's."""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9


def fill(log: Log, spool: Path, some: Iterable[Event]) -> tuple[int, float, float]:
    """Returns how many were stored, in how many seconds that nobody else had, and in how many of the processor's."""
    stored, spent, worked = 0, 0.0, 0.0
    with closing(Writer(spool, "proxy-1")) as writer:
        recorder = Recorder(Reader(spool), log)
        for batch in batched(some, BATCH, strict=False):
            writer.write_all([event.encode() for event in batch])
            began, busy, others = time.perf_counter(), time.process_time(), waited()
            taken = recorder.step()
            spent += time.perf_counter() - began - (waited() - others)
            worked += time.process_time() - busy
            if taken != len(batch):
                raise SystemExit(f"{taken} of {len(batch)} were stored: {recorder.status()}")
            stored += taken
            if stored % 500_000 == 0:
                print(
                    f"  {stored:,} stored, {stored / spent:,.0f}/s, {stored / worked:,.0f} a second of the processor",
                    flush=True,
                )
    return stored, spent, worked


VIEWS = {
    "newest page": lambda log, *_: log.search(Query(SCHOOL, limit=50)),
    "a person's newest": lambda log, *_: log.search(Query(SCHOOL, person="p0100", limit=50)),
    "a site": lambda log, *_: log.search(Query(SCHOOL, host="site5000.example", limit=50)),
    "a group's blocks": lambda log, *_: log.search(Query(SCHOOL, group="staff", action="block", limit=50)),
    "a device": lambda log, *_: log.search(Query(SCHOOL, device="pc-77", limit=50)),
    "a category; a day of it": lambda log, since, _: log.search(
        Query(SCHOOL, category="games", since=since + timedelta(days=3), until=since + timedelta(days=4), limit=50)
    ),
    "a category and a group": lambda log, *_: log.search(Query(SCHOOL, category="games", group="ks3", limit=50)),
    "what was blocked": lambda log, *_: log.search(Query(SCHOOL, action="block", limit=50)),
    "an address": lambda log, *_: log.search(Query(SCHOOL, address="10.20.0.77", limit=50)),
    "known by lease, a reason, a network": lambda log, *_: log.search(
        Query(SCHOOL, identified_by="lease", reason="phase_default", network="lan", limit=50)
    ),
    "a change that never decided": lambda log, *_: log.search(Query(SCHOOL, change=4711, limit=50)),
    "a word that is often searched": lambda log, *_: log.search(Query(SCHOOL, term="volcano", limit=50)),
    "text found often": lambda log, *_: log.search(Query(SCHOOL, text="lesson", limit=50)),
    "not what staff do": lambda log, *_: log.search(Query(SCHOOL, but_groups=("staff",), limit=50)),
    "pages of a site, staff left out": lambda log, *_: log.search(
        Query(SCHOOL, kind="page", host="site2.example", but_groups=("staff",), limit=50)
    ),
    "a rule that never decided": lambda log, *_: log.search(Query(SCHOOL, rule="s99", limit=50)),
    "words that nobody searched": lambda log, *_: log.search(Query(SCHOOL, term="xylophone", limit=50)),
    "text found nowhere": lambda log, *_: log.search(Query(SCHOOL, text="xylophone", limit=50)),
    "person, action and text": lambda log, *_: log.search(Query(SCHOOL, person="p0100", action="block", text="lesson")),
    **{
        f"together: {name}": lambda log, *_, asked=asked: log.search(Query(SCHOOL, limit=50, **asked))
        for name, asked in {
            "the most popular site": {"host": POPULAR},
            "all sites of one": {"host": "example"},
            "popular site, pages, not staff": {"host": POPULAR, "kind": "page", "but_groups": ("staff",)},
            "popular site, a category it never has": {"host": POPULAR, "category": "news"},
            "popular site, a group's blocks": {"host": POPULAR, "group": "ks3", "action": "block"},
            "popular site, never warned of": {"host": POPULAR, "action": "warn"},
            "popular site, a person, blocks": {"host": POPULAR, "person": "p0100", "action": "block"},
            "popular site, a device": {"host": POPULAR, "device": "pc-77"},
            "popular site, a device, never": {"host": "site1.example", "device": "pc-1299"},
            "popular site, text found nowhere": {"host": POPULAR, "text": "xylophone"},
            "popular site, a word": {"host": POPULAR, "term": "volcano"},
            "popular site, a rule never": {"host": POPULAR, "rule": "s99"},
            "popular site, a group, never": {"host": POPULAR, "group": "guest"},
            "rare site, a group": {"host": "site15000.example", "group": "ks3"},
            "rare site, text found nowhere": {"host": "site15000.example", "text": "xylophone"},
            "device, category": {"device": "pc-77", "category": "news"},
            "device, action, text found nowhere": {"device": "pc-77", "action": "block", "text": "xylophone"},
            "address, group that it never has": {"address": "10.20.0.77", "group": "ks4"},
            "address, category, kind": {"address": "10.20.0.77", "category": "news", "kind": "search"},
            "person, site": {"person": "p0100", "host": "site15.example"},
            "person, category, kind": {"person": "p0001", "category": "news", "kind": "search"},
            "person, text found nowhere": {"person": "p0001", "text": "xylophone"},
            "person, a word": {"person": "p0001", "term": "volcano"},
            "category, kind, action": {"category": "news", "kind": "search", "action": "block"},
            "category, text found nowhere": {"category": "games", "text": "xylophone"},
            "group, a word never": {"group": "ks3", "term": "xylophone"},
            "device, a word": {"device": "pc-77", "term": "volcano"},
            "group, reason that never decided": {"group": "ks3", "reason": "school_site"},
            "network, change that never decided": {"network": "lan", "change": 4711},
        }.items()
    },
    "an export's first thousand lines": lambda log, *_: [
        line for line, _ in zip(log.every(Query(SCHOOL, but_groups=("staff",))), range(1000), strict=False)
    ],
    "an export of a popular site's first": lambda log, *_: next(log.every(Query(SCHOOL, host=POPULAR, kind="page"))),
    "captures that wait": lambda log, *_: captures.waiting(log, SCHOOL, ("pupil",)),
    "captures with a word in them, of 6,000": lambda log, *_: archive.found(
        log, SCHOOL, ("pupil",), Sought(words="xylophone"), person="", limit=100
    ),
    "one capture with what is around it": lambda log, *_: (
        captures.one(log, SCHOOL, 1, ("pupil",)),
        log.search(Query(SCHOOL, person="p0100", since=START + timedelta(days=9), until=START + timedelta(days=9.02))),
    ),
    "the month in numbers": lambda log, since, until: log.summary(SCHOOL, since, until),
    "a report of the month": lambda log, since, until: figures(
        log, SCHOOL, since, until, subjects=("pupil",), but_groups=("staff",), zone="Europe/London"
    ),
    "a person's month": lambda log, since, until: log.days_of(SCHOOL, "p0100", since, until),
    "whom a pseudonym stands for (nobody)": lambda log, *_: Masks(log).who(SCHOOL, "000000"),
    "top ten people": lambda log, since, until: log.top("who", SCHOOL, since, until),
    "top ten people, blocked": lambda log, since, until: log.top("who", SCHOOL, since, until, action="block"),
    "top ten sites": lambda log, since, until: log.top("host", SCHOOL, since, until),
    "top ten searches": lambda log, since, until: log.top("term", SCHOOL, since, until),
    "a day's top ten categories": lambda log, _, until: log.top("category", SCHOOL, until - timedelta(days=2), until),
    "completeness": lambda log, *_: log.completeness(),
}


def capture_some(log: Log, count: int = 6_000) -> None:
    """As many captures as a school makes in a year, so that triage is timed beside them."""
    with store.changing(log) as connection:
        if connection.scalar(sql.select(sql.func.count()).select_from(rows)):
            return
        rng, begin = random.Random(5), int(START.timestamp() * 1e6)
        some = [
            {
                "school": SCHOOL, "at": begin + n * 400_000_000, "last": begin + n * 400_000_000, "who": f"p{rng.randrange(1200):04}",
                "group": "ks3", "phase": "ks3", "theme": rng.choice(("self-harm", "drugs", "bullying")), "route": "review",
                "term": " ".join(rng.choices(WORDS, k=4)), "site": "www.google.com", "context": '{"before": [], "terms": []}',
                "subject": "pupil", "grade": "" if n % 100 == 0 else "off-task",
            }
            for n in range(count)
        ]  # fmt: skip
        connection.execute(sql.insert(rows), some)


def forgotten(log: Log, path: Path) -> None:
    """Nothing of the store is in memory: as on the first morning after a night's back-up."""
    log.close()
    for file in path.parent.glob(f"{path.name}*"):
        with file.open("rb") as opened:
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    log.open()


def main() -> None:
    read = argparse.ArgumentParser()
    read.add_argument("--events", type=int, default=1_000_000, help="of the whole month")
    read.add_argument("--keep", default="", help="a folder for the store, to be filled in pieces")
    read.add_argument("--days", default=f"0:{DAYS}", help="which days to store: 0:10; 0:0 only times the views")
    read.add_argument("--bursts", action="store_true")
    read.add_argument("--url", default="", help="another database")
    asked = read.parse_args()
    first, last = map(int, asked.days.split(":"))
    with tempfile.TemporaryDirectory() as made:
        folder = Path(asked.keep or made)
        folder.mkdir(exist_ok=True)
        path = folder / "log.sqlite3"
        with Log(asked.url or f"sqlite:///{path}") as log:
            if last > first:
                before = log.completeness().stored
                stored, spent, worked = fill(log, folder / "spool", month(asked.events, first, last, bursts=asked.bursts))
                print(f"intake: {stored / spent:,.0f} events/s; {stored / worked:,.0f} a second of the processor")
                log.forget()
                if not asked.url:
                    size = path.stat().st_size / 1e6
                    print(f"{before + stored:,} events in {size:,.0f} MB: {size / (before + stored) * 1e6:,.0f} MB a million")
            if last < DAYS and last > first:
                return
            capture_some(log)
            print("\n| view | first, ms | again, ms | found |\n|---|---|---|---|")
            for name, view in VIEWS.items():
                took = []
                if path.exists():
                    forgotten(log, path)
                for _ in range(2):
                    began = time.perf_counter()
                    found = view(log, START, START + timedelta(days=DAYS))
                    took.append((time.perf_counter() - began) * 1000)
                said = "" if not isinstance(found, Page) else f"{len(found.rows)} lines"
                if isinstance(found, Page) and found.looked_back:
                    said += f", looked back to {found.looked_back:%d %B}"
                print(f"| {name} | {took[0]:,.0f} | {took[1]:,.0f} | {said} |", flush=True)


if __name__ == "__main__":
    main()
