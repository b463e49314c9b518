"""The proxy reached by TLS: the same answers as on the plain listener, by HTTP/1.1 and by HTTP/2."""

import contextlib
import re
import shutil
import socket
import ssl
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from h2.errors import ErrorCodes

from policy.decide import Reason
from policy.event import Kind
from policy.rules import Action, SiteRule
from proxy.ca import KEY_FILE, ensure_ca

from . import test_real_clients as real
from .conftest import School, sign
from .h2_client import Client
from .test_listeners import header

lively = real.lively  # a fixture


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
    behind.live.broken = behind.record_fails = False


@pytest.fixture
def client(secure):
    with Client(secure.proxy("ks3"), secure.ca) as made:
        yield made


def ports(secure, text):
    return text.format(http=secure.internet.http.port, https=secure.internet.https.port)


TOKENS = re.compile(  # they hold the time, and a school that others test at may have refused parts of the same page before
    rb'name="token" value="[^"]*"|<p class="quiet">Its pages also wanted.*?</p>'
)


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


@pytest.mark.parametrize("host", ["allowed.test", "bank.test"], ids=["opened", "passed through"])
def test_fifty_streams_at_once(secure, client, host):
    place = ports(secure, host + ":{https}")
    tunnels = [client.ask([(":method", "CONNECT"), (":authority", place)], end=False) for _ in range(50)]
    client.until(lambda: all(each.status for each in tunnels))
    assert {each.status for each in tunnels} == {200}
    inside = [client.inside(each, host, secure.both) for each in tunnels]
    for each in inside:
        each.say(f"GET / HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\r\n".encode())
    assert [each.whole()[1] for each in inside] == [f"hello from {place}".encode()] * 50
    assert len(secure.seen()) == 50


@pytest.mark.parametrize("url", ["http://allowed.test:{http}", "https://allowed.test:{https}", "https://bank.test:{https}"])
def test_a_big_download_and_a_big_upload(secure, client, url):
    size, place = 1_000_000, ports(secure, url).partition("://")[2]
    if url.startswith("http:"):
        got = client.get(ports(secure, url) + f"/big/{size}")
        assert got.body == b"x" * size
        head = [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", place),
            (":path", "/"),
            ("content-length", str(size)),
        ]
        stream = client.ask(head, end=False)
        client.send(stream, b"y" * size, end=True)
        client.until(lambda: stream.ended)
        assert stream.body == str(size).encode()
        return
    host = place.partition(":")[0]
    inside = client.inside(client.connect(place), host, secure.both)
    assert inside.get(place, f"/big/{size}")[1] == b"x" * size
    inside.say(f"POST / HTTP/1.1\r\nHost: {place}\r\nContent-Length: {size}\r\n\r\n".encode())
    for _ in range(size // 500_000):
        inside.say(b"y" * 500_000)
    assert inside.whole()[1] == str(size).encode()


@pytest.mark.parametrize("host", ["allowed.test", "bank.test"], ids=["opened", "passed through"])
def test_who_does_not_read_holds_up_nobody_and_is_not_read_for(secure, host):
    """A window that stays shut: what is ours of it is bounded, and the next stream of the same connection is served."""
    place = ports(secure, host + ":{https}")
    with Client(secure.proxy("ks3"), secure.ca) as client:
        slow = client.inside(client.connect(place), host, secure.both)
        client.reads = False
        slow.say(f"GET /big/50000000 HTTP/1.1\r\nHost: {place}\r\n\r\n".encode())
        window = client.said.remote_flow_control_window(slow.stream.id)
        client.until(lambda: client.said.remote_flow_control_window(slow.stream.id) <= 0)
        assert len(slow.stream.body) <= window
        client.said.increment_flow_control_window(1_000_000)  # the connection's
        client.flush()
        assert client.get(ports(secure, "http://allowed.test:{http}/")).status == 200
        client.said.reset_stream(slow.stream.id)
        client.flush()
        assert client.get(ports(secure, "http://allowed.test:{http}/")).status == 200


def test_a_site_that_does_not_read_holds_up_the_client(secure, client):
    with socket.create_server(("127.0.0.1", 0)) as site:
        port = site.getsockname()[1]
        stream = client.connect(f"bank.test:{port}")
        client.send(stream, hello("bank.test"))
        conn, _ = site.accept()
        with conn:
            sent = 0
            client.sock.settimeout(0.5)
            with contextlib.suppress(TimeoutError):
                while sent < 50_000_000:
                    client.send(stream, b"z" * 65_536)
                    sent += 65_536
            assert sent < 50_000_000
            client.sock.settimeout(20)
            assert client.get(ports(secure, "http://allowed.test:{http}/")).status == 200


def test_each_side_of_a_tunnel_ends_for_itself(secure, client):
    with socket.create_server(("127.0.0.1", 0)) as site:
        port = site.getsockname()[1]
        stream = client.connect(f"bank.test:{port}")
        client.send(stream, hello("bank.test"), end=True)
        conn, _ = site.accept()
        with conn:
            got = b""
            while more := conn.recv(65536):  # all that the client said, and that it has said all
                got += more
            assert got[0] == 0x16
            conn.sendall(b"bye")
        client.until(lambda: stream.ended)
        assert (stream.body, stream.reset) == (b"bye", None)


def test_an_answer_before_the_question_is_whole(secure, client):
    """A refusal of a large upload: the answer is whole, and the rest of the upload is not wanted."""
    place = ports(secure, "games.test:{http}")
    head = [(":method", "POST"), (":scheme", "http"), (":authority", place), (":path", "/"), ("content-length", "20000")]
    stream = client.ask(head, end=False)
    client.send(stream, b"y" * 20_000, end=True)
    client.until(lambda: stream.ended)
    assert (stream.status, stream.reset) == (403, None)
    stream = client.ask([(":method", "CONNECT"), (":authority", "a.test:99999")], end=False)
    client.until(lambda: stream.reset is not None)
    assert (stream.status, stream.ended, stream.reset) == (400, True, 0)
    assert not secure.seen()


class Broken:
    def __getattr__(self, name):
        raise RuntimeError(f"{name}: broken for a test")


@pytest.mark.parametrize("broken", ["policy", "index"])
def test_what_cannot_be_decided_goes_nowhere(secure, client, broken):
    secure.live.broken = broken == "policy"
    made = secure.build()
    known = replace(made.dictionaries["d"], index=Broken())
    secure.live.kept = replace(made, dictionaries={"d": known}, _profiles={})
    try:
        for host in ("allowed.test", "bank.test", "games.test"):
            stream = client.connect(ports(secure, host + ":{https}"))
            assert (stream.status, stream.reset) == ((0, ErrorCodes.CONNECT_ERROR) if broken == "policy" else (403, None))
            page = client.get(ports(secure, f"http://{host}:{{http}}/"))
            assert page.status == (0 if broken == "policy" else 403)
    finally:
        secure.live.kept = secure.build()
    assert not secure.seen()
    assert {event.reason for event in secure.events} == {Reason.ERROR}


def test_a_full_spool_stops_nobody_and_lets_nobody_past(secure, client):
    secure.worker.record_fails = True
    assert client.get(ports(secure, "http://allowed.test:{http}/")).status == 200
    assert client.get(ports(secure, "http://games.test:{http}/")).status == 403
    assert len(secure.seen()) == 1


def test_what_policy_ends_breaks_off(secure, client):
    place = ports(secure, "bank.test:{https}")
    inside = client.inside(client.connect(place), "bank.test", secure.both)
    assert inside.get(place)[1]
    secure.live.kept = secure.build(SiteRule("r-new", "bank.test", Action.BLOCK, 20))
    try:
        client.until(lambda: inside.stream.reset is not None)
    finally:
        secure.live.kept = secure.build()
    assert (inside.stream.reset, inside.stream.ended) == (ErrorCodes.CONNECT_ERROR, False)
    assert client.get(ports(secure, "http://allowed.test:{http}/")).status == 200  # the others go on


def test_what_policy_ends_under_http1_looks_like_no_end(secure):
    place = ports(secure, "bank.test:{https}")
    context = ssl.create_default_context(cafile=secure.ca)
    with (
        socket.create_connection(secure.proxy("ks3"), timeout=20) as sock,
        context.wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=False) as tls,
    ):
        tls.sendall(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n".encode() + hello("bank.test"))
        while b"\x16" not in tls.recv(65536):
            pass
        secure.live.kept = secure.build(SiteRule("r-new", "bank.test", Action.BLOCK, 20))
        try:
            with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
                to_the_end(tls)
        finally:
            secure.live.kept = secure.build()


def to_the_end(sock):
    while sock.recv(65536):
        pass


def hello(host):
    """A site's greeting, as bytes."""
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), greeting := ssl.MemoryBIO(), server_hostname=host)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return greeting.read()


def test_a_malformed_stream_is_refused_alone(secure):
    with Client(secure.proxy("ks3"), secure.ca, validate=False) as client:
        place = ports(secure, "allowed.test:{http}")
        fine = [(":method", "GET"), (":scheme", "http"), (":authority", place), (":path", "/")]
        for more in ([("host", "games.test")], [("connection", "close")], [("transfer-encoding", "chunked")]):
            assert client.answer([*fine, *more]).status == 400
        extended = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":authority", "allowed.test")]
        assert client.answer([*extended, (":path", "/")], end=False).status == 400
        assert [each.outcome for each in secure.events] == ["odd", "odd", "odd", "protocol"]
        assert not secure.seen()
        assert client.answer(fine).status == 200


def test_informing_answers_pass(secure, client):
    place = ports(secure, "allowed.test:{http}")
    head = [(":method", "POST"), (":scheme", "http"), (":authority", place), (":path", "/"), ("expect", "100-continue")]
    stream = client.ask([*head, ("content-length", "3")], end=False)
    client.until(lambda: stream.informed)
    client.send(stream, b"abc", end=True)
    client.until(lambda: stream.ended)
    assert (stream.informed, stream.body) == (["100"], b"3")


def test_behind_a_balancer(internet, make_worker, make_settings):
    settings = make_settings(internet.folder / "conf", internet.ca.path, {"ks1": 0})
    secure = (("ks3", "127.0.0.1", 0),)
    certificate = own_certificate(settings.confdir)
    worker = make_worker(replace(settings, secure=secure, secure_certificate=certificate, balancers=("127.0.0.0/28",)))
    try:
        address = School(internet, worker).proxy("ks3")
        ca = settings.confdir / "schoolgate-ca.pem"
        with Client(address, ca, before=header("127.9.9.9")) as client:
            assert client.get(f"http://allowed.test:{internet.http.port}/").status == 200
        assert [each.address for each in worker.events] == ["127.9.9.9"]
        for before, source in ((b"", "127.0.0.1"), (header("8.8.8.8"), "127.0.0.1"), (header("127.9.9.9"), "127.0.0.99")):
            with pytest.raises(OSError):
                Client(address, ca, before=before, source=source)
        gone = Client(address, ca, before=header("127.9.9.9"))
        gone.until(lambda: gone.said.remote_settings.max_concurrent_streams == 250)
    finally:
        worker.close()
    gone.until(lambda: gone.goodbye is not None)
    assert gone.goodbye == ErrorCodes.NO_ERROR
    gone.sock.close()


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100, b"\x16\3\1\0\4\1\0\0\0"])
def test_who_greets_by_no_tls_is_let_go(secure, data):
    got = secure.say("ks3", data)
    assert b" 200 " not in got
    assert not secure.seen()


def test_the_plain_way_under_tls_is_kept_open_and_reads_as_it_sends(secure):
    """Several requests by one connection of HTTP/1.1, one of them large and read late."""
    context = ssl.create_default_context(cafile=secure.ca)
    place = ports(secure, "allowed.test:{http}")
    with (
        socket.create_connection(secure.proxy("ks3"), timeout=20) as sock,
        context.wrap_socket(sock, server_hostname="localhost") as tls,
    ):
        for path, size in (("/", 0), ("/big/1000000", 1_000_000), ("/", 0)):
            tls.sendall(f"GET http://{place}{path} HTTP/1.1\r\nHost: {place}\r\n\r\n".encode())
            status, body = read_answer(tls.recv)
            assert (status, len(body)) == (200, size or len(f"hello from {place}"))


def test_the_file_that_tells_devices(secure, internet, make_worker, make_settings):
    """By TLS first where the same rules hold there, and then as before; by its address, or by the name in the certificate."""
    settings = make_settings(internet.folder / "conf", internet.ca.path, {"ks1": 0})
    assert secure.browse("ks1", "http://schoolgate.internal/proxy.pac").text.count("HTTPS") == 0
    host, port = secure.proxy("ks3")
    with Client((host, port), secure.ca) as client:
        said = client.get("http://schoolgate.internal/proxy.pac").body.decode()
    plain = ":".join(map(str, secure.proxy("ks1")))
    assert f'return "HTTPS {host}:{port}; PROXY {plain}";' in said
    assert settings


def test_chromium(secure, lively, tmp_path):
    """A page with a WebSocket, a stream of events and a fetch from a blocked site, all of it by one connection of HTTP/2."""
    host, port = secure.proxy("ks3")
    *command, _, url = real.chromium(secure, tmp_path, f"https://allowed.test:{lively.port}/page")
    log = tmp_path / "net.json"
    command += [f"--proxy-server=https://localhost:{port}", f"--log-net-log={log}", url]
    assert host == "127.0.0.1"
    _, said = real.visited(secure, lively, tmp_path, command)
    assert said == real.EXPECTED
    spoken = f'"host":"localhost:{port}","proxy":"[direct://]"'  # of a session of HTTP/2
    assert spoken in log.read_text(errors="replace")
    shutil.rmtree(tmp_path, ignore_errors=True)
