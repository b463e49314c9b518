"""Who has signed in at the portal: asked of the process that knows, over a socket in the file system.

It answers at once, in a fraction of a millisecond. If it does not, nobody is signed in or out by us, and it is left alone for
a while: a worker serves everyone, and must not wait again and again for one process that is not well.
"""

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from policy.doors import ask

PATIENCE_S: Final = 0.4
ALONE_S: Final = 3.0
log = logging.getLogger(__name__)


class Keeper(Protocol):
    """What the portal's pages ask. `{"said": "away"}` where there is no answer."""

    def __call__(self, act: str, address: str, **more: str) -> Mapping[str, Any]: ...


AWAY: Final[Mapping[str, Any]] = {"said": "away"}


class Door:
    """The keeper behind a socket."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock, self._until = path, clock, 0.0

    def __call__(self, act: str, address: str, **more: str) -> Mapping[str, Any]:
        if self._clock() < self._until:
            return AWAY
        try:
            return ask(self._path, {"act": act, "address": address, **more}, PATIENCE_S)
        except (OSError, ValueError) as error:
            if isinstance(error, TimeoutError):
                self._until = self._clock() + ALONE_S
            log.warning("nobody answers about sign-ins: %s", error)
            return AWAY


def nobody(act: str, address: str, **more: str) -> Mapping[str, Any]:
    """Where there is no such process."""
    del act, address, more
    return AWAY
