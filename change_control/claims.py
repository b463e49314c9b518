"""Signatures of a long log, checked by other processes while the replay goes on.

The theory. Half of a replay's time is the arithmetic of signatures, and no signature's answer is needed for the next entry
unless it is *no*. So the replay goes on as if each held, and hands the claims to other processes in bunches. Only when all of
them have said yes does anything that was found count. At the first no, or at anything else that is wrong, all that was found
is thrown away, and the log is replayed once more, one claim after the other: so it is always that replay that names the first
entry that is not good, and with one core it is the only one.

INVARIANT: `Claims.good` is asked before the outcome of a replay that used `Claims.believe` is used for anything.
"""

import os
import sys
import threading
from collections import deque
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from typing import Self

from policy.proof import Claim, signature_holds

FEW = 2_000  # entries of a log that is read before other processes would have begun
BUNCH = 500  # claims that are handed over at a time
AHEAD = 64  # bunches that may wait, so that memory does not grow with the log
MOST = 3  # more would wait for the replay itself


def processes() -> int:
    """How many others may check signatures: one for each core but ours, where a process can safely be split in two."""
    if sys.platform != "linux" or threading.active_count() > 1:
        return 0
    return min(len(os.sched_getaffinity(0)) - 1, MOST)


def all_hold(claims: list[Claim]) -> bool:
    return all(map(signature_holds, claims))


class Claims:
    """The claims of one replay, believed for now."""

    def __init__(self, others: int) -> None:
        self._pool = ProcessPoolExecutor(others, mp_context=get_context("fork"))
        self._bunch: list[Claim] = []
        self._asked: deque[Future[bool]] = deque()
        self._bad = False
        self.believe = lru_cache(maxsize=1024)(self._believe)  # one mandate is claimed by each entry that rests on it

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _believe(self, claim: Claim) -> bool:
        self._bunch.append(claim)
        if len(self._bunch) == BUNCH:
            self._hand_over()
        return not self._bad

    def _hand_over(self) -> None:
        try:
            self._asked.append(self._pool.submit(all_hold, self._bunch))
            self._bunch = []
            while len(self._asked) > AHEAD or (self._asked and self._asked[0].done()):
                self._bad = self._bad or not self._asked.popleft().result()
        except BrokenExecutor:  # a process was killed, for want of memory perhaps
            self._bad = True

    def good(self) -> bool:
        """Did all of them hold?"""
        self._hand_over()
        try:
            return not self._bad and all(one.result() for one in self._asked)
        except BrokenExecutor:
            return False
