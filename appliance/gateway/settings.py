"""What a gateway has to know of the networks around it: the section `gateway` of the configuration, typed.

What may pass stands nowhere here: neither sites, nor ports, nor ways from network to network. That is signed policy (policy/
passages.py). This says which wires there are and what runs on them.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, Final

SIGNED: Final = ("filtered", "ports", "reach", "when_dead")  # keys that older versions knew; the headteacher signs that now
DIRECT_WAYS: Final = ("forward", "relay")
LONGEST_NAME: Final = 24  # of a network, as it stands in counters


class BadGateway(ValueError):
    """One plain line: which key is wrong, and what is expected."""


@dataclass(frozen=True, slots=True)
class Inside:
    """One network behind the box, usually a VLAN. One comment a field; that comment is the documentation."""

    name: str
    interface: str  # the interface of the box that it is on, such as lan0.10
    prefixes: tuple[str, ...]  # its addresses, IPv4 and IPv6; what comes from others there is dropped
    routed: bool = False  # yes: its devices stand behind another router, so permits go by address instead of by device
    direct: str = "forward"  # names that need no look: "forward" by the kernel, or "relay" through the proxy unopened
    desk: bool = False  # may its devices open the desk?

    @property
    def four(self) -> tuple[str, ...]:
        return tuple(each for each in self.prefixes if ":" not in each)

    @property
    def six(self) -> tuple[str, ...]:
        return tuple(each for each in self.prefixes if ":" in each)


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """The section `gateway`."""

    outside: str  # the interface that leads to the internet
    networks: tuple[Inside, ...]
    admin: tuple[str, ...]  # addresses from which the box itself can always be reached, whatever else is wrong
    admin_ports: tuple[int, ...] = (22,)  # the TCP ports that they reach; the desk's are added
    apart: bool = False  # is the process that steers a service of its own (`schoolgate steer`), not one of `schoolgate up`?
    masquerade: bool = False  # does the box hide the inside behind its own IPv4 address?
    unsigned: tuple[str, ...] = ()  # keys of the file that decide nothing any more: what they say has to be signed

    @property
    def told(self) -> str:
        """What a technician is told of keys that decide nothing; "" for none."""
        if not self.unsigned:
            return ""
        are = "has" if len(self.unsigned) == 1 else "have"
        return (
            f"{', '.join(self.unsigned)} {are} no effect: the headteacher signs that now. Ask for it at the desk (Requests, "
            "Other ports of a network), then take it out of the configuration"
        )


def read(raw: object) -> GatewayConfig | None:
    """The section as YAML has it; None when there is none. BadGateway says what is wrong."""
    if raw is None or raw == {}:
        return None
    values = _keys("gateway", raw, {each.name for each in fields(GatewayConfig)} - {"unsigned"} | {*SIGNED})
    networks = values.get("networks")
    if not isinstance(networks, dict) or not networks:
        raise BadGateway("gateway.networks: at least one network is expected, as `pupils: {interface: lan0.10, ...}`")
    inside = tuple(_inside(str(name), given) for name, given in networks.items())
    _no_overlap(inside)
    found = GatewayConfig(
        outside=_interface("gateway.outside", values.get("outside")),
        networks=inside,
        admin=_prefixes("gateway.admin", values.get("admin")),
        admin_ports=_admin_ports(values.get("admin_ports", [22])),
        apart=_yes_no("gateway.apart", values.get("apart", False)),
        masquerade=_yes_no("gateway.masquerade", values.get("masquerade", False)),
        unsigned=(
            *_unsigned("gateway", values),
            *(key for name, given in networks.items() for key in _unsigned(f"gateway.networks.{name}", given)),
        ),
    )
    if any(each.interface == found.outside for each in inside):
        raise BadGateway(f"gateway.outside: {found.outside} is an inside network's interface, too")
    return found


def _unsigned(where: str, values: Mapping[str, Any]) -> list[str]:
    """The keys that say something else than what holds where nothing is signed."""
    usual = {"filtered": True, "ports": [], "reach": [], "when_dead": "closed"}
    return [f"{where}.{key}" for key in SIGNED if key in values and values[key] != usual[key]]


def _inside(name: str, raw: object) -> Inside:
    where = f"gateway.networks.{name}"
    if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii() or len(name) > LONGEST_NAME:
        raise BadGateway(f"{where}: a network's name is up to {LONGEST_NAME} letters, digits and hyphens")
    values = _keys(where, raw, {each.name for each in fields(Inside)} - {"name"} | {*SIGNED})
    return Inside(
        name=name,
        interface=_interface(f"{where}.interface", values.get("interface")),
        prefixes=_prefixes(f"{where}.prefixes", values.get("prefixes")),
        routed=_yes_no(f"{where}.routed", values.get("routed", False)),
        direct=_one_of(f"{where}.direct", values.get("direct", "forward"), DIRECT_WAYS),
        desk=_yes_no(f"{where}.desk", values.get("desk", False)),
    )


def _keys(where: str, raw: object, known: set[str]) -> Mapping[str, Any]:
    if not isinstance(raw, dict):
        raise BadGateway(f"{where}: keys and values are expected")
    for key in raw:
        if key not in known:
            close = get_close_matches(str(key), known, n=1)
            more = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(sorted(known))}"
            raise BadGateway(f"{where}: unknown key {key!r}; {more}")
    return raw


def _list(where: str, raw: object) -> list[str]:
    items = [raw] if isinstance(raw, str) else raw
    if not isinstance(items, list) or not all(isinstance(each, str) for each in items):
        raise BadGateway(f"{where}: a list is expected")
    return items


def _interface(where: str, raw: object) -> str:
    """A name that can be written into the rules as it is."""
    if not isinstance(raw, str) or not 0 < len(raw) < 16 or not raw.isascii() or any(each in ' "\\/*\t\n' for each in raw):
        raise BadGateway(f"{where}: the name of an interface is expected, such as lan0.10")
    return raw


def _prefixes(where: str, raw: object) -> tuple[str, ...]:
    try:
        found = tuple(str(ipaddress.ip_network(each)) for each in _list(where, raw))
    except ValueError as error:
        raise BadGateway(f"{where}: {error}; a network is written 10.10.0.0/16") from None
    if not found:
        raise BadGateway(f"{where}: at least one network is expected, such as 10.10.0.0/16")
    return found


def _one_of(where: str, raw: object, known: tuple[str, ...]) -> str:
    if raw not in known:
        raise BadGateway(f"{where}: {raw!r} is neither {' nor '.join(known)}")
    return str(raw)


def _yes_no(where: str, raw: object) -> bool:
    if not isinstance(raw, bool):
        raise BadGateway(f"{where}: {raw!r} is neither yes nor no")
    return raw


def _admin_ports(raw: object) -> tuple[int, ...]:
    if not isinstance(raw, list) or not raw or not all(type(each) is int and 0 < each < 65536 for each in raw):
        raise BadGateway("gateway.admin_ports: a list of ports is expected, such as [22]")
    return tuple(raw)


def _no_overlap(inside: tuple[Inside, ...]) -> None:
    seen: list[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, str]] = []
    for each in inside:
        for network in map(ipaddress.ip_network, each.prefixes):
            for other, name in seen:
                if name != each.name and network.version == other.version and network.overlaps(other):
                    raise BadGateway(f"gateway.networks: {network} of {each.name} and {other} of {name} overlap")
            seen.append((network, each.name))
