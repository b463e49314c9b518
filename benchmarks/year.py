# ruff: noqa: E501 - a row of a table stays a row
"""A school's year with 60 planted episodes: which captures find, which they miss, and what they take for one.

    python benchmarks/year.py [--share 0.1] [--seed 7] [--set first|held-out|further|...] [--searches-only] [--keep FOLDER]

A secondary school of 1,200 pupils: 30 million events a year, of which 640,000 are searches and 900,000 refusals (of a `--share`
of the pupils; 1: of all). The rest is what their pages pull in: it can become no capture, and is what the filter log has to
carry; `--searches-only` leaves it out. Among them stand 60 episodes, from plain to subtle, in eleven languages, written before
the first run and not changed to please it. Recall: episodes of which at least one capture of their theme was shown to a reviewer
(or, for themes that go there, stands in the weekly report). Precision: of a theme's captures shown for review, those that belong
to an episode; the noise holds lessons, games and sayings that sound alike.

The year is stored day by day, and captures are made after each, as they would be. With --keep it goes on where it was stopped.
The whole (`--share 1 --keep FOLDER`) needs one core, 2 GB of memory and 9 GB of disk.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.episodes import (
    ALIKE,
    CATEGORIES,
    EPISODES,
    FRESH,
    FURTHER,
    HELD_OUT,
    INNOCENT,
    LAST,
    LETTERS,
    SHOWN_WEEKLY,
    SLOW,
    STORIES,
    UNSEEN,
    WORRIES_LIST,
    Episode,
)  # fmt: skip
from monitoring import captures
from monitoring.lines import Query
from monitoring.log import Log
from monitoring.recorder import BATCH, Recorder
from monitoring.reports import figures
from monitoring.rules import THEMES
from monitoring.spool import Reader, Writer
from monitoring.watch import Watcher
from policy.event import Event
from policy.rules import Group, SchoolPolicy

START = datetime(2026, 9, 1, tzinfo=UTC)
PUPILS, SEARCHES, REFUSALS, EVENTS = 1_200, 640_000, 900_000, 30_000_000
PULLED, BESIDE = 25, 6  # events of one page, and from how many sites they come
DAY = 86_400
GROUPS = {"year7": "ks3", "year8": "ks3", "year9": "ks3", "year10": "ks4", "year11": "ks4", "sixth": "sixth-form"}
SETS = {
    "first": EPISODES,
    "held-out": HELD_OUT,
    "further": FURTHER,
    "fresh": FRESH,
    "letters": LETTERS,
    "stories": STORIES,
    "unseen": UNSEEN,
    "slow": SLOW,
    "last": LAST,
}
SCHOOL = SchoolPolicy(
    "hillview", "Hillview", "a", "d", groups=tuple(Group(name, name, phase) for name, phase in GROUPS.items())
)


def times(rng: random.Random) -> datetime:
    """A moment of a school's year: mostly lessons on school days."""
    while True:
        at = START + timedelta(days=rng.randrange(320), hours=rng.triangular(7, 22, 11))
        if at.weekday() < 5 or rng.random() < 0.1:
            return at


def noise(rng: random.Random, share: float) -> Iterator[Event]:
    """Of a share of the pupils all they do: fewer of everybody's searches would hide what adds up over days."""
    pupils = [(f"p{n:04}", tuple(GROUPS)[n % 6]) for n in range(max(1, int(PUPILS * share)))]
    for _n in range(int(SEARCHES * share)):
        who, group = pupils[int(len(pupils) * rng.random() ** 1.2)]
        lot = rng.random()
        term = rng.choice(ALIKE if lot < 0.02 else WORRIES_LIST if lot < 0.05 else INNOCENT)
        if not 0.02 <= lot < 0.05 and rng.random() < 0.3:
            term += rng.choice((" ks3", " for kids", " 2026", " meaning", " wikipedia", " youtube", " near me", " pdf"))
        yield search(times(rng), who, group, term)
    for _n in range(int(REFUSALS * share)):
        who, group = pupils[int(len(pupils) * rng.random() ** 1.6)]
        category = rng.choices(CATEGORIES, (30, 20, 15, 12, 10, 5, 3, 3, 0.3, 0.3, 0.3, 0.05))[0]
        yield Event(
            times(rng).timestamp(),
            "page",
            "hillview",
            group,
            "lan",
            "lease",
            who,
            host=f"{category}{rng.randrange(40)}.example",
            path="/",
            action="block",
            category=category,
        )


def search(at: datetime, who: str, group: str, term: str) -> Event:
    return Event(
        at.timestamp(),
        "search",
        "hillview",
        group,
        "lan",
        "lease",
        who,
        host="www.google.com",
        path="/search",
        term=term,
        action="restrict",
        category="search_engines",
    )


def planted(rng: random.Random, some: tuple[Episode, ...]) -> Iterator[tuple[str, Episode, list[Event]]]:
    for n, episode in enumerate(some):
        who, group = f"planted{n:02}", tuple(GROUPS)[n % 6]
        day = START + timedelta(days=rng.randrange(10, 280))
        found = []
        for k, term in enumerate(episode.searches):
            hours = rng.uniform(22, 25) if episode.night else rng.uniform(9, 15)
            at = day + timedelta(days=k * episode.days // max(1, len(episode.searches)), hours=hours)
            found += [search(at - timedelta(minutes=3), who, group, rng.choice(INNOCENT)), search(at, who, group, term)]
        yield who, episode, found


def browsing(rng: random.Random, begin: float, count: int, share: float) -> Iterator[Event]:
    """A day's pages, and what they pull in: allowed, and of no concern to anybody."""
    pupils = max(1, int(PUPILS * share))
    for at in sorted(begin + 3600 * rng.triangular(7, 22, 11) for _ in range(count // PULLED)):
        n = int(pupils * rng.random() ** 1.2)
        who = ("hillview", tuple(GROUPS)[n % 6], "lan", "lease", f"p{n:04}", f"10.20.{n >> 8}.{n & 255}", f"pc-{n}")
        numbers = [min(19_999, int(rng.paretovariate(0.9)) - 1), *(rng.randrange(50) for _ in range(BESIDE - 1))]
        hosts = [f"www{each % 7}.site{each}.example" for each in numbers]
        yield Event(at, "page", *who, hosts[0], "/lesson/page", "", "allow", "inspect", "phase_default", "education")
        for k in range(PULLED - 1):
            kind = "dns" if k < PULLED // 2 else "resource"
            yield Event(at + k / 10, kind, *who, hosts[k % BESIDE], "", "", "allow", "inspect", "phase_default", "education")


def store(log: Log, watcher: Watcher, every: list[Event], share: float, seed: int, browse: bool) -> tuple[float, float, int]:
    """The year, day by day. Returns the seconds it took to store, those to look through, and how many were looked through."""
    days: dict[int, list[Event]] = {}
    for event in every:
        days.setdefault(int(event.at // DAY), []).append(event)
    known = log.spools().get("proxy-1")
    done, part = known.position if known else (0, 0)  # the number of the day that is stored, and how far the next is
    stored, storing, looking, looked = 0, 0.0, 0.0, 0
    began = time.perf_counter()
    for number, (day, asked) in enumerate(sorted(days.items()), 1):
        if number <= done:
            continue
        some = asked
        if browse:
            pages = int((EVENTS - SEARCHES - REFUSALS) * share * len(asked) / len(every))
            some = sorted([*asked, *browsing(random.Random(f"{seed} {day}"), day * DAY, pages, share)])
        start = time.perf_counter()
        for n in range(0, len(some), BATCH):  # the last of a day says that the day is stored
            if number == done + 1 and n < part:
                continue
            last = n + BATCH >= len(some)
            log.append(some[n : n + BATCH], {"proxy-1": (number, 0) if last else (number - 1, n + 1)})
        storing += time.perf_counter() - start
        stored += len(some)
        start = time.perf_counter()
        while count := watcher.step()[0]:
            looked += count
        looking += time.perf_counter() - start
        if number % 10 == 0:
            spent = time.perf_counter() - began
            left = spent / (number - done) * (len(days) - number) / 60
            print(f"  day {number} of {len(days)}, {stored:,} events, {spent / 60:.1f} min; {left:.0f} more", flush=True)
    while count := watcher.step()[0]:
        looked += count
    if stored:
        print(f"{stored:,} events stored in {storing:.0f} s: {stored / storing:,.0f}/s")
    return storing, looking, looked


def alerts(log: Log, watcher: Watcher, folder: Path, count: int = 20) -> None:
    """From a search to the moment at which somebody is told: through a worker's spool, the recorder and the watcher."""
    took = []
    with closing(Writer(folder / "spool", "proxy-2")) as writer:
        recorder = Recorder(Reader(folder / "spool"), log)
        for n in range(count):
            now = time.time()
            writer.write_all(
                [search(datetime.fromtimestamp(now, UTC), f"alert{n:02}", "year8", "how to kill myself").encode()]
            )
            start = time.perf_counter()
            recorder.step()
            if not watcher.step()[1]:
                raise SystemExit("a serious search was not told of")
            took.append(time.perf_counter() - start)
    print(
        f"serious alerts: {sorted(took)[count // 2] * 1000:.0f} ms from the search to who is told, {max(took) * 1000:.0f} at worst; "
        "recorder and watcher look four times a second each, so half a second more at most"
    )


def views(log: Log) -> None:
    end = START + timedelta(days=320)
    month = end - timedelta(days=30)
    asked = {
        "newest page": lambda: log.search(Query("hillview", limit=50)),
        "a person's newest": lambda: log.search(Query("hillview", person="p0010", limit=50)),
        "what was blocked": lambda: log.search(Query("hillview", action="block", limit=50)),
        "the most popular site, pages of one group": lambda: log.search(
            Query("hillview", host="site0.example", kind="page", group="year8", limit=50)
        ),
        "a word that is searched": lambda: log.search(Query("hillview", term="volcano", limit=50)),
        "text found nowhere": lambda: log.search(Query("hillview", text="xylophone", limit=50)),
        "captures that wait": lambda: captures.waiting(log, "hillview", ("pupil",)),
        "a report of a month": lambda: figures(
            log, "hillview", month, end, subjects=("pupil",), but_groups=(), zone="Europe/London"
        ),
        "top ten people of a month": lambda: log.top("who", "hillview", month, end),
        "a person's year": lambda: log.days_of("hillview", "p0010", START, end),
    }
    print("\n| view | first, ms | again, ms |\n|---|---|---|")
    for name, view in asked.items():
        took = []
        for _ in range(2):
            start = time.perf_counter()
            view()
            took.append((time.perf_counter() - start) * 1000)
        print(f"| {name} | {took[0]:,.0f} | {took[1]:,.0f} |", flush=True)


def main() -> None:
    read = argparse.ArgumentParser()
    read.add_argument("--share", type=float, default=0.1)
    read.add_argument("--seed", type=int, default=7)
    read.add_argument("--set", default="first", choices=SETS, help="which episodes are planted; see episodes.py")
    read.add_argument("--searches-only", action="store_true", help="nothing but what can become a capture")
    read.add_argument("--keep", default="", help="a folder for the store; go on where it was stopped")
    asked = read.parse_args()
    rng = random.Random(asked.seed)
    episodes = {who: (episode, events) for who, episode, events in planted(rng, SETS[asked.set])}
    every = sorted([*noise(rng, asked.share), *(event for _, some in episodes.values() for event in some)])
    with tempfile.TemporaryDirectory() as made:
        folder = Path(asked.keep or made)
        folder.mkdir(exist_ok=True, parents=True)
        path = folder / "log.sqlite3"
        with Log(f"sqlite:///{path}") as log:
            watcher = Watcher(log, lambda _: SCHOOL)
            _, took, count = store(log, watcher, every, asked.share, asked.seed, not asked.searches_only)
            made_of = captures.between(log, "hillview", START, START + timedelta(days=400), ("pupil",), 1_000_000)
            print(f"{count:,} lines of their own looked through in {took:.0f} s ({count / took:,.0f}/s)" if count else "")
            print(f"{len(made_of):,} captures: {dict(Counter(one.route for one in made_of))}\n")
            table(episodes, [one for one in made_of if not one.who.startswith("alert")], asked.share)
            log.forget()
            total = log.completeness().stored
            size = path.stat().st_size / 1e6
            print(f"\n{total:,} events in {size:,.0f} MB: {size / total * 1e6:,.0f} MB a million")
            views(log)
            alerts(log, watcher, folder)


def table(episodes: dict, made: list, share: float) -> None:
    print("| theme | episodes | found | recall | shown for review | of an episode | precision | in the weekly report |")
    print("|---|---|---|---|---|---|---|---|")
    caught: Counter[str] = Counter()
    total: Counter[str] = Counter()
    by_plain: Counter[tuple[int, bool]] = Counter()
    by_any: Counter[int] = Counter()  # shown, under whatever theme
    missed = []
    for who, (episode, _) in episodes.items():
        shown = [
            one for one in made if one.who == who and (one.route in {"review", "urgent"} or episode.theme in SHOWN_WEEKLY)
        ]
        hit = any(one.theme == episode.theme for one in shown)
        by_any[episode.plain] += bool(shown)
        caught[episode.theme] += hit
        total[episode.theme] += 1
        by_plain[episode.plain, hit] += 1
        if not hit:
            other = sorted({one.theme for one in shown})
            missed.append(
                f"{episode.theme} ({episode.language}): {' / '.join(episode.searches)}{f' (seen as {other})' if other else ''}"
            )
    for theme in THEMES:
        review = [one for one in made if one.theme == theme and one.route in {"review", "urgent"}]
        right = [one for one in review if one.who in episodes and episodes[one.who][0].theme == theme]
        weekly = sum(one.theme == theme and one.route == "weekly" for one in made)
        recall = f"{caught[theme] / total[theme]:.2f}" if total[theme] else "-"
        precision = f"{len(right) / len(review):.2f}" if review else "-"
        print(
            f"| {THEMES[theme].name} | {total[theme]} | {caught[theme]} | {recall} | {len(review)} | {len(right)} | {precision} | {weekly:,} |"
        )
    for plain, name in ((3, "plain"), (2, "less plain"), (1, "subtle")):
        print(
            f"\n{name}: {by_plain[plain, True]} of {by_plain[plain, True] + by_plain[plain, False]} found; {by_any[plain]} shown under any theme",
            end="",
        )
    noise_ = [one for one in made if one.who not in episodes and one.route in {"review", "urgent"}]
    print(f"\n\nshown of the noise: {len(noise_)}, which is {len(noise_) / share:,.0f} in a whole school's year")
    print("  " + "; ".join(f"{one.theme}: {' / '.join(one.terms)} ({one.why})" for one in noise_[:12]))
    print("\nmissed:\n" + "\n".join(f"- {one}" for one in missed))


if __name__ == "__main__":
    main()
