"""Our proxy beside stock mitmdump and squid with ssl-bump: intercepted HTTPS, kept-alive and new connections, pass-through.

Everything in one run, interleaved, each proxy alone on core 0, load (hey) and origin on core 1. The proxies verify the
origin's certificate. What is not installed is left out with a line that says so. `--seconds 5 --rounds 5` for steadier
figures. The origin is Python on uvloop: the column "no proxy" is the ceiling that squid meets on kept-alive connections.
"""

import argparse
import asyncio
import contextlib
import ipaddress
import os
import re
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

HERE = Path(__file__).resolve()
sys.path[:] = [each for each in sys.path if Path(each).resolve() != HERE.parent]  # this file is no `proxy` to import
CERTGEN = Path("/usr/lib/squid/security_file_certgen")
PROXY_CORE, LOAD_CORE = "0", "1"
NO_PROXY, PEERS = "no proxy", ("mitmdump", "squid")
START_WITHIN_S = 60  # importing mitmproxy takes long on a core that others use too
# hey greets by the Host header's text. Passed through, that must be a plain name; opened, squid goes to the header's port.
AS_NAME = ("-host", "localhost")
MEGABYTES = ("-c", "4")
JUDGED = ("-H", "Accept: text/html")
CASES = {  # name: (path, hey's options, passed through)
    "HTTPS 1 KB, kept alive": ("/1024", (), False),
    "HTTPS 64 KB, kept alive": ("/65536", (), False),
    "a page of 64 KB, its words judged": ("/65536", JUDGED, False),
    "HTTPS 1 KB, new connections": ("/1024", ("-disable-keepalive",), False),
    "HTTPS 10 MB, streamed": ("/10485760", MEGABYTES, False),
    "passed through, 1 KB, kept alive": ("/1024", AS_NAME, True),
    "passed through, new connections": ("/1024", (*AS_NAME, "-disable-keepalive"), True),
    "passed through, 10 MB": ("/10485760", (*AS_NAME, *MEGABYTES), True),
}
SCANNED = "a page of 200 KB, its words judged: first byte"
STEADY = ("-c", "2", "-q", "50")  # 100 requests a second
DELAYS = {
    "HTTPS 1 KB, 100 a second": ("/1024", STEADY, False),
    "passed through, 1 KB, 100 a second": ("/1024", (*STEADY, *AS_NAME), True),
}


WORDS = b"<p>The river that we drew in the lesson runs past the mill, and in spring the children count the ducks there.</p>\n"


# --- the origin ----------------------------------------------------------------------------------------------------------


class Origin(asyncio.Protocol):
    """Answers GET /<bytes> as fast as Python can: it shall not be what is measured."""

    answers: dict[bytes, bytes] = {}  # noqa: RUF012
    came = resumed = 0  # connections, and those of them that went on with a session

    def connection_made(self, transport):
        self.transport, self.rest = transport, b""
        Origin.came += 1
        Origin.resumed += transport.get_extra_info("ssl_object").session_reused

    def data_received(self, data):
        self.rest += data
        while (end := self.rest.find(b"\r\n\r\n")) >= 0:
            head, self.rest = self.rest[:end], self.rest[end + 4 :]
            size = head.split(b" ", 2)[1].rpartition(b"/")[2]
            if size == b"counts":
                said = b"[%d, %d]" % (Origin.came, Origin.resumed)
                self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said))
                continue
            if size not in self.answers:
                wanted = int(size) if size.isdigit() else 40_000  # what is no number is a search
                body = (WORDS * (wanted // len(WORDS) + 1))[:wanted]
                self.answers[size] = (
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(body) + body
                )
            self.transport.write(self.answers[size])


def certificates(folder: Path, hosts: tuple[str, ...] = ("localhost",)) -> None:
    """A CA of its own for the origin, and one for squid."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import NameOID

    from proxy.ca import ensure_ca

    now = datetime.now(UTC)

    def made(name, key, issuer, signer, *, ca):
        names = [*(x509.DNSName(host) for host in hosts), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        return (builder if ca else builder.add_extension(x509.SubjectAlternativeName(names), critical=False)).sign(
            signer, hashes.SHA256()
        )

    root, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    (folder / "origin-ca.pem").write_bytes(made("bench-ca", root, "bench-ca", root, ca=True).public_bytes(Encoding.PEM))
    site = made("localhost", leaf, "bench-ca", root, ca=False)
    key = leaf.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "origin.pem").write_bytes(key + site.public_bytes(Encoding.PEM))
    ensure_ca(folder / "ours", "bench")
    shutil.copy(folder / "ours" / "mitmproxy-ca.pem", folder / "squid-ca.pem")


def run_origin(folder: Path, port: int) -> None:
    import uvloop

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "origin.pem")

    async def main():
        server = await asyncio.get_running_loop().create_server(Origin, "127.0.0.1", port, ssl=context)
        await server.serve_forever()

    uvloop.run(main())


# --- the proxies ---------------------------------------------------------------------------------------------------------


def run_ours(folder: Path, port: int, *, direct: bool) -> None:
    """One worker with the shipped taxonomy and engines, a school's rules, and every event recorded."""
    from category_lists import taxonomy
    from category_lists.index import Match
    from category_lists.names import parents
    from policy import search_engines
    from policy.identity import Clients
    from policy.rules import Action, AuthorityPolicy, CategoryRule, Group, Network, SchoolPolicy, SiteRule
    from policy.snapshot import LoadedDictionary, Snapshot
    from proxy.server import serve
    from proxy.settings import Settings

    known = taxonomy.load()
    private = next(category.id for category in known.categories.values() if category.never_inspect)

    class Names:
        def find(self, host, _path=None):
            known = private if direct or host.endswith(".passed.test") else "education"
            return [Match(known, "bench", "1", name, "") for name in parents(host)][-1:]

        def has_pages(self, _host):
            return False

    authority = AuthorityPolicy(log="bench", name="Bench", dictionary="d")
    sites = tuple(SiteRule(f"r{n}", f"site{n}.test", Action.BLOCK, n) for n in range(300))
    kinds = tuple(CategoryRule(f"c{n}", id_, Action.ALLOW, n) for n, id_ in enumerate(("education", "news", "games")))
    school = SchoolPolicy(
        log="school", name="School", authority="a", dictionary="d",
        groups=(Group("ks3", "Year 8", "ks3", looks=() if direct else ("all",)),),
        networks=(Network("n", "ks3", "127.0.0.0/8"),), site_rules=sites, category_rules=kinds,
    )  # fmt: skip

    class Live:
        snapshot = Snapshot(
            generation=1, authority=authority, schools={"school": school}, authorities={"a": authority},
            dictionaries={"d": LoadedDictionary("d", Names(), known, search_engines.load())}, revisions={},
            clients=Clients([school]),
        )  # fmt: skip

        def refresh(self):
            return False

    spool: deque[bytes] = deque(maxlen=100)
    settings = Settings(
        listen=(("bench", "127.0.0.1", port),),
        confdir=folder / "ours",
        form_key=b"k" * 32,
        desk_url="https://desk.test",
        upstream_ca=str(folder / "origin-ca.pem"),
        inner_networks=("127.0.0.1/32",),
    )

    async def remembered(_host):  # as dns.lookup answers for a name that was asked for within its time
        return ("127.0.0.1",)

    async def main():
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await serve(
            settings, Live(), lambda event: spool.append(event.encode()), ready=lambda _: None, stop=stop,
            resolve=remembered,
        )  # fmt: skip

    asyncio.run(main())


PASS = "acl greeting at_step SslBump1\nssl_bump peek greeting\nssl_bump splice all"
SQUID = """
http_port 127.0.0.1:{port} ssl-bump tls-cert={folder}/squid-ca.pem generate-host-certificates=on
sslcrtd_program {certgen} -s {folder}/squid-db -M 16MB
sslcrtd_children 2
{way}
tls_outgoing_options cafile={folder}/origin-ca.pem
http_access allow all
cache deny all
access_log none
cache_log {folder}/squid.log
pid_filename none
coredump_dir {folder}
shutdown_lifetime 0 seconds
via off
"""


def squid_command(folder: Path, port: int, *, direct: bool) -> list[str]:
    config = folder / f"squid-{direct}.conf"
    config.write_text(SQUID.format(port=port, folder=folder, certgen=CERTGEN, way=PASS if direct else "ssl_bump bump all"))
    database = folder / "squid-db"
    if not database.exists():
        subprocess.run([str(CERTGEN), "-c", "-s", str(database), "-M", "16MB"], check=True, capture_output=True)
    for each in (folder, *folder.rglob("*")):  # squid serves as a user of its own
        with contextlib.suppress(OSError):
            each.chmod(0o777)
    return ["squid", "-N", "-f", str(config)]


def commands(folder: Path, port: int, *, direct: bool) -> dict[str, list[str]]:
    """How each proxy that is installed is started."""
    found = {"ours": [sys.executable, str(HERE), "--folder", str(folder), "--port", str(port), "--serve"]}
    found["ours"].append("direct" if direct else "open")
    mitmdump = Path(sys.executable).with_name("mitmdump")
    if mitmdump.exists():
        found["mitmdump"] = [
            str(mitmdump), "-q", "--mode", f"regular@127.0.0.1:{port}", "--set", f"confdir={folder}/stock",
            "--set", f"ssl_verify_upstream_trusted_ca={folder}/origin-ca.pem",
            *(["--ignore-hosts", ".*"] if direct else []),
        ]  # fmt: skip
    if shutil.which("squid") and CERTGEN.exists():
        found["squid"] = squid_command(folder, port, direct=direct)
    return found


@contextlib.contextmanager
def running(command: list[str], core: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        ["taskset", "-c", core, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            patience = time.monotonic() + START_WITHIN_S
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                if process.poll() is not None:
                    raise SystemExit(f"{command[0]} ended: {process.stderr.read().decode()[-500:]}")
                if time.monotonic() > patience:
                    raise SystemExit(f"{command[0]} did not open its port within {START_WITHIN_S} s")
                time.sleep(0.05)
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@dataclass(frozen=True)
class Load:
    rate: float  # requests a second, all answered 200
    p50: float  # ms
    p99: float


def load(url: str, options: tuple[str, ...], proxy: int | None, seconds: float) -> Load:
    command = ["taskset", "-c", LOAD_CORE, "hey", "-z", f"{seconds}s", *(() if "-c" in options else ("-c", "16")), *options]
    if proxy:
        command += ["-x", f"http://127.0.0.1:{proxy}"]
    said = subprocess.run([*command, url], capture_output=True, text=True, check=False).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    good = re.search(r"\[200\]\s+(\d+) responses", said)
    total = sum(int(each) for each in re.findall(r"\]\s+(\d+) responses", said))
    if not rate or not good or int(good[1]) < total:
        raise SystemExit(f"hey was not answered well:\n{said[-1500:]}")
    late = {part: 1000 * float(found) for part, found in re.findall(r"(50|99)% in ([\d.]+) secs", said)}
    return Load(float(rate[1]), late.get("50", 0.0), late.get("99", late.get("50", 0.0)))


def whole(origin: int, proxy: int, size: int) -> None:
    """hey counts an answer that breaks off too: here the body is as long as it should be, or nothing is measured."""
    said = subprocess.run(
        ["curl", "-sko", "/dev/null", "-w", "%{size_download}", "-x", f"http://127.0.0.1:{proxy}",
         f"https://localhost:{origin}/{size}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if said.stdout != str(size):
        raise SystemExit(f"of {size} bytes {said.stdout} came")


def first_bytes(origin: int, proxy: int | None, seconds: float) -> Load:
    """How long the first byte of a page of 200 KB takes, one after the other on one connection."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    sock = socket.create_connection(("127.0.0.1", proxy or origin), timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if proxy:
        sock.sendall(f"CONNECT localhost:{origin} HTTP/1.1\r\nHost: localhost:{origin}\r\n\r\n".encode())
        sock.recv(4096)
    took, until = [], time.monotonic() + seconds
    with context.wrap_socket(sock, server_hostname="localhost") as page:
        while time.monotonic() < until:
            asked = time.perf_counter()
            page.sendall(f"GET /204800 HTTP/1.1\r\nHost: localhost:{origin}\r\nAccept: text/html\r\n\r\n".encode())
            head = page.recv(65536)
            took.append(1000 * (time.perf_counter() - asked))
            while b"\r\n\r\n" not in head:
                head += page.recv(65536)
            left = 204_800 - len(head.partition(b"\r\n\r\n")[2])
            while left:
                left -= len(page.recv(65536))
            time.sleep(0.02)
    took.sort()
    return Load(len(took) / seconds, took[len(took) // 2], took[int(len(took) * 0.99)])


def processor(process: subprocess.Popen[bytes], *, finely: bool = False) -> float:
    """Seconds of processor that a proxy and its helpers used: steadier than a clock on a machine that does other things.
    `finely`: by the scheduler's clock, in nanoseconds, where it keeps one.
    """
    group = os.getpgid(process.pid)
    ticks = spent = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                ticks += int(fields[11]) + int(fields[12])
                for each in stat.parent.glob("task/*/schedstat") if finely else ():
                    spent += int(each.read_text().split()[0])
    return spent / 1e9 if spent else ticks / os.sysconf("SC_CLK_TCK")


def memory(process: subprocess.Popen[bytes]) -> float:
    """Resident MB of a process; taskset has become it."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


class Measured:
    """Figures of each case and proxy, a list with one of each round."""

    def __init__(self) -> None:
        self.rates: dict[tuple[str, str], list[float]] = {}
        self.costs: dict[tuple[str, str], list[float]] = {}
        self.p50: dict[tuple[str, str], list[float]] = {}
        self.p99: dict[tuple[str, str], list[float]] = {}
        self.resident: dict[str, float] = {}

    def rate(self, name: str, who: str, url: str, options: tuple[str, ...], port: int | None, seconds: float, process=None):
        before = processor(process) if process else 0
        rate = load(url, options, port, seconds).rate
        self.rates.setdefault((name, who), []).append(rate)
        if process:
            used = max(processor(process) - before, 0.01)
            self.costs.setdefault((name, who), []).append(rate * seconds / used)

    def delay(self, name: str, who: str, url: str, options: tuple[str, ...], port: int | None, seconds: float):
        self.note(name, who, load(url, options, port, seconds))

    def note(self, name: str, who: str, got: Load):
        self.p50.setdefault((name, who), []).append(got.p50)
        self.p99.setdefault((name, who), []).append(got.p99)


def measure(folder: Path, origin: int, rounds: int, seconds: float, only: str) -> None:
    found, site = Measured(), f"https://localhost:{origin}"
    with contextlib.suppress(ToldToEnd):  # told to end: what was measured is shown
        measure_rounds(found, site, origin, folder, rounds, seconds, only)
    proxies = ["ours", *(who for who in PEERS if who in found.resident)]
    show("requests/s, one core", [NO_PROXY, *proxies], found.rates)
    show("requests per second of processor", proxies, found.costs)
    show("ms, one after the other or 100 a second, p50", [NO_PROXY, *proxies], found.p50, ".2f")
    show("ms, one after the other or 100 a second, p99", [NO_PROXY, *proxies], found.p99, ".2f")
    print("resident after: " + ", ".join(f"{who} {size:.0f} MB" for who, size in found.resident.items()))


def measure_rounds(found: Measured, site: str, origin: int, folder: Path, rounds: int, seconds: float, only: str) -> None:
    for round_ in range(rounds):
        for direct in (False, True):
            cases = {name: case for name, case in CASES.items() if case[2] is direct and only in name}
            delays = {name: case for name, case in DELAYS.items() if case[2] is direct and only in name}
            judged = not direct and only in SCANNED
            if not (cases or delays or judged):
                continue
            for name, (path, options, _) in cases.items():
                found.rate(name, NO_PROXY, site + path, options, None, seconds)
            for name, (path, options, _) in delays.items():
                found.delay(name, NO_PROXY, site + path, options, None, seconds)
            if judged:
                found.note(SCANNED, NO_PROXY, first_bytes(origin, None, seconds))
            port = free_port()
            for who, command in commands(folder, port, direct=direct).items():
                with running(command, PROXY_CORE, port) as process:
                    for options in (AS_NAME,) if direct else ((), JUDGED):  # warm; phrases are understood when first asked
                        load(f"{site}/1024", options, port, 0.5)
                    for path in {path for path, _, _ in cases.values()}:
                        whole(origin, port, int(path[1:]))
                    for name, (path, options, _) in cases.items():
                        found.rate(name, who, site + path, options, port, seconds, process)
                    for name, (path, options, _) in delays.items():
                        found.delay(name, who, site + path, options, port, seconds)
                    if judged:
                        found.note(SCANNED, who, first_bytes(origin, port, seconds))
                    found.resident[who] = memory(process)
        print(f"round {round_ + 1} of {rounds} done", file=sys.stderr)


def show(title: str, columns: list[str], measured: dict[tuple[str, str], list[float]], how: str = ",.0f") -> None:
    proxies = columns[columns.index("ours") :]
    middle = {key: statistics.median(values) for key, values in measured.items()}
    names = list(dict.fromkeys(name for name, _ in measured))
    if not names:
        return
    ratios = "".join(f" ours / {who} |" for who in proxies[1:])
    print(f"| {title}, median | {' | '.join(columns)} |{ratios}")
    print("|---|" + "---|" * (len(columns) + len(proxies) - 1))
    for name in names:
        row = [middle[name, who] for who in columns]
        against = [f"{middle[name, 'ours'] / middle[name, who]:.2f}x" for who in proxies[1:]]
        print(f"| {name} | {' | '.join([format(value, how) for value in row] + against)} |")
    print()


class ToldToEnd(Exception):
    """By SIGTERM: what was measured is shown, and nothing is left running."""


def told_to_end(*_: object) -> None:
    raise ToldToEnd


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--only", default="", help="the cases whose name has this in it")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--serve", choices=("open", "direct", "origin"), help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.serve == "origin":
        run_origin(told.folder, told.port)
    elif told.serve:
        run_ours(told.folder, told.port, direct=told.serve == "direct")
    else:
        for tool in ("curl", "hey", "taskset"):
            if not shutil.which(tool):
                print(f"{tool} is not installed: nothing to measure with")
                return
        signal.signal(signal.SIGTERM, told_to_end)
        folder = Path(tempfile.mkdtemp(prefix="schoolgate-bench-"))
        try:
            certificates(folder)
            present = commands(folder, 1, direct=False)
            for peer in PEERS:
                if peer not in present:
                    print(f"{peer} is not installed and left out")
            port = free_port()
            serve = [sys.executable, str(HERE), "--folder", str(folder), "--port", str(port), "--serve", "origin"]
            with running(serve, LOAD_CORE, port):
                measure(folder, port, told.rounds, told.seconds, told.only)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
