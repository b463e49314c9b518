"""What people ask for about sites beyond allow and block: short lists, platforms, and sites that no list knows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from category_lists.names import canonical_site
from category_lists.taxonomy import Taxonomy
from change_control.diffs import Diff, check_groups, make, school_of, who
from policy.rules import Action, Document, ListedSite, Sign, SiteRule, UnknownRule
from policy.words import uk_end

# --- short lists of sites -------------------------------------------------------------------------------------------------


type ShortList = Literal["never_inspect", "coursework"]


@dataclass(frozen=True, slots=True)
class ListedWish:
    """Put a site on one of the school's short lists, or take it off."""

    collection: ShortList
    site: str
    gone: bool = False

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        school = school_of(document, "these lists")
        site = canonical_site(self.site)
        if (site.path or "/") != "/" or site.query:
            raise ValueError("this list holds whole sites; leave out what follows the name")
        listed: tuple[ListedSite, ...] = getattr(school, self.collection)
        old = [one for one in listed if one.host == site.host]
        if self.gone:
            if not old:
                raise ValueError(f"{site.host} is not on this list")
            return make(self.collection, change, remove={self.collection: old})
        if old:
            raise ValueError(f"{site.host} is on this list already")
        letter = "i" if self.collection == "never_inspect" else "w"
        return make(self.collection, change, add={self.collection: [ListedSite(f"{letter}{change}", site.host, change)]})


def tell_never_inspect(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del taxonomy
    added = [site["host"] for site in diff["add"].get("never_inspect", ())]
    gone = [site["host"] for site in diff["remove"].get("never_inspect", ())]
    said = [
        f"The content of {host} is never looked into for anyone at {document.name}: no page warnings, no search words, "
        "no rules about parts of it."
        for host in added
    ]
    return " ".join([*said, *(f"The content of {host} is looked into again." for host in gone)])


def tell_coursework(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del document, taxonomy
    added = [site["host"] for site in diff["add"].get("coursework", ())]
    gone = [site["host"] for site in diff["remove"].get("coursework", ())]
    said = [f"{host} stays as it is for those whose internet access is suspended." for host in added]
    return " ".join([*said, *(f"{host} is no longer kept from a suspension." for host in gone)])


# --- platforms that the school decides to use ------------------------------------------------------------------------------

type Platform = Literal["video_site", "platform"]


@dataclass(frozen=True, slots=True)
class PlatformWish:
    """Approve a video site, or sanction a social or chat platform, for some groups until a date."""

    kind: Platform
    site: str
    groups: tuple[str, ...]
    until: datetime

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        school = school_of(document, "approved platforms")
        check_groups(school, self.groups)
        site = canonical_site(self.site)
        if site.query:
            raise ValueError("leave out what follows the question mark")
        path = (site.path or "").rstrip("/")
        groups = tuple(sorted(self.groups))
        rule = SiteRule(f"s{change}", site.host, Action.ALLOW, change, path, groups, until=self.until)
        return make(self.kind, change, add={"site_rules": [rule]})


def tell_platform(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del taxonomy
    what = {
        "video_site": "an approved video site",
        "platform": "a platform that the school sanctions. What is written there is not read",
    }[diff["kind"]]
    said = []
    for rule in diff["add"].get("site_rules", ()):
        ends = uk_end(datetime.fromisoformat(rule["until"]))
        said.append(f"{who(document, rule['groups'])} may use {rule['host']}{rule['path']} until {ends}: {what}.")
    return " ".join(said)


# --- sites that no list knows ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UnknownWish:
    """Say what happens to names that no list knows, or to those of them that bear a sign; replaces what was said of it."""

    sign: str
    action: Action
    groups: tuple[str, ...] = ()
    until: datetime | None = None

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        school = school_of(document, "these rules")
        check_groups(document, self.groups)
        if self.sign not in SIGNS:
            raise ValueError(f"there is no sign {self.sign[:40]!r}; there are: {', '.join(SIGNS)}")
        sign: Sign = self.sign  # type: ignore[assignment]  # looked up above
        groups = tuple(sorted(self.groups))
        new = UnknownRule(f"u{change}", sign, Action(self.action), change, groups, self.until)
        held = [old for old in school.unknown_rules if (old.sign, old.groups) == (sign, groups)]
        if any((old.action, old.until) == (new.action, new.until) for old in held):
            raise ValueError("this is how it is set already")
        return make("unknown", change, add={"unknown_rules": [new]}, remove={"unknown_rules": held})


SIGNS: Mapping[str, str] = {
    "any": "sites that no list knows",
    "looks_harmful": "sites that no list knows and whose names look like something that is closed to them",
    "generated": "sites that no list knows and whose names look made up by a program",
}
_MAY = {Action.ALLOW: "may open", Action.WARN: "will see a warning before", Action.BLOCK: "may not open"}


def tell_unknown(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del taxonomy
    said = []
    for rule in diff["add"].get("unknown_rules", ()):
        ends = uk_end(datetime.fromisoformat(rule["until"])) if rule["until"] else "someone changes it"
        text = f"{who(document, rule['groups'])} {_MAY[Action(rule['action'])]} {SIGNS[rule['sign']]}, until {ends}."
        if rule["sign"] != "any":
            text += (
                " A program guesses that from the letters of the name, and is sometimes wrong: each site can be put right."
            )
        said.append(text)
    return " ".join(said)
