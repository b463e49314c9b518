"""The parent of all processes: starts them, says when all answer, starts again what dies, stops everything within 5 s."""

import asyncio
import contextlib
import json
import logging
import signal
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.config import Address, Config
from appliance.nursery import Hatched, Nursery
from policy.live import write_aside

log = logging.getLogger(__name__)

STOP_WITHIN_S = 4.0  # then what still runs is killed
READY_WITHIN_S = 60.0
CALM_S = 10.0  # a process that lived this long is started again at once, others with a growing pause
LONGEST_PAUSE_S = 5.0


class NotStarted(RuntimeError):
    """A process did not come up; its own line says why."""


def _apart(config: Config) -> bool:
    return config.gateway is not None and config.gateway.apart


@dataclass(slots=True)
class Child:
    """One process and what it said when it was ready."""

    kind: str
    name: str
    process: Hatched | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    said: Mapping[str, Any] = field(default_factory=dict)
    failures: int = 0


class Supervisor:
    """All processes of one installation on this machine."""

    def __init__(self, config: Config, *, when_ready: Callable[[Mapping[str, Any]], None]) -> None:
        self._config, self._when_ready = config, when_ready
        self.children = [
            Child("desk", "desk"),
            Child("recorder", "recorder"),
            *(Child(kind, name) for kind, name in config.filter_processes if kind != "steer" or not _apart(config)),
            *([Child("rpz", "rpz")] if config.dns.rpz_listen else []),
            *([Child("devices", "devices")] if config.devices else []),
        ]
        self._nursery = Nursery()
        self._stop = asyncio.Event()
        self._failed: str | None = None

    @property
    def _ready_file(self) -> Path:
        return self._config.data / "run" / "ready.json"

    async def run(self) -> None:
        """Until SIGTERM or SIGINT. NotStarted when something does not come up at all."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        self._clear()
        keepers = [asyncio.create_task(self._keep(child)) for child in self.children]
        everyone = asyncio.create_task(self._all_ready())
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({everyone, stopping}, timeout=READY_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
            if not self._stop.is_set():
                if not everyone.done():
                    late = ", ".join(child.name for child in self.children if not child.ready.is_set())
                    raise NotStarted(f"not ready after {READY_WITHIN_S:.0f} s: {late}; its own lines above say more")
                self._tell()
                self._when_ready(self._state())
                await self._stop.wait()
        finally:
            self._stop.set()
            everyone.cancel()
            stopping.cancel()
            self._ready_file.unlink(missing_ok=True)
            await self._end(keepers)
        if self._failed:
            raise NotStarted(self._failed)

    def _clear(self) -> None:
        """What an earlier run left: files that say what was in force in processes that are no more."""
        for folder in ("workers", "counters"):
            for path in (self._config.data / "run" / folder).glob("*.json"):
                path.unlink(missing_ok=True)
        self._ready_file.unlink(missing_ok=True)

    async def _all_ready(self) -> None:
        await asyncio.gather(*(child.ready.wait() for child in self.children))

    def _state(self) -> dict[str, Any]:
        config = self._config
        return {
            "dns": [_text(address) for address in config.dns.listen],
            "rpz": [_text(address) for address in config.dns.rpz_listen],
            "proxy": [_text(address) for address in config.proxy.listen],
            "proxy_groups": {name: _text((host, port)) for name, host, port in config.group_listeners},
            **({"proxy_tls": [_text(each) for each in config.proxy.tls_listen]} if config.proxy.tls_listen else {}),
            **({"proxy_page": [_text(each) for each in config.proxy.page_listen]} if config.proxy.page_listen else {}),
            "admin": config.desk_url,
            "ca_certificate": str(config.data / "ca" / "schoolgate-ca.pem"),
            **({"radius": [_text(each) for each in config.devices.radius_listen]} if config.devices else {}),
            **({"dot": [_text(address) for address in config.dns.dot_listen]} if config.dns.dot_listen else {}),
            **({"doh": [_text(address) for address in config.dns.doh_listen]} if config.dns.doh_listen else {}),
            "pids": {child.name: child.process.pid for child in self.children if child.process},
        }

    def _tell(self) -> None:
        write_aside(self._ready_file, json.dumps(self._state(), indent=1).encode())

    async def _keep(self, child: Child) -> None:
        """Start a process, and again whenever it ends before we do."""
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                pid, code = await self._run_one(child)
            except OSError as error:
                if not self._stop.is_set():
                    self._failed = f"{child.name} does not start: {error}"
                self._stop.set()
            if self._stop.is_set():
                return
            came_up = child.ready.is_set()
            child.ready.clear()
            if not came_up and child.failures >= 2:
                self._failed = f"{child.name} does not start; its own lines above say why"
                self._stop.set()
                return
            child.failures = 0 if time.monotonic() - started > CALM_S else child.failures + 1
            pause = min(LONGEST_PAUSE_S, 0.5 * max(0, child.failures - 2)) if came_up else 0.5
            log.warning("%s (pid %d) ended with code %d; starting it again", child.name, pid, code)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause or 0.01)

    async def _run_one(self, child: Child) -> tuple[int, int]:
        """One life of a process: its number, and its exit code."""
        ours, theirs = socket.socketpair()
        with theirs:
            child.process = process = await self._nursery.hatch(child.kind, child.name, theirs.fileno())
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            writer.write(self._config.to_json().encode() + b"\n")
            with contextlib.suppress(ConnectionError):  # it died before it had read that: its code says so
                if line := await reader.readline():
                    child.said = json.loads(line)
                    child.ready.set()
                    if all(other.ready.is_set() for other in self.children) and self._ready_file.exists():
                        self._tell()  # with the new pid
            return process.pid, await process.wait()
        finally:
            writer.close()  # kept open until now: its end tells the child that we are gone

    async def _end(self, keepers: list[asyncio.Task[None]]) -> None:
        await self._nursery.close()  # first: nobody is born any more
        running = [child.process for child in self.children if child.process and child.process.returncode is None]
        for process in running:
            process.send(signal.SIGTERM)
        if running:
            _, late = await asyncio.wait(
                [asyncio.ensure_future(process.wait()) for process in running], timeout=STOP_WITHIN_S
            )
            for process in running if late else ():
                process.send(signal.SIGKILL)
        await asyncio.gather(*keepers, return_exceptions=True)


def _text(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
