"""Policies as response policy zones: made from what is in force, kept in step with it, and served under keys.

The file of keys is for the owner alone (0600), YAML, a key a name:

    school-bind:
      algorithm: hmac-sha256
      secret: base64...
      zones: [ks3.hillview.rpz.schoolgate]
      notify: ["10.0.0.2:53"]
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml

from appliance.config import Address, BadConfiguration, Config, address
from category_lists.kept import rows
from dns.local import DESIGNATION, TOR
from dns.respond import CANARIES
from dns.transfer import Transfers, Zone, next_serial, notify
from dns.tsig import Key
from policy.live import Live, Objects, write_aside
from policy.proof import canonical, digest
from policy.response_zone import ResponseZone, header, response_zone, zone_name
from policy.rules import Dictionary, read
from policy.snapshot import Snapshot

log = logging.getLogger(__name__)

LOOK_S = 0.5  # how often another policy is looked for
CLOSED = (*CANARIES, DESIGNATION, TOR)


@dataclass(frozen=True, slots=True)
class Keys:
    """Who may fetch what, and who is told of a change."""

    keys: Mapping[str, Key]
    notified: Mapping[str, tuple[Address, ...]]  # zone -> secondaries


def keys_file(config: Config) -> Path:
    return Path(config.dns.rpz_keys) if config.dns.rpz_keys else config.data / "secrets" / "rpz-keys.yaml"


def load_keys(path: Path) -> Keys:
    """The keys of a file; BadConfiguration in one plain line."""
    try:
        if path.stat().st_mode & 0o077:
            raise BadConfiguration(f"{path} can be read by others; run `chmod 600 {path}`")
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadConfiguration(f"{path}: {error.strerror}; `schoolgate policy key` makes a key") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise BadConfiguration(f"{path} is not YAML") from None
    if not isinstance(raw, dict) or not raw:
        raise BadConfiguration(f"{path} holds no key; `schoolgate policy key` makes one")
    keys: dict[str, Key] = {}
    notified: dict[str, tuple[Address, ...]] = {}
    for name, given in raw.items():
        try:
            zones = frozenset(str(zone) for zone in given["zones"])
            keys[str(name)] = Key.of(str(name), str(given["algorithm"]), str(given["secret"]), zones)
            told = tuple(address(f"{path}: {name}", str(each), 53) for each in given.get("notify", ()))
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            why = error if isinstance(error, ValueError) else "algorithm, secret and zones are expected"
            raise BadConfiguration(f"{path}: {name}: {why}") from None
        for zone in zones:
            notified[zone] = (*notified.get(zone, ()), *told)
    return Keys(keys, notified)


def made(snapshot: Snapshot, data: Path, school: str, group: str, at: datetime) -> ResponseZone:
    """The zone of a group as it is now. LookupError in plain words for a school or group that is not there."""
    document = snapshot.schools.get(school)
    if document is None:
        raise LookupError(f"there is no school {school!r}; there are: {', '.join(sorted(snapshot.schools))}")
    if document.group(group) is None:
        raise LookupError(f"{school} has no group {group!r}; it has: {', '.join(each.id for each in document.groups)}")
    named = read(Dictionary, Objects(data).text(document.dictionary))
    listed = rows(data / "lists", ((ref.id, ref.digest) for ref in named.lists))
    return response_zone(snapshot, school, group, listed, at, CLOSED)


def serial_of(data: Path, zone: ResponseZone) -> int:
    """The serial of what a zone says: the same while it says the same, also after a restart; else a higher one."""
    name = zone_name(zone.school, zone.group)
    path = data / "state" / "rpz" / f"{name}.json"
    said = digest(canonical([list(line) for line in zone.lines]))
    last = 0
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(path.read_text(encoding="utf-8"))
        last = int(known["serial"])
        if known["digest"] == said:
            return last
    serial = next_serial(last, time.time())
    write_aside(path, json.dumps({"serial": serial, "digest": said}).encode())
    return serial


class Keeper:
    """Makes the zones that keys open, and makes them again when another policy is in force or time changes an answer."""

    def __init__(self, data: Path, live: Live, keys: Keys) -> None:
        self._data, self._live, self._keys = data, live, keys
        self.transfers = Transfers(keys.keys)
        self._wanted = {zone for key in keys.keys.values() for zone in key.zones}
        self._until: datetime | None = None
        self._made_of: Snapshot | None = None

    def due(self, now: datetime) -> bool:
        self._live.refresh()
        return self._live.snapshot is not self._made_of or (self._until is not None and self._until <= now)

    def make(self, now: datetime) -> list[Zone]:
        """All zones anew; those that say something else than before."""
        snapshot = self._live.snapshot
        changed: list[Zone] = []
        ends: list[datetime] = []
        there = {
            zone_name(school, group.id): (school, group.id)
            for school, one in snapshot.schools.items()
            for group in one.groups
        }
        for name in sorted(self._wanted):
            if name not in there:
                log.warning("rpz: there is no zone %s; there are: %s", name, ", ".join(sorted(there)))
                self.transfers.zones.pop(name, None)
                continue
            zone = made(snapshot, self._data, *there[name], now)
            if zone.until:
                ends.append(zone.until)
            if self._put(name, zone):
                changed.append(self.transfers.zones[name])
        self._until, self._made_of = min(ends, default=None), snapshot
        return changed

    def _put(self, name: str, zone: ResponseZone) -> bool:
        serial, known = serial_of(self._data, zone), self.transfers.zones.get(name)
        words = tuple(header(zone))
        if known is None:
            self.transfers.zones[name] = Zone(name, serial, zone.lines, words)
        elif known.serial == serial:
            return False
        else:
            known.become(serial, zone.lines, words)
        return True

    async def keep(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. What goes wrong leaves the last zones as they are."""
        while not stop.is_set():
            try:
                now = datetime.now(UTC)
                if self.due(now):
                    await self._tell(await asyncio.to_thread(self.make, now))
            except Exception:
                log.exception("could not make the response policy zones anew; the last ones are served on")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_S)

    async def _tell(self, changed: Iterable[Zone]) -> None:
        for zone in changed:
            await notify(zone, self._keys.notified.get(zone.name, ()))
