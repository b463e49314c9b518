"""An answer that the proxy gives itself, before it becomes mitmproxy's: nothing in here knows of sockets."""

import html
import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote


class Wanted(StrEnum):
    """What the browser will do with the answer; a page in the place of a script helps nobody."""

    PAGE = "page"
    IMAGE = "image"
    JSON = "json"
    GRPC = "grpc"
    PREFLIGHT = "preflight"  # a browser asks whether a page may ask: yes, so that its script then sees the refusal
    OTHER = "other"  # script, style, font, media, fetch


_PAGES = frozenset({"document", "iframe", "frame", "embed", "object", "fencedframe"})


def wanted(dest: str, accept: str, *, kind: str = "", preflight: bool = False) -> Wanted:
    """From Sec-Fetch-Dest where the browser sends it (https), else from Accept; `kind` is the request's own content type."""
    if preflight:
        return Wanted.PREFLIGHT
    if kind.startswith("application/grpc"):
        return Wanted.GRPC
    if dest in _PAGES:
        return Wanted.PAGE
    if dest == "image":
        return Wanted.IMAGE
    if dest in {"", "empty"}:
        if not dest and "text/html" in accept:
            return Wanted.PAGE
        if not dest and accept.startswith("image/"):
            return Wanted.IMAGE
        if "json" in accept:
            return Wanted.JSON
    return Wanted.OTHER


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


CSP = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors *; "
    "form-action https://schoolgate.internal http://schoolgate.internal"
)
NEVER_KEPT = ("Cache-Control", "no-store")  # the answer may be another one in two seconds
MARK = ("X-Schoolgate", "answered")  # so that people and tests can tell our answers from a site's


def page(status: int, text: str, *headers: tuple[str, str], csp: str = CSP) -> Answer:
    """A page of ours: no script, nothing from elsewhere, never cached."""
    fixed = (
        ("Content-Type", "text/html; charset=utf-8"),
        NEVER_KEPT,
        ("Content-Security-Policy", csp),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        MARK,
    )
    return Answer(status, (*fixed, *headers), text.encode())


_ORIGIN = re.compile(r"https?://[a-z0-9.\-_\[\]:]{1,300}", re.IGNORECASE)


def cross_origin(origin: str) -> tuple[tuple[str, str], ...]:
    """Headers that let a page of another site read our refusal, so that its script sees a 403 and does not wait."""
    if not _ORIGIN.fullmatch(origin):
        return ()
    return (
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Allow-Credentials", "true"),
        ("Access-Control-Allow-Headers", "*"),
        ("Vary", "Origin"),
    )


def preflight(origin: str, headers: str) -> Answer:
    """The answer to a preflight."""
    asked = headers if re.fullmatch(r"[A-Za-z0-9_, -]{0,500}", headers) else ""
    fixed = (
        NEVER_KEPT,
        MARK,
        ("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE"),
        ("Access-Control-Max-Age", "0"),
    )
    allowed = tuple(pair for pair in cross_origin(origin) if pair[0] != "Access-Control-Allow-Headers")
    return Answer(204, (*fixed, *allowed, ("Access-Control-Allow-Headers", asked)), b"")


def grpc(text: str) -> Answer:
    """A refusal that a gRPC client understands: PERMISSION_DENIED, in headers alone."""
    kind = ("Content-Type", "application/grpc")
    return Answer(200, (kind, NEVER_KEPT, MARK, ("grpc-status", "7"), ("grpc-message", quote(text))), b"")


def plain(status: int, text: str, kind: str = "text/plain; charset=utf-8", *headers: tuple[str, str]) -> Answer:
    """A short answer for something that is no page."""
    return Answer(
        status,
        (("Content-Type", kind), NEVER_KEPT, ("X-Content-Type-Options", "nosniff"), MARK, *headers),
        text.encode(),
    )


def bare_page(status: int, title: str, sentence: str) -> Answer:
    """A page that needs no template: for when something is broken, perhaps the templates."""
    return page(
        status,
        "<!doctype html><html lang=en-GB><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{html.escape(title)}</title>"
        "<body style='font:1.125rem/1.5 system-ui,sans-serif;max-width:36rem;margin:12vh auto;padding:0 1.25rem;"
        "color:#1c2733;background:#f4efe6'>"
        f"<h1>{html.escape(title)}</h1><p>{html.escape(sentence)}</p></body></html>",
    )


CANNOT_DECIDE = bare_page(
    403,
    "This page cannot be opened just now",
    "The school's filter could not check this page, so it stays closed. Please try again in a minute, "
    "and tell a member of staff if it keeps happening.",
)


def written(answer: Answer) -> bytes:
    """An answer of ours as the bytes of HTTP/1.1, after which the connection ends."""
    lines = [f"HTTP/1.1 {answer.status} Refused", *(f"{name}: {value}" for name, value in answer.headers)]
    lines += [f"Content-Length: {len(answer.body)}", "Connection: close"]
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + answer.body
