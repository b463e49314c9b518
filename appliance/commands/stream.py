"""`schoolgate stream`: does the filter log reach those who are to have it?"""

import argparse

from appliance.commands.words import WrongWords, config_of, data_option
from appliance.config import Config
from appliance.receivers import StreamConfig


def words(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="what", required=True, metavar="test|status", parser_class=type(parser))
    test = kinds.add_parser("test", help="send one line now that says nothing, and say what became of it")
    test.add_argument("name", metavar="NAME", help="a name under log_to in the configuration")
    data_option(test)
    test.set_defaults(run=run_test)
    status = kinds.add_parser("status", help="what waits, and why; exit code 1 when a receiver takes nothing")
    data_option(status)
    status.set_defaults(run=run_status)


def run_test(given: argparse.Namespace) -> int:
    from appliance.streaming import example, sender

    config = config_of(given)
    stream = _named(config, given.name)
    sender(config, stream)([example()])  # what it raises is the answer
    taken = "was sent a line by UDP, which nobody acknowledges" if stream.syslog.startswith("udp:") else "took a line"
    print(f"{stream.syslog or stream.webhook} {taken}")
    return 0


def run_status(given: argparse.Namespace) -> int:
    from admin_api.stream_state import stream_states

    config = config_of(given)
    found = {one.name: one for one in stream_states(config.data)}
    troubled = False
    for stream in config.log_to:
        one = found.get(stream.name)
        if one is None:
            print(f"{stream.name}: has not run yet; it starts with `schoolgate up`")
            continue
        troubled |= bool(one.error)
        print(f"{stream.name}: {one.words}")
    if not config.log_to:
        print("the filter log is sent to nobody: there is no log_to in the configuration")
    return 1 if troubled else 0


def _named(config: Config, name: str) -> StreamConfig:
    for one in config.log_to:
        if one.name == name:
            return one
    there = ", ".join(one.name for one in config.log_to) or "none"
    raise WrongWords(f"there is no log_to.{name} in the configuration; there are: {there}")
