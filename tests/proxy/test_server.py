"""The whole proxy over real sockets: what a pupil's browser meets."""

import contextlib
import socket
import ssl
import threading
from dataclasses import replace

import pytest

from policy.rules import Action, SiteRule

FOR_HTTP = "http://{host}:{{http}}{path}"
FOR_HTTPS = "https://{host}:{{https}}{path}"


def url(scheme: str, host: str, path: str) -> str:
    return (FOR_HTTP if scheme == "http" else FOR_HTTPS).format(host=host, path=path)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("group", "host", "path", "status", "words"),
    [
        ("ks3", "allowed.test", "/", 200, "hello from"),
        ("ks3", "allowed.test", "/shut/page", 403, "This site is blocked"),
        ("ks3", "allowed.test", "/shut/../open", 200, "hello from"),
        ("ks3", "allowed.test", "/%73hut", 403, "This site is blocked"),
        ("ks3", "games.test", "/play", 403, "This site is blocked: Games."),
        ("staff", "games.test", "/play", 200, "hello from"),
        ("ks1", "games.test", "/play", 403, "Tell your teacher."),
        ("nobody", "games.test", "/play", 403, "not known to any school"),
        ("ks3", "mixed.test", "/lesson/1", 200, "hello from"),
        ("ks3", "mixed.test", "/chat", 403, "This site is blocked"),
        ("ks3", "sealed.test", "/", 403, "It cannot be opened from school."),
        ("ks3", "badbank.test", "/", 403, "This site is blocked"),
    ],
)
def test_a_page_gets_what_the_policy_says(school, scheme, group, host, path, status, words):
    got = school.browse(group, url(scheme, host, path), "--path-as-is")
    assert (got.status, got.code) == (status, 0), got.error
    assert words in got.text
    assert len(school.seen()) == (1 if status == 200 else 0)
    if status == 403:
        assert got.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in got.headers["content-security-policy"]
        assert len(got.body) < 15_000


def issuer(school, group, target, sni):
    from cryptography import x509

    with school.tunnel(group, target, sni) as tunnel:
        return x509.load_der_x509_certificate(tunnel.getpeercert(binary_form=True)).issuer.rfc4514_string()


def test_an_inspected_site_is_opened_under_our_certificate(school):
    assert "Schoolgate filter" in issuer(school, "ks3", f"allowed.test:{school.internet.https.port}", "allowed.test")


def test_a_private_site_passes_through_untouched(school):
    assert "internet-ca" in issuer(school, "ks3", f"bank.test:{school.internet.https.port}", "bank.test")
    got = school.browse("ks3", "https://bank.test:{https}/account")
    assert (got.status, got.headers["alt-svc"][:2]) == (200, "h3")  # its bytes, as they are
    assert [(event.kind, event.handling, event.path) for event in school.events] == [("connection", "direct", "")] * 2


def test_a_private_site_that_is_blocked_is_refused_under_our_certificate(school):
    assert "Schoolgate filter" in issuer(school, "ks3", f"badbank.test:{school.internet.https.port}", "badbank.test")
    assert not school.seen()


def test_http2_is_spoken_to_the_browser(school):
    got = school.browse("ks3", "https://allowed.test:{https}/", "--http2")
    assert got.line.startswith("HTTP/2 200")
    got = school.browse("ks3", "https://games.test:{https}/", "--http2")
    assert got.line.startswith("HTTP/2 403")


def test_http3_is_not_offered(school):
    assert "alt-svc" not in school.browse("ks3", "https://allowed.test:{https}/").headers


@pytest.mark.parametrize(
    ("path", "asked", "header"),
    [
        ("/search?q=volcano+facts&safe=off", "/search?q=volcano+facts&safe=active", None),
        ("/imghp?q=x", "/imghp?q=x&safe=active", None),
        ("/maps?z=1", "/maps?z=1", None),
    ],
)
def test_safe_search_is_forced(school, path, asked, header):
    assert school.browse("ks3", "https://www.google.com:{https}" + path).status == 200
    assert [each.path for each in school.internet.https.seen] == [asked]


def test_video_is_restricted_by_header(school):
    assert school.browse("ks3", "https://www.youtube.com:{https}/watch?v=1").status == 200
    assert school.internet.https.seen[0].headers["youtube-restrict"] == "Strict"


def test_only_the_schools_accounts_sign_in_where_it_says_so(school):
    before, made = school.live.kept, school.build()
    hillview = replace(made.schools["hillview"], google_domains="hillview.sch.uk")
    school.live.kept = replace(made, schools={"hillview": hillview}, _profiles={})
    try:
        school.browse("ks3", "https://www.google.com:{https}/accounts", "-H", "X-GoogApps-Allowed-Domains: elsewhere.test")
    finally:
        school.live.kept = before
    assert school.internet.https.seen[0].headers["x-googapps-allowed-domains"] == "hillview.sch.uk"


def test_a_search_is_recorded_with_its_words(school):
    school.browse("ks3", "https://www.google.com:{https}/search?q=volcano+facts")
    (event,) = school.events
    assert (event.kind, event.term, event.action, event.path) == ("search", "volcano facts", "restrict", "/search")


def test_events_say_who_what_and_why(school):
    school.browse("ks3", "http://games.test:{http}/play?secret=1")
    school.curl("ks3", "http://games.test:{http}/a.js", "-H", "Sec-Fetch-Dest: script")
    page, script = school.events
    assert (page.kind, page.school, page.group, page.network, page.address) == (
        "page", "hillview", "ks3", "net-ks3", "127.0.0.1",
    )  # fmt: skip
    assert (page.host, page.path, page.action, page.reason) == ("games.test", "/play", "block", "phase_default")
    assert (page.category, page.list, page.outcome, page.worker) == ("games", "test-list", "403", "w1")
    assert (script.kind, script.path) == ("resource", "/a.js")
    assert "secret" not in repr(school.events)


def test_a_private_sites_plain_pages_are_not_written_down(school):
    school.browse("ks3", "http://bank.test:{http}/account/1234")
    assert [(event.host, event.path) for event in school.events] == [("bank.test", "")]


@pytest.mark.parametrize(
    ("headers", "kind", "starts"),
    [
        (["Sec-Fetch-Dest: image"], "image/gif", b"GIF89a"),
        (["Sec-Fetch-Dest: script"], "text/plain; charset=utf-8", b"This site is blocked"),
        (["Sec-Fetch-Dest: empty", "Accept: application/json"], "application/json", b'{"blocked": true'),
        (["Sec-Fetch-Dest: document"], "text/html; charset=utf-8", b"<!doctype html>"),
    ],
)
def test_each_kind_of_request_gets_an_answer_it_can_use(school, headers, kind, starts):
    options = [part for header in [*headers, "Origin: https://news.test"] for part in ("-H", header)]
    got = school.curl("ks3", "https://games.test:{https}/x", *options)
    assert (got.status, got.headers["content-type"]) == (403, kind)
    assert got.body.startswith(starts)
    if "document" not in headers[0]:
        assert got.headers["access-control-allow-origin"] == "https://news.test"


def test_a_page_that_asks_first_is_told_yes_and_then_no(school):
    """A preflight that is refused looks like a network that fails; so the request itself gets the refusal."""
    asks = [
        "-X",
        "OPTIONS",
        "-H",
        "Access-Control-Request-Method: PUT",
        "-H",
        "Access-Control-Request-Headers: x-token, content-type",
    ]
    got = school.curl("ks3", "https://games.test:{https}/api", *asks, "-H", "Origin: https://news.test")
    assert (got.status, got.headers["access-control-allow-origin"]) == (204, "https://news.test")
    assert got.headers["access-control-allow-headers"] == "x-token, content-type"
    got = school.curl("ks3", "https://games.test:{https}/api", "-X", "PUT", "-H", "Origin: https://news.test", "-d", "x")
    assert (got.status, got.headers["access-control-allow-origin"]) == (403, "https://news.test")
    assert not school.seen()


def test_a_grpc_client_understands_the_refusal(school):
    got = school.curl(
        "ks3", "https://games.test:{https}/pkg.Service/Call", "--http2", "-H", "Content-Type: application/grpc", "-d", "x"
    )
    assert (got.status, got.headers["grpc-status"]) == (200, "7")
    assert "Games" in got.headers["grpc-message"]


@pytest.mark.parametrize(
    ("accepted", "language", "words"),
    [
        ("cy-GB,cy;q=0.9,en;q=0.8", "cy", "rhwystro: Games"),
        ("en-GB,cy;q=0.5", "en-GB", "This site is blocked: Games."),
        ("fr, cy;q=x, cy;q=0.2", "cy", "Dywed wrth dy athro"),
        ("", "en-GB", "This site is blocked: Games."),
    ],
)
def test_the_block_page_speaks_welsh(school, accepted, language, words):
    got = school.browse("ks3", "https://games.test:{https}/", "-H", f"Accept-Language: {accepted}")
    assert f'<html lang="{language}">' in got.text
    assert words in got.text
    assert len(got.body) < 15_000


def test_nothing_of_the_request_is_reflected_unescaped(school):
    got = school.browse("ks3", "http://games.test:{http}/%3Cscript%3E?<script>alert(1)", "-H", "Referer: <script>x")
    assert "<script" not in got.text
    got = school.curl("ks3", "http://games.test:{http}/", "-H", "Origin: https://a.test/<script>")
    assert "access-control-allow-origin" not in got.headers


def test_large_downloads_and_uploads_stream_and_are_not_kept(school, tmp_path):
    got = school.curl("ks3", "https://allowed.test:{https}/big/20971520")
    assert (got.status, len(got.body)) == (200, 20_971_520)
    upload = tmp_path / "upload"
    upload.write_bytes(b"y" * 20_971_520)
    got = school.curl("ks3", "https://allowed.test:{https}/upload", "-H", "Expect:", "--data-binary", f"@{upload}")
    assert (got.status, got.text) == (200, "20971520")
    got = school.curl("ks3", "https://games.test:{https}/upload", "-H", "Expect:", "--data-binary", f"@{upload}")
    assert got.status != 200  # cut, or refused: never fetched
    assert [each.path for each in school.seen()] == ["/big/20971520", "/upload"]


def test_server_sent_events_come_as_they_are_sent(school):
    """The second event is sent only once the first has arrived: nothing of a stream is held back."""
    arrived = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def once():
            with server.accept()[0] as client:
                client.recv(65536)
                client.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: one\n\n"
                )
                if arrived.wait(10):
                    client.sendall(b"data: two\n\n")

        thread = threading.Thread(target=once)
        thread.start()
        port = server.getsockname()[1]
        with socket.create_connection(school.proxy("ks3"), timeout=10) as sock:
            sock.sendall(b"GET http://allowed.test:%d/ HTTP/1.1\r\nHost: allowed.test:%d\r\n\r\n" % (port, port))
            got = b""
            while b"data: one" not in got:
                got += sock.recv(65536)
            arrived.set()
            while b"data: two" not in got:
                got += sock.recv(65536)
        thread.join(10)


def test_a_part_of_a_file_is_asked_for_as_it_was(school):
    school.curl("ks3", "https://allowed.test:{https}/film.mp4", "-H", "Range: bytes=5-9", "-H", "If-Range: x")
    asked = school.internet.https.seen[0].headers
    assert (asked["range"], asked["if-range"]) == ("bytes=5-9", "x")


def test_websocket_passes(school, frame):
    port = school.internet.https.port
    with school.tunnel("ks3", f"allowed.test:{port}", "allowed.test") as tunnel:
        tunnel.sendall(
            b"GET /ws HTTP/1.1\r\nHost: allowed.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        with tunnel.makefile("rb") as file:
            assert b" 101 " in file.readline()
            while file.readline().strip():
                pass
            tunnel.sendall(frame(b"are you there?"))
            assert file.read(16) == b"\x81\x0eare you there?"


# --- fails closed --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["http://allowed.test:{http}/", "https://allowed.test:{https}/"])
def test_when_it_cannot_decide_nothing_is_fetched(school, where):
    school.live.broken = True
    got = school.browse("ks3", where)
    assert got.status != 200
    assert not school.seen()
    assert {event.reason for event in school.events} == {"error"}


@pytest.mark.parametrize("host", ["allowed.test", "bank.test"])
def test_a_policy_that_breaks_inside_an_open_tunnel_stops_it(school, host):
    """The tunnel is open already; the next request of it meets a filter that cannot decide."""
    with school.tunnel("ks3", f"{host}:{school.internet.https.port}", "allowed.test") as tunnel:
        school.live.broken = True
        tunnel.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        said = b""
        while b"cannot be opened just now" not in said:
            more = tunnel.recv(65536)
            assert more
            said += more
    assert not school.seen()


def test_a_record_that_fails_breaks_nothing(school):
    school.worker.record_fails = True
    assert school.browse("ks3", "https://allowed.test:{https}/").status == 200
    assert school.browse("ks3", "https://games.test:{https}/").status == 403


@pytest.mark.parametrize("site", ["expired", "unknown"])
def test_a_bad_certificate_is_refused(school, site):
    port = getattr(school.internet, site).port
    got = school.browse("ks3", f"https://allowed.test:{port}/")
    assert got.status == 502
    assert "could not prove who it is" in got.text
    assert not getattr(school.internet, site).seen
    assert [event.outcome for event in school.events] == ["", "certificate"]


@pytest.mark.parametrize("host", ["inner.test", "box.test", "meta.test", "127.0.0.2", "[::1]", "0x7f000002", "localhost"])
def test_inner_addresses_are_out_of_reach(school, host):
    got = school.browse("ks3", f"http://{host}:{school.internet.box.port}/")
    assert got.status in {403, 502}
    assert not school.internet.box.seen


def test_a_tunnel_goes_to_the_webs_port_only(school):
    for port in (22, 25, school.internet.box.port):
        with pytest.raises(ConnectionError, match="403"):
            school.tunnel("ks3", f"box.test:{port}", "box.test")
    assert {event.outcome for event in school.events} == {"port 22", "port 25", f"port {school.internet.box.port}"}


@pytest.mark.parametrize(
    ("target", "sni", "host"),
    [
        ("allowed.test", "allowed.test", "games.test"),
        ("allowed.test", "games.test", "allowed.test"),
        ("allowed.test", "games.test", "games.test"),
        ("games.test", "allowed.test", "allowed.test"),
        ("bank.test", "games.test", "games.test"),
        ("games.test", "bank.test", "bank.test"),
        ("allowed.test", None, "games.test"),
    ],
)
def test_a_tunnel_has_one_name(school, target, sni, host):
    with school.tunnel("ks3", f"{target}:{school.internet.https.port}", sni) as tunnel:
        tunnel.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert b" 403 " in tunnel.recv(65536)
    assert not school.seen()


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_a_request_in_a_tunnel_has_the_tunnels_name(school, version):
    got = school.browse("ks3", "https://allowed.test:{https}/", "-H", "Host: games.test", version)
    assert (got.status, school.seen()) == (403, [])
    got = school.browse("ks3", "https://allowed.test:{https}/", "-H", "Host: Allowed.Test.", version)
    assert got.status == 200


@pytest.mark.parametrize(
    "head",
    [
        b"GET https://games.test/ HTTP/1.1\r\nHost: allowed.test\r\n\r\n",
        b"GET https://games.test/ HTTP/1.1\r\n\r\n",
        b"CONNECT games.test:443 HTTP/1.1\r\nHost: allowed.test\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
    ],
)
def test_what_else_is_said_in_a_tunnel_is_refused(school, head):
    with school.tunnel("ks3", f"allowed.test:{school.internet.https.port}", "allowed.test") as tunnel:
        tunnel.sendall(head)
        assert b" 200 " not in tunnel.recv(65536).partition(b"\r\n")[0]
    assert not school.seen()


def test_a_tunnel_of_plain_bytes_is_judged_as_http_or_refused(school):
    port = school.internet.http.port
    connect = f"CONNECT {{0}}:{port} HTTP/1.1\r\nHost: {{0}}:{port}\r\n\r\n"
    for host, said, status in (
        ("allowed.test", "GET / HTTP/1.1\r\nHost: allowed.test\r\n\r\n", b"200"),
        ("games.test", "GET / HTTP/1.1\r\nHost: games.test\r\n\r\n", b"403"),
        ("allowed.test", "SSH-2.0-OpenSSH\r\n\r\n", b"400"),
    ):
        with socket.create_connection(school.proxy("ks3"), timeout=10) as sock, sock.makefile("rb") as file:
            sock.sendall(connect.format(host).encode())
            assert b" 200 " in file.readline()
            assert file.readline() == b"\r\n"
            sock.sendall(said.encode())
            assert file.readline().split(b" ")[1] == status
    assert len(school.seen()) == 1


def test_what_is_said_to_the_proxy_stays_here(school):
    school.browse("ks3", "http://allowed.test:{http}/", "--proxy-header", "Proxy-Authorization: Basic eDp5")
    assert [name for name in school.internet.http.seen[0].headers if name.startswith("proxy")] == []


@pytest.mark.parametrize(
    "head",
    [
        "GET http://allowed.test:{port}/ HTTP/1.1\r\nHost: games.test\r\n",
        "GET http://allowed.test:{port}/ HTTP/1.1\r\nHost: allowed.test\r\nHost: games.test\r\n",
        "GET http://games.test.:{port}/ HTTP/1.1\r\nHost: games.test.\r\n",
        "GET http://GAMES.Test:{port}/ HTTP/1.1\r\nHost: GAMES.Test\r\n",
        "GET http://2130706433:{port}/ HTTP/1.1\r\nHost: 2130706433\r\n",
        "GET http://0177.1:{port}/ HTTP/1.1\r\nHost: 0177.1\r\n",
        "GET http://[::ffff:127.0.0.1]:{port}/ HTTP/1.1\r\nHost: [::ffff:127.0.0.1]\r\n",
        "GET http://user@games.test:{port}/ HTTP/1.1\r\nHost: user@games.test\r\n",
        "GET http://allowed.test@games.test:{port}/ HTTP/1.1\r\nHost: games.test\r\n",
        "GET http://allowed.test:{port}\\@games.test/ HTTP/1.1\r\nHost: games.test\r\n",
        "GET / HTTP/1.1\r\nHost: games.test:{port}\r\n",
        "GET http://allowed.test:{port}//shut HTTP/1.1\r\nHost: allowed.test\r\n",
        "GET http://allowed.test:{port}/x/%2e%2e/shut HTTP/1.1\r\nHost: allowed.test\r\n",
        "GET http://allowed.test:25/ HTTP/1.1\r\nHost: allowed.test:25\r\n",
        "POST http://allowed.test:{port}/ HTTP/1.1\r\nHost: allowed.test\r\nContent-Length: 3\r\nTransfer-Encoding: gzip\r\n",
        "GET ftp://allowed.test/ HTTP/1.1\r\nHost: allowed.test\r\n",
        "\x16\x03\x01 nonsense\r\n",
    ],
)
def test_odd_spellings_are_judged_right(school, head):
    got = school.say("ks3", (head.format(port=school.internet.http.port) + "\r\n").encode("latin-1"))
    assert b" 200 " not in got.partition(b"\r\n")[0]
    assert not school.seen()


@pytest.mark.parametrize("host", ["ALLOWED.test", "allowed.test."])
def test_good_sites_open_in_any_spelling(school, host):
    port = school.internet.http.port
    got = school.say("ks3", f"GET http://{host}:{port}/ HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n".encode())
    assert b" 200 " in got.partition(b"\r\n")[0]
    assert school.events[0].host == "allowed.test"


def test_a_new_policy_ends_a_tunnel_that_it_would_not_open(school):
    with school.tunnel("ks3", f"bank.test:{school.internet.https.port}", "bank.test") as tunnel:
        tunnel.settimeout(5)
        tunnel.sendall(b"GET / HTTP/1.1\r\nHost: bank.test\r\n\r\n")
        assert b" 200 " in tunnel.recv(65536)
        before, school.live.kept = school.live.kept, school.build(SiteRule("r-new", "bank.test", Action.BLOCK, 11))
        try:
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                while tunnel.recv(65536):
                    pass
        finally:
            school.live.kept = before


# --- warn and go on ------------------------------------------------------------------------------------------------------


def test_a_warning_has_a_way_on(school, tmp_path):
    import html
    import re

    jar = tmp_path / "jar"
    first = school.browse("ks3", "https://warned.test:{https}/topic?id=4&x=%20y", "-c", str(jar), "-b", str(jar))
    assert (first.status, school.seen()) == (403, [])
    assert "Stop and think first" in first.text
    on = html.unescape(re.search(r'class="go"[^>]*href="([^"]+)"', first.text)[1])
    back = school.browse("ks3", on, "-c", str(jar), "-b", str(jar))
    assert back.status == 303
    assert back.headers["location"] == f"https://warned.test:{school.internet.https.port}/topic?id=4&x=%20y"
    then = school.browse("ks3", back.headers["location"], "-b", str(jar), "-b", "theirs=1")
    assert then.status == 200
    assert [each.path for each in school.seen()] == ["/topic?id=4&x=%20y"]
    assert "__schoolgate_ok" not in repr(school.seen()[0].headers)
    assert [(event.action, event.outcome) for event in school.events] == [
        ("warn", "warned"),
        ("warn", "went on"),
        ("warn", ""),
    ]


# --- schoolgate.internal -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_our_own_site(school, scheme):
    assert "school filter" in school.browse("ks3", f"{scheme}://schoolgate.internal/").text
    got = school.browse("ks3", f"{scheme}://schoolgate.internal/ca.pem")
    assert (got.headers["content-type"], got.body) == ("application/x-x509-ca-cert", school.ca.read_bytes())
    assert school.browse("ks3", f"{scheme}://schoolgate.internal/else").status == 404


def test_asking_for_a_site(school):
    import re

    page = school.browse("ks3", "https://games.test:{https}/chess").text
    token = re.search(r'name="token" value="([^"]+)"', page)[1]
    form = ["--data-urlencode", "reason=Chess club <b>", "--data-urlencode", "for_class=Year 8", "--data-urlencode"]
    school.events.clear()
    got = school.browse("ks3", "https://schoolgate.internal/ask", *form, f"token={token}")
    assert got.status == 200
    (event,) = school.events
    assert (event.kind, event.school, event.group, event.host, event.path) == (
        "request", "hillview", "ks3", "games.test", "/chess",
    )  # fmt: skip
    assert (event.term, event.detail) == ("Year 8", "Chess club <b>")
    assert re.fullmatch(r"[2-9A-Z]{4}-[2-9A-Z]{4}", event.outcome)
    assert event.outcome in got.text
    for bad in ("", "x.y", token[:-2], token + "A"):
        assert school.browse("ks3", "https://schoolgate.internal/ask", *form, f"token={bad}").status == 400
    assert school.browse("staff", "https://schoolgate.internal/ask", *form, f"token={token}").status == 400
    assert school.browse("ks3", "https://schoolgate.internal/ask", "-d", "x" * 9000).status == 413


def test_what_the_sites_pages_were_refused_goes_with_the_request(school):
    import re

    for want, asked in (("image", "https://games.test:{https}/x.png"), ("iframe", "https://badbank.test:{https}/")):
        headers = ["-H", f"Sec-Fetch-Dest: {want}", "-H", "Referer: https://mixed.test/lesson"]
        assert school.curl("ks3", asked, *headers).status == 403
    page = school.browse("ks3", "https://mixed.test:{https}/else").text
    assert "badbank.test, games.test" in page
    token = re.search(r'name="token" value="([^"]+)"', page)[1]
    school.events.clear()
    assert school.browse("ks3", "https://schoolgate.internal/ask", "-d", f"reason=chess&token={token}").status == 200
    assert [(event.host, event.path, event.list) for event in school.events] == [
        ("mixed.test", "/else", "badbank.test games.test")
    ]


def test_a_request_that_cannot_be_written_down_is_not_thanked_for(school):
    import re

    page = school.browse("ks3", "https://games.test:{https}/chess").text
    token = re.search(r'name="token" value="([^"]+)"', page)[1]
    school.worker.record_fails = True
    got = school.browse("ks3", "https://schoolgate.internal/ask", "-d", f"reason=x&token={token}")
    assert got.status == 403
