"""One process of the box, forked by the nursery for the supervisor and for nobody else.

It reads its configuration as one line on standard input, says as one line on standard output that it is ready, and ends on
SIGTERM or when standard input ends, which means that the supervisor is gone.
"""

import asyncio
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping
from typing import Any

import uvloop

from appliance.capabilities import give_up
from appliance.config import Config
from appliance.wiring import PROCESSES
from policy.live import PolicyMissing


def main(kind: str, name: str) -> int:
    """A process's whole life, to its exit code."""
    os.umask(0o027)  # what pupils did is in what we write: nobody else's to read
    logging.basicConfig(level=logging.WARNING, format=f"%(asctime)s {name}: %(message)s", datefmt="%H:%M:%S")
    told = sys.stdin.readline()
    if not told:  # the supervisor went before it had said anything
        return 1
    config = Config.from_json(told)
    if kind != "steer":
        give_up()  # whoever reads pupils' bytes must not be able to change the kernel's rules
    try:
        runner = uvloop.run if kind in {"dns", "steer"} else asyncio.run  # mitmproxy gains nothing from uvloop, they much
        runner(_run(kind, name, config))
    except (OSError, PolicyMissing, ValueError) as error:
        print(f"schoolgate: {name}: {error}", file=sys.stderr)
        return 1
    return 0


async def _run(kind: str, name: str, config: Config) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def parent_gone() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=parent_gone, daemon=True, name="parent").start()

    def ready(said: Mapping[str, Any]) -> None:
        print(json.dumps(said), flush=True)

    await PROCESSES[kind](config, name, ready, stop)
