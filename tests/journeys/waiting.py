"""Waiting for something to become true, instead of for a time."""

import time
from collections.abc import Callable


def until(what: Callable[[], object], seconds: float, about: str) -> object:
    """What `what` returns once it is true; fails after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {about}")
