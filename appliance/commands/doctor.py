"""`schoolgate doctor`: the usual mistakes, looked for, each with how to mend it."""

import argparse
import json
from dataclasses import asdict

from appliance.commands.words import config_of, data_option


def words(parser: argparse.ArgumentParser) -> None:
    data_option(parser)
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=run)


def run(words: argparse.Namespace) -> int:
    from appliance.doctor import CHECKS, GATEWAY_CHECKS, examine
    from appliance.facts import gather

    config = config_of(words)
    found = examine(config, gather(config))
    if words.json:
        print(json.dumps([asdict(each) for each in found], indent=1))
        return 1 if found else 0
    for each in found:
        print(f"{each.wrong}.\n    {each.mend}.")
    if not found:
        looked = len(CHECKS) + (len(GATEWAY_CHECKS) if config.gateway else 0)
        print(f"Nothing wrong was found, by {looked} kinds of look.")
    return 1 if found else 0
