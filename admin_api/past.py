"""What a change would do, for the approval page: to each group now, and to the traffic of the last days.

The one place where the filter log's lines become change control's questions; those two never meet below.
"""

import json
import logging
import time
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from threading import Event, Lock, Thread

from category_lists.index import Match, Shared
from category_lists.names import NameRefused, canonical_host
from change_control import impact
from change_control.changes import Diff, DoesNotFit
from change_control.impact import Companions, Evidence, Impact, Replay, Row
from monitoring.log import Log
from policy.decide import Decision, Question, decide
from policy.live import Objects
from policy.rules import STRICTNESS, Action, AuthorityPolicy, read
from policy.snapshot import LoadedDictionary, Snapshot

logger = logging.getLogger(__name__)
DAYS = 28
LONGEST = 2.0  # seconds that a page waits for the count; then it says how far it is, and the counting goes on
FORGOTTEN = 30.0  # seconds after which a count that nobody looks at any more is given up
KEPT = 50  # finished counts
FRESH = 300.0  # seconds for which a finished count is shown again
NOWHERE = "category.invalid"  # a host that no site rule can name


@dataclass(frozen=True, slots=True)
class Effect:
    """What one group gets before and after."""

    group: str
    before: Action
    after: Action

    @property
    def changes(self) -> bool:
        return self.before is not self.after


@dataclass(frozen=True, slots=True)
class Companion:
    """A name that pages of the site load as well, and what becomes of it for those to whom the site opens."""

    host: str
    action: Action


@dataclass(frozen=True, slots=True)
class Preview:
    """What a change would do. `impact` None: nothing could be counted, and `why_not` says why."""

    effects: tuple[Effect, ...] = ()
    impact: Impact | None = None
    why_not: str = ""
    percent: int = 100  # of those days that have been counted by now
    since: datetime | None = None  # how far back that is
    companions: tuple[Companion, ...] = ()
    along: tuple[str, ...] = ()  # other names of the site that were asked for, and would open with it
    evidence: Evidence = field(default_factory=Evidence)

    @property
    def all_of_it(self) -> bool:
        return self.percent == 100


def past(log: Log, snapshot: Snapshot, school: str, now: datetime, days: int = DAYS) -> Iterator[Sequence[Row]]:
    """A school's last days as questions that `decide` can answer again, a stretch at a time, the newest first."""
    forced = [network.id for network in snapshot.schools[school].networks if network.forced]
    canonical: dict[str, str | None] = {}
    for rows in log.traffic(school, now - timedelta(days=days), now, through=forced):
        if len(canonical) > impact.REMEMBERED:
            canonical.clear()
        said = {row[1] for row in rows}
        canonical |= {host: _host(host) for host in said - canonical.keys()}
        if all(canonical[host] == host for host in said):
            yield rows
        else:  # what is no name is left out, since no rule can be about it
            yield [(row[0], host, *row[2:]) for row in rows if (host := canonical[row[1]]) is not None]


def _host(text: str) -> str | None:
    try:
        return canonical_host(text)
    except NameRefused:
        return None


# --- counting, also beyond the time that a page may take --------------------------------------------------------------------


class Count:
    """One count of the past. It runs in a thread of its own until it is done, or nobody looks at it any more."""

    def __init__(self, batches: Iterator[Sequence[Row]], replay: Replay, sites: tuple[str, ...], now: datetime) -> None:
        self._batches, self._replay = batches, replay
        self._with = Companions(sites) if sites else None
        self._from, self._now = now - timedelta(days=DAYS), now
        self.done, self.stop = Event(), Event()
        self.looked = time.monotonic()
        self.failed = False
        self.found: tuple[Impact, Evidence, tuple[str, ...], datetime] = (replay.found(), Evidence(), (), now)

    def run(self) -> None:
        published = time.monotonic()
        since = self._now
        try:
            for batch in self._batches:
                if self.stop.is_set() or time.monotonic() - self.looked > FORGOTTEN:
                    self.failed = True
                    return
                self._replay.feed(batch)
                if self._with:
                    self._with.feed(batch)
                since = datetime.fromtimestamp(batch[-1][2], UTC) if batch else since
                if time.monotonic() - published > 0.2:
                    self.found = (self._replay.found(), Evidence(), (), since)
                    published = time.monotonic()
            hosts = self._with.found() if self._with else ()
            self.found = (self._replay.found(), self._replay.evidence(), hosts, self._from)
        except Exception:
            # The count is a help, not a condition: without it she can still read what the change does, and decide.
            logger.exception("past traffic could not be counted")
            self.failed = True
        finally:
            if isinstance(self._batches, Generator):
                self._batches.close()  # its connection to the log goes back now, and not whenever it is forgotten
            self._replay.forget()
            self.done.set()

    @property
    def percent(self) -> int:
        if self.done.is_set():
            return 100
        return min(99, int(100 * ((self._now - self.found[3]) / (self._now - self._from))))


@dataclass(slots=True)
class Counts:
    """The counts of this process, by what they count."""

    _known: dict[Hashable, Count] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def of(self, key: Hashable, make: Callable[[], Count]) -> Count:
        """The count that runs, or was finished a moment ago; else a new one."""
        with self._lock:
            known = self._known.get(key)
            if known is None or known.failed or (known.done.is_set() and time.monotonic() - known.looked > FRESH):
                for gone in [each for each, one in self._known.items() if one.done.is_set()][: -KEPT or None]:
                    del self._known[gone]
                known = self._known[key] = make()
                Thread(target=known.run, name="count", daemon=True).start()
            if not known.done.is_set():
                known.looked = time.monotonic()
            return known

    def close(self) -> None:
        """Give up what still runs."""
        for one in list(self._known.values()):
            one.stop.set()
            one.done.wait(5)


def preview(
    snapshot: Snapshot,
    objects: Objects,
    log: Log | None,
    school: str,
    diff: Diff,
    now: datetime,
    counts: Counts,
    *,
    patience: float = LONGEST,
) -> Preview:
    """What a diff would do to a school; the authority's own log has no traffic of its own."""
    if school not in snapshot.schools:
        return Preview(why_not="A change of the authority reaches each school only when its headteacher accepts it.")
    try:
        then = _after(snapshot, objects, school, diff)
    except DoesNotFit:
        return Preview(why_not="The rules changed since this was asked for, so it no longer fits. Refuse it, and ask anew.")
    except ValueError:
        return Preview(why_not="What this change names cannot be read on this machine, so nothing could be counted.")
    effects = _effects(snapshot, then, school, diff, now)
    if diff["add"].get("networks") or diff["remove"].get("networks"):
        return Preview(effects, why_not="Which devices the new network holds is known only once it is in force.")
    if log is None:
        return Preview(effects, why_not="There is no filter log on this machine, so past traffic could not be counted.")
    sites = tuple(rule["host"] for rule in diff["add"].get("site_rules", ()) if rule["action"] != Action.BLOCK)
    key = (school, json.dumps(diff, sort_keys=True), snapshot.revisions.get(school, 0))
    count = counts.of(key, lambda: Count(past(log, snapshot, school, now), Replay(snapshot, then, school), sites, now))
    count.done.wait(patience)
    if count.failed:
        return Preview(effects, why_not="Past traffic could not be counted just now. The filter log did not answer.")
    found, evidence, hosts, since = count.found
    groups = _opened_to(snapshot, diff, school)
    companions = tuple(Companion(host, _of(then, school, groups, host, now)) for host in hosts) if groups else ()
    along = tuple(host for host, _ in found.sites if sites and host not in sites)
    return Preview(effects, found, "", count.percent, since, companions, along, evidence)


def _opened_to(snapshot: Snapshot, diff: Diff, school: str) -> tuple[str, ...]:
    rules = [rule for rule in diff["add"].get("site_rules", ()) if rule["action"] != Action.BLOCK]
    every = tuple(group.id for group in snapshot.schools[school].groups)
    return next((tuple(rule["groups"]) or every for rule in rules), ())


def _of(snapshot: Snapshot, school: str, groups: tuple[str, ...], host: str, now: datetime) -> Action:
    """What becomes of a name for these groups: the strictest of it."""
    answers = [decide(snapshot, Question(school, group, host, now, "/")).action for group in groups]
    return max(answers, key=STRICTNESS.__getitem__)


def _after(snapshot: Snapshot, objects: Objects, school: str, diff: Diff) -> Snapshot:
    then = impact.after(snapshot, school, diff)
    accepted = then.schools[school].authority
    if accepted not in then.authorities:
        named = read(AuthorityPolicy, objects.text(accepted))
        then = replace(then, authorities={**then.authorities, accepted: named}, _profiles={})
    wanted = then.schools[school].dictionary
    if wanted in then.dictionaries:
        return then
    # Another dictionary: it must be open, or every question would seem to be of a group that is no more.
    return replace(then, dictionaries={**then.dictionaries, wanted: objects.dictionary(wanted)}, _profiles={})


def _effects(before: Snapshot, then: Snapshot, school: str, diff: Diff, now: datetime) -> tuple[Effect, ...]:
    """For a change about one site or one category: what each group gets of it now, and would get."""
    rules = diff.get("rules") or {"add": {}, "remove": {}}  # the authority's, when a school accepts them
    sides = (diff["add"], diff["remove"], rules["add"], rules["remove"])
    rule = next((rule for side in sides for name in ("site_rules", "category_rules") for rule in side.get(name, ())), None)
    if rule is None:
        return ()
    ask: Callable[[Snapshot, str], Decision]
    if "host" in rule:

        def ask(snapshot: Snapshot, group: str) -> Decision:
            return decide(snapshot, Question(school, group, rule["host"], now, path=rule["path"] or "/"))
    else:

        def ask(snapshot: Snapshot, group: str) -> Decision:
            return decide_category(snapshot, school, group, rule["category"], now)

    groups = before.schools[school].groups
    return tuple(Effect(group.name, ask(before, group.id).action, ask(then, group.id).action) for group in groups)


@dataclass(frozen=True, slots=True)
class _Only:
    """An index that knows one thing: whatever is asked is in this category."""

    category: str

    def find(self, host: str, path: str | None = None) -> tuple[Match, ...]:
        del path
        return (Match(self.category, "", "", host, ""),)

    def kin(self, host: str) -> str:
        del host
        return self.category

    def has_pages(self, host: str) -> bool:
        del host
        return False

    def shared(self) -> dict[str, Shared]:
        return {}


def decide_category(snapshot: Snapshot, school: str, group: str, category: str, at: datetime | None = None) -> Decision:
    """What a group gets of a category: the one `decide`, asked about a site that is in this category and nothing else."""
    document = snapshot.schools[school]
    opened = snapshot.dictionaries[document.dictionary]
    only = LoadedDictionary(opened.digest, _Only(category), opened.taxonomy, opened.engines)
    asked = replace(snapshot, dictionaries={**snapshot.dictionaries, document.dictionary: only}, _profiles={})
    return decide(asked, Question(school, group, NOWHERE, at or datetime.now(UTC), path="/"))


def diff_of(text: str) -> Diff:
    found: Diff = json.loads(text)
    return found
