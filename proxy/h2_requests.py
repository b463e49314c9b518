"""A request of HTTP/2 as the same request of HTTP/1.1, which is what the front and mitmproxy read. Pure.

    CONNECT, :authority a.test:443          CONNECT a.test:443 HTTP/1.1       a tunnel: RFC 9113, 8.5
    GET, :scheme http, :authority, :path    GET http://a.test/path HTTP/1.1   absolute-form
    CONNECT with :protocol                  refused: RFC 8441 is for WebSockets inside a site's own connection

Nothing is judged here. What a client wrote as its destination goes on as it is written, so that userinfo, odd ports and odd
spellings meet the very readers that they meet by HTTP/1.1; only what could end a line or a word is escaped, with which it is
no host any more. How each stream may be malformed is said by the h2 library, stream by stream, and by h11 for what it writes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote_from_bytes

import h2.exceptions
import h2.utilities
import h11

from proxy.greeting import Odd

VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
BETWEEN_US = frozenset({b"te", b"host", b"content-length", b"trailer"})  # said anew, or for this hop alone
_REQUEST = h2.utilities.HeaderValidationFlags(
    is_client=False, is_trailer=False, is_response_header=False, is_push_promise=False
)

type Fields = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a stream asks for."""

    tunnel: bool
    request: h11.Request


def asked(fields: Fields, *, whole: bool) -> Asked:
    """Read a stream's first headers. `whole`: no body follows."""
    try:
        found = dict(h2.utilities.validate_headers(fields, _REQUEST))
        return _connect(found, fields) if found[b":method"] == b"CONNECT" else _plain(found, fields, whole=whole)
    except (h2.exceptions.ProtocolError, h11.LocalProtocolError):  # their words say what was asked for, and our log must not
        raise Odd("a request that is malformed") from None


def _connect(found: dict[bytes, bytes], fields: Fields) -> Asked:
    if b":protocol" in found:
        raise Odd("an extended CONNECT", "protocol")
    if b":authority" not in found or b"content-length" in found:
        raise Odd("a CONNECT that is none")
    target = _escaped(found[b":authority"])
    return Asked(tunnel=True, request=h11.Request(method=b"CONNECT", target=target, headers=_fields(fields, target)))


def _plain(found: dict[bytes, bytes], fields: Fields, *, whole: bool) -> Asked:
    path, scheme = _escaped(found[b":path"]), found[b":scheme"]
    if scheme not in {b"http", b"https"} or not path.startswith(b"/"):
        raise Odd("a request that is for no page of the web")
    place = _escaped(found.get(b":authority") or found.get(b"host", b""))
    headers = _fields(fields, place)
    if b"content-length" in found:
        headers.append((b"content-length", found[b"content-length"]))
    elif not whole:
        headers.append((b"transfer-encoding", b"chunked"))
    target = b"%s://%s%s" % (scheme, place, path)
    return Asked(tunnel=False, request=h11.Request(method=found[b":method"], target=target, headers=headers))


def _fields(fields: Fields, host: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"host", host), *((name, value) for name, value in fields if name[:1] != b":" and name not in BETWEEN_US)]


def _escaped(text: bytes) -> bytes:
    return quote_from_bytes(text, VISIBLE).encode("ascii")
