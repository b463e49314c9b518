"""The proxy reached by TLS: the same answers as on the plain listener, by HTTP/1.1 and by HTTP/2."""

import contextlib
import re
import shutil
import socket
import ssl
import threading
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from policy.event import Kind
from proxy.ca import KEY_FILE, ensure_ca

from .conftest import School, sign
from .h2_client import Client
from .test_listeners import header
from .test_real_clients import EXPECTED, chromium, lively, visited  # noqa: F401 - a fixture


def own_certificate(folder):
    """For localhost, by the filter's own authority."""
    ensure_ca(folder, "x")
    pem = (folder / KEY_FILE).read_bytes()
    ca, key = x509.load_pem_x509_certificate(pem), ec.generate_private_key(ec.SECP256R1())
    (name,) = ca.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    made = sign(key, "localhost", load_pem_private_key(pem, None), name.value, ("localhost",))
    certificate, private = folder / "secure.pem", folder / "secure-key.pem"
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate, private


@pytest.fixture(scope="module")
def behind(internet, make_worker, make_settings):
    settings = make_settings(internet.folder / "conf", internet.ca.path, {"ks1": 0})
    secure = tuple((name, "127.0.0.1", 0) for name in ("ks3", "staff"))
    made = make_worker(replace(settings, secure=secure, secure_certificate=own_certificate(settings.confdir)))
    yield made
    made.close()


@pytest.fixture
def secure(internet, behind):
    for site in (internet.http, internet.https):
        site.seen.clear()
    behind.events.clear()
    yield School(internet, behind)
    behind.live.broken = False


@pytest.fixture
def client(secure):
    with Client(secure.proxy("ks3"), secure.ca) as made:
        yield made


def ports(secure, text):
    return text.format(http=secure.internet.http.port, https=secure.internet.https.port)


TOKENS = re.compile(rb'name="token" value="[^"]*"')  # they hold the time


def plainly(secure, name, data):
    """A request by HTTP/1.1 under TLS, and the whole answer."""
    context = ssl.create_default_context(cafile=secure.ca)
    with (
        socket.create_connection(secure.proxy(name), timeout=20) as sock,
        context.wrap_socket(sock, server_hostname="localhost") as tls,
    ):
        tls.sendall(data)
        return read_answer(tls.recv)


def read_answer(recv):
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while b"\r\n\r\n" not in got and (more := recv(65536)):
            got += more
        head, _, body = got.partition(b"\r\n\r\n")
        length = [int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
        while len(body) < sum(length) and (more := recv(65536)):
            body += more
    return int(head.split(b" ")[1]) if head else 0, TOKENS.sub(b"", body)


def told(events):
    return [(each.kind, each.host, each.action, each.reason, each.outcome) for each in events]


def same(secure, school, written, fields, *, end):
    """The answer that a request gets by all three ways, which is one."""
    secure.events.clear()
    with socket.create_connection(school.proxy("ks3"), timeout=20) as sock:
        sock.sendall(written)
        plain = read_answer(sock.recv)
    said = told(school.events)
    assert plainly(secure, "ks3", written) == plain
    assert told(secure.events) == said
    secure.events.clear()
    with Client(secure.proxy("ks3"), secure.ca, validate=False) as client:
        stream = client.ask(fields, end=end)
        client.until(lambda: stream.ended or stream.reset is not None or (not end and stream.status == 200))
    assert (stream.status, TOKENS.sub(b"", stream.body)) == plain
    assert told(secure.events) == said
    return plain


TUNNELS = [
    ("allowed.test:{https}", 200), ("games.test:443", 200), ("inner.test:443", 200), ("nowhere.test:443", 200),
    ("inner.test:8443", 403), ("10.0.0.5:22", 403),
    ("user@allowed.test:443", 400), ("allowed.test", 400), ("allowed.test:99999", 400), ("allowed.test:", 400),
    (":443", 400), ("allowed.test:443:443", 400), ("%61llowed.test:443", 400), ("al lowed.test:443", 400),
    ("allowed.test/:443", 400), ("allowed.test\\:443", 400), ("[::1%25lo]:443", 400), ("http://allowed.test:443", 400),
    ("\xe5llowed.test:443", 400), ("allowed_\x7f.test:443", 400), ("0x7f.1:443", 200), ("a..test:443", 403),
]  # fmt: skip


@pytest.mark.parametrize(("target", "status"), TUNNELS)
def test_a_tunnel_is_asked_for(secure, school, target, status):
    target = ports(secure, target)
    written = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode("latin-1")
    got = same(secure, school, written, [(":method", "CONNECT"), (":authority", target)], end=False)
    assert got[0] == status
    assert not secure.seen()


PAGES = [
    ("http://allowed.test:{http}/", 200, b"hello from allowed.test"),
    ("http://games.test:{http}/", 403, b"This site is blocked: Games."),
    ("http://mixed.test:{http}/lesson", 200, b"hello from mixed.test"),
    ("http://mixed.test:{http}/", 403, b"This site is blocked"),
    ("https://games.test:{https}/", 403, b"This site is blocked: Games."),
    ("http://user@allowed.test:{http}/", 400, b""),
    ("http://allowed.test:25/", 403, b"It is not a web address"),
    ("http://inner.test/", 502, b""),
    ("http://g%61mes.test:{http}/", 400, b""),
    ("http://games.test.:{http}/", 403, b"This site is blocked: Games."),
    ("http://allowed.test:{http}/../shut", 403, b"This site is blocked"),
    ("http://schoolgate.internal/", 200, b"school filter"),
]


@pytest.mark.parametrize(("url", "status", "words"), PAGES)
def test_a_plain_page(secure, school, url, status, words):
    url = ports(secure, url)
    scheme, _, rest = url.partition("://")
    place, _, path = rest.partition("/")
    written = f"GET {url} HTTP/1.1\r\nHost: {place}\r\nAccept: text/html\r\n\r\n".encode()
    fields = [(":method", "GET"), (":scheme", scheme), (":authority", place), (":path", f"/{path}"), ("accept", "text/html")]
    got = same(secure, school, written, fields, end=True)
    assert (got[0], words in got[1]) == (status, True)
    assert {each.headers["host"].partition(":")[0] for each in secure.seen()} <= {"allowed.test", "mixed.test"}


def test_a_tunnel_that_is_opened(secure, client):
    place = ports(secure, "allowed.test:{https}")
    inside = client.inside(client.connect(place), "allowed.test", secure.both)
    assert inside.issuer.startswith("Schoolgate")
    assert inside.get(place)[1] == f"hello from {place}".encode()
    assert secure.events[-1].kind is Kind.RESOURCE


def test_a_tunnel_that_passes_through(secure, client):
    place = ports(secure, "bank.test:{https}")
    inside = client.inside(client.connect(place), "bank.test", secure.both)
    assert inside.issuer == "internet-ca"
    assert inside.get(place)[1] == f"hello from {place}".encode()
    assert [(each.kind, each.host, each.address) for each in secure.events] == [(Kind.CONNECTION, "bank.test", "127.0.0.1")]


def test_chromium(secure, lively, tmp_path):
    """A page with a WebSocket, a stream of events and a fetch from a blocked site, all of it by one connection of HTTP/2."""
    host, port = secure.proxy("ks3")
    *command, _, url = chromium(secure, tmp_path, f"https://allowed.test:{lively.port}/page")
    log = tmp_path / "net.json"
    command += [f"--proxy-server=https://localhost:{port}", f"--log-net-log={log}", url]
    assert host == "127.0.0.1"
    _, said = visited(secure, lively, tmp_path, command)
    assert said == EXPECTED
    shutil.copy(log, "/tmp/net.json")
