"""The command line: `schoolgate COMMAND`. Errors are one plain line; 0 done, 1 the answer is no, 2 the words were wrong."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from appliance import commands
from appliance.config import BadConfiguration


class OneLine(argparse.ArgumentParser):
    """A parser whose errors are one line that says where to look."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"schoolgate: {message}; `{self.prog} --help` shows what is possible\n")


def parser() -> argparse.ArgumentParser:
    """All commands and their words."""
    top = OneLine(
        prog="schoolgate", description="A network filter for schools whose every rule was signed by the headteacher."
    )
    top.add_argument("--version", action="version", version=f"schoolgate {commands.version()}")
    commands_ = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=OneLine)
    for add in commands.ALL:
        add(commands_)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    words = parser().parse_args(arguments)
    if getattr(words, "data", None) is None and hasattr(words, "data"):
        words.data = Path(os.environ.get("SCHOOLGATE_DATA") or "var").absolute()
    try:
        return int(words.run(words))
    except BadConfiguration as error:
        return _fail(2, error)
    except commands.WrongWords as error:
        return _fail(2, error)
    except (OSError, ValueError, LookupError, RuntimeError) as error:
        return _fail(1, error)
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        return 130


def _fail(code: int, error: Exception) -> int:
    text = str(error).strip("'\"") or type(error).__name__
    print(f"schoolgate: {' '.join(text.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
