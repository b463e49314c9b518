"""`schoolgate steer`: the process that writes the kernel's permits, by itself; schoolgate-steer.service runs it."""

import argparse
import asyncio
import logging
import os
import signal

import uvloop

from appliance.commands.words import config_of, data_option


def words(parser: argparse.ArgumentParser) -> None:
    data_option(parser)
    parser.set_defaults(run=run)


def run(words: argparse.Namespace) -> int:
    from appliance.gateway.steer import run as steer

    os.umask(0o027)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s steer: %(message)s", datefmt="%H:%M:%S")
    config = config_of(words)
    if config.gateway is None or not config.gateway.apart:  # no failure: the unit is there on every installation
        print("Nothing to do: there is no gateway whose steering is `apart` in the configuration.")
        return 0

    async def until_told() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await steer(config, "steer", lambda _: None, stop)

    uvloop.run(until_told())
    return 0
