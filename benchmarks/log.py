# ruff: noqa: E501 - a row of data stays a row
"""The filter log at full size: intake, and how long each view takes with ten million events of a month in it.

    python benchmarks/log.py [--events 10000000] [--keep FILE.sqlite3] [--intake 200000]

The month is a secondary school's: 1,200 pupils and 100 staff, 9 in 10 events within school hours, sites by Zipf. Intake is
measured on the real path (`Log.append`, batches of 5,000, as the recorder does); the month is stored by the same path.
"""

import argparse
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from monitoring.lines import Query
from monitoring.log import Log
from policy.event import Event

START = datetime(2026, 11, 1, tzinfo=UTC)
SCHOOL = "hillview"
GROUPS = ("ks3", "ks4", "sixth-form", "staff")
CATEGORIES = (
    "education",
    "search",
    "games",
    "social_networks",
    "streaming_media",
    "news",
    "infrastructure",
    "advertising",
    "",
)
WORDS = [
    "how",
    "to",
    "revise",
    "for",
    "maths",
    "volcano",
    "facts",
    "romeo",
    "juliet",
    "essay",
    "football",
    "scores",
    "capital",
    "of",
    "peru",
    "photosynthesis",
    "diagram",
]


def month(count: int, seed: int = 7, days: int = 30) -> Iterator[Event]:
    """A month's events in order of time."""
    rng = random.Random(seed)
    sites = [f"www{n % 7}.site{n}.example" for n in range(20_000)]
    per_day = count / days
    for day in range(days):
        begin = (START + timedelta(days=day)).timestamp()
        times = sorted(
            begin + (rng.uniform(8.5, 15.5) if rng.random() < 0.9 else rng.uniform(6, 23)) * 3600 for _ in range(int(per_day))
        )
        for at in times:
            person = int(1300 * rng.random() ** 1.3)
            site = sites[min(19_999, int(rng.paretovariate(0.9)) - 1)]
            group = GROUPS[person % 4] if person < 1200 else "staff"
            lot = rng.random()
            kind = (
                "dns"
                if lot < 0.6
                else "resource"
                if lot < 0.82
                else "page"
                if lot < 0.95
                else "search"
                if lot < 0.98
                else "connection"
            )
            action = "block" if rng.random() < 0.06 else "allow"
            yield Event(
                at, kind, SCHOOL, group, "lan", "lease", f"p{person:04}", f"10.20.{person >> 8}.{person & 255}", f"pc-{person}",
                site, "/lesson/page" if kind in ("page", "search") else "",
                " ".join(rng.choices(WORDS, k=4)) if kind == "search" else "",
                action, "inspect", "phase_default", CATEGORIES[hash(site) % len(CATEGORIES)], "starter", "", 0, "200", "", "proxy-1",
            )  # fmt: skip


def fill(log: Log, some: Iterator[Event], position: int = 0, say: bool = False) -> tuple[int, float]:
    batch: list[Event] = []
    stored, spent = 0, 0.0
    for event in some:
        batch.append(event)
        if len(batch) == 5_000:
            position += 1
            began = time.perf_counter()
            log.append(batch, {"proxy-1": (1, position)})
            spent += time.perf_counter() - began
            stored += len(batch)
            batch = []
            if say and stored % 1_000_000 == 0:
                print(f"  {stored:,} stored, {stored / spent:,.0f}/s", flush=True)
    return stored, spent


VIEWS = {
    "newest page": lambda log, *_: log.search(Query(SCHOOL, limit=50)),
    "a person's newest": lambda log, *_: log.search(Query(SCHOOL, person="p0100", limit=50)),
    "a site": lambda log, *_: log.search(Query(SCHOOL, host="site5000.example", limit=50)),
    "a group's blocks": lambda log, *_: log.search(Query(SCHOOL, group="staff", action="block", limit=50)),
    "a device": lambda log, *_: log.search(Query(SCHOOL, device="pc-77", limit=50)),
    "a rule that never decided": lambda log, *_: log.search(Query(SCHOOL, rule="s99", limit=50)),
    "words that nobody searched": lambda log, *_: log.search(Query(SCHOOL, term="xylophone", limit=50)),
    "text found nowhere": lambda log, *_: log.search(Query(SCHOOL, text="xylophone", limit=50)),
    "person, action and text": lambda log, *_: log.search(Query(SCHOOL, person="p0100", action="block", text="lesson")),
    "the month in numbers": lambda log, since, until: log.summary(SCHOOL, since, until),
    "top ten people": lambda log, since, until: log.top("who", SCHOOL, since, until),
    "top ten people, blocked": lambda log, since, until: log.top("who", SCHOOL, since, until, action="block"),
    "top ten sites": lambda log, since, until: log.top("host", SCHOOL, since, until),
    "top ten searches": lambda log, since, until: log.top("term", SCHOOL, since, until),
    "a day's top ten categories": lambda log, _, until: log.top("category", SCHOOL, until - timedelta(days=2), until),
    "completeness": lambda log, *_: log.completeness(),
}


def copy_days(path: Path, days: int) -> None:
    """The first day's rows again for each further day: what fills a month in minutes. Only the views are timed on it."""
    with sqlite3.connect(path, isolation_level=None) as db:
        for pragma in ("synchronous=OFF", "journal_mode=OFF", "cache_size=-1000000"):
            db.execute(f"PRAGMA {pragma}")
        indexes = db.execute(
            "SELECT name, sql FROM sqlite_master WHERE type='index' AND sql IS NOT NULL AND tbl_name IN ('events', 'folded', 'tallies')"
        ).fetchall()
        for name, _ in indexes:
            db.execute(f"DROP INDEX {name}")
        moved = {"at": 86_400_000_000, "last": 86_400_000_000, "minute": 1440, "hour": 24, "day": 1}
        for table in ("events", "folded", "hours", "tallies"):
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})") if row[1] != "id"]
            names = ", ".join(f'"{one}"' for one in columns)
            for n in range(1, days):
                said = ", ".join(f'"{one}" + {moved[one] * n}' if one in moved else f'"{one}"' for one in columns)
                first = {
                    "events": '"at" < ?',
                    "folded": '"at" < ?',
                    "hours": '"hour" < ? / 3600000000',
                    "tallies": '"day" < ? / 86400000000',
                }
                until = int((START + timedelta(days=1)).timestamp() * 1_000_000)
                db.execute(f"INSERT INTO {table} ({names}) SELECT {said} FROM {table} WHERE {first[table]}", (until,))
        for _, made in indexes:
            db.execute(made)
        db.execute("ANALYZE")
    db.close()


def main() -> None:
    read = argparse.ArgumentParser()
    read.add_argument("--events", type=int, default=1_000_000)
    read.add_argument("--keep", default="")
    read.add_argument("--only-views", action="store_true")
    read.add_argument("--copied", action="store_true", help="store one day by the real path, and copy it to make the month")
    asked = read.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(asked.keep or f"{folder}/log.sqlite3")
        with Log(f"sqlite:///{path}") as log:
            if not asked.only_views:
                began = max((spool.position[1] for spool in log.spools().values()), default=0)
                some = month(asked.events)
                stored, spent = fill(log, islice(some, asked.events // 30) if asked.copied else some, began, say=True)
                size = path.stat().st_size / 1e6
                if asked.copied:
                    log.close()
                    copy_days(path, 30)
                    print(f"the month: {30 * stored:,} events, {path.stat().st_size / 1e6:,.0f} MB", flush=True)
                print(f"intake: {stored / spent:,.0f} events/s; {size / stored * 1e6:,.0f} MB a million events")
            until = START + timedelta(days=30)
            print("\n| view | first, ms | again, ms |\n|---|---|---|")
            for name, view in VIEWS.items():
                took = []
                for _ in range(2):
                    began = time.perf_counter()
                    view(log, START, until)
                    took.append((time.perf_counter() - began) * 1000)
                print(f"| {name} | {took[0]:,.0f} | {took[1]:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
