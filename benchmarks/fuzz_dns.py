"""A campaign of malformed DNS: no traceback, no growth, and valid queries beside it answered within 5 ms at the median.

First a million mutated packets into the resolver's own functions (parse, the fast path, an upstream's answer), most of them
guided by coverage: what reaches a branch of the codec that nothing reached before is kept, and mutated further. Then a
running resolver under ten thousand connections that say nothing, others that drip a byte at a time, floods and 64 KB of
rubbish. A seeded share of this is in tests/dns/. Exit code 1 when something does not hold.

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
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from sys import monitoring
from types import CodeType, FunctionType, ModuleType

sys.path[:] = [each for each in sys.path if Path(each or ".").resolve() != Path(__file__).resolve().parent]
# ... since Python puts a script's own folder first, where dns.py would be taken for our folder `dns`

from category_lists import taxonomy
from category_lists.index import Index, compile_index
from category_lists.lists import store
from dns import codec, proxied, reading, rewrite
from dns.answers import Answers
from dns.codec import Malformed, Query
from dns.reading import read_answer
from dns.server import serve
from dns.settings import Settings
from dns.waiting import Waiting
from policy import search_engines
from policy.identity import Clients
from policy.rules import Action, AuthorityPolicy, Group, Network, SchoolPolicy, SiteRule
from policy.snapshot import LoadedDictionary, Snapshot

FASTEST_GROWTH_MB = 40  # over a whole campaign: caches fill, and then no more
PROBES = 200
LORIS, LORIS_S = 60, 15.0


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

    def refresh(self, _: object = None) -> bool:
        return False


def name(text: str) -> bytes:
    return b"".join(bytes((len(each),)) + each.encode() for each in text.split(".")) + b"\0"


def query(text: str, qtype: int = 1, options: bytes | None = None) -> bytes:
    opt = b"" if options is None else b"\0" + struct.pack("!HHIH", 41, 1232, 0, len(options)) + options
    return struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, options is not None) + name(text) + struct.pack("!HH", qtype, 1) + opt


def reply(text: str) -> bytes:
    records = b"\xc0\x0c" + struct.pack("!HHIH", 5, 1, 300, 2) + b"\xc0\x0c"
    hints = struct.pack("!HBHH3sHH4sHH4s", 1, 0, 1, 3, b"\2h3", 4, 4, b"\1\2\3\4", 5, 4, b"echo")
    records += b"\xc0\x0c" + struct.pack("!HHIH", 65, 1, 300, len(hints)) + hints
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


class Coverage:
    """Which ways through the codec's branches have been gone, by the interpreter's own events (PEP 669)."""

    def __init__(self) -> None:
        self._seen: dict[tuple[CodeType, int], set[int]] = {}
        self.count, self._new = 0, False
        monitoring.use_tool_id(monitoring.COVERAGE_ID, "fuzz_dns")
        kinds = [getattr(monitoring.events, each, 0) for each in ("BRANCH_LEFT", "BRANCH_RIGHT")]
        kinds = kinds if all(kinds) else [monitoring.events.BRANCH]
        for kind in kinds:
            monitoring.register_callback(monitoring.COVERAGE_ID, kind, self._branch)
        for code in codes(codec, reading, rewrite, proxied):
            monitoring.set_local_events(monitoring.COVERAGE_ID, code, sum(kinds))

    def _branch(self, code: CodeType, at: int, to: int) -> object:
        ways = self._seen.setdefault((code, at), set())
        if to not in ways:
            ways.add(to)
            self.count += 1
            self._new = True
        return monitoring.DISABLE if len(ways) > 1 else None  # both ways are known: it costs nothing from now on

    def found(self) -> bool:
        """Was anything new since the last time?"""
        new, self._new = self._new, False
        return new

    def close(self) -> None:
        monitoring.free_tool_id(monitoring.COVERAGE_ID)


def codes(*modules: ModuleType) -> Iterator[CodeType]:
    """The code of all functions and methods that are written in these modules."""
    for module in modules:
        members = [each for each in vars(module).values() if getattr(each, "__module__", "") == module.__name__]
        members += [method for each in members if isinstance(each, type) for method in vars(each).values()]
        yield from (each.__code__ for each in members if isinstance(each, FunctionType))


ASKED = Query(7, "bet.example", name("bet.example"), codec.A)


def a_query(data: bytes) -> None:
    """What may be done with a client's bytes: only Malformed may come of it."""
    read = codec.parse(data)
    made = [codec.error(read, codec.SERVFAIL), codec.truncated(read), codec.pointing(read, ("127.0.0.1", "::1"), 5)]
    made.append(codec.absent(read, codec.NXDOMAIN, 5, codec.Ede(codec.BLOCKED, "no")))
    assert all(each[:2] == data[:2] and each[2] & 0x80 and len(each) <= 600 for each in made)


def an_answer(data: bytes) -> None:
    """The same for an upstream's."""
    got = read_answer(data, ASKED, 7)
    if got:
        changed = rewrite.unhidden(ASKED, got)
        for each in (got, changed):
            wire = codec.relay(ASKED, each, age=3, ttl_max=60, limit=512)
            assert len(wire) <= 512
            codec.text_lines(wire)
            codec.reason_text(wire)


def a_header(data: bytes) -> None:
    """The same for a balancer's."""
    with contextlib.suppress(proxied.NotProxied):
        assert proxied.read(data).size <= len(data)


PROXIED = proxied.SIGNATURE + b"\x21\x12\0\x0c" + bytes(8) + b"\1\2\3\4"


def guided(packets: int, seed: int) -> list[str]:
    """What does not hold under a search that follows coverage."""
    chance, wrong, began = random.Random(seed), list[str](), time.perf_counter()
    coverage = Coverage()
    try:
        targets = [(a_query, [*QUERIES]), (an_answer, [reply("bet.example")]), (a_header, [PROXIED])]
        for target, corpus in targets:
            for each in corpus:
                target(each)
        begun, seeds = coverage.count, sum(len(corpus) for _, corpus in targets)
        for number in range(packets):
            target, corpus = targets[1 if number % 2 else 2 if number % 16 == 0 else 0]
            data = mutated(chance, corpus)
            try:
                target(data)
            except Malformed:
                pass
            except Exception as error:  # noqa: BLE001 - that is what is looked for
                wrong.append(f"{target.__name__}: {type(error).__name__} {error}: {data.hex()}")
                if len(wrong) > 10:
                    break
            if coverage.found():
                corpus.append(data)
        kept = sum(len(corpus) for _, corpus in targets)
    finally:
        coverage.close()
    print(
        f"{packets:,} packets guided by coverage in {time.perf_counter() - began:.0f} s: from {begun} ways through "
        f"branches to {coverage.count}, {kept - seeds} packets kept for it; {len(wrong)} wrong"
    )
    return wrong


def functions(folder: Path, packets: int, seed: int) -> list[str]:
    """What does not hold of the functions."""
    chance, wrong = random.Random(seed), []
    complaints: list[logging.LogRecord] = []
    logging.getLogger().addHandler(handler := logging.Handler())
    handler.emit = complaints.append  # type: ignore[method-assign]
    answers = Answers(Settings((("127.0.0.1", 0),), (("127.0.0.1", 9),)), Still(folder), lambda _: None, write=lambda _: None)
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
            read_answer(mutated(chance, answer), ASKED, 7)
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


def dripping(chance: random.Random, idle: list[socket.socket], port: int) -> float:
    """A probe, just after a few of the silent connections have said one byte more."""
    for sock in chance.sample(idle, min(20, len(idle))):
        with contextlib.suppress(OSError):
            sock.send(b"x")
    return probe(port)


def loris(port: int) -> int:
    """How many connections live on a byte each half second for longer than the time that a silent one has (10 s)."""
    socks = crowd(port, LORIS)
    end = time.monotonic() + LORIS_S
    while time.monotonic() < end and socks:
        time.sleep(0.5)
        for sock in [*socks]:
            try:
                sock.send(b"\0")
                sock.settimeout(0.001)
                if sock.recv(1) == b"":
                    raise ConnectionError
            except TimeoutError:
                continue
            except OSError:
                sock.close()
                socks.remove(sock)
    for sock in socks:
        sock.close()
    return len(socks)


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
        beside = statistics.median(dripping(chance, idle, port) for _ in range(PROBES))
        with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            sock.sendall(len(QUERIES[0]).to_bytes(2) + QUERIES[0])
            if not sock.recv(2):
                wrong.append("no answer by TCP beside the crowd")
        for sock in idle:
            sock.close()
        left = loris(port)
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
            f"median ms of a valid query: alone {quiet:.2f}, beside {connections:,} silent connections, some of which drip, "
            f"{beside:.2f}, in a flood of rubbish {flooded:.2f}; memory grew by {grown:.0f} MB; of {LORIS} connections that "
            f"drip a byte each half second {left} were open after {LORIS_S:.0f} s"
        )
        wrong += [f"{left} dripping connections were left open"] if left else []
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
        wrong = guided(given.packets * 2 // 3, given.seed)
        wrong += functions(Path(made), given.packets // 3, given.seed)
        wrong += server(Path(made), min(given.connections, room - 200), given.seed)
    for each in wrong:
        print(f"WRONG: {each}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
