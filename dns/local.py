"""Names that are answered here and nowhere else: the network's own, and those that mean something else in every network.

To send them on would tell strangers what stands in the school (private reverse zones, AD), or ask a question that no one out
there may answer (`resolver.arpa`, `.onion`). A zone that is forwarded to a resolver of the school's own is asked there
instead. Pure.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from dns import codec
from dns.codec import Query

_HERE_ONLY = """
localhost local invalid onion home.arpa internal corp home lan intranet private
0.in-addr.arpa 10.in-addr.arpa 127.in-addr.arpa 254.169.in-addr.arpa 168.192.in-addr.arpa 255.255.255.255.in-addr.arpa
2.0.192.in-addr.arpa 100.51.198.in-addr.arpa 113.0.203.in-addr.arpa
d.f.ip6.arpa 8.e.f.ip6.arpa 9.e.f.ip6.arpa a.e.f.ip6.arpa b.e.f.ip6.arpa 8.b.d.0.1.0.0.2.ip6.arpa
"""
HERE_ONLY: Final = frozenset(  # RFC 6303, 6761, 6762, 7686, 8375: not to be asked of anyone else
    [
        *_HERE_ONLY.split(),
        *(f"{number}.172.in-addr.arpa" for number in range(16, 32)),
        *(f"{number}.100.in-addr.arpa" for number in range(64, 128)),
        "0." * 32 + "ip6.arpa",
        "1." + "0." * 31 + "ip6.arpa",
    ]
)
DESIGNATION: Final = "resolver.arpa"  # "which encrypted resolver stands for this one?" RFC 9462 6.4: no one is asked
TOR: Final = "onion"


def under(name: str, zones: Iterable[str]) -> str | None:
    """The zone that a name is in, the nearest one; None when it is in none."""
    zones = zones if isinstance(zones, (set, frozenset, dict)) else frozenset(zones)
    rest = name
    while rest:
        if rest in zones:
            return rest
        rest = rest.partition(".")[2]
    return None


@dataclass(frozen=True, slots=True)
class Local:
    """What this network knows of itself."""

    hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # name -> addresses
    forwarded: frozenset[str] = frozenset()  # zones that a resolver of the school's own is asked for
    _reverse: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, hosts: Iterable[tuple[str, tuple[str, ...]]], forwarded: Iterable[str]) -> "Local":
        by_name = dict(hosts)
        reverse: dict[str, tuple[str, ...]] = {}
        for name, addresses in by_name.items():
            for address in addresses:
                pointer = ipaddress.ip_address(address).reverse_pointer
                reverse[pointer] = (*reverse.get(pointer, ()), name)
        return cls(by_name, frozenset(forwarded), reverse)

    def answer(self, query: Query) -> tuple[bytes, str] | None:
        """Our own answer to a name that may be resolved, and what the event says of it; None: ask others."""
        name = query.name
        if name in self.hosts:
            return codec.pointing(query, self.hosts[name], codec.OWN_TTL), "a name of this network"
        if query.qtype == codec.PTR and name in self._reverse:
            return codec.named(query, self._reverse[name], codec.OWN_TTL), "a name of this network"
        if self.asked_inside(name):
            return None
        if name == "localhost" or name.endswith(".localhost"):
            return codec.pointing(query, ("127.0.0.1", "::1"), codec.OWN_TTL), "this very machine"  # RFC 6761 6.3
        if under(name, HERE_ONLY):
            return codec.absent(query, codec.NXDOMAIN, codec.OWN_TTL), "not asked outside"
        return None

    def asked_inside(self, name: str) -> bool:
        """Does a resolver of the school's own answer for this name?"""
        return bool(self.forwarded) and under(name, self.forwarded) is not None
