"""Further ways in: where DNS leads blocked names, behind a balancer, and the file that tells a device its proxy."""

import ipaddress
import socket
import ssl
import subprocess
from dataclasses import replace

import pytest
from cryptography import x509


@pytest.fixture(scope="module")
def other(make_worker, make_settings, internet):
    """A worker with a page listener and an explicit one behind a balancer."""
    settings = make_settings(internet.folder / "conf", internet.ca.path, {"ks3": 0})
    made = make_worker(replace(settings, page=(("page", "127.0.0.1", 0),), balancers=("127.0.0.0/28",)))
    yield made
    made.close()


def place(worker, name):
    host, _, port = worker.addresses[name].rpartition(":")
    return host, int(port)


def curl(worker, name, url, *more):
    host, port = place(worker, name)
    scheme, _, site = url.partition("://")
    site = site.partition("/")[0]
    command = [
        "curl",
        "-sS",
        "--max-time",
        "10",
        "-w",
        "\n%{http_code}",
        "--cacert",
        worker.settings.confdir / "schoolgate-ca.pem",
    ]
    command += ["--connect-to", f"{site}:{443 if scheme == 'https' else 80}:{host}:{port}", *more, url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("host", "status", "words"),
    [
        ("games.test", 403, "This site is blocked: Games."),
        ("warned.test", 403, "This site is blocked"),  # DNS knows no warning, so it led here
        ("sealed.test", 403, "It cannot be opened from school."),
        ("allowed.test", 503, "This site is open now"),  # led here by an answer that is out of date; never fetched
        ("bank.test", 403, "This site is blocked"),  # a device that no network names gets the strictest rules
        ("schoolgate.internal", 200, "school filter"),
    ],
)
def test_where_dns_leads_blocked_names_the_block_page_is(other, internet, scheme, host, status, words):
    before = len(internet.http.seen) + len(internet.https.seen)
    got = curl(other, "page", f"{scheme}://{host}/", "-H", "Accept: text/html")
    assert got[0] == status
    assert words in got[1]
    assert len(internet.http.seen) + len(internet.https.seen) == before


def test_there_is_a_certificate_for_each_name(other):
    context = ssl.create_default_context(cafile=other.settings.confdir / "schoolgate-ca.pem")
    with (
        socket.create_connection(place(other, "page")) as sock,
        context.wrap_socket(sock, server_hostname="x.games.test") as tls,
    ):
        names = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True)).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    assert "x.games.test" in names.value.get_values_for_type(x509.DNSName)


@pytest.mark.parametrize("path", ["/proxy.pac", "/wpad.dat"])
def test_a_device_is_told_its_proxy(school, path):
    """By the address it has for the box, and from schoolgate.internal; the answer names the listener it came in by."""
    host, port = school.proxy("ks3")
    said = school.say("ks3", f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    assert b" 200 " in said.partition(b"\r\n")[0]
    assert b"application/x-ns-proxy-autoconfig" in said
    got = school.browse("ks3", f"http://schoolgate.internal{path}")
    assert f'return "PROXY {host}:{port}";' in got.text
    assert not school.seen()


def test_the_page_listener_names_the_proxys_own_port(other):
    host, port = place(other, "ks3")
    status, body = curl(other, "page", "http://schoolgate.internal/proxy.pac")
    assert (status, f"PROXY {host}:{port}" in body) == (200, True)


def header(source):
    packed = ipaddress.ip_address(source).packed
    body = packed + packed + (5000).to_bytes(2) + (443).to_bytes(2)
    return b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x21, 0x11 if len(packed) == 4 else 0x21]) + len(body).to_bytes(2) + body


def say(worker, data, source="127.0.0.1"):
    with socket.create_connection(place(worker, "ks3"), source_address=(source, 0), timeout=10) as sock:
        try:
            sock.sendall(data)
            return sock.recv(65536)
        except OSError:
            return b""


def test_behind_a_balancer_the_header_says_who_it_is(other, internet):
    url = f"http://allowed.test:{internet.http.port}/"
    request = f"GET {url} HTTP/1.1\r\nHost: allowed.test:{internet.http.port}\r\n\r\n".encode()
    other.events.clear()
    assert b" 200 " in say(other, header("127.9.9.9") + request).partition(b"\r\n")[0]
    assert other.events[0].address == "127.9.9.9"
    assert say(other, header("8.8.8.8") + request) == b""  # a public address of no school
    assert b" 200 " not in say(other, request).partition(b"\r\n")[0]  # no header: nobody
    assert say(other, header("127.9.9.9") + request, source="127.0.0.99") == b""  # no balancer of ours
