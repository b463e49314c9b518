"""The smallest rule that would do: narrower versions of a request, each with the reason why it would have been enough. Pure.

What a request opens can be made smaller on four sides: a part of the site, fewer groups, fewer hours, an earlier end. A side
is proposed only where the past or the school's own calendar speaks for it, never by guess.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from category_lists.names import path_covers
from change_control.changes import CategoryWish, Diff, SiteWish
from change_control.diffs import who
from change_control.hour_wishes import windows_in_words
from change_control.impact import Evidence
from policy.rules import STRICTNESS, Action, SchoolPolicy
from policy.words import uk_end

type Narrow = SiteWish | CategoryWish
ENOUGH = 0.95  # of what would have opened: then hours are worth proposing


@dataclass(frozen=True, slots=True)
class Proposal:
    """One way to make a request smaller."""

    key: str  # "path", "group", "hours", "end", "all"
    sentence: str
    wish: Narrow


def opening(diff: Diff) -> Mapping[str, Any] | None:
    """The one rule that a request opens something with; None for anything else, which is not made smaller."""
    rules = [*diff["add"].get("site_rules", ()), *diff["add"].get("category_rules", ())]
    plain = len(rules) == 1 and not diff["set"] and not rules[0].get("person") and not rules[0].get("mandatory")
    return rules[0] if plain and rules[0]["action"] != Action.BLOCK else None


def wish_of(rule: Mapping[str, Any]) -> Narrow:
    """What was asked for, as a wish again."""
    until = datetime.fromisoformat(rule["until"]) if rule["until"] else None
    groups, action = tuple(rule["groups"]), Action(rule["action"])
    if "host" in rule:
        return SiteWish(rule["host"] + rule["path"], action, groups, until, rule["during"])
    return CategoryWish(rule["category"], action, groups, until, rule["during"])


def within(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Does a rule stay within another one: not more of the site, no one else, no other hours, no later end, no weaker?"""
    if "host" in old:
        same = new.get("host") == old["host"] or str(new.get("host", "")).endswith(f".{old['host']}")
        if not same or (old["path"] and not path_covers(old["path"], new["path"])):
            return False
    elif new.get("category") != old["category"]:
        return False
    fewer = not old["groups"] or (bool(new["groups"]) and set(new["groups"]) <= set(old["groups"]))
    ends = datetime.fromisoformat(new["until"]) if new["until"] else None
    ended = datetime.fromisoformat(old["until"]) if old["until"] else None
    sooner = ended is None or (ends is not None and ends <= ended)
    hours = old["during"] is None or new["during"] == old["during"]
    return fewer and sooner and hours and STRICTNESS[Action(new["action"])] >= STRICTNESS[Action(old["action"])]


def proposals(document: SchoolPolicy, diff: Diff, evidence: Evidence, asked_for: str, now: datetime) -> tuple[Proposal, ...]:
    """Narrower versions of a request. `asked_for`: the group of whoever met the block page."""
    rule = opening(diff)
    if rule is None:
        return ()
    whole = wish_of(rule)
    found = [
        one
        for one in (
            _part(rule, whole, evidence),
            _groups(document, rule, whole, evidence, asked_for),
            _hours(document, rule, whole, evidence),
            _end(document, rule, whole, now),
        )
        if one is not None
    ]
    if len(found) > 1:
        smallest = whole
        for one in found:
            smallest = _merged(smallest, one, whole)
        found.insert(0, Proposal("all", "All of these together", smallest))
    return tuple(found)


def _merged(smallest: Narrow, one: Proposal, whole: Narrow) -> Narrow:
    changed = {name: value for name in one.wish.__slots__ if (value := getattr(one.wish, name)) != getattr(whole, name)}
    return replace(smallest, **changed)


def _part(rule: Mapping[str, Any], whole: Narrow, evidence: Evidence) -> Proposal | None:
    if not isinstance(whole, SiteWish) or not evidence.paths or sum(evidence.paths.values()) < evidence.total:
        return None  # what was asked for by name alone cannot be told apart
    part = _common(evidence.paths)
    if part in ("", "/") or part == rule["path"] or not path_covers(rule["path"] or "/", part):
        return None
    site = rule["host"] + part
    return Proposal("path", f"Only {site}: nothing else of it was asked for", replace(whole, site=site))


def _common(paths: Iterable[str]) -> str:
    """The longest part of a site, by whole steps, that all paths are within."""
    steps = [path.strip("/").split("/") for path in paths]
    common: list[str] = []
    for some in zip(*steps, strict=False):
        if len(set(some)) > 1:
            break
        common.append(some[0])
    return "/" + "/".join(common) if common and common[0] else "/"


def _groups(
    document: SchoolPolicy, rule: Mapping[str, Any], whole: Narrow, evidence: Evidence, asked_for: str
) -> Proposal | None:
    meant = tuple(rule["groups"]) or tuple(group.id for group in document.groups)
    asked = tuple(group for group in meant if group in evidence.groups) or tuple({asked_for} & set(meant))
    if not asked or set(asked) == set(meant):
        return None
    return Proposal("group", f"Only {who(document, asked)}: nobody else asked for it", replace(whole, groups=asked))


def _hours(document: SchoolPolicy, rule: Mapping[str, Any], whole: Narrow, evidence: Evidence) -> Proposal | None:
    if rule["during"] is not None:
        return None
    fits = [table for table in document.timetables if evidence.hours.get(table.id, 0) >= max(1, ENOUGH * evidence.total)]
    if not evidence.total:  # nothing to go by: the hours that are called lessons
        fits = [table for table in document.timetables if "lesson" in table.name.lower()]
    if not fits:
        return None
    table = min(fits, key=_minutes)
    fell = f"{evidence.hours.get(table.id, 0):,} of {evidence.total:,} requests fell into it"
    often = fell if evidence.total else "not at other times"
    said = f"Only during {table.name} ({windows_in_words(table.windows)}): {often}"
    return Proposal("hours", said, replace(whole, during=table.id))


def _minutes(table: Any) -> int:
    """How long a timetable is in a week."""
    total = 0
    for window in table.windows:
        start, end = (int(text[:2]) * 60 + int(text[3:]) for text in (window.start, window.end))
        total += len(window.days) * ((end - start) % 1440)
    return total


def _end(document: SchoolPolicy, rule: Mapping[str, Any], whole: Narrow, now: datetime) -> Proposal | None:
    terms = sorted({term for table in document.timetables for term in table.terms}, key=lambda term: term[1])
    last = _term(terms, now.astimezone(ZoneInfo(document.timezone)).date())
    if last is None:
        return None
    until = datetime.combine(last, time(23, 59), ZoneInfo(document.timezone)).astimezone(UTC)
    if rule["until"] and datetime.fromisoformat(rule["until"]) <= until + timedelta(days=1):
        return None
    return Proposal("end", f"Only until {uk_end(until)}, when the term ends", replace(whole, until=until))


def _term(terms: Sequence[tuple[date, date]], today: date) -> date | None:
    return next((last for _, last in terms if last >= today), None)
