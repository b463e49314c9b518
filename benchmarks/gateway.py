"""The gateway: permits a second, the delay that steering adds to an answer, and what a pupil downloads each way.

In network namespaces of its own (needs root, nft and ip; else a line says so). Direct is the kernel's forwarding, inspected
is through the proxy opened, relayed is through the proxy unopened: the same file of 32 MB by one curl, and the processor time
that the box took for it. Everything on two cores, origin and client included: ratios mean something, figures little.
"""

import argparse
import asyncio
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve()
sys.path[:] = [each for each in sys.path if Path(each).resolve() != HERE.parent]
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[1] / "tests" / "journeys")]


def permits(clients: int, each: int) -> None:
    """Written one by one as an answer waits for it, and many at a time."""
    from appliance.gateway.netlink import Element, Netlink, key

    kernel, took = Netlink(), []
    began = time.perf_counter()
    for client in range(clients):
        device = b"\x02\0\0\0" + client.to_bytes(2)
        kernel.write([Element("direct_mac4", key(device, bytes([45, 33, *at.to_bytes(2)])), 600) for at in range(each)])
    whole = time.perf_counter() - began
    for at in range(5000):
        started = time.perf_counter()
        kernel.write([Element("direct_mac4", key(b"\x02\0\0\0\xff\xff", bytes([45, 34, *at.to_bytes(2)])), 600)])
        took.append(time.perf_counter() - started)
    took.sort()
    print(f"{clients} clients x {each} permits: {clients * each / whole:,.0f} permits/s in batches of {each}")
    print(
        f"one permit beside {clients * each:,}: median {took[2500] * 1e6:.0f} us, p99 {took[4950] * 1e6:.0f} us, "
        f"{5000 / sum(took):,.0f}/s one after the other"
    )
    kernel.forget_permits()
    kernel.close()


def asked(path: str, rounds: int) -> list[float]:
    """How long the process that steers takes for one question, over its socket, as resolvers ask."""

    async def ask() -> list[float]:
        import json

        reader, writer = await asyncio.open_unix_connection(path)
        took = []
        for number in range(rounds):
            question = [number, "permit", "dns", "10.99.1.10", "en.wikipedia.org", [f"45.35.{number >> 8}.{number & 255}"]]
            began = time.perf_counter()
            writer.write(json.dumps(question).encode() + b"\n")
            await reader.readline()
            took.append(time.perf_counter() - began)
        writer.close()
        return took

    return sorted(asyncio.run(ask()))


def answers(rounds: int) -> tuple[list[float], list[float]]:
    """A cached direct name asked for by ever new clients: where each needs a permit, and where none does (`relay`)."""
    import dnslib

    query = bytes(dnslib.DNSRecord.question("en.wikipedia.org", "A").pack())

    def timed(sources: list[str]) -> list[float]:
        took = []
        for source in sources:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind((source, 0))
                sock.settimeout(3)
                began = time.perf_counter()
                sock.sendto(query, ("127.0.0.1", 5300))
                sock.recv(2048)
                took.append(time.perf_counter() - began)
        return sorted(took)

    def sources(prefix: str, count: int) -> list[str]:
        return [f"{prefix}.{1 + at // 250}.{1 + at % 250}" for at in range(count)]

    for prefix in ("10.98.0.0/16", "10.97.0.0/16"):
        subprocess.run(["ip", "route", "add", "local", prefix, "dev", "lo"], check=True)
    steered, plain = sources("10.98", rounds), sources("10.97", rounds)
    timed([*steered[:1], *plain[:1]])
    return timed(steered[1:]), timed(plain[1:])


def processor(pids: list[int]) -> float:
    """Seconds."""
    ticks = sum(sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13])) for pid in pids)
    return ticks / os.sysconf("SC_CLK_TCK")


def download(world, host: str, leads: str, pids: list[int]) -> tuple[float, float]:
    """MB/s, and the box's processor seconds for a gigabyte."""
    before = processor(pids)
    trust = str(world.folder / "both.pem")
    words = ["curl", "-sS", "-o", "/dev/null", "--cacert", trust, "--resolve", f"{host}:443:{leads}"]
    done = subprocess.run(
        ["ip", "netns", "exec", "pupil", *words, "-w", "%{size_download} %{time_total}", f"https://{host}/large"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    size, took = map(float, done.stdout.split())
    return size / took / 1e6, (processor(pids) - before) / size * 1e9


def inside(folder: Path, rounds: int) -> None:
    import gateway_world as made

    made.CONFIG = made.CONFIG.replace(
        "    staff:", "    many: {{interface: lan7, prefixes: [10.98.0.0/16], routed: true}}\n    staff:"
    )
    made.NETWORKS += [("m4", "ks3", "10.98.0.0/16"), ("m5", "ks3", "10.97.0.0/16")]
    with made.going(folder) as (world, _):
        world.configure()
        world.gate("apply", "--yes")
        permits(2000, 200)
        world.up()
        world.trust()
        made.until(world.alive, 60, "the filter lives")
        took = asked(str(world.data / "gateway" / "steer.sock"), 3000)
        print(f"the process that steers, one question: median {took[1500] * 1e6:.0f} us, p99 {took[2970] * 1e6:.0f} us")
        steered, plain = answers(1500)
        middle = statistics.median(plain) * 1e6, statistics.median(steered) * 1e6
        more = f"{middle[1] - middle[0]:.0f} us more"
        print(f"an answer to a new client: median {middle[0]:.0f} us; with a permit {middle[1]:.0f} us: {more}")
        pids = [world.pid(name) for name in ("proxy-1", "steer")]
        direct, seen = world.dig(made.DIRECT)[-1], world.dig(made.INSPECTED)[-1]
        ways = {"direct": (made.DIRECT, direct), "relayed": ("github.com", made.NEVER), "inspected": (made.INSPECTED, seen)}
        figures: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, (host, leads) in ways.items():
                figures[name].append(download(world, host, leads, pids))
        for name, found in figures.items():
            speed, cost = (statistics.median(each) for each in zip(*found, strict=True))
            print(f"{name:10} {speed:8.0f} MB/s   {cost:6.2f} s of the box's processor a gigabyte")


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    given = words.parse_args()
    if given.inside:
        inside(given.inside, given.rounds)
        return
    missing = [each for each in ("nft", "ip", "unshare", "curl", "dig") if shutil.which(each) is None]
    if os.geteuid() or missing:
        print(f"left out: this benchmark makes network namespaces; it needs root, and {', '.join(missing) or 'no more'}")
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "unshare",
            "--mount",
            "--net",
            sys.executable,
            str(HERE),
            "--inside",
            folder,
            "--rounds",
            str(given.rounds),
        ]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
