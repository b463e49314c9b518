"""The one process that carries events from the workers' spools into the filter log.

One step: read what is new, store it together with how far was read, hand requests and notices to those who act on them,
delete what is stored. A crash between any two of these repeats work and loses none:

- read, then crash: nothing has happened.
- stored, then crash: the positions were stored in the same transaction; the same records are not read again.
- Requests and notices wait in a table of the log, written in that transaction too, until their receiver has returned.
  So a receiver gets each at least once, and may get it twice: `on_request` must be idempotent by `Event.outcome`, which is
  the request's reference. A receiver raises only for trouble that will pass; it then gets the event again later.

While the database is down everything stays in the spools, filtering goes on, and `status()` says so.
"""

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import batched

from monitoring.log import Log, Spool, advanced
from monitoring.rows import FEW, all_sound, sound
from monitoring.spool import Batch, Reader
from policy.event import Event, Kind, decode, decode_all

log = logging.getLogger(__name__)

BATCH = 30_000  # events a transaction: what several events change alike in the indexes is then written once
PAUSE = 0.25  # seconds between two looks at quiet spools
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds after a failure
TELL_AGAIN = 60.0  # seconds between two notices about one worker's losses


@dataclass(frozen=True, slots=True)
class Status:
    behind: int  # bytes in the spools that are not in the log yet
    lost: int  # records dropped by workers or found damaged, ever
    waiting: bool  # a request or notice has not reached its receiver
    last_ok: datetime | None  # when the log last took what there was
    error: str  # what is wrong now, or blank


class Patience:
    """How long to leave something alone that has failed: twice as long each time, up to half a minute."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._wait = 0.0
        self._failed_at = 0.0
        self.error = ""

    def over(self) -> bool:
        # A clock set back must not stop us for longer than the wait itself: then we try at once.
        return not 0 <= self._clock() - self._failed_at < self._wait

    def failed(self, error: Exception) -> None:
        self.error = f"{type(error).__name__}: {error}".splitlines()[0][:500]
        self._failed_at = self._clock()
        self._wait = min(max(2 * self._wait, FIRST_WAIT), LONGEST_WAIT)

    def worked(self) -> None:
        self._wait, self.error = 0.0, ""


@contextmanager
def _uncollected() -> Iterator[None]:
    """Nothing of a batch refers to itself in a circle; looking for such things took an eighth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _nobody(_: Event) -> None:
    """Takes an event and does nothing with it."""


class Recorder:
    def __init__(
        self,
        reader: Reader,
        log: Log,
        *,
        on_request: Callable[[Event], None] = _nobody,
        on_notice: Callable[[Event], None] = _nobody,
        clock: Callable[[], float] = time.time,
        batch: int = BATCH,
    ) -> None:
        self._reader = reader
        self._log = log
        self._receivers = {str(Kind.REQUEST): on_request, str(Kind.NOTICE): on_notice}
        self._clock = clock
        self._batch = batch
        self._spools: Mapping[str, Spool] | None = None  # what the log holds; None: it has to be asked
        self._to_hand_over = True  # something may be left from before
        self._told: dict[str, tuple[float, int]] = {}  # worker -> when its losses were last spoken of, and how many they were
        self._last_ok: float | None = None
        self._storing = Patience(clock)
        self._handing = Patience(clock)

    def step(self) -> int:
        """Carry one batch. Returns how many records were read; 0 also while waiting after a failure. Raises nothing."""
        if not self._storing.over():
            return 0
        try:
            with _uncollected():
                count = self._store()
        except Exception as error:  # noqa: BLE001 - whatever it is, the spools keep the events and we try again
            self._spools = None  # whether it was stored is not known: ask
            if not self._storing.error:
                log.warning("the filter log takes nothing; events stay in the spool: %s", error)
            self._storing.failed(error)
            return 0
        if self._storing.error:
            log.warning("the filter log takes events again")
        self._storing.worked()
        self._last_ok = self._clock()
        if self._to_hand_over and self._handing.over():
            self._hand_over()
        return count

    def status(self) -> Status:
        spools = self._spools or {}
        behind = 0
        with suppress(OSError, ValueError):
            behind = self._reader.behind({worker: spool.position for worker, spool in spools.items()})
        return Status(
            behind=behind,
            lost=sum(spool.lost for spool in spools.values()),
            waiting=self._to_hand_over,
            last_ok=None if self._last_ok is None else datetime.fromtimestamp(self._last_ok, UTC),
            error=self._storing.error or self._handing.error,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop; what comes after that is read at the next start."""
        while not stop.is_set():
            if await asyncio.to_thread(self.step) >= self._batch:
                continue  # there is more
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), PAUSE)
        await asyncio.to_thread(self.step)

    def _store(self) -> int:
        if self._spools is None:
            self._spools = self._log.spools()
        spools = self._spools
        batch = self._reader.read({worker: spool.position for worker, spool in spools.items()}, self._batch)
        events, damaged = _decoded(batch)
        after = {**spools}
        for worker, position in batch.positions.items():
            after[worker] = advanced(spools.get(worker), position, batch.lost.get(worker), damaged.get(worker, 0))
        if after != spools:
            events += self._losses(after)
            self._log.append(events, batch.positions, after=batch.after, lost=batch.lost, damaged=damaged)
            self._spools = after
            self._to_hand_over |= any(event.kind in self._receivers for event in events)
            self._reader.discard(batch.positions)
        return sum(map(len, batch.records.values()))

    def _losses(self, spools: Mapping[str, Spool]) -> Sequence[Event]:
        """A notice for each worker that lost something, but not one for each record."""
        now = self._clock()
        notices = []
        for worker, spool in spools.items():
            known = self._spools or {}
            before = known[worker].lost if worker in known else 0
            told_at, told = self._told.get(worker, (now - TELL_AGAIN, before))
            if spool.lost > told and not 0 <= now - told_at < TELL_AGAIN:
                words = f"{spool.lost - told} records of {worker} did not reach the log: its spool was full or damaged"
                notices.append(Event(now, Kind.NOTICE, reason="error", detail=words, worker=worker))
                self._told[worker] = now, spool.lost
            elif worker not in self._told:
                self._told[worker] = now - TELL_AGAIN, told
        return notices

    def _hand_over(self) -> None:
        done = []
        try:
            waiting = self._log.handovers()
            trouble: Exception | None = None
            for number, event in waiting:
                try:
                    self._receivers[event.kind](event)
                    done.append(number)
                except Exception as error:  # the others must not wait for this one
                    log.exception("a %s was not taken; it will be handed over again", event.kind)
                    trouble = error
            if done:
                self._log.handed_over(done)
            if trouble is not None:
                raise trouble
            self._to_hand_over = bool(waiting)  # there may be more than were read at once
            self._handing.worked()
        except Exception as error:  # noqa: BLE001 - they wait in the log's own table
            self._handing.failed(error)


def _decoded(batch: Batch) -> tuple[list[Event], dict[str, int]]:
    """The events, and what was damaged or no event: one bad record must not stop all that follow it."""
    events = []
    damaged = dict(batch.damaged)
    for worker, records in batch.records.items():
        for few in batched(records, FEW):
            good = _all_at_once(few)
            if good is None:  # one of them is bad: each by itself
                good = [event for event in map(_one, few) if event is not None]
                damaged[worker] = damaged.get(worker, 0) + len(few) - len(good)
            events += good
    return events, {worker: count for worker, count in damaged.items() if count}


def _all_at_once(records: Sequence[bytes]) -> list[Event] | None:
    try:
        events = decode_all(records)
    except (ValueError, TypeError):
        return None
    return events if all_sound(events) else None


def _one(record: bytes) -> Event | None:
    try:
        event = decode(record)
    except (ValueError, TypeError):
        return None
    return event if sound(event) else None
