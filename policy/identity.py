"""Who is asking: from the listener that a client came in by and its source address to a school and a group.

A network belongs to a listener, since two schools may use the same private addresses. Networks of the named listener are
tried before those of any listener ("*"); among each, the longest prefix wins.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from policy.rules import SchoolPolicy

REMEMBERED = 65_536  # addresses whose answer is kept; then the memory starts afresh


@dataclass(frozen=True, slots=True)
class Client:
    """A client as far as it is known, and how it was told. `school` is "" for addresses of no school."""

    school: str
    group: str
    network: str
    identified_by: str  # "listener", "network" or "none"
    forced: bool = False
    person: str | None = None  # a pseudonym, from the event on


UNASSIGNED = Client("", "strictest", "", "none")

type _Table = tuple[tuple[int, dict[int, Client]], ...]  # (shift, network number -> client), longest prefix first


class Clients:
    """The networks of all schools, ready to be asked. Immutable but for a memory of answers."""

    def __init__(self, schools: Iterable[SchoolPolicy]) -> None:
        tables: dict[tuple[str, int], dict[int, dict[int, Client]]] = {}
        for school in schools:
            for network in school.networks:
                prefix = ipaddress.ip_network(network.prefix)
                shift = prefix.max_prefixlen - prefix.prefixlen
                how = "network" if network.listener == "*" else "listener"
                client = Client(school.log, network.group, network.id, how, network.forced)
                by_shift = tables.setdefault((network.listener, prefix.version), {}).setdefault(shift, {})
                by_shift.setdefault(int(prefix.network_address) >> shift, client)  # change control refuses a second one
        self._tables: dict[tuple[str, int], _Table] = {
            key: tuple(sorted(by_shift.items())) for key, by_shift in tables.items()
        }
        self._remembered: dict[tuple[str, str], Client | None] = {}

    def of(self, listener: str, address: str) -> Client | None:
        """The client at an address; None for a public address of no school, which gets no answer at all."""
        key = (listener, address)
        try:
            return self._remembered[key]
        except KeyError:
            pass
        if len(self._remembered) >= REMEMBERED:
            self._remembered.clear()
        client = self._remembered[key] = self._find(listener, address)
        return client

    def _find(self, listener: str, address: str) -> Client | None:
        try:
            ip = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return None
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
            ip = ip.ipv4_mapped
        number = int(ip)
        for name in (listener, "*"):
            for shift, clients in self._tables.get((name, ip.version), ()):
                if client := clients.get(number >> shift):
                    return client
        return UNASSIGNED if ip.is_private or ip.is_loopback or ip.is_link_local else None
