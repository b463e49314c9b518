"""What people ask for about the sign-in page: on which networks there is one, and whether it has to be used."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from category_lists.taxonomy import Taxonomy
from change_control.diffs import Diff, InForceAlready, make, school_of
from policy.rules import Document, Portal, SchoolPolicy

MODES: Final = ("required", "offered", "off")


@dataclass(frozen=True, slots=True)
class PortalWish:
    """On these networks people must sign in first, or may, or there is no such page (again)."""

    networks: tuple[str, ...]
    mode: str

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        school = school_of(document, "networks")
        known = {each.id for each in school.networks}
        if not self.networks:
            raise ValueError("choose at least one network")
        if strange := sorted(set(self.networks) - known):
            raise ValueError(f"there is no network {strange[0][:60]!r} here")
        if apart := [each.prefix for each in school.networks if each.id in self.networks and each.listener != "*"]:
            raise ValueError(f"{apart[0]} is known by the listener that its devices come in by, so nobody can sign in there")
        if self.mode not in MODES:
            raise ValueError("choose whether people must sign in, may sign in, or there is no sign-in page")
        held = {each.network: each for each in school.portals}
        add, remove = [], []
        for n, network in enumerate(sorted(set(self.networks))):
            old = held.get(network)
            if (_mode(old) if old else "off") == self.mode:
                continue
            remove += [old] if old else []
            if self.mode != "off":
                add.append(Portal(f"p{change}-{n}", network, change, required=self.mode == "required"))
        if not add and not remove:
            raise InForceAlready("this is how it is already")
        return make("portal", change, add={"portals": add}, remove={"portals": remove})


def _mode(portal: Portal) -> str:
    return "required" if portal.required else "offered"


def tell_portal(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del taxonomy
    said = []
    added, removed = diff["add"].get("portals", ()), diff["remove"].get("portals", ())
    if must := [one for one in added if one.get("required")]:
        said.append(f"On {_where(must, document)} people must sign in first: until then only essential sites open there.")
        if beside := [one for one in must if one["network"] in _beside(document)]:
            said.append(
                f"What devices on {_where(beside, document)} may use beside the filtered web, they may use before that, too."
            )
    if may := [one for one in added if not one.get("required")]:
        said.append(f"On {_where(may, document)} people may sign in at a page; who does not is filtered as the network is.")
    new = {one["network"] for one in added}
    if gone := [one for one in removed if one["network"] not in new]:
        must = [one for one in gone if one.get("required")]
        rest = " Nobody has to sign in there any more." if must else ""
        said.append(f"On {_where(gone, document)} there is no sign-in page any more.{rest}")
    return " ".join(said)


def _beside(document: Document) -> set[str]:
    """The networks of which a passage speaks: what it lets by, no page is asked about."""
    if not isinstance(document, SchoolPolicy):
        return set()
    prefixes = {each.prefix for each in document.passages}
    return {each.id for each in document.networks if each.listener == "*" and each.prefix in prefixes}


def _where(some: list[Mapping[str, Any]], document: Document) -> str:
    networks = document.networks if isinstance(document, SchoolPolicy) else ()
    prefixes = {each.id: each.prefix for each in networks}
    named = [prefixes.get(one["network"], one["network"]) for one in some]
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"


def moved(school: SchoolPolicy, gone: tuple[str, ...], network: str = "") -> tuple[list[Portal], list[Portal]]:
    """What a change of networks takes along: the portals to add and to remove, when `network` stands for those that go."""
    old = [each for each in school.portals if each.network in gone]
    new = [Portal(each.id, network, each.change, each.required) for each in old[:1]] if network else []
    return new, old
