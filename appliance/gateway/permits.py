"""Who may be forwarded where, by which names, and until when: the table behind the kernel's sets. Pure but for its memory.

A permit is of one client for one address. It rests on names: the same address may stand behind several that this client
asked for, and the permit holds while one of them still needs no look. The kernel keeps only the pair and a time; why it is
there is known here, so that a change of policy can be carried through to what is already permitted, and already running.

INVARIANT: nothing is granted that `decide` does not say is allowed and direct for this very client, at this moment.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import heappop, heappush
from socket import AF_INET, AF_INET6, inet_pton
from typing import Final

from appliance.gateway.netlink import Element, key
from appliance.gateway.ruleset import RENEWED_S
from policy.decide import Decision, Question, decide
from policy.rules import Action, Handling
from policy.snapshot import Snapshot

FAR_S: Final = 86_400.0  # an `until` further away is looked after here; the kernel's permit is renewed as others are
REMEMBERED_S: Final = 43_200.0  # for so long after its last answer we know why a permit was given: downloads last
MOST: Final = 1 << 20  # pairs that are remembered; running connections of what is forgotten end at the next change


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asked: the address as our resolver saw it, on which listener; `device` is its MAC where that is next to us."""

    listener: str
    address: str
    device: bytes = b""

    @property
    def owner(self) -> bytes:
        """What the kernel knows this client by."""
        return self.device or packed(self.address)


@dataclass(frozen=True, slots=True)
class Ground:
    """Why a client may be forwarded to an address: a name, when it was last asked for, and when time alone may end it."""

    asker: Asker
    at: float
    until: float | None


type Pair = tuple[bytes, bytes]  # owner and address


class Permits:
    """Of the process that steers."""

    def __init__(self) -> None:
        self._grounds: dict[Pair, dict[str, Ground]] = {}
        self._ends: list[tuple[float, Pair]] = []  # a heap: when time alone may end one
        self._judged: dict[tuple[str, str, str | None, str], Decision] = {}
        self._snapshot: Snapshot | None = None

    def __len__(self) -> int:
        return len(self._grounds)

    def follow(self, snapshot: Snapshot) -> bool:
        """Judge by this policy from now on. Was it another before?"""
        changed = snapshot is not self._snapshot
        if changed:
            self._snapshot, self._judged = snapshot, {}
        return changed

    def judge(self, asker: Asker, host: str, now: float) -> Decision | None:
        """What policy says of a name for this client; None: it is nobody's."""
        snapshot = self._snapshot
        client = snapshot.clients.of(asker.listener, asker.address) if snapshot else None
        if snapshot is None or client is None:
            return None
        memory = (client.school, client.group, client.person, host)
        found = self._judged.get(memory)
        if found is None or (found.until and found.until.timestamp() <= now):
            asked = Question(client.school, client.group, host, datetime.fromtimestamp(now, UTC), None, True, client.person)
            found = self._judged[memory] = decide(snapshot, asked)
        return found

    def grant(self, asker: Asker, host: str, addresses: Iterable[str], now: float) -> tuple[list[Element], float]:
        """The elements that let this client through to a name's addresses, and for how many seconds at least they do.

        None, and 0 seconds: policy does not say so.
        """
        decision = self.judge(asker, host, now)
        if decision is None or not is_direct(decision):
            return [], 0.0
        until = decision.until.timestamp() if decision.until else None
        timed = until is not None and until - now < FAR_S
        seconds = until - now if until is not None and timed else float(RENEWED_S)
        if len(self._grounds) >= MOST:
            self._grounds.pop(next(iter(self._grounds)))
        elements = []
        owner = asker.owner
        for address in map(packed, addresses):
            pair = (owner, address)
            self._grounds.setdefault(pair, {})[host] = Ground(asker, now, until)
            if until is not None:
                heappush(self._ends, (until, pair))
            if name := set_of(pair, timed=timed):
                elements.append(Element(name, key(*pair), seconds))
        return elements, seconds

    def pairs(self) -> list[Pair]:
        return list(self._grounds)

    def ended(self, pairs: Iterable[Pair], now: float) -> list[Pair]:
        """Those of these pairs for which no name speaks any more. They are forgotten."""
        gone = []
        for pair in pairs:
            grounds = self._grounds.get(pair, {})
            for host, ground in list(grounds.items()):
                decision = self.judge(ground.asker, host, now)
                if decision is None or not is_direct(decision) or now - ground.at > REMEMBERED_S:
                    del grounds[host]
                elif decision.until and (until := decision.until.timestamp()) != ground.until:
                    grounds[host] = Ground(ground.asker, ground.at, until)
                    heappush(self._ends, (until, pair))
            if pair in self._grounds and not grounds:
                del self._grounds[pair]
                gone.append(pair)
        return gone

    def due(self, now: float) -> set[Pair]:
        """Pairs of which time alone may end one of their names."""
        found = set()
        while self._ends and self._ends[0][0] <= now:
            found.add(heappop(self._ends)[1])
        return found

    def holds(self, owner: bytes, address: bytes) -> bool:
        return (owner, address) in self._grounds

    def because(self, owner: bytes, address: bytes) -> list[str]:
        """The names that a permit rests on."""
        return sorted(self._grounds.get((owner, address), {}))


def packed(address: str) -> bytes:
    """An address as the kernel has it. OSError: it is none. A tenth of what `ip_address` takes."""
    return inet_pton(AF_INET6 if ":" in address else AF_INET, address)


def is_direct(decision: Decision) -> bool:
    """Allowed, and nothing to be seen: the same words as the proxy's `passes_through`."""
    return decision.action is Action.ALLOW and decision.handling is Handling.DIRECT


def set_of(pair: Pair, *, timed: bool) -> str:
    """The set that a pair belongs to; "" when the kernel has none: a client known by an address of the other family."""
    owner, address = pair
    if len(owner) != 6 and len(owner) != len(address):
        return ""
    return f"{'until' if timed else 'direct'}_{'mac' if len(owner) == 6 else 'ip'}{'4' if len(address) == 4 else '6'}"


def removal(pairs: Iterable[Pair]) -> list[Element]:
    """The elements that take permits away."""
    return [Element(name, key(*pair), 0) for pair in pairs for timed in (False, True) if (name := set_of(pair, timed=timed))]
