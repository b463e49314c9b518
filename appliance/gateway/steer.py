"""The process that steers, the only one that may change the kernel's rules: writes permits, gives names their addresses,

tells the kernel that the filter is alive, and ends what a change of policy ends. Resolvers ask it over a UNIX socket, a line
of JSON a question: `[number, "permit", listener, client, name, [address, ...]]` or `[number, "name", name]`, and `["beat"]`
each second. It answers `[number, seconds]` or `[number, number of the name]` when the kernel has acknowledged; 0 means no.

It takes nobody's word: what may be permitted is asked of `decide`, under the same signed policy. So the resolver that asks
can at most ask for what the client may have anyway.

When it starts it knows why nothing was permitted, so it permits nothing: clients that still hold an answer go by the proxy
until they ask again. A running connection for which no name is known ends with the next change of policy.
"""

import asyncio
import contextlib
import json
import logging
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Final, Protocol, cast

from appliance.gateway import nft
from appliance.gateway.counting import Counting, Ended
from appliance.gateway.greetings import Greetings, Named
from appliance.gateway.names import Numbers
from appliance.gateway.netlink import ROUTE, Element, Flow, Netlink, Shown, flow_of, neighbours
from appliance.gateway.passing import Passing
from appliance.gateway.permits import Asker, Pair, Permits, is_direct, removal
from appliance.gateway.ruleset import DIRECT, FORWARDED, GREETED, REVOKED, SHOWN
from appliance.gateway.settings import GatewayConfig, Inside
from category_lists.names import NameRefused, canonical_host
from monitoring.coverage import WAYS, Tally
from policy import attempts
from policy.event import Event, Kind
from policy.rules import Action
from policy.snapshot import Snapshot

log = logging.getLogger(__name__)

LOOK_S: Final = 0.2  # how often a new policy is looked for
BEAT_S: Final = 1.0
ALIVE_S: Final = 6.0  # so long the kernel takes the filter for alive after the last beat
NEIGHBOURS_S: Final = 5.0
WRITE_S: Final = 5.0  # how often what was counted goes to its file
PROXY_S: Final = 2.5  # so long a proxy may take to close a connection
AT_ONCE: Final = 500  # permits judged again in one go
REMEMBERED: Final = 65_536  # addresses whose network is kept; then the memory starts afresh
TCP: Final = 6
HEARTBEATS: Final = {"proxy": "proxy_alive", "filter": "filter_alive", "steer": "steer_alive"}


class InForce(Protocol):
    @property
    def snapshot(self) -> Snapshot: ...

    def refresh(self) -> bool: ...


class Kernel(Protocol):
    """netlink.Netlink, or a test's own."""

    def write(self, elements: list[Element]) -> None: ...
    def flows(self, mark: int) -> list[Flow]: ...
    def remark(self, flow: Flow, mark: int) -> bool: ...


class Near:
    """Which device has an address of a network next to us."""

    def __init__(self, config: GatewayConfig, look: Callable[[], dict[str, bytes]]) -> None:
        self._look = look
        self._known: dict[str, bytes] = {}
        self._looked = float("-inf")
        self._of: dict[str, Inside | None] = {}
        self._networks = sorted(
            ((network, inside) for inside in config.networks for network in map(ip_network, inside.prefixes)),
            key=lambda one: -one[0].prefixlen,
        )

    def network(self, address: str) -> Inside | None:
        if address not in self._of:
            if len(self._of) >= REMEMBERED:
                self._of.clear()
            ip = ip_address(address)
            near = (each for network, each in self._networks if ip.version == network.version and ip in network)
            self._of[address] = next(near, None)
        return self._of[address]

    def device(self, address: str, *, patient: bool = False) -> bytes:
        """The MAC; b"" when the device stands behind a router, or is not known (`patient`: and need not be at once)."""
        inside = self.network(address)
        if inside is None or inside.routed:
            return b""
        now = time.monotonic()
        stale = now - self._looked > NEIGHBOURS_S
        if stale or (address not in self._known and not patient and now - self._looked > LOOK_S):
            self._known, self._looked = self._look(), now
        return self._known.get(address, b"")


class Steer:
    """What the process knows and does. Everything runs in the event loop's thread but the reading of a new policy."""

    def __init__(
        self,
        live: InForce,
        kernel: Kernel,
        near: Near,
        numbers: Numbers,
        tally: Tally,
        record: Callable[[Event], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._live, self._kernel, self._near, self._numbers, self._clock = live, kernel, near, numbers, clock
        self._record = record
        self.counting = Counting(live, near, tally)
        self.permits = Permits()
        self.permits.follow(live.snapshot)
        self._present = live.snapshot.clients.presence.version
        self.beaten = 0.0  # when a resolver last said that it lives
        self.greetings = Greetings()
        self.granted = self.revoked = self.unnamed = 0

    def answer(self, lines: list[bytes]) -> bytes:
        """What is said to these questions, once the kernel knows of all of it."""
        now = self._clock()
        elements: list[Element] = []
        replies: list[tuple[int, float]] = []
        for line in lines:
            match json.loads(line):
                case [int(number), "permit", str(listener), str(client), str(host), list(addresses)]:
                    asker = Asker(listener, client, self._near.device(client))
                    made, seconds = self.permits.grant(asker, host, map(str, addresses), now)
                    elements += made
                    replies.append((number, seconds))
                case [int(number), "name", str(host)]:
                    replies.append((number, self._numbers.of(host, now)))
                case ["beat"]:
                    self.beaten = now
                case _:
                    raise ValueError("a question of no known kind")
        if elements:
            self._kernel.write(elements)
            self.granted += len(elements)
        return b"".join(b"[%d,%r]\n" % each for each in replies)

    async def look(self) -> None:
        """Carry a new policy, and the end of what was permitted for a time, to what is permitted and what runs.

        Some at a time: 2,000 devices have 400,000 permits, and who asks meanwhile must not wait until all are judged. What is
        granted from now on is granted by the new policy.
        """
        now, changed = self._clock(), self.permits.follow(self._live.snapshot)
        moved = self._moved()
        pairs = self.permits.pairs() if changed else [*self.permits.due(now), *moved]
        gone: set[Pair] = set()
        for at in range(0, len(pairs), AT_ONCE):
            some = self.permits.ended(pairs[at : at + AT_ONCE], now)
            self._kernel.write(removal(some))
            gone.update(some)
            await asyncio.sleep(0)
        if gone or changed:
            self.reset(None if changed else gone)

    def _moved(self) -> list[Pair]:
        """What is permitted to those of whom something else is known than a moment ago: who signed in, who is gone."""
        presence = self._live.snapshot.clients.presence
        if presence.version == self._present:
            return []
        changed, self._present = presence.since(self._present), presence.version
        if changed is None:
            return self.permits.pairs()
        owners = {self._near.device(each, patient=True) or ip_address(each).packed for each in changed}
        return [pair for pair in self.permits.pairs() if pair[0] in owners]

    def shown(self, packets: list[tuple[str, bytes]]) -> None:
        """First words of forwarded connections: to a site that this client may have unseen, or the connection ends.

        And first packets of all connections, with what became of them: those are counted.
        """
        now = self._clock()
        for way, packet in packets:
            if way in WAYS:
                self.counting.begun(way, packet, now)
            elif named := self.greetings.seen(packet):
                ends = named.ends
                flow = flow_of(ends.source, ends.to, ends.ports, DIRECT)
                try:
                    good = self._may_say(flow.source, ends.to, named.host, now)
                except Exception:  # an enforcing edge
                    log.exception("could not judge the name of a connection; ended it")
                    good = False
                if self._kernel.remark(flow, GREETED if good else REVOKED) and not good:
                    self.unnamed += 1
                    self._tell(named, flow.source, now)

    def _tell(self, named: Named, source: str, now: float) -> None:
        """What ended a connection belongs into the filter log, if somebody did it."""
        client = self._live.snapshot.clients.of("", source)
        if client is None or not named.kind:
            return
        event = Event(
            now, Kind.CONNECTION, client.school, client.group, client.network, client.identified_by,
            client.person or "", source, client.device, ascii(named.host)[1:-1], action=Action.BLOCK,
            reason="error", outcome="reset", detail=attempts.told(named.kind), worker="steer",
        )  # fmt: skip
        self._record(event)

    def _may_say(self, source: str, to: bytes, host: str, now: float) -> bool:
        """Was this name told by this address, or may it be had unseen anyway?"""
        device = self._near.device(source)  # not patient: an IPv6 address that a device has just made up is looked for
        for owner in (device, ip_address(source).packed):
            if owner and host in self.permits.because(owner, to):
                return True
        try:
            decision = self.permits.judge(Asker("", source, device), canonical_host(host), now)
        except NameRefused:
            return False
        return decision is not None and is_direct(decision)

    def reset(self, pairs: set[Pair] | None) -> None:
        """End running connections for which no name speaks: of these pairs, or all of them."""
        for flow in (flow for mark in FORWARDED for flow in self._kernel.flows(mark)):
            to = ip_address(flow.to).packed
            owners = (self._near.device(flow.source, patient=True), ip_address(flow.source).packed)
            if pairs is not None and not any((owner, to) in pairs for owner in owners):
                continue
            if not any(self.permits.holds(owner, to) for owner in owners if owner) and self._kernel.remark(flow, REVOKED):
                self.revoked += 1

    def beat(self, proxy: bool) -> None:
        """Tell the kernel what lives. What it is not told any more it takes for dead."""
        left = ALIVE_S - (self._clock() - self.beaten)  # of the resolver's own beat
        lives = {"steer": ALIVE_S, "proxy": ALIVE_S if proxy else 0.0, "filter": left if proxy else 0.0}
        self._kernel.write(
            [Element(HEARTBEATS[name], bytes([TCP]), seconds) for name, seconds in lives.items() if seconds > 0]
        )

    def told(self) -> dict[str, object]:
        return {"permits": len(self.permits), "granted": self.granted, "revoked": self.revoked, "unnamed": self.unnamed}


class Asked(asyncio.Protocol):
    """One resolver that asks."""

    def __init__(self, steer: Steer) -> None:
        self._steer, self._rest = steer, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are of no class of asyncio's

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if not lines:
            return
        try:
            self._transport.write(self._steer.answer(lines))
        except Exception as error:  # whoever asked learns by the end of the connection that nothing was done
            if not isinstance(error, FileNotFoundError):
                log.exception("could not permit what was asked for")
            self._transport.abort()


async def proxy_lives(address: tuple[str, int]) -> bool:
    """Does the proxy's listener take a connection, look at it, and close it? That is all that it gets, undirected."""
    try:
        async with asyncio.timeout(PROXY_S):
            reader, writer = await asyncio.open_connection(*address)
            try:
                return await reader.read(1) == b""
            except ConnectionError:
                return True
            finally:
                writer.close()
    except OSError:  # TimeoutError too
        return False


async def serve(
    live: InForce,
    config: GatewayConfig,
    folder: Path,
    *,
    lives: Callable[[], Awaitable[bool]],
    ready: Callable[[], None],
    stop: asyncio.Event,
    record: Callable[[Event], None] = lambda _: None,
    told: Callable[[dict[str, object]], None] = lambda _: None,
) -> None:
    """Steer until `stop` is set."""
    path = folder / "steer.sock"
    with contextlib.ExitStack() as stack:
        kernel, route = Netlink(), Netlink(ROUTE)
        stack.callback(kernel.close)
        stack.callback(route.close)
        numbers = Numbers(folder / "names")
        stack.callback(numbers.close)
        tally = Tally(folder / "coverage", time.time())
        stack.callback(tally.write)
        steer = Steer(live, kernel, Near(config, lambda: neighbours(route)), numbers, tally, record)
        ready()
        await _rules(kernel, stop)
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(path))
            path.chmod(0o660)
            loop = asyncio.get_running_loop()
            shown = Shown(SHOWN)
            stack.callback(shown.close)
            loop.add_reader(shown.sock, lambda: _read(steer, shown))
            stack.callback(loop.remove_reader, shown.sock)
            ended = Ended()
            stack.callback(ended.close)
            loop.add_reader(ended.sock, lambda: _count(steer.counting, ended))
            stack.callback(loop.remove_reader, ended.sock)
            server = await loop.create_unix_server(lambda: Asked(steer), sock=sock)
            async with server, asyncio.TaskGroup() as tasks:
                works = [
                    tasks.create_task(_looking(live, steer)),
                    tasks.create_task(_beating(steer, lives, told)),
                    tasks.create_task(_writing(tally)),
                    tasks.create_task(_passing(live, Passing(config, kernel, nft.run))),
                ]
                await stop.wait()
                for work in works:
                    work.cancel()
        path.unlink(missing_ok=True)


async def _rules(kernel: Netlink, stop: asyncio.Event) -> None:
    """Wait for the rules, and begin with no permits. OSError in a plain sentence when they may not be touched."""
    told = False
    while not stop.is_set():
        try:
            kernel.forget_permits()
        except FileNotFoundError:
            if not told:
                log.warning("the gateway's rules are not in the kernel; `schoolgate gateway apply` puts them there")
            told = True
        except PermissionError as error:
            raise OSError(error.errno, "steering needs the capability CAP_NET_ADMIN") from None
        else:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), BEAT_S)


def _read(steer: Steer, shown: Shown) -> None:
    try:
        steer.shown(shown.packets())
    except Exception:
        log.exception("could not read the first words of connections")


def _count(counting: Counting, ended: Ended) -> None:
    try:
        now = time.time()
        for flow, size in ended.flows():
            counting.over(flow, size, now)
    except Exception:
        log.exception("could not count the bytes of connections")


async def _looking(live: InForce, steer: Steer) -> None:
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            await asyncio.to_thread(live.refresh)
            await steer.look()
        except FileNotFoundError:
            pass  # the rules were taken away
        except Exception:
            log.exception("could not carry a new policy to what is permitted")


async def _passing(live: InForce, passing: Passing) -> None:
    while True:
        try:
            await passing.look(live.snapshot)
        except Exception:
            log.exception("could not carry to the kernel what policy lets by")
        await asyncio.sleep(LOOK_S)


async def _beating(steer: Steer, lives: Callable[[], Awaitable[bool]], told: Callable[[dict[str, object]], None]) -> None:
    while True:
        try:
            steer.beat(await lives())
            told(steer.told())
        except FileNotFoundError:
            pass  # the rules were taken away
        except Exception:
            log.exception("could not tell the kernel that the filter lives")
        await asyncio.sleep(BEAT_S)


async def _writing(tally: Tally) -> None:
    while True:
        await asyncio.sleep(WRITE_S)
        try:
            tally.write()
        except Exception:
            log.exception("could not write down what was counted")


async def run(config: Any, name: str, ready: Callable[[dict[str, Any]], None], stop: asyncio.Event) -> None:
    """As one of the supervisor's processes, or as a service of its own."""
    from appliance.gateway.applying import steering_folder
    from appliance.wiring import in_force, recording, write_quickly

    sys.setswitchinterval(0.001)  # a policy is read in a thread, and must not hold up permits for 5 ms at a time
    writer, record = recording(config, name)
    live = in_force(config, name, record)
    listeners = config.proxy.transparent_listen
    host, port = listeners[0]
    address = ({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port)  # noqa: S104 - compared, not listened on

    def told(counts: dict[str, object]) -> None:
        said = {"worker": name, "pid": os.getpid(), "at": time.time(), "lost": writer.lost, **counts}
        write_quickly(config.data / "run" / "counters" / f"{name}.json", json.dumps(said).encode())

    with contextlib.closing(writer):
        await serve(
            live,
            config.gateway,
            steering_folder(config.data),
            lives=lambda: proxy_lives(address),
            ready=lambda: ready({"steer": True}),
            stop=stop,
            record=record,
            told=told,
        )
