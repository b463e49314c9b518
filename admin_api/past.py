"""What a change would do, for the approval page: to each group now, and to the traffic of the last days.

The one place where the filter log's lines become change control's questions; those two never meet below.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from category_lists.index import Match
from category_lists.names import canonical_host
from change_control import impact
from change_control.changes import Diff, DoesNotFit
from change_control.impact import Impact, Past
from monitoring.log import Log
from policy.decide import Decision, Question, decide
from policy.event import Kind
from policy.live import Objects
from policy.rules import Action, AuthorityPolicy, read
from policy.snapshot import LoadedDictionary, Snapshot

DAYS = 7
LONGEST = 2.0  # seconds that a page spends on counting
WITH_PATH = frozenset({Kind.PAGE, Kind.RESOURCE, Kind.SEARCH})
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
class Preview:
    """What a change would do. `impact` None: nothing could be counted, and `why_not` says why."""

    effects: tuple[Effect, ...] = ()
    impact: Impact | None = None
    why_not: str = ""
    all_of_it: bool = True


@dataclass(slots=True)
class _Budget:
    """Stops counting when time is up."""

    until: float
    spent: bool = False


def past(log: Log, snapshot: Snapshot, school: str, now: datetime, budget: _Budget) -> Iterator[Past]:
    """A school's last days as questions that `decide` can answer again."""
    document = snapshot.schools[school]
    forced = {network.id for network in document.networks if network.forced}
    for at, (line, count) in enumerate(log.questions(school, now - timedelta(days=DAYS), now)):
        if at % 500 == 0 and time.monotonic() > budget.until:
            budget.spent = True
            return
        try:
            host = canonical_host(line.host)
        except ValueError:
            continue  # what was asked was no name, so no rule can be about it
        seen = line.kind in WITH_PATH
        yield Past(
            Question(
                school,
                line.group,
                host,
                line.at,
                path=(line.path or "/") if seen else None,
                path_follows=line.kind != Kind.DNS or line.network in forced,
                person=line.person or None,
            ),
            count,
            line.person or line.device or line.address,
        )


def preview(snapshot: Snapshot, objects: Objects, log: Log | None, school: str, diff: Diff, now: datetime) -> Preview:
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
    budget = _Budget(time.monotonic() + LONGEST)
    return Preview(effects, impact.impact(snapshot, then, past(log, snapshot, school, now, budget)), "", not budget.spent)


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
