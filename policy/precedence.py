"""The order of the policy: which say about a site counts before which. Read `PRECEDENCE`.

Each step is asked in turn whether it has something to say of the case, and the first that has decides. What follows from
that, and what counts as a match at all, is policy/decide.py's. Pure.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from category_lists.classifier import CLASSIFIER, NOTHING, READER
from category_lists.index import Match
from category_lists.names import parents, path_covers
from category_lists.weigh import vetted
from policy import probes
from policy.question import Question, Reason
from policy.rules import STRICTNESS, Action, CategoryRule, Portal, SiteRule, Suspension, UnknownRule
from policy.snapshot import Profile
from policy.timetable import applies, next_change


@dataclass(slots=True)
class Case:
    """One question beside the profile and matches it is judged by, collecting the instants at which a rule begins or ends."""

    profile: Profile
    asked: Question
    matches: Sequence[Match]
    never_inspect: bool  # the name is private: banking, health, support by its category, or on the school's own list
    edges: list[datetime] = field(default_factory=list)

    def active(self, rule: SiteRule | CategoryRule | Suspension | UnknownRule) -> bool:
        """Is the rule in force at this moment? Remembers when that changes."""
        at = self.asked.at
        starts = None if isinstance(rule, CategoryRule | UnknownRule) else rule.starts
        if rule.until is not None:
            if rule.until <= at:
                return False
            self.edges.append(rule.until)
        if starts is not None and starts > at:
            self.edges.append(starts)
            return False
        if not isinstance(rule, Suspension | UnknownRule) and rule.during is not None:
            table = self.profile.timetables.get(rule.during)
            if table is None:
                return False
            if edge := next_change(table, at, self.profile.zone):
                self.edges.append(edge)
            return applies(table, at, self.profile.zone)
        return True


type Found = tuple[SiteRule | CategoryRule | Suspension | UnknownRule | Portal | None, Action, Match | None, Reason]


def sealed(case: Case) -> Found | None:
    closed = case.profile.dictionary.sealed
    if closed and closed.covers(case.asked.host, case.asked.path):
        return None, Action.BLOCK, None, Reason.SEALED
    categories = case.profile.dictionary.taxonomy.categories
    for match in case.matches:
        if categories[match.category].locked:
            return None, Action.BLOCK, None, Reason.SEALED  # which list or entry is never told
    return None


def not_signed_in(case: Case) -> Found | None:
    """Nothing but essentials; and of these not the addresses by which a device finds out whether it is online, so that it
    asks its owner to sign in.
    """
    if case.profile.portal is None or (essential(case) and not probes.asks(case.asked.host)):
        return None
    return case.profile.portal, Action.BLOCK, None, Reason.NOT_SIGNED_IN


def essential(case: Case) -> Found | None:
    categories = case.profile.dictionary.taxonomy.categories
    for match in case.matches:
        if categories[match.category].essential:
            return None, Action.ALLOW, match, Reason.ESSENTIAL
    return None


def suspension(case: Case) -> Found | None:
    """Nothing but the coursework list, and that only as it is for everyone else: a suspension opens nothing.

    So it is proven to tighten, whatever stands on the list, and a member of staff may be mandated to begin one at once.
    """
    for each in case.profile.suspensions:
        if (each.groups or each.person == case.asked.person) and case.active(each):
            if any(host in case.profile.coursework for host in parents(case.asked.host)):
                return None
            return each, Action.BLOCK, None, Reason.SUSPENSION
    return None


def authority_site(case: Case) -> Found | None:
    return _site(case, case.profile.mandatory_sites, Reason.AUTHORITY_SITE)


def authority_category(case: Case) -> Found | None:
    if not case.profile.mandatory_categories:
        return None
    return _strictest(
        [
            (rule, rule.action, match, Reason.AUTHORITY_CATEGORY)
            for match in case.matches
            for rule in case.profile.mandatory_categories.get(match.category, ())
            if case.active(rule)
        ]
    )


def school_site(case: Case) -> Found | None:
    return _site(case, case.profile.sites, Reason.SCHOOL_SITE)


def default_site(case: Case) -> Found | None:
    return _site(case, case.profile.default_sites, Reason.DEFAULT_SITE)


def category(case: Case) -> Found | None:
    """Each category of the name by its own most specific say, then the strictest of those.

    Per category, not per layer: a school that opens Games must not thereby open a site that is Games and Gambling.
    """
    return _strictest([_one_category(case, match) for match in case.matches])


def _one_category(case: Case, match: Match) -> Found:
    profile = case.profile
    for layer, reason in (
        (profile.categories, Reason.SCHOOL_CATEGORY),
        (profile.default_categories, Reason.DEFAULT_CATEGORY),
    ):
        rules = layer.get(match.category)
        if rules and (active := [rule for rule in rules if case.active(rule)]):
            best = max(active, key=lambda rule: (bool(rule.groups), bool(rule.during), STRICTNESS[rule.action]))
            return best, best.action, match, reason
    return None, profile.phase_defaults[match.category], match, Reason.PHASE_DEFAULT


def unknown_by_rule(case: Case) -> Found | None:
    """What the school says of names that no list knows: of each sign its most specific rule, then the strictest of those.

    A rule about names that look harmful is never stricter than the category that the name looks like: what staff may open
    once a list knows it, they may open before.
    """
    if case.matches or not case.profile.unknown_rules or vetted(case.asked.host):
        return None
    rules: dict[str, UnknownRule] = {}
    for rule in case.profile.unknown_rules:
        held = rules.get(rule.sign)
        if case.active(rule) and (held is None or _firmness(rule) > _firmness(held)):
            rules[rule.sign] = rule
    model = case.profile.dictionary.model
    guess = model.guess(case.asked.host) if model and rules.keys() & {"looks_harmful", "generated"} else NOTHING
    plain = rules.get("any")
    found: list[Found] = [(plain, plain.action if plain else case.profile.unknown, None, Reason.UNKNOWN_NAME)]
    if guess.generated and (by := rules.get("generated")):
        found.append((by, by.action, None, Reason.GENERATED))
    if model and (by := rules.get("looks_harmful")):
        likely = [(proposal.category, CLASSIFIER) for proposal in guess.proposals]
        if case.profile.wording == "block":  # where words only tell, this does not do more
            likely += [(look, READER) for look in case.asked.looks]
        for category, by_what in likely:
            if category in case.profile.phase_defaults:
                match = Match(category, by_what, model.version, case.asked.host, "")
                usual = _one_category(case, match)[1]
                found.append((by, min(by.action, usual, key=STRICTNESS.__getitem__), match, Reason.LOOKS_HARMFUL))
    return _strictest(found)


def _firmness(rule: UnknownRule) -> tuple[bool, int]:
    return bool(rule.groups), STRICTNESS[rule.action]


def unknown_name(case: Case) -> Found | None:
    return None, case.profile.unknown, None, Reason.UNKNOWN_NAME


PRECEDENCE: tuple[Callable[[Case], Found | None], ...] = (
    sealed,  # illegal content: nobody, at any level, can open it
    not_signed_in,  # above essentials for one reason alone: it takes the connectivity checks, and leaves them the rest
    essential,  # connectivity, certificates, helplines: no rule may take them from a child
    suspension,  # all but the coursework list; above every rule, or a rule that opens a site would undo it
    authority_site,  # the authority's way to open a false alarm of its own category rules, so it stands before them
    authority_category,  # malware and the like, for every school
    school_site,  # the head's own rules: person over group over school, the longest path, a block wins a tie
    default_site,  # below the school's sites, above categories: a named site is more exact than a kind of site
    category,  # the strictest of the name's categories, each by school rule, authority default or phase default
    unknown_by_rule,  # a name that no list knows, where the school has a rule about such names
    unknown_name,  # a name that no list knows
)


def _site(case: Case, rules: Mapping[str, tuple[SiteRule, ...]], reason: Reason) -> Found | None:
    if not rules:
        return None
    path = case.asked.path
    seen = [
        rule
        for rule in covering(case, rules)
        if not rule.path or (path is not None and not case.never_inspect and path_covers(rule.path, path))
    ]
    best = max(seen, key=_rank, default=None)
    return (best, Action(best.action), None, reason) if best else None


def covering(case: Case, rules: Mapping[str, tuple[SiteRule, ...]]) -> list[SiteRule]:
    """The active rules on this host or a parent of it, whatever their path, for this person."""
    person = case.asked.person
    return [
        rule
        for host in parents(case.asked.host)
        for rule in rules.get(host, ())
        if (rule.person is None or rule.person == person) and case.active(rule)
    ]


def _rank(rule: SiteRule) -> tuple[int, int, int, int]:
    scope = 2 if rule.person else 1 if rule.groups else 0
    return scope, rule.host.count("."), len(rule.path), STRICTNESS[rule.action]


def _strictest(found: Sequence[Found]) -> Found | None:
    if len(found) < 2:  # most names are in no category, or in one
        return found[0] if found else None
    return max(found, key=lambda one: STRICTNESS[one[1]])
