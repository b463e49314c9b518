"""Feeds kept up to date: fetch, read, hold against the subscription, take in or let wait.

The recorder looks once a minute whether a feed is due and lets a process of its own do the work (`python -m
appliance.updater`), because reading and compiling take seconds of a core and hundreds of megabytes, and filtering must not
feel it. One update runs at a time (a lock on the feeds folder). Every step leaves things whole: a fetched file, a kept list,
a compiled index are each written aside and renamed, and only then one transaction names them. So whoever pulls the plug at
any point finds the last good lists in force, and the next run does what is missing. What goes wrong is written into the
feed's state, where the desk and `schoolgate lists status` show it.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import select

from appliance.config import Config
from appliance.founding import Founded, open_installation
from category_lists import catalogue, feed_state
from category_lists.archives import is_archive
from category_lists.aside import clear
from category_lists.catalogue import Feed
from category_lists.feed_state import FeedState, ListState
from category_lists.fetch import Fetched, Fetcher
from category_lists.lists import find, store_lines
from category_lists.mapping import Mapped
from category_lists.parsers import Report
from category_lists.sources import file_batches, opened_lists
from category_lists.taxonomy import Taxonomy
from change_control import list_service
from change_control.list_service import Taken
from change_control.tables import LogRow

log = logging.getLogger(__name__)

LOOK_S = 60.0  # how often the recorder looks for feeds that are due
LONGEST_S = 2 * 3600.0  # for one run of the updater
SHOW_AFTER_S = 2.0

type Say = Callable[[str], None]


class Busy(RuntimeError):
    """Another update is running."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one feed, for a person."""

    feed: str
    good: bool
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Updater:
    """Brings feeds up to date. `fetcher` is the way out to the network."""

    founded: Founded
    feeds: Mapping[str, Feed]
    fetcher: Fetcher
    say: Say = lambda _: None

    @classmethod
    def open(cls, config: Config, founded: Founded, say: Say = lambda _: None) -> "Updater":
        known = _taxonomy(founded).categories
        fetcher = Fetcher(feed_state.folder(config.data), plain_loopback=config.demo)
        return cls(founded, catalogue.load(config.data, known), fetcher, say)

    @property
    def data(self) -> Path:
        return self.founded.data

    def now(self) -> datetime:
        return self.founded.office.now()

    # --- which ---------------------------------------------------------------------------------------------------

    def subscribers(self) -> dict[str, list[str]]:
        """The logs that are subscribed to each feed."""
        found: dict[str, list[str]] = {}
        with self.founded.store.read() as session:
            for name in session.scalars(select(LogRow.id).order_by(LogRow.tier, LogRow.id)).all():
                for feed in sorted(list_service.subscribed(self.founded.office, session, name)):
                    found.setdefault(feed, []).append(name)
        return found

    def due(self) -> list[str]:
        """Subscribed feeds whose turn it is."""
        now = self.now()
        return [
            feed
            for feed in sorted(self.subscribers())
            if feed in self.feeds and feed_state.load(self.data, feed).due(now, self.feeds[feed].every_hours)
        ]

    def moved(self) -> list[str]:
        """The logs in which requests about lists wait that were made on another dictionary than the one in force."""
        office = self.founded.office
        with self.founded.store.read() as session:
            logs = [office.book(session, name) for name in session.scalars(select(LogRow.id).order_by(LogRow.id)).all()]
            forces = [(book.log, book.in_force()) for book in logs]
            return [name for name, force in forces if force and list_service.stale(session, name, force.document.dictionary)]

    # --- doing ---------------------------------------------------------------------------------------------------

    def update(self, ids: Collection[str]) -> list[Outcome]:
        """Bring these feeds up to date, one after the other. Busy when that is being done already."""
        with self._alone():
            for name in self.moved():
                renew(self.founded, name)
            subscribers = self.subscribers()
            return [self._one(each, subscribers.get(each, [])) for each in sorted(ids)]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        folder = feed_state.folder(self.data)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Busy("another update of lists is running; try again when it is done") from None
            _clear(self.data)
            yield

    def _one(self, feed_id: str, logs: Sequence[str]) -> Outcome:
        feed, state = self.feeds.get(feed_id), feed_state.load(self.data, feed_id)
        try:
            if feed is None:
                raise ValueError("it is in no catalogue any more")
            if not logs:
                raise ValueError("nobody is subscribed to it; `schoolgate lists subscribe` asks for it")
            return self._update(feed, state, logs)
        except (ValueError, OSError, LookupError) as error:
            why = (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
            with contextlib.suppress(OSError):  # a disk too full for a list may be too full for this as well
                feed_state.save(self.data, state.failed(self.now(), why))
            return Outcome(feed_id, good=False, lines=(f"{feed_id}: {why}; the lists in force stay",))

    def _update(self, feed: Feed, state: FeedState, logs: Sequence[str]) -> Outcome:
        progress = Shown(self.say, f"{feed.id}: fetching", "bytes")
        fetched = self.fetcher.fetch(feed, lambda done, _: progress(done))
        said = [f"{feed.id}: {'nothing new' if fetched.unchanged else f'{fetched.size:,} bytes fetched'}"]
        taken, lists = self._kept(feed, state) if fetched.unchanged and state.sha256 == fetched.sha256 else (None, None)
        if taken is None:
            taken, lists, reports = self._read(feed, fetched)
            for version, report in zip(taken, reports, strict=True):
                aside = f", {report.set_aside:,} set aside (they must stay open)" if report.set_aside else ""
                said.append(
                    f"  {version.version.id}: {version.version.entries:,} entries, {report.refused:,} lines refused{aside}"
                )
        waits = []
        for name in logs:
            lines, why = self._accept(name, feed, taken)
            said += lines
            waits += [why] if why else []
        self.founded.publish()
        feed_state.save(self.data, state.worked(self.now(), fetched.sha256, lists, waits[0] if waits else ""))
        return Outcome(feed.id, good=True, lines=tuple(said))

    def _read(self, feed: Feed, fetched: Fetched) -> tuple[list[Taken], dict[str, ListState], list[Report]]:
        """Read a fetched file into kept lists."""
        found = []
        with _parts(feed, fetched.path) as parts:
            for part, category, batches in parts:
                found.append(self._keep(feed, part, category, batches))
        if not found:
            raise ValueError("it holds none of the lists that the catalogue names")
        lists = {
            taken.version.id: ListState(
                taken.version.entries,
                report.refused,
                report.set_aside,
                taken.version.version,
                taken.version.digest,
                taken.version.category,
            )
            for taken, report in found
        }
        return [taken for taken, _ in found], lists, [report for _, report in found]

    def _keep(self, feed: Feed, part: str, category: str, batches: Iterator[list[bytes]]) -> tuple[Taken, Report]:
        taxonomy = _taxonomy(self.founded)
        office = self.founded.office
        progress = Shown(self.say, f"{feed.id}: reading {part}", "lines")
        version, report = store_lines(
            office.dictionaries.lists,
            batches,
            source=feed.address,
            list_id=feed.list_id(part),
            category=category,
            format=feed.format,
            at=office.now(),
            allow_wide=feed.allow_wide,
            protected=office.dictionaries.protected(_dictionary(self.founded), taxonomy.categories[category]),
            progress=progress,
        )
        return Taken(version, report.exceptions), report

    def _kept(self, feed: Feed, state: FeedState) -> tuple[list[Taken] | None, dict[str, ListState] | None]:
        """The lists of the last reading, when they are all still here."""
        folder = self.founded.office.dictionaries.lists
        try:
            found = [Taken(find(folder, name, one.digest)[0]) for name, one in state.lists.items()]
        except ValueError:
            return None, None
        wanted = {feed.single} if feed.single else feed.categories
        if not found or any(one.version.category not in wanted for one in found):
            return None, None
        return found, dict(state.lists)

    def _accept(self, name: str, feed: Feed, taken: Sequence[Taken]) -> tuple[list[str], str]:
        """One log takes the update in, or lets it wait; and its waiting requests are brought onto the new ground."""
        office, store = self.founded.office, self.founded.store
        with store.read() as session:
            force = office.book(session, name).in_force()
        if force is None:
            return [], ""
        progress = Shown(self.say, f"{feed.id}: compiling for {name}", "names")
        some = list_service.fresh(office, force.document.dictionary, taken)
        if not some:
            return [], ""
        office.dictionaries.with_lists(force.document.dictionary, [one.version for one in some], progress)
        with store.write() as session:
            asked = list_service.update(office, session, name, feed, taken)
        if asked is None:
            return [], ""
        if asked.in_force:
            renew(self.founded, name)
            return [f"  {name}: in force as change {asked.change.id}"], ""
        return [f"  {name}: change {asked.change.id} waits for approval ({asked.waits_because})"], asked.waits_because


def renew(founded: Founded, name: str) -> None:
    """Bring what waits in a log onto the dictionary that is now in force."""
    with founded.store.read() as session:
        for _ in list_service.moved(founded.office, session, name):
            pass  # compiled here, outside of the transaction that needs it
    with founded.store.write() as session:
        list_service.renew(founded.office, session, name)


def _taxonomy(founded: Founded) -> Taxonomy:
    return founded.office.dictionaries.taxonomy(_dictionary(founded))


def _dictionary(founded: Founded) -> str:
    with founded.store.read() as session:
        force = founded.office.book(session, founded.office.key.authority).in_force()
    if force is None:
        raise LookupError("the authority has no policy yet")
    return force.document.dictionary


@contextmanager
def _parts(feed: Feed, path: Path) -> Iterator[Iterator[tuple[str, str, Iterator[list[bytes]]]]]:
    """The lists of a fetched file that the catalogue names: what each is called, its category, its lines."""
    if feed.single and not is_archive(path) and feed.format != "v2fly":
        yield iter([("*", feed.single, file_batches(path))])
        return
    mapped = Mapped(feed.mapping)
    with opened_lists(path, feed.format) as lists:
        named = ((part, feed.single or mapped.category(part)) for part in sorted(lists.parts))
        yield ((part, category, lists.batches(part)) for part, category in named if category)


def _clear(data: Path) -> None:
    """Take away what a killed run left half-written."""
    feeds = feed_state.folder(data)
    for folder in (data / "objects", data / "policy", feeds, *feeds.glob("*/"), *(data / "lists").glob("*/")):
        clear(folder)


class Shown:
    """Progress for people, once it has taken two seconds, at most twice a second."""

    def __init__(self, say: Say, what: str, unit: str) -> None:
        self._say, self._what, self._unit = say, what, unit
        self._begun = self._last = time.monotonic()

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if now - self._begun >= SHOW_AFTER_S and now - self._last >= 0.5:
            self._last = now
            self._say(f"{self._what}: {done:,} {self._unit}")


# --- on schedule ------------------------------------------------------------------------------------------------------


async def keep_updated(config: Config, stop: asyncio.Event, look_s: float = LOOK_S) -> None:
    """Look for feeds that are due until told to stop; the work is done by a process that may take its time."""
    with open_installation(config.data, config.desk_database) as founded:
        while not stop.is_set():
            try:
                if await asyncio.to_thread(_due, config, founded):
                    await _run_aside(config, stop)
            except Exception:
                log.warning("cannot look for list updates", exc_info=True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), look_s)


def _due(config: Config, founded: Founded) -> list[str]:
    updater = Updater.open(config, founded)
    return updater.due() + updater.moved()


async def _run_aside(config: Config, stop: asyncio.Event) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "appliance.updater", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    if process.stdin is None:
        return
    process.stdin.write(config.to_json().encode() + b"\n")
    process.stdin.close()
    done, stopped = asyncio.ensure_future(process.wait()), asyncio.ensure_future(stop.wait())
    await asyncio.wait({done, stopped}, timeout=LONGEST_S, return_when=asyncio.FIRST_COMPLETED)
    if not done.done():
        process.kill()  # nothing half-written is left in force, and the next run repairs the rest
        await done
    stopped.cancel()


def main() -> int:
    config = Config.from_json(sys.stdin.readline())
    os.nice(10)
    with open_installation(config.data, config.desk_database) as founded:
        updater = Updater.open(config, founded)
        try:
            outcomes = updater.update(updater.due())
        except Busy:
            return 0
    for outcome in outcomes:
        if not outcome.good:
            print(f"schoolgate: lists: {outcome.lines[0]}", file=sys.stderr)
    return 0 if all(outcome.good for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
