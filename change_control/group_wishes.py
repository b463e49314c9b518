"""What people ask for about one group: its name and phase, safe search, and what is looked into for it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from category_lists.taxonomy import Taxonomy
from change_control.diffs import Diff, check_groups, identifier, make, name_of, school_of
from policy.rules import Document, Group, Look, Phase, SchoolPolicy, Video, Wording
from policy.snapshot import USUAL_LOOKS

PHASES: tuple[str, ...] = get_args(Phase)


@dataclass(frozen=True, slots=True)
class GroupWish:
    """Add a group, or give the one with an id another name or phase."""

    name: str
    phase: str
    group: str | None = None

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        school = school_of(document, "groups")
        if self.phase not in PHASES:
            raise ValueError(f"there is no phase {self.phase[:40]!r}; there are: {', '.join(PHASES)}")
        name = name_of(self.name, "group")
        if any(group.name.lower() == name.lower() and group.id != self.group for group in school.groups):
            raise ValueError(f"there is a group called {name} already")
        phase: Phase = self.phase  # type: ignore[assignment]  # looked up above
        if not self.group:
            made = identifier(name, [group.id for group in school.groups], change)
            return make("group", change, add={"groups": [Group(made, name, phase)]})
        old = _group(school, self.group)
        new = replace(old, name=name, phase=phase)
        return _altered("group", change, old, new)


@dataclass(frozen=True, slots=True)
class SafetyWish:
    """Force safe search on for a group, or not; and how video sites are restricted, which else goes with it."""

    group: str
    safe_search: bool
    video: str = ""

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        old = _group(school_of(document, "groups"), self.group)
        if self.video not in VIDEO_WORDS:
            raise ValueError(f"video sites are held strict, moderate or off, not {self.video[:20]!r}")
        video: Video = self.video  # type: ignore[assignment]  # looked up above
        new = replace(old, safe_search=self.safe_search, video=video)
        return _altered("safety", change, old, new)


@dataclass(frozen=True, slots=True)
class InspectionWish:
    """What is looked into for a group of sites that are simply open, and what follows from the words that are seen there."""

    group: str
    looks: tuple[str, ...] = ()  # none: as usual
    wording: str = ""

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        old = _group(school_of(document, "groups"), self.group)
        if strange := [one for one in self.looks if one not in LOOK_WORDS]:
            raise ValueError(f"what is looked into is search, video, unknown, all or none, not {strange[0][:20]!r}")
        if len(self.looks) > 1 and "none" in self.looks:
            raise ValueError("either none of these, or some")
        if self.wording not in WORDING_WORDS:
            raise ValueError(f"words may block, tell or be off, not {self.wording[:20]!r}")
        chosen = ("all",) if "all" in self.looks else tuple(sorted(set(self.looks)))
        looks: tuple[Look, ...] = chosen  # type: ignore[assignment]  # looked up above
        wording: Wording = self.wording  # type: ignore[assignment]  # the same
        new = replace(old, looks=() if looks == tuple(sorted(USUAL_LOOKS)) else looks, wording=wording)
        return _altered("inspection", change, old, new)


def _altered(kind: str, change: int, old: Group, new: Group) -> Diff:
    if new == old:
        raise ValueError("this is how it is set already")
    return make(kind, change, add={"groups": [new]}, remove={"groups": [old]})


def _group(school: SchoolPolicy, group: str) -> Group:
    check_groups(school, (group,))
    return next(one for one in school.groups if one.id == group)


PHASE_WORDS = {
    "early-years": "early years",
    "ks1": "key stage 1",
    "ks2": "key stage 2",
    "ks3": "key stage 3",
    "ks4": "key stage 4",
    "sixth-form": "the sixth form",
    "staff": "staff",
    "guest": "guests",
}


def tell_group(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del document, taxonomy
    before = {group["id"]: group for group in diff["remove"].get("groups", ())}
    said = []
    for group in diff["add"].get("groups", ()):
        old = before.get(group["id"])
        if old is None:
            said.append(f"A group {group['name']} begins, with what is usual for {PHASE_WORDS[group['phase']]}.")
            continue
        if old["name"] != group["name"]:
            said.append(f"The group {old['name']} is called {group['name']}.")
        if old["phase"] != group["phase"]:
            said.append(
                f"{group['name']} gets what is usual for {PHASE_WORDS[group['phase']]}, "
                f"no longer for {PHASE_WORDS[old['phase']]}."
            )
    return " ".join(said)


VIDEO_WORDS = {
    "": "",
    "strict": "; video sites show only what suits all pupils",
    "moderate": "; video sites leave out what is for adults",
    "off": "; video sites show everything",
}


def _safety_sentence(group: Mapping[str, Any]) -> str:
    how = "has safe search and restricted video forced on" if group["safe_search"] else "may search without safe search"
    return f"The group {group['name']} {how}{VIDEO_WORDS[group.get('video', '')]}."


LOOK_WORDS = {
    "search": "search engines",
    "video": "video sites",
    "unknown": "sites that no list knows",
    "all": "every site that is not private",
    "none": "none",
}
WORDING_WORDS = {
    "": "",
    "block": " Words in searches and pages count as a category does, and can block.",
    "tell": " Words in searches and pages are noted in the filter log and block nothing.",
    "off": " Words in searches and pages are not judged.",
}


def _inspection_sentence(group: Mapping[str, Any]) -> str:
    looks = _look_words(group.get("looks", ()))
    return f"For the group {group['name']}, {looks}.{WORDING_WORDS[group.get('wording', '')]}"


def looked_into(group: Group) -> str:
    """What is looked into for a group and what follows from it, in words."""
    return _look_words(group.looks) + "." + WORDING_WORDS[group.wording]


def _look_words(looks: Sequence[str]) -> str:
    chosen = looks or USUAL_LOOKS
    if "none" in chosen:
        return "open sites are looked into only where a rule needs it"
    *some, last = [LOOK_WORDS[one] for one in chosen]
    what = f"{', '.join(some)} and {last}" if some else last
    return f"the content of {what} is looked into"


def _of_each(sentence: Callable[[Mapping[str, Any]], str]) -> Callable[[Diff, Document, Taxonomy], str]:
    """What a sentence about one group makes of a diff."""

    def tell(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
        del document, taxonomy
        return " ".join(sentence(group) for group in diff["add"].get("groups", ()))

    return tell


tell_safety = _of_each(_safety_sentence)
tell_inspection = _of_each(_inspection_sentence)
