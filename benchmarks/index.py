"""The category index against a Python dict and sqlite3 as Pi-hole lays it out (gravity), in one run.

Run by hand: .venv/bin/python benchmarks/index.py --names 1000000
Half of the look-ups hit. Every store walks the same parent names (from the name itself to two labels); only ours may
stop early, because its file says when nothing lies deeper. Each store is opened in a process of its own, so that memory
is its own, and the timed rounds of all stores are interleaved. The machine's speed drifts: trust the ratios.
"""

import argparse
import gc
import hashlib
import multiprocessing
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from category_lists.index import Index, compile_index
from category_lists.lists import ListVersion

ROUNDS, LOOKUPS = 7, 100_000
SYLLABLES = ["ba", "ko", "mi", "ter", "sun", "lo", "pix", "ra", "ven", "qua", "dor", "el", "shi", "zen", "net", "go"]
ENDS = ["com"] * 10 + ["net", "org", "co.uk", "de", "ru", "xyz", "info", "top", "com.br", "io"]
UNDER = ["www.", "cdn.", "m.", "a1.", "x.y.", "img.static."]


def word(dice: random.Random) -> str:
    return "".join(dice.choices(SYLLABLES, k=dice.randint(2, 4))) + str(dice.randint(0, 999_999))


def made_up(count: int) -> list[str]:
    """Make names shaped as 1.6 million real ones merged: 28% lie deeper, and half of those share their parent."""
    dice = random.Random(1)
    names: set[str] = set()
    while len(names) < count:
        site = f"{word(dice)}.{dice.choice(ENDS)}"
        names.add(dice.choice(UNDER) + site if dice.random() < 0.15 else site)
        if dice.random() < 0.04:
            names.update(f"{word(dice)}.{site}" for _ in range(5))
    chosen = sorted(names)
    dice.shuffle(chosen)
    return chosen[:count]


def asked(names: list[str]) -> list[str]:
    dice = random.Random(2)
    hits = [dice.choice(["", "", "www.", "a.b."]) + name for name in dice.choices(names, k=LOOKUPS // 2)]
    misses = [f"{dice.choice(['', '', '', *UNDER])}{word(dice)}q.{dice.choice(ENDS)}" for _ in range(LOOKUPS // 2)]
    both = hits + misses
    dice.shuffle(both)
    return both


def kept(names: list[str], folder: Path) -> list[tuple[ListVersion, Path]]:
    """Keep four lists that overlap a little, as real ones do."""
    result = []
    quarter = len(names) // 4 + 1
    for number in range(4):
        mine = sorted({*names[number * quarter : (number + 1) * quarter], *names[number : len(names) : 50]})
        data = "".join(f"{name}\n" for name in mine).encode()
        path = folder / f"list{number}.txt"
        path.write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        result.append((ListVersion(f"list{number}", f"c{number}", "v", digest, len(mine), "made up", "domains"), path))
    return result


def owners(lists: list[tuple[ListVersion, Path]]) -> dict[str, tuple[str, ...]]:
    table: dict[str, tuple[str, ...]] = {}
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}
    for version, path in lists:
        for name in path.read_text().split():
            label = (*table.get(name, ()), version.category)
            table[name] = shared.setdefault(label, label)
    return table


type Look = Callable[[str], object]


def open_ours(folder: Path, _: list[tuple[ListVersion, Path]]) -> Look:
    return Index.open(folder / "ours").categories


def open_dict(_: Path, lists: list[tuple[ListVersion, Path]]) -> Look:
    table = owners(lists)

    def look(host: str) -> tuple[str, ...]:
        found = table.get(host, ())
        start = 0
        while True:
            start = host.find(".", start) + 1
            name = host[start:]
            if "." not in name:
                return found
            if more := table.get(name):
                found = (*found, *more)

    return look


def open_sqlite(folder: Path, _: list[tuple[ListVersion, Path]]) -> Look:
    base = sqlite3.connect(folder / "gravity.db")
    ask = "SELECT adlist_id FROM gravity WHERE domain = ?"

    def look(host: str) -> list[tuple[int]]:
        found = []
        name = host
        while "." in name:
            found += base.execute(ask, (name,)).fetchall()
            name = name.partition(".")[2]
        return found

    return look


def build_ours(folder: Path, lists: list[tuple[ListVersion, Path]]) -> Path:
    compile_index(lists, folder / "ours")
    return folder / "ours"


def build_sqlite(folder: Path, lists: list[tuple[ListVersion, Path]]) -> Path:
    base = sqlite3.connect(folder / "gravity.db")
    base.execute("PRAGMA journal_mode = OFF")
    base.execute("CREATE TABLE gravity (domain TEXT NOT NULL, adlist_id INTEGER NOT NULL)")
    for number, (_, path) in enumerate(lists):
        base.executemany("INSERT INTO gravity VALUES (?, ?)", ((name, number) for name in path.read_text().split()))
    base.execute("CREATE INDEX idx_gravity ON gravity (domain, adlist_id)")
    base.commit()
    base.close()
    return folder / "gravity.db"


STORES = {"ours": (build_ours, open_ours), "dict": (None, open_dict), "sqlite3": (build_sqlite, open_sqlite)}


def memory(kind: str) -> float:
    """MiB of this process that are private (not files shared by mmap)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(kind):
            return int(line.split()[1]) / 1024
    return 0.0


def serve(store: str, folder: Path, lists: list[tuple[ListVersion, Path]], questions: list[str], pipe: Connection) -> None:
    before = memory("RssAnon")
    begun = time.perf_counter()
    look = STORES[store][1](folder, lists)
    look(questions[0])
    opened = time.perf_counter() - begun
    hits = sum(bool(look(question)) for question in questions)  # warms caches, and shows that all stores agree
    gc.collect()
    pipe.send((opened, memory("RssAnon") - before, hits))
    gc.freeze()
    while pipe.recv():
        begun = time.perf_counter()
        for question in questions:
            look(question)
        pipe.send(len(questions) / (time.perf_counter() - begun))


def build(store: str, folder: Path, lists: list[tuple[ListVersion, Path]], pipe: Connection) -> None:
    begun = time.perf_counter()
    maker = STORES[store][0]
    size = maker(folder, lists).stat().st_size if maker else 0
    pipe.send((time.perf_counter() - begun, memory("VmHWM"), size))


def run(count: int) -> None:
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        names = made_up(count)
        lists, questions = kept(names, folder), asked(names)
        del names
        rows = {}
        servers = {}
        for store in STORES:
            here, there = spawn.Pipe()
            worker = spawn.Process(target=build, args=(store, folder, lists, there))
            worker.start()
            rows[store] = [*here.recv()]
            worker.join()
            here, there = spawn.Pipe()
            server = spawn.Process(target=serve, args=(store, folder, lists, questions, there))
            server.start()
            rows[store] += [*here.recv()]
            servers[store] = here, server
        rates: dict[str, list[float]] = {store: [] for store in STORES}
        for _ in range(ROUNDS):
            for store, (pipe, _) in servers.items():
                pipe.send(True)
                rates[store].append(pipe.recv())
        for pipe, server in servers.values():
            pipe.send(False)
            server.join()
    median = {store: sorted(found)[ROUNDS // 2] for store, found in rates.items()}
    print(f"\n{count:,} names, {LOOKUPS:,} look-ups, median of {ROUNDS} interleaved rounds")
    print("store     build s  peak MiB  bytes/name   open ms  private MiB  look-ups/s  x dict")
    for store, (built, peak, size, opened, private, hits) in rows.items():
        assert hits == rows["dict"][5], (store, hits, rows["dict"][5])
        print(
            f"{store:8} {built:8.1f} {peak:9.0f} {size / count:11.1f} {opened * 1000:9.1f} {private:12.1f}"
            f" {median[store]:11,.0f} {median[store] / median['dict']:7.2f}"
        )


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--names", type=int, nargs="+", default=[100_000])
    for wanted in words.parse_args().names:
        run(wanted)
