"""Nothing gets past by being odd. One table: what is sent, and that no site saw what should not have been seen.

Every row is sent twice, to the proxy as it is and inside a tunnel. The origin counts. `/smuggled` must never be seen by it:
in each row it stands where only a reader who disagrees with us would find a request. `games.test` is blocked for everyone
who asks here, so a page of it seen at the origin is a way round.
"""

import contextlib
import socket
import threading
import time

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: games.test\r\nX: "
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def post(fields, body):
    return b"POST / HTTP/1.1\r\nHost: allowed.test\r\n" + fields + b"\r\n" + body


SMUGGLING = {
    "CL.TE": post(b"Content-Length: 60\r\n" + CHUNKED, b"0\r\n\r\n" + SMUGGLED),
    "TE.CL": post(CHUNKED + b"Content-Length: 4\r\n", b"5c\r\n" + SMUGGLED + b"\r\n0\r\n\r\n"),
    "TE.TE two": post(CHUNKED + CHUNKED, b"0\r\n\r\n" + SMUGGLED),
    "TE.TE identity": post(CHUNKED + b"Transfer-Encoding: identity\r\n", b"0\r\n\r\n" + SMUGGLED),
    "TE of another name": post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    "TE with a space before the colon": post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    "TE with a vertical tab": post(b"Transfer-Encoding:\x0bchunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    "TE after a folded line": post(b"X: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n" + SMUGGLED),
    "TE quoted": post(b'Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n" + SMUGGLED),
    "TE not last": post(b"Transfer-Encoding: chunked, gzip\r\n", b"0\r\n\r\n" + SMUGGLED),
    "TE in HTTP/1.0": post(CHUNKED, b"0\r\n\r\n" + SMUGGLED).replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    "two lengths": post(b"Content-Length: 5\r\nContent-Length: 60\r\n", b"hello" + SMUGGLED),
    "a list of lengths": post(b"Content-Length: 5, 60\r\n", b"hello" + SMUGGLED),
    "a signed length": post(b"Content-Length: +5\r\n", b"hello" + SMUGGLED),
    "a negative length": post(b"Content-Length: -1\r\n", b"hello" + SMUGGLED),
    "a length in hex": post(b"Content-Length: 0x5\r\n", b"hello" + SMUGGLED),
    "a length with underscore": post(b"Content-Length: 6_0\r\n", b"hello" + SMUGGLED),
    "a length of other digits": post("Content-Length: \u0665\r\n".encode(), b"hello" + SMUGGLED),
    "a chunk length that is none": post(CHUNKED, b"0x5\r\nhello\r\n0\r\n\r\n" + SMUGGLED),
    "a chunk that is too long": post(CHUNKED, b"5\r\nhello!!\r\n0\r\n\r\n" + SMUGGLED),
    "a chunk length that overflows": post(CHUNKED, b"ffffffffffffffffffffffff1\r\nx\r\n0\r\n\r\n" + SMUGGLED),
    "a line feed in a field": post(b"X: a\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"hello" + SMUGGLED),
    "a carriage return in a field": post(b"X: a\rGET /smuggled HTTP/1.1\r\nContent-Length: 0\r\n", b""),
    "a NUL in a field": post(b"X: a\0b\r\nContent-Length: 5\r\n", b"hello" + SMUGGLED),
    "a field without a name": post(b": x\r\nContent-Length: 5\r\n", b"hello" + SMUGGLED),
    "a field without a colon": post(b"Transfer-Encoding chunked\r\nContent-Length: 5\r\n", b"hello" + SMUGGLED),
    "a body with GET": b"GET / HTTP/1.1\r\nHost: allowed.test\r\nContent-Length: 0\r\nContent-Length: 60\r\n\r\n" + SMUGGLED,
}
NAMES = {
    "absolute-form against Host": b"GET http://allowed.test:{port}/ HTTP/1.1\r\nHost: games.test\r\n\r\n",
    "absolute-form of the other": b"GET http://games.test:{port}/ HTTP/1.1\r\nHost: allowed.test\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\nHost: allowed.test\r\nHost: games.test\r\n\r\n",
    "two Hosts in one": b"GET / HTTP/1.1\r\nHost: allowed.test, games.test\r\n\r\n",
    "userinfo in Host": b"GET / HTTP/1.1\r\nHost: allowed.test@games.test\r\n\r\n",
    "userinfo in the URL": b"GET http://allowed.test@games.test:{port}/ HTTP/1.1\r\nHost: games.test\r\n\r\n",
    "a backslash": b"GET http://allowed.test:{port}\\@games.test/ HTTP/1.1\r\nHost: allowed.test\r\n\r\n",
    "a percent-encoded host": b"GET http://g%61mes.test:{port}/ HTTP/1.1\r\nHost: g%61mes.test\r\n\r\n",
    "a percent-encoded dot": b"GET http://games%2etest:{port}/ HTTP/1.1\r\nHost: games%2etest\r\n\r\n",
    "a full-width host": "GET http://ｇａｍｅｓ.test:{port}/ HTTP/1.1\r\nHost: ｇａｍｅｓ.test\r\n\r\n".encode(),
    "an ideographic dot": "GET http://games。test:{port}/ HTTP/1.1\r\nHost: games。test\r\n\r\n".encode(),
    "a soft hyphen": "GET http://ga\u00admes.test:{port}/ HTTP/1.1\r\nHost: ga\u00admes.test\r\n\r\n".encode(),
    "a trailing dot": b"GET http://games.test.:{port}/ HTTP/1.1\r\nHost: games.test.\r\n\r\n",
    "capitals": b"GET http://GAMES.test:{port}/ HTTP/1.1\r\nHost: GAMES.test\r\n\r\n",
    "X-Forwarded-Host": b"GET http://games.test:{port}/ HTTP/1.1\r\nHost: games.test\r\nX-Forwarded-Host: allowed.test\r\n\r\n",
    "a scheme that is none": b"GET file:///etc/passwd HTTP/1.1\r\nHost: games.test\r\n\r\n",
    "an empty host": b"GET http:///x HTTP/1.1\r\nHost:\r\n\r\n",
    "a path of //games.test/": b"GET //games.test/ HTTP/1.1\r\nHost: games.test\r\n\r\n",
    "HTTP/0.9": b"GET http://games.test:{port}/\r\n\r\n",
    "HTTP/3.0": b"GET http://games.test:{port}/ HTTP/3.0\r\nHost: games.test\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TRACE": b"TRACE http://games.test:{port}/ HTTP/1.1\r\nHost: games.test\r\n\r\n",
    "an asterisk": b"OPTIONS * HTTP/1.1\r\nHost: games.test\r\n\r\n",
    "a method with a space": b"GET  http://games.test:{port}/ HTTP/1.1\r\nHost: games.test\r\n\r\n",
    "upgrade to h2c": b"GET http://games.test:{port}/ HTTP/1.1\r\nHost: games.test\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
}
ADDRESSES = (  # every spelling of 127.0.0.1, where r-ip blocks it, and of what lies inside
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "127.0.0.1.", "[::1]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::10.0.0.5]",
    "[fe80::1%25lo]", "[fe80::1%lo]", "0", "0.0.0.0", "[::]", "127.000.000.001", "１２７.0.0.1", "10.0.0.5", "169.254.169.254",
    "[2002:7f00:1::]", "127.0.0.2", "127-0-0-1.nip.io",
)  # fmt: skip


def everything(sock) -> bytes:
    """All that is answered until the other side ends or has nothing more to say."""
    got = b""
    with contextlib.suppress(OSError):
        sock.settimeout(0.2)
        while more := sock.recv(65536):
            got += more
    return got


def check(school):
    seen = [(each.method, each.path, each.headers.get("host", "")) for each in school.seen()]
    assert not [one for one in seen if "smuggled" in one[1] or "games" in one[2] or one[0] == "CONNECT"], seen
    assert len(seen) <= 1, seen


@pytest.mark.parametrize("row", SMUGGLING.values(), ids=SMUGGLING)
@pytest.mark.parametrize("way", ["plain", "tunnel"])
def test_a_request_hidden_in_another_is_never_seen(school, row, way):
    if way == "plain":
        row = row.replace(b"POST / ", b"POST http://allowed.test:%d/ " % school.internet.http.port)
        row = row.replace(b"GET / ", b"GET http://allowed.test:%d/ " % school.internet.http.port)
        with socket.create_connection(school.proxy("ks3"), timeout=10) as sock:
            sock.sendall(row + b"x" * 40 + b"\r\n\r\n")
            everything(sock)
    else:
        with school.tunnel("ks3", f"allowed.test:{school.internet.https.port}", "allowed.test") as sock:
            sock.sendall(row + b"x" * 40 + b"\r\n\r\n")
            everything(sock)
    check(school)


@pytest.mark.parametrize("row", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("way", ["plain", "tunnel"])
def test_no_other_name_leads_to_a_blocked_site(school, row, way):
    row = row.replace(b"{port}", b"%d" % school.internet.http.port)
    if way == "plain":
        with socket.create_connection(school.proxy("ks3"), timeout=10) as sock:
            sock.sendall(row)
            got = everything(sock)
    else:
        with school.tunnel("ks3", f"allowed.test:{school.internet.https.port}", "allowed.test") as sock:
            sock.sendall(row)
            got = everything(sock)
    assert b" 200 " not in got.partition(b"\r\n")[0]
    assert not school.seen()


@pytest.mark.parametrize("host", ADDRESSES)
def test_no_spelling_of_an_address_leads_inside(school, host):
    for port in (school.internet.box.port, school.internet.http.port):
        got = school.say("ks3", f"GET http://{host}:{port}/ HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        assert got.split(b" ")[1] in {b"400", b"403", b"502"}
        got = school.say("ks3", f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        if b" 200 " in got.partition(b"\r\n")[0]:  # a tunnel to a blocked name opens, for its block page
            continue
    assert not school.seen()


@pytest.mark.parametrize("port", [0, 22, 25, 53, 80, 445, 3306, 8080, 65535])
def test_a_tunnel_goes_to_no_other_port(school, port):
    got = school.say("ks3", f"CONNECT box.test:{port} HTTP/1.1\r\nHost: box.test:{port}\r\n\r\n".encode())
    assert got.split(b" ")[1] in {b"400", b"403"}


def test_the_box_itself_is_not_reached_through_itself(school):
    host, port = school.proxy("ks3")
    got = school.say("ks3", f"GET http://{host}:{port}/ HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    assert b"X-Schoolgate: answered" in got, "our own page, and nothing behind it"
    assert not school.seen()


@pytest.mark.parametrize("way", ["plain", "tunnel"])
def test_a_head_that_does_not_end_is_cut(school, way):
    def pour(sock):
        with contextlib.suppress(OSError):
            sock.sendall(b"GET http://allowed.test/ HTTP/1.1\r\nHost: allowed.test\r\n")
            for n in range(4000):
                sock.sendall(b"X-%d: " % n + b"y" * 1000 + b"\r\n")
            return False
        return True

    if way == "plain":
        with socket.create_connection(school.proxy("ks3"), timeout=10) as sock:
            cut = pour(sock) or b" 431 " in everything(sock)
    else:
        with school.tunnel("ks3", f"allowed.test:{school.internet.https.port}", "allowed.test") as sock:
            cut = pour(sock) or b" 431 " in everything(sock)
    assert cut
    assert not school.seen()


def test_a_greeting_that_does_not_end_is_cut(school):
    with socket.create_connection(school.proxy("ks3"), timeout=10) as sock:
        sock.sendall(b"CONNECT allowed.test:443 HTTP/1.1\r\n\r\n")
        sock.recv(4096)
        with contextlib.suppress(OSError):
            sock.sendall(b"\x16\3\1\x40\0\1\0\xff\xff" + bytes(16_379))
            for _ in range(40):
                sock.sendall(b"\x16\3\1\x40\0" + bytes(16_384))
        assert everything(sock)[:4] in (b"", b"HTTP")
    assert not school.seen()


def test_a_slow_upload_is_carried_on_and_a_slow_refused_one_is_answered(school):
    port = school.internet.http.port
    for host, status in (("allowed.test", b"200"), ("games.test", b"403")):
        with socket.create_connection(school.proxy("ks3"), timeout=10) as sock:
            sock.sendall(f"POST http://{host}:{port}/ HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 5\r\n\r\n".encode())
            for byte in (b"h", b"e", b"l", b"l", b"o"):
                time.sleep(0.02)
                sock.sendall(byte)
            assert sock.recv(4096).split(b" ")[1] == status
    assert len(school.seen()) == 1


# --- HTTP/2 ---------------------------------------------------------------------------------------------------------------


def ask2(tunnel, headers, body=None, stream=1):
    """One request with exactly these fields; the status it gets, or why none."""
    speaker = H2Connection(
        H2Configuration(
            client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False, header_encoding="latin-1"
        )
    )
    speaker.initiate_connection()
    speaker.send_headers(stream, headers, end_stream=body is None)
    if body is not None:
        speaker.send_data(stream, body, end_stream=True)
    tunnel.sendall(speaker.data_to_send())
    tunnel.settimeout(5)
    with contextlib.suppress(OSError):
        while data := tunnel.recv(65536):
            for event in speaker.receive_data(data):
                match event:
                    case ResponseReceived():
                        return dict(event.headers)[":status"]
                    case StreamReset() | ConnectionTerminated():
                        return "refused"
                    case DataReceived() | StreamEnded():
                        pass
    return "closed"


BASE = [(":method", "GET"), (":scheme", "https"), (":authority", "allowed.test"), (":path", "/")]
STREAMS = {
    "as it should be": (BASE, None, {"200"}),
    "a line break in a value": ([*BASE, ("x", "a\r\nGET /smuggled HTTP/1.1\r\nHost: games.test")], None, {"400", "refused", "closed"}),
    "a line break in the path": ([*BASE[:3], (":path", "/ HTTP/1.1\r\nHost: games.test\r\n\r\nGET /smuggled")], None, {"400", "refused", "closed"}),
    "a line break in the method": ([(":method", "GET /smuggled HTTP/1.1\r\nX: x"), *BASE[1:]], None, {"400", "refused", "closed", "403"}),
    "a colon in a name": ([*BASE, ("x: y\r\nz", "a")], None, {"400", "refused", "closed"}),
    "transfer-encoding": ([(":method", "POST"), *BASE[1:], ("transfer-encoding", "chunked")], b"0\r\n\r\n" + SMUGGLED, {"400", "refused", "closed"}),
    "a length that is too short": ([(":method", "POST"), *BASE[1:], ("content-length", "5")], b"hello" + SMUGGLED, {"400", "refused", "closed", "200"}),
    "connection": ([*BASE, ("connection", "upgrade")], None, {"400", "refused", "closed"}),
    "another authority": ([*BASE[:2], (":authority", "games.test"), BASE[3]], None, {"403"}),
    "another host": ([*BASE, ("host", "games.test")], None, {"403", "400", "refused", "closed"}),
    "two authorities": ([*BASE, (":authority", "games.test")], None, {"400", "refused", "closed"}),
    "userinfo": ([*BASE[:2], (":authority", "allowed.test@games.test"), BASE[3]], None, {"403", "400", "refused", "closed"}),
    "extended CONNECT": ([(":method", "CONNECT"), (":protocol", "websocket"), *BASE[1:]], None, {"400", "403", "refused", "closed"}),
    "CONNECT": ([(":method", "CONNECT"), (":authority", "games.test:443")], None, {"400", "403", "refused", "closed"}),
    "another scheme": ([BASE[0], (":scheme", "http"), *BASE[2:]], None, {"200", "400", "403", "refused", "closed"}),
    "an absolute path": ([*BASE[:3], (":path", "https://games.test/")], None, {"400", "403", "refused", "closed", "200"}),
}  # fmt: skip


@pytest.mark.parametrize(("headers", "body", "outcomes"), STREAMS.values(), ids=STREAMS)
def test_streams_of_http2(school, headers, body, outcomes):
    port = school.internet.https.port
    with school.tunnel("ks3", f"allowed.test:{port}", "allowed.test", alpn=("h2",)) as tunnel:
        assert ask2(tunnel, headers, body) in outcomes
    check(school)


# --- answers that are odd -------------------------------------------------------------------------------------------------


ANSWERS = {
    "early hints": (b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
    "continue, unasked": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
    "trailers": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n", b"hi",
    ),
    "two answers": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad", b"hi"),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 9\r\n\r\nhiandmore", None),
    "a head that does not end": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 30_000, None),
    "no HTTP": (b"SSH-2.0-OpenSSH_9\r\n\r\n", None),
    "a chunk that does not begin": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;" + b"x" * 200_000, None),
}  # fmt: skip


@pytest.mark.parametrize(("said", "body"), ANSWERS.values(), ids=ANSWERS)
def test_odd_answers_of_sites(school, said, body):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def once():
            with contextlib.suppress(OSError), server.accept()[0] as client:
                client.recv(65536)
                client.sendall(said)
                client.settimeout(2)
                client.recv(1)

        thread = threading.Thread(target=once)
        thread.start()
        got = school.curl("ks3", f"http://allowed.test:{server.getsockname()[1]}/", "--max-time", "5")
        thread.join(5)
    if body is None:
        assert got.status in {0, 502} or got.code
        assert got.code != 28, "it must not hang"
    else:
        assert (got.status, got.body) == (200, body), got.error


def test_a_request_with_trailers_is_carried_on_without_them(school):
    port = school.internet.http.port
    received = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def once():
            with server.accept()[0] as client:
                client.settimeout(5)
                while b"0\r\n\r\n" not in b"".join(received):
                    received.append(client.recv(65536))
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

        thread = threading.Thread(target=once)
        thread.start()
        port = server.getsockname()[1]
        got = school.say(
            "ks3",
            b"POST http://allowed.test:%d/ HTTP/1.1\r\nHost: allowed.test:%d\r\nTransfer-Encoding: chunked\r\n"
            b"Trailer: Host\r\n\r\n2\r\nhi\r\n0\r\nHost: games.test\r\n\r\n" % (port, port),
        )
        thread.join(5)
    assert b" 200 " in got.partition(b"\r\n")[0]
    assert b"games.test" not in b"".join(received)
