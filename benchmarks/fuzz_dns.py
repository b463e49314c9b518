"""A campaign of malformed DNS: no traceback, no growth, and valid queries beside it answered within 5 ms at the median.

First a million mutated packets into the resolver's own functions (parse, the fast path, an upstream's answer), then a running
resolver under ten thousand connections that say nothing, drips, floods and 64 KB of rubbish. A seeded share of this is in
tests/dns/. Exit code 1 when something does not hold.

    .venv/bin/python benchmarks/fuzz_dns.py [--packets 1000000] [--connections 10000] [--seed 1]
"""

import argparse
import asyncio
import contextlib
import logging
import random
import resource
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path[:] = [each for each in sys.path if Path(each or ".").resolve() != Path(__file__).resolve().parent]
# ... since Python puts a script's own folder first, where dns.py would be taken for our folder `dns`

from category_lists import taxonomy
from category_lists.index import Index, compile_index
from category_lists.lists import store
from dns import codec
from dns.answers import Answers, Waiting
from dns.codec import Malformed, Query
from dns.server import serve
from dns.settings import Settings
from policy import search_engines
from policy.identity import Clients
from policy.rules import Action, AuthorityPolicy, Group, Network, SchoolPolicy, SiteRule
from policy.snapshot import LoadedDictionary, Snapshot

FASTEST_GROWTH_MB = 40  # over a whole campaign: caches fill, and then no more
PROBES = 200


class Still:
    """A policy in force that stays."""

    def __init__(self, folder: Path) -> None:
        (folder / "blocked.txt").write_text("bet.example\nwager.example\n")
        at = datetime.now(UTC)
        kept, _ = store(folder, folder / "blocked.txt", list_id="fuzz", category="gambling", format="domains", at=at)
        compile_index([(kept, folder / "fuzz" / f"{kept.digest}.txt")], folder / "names.idx")
        school = SchoolPolicy(
            "hillview",
            "Hillview",
            "a",
            "d",
            groups=(Group("ks3", "Years 7 to 9", "ks3"),),
            networks=(Network("all", "ks3", "127.0.0.0/8"),),
            site_rules=(SiteRule("s1", "open.bet.example", Action.ALLOW, 3),),
        )
        authority = AuthorityPolicy("birchwood", "Birchwood", "d")
        dictionary = LoadedDictionary("d", Index.open(folder / "names.idx"), taxonomy.load(), search_engines.load())
        self.snapshot = Snapshot(
            1, authority, {"hillview": school}, {"a": authority}, {"d": dictionary}, {}, Clients([school])
        )

    def refresh(self) -> bool:
        return False


def name(text: str) -> bytes:
    return b"".join(bytes((len(each),)) + each.encode() for each in text.split(".")) + b"\0"


def query(text: str, qtype: int = 1, options: bytes | None = None) -> bytes:
    opt = b"" if options is None else b"\0" + struct.pack("!HHIH", 41, 1232, 0, len(options)) + options
    return struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, options is not None) + name(text) + struct.pack("!HH", qtype, 1) + opt


def reply(text: str) -> bytes:
    records = b"\xc0\x0c" + struct.pack("!HHIH", 5, 1, 300, 2) + b"\xc0\x0c"
    records += b"\xc0\x0c" + struct.pack("!HHIH", 65, 1, 300, 13) + struct.pack("!HBHH4sH", 1, 0, 4, 4, b"\1\2\3\4", 0)
    records += b"\xc0\x0c" + struct.pack("!HHIH", 28, 1, 300, 16) + bytes(16) + b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0)
    return struct.pack("!HHHHHH", 7, 0x8180, 1, 3, 0, 1) + name(text) + struct.pack("!HH", 1, 1) + records


QUERIES = [
    query("bet.example"), query("n1.bet.example", 28), query("news.example", 65), query("open.bet.example", 255),
    query("bet.example", 1, b""), query("wager.example", 1, struct.pack("!HH", 10, 8) + b"8 bytes!"),
    query("a" * 63 + ".bet.example", 16), query("xn--bcher-kva.example"),
]  # fmt: skip
INTERESTING = (0, 1, 0x3F, 0x40, 0x7F, 0x80, 0xBF, 0xC0, 0xFF)


def mutated(chance: random.Random, seeds: list[bytes]) -> bytes:
    packet = bytearray(chance.choice(seeds))
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(packet))
        match chance.randrange(6):
            case 0:
                packet[at] = chance.randrange(256)
            case 1:
                packet[at] = chance.choice(INTERESTING)
            case 2:
                del packet[at:]
            case 3:
                packet[at:at] = chance.randbytes(chance.randrange(1, 9))
            case 4:
                packet += packet[at : at + 16]
            case _:
                packet[at : at + 2] = struct.pack("!H", 0xC000 | chance.randrange(len(packet) + 1))  # a pointer
        if not packet:
            return b""
    return bytes(packet)


def functions(folder: Path, packets: int, seed: int) -> list[str]:
    """What does not hold of the functions."""
    chance, wrong = random.Random(seed), []
    complaints: list[logging.LogRecord] = []
    logging.getLogger().addHandler(handler := logging.Handler())
    handler.emit = complaints.append  # type: ignore[method-assign]
    answers = Answers(Settings((("127.0.0.1", 0),), (("127.0.0.1", 9),)), Still(folder), lambda _: None, write=lambda _: None)
    asked = Query(7, "bet.example", name("bet.example"), codec.A)
    seeds, answer = [*QUERIES], [reply("bet.example")]
    source, before, began = bytes((127, 0, 0, 1)), 0, time.perf_counter()
    for number in range(0, packets, 32):
        batch = [(mutated(chance, seeds), source) for _ in range(32)]
        for (packet, _), said in zip(batch, answers.many(batch, "dns:x"), strict=True):
            if isinstance(said, bytes) and (said[:2] != packet[:2] or not said[2] & 0x80):
                wrong.append(f"a reply that is none: {packet.hex()}")
            if not isinstance(said, Waiting) and said is not None and len(said) > 1232:
                wrong.append(f"a reply that is too long: {packet.hex()}")
        with contextlib.suppress(Malformed):
            codec.read_answer(mutated(chance, answer), asked, 7)
        if number >= packets // 10 and not before:
            before = resident()
    grown = (resident() - before) / 1024
    wrong += [f"{answers.undecided} queries could not be decided"] if answers.undecided else []
    wrong += [record.getMessage() for record in complaints[:3]]
    wrong += [f"memory grew by {grown:.0f} MB"] if grown > FASTEST_GROWTH_MB else []
    print(f"{packets:,} packets in {time.perf_counter() - began:.0f} s; memory grew by {grown:.1f} MB; {len(wrong)} wrong")
    return wrong


def resident(pid: str = "self") -> int:
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0])


def run_server(folder: Path) -> None:
    import uvloop

    async def main() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        given = Settings((("127.0.0.1", 0),), (("127.0.0.1", 9),), timeout_s=0.2)
        await serve(given, Still(folder), lambda _: None, ready=lambda names: print(*names, flush=True), stop=stop)

    logging.basicConfig(level=logging.WARNING)
    uvloop.run(main())


def probe(port: int) -> float:
    """Milliseconds until a valid query is answered."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.9.9.9", 0))
        sock.settimeout(5)
        began = time.perf_counter()
        sock.sendto(query("bet.example"), ("127.0.0.1", port))
        sock.recv(4096)
        return (time.perf_counter() - began) * 1000


def crowd(port: int, connections: int) -> list[socket.socket]:
    """Connections that say nothing, a few bytes, or a length without its message; from many addresses."""
    made = []
    for number in range(connections):
        sock = socket.socket()
        sock.settimeout(5)
        with contextlib.suppress(OSError):
            sock.bind((f"127.{1 + number % 100}.0.{1 + number % 200}", 0))
            sock.connect(("127.0.0.1", port))
            if number % 3:
                sock.send(b"\xff" if number % 3 == 1 else b"\x00\x40" + b"x" * 20)
        made.append(sock)
    return made


def server(folder: Path, connections: int, seed: int) -> list[str]:
    """What does not hold of a running resolver."""
    chance, wrong = random.Random(seed), []
    command = [sys.executable, __file__, "--serve", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    port = int(process.stdout.readline().strip().rpartition(":")[2])
    try:
        before = resident(str(process.pid))
        quiet = statistics.median(probe(port) for _ in range(PROBES))
        idle = crowd(port, connections)
        beside = statistics.median(probe(port) for _ in range(PROBES))
        with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            sock.sendall(len(QUERIES[0]).to_bytes(2) + QUERIES[0])
            if not sock.recv(2):
                wrong.append("no answer by TCP beside the crowd")
        for sock in idle:
            sock.close()
        times = []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for _ in range(PROBES):
                for _ in range(50):
                    with contextlib.suppress(OSError):
                        sock.sendto(mutated(chance, QUERIES)[: chance.choice((20, 1000))], ("127.0.0.1", port))
                times.append(probe(port))
        for size in (65_535, 12, 1):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
                sock.sendall(b"\xff\xff" + chance.randbytes(size))
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(4096):
                    pass
        flooded = statistics.median(times)
        grown = (resident(str(process.pid)) - before) / 1024
        print(
            f"median ms of a valid query: alone {quiet:.2f}, beside {connections:,} silent connections {beside:.2f}, "
            f"in a flood of rubbish {flooded:.2f}; memory grew by {grown:.0f} MB"
        )
        wrong += [f"{each:.1f} ms is too slow" for each in (beside, flooded) if each > 5]
        wrong += [f"memory grew by {grown:.0f} MB"] if grown > FASTEST_GROWTH_MB else []
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=20)
    if errors.strip():
        wrong.append(errors.strip().splitlines()[-1])
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        run_server(given.serve)
        return 0
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = min(given.connections + 200, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, room), hard))
    with tempfile.TemporaryDirectory() as made:
        wrong = functions(Path(made), given.packets, given.seed)
        wrong += server(Path(made), min(given.connections, room - 200), given.seed)
    for each in wrong:
        print(f"WRONG: {each}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
