"""The one ruleset of a gateway, as text for `nft -f`: declared, emptied and filled in a single transaction. Pure.

The theory. The resolver decides, the kernel carries it out. A connection's first packet meets `steer`, which looks at where
it goes:

    to any port 53              brought to our resolver, whomever it was meant for
    to a synthetic address      the proxy: the address stands for a name whose pages must be seen (policy/synthetic.py)
    permitted for this client   marked and forwarded: the resolver told this client this address a moment ago
    anywhere else on the web    the proxy, which reads the name, judges it, and connects to where we say that name is

Everything else is `forward`'s, whose policy is to drop, and which refuses what clients should give up at once (encrypted DNS,
QUIC) instead of leaving them to wait. Permits are elements of sets, written by the process that steers (steer.py). They are
renewed when used (`direct_*`) or end at a moment that policy set (`until_*`); each kind is keyed by device (`mac`) or, for
devices behind another router, by address (`ip`).

What policy lets by beside the filtered web is no part of this: it goes into chains of its own (`OPEN`, filled by passing.py),
which stand here empty and are left as they are. So what a technician tried and the machine starts with opens nothing.

Re-applying keeps sets, counters and running connections: tables and sets are declared again, which changes nothing where they
are, chains are flushed and filled. As text, since nft 1.0.6 cannot read its own JSON of a set with the flag `dynamic`.

A connection's mark says what became of it; only its lowest byte is ours.

What a device first says on a forwarded connection is shown to the process that steers (greetings.py), until it has marked the
connection GREETED or REVOKED. Meanwhile nothing passes that could be a tunnel's: on port 443 only what begins as TLS does
(HELLO), and on port 80 no answer. A greeting's answer may pass, since a page needs more words than those; what is held back
is said again by whoever said it, a fifth of a second later, so a verdict that comes late costs that and no more.

INVARIANT: the guard comes first in `steer` and in `input`, so no other rule can lock the technician out.
INVARIANT: nothing is forwarded to the web's ports but with the mark DIRECT, or by a chain of `OPEN`.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from appliance.gateway.settings import GatewayConfig, Inside
from policy.synthetic import FOUR, SIX

TABLE: Final = "schoolgate"
PROXIED, DIRECT, REFUSED = 0x01, 0x02, 0x04  # marks of connections, in the lowest byte
PASSED, STOPPED = 0x08, 0x28  # let by beside the filtered web; policy lets it by no more: it is to end
GREETED, REVOKED = 0x12, 0x22  # of DIRECT ones: its first words name a site that may be had so; it is to end
HELLO: Final = 0x42  # of a DIRECT one to port 443: it began as TLS does, and is not judged yet
FORWARDED: Final = (DIRECT, HELLO, GREETED)
SHOWN: Final = 1107  # the nflog group of first words, and of what became of connections
MOST_TOLD: Final = 500  # a second and rule
RENEWED_S: Final = 600  # for so long after its last use a permit holds
SET_SIZE: Final = 1 << 20
COUNTERS: Final = (
    "inspected",
    "direct",
    "unresolved",
    "refused",
    "dns",
    "quic",
    "encrypted_dns",
    "other",
    "revoked",
    "spoofed",
)
SETS: Final[dict[str, str]] = {  # name: the type of its elements
    f"{kind}_{by}{family}": f"{'ether_addr' if by == 'mac' else f'ipv{family}_addr'} . ipv{family}_addr"
    for kind in ("direct", "until")
    for by in ("mac", "ip")
    for family in ("4", "6")
}
# Sets of heartbeats: `filter` is all that `closed` waits for, `steer` the process that reads first words.
ALIVE: Final = ("proxy_alive", "filter_alive", "steer_alive")


OPEN: Final[dict[str, str]] = {  # chains that passing.py fills: from where each is jumped to
    "unsteered": "steer: networks that are not filtered",
    "reached": "steer: to other inside networks",
    "lasting": "steer: the web of networks that keep direct names while the filter is dead",
    "answers": "forward: plain answers that wait for nobody while nobody reads first words",
    "unfiltered": "forward: all of networks that are not filtered",
    "passed": "forward: other ports, and other inside networks",
}
IN_FORCE: Final = "in_force"  # a set with one element, the mark of what those chains were filled with


@dataclass(frozen=True, slots=True)
class Ports:
    """Where our own processes listen, per family; 0: they do not."""

    dns: tuple[int, int]  # IPv4, IPv6
    proxy: tuple[int, int]  # of the listeners for redirected connections
    own_tcp: tuple[int, ...] = ()  # further ports that inside networks may connect to: block page, explicit proxy, DoT, DoH
    desk: tuple[int, ...] = ()
    radius: tuple[tuple[str, int], ...] = ()  # who may send RADIUS accounting, as a network, and to which port


def ruleset(config: GatewayConfig, ports: Ports) -> str:
    """The whole, ready for `nft -f -`."""
    names = ("steer", "web", "forward", "input", "leaving", *(f"from_{each.name}" for each in config.networks))
    declared = [
        *(f"  counter {name} {{ }}" for name in COUNTERS),
        *(
            f"  set {name} {{ type {kind}; size {SET_SIZE}; flags dynamic,timeout; timeout {RENEWED_S}s; }}"
            for name, kind in SETS.items()
        ),
        *(f"  set {name} {{ type inet_proto; flags timeout; }}" for name in ALIVE),
        f"  set {IN_FORCE} {{ type mark; }}",
        *(f"  chain {name} {{ }}" for name in OPEN),
        "  chain steer { type nat hook prerouting priority -100; policy accept; }",
        "  chain web { }",
        "  chain forward { type filter hook forward priority 0; policy drop; }",
        "  chain input { type filter hook input priority 0; policy drop; }",
        "  chain leaving { type nat hook postrouting priority 100; policy accept; }",
        *(f"  chain from_{each.name} {{ }}" for each in config.networks),
    ]
    filled = [
        *_chain("steer", _steer(config, ports)),
        *_chain("web", _web(ports)),
        *_chain("forward", _forward(config)),
        *_chain("input", _input(config, ports)),
        *_chain("leaving", _leaving(config)),
        *(line for each in config.networks for line in _chain(f"from_{each.name}", _from(config))),
    ]
    lines = [
        f"table inet {TABLE} {{",
        *declared,
        "}",
        *(f"flush chain inet {TABLE} {name}" for name in names),
        f"table inet {TABLE} {{",
        *filled,
        "}",
    ]
    text = "\n".join(lines) + "\n"
    return f"# schoolgate gateway {hashlib.sha256(text.encode()).hexdigest()[:16]}\n{text}"


def removed() -> str:
    """What takes the table away, whether it is there or not."""
    return f"table inet {TABLE} {{ }}\ndelete table inet {TABLE}\n"


def _chain(name: str, rules: Iterable[str]) -> list[str]:
    return [f"  chain {name} {{", *(f"    {rule}" for rule in rules), "  }"]


def mark(value: int) -> str:
    return f"ct mark set ct mark and 0xffffff00 or 0x{value:02x}"


def _marked(value: int) -> str:
    return f"ct mark and 0xff == 0x{value:02x}"


_TO_END: Final = f"ct mark and 0x{REVOKED & STOPPED:02x} != 0"


def _unjudged() -> str:
    return f"ct mark and 0xff == {{ 0x{DIRECT:02x}, 0x{HELLO:02x} }}"


def _told(way: str) -> str:
    """Shows the process that steers the first packet of a connection, with what becomes of it (monitoring/coverage.py)."""
    return f'log prefix "{way}" group {SHOWN}'


def told_some(way: str) -> str:
    """Of packets that may be many."""
    return f"limit rate {MOST_TOLD}/second {_told(way)}"


def group(items: Iterable[str | int]) -> str:
    return "{ " + ", ".join(map(str, items)) + " }"


def _names(networks: Iterable[Inside]) -> str:
    return group(dict.fromkeys(f'"{each.interface}"' for each in networks))


def _guard(config: GatewayConfig, ports: Ports) -> list[str]:
    """Whoever looks after the box reaches it, from where they said, on every interface."""
    wanted = group(dict.fromkeys((*config.admin_ports, *ports.desk)))
    rules = []
    for word, prefixes in (("ip", [p for p in config.admin if ":" not in p]), ("ip6", [p for p in config.admin if ":" in p])):
        if prefixes:
            rules.append(f"fib daddr type local tcp dport {wanted} {word} saddr {group(prefixes)} accept")
    return rules


def _steer(config: GatewayConfig, ports: Ports) -> list[str]:
    rules = [*_guard(config, ports), f"iifname != {_names(config.networks)} accept", "jump unsteered"]
    for family, port in zip(("ipv4", "ipv6"), ports.dns, strict=True):
        rules += [
            f"meta nfproto {family} meta l4proto {kind} th dport 53 counter name dns "
            + (f"redirect to :{port}" if port else "drop")
            for kind in ("udp", "tcp")
        ]
    return [
        *rules,
        "fib daddr type local accept",
        "jump reached",
        "jump lasting",
        f"tcp dport {{ 80, 443 }} meta l4proto != @filter_alive {_told('refused')} {mark(REFUSED)} accept",
        WEB,
    ]


def _web(ports: Ports) -> list[str]:
    """Where a connection to the web goes."""
    rules = []
    for (word, prefix), family, port in zip(_SYNTHETIC, ("ipv4", "ipv6"), ports.proxy, strict=True):
        rules.append(f"{word} daddr {prefix} meta l4proto @proxy_alive {_to_proxy('inspected', 'content', family, port)}")
        rules.append(f"{word} daddr {prefix} {_told('refused')} {mark(REFUSED)} accept")
    for name, kind in SETS.items():
        word = "ip6" if name.endswith("6") else "ip"
        key = ("ether saddr" if kind.startswith("ether") else f"{word} saddr") + f" . {word} daddr"
        renew = f"update @{name} {{ {key} timeout {RENEWED_S}s }} " if name.startswith("direct") else ""
        rules.append(f"{key} @{name} {renew}{mark(DIRECT)} counter name direct {_told('name')} accept")
    for family, port in zip(("ipv4", "ipv6"), ports.proxy, strict=True):
        rules.append(f"meta l4proto @proxy_alive {_to_proxy('unresolved', 'unresolved', family, port)}")
    return [*rules, f"{_told('refused')} {mark(REFUSED)} accept"]


def _to_proxy(counter: str, way: str, family: str, port: int) -> str:
    """`redirect` wants to see the protocol in its own rule."""
    if not port:
        return f"meta nfproto {family} {mark(REFUSED)} accept"
    return f"meta nfproto {family} meta l4proto tcp {mark(PROXIED)} counter name {counter} {_told(way)} redirect to :{port}"


_SYNTHETIC: Final = (("ip", FOUR), ("ip6", SIX))
_FIRST_BYTE: Final = "@ih,0,8"  # of what a packet carries; a packet that carries nothing matches nothing that is said of it
_SAYS_SOMETHING: Final = f"{_FIRST_BYTE} & 0x00 == 0x00"
_REFUSE: Final = ("meta l4proto tcp reject with tcp reset", "reject with icmpx type port-unreachable")
REFUSED_HERE: Final = tuple(f"counter name other {each}" for each in _REFUSE)
WEB: Final = "meta l4proto tcp tcp dport { 80, 443 } jump web"


def _forward(config: GatewayConfig) -> list[str]:
    plain_answer = f"{_marked(DIRECT)} ct direction reply meta l4proto tcp tcp sport 80 {_SAYS_SOMETHING}"
    rules = [
        # What was revoked ends at its next packet, from whichever side: a site's is made the reset itself, with the number
        # that the device waits for (a device that only listens would hang otherwise), a device's is answered with one.
        f"{_TO_END} ct direction reply meta l4proto tcp counter name revoked tcp flags set rst accept",
        f"{_TO_END} meta l4proto tcp counter name revoked reject with tcp reset",
        f"{_TO_END} counter name revoked drop",
        f"{_marked(DIRECT)} ct direction original meta l4proto tcp tcp dport 443 {_FIRST_BYTE} 0x16 {mark(HELLO)}",
        f"{_unjudged()} ct direction original meta l4proto tcp tcp dport {{ 80, 443 }} log group {SHOWN}",
        f"{_marked(DIRECT)} meta l4proto tcp tcp dport 443 {_SAYS_SOMETHING} drop",
        f"{_marked(DIRECT)} ct direction reply meta l4proto tcp tcp sport 443 {_SAYS_SOMETHING} drop",
        f"{plain_answer} jump answers",
        f"{plain_answer} drop",
        "ct state established,related accept",
        "ct state invalid drop",
    ]
    for each in config.networks:
        families = (("ip", "ipv4", each.four), ("ip6", "ipv6", each.six))
        for word, family, prefixes in families:
            of_family = f'iifname "{each.interface}" meta nfproto {family}'
            if prefixes:
                rules.append(f"{of_family} {word} saddr {group(prefixes)} jump from_{each.name}")
    inside = _names(config.networks)
    return [*rules, f"iifname {inside} counter name spoofed drop"]


def _from(config: GatewayConfig) -> list[str]:
    """What one network's devices may send through the box."""
    return [
        "jump unfiltered",
        f"{_marked(REFUSED)} counter name refused {_REFUSE[0]}",
        *(f"{word} daddr {range_} counter name other {each}" for word, range_ in _SYNTHETIC for each in _REFUSE),
        f'oifname "{config.outside}" {_unjudged()} accept',
        f"meta l4proto udp udp dport {{ 80, 443 }} counter name quic {_REFUSE[1]}",
        f"meta l4proto {{ tcp, udp }} th dport {{ 853, 784, 8853 }} {told_some('refused')}",
        f"meta l4proto udp udp dport {{ 853, 784, 8853 }} counter name encrypted_dns {_REFUSE[1]}",
        f"meta l4proto tcp tcp dport 853 counter name encrypted_dns {_REFUSE[0]}",
        *(f'oifname "{config.outside}" {each} accept' for each in ("icmp type echo-request", "icmpv6 type echo-request")),
        "jump passed",
        told_some("refused"),
        *REFUSED_HERE,
    ]


def _input(config: GatewayConfig, ports: Ports) -> list[str]:
    inside = _names(config.networks)
    desks = [each for each in config.networks if each.desk]
    own = f"iifname {inside} meta l4proto tcp tcp dport {group(dict.fromkeys(ports.own_tcp))} accept"
    return [
        'iifname "lo" accept',
        *_guard(config, ports),
        "ct state established,related accept",
        "ct state invalid drop",
        "meta l4proto { icmp, ipv6-icmp } accept",
        f"iifname {inside} ct status dnat accept",  # what was steered here, and only that, reaches resolver and proxy
        # A device that asks this box itself is brought from port 53 to port 53, which the kernel does not call translated.
        *(
            f"iifname {inside} meta nfproto {family} meta l4proto {{ tcp, udp }} th dport 53 accept"
            for family, port in zip(("ipv4", "ipv6"), ports.dns, strict=True)
            if port == 53
        ),
        f"iifname {inside} meta l4proto udp udp dport {{ 67, 68, 123, 547 }} accept",  # DHCP (also as doctor asks it), time
        *([own] if ports.own_tcp else []),
        *(f"{'ip6' if ':' in who else 'ip'} saddr {who} udp dport {port} accept" for who, port in ports.radius),
        *([f"iifname {_names(desks)} meta l4proto tcp tcp dport {group(ports.desk)} accept"] if desks and ports.desk else []),
        *(f"iifname {inside} {each}" for each in _REFUSE),
    ]


def _leaving(config: GatewayConfig) -> list[str]:
    return [f'oifname "{config.outside}" meta nfproto ipv4 masquerade'] if config.masquerade else []
