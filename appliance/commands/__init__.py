"""One module a command; each adds its words to the parser and runs with them."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version

from appliance.commands import changes, explain, init, lists, up
from appliance.commands.words import WrongWords


def version() -> str:
    try:
        return installed_version("schoolgate")
    except PackageNotFoundError:
        return "unknown"


ALL = (up.add, init.add, explain.add, lists.add, changes.add)

__all__ = ["ALL", "WrongWords", "version"]
