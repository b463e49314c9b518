"""Busy polling: while packets follow one another closely, the event loop looks for the next one without going to sleep.

To wake a process that sleeps takes longer than to answer what it is woken for: on a quiet machine, at 5,000 queries a second,
half of them waited 127 us with sleep and 60 without. It costs a whole core for as long as that many come, so it is a setting
for boxes with a core to spare. Others who want the core get it between two looks.
"""

import os
from collections.abc import Callable
from time import perf_counter
from typing import Final, Protocol

LONGEST_GAP_S: Final = 0.002  # a pause counts as no longer than that, so that one alone does not end a busy time
WEIGHT: Final = 1 / 8  # of the newest gap in their running mean


class Loop(Protocol):
    def call_soon(self, callback: Callable[[], None]) -> object: ...


class BusyPoll:
    """Of one socket. `seconds`: how long it is looked for the next packet, and how close packets must be on the mean."""

    def __init__(self, loop: Loop, seconds: float, clock: Callable[[], float] = perf_counter) -> None:
        self._loop, self._seconds, self._clock = loop, seconds, clock
        self._last, self._gap, self._until = clock(), LONGEST_GAP_S, 0.0
        self._looking = False

    def came(self) -> None:
        """Some packets have come."""
        now = self._clock()
        self._gap += (min(now - self._last, LONGEST_GAP_S) - self._gap) * WEIGHT
        self._last = now
        if self._gap < self._seconds:
            self._until = now + self._seconds
            if not self._looking:
                self._looking = True
                self._loop.call_soon(self._look)

    def _look(self) -> None:
        if self._clock() < self._until:
            os.sched_yield()
            self._loop.call_soon(self._look)  # a loop with something to do polls its sockets without waiting
        else:
            self._looking = False
