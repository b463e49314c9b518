"""What usually goes wrong around the box, looked for: each check is a sentence about the facts, and how to mend it. Pure.

`examine` reads top to bottom as a technician would look. The facts are gathered in facts.py.
"""

import ipaddress
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from appliance.config import Config
from appliance.gateway.settings import GatewayConfig, Inside

FULL: Final = 0.9  # of the kernel's table of connections
LITTLE: Final = 2 << 30  # bytes left on the disk


@dataclass(frozen=True, slots=True)
class Offer:
    """What a DHCP server in an inside network would tell a device."""

    interface: str
    server: str
    resolvers: tuple[str, ...]
    routers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is so on this machine and around it."""

    addresses: dict[str, tuple[str, ...]] = field(default_factory=dict)  # interface: its addresses with prefix lengths
    default_routes: tuple[str, ...] = ()  # the interfaces of default routes, IPv4
    leads: dict[str, str] = field(default_factory=dict)  # an inside prefix: the interface that leads there
    routers: tuple[tuple[str, str], ...] = ()  # (interface, address) of other IPv6 routers that say they are there
    unfiltered: frozenset[str] = frozenset()  # inside networks that signed policy leaves as they are
    offers: tuple[Offer, ...] = ()
    forwards: bool = False
    rules: bool = False  # are ours in the kernel?
    trying: bool = False  # do they wait to be confirmed?
    alive: bool = True  # proxy and filter, as the kernel knows
    features: dict[str, bool] = field(default_factory=dict)
    synchronised: bool = True
    connections: tuple[int, int] = (0, 0)  # how many the kernel knows, and how many it can
    disk_free: int = 1 << 40
    up: bool = True  # does `schoolgate up` run on this data folder?
    upstream: str = ""  # what is wrong with asking the resolvers above; "": nothing
    portal: str = ""  # what is wrong with the certificate of the sign-in page's public name; "": nothing
    taken: tuple[str, ...] = ()  # ports of ours that another program holds


@dataclass(frozen=True, slots=True)
class Finding:
    wrong: str  # what is so
    mend: str  # what to do


def examine(config: Config, facts: Facts) -> list[Finding]:
    """All that is wrong, what matters most first."""
    found = [finding for check in CHECKS for finding in check(config, facts)]
    if config.gateway:
        found += [finding for check in GATEWAY_CHECKS for finding in check(config.gateway, facts)]
    return found


def running(config: Config, facts: Facts) -> Iterator[Finding]:
    if facts.taken:
        ports = ", ".join(facts.taken)
        yield Finding(
            f"another program holds {ports}",
            "stop it"
            + (
                ": it may be systemd-resolved; set DNSStubListener=no in /etc/systemd/resolved.conf"
                if " 53 " in ports
                else ""
            ),
        )
    elif not facts.up:
        yield Finding(f"nothing of Schoolgate runs on {config.data}", "systemctl start schoolgate, or `schoolgate up`")


def clock(_: Config, facts: Facts) -> Iterator[Finding]:
    if not facts.synchronised:
        yield Finding(
            "this machine's clock is not kept right by anyone: codes, certificates and timetables go by it",
            "apt-get install systemd-timesyncd, and let UDP 123 out of this box",
        )


def above(_: Config, facts: Facts) -> Iterator[Finding]:
    if facts.upstream:
        yield Finding(
            f"the resolvers above do not answer: {facts.upstream}", "look at dns.upstreams, and at this box's own way out"
        )


def room(config: Config, facts: Facts) -> Iterator[Finding]:
    if facts.disk_free < LITTLE:
        megabytes = facts.disk_free >> 20
        yield Finding(
            f"{megabytes} MB are left on the disk of {config.data}",
            "shorten what is kept (Retention), or give it a larger disk",
        )


def unguarded(config: Config, facts: Facts) -> Iterator[Finding]:
    if facts.forwards and not facts.rules and config.gateway:
        yield Finding(
            "this box forwards, and there are no rules: it is a way past the filter",
            "schoolgate gateway apply; or stop forwarding: sysctl -w net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0",
        )


def portal(config: Config, facts: Facts) -> Iterator[Finding]:
    if facts.portal:
        yield Finding(
            f"guests see a warning at the sign-in page: {facts.portal}",
            f"renew the certificate for {config.proxy.portal_name} (proxy.portal_certificate), then restart",
        )


CHECKS: Final[tuple[Callable[[Config, Facts], Iterator[Finding]], ...]] = (unguarded, running, above, clock, room, portal)


def in_force(_: GatewayConfig, facts: Facts) -> Iterator[Finding]:
    lacking = [name for name, there in facts.features.items() if not there]
    if lacking:
        yield Finding(
            f"this kernel cannot do: {', '.join(lacking)}", "use Debian's own kernel, or load its nf_tables modules"
        )
    if not facts.rules and not facts.forwards:
        yield Finding("the gateway's rules are not in the kernel, so nothing is forwarded", "schoolgate gateway apply")
    elif facts.trying and facts.rules:
        yield Finding("the rules are only being tried", "schoolgate gateway confirm, over a new connection")
    elif not facts.alive and facts.rules:
        yield Finding("the kernel takes the filter for dead", "schoolgate gateway show; then look at the service's own lines")


def unsigned(gateway: GatewayConfig, _: Facts) -> Iterator[Finding]:
    if gateway.unsigned:
        wrong, _dot, mend = gateway.told.partition(". ")
        yield Finding(wrong, mend)


def wires(gateway: GatewayConfig, facts: Facts) -> Iterator[Finding]:
    for name in (gateway.outside, *dict.fromkeys(each.interface for each in gateway.networks)):
        if name not in facts.addresses:
            yield Finding(
                f"there is no interface {name}", "mend gateway in schoolgate.yaml, or set the VLAN up: `ip link` shows all"
            )
    for inside in gateway.networks:
        here = [ipaddress.ip_interface(each) for each in facts.addresses.get(inside.interface, ())]
        if here and not inside.routed and not any(_within(each, inside) for each in here):
            yield Finding(
                f"{inside.interface} has no address in {', '.join(inside.prefixes)}, so {inside.name} cannot reach the box",
                "give the interface an address there, or mend the network's prefixes",
            )


def routes(gateway: GatewayConfig, facts: Facts) -> Iterator[Finding]:
    if facts.default_routes and set(facts.default_routes) != {gateway.outside}:
        others = ", ".join(sorted(set(facts.default_routes) - {gateway.outside})) or "none"
        yield Finding(f"the way to the internet is not {gateway.outside} alone, but also {others}", "leave one default route")
    for inside in gateway.networks:
        for prefix in inside.prefixes:
            dev = facts.leads.get(prefix, inside.interface)
            if dev != inside.interface:
                yield Finding(
                    f"what comes from {inside.name} ({prefix}) by {inside.interface} is answered by {dev}: asymmetric",
                    f"mend the route to {prefix}; half of each connection passes the filter by",
                )


def ways_past(gateway: GatewayConfig, facts: Facts) -> Iterator[Finding]:
    """A second router or resolver in the devices' own network."""
    by_interface = {each.interface: each for each in gateway.networks if each.name not in facts.unfiltered}
    for interface, address in facts.routers:
        if inside := by_interface.get(interface):
            yield Finding(
                f"another IPv6 router, {address}, offers itself to {inside.name}: IPv6 goes past the filter",
                "switch on RA guard for that VLAN, or IPv6 off at that router",
            )
    for interface, inside in by_interface.items():
        six = [each for each in facts.addresses.get(interface, ()) if ":" in each and not each.startswith("fe80")]
        if six and not inside.six:
            yield Finding(
                f"{interface} has the IPv6 address {six[0]}, but {inside.name} has no IPv6 prefix: its IPv6 is dropped",
                f"add the prefix to gateway.networks.{inside.name}, or take the address away",
            )


def dhcp(gateway: GatewayConfig, facts: Facts) -> Iterator[Finding]:
    for offer in facts.offers:
        inside = next((each for each in gateway.networks if each.interface == offer.interface), None)
        if inside is None or inside.name in facts.unfiltered:
            continue
        own = {str(ipaddress.ip_interface(each).ip) for each in facts.addresses.get(offer.interface, ())}
        if others := [each for each in offer.resolvers if each not in own]:
            yield Finding(
                f"DHCP of {offer.server} tells {inside.name} of another resolver, {', '.join(others)}",
                f"let it tell of this box alone, {', '.join(sorted(each for each in own if '.' in each))}; "
                "where what is asked there cannot be brought to us, names resolve past the filter",
            )
        if offer.routers and not inside.routed and not own & set(offer.routers):
            yield Finding(
                f"DHCP of {offer.server} tells {inside.name} of another router, {', '.join(offer.routers)}",
                "let it tell of this box: else their traffic never comes here",
            )
        if len({each.server for each in facts.offers if each.interface == offer.interface}) > 1:
            yield Finding(f"more than one DHCP server answers {inside.name}; one is {offer.server}", "switch one of them off")


def connections(_: GatewayConfig, facts: Facts) -> Iterator[Finding]:
    now, most = facts.connections
    if most and now > most * FULL:
        yield Finding(
            f"the kernel knows {now} connections and can know {most}: new ones will be dropped",
            f"sysctl -w net.netfilter.nf_conntrack_max={most * 4}, and in /etc/sysctl.d",
        )


GATEWAY_CHECKS: Final[tuple[Callable[[GatewayConfig, Facts], Iterator[Finding]], ...]] = (
    in_force, unsigned, wires, routes, ways_past, dhcp, connections,
)  # fmt: skip


def _within(address: ipaddress.IPv4Interface | ipaddress.IPv6Interface, inside: Inside) -> bool:
    networks = map(ipaddress.ip_network, inside.prefixes)
    return any(each.version == address.version and address.ip in each for each in networks)
