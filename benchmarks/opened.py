"""New opened connections, a handshake on either side of each: ours and mitmdump beside squid in each way to set it up.

What squid spends on one depends on two things, so each is a row of its own:

- the key of its authority, which it uses for the sites' certificates too: RSA of 2,048 bits, as its documentation makes one,
  or P-256 as ours is;
- whether it looks at the greeting and asks the site first, as its documentation has it ("peek, bump"), or answers the client
  at once, as we do ("bump"). Then it takes connections that others have left open, and makes no handshake with the site at
  all, unless it is told not to ("one for one").

All contenders stay up, share one core and are asked in turn, a few hundred connections at a time, so that a busy machine is
busy for all of them. Counted at the origin: the connections that it accepted for each request, and those of them resumed.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from school_hour import beside

OURS, MITMDUMP = "ours", "mitmdump"
KEYS = {"RSA-2048": "squid-rsa.pem", "P-256": "squid-ca.pem"}
AT_ONCE_BUMPED = "ssl_bump bump all"
WAYS = {
    "peek, bump": f"acl greeting at_step SslBump1\nssl_bump peek greeting\n{AT_ONCE_BUMPED}",
    "bump, one for one": f"{AT_ONCE_BUMPED}\nserver_persistent_connections off",
    "bump": AT_ONCE_BUMPED,
}
CONTEXT = ssl.create_default_context()  # of the visitors, who take any certificate
CONTEXT.check_hostname, CONTEXT.verify_mode = False, ssl.CERT_NONE
AT_ONCE = 16


def rsa_authority(path: Path) -> None:
    """As squid's documentation has one made."""
    command = "openssl req -new -newkey rsa:2048 -sha256 -days 365 -nodes -x509 -extensions v3_ca -subj /CN=bench"
    made = [str(path.with_name(f"squid-rsa.{each}")) for each in ("key", "crt")]
    subprocess.run([*command.split(), "-keyout", made[0], "-out", made[1]], check=True, capture_output=True)
    path.write_bytes(b"".join(Path(each).read_bytes() for each in made))


def contenders(bench, folder: Path) -> dict[str, tuple[int, list[str]]]:
    """Name -> port and command of those that are installed."""
    found = {}
    for who in (OURS, MITMDUMP):
        port = bench.free_port()
        command = bench.commands(folder, port, direct=False).get(who)
        if command:
            found[who] = (port, command)
    if not shutil.which("squid") or not bench.CERTGEN.exists():
        print("squid is not installed and left out")
        return found
    rsa_authority(folder / KEYS["RSA-2048"])
    for key, file in KEYS.items():
        for way, lines in WAYS.items():
            port = bench.free_port()
            plain = Path(bench.squid_command(folder, port, direct=False)[-1]).read_text()
            mine = plain.replace("squid-ca.pem", file).replace(AT_ONCE_BUMPED, lines)
            mine = mine.replace("squid-db", f"squid-db-{port}").replace("squid.log", f"squid-{port}.log")
            database = folder / f"squid-db-{port}"
            subprocess.run([str(bench.CERTGEN), "-c", "-s", str(database), "-M", "16MB"], check=True, capture_output=True)
            config = folder / f"squid-{port}.conf"
            config.write_text(mine)
            for each in (folder, *folder.rglob("*")):  # squid serves as a user of its own
                each.chmod(0o777)
            found[f"squid, {key}, {way}"] = (port, ["squid", "-N", "-n", f"bench{port}", "-f", str(config)])
    return found


def counted(origin: int) -> tuple[int, int]:
    """Connections that this origin accepted, and those that were resumed; this question's own left out."""
    with urllib.request.urlopen(f"https://127.0.0.1:{origin}/counts", context=CONTEXT) as answer:
        came, resumed = json.load(answer)
    return came, resumed


def visit(through: tuple[int, int]) -> None:
    """A new connection and one request of 1 KB on it, as a browser makes them: greeted by the site's plain name."""
    proxy, origin = through
    with socket.create_connection(("127.0.0.1", proxy), timeout=20) as sock:
        sock.sendall(f"CONNECT localhost:{origin} HTTP/1.1\r\nHost: localhost:{origin}\r\n\r\n".encode())
        if b" 200 " not in sock.recv(4096):
            raise SystemExit("no tunnel")
        with CONTEXT.wrap_socket(sock, server_hostname="localhost") as page:
            page.sendall(f"GET /1024 HTTP/1.1\r\nHost: localhost:{origin}\r\nAccept: */*\r\n\r\n".encode())
            got = b""
            while b"\r\n\r\n" not in got or len(got.partition(b"\r\n\r\n")[2]) < 1024:
                more = page.recv(65536)
                if not more:
                    break
                got += more
            if b" 200 " not in got[:20]:
                raise SystemExit(f"not answered well: {got[:1500]!r}")


def processor(bench, process) -> float:
    """Seconds, by the scheduler's own clock: slices are short."""
    return bench.processor(process, finely=True)


def measure(bench, up, origin: int, rounds: int, each: int):
    cost, seen = {}, {}
    for round_ in range(-1, rounds):  # the first warms
        for name, (port, process) in up.items():
            before, came = processor(bench, process), counted(origin)
            with ThreadPoolExecutor(AT_ONCE) as visitors:
                list(visitors.map(visit, [(port, origin)] * each))
            now = counted(origin)
            if round_ >= 0:
                cost.setdefault(name, []).append((processor(bench, process) - before) / each)
                seen.setdefault(name, []).append((now[0] - came[0] - 1, now[1] - came[1]))
    return cost, seen


def show(cost, seen, each: int) -> None:
    middle = {name: statistics.median(found) for name, found in cost.items()}
    print("| who | ms of processor each | a second of processor | ours / it | connections the site saw for each | resumed |")
    print("|---|---|---|---|---|---|")
    for name, took in sorted(middle.items(), key=lambda item: -item[1]):
        came = statistics.median(came for came, _ in seen[name]) / each
        again = statistics.median(again for _, again in seen[name]) / each
        print(f"| {name} | {1000 * took:.2f} | {1 / took:,.0f} | {took / middle[OURS]:.2f}x | {came:.2f} | {again:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--each", type=int, default=160, help="connections of one slice")
    told = parser.parse_args()
    for tool in ("taskset", "openssl"):
        if not shutil.which(tool):
            print(f"{tool} is not installed: nothing to measure with")
            return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))
    bench, folder = beside("proxy"), Path(tempfile.mkdtemp(prefix="schoolgate-opened-"))
    os.sched_setaffinity(0, {int(bench.LOAD_CORE)})
    try:
        bench.certificates(folder)
        with contextlib.ExitStack() as stack:
            port = bench.free_port()
            serve = [sys.executable, str(bench.HERE), "--folder", str(folder), "--port", str(port), "--serve", "origin"]
            stack.enter_context(bench.running(serve, bench.LOAD_CORE, port))
            up = {
                name: (at, stack.enter_context(bench.running(command, bench.PROXY_CORE, at)))
                for name, (at, command) in contenders(bench, folder).items()
            }
            show(*measure(bench, up, port, told.rounds, told.each), told.each)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
