"""Requests of HTTP/2 as those of HTTP/1.1: written exactly, or refused."""

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.greeting import Odd
from proxy.h2_requests import asked


def fields(*pairs):
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]


def written(asked_for):
    return h11.Connection(h11.CLIENT).send(asked_for.request)


def get(*more, authority="a.test", path="/", scheme="http", method="GET"):
    return fields((":method", method), (":scheme", scheme), (":authority", authority), (":path", path), *more)


WRITTEN = [
    (
        fields((":method", "CONNECT"), (":authority", "a.test:443")),
        b"CONNECT a.test:443 HTTP/1.1\r\nhost: a.test:443\r\n\r\n",
    ),
    (
        fields((":method", "CONNECT"), (":authority", "a@b c:443"), ("user-agent", "x")),
        b"CONNECT a@b%20c:443 HTTP/1.1\r\nhost: a@b%20c:443\r\nuser-agent: x\r\n\r\n",
    ),
    (get(path="/x?y=z", authority="a.test:8080"), b"GET http://a.test:8080/x?y=z HTTP/1.1\r\nhost: a.test:8080\r\n\r\n"),
    (get(path="/\xe9 x"), b"GET http://a.test/%E9%20x HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    (
        fields((":method", "GET"), (":scheme", "https"), (":path", "/"), ("host", "a.test")),
        b"GET https://a.test/ HTTP/1.1\r\nhost: a.test\r\n\r\n",
    ),
    (
        get(("te", "trailers"), ("trailer", "x"), ("cookie", "a=b"), ("proxy-authorization", "x")),
        b"GET http://a.test/ HTTP/1.1\r\nhost: a.test\r\ncookie: a=b\r\nproxy-authorization: x\r\n\r\n",
    ),
]


@pytest.mark.parametrize(("headers", "expected"), WRITTEN)
def test_what_is_written(headers, expected):
    found = asked(headers, whole=True)
    assert written(found) == expected
    assert found.tunnel is expected.startswith(b"CONNECT")


def test_a_body_has_its_length_or_is_chunked():
    assert b"\r\ncontent-length: 5\r\n" in written(asked(get(("content-length", "5"), method="POST"), whole=False))
    assert b"\r\ntransfer-encoding: chunked\r\n" in written(asked(get(method="POST"), whole=False))


ODD = {
    "no method": fields((":authority", "a.test")),
    "a tunnel to nowhere": fields((":method", "CONNECT"), ("host", "a.test:443")),
    "a tunnel with a path": fields((":method", "CONNECT"), (":authority", "a.test:443"), (":path", "/"), (":scheme", "http")),
    "a tunnel with a length": fields((":method", "CONNECT"), (":authority", "a.test:443"), ("content-length", "5")),
    "a tunnel with an empty name": fields((":method", "CONNECT"), (":authority", "")),
    "two names": get(("host", "b.test")),
    "two authorities": [*get(), *fields((":authority", "b.test"))],
    "no name at all": fields((":method", "GET"), (":scheme", "http"), (":path", "/")),
    "an unknown scheme": get(scheme="ftp"),
    "an asterisk": get(path="*", method="OPTIONS"),
    "another URL as path": get(path="http://b.test/"),
    "an empty path": get(path=""),
    "a pseudo-header of an answer": get((":status", "200")),
    "a pseudo-header of ours": fields((":strange", "x"), *[]) + get(),
    "a pseudo-header behind": [*fields(("x", "y")), *get()],
    "a hop's own header": get(("connection", "close")),
    "chunks": get(("transfer-encoding", "chunked")),
    "an upgrade": get(("upgrade", "websocket")),
    "te": get(("te", "gzip")),
    "a line feed": get(("x", "a\nhost: b.test")),
    "a carriage return in the name": get(authority="a.test\r\nx: y"),
    "a NUL": get(("x", "a\0b")),
    "capitals": get(("X-Y", "z")),
    "a colon in a name": get(("x:y", "z")),
    "a space in the method": get(method="GET /x HTTP/1.1\r\n"),
}


@pytest.mark.parametrize("headers", ODD.values(), ids=ODD)
def test_what_is_odd(headers):
    with pytest.raises(Odd) as caught:
        asked(headers, whole=True)
    assert caught.value.outcome == "odd"


@pytest.mark.parametrize("more", [("cookie", "secret\r\nx: y"), ("host", "secret.test"), ("te", "secret"), ("secret ", "x")])
def test_what_is_refused_is_not_repeated_in_our_log(more):
    with pytest.raises(Odd) as caught:
        asked(get(more), whole=True)
    assert "secret" not in str(caught.value)


def test_an_extended_connect_is_refused():
    headers = fields((":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":path", "/"))
    with pytest.raises(Odd) as caught:
        asked([*headers, *fields((":authority", "a.test"))], whole=False)
    assert caught.value.outcome == "protocol"


NAMES = st.sampled_from(
    [b":method", b":authority", b":path", b":scheme", b":protocol", b"host", b"content-length", b"x"]
) | st.binary(max_size=8)
VALUES = st.sampled_from([b"CONNECT", b"GET", b"http", b"/", b"a.test:443", b"5"]) | st.binary(max_size=12)


@settings(max_examples=150)
@given(st.lists(st.tuples(NAMES, VALUES), max_size=8), st.booleans())
def test_whatever_comes_is_one_request_or_none(headers, whole):
    try:
        data = written(asked(headers, whole=whole))
    except Odd:
        return
    request = h11.Connection(h11.SERVER)
    request.receive_data(data)
    read = request.next_event()
    assert isinstance(read, h11.Request)
    assert request.trailing_data[0] == b""
    assert len([name for name, _ in read.headers if name == b"host"]) == 1
