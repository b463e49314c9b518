"""Names that hold another name or an address: `10-0-0-1.nip.io` leads to 10.0.0.1, `bet-example.translate.goog` fetches
bet.example. Whoever runs such a service answers for every address and every site there is, so what stands inside is judged
as if it had been asked for itself. Pure.
"""

import ipaddress
import re
from typing import Final

from category_lists.names import NameRefused, canonical_host, is_address

_ADDRESS_SERVICES = """
nip.io sslip.io xip.io xip.name traefik.me localtest.me lvh.me vcap.me plex.direct backname.io ipq.co local-ip.co local-ip.sh
local-ip.dev localip.co 1u.ms rbndr.us rebind.it rebind.network myip.pics ip.me.uk xip.lhr.rocks nip.ci
ip-dns.info getsslip.org ip.addr.tools
"""
ADDRESS_SERVICES: Final = frozenset(_ADDRESS_SERVICES.split())
# `-` for `.`, `--` for `-`
NAME_SERVICES: Final = frozenset({"translate.goog", "cdn.ampproject.org", "ampproject.net", "bing-amp.com"})

_DOTTED = re.compile(r"(?<![0-9])(\d{1,3})[.-](\d{1,3})[.-](\d{1,3})[.-](\d{1,3})(?![0-9])")
_HEX = re.compile(r"(?:^|[.-])([0-9a-f]{8})(?=$|[.-])")
_NOT_OWN = re.compile(r"^[01]-(?=.*xn--)")  # what Google writes before a name that has hyphens in the third and fourth place


_SUFFIXES: Final = tuple("." + each for each in (*ADDRESS_SERVICES, *NAME_SERVICES))


def hosts_in(name: str) -> tuple[str, ...]:
    """The canonical hosts, addresses or sites, that stand inside a name of such a service; most names are none."""
    if not name.endswith(_SUFFIXES):
        return ()
    site = name_in(name)
    return (site,) if site else addresses_in(name)


def service(name: str, services: frozenset[str]) -> str:
    """What stands before the service's own name; "" when it is none of these services."""
    at = name.find(".") + 1
    while at > 0:
        if name[at:] in services:
            return name[: at - 1]
        at = name.find(".", at) + 1
    return ""


def addresses_in(name: str) -> tuple[str, ...]:
    """The addresses that a service for such names would read out of this one."""
    inside = service(name, ADDRESS_SERVICES)
    if not inside:
        return ()
    dotted = [groups for groups in _DOTTED.findall(inside) if all(int(group) < 256 for group in groups)]
    found = [".".join(str(int(group)) for group in groups) for groups in dotted]
    found += [str(ipaddress.IPv4Address(int(text, 16))) for text in _HEX.findall(inside)]
    for label in inside.split("."):
        address = _six(label)
        if address:
            found.append(address)
    return tuple(dict.fromkeys(found))


def _six(label: str) -> str | None:
    """`2001-db8--1` is 2001:db8::1, and `--1` is ::1."""
    if label.count("-") < 2:
        return None
    try:
        return str(ipaddress.IPv6Address(label.replace("-", ":")))
    except ValueError:
        return None


def name_in(name: str) -> str | None:
    """The site that a service for such names would fetch for this one; None when there is none in it."""
    inside = _NOT_OWN.sub("", service(name, NAME_SERVICES).rpartition(".")[2])
    if not inside:
        return None
    dotted = "-".join(part.replace("-", ".") for part in inside.split("--"))
    try:
        host = canonical_host(dotted)
    except NameRefused:
        return None
    return host if "." in host or is_address(host) else None
