"""DNS over HTTPS and TLS: real sockets, both versions of HTTP, both event loops, and clients who mean no good."""

import base64
import contextlib
import http.client
import socket
import ssl
import subprocess
import time

import dnslib
import h2.connection
import h2.events
import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from dns.doh import MEDIA_TYPE, Refused, question
from policy.rules import Group, Network

Q = bytes.fromhex("12340100000100000000000003626574076578616d706c650000010001")
NETWORKS = (
    Network("n-ks3", "ks3", "127.20.3.0/24"),
    Network("h-ks3", "ks3", "0.0.0.0/0", "doh:hillview/ks3"),
    Network("h-staff", "staff", "0.0.0.0/0", "doh:hillview/staff"),
    Network("t-staff", "staff", "0.0.0.0/0", "dot:hillview-staff"),
)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def addresses(said):
    return [str(rr.rdata) for rr in said.rr]


@pytest.mark.parametrize(("method", "target", "headers", "body", "found"), [
    ("GET", f"/dns-query?dns={b64(Q)}", {}, b"", ("", Q)),
    ("GET", f"/dns-query?ct&dns={b64(Q)}", {}, b"", ("", Q)),
    ("GET", f"/dns-query/hillview/ks3?dns={b64(Q)}", {}, b"", ("hillview/ks3", Q)),
    ("POST", "/dns-query", {"content-type": MEDIA_TYPE}, Q, ("", Q)),
    ("POST", "/dns-query/x", {"content-type": "Application/DNS-Message; charset=x"}, Q, ("x", Q)),
    ("POST", "/dns-query", {"content-type": "text/plain"}, Q, 415),
    ("POST", "/dns-query", {}, Q, 415),
    ("POST", "/dns-query", {"content-type": MEDIA_TYPE}, b"", 400),
    ("POST", "/dns-query", {"content-type": MEDIA_TYPE}, bytes(65_536), 413),
    ("GET", "/dns-query", {}, b"", 400),
    ("GET", "/dns-query?dns=", {}, b"", 400),
    ("GET", "/dns-query?dns=a", {}, b"", 400),
    ("GET", "/dns-query?dns=****", {}, b"", 400),
    ("GET", "/dns-queryx?dns=AAAA", {}, b"", 404),
    ("GET", "/dns-query/UPPER?dns=AAAA", {}, b"", 404),
    ("GET", "/", {}, b"", 404),
    ("PUT", "/dns-query", {"content-type": MEDIA_TYPE}, Q, 405),
])  # fmt: skip
def test_requests_are_questions_or_refused(method, target, headers, body, found):  # RFC 8484 4.1
    assert asked(method, target, headers, body) == found


def asked(method, target, headers, body):
    try:
        return question(method, target, headers, body)
    except Refused as refused:
        return refused.status


@given(st.text(max_size=8), st.text(max_size=80), st.binary(max_size=20))
def test_any_request_is_a_question_or_refused(method, target, body):
    for one in (method, "GET", "POST"):
        with contextlib.suppress(Refused):
            question(one, "/dns-query" + target, {"content-type": MEDIA_TYPE}, body)


@pytest.fixture(params=[None, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def serving(running, make_live, upstream, certificate, request):
    upstream.zone["news.example", "A"] = "news.example. 30 IN A 203.0.113.7"

    def run(**more):
        live = make_live(networks=NETWORKS, groups=(Group("ks3", "Years 7 to 9", "ks3"), Group("staff", "Staff", "staff")))
        local = (("127.0.0.1", 0),)
        return running(
            live,
            upstream.address,
            loop_factory=request.param,
            dot_listen=local,
            doh_listen=local,
            certificate=certificate,
            **more,
        )

    return run


def port(server, number):
    return int(server.names[number].rpartition(":")[2])


def context(certificate, *alpn):
    made = ssl.create_default_context(cafile=certificate[0])
    made.set_alpn_protocols(list(alpn))
    return made


def tls(server, certificate, number, name="localhost", alpn=("h2",), source="127.0.0.1"):
    raw = socket.create_connection(("127.0.0.1", port(server, number)), timeout=10, source_address=(source, 0))
    return context(certificate, *alpn).wrap_socket(raw, server_hostname=name)


class Browser:
    """A client of HTTP/2."""

    def __init__(self, sock):
        self.sock, self.two = sock, h2.connection.H2Connection()
        self.two.initiate_connection()
        self.done: dict[int, tuple[dict, bytes]] = {}
        self._coming: dict[int, list] = {}

    def ask(self, path, body=None, **more):
        stream = self.two.get_next_available_stream_id()
        fields = {
            ":method": "POST" if body is not None else "GET",
            ":path": path,
            ":scheme": "https",
            ":authority": "localhost",
        }
        if body is not None:
            fields |= {"content-type": MEDIA_TYPE, "content-length": str(len(body))}
        self.two.send_headers(stream, list((fields | more).items()), end_stream=body is None)
        if body is not None:
            self.two.send_data(stream, body, end_stream=True)
        return stream

    def until(self, *streams):
        while not set(streams) <= set(self.done):
            self.sock.sendall(self.two.data_to_send())
            data = self.sock.recv(65535)
            if not data:
                raise EOFError
            for event in self.two.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    self._coming[event.stream_id] = [{bytes(k).decode(): bytes(v).decode() for k, v in event.headers}, b""]
                elif isinstance(event, h2.events.DataReceived):
                    self._coming[event.stream_id][1] += event.data
                    self.two.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    self.done[event.stream_id] = tuple(self._coming[event.stream_id])
        return [self.done[stream] for stream in streams]


def test_http_2_answers_many_questions_at_once_each_when_it_is_ready(serving, certificate, upstream):
    upstream.hold.clear()
    slow = bytes(dnslib.DNSRecord.question("news.example").pack())
    with serving() as server, tls(server, certificate, 2) as sock:
        browser = Browser(sock)
        later = browser.ask("/dns-query/hillview/ks3", slow)
        first = [browser.ask("/dns-query/hillview/ks3", Q), browser.ask(f"/dns-query/hillview/ks3?dns={b64(Q)}")]
        for headers, body in browser.until(*first):
            assert (headers[":status"], headers["content-type"], headers["cache-control"]) == ("200", MEDIA_TYPE, "max-age=5")
            assert addresses(dnslib.DNSRecord.parse(body)) == ["127.0.0.1"]
        assert later not in browser.done
        upstream.hold.set()
        ((headers, body),) = browser.until(later)
        assert addresses(dnslib.DNSRecord.parse(body)) == ["203.0.113.7"]
        assert headers["cache-control"] == "max-age=30"  # RFC 8484 5.1
        refused = [browser.ask("/other"), browser.ask("/dns-query", b"", **{"content-type": "text/plain"})]
        assert [headers[":status"] for headers, _ in browser.until(*refused)] == ["404", "415"]
        silly = browser.ask("/dns-query", b"\1\2\3")
        assert browser.until(silly)[0][0][":status"] == "400"
        assert {event.group for event in server.events if event.host} == {"ks3"}
        assert {event.identified_by for event in server.events if event.host} == {"listener"}


def test_the_path_says_whose_device_asks(serving, certificate):
    with serving() as server, tls(server, certificate, 2) as sock:
        browser = Browser(sock)
        browser.until(*[browser.ask(f"/dns-query/{token}", Q) for token in ("hillview/ks3", "hillview/staff", "nobody/x")])
        assert [event.group for event in server.events] == ["ks3", "staff", "strictest"]


def test_http_1_is_spoken_too_and_keeps_its_connection(serving, certificate):
    with serving() as server:
        client = http.client.HTTPSConnection("127.0.0.1", port(server, 2), context=context_for_1(certificate), timeout=10)
        for name, expected in (("bet.example", ["127.0.0.1"]), ("news.example", ["203.0.113.7"])):
            asked = bytes(dnslib.DNSRecord.question(name).pack())
            client.request("POST", "/dns-query/hillview/ks3", asked, {"content-type": MEDIA_TYPE, "host": "localhost"})
            said = client.getresponse()
            assert (said.status, said.getheader("content-type")) == (200, MEDIA_TYPE)
            assert addresses(dnslib.DNSRecord.parse(said.read())) == expected
        client.request("DELETE", "/dns-query")
        said = client.getresponse()
        assert (said.status, said.getheader("allow")) == (405, "GET, POST")
        client.close()


def context_for_1(certificate):
    made = context(certificate, "http/1.1")
    made.check_hostname = False
    return made


def test_pipelined_http_1_is_answered_in_order(serving, certificate):
    one = b"POST /dns-query HTTP/1.1\r\nHost: x\r\nContent-Type: application/dns-message\r\nContent-Length: %d\r\n\r\n" % len(
        Q
    )
    with serving() as server, tls(server, certificate, 2, alpn=("http/1.1",)) as sock:
        sock.sendall((one + Q) * 3 + b"nonsense\r\n\r\n")
        got = b""
        while more := sock.recv(65535):
            got += more
        assert got.count(b"HTTP/1.1 200") == 3
        assert b"HTTP/1.1 400" in got


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: " + b"x" * 20_000,
        b"\0" * 400,
        b"POST /dns-query HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n" + bytes(70_000),
    ],
)
def test_http_that_is_none_or_too_much_is_closed(serving, certificate, sent):
    with serving() as server:
        with tls(server, certificate, 2, alpn=("http/1.1",)) as sock:
            try:
                sock.sendall(sent)
                while sock.recv(65535):
                    pass
            except ConnectionError:
                pass
        assert addresses(server.ask("bet.example")) == ["127.0.0.1"]


def test_taking_questions_back_by_the_hundred_closes_the_connection(serving, certificate):  # CVE-2023-44487
    with serving() as server, tls(server, certificate, 2) as sock:
        browser = Browser(sock)
        for _ in range(300):
            browser.two.reset_stream(browser.ask("/dns-query", Q))
        with pytest.raises((EOFError, ConnectionError, ssl.SSLError)):
            browser.until(browser.two.get_next_available_stream_id())


def test_a_silent_connection_is_closed_even_if_it_pings(serving, certificate):
    with serving(tls_idle_s=0.4) as server, tls(server, certificate, 2) as sock:
        browser = Browser(sock)
        began = time.monotonic()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while time.monotonic() - began < 5:
                browser.two.ping(b"12345678")
                sock.sendall(browser.two.data_to_send())
                if not sock.recv(65535):
                    break
        assert time.monotonic() - began < 3


def framed(packet):
    return len(packet).to_bytes(2) + packet


def read_framed(sock):
    with sock.makefile("rb") as stream:
        return dnslib.DNSRecord.parse(stream.read(int.from_bytes(stream.read(2))))


def test_tls_answers_and_its_name_says_whose_device_asks(serving, certificate):  # RFC 7858 3.3
    with serving() as server:
        for name, source in (("hillview-staff.filter.example", "127.0.0.1"), ("localhost", "127.20.3.5")):
            with tls(server, certificate, 1, name, ("dot",), source) as sock:
                sock.sendall(framed(Q))
                assert addresses(read_framed(sock)) == ["127.0.0.1"]
        assert [event.group for event in server.events] == ["staff", "ks3"]


def test_padding_is_for_encrypted_queries_that_are_padded(serving, certificate):  # RFC 8467 4.1
    query = dnslib.DNSRecord.question("bet.example")
    query.add_ar(dnslib.EDNS0(udp_len=1232, opts=[dnslib.EDNSOption(12, bytes(20))]))
    packet = bytes(query.pack())
    with serving() as server, tls(server, certificate, 1, alpn=("dot",)) as sock:
        sock.sendall(framed(packet))
        with sock.makefile("rb") as stream:
            assert int.from_bytes(stream.read(2)) == 468
            stream.read(468)
        assert len(server.packet(packet)) < 200


def test_a_handshake_that_never_comes_holds_up_nobody(serving, certificate):
    with serving() as server:
        silent = [socket.create_connection(("127.0.0.1", port(server, number))) for number in (1, 2) for _ in range(20)]
        with tls(server, certificate, 1, alpn=("dot",)) as sock:
            sock.sendall(framed(Q))
            assert addresses(read_framed(sock)) == ["127.0.0.1"]
        for each in silent:
            each.close()


@pytest.mark.parametrize("words", [
    ["+tls-hostname=localhost", 1],
    ["+https=/dns-query/hillview/ks3", "+tls-hostname=localhost", 2],
    ["+https=/dns-query/hillview/ks3", "+https-get", "+tls-hostname=localhost", 2],
    ["+cookie=0102030405060708", 0],
    ["+dnssec", "+tcp", "+keepopen", 0],
])  # fmt: skip
def test_kdig(serving, certificate, words):
    with serving() as server:
        *options, number = words
        more = [f"+tls-ca={certificate[0]}"] if number else []
        command = ["kdig", "@127.0.0.1", "-p", str(port(server, number)), *options, *more, "bet.example", "A"]
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
        assert "status: NOERROR" in said
        assert "127.0.0.1" in said.partition("ANSWER SECTION")[2]


def test_curl_by_both_versions(serving, certificate, tmp_path):
    with serving() as server:
        url = f"https://localhost:{port(server, 2)}/dns-query/hillview/ks3?dns={b64(Q)}"
        for version, said in (("--http2", "2"), ("--http1.1", "1.1")):
            command = [
                "curl",
                "-sS",
                "-4",
                version,
                "--cacert",
                certificate[0],
                "-o",
                str(tmp_path / "out"),
                "-w",
                "%{http_code} %{http_version}",
                url,
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
            assert done.stdout == f"200 {said}"
            assert addresses(dnslib.DNSRecord.parse((tmp_path / "out").read_bytes())) == ["127.0.0.1"]
