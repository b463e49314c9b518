"""A request to `schoolgate.internal`, as its pages see it."""

from dataclasses import dataclass

from policy.identity import Client


@dataclass(frozen=True, slots=True)
class Visit:
    """A request to this site."""

    client: Client
    address: str
    method: str
    path: str  # canonical
    now: float
    proxy: str = ""  # the proxy as this client reaches it, host:port
    host: str = "schoolgate.internal"  # the name that it asked for: this one, or the portal's public one
    languages: str = ""  # the Accept-Language header
    secure: bool = False  # by https
    by_tls: str = ""  # the proxy reached by TLS; "" where that is not served, or would not know this client
