"""Who asks: a client's address on a listener, looked up once for each policy. Of one worker, for one snapshot at a time.

Clients that are decided upon alike have one number, under which replies are kept ready for them. INVARIANT: a number stands
for one set of rules, and never for another: with other rules they get another number, and find nothing made by the old.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Final

from dns.steering import Networks
from policy.event import opening
from policy.identity import Client
from policy.snapshot import Profile, Snapshot

ADDRESSES: Final = 65_536  # clients remembered; then the memory starts afresh
_NUMBER: Final = 4  # bytes: a worker does not live to see that many


@dataclass(frozen=True, slots=True)
class Seat:
    """A client's address on one listener: what its events say, and which replies it shares with its profile."""

    client: Client | None
    who: tuple[str, str, str, str, str, str, str]  # school, group, network, identified_by, person, address, device
    profile: bytes  # at the end of a key, as long for all: a reply is for all clients that are decided upon alike
    opening: bytes = b""  # `who` as the event log has it
    rules: Profile | None = None  # what the client is judged by


class Seats:
    """The clients that were seen under one policy."""

    def __init__(self, steered: Networks | None, numbers: Iterator[int] | None = None) -> None:
        self.steered, self._numbers = steered, numbers or count(1)
        self._of: dict[tuple[str, str, bool], Seat] = {}
        self._near: dict[str, dict[bytes, Seat]] = {}  # the same for UDP, by listener and by the address as sockets have it
        self._profiles: dict[tuple[str, str, bool, str | None, bool], bytes] = {}
        self._stayed: frozenset[bytes] = frozenset()  # numbers of the policy before

    def following(self, old: Snapshot, new: Snapshot) -> "Seats":
        """The seats under another policy, empty. Whoever is decided upon by the very same rules keeps the number."""
        seats = Seats(self.steered, self._numbers)
        same = {school: new.says_the_same(old, school) for school in {alike[0] for alike in self._profiles}}
        seats._profiles = {alike: number for alike, number in self._profiles.items() if same[alike[0]]}
        seats._stayed = frozenset(seats._profiles.values())
        return seats

    def stayed(self, seat: Seat) -> bool:
        """Are the replies of the policy before this client's still?"""
        return seat.profile in self._stayed

    @property
    def some_stayed(self) -> bool:
        return bool(self._stayed)

    def clear(self) -> None:
        """Who sits where is to be looked up anew."""
        self._of.clear()
        self._near.clear()

    def leave(self, addresses: Iterable[str]) -> None:
        """Something else is known of who uses these addresses."""
        for address in addresses:
            packed = inet_pton(AF_INET6 if ":" in address else AF_INET, address)
            for listener, near in self._near.items():
                near.pop(packed, None)
                for tcp in (False, True):
                    self._of.pop((listener, address, tcp), None)

    def near(self, listener: str) -> dict[bytes, Seat]:
        """Those that asked one listener by UDP. A caller in a hurry looks in here before it calls `sit`."""
        return self._near.setdefault(listener, {})

    def sit(self, snapshot: Snapshot, listener: str, source: bytes) -> Seat:
        """The seat of a sender of a datagram, which is then among those that are near."""
        near = self.near(listener)
        if len(near) >= ADDRESSES:
            near.clear()
        seat = near[source] = self.of(snapshot, listener, text_of(source), tcp=False)
        return seat

    def of(self, snapshot: Snapshot, listener: str, address: str, tcp: bool) -> Seat:
        self.near(listener)  # so that `leave` knows of it
        return self._of.get((listener, address, tcp)) or self._new(snapshot, listener, address, tcp)

    def _new(self, snapshot: Snapshot, listener: str, address: str, tcp: bool) -> Seat:
        if len(self._of) >= ADDRESSES:
            self._of.clear()
        client = snapshot.clients.of(listener, address)
        if client is None:
            who = ("", "", "", "none", "", address, "")
            nobody = bytes(_NUMBER + 2 if self.steered else _NUMBER)  # as long as others': no packet may be another's key
            seat = Seat(None, who, nobody, opening("dns", *who))
        else:
            if self.steered and self.steered.at(address):
                client = replace(client, forced=True)  # the kernel sees to that
            profile = snapshot.profile(client.school, client.group)
            person = client.person if client.person in profile.persons else None  # others are answered as their group is
            alike = (client.school, client.group, client.forced, person, tcp)
            number = self._profiles.get(alike) or self._profiles.setdefault(alike, next(self._numbers).to_bytes(_NUMBER))
            number = self.steered.profile(number, address) if self.steered else number
            told = (client.school, client.group, client.network, client.identified_by)
            who = (*told, client.person or "", address, client.device)
            seat = Seat(client, who, number, opening("dns", *who), profile)
        self._of[listener, address, tcp] = seat
        return seat


def text_of(address: bytes) -> str:
    """An address as sockets have it, in words."""
    return inet_ntop(AF_INET6 if len(address) > 4 else AF_INET, address)
