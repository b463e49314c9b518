"""What signed policy lets by beside the filtered web, carried to the kernel: into the chains that ruleset.py leaves empty.

The theory. Policy speaks of networks by their addresses (policy/passages.py), the configuration says by which interface each
comes. Where the two meet there is a *stretch*: addresses of one inside network for which one way holds, without the smaller
networks in it that have a way of their own. Stretches never overlap, so the rules of each stand alone and in any order.

The process that steers fills the chains in one transaction when the policy changes, and leaves in a set a mark of what it
filled them with. When the mark is not there (rules were taken away and came again) it fills them again; that is also how they
are filled after a start. Until then they are empty: nothing passes. Permits, counters and running connections stay.

What was let by has the mark PASSED. After a change each such connection is judged again, here and not by the rules, which see
only first packets; what may pass no more is marked STOPPED, and ended as a site's is. What is not TCP cannot be told to end,
it is dropped; if policy lets it by again, it may go on.
"""

import asyncio
import hashlib
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, collapse_addresses, ip_address, ip_network
from typing import Final, Protocol

from appliance.gateway import nft
from appliance.gateway.netlink import Flow, ends_of
from appliance.gateway.ruleset import IN_FORCE, OPEN, PASSED, REFUSED_HERE, STOPPED, TABLE, WEB, group, mark, told_some
from appliance.gateway.settings import GatewayConfig, Inside
from policy.passages import ALL, FILTERED, NOTHING, PROTOCOLS, Prefix, Way, ways
from policy.snapshot import Snapshot

log = logging.getLogger(__name__)

AGAIN_S: Final = 1.0  # how often it is tried where our rules are not in the kernel
NUMBERS: Final = {6: "tcp", 17: "udp"}
_MARKED: Final = f"{mark(PASSED)} accept"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Addresses of an inside network for which one way holds."""

    inside: Inside
    prefix: Prefix
    holes: tuple[Prefix, ...]  # addresses in it for which another holds
    way: Way

    def holds(self, address: str) -> bool:
        ip = ip_address(address)
        return _in(ip, self.prefix) and not any(_in(ip, each) for each in self.holes)

    def match(self, side: str) -> str:
        """As rules say it: side "saddr" or "daddr"."""
        word = _word(self.prefix)
        holes = f" {word} {side} != {group(map(str, self.holes))}" if self.holes else ""
        return f"{word} {side} {self.prefix}{holes}"

    def reached(self, config: GatewayConfig) -> list[Prefix]:
        """What of the inside its devices may connect to."""
        of_family = self.prefix.version
        inner = [each for each in _inner(config) if each.version == of_family]
        wanted = [each for each in map(ip_network, self.way.reach) if each.version == of_family]
        parts = [each for each in wanted if any(_within(each, one) for one in inner)]
        return list(dict.fromkeys([*(each for each in inner if self.way.reaches(each)), *parts]))


def stretches(config: GatewayConfig, ways: Mapping[Prefix, Way]) -> list[Stretch]:
    """All of them, those in which nothing is let by too."""
    found = []
    for inside in config.networks:
        for whole in map(ip_network, inside.prefixes):
            around = [each for each in ways if _within(whole, each)]
            parts = {whole: ways[max(around, key=lambda one: one.prefixlen)] if around else NOTHING}
            parts |= {each: way for each, way in ways.items() if _within(each, whole)}
            for prefix, way in parts.items():
                smaller = [each for each in parts if each != prefix and _within(each, prefix)]
                holes = collapse_addresses(smaller)  # type: ignore[type-var]  # all of one family
                found.append(Stretch(inside, prefix, tuple(holes), way))
    return found


@dataclass(frozen=True, slots=True)
class Filling:
    """What goes into the chains of `OPEN`."""

    text: str  # for `nft -f -`; refused where our rules are not in the kernel
    mark: bytes  # what is left in the kernel as a sign of it


def filling(config: GatewayConfig, all_: Iterable[Stretch]) -> Filling:
    """Emptied and filled in one transaction."""
    chains: dict[str, list[str]] = {name: [] for name in OPEN}
    for one in all_:
        for name, rule in _rules(one, config):
            chains[name].append(rule)
    lines = [
        *(f"flush chain inet {TABLE} {name}" for name in OPEN),
        f"flush set inet {TABLE} {IN_FORCE}",
        *(f"add rule inet {TABLE} {name} {rule}" for name, rules in chains.items() for rule in rules),
    ]
    sign = hashlib.sha256("\n".join(lines).encode()).digest()[:4]
    lines.append(f"add element inet {TABLE} {IN_FORCE} {{ 0x{int.from_bytes(sign, sys.byteorder):08x} }}")
    return Filling("\n".join(lines) + "\n", sign)


def _rules(one: Stretch, config: GatewayConfig) -> Iterator[tuple[str, str]]:
    """The rules of a stretch, each with its chain."""
    way, comes = one.way, f'iifname "{one.inside.interface}" {one.match("saddr")}'
    inner = [f"{comes} {_word(each)} daddr {each}" for each in one.reached(config)]
    out = f'{comes} oifname "{config.outside}"'
    if not way.filtered:
        yield "unsteered", f"{comes} accept"
        yield from (("unfiltered", f"{each} {_MARKED}") for each in inner)
        yield "unfiltered", f"{out} {told_some('forwarded')}"
        yield "unfiltered", f"{out} {_MARKED}"
        yield from (("unfiltered", f"{comes} {each}") for each in REFUSED_HERE)
        return
    yield from (("reached", f"{each} accept") for each in inner)
    yield from (("passed", f"{each} {_MARKED}") for each in inner)
    for each in _ports(way):
        yield "passed", f"{out} {each} {told_some('forwarded')}"
        yield "passed", f"{out} {each} {_MARKED}"
    if way.when_dead == "direct":
        yield "lasting", f"{comes} {WEB}"
        yield "answers", f'oifname "{one.inside.interface}" {one.match("daddr")} meta l4proto != @steer_alive accept'


def _ports(way: Way) -> Iterator[str]:
    """The connections that are neither the web nor DNS, as far as a way has them."""
    if ALL in way.ports:
        for kind in PROTOCOLS:
            own = group(sorted(number for protocol, number in FILTERED if protocol == kind))
            yield f"meta l4proto {kind} {kind} dport != {own}"
        yield "meta l4proto != { tcp, udp }"
        return
    for kind in PROTOCOLS:
        if numbers := [each.partition("/")[2] for each in way.ports if each.startswith(f"{kind}/")]:
            yield f"meta l4proto {kind} {kind} dport {group(numbers)}"


def lets(all_: Sequence[Stretch], config: GatewayConfig, flow: Flow) -> bool:
    """May this connection, which was let by once, go on?"""
    one = next((each for each in all_ if each.holds(flow.source)), None)
    if one is None:
        return False
    to, (number, port) = ip_address(flow.to), ends_of(flow)
    if any(_in(to, each) for each in _inner(config)):
        return any(_in(to, each) for each in one.reached(config))
    protocol = NUMBERS.get(number)
    if protocol is None:
        return not one.way.filtered or ALL in one.way.ports
    return one.way.lets(protocol, port)


def unfiltered(config: GatewayConfig, ways: Mapping[Prefix, Way]) -> frozenset[str]:
    """The names of inside networks of which nothing is filtered."""
    some = stretches(config, ways)
    return frozenset(each.name for each in config.networks) - {one.inside.name for one in some if one.way.filtered}


class Kernel(Protocol):
    """netlink.Netlink, or a test's own."""

    def has(self, name: str, key: bytes) -> bool: ...
    def flows(self, mark: int) -> list[Flow]: ...
    def remark(self, flow: Flow, mark: int) -> bool: ...


class Passing:
    """Of the process that steers: what is let by, in the kernel and in what runs."""

    def __init__(self, config: GatewayConfig, kernel: Kernel, fill: Callable[[str], None]) -> None:
        self._config, self._kernel, self._fill = config, kernel, fill
        self._snapshot: Snapshot | None = None
        self._stretches: list[Stretch] = []
        self._wanted = self._filled = Filling("", b"")
        self._told, self._again = False, 0.0
        self.ended = 0

    async def look(self, snapshot: Snapshot) -> None:
        """Bring the kernel to what policy says now."""
        if snapshot is not self._snapshot:
            self._stretches = stretches(self._config, ways(snapshot.schools.values()))
            self._wanted, self._snapshot = filling(self._config, self._stretches), snapshot
        if self._wanted == self._filled and self._kernel.has(IN_FORCE, self._wanted.mark):
            return
        if time.monotonic() < self._again:
            return
        try:
            await asyncio.to_thread(self._fill, self._wanted.text)
        except nft.Refused as error:
            if not self._told:
                log.warning("the kernel takes no ways past the filter (%s); `schoolgate gateway apply` mends that", error)
            self._told, self._again = True, time.monotonic() + AGAIN_S
            return
        self._filled, self._told = self._wanted, False
        self.judge()

    def judge(self) -> None:
        """Once more, what was let by; and what was ended and may go on."""
        for flow in self._kernel.flows(PASSED):
            if not lets(self._stretches, self._config, flow) and self._kernel.remark(flow, STOPPED):
                self.ended += 1
        for flow in self._kernel.flows(STOPPED):
            if NUMBERS.get(ends_of(flow)[0]) != "tcp" and lets(self._stretches, self._config, flow):
                self._kernel.remark(flow, PASSED)


def _inner(config: GatewayConfig) -> list[Prefix]:
    return [ip_network(prefix) for each in config.networks for prefix in each.prefixes]


def _word(prefix: Prefix) -> str:
    return "ip" if isinstance(prefix, IPv4Network) else "ip6"


def _in(ip: object, prefix: Prefix) -> bool:
    return ip in prefix  # of the other family it never is


def _within(one: Prefix, other: Prefix) -> bool:
    return one.version == other.version and one.subnet_of(other)  # type: ignore[arg-type]  # of one family
