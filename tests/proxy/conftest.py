"""A little school day: two schools' policy, an internet of their own on loopback, and the real Master in a thread.

Run as a program it is one more worker on the given port (see test_embedding.py).
"""

import asyncio
import base64
import contextlib
import dataclasses
import gzip
import hashlib
import http.server
import queue
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from category_lists import phrases, taxonomy
from category_lists.index import Match
from category_lists.names import parents
from policy import search_engines
from policy.event import Event
from policy.identity import Clients
from policy.rules import Action, AuthorityPolicy, Group, Network, SchoolPolicy, SiteRule
from policy.snapshot import LoadedDictionary, Snapshot
from proxy.server import serve
from proxy.settings import Settings

FORM_KEY = b"k" * 32
LISTENERS = ("ks1", "ks3", "staff", "nobody")
CATEGORIES = {
    "games.test": "games",
    "bank.test": "finance_business",
    "badbank.test": "finance_business",
    "sealed.test": "csam_illegal",
    "warned.test": "forums_blogs",
    "worry.test": "self_harm_eating_disorders",
}
PAGED = {"paged.test"}  # single pages of these are listed
PLACES = {"inner.test": ("10.0.0.5",), "box.test": ("127.0.0.2",), "nowhere.test": (), "meta.test": ("169.254.169.254",)}


class FakeIndex:
    """What the compiled index answers, from a dictionary."""

    def find(self, host, path=None):
        return [Match(CATEGORIES[name], "test-list", "1", name, "") for name in parents(host) if name in CATEGORIES]

    def has_pages(self, host):
        return host in PAGED


def build_snapshot(*more: SiteRule) -> Snapshot:
    shipped = taxonomy.load()
    private = dataclasses.replace(shipped.categories["finance_business"], never_inspect=True)
    forums = shipped.categories["forums_blogs"]
    warned = dataclasses.replace(forums, phases={**forums.phases, "ks3": "warn"})
    known = taxonomy.Taxonomy({**shipped.categories, private.id: private, warned.id: warned}, shipped.unknown)
    authority = AuthorityPolicy(log="birchwood", name="Birchwood Council", dictionary="d")
    rules = (
        SiteRule("r-open", "mixed.test", Action.ALLOW, 7, path="/lesson"),
        SiteRule("r-shut", "mixed.test", Action.BLOCK, 7),
        SiteRule("r-bank", "badbank.test", Action.BLOCK, 8),
        SiteRule("r-part", "allowed.test", Action.BLOCK, 9, path="/shut"),
        SiteRule("r-ip", "127.0.0.1", Action.BLOCK, 10),
    )
    groups = {"ks1": "Year 1", "ks3": "Years 7 to 9", "staff": "staff"}
    school = SchoolPolicy(
        log="hillview",
        name="Hillview School",
        authority="a",
        dictionary="d",
        groups=tuple(Group(id_, name, id_) for id_, name in groups.items()),
        networks=tuple(Network(f"net-{id_}", id_, "127.0.0.0/8", id_) for id_ in groups),
        site_rules=(*rules, *more),
    )
    return Snapshot(
        generation=1,
        authority=authority,
        schools={"hillview": school},
        authorities={"a": authority},
        dictionaries={"d": LoadedDictionary("d", FakeIndex(), known, search_engines.load())},
        revisions={"hillview": 3},
        clients=Clients([school]),
    )


class FakeLive:
    """A policy in force that a test may break."""

    def __init__(self) -> None:
        self.kept = build_snapshot()
        self.broken = False
        self.refreshed = 0

    @property
    def snapshot(self) -> Snapshot:
        if self.broken:
            raise RuntimeError("broken for a test")
        return self.kept

    def refresh(self, before: Callable[[Snapshot], None] = lambda _: None) -> bool:
        self.refreshed += 1
        return False


class FakePhrases:
    """The shipped phrase sets, which a test may break, or change for others."""

    broken = False
    sets = staticmethod(phrases.shipped)

    def score(self, text, kind="page", *, phase="ks4", likely=()):
        if self.broken:
            raise RuntimeError("broken for a test")
        return self.sets().score(text, kind, phase=phase, likely=likely)


# --- the little internet -----------------------------------------------------------------------------------------------


def make_ca(folder: Path, name: str) -> SimpleNamespace:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = sign(key, name, key, name, ())
    path = folder / f"{name}.pem"
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    return SimpleNamespace(key=key, name=name, path=path)


def sign(key, name, signer, issuer, hosts, *, days=30):
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=not hosts, path_length=None), critical=True)
    )
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"),
        False,
    )
    builder = builder.add_extension(
        x509.KeyUsage(digital_signature=True, key_cert_sign=not hosts, crl_sign=not hosts, **usage), critical=True
    )
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
    return builder.sign(signer, hashes.SHA256())


def site_context(folder: Path, ca: SimpleNamespace, hosts: tuple[str, ...], *, days=30) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = sign(key, hosts[0], ca.key, ca.name, hosts, days=days)
    path = folder / f"site-{hosts[0]}-{days}.pem"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


class Site(http.server.BaseHTTPRequestHandler):
    """One origin. It writes down what reaches it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.seen.append(
            SimpleNamespace(
                method=self.command, path=self.path, headers={name.lower(): value for name, value in self.headers.items()}
            )
        )
        if self.headers.get("Upgrade", "").lower() == "websocket":
            self.echo()
            return
        if self.path.startswith("/html/"):
            self.html(*parse_qs(urlsplit(self.path).query)["text"], *self.path.split("?")[0].split("/")[2:])
            return
        size = int(self.path[5:]) if self.path.startswith("/big/") else 0
        body = b"" if size else b"hello from " + self.headers["Host"].encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Alt-Svc", 'h3=":443"; ma=86400')
        self.send_header("Content-Length", str(size or len(body)))
        self.end_headers()
        self.wfile.write(body)
        for _ in range(size // 65536):
            self.wfile.write(b"x" * 65536)
        self.wfile.write(b"x" * (size % 65536))

    def html(self, text, *how):
        """A page with some text: plain, gzip, br (a lie), chunked, padded to more than is held."""
        body = b"<title>A page</title><p>" + text.encode() + b"</p>" + b"<p>filler</p>" * (200_000 if "long" in how else 1)
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        if "gzip" in how:
            self.send_header("Content-Encoding", "gzip")
            body = gzip.compress(body)
        if "br" in how:
            self.send_header("Content-Encoding", "br")
        if "chunked" in how:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for at in range(0, len(body), 50_000):
                piece = body[at : at + 50_000]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.server.seen.append(
            SimpleNamespace(
                method="POST", path=self.path, headers={name.lower(): value for name, value in self.headers.items()}
            )
        )
        left, got = int(self.headers["Content-Length"]), 0
        while got < left:
            piece = self.rfile.read(min(65536, left - got))
            if not piece:
                return
            got += len(piece)
        body = str(got).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def echo(self):
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept)
        self.end_headers()
        self.close_connection = True
        text = read_frame(self.rfile)
        self.wfile.write(bytes([0x81, len(text)]) + text)
        self.wfile.flush()
        self.rfile.read(1)

    def log_message(self, *_):
        pass


def read_frame(file) -> bytes:
    first = file.read(2)
    length, masked = first[1] & 0x7F, first[1] & 0x80
    mask = file.read(4) if masked else b"\0\0\0\0"
    return bytes(byte ^ mask[i % 4] for i, byte in enumerate(file.read(length)))


class Origin(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: str, context: ssl.SSLContext | None, port: int = 0, site: type = Site) -> None:
        self.context, self.seen = context, []
        super().__init__((address, port), site)
        self.port = self.server_address[1]
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def finish_request(self, request, client_address):
        if self.context:
            with contextlib.suppress(OSError), self.context.wrap_socket(request, server_side=True) as wrapped:
                super().finish_request(wrapped, client_address)
        else:
            super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        pass  # a client that went away

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self.thread.join()


HOSTS = (
    "allowed.test",
    "games.test",
    "bank.test",
    "badbank.test",
    "mixed.test",
    "warned.test",
    "other.test",
    "www.google.com",
    "www.youtube.com",
)


@pytest.fixture(scope="session")
def internet() -> Iterator[SimpleNamespace]:
    folder = Path(tempfile.mkdtemp(prefix="schoolgate-proxy-"))
    ca, stranger = make_ca(folder, "internet-ca"), make_ca(folder, "stranger-ca")
    context = site_context(folder, ca, HOSTS)
    sites = SimpleNamespace(
        folder=folder,
        ca=ca,
        http=Origin("127.0.0.1", None),
        https=Origin("127.0.0.1", context),
        box=Origin("127.0.0.2", None),
        expired=Origin("127.0.0.1", site_context(folder, ca, HOSTS, days=-1)),
        unknown=Origin("127.0.0.1", site_context(folder, stranger, HOSTS)),
    )
    yield sites
    for each in (sites.http, sites.https, sites.box, sites.expired, sites.unknown):
        each.close()
    shutil.rmtree(folder)


async def resolve(host: str):
    return PLACES.get(host, ("127.0.0.1",))


def settings_for(confdir: Path, upstream_ca: Path, ports: dict[str, int]) -> Settings:
    return Settings(
        listen=tuple((name, "127.0.0.1", port) for name, port in ports.items()),
        confdir=confdir,
        form_key=FORM_KEY,
        desk_url="https://desk.test",
        upstream_ca=str(upstream_ca),
        inner_networks=("127.0.0.1/32",),
    )


class Worker:
    """The real thing, in a thread."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.live, self.phrases = settings, FakeLive(), FakePhrases()
        self.events: list[Event] = []
        self.record_fails = False
        self.addresses: dict[str, str] = {}
        self._ready: queue.Queue[object] = queue.Queue()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        said = self._ready.get(timeout=20)
        if isinstance(said, BaseException):
            self.thread.join()
            raise said
        self.addresses = said

    def record(self, event: Event) -> None:
        if self.record_fails:
            raise OSError("the spool is full")
        self.events.append(event)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001
            self._ready.put(error)

    async def _serve(self) -> None:
        self.loop, self.stop = asyncio.get_running_loop(), asyncio.Event()
        await serve(
            self.settings,
            self.live,
            self.record,
            ready=self._ready.put,
            stop=self.stop,
            worker="w1",
            resolve=resolve,
            phrases=self.phrases,
        )

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.fixture(scope="session")
def worker(internet) -> Iterator[Worker]:
    made = Worker(settings_for(internet.folder / "conf", internet.ca.path, dict.fromkeys(LISTENERS, 0)))
    yield made
    made.close()


class School:
    """What a test sees of it all: clients, the log, the sites."""

    def __init__(self, internet, worker) -> None:
        self.internet, self.worker, self.live = internet, worker, worker.live
        self.ca = worker.settings.confdir / "schoolgate-ca.pem"
        self.both = internet.folder / "both.pem"
        self.both.write_bytes(self.ca.read_bytes() + internet.ca.path.read_bytes())

    @property
    def events(self):
        return self.worker.events

    def build(self, *more):
        return build_snapshot(*more)

    def seen(self):
        return [each for site in (self.internet.http, self.internet.https, self.internet.box) for each in site.seen]

    def proxy(self, group: str) -> tuple[str, int]:
        host, _, port = self.worker.addresses[group].rpartition(":")
        return host, int(port)

    def curl(self, group: str, url: str, *options: str) -> SimpleNamespace:
        """curl through a group's listener; `url` may use {http} and {https} for the sites' ports."""
        url = url.replace("{http}", str(self.internet.http.port)).replace("{https}", str(self.internet.https.port))
        command = ["curl", "-sS", "-i", "--suppress-connect-headers", "--max-time", "20", "--cacert", str(self.both)]
        command += ["-x", f"http://{self.worker.addresses[group]}", *options, url]
        done = subprocess.run(command, capture_output=True, check=False, timeout=30)
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        while body.startswith(b"HTTP/"):
            head, _, body = body.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1]) if lines[0] else 0
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        return SimpleNamespace(
            code=done.returncode, status=status, headers=headers, body=body, text=body.decode("utf-8", "replace"),
            error=done.stderr.decode(), line=lines[0],
        )  # fmt: skip

    def browse(self, group: str, url: str, *options: str) -> SimpleNamespace:
        return self.curl(group, url, "-H", "Accept: text/html,application/xhtml+xml", *options)

    def say(self, group: str, data: bytes) -> bytes:
        """Raw bytes to the proxy, and the head of what it answers."""
        with socket.create_connection(self.proxy(group), timeout=10) as sock:
            sock.sendall(data)
            got = b""
            with contextlib.suppress(ConnectionResetError):
                while b"\r\n\r\n" not in got and (more := sock.recv(65536)):
                    got += more
        return got

    def until(self, what, seconds: float = 10) -> None:
        """Wait until something holds."""
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, "it did not come to pass"
            time.sleep(0.01)

    def tunnel(self, group: str, target: str, sni: str | None, alpn=()) -> ssl.SSLSocket:
        """TLS through CONNECT, with any SNI."""
        sock = socket.create_connection(self.proxy(group), timeout=10)
        try:
            sock.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
            answer = b""
            while b"\r\n\r\n" not in answer:
                more = sock.recv(4096)
                if not more:
                    raise ConnectionError(answer)
                answer += more
            if b" 200 " not in answer:
                raise ConnectionError(answer)
            context = ssl.create_default_context(cafile=self.both)
            context.check_hostname = False
            if alpn:
                context.set_alpn_protocols(alpn)
            return context.wrap_socket(sock, server_hostname=sni)
        except BaseException:
            sock.close()
            raise


@pytest.fixture
def school(internet, worker) -> Iterator[School]:
    for site in (internet.http, internet.https, internet.box, internet.expired, internet.unknown):
        site.seen.clear()
    worker.events.clear()
    yield School(internet, worker)
    worker.live.broken = worker.record_fails = worker.phrases.broken = False
    worker.phrases.sets = phrases.shipped


@pytest.fixture(scope="session")
def snapshot() -> Snapshot:
    return build_snapshot()


@pytest.fixture(scope="session")
def phases() -> Snapshot:
    """The same school with a group of each phase."""
    made = build_snapshot()
    named = {"early": "early-years", "sixth": "sixth-form"}
    ids = ("early", "ks1", "ks2", "ks3", "ks4", "sixth", "staff", "guest")
    groups = tuple(Group(id_, id_.capitalize(), named.get(id_, id_)) for id_ in ids)
    school = dataclasses.replace(made.schools["hillview"], groups=groups)
    return dataclasses.replace(made, schools={"hillview": school}, clients=Clients([school]), _profiles={})


@pytest.fixture(scope="session")
def make_worker():
    """A worker with settings of one's own."""
    return Worker


@pytest.fixture(scope="session")
def make_settings():
    return settings_for


@pytest.fixture(scope="session")
def frame():
    """A client's WebSocket text frame."""

    def made(text: bytes) -> bytes:
        mask = b"\1\2\3\4"
        return bytes([0x81, 0x80 | len(text)]) + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(text))

    return made


def main(port: str, confdir: str, upstream_ca: str) -> None:
    """One more worker on a port: says "ready", then "stopped" and how many events it recorded when its stdin closes."""

    async def run() -> None:
        stop, events = asyncio.Event(), []
        asyncio.get_running_loop().add_reader(0, stop.set)
        settings = settings_for(Path(confdir), Path(upstream_ca), {"staff": int(port)})
        await serve(
            settings,
            FakeLive(),
            events.append,
            ready=lambda where: print("ready", where["staff"], flush=True),
            stop=stop,
            resolve=resolve,
        )
        print(len(events), flush=True)

    asyncio.run(run())


if __name__ == "__main__":
    main(*sys.argv[1:])
