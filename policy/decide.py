"""May this client have this site now, how, until when, and which change says so?

The one decision of the product. DNS, proxy, the "why?" page, the impact preview and `schoolgate explain` all call `decide`,
and nothing else decides. It is pure: the moment, the policy and the client come in as arguments.

Read `PRECEDENCE` (policy/precedence.py) first: the order is the policy. Here stands what goes into it and what follows.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

from category_lists.classifier import Proposal
from category_lists.embedded import hosts_in
from category_lists.index import Match
from category_lists.inner import imitated, inner_sites, may_carry
from category_lists.names import Site, parents
from category_lists.phrases import shipped
from category_lists.weigh import curated, doubted, vetted, weigh
from policy import probes, tenants
from policy.precedence import PRECEDENCE, Case, Found, category, covering
from policy.question import REFUSED_ON_ERROR, Decision, Question, Reason
from policy.rules import STRICTNESS, Action, CategoryRule, Handling, SiteRule
from policy.snapshot import Guesses, Profile, Snapshot

__all__ = [
    "IMITATION", "PHRASES", "PRECEDENCE", "REFUSED_ON_ERROR", "Decision", "Question", "Reason", "alike", "decide", "reader",
    "suspected",
]  # fmt: skip

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
    case = Case(profile, asked, matches, private)
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


def _path_rules(case: Case) -> list[SiteRule]:
    """The school's rules about single paths of this host: none where its content is never inspected."""
    if not case.profile.sites or case.never_inspect:
        return []
    return [rule for rule in covering(case, case.profile.sites) if rule.path]


def _search_words(case: Case, found: Found) -> Found:
    """A rule that opens a search engine opens no search for what is closed: words count there whatever opened the site."""
    if case.profile.dictionary.engines.find(case.asked.host) is None:
        return found
    words = category(replace(case, matches=[match for match in case.matches if match.list_id == PHRASES]))
    return words if words and STRICTNESS[words[1]] > STRICTNESS[found[1]] else found


def suspected(profile: Profile, asked: Question) -> tuple[str, ...]:
    """What the letters of a name that no list knows suggest, where a rule in force speaks of names that look harmful.

    Whoever reads a page there needs fewer of its words to call it so; what follows from them is `decide`'s.
    """
    model = _guesser(profile, asked)
    return tuple(proposal.category for proposal in model.guess(asked.host).proposals) if model else ()


def reader(profile: Profile, asked: Question) -> "Callable[[str], Sequence[Proposal]] | None":
    """What tells of the text of a page, together with its name, what it looks like; None where no rule in force asks."""
    model, sets = _guesser(profile, asked), profile.dictionary.phrases
    return (lambda text: model.read(asked.host, *(sets or shipped()).reading(text)).proposals) if model else None


def _guesser(profile: Profile, asked: Question) -> Guesses | None:
    """The model, where a rule in force speaks of names that look harmful and no list knows this one."""
    model, case = profile.dictionary.model, Case(profile, asked, (), never_inspect=False)
    if not model or not any(rule.sign == "looks_harmful" and case.active(rule) for rule in profile.unknown_rules):
        return None
    return None if vetted(asked.host) or _matches(profile, asked) else model


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


def _handling(case: Case, action: Action, reason: Reason, *, seen_in_parts: bool) -> Handling:
    closed = case.profile.dictionary.sealed
    if action is not Action.ALLOW or seen_in_parts or (closed and closed.watches(case.asked.host)):
        return Handling.INSPECT
    if case.never_inspect or reason is Reason.ESSENTIAL:
        return Handling.DIRECT
    return Handling.INSPECT if _needs_a_look(case) else Handling.DIRECT


def _needs_a_look(case: Case) -> bool:
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
