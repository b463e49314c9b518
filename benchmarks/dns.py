"""Our resolver beside dnsmasq (Pi-hole's engine) and unbound, asked by dnsperf in the same run, in turn, each on core 0.

Compare only within one run: the machine's speed drifts. 70% of the queries are for 10,000 names that may be resolved
(Zipf, all in every cache after the warm-up), 30% for blocked names, evenly from all of them. Ours has everything on: eight
profiles, site rules, an event of each query in a spool on disk. Latency: at 5,000 queries a second, in the same rounds; of
each server the quietest round counts, as the others say more of the machine. Reload: the list is loaded anew under 5,000
queries a second. Unbound is left out where its names would take more than half of the free memory.

One reload says little, since the machine holds queries up as well. So ours is then asked in windows of two seconds, in turn:
in some nothing happens, in some a rule changes, in some another list comes into force (another file, to be read through for
its digest); and dnsmasq in some in which nothing happens. Of the longest delay in each: the median, the ninth of ten, the
worst, and how many were over 20 ms. Of ours also what of it was its own doing: the longest turn of its event loop by the
serving thread's processor time, by that of all its threads, and by the clock. What is long by the clock alone was not ours.

    .venv/bin/python benchmarks/dns.py [--names 100000 1000000 5000000] [--rounds 3] [--seconds 3] [--windows 10]
"""

import argparse
import json
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
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

sys.path[:] = [each for each in sys.path if Path(each or ".").resolve() != Path(__file__).resolve().parent]
# ... since Python puts a script's own folder first, where this file would be taken for our folder `dns`

ALLOWED = 10_000
QUERIES = 200_000
TICKS = os.sysconf("SC_CLK_TCK")
UNBOUND_BYTES = 1_050  # of memory that unbound takes for one local zone
LATE_MS = 20  # no answer should be later than that when policy changes
CLOCK, OWN, PROCESS = range(3)  # a turn of our loop by the clock, its thread's processor time, the whole process's


def free_bytes() -> int:
    return int(Path("/proc/meminfo").read_text().partition("MemAvailable:")[2].split()[0]) << 10


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


GROUPS = 8  # of ours, a profile each


def source(number: int) -> str:
    return f"127.{number + 1}.0.1"


def compile_names(folder: Path, blocked: list[str]) -> None:
    from category_lists.index import compile_index
    from category_lists.lists import store

    (folder / "blocked.txt").write_text("\n".join(blocked))
    version, _ = store(
        folder, folder / "blocked.txt", list_id="synthetic", category="gambling", format="domains", at=datetime.now(UTC)
    )
    compile_index([(version, folder / "synthetic" / f"{version.digest}.txt")], folder / "names.idx")
    shutil.copy(folder / "names.idx", folder / "others.idx")  # a list swap opens and reads another file


# --- measuring -----------------------------------------------------------------------------------------------------


@dataclass
class Server:
    """A server under test and what was measured of it."""

    name: str
    port: int
    command: list[str]
    core: int
    process: subprocess.Popen[bytes] = field(init=False)
    load_s: float = 0
    rates: list[float] = field(default_factory=list)
    per_cpu: list[float] = field(default_factory=list)
    lost: int = 0
    delays: list[tuple[float, float]] = field(default_factory=list)  # p50 and p99 of each round, in microseconds
    memory: str = ""
    reload_lost: int = 0
    reload_longest_ms: float = 0

    @property
    def errors(self) -> int | None:
        return subprocess.DEVNULL if self.name == "unbound" else None  # it writes a page of statistics when it ends

    def start(self) -> None:
        began = time.perf_counter()
        command = ["taskset", "-c", str(self.core), *self.command]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self.errors)
        answers(self.port, self.process)
        self.load_s = time.perf_counter() - began

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)

    def restart(self) -> None:
        self.stop()
        self.start()

    def hang_up(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_mb(self, line: str) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition(f"{line}:")[2].split()[0]) / 1024


def free_port() -> int:
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
        ):
            udp.bind(("127.0.0.1", 0))
            with suppress(OSError):
                tcp.bind(udp.getsockname())
                return int(udp.getsockname()[1])


@contextmanager
def started(name: str, port: int, command: list[str], core: int) -> Iterator[Server]:
    server = Server(name, port, command, core)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def answers(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until the server says something."""
    query = struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + b"\x05site0\x07allowed\x07example\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.2)
        sock.bind((source(0), 0))
        while process.poll() is None:
            try:
                sock.sendto(query, ("127.0.0.1", port))
                sock.recv(4096)
            except (TimeoutError, ConnectionRefusedError):
                continue
            return
    raise SystemExit(f"a server ended with code {process.returncode} before it answered")


def asking(server: Server, queries: Path, group: int, *more: str) -> list[str]:
    where = ["-s", "127.0.0.1", "-p", str(server.port), "-a", source(group), "-d", str(queries), "-T", "1", "-c", "20"]
    return ["taskset", "-c", "1", "dnsperf", *where, *more]


def dnsperf(server: Server, queries: Path, group: int, *more: str) -> str:
    return subprocess.run(asking(server, queries, group, *more), capture_output=True, text=True, check=True).stdout


def number(output: str, label: str) -> float:
    return float(output.partition(label)[2].split()[0])


def measure(server: Server, queries: Path, seconds: int, group: int) -> None:
    before = server.cpu_s()
    output = dnsperf(server, queries, group, "-q", "100", "-l", str(seconds))
    spent = server.cpu_s() - before
    server.rates.append(number(output, "Queries per second:"))
    server.per_cpu.append(number(output, "Queries completed:") / spent)
    server.lost += int(number(output, "Queries lost:"))


def delays(output: str) -> list[float]:
    """Microseconds of each answered query; what was not answered in time is counted as lost."""
    lines = (line.split() for line in output.splitlines() if line.startswith("> ") and not line.startswith("> T"))
    return sorted(float(words[-1]) * 1e6 for words in lines)


def latency(server: Server, queries: Path, seconds: int) -> None:
    """At 5,000 queries a second, well below what any of them can do."""
    output = told(server, queries, seconds)
    if times := delays(output):
        server.delays.append((times[len(times) // 2], times[len(times) * 99 // 100]))


def told(server: Server, queries: Path, seconds: int, meanwhile: Callable[[], None] = lambda: None) -> str:
    """What dnsperf says of each query at 5,000 a second. Into a file: whoever read it along would take processor time."""
    with tempfile.TemporaryFile("w+") as file:
        words = asking(server, queries, 0, "-Q", "5000", "-l", str(seconds), "-t", "5", "-v")
        process = subprocess.Popen(words, stdout=file, text=True)
        time.sleep(seconds / 3)
        meanwhile()
        process.wait()
        file.seek(0)
        return file.read()


def reload(server: Server, queries: Path, swap: Callable[[], None]) -> None:
    """The same, while the list is loaded anew."""
    output = told(server, queries, 6, swap)
    server.reload_lost = int(number(output, "Queries lost:"))
    server.reload_longest_ms = max(delays(output), default=0) / 1e3


@dataclass
class Window:
    """What was found of two seconds at 5,000 queries a second; all in milliseconds."""

    delays: list[float]
    lost: int
    turns: dict[str, list[float]]  # of ours, the longest by each clock: by the clock, own, of the whole process

    @property
    def late(self) -> bool:
        return self.delays[-1] > LATE_MS


def turns(server: Server, file: Path) -> dict[str, list[float]]:
    """The longest turns of our loop since this was last asked (servers/resolver.py)."""
    file.unlink(missing_ok=True)
    server.process.send_signal(signal.SIGUSR1)
    while not file.exists() and server.process.poll() is None:
        time.sleep(0.001)
    return {clock: [1e3 * each for each in turn] for clock, turn in json.loads(file.read_text()).items()}


def windows(ours: Server, peers: list[Server], queries: Path, folder: Path, count: int) -> Iterator[str]:
    """The longest delays of windows in which nothing, or one thing, happens; and what of it was our own time."""
    kinds: list[tuple[str, Server, Callable[[], None]]] = [(f"{each.name}: nothing", each, lambda: None) for each in peers]
    kinds.append((f"{ours.name}: nothing", ours, lambda: None))
    kinds += [(f"{ours.name}: another {name}", ours, (folder / name).touch) for name in ("rule", "list")]
    found: dict[str, list[Window]] = {name: [] for name, _, _ in kinds}
    for _ in range(count):
        for name, server, happens in kinds:
            held = (lambda server=server: turns(server, folder / "turns.json")) if server is ours else dict
            held()
            output = told(server, queries, 2, happens)
            found[name].append(Window([each / 1e3 for each in delays(output)], int(number(output, "Queries lost:")), held()))
    yield (
        f"| windows of 2 s, {count} of each | longest delay ms: median | 9 of 10 | worst | over {LATE_MS} ms "
        "| p99 ms, median | lost | our longest turn by its thread's processor, ms (clock): median | worst "
        "| in the late windows, at most | by the whole process's, worst | by the clock, worst (thread's, process's) |"
    )
    yield "|---" * 12 + "|"
    for name, some in found.items():
        longest = sorted(each.delays[-1] for each in some)
        p99 = statistics.median(each.delays[len(each.delays) * 99 // 100] for each in some)
        yield (
            f"| {name} | {statistics.median(longest):.1f} | {longest[-1 - count // 10]:.1f} | {longest[-1]:.1f} "
            f"| {sum(each.late for each in some)} | {p99:.1f} | {sum(each.lost for each in some)} | {held_in_words(some)} |"
        )


def held_in_words(some: list[Window]) -> str:
    """The columns that tell our own time from the machine's."""
    if not some[0].turns:
        return " | ".join([""] * 5)
    by_own = sorted((each.turns["own"] for each in some), key=lambda turn: turn[OWN])
    worst, middle = by_own[-1], by_own[len(by_own) // 2]
    late = max((each.turns["own"][OWN] for each in some if each.late), default=None)
    process = max((each.turns["process"] for each in some), key=lambda turn: turn[PROCESS])
    clock = max((each.turns["clock"] for each in some), key=lambda turn: turn[CLOCK])
    return " | ".join(
        (
            f"{middle[OWN]:.1f} ({middle[CLOCK]:.1f})",
            f"{worst[OWN]:.1f} ({worst[CLOCK]:.1f})",
            "" if late is None else f"{late:.1f}",
            f"{process[PROCESS]:.1f} ({process[CLOCK]:.1f})",
            f"{clock[CLOCK]:.1f} ({clock[OWN]:.1f}, {clock[PROCESS]:.1f})",
        )
    )


def write_queries(path: Path, blocked: list[str]) -> None:
    random.seed(1)
    weights = [1 / (rank + 1) for rank in range(ALLOWED)]
    allowed = random.choices(range(ALLOWED), weights, k=QUERIES)
    lines = (f"site{each}.allowed.example A" if random.random() < 0.7 else f"{random.choice(blocked)} A" for each in allowed)
    path.write_text("\n".join(lines) + "\n")


def table(servers: list[Server]) -> Iterator[str]:
    peer = servers[0]
    yield (
        "| server | q/s | ratio | q per CPU-second | ratio | p50 / p99 us at 5 k | start s | RSS MB (private) | lost "
        "| reload: lost / longest ms |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    middle: Callable[[list[float]], float] = statistics.median
    for each in servers:
        rate, cpu = middle(each.rates), middle(each.per_cpu)
        p50, p99 = min(each.delays, default=(0.0, 0.0))
        yield (
            f"| {each.name} | {rate:,.0f} | {rate / middle(peer.rates):.2f} | {cpu:,.0f} | {cpu / middle(peer.per_cpu):.2f} "
            f"| {p50:.0f} / {p99:.0f} | {each.load_s:.1f} | {each.memory} | {each.lost} "
            f"| {each.reload_lost} / {each.reload_longest_ms:,.0f} |"
        )


def dnsmasq(folder: Path, blocked: list[str], port: int, upstream: int) -> list[str]:
    (folder / "dnsmasq.conf").write_text("".join(f"address=/{name}/127.0.0.1\n" for name in blocked))
    return [
        "dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--bind-interfaces", "--pid-file=",
        "--listen-address=127.0.0.1", f"--port={port}", f"--server=127.0.0.1#{upstream}", "--cache-size=10000",
        "--dns-forward-max=1000", "--user=root", f"--conf-file={folder / 'dnsmasq.conf'}",
    ]  # fmt: skip


def unbound(folder: Path, blocked: list[str], port: int, upstream: int) -> list[str]:
    head = f"""server:
  interface: 127.0.0.1@{port}
  access-control: 127.0.0.0/8 allow
  do-not-query-localhost: no
  module-config: "iterator"
  num-threads: 1
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: ""
  use-syslog: no
  so-reuseport: no
"""
    zones = "".join(f'  local-zone: "{name}" redirect\n  local-data: "{name} A 127.0.0.1"\n' for name in blocked)
    tail = f'forward-zone:\n  name: "."\n  forward-addr: 127.0.0.1@{upstream}\nremote-control:\n  control-enable: no\n'
    (folder / "unbound.conf").write_text(head + zones + tail)
    return ["unbound", "-d", "-c", str(folder / "unbound.conf")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", type=int, nargs="+", default=[100_000, 1_000_000, 5_000_000], help="blocked names")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--windows", type=int, default=10, help="of each kind; 0: none")
    parser.add_argument("--busy-poll", type=int, default=0, help="dns.busy_poll_us of ours")
    parser.add_argument("--upstream", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.upstream:
        return run_upstream(given.upstream)
    missing = [tool for tool in ("dnsperf", "taskset") if not shutil.which(tool)]
    if missing or (os.cpu_count() or 1) < 2:
        why = f"{' and '.join(missing)} not installed" if missing else "only one core"
        print(f"{why}: nothing to measure with")
        return None
    for names in given.names:
        compare(names, given.rounds, given.seconds, given.windows, given.busy_poll)
    return None


def compare(names: int, rounds: int, seconds: int, count: int, busy_poll: int) -> None:
    """All servers with so many blocked names, in turn; prints their table."""
    blocked = [f"b{each:07d}.example" for each in range(names)]
    with tempfile.TemporaryDirectory() as made, ExitStack() as stack:
        folder = Path(made)
        folder.chmod(0o755)
        compile_names(folder, blocked)
        queries = folder / "queries.txt"
        write_queries(queries, blocked)
        warm = folder / "warm.txt"
        warm.write_text("".join(f"site{each}.allowed.example A\n" for each in range(ALLOWED)) + f"{blocked[0]} A\n")
        me = [sys.executable, __file__]
        upstream = free_port()
        stack.enter_context(started("upstream", upstream, [*me, "--upstream", str(upstream)], 1))

        def begin(name: str, command: Callable[[int], list[str]]) -> Server:
            port = free_port()
            return stack.enter_context(started(name, port, command(port), 0))

        servers = []
        for peer in (dnsmasq, unbound):
            if peer is unbound and names * UNBOUND_BYTES > free_bytes() / 2:
                print(f"unbound would need {names * UNBOUND_BYTES >> 20:,} MB of memory for {names:,} names and is left out")
            elif shutil.which(peer.__name__):
                servers.append(begin(peer.__name__, lambda port, peer=peer: peer(folder, blocked, port, upstream)))
            else:
                print(f"{peer.__name__} is not installed and left out; the ratios are to the first line")
        script = str(Path(__file__).parent / "servers" / "resolver.py")
        given = [str(upstream), str(busy_poll)]
        ours = begin("schoolgate", lambda port: [sys.executable, script, str(folder), str(port), *given])
        servers.append(ours)
        for server in servers:  # warm-up: every cache is filled, ours with the replies of eight profiles
            for group in range(GROUPS if server is ours else 1):
                dnsperf(server, warm, group, "-q", "100", "-n", "1")
        for each in range(rounds):
            for server in servers:
                measure(server, queries, seconds, each % GROUPS)
            for server in servers:
                latency(server, queries, seconds)
        for server in servers:
            server.memory = f"{server.memory_mb('VmRSS'):.0f} ({server.memory_mb('RssAnon'):.0f})"
        for server in servers:  # dnsmasq reads its names at the start only; unbound and we load them beside the traffic
            swaps = {"dnsmasq": server.restart, "unbound": server.hang_up}
            reload(server, queries, swaps.get(server.name, (folder / "list").touch))
        load = os.getloadavg()[0]
        print(f"{names:,} blocked names, median of {rounds} rounds of {seconds} s, one core each, load {load:.1f}")
        print("\n".join(table(servers)) if rounds else "", flush=True)
        if count:
            peers = [each for each in servers if each.name == "dnsmasq"]
            print("\n" + "\n".join(windows(ours, peers, queries, folder, count)), flush=True)


if __name__ == "__main__":
    main()
