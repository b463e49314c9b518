"""What is known of whoever uses an address, put together: the kernel's neighbours, leases, sign-ins. Pure.

A neighbour is hardware that answered at an address a moment ago; a lease says which hardware was given an address, and the
name that it gave itself; a sign-in says whose device that is. The kernel is believed before a lease: where another device
answers at an address than the one that signed in there, the address is not that person's. So a session is bound to the device
as well as to the address, wherever the device is known.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from appliance.devices.radius import Session
from monitoring.devices import Names
from policy.presence import Present

SEEN_S: Final = 900.0  # so long after it last answered a device is taken to be there
BY: Final = ("lease", "neighbour")


@dataclass(frozen=True, slots=True)
class Sighting:
    """A device at an address."""

    address: str
    device: str  # its MAC
    by: str  # "neighbour" or "lease"
    at: float
    until: float
    name: str = ""  # as it told the DHCP server


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the table, and what the register learns with it: names that no event holds."""

    present: Present
    until: float
    mac: str
    name: str


def lay_out(
    sightings: Iterable[Sighting], sessions: Iterable[Session], school_of: Callable[[str], str], names: Names, now: float
) -> dict[str, Entry]:
    """The whole table, by address. `school_of` says whose an address is; "": nobody's, and it is left out."""
    devices: dict[str, Sighting] = {}  # by address: the kernel before a lease, the later before the earlier
    named: dict[str, str] = {}
    for one in sorted((one for one in sightings if one.until > now), key=lambda one: (BY.index(one.by), one.at)):
        devices[one.address] = one
        if one.name:
            named[one.device] = one.name
    leased = {(one.address, one.device) for one in sightings if one.by == "lease" and one.until > now}
    of_device: dict[str, list[str]] = {}
    for one in devices.values():
        of_device.setdefault(one.device, []).append(one.address)
    people: dict[str, Session] = {}
    for session in sorted(sessions, key=lambda each: (HOW.index(each.how), each.at)):
        if session.until <= now or not session.user:
            continue
        for address in (*_own(session, devices), *(of_device.get(session.device, ()) if session.device else ())):
            if not session.school or school_of(_first(address)) == session.school:
                people[address] = session
    found = {}
    for address in {**devices, **people}:
        school = school_of(_first(address))
        if school:
            found[address] = _entry(address, school, devices.get(address), people.get(address), leased, named, names)
    return found


HOW: Final = ("radius", "portal")  # the later says it for sure


def _own(session: Session, devices: Mapping[str, Sighting]) -> list[str]:
    """The addresses that were said of a session, but those at which another device answers."""
    return [
        each
        for each in session.addresses
        if not session.device or each not in devices or devices[each].device == session.device
    ]


def _first(address: str) -> str:
    """An address of a network."""
    return address.partition("/")[0]


def _entry(
    address: str,
    school: str,
    seen: Sighting | None,
    session: Session | None,
    leased: set[tuple[str, str]],
    named: Mapping[str, str],
    names: Names,
) -> Entry:
    mac = seen.device if seen else session.device if session else ""
    by = ("lease" if (address, mac) in leased else seen.by) if seen else "radius" if mac else ""
    until = min(one.until for one in (seen, session) if one is not None)
    present = Present(
        school,
        names.of(school, "d", mac),
        by,
        names.of(school, "p", session.user) if session else "",
        session.how if session else "",
        session.user if session else "",
        session.roles if session else (),
    )
    return Entry(present, until, mac, named.get(mac, ""))
