"""The log as it grows, sent on to another program: a syslog server, or whoever takes webhooks.

What is sent is what has a line of its own: every refusal, warning, search, page, request, notice and attempt to get round the
filter. It leaves under pseudonyms; what staff do does not leave at all, since it is the headteacher's alone to see.

A stream reads behind the recorder, in the order in which lines were stored, and keeps its place in the log's own database
once its receiver has taken what came before. So nothing is skipped, whatever dies in between; the last lines may come twice.
Each stream is a thread of its own: a receiver that is slow, or gone, holds up neither the log nor another stream, and
filtering knows nothing of either. While it is gone the lines wait in the log, for as long as the school keeps them.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sql

from monitoring import search, store
from monitoring.export import fields
from monitoring.lines import Line, moment
from monitoring.log import Log
from monitoring.masks import Masks, who_of
from monitoring.recorder import Patience
from monitoring.tables import events, watched

log = logging.getLogger(__name__)

BATCH = 500  # lines at once
LOOK_S = 1.0  # between two looks for new lines

type Send = Callable[[Sequence[tuple[Line, str]]], None]  # lines with their pseudonyms; raises where they were not taken
# A school's groups of staff; None where there is no such school. Raises while no policy is known: then nothing may leave.
type StaffGroups = Callable[[str], frozenset[str] | None]


@dataclass(frozen=True, slots=True)
class State:
    """How a stream stands."""

    sent: int  # lines since the start
    behind: int  # lines that wait
    since: float | None  # when the oldest of them was asked; None: nothing waits
    error: str  # why nothing leaves, or blank


class Stream:
    """One receiver's share of the log: of one school, or of all (`school` blank)."""

    def __init__(
        self,
        name: str,
        log: Log,
        send: Send,
        staff: StaffGroups,
        *,
        school: str = "",
        clock: Callable[[], float] = time.time,
        told: Callable[[State], None] = lambda _: None,
    ) -> None:
        self.name, self._log, self._send, self._staff, self._school = name, log, send, staff, school
        self._masks = Masks(log)
        self._patience = Patience(clock)
        self._told = told
        self._sent = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def step(self) -> int:
        """Send what is new, at most one batch. Returns how far that went in lines; 0 also while a failure is waited out."""
        if not self._patience.over():
            return 0
        try:
            count = self._go_on()
        except Exception as error:  # noqa: BLE001 - whatever it is, the lines wait in the log and are sent later
            if not self._patience.error:
                log.warning("the stream %s takes nothing; it is tried again: %s", self.name, error)
            self._patience.failed(error)
            return 0
        if self._patience.error:
            log.warning("the stream %s goes on", self.name)
        self._patience.worked()
        return count

    def state(self) -> State:
        """How it stands, as far as the database says."""
        with store.reading(self._log) as connection:
            place = self._place(connection) or 0
            mine = self._mine(place)
            waiting = connection.scalar(sql.select(sql.func.count()).select_from(events).where(*mine)) or 0
            oldest = connection.scalar(sql.select(events.c.at).where(*mine).order_by(events.c.id).limit(1))
        return State(self._sent, waiting, None if oldest is None else moment(oldest).timestamp(), self._patience.error)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=f"stream {self.name}", daemon=True)
        self._thread.start()

    def stop(self, within: float = 1.0) -> None:
        """What is on its way may be cut off: it is sent again after the next start."""
        self._stop.set()
        if self._thread:
            self._thread.join(within)
        self._log.close()

    def _run(self) -> None:
        said = -LOOK_S
        while not self._stop.is_set():
            count = self.step()
            if time.monotonic() - said >= LOOK_S:
                said = time.monotonic()
                self._tell()
            if count < BATCH:
                self._stop.wait(LOOK_S)

    def _tell(self) -> None:
        try:
            self._told(self.state())
        except Exception:
            log.warning("cannot say how the stream %s stands", self.name, exc_info=True)

    def _go_on(self) -> int:
        with store.reading(self._log) as connection:
            place = self._place(connection)
            found = [] if place is None else search.after(connection, self._mine(place), BATCH)
        if place is None:  # new: it begins with what comes from now on
            with store.changing(self._log) as connection:
                newest = connection.scalar(sql.select(sql.func.max(events.c.id))) or 0
                store.add(connection, watched, name=self._key, event=newest)
            return 0
        if not found:
            return 0
        leaving = []
        for _, line in found:
            staff = self._staff(line.school)
            if staff is not None and line.group not in staff:
                leaving.append((line, self._masks.code(line.school, who_of(line))))
        if leaving:
            self._send(leaving)
        with store.changing(self._log) as connection:
            connection.execute(sql.update(watched).where(watched.c.name == self._key).values(event=found[-1][0]))
        self._sent += len(leaving)
        return len(found)

    @property
    def _key(self) -> str:
        return f"stream:{self.name}"

    def _place(self, connection: sql.Connection) -> int | None:
        return connection.scalar(sql.select(watched.c.event).where(watched.c.name == self._key))

    def _mine(self, place: int) -> list[sql.ColumnElement[bool]]:
        return [events.c.id > place, *([events.c.school == self._school] if self._school else ())]


def as_json(line: Line, code: str) -> Mapping[str, Any]:
    """A line for a webhook. Its `id` is the same whenever it is sent, by which a receiver knows what it has already.

    Without its title: a page of somebody's own account has her name in it, which would tell whose the pseudonym is.
    """
    said = {**fields(line, lambda _: code, named=False), "title": ""}
    return {"id": line.id, **{name: value.isoformat() if name in {"at", "last"} else value for name, value in said.items()}}
