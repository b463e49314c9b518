"""Which addresses lie in private networks: a public name has no business to lead there (DNS rebinding). Pure."""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from dns import codec
from dns.codec import Ede

INNER_ADDRESS: Final = Ede(codec.BLOCKED, "This name leads into a private network.")
INNER: Final = tuple(  # addresses that mean something else at each site; a public name has no business to name them
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",  # this machine
            "10.0.0.0/8",
            "100.64.0.0/10",  # behind a carrier's translation
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "224.0.0.0/3",  # multicast, reserved, broadcast
            "::/127",  # unspecified and loopback
            "64:ff9b:1::/48",  # local translation
            "fc00::/7",
            "fe80::/9",  # link-local, and the old site-local
            "ff00::/8",
        ),
    )
)
TRANSLATED: Final = tuple(  # IPv6 prefixes behind which an IPv4 address stands, and how many bits follow it
    (ipaddress.IPv6Network(prefix), behind)
    for prefix, behind in (("::/96", 0), ("::ffff:0:0/96", 0), ("::ffff:0:0:0/96", 0), ("64:ff9b::/96", 0), ("2002::/16", 80))
)


def inner_address(addresses: Iterable[str], permitted: Iterable[IPv4Network | IPv6Network]) -> str | None:
    """The first address that lies in a private network that is not permitted."""
    for text in addresses:
        ip = _inner(text)
        if ip and not any(ip in network for network in permitted):
            return text
    return None


@lru_cache(maxsize=16_384)  # the same few thousand addresses come by every minute
def _inner(text: str) -> IPv4Address | IPv6Address | None:
    ip = _meant(ipaddress.ip_address(text))
    return ip if any(ip in network for network in INNER) else None


def _meant(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one stands for, if it does."""
    if ip.version == 6 and int(ip) > 1:
        for network, behind in TRANSLATED:
            if ip in network:
                return IPv4Address(int(ip) >> behind & 0xFFFFFFFF)
    return ip
