"""The category index against a Python dict, LMDB, and sqlite3 as Pi-hole lays it out (gravity), in one run.

Run by hand: .venv/bin/python benchmarks/index.py --names 1000000
Half of the look-ups hit. Every store walks the same parent names (from the name itself to two labels); only ours may
stop early, because its file says when nothing lies deeper. Each store is opened in a process of its own, so that memory
is its own, and the timed rounds of all stores are interleaved. The machine's speed drifts: trust the ratios.
"""

import argparse
import gc
import hashlib
import importlib.util
import multiprocessing
import random
import resource
import shutil
import sqlite3
import subprocess
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


def build_lmdb(folder: Path, lists: list[tuple[ListVersion, Path]]) -> Path:
    import lmdb

    base = lmdb.open(str(folder / "lmdb"), map_size=4 << 30, subdir=False, sync=False)
    table: dict[bytes, bytes] = {}
    for number, (_, path) in enumerate(lists):
        mark = bytes([number])
        for name in path.read_bytes().split():
            table[name] = table.get(name, b"") + mark
    with base.begin(write=True) as transaction, transaction.cursor() as cursor:
        cursor.putmulti(sorted(table.items()), append=True)
    base.close()
    return folder / "lmdb"


def open_lmdb(folder: Path, _: list[tuple[ListVersion, Path]]) -> Look:
    import lmdb

    base = lmdb.open(str(folder / "lmdb"), readonly=True, subdir=False, lock=False)
    get = base.begin(buffers=False).get

    def look(host: str) -> bytes:
        found = b""
        name = host.encode()
        while b"." in name:
            if more := get(name):
                found += more
            name = name.partition(b".")[2]
        return found

    return look


STORES = {"ours": (build_ours, open_ours), "dict": (None, open_dict), "sqlite3": (build_sqlite, open_sqlite)}
if importlib.util.find_spec("lmdb"):  # a peer, not a part: install it to compare
    STORES["lmdb"] = (build_lmdb, open_lmdb)


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


def raw_lists(count: int) -> None:
    """From raw lists, as their makers publish them, to an index that answers: reading, keeping, compiling, on one core."""
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        names = made_up(count)
        for number in range(4):
            mine = names[number * count // 4 : (number + 1) * count // 4]
            (folder / f"raw{number}").write_text(
                "".join((f"0.0.0.0 {name}\n" if number % 2 else f"{name}\n") for name in mine)
            )
        del names, mine
        here, there = spawn.Pipe()
        worker = spawn.Process(target=_raw, args=(folder, there))
        worker.start()
        reading, compiling, peak = here.recv()
        worker.join()
        print(
            f"\n{count:,} names from raw lists: read and kept {reading:.1f} s, compiled {compiling:.1f} s of processor",
            end="",
        )
        print(f" time, together {reading + compiling:.1f} s; peak {peak:.0f} MiB")
        if dnsmasq := shutil.which("dnsmasq"):
            _dnsmasq(dnsmasq, folder)


def _raw(folder: Path, pipe: Connection) -> None:
    from datetime import UTC, datetime

    from category_lists.essentials import protected
    from category_lists.lists import store
    from category_lists.taxonomy import load

    begun, lists, guard = time.process_time(), [], protected(load().categories["games"])
    for number in range(4):
        version, _ = store(
            folder / "kept",
            folder / f"raw{number}",
            list_id=f"l{number}",
            category="games",
            format="hosts" if number % 2 else "domains",
            at=datetime.now(UTC),
            protected=guard,
        )
        lists.append((version, folder / "kept" / version.id / f"{version.digest}.txt"))
    read = time.process_time()
    compile_index(lists, folder / "index")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pipe.send((read - begun, time.process_time() - read, peak))


def _dnsmasq(program: str, folder: Path) -> None:
    """What a hosts file costs dnsmasq: the time until it has read it, and its memory. It answers exact names only."""
    hosts = folder / "hosts"
    with hosts.open("w") as file:
        for number in range(4):
            for line in (folder / f"raw{number}").open():
                file.write(f"0.0.0.0 {line.split()[-1]}\n")
    begun = time.perf_counter()
    command = [
        program,
        "--keep-in-foreground",
        "--no-resolv",
        "--no-hosts",
        "--port=0",
        f"--addn-hosts={hosts}",
        "--log-facility=-",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if "read" in line:
                break
        took = time.perf_counter() - begun
        status = Path(f"/proc/{process.pid}/status").read_text()
        process.terminate()
    memory_kb = int(next(line.split()[1] for line in status.splitlines() if line.startswith("RssAnon")))
    print(
        f"dnsmasq with a hosts file of the same: read in {took:.1f} s, private {memory_kb / 1024:.0f} MiB, exact names only"
    )


def adversarial(count: int) -> None:
    """A list of nothing but trouble: what a million hostile lines cost, and that nothing of them is taken for a site."""
    from category_lists.parsers import FORMATS, Report
    from category_lists.rows import read_rows

    dice = random.Random(3)
    kinds = [
        b"\xff\xfe\x00", b"x" * 9000, b"a." * 200 + b"com", b"-" * 300, b"||" + b"*." * 50 + b"^", b"0.0.0.0 " + b"a" * 500,
        b"(" * 4000, b'"' * 2000, b"xn--" + b"z" * 60 + b".com", b"\x00" * 100, "\u202e\u0430.com".encode() * 9,
        b"1.2.3.4.5.6", b"http://[::1]:99999/%%%%", b"include:a include:a", b"co.uk", b",,,,,,", b"\t\r \x0b",
        b"@@||" + b"^" * 900,
    ]  # fmt: skip
    lines = [dice.choice(kinds) + b"%d" % (number % 97) for number in range(count)]
    for format_ in FORMATS:
        report, begun = Report(), time.process_time()
        rows = read_rows(format_, (lines[at : at + 10_000] for at in range(0, count, 10_000)), report)
        took = time.process_time() - begun
        print(f"{format_:8} {count:,} hostile lines in {took:5.1f} s: {report.refused:,} refused, {len(rows):,} taken")


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--names", type=int, nargs="*", default=[100_000])
    words.add_argument(
        "--stores", nargs="+", choices=sorted(STORES), default=list(STORES), help="beside dict, which is always asked"
    )
    words.add_argument("--raw", type=int, nargs="*", default=[], help="from raw lists to an index, so many names")
    words.add_argument("--hostile", type=int, default=0, help="lines of a hostile list")
    chosen = words.parse_args()
    for left_out in STORES.keys() - {"dict", *chosen.stores}:
        del STORES[left_out]
    for wanted in chosen.names:
        run(wanted)
    for wanted in chosen.raw:
        raw_lists(wanted)
    if chosen.hostile:
        adversarial(chosen.hostile)
