"""Which addresses the proxy may connect to. A name that anyone can register may point anywhere, also at the school's own
printers, at this box or at a cloud's metadata service; a filter that fetched those for a pupil would be a way in.
"""

import ipaddress
from collections.abc import Sequence

TUNNEL_PORTS = frozenset({443})  # what CONNECT may reach; others are not the web. Inner networks (the demo): any
LOWEST_FREE_PORT = 1024  # plain http below this only on 80 and 443: no mail, no SSH, no file shares through a browser

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")


class Destinations:
    """The guard. `inner` are networks that may be reached though they are private."""

    def __init__(self, inner: Sequence[str]) -> None:
        self._inner = tuple(ipaddress.ip_network(each) for each in inner)

    def inside(self, address: str) -> bool:
        """Is this address in one of the inner networks? ValueError: not an address."""
        found = _plain(ipaddress.ip_address(address))
        return any(found in network for network in self._inner)

    def may_connect(self, address: str) -> bool:
        """Only addresses of the public internet, and inner networks. What is not an address at all: no."""
        try:
            return self.inside(address) or _is_public(_plain(ipaddress.ip_address(address)))
        except ValueError:
            return False


def web_port(port: int) -> bool:
    """May a plain request go to this port?"""
    return port in {80, 443} or port >= LOWEST_FREE_PORT


def _plain(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_public(address: Address) -> bool:
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, ipaddress.IPv6Address):  # tunnels to IPv4 addresses that we would have to unwrap: not needed
        return address.sixtofour is None and address.teredo is None and address not in _LOCAL_NAT64
    return True
