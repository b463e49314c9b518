"""What several commands say alike."""

import argparse
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path

from appliance.config import Config, load


class WrongWords(ValueError):
    """The words of the command line make no sense; exit code 2."""


def version() -> str:
    """The product's version."""
    try:
        return installed_version("schoolgate")
    except PackageNotFoundError:
        return "unknown"


def data_option(parser: argparse.ArgumentParser, *, config: bool = True) -> None:
    """--data, and --config for commands that open a database or a port."""
    parser.add_argument("--data", type=Path, metavar="DIR", help="data folder (default: $SCHOOLGATE_DATA, else ./var)")
    if config:
        parser.add_argument(
            "--config", type=Path, metavar="FILE", help="configuration (default: schoolgate.yaml in the data folder)"
        )


def config_of(words: argparse.Namespace, *, demo: bool = False) -> Config:
    return load(words.config, words.data, demo=demo)
