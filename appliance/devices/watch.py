"""What the process for devices knows, and what it makes of what it hears. No sockets, no clock of its own."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from ipaddress import ip_address
from typing import Any, Final

from appliance.devices.known import SEEN_S, Entry, Sighting, lay_out
from appliance.devices.portal import Portal
from appliance.devices.radius import Accounting, Session
from appliance.gateway.devices import Lease
from monitoring.devices import Names, Seen, mac_of

MOST: Final = 50_000  # addresses of which something is remembered
LONGEST_NAME: Final = 63


class Watch:
    """Everything that is known now."""

    def __init__(
        self, accounting: Accounting, names: Names, school_of: Callable[[str], str], portal: Portal | None = None
    ) -> None:
        self.accounting, self.portal, self._names, self._school_of = accounting, portal, names, school_of
        self._near: dict[str, Sighting] = {}
        self._leased: dict[str, Sighting] = {}
        self._told: dict[str, Sighting] = {}  # by a hook of the DHCP server

    def neighbours(self, found: Mapping[str, bytes], now: float) -> None:
        """The kernel's tables, as they are now; what has left them stays known for a while."""
        for address, mac in found.items():
            if any(mac) and not mac[0] & 1:  # neither nobody's nor a group's
                device = ":".join(f"{each:02x}" for each in mac)
                self._near[address] = Sighting(address, device, "neighbour", now, now + SEEN_S)
        self._near = {key: one for key, one in list(self._near.items())[-MOST:] if one.until > now}

    def leases(self, leases: Iterable[Lease], now: float) -> None:
        """All lease files, as they are now."""
        self._leased = {
            one.address: Sighting(one.address, one.device, "lease", now, now + SEEN_S, one.name[:LONGEST_NAME])
            for one in list(leases)[:MOST]
            if one.device
        }
        self._told = {key: one for key, one in self._told.items() if one.until > now and key not in self._leased}

    def hooked(self, data: bytes, now: float) -> bool:
        """What a DHCP server's hook says: `{"act": "add", "mac": ..., "address": ..., "name": ...}`. Was it understood?"""
        try:
            said = json.loads(data)
            act, address, mac = str(said["act"]), str(ip_address(str(said["address"]))), mac_of(str(said["mac"]))
            name = "".join(each for each in str(said.get("name") or "") if each.isprintable())[:LONGEST_NAME]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return False
        if act not in ("add", "del") or not mac:
            return False
        if act == "del":
            for table in (self._leased, self._told):
                if (held := table.get(address)) and held.device == mac:
                    del table[address]
        elif len(self._told) < MOST:
            self._told[address] = Sighting(address, mac, "lease", now, now + SEEN_S, name)
        return True

    def lay_out(self, now: float) -> dict[str, Entry]:
        """The table."""
        self.accounting.expire()
        if self.portal:
            self.portal.expire()
            self._bind(self.portal.sessions, now)
        self._bind(self.accounting.sessions, now)
        sightings = (*self._near.values(), *self._leased.values(), *self._told.values())
        signed_in = (*self.accounting.sessions.values(), *(self.portal.sessions.values() if self.portal else ()))
        return lay_out(sightings, signed_in, self._school_of, self._names, now)

    def device_at(self, address: str, now: float) -> str:
        """The MAC of whoever is at an address, "" where that is not known. The kernel is believed before a lease."""
        for table in (self._near, self._told, self._leased):
            if (seen := table.get(address)) and seen.until > now:
                return seen.device
        return ""

    def _bind(self, sessions: dict[str, Session], now: float) -> None:
        """A session of which no device was said belongs to the one that is at its address, and to no later one."""
        for key, one in sessions.items():
            near = (self._near[each] for each in one.addresses if each in self._near)
            seen = None if one.device else next((each for each in near if each.until > now), None)
            if seen:
                sessions[key] = replace(one, device=seen.device)

    def seen(self, entries: Mapping[str, Entry], now: float) -> list[Seen]:
        """For the register: each device once, with all its addresses."""
        found: dict[tuple[str, str], Seen] = {}
        for address, entry in entries.items():
            it = entry.present
            if not it.device:
                continue
            key = (it.school, it.device)
            held = found.get(key)
            if held is None:
                found[key] = Seen(
                    it.school, it.device, entry.mac, entry.name, (address,), it.seen_by, it.person, it.user, now
                )
            else:
                found[key] = replace(
                    held,
                    name=held.name or entry.name,
                    addresses=(*held.addresses, address),
                    person=held.person or it.person,
                    user=held.user or it.user,
                )
        return list(found.values())


def saved(accounting: Accounting) -> dict[str, Any]:
    """What must outlive the process: who is signed in, and whose sign-in has ended."""
    return {"sessions": [asdict(one) for one in accounting.sessions.values()], "ended": list(accounting.ended.items())}


def recall(accounting: Accounting, raw: Any) -> None:
    """Take up what an earlier process has saved; ValueError when it is not that."""
    try:
        for one in raw["sessions"]:
            made = Session(**{**one, "addresses": tuple(one["addresses"]), "roles": tuple(one["roles"])})
            accounting.sessions[made.key] = made
        for key, at in raw["ended"]:
            accounting.ended[str(key)] = float(at)
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"this is not what was saved: {error}") from None
