"""What the devices of a network may do through a gateway that no filter looks into: a *way*, as the headteacher signed it.

Where nothing is signed, nothing: only the web, filtered, and closed while the filter is dead. One way is *within* another if
it lets nothing through that the other would not, and that alone counts as tightening. Pure, and of the standard library: it
goes with the verifier of change logs.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from policy.rules import Passage, SchoolPolicy

type Prefix = IPv4Network | IPv6Network
PROTOCOLS: Final = ("tcp", "udp")
ALL: Final = "all"
FILTERED: Final = frozenset(  # the web's ports and DNS's, which are never simply let by
    {("tcp", 53), ("tcp", 80), ("tcp", 443), ("tcp", 853), ("udp", 53), ("udp", 80), ("udp", 443), ("udp", 784), ("udp", 853)}
    | {("udp", 8853)}
)


def port(text: str) -> str:
    """tcp/993, udp/5000-5100 or all, in its one form; ValueError, also for ports that are filtered in another way."""
    if text == ALL:
        return text
    kind, slash, numbers = text.partition("/")
    first, dash, last = numbers.partition("-")
    good = slash and kind in PROTOCOLS and all(each.isascii() and each.isdigit() for each in (first, last or "1"))
    low, high = (int(first), int(last) if dash else int(first)) if good and (last or not dash) else (0, 0)
    if not 0 < low <= high < 65536:
        raise ValueError(f"{text[:40]!r} is not a port such as tcp/993 or udp/5000-5100")
    if any(own == kind and low <= number <= high for own, number in FILTERED):
        raise ValueError(f"ports of the web and of DNS are filtered and not let by: {text}")
    return f"{kind}/{low}-{high}" if high > low else f"{kind}/{low}"


def _ranges(ports: Iterable[str], protocol: str) -> list[tuple[int, int]]:
    """The numbers of one protocol, in order, those that touch joined."""
    found: list[tuple[int, int]] = []
    named = (each.partition("/")[2].partition("-") for each in ports if each.startswith(f"{protocol}/"))
    for low, high in sorted((int(first), int(last or first)) for first, _, last in named):
        if found and low <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(high, found[-1][1])
        else:
            found.append((low, high))
    return found


@dataclass(frozen=True, slots=True)
class Way:
    """What holds for a network."""

    ports: tuple[str, ...] = ()
    reach: tuple[str, ...] = ()  # prefixes of the school's other networks
    filtered: bool = True
    when_dead: str = "closed"

    @classmethod
    def of(cls, passage: Mapping[str, Any]) -> "Way":
        """As a document has it."""
        return cls(
            tuple(passage.get("ports") or ()),
            tuple(passage.get("reach") or ()),
            passage.get("filtered", True) is not False,
            str(passage.get("when_dead", "closed")),
        )

    def lets(self, protocol: str, number: int) -> bool:
        """Does a connection to this port outside pass, beside the filtered web?"""
        if (protocol, number) in FILTERED:
            return not self.filtered
        if not self.filtered or ALL in self.ports:
            return True
        return any(low <= number <= high for low, high in _ranges(self.ports, protocol))

    def reaches(self, other: Prefix) -> bool:
        """May all of these addresses be connected to?"""
        return any(_inside(other, ip_network(each)) for each in self.reach)

    def within(self, other: "Way") -> bool:
        """Does nothing pass by this way that would not by the other?"""
        if not all(other.reaches(ip_network(each)) for each in self.reach):
            return False
        if not other.filtered:
            return True
        if not self.filtered or (self.when_dead != "closed" and other.when_dead == "closed"):
            return False
        if ALL in other.ports:
            return True
        return ALL not in self.ports and all(
            any(low <= first and last <= high for low, high in _ranges(other.ports, protocol))
            for protocol in PROTOCOLS
            for first, last in _ranges(self.ports, protocol)
        )


NOTHING: Final = Way()


def _inside(one: Prefix, other: Prefix) -> bool:
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and one.subnet_of(other)
    return isinstance(other, IPv6Network) and one.subnet_of(other)


def way_of(one: "Passage") -> Way:
    """As a school's policy has it."""
    return Way(tuple(one.ports), tuple(one.reach), one.filtered, one.when_dead)


def tightens(add: Iterable[Mapping[str, Any]], remove: Iterable[Mapping[str, Any]]) -> bool:
    """Is what comes within what goes, network by network? What only goes leaves nothing."""
    gone = {str(each["prefix"]): Way.of(each) for each in remove}
    return all(Way.of(each).within(gone.get(str(each["prefix"]), NOTHING)) for each in add)


def ways(schools: Iterable["SchoolPolicy"]) -> dict[Prefix, Way]:
    """The way of each network that a school has for any listener; of what else there is, nothing is said.

    INVARIANT: a school speaks of its own networks alone. Where two have the same one, the first has it, as for clients; and
    into a smaller network of another school within one of its own it lets nobody.
    """
    some = list(schools)
    owners: dict[Prefix, SchoolPolicy] = {}
    for school in some:
        for network in school.networks:
            if network.listener == "*":
                owners.setdefault(ip_network(network.prefix), school)
    said = {school.log: {each.prefix: way_of(each) for each in school.passages} for school in some}
    found: dict[Prefix, Way] = {}
    for prefix, school in owners.items():
        way = said[school.log].get(str(prefix), NOTHING)
        if way.reach:
            others = [each for each, owner in owners.items() if owner is not school]
            parts = (part for each in way.reach for part in _without(ip_network(each), others))
            way = replace(way, reach=tuple(map(str, parts)))
        found[prefix] = way
    return found


def _without(whole: Prefix, others: Iterable[Prefix]) -> list[Prefix]:
    """What is left of some addresses without these within them."""
    left = [whole]
    for other in others:
        left = [
            piece
            for part in left
            for piece in (part.address_exclude(other) if _inside(other, part) else (part,))  # type: ignore[arg-type]
        ]
    return left


def way_at(known: Mapping[Prefix, Way], address: str) -> Way:
    """What holds at an address: the smallest network's."""
    ip = ip_address(address)
    around = [each for each in known if each.version == ip.version and ip in each]
    return known[max(around, key=lambda one: one.prefixlen)] if around else NOTHING


def in_words(way: Way) -> Iterator[str]:
    """What a network may do, piece by piece, each about "they"."""
    if not way.filtered:
        yield "are not filtered: every site and every port is open to them, also while the filter is not there"
    elif not way.ports:
        yield "may use nothing but the filtered web"
    elif ALL in way.ports:
        yield "may also use every other port, unfiltered"
    else:
        yield f"may also use {ports_in_words(way.ports)}, and no other"
    if way.reach:
        yield f"may connect to {' and '.join(way.reach)}"
    if way.filtered and way.when_dead == "direct":
        yield "keep the sites that need no look while the filter is not there"


def ports_in_words(ports: Iterable[str]) -> str:
    """TCP ports 993 and 5228 and UDP port 3478."""
    given, said = list(ports), []
    for protocol in PROTOCOLS:
        numbers = [f"{low} to {high}" if high > low else str(low) for low, high in _ranges(given, protocol)]
        if numbers:
            some = numbers[0] if len(numbers) == 1 else f"{', '.join(numbers[:-1])} and {numbers[-1]}"
            said.append(f"{protocol.upper()} port{'s' if len(numbers) > 1 or ' to ' in some else ''} {some}")
    return " and ".join(said)
