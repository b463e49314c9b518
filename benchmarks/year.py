# ruff: noqa: E501 - a row of a table stays a row
"""A school's year with 60 planted episodes: which captures find, which they miss, and what they take for one.

    python benchmarks/year.py [--share 0.1] [--seed 7] [--set first|held-out|further|fresh|letters|stories|unseen]

A secondary school of 1,200 pupils: 30 million events a year, of which 640,000 are searches and 900,000 refusals; only those two
can become captures, so only those are made (of a `--share` of the pupils; 1: of all). Among them stand 60 episodes, from plain to
subtle, in eleven languages, written before the first run and not changed to please it. Recall: episodes of which at least one
capture of their theme was shown to a reviewer (or, for themes that go there, stands in the weekly report). Precision: of a
theme's captures shown for review, those that belong to an episode; the noise holds lessons, games and sayings that sound alike.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
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
    LETTERS,
    SHOWN_WEEKLY,
    STORIES,
    UNSEEN,
    WORRIES_LIST,
    Episode,
)  # fmt: skip
from monitoring import captures
from monitoring.log import Log
from monitoring.rules import THEMES
from monitoring.watch import Watcher
from policy.event import Event
from policy.rules import Group, SchoolPolicy

START = datetime(2026, 9, 1, tzinfo=UTC)
PUPILS, SEARCHES, REFUSALS = 1_200, 640_000, 900_000
GROUPS = {"year7": "ks3", "year8": "ks3", "year9": "ks3", "year10": "ks4", "year11": "ks4", "sixth": "sixth-form"}
SETS = {
    "first": EPISODES,
    "held-out": HELD_OUT,
    "further": FURTHER,
    "fresh": FRESH,
    "letters": LETTERS,
    "stories": STORIES,
    "unseen": UNSEEN,
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


def main() -> None:
    read = argparse.ArgumentParser()
    read.add_argument("--share", type=float, default=0.1)
    read.add_argument("--seed", type=int, default=7)
    read.add_argument("--set", default="first", choices=SETS, help="which episodes are planted; see episodes.py")
    asked = read.parse_args()
    rng = random.Random(asked.seed)
    episodes = {who: (episode, events) for who, episode, events in planted(rng, SETS[asked.set])}
    every = sorted([*noise(rng, asked.share), *(event for _, some in episodes.values() for event in some)])
    with tempfile.TemporaryDirectory() as folder, Log(f"sqlite:///{folder}/log.sqlite3") as log:
        for n in range(0, len(every), 5_000):
            log.append(every[n : n + 5_000], {"proxy-1": (1, n + 1)})
        watcher = Watcher(log, lambda _: SCHOOL)
        began, count = time.perf_counter(), 0
        while looked := watcher.step()[0]:
            count += looked
        took = time.perf_counter() - began
        made = captures.between(log, "hillview", START, START + timedelta(days=400), ("pupil",), 1_000_000)
    print(
        f"{count:,} events looked through in {took:.0f} s ({count / took:,.0f}/s); {len(made):,} captures: {dict(Counter(one.route for one in made))}\n"
    )
    table(episodes, made, asked.share)


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
