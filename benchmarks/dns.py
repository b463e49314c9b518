"""Our resolver beside dnsmasq (Pi-hole's engine), asked by dnsperf in the same run, in turn, each on core 0.

Compare only within one run: the machine's speed drifts. 70% of the queries are for 10,000 names that may be resolved
(Zipf, all in both caches after the warm-up), 30% for blocked names, evenly from all of them.

    .venv/bin/python benchmarks/dns.py [--names 100000] [--rounds 3] [--seconds 5]
"""

import argparse
import asyncio
import os
import random
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

sys.path[:] = [each for each in sys.path if Path(each or ".").resolve() != Path(__file__).resolve().parent]
# ... since Python puts a script's own folder first, where this file would be taken for our folder `dns`

ALLOWED = 10_000
QUERIES = 200_000
TICKS = os.sysconf("SC_CLK_TCK")
WITHOUT_EVENTS, WITH_EVENTS = "schoolgate", "schoolgate, each event encoded"


# --- the servers, each in a process of its own ---------------------------------------------------------------------


def run_upstream(port: int) -> None:
    """Answer every A query with an address and an hour's TTL."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", port))
    while True:
        packet, sender = sock.recvfrom(4096)
        end = packet.index(b"\0", 12) + 5
        record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 3600, 4) + bytes((203, 0, 113, 7))
        sock.sendto(packet[:2] + struct.pack("!HHHHH", 0x8180, 1, 1, 0, 0) + packet[12:end] + record, sender)


def run_ours(folder: Path, port: int, upstream: int, events: str) -> None:
    """Serve with a policy whose one group may not have the blocked names' category."""
    import uvloop

    from category_lists import taxonomy
    from category_lists.index import Index
    from dns.server import serve
    from dns.settings import Settings
    from policy import search_engines
    from policy.event import Event
    from policy.identity import Clients
    from policy.rules import AuthorityPolicy, Group, Network, SchoolPolicy
    from policy.snapshot import LoadedDictionary, Snapshot

    school = SchoolPolicy(
        "hillview",
        "Hillview School",
        "a",
        "d",
        groups=(Group("ks3", "Years 7 to 9", "ks3"),),
        networks=(Network("all", "ks3", "127.0.0.0/8"),),
    )
    authority = AuthorityPolicy("birchwood", "Birchwood", "d")
    dictionary = LoadedDictionary("d", Index.open(folder / "names.idx"), taxonomy.load(), search_engines.load())
    made = Snapshot(1, authority, {"hillview": school}, {"a": authority}, {"d": dictionary}, {}, Clients([school]))

    class Still:
        snapshot = made

        def refresh(self) -> bool:
            return False

    spool = bytearray(8 << 20)
    at = 0

    def encode(event: Event) -> None:
        nonlocal at
        line = event.encode()
        if at + len(line) > len(spool):
            at = 0
        spool[at : at + len(line)] = line
        at += len(line)

    def forget(_: Event) -> None:
        pass

    settings = Settings((("127.0.0.1", port),), (("127.0.0.1", upstream),))
    record = encode if events == WITH_EVENTS else forget

    async def main() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await serve(settings, Still(), record, ready=lambda names: print(*names, flush=True), stop=stop)

    uvloop.run(main())


def compile_names(folder: Path, blocked: list[str]) -> None:
    from category_lists.index import compile_index
    from category_lists.lists import store

    (folder / "blocked.txt").write_text("\n".join(blocked))
    version, _ = store(
        folder, folder / "blocked.txt", list_id="synthetic", category="gambling", format="domains", at=datetime.now(UTC)
    )
    compile_index([(version, folder / "synthetic" / f"{version.digest}.txt")], folder / "names.idx")


# --- measuring -----------------------------------------------------------------------------------------------------


@dataclass
class Server:
    """A server under test and what was measured of it."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    load_s: float
    rates: list[float] = field(default_factory=list)
    per_cpu: list[float] = field(default_factory=list)
    lost: int = 0
    p50_us: float = 0
    p99_us: float = 0

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_mb(self, line: str) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition(f"{line}:")[2].split()[0]) / 1024


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
        udp.bind(("127.0.0.1", 0))
        tcp.bind(udp.getsockname())
        return udp.getsockname()[1]


@contextmanager
def started(name: str, port: int, command: list[str], core: int) -> Iterator[Server]:
    began = time.perf_counter()
    process = subprocess.Popen(["taskset", "-c", str(core), *command], stdout=subprocess.DEVNULL)
    try:
        answers(port, process)
        yield Server(name, port, process, time.perf_counter() - began)
    finally:
        process.terminate()
        process.wait(10)


def answers(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until the server says something."""
    query = struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + b"\x05site0\x07allowed\x07example\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.2)
        sock.connect(("127.0.0.1", port))
        while process.poll() is None:
            try:
                sock.send(query)
                sock.recv(4096)
            except (TimeoutError, ConnectionRefusedError):
                continue
            return
    raise SystemExit(f"a server ended with code {process.returncode} before it answered")


def dnsperf(server: Server, queries: Path, *more: str) -> str:
    command = ["taskset", "-c", "1", "dnsperf", "-s", "127.0.0.1", "-p", str(server.port), "-d", str(queries), "-T", "1"]
    return subprocess.run([*command, *more], capture_output=True, text=True, check=True).stdout


def number(output: str, label: str) -> float:
    return float(output.partition(label)[2].split()[0])


def measure(server: Server, queries: Path, seconds: int) -> None:
    before = server.cpu_s()
    output = dnsperf(server, queries, "-c", "20", "-q", "100", "-l", str(seconds))
    spent = server.cpu_s() - before
    server.rates.append(number(output, "Queries per second:"))
    server.per_cpu.append(number(output, "Queries completed:") / spent)
    server.lost += int(number(output, "Queries lost:"))


def latency(server: Server, queries: Path, seconds: int) -> None:
    """At 5,000 queries a second, well below what any of them can do."""
    output = dnsperf(server, queries, "-c", "20", "-Q", "5000", "-l", str(seconds), "-v")
    times = sorted(float(line.split()[-1]) for line in output.splitlines() if line.startswith("> "))
    if times:
        server.p50_us, server.p99_us = times[len(times) // 2] * 1e6, times[len(times) * 99 // 100] * 1e6


def write_queries(path: Path, blocked: list[str]) -> None:
    random.seed(1)
    weights = [1 / (rank + 1) for rank in range(ALLOWED)]
    allowed = random.choices(range(ALLOWED), weights, k=QUERIES)
    lines = (f"site{each}.allowed.example A" if random.random() < 0.7 else f"{random.choice(blocked)} A" for each in allowed)
    path.write_text("\n".join(lines) + "\n")


def table(servers: list[Server]) -> Iterator[str]:
    peer = servers[0]
    yield "| server | q/s | ratio | q per CPU-second | ratio | p50 / p99 us at 5 k | start s | RSS MB (private) | lost |"
    yield "|---|---|---|---|---|---|---|---|---|"
    middle: Callable[[list[float]], float] = statistics.median
    for each in servers:
        rate, cpu = middle(each.rates), middle(each.per_cpu)
        memory = f"{each.memory_mb('VmRSS'):.0f} ({each.memory_mb('RssAnon'):.0f})"
        yield (
            f"| {each.name} | {rate:,.0f} | {rate / middle(peer.rates):.2f} | {cpu:,.0f} | {cpu / middle(peer.per_cpu):.2f} "
            f"| {each.p50_us:.0f} / {each.p99_us:.0f} | {each.load_s:.1f} | {memory} | {each.lost} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", type=int, default=100_000, help="blocked names")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--serve", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--upstream", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.upstream:
        return run_upstream(given.upstream)
    if given.serve:
        folder, port, upstream, events = given.serve
        return run_ours(Path(folder), int(port), int(upstream), events)
    missing = [tool for tool in ("dnsperf", "taskset") if not shutil.which(tool)]
    if missing or (os.cpu_count() or 1) < 2:
        why = f"{' and '.join(missing)} not installed" if missing else "only one core"
        print(f"{why}: nothing to measure with")
        return None
    blocked = [f"b{each:07d}.example" for each in range(given.names)]
    with tempfile.TemporaryDirectory() as made, ExitStack() as stack:
        folder = Path(made)
        folder.chmod(0o755)
        compile_names(folder, blocked)
        write_queries(folder / "queries.txt", blocked)
        (folder / "dnsmasq.conf").write_text("".join(f"address=/{name}/127.0.0.1\n" for name in blocked))
        me = [sys.executable, __file__]
        upstream = free_port()
        stack.enter_context(started("upstream", upstream, [*me, "--upstream", str(upstream)], 1))
        servers = []
        if shutil.which("dnsmasq"):
            port = free_port()
            peer = [
                "dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--bind-interfaces", "--pid-file=",
                "--listen-address=127.0.0.1", f"--port={port}", f"--server=127.0.0.1#{upstream}", "--cache-size=10000",
                "--dns-forward-max=1000", "--user=root", f"--conf-file={folder / 'dnsmasq.conf'}",
            ]  # fmt: skip
            servers.append(stack.enter_context(started("dnsmasq", port, peer, 0)))
        else:
            print("dnsmasq is not installed and left out; the ratios are to the first line")
        for name in (WITHOUT_EVENTS, WITH_EVENTS):
            port = free_port()
            ours = [*me, "--serve", str(folder), str(port), str(upstream), name]
            servers.append(stack.enter_context(started(name, port, ours, 0)))
        for server in servers:  # warm-up: every cache is filled
            dnsperf(server, folder / "queries.txt", "-c", "20", "-q", "100", "-n", "1")
        for _ in range(given.rounds):
            for server in servers:
                measure(server, folder / "queries.txt", given.seconds)
        for server in servers:
            latency(server, folder / "queries.txt", given.seconds)
        print(f"{given.names:,} blocked names, median of {given.rounds} rounds of {given.seconds} s, one core each")
        print("\n".join(table(servers)))
    return None


if __name__ == "__main__":
    main()
