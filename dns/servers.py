"""Which resolvers are asked, and how: read once from the words of the configuration.

    10.0.0.1                     plain DNS, port 53
    10.0.0.1:5353                plain DNS on another port
    tls://9.9.9.9#dns.quad9.net  DNS over TLS (RFC 7858), port 853; the name is the one its certificate must bear
    https://1.1.1.1/dns-query#cloudflare-dns.com   DNS over HTTPS (RFC 8484), port 443

A resolver is always named by its address: to look up a name, somebody would have to be asked first.
"""

import ipaddress
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

type Way = Literal["plain", "tls", "https"]

WAYS: Final[dict[str, Way]] = {"plain": "plain", "tls": "tls", "https": "https"}
PORTS: Final = {"plain": 53, "tls": 853, "https": 443}


@dataclass(frozen=True, slots=True)
class Server:
    """One resolver that can be asked."""

    address: str
    port: int
    way: Way = "plain"
    name: str = ""  # what its certificate must say; none: its address
    path: str = ""

    @property
    def words(self) -> str:
        """As the configuration and the log call it."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        name = f"#{self.name}" if self.name else ""
        return f"{host}:{self.port}" if self.way == "plain" else f"{self.way}://{host}:{self.port}{self.path}{name}"


type Given = Server | tuple[str, int] | str


def server(given: Given) -> Server:
    """The resolver that is meant; ValueError with what would be right."""
    if isinstance(given, Server):
        return given
    if isinstance(given, tuple):
        return Server(str(ipaddress.ip_address(given[0])), given[1])
    text = given if "://" in given else "plain://" + _bracketed(given)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"{given!r} is not a resolver such as {EXAMPLES}") from None
    way = WAYS.get(parts.scheme)
    if way is None or not parts.hostname or parts.username is not None or parts.query:
        raise ValueError(f"{given!r} is not a resolver such as {EXAMPLES}")
    try:
        address = str(ipaddress.ip_address(parts.hostname))
    except ValueError:
        raise ValueError(f"{given!r}: a resolver is named by its address, as in {EXAMPLES}") from None
    path = (parts.path or "/dns-query") if way == "https" else ""
    return Server(address, port or PORTS[way], way, parts.fragment, path)


EXAMPLES: Final = "10.0.0.1, tls://9.9.9.9#dns.quad9.net or https://1.1.1.1/dns-query#cloudflare-dns.com"


def _bracketed(text: str) -> str:
    """An IPv6 address alone, as it is usually written."""
    return f"[{text}]" if text.count(":") > 1 and not text.startswith("[") else text
