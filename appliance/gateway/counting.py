"""What became of connections, for the coverage page: counted when they begin, and their bytes when they end.

That a connection begins the rules show us, with what becomes of it (ruleset.py). How much went over it the kernel counts
where `nf_conntrack_acct` is on, as `gateway apply` and the machine's start switch it, and tells when it forgets it, some two
minutes after its end; what became of it stands in its mark. Of what the kernel could not tell us, because we were too slow,
there is no count.
"""

import logging
import socket
import struct
from ipaddress import ip_address, ip_network
from typing import Final, Protocol

from appliance.gateway.greetings import source_of
from appliance.gateway.netlink import Flow, Netlink, come, ended
from appliance.gateway.ruleset import FORWARDED, PASSED, PROXIED, REVOKED, STOPPED
from appliance.gateway.settings import Inside
from monitoring.coverage import Tally
from policy.snapshot import Snapshot
from policy.synthetic import FOUR, SIX

log = logging.getLogger(__name__)

BUFFER: Final = 4 << 20
_JOIN: Final = (270, 1)  # SOL_NETLINK, NETLINK_ADD_MEMBERSHIP
_ENDED: Final = 3  # NFNLGRP_CONNTRACK_DESTROY
_SYNTHETIC: Final = (ip_network(FOUR), ip_network(SIX))


class InForce(Protocol):
    @property
    def snapshot(self) -> Snapshot: ...


class Near(Protocol):
    """steer.Near."""

    def network(self, address: str) -> Inside | None: ...
    def device(self, address: str, *, patient: bool = False) -> bytes: ...


class Counting:
    """Of the process that steers."""

    def __init__(self, live: InForce, near: Near, tally: Tally) -> None:
        self._live, self._near, self._tally = live, near, tally

    def begun(self, way: str, packet: bytes, now: float) -> None:
        """A connection's first packet."""
        try:
            source = source_of(packet)
        except ValueError:
            return
        self._count(source, way, now, 0)

    def over(self, flow: Flow, size: int, now: float) -> None:
        """A connection that has ended, and how many bytes went over it, both ways."""
        if size and (way := way_of(flow)):
            self._count(flow.source, way, now, size)

    def _count(self, source: str, way: str, now: float, size: int) -> None:
        inside = self._near.network(source)
        if inside is None:
            return
        if way == "unresolved" and inside.direct == "relay":
            way = "name"  # there nothing is permitted: the proxy passes on what needs no look
        client = self._live.snapshot.clients.of("", source)
        device = client.device if client else ""  # a pseudonym; where nobody looks after devices, what the kernel knows
        device = device or written(self._near.device(source, patient=True)) or source
        self._tally.count((client.school if client else "", inside.name, device), way, now, size)


def way_of(flow: Flow) -> str:
    """What became of a connection, by its mark; "" for what is not the devices'."""
    mark = flow.mark & 0xFF
    if mark in FORWARDED or mark == REVOKED:
        return "name"
    if mark in (PASSED, STOPPED):
        return "forwarded"
    if mark != PROXIED:
        return ""
    to = ip_address(flow.to)
    return "content" if any(to in each for each in _SYNTHETIC) else "unresolved"


def written(device: bytes) -> str:
    """A MAC as people write it; "" for none."""
    return device.hex(":") if device else ""


class Ended:
    """The connections that have ended, as the kernel tells them. The socket is read when it is ready."""

    def __init__(self) -> None:
        self._netlink = Netlink()
        self.sock = self._netlink.sock
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self.sock.setsockopt(*_JOIN, struct.pack("=I", _ENDED))
        self.sock.setblocking(False)

    def flows(self) -> list[tuple[Flow, int]]:
        """Those that have a mark of ours, each with its bytes. What was lost (the buffer was full) is not counted."""
        return [each for data in come(self.sock) for each in ended(data)]

    def close(self) -> None:
        self._netlink.close()
