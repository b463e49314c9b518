"""The command line: `schoolgate COMMAND`. Errors are one plain line; 0 done, 1 the answer is no, 2 the words were wrong."""

import argparse
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import NoReturn

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from appliance import commands
from appliance.config import BadConfiguration


class OneLine(argparse.ArgumentParser):
    """A parser whose errors are one line that says where to look."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"schoolgate: {' '.join(message.split())}; `{self.prog} --help` shows what is possible\n")


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
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that this terminal cannot show is no reason to stop
    words = parser().parse_args(arguments)
    if getattr(words, "data", None) is None and hasattr(words, "data"):
        words.data = Path(os.environ.get("SCHOOLGATE_DATA") or "var").absolute()
    try:
        return int(words.run(words))
    except BadConfiguration as error:
        return _fail(2, error)
    except commands.WrongWords as error:
        return _fail(2, error)
    except BrokenPipeError:  # `schoolgate ... | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the interpreter can flush it at the end
        return 0
    except (OSError, ValueError, LookupError, RuntimeError, SQLAlchemyError) as error:
        return _fail(1, error)
    except KeyboardInterrupt:
        return 130


def _fail(code: int, error: Exception) -> int:
    match error:
        case OSError(strerror=str(why), filename=str(name)):
            text = f"{name}: {why}"
        case KeyError(args=(what,)):
            text = f"there is no {what}"
        case DBAPIError():
            text = f"the database does not answer as it should: {error.orig}"
        case SQLAlchemyError():
            text = f"the database cannot be used: {error}"
        case _:
            text = str(error) or type(error).__name__
    print(f"schoolgate: {' '.join(text.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
