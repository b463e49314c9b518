"""What a change would have done to traffic that has been: the same `decide`, under the old policy and the new.

Nothing is sampled or guessed. Three things make it quick, and none changes an answer (a test holds them against `decide`
alone). A question that was answered is not decided again; `_Eras` says what "the same" means, for rules begin, end and go by
hours. Pages of a site of which no rule, list or address inside makes a difference are one question, not thousands; and so
are names of which no rule speaks and lists say the same (`alike` in policy/decide.py). And when
all that changes is rules about sites and categories, the groups and the names that none of those rules can reach are passed
over.
"""

from bisect import bisect
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from math import inf
from typing import NamedTuple

from category_lists.index import Match
from category_lists.inner import may_carry
from category_lists.names import parents
from change_control.changes import Diff, apply
from policy.decide import IMITATION, Question, alike, decide
from policy.rules import STRICTNESS, AuthorityPolicy, Document, SchoolPolicy, Timetable
from policy.snapshot import Snapshot
from policy.timetable import applies, next_change

REMEMBERED = 200_000  # answers; then the memory begins anew
PATHS = 2_000  # different paths that are counted one by one
TOP = 10


class Past(NamedTuple):
    """One line of past traffic. The replay takes bare tuples as well, with the same in the same places: of a million lines it
    looks closely at few.
    """

    group: str
    host: str
    at: float  # seconds since 1970
    path: str | None = None  # None: could not be seen
    follows: bool = True  # a question with the path would have followed
    times: int = 1
    who: str = ""  # a pseudonym, a device or an address
    person: str = ""  # the pseudonym, where there is one
    allowed: bool = False  # it was let through


type Row = tuple[str, str, float, str | None, bool, int, str, str, bool]


@dataclass(frozen=True, slots=True)
class Impact:
    """How many past questions would have been answered otherwise."""

    looked_at: int
    opened: int
    opened_for: int  # different people or devices
    closed: int
    closed_for: int
    groups: tuple[str, ...]  # names of the groups touched
    sites: tuple[tuple[str, int], ...]  # the most frequent, with their counts
    hosts: int = 0  # how many different names those are, in all
    persons: bool = False  # every one of those touched was known as a person
    others: bool = False  # there are groups that it does not touch

    def sentence(self) -> str:
        """In one or two plain sentences."""
        parts = []
        if self.opened:
            parts.append(f"let through {_times(self.opened)} by {self._people(self.opened_for)}")
        if self.closed:
            parts.append(f"stopped {_times(self.closed)} by {self._people(self.closed_for)}")
        if not parts:
            return f"It would have changed nothing of the {self.looked_at:,} things asked for in that time."
        where = f"all in {self.groups[0]}" if len(self.groups) == 1 else f"in {', '.join(self.groups)}"
        nobody = " Nobody else is affected." if self.others else ""
        return f"It would have {' and '.join(parts)}, {where}.{nobody}"

    def _people(self, count: int) -> str:
        if self.persons:
            return f"{count:,} {'person' if count == 1 else 'people'}"
        return f"{count:,} {'person or device' if count == 1 else 'people or devices'}"


def _times(count: int) -> str:
    return f"{count:,} {'request' if count == 1 else 'requests'}"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the past tells about the smallest rule that would have been enough (see `adviser.py`)."""

    groups: Mapping[str, int] = field(default_factory=dict)  # ids, with the requests that would have opened
    paths: Mapping[str, int] = field(default_factory=dict)  # those of them whose path was seen
    hours: Mapping[str, int] = field(default_factory=dict)  # timetables, with those of them that fell into it
    total: int = 0


def after(snapshot: Snapshot, log: str, diff: Diff) -> Snapshot:
    """The snapshot as it would be with the diff in force at one school."""
    school = apply(snapshot.schools[log], diff)
    if not isinstance(school, SchoolPolicy):
        raise TypeError("an impact is worked out for a school")
    return replace(snapshot, schools={**snapshot.schools, log: school}, _profiles={})


class _Eras:
    """Stretches of time in which every rule of both policies stands still: of two moments in one era, `decide` thinks alike.

    INVARIANT: rules look at the clock only through `starts`, `until` and their timetables.
    """

    def __init__(self, documents: Sequence[SchoolPolicy], above: Sequence[AuthorityPolicy]) -> None:
        edges: set[float] = set()
        tables: dict[tuple[Timetable, str], None] = {}
        every: list[Document] = [*documents, *above]
        for each in every:
            ends = [*(rule.starts for rule in each.site_rules), *(rule.until for rule in each.site_rules)]
            ends += [rule.until for rule in each.category_rules]
            edges |= {edge.timestamp() for edge in ends if edge is not None}
        for document in documents:
            for suspension in document.suspensions:
                edges |= {edge.timestamp() for edge in (suspension.starts, suspension.until) if edge is not None}
            tables |= dict.fromkeys((table, document.timezone) for table in document.timetables)
        self._edges = sorted(edges)
        self._tables = tuple(tables)
        self._days: dict[int, tuple[list[float], list[int]]] = {}

    def of(self, at: float) -> tuple[tuple[int, int], float, float]:
        """The number of the era and which timetables apply in it, as bits in the order of the documents; and from when to
        when, at the least, that is so: traffic comes in the order of time, so mostly the next question lies within.
        """
        era, (hours, begins, ends) = bisect(self._edges, at), self._hours(at)
        if era:
            begins = max(begins, self._edges[era - 1])
        if era < len(self._edges):
            ends = min(ends, self._edges[era])
        return (era, hours), begins, ends

    def hours(self, at: float) -> int:
        return self._hours(at)[0]

    def _hours(self, at: float) -> tuple[int, float, float]:
        if not self._tables:
            return 0, -inf, inf
        day = int(at) // 86_400
        found = self._days.get(day)
        if found is None:
            found = self._days[day] = self._day(datetime.fromtimestamp(day * 86_400, UTC))
        edges, bits = found
        place = bisect(edges, at)
        begins = edges[place - 1] if place else day * 86_400
        return bits[place], begins, edges[place] if place < len(edges) else (day + 1) * 86_400

    def _day(self, begin: datetime) -> tuple[list[float], list[int]]:
        """The moments of one day (UTC) at which a timetable begins or ends, and which apply before, between and after."""
        end = begin + timedelta(days=1)
        edges: set[datetime] = set()
        for table, zone in self._tables:
            edge = next_change(table, begin, zone)
            while edge is not None and edge < end:
                edges.add(edge)
                edge = next_change(table, edge, zone)
        starts = [begin, *sorted(edges)]
        bits = [sum(applies(table, at, zone) << bit for bit, (table, zone) in enumerate(self._tables)) for at in starts]
        return [at.timestamp() for at in starts[1:]], bits


class Replay:
    """Past traffic, fed in any order and in as many pieces as one likes; `found` says at any time what came of it so far."""

    def __init__(self, before: Snapshot, then: Snapshot, school: str) -> None:
        self._before, self._then, self._school = before, then, school
        self._verdicts: dict[tuple[object, ...], int] = {}
        self._kin: dict[tuple[str, str], Hashable | None] = {}
        self._reach: dict[str, bool | None] = {}
        self._rules = _only_rules(before.schools[school], then.schools[school])
        documents = (before.schools[school], then.schools[school])
        opened = {each.dictionaries[each.schools[school].dictionary].digest: each for each in (before, then)}
        self._dictionaries = [each.dictionaries[digest] for digest, each in opened.items()]
        self._finds = [dictionary.index.find for dictionary in self._dictionaries]
        self._has_pages = [dictionary.index.has_pages for dictionary in self._dictionaries]
        above = [each.authorities[each.schools[school].authority] for each in (before, then)]
        self._eras = _Eras(documents, above)
        every: list[Document] = [*documents, *above]
        self._paged = {rule.host for each in every for rule in each.site_rules if rule.path}
        self._plain: dict[str, tuple[Sequence[Match], ...] | bool] = {}
        self._named = {rule.person for each in documents for rule in each.site_rules}
        self._named |= {suspension.person for each in documents for suspension in each.suspensions}
        self._tables = before.schools[school].timetables
        self._looked_at = 0
        self._times: Counter[bool] = Counter()  # True: opened
        self._who: dict[bool, set[str]] = {True: set(), False: set()}
        self._persons = True
        self._groups: dict[str, None] = {}
        self._sites: Counter[str] = Counter()
        self._opened: Counter[str] = Counter()  # by group
        self._paths: Counter[str] = Counter()
        self._hours: Counter[str] = Counter()

    def feed(self, traffic: Iterable[Row]) -> None:
        """Count some more of it."""
        verdicts, reach, named, era_of = self._verdicts, self._reach, self._named, self._eras.of
        plain, kin, finds, sure = self._plain, self._kin, self._finds, self._rules is not None
        has_pages = self._has_pages[0]
        _, categories, groups = self._rules or (frozenset(), frozenset(), frozenset())
        looked_at = 0
        era, begins, ends = (0, 0), inf, -inf
        for row in traffic:
            group, host, at, path, follows, times, _, person, _ = row
            looked_at += times
            seen: object = path
            if sure:
                if groups and group not in groups:
                    continue
                if host not in reach:
                    reach[host] = self._reaches(host)
                reached = reach[host]
                if reached is False or (path is None and not reached):
                    continue
                if reached is None and not has_pages(host):
                    reach[host] = False
                    continue
            whole = path is None  # no page of it is answered otherwise than the next
            if path is not None:
                if host not in plain:
                    plain[host] = self._pages(host)
                if pages := plain[host]:
                    whole = isinstance(pages, tuple)
                    said = pages if isinstance(pages, tuple) else tuple([find(host, path) for find in finds])
                    if sure and not reached and not any(match.category in categories for match in said[0]):
                        continue
                    seen = said
            if not begins <= at < ends:
                era, begins, ends = era_of(at)
            whom = person if person in named else ""
            # Decided once for all names that cannot be told apart: few, however many names and hours there are.
            name = (group, host)
            if whole and name not in kin:
                if len(kin) >= REMEMBERED:
                    self.forget()
                kin[name] = self._alike(group, host)
            like = kin[name] if whole else None
            key = (group, host, seen, follows, whom, era) if like is None else (group, like, path is None, follows, whom, era)
            verdict = verdicts.get(key)
            if verdict is None:
                if len(verdicts) >= REMEMBERED:
                    self.forget()
                verdict = verdicts[key] = self._judge(Past._make(row))
            if verdict:
                self._note(Past._make(row), opened=verdict > 0)
        self._looked_at += looked_at

    def _reaches(self, host: str) -> bool | None:
        """Can a rule that comes or goes speak of this name, or of one that it may carry inside? None: perhaps of a path."""
        hosts, categories, _ = self._rules or (frozenset(), frozenset(), frozenset())
        if may_carry(host) or (hosts and any(each in hosts for each in parents(host))):
            return True
        if not categories:
            return False
        if IMITATION in categories:
            return True
        return True if any(match.category in categories for match in self._finds[0](host, None)) else None

    def _pages(self, host: str) -> tuple[Sequence[Match], ...] | bool:
        """Do all its pages of which lists say the same get the same answer? If so, what they say where that is the same for
        all of them; True where lists name single pages.
        """
        sealed = (dictionary.sealed for dictionary in self._dictionaries)
        watched = any(closed is not None and closed.watches(host) for closed in sealed)
        if watched or may_carry(host) or (self._paged and any(each in self._paged for each in parents(host))):
            return False
        if any(has_pages(host) for has_pages in self._has_pages):
            return True
        return tuple([find(host, "/") for find in self._finds])

    def _alike(self, group: str, host: str) -> Hashable | None:
        """What a name has in common with those that get the same answers, before and then; None: it is like no other.

        `alike` vouches for what is blocked; that what is allowed is allowed alike takes that it is no search engine.
        """
        if any(dictionary.engines.find(host) for dictionary in self._dictionaries):
            return None
        try:
            before = alike(self._before.profile(self._school, group), host)
            then = None if before is None else alike(self._then.profile(self._school, group), host)
        except KeyError:
            return None  # a group that is no more
        return None if then is None else (before, then)

    def _judge(self, past: Past) -> int:
        """1: it would have been opened, -1: closed, 0: answered alike."""
        when = datetime.fromtimestamp(past.at, UTC)
        asked = Question(self._school, past.group, past.host, when, past.path, past.follows, past.person or None)
        try:
            old, new = decide(self._before, asked).action, decide(self._then, asked).action
        except KeyError:
            return 0  # a group that is no more
        return (STRICTNESS[new] < STRICTNESS[old]) - (STRICTNESS[new] > STRICTNESS[old])

    def _note(self, past: Past, *, opened: bool) -> None:
        self._times[opened] += past.times
        self._who[opened].add(past.who)
        self._persons = self._persons and bool(past.person)
        self._groups[past.group] = None
        self._sites[past.host] += past.times
        if not opened:
            return
        self._opened[past.group] += past.times
        if past.path and (past.path in self._paths or len(self._paths) < PATHS):
            self._paths[past.path] += past.times
        apply_now = self._eras.hours(past.at)
        for bit, table in enumerate(self._tables):
            if apply_now >> bit & 1:
                self._hours[table.id] += past.times

    def found(self) -> Impact:
        """What came of it so far."""
        groups = {group.id: group.name for group in self._before.schools[self._school].groups}
        most = sorted(self._sites.items(), key=lambda item: (-item[1], item[0]))[:TOP]
        touched = [group for group in groups if group in self._groups]
        return Impact(
            self._looked_at,
            self._times[True],
            len(self._who[True]),
            self._times[False],
            len(self._who[False]),
            tuple(groups[group] for group in touched),
            tuple(most),
            len(self._sites),
            bool(touched) and self._persons,
            bool(touched) and len(touched) < len(groups),
        )

    def forget(self) -> None:
        """Let go of what only made the counting quick; what was found stays."""
        for remembered in (self._verdicts, self._kin, self._reach, self._plain):
            remembered.clear()

    def evidence(self) -> Evidence:
        """Of what would have opened: by whom, which parts, in which hours."""
        return Evidence(dict(self._opened), dict(self._paths), dict(self._hours), self._times[True])


type _Rules = tuple[frozenset[str], frozenset[str], frozenset[str]]


def _only_rules(old: SchoolPolicy, new: SchoolPolicy) -> _Rules | None:
    """The names, the categories and the groups that rules come and go for (no groups: all), if that is all that differs;
    None when more does.
    """
    if replace(old, site_rules=(), category_rules=()) != replace(new, site_rules=(), category_rules=()):
        return None
    sites, kinds = set(old.site_rules) ^ set(new.site_rules), set(old.category_rules) ^ set(new.category_rules)
    groups = [*(rule.groups for rule in sites), *(rule.groups for rule in kinds)]
    named = frozenset(group for each in groups for group in each) if all(groups) else frozenset[str]()
    return frozenset(rule.host for rule in sites), frozenset(rule.category for rule in kinds), named


def impact(before: Snapshot, then: Snapshot, school: str, traffic: Iterable[Row]) -> Impact:
    """Replay past traffic under both snapshots."""
    replay = Replay(before, then, school)
    replay.feed(traffic)
    return replay.found()


# --- what else a page loads -----------------------------------------------------------------------------------------------


class Companions:
    """Names that come with a site: asked for by the same device in the same minute, far oftener than otherwise.

    The filter log folds what was allowed by the minute, so a minute is as close as one can look. Fed newest first.
    """

    OFTEN = 0.5  # of the site's loads
    LIFT = 3  # times as often as in minutes without the site

    def __init__(self, sites: Iterable[str]) -> None:
        self._sites = tuple(sites)
        self._own: dict[str, bool] = {}
        self._minute = -1
        self._seen: dict[str, set[str]] = {}
        self._loads = self._others = 0
        self._with: Counter[str] = Counter()
        self._without: Counter[str] = Counter()

    def feed(self, traffic: Iterable[Row]) -> None:
        for _, host, at, _, _, _, who, _, allowed in traffic:
            if not allowed:
                continue
            if (minute := int(at) // 60) != self._minute:
                self._flush()
                self._minute = minute
            self._seen.setdefault(who, set()).add(host)

    def _is_own(self, host: str) -> bool:
        found = self._own.get(host)
        if found is None:
            found = self._own[host] = any(host == site or host.endswith(f".{site}") for site in self._sites)
        return found

    def _flush(self) -> None:
        for hosts in self._seen.values():
            if any(map(self._is_own, hosts)):
                self._loads += 1
                self._with.update(hosts)
            else:
                self._others += 1
                self._without.update(hosts)
        self._seen = {}

    def found(self) -> tuple[str, ...]:
        """The names, the most frequent first; none where the site was loaded too seldom to tell."""
        self._flush()
        if self._loads < 2:
            return ()
        come = [
            (count, host)
            for host, count in self._with.items()
            if not self._is_own(host)
            and count >= max(2, self.OFTEN * self._loads)
            and count / self._loads >= self.LIFT * self._without[host] / max(1, self._others)
        ]
        return tuple(host for _, host in sorted(come, key=lambda one: (-one[0], one[1]))[:TOP])
