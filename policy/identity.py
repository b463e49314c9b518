"""Who is asking: from the listener that a client came in by and its source address to a school, a group, a device, a person.

A network belongs to a listener, since two schools may use the same private addresses. Networks of the named listener are
tried before those of any listener ("*"); among each, the longest prefix wins. The network says whose school it is.

Within the school, what is known of whoever uses the address comes first (presence.py), in the order of confidence: the person
who signed in there, then the device. Which group they belong to is for the school's signed rules about people and devices to
say (`Belonging`); where none speaks of them, the network's group holds, and the event still says who and what it was.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from policy.presence import GUEST, Presence, Present, canonical
from policy.rules import Belonging, SchoolPolicy

REMEMBERED = 65_536  # addresses whose answer is kept; then the memory starts afresh


@dataclass(frozen=True, slots=True)
class Client:
    """A client as far as it is known, and how it was told. `school` is "" for addresses of no school."""

    school: str
    group: str
    network: str
    identified_by: str  # "portal", "radius", "device", "lease", "neighbour", "listener", "network" or "none"
    forced: bool = False
    person: str | None = None  # a pseudonym, from the event on
    device: str = ""  # a pseudonym, too
    portal: str = ""  # "offered" or "required": on this network people sign in at a page of ours


NOT_SIGNED_IN = "not signed in"  # how the groups begin that stand for devices which have to sign in first; no school's does
UNASSIGNED = Client("", "strictest", "", "none")

type _Table = tuple[tuple[int, dict[int, Client]], ...]  # (shift, network number -> client), longest prefix first


class _Belongings:
    """A school's rules about devices and users, ready to be asked."""

    def __init__(self, belongings: Sequence[Belonging]) -> None:
        self._devices = {each.device: each.group for each in belongings if each.device}
        self._roles = {each.role: each.group for each in belongings if each.role}
        self._users = {each.user: each.group for each in belongings if each.user and "*" not in each.user}
        patterns = [(each.user, each.group) for each in belongings if "*" in each.user]
        self._patterns = sorted(patterns, key=lambda one: (-len(one[0]), one))

    def of_person(self, present: Present) -> str:
        """The group of whoever signed in; "" where no rule speaks of her."""
        if not present.user:
            return ""
        if group := self._users.get(present.user):
            return group
        for role in present.roles:
            if group := self._roles.get(role):
                return group
        if present.user.startswith(GUEST):  # a name that nobody chose is in no pattern
            return ""
        return next((group for pattern, group in self._patterns if fnmatchcase(present.user, pattern)), "")

    def of_device(self, present: Present) -> str:
        return self._devices.get(present.device, "") if present.device else ""


class Clients:
    """The networks of all schools, ready to be asked. Immutable but for a memory of answers, each kept while the same is
    known of whoever uses the address.
    """

    def __init__(self, schools: Iterable[SchoolPolicy], presence: Presence | None = None) -> None:
        self.presence = Presence() if presence is None else presence
        tables: dict[tuple[str, int], dict[int, dict[int, Client]]] = {}
        self._belongings: dict[str, _Belongings] = {}
        for school in schools:
            self._belongings[school.log] = _Belongings(school.belongings)
            portals = {each.network: "required" if each.required else "offered" for each in school.portals}
            for network in school.networks:
                prefix = ipaddress.ip_network(network.prefix)
                shift = prefix.max_prefixlen - prefix.prefixlen
                how = "network" if network.listener == "*" else "listener"
                client = Client(
                    school.log, network.group, network.id, how, network.forced, portal=portals.get(network.id, "")
                )
                by_shift = tables.setdefault((network.listener, prefix.version), {}).setdefault(shift, {})
                by_shift.setdefault(int(prefix.network_address) >> shift, client)  # change control refuses a second one
        self._tables: dict[tuple[str, int], _Table] = {
            key: tuple(sorted(by_shift.items())) for key, by_shift in tables.items()
        }
        self._remembered: dict[tuple[str, str], tuple[str, Present | None, Client | None]] = {}

    def of(self, listener: str, address: str) -> Client | None:
        """The client at an address; None for a public address of no school, which gets no answer at all."""
        key = (listener, address)
        found = self._remembered.get(key)
        if found is not None and self.presence.at(found[0]) is found[1]:
            return found[2]
        if len(self._remembered) >= REMEMBERED:
            self._remembered.clear()
        try:
            plain = canonical(address)
        except ValueError:
            return None
        present, client = self.presence.at(plain), self._find(listener, plain)
        if client and present and present.school == client.school:
            client = self._known(client, present)
        elif client and client.portal == "required":
            client = _waiting(client)
        self._remembered[key] = plain, present, client
        return client

    def _known(self, client: Client, present: Present) -> Client:
        """A client of a network, with what is known of whoever it is."""
        belongings = self._belongings[client.school]
        of_person, of_device = belongings.of_person(present), belongings.of_device(present)
        how = present.signed_in if present.person else "device" if of_device else present.seen_by
        known = replace(
            client,
            group=of_person or of_device or client.group,
            identified_by=how or client.identified_by,
            person=present.person or None,
            device=present.device,
        )
        # A printer cannot sign in: a rule about the device is the headteacher's word that it need not.
        return _waiting(known) if client.portal == "required" and not present.person and not of_device else known

    def _find(self, listener: str, address: str) -> Client | None:
        ip = ipaddress.ip_address(address)
        number = int(ip)
        for name in (listener, "*"):
            for shift, clients in self._tables.get((name, ip.version), ()):
                if client := clients.get(number >> shift):
                    return client
        return UNASSIGNED if ip.is_private or ip.is_loopback or ip.is_link_local else None


def _waiting(client: Client) -> Client:
    """A client that has to sign in first: a group of its own, of which snapshot.py makes what holds for it."""
    return replace(client, group=waiting_group(client.network))


def waiting_group(network: str) -> str:
    """The group of those who have to sign in first on a network."""
    return f"{NOT_SIGNED_IN}, {network}"
