"""The kinds of change: from what a person asks for to a diff, from a diff to a policy and to a plain sentence.

A *diff* is what the headteacher signs. It is one small JSON value for every kind:

    {"kind": "site", "change": 17, "add": {"site_rules": [{...}]}, "remove": {}, "set": {}}

`add` and `remove` hold whole values of a document's collections, `set` pairs [old, new] of its single fields. So applying is
one function for all kinds, the inverse of a diff is the diff with the two swapped, and a diff made on another ground than the
document it meets is refused instead of half applied.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from ipaddress import ip_network
from typing import Any, Protocol

from category_lists.names import canonical_site
from category_lists.taxonomy import Taxonomy
from change_control import list_words
from policy.proof import canonical, undone
from policy.rules import (
    Action,
    CategoryRule,
    Document,
    Network,
    SchoolPolicy,
    SiteRule,
    read,
    read_document,
    write,
)
from policy.words import uk_end

type Diff = Mapping[str, Any]

COLLECTIONS: dict[str, type[SiteRule] | type[CategoryRule] | type[Network]] = {
    "site_rules": SiteRule,
    "category_rules": CategoryRule,
    "networks": Network,
}
SETTABLE = frozenset({"dictionary", "authority"})


class DoesNotFit(ValueError):
    """The diff was made on another ground than the policy it meets."""


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
    return read_document(write(changed))


def _diff(
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


@dataclass(frozen=True, slots=True)
class SiteWish:
    """Allow, warn before or block a site, or one path of it, for some groups until a date."""

    site: str
    action: Action
    groups: tuple[str, ...] = ()
    until: datetime | None = None

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        site = canonical_site(self.site)
        _check_groups(document, self.groups)
        path = (site.path or "").rstrip("/")
        if site.query:
            raise ValueError(
                f"rules are about a site or a path of it; leave out what follows the question mark: {self.site[:80]!r}"
            )
        rule = SiteRule(
            f"s{change}", site.host, Action(self.action), change, path, tuple(sorted(self.groups)), until=self.until
        )
        return _diff("site", change, add={"site_rules": [rule]})


@dataclass(frozen=True, slots=True)
class CategoryWish:
    """Set what happens to a category for some groups; replaces the rule for the same groups."""

    category: str
    action: Action
    groups: tuple[str, ...] = ()
    until: datetime | None = None

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        known = taxonomy.categories.get(self.category)
        if known is None:
            raise ValueError(f"there is no category {self.category[:60]!r}; the lists page names them all")
        if known.locked:
            raise ValueError(f"{known.name} is locked by law and by design: no one can change it")
        if known.essential:
            raise ValueError(f"{known.name} always stay open")
        _check_groups(document, self.groups)
        groups = tuple(sorted(self.groups))
        rule = CategoryRule(f"k{change}", self.category, Action(self.action), change, groups, until=self.until)
        replaced = [old for old in document.category_rules if (old.category, old.groups) == (rule.category, groups)]
        return _diff("category", change, add={"category_rules": [rule]}, remove={"category_rules": replaced})


@dataclass(frozen=True, slots=True)
class NetworkWish:
    """Say that the devices of some addresses belong to a group; takes them out of the group that had these addresses."""

    prefix: str
    group: str
    listener: str = "*"

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        if not isinstance(document, SchoolPolicy):
            raise ValueError("networks belong to schools")  # noqa: TRY004 - shown to the person who asked
        _check_groups(document, (self.group,))
        prefix = str(ip_network(self.prefix))  # 10.1.0.0/255.255.0.0 and 2001:DB8::/32 are understood, too
        held = next((old for old in document.networks if (old.prefix, old.listener) == (prefix, self.listener)), None)
        if held and held.group == self.group:
            raise InForceAlready(f"{prefix} is filtered as {_who(document, (self.group,))} already")
        new = Network(f"n{change}", self.group, prefix, self.listener, held.forced if held else False)
        return _diff("network", change, add={"networks": [new]}, remove={"networks": [held] if held else []})


@dataclass(frozen=True, slots=True)
class ListChange:
    """What becomes of one list: its new version, and how that differs from the one it replaces (before 0: it is new)."""

    id: str
    category: str
    version: str
    digest: str
    entries: int
    before: int = 0
    added: int = 0
    removed: int = 0
    exceptions: int = 0


@dataclass(frozen=True, slots=True)
class DictionaryWish:
    """Accept a list: from now on decide with another dictionary."""

    dictionary: str
    list_id: str
    category: str
    entries: int

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        made = dictionary_diff("dictionary", change, document, self.dictionary)
        return {**made, "list": {"id": self.list_id, "category": self.category, "entries": self.entries}}


@dataclass(frozen=True, slots=True)
class ListsWish:
    """Accept lists, with what each changes: from now on decide with another dictionary."""

    dictionary: str
    lists: tuple[ListChange, ...]
    feed: str = ""  # the subscription that brought them

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        made = dictionary_diff("dictionary", change, document, self.dictionary)
        return {**made, "lists": [asdict(one) for one in self.lists]} | ({"feed": self.feed} if self.feed else {})


def dictionary_diff(kind: str, change: int, document: Document, wanted: str) -> dict[str, Any]:
    """The diff from a policy's dictionary to another one."""
    if document.dictionary == wanted:
        raise InForceAlready("this list is in force already, in this very version")
    return {**_diff(kind, change, values={"dictionary": (document.dictionary, wanted)})}


def _check_groups(document: Document, groups: Sequence[str]) -> None:
    known = {group.id for group in document.groups} if isinstance(document, SchoolPolicy) else set()
    for group in groups:
        if group not in known:
            raise ValueError(f"there is no group {group[:60]!r} here; there are: {', '.join(sorted(known))}")


@dataclass(frozen=True, slots=True)
class DefaultsWish:
    """Take over the starter lists, categories and search engines that a newer version of the product brings."""

    dictionary: str
    version: str

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        made = _diff("defaults", change, values={"dictionary": (document.dictionary, self.dictionary)})
        return {**made, "version": self.version}


@dataclass(frozen=True, slots=True)
class ReverseWish:
    """Take back a change that is in force."""

    diff_in_force: Diff

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del change, document, taxonomy  # the diff keeps the number of the change that it takes back
        return undone(self.diff_in_force)


class Wish(Protocol):
    """What someone asks for: it knows the diff that it comes to. Those about lists are in list_wishes.py."""

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff: ...


def tightens(diff: Diff) -> bool:
    """Is it proven that no question gets a weaker answer? Only blocks come, only allowances go, nothing else moves.

    INVARIANT: an allow is the weakest answer and a block the strongest, so whatever other rules say once an allow is gone
    or a block has come is at least as strict. Nothing else is taken as proven.
    """
    if diff["kind"] in {"founding", "subscription"} or diff["set"]:
        return False
    added = [rule for values in diff["add"].values() for rule in values]
    removed = [rule for values in diff["remove"].values() for rule in values]
    return all(rule.get("action") == Action.BLOCK for rule in added) and all(
        rule.get("action") == Action.ALLOW for rule in removed
    )


def until(diff: Diff) -> datetime | None:
    """When everything that a diff adds has come to its end; None when something stays."""
    if diff.get("kind") == "subscription":
        return datetime.fromisoformat(diff["terms"]["until"])
    ends = [value.get("until") for values in diff.get("add", {}).values() for value in values]
    if not ends or any(end is None for end in ends):
        return None
    return max(datetime.fromisoformat(end) for end in ends)


DOES = {Action.ALLOW: "may use", Action.WARN: "will see a warning before", Action.BLOCK: "may no longer use"}


def sentence(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    """What the change does, in one or two plain sentences that a headteacher understands in 20 seconds."""
    teller = TELLERS.get(diff["kind"])
    return teller(diff, document, taxonomy) if teller else f"A change of kind {diff['kind']}."


def _who(document: Document, groups: Sequence[str]) -> str:
    if not groups:
        return f"Everyone at {document.name}"
    found = {group.id: group.name for group in document.groups} if isinstance(document, SchoolPolicy) else {}
    named = [found.get(group, group) for group in groups]
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"


def _ending(value: Mapping[str, Any]) -> str:
    if not value.get("until"):
        return " until someone changes it"
    return f" until {uk_end(datetime.fromisoformat(value['until']))}"


def _tell_site(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del taxonomy
    parts = []
    for rule in diff["add"].get("site_rules", ()):
        site = rule["host"] + rule["path"]
        text = f"{_who(document, rule['groups'])} {DOES[Action(rule['action'])]} {site}{_ending(rule)}."
        if rule["path"] and rule["action"] != Action.BLOCK:
            text += f" Nothing else of {rule['host']} opens."
        parts.append(text)
    return " ".join(parts)


def _tell_category(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    parts = []
    for rule in diff["add"].get("category_rules", ()):
        known = taxonomy.categories.get(rule["category"])
        name = known.name if known else rule["category"]
        parts.append(
            f"{_who(document, rule['groups'])} {DOES[Action(rule['action'])]} sites in the category {name}{_ending(rule)}."
        )
    return " ".join(parts)


def _tell_network(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del taxonomy
    return " ".join(
        f"Devices with addresses in {network['prefix']} are filtered as {_who(document, [network['group']])}."
        for network in diff["add"].get("networks", ())
    )


def _tell_defaults(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del taxonomy
    return (
        f"{document.name} takes over the starter lists and categories that came with version {diff['version']} of Schoolgate."
    )


def _tell_reverse(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del document, taxonomy
    return f"Change {diff['change']} is taken back: everything is as it was before it."


def _tell_founding(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del diff, taxonomy
    return f"{document.name} begins, with what is usual at each age."


TELLERS: dict[str, Callable[[Diff, Document, Taxonomy], str]] = {
    "site": _tell_site,
    "category": _tell_category,
    "network": _tell_network,
    "dictionary": list_words.tell_dictionary,
    "subscription": list_words.tell_subscription,
    "recategorise": list_words.tell_recategorise,
    "sealed": list_words.tell_sealed,
    "defaults": _tell_defaults,
    "reverse": _tell_reverse,
    "founding": _tell_founding,
}
