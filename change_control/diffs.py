"""Diffs: what a headteacher signs, one small JSON value for every kind of change. Pure.

    {"kind": "site", "change": 17, "add": {"site_rules": [{...}]}, "remove": {}, "set": {}}

`add` and `remove` hold whole values of a document's collections, `set` pairs [old, new] of its single fields. So applying is
one function for all kinds, the inverse of a diff is the diff with the two swapped, and a diff made on another ground than the
document it meets is refused instead of half applied.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Any, get_args

from change_control.plain import DoesNotFit
from policy.grounds import tightens
from policy.proof import canonical
from policy.rules import (
    AlertRule,
    Belonging,
    CategoryRule,
    Document,
    Group,
    ListedSite,
    Network,
    Passage,
    Phase,
    Portal,
    SchoolPolicy,
    SiteRule,
    Suspension,
    Timetable,
    UnknownRule,
    read,
    read_document,
    write,
)

__all__ = ["DoesNotFit", "tightens"]  # a worker must be able to tell as well, so it stands in policy/grounds.py

type Diff = Mapping[str, Any]

COLLECTIONS: dict[str, type[Any]] = {
    "site_rules": SiteRule,
    "category_rules": CategoryRule,
    "networks": Network,
    "groups": Group,
    "timetables": Timetable,
    "never_inspect": ListedSite,
    "coursework": ListedSite,
    "suspensions": Suspension,
    "unknown_rules": UnknownRule,
    "alert_rules": AlertRule,
    "belongings": Belonging,
    "passages": Passage,
    "portals": Portal,
}
SETTABLE = frozenset(
    {"dictionary", "authority", "blocked_answer", "google_domains", "microsoft_tenants", "microsoft_directory"}
)


class InForceAlready(ValueError):
    """What is asked for is so already."""


def plain(value: object) -> Any:
    """A policy value as plain JSON data."""
    return json.loads(write(value))


def founding(document: Document) -> Diff:
    """The first diff of a log: the whole document."""
    return {"kind": "founding", "change": 0, "document": plain(document)}


def apply(document: Document | None, diff: Diff) -> Document:
    """The policy after a diff. DoesNotFit when the document is not what the diff was made on."""
    if diff["kind"] == "founding":
        if document is not None:
            raise DoesNotFit("a policy is founded once")
        return read_document(canonical(diff["document"]))
    if document is None:
        raise DoesNotFit("there is no policy to change yet")
    names = {field.name for field in fields(document)}
    updates: dict[str, Any] = {}
    for name in {*diff["add"], *diff["remove"]}:
        if name not in COLLECTIONS or name not in names:
            raise DoesNotFit(f"a policy has no {name!r}")
        kind = COLLECTIONS[name]
        values = {value.id: value for value in getattr(document, name)}
        for raw in diff["remove"].get(name, ()):
            gone = read(kind, canonical(raw))
            if values.pop(gone.id, None) != gone:
                raise DoesNotFit(f"{gone.id} is not in the policy as this change knew it")
        for raw in diff["add"].get(name, ()):
            new = read(kind, canonical(raw))
            if new.id in values:
                raise DoesNotFit(f"{new.id} is in the policy already")
            values[new.id] = new
        updates[name] = tuple(values[key] for key in sorted(values))
    for name, (old, new) in diff["set"].items():
        if name not in SETTABLE or name not in names:
            raise DoesNotFit(f"a policy has no {name!r} to set")
        if getattr(document, name) != old:
            raise DoesNotFit(f"{name} has been changed since")
        updates[name] = new
    changed = replace(document, **updates)
    if isinstance(changed, SchoolPolicy) and {"networks", "portals"} & set(updates):
        there = {network.id for network in changed.networks}
        if lost := [portal for portal in changed.portals if portal.network not in there]:
            raise DoesNotFit(f"people sign in on the network {lost[0].network}, and it would be no more")
    return read_document(write(changed))


def make(
    kind: str,
    change: int,
    *,
    add: Mapping[str, Sequence[object]] | None = None,
    remove: Mapping[str, Sequence[object]] | None = None,
    values: Mapping[str, tuple[str, str]] | None = None,
) -> Diff:
    def lists(given: Mapping[str, Sequence[object]] | None) -> dict[str, list[Any]]:
        return {name: [plain(value) for value in some] for name, some in (given or {}).items() if some}

    return {
        "kind": kind,
        "change": change,
        "add": lists(add),
        "remove": lists(remove),
        "set": {name: list(pair) for name, pair in (values or {}).items()},
    }


def until(diff: Diff) -> datetime | None:
    """When everything that a diff adds has come to its end; None when something stays."""
    if diff.get("kind") == "subscription":
        return datetime.fromisoformat(diff["terms"]["until"])
    ends = [value.get("until") for values in diff.get("add", {}).values() for value in values]
    if not ends or any(end is None for end in ends):
        return None
    return max(datetime.fromisoformat(end) for end in ends)


def school_of(document: Document, what: str) -> SchoolPolicy:
    """The document, when it is a school's: `what` is nothing that an authority has."""
    if not isinstance(document, SchoolPolicy):
        raise ValueError(f"{what} belong to schools")  # noqa: TRY004 - shown to the person who asked
    return document


def check_groups(document: Document, groups: Sequence[str]) -> None:
    known = {group.id for group in document.groups} if isinstance(document, SchoolPolicy) else set()
    for group in groups:
        if group not in known:
            raise ValueError(f"there is no group {group[:60]!r} here; there are: {', '.join(sorted(known))}")


def check_timetable(document: Document, timetable: str | None) -> None:
    known = {table.id for table in document.timetables} if isinstance(document, SchoolPolicy) else set()
    if timetable and timetable not in known:
        raise ValueError(f"there is no timetable {timetable[:60]!r} here; add it first")


def check_mandatory(document: Document, *, mandatory: bool, phases: Sequence[str] = ()) -> None:
    """Only the authority's rules stand above its schools', and only they speak of phases: groups are the schools' own."""
    if isinstance(document, SchoolPolicy):
        if mandatory or phases:
            raise ValueError("only the authority's own rules are mandatory, or for phases")
        return
    known = get_args(Phase)
    if unknown := set(phases) - set(known):
        raise ValueError(f"there is no phase {', '.join(sorted(unknown))[:60]!r}; there are: {', '.join(known)}")


def who(document: Document, groups: Sequence[str]) -> str:
    """Groups by their names, as a sentence begins."""
    if not groups:
        return f"Everyone at {document.name}"
    found = {group.id: group.name for group in document.groups} if isinstance(document, SchoolPolicy) else {}
    named = [found.get(group, group) for group in groups]
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"


def name_of(text: str, what: str) -> str:
    """A name that someone gives, or what is wrong with it."""
    text = " ".join(text.split())
    if not 2 <= len(text) <= 60:
        raise ValueError(f"give the {what} a name of 2 to 60 letters")
    return text


def identifier(name: str, taken: Sequence[str], change: int) -> str:
    """The id that a named thing gets, unlike those that are taken."""
    made = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or f"c{change}"
    return made if made not in taken else f"{made}-{change}"
