"""Signatures of a long log, checked by other processes while the replay goes on.

The theory. Half of a replay's time is the arithmetic of signatures, and no signature's answer is needed for the next entry
unless it is *no*. So the replay goes on as if each held, and hands the claims to other processes in bunches. That the entries
lead to the signed roots is a claim too: another process has the entries from its beginning, being split off from ours. Only
when all have said yes does anything that was found count. At the first no, or at anything else that is wrong, all of it is
thrown away, and the log is replayed once more, one claim after the other: so it is always that replay that names the first
entry that is not good, and with one core it is the only one.

INVARIANT: `Claims.good` is asked before the outcome of a replay that used `Claims.believe` is used for anything.
"""

import os
import sys
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from typing import Self

from change_control.ledger import roots_of
from policy.proof import Checkpoint, Claim, leaf_hash, signature_holds

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


def lead_to(entries: Sequence[str], signed: Sequence[Checkpoint]) -> bool:
    """Are the first so many entries, for each of these checkpoints, those that it signs?"""
    roots = roots_of((leaf_hash(text.encode()) for text in entries), (one.size for one in signed))
    return all(roots.get(one.size) == one.root for one in signed)


_entries: Sequence[str] = ()  # in a process that was split off: those of the log that is replayed


def _split_off(entries: Sequence[str]) -> None:
    global _entries  # noqa: PLW0603 - the one thing that a process is split off with
    _entries = entries


def _lead_to(signed: Sequence[Checkpoint]) -> bool:
    return lead_to(_entries, signed)


def split_off(others: int, entries: Sequence[str]) -> Executor:
    """So many processes, which have the entries from their beginning: they are not sent to them."""
    return ProcessPoolExecutor(others, mp_context=get_context("fork"), initializer=_split_off, initargs=(entries,))


class Claims:
    """The claims of one replay, believed for now, and checked by `pool`, which ends with it."""

    def __init__(self, pool: Executor) -> None:
        self._pool = pool
        self._bunch: list[Claim] = []
        self._asked: deque[Future[bool]] = deque()
        self._bad = False
        self.believe = lru_cache(maxsize=1024)(self._believe)  # one mandate is claimed by each entry that rests on it

    def lead_to(self, signed: Sequence[Checkpoint]) -> None:
        """The claim that the entries lead to these roots."""
        self._asked.append(self._pool.submit(_lead_to, signed))

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
                held = self._asked.popleft().result()
                self._bad = self._bad or not held
        except BrokenExecutor:  # a process was killed, for want of memory perhaps
            self._bad = True

    def good(self) -> bool:
        """Did all of them hold?"""
        self._hand_over()
        try:
            return not self._bad and all(one.result() for one in self._asked)
        except BrokenExecutor:
            return False
