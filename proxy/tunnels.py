"""Decides about whole connections: whose they are, which tunnels may be asked for, and which pass through untouched.

Asked by the front (proxy/front.py) for every connection, and by the addon for tunnels asked for later on one. What passes
through is remembered and judged again when the policy changes or a decision's time is up.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from category_lists.names import NameRefused
from policy.decide import Reason, decide
from policy.event import Kind
from policy.identity import Client
from policy.snapshot import Snapshot
from proxy.answer import CANNOT_DECIDE, Answer
from proxy.block_page import Pages
from proxy.destinations import TUNNEL_PORTS
from proxy.internal import HOST as INTERNAL
from proxy.questions import question, tunnel_host
from proxy.reach import Reach
from proxy.record import Record
from proxy.tls import passes_through

log = logging.getLogger(__name__)


def clock() -> datetime:
    return datetime.now(UTC)


class HasSnapshot(Protocol):
    @property
    def snapshot(self) -> Snapshot: ...


@dataclass(frozen=True, slots=True)
class _Passing:
    listener: str
    address: str
    host: str
    until: datetime | None


class Tunnels:
    def __init__(
        self,
        live: HasSnapshot,
        record: Record,
        *,
        pages: Pages,
        reach: Reach,
        now: Callable[[], datetime] = clock,
        names: frozenset[str] = frozenset({INTERNAL}),
    ) -> None:
        self._names = names  # that are ours
        self._live, self._record, self._pages, self._reach, self._now = live, record, pages, reach, now
        self._passing: dict[str, _Passing] = {}  # by the connection's id
        self._judged_by: tuple[Snapshot, int] | None = None  # the policy, and the version of who is where

    def client(self, listener: str, address: str) -> Client | None:
        """Who is at an address; None for a public address of no school. Raises when it cannot be told."""
        return self._live.snapshot.clients.of(listener, address)

    def known(self, listener: str, address: str) -> bool:
        """Is a new connection served at all?"""
        try:
            return self.client(listener, address) is not None
        except Exception:  # noqa: BLE001 - an enforcing edge
            self._record.trouble("a connection", address)
            return False

    async def ask(self, listener: str, address: str, target: str, port: int) -> str | Answer | None:
        """A tunnel is asked for: its canonical host, or the refusal; None: not even that.

        A blocked name gets its tunnel: the block page is shown inside it.
        """
        try:
            client = self.client(listener, address)
            if client is None:
                return None
            try:
                host = tunnel_host(target, None)
            except NameRefused:
                return self._refuse(client, address, target, "name")
            if host not in self._names and not await self._tunnel_port(host, port):
                return self._refuse(client, address, host, f"port {port}")
            decide(self._live.snapshot, question(client, host, None, self._now()))  # raises now rather than inside
        except Exception:  # noqa: BLE001 - an enforcing edge
            self._record.trouble("a tunnel", address, target)
            return CANNOT_DECIDE
        return host

    def passes(self, id_: str, listener: str, address: str, host: str) -> bool:
        """Does this connection, honestly greeted as going to `host`, pass through? Raises when it cannot be told."""
        client = self.client(listener, address)
        if client is None or host in self._names:
            return False
        asked = question(client, host, None, self._now())
        decision = decide(self._live.snapshot, asked)
        if not passes_through(decision):
            return False
        self._passing[id_] = _Passing(listener, address, host, decision.until)
        self._record(self._record.decided(Kind.CONNECTION, client, address, asked, decision))
        return True

    def spoken_of(self, listener: str, address: str, host: str) -> bool:
        """Does a rule or a list speak of this very host, whatever it says? Raises when it cannot be told."""
        client = self.client(listener, address)
        if client is None:
            return False
        return decide(self._live.snapshot, question(client, host, None, self._now())).reason is not Reason.UNKNOWN_NAME

    def over(self, id_: str) -> None:
        """A connection has ended."""
        self._passing.pop(id_, None)

    def trouble(self, what: str, address: str, host: str = "") -> None:
        self._record.trouble(what, address, host)

    def refused(self, listener: str, address: str, host: str, outcome: str) -> None:
        """Write down something that no browser sends, and that went no further."""
        try:
            if client := self.client(listener, address):
                self._record(self._record.refused(client, address, host, outcome))
        except Exception:  # noqa: BLE001 - it is refused already
            self._record.trouble("a connection", address, host)

    def overdue(self) -> list[str]:
        """The ids of connections that pass through though by now they would not: a new policy, or a rule's time is up.

        A tunnel may stay open for hours; a decision holds only until time or the head says otherwise.
        """
        try:
            snapshot, now = self._live.snapshot, self._now()
            by = (snapshot, snapshot.clients.presence.version)
            fresh, self._judged_by = by != self._judged_by, by
            return [
                id_
                for id_, one in list(self._passing.items())
                if (fresh or (one.until is not None and one.until <= now)) and not self._still(id_, one, snapshot, now)
            ]
        except Exception:  # an enforcing edge: what cannot be judged does not go on
            log.exception("could not judge the open tunnels again; closed them")
            return list(self._passing)

    def _still(self, id_: str, one: _Passing, snapshot: Snapshot, now: datetime) -> bool:
        client = self.client(one.listener, one.address)
        if client is None:
            return False
        decision = decide(snapshot, question(client, one.host, None, now))
        if passes_through(decision):
            self._passing[id_] = _Passing(one.listener, one.address, one.host, decision.until)
            return True
        return False

    async def _tunnel_port(self, host: str, port: int) -> bool:
        if port in TUNNEL_PORTS:
            return True
        try:
            return all(self._reach.destinations.inside(each) for each in await self._reach.addresses(host))
        except (OSError, ValueError):
            return False

    def _refuse(self, client: Client, address: str, host: str, outcome: str) -> Answer:
        self._record(self._record.refused(client, address, host, outcome))
        return self._pages.message(403, "This address is not right", "The filter opens secure connections to websites only.")
