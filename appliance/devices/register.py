"""What the recorder's process does for the register of devices: takes in what the process for devices has left."""

import asyncio
import contextlib
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from monitoring import devices
from monitoring.devices import Seen
from monitoring.log import Log

if TYPE_CHECKING:
    from appliance.config import Config

log = logging.getLogger(__name__)

LOOK_S: Final = 1.0


def read_seen(text: str) -> list[Seen]:
    """What was left; ValueError when it is something else."""
    try:
        return [Seen(**{**one, "addresses": tuple(one["addresses"])}) for one in json.loads(text)]
    except (TypeError, KeyError) as error:
        raise ValueError(f"this is not what was seen: {error}") from None


class Taking:
    """The file as it was last taken in."""

    def __init__(self, path: Path, log_: Log) -> None:
        self._path, self._log, self._stamp = path, log_, (0, 0)

    def step(self) -> int:
        try:
            stat = self._path.stat()
        except OSError:
            return 0
        if (stamp := (stat.st_mtime_ns, stat.st_ino)) == self._stamp:
            return 0
        taken = devices.take(self._log, read_seen(self._path.read_text(encoding="utf-8")))
        self._stamp = stamp
        return taken


async def keep_register(config: "Config", stop: asyncio.Event) -> None:
    opened = Log(config.log_database)
    taking = Taking(config.data / "run" / "devices.json", opened)
    while not stop.is_set():
        try:
            await asyncio.to_thread(taking.step)
        except Exception:  # the next look tries again; filtering does not wait for the register
            log.warning("cannot take devices into the register", exc_info=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_S)
    opened.close()
