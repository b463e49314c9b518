"""What a search and a page cost to judge: phrases alone beside phrases and reading, in turns on the same texts.

    .venv/bin/python benchmarks/scoring.py [--rounds 15]

Time of the processor per text at the median and the least of the rounds; texts are taken from our own lines (benchmarks/data)
and documents, never twice the same in a round, so that nothing is remembered that would not be in a day's traffic. Then what
the reader takes to load, and the memory that it keeps.
"""

import argparse
import csv
import gc
import random
import resource
import statistics
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve()
sys.path[0] = str(HERE.parent.parent)  # not this folder, where dns.py stands

from category_lists.phrases import FOLDER, LEARNED, Phrases, by_hand, shipped
from category_lists.reading import Reader, _of_word, key

_MANY = {"search of 5 words": 1000, "page of 300 words": 200, "page of 64 KB": 20}


def texts(dice: random.Random) -> dict[str, list[str]]:
    with (HERE.parent / "data" / "blind.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    words = " ".join(path.read_text(encoding="utf-8") for path in sorted((HERE.parents[1] / "docs").glob("*.md"))).split()
    lines = [row["text"] for row in rows if row["kind"] == "search" and len(row["text"].split()) == 5]

    def page(most: int) -> str:
        at = dice.randrange(len(words) - 20_000)
        return " ".join(words[at : at + 20_000])[:most] if most else " ".join(words[at : at + 300])

    searches = [f"{line} {dice.randrange(1000)}" for line in dice.choices(lines, k=_MANY["search of 5 words"])]
    return {
        "search of 5 words": [line.rpartition(" ")[0] for line in searches],
        "page of 300 words": [page(0) for _ in range(_MANY["page of 300 words"])],
        "page of 64 KB": [page(65536) for _ in range(_MANY["page of 64 KB"])],
    }


def costs(sets: Phrases, some: list[str], kind: str) -> float:
    begun = time.process_time()
    for text in some:
        sets.score(text, kind)  # type: ignore[arg-type]
    return (time.process_time() - begun) / len(some)


def rounds(many: int) -> Iterator[str]:
    dice = random.Random(2026)
    taken: dict[tuple[str, str], list[float]] = {}
    both = {"phrases": by_hand(), "with reading": shipped()}
    for _ in range(many):
        for name, some in texts(dice).items():
            kind = name.split()[0]
            for way in dice.sample(sorted(both), 2):
                taken.setdefault((name, way), []).append(costs(both[way], some, kind))
    for (name, way), times in sorted(taken.items()):
        yield f"{name:20} {way:14} median {statistics.median(times) * 1e6:8.0f} µs  least {min(times) * 1e6:8.0f} µs"


def loading() -> Iterator[str]:
    text = (FOLDER / LEARNED).read_text(encoding="utf-8")
    times = []
    for _ in range(5):
        begun = time.process_time()
        Reader.from_text(text)
        times.append(time.process_time() - begun)
    gc.collect()
    tracemalloc.start()
    reader = Reader.from_text(text)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    size = len(reader.keys) * (reader.keys.itemsize + len(reader.kinds))
    yield f"{len(reader.keys)} pieces, {len(reader.kinds)} kinds: {size / 1e6:.2f} MB; a file of {len(text) / 1e6:.2f} MB"
    yield f"loads in {statistics.median(times) * 1e3:.0f} ms, keeps {kept / 1e6:.2f} MB"
    yield f"remembered words {_of_word.cache_info().currsize}, pieces {key.cache_info().currsize}"
    yield f"the process grew to {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rounds", type=int, default=15)
    for line in (*rounds(words.parse_args().rounds), *loading()):
        print(line)


if __name__ == "__main__":
    main()
