"""Ways round the filter: each tried as a client would over a real socket, refused, and found in the filter log.

The client is a pupil in Years 7-9; bet365.com is blocked for her, en.wikipedia.org is open. A way through DNS is refused when
the answer says so (an extended error of ours, NXDOMAIN, REFUSED) and the little internet was never asked for the name; a way
through the proxy when no page of the little internet came back.
"""

import base64
import hashlib
import socket
import sqlite3
import ssl
from contextlib import closing, suppress
from dataclasses import dataclass

import dnslib
import pytest

from .conftest import until

PUPIL = "127.20.3.66"
BAD, GOOD = "bet365.com", "en.wikipedia.org"
NO_NAMES = frozenset({3, 5})  # NXDOMAIN, REFUSED


@dataclass(frozen=True)
class Ask:
    """A way through DNS. `host` is what the log calls it; `asked` says that an upstream had to be asked to find out."""

    way: str
    name: str = ""
    kind: str = "A"
    host: str = ""
    bypass: str = ""
    asked: bool = False
    tcp: bool = False
    raw: bytes = b""
    options: tuple[str, ...] = ()

    @property
    def logged(self) -> str:
        return self.host or self.name.lower().rstrip(".")


def labels(*each: bytes) -> bytes:
    return b"".join(bytes((len(label),)) + label for label in each) + b"\0"


def question(qname: bytes, qtype=1, qclass=1, flags=0x0100, more=b"", counts=(1, 0, 0, 0)) -> bytes:
    head = b"\x12\x34" + flags.to_bytes(2) + b"".join(count.to_bytes(2) for count in counts)
    return head + qname + qtype.to_bytes(2) + qclass.to_bytes(2) + more


PLAIN = labels(b"bet365", b"com")
SUBNET = b"\0\0\x29\x04\xd0\0\0\0\0\0\x0b\0\x08\0\x07\0\x01\x18\0\x08\x08\x08"  # "answer as if I were at 8.8.8.0/24"
WAYS_THROUGH_DNS = [
    # the same name in other words
    *(Ask(f"as {kind}", BAD, kind) for kind in ("A", "AAAA", "HTTPS", "SVCB", "TXT", "MX", "NS", "SRV", "CNAME", "SOA", "ANY", "NAPTR", "CAA")),
    Ask("of an unknown type", host=BAD, raw=question(PLAIN, 65280)),
    Ask("of type NULL", host=BAD, raw=question(PLAIN, 10)),
    Ask("in capitals", "BET365.COM"),
    Ask("in mixed case", "bEt365.CoM"),
    Ask("below it", "www.bet365.com"),
    Ask("far below it", "a.b.c.d.e.f.bet365.com"),
    Ask("a service label", "_https._tcp.bet365.com"),
    Ask("a wildcard", host="\\042.bet365.com", raw=question(labels(b"*", b"bet365", b"com")), bypass="odd name"),
    Ask("a dot inside a label", host="bet365\\046com", raw=question(labels(b"bet365.com")), bypass="odd name"),
    Ask("a zero byte inside a label", host="bet365\\000.com", raw=question(labels(b"bet365\0", b"com")), bypass="odd name"),
    Ask("a space before it", host="\\032bet365.com", raw=question(labels(b" bet365", b"com")), bypass="odd name"),
    Ask("wrong punycode", "xn--bet365-.com", bypass="odd name"),
    Ask("an address as a name", "1.2.3.4.5", bypass="odd name"),
    Ask("by TCP", BAD, tcp=True),
    Ask("without recursion", host=BAD, raw=question(PLAIN, flags=0)),
    Ask("with checking disabled", host=BAD, raw=question(PLAIN, flags=0x0110)),
    Ask("with DNSSEC", host=BAD, raw=question(PLAIN, more=b"\0\0\x29\x04\xd0\0\0\x80\0\0\0", counts=(1, 0, 0, 1))),
    Ask("as if from elsewhere", host=BAD, raw=question(PLAIN, more=SUBNET, counts=(1, 0, 0, 1))),
    Ask("in class ANY", host=BAD, raw=question(PLAIN, qclass=255), bypass="other class"),
    Ask("in class CHAOS", host="version.bind", raw=question(labels(b"version", b"bind"), 16, 3), bypass="other class"),
    Ask("a zone transfer", BAD, "AXFR", tcp=True, bypass="transfer"),
    Ask("two questions at once", host="", raw=question(labels(b"ok", b"example"), more=PLAIN + b"\0\1\0\1", counts=(2, 0, 0, 0))),
    # allowed names that lead to blocked ones
    Ask("an alias of it", "cloaked.example", asked=True),
    Ask("an alias of an alias", "twice.example", asked=True),
    Ask("a service record that leads to it", "service.example", "HTTPS", asked=True),
    Ask("a service record that hints into the school", "hinted.example", "HTTPS", asked=True, bypass="rebinding"),
    Ask("a name that leads into the school", "rebind.example", asked=True, bypass="rebinding"),
    Ask("the same, dressed as IPv6", "mapped.example", "AAAA", asked=True, bypass="rebinding"),
    Ask("a name that leads to another resolver", "resolver.example", asked=True, bypass="doh"),
    # other resolvers
    *(Ask(f"the resolver {name}", name, bypass="doh") for name in (
        "dns.google", "cloudflare-dns.com", "mozilla.cloudflare-dns.com", "chrome.cloudflare-dns.com", "one.one.one.one",
        "dns.quad9.net", "doh.opendns.com", "dns.nextdns.io", "dns.adguard-dns.com", "security.cloudflare-dns.com",
    )),
    *(Ask(f"the canary {name}", name, bypass="canary") for name in (
        "use-application-dns.net", "mask.icloud.com", "mask-h2.icloud.com", "mask.apple-dns.net",
    )),
    Ask("which resolver stands for you?", "_dns.resolver.arpa", "SVCB", bypass="designation"),
    Ask("and by name?", "_dns.schoolgate.resolver.arpa", "SVCB", bypass="designation"),
    # VPN, Tor, web proxies, remote control
    *(Ask(f"the VPN or proxy {name}", name, bypass="vpn") for name in (
        "nordvpn.com", "protonvpn.com", "psiphon.ca", "hola.org", "lantern.io", "torproject.org", "bridges.torproject.org",
        "croxyproxy.com", "tor2web.org", "ultrasurf.us", "tailscale.com",
    )),
    Ask("a Tor name", "duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad.onion", bypass="tor"),
    # names that anybody can make, and names that hold others
    Ask("dynamic DNS", "my-home.duckdns.org", bypass="dynamic DNS"),
    Ask("a tunnel to a desk at home", "abc123.ngrok-free.app", bypass="dynamic DNS"),
    Ask("an address of the school in a name", "10-20-0-1.sslip.io", bypass="address inside"),
    Ask("an address in hex", "c0a80001.nip.io", bypass="address inside"),
    Ask("a resolver's address in a name", "8.8.8.8.nip.io", bypass="address inside"),
    Ask("through a translator", "bet365-com.translate.goog", bypass="name inside"),
    Ask("through a page cache", "bet365-com.cdn.ampproject.org", bypass="name inside"),
    # searching without safe search
    Ask("an engine without safe search", "yandex.com", bypass="search"),
    Ask("an engine that DNS cannot hold", "uk.search.yahoo.com", bypass="search"),
    Ask("a side door of an engine", "html.duckduckgo.com", bypass="search"),
]  # fmt: skip


def exchange(box, way: Ask) -> dnslib.DNSRecord:
    host, port = box.ready["dns"][0].rsplit(":", 1)
    packet = way.raw
    if not packet:
        query = dnslib.DNSRecord.question("x", way.kind)
        packet = question(
            labels(*way.name.encode().split(b".")), query.q.qtype, more=b"\0\0\x29\x04\xd0\0\0\0\0\0\0", counts=(1, 0, 0, 1)
        )
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if way.tcp else socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.bind((PUPIL, 0))
        sock.connect((host, int(port)))
        sock.sendall(len(packet).to_bytes(2) + packet if way.tcp else packet)
        answer = sock.recv(65535)
    return dnslib.DNSRecord.parse(answer[2:] if way.tcp else answer)


@pytest.mark.parametrize("way", WAYS_THROUGH_DNS, ids=lambda way: way.way)
def test_ways_through_dns(box, internet, way):
    before = internet.asked[way.logged]
    said = exchange(box, way)
    ours = [option for rr in said.ar if rr.rtype == 41 for option in rr.rdata if option.code == 15]
    if way.raw and not said.ar and said.header.rcode == 0:  # no EDNS in the question, so no reason in the answer
        ours = [None]
        assert {str(rr.rdata) for rr in said.rr} <= {"127.0.0.1"}
    assert said.header.rcode in {1, *NO_NAMES} or ours, said
    if not way.asked:
        assert internet.asked[way.logged] == before


def page_of(box, host, path="/", port=None):
    return f"http://{host}:{port or box.internet.http_port}{path}"


def plainly(target, *headers, method="GET"):
    """A request as bytes, for what no browser would send."""

    def made(box):
        port = str(box.internet.http_port)
        lines = [f"{method} {target} HTTP/1.1", *headers, "Connection: close", "", ""]
        return "\r\n".join(lines).replace("PORT", port).encode()

    return made


def tunnel(to, sni=None, inner_host=None):
    """CONNECT, a TLS greeting inside, a request inside that."""

    def tried(box):
        with _to_proxy(box) as sock:
            sock.sendall(
                f"CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n".replace("SPORT", str(box.internet.https_port)).encode()
            )
            head = sock.recv(65535)
            if b" 200" not in head.partition(b"\r\n")[0]:
                return head
            context = ssl.create_default_context(cafile=box.trusted)
            context.check_hostname = False
            name = sni or to.partition(":")[0]
            with context.wrap_socket(sock, server_hostname=name) as inside:
                inside.sendall(
                    f"GET / HTTP/1.1\r\nHost: {inner_host or name}\r\nAccept: text/html\r\nConnection: close\r\n\r\n".encode()
                )
                return _all(inside)

    return tried


def _to_proxy(box):
    host, port = box.ready["proxy"][0].rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=15, source_address=(PUPIL, 0))


def _all(sock) -> bytes:
    found = b""
    with suppress(OSError):
        while more := sock.recv(65535):
            found += more
    return found


DOH = base64.urlsafe_b64encode(bytes(dnslib.DNSRecord.question(BAD).pack())).decode().rstrip("=")
WAYS_THROUGH_THE_PROXY = [
    ("plainly", BAD, plainly(f"http://{BAD}:PORT/", f"Host: {BAD}:PORT")),
    ("in capitals", BAD, plainly("http://BET365.COM:PORT/", "Host: BET365.COM:PORT")),
    ("with a dot behind it", BAD, plainly("http://bet365.com.:PORT/", "Host: bet365.com.:PORT")),
    ("a name below it", f"m.{BAD}", plainly(f"http://m.{BAD}:PORT/", f"Host: m.{BAD}:PORT")),
    ("with a user in front", BAD, plainly(f"http://{GOOD}@{BAD}:PORT/", f"Host: {BAD}:PORT")),
    ("by HTTP/1.0 without a host", BAD, lambda box: f"GET http://{BAD}:{box.internet.http_port}/ HTTP/1.0\r\n\r\n".encode()),
    ("an open target, a blocked host", GOOD, plainly(f"http://{GOOD}:PORT/", f"Host: {BAD}:PORT")),
    ("a blocked target, an open host", BAD, plainly(f"http://{BAD}:PORT/", f"Host: {GOOD}:PORT")),
    ("with another method", BAD, plainly(f"http://{BAD}:PORT/", f"Host: {BAD}:PORT", method="OPTIONS")),
    ("with headers that other proxies obey", BAD, plainly(
        f"http://{BAD}:PORT/", f"Host: {BAD}:PORT", f"X-Forwarded-Host: {GOOD}", f"X-Original-URL: http://{GOOD}/", f"Forwarded: host={GOOD}")),
    ("as a WebSocket", BAD, plainly(
        f"http://{BAD}:PORT/", f"Host: {BAD}:PORT", "Upgrade: websocket", "Sec-WebSocket-Key: AAAA", "Sec-WebSocket-Version: 13")),
    ("through a tunnel", BAD, tunnel(f"{BAD}:SPORT")),
    ("a tunnel to an open name that greets a blocked one", GOOD, tunnel(f"{GOOD}:SPORT", sni=BAD)),
    ("an opened tunnel in which a blocked host is asked", "www.google.com", tunnel("www.google.com:SPORT", inner_host=BAD)),
    ("a tunnel to a port that is not the web's", "outside.example", tunnel("outside.example:22")),
    ("a web page on a mail server's port", "outside.example", plainly("http://outside.example:25/", "Host: outside.example:25")),
    ("an address instead of a name", "8.8.8.8", tunnel("8.8.8.8:443")),
    ("an address as one number", "8.8.8.8", plainly("http://134744072/", "Host: 134744072")),
    ("an address in hex", "8.8.8.8", plainly("http://0x8.0x8.0x8.0x8/", "Host: 0x8.0x8.0x8.0x8")),
    ("an address in octal", "8.8.8.8", plainly("http://010.010.010.010/", "Host: 010.010.010.010")),
    ("DNS over HTTPS", "dns.google", plainly(f"http://dns.google:PORT/dns-query?dns={DOH}", "Host: dns.google:PORT")),
    ("DNS over HTTPS in a tunnel", "cloudflare-dns.com", tunnel("cloudflare-dns.com:443")),
    ("a VPN's website", "nordvpn.com", plainly("http://nordvpn.com:PORT/", "Host: nordvpn.com:PORT")),
    ("a web proxy", "croxyproxy.com", plainly("http://croxyproxy.com:PORT/", "Host: croxyproxy.com:PORT")),
    ("through a translator", "bet365-com.translate.goog", plainly(
        "http://bet365-com.translate.goog:PORT/", "Host: bet365-com.translate.goog:PORT")),
    ("another resolver's address in a name", "8-8-8-8.nip.io", plainly("http://8-8-8-8.nip.io:PORT/", "Host: 8-8-8-8.nip.io:PORT")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("way", "host", "tried"), WAYS_THROUGH_THE_PROXY, ids=lambda each: each if isinstance(each, str) else ""
)
def test_ways_through_the_proxy(box, internet, way, host, tried):
    made = tried(box)
    with _to_proxy(box) as sock:
        if not tried.__qualname__.startswith("tunnel"):
            sock.sendall(made)
            made = _all(sock)
    assert b"<h1>This is" not in made
    assert made == b"" or made.split(b" ", 2)[1] in {b"403", b"400", b"502"}, made[:300]


def test_by_tls_the_proxy_says_the_same(box):
    """Under the box's own certificate, as the PAC file names it; tests/proxy/test_secure.py speaks HTTP/2 to it."""
    (proxy,) = box.ready["proxy_tls"]
    by_tls = ("-x", f"https://{proxy}", "--proxy-cacert", box.ca)
    for url in (box.http(BAD), box.https(BAD), box.https(GOOD)):
        assert box.curl(url, PUPIL, *by_tls)[0] == box.curl(url, PUPIL)[0] == (200 if GOOD in url else 403)
    told = box.curl("http://schoolgate.internal/proxy.pac", PUPIL, *by_tls)[1]
    assert f'return "HTTPS {proxy}; PROXY {box.ready["proxy"][0]}";' in told


def test_a_tunnel_of_data_in_names_is_told(box):
    for n in range(150):  # the workers each see their part
        label = hashlib.sha256(str(n).encode()).hexdigest()[:60]
        exchange(box, Ask("", f"{label}.t.smuggler.example", "TXT"))
    until(lambda: _told(box, "%.t.smuggler.example", "%bypass:tunnel%"), 20, "the tunnel is in the filter log")


def _told(box, host, detail="%", action="%"):
    with closing(sqlite3.connect(box.data / "log.sqlite3", timeout=10)) as log:
        found = log.execute(
            "SELECT host FROM events WHERE address = ? AND host LIKE ? AND detail LIKE ? AND action LIKE ?",
            (PUPIL, host, detail, action),
        )
        return found.fetchall()


def test_every_way_is_in_the_filter_log(box):
    """The table above, tried once more where this test runs alone, and looked for."""
    for way in WAYS_THROUGH_DNS:
        exchange(box, way)
    for way in WAYS_THROUGH_DNS:
        detail = f"%bypass:{way.bypass}%" if way.bypass else "%"
        until(lambda way=way, detail=detail: _told(box, way.logged, detail, "block"), 20, f"in the filter log: {way.way}")
    for way, host, tried in WAYS_THROUGH_THE_PROXY:
        if not _told(box, host, action="block"):
            made = tried(box)
            if not tried.__qualname__.startswith("tunnel"):
                with _to_proxy(box) as sock:
                    sock.sendall(made)
                    _all(sock)
        until(lambda host=host: _told(box, host, action="block"), 20, f"in the filter log: {way}")


def test_the_table_is_long():
    assert len(WAYS_THROUGH_DNS) + len(WAYS_THROUGH_THE_PROXY) >= 90


def test_ech_and_http3_do_not_reach_a_pupil(box):
    said = exchange(box, Ask("", "hidden.example", "HTTPS"))
    assert [str(rr.rdata) for rr in said.rr] == ["1 . alpn=h2"]


def test_safe_search_is_led_for_pupils_and_not_for_staff(box, internet):
    before = internet.asked["www.google.co.uk"]
    said = exchange(box, Ask("", "www.google.co.uk"))
    assert str(said.rr[0].rdata) == "forcesafesearch.google.com."
    assert internet.asked["www.google.co.uk"] == before
    assert "forcesafesearch" not in box.dig("www.google.de", "127.20.9.5")
