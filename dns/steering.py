"""What a gateway's kernel must know before an answer leaves: a permit for a name that needs no look, or a name's own address.

On a steered network a name that is allowed and *direct* is told by its real addresses, once the kernel forwards this client
to them; a name whose pages must be seen is told by a synthetic address that leads to the proxy (policy/synthetic.py). The
process that steers does both, over a UNIX socket; here stands what this worker asked it for, so that a name in use is not
asked about each time. Ready replies are for all clients of a network alike; whether this client has its permit is looked up
beside them. What has to be asked for is asked by the quick line, and where that does not answer by the event loop's.

If a permit cannot be had the answer leaves without: what is not permitted goes by the proxy. If a synthetic address cannot be
had there is no answer: the real one might be permitted for another name's sake.

INVARIANT: nothing here decides. `Decision` says what is direct, and the process that steers asks `decide` again.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final, NamedTuple

from dns import codec, quick
from dns.cache import Generations
from dns.codec import Answer, Query
from dns.quick import QuickLine
from dns.respond import Forward
from policy import passages
from policy.rules import Action, Handling
from policy.snapshot import Snapshot
from policy.synthetic import addresses

log = logging.getLogger(__name__)

TTL_S: Final = 20  # of a synthetic address: a laptop that is taken home must soon ask again
SURE_S: Final = 300.0  # a permit holds for twice as long after it was granted, and longer when it is used
NAME_S: Final = 900.0  # after that the name is asked for again, so that its number stays its own
PATIENCE_S: Final = 1.0
AGAIN_S: Final = 0.5
REMEMBERED: Final = 200_000
SERVICES: Final = frozenset({codec.HTTPS, codec.SVCB})


@dataclass(frozen=True, slots=True)
class Network:
    """A network whose web traffic the kernel steers."""

    prefix: str
    forward: bool = True  # no: what is direct goes by the proxy as well, unopened
    four: bool = True  # which families its devices reach the box by
    six: bool = True

    @property
    def kind(self) -> tuple[bool, bool, bool]:
        """What replies may differ in from network to network."""
        return self.forward, self.four, self.six


@dataclass(frozen=True, slots=True)
class Steered:
    """Where the process that steers is asked, and for whom."""

    socket: str
    networks: tuple[Network, ...]
    patience_s: float = quick.PATIENCE_S  # how long its answer is waited for while nobody else is served


type Needs = tuple[str, tuple[str, ...]]  # a name, and the addresses that are told of it


class Wanted(NamedTuple):
    """What has to be asked for before the answer may leave. Without addresses: the address of a name."""

    listener: str
    client: str
    needs: Needs
    turn: int = 0  # of the client: what was permitted before holds no more

    @property
    def question(self) -> tuple[object, ...]:
        """As the process that steers is asked."""
        host, addresses = self.needs
        return ("permit", self.listener, self.client, host, addresses) if addresses else ("name", host)


@dataclass(frozen=True, slots=True)
class Way:
    """The answer may leave: as it came, to whoever has what it `needs`; or as `wire`, said again until then."""

    until: float = 0.0
    wire: bytes | None = None
    needs: Needs | None = None


class NotSteered(RuntimeError):
    """The process that steers did not say which address stands for a name."""


class Networks:
    """Which clients' web traffic the kernel steers while one policy is in force: networks may be filtered by it, or not."""

    def __init__(self, steered: Steered, snapshot: Snapshot | None = None) -> None:
        self._networks = [(ip_network(each.prefix), each) for each in steered.networks]
        self._networks.sort(key=lambda one: -one[0].prefixlen)
        self._kinds = sorted({each.kind for each in steered.networks})
        self._of: Generations[str, tuple[Network | None]] = Generations(REMEMBERED)
        said = passages.ways(snapshot.schools.values()) if snapshot else {}
        self._ways = said if any(not way.filtered for way in said.values()) else {}  # what signed policy says of networks

    def at(self, address: str) -> Network | None:
        """The steered network of a client."""
        known = self._of.get(address)
        if known is None:
            ip = ip_address(address)
            way = passages.way_at(self._ways, address) if self._ways else passages.NOTHING
            near = (each for prefix, each in self._networks if ip.version == prefix.version and ip in prefix)
            known = (next(near, None) if way.filtered else None,)  # what is not filtered the kernel does not steer
            self._of.put(address, known)
        return known[0]

    def profile(self, number: bytes, address: str) -> bytes:
        """The end of the keys that ready replies are kept under: a steered network's clients have their own."""
        network = self.at(address)
        return number + (0 if network is None else 1 + self._kinds.index(network.kind)).to_bytes(2)


class Steering:
    """Of one worker. `forget` is called when what we asked for may hold no longer."""

    def __init__(self, steered: Steered, clock: Callable[[], float], forget: Callable[[], None]) -> None:
        self._steered, self._clock, self._forget = steered, clock, forget
        self.networks = Networks(steered)
        self._permitted: Generations[Wanted, float] = Generations(REMEMBERED)
        self._numbers: Generations[str, tuple[int, float]] = Generations(REMEMBERED)
        self._quick = QuickLine(steered.socket, steered.patience_s)
        self._asked: dict[int, asyncio.Future[float]] = {}
        self._turn = self._since = 0
        self._turns: dict[str, int] = {}  # of clients of whom something else became known; others': `_since`
        self._count = 0
        self._writer: asyncio.StreamWriter | None = None

    def networks_under(self, snapshot: Snapshot) -> Networks:
        """Those of a policy that may come into force."""
        return Networks(self._steered, snapshot)

    def follow(self, networks: Networks) -> None:
        """Another policy is in force, by which these are steered."""
        self.networks = networks
        self.turned(None)

    def turned(self, addresses: Iterable[str] | None) -> None:
        """Another policy (None), or other people at these addresses: what was permitted to them may have ended meanwhile,
        so nothing that rests on it is said again.
        """
        self._turn += 1
        if addresses is None or len(self._turns) > REMEMBERED:
            self._since, self._turns = self._turn, {}
        else:
            self._turns.update(dict.fromkeys(addresses, self._turn))

    def _turn_of(self, address: str) -> int:
        return self._turns.get(address, self._since)

    def way(
        self,
        listener: str,
        client: str,
        query: Query,
        said: Forward,
        answer: Answer,
        *,
        asked: bool,
        networks: Networks | None = None,
    ) -> Wanted | Way | None:
        """How an upstream's answer leaves. Wanted: not yet; None: as anywhere else. `asked`: it was asked for.

        `networks`: those of a policy that is not in force yet.
        """
        network = (networks or self.networks).at(client)
        if network is None or query.qtype not in (codec.A, codec.AAAA, *SERVICES):
            return None
        now, decision = self._clock(), said.decision
        if decision.action is Action.ALLOW and decision.handling is Handling.DIRECT:
            if not network.forward or not answer.addresses:
                return None
            needs = query.name, tuple(sorted(set(answer.addresses)))
            permit = self.lacks(listener, client, needs, now)
            return Way(needs=needs) if permit is None or asked else permit
        if query.qtype in SERVICES:  # its hints are real addresses
            return Way(now + TTL_S, codec.absent(query, codec.NOERROR, TTL_S, said.ede))
        if not answer.addresses:
            return None
        number, until = self._numbers.get(query.name) or (0, 0.0)
        if until <= now:
            if asked:
                raise NotSteered("no synthetic address")
            return Wanted(listener, client, (query.name, ()))
        both = addresses(number)
        told = tuple(each for each, there in zip(both, (network.four, network.six), strict=True) if there)
        left = decision.until.timestamp() - now if decision.until else 2 * TTL_S
        ttl = max(0, min(TTL_S, int(left)))
        return Way(now + left - ttl if left < 2 * TTL_S else now + TTL_S, codec.pointing(query, told, ttl, said.ede))

    def lacks(self, listener: str, client: str, needs: Needs, now: float) -> Wanted | None:
        """The permit that this client has to get first; None: it has it."""
        permit = Wanted(listener, client, needs, self._turn_of(client))
        return None if (self._permitted.get(permit) or 0.0) > now else permit

    def had(self, some: Sequence[Wanted]) -> bool:
        """Have it done at once, all together. No: ask for each by `ask`."""
        said = self._quick.ask([each.question for each in some]) if self._writer else None
        for wanted, value in zip(some, said or (), strict=False):
            self._note(wanted, value)
        return said is not None

    async def ask(self, wanted: Wanted) -> None:
        """Have it done. What could not be had is not remembered."""
        with contextlib.suppress(OSError):  # TimeoutError too
            self._note(wanted, await self._said(*wanted.question))

    def _note(self, wanted: Wanted, value: float) -> None:
        now, (host, addresses) = self._clock(), wanted.needs
        if addresses:
            self._permitted.put(wanted, now + min(value, SURE_S))
        else:
            self._numbers.put(host, (int(value), now + NAME_S))

    async def _said(self, *words: object) -> float:
        if self._writer is None:
            raise ConnectionError("the process that steers is not there")
        self._count += 1
        number, answer = self._count, asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            self._writer.write(json.dumps([number, *words]).encode() + b"\n")
            async with asyncio.timeout(PATIENCE_S):
                return float(await answer)
        finally:
            del self._asked[number]

    async def run(self) -> None:
        """Keep the connection. When it ends, what was permitted may be so no more."""
        while True:
            try:
                reader, self._writer = await asyncio.open_unix_connection(self._steered.socket)
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._beat(self._writer))
                    await self._listen(reader)
            except* OSError:
                pass
            finally:
                self._over()
            await asyncio.sleep(AGAIN_S)

    async def _beat(self, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b'["beat"]\n')
            await writer.drain()
            await asyncio.sleep(1.0)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            number, value = json.loads(line)
            answer = self._asked.get(number)
            if answer and not answer.done():
                answer.set_result(value)
        raise ConnectionError("the process that steers has gone")

    def _over(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        self._quick.close()
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(ConnectionError("the process that steers has gone"))
        self._permitted.clear()
        self._numbers.clear()
        self._forget()
