"""Whole stories over real sockets: the demonstration as its own processes, and a little internet for it to filter.

The little internet is an authoritative name server and web sites, plain and TLS under a test authority, all on loopback.
"""

import fcntl
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dnslib
import httpx2
import pyotp
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from appliance import demo
from appliance.config import load

from .browsing import browser, chromium, playwright  # noqa: F401 - fixtures
from .waiting import until

SCHOOLGATE = str(Path(sys.executable).with_name("schoolgate"))
SITES = ("poki.com", "crazygames.com", "bet365.com", "en.wikipedia.org", "coolmath.example", "www.google.com", "bank.example")

ELSEWHERE = {  # names that do not simply lead to loopback
    "cloaked.example": "cloaked.example. 300 IN CNAME www.bet365.com.\nwww.bet365.com. 300 IN A 127.0.0.1",
    "twice.example": "twice.example. 300 IN CNAME once.example.\nonce.example. 300 IN CNAME poki.com.",
    "service.example": "service.example. 300 IN HTTPS 1 www.bet365.com. alpn=h2",
    "hinted.example": "hinted.example. 300 IN HTTPS 1 . alpn=h2 ipv4hint=192.168.7.7",
    "rebind.example": "rebind.example. 300 IN A 192.168.7.7",
    "mapped.example": "mapped.example. 300 IN AAAA 0:0:0:0:0:ffff:a00:7",
    "resolver.example": "resolver.example. 300 IN A 8.8.8.8",
    "outside.example": "outside.example. 300 IN A 203.0.113.9",
    "hidden.example": "hidden.example. 300 IN HTTPS 1 . alpn=h3,h2 echconfig=AAAA",
}


# --- the little internet --------------------------------------------------------------------------------------------------


@dataclass
class Internet:
    """Every name leads to loopback; every page says which host it is of; every request is counted."""

    ca: Path
    dns_port: int
    http_port: int
    https_port: int
    founded: Path  # the data of a demonstration that has never been started
    asked: Counter[str] = field(default_factory=Counter)  # DNS questions by name
    fetched: Counter[str] = field(default_factory=Counter)  # pages by host


def _certificates(folder: Path) -> tuple[Path, Path]:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "The little internet")])

    def build(subject, public, issuer_key, *, ca, names=()):
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), critical=False
            )
        return builder.sign(issuer_key, hashes.SHA256())

    leaf = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sites")])
    ca_path, chain = folder / "internet-ca.pem", folder / "sites.pem"
    ca_path.write_bytes(build(name, key.public_key(), key, ca=True).public_bytes(Encoding.PEM))
    chain.write_bytes(
        leaf.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + build(subject, leaf.public_key(), key, ca=False, names=SITES).public_bytes(Encoding.PEM)
    )
    return ca_path, chain


def _serve_dns(found: Counter[str], server: socket.socket) -> None:
    while True:
        try:
            data, client = server.recvfrom(4096)
        except OSError:
            return
        request = dnslib.DNSRecord.parse(data)
        reply = request.reply()
        found[str(request.q.qname).rstrip(".").lower()] += 1
        name = str(request.q.qname).rstrip(".").lower()
        if name in ELSEWHERE:
            reply.add_answer(*dnslib.RR.fromZone(ELSEWHERE[name]))
        elif request.q.qtype == dnslib.QTYPE.A:
            reply.add_answer(dnslib.RR(request.q.qname, dnslib.QTYPE.A, rdata=dnslib.A("127.0.0.1"), ttl=300))
        server.sendto(reply.pack(), client)


@pytest.fixture(scope="session")
def founded(tmp_path_factory) -> Path:
    """What every box begins as: made once for all test processes, since enrolling seventeen people takes five seconds."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "founded"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            made = demo.ensure(load(None, folder.with_suffix(".new"), demo=True))
            made.store.close()
            folder.with_suffix(".new").rename(folder)
    return folder


@pytest.fixture(scope="session")
def internet(tmp_path_factory, founded) -> Iterator[Internet]:
    folder = tmp_path_factory.mktemp("internet")
    ca, chain = _certificates(folder)
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.bind(("127.0.0.1", 0))
    asked: Counter[str] = Counter()
    fetched: Counter[str] = Counter()

    class Page(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            host = self.headers.get("Host", "").partition(":")[0]
            fetched[host] += 1
            body = f"<!doctype html><title>{host}</title><h1>This is {host}{self.path}</h1>".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    plain = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    secure = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    secure.socket = context.wrap_socket(secure.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=_serve_dns, args=(asked, names), daemon=True).start()
    for server in (plain, secure):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Internet(ca, names.getsockname()[1], plain.server_port, secure.server_port, founded, asked, fetched)
    plain.shutdown()
    secure.shutdown()
    plain.server_close()
    secure.server_close()
    names.close()


# --- the box --------------------------------------------------------------------------------------------------------------


@dataclass
class Box:
    """A demonstration appliance that is up."""

    data: Path
    process: subprocess.Popen
    internet: Internet
    log: Path
    clients: list[httpx2.Client] = field(default_factory=list)

    @property
    def ready(self) -> dict:
        return json.loads((self.data / "run" / "ready.json").read_text())

    @property
    def ca(self) -> str:
        return self.ready["ca_certificate"]

    def dig(self, name: str, source: str, *more: str) -> str:
        host, port = self.ready["dns"][0].rsplit(":", 1)
        command = ["dig", f"@{host}", "-p", port, "-b", source, name, "+tries=1", "+time=6", *more]
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout

    def resolves(self, name: str, source: str) -> str:
        """ "page" where the block page is, "open" where the little internet is, else the status."""
        said = self.dig(name, source)
        if "status: NOERROR" not in said:
            return said.partition("status: ")[2].partition(",")[0]
        return "blocked" if "EDE: 17" in said or "EDE: 15" in said else "open"

    @property
    def trusted(self) -> Path:
        """What a pupil's device trusts: the box's authority, and the little internet's, for what passes through unopened."""
        both = self.data / "trusted.pem"
        if not both.exists():
            both.write_bytes(Path(self.ca).read_bytes() + Path(self.internet.ca).read_bytes())
        return both

    def curl(self, url: str, source: str | None = None, *more: str, proxy: str | None = None) -> tuple[int, str]:
        """Status and body of a page fetched through the proxy from a source address, trusting the box's authority."""
        command = [
            "curl",
            "-s",
            "--max-time",
            "20",
            "--cacert",
            str(self.trusted),
            "-H",
            "Accept: text/html",
            "-w",
            "\n%{http_code}",
        ]
        if source:
            command += ["--interface", source]
        command += ["-x", f"http://{proxy or self.ready['proxy'][0]}", *more, url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        body, _, status = done.stdout.rpartition("\n")
        return int(status or 0), body

    def http(self, host: str, path: str = "/") -> str:
        return f"http://{host}:{self.internet.http_port}{path}"

    def https(self, host: str, path: str = "/") -> str:
        return f"https://{host}:{self.internet.https_port}{path}"

    def run(self, *words: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [SCHOOLGATE, *words, "--data", str(self.data)], capture_output=True, text=True, timeout=120, check=False
        )

    def account(self, username: str) -> dict:
        accounts = yaml.safe_load((self.data / "demo-accounts.yaml").read_text())
        return next(account for account in accounts if account["username"] == username)

    def code(self, username: str) -> str:
        return pyotp.TOTP(self.account(username)["totp_secret"]).now()

    def desk(self, username: str) -> "Desk":
        client = httpx2.Client(base_url=self.ready["admin"], verify=ssl.create_default_context(cafile=self.ca), timeout=30)
        self.clients.append(client)
        account = self.account(username)
        said = client.post(
            "/api/v1/session", json={"username": username, "password": account["password"], "totp": self.code(username)}
        )
        assert said.status_code == 201, said.text
        return Desk(self, username, client)


@dataclass
class Desk:
    """One person signed in at the desk's JSON interface."""

    box: Box
    username: str
    client: httpx2.Client

    def get(self, path: str, **query) -> dict:
        said = self.client.get(f"/api/v1{path}", params=query)
        assert said.status_code == 200, said.text
        return said.json()

    def post(self, path: str, **body) -> httpx2.Response:
        return self.client.post(f"/api/v1{path}", json=body)

    def ask(self, school: str, **change) -> dict:
        said = self.post("/changes", school=school, reason="for a lesson", **change)
        assert said.status_code == 201, said.text
        return said.json()

    def act(self, act: str, change: dict) -> httpx2.Response:
        return self.post(f"/changes/{change['id']}/{act}", digest=change["digest"], totp=self.box.code(self.username))


def start(data: Path, internet: Internet, **environment: str) -> Box:
    """`schoolgate up --demo` on free ports, once everything answers. A data folder that is there is taken as it is."""
    if not data.exists():
        shutil.copytree(internet.founded, data)
    log = data.with_suffix(".log")
    env = {  # what is given last wins
        **os.environ,
        "SCHOOLGATE_DNS_LISTEN": "127.0.0.1:0",
        "SCHOOLGATE_DOT_LISTEN": "127.0.0.1:0",
        "SCHOOLGATE_DOH_LISTEN": "127.0.0.1:0",
        "SCHOOLGATE_PROXY_LISTEN": "127.0.0.1:0",
        "SCHOOLGATE_PROXY_TLS_LISTEN": "127.0.0.1:0",
        "SCHOOLGATE_ADMIN_LISTEN": "127.0.0.1:0",
        "SCHOOLGATE_DNS_UPSTREAMS": f"127.0.0.1:{internet.dns_port}",
        "SCHOOLGATE_PROXY_UPSTREAM_CA": str(internet.ca),
        "SCHOOLGATE_DEMO_INNER_NETWORKS": "127.0.0.0/8",
        **environment,
    }
    with log.open("ab") as out:
        process = subprocess.Popen([SCHOOLGATE, "up", "--demo", "--data", str(data)], env=env, stdout=out, stderr=out)

    def is_up() -> bool:
        assert process.poll() is None, log.read_text()[-3000:]
        return (data / "run" / "ready.json").exists()

    until(is_up, 90, f"the demonstration is up; {log}")
    return Box(data, process, internet, log)


def stop(box: Box) -> float:
    """Stop a box as Ctrl-C does; how many seconds that took."""
    for client in box.clients:
        client.close()
    began = time.monotonic()
    if box.process.poll() is None:
        box.process.send_signal(signal.SIGINT)
        try:
            box.process.wait(10)
        except subprocess.TimeoutExpired:
            box.process.kill()
            box.process.wait(10)
    return time.monotonic() - began


@contextmanager
def running(data: Path, internet: Internet, **environment: str) -> Iterator[Box]:
    box = start(data, internet, **environment)
    try:
        yield box
    finally:
        stop(box)


@pytest.fixture(scope="session")
def posted(mail_certificate, mail_server):
    """The mail server that takes the shared box's e-mail."""
    made = mail_server(mail_certificate)
    yield made
    made.close()


@pytest.fixture(scope="session")
def siem(mail_certificate, syslog_server):
    """The syslog server that gets the shared box's log over TLS."""
    made = syslog_server(mail_certificate)
    yield made
    made.close()


@pytest.fixture(scope="session")
def box(tmp_path_factory, internet, mail_certificate, posted, siem) -> Iterator[Box]:
    """One box for all stories that leave it as it was; its e-mail and its log go to servers of ours."""
    data = tmp_path_factory.mktemp("box") / "data"
    data.mkdir()
    (data / "password").touch(0o600)
    (data / "password").write_text("pass word\n")
    (data / "schoolgate.yaml").write_text(
        f"mail: {{server: '127.0.0.1:{posted.port}', from: 'Schoolgate <filter@school.example>', user: filter,"
        f" password_file: {data / 'password'}, ca: {mail_certificate}}}\n"
        f"log_to:\n  siem: {{syslog: 'tls://127.0.0.1:{siem.port}', ca: {mail_certificate}}}\n"
    )
    with running(data, internet) as made:
        yield made


@pytest.fixture
def own_box(tmp_path, internet) -> Iterator[Box]:
    """A box for one story that harms it."""
    with running(tmp_path / "data", internet) as made:
        yield made
