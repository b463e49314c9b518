"""Who may speak to the desk: the cookie, the guard around every request, and patience with wrong codes.

Three things stand against a forged request. The cookie is SameSite=Strict, so another site's form arrives without it. The
guard refuses an unsafe request that says it comes from elsewhere (Origin, Sec-Fetch-Site). And every form carries a token
made from the cookie, which only a page of ours can know.
"""

import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "__Host-schoolgate"
LARGEST_BODY = 64 * 1024
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: under that, browsers send `Origin: null` with our own forms. Other sites learn nothing either way.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


def set_cookie(response: Response, cookie: str) -> None:
    response.set_cookie(COOKIE, cookie, path="/", secure=True, httponly=True, samesite="strict")


def drop_cookie(response: Response) -> None:
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")


def form_token(secret: bytes, cookie: str) -> str:
    """What the forms of one session carry."""
    return hmac.digest(secret, b"form:" + cookie.encode(), "sha256").hex()


def token_holds(secret: bytes, cookie: str, token: str) -> bool:
    return hmac.compare_digest(form_token(secret, cookie).encode(), token.encode())


def onward(target: str) -> str:
    """Where to go after sign-in: a path of this desk, or the front page."""
    plain = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable() and "\\" not in target
    return target if plain and len(target) < 500 else "/"


class Guard:
    """Around every request: is it for this host, from our own pages, not too long; and the headers of every answer."""

    def __init__(self, app: ASGIApp, public_url: str, *, local: bool) -> None:
        self.app = app
        self.public = urlsplit(public_url)
        self.local = local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = str(scope["path"])

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                if path.startswith("/static/"):
                    headers["Cache-Control"] = "public, max-age=31536000, immutable"  # named by content, see words.asset
                else:
                    headers["Cache-Control"] = "no-store"
            await send(message)

        read = 0

        async def receive_some() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > LARGEST_BODY:
                raise HTTPException(413)
            return message

        refusal = self._refusal(scope, Headers(scope=scope), path)
        await (refusal or self.app)(scope, receive_some, send_guarded)

    def _refusal(self, scope: Scope, headers: Headers, path: str) -> Response | None:
        host = headers.get("host", "").lower()
        client = scope.get("client")
        loopback = client is not None and client[0] in LOCAL
        if not self._known(host, local=self.local or (loopback and path in {"/healthz", "/metrics"})):
            return _refuse(path, 400, f"this desk is at {self.public.geturl()}, not at the name that was asked for")
        if scope["method"] in SAFE:
            return None
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        foreign = (origin is not None and not self._ours(origin, host)) or (site not in {None, "same-origin", "none"})
        return _refuse(path, 403, "this was sent from another site, so nothing was done") if foreign else None

    def _known(self, host: str, *, local: bool) -> bool:
        return host == self.public.netloc.lower() or (local and urlsplit(f"//{host}").hostname in LOCAL)

    def _ours(self, origin: str, host: str) -> bool:
        parts = urlsplit(origin)
        return parts.scheme == self.public.scheme and parts.netloc.lower() == host


def _refuse(path: str, status: int, why: str) -> Response:
    if path.startswith("/api/"):
        return JSONResponse({"error": why}, status)
    return PlainTextResponse(f"{why[:1].upper()}{why[1:]}.\n", status)


@dataclass(slots=True)
class Attempts:
    """Patience with wrong codes: after five in five minutes everyone waits 30 seconds between tries; nobody is locked out.

    Tries are counted by address and by user name. An address from which a user has signed in before is counted by itself, so
    that a stranger who keeps guessing cannot keep a headteacher from her own desk.
    """

    now: Callable[[], float] = time.monotonic
    allowed: int = 5
    allowed_address: int = 20  # a whole school may be behind one
    within: float = 300
    wait: float = 30
    _failed: dict[str, list[float]] = field(default_factory=dict)
    _home: set[tuple[str, str]] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)

    def _keys(self, address: str, username: str) -> tuple[tuple[str, int], ...]:
        name = username.strip().lower()[:100]
        person = f"{name}@{address}" if (name, address) in self._home else name
        return (f"user {person}", self.allowed), (f"address {address}", self.allowed_address)

    def at_home(self, address: str, username: str) -> bool:
        """Is this an address from which the user is known to have signed in?"""
        return (username.strip().lower()[:100], address) in self._home

    def welcome(self, address: str, username: str) -> None:
        """The records say that the user has signed in from here before this process began."""
        with self._lock:
            self._home.add((username.strip().lower()[:100], address))

    def seconds(self, address: str, username: str) -> int:
        """How long to wait before this try; 0: go on."""
        with self._lock:
            longest = 0.0
            for key, allowed in self._keys(address, username):
                recent = [at for at in self._failed.get(key, ()) if self.now() - at < self.within]
                if len(recent) >= allowed:
                    longest = max(longest, recent[-1] + self.wait - self.now())
            return int(longest) + 1 if longest > 0 else 0

    def failed(self, address: str, username: str) -> None:
        with self._lock:
            if len(self._failed) > 10_000:  # a flood of names: forget the oldest half
                for key in list(self._failed)[:5_000]:
                    del self._failed[key]
            for key, allowed in self._keys(address, username):
                recent = [at for at in self._failed.pop(key, []) if self.now() - at < self.within]
                self._failed[key] = [*recent, self.now()][-allowed:]

    def succeeded(self, address: str, username: str) -> None:
        with self._lock:
            for key, _ in self._keys(address, username)[:1]:
                self._failed.pop(key, None)
            if len(self._home) > 10_000:
                self._home.clear()
            self._home.add((username.strip().lower()[:100], address))


@dataclass(slots=True)
class Touches:
    """When each session was last noted as in use: once a minute is enough."""

    now: Callable[[], float] = time.monotonic
    every: float = 60
    _last: dict[str, float] = field(default_factory=dict)

    def due(self, cookie: str) -> bool:
        key = str(hash(cookie))
        if self.now() - self._last.get(key, float("-inf")) < self.every:
            return False
        if len(self._last) > 10_000:
            self._last.clear()
        self._last[key] = self.now()
        return True
