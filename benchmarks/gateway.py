"""The gateway: permits a second, the delay that steering adds to an answer, and what a pupil downloads each way.

In network namespaces of its own (needs root, nft and ip; else a line says so). Direct is the kernel's forwarding, inspected
is opened by the proxy, relayed is through the proxy unopened: the same file of 32 MB by one curl. Then a mix, as a school
might have it: 100 files of 1 MB, eight at a time, four of five from sites that need no look; steered, all of it through our
proxy, and all of it through squid (peek, splice those sites, bump the others). Processor time twice: that of the box's own
processes, and that of the whole machine, which has the kernel's forwarding in it, and origin and client, the same for all.
Everything on a few cores: ratios mean something, figures little.
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
from collections.abc import Callable
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


def answers(rounds: int, pids: list[int]) -> tuple[list[float], list[float], list[float]]:
    """A cached direct name asked for by ever new clients, in turn: where each needs a permit, and where none does.

    And what these processes worked for one more of each kind: waiting for a processor is not in that.
    """
    import dnslib

    query = bytes(dnslib.DNSRecord.question("en.wikipedia.org", "A").pack())

    def timed(source: str) -> float:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((source, 0))
            sock.settimeout(3)
            began = time.perf_counter()
            sock.sendto(query, ("127.0.0.1", 53))
            sock.recv(2048)
            return time.perf_counter() - began

    for prefix in ("10.98.0.0/16", "10.97.0.0/16"):
        subprocess.run(["ip", "route", "add", "local", prefix, "dev", "lo"], check=True)
    pairs = []
    for at in range(rounds):
        end = f"{1 + at // 250}.{1 + at % 250}"
        both = (f"10.98.{end}", f"10.97.{end}")
        if at % 2:  # whoever comes second finds the processor awake
            plain, steered = timed(both[1]), timed(both[0])
        else:
            steered, plain = timed(both[0]), timed(both[1])
        pairs.append((steered, plain))
    worked = []
    for network in (98, 97):
        before = sum(map(run_time, pids))
        for at in range(rounds):
            timed(f"10.{network}.{101 + at // 250}.{1 + at % 250}")
        worked.append((sum(map(run_time, pids)) - before) / rounds)
    return [steered for steered, _ in pairs[20:]], [plain for _, plain in pairs[20:]], worked


def run_time(pid: int) -> float:
    """Seconds that a process has run, all its threads."""
    return sum(int(each.read_text().split()[0]) for each in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def processor(pids: list[int]) -> float:
    """Seconds."""
    ticks = sum(sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13])) for pid in pids)
    return ticks / os.sysconf("SC_CLK_TCK")


def machine() -> float:
    """Seconds that all processors were at work."""
    user, nice, system, _, _, irq, soft = map(int, Path("/proc/stat").read_text().split(maxsplit=8)[1:8])
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


def fetched(world, sites: list[tuple[str, str]], urls: list[str], pids: list[int]) -> tuple[float, float, float]:
    """MB/s, and processor seconds for a gigabyte: of the box's processes, of the whole machine."""
    words = [
        "curl",
        "-sS",
        "-Z",
        "--parallel-max",
        "8",
        "--cacert",
        str(world.folder / "both.pem"),
        "-w",
        "%{size_download}\\n",
    ]
    for host, leads in sites:
        words += ["--resolve", f"{host}:443:{leads}"]
    for url in urls:
        words += ["-o", "/dev/null", url]
    own, whole, began = processor(pids), machine(), time.perf_counter()
    done = subprocess.run(["ip", "netns", "exec", "pupil", *words], capture_output=True, text=True, check=True)
    took, size = time.perf_counter() - began, sum(map(int, done.stdout.split()))
    return size / took / 1e6, (processor(pids) - own) / size * 1e9, (machine() - whole) / size * 1e9


def compare(ways: dict[str, Callable[[], tuple[float, float, float]]], rounds: int) -> None:
    """Each way in turn, the middle of the rounds."""
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, go in ways.items():
            found[name].append(go())
    for name, figures in found.items():
        speed, own, whole = (statistics.median(each) for each in zip(*figures, strict=True))
        print(
            f"  {name:28} {speed:6.0f} MB/s   {own:6.2f} s of the box's processes, {whole:6.2f} s of the machine a gigabyte"
        )


SQUID = """
pid_filename {folder}/squid.pid
http_port 127.0.0.1:3140
https_port 0.0.0.0:3129 intercept ssl-bump tls-cert={folder}/squid-ca.pem generate-host-certificates=on
sslcrtd_program {certgen} -s {folder}/squid-db -M 16MB
sslcrtd_children 4 startup=4
tls_outgoing_options cafile={folder}/internet-ca.pem
dns_nameservers 45.33.32.53
acl unseen ssl::server_name {direct}
acl first at_step SslBump1
ssl_bump peek first
ssl_bump splice unseen
ssl_bump bump all
http_access allow all
cache deny all
access_log none
cache_log {folder}/squid.log
"""
INTERCEPT = """
table inet squid {{
  chain steer {{ type nat hook prerouting priority -100; iifname "lan0" meta l4proto tcp tcp dport 443 redirect to :3129; }}
}}
"""
CERTGEN = Path("/usr/lib/squid/security_file_certgen")


def squid(world, direct: str) -> int | None:
    """Squid in the place of our rules; the id of its first process. None: it is not installed."""
    folder, program = world.folder, shutil.which("squid")
    if program is None or not CERTGEN.exists():
        return None
    folder.chmod(0o755)
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=squid"]
    words += [
        "-addext",
        "basicConstraints=critical,CA:TRUE",
        "-keyout",
        str(folder / "squid.key"),
        "-out",
        str(folder / "squid.crt"),
    ]
    subprocess.run(words, check=True, capture_output=True)
    (folder / "squid-ca.pem").write_bytes((folder / "squid.crt").read_bytes() + (folder / "squid.key").read_bytes())
    (folder / "squid-ca.pem").chmod(0o644)
    with (folder / "both.pem").open("ab") as trust:
        trust.write((folder / "squid.crt").read_bytes())
    subprocess.run([str(CERTGEN), "-c", "-s", str(folder / "squid-db"), "-M", "16MB"], check=True, capture_output=True)
    subprocess.run(["chown", "-R", "proxy", str(folder / "squid-db")], check=True)
    (folder / "squid.log").touch()
    (folder / "squid.log").chmod(0o666)
    conf = folder / "squid.conf"
    conf.write_text(SQUID.format(folder=folder, certgen=CERTGEN, direct=direct))
    made = world.start(program, "--foreground", "-n", "gatewaybench", "-f", str(conf), log="squid.out")
    subprocess.run(["nft", "-f", "-"], input=INTERCEPT.format(), text=True, check=True)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    return made.pid


def below(pid: int) -> list[int]:
    """A process and all that it started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in map(int, children) for each in below(child))]


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
        steered, plain, worked = answers(1500, [world.pid("dns-1"), world.pid("steer")])
        more = statistics.median(one - other for one, other in zip(steered, plain, strict=True)) * 1e6
        middle = statistics.median(plain) * 1e6, statistics.median(steered) * 1e6
        print(f"an answer to a new client: median {middle[0]:.0f} us; with a permit {middle[1]:.0f} us")
        print(f"of each pair the one with a permit waits {more:+.0f} us (median)")
        print(f"worked for it, resolver and steering: {worked[1] * 1e6:.0f} us; with a permit {worked[0] * 1e6:.0f} us")
        pids = [world.pid(name) for name in ("proxy-1", "steer", "dns-1")]
        direct, seen = (made.DIRECT, world.dig(made.DIRECT)[-1]), (made.INSPECTED, world.dig(made.INSPECTED)[-1])
        unopened = (made.DIRECT, made.NEVER)  # an address that nobody was told: by the proxy

        def large(site: tuple[str, str]) -> Callable[[], tuple[float, float, float]]:
            return lambda: fetched(world, [site], [f"https://{site[0]}/large"], pids)

        mix = [f"https://{seen[0] if at % 5 == 4 else direct[0]}/large/{1 << 20}" for at in range(100)]
        print("32 MB by one connection")
        compare({"direct": large(direct), "relayed": large(unopened), "inspected": large(seen)}, rounds)
        print("100 files of 1 MB, 80 of them from sites that need no look")
        compare(
            {
                "steered": lambda: fetched(world, [direct, seen], mix, pids),
                "all through our proxy": lambda: fetched(world, [unopened, seen], mix, pids),
            },
            rounds,
        )
        world.gate("remove")
        main_pid = squid(world, made.DIRECT)
        if main_pid is None:
            print("  left out: squid; on Debian: apt-get install squid-openssl")
            return
        listens = lambda: ":3129" in made.run("ss", "-ltn").stdout  # noqa: E731
        made.until(listens, 30, "squid listens")
        real = [(host, made.ADDRESSES[host][0]) for host in (made.DIRECT, made.INSPECTED)]
        compare({"all through squid": lambda: fetched(world, real, mix, below(main_pid))}, rounds)


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
