"""The command line: `schoolgate COMMAND`. Errors are one plain line; 0 done, 1 the answer is no, 2 the words were wrong."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import NoReturn

from appliance.commands import COMMANDS, WrongWords
from appliance.commands.words import version
from appliance.config import BadConfiguration


class OneLine(argparse.ArgumentParser):
    """A parser whose errors are one line that says where to look."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"schoolgate: {' '.join(message.split())}; `{self.prog} --help` shows what is possible\n")


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """All commands; their words too, or only those of one."""
    top = OneLine(prog="schoolgate", description="A network filter for schools; every rule is signed.")
    top.add_argument("--version", action="version", version=f"schoolgate {version()}")
    below = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=OneLine)
    for name, (module, does) in COMMANDS.items():
        made = below.add_parser(name, help=does, description=f"{does[:1].upper()}{does[1:]}.")
        if only in {None, name}:
            import_module(f"appliance.commands.{module}").words(made)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that this terminal cannot show is no reason to stop
    given = sys.argv[1:] if arguments is None else list(arguments)
    command = next((word for word in given if not word.startswith("-")), "")
    words = parser(command).parse_args(given)
    if getattr(words, "data", None) is None and hasattr(words, "data"):
        words.data = Path(os.environ.get("SCHOOLGATE_DATA") or "var").absolute()
    try:
        return int(words.run(words))
    except (BadConfiguration, WrongWords) as error:
        return _fail(2, error)
    except BrokenPipeError:  # `schoolgate ... | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the interpreter can flush it at the end
        return 0
    except (OSError, ValueError, LookupError, RuntimeError) as error:
        return _fail(1, error)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if "sqlalchemy" not in type(error).__module__:
            raise  # a fault of ours, to be seen as one
        return _fail(1, _database_trouble(error))


def _database_trouble(error: Exception) -> RuntimeError:
    """SQLAlchemy's errors in plain words. Looked at by name: most commands need no database, and must not wait for one."""
    driver = getattr(error, "orig", None)
    if driver is not None:
        return RuntimeError(f"the database does not answer as it should: {driver}")
    return RuntimeError(f"the database cannot be used: {error}")


def _fail(code: int, error: Exception) -> int:
    match error:
        case OSError(strerror=str(why), filename=str(name)):
            text = f"{name}: {why}"
        case KeyError(args=(what,)):
            text = f"there is no {what}"
        case _:
            text = str(error) or type(error).__name__
    print(f"schoolgate: {' '.join(text.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
