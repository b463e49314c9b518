"""Who and what is at an address just now, as one process has read it: devices by their hardware, people by their sign-in.

The table is one file of lines, written by the process that looks after devices and by nobody else; resolvers, proxies and the
process that steers read on from where they were. A line is `[key, until, school, device, seen_by, person, signed_in, user,
[role, ...]]`, or `[key]` when nobody is there any more. A key is an address, or the IPv6 network of one device (/64).

These are observations, as a source address is one. What follows from them stands in signed policy: identity.py asks it whose
rules hold for the device or the user that is named here, and without a rule nothing follows at all.
"""

import json
import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Final

ONE_DEVICE: Final = 64  # bits of the IPv6 networks that a single device may have
CHANGES: Final = 64  # so many changes are remembered one by one; who comes later looks at everything again


@dataclass(frozen=True, slots=True)
class Present:
    """What is known of whoever uses an address."""

    school: str  # whose pseudonyms these are
    device: str = ""  # a pseudonym
    seen_by: str = ""  # "neighbour" or "lease"
    person: str = ""  # a pseudonym
    signed_in: str = ""  # "portal" or "radius"
    user: str = ""  # the name that she signed in with, for the rules about such names; it goes into no event
    roles: tuple[str, ...] = ()  # what the server that knows her says she is (RADIUS Class, Filter-Id)


GUEST: Final = "guest code "  # how the user names of those begin who signed in with a code; no pattern is for them
PORTAL_GUEST, PORTAL_STAFF = (
    "portal/guest/",
    "portal/staff",
)  # the roles that a portal's sign-in gives, the first with a group
NOBODY: Final[Mapping[str, Present]] = {}


def canonical(address: str) -> str:
    """An address as keys have it; ValueError when it is none."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return str(ip)


def network_of(address: str) -> str:
    """The key of the IPv6 network that an address is in."""
    return f"{IPv6Address(int(IPv6Address(address)) >> ONE_DEVICE << ONE_DEVICE)}/{ONE_DEVICE}"


def line(key: str, until: float, present: Present | None) -> bytes:
    if present is None:
        return json.dumps([key]).encode() + b"\n"
    it = present
    said = [key, until, it.school, it.device, it.seen_by, it.person, it.signed_in, it.user, list(it.roles)]
    return json.dumps(said).encode() + b"\n"


class Presence:
    """The table as it was last read. One object for the life of a process: policies come and go around it."""

    def __init__(self, path: Path | None = None) -> None:
        self._path, self._at, self._rest, self._file = path, 0, b"", 0
        self._held: dict[str, Present] = {}
        self._until: dict[str, float] = {}
        self._networks = False
        self._changes: deque[tuple[int, frozenset[str]]] = deque(maxlen=CHANGES)
        self.version = 0

    def at(self, address: str) -> Present | None:
        """Whoever is at an address in its canonical form."""
        found = self._held.get(address)
        if found is None and self._networks and ":" in address:
            return self._held.get(network_of(address))
        return found

    def since(self, version: int) -> frozenset[str] | None:
        """The addresses of which something else is known than at an earlier version; None: look at all of them."""
        if self.version == version:
            return frozenset()
        changes = tuple(self._changes)  # in one step: another thread may be adding to them
        later = [keys for number, keys in changes if number > version]
        if len(later) < self.version - version or any("/" in key for keys in later for key in keys):
            return None
        return frozenset().union(*later)

    def refresh(self, now: float) -> bool:
        """Read what was written since, and forget what is over. True when something is known differently."""
        before: dict[str, Present | None] = {}
        for key, until in list(self._until.items()) if self._until and min(self._until.values()) <= now else ():
            if until <= now:
                self._put(key, 0.0, None, before)
        for entry in self._read_on(before):
            try:
                match json.loads(entry):
                    case [str(key)]:
                        self._put(key, 0.0, None, before)
                    case [str(key), float() | int() as until, school, device, seen_by, person, signed_in, user, list(roles)]:
                        names = (str(school), str(device), str(seen_by), str(person), str(signed_in), str(user))
                        there = Present(*names, roles=tuple(map(str, roles)))
                        self._put(key, float(until), there if until > now else None, before)
            except ValueError:
                continue  # half a line of a writer that died; the next writer begins anew
        changed = frozenset(key for key, was in before.items() if self._held.get(key) is not was)
        if changed:
            self._networks = any("/" in key for key in self._held)
            self._changes.append((self.version + 1, changed))
            self.version += 1
        return bool(changed)

    def _put(self, key: str, until: float, present: Present | None, before: dict[str, Present | None]) -> None:
        was = before.setdefault(key, self._held.get(key))
        if present is None:
            self._held.pop(key, None)
            self._until.pop(key, None)
            return
        # What is the same stays the same object: whoever remembers an answer for it need not ask again.
        self._held[key] = was if was == present and was is not None else present
        self._until[key] = until

    def _read_on(self, before: dict[str, Present | None]) -> list[bytes]:
        """The lines that were written since. Another file in the place of the old one is read from its beginning."""
        if self._path is None:
            return []
        try:
            told = self._path.stat()
            if (told.st_ino, told.st_size) == (self._file, self._at):
                return []
            with self._path.open("rb") as file:
                number = os.fstat(file.fileno()).st_ino
                if number != self._file:
                    self._file, self._at, self._rest = number, 0, b""
                    for key in list(self._held):
                        self._put(key, 0.0, None, before)
                file.seek(self._at)
                data = file.read()
        except OSError:
            return []
        self._at += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return lines
