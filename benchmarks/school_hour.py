"""An hour of a school, replayed as fast as it goes, through us and through squid with ssl-bump, alone and behind e2guardian.

What the pupils do is drawn from a seed: pages with their pictures and scripts, searches with suggestions, video, downloads,
sites that nobody may look into, and the names that all this asks for. What counts is the processor that it costs: the same
hour for each, on one core, load and sites on the other. Squid looks into the same sites and judges nothing; e2guardian judges
words, as we do, and has squid beside it for names. DNS is asked of our resolver and of dnsmasq.

Sixty pupils by default (`--pupils 1000` for a whole school). What is not installed is left out with a line that says so.
"""

import argparse
import asyncio
import contextlib
import importlib.util
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve()
SEED, AT_ONCE = 20_261_123, 24
PAGE, PART, SEGMENT, DOWNLOAD = 60_000, 8_000, 500_000, 10_000_000
HOSTS = tuple(f"site{n}.open.test" for n in range(40))
PRIVATE = tuple(f"bank{n}.passed.test" for n in range(40))
SEARCH, VIDEO = "www.google.com", "video.open.test"
E2 = Path("/etc/e2guardian")


def beside(name: str):
    """Another benchmark's parts. Its file may be called like a folder of ours, so it is not imported by name."""
    spec = importlib.util.spec_from_file_location(f"bench_{name}", HERE.with_name(f"{name}.py"))
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    return made


# --- the hour ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Visit:
    """One connection to a site and what is asked on it."""

    host: str
    paths: tuple[str, ...]
    page: bool = False  # the first is a page, the others are its parts


def hour(pupils: int) -> tuple[list[Visit], list[str]]:
    """Everything that they open, in some order, and the names that it takes."""
    dice, visits = random.Random(SEED), []
    weights = [1 / (n + 1) for n in range(len(HOSTS))]
    words = ("volcano", "fractions", "tudors", "badminton rules", "photosynthesis", "chess openings")
    for _ in range(pupils):
        for _ in range(6):
            host = dice.choices(HOSTS, weights)[0]
            visits.append(Visit(host, (f"/{PAGE}", *([f"/{PART}"] * 5)), page=True))
            visits.append(Visit(host, (f"/{PART}",) * 5))
        for _ in range(3):
            asked = dice.choice(words).replace(" ", "+")
            suggested = tuple(f"/complete/search?client=x&q={asked[:n]}" for n in (2, 4, 6))
            visits.append(Visit(SEARCH, (f"/search?q={asked}", *suggested), page=True))
        visits += [Visit(dice.choice(PRIVATE), ("/10000",) * 3) for _ in range(12)]
        if dice.random() < 0.3:
            visits.append(Visit(VIDEO, (f"/{SEGMENT}",) * 8))
        if dice.random() < 0.03:
            visits.append(Visit(dice.choice(HOSTS), (f"/{DOWNLOAD}",)))
    dice.shuffle(visits)
    names = [f"site{dice.randrange(2000)}.allowed.example" for _ in range(pupils * 60)]
    return visits, names


@dataclass
class Got:
    """How a replay went."""

    requests: int = 0
    bytes: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    cpu: float = 0.0
    memory: float = 0.0


async def visit(one: Visit, proxy: int, port: int, context: ssl.SSLContext, got: Got) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy)
    try:
        target = f"{one.host}:{port}"
        writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0]:
            raise ValueError(head.split(b"\r\n")[0].decode())
        await writer.start_tls(context, server_hostname=one.host)
        for n, path in enumerate(one.paths):
            kind = "document" if one.page and n == 0 else "image"
            writer.write(
                f"GET {path} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: hour\r\nSec-Fetch-Dest: {kind}\r\n\r\n".encode()
            )
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if b" 200 " not in head.split(b"\r\n")[0]:
                raise ValueError(head.split(b"\r\n")[0].decode())
            if b"content-length:" in head:
                size = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(size)
            else:  # e2guardian sends what it has read in pieces
                size = await pieces(reader)
            got.requests += 1
            got.bytes += size
            if b"connection: close" in head and (rest := one.paths[n + 1 :]):
                await visit(Visit(one.host, rest), proxy, port, context, got)
                break
    except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        why = str(error)[:60] or type(error).__name__
        got.failed[why] = got.failed.get(why, 0) + 1
    finally:
        writer.close()


async def pieces(reader: asyncio.StreamReader) -> int:
    total = 0
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        await reader.readexactly(size + 2)
        total += size
    await reader.readuntil(b"\r\n")
    return total


async def replay(visits: list[Visit], proxy: int, port: int) -> Got:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the load is not what is measured
    got, left, began = Got(), iter(visits), time.perf_counter()

    async def browser() -> None:
        for one in left:
            try:
                async with asyncio.timeout(60):
                    await visit(one, proxy, port, context, got)
            except TimeoutError:
                got.failed["nothing for a minute"] = got.failed.get("nothing for a minute", 0) + 1

    await asyncio.gather(*(browser() for _ in range(AT_ONCE)))
    got.seconds = time.perf_counter() - began
    return got


# --- the proxies ---------------------------------------------------------------------------------------------------------


LOOKED_INTO = """acl private ssl::server_name .passed.test
acl greeting at_step SslBump1
ssl_bump peek greeting
ssl_bump splice private
ssl_bump bump all
hosts_file {folder}/hosts"""


def squid(bench, folder: Path, port: int) -> list[str]:
    (folder / "hosts").write_text("".join(f"127.0.0.1 {host}\n" for host in (*HOSTS, *PRIVATE, SEARCH, VIDEO)))
    command = bench.squid_command(folder, port, direct=False)
    config = Path(command[-1])
    mine = config.with_name(f"squid-hour-{port}.conf")
    mine.write_text(config.read_text().replace("ssl_bump bump all", LOOKED_INTO.format(folder=folder)))
    return [*command[:-1], str(mine)]


def e2guardian(folder: Path, port: int, parent: int, unused: int) -> list[str]:
    """As Debian ships it, with interception switched on and the private sites left alone."""
    home = folder / "e2"
    shutil.copytree(E2, home, dirs_exist_ok=True)
    for place in ("certs", "trust", "logs"):
        (home / place).mkdir(exist_ok=True)
    shutil.copy(folder / "origin-ca.pem", home / "trust" / "ca.pem")
    subprocess.run(["openssl", "rehash", str(home / "trust")], check=True, capture_output=True)
    ca, key = home / "ca.pem", home / "ca.key"  # of RSA: it knows no other
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=bench", "-keyout", str(key),
         "-out", str(ca)], check=True, capture_output=True,
    )  # fmt: skip
    settings = {
        "filterip": "127.0.0.1", "filterports": str(port), "proxyip": "127.0.0.1", "proxyport": str(parent),
        "transparenthttpsport": str(unused),
        "enablessl": "on", "nodaemon": "on", "nologger": "on", "loglocation": f"'{home}/logs/access.log'",
        "pidfilename": f"'{home}/pid'", "ipcfilename": f"'{home}/ipc'",
        "cacertificatepath": f"'{ca}'", "caprivatekeypath": f"'{key}'", "certprivatekeypath": f"'{key}'",
        "generatedcertpath": f"'{home}/certs/'", "sslcertificatepath": f"'{home}/trust'", "httpworkers": "100",
        "daemonuser": "'root'", "daemongroup": "'root'",
    }  # fmt: skip
    for name, more in (("e2guardian.conf", settings), ("e2guardianf1.conf", {"sslmitm": "on", "mitmcheckcert": "on"})):
        file = home / name
        lines = [
            line for line in file.read_text(errors="replace").replace(str(E2), str(home)).splitlines()
            if line.split("=")[0].strip() not in more
        ]  # fmt: skip
        file.write_text("\n".join([*lines, *(f"{key} = {value}" for key, value in more.items())]) + "\n")
    story = home / "lists" / "exceptionsitelist"
    story.write_text("passed.test\n")
    for each in (home, *home.rglob("*")):
        with contextlib.suppress(OSError):
            each.chmod(0o777)
    return ["e2guardian", "-N", "-c", str(home / "e2guardian.conf")]


def port_of_the_web() -> int:
    """443 where we may have it, for e2guardian looks into nothing else; 0: not here."""
    with socket.socket() as sock, contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 443))
        return 443
    return 0


def contenders(bench, folder: Path) -> dict[str, list[tuple[int, list[str]]]]:
    """Name -> the ports and commands that make it, the one that is asked last."""
    port, parent = bench.free_port(), bench.free_port()
    found = {"ours": [(port, bench.commands(folder, port, direct=False)["ours"])]}
    if shutil.which("squid") and bench.CERTGEN.exists():
        found["squid"] = [(port, squid(bench, folder, port))]
        if shutil.which("e2guardian") and E2.exists() and port_of_the_web():
            behind = Path(bench.squid_command(folder, parent, direct=True)[-1])
            behind.write_text(behind.read_text() + f"hosts_file {folder}/hosts\n")
            found["e2guardian and squid"] = [
                (parent, ["squid", "-N", "-f", str(behind)]),
                (port, e2guardian(folder, port, parent, bench.free_port())),
            ]
    for peer in ("squid", "e2guardian and squid"):
        if peer not in found:
            print(f"{peer} is not installed and left out")
    return found


def resident(processes: list[subprocess.Popen[bytes]]) -> float:
    """MB of these and of those that they started, without counting twice what they share."""
    total = 0.0
    groups = {os.getpgid(each.pid) for each in processes}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            if int(stat.read_text().rpartition(")")[2].split()[2]) in groups:
                rollup = stat.with_name("smaps_rollup").read_text()
                total += int(rollup.partition("Pss:")[2].split()[0]) / 1024
    return total


# --- names ---------------------------------------------------------------------------------------------------------------


def ask_names(folder: Path, names: list[str]) -> None:
    dns = beside("dns")
    if not shutil.which("dnsperf"):
        print("dnsperf is not installed: the hour's names are left out")
        return
    queries, upstream, me = folder / "queries", dns.free_port(), [sys.executable, str(HERE.with_name("dns.py"))]
    queries.write_text("".join(f"{name} A\n" for name in names))
    blocked = [f"b{n}.blocked.example" for n in range(10_000)]
    dns.compile_names(folder, blocked)
    print("| names | CPU s | lost | MB |\n|---|---|---|---|")
    with dns.started("upstream", upstream, [*me, "--upstream", str(upstream)], 1):
        for name in ("ours", "dnsmasq"):
            if name == "dnsmasq" and not shutil.which("dnsmasq"):
                continue
            port = dns.free_port()
            ours = [*me, "--serve", str(folder), str(port), str(upstream), ""]
            command = ours if name == "ours" else dns.dnsmasq(folder, blocked, port, upstream)
            with dns.started(name, port, command, 0) as server:
                before = server.cpu_s()
                said = dns.dnsperf(server, queries, 0, "-n", "1")
                lost = int(dns.number(said, "Queries lost:"))
                print(
                    f"| {name}, {len(names):,} | {server.cpu_s() - before:.2f} | {lost} | {server.memory_mb('VmRSS'):.0f} |"
                )
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pupils", type=int, default=60)
    parser.add_argument("--part", default="1/1", help="2/3: every third connection, from the second; the parts add up")
    parser.add_argument("--only", default="", help="the one that is to be measured: ours, squid, e2guardian and squid")
    told = parser.parse_args()
    if not shutil.which("taskset") or (os.cpu_count() or 1) < 2:
        print("two cores and taskset are needed: nothing to measure with")
        return
    bench = beside("proxy")
    signal.signal(signal.SIGTERM, bench.told_to_end)
    folder = Path(tempfile.mkdtemp(prefix="schoolgate-hour-"))
    visits, names = hour(told.pupils)
    nth, of = map(int, told.part.split("/"))
    visits, names = visits[nth - 1 :: of], names[nth - 1 :: of]
    try:
        ask_names(folder, names)
        bench.certificates(folder, ("localhost", "*.open.test", "*.passed.test", SEARCH))
        origin = port_of_the_web() or bench.free_port()
        serve = [sys.executable, str(HERE.with_name("proxy.py")), "--folder", str(folder), "--port", str(origin)]
        asked = sum(len(one.paths) for one in visits)
        print(f"{told.pupils} pupils, part {told.part}: {len(visits):,} connections, {asked:,} requests\n", flush=True)
        print(
            "| the hour through | CPU s | seconds | requests | MB/s | MB resident | failed |\n|---|---|---|---|---|---|---|"
        )
        found = contenders(bench, folder)  # before the origin takes its port
        with bench.running([*serve, "--serve", "origin"], bench.LOAD_CORE, origin):
            os.sched_setaffinity(0, {int(bench.LOAD_CORE)})
            for who, parts in found.items():
                if told.only not in {"", who}:
                    continue
                with contextlib.ExitStack() as stack:
                    running = [stack.enter_context(bench.running(command, bench.PROXY_CORE, at)) for at, command in parts]
                    before = sum(map(bench.processor, running))
                    got = asyncio.run(replay(visits, parts[-1][0], origin))
                    cpu = sum(map(bench.processor, running)) - before
                    held = resident(running)
                failed = ", ".join(f"{count} {why}" for why, count in got.failed.items()) or "0"
                print(
                    f"| {who} | {cpu:.1f} | {got.seconds:.1f} | {got.requests:,} | {got.bytes / 1e6 / got.seconds:.0f} "
                    f"| {held:.0f} | {failed} |", flush=True,
                )  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
