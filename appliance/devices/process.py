"""The process that knows who and what is in the networks: it reads the kernel, lease files and RADIUS, and writes the table.

It holds no database and no signing key, and may change nothing in the kernel: strangers' bytes come in here. What it learns
of devices it leaves in a file, which the recorder takes into the register.
"""

import asyncio
import contextlib
import json
import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from appliance.devices.door import Door
from appliance.devices.portal import Portal
from appliance.devices.radius import Accounting, Source
from appliance.devices.settings import DevicesConfig, secret
from appliance.devices.table import Table
from appliance.devices.watch import Watch, recall, saved
from appliance.gateway.devices import Lease, leases
from appliance.gateway.netlink import ROUTE, Netlink, neighbours
from change_control.guests import codes_file, read_codes
from monitoring.devices import Names
from policy import doors
from policy.doors import accounts_door, portal_door
from policy.identity import Client
from policy.live import Live, write_aside

log = logging.getLogger(__name__)

TICK_S: Final = 0.25  # so long what is heard may wait to be written
NEIGHBOURS_S: Final = 5.0  # the kernel's tables are read again, whether it told of changes or not
LEASES_S: Final = 2.0  # how often lease files are looked at
REGISTER_S: Final = 5.0
POLICY_S: Final = 1.0
ACCOUNTS_S: Final = 2.0  # how soon an account that was closed is signed out
NEIGHBOURS_CHANGED: Final = 4  # RTMGRP_NEIGH
LARGEST: Final = 4096


class Sockets(asyncio.DatagramProtocol):
    """RADIUS accounting on one address."""

    def __init__(self, watch: Watch, heard: Callable[[], None]) -> None:
        self._watch, self._heard = watch, heard

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        try:
            answer = self._watch.accounting.datagram(data[:LARGEST], str(addr[0]).partition("%")[0])
            if answer is not None:
                self._heard()
                self._transport.sendto(answer, addr)  # type: ignore[attr-defined]  # it is a datagram's
        except Exception:  # whoever sent it learns nothing; the next one is read
            log.exception("could not read a RADIUS packet")


class Files:
    """Lease files, read when they have changed."""

    def __init__(self, paths: tuple[str, ...]) -> None:
        self._paths = tuple(map(Path, paths))
        self._stamps: dict[Path, tuple[int, int]] = {}
        self._text: dict[Path, str] = {}

    def leases(self, now: float) -> list[Lease]:
        """Those that are not over, whether their file has changed or not."""
        found: list[Lease] = []
        for path in self._paths:
            try:
                stat = path.stat()
                if self._stamps.get(path) != (stamp := (stat.st_mtime_ns, stat.st_size)):
                    self._text[path] = path.read_text(encoding="utf-8", errors="replace")
                    self._stamps[path] = stamp
            except OSError:
                self._text.pop(path, None)
            found += leases(self._text.get(path, ""), now)
        return found


class Process:
    """Everything together; `step` is one turn."""

    def __init__(self, config: DevicesConfig, data: Path, live: Live, names: Names, portal_key: bytes = b"") -> None:
        self._config, self._data, self._live = config, data, live
        sources = [Source(client, secret(client)) for client in config.radius_clients]
        self.accounting = Accounting(sources, config.session_hours * 3600.0, time.time)
        self._state = data / "state" / "sign-ins.json"
        self.portal = Portal(portal_key, config.session_hours * 3600.0, time.time)
        with contextlib.suppress(OSError, ValueError):
            held = json.loads(self._state.read_text(encoding="utf-8"))
            recall(self.accounting, held)
            self.portal.recall(held.get("portal", ()))
        self._codes, self._codes_stamp = codes_file(data), (0, 0)
        self._take_codes()
        self.watch = Watch(self.accounting, names, self.school_of, self.portal)
        self.door = Door(
            self.portal, self.watch, self.client_at, names,
            accounts=accounts_door(data), heard=self.hear, look=self.look_again, clock=time.time,
        )  # fmt: skip
        self._table = Table(data / "run" / "presence")
        self._files = Files(config.leases)
        self._due = dict.fromkeys(("neighbours", "leases", "register", "policy", "accounts"), 0.0)
        self._saved = ""
        self.heard = True

    def hear(self) -> None:
        self.heard = True

    def school_of(self, address: str) -> str:
        """Whose an address is, by the networks of signed policy; "" where it is nobody's."""
        client = self.client_at(address)
        return client.school if client else ""

    def client_at(self, address: str) -> Client | None:
        return self._live.snapshot.clients.of("", address)

    def look_again(self) -> None:
        """At the policy and at the codes for guests."""
        self._live.refresh()
        self._take_codes()

    def _take_codes(self) -> None:
        """The codes for guests, when the desk has written them anew. Without a file there are none."""
        try:
            stat = self._codes.stat()
            if (stamp := (stat.st_mtime_ns, stat.st_ino)) == self._codes_stamp:
                return
            codes = read_codes(self._codes.read_text(encoding="utf-8"))
        except FileNotFoundError:
            stamp, codes = (0, 0), []
        except OSError:  # it is looked at again, or what was revoked would hold on
            log.warning("cannot read the codes for guests; those that were known hold on", exc_info=True)
            return
        except ValueError:  # written so by somebody else: none holds
            log.exception("the file of codes for guests is not one; no code holds")
            codes = []
        self._codes_stamp = stamp
        if self.portal.take_codes(codes):
            self.heard = True

    def _is_due(self, what: str, every: float, now: float) -> bool:
        due = now - self._due[what] >= every
        if due:
            self._due[what] = now
        return due

    def changed_neighbours(self) -> None:
        self._due["neighbours"] = 0.0

    def step(self, route: Netlink | None) -> None:
        now = time.time()
        if route and self._is_due("neighbours", NEIGHBOURS_S, now):
            self.watch.neighbours(neighbours(route), now)
            self.heard = True
        if self._is_due("leases", LEASES_S, now):
            self.watch.leases(self._files.leases(now), now)
            self.heard = True
        if self._is_due("policy", POLICY_S, now):
            self.look_again()
            if self.portal.expire():
                self.heard = True
        if not self.heard:
            return
        self.heard = False
        entries = self.watch.lay_out(now)
        self._table.write(entries, now)
        self._save()
        if self._is_due("register", REGISTER_S, now):
            seen = [asdict(one) for one in self.watch.seen(entries, now)]
            write_aside(self._data / "run" / "devices.json", json.dumps(seen).encode(), mode=0o640)

    def _save(self) -> None:
        text = json.dumps(saved(self.accounting) | {"portal": self.portal.saved()})
        if text != self._saved:
            write_aside(self._state, text.encode(), mode=0o640)
            self._saved = text

    def look_at_accounts(self) -> None:
        if self._is_due("accounts", ACCOUNTS_S, time.time()):
            self.door.ask_who_holds()

    def told(self) -> dict[str, int]:
        return {"radius_" + name.replace(" ", "_"): count for name, count in self.accounting.counts.items()}

    def close(self) -> None:
        self._table.close()


def hook_path(data: Path) -> Path:
    return data / "run" / "devices.sock"


async def serve(process: Process, config: DevicesConfig, data: Path, ready: Callable[[], None], stop: asyncio.Event) -> None:
    """Until `stop` is set."""
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        stack.callback(process.close)
        route = _kernel(loop, stack, process) if config.neighbours else None
        for where in config.radius_listen:
            transport, _ = await loop.create_datagram_endpoint(lambda: Sockets(process.watch, process.hear), local_addr=where)
            stack.callback(transport.close)
        hook = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK))
        path = hook_path(data)
        path.unlink(missing_ok=True)
        hook.bind(str(path))
        path.chmod(0o660)  # the DHCP server's user is put into our group
        stack.callback(lambda: path.unlink(missing_ok=True))
        loop.add_reader(hook, _hooked, hook, process)
        stack.callback(loop.remove_reader, hook)
        door = await doors.serve(portal_door(data), process.door.answer)
        stack.callback(lambda: portal_door(data).unlink(missing_ok=True))
        stack.callback(door.close)
        process.step(route)
        ready()
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), TICK_S)
            try:
                process.step(route)
                process.look_at_accounts()
            except Exception:  # the table stays as it is; what it says ends by itself
                log.exception("could not look who is there")


def _kernel(loop: asyncio.AbstractEventLoop, stack: contextlib.ExitStack, process: Process) -> Netlink | None:
    """The kernel's neighbour tables, and word of each change in them; None where this process may not read them."""
    try:
        news = stack.enter_context(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, ROUTE))
        news.bind((0, NEIGHBOURS_CHANGED))
        route = Netlink(ROUTE)
    except OSError as error:
        log.warning("cannot read the kernel's neighbours, so devices are known by leases and sign-ins alone: %s", error)
        return None
    stack.callback(route.close)
    loop.add_reader(news, _drain, news, process.changed_neighbours)
    stack.callback(loop.remove_reader, news)
    return route


def _drain(sock: socket.socket, changed: Callable[[], None]) -> None:
    with contextlib.suppress(OSError):  # what was lost is read with the whole table
        while sock.recv(65_536):
            pass
    changed()


def _hooked(sock: socket.socket, process: Process) -> None:
    with contextlib.suppress(BlockingIOError):
        while True:
            if process.watch.hooked(sock.recv(LARGEST), time.time()):
                process.hear()


async def run(config: Any, name: str, ready: Callable[[dict[str, Any]], None], stop: asyncio.Event) -> None:
    """As one of the supervisor's processes."""
    from change_control.keys import secret_of

    del name
    settings: DevicesConfig = config.devices
    names = Names(secret_of(config.data / "secrets" / "people.key"))
    process = Process(settings, config.data, Live(config.data), names, secret_of(config.data / "secrets" / "portal.key"))
    said = [f"{host}:{port}" for host, port in settings.radius_listen]
    await serve(process, settings, config.data, lambda: ready({"radius": said, "pid": os.getpid()}), stop)
