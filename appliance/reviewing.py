"""What the recorder's process does beside recording: captures, alarms, retention, and what is due."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import select

from admin_api import escalate
from admin_api.agenda import terms_of
from admin_api.forgetting import forget, forget_beside_schools
from appliance.config import Config
from change_control.store import Store
from change_control.tables import ContactRow, PersonRow, RoleRow
from monitoring.constancy import alarm_if_nobody_looked
from monitoring.devices import of_user
from monitoring.log import Log
from monitoring.watch import Watcher
from policy.live import Live, PolicyMissing
from policy.rules import SchoolPolicy

log = logging.getLogger(__name__)

NOW = partial(datetime.now, UTC)
LOOK_S = 0.5  # between two looks for new events: what is serious is told within five seconds of the request
ALARMS_S, DAYS_S = 2.0, 1800.0
HEADS = timedelta(minutes=1)  # between two looks under which pseudonyms a headteacher comes up
RETAIN_AT = 2  # the hour (UTC) from which on each night's retention runs, when nobody is at school


class Reviewing:
    """One installation's captures and alarms, by the clock that it is given."""

    def __init__(self, config: Config, store: Store, now: Callable[[], datetime] = NOW) -> None:
        self._config, self._store, self._now = config, store, now
        self._log = Log(config.log_database)
        self._live = Live(config.data)
        self._watcher = Watcher(self._log, self.school, heads=self.heads)
        self._heads: dict[str, frozenset[str]] = {}
        self._heads_at: datetime | None = None
        self._schools: dict[str, SchoolPolicy] = {}
        self._authorities: tuple[str, ...] = ()
        self._retained = ""

    def school(self, name: str) -> SchoolPolicy | None:
        return self._schools.get(name)

    def heads(self, name: str) -> frozenset[str]:
        """The pseudonyms of a school's headteacher: what is about her is no colleague's to see."""
        return self._heads.get(name, frozenset())

    def _look_for_heads(self) -> None:
        now = self._now()
        if self._heads_at is not None and now - self._heads_at < HEADS:
            return
        with self._store.read() as session:
            held = select(PersonRow, RoleRow.log, ContactRow.email).join(RoleRow, RoleRow.person == PersonRow.id)
            held = held.outerjoin(ContactRow, ContactRow.person == PersonRow.id).where(RoleRow.role == "headteacher")
            known: dict[str, list[tuple[str, str, str]]] = {}
            for person, school, email in session.execute(held):
                known.setdefault(school, []).append((person.username or "", email or "", person.name))
        self._heads = {
            school: of_user(self._log, school, [one for each in some for one in each[:2]], [each[2] for each in some])
            for school, some in known.items()
        }
        self._heads_at = now

    def refresh(self) -> None:
        self._look_for_heads()
        with contextlib.suppress(PolicyMissing):
            self._live.refresh()
            self._schools = dict(self._live.snapshot.schools)
            self._authorities = (self._live.snapshot.authority.log,)

    def captures(self) -> int:
        """Look through what is new; what is urgent is told at once."""
        count, urgent = self._watcher.step()
        for caught in urgent:
            escalate.raise_for(self._log, caught, self._now())
        if urgent:
            self.alarms()
        return count

    def alarms(self) -> None:
        zones = {name: school.timezone for name, school in self._schools.items()}
        terms = {name: terms_of(school) for name, school in self._schools.items()}
        escalate.go_on(self._log, self._store, self._config.desk_url, self._now, zones, terms)

    def daily(self) -> None:
        now = self._now()
        for name, school in self._schools.items():
            alarm_if_nobody_looked(self._log, name, now, terms_of(school), school.timezone)
            with self._store.write() as session:
                escalate.tell_of_reports(session, name, self._config.desk_url, now, school.timezone)
        if now.hour >= RETAIN_AT and self._retained != str(now.date()):
            for name in self._schools:
                gone = forget(self._log, self._store, name, now)
                if any(gone.values()):
                    log.info("retention at %s: %s", name, gone)
            forget_beside_schools(self._store, self._authorities, now)
            self._retained = str(now.date())

    def close(self) -> None:
        self._log.close()


async def keep_reviewed(config: Config, store: Store, stop: asyncio.Event) -> None:
    """Until told to stop. Whatever goes wrong is said, and tried again: filtering does not wait for it."""
    review = Reviewing(config, store)
    alarms_at = days_at = 0.0
    while not stop.is_set():
        more = False
        try:
            await asyncio.to_thread(review.refresh)
            more = await asyncio.to_thread(review.captures) > 1_000
            if time.monotonic() - alarms_at > ALARMS_S:
                await asyncio.to_thread(review.alarms)
                alarms_at = time.monotonic()
            if time.monotonic() - days_at > DAYS_S:
                days_at = time.monotonic()
                await asyncio.to_thread(review.daily)
        except Exception:
            log.warning("cannot look through new events; it is tried again", exc_info=True)
        if not more:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_S)
    review.close()
