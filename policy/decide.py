"""May this client have this site now, how, until when, and which change says so?

The one decision of the product. DNS, proxy, the "why?" page, the impact preview and `schoolgate explain` all call `decide`,
and nothing else decides. It is pure: the moment, the policy and the client come in as arguments.

Read `PRECEDENCE` first: the order is the policy.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from category_lists.classifier import CLASSIFIER, NOTHING, READER, Proposal
from category_lists.embedded import hosts_in
from category_lists.index import Match
from category_lists.inner import imitated, inner_sites, may_carry
from category_lists.names import Site, parents, path_covers
from category_lists.weigh import curated, doubted, vetted, weigh
from policy import probes, tenants
from policy.rules import STRICTNESS, Action, CategoryRule, Handling, Portal, SiteRule, Suspension, UnknownRule
from policy.snapshot import Guesses, Profile, Snapshot
from policy.timetable import applies, next_change


class Reason(StrEnum):
    """Which step of the precedence decided. A closed vocabulary: logs, pages and reports use these words."""

    SEALED = "sealed"
    ESSENTIAL = "essential"
    NOT_SIGNED_IN = "not_signed_in"  # on this network somebody signs in first
    SUSPENSION = "suspension"
    AUTHORITY_SITE = "authority_site"
    AUTHORITY_CATEGORY = "authority_category"
    SCHOOL_SITE = "school_site"
    SCHOOL_CATEGORY = "school_category"
    DEFAULT_SITE = "default_site"
    DEFAULT_CATEGORY = "default_category"
    PHASE_DEFAULT = "phase_default"
    LOOKS_HARMFUL = "looks_harmful"  # no list knows it, and a rule says what happens to names that look like a category
    GENERATED = "generated"  # no list knows it, and a program seems to have made its name up
    UNKNOWN_NAME = "unknown_name"
    SAFE_SEARCH = "safe_search"  # safe search is wanted, and where DNS alone filters it cannot be forced here
    BLOCKED = "blocked"  # said instead of SEALED to whoever asks about a site (see `Decision.told`)
    ERROR = "error"  # the filter could not decide, and refused


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `host` is canonical; `path` is None where it cannot be seen (DNS, the opening of a tunnel).

    `path_follows` says that the same client cannot fetch anything without a second question that has the path: true at
    the proxy, and for DNS on networks whose web traffic is forced through it.
    """

    school: str
    group: str
    host: str
    at: datetime
    path: str | None = None
    path_follows: bool = True
    person: str | None = None
    query: str = ""  # what follows the question mark: some sites carry another's address in it
    themes: tuple[str, ...] = ()  # categories that the words of this search or page speak of, strongest first
    looks: tuple[str, ...] = ()  # categories that the name and the text of this page look like together


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer, and everything that explains it. `until`: the first instant at which time alone may change it."""

    action: Action
    handling: Handling
    reason: Reason
    until: datetime | None = None
    category: str | None = None
    list: str | None = None
    list_version: str | None = None
    rule: str | None = None
    change: int | None = None
    revision: int = 0
    inner: str | None = None  # the site carried inside the one asked for, when that one decided

    def told(self) -> "Decision":
        """What whoever asks about a site is told. Of the sealed list no more than "blocked", so that nobody can read it
        by asking; what was really refused stands in the filter log, which is not for everyone.
        """
        if self.reason is not Reason.SEALED:
            return self
        return Decision(Action.BLOCK, Handling.INSPECT, Reason.BLOCKED, revision=self.revision)


REFUSED_ON_ERROR = Decision(Action.BLOCK, Handling.INSPECT, Reason.ERROR)


@dataclass(slots=True)
class _Case:
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


type _Found = tuple[SiteRule | CategoryRule | Suspension | UnknownRule | Portal | None, Action, Match | None, Reason]


def sealed(case: _Case) -> _Found | None:
    closed = case.profile.dictionary.sealed
    if closed and closed.covers(case.asked.host, case.asked.path):
        return None, Action.BLOCK, None, Reason.SEALED
    categories = case.profile.dictionary.taxonomy.categories
    for match in case.matches:
        if categories[match.category].locked:
            return None, Action.BLOCK, None, Reason.SEALED  # which list or entry is never told
    return None


def not_signed_in(case: _Case) -> _Found | None:
    """Nothing but essentials; and of these not the addresses by which a device finds out whether it is online, so that it
    asks its owner to sign in.
    """
    if case.profile.portal is None or (essential(case) and not probes.asks(case.asked.host)):
        return None
    return case.profile.portal, Action.BLOCK, None, Reason.NOT_SIGNED_IN


def essential(case: _Case) -> _Found | None:
    categories = case.profile.dictionary.taxonomy.categories
    for match in case.matches:
        if categories[match.category].essential:
            return None, Action.ALLOW, match, Reason.ESSENTIAL
    return None


def suspension(case: _Case) -> _Found | None:
    """Nothing but the coursework list, and that only as it is for everyone else: a suspension opens nothing.

    So it is proven to tighten, whatever stands on the list, and a member of staff may be mandated to begin one at once.
    """
    for each in case.profile.suspensions:
        if (each.groups or each.person == case.asked.person) and case.active(each):
            if any(host in case.profile.coursework for host in parents(case.asked.host)):
                return None
            return each, Action.BLOCK, None, Reason.SUSPENSION
    return None


def authority_site(case: _Case) -> _Found | None:
    return _site(case, case.profile.mandatory_sites, Reason.AUTHORITY_SITE)


def authority_category(case: _Case) -> _Found | None:
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


def school_site(case: _Case) -> _Found | None:
    return _site(case, case.profile.sites, Reason.SCHOOL_SITE)


def default_site(case: _Case) -> _Found | None:
    return _site(case, case.profile.default_sites, Reason.DEFAULT_SITE)


def category(case: _Case) -> _Found | None:
    """Each category of the name by its own most specific say, then the strictest of those.

    Per category, not per layer: a school that opens Games must not thereby open a site that is Games and Gambling.
    """
    return _strictest([_one_category(case, match) for match in case.matches])


def _one_category(case: _Case, match: Match) -> _Found:
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


def unknown_by_rule(case: _Case) -> _Found | None:
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
    found: list[_Found] = [(plain, plain.action if plain else case.profile.unknown, None, Reason.UNKNOWN_NAME)]
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


def suspected(profile: Profile, asked: Question) -> tuple[str, ...]:
    """What the letters of a name that no list knows suggest, where a rule in force speaks of names that look harmful.

    Whoever reads a page there needs fewer of its words to call it so; what follows from them is `decide`'s.
    """
    model = _guesser(profile, asked)
    return tuple(proposal.category for proposal in model.guess(asked.host).proposals) if model else ()


def reader(profile: Profile, asked: Question) -> "Callable[[str], Sequence[Proposal]] | None":
    """What tells of the text of a page, together with its name, what it looks like; None where no rule in force asks."""
    model = _guesser(profile, asked)
    return (lambda text: model.read(asked.host, text).proposals) if model else None


def _guesser(profile: Profile, asked: Question) -> Guesses | None:
    """The model, where a rule in force speaks of names that look harmful and no list knows this one."""
    model, case = profile.dictionary.model, _Case(profile, asked, (), never_inspect=False)
    if not model or not any(rule.sign == "looks_harmful" and case.active(rule) for rule in profile.unknown_rules):
        return None
    return None if vetted(asked.host) or _matches(profile, asked) else model


def _firmness(rule: UnknownRule) -> tuple[bool, int]:
    return bool(rule.groups), STRICTNESS[rule.action]


def unknown_name(case: _Case) -> _Found | None:
    return None, case.profile.unknown, None, Reason.UNKNOWN_NAME


PRECEDENCE: tuple[Callable[[_Case], _Found | None], ...] = (
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


def _site(case: _Case, rules: Mapping[str, tuple[SiteRule, ...]], reason: Reason) -> _Found | None:
    if not rules:
        return None
    path = case.asked.path
    seen = [
        rule
        for rule in _covering(case, rules)
        if not rule.path or (path is not None and not case.never_inspect and path_covers(rule.path, path))
    ]
    best = max(seen, key=_rank, default=None)
    return (best, Action(best.action), None, reason) if best else None


def _covering(case: _Case, rules: Mapping[str, tuple[SiteRule, ...]]) -> list[SiteRule]:
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


def _strictest(found: Sequence[_Found]) -> _Found | None:
    if len(found) < 2:  # most names are in no category, or in one
        return found[0] if found else None
    return max(found, key=lambda one: STRICTNESS[one[1]])


def _path_rules(case: _Case) -> list[SiteRule]:
    """The school's rules about single paths of this host: none where its content is never inspected."""
    if not case.profile.sites or case.never_inspect:
        return []
    return [rule for rule in _covering(case, case.profile.sites) if rule.path]


OPENABLE = frozenset(  # what a school's own path rule may open a part of
    {
        Reason.SCHOOL_SITE,
        Reason.SCHOOL_CATEGORY,
        Reason.DEFAULT_SITE,
        Reason.DEFAULT_CATEGORY,
        Reason.PHASE_DEFAULT,
        Reason.LOOKS_HARMFUL,
        Reason.GENERATED,
        Reason.UNKNOWN_NAME,
    }
)


_NESTED = 4  # sites inside sites that are looked through: an archive of a translation is honest, five layers are not


def decide(snapshot: Snapshot, asked: Question) -> Decision:
    """May this client have this site now, how, until when, and which change says so? KeyError: no such school or group.

    A site that carries another inside (a translator, an archive) is judged as both, and the stricter answer holds, so that
    neither opens what the other is closed for.
    """
    decision = _judge(snapshot, asked)
    layers = inner_sites(Site(asked.host, asked.path, asked.query))
    for _ in range(_NESTED):
        if not layers or decision.action is Action.BLOCK or decision.reason is Reason.ESSENTIAL:
            return decision
        inner = layers[0]
        layers = (*layers[1:], *inner_sites(inner))
        layer = replace(asked, host=inner.host, path=inner.path, query=inner.query)
        decision = _stricter(decision, replace(_judge(snapshot, layer), inner=str(inner)))
    return replace(REFUSED_ON_ERROR, inner=decision.inner, revision=decision.revision) if layers else decision


def _stricter(outer: Decision, inner: Decision) -> Decision:
    """The stricter answer, for no longer than both hold, and looked into if either asks for that."""
    best = inner if STRICTNESS[inner.action] > STRICTNESS[outer.action] else outer
    until = min((each.until for each in (outer, inner) if each.until), default=None)
    handling = Handling.INSPECT if Handling.INSPECT in (outer.handling, inner.handling) else Handling.DIRECT
    return replace(best, until=until, handling=handling)


def _matches(profile: Profile, asked: Question) -> Sequence[Match]:
    """What counts of all that lists say about what is asked: a feed cannot outvote us, and a disguise is seen through."""
    dictionary = profile.dictionary
    matches = weigh(dictionary.index.find(asked.host, asked.path), asked.host)
    looks_like = imitated(asked.host)
    if looks_like and IMITATION in dictionary.taxonomy.categories and not any(curated(match.list_id) for match in matches):
        model = next((match for match in dictionary.index.find(looks_like) if curated(match.list_id)), None)
        if model:
            return (*matches, Match(IMITATION, "names", "looks-like", model.host, ""))
    return matches


def _spoken_of(profile: Profile, asked: Question) -> Sequence[Match]:
    """What the words of a search or page speak of, as if lists said it; never what a locked or an essential category is."""
    if profile.wording != "block":
        return ()
    known = profile.dictionary.taxonomy.categories
    themes = [known[theme] for theme in asked.themes if theme in known]
    return [Match(each.id, PHRASES, "", asked.host, "") for each in themes if not (each.locked or each.essential)]


PHRASES = "phrases"  # the list that a decision names when words decided
IMITATION = "malware_phishing"  # what a name is that poses as one of our own lists'


def _judge(snapshot: Snapshot, asked: Question) -> Decision:
    profile = snapshot.profile(asked.school, asked.group)
    matches = _matches(profile, asked)
    categories = profile.dictionary.taxonomy.categories
    private = (bool(matches) and any(categories[match.category].never_inspect for match in matches)) or (
        bool(profile.never_inspect) and any(host in profile.never_inspect for host in parents(asked.host))
    )
    if asked.themes and not private:
        matches = (*matches, *_spoken_of(profile, asked))
    case = _Case(profile, asked, matches, private)
    for find in PRECEDENCE:
        if found := find(case):
            break
    else:  # INVARIANT: unknown_name always finds
        return REFUSED_ON_ERROR
    if asked.themes and found[1] is not Action.BLOCK:
        found = _search_words(case, found)
    rule, action, match, reason = found
    paths = _path_rules(case)
    if asked.path is None and asked.path_follows and action is Action.BLOCK and reason in OPENABLE:
        opening = next((each for each in paths if each.action is not Action.BLOCK), None)
        if opening:  # the tunnel may open; each page in it is asked about with its path
            rule, action, match, reason = opening, Action.ALLOW, None, Reason.SCHOOL_SITE
    if action is Action.WARN and not asked.path_follows:
        action = Action.BLOCK  # DNS cannot show a page with a way on; its block page says how to ask
    if action is Action.ALLOW and reason is not Reason.ESSENTIAL and profile.engine(asked.host):
        action = Action.RESTRICT
        if not asked.path_follows and profile.unforced(asked.host):
            action, reason = Action.BLOCK, Reason.SAFE_SEARCH
    return Decision(
        action=action,
        handling=_handling(case, action, reason, seen_in_parts=bool(paths)),
        reason=reason,
        until=min(case.edges, default=None),
        category=match.category if match else rule.category if isinstance(rule, CategoryRule) else None,
        list=match.list_id if match else None,
        list_version=match.version if match else None,
        rule=rule.id if rule else None,
        change=rule.change if rule else None,
        revision=snapshot.revisions.get(asked.school, 0),
    )


def _search_words(case: _Case, found: _Found) -> _Found:
    """A rule that opens a search engine opens no search for what is closed: words count there whatever opened the site."""
    if case.profile.dictionary.engines.find(case.asked.host) is None:
        return found
    words = category(replace(case, matches=[match for match in case.matches if match.list_id == PHRASES]))
    return words if words and STRICTNESS[words[1]] > STRICTNESS[found[1]] else found


def alike(profile: Profile, host: str) -> Hashable | None:
    """What names have in common that `decide` blocks for the same reason; None when a site rule speaks of this name.

    INVARIANT: of two names with the same answer, asked for without a path by one person of one profile at one moment, both
    are blocked by equal decisions or neither is. (Allowed ones may still differ: one may be a search engine, and be refused
    for SAFE_SEARCH; what is refused for that says nothing about others.) So whoever
    keeps a reply ready for a blocked name may give it for the others until the decision's `until` or another snapshot. A
    step of PRECEDENCE that looks at more than the matches and the site rules has to be looked at here too.
    """
    if hosts_in(host) or imitated(host):  # what it carries, or whose name it borrows, is its own
        return None
    if (closed := profile.dictionary.sealed) and (closed.covers(host) or closed.watches(host)):
        return None
    name, ruled = host, profile.ruled
    while ruled and name:
        if name in ruled:
            return None
        name = name.partition(".")[2]  # `parents` inlined: this runs for each blocked query
    kin = profile.dictionary.index.kin(host)
    if (
        (profile.unknown_rules and kin == ()) or doubted(host) or (profile.portal and probes.asks(host))
    ):  # what counts here is the name itself
        return None
    return kin


def _handling(case: _Case, action: Action, reason: Reason, *, seen_in_parts: bool) -> Handling:
    closed = case.profile.dictionary.sealed
    if action is not Action.ALLOW or seen_in_parts or (closed and closed.watches(case.asked.host)):
        return Handling.INSPECT
    if case.never_inspect or reason is Reason.ESSENTIAL:
        return Handling.DIRECT
    return Handling.INSPECT if _needs_a_look(case) else Handling.DIRECT


def _needs_a_look(case: _Case) -> bool:
    """Does its name alone not tell what this open site shows? By what the group's policy says is looked into, and where
    only the address of a page can tell: lists that name single pages, and sites that carry other sites inside.
    """
    host, looks = case.asked.host, case.profile.looks
    if "all" in looks or ("unknown" in looks and not case.matches):
        return True
    if "video" in looks and any(match.category == VIDEO for match in case.matches):
        return True
    engine = case.profile.dictionary.engines.find(host)
    if engine and ("video" if engine.video else "search") in looks:
        return True
    return bool(case.profile.dictionary.index.has_pages(host) or may_carry(host) or tenants.headers(host, case.profile))


VIDEO = "streaming_media"  # what the taxonomy calls sites that show video
