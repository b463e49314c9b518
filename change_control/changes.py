"""The kinds of change: from what a person asks for (a *wish*) to a diff, and from a diff to a plain sentence.

Here are the everyday ones; those about hours, groups, people, a whole school, lists and more about sites stand in the
files called `…_wishes.py`, what a diff is in `diffs.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from ipaddress import ip_network
from typing import Any, Protocol

from category_lists.names import canonical_site
from category_lists.taxonomy import Taxonomy
from change_control import (
    device_wishes,
    group_wishes,
    hour_wishes,
    list_words,
    passage_wishes,
    people_wishes,
    portal_wishes,
    school_wishes,
    site_wishes,
    tiers,
)
from change_control.diffs import (
    Diff,
    DoesNotFit,
    InForceAlready,
    apply,
    check_groups,
    check_mandatory,
    check_timetable,
    founding,
    make,
    plain,
    school_of,
    tightens,
    until,
    who,
)
from policy.grounds import undone
from policy.rules import Action, AuthorityPolicy, CategoryRule, Document, Network, SiteRule
from policy.words import uk_end

__all__ = ["Diff", "DoesNotFit", "InForceAlready", "apply", "founding", "plain", "sentence", "tightens", "until"]


@dataclass(frozen=True, slots=True)
class SiteWish:
    """Allow, warn before or block a site, or one path of it, for some groups, in some hours, until a date."""

    site: str
    action: Action
    groups: tuple[str, ...] = ()
    until: datetime | None = None
    during: str | None = None  # a timetable
    mandatory: bool = False  # the authority's rules only

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        site = canonical_site(self.site)
        check_groups(document, self.groups)
        check_timetable(document, self.during)
        check_mandatory(document, mandatory=self.mandatory)
        path = (site.path or "").rstrip("/")
        if site.query:
            raise ValueError(
                f"rules are about a site or a path of it; leave out what follows the question mark: {self.site[:80]!r}"
            )
        rule = SiteRule(
            f"s{change}",
            site.host,
            Action(self.action),
            change,
            path,
            tuple(sorted(self.groups)),
            until=self.until,
            during=self.during,
            mandatory=self.mandatory,
        )
        return make("site", change, add={"site_rules": [rule]})


@dataclass(frozen=True, slots=True)
class CategoryWish:
    """Set what happens to a category for some groups, in some hours; replaces the rule for the same groups and hours."""

    category: str
    action: Action
    groups: tuple[str, ...] = ()
    until: datetime | None = None
    during: str | None = None
    mandatory: bool = False  # the authority's rules only, as are phases
    phases: tuple[str, ...] = ()

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        known = taxonomy.categories.get(self.category)
        if known is None:
            raise ValueError(f"there is no category {self.category[:60]!r}; the lists page names them all")
        if known.locked:
            raise ValueError(f"{known.name} is locked by law and by design: no one can change it")
        if known.essential:
            raise ValueError(f"{known.name} always stay open")
        check_groups(document, self.groups)
        check_timetable(document, self.during)
        check_mandatory(document, mandatory=self.mandatory, phases=self.phases)
        groups = tuple(sorted(self.groups))
        rule = CategoryRule(
            f"k{change}",
            self.category,
            Action(self.action),
            change,
            groups,
            phases=tuple(sorted(self.phases)),  # type: ignore[arg-type]  # looked up above
            until=self.until,
            during=self.during,
            mandatory=self.mandatory,
        )
        replaced = [
            old
            for old in document.category_rules
            if (old.category, old.groups, old.during, old.phases, old.mandatory)
            == (rule.category, groups, rule.during, rule.phases, rule.mandatory)
        ]
        return make("category", change, add={"category_rules": [rule]}, remove={"category_rules": replaced})


@dataclass(frozen=True, slots=True)
class NetworkWish:
    """Say that the devices of some addresses belong to a group; takes them out of the group that had these addresses."""

    prefix: str
    group: str
    listener: str = "*"
    forced: bool = False

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        school = school_of(document, "networks")
        check_groups(document, (self.group,))
        prefix = str(ip_network(self.prefix))  # 10.1.0.0/255.255.0.0 and 2001:DB8::/32 are understood, too
        held = [old for old in school.networks if (old.prefix, old.listener) == (prefix, self.listener)]
        forced = self.forced or any(old.forced for old in held)
        if any((old.group, old.forced) == (self.group, forced) for old in held):
            raise InForceAlready(f"{prefix} is filtered as {who(document, (self.group,))} already")
        network = Network(f"n{change}", self.group, prefix, self.listener, forced)
        new, old = portal_wishes.moved(school, tuple(each.id for each in held), network.id)
        # What was signed for a network that has gone since, by taking back how it came, does not come back with a new one.
        stale = [one for one in school.passages if (one.prefix, "*") == (prefix, self.listener) and not held]
        gone: dict[str, list[Any]] = {"networks": held, "portals": old, "passages": stale}
        return make("network", change, add={"networks": [network], "portals": new}, remove=gone)


@dataclass(frozen=True, slots=True)
class NetworkGone:
    """The devices of some addresses belong to the school no more."""

    network: str

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        school = school_of(document, "networks")
        gone = [old for old in school.networks if old.id == self.network]
        if not gone:
            raise ValueError(f"there is no network {self.network[:60]!r} here")
        ways = [one for one in school.passages if (one.prefix, gone[0].listener) == (gone[0].prefix, "*")]
        _, portals = portal_wishes.moved(school, (self.network,))
        return make("network", change, remove={"networks": gone, "passages": ways, "portals": portals})


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
class ListsWish:
    """Accept lists, with what each changes: from now on decide with another dictionary."""

    dictionary: str
    lists: tuple[ListChange, ...]
    feed: str = ""  # the subscription that brought them

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        made = dictionary_diff("dictionary", change, document, self.dictionary)
        return {**made, "lists": [asdict(one) for one in self.lists]} | ({"feed": self.feed} if self.feed else {})


def dictionary_diff(kind: str, change: int, document: Document, wanted: str) -> Diff:
    """The diff from a policy's dictionary to another one."""
    if document.dictionary == wanted:
        raise InForceAlready("this list is in force already, in this very version")
    return make(kind, change, values={"dictionary": (document.dictionary, wanted)})


@dataclass(frozen=True, slots=True)
class DefaultsWish:
    """Take over the starter lists, categories and search engines that a newer version of the product brings."""

    dictionary: str
    version: str
    brings: tuple[str, ...] = ()  # what of it is new, in words (list_service.brought)

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        made = make("defaults", change, values={"dictionary": (document.dictionary, self.dictionary)})
        return {**made, "version": self.version, **({"brings": list(self.brings)} if self.brings else {})}


@dataclass(frozen=True, slots=True)
class ReverseWish:
    """Take back a change that is in force. `ready`: the diff that does it, where others have come after it."""

    diff_in_force: Diff
    ready: Diff | None = None

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del change, taxonomy  # the diff keeps the number of the change that it takes back
        return portal_wishes.taking_along(self.ready or undone(self.diff_in_force), document)


class Wish(Protocol):
    """What someone asks for: it knows the diff it comes to. More: …_wishes.py, tiers.py."""

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff: ...


DOES = {Action.ALLOW: "may use", Action.WARN: "will see a warning before", Action.BLOCK: "may no longer use"}


def sentence(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    """What the change does, in one or two plain sentences that a headteacher understands in 20 seconds."""
    teller = TELLERS.get(diff["kind"])
    return teller(diff, document, taxonomy) if teller else f"A change of kind {diff['kind']}."


def _ending(value: Mapping[str, Any], document: Document) -> str:
    """In which hours, and until when."""
    hours = hour_wishes.hours(document, value["during"]) if value.get("during") else ""
    if not value.get("until"):
        return f"{hours} until someone changes it"
    return f"{hours} until {uk_end(datetime.fromisoformat(value['until']))}"


def _tell_site(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del taxonomy
    return " ".join(_site_sentence(rule, _whom(rule, document), document) for rule in diff["add"].get("site_rules", ()))


def _site_sentence(rule: Mapping[str, Any], whom: str, document: Document) -> str:
    site = rule["host"] + rule["path"]
    text = f"{whom} {DOES[Action(rule['action'])]} {site}{_ending(rule, document)}."
    if rule["path"] and rule["action"] != Action.BLOCK:
        text += f" Nothing else of {rule['host']} opens."
    return f"{text} {tiers.standing_of(rule)}." if isinstance(document, AuthorityPolicy) else text


def _whom(rule: Mapping[str, Any], document: Document) -> str:
    return tiers.whom(rule, document.name) if isinstance(document, AuthorityPolicy) else who(document, rule["groups"])


def _tell_category(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    rules = diff["add"].get("category_rules", ())
    return " ".join(_category_sentence(rule, _whom(rule, document), document, taxonomy) for rule in rules)


def _category_sentence(rule: Mapping[str, Any], whom: str, document: Document, taxonomy: Taxonomy) -> str:
    known = taxonomy.categories.get(rule["category"])
    name = known.name if known else rule["category"]
    text = f"{whom} {DOES[Action(rule['action'])]} sites in the category {name}{_ending(rule, document)}."
    return f"{text} {tiers.standing_of(rule)}." if isinstance(document, AuthorityPolicy) else text


def _tell_authority(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    """What the authority's rules become for a school that accepts them."""
    rules = diff.get("rules") or {"add": {}, "remove": {}}
    said = [f"{document.name} accepts its authority’s rules as they stand now."]
    for side, begins in (("add", "New: "), ("remove", "Gone: ")):
        for rule in rules[side].get("site_rules", ()):
            text = _site_sentence(rule, "everyone", document)
            said.append(f"{begins}{text} {tiers.standing_of(rule)}.")
        for rule in rules[side].get("category_rules", ()):
            text = _category_sentence(rule, " and ".join(rule["phases"]) or "everyone", document, taxonomy)
            said.append(f"{begins}{text} {tiers.standing_of(rule)}.")
    return " ".join(said)


def _tell_network(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del taxonomy
    said = []
    for network in diff["add"].get("networks", ()):
        text = f"Devices with addresses in {network['prefix']} are filtered as {who(document, [network['group']])}."
        if network["forced"]:
            text += " Their web traffic cannot go round the proxy."
        said.append(text)
    if not said:
        said = [
            f"Devices with addresses in {network['prefix']} are no longer the school’s, so they get the strictest rules."
            for network in diff["remove"].get("networks", ())
        ]
        said += ["What they may use beside the filtered web ends, too."] if diff["remove"].get("passages") else []
    return " ".join(said)


def _tell_defaults(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del taxonomy
    first, *more = diff.get("brings") or ("the starter lists and categories",)  # older ones did not say what was new
    what = f"{', '.join([first, *more[:-1]])} and {more[-1]}" if more else first
    return f"{document.name} takes over {what} that came with version {diff['version']} of Schoolgate."


def _tell_reverse(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del document, taxonomy
    if "dictionaries" in diff or "site" in diff:
        return f"Change {diff['change']} is taken back. What others have changed since stays."
    return f"Change {diff['change']} is taken back: everything is as it was before it."


def _tell_founding(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del diff, taxonomy
    return f"{document.name} begins, with what is usual at each age."


TELLERS: dict[str, Callable[[Diff, Document, Taxonomy], str]] = {
    "site": _tell_site,
    "category": _tell_category,
    "network": _tell_network,
    "belonging": device_wishes.tell_belonging,
    "passage": passage_wishes.tell_passage,
    "portal": portal_wishes.tell_portal,
    "dictionary": list_words.tell_dictionary,
    "subscription": list_words.tell_subscription,
    "recategorise": list_words.tell_recategorise,
    "sealed": list_words.tell_sealed,
    "defaults": _tell_defaults,
    "authority": _tell_authority,
    "reverse": _tell_reverse,
    "founding": _tell_founding,
    "unknown": site_wishes.tell_unknown,
    "head": school_wishes.tell_head,
    "timetable": hour_wishes.tell_timetable,
    "group": group_wishes.tell_group,
    "safety": group_wishes.tell_safety,
    "answer": school_wishes.tell_answer,
    "inspection": group_wishes.tell_inspection,
    "tenants": school_wishes.tell_tenants,
    "never_inspect": site_wishes.tell_never_inspect,
    "coursework": site_wishes.tell_coursework,
    "video_site": site_wishes.tell_platform,
    "platform": site_wishes.tell_platform,
    "suspension": people_wishes.tell_suspension,
    "alert_rules": people_wishes.tell_alert_rules,
}
