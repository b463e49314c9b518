"""First bytes, read: any bytes at any cut, and what no honest client sends."""

import contextlib
import ipaddress
import ssl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.greeting import LONGEST, Connect, Greeting, Odd, begins_as_http, connect, greeting, plain_host, proxied


def client_hello(name):
    """What OpenSSL sends to greet a name."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def hello(*extensions, session=b"", tail=b""):
    """A greeting with these extensions, (kind, content) each."""
    written = b"".join(kind.to_bytes(2) + len(content).to_bytes(2) + content for kind, content in extensions)
    body = (
        b"\3\3"
        + bytes(32)
        + len(session).to_bytes(1)
        + session
        + b"\0\2\x13\1"
        + b"\1\0"
        + len(written).to_bytes(2)
        + written
    )
    return message(body + tail)


def message(body):
    whole = b"\1" + len(body).to_bytes(3) + body
    return b"\x16\3\1" + len(whole).to_bytes(2) + whole


def sni(*names, kind=b"\0"):
    listed = b"".join(kind + len(name).to_bytes(2) + name for name in names)
    return 0, len(listed).to_bytes(2) + listed


@pytest.mark.parametrize("name", ["bank.test", "a" * 60 + ".example", None])
def test_openssls_own_greeting_at_any_cut(name):
    if name is None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        outgoing = ssl.MemoryBIO()
        tls = context.wrap_bio(ssl.MemoryBIO(), outgoing)
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        data = outgoing.read()
    else:
        data = client_hello(name)
    assert greeting(data) == Greeting(name)
    assert all(greeting(data[:cut]) is None for cut in range(len(data)))


def test_a_greeting_in_many_records():
    data = client_hello("bank.test")
    body = data[5:]
    pieces = [body[at : at + 7] for at in range(0, len(body), 7)]
    assert greeting(b"".join(b"\x16\3\1" + len(each).to_bytes(2) + each for each in pieces)) == Greeting("bank.test")


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (hello(sni(b"bank.test")), Greeting("bank.test")),
        (hello(), Greeting(None)),
        (hello((16, b"\0\3\2h2"), sni(b"bank.test")), Greeting("bank.test", offers=(b"h2",))),
        (hello((16, b"\0\5\2h2\1x"), (10, b"\0\2\0\x1d"), sni(b"a.test")), Greeting("a.test", offers=(b"h2", b"x"))),
        (hello((10, b"\0\4\0\x1d\x11\xec"), sni(b"a.test")), Greeting("a.test", quantum=True)),
        (hello((10, b"\0\3\0\x1d\x11"), sni(b"a.test")), Greeting("a.test")),
        (hello(sni(b"bank.test"), sni(b"games.test")), Greeting(None, bent=True)),
        (hello(sni(b"bank.test", b"games.test")), Greeting(None, bent=True)),
        (hello(sni(b"bank.test", kind=b"\1")), Greeting(None, bent=True)),
        (hello(sni()), Greeting(None, bent=True)),
        (hello(sni(b"")), Greeting(None, bent=True)),
        (hello((0, b"")), Greeting(None, bent=True)),
        (hello((0, b"\0\5\0\0\1")), Greeting(None, bent=True)),
        (hello(sni("b\u00e4nk.test".encode())), Greeting(None, bent=True)),
        (hello(sni(b"bank.test"), tail=b"more"), Greeting(None, bent=True)),
    ],
)
def test_greetings(data, found):
    assert greeting(data) == found


@pytest.mark.parametrize(
    "data",
    [b"\x16\3\1\0\0", b"\x16\3\1\xff\xff", b"\x16\2\1\0\5hello", b"\x17\3\3\0\1x", message(b"\3\3"), b"\x16\3\1\0\4\2\0\0\0",
     b"\x16\3\1\0\4\1\xff\xff\xff"],
)  # fmt: skip
def test_what_is_no_greeting(data):
    with pytest.raises(Odd):
        greeting(data)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\nmore", Connect("a.test", 443, ("a.test:443",), 49)),
        (b"CONNECT [2001:db8::1]:443 HTTP/1.0\r\n\r\n", Connect("2001:db8::1", 443, (), 38)),
        (b"CONNECT a.test:443 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Connect("a.test", 443, ("a", "b"), 49)),
        (b"CONNECT a.test:443 HTTP/1.1\r\nHost: a", None),
    ],
)
def test_connect(data, found):
    assert connect(data) == found


@pytest.mark.parametrize(
    "line",
    [
        "CONNECT a.test HTTP/1.1", "CONNECT a.test:99999 HTTP/1.1", "CONNECT a.test:443 HTTP/2.0", "CONNECT  a.test:443 HTTP/1.1",
        "CONNECT a.test:443", "CONNECT https://a.test:443/ HTTP/1.1", "CONNECT a@b.test:443 HTTP/1.1", "CONNECT :443 HTTP/1.1",
        "CONNECT fe80::1%eth0:443 HTTP/1.1", "CONNECT a.test:-1 HTTP/1.1", "CONNECT a.test:443 HTTP/1.1\r\n folded: x",
        "CONNECT a.test:443 HTTP/1.1\r\nno field", "CONNECT a.test:443 HTTP/1.1\r\nHost : a.test",
        "CONNECT a.test:443 HTTP/1.1\r\nContent-Length: 3", "CONNECT a.test:443 HTTP/1.1\r\nTransfer-Encoding: chunked",
        "CONNECT a.test:443 HTTP/1.1\r\nX: a\nHost: b", "CONNECT a.test:443 HTTP/1.1\r\nUpgrade: websocket",
    ],
)  # fmt: skip
def test_what_is_no_connect(line):
    data = (line + "\r\n\r\n").encode()
    with pytest.raises(Odd):
        connect(data)


def test_a_head_that_does_not_end():
    with pytest.raises(Odd):
        connect(b"CONNECT a.test:443 HTTP/1.1\r\nX: " + b"x" * LONGEST)


@pytest.mark.parametrize(
    "data",
    [b"G", b"GET ", b"GET / HT", b"GET / HTTP/1.1\r\n", b"M-SEARCH * HTTP/1.1\r\nHost", b"PRI * HTTP/2.0\r\n\r\nSM", b"SSH-"],
)  # fmt: skip
def test_what_may_become_a_request(data):
    begins_as_http(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x0e\x38ZZZZZZZZ",
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
        b"\r\n",
        b" GET / HTTP/1.1",
        b"GET /\r\n",
        b"EHLO\r\n",
        b"A" * 25,
        b"\xff",
    ],
)
def test_what_is_neither_tls_nor_a_request(data):
    with pytest.raises(Odd) as odd:
        begins_as_http(data)
    assert odd.value.outcome == "protocol"


@pytest.mark.parametrize(
    ("head", "host"),
    [
        ("GET / HTTP/1.1\r\nHost: a.test", "a.test"),
        ("GET / HTTP/1.1\r\nhost: a.test:80", "a.test"),
        ("GET / HTTP/1.1\r\nHost: [2001:db8::1]:80", "2001:db8::1"),
        ("GET / HTTP/1.0", ""),
    ],
)
def test_plain_host(head, host):
    assert plain_host((head + "\r\n\r\n").encode()) == host
    assert plain_host(head.encode()) is None


def test_two_hosts_are_odd():
    with pytest.raises(Odd):
        plain_host(b"GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n")


def header(source, command=0x21, family=None, extra=b""):
    ip = ipaddress.ip_address(source)
    body = ip.packed + ip.packed + (5000).to_bytes(2) + (443).to_bytes(2) + extra
    family = (0x11 if ip.version == 4 else 0x21) if family is None else family
    return b"\r\n\r\n\0\r\nQUIT\n" + bytes([command, family]) + len(body).to_bytes(2) + body


@pytest.mark.parametrize("source", ["10.1.2.3", "2001:db8::7"])
def test_a_proxy_header_at_any_cut(source):
    data = header(source, extra=b"\4\0\1x")
    found = proxied(data + b"GET / HTTP/1.1")
    assert (found.address, found.port, found.length) == (source, 5000, len(data))
    assert all(proxied(data[:cut]) is None for cut in range(len(data)))
    assert proxied(header(source, command=0x20)).address == ""


@pytest.mark.parametrize(
    "data", [b"PROXY TCP4 1.2.3.4", b"GET / HTTP/1.1\r\n", header("10.1.2.3", command=0x11), header("10.1.2.3", family=0x31),
             header("10.1.2.3", family=0x21), header("10.1.2.3", command=0x22)]
)  # fmt: skip
def test_what_is_no_proxy_header(data):
    with pytest.raises(Odd):
        proxied(data)


@settings(max_examples=150)
@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"\x16\3\1", b"CONNECT a.test:443 HTTP/1.1\r\n", b"\r\n\r\n\0\r\nQUIT\n", b"GET / HTTP/1.1\r\n"]),
)
def test_any_bytes_are_read_or_odd(data, start):
    for reader in (greeting, connect, plain_host, proxied):
        with contextlib.suppress(Odd):
            reader(start + data)
