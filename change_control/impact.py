"""What a change would have done to traffic that has been: the same `decide`, under the old policy and the new."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from change_control.changes import Diff, apply
from policy.decide import Question, decide
from policy.rules import STRICTNESS, SchoolPolicy
from policy.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Past:
    """One line of past traffic: what was asked, how often, and a name for who asked (a pseudonym or an address)."""

    asked: Question
    count: int
    who: str


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

    def sentence(self) -> str:
        """In one plain sentence."""
        parts = []
        if self.opened:
            parts.append(f"let through {_times(self.opened)} by {_people(self.opened_for)}")
        if self.closed:
            parts.append(f"stopped {_times(self.closed)} by {_people(self.closed_for)}")
        if not parts:
            return f"It would have changed nothing of the {self.looked_at:,} things asked for in that time."
        return f"It would have {' and '.join(parts)}, in {', '.join(self.groups)}."


def _times(count: int) -> str:
    return f"{count:,} {'request' if count == 1 else 'requests'}"


def _people(count: int) -> str:
    return f"{count:,} {'person or device' if count == 1 else 'people or devices'}"


def after(snapshot: Snapshot, log: str, diff: Diff) -> Snapshot:
    """The snapshot as it would be with the diff in force at one school."""
    school = apply(snapshot.schools[log], diff)
    if not isinstance(school, SchoolPolicy):
        raise TypeError("an impact is worked out for a school")
    return replace(snapshot, schools={**snapshot.schools, log: school}, _profiles={})


def impact(before: Snapshot, then: Snapshot, traffic: Iterable[Past]) -> Impact:
    """Replay past traffic under both snapshots."""
    looked_at = opened = closed = 0
    opened_for: set[str] = set()
    closed_for: set[str] = set()
    groups: dict[str, None] = {}
    sites: dict[str, int] = {}
    for past in traffic:
        looked_at += past.count
        try:
            old, new = decide(before, past.asked).action, decide(then, past.asked).action
        except KeyError:
            continue  # a group that is no more
        if old is new:
            continue
        if STRICTNESS[new] < STRICTNESS[old]:
            opened += past.count
            opened_for.add(past.who)
        else:
            closed += past.count
            closed_for.add(past.who)
        groups[before.profile(past.asked.school, past.asked.group).group_name] = None
        sites[past.asked.host] = sites.get(past.asked.host, 0) + past.count
    most = sorted(sites.items(), key=lambda item: (-item[1], item[0]))[:10]
    return Impact(looked_at, opened, len(opened_for), closed, len(closed_for), tuple(groups), tuple(most))
