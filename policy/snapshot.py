"""The policy of all schools, ready to be decided with. Built once from proven documents, then swapped whole, never changed.

A `Profile` is what holds for one group of one school: its rules sorted by host and category so that `decide` only looks up.
Profiles are made when first asked for, since a box may serve 500 schools of which few ask at any moment.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from category_lists.classifier import Guess, Proposal
from category_lists.index import Match, Shared
from category_lists.phrases import Sets
from category_lists.reading import Reader
from category_lists.taxonomy import PHASES, Taxonomy
from policy.identity import NOT_SIGNED_IN, UNASSIGNED, Clients
from policy.rules import (
    STRICTNESS,
    Action,
    AuthorityPolicy,
    CategoryRule,
    Portal,
    SchoolPolicy,
    SiteRule,
    Suspension,
    Timetable,
    UnknownRule,
)
from policy.search_engines import Engine, Engines

USUAL_LOOKS = ("search", "unknown", "video")  # where a school says nothing else


class Names(Protocol):
    """What a compiled index answers."""

    def find(self, host: str, path: str | None = None) -> Sequence[Match]: ...

    def kin(self, host: str) -> Hashable: ...

    def has_pages(self, host: str) -> bool: ...

    def shared(self) -> Mapping[str, Shared]: ...


class Closed(Protocol):
    """The one question that a sealed list answers, and whether only a path could tell."""

    def covers(self, host: str, path: str | None = None) -> bool: ...

    def watches(self, host: str) -> bool: ...


class Guesses(Protocol):
    """What a model of names answers."""

    @property
    def version(self) -> str: ...

    def guess(self, host: str) -> Guess: ...

    def propose(self, host: str) -> Sequence[Proposal]: ...

    def read(self, host: str, reader: Reader | None, text: str) -> Guess: ...


@dataclass(frozen=True, slots=True)
class LoadedDictionary:
    """Everything that says what a name is, opened."""

    digest: str
    index: Names
    taxonomy: Taxonomy
    engines: Engines
    sealed: Closed | None = None
    model: Guesses | None = None
    phrases: Sets | None = None  # older dictionaries name none, and words are judged by the sets that ship


@dataclass(frozen=True, slots=True)
class Profile:
    """What holds for one group of one school."""

    school: str
    group: str
    group_name: str
    phase: str  # "strictest" for clients of no school
    safe_search: bool
    video: str  # how far video sites are held to what suits children: "strict", "moderate", "off"
    looks: frozenset[str]  # what is looked into of sites that are simply open: policy.rules.Look
    wording: str  # what follows from the words of a search or a page: "block" as their category, "tell", "off"
    zone: str
    blocked_answer: str
    dictionary: LoadedDictionary
    timetables: Mapping[str, Timetable]
    mandatory_sites: Mapping[str, tuple[SiteRule, ...]]
    mandatory_categories: Mapping[str, tuple[CategoryRule, ...]]
    sites: Mapping[str, tuple[SiteRule, ...]]
    categories: Mapping[str, tuple[CategoryRule, ...]]
    default_sites: Mapping[str, tuple[SiteRule, ...]]
    default_categories: Mapping[str, tuple[CategoryRule, ...]]
    phase_defaults: Mapping[str, Action]
    unknown: Action
    never_inspect: frozenset[str]  # hosts, with what is below them
    coursework: frozenset[str]
    suspensions: tuple[Suspension, ...]  # of this group, or of single persons
    unknown_rules: tuple[UnknownRule, ...]  # what holds for names that no list knows
    google_domains: str  # whose accounts may sign in there: policy/tenants.py
    microsoft_tenants: str
    microsoft_directory: str
    ruled: frozenset[str]  # hosts of which something is said that is not said of their kind
    persons: frozenset[str]  # of whom something is said that is not said of the group
    portal: Portal | None = None  # somebody has to sign in first, by this rule

    def engine(self, host: str) -> Engine | None:
        """The engine of a host, if something is to be forced on it: video sites have a setting of their own."""
        found = self.dictionary.engines.find(host)
        if found is None:
            return None
        return found if (self.video != "off" if found.video else self.safe_search) else None

    def led(self, host: str) -> str:
        """The name on which safe search cannot be switched off, that DNS leads a host to; "" where it leads nowhere else."""
        engine = self.engine(host)
        return engine.led(host, self.video if engine.video else "strict") if engine else ""

    def unforced(self, host: str) -> bool:
        """Is safe search wanted at this host, and DNS alone cannot force it?"""
        engine = self.engine(host) if self.dictionary.engines.by_dns else None
        return engine is not None and engine.unforced(host)


def _by_host(rules: Iterable[SiteRule]) -> dict[str, tuple[SiteRule, ...]]:
    found: dict[str, tuple[SiteRule, ...]] = {}
    for rule in rules:
        found[rule.host] = (*found.get(rule.host, ()), rule)
    return found


def _by_category(rules: Iterable[CategoryRule]) -> dict[str, tuple[CategoryRule, ...]]:
    found: dict[str, tuple[CategoryRule, ...]] = {}
    for rule in rules:
        found[rule.category] = (*found.get(rule.category, ()), rule)
    return found


def _persons(school: SchoolPolicy) -> frozenset[str]:
    of_rules, of_suspensions = (rule.person for rule in school.site_rules), (one.person for one in school.suspensions)
    return frozenset(person for person in (*of_rules, *of_suspensions) if person)


def _phase_defaults(taxonomy: Taxonomy, phase: str) -> dict[str, Action]:
    if phase != "strictest":
        return {id_: Action(category.phases[phase]) for id_, category in taxonomy.categories.items()}
    return {
        id_: max((Action(category.phases[each]) for each in PHASES), key=STRICTNESS.__getitem__)
        for id_, category in taxonomy.categories.items()
    }


def build_profile(
    school: SchoolPolicy | None, group_id: str, authority: AuthorityPolicy, dictionary: LoadedDictionary
) -> Profile:
    """The profile of one group; `school` None makes the strictest one, for clients of no school. KeyError: no such group."""
    group = school.group(group_id) if school else None
    portal = _portal(school, group_id) if school and group is None else None
    if school and group is None and portal is None:
        raise KeyError(group_id)
    phase = group.phase if group else "guest" if portal else "strictest"

    def for_group(rule: SiteRule | CategoryRule) -> bool:
        return not rule.groups or group_id in rule.groups

    def for_phase(rule: CategoryRule) -> bool:
        return not rule.phases or phase in rule.phases or (phase == "strictest" and rule.action is Action.BLOCK)

    mandatory_sites = _by_host(rule for rule in authority.site_rules if rule.mandatory)
    sites = _by_host(filter(for_group, school.site_rules if school else ()))
    default_sites = _by_host(rule for rule in authority.site_rules if not rule.mandatory)
    never_inspect = frozenset(site.host for site in school.never_inspect) if school else frozenset()
    coursework = frozenset(site.host for site in school.coursework) if school else frozenset()
    return Profile(
        school=school.log if school else "",
        group=group_id,
        group_name=group.name if group else "whoever has not signed in" if portal else "devices that belong to no school",
        phase=phase,
        safe_search=group.safe_search if group else True,
        video=(group.video or ("strict" if group.safe_search else "off")) if group else "strict",
        looks=frozenset(group.looks or USUAL_LOOKS) if group else frozenset({"all"}),
        wording=(group.wording or ("tell" if phase == "staff" else "block")) if group else "block",
        zone=school.timezone if school else "Europe/London",
        blocked_answer=school.blocked_answer if school and not portal else "page",  # the page is where they sign in
        dictionary=dictionary,
        timetables={table.id: table for table in school.timetables} if school else {},
        mandatory_sites=mandatory_sites,
        mandatory_categories=_by_category(rule for rule in authority.category_rules if rule.mandatory and for_phase(rule)),
        sites=sites,
        categories=_by_category(filter(for_group, school.category_rules if school else ())),
        default_sites=default_sites,
        default_categories=_by_category(rule for rule in authority.category_rules if not rule.mandatory and for_phase(rule)),
        phase_defaults=_phase_defaults(dictionary.taxonomy, phase),
        unknown=Action(dictionary.taxonomy.unknown[phase]) if phase != "strictest" else Action.ALLOW,
        never_inspect=never_inspect,
        coursework=coursework,
        suspensions=tuple(one for one in school.suspensions if group_id in one.groups or one.person) if school else (),
        unknown_rules=tuple(rule for rule in school.unknown_rules if not rule.groups or group_id in rule.groups)
        if school
        else (),
        google_domains=school.google_domains if school else "",
        microsoft_tenants=school.microsoft_tenants if school else "",
        microsoft_directory=school.microsoft_directory if school else "",
        ruled=frozenset((*mandatory_sites, *sites, *default_sites, *never_inspect, *coursework)),
        persons=_persons(school) if school else frozenset(),
        portal=portal,
    )


def _portal(school: SchoolPolicy, group_id: str) -> Portal | None:
    """The rule by which the clients of such a group have to sign in first; policy/identity.py makes these groups."""
    start, _, network = group_id.partition(", ")
    return next((one for one in school.portals if start == NOT_SIGNED_IN and one.required and one.network == network), None)


def _alike(one: object, other: object) -> bool:
    return one is other or one == other


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """All schools' policies at one generation. `revisions` says which entry of its log each school's document rests on."""

    generation: int
    authority: AuthorityPolicy
    schools: Mapping[str, SchoolPolicy]
    authorities: Mapping[str, AuthorityPolicy]  # by digest, as schools accepted them
    dictionaries: Mapping[str, LoadedDictionary]  # by digest
    revisions: Mapping[str, int]
    clients: Clients
    _profiles: dict[tuple[str, str], Profile] = field(default_factory=dict)

    def profile(self, school: str, group: str) -> Profile:
        """The profile of a group; KeyError for a school or group that is not there."""
        try:
            return self._profiles[school, group]
        except KeyError:
            made = self._profiles[school, group] = self._make(school, group)
            return made

    def says_the_same(self, other: "Snapshot", school: str) -> bool:
        """Is all that this school's clients are decided by, and told, the same in both? "" stands for clients of no school.

        A dictionary counts as the same only where it is the very one that is open: nobody compares five million names.
        """
        if any(self.revisions.get(log) != other.revisions.get(log) for log in (self.authority.log, school)):
            return False  # first: thousands of an authority's rules are not gone through once for each school
        mine, others = ((each.schools.get(school) if school else each.authority) for each in (self, other))
        if mine is None or not _alike(mine, others) or not _alike(self.authority, other.authority):
            return False
        if self.dictionaries.get(mine.dictionary) is not other.dictionaries.get(mine.dictionary):
            return False
        if not isinstance(mine, SchoolPolicy):
            return True
        return _alike(self.authorities.get(mine.authority), other.authorities.get(mine.authority))

    def _make(self, school: str, group: str) -> Profile:
        if (school, group) == (UNASSIGNED.school, UNASSIGNED.group):
            return build_profile(None, group, self.authority, self.dictionaries[self.authority.dictionary])
        document = self.schools[school]
        return build_profile(document, group, self.authorities[document.authority], self.dictionaries[document.dictionary])
