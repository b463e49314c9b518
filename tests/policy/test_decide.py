"""The precedence, case by case, and what must hold for every policy."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from category_lists.index import Match
from category_lists.names import canonical_host, parents
from policy.decide import PRECEDENCE, Question, Reason, alike, decide
from policy.precedence import sealed, unknown_name
from policy.rules import STRICTNESS, Action, CategoryRule, Handling, ListedSite, Portal, SiteRule, Suspension

from .conftest import LESSON, LUNCH, NAMES, FakeNames

ALLOW, WARN, BLOCK, RESTRICT = Action.ALLOW, Action.WARN, Action.BLOCK, Action.RESTRICT


def site(host, action, **more):
    return SiteRule(more.pop("id", f"s-{host}-{action}"), host, action, more.pop("change", 1), **more)


def ask(snapshot, host, group="ks3", path="/", at=LESSON, **more):
    return decide(snapshot, Question("hillview", group, host, at, path, **more))


@pytest.mark.parametrize(
    ("host", "group", "action", "reason"),
    [
        ("games.example", "ks3", BLOCK, Reason.PHASE_DEFAULT),
        ("www.games.example", "ks3", BLOCK, Reason.PHASE_DEFAULT),
        ("games.example", "staff", ALLOW, Reason.PHASE_DEFAULT),
        ("both.example", "staff", BLOCK, Reason.PHASE_DEFAULT),
        ("bets.example", "staff", BLOCK, Reason.PHASE_DEFAULT),
        ("nobody.example", "ks3", ALLOW, Reason.UNKNOWN_NAME),
        ("illegal.example", "staff", BLOCK, Reason.SEALED),
        ("childline.example", "ks3", ALLOW, Reason.ESSENTIAL),
        ("childline-games.example", "ks3", ALLOW, Reason.ESSENTIAL),
        ("forum.example", "ks3", WARN, Reason.PHASE_DEFAULT),
        ("www.google.com", "ks3", RESTRICT, Reason.UNKNOWN_NAME),
        ("www.google.com", "staff", ALLOW, Reason.UNKNOWN_NAME),
    ],
)
def test_what_is_usual(snapshot, host, group, action, reason):
    decision = ask(snapshot(), host, group)
    assert (decision.action, decision.reason) == (action, reason)


MANDATORY = CategoryRule("m1", "malware_phishing", BLOCK, 2, mandatory=True)


@pytest.mark.parametrize(
    ("policy", "host", "group", "action", "reason"),
    [
        # nobody opens sealed content, nobody closes an essential site
        ({"sites": [site("illegal.example", ALLOW)]}, "illegal.example", "ks3", BLOCK, Reason.SEALED),
        ({"authority_sites": [site("illegal.example", ALLOW, mandatory=True)]}, "illegal.example", "ks3", BLOCK, Reason.SEALED),
        ({"sites": [site("childline.example", BLOCK)]}, "childline.example", "ks3", ALLOW, Reason.ESSENTIAL),
        # the authority's mandatory rules stand above the school's, and its sites above its categories
        ({"authority_categories": [MANDATORY], "sites": [site("malware.example", ALLOW)]}, "malware.example", "ks3", BLOCK, Reason.AUTHORITY_CATEGORY),
        ({"authority_categories": [MANDATORY], "authority_sites": [site("malware.example", ALLOW, mandatory=True)]}, "malware.example", "ks3", ALLOW, Reason.AUTHORITY_SITE),
        # the school's sites above categories; group over school; block wins a tie; the more exact host wins
        ({"sites": [site("games.example", ALLOW)]}, "games.example", "ks3", ALLOW, Reason.SCHOOL_SITE),
        ({"sites": [site("games.example", ALLOW, groups=("ks4",))]}, "games.example", "ks3", BLOCK, Reason.PHASE_DEFAULT),
        ({"sites": [site("games.example", BLOCK), site("games.example", ALLOW, groups=("ks3",))]}, "games.example", "ks3", ALLOW, Reason.SCHOOL_SITE),
        ({"sites": [site("x.example", ALLOW, id="a"), site("x.example", BLOCK, id="b")]}, "x.example", "ks3", BLOCK, Reason.SCHOOL_SITE),
        ({"sites": [site("x.example", BLOCK), site("good.x.example", ALLOW)]}, "good.x.example", "ks3", ALLOW, Reason.SCHOOL_SITE),
        ({"sites": [site("x.example", ALLOW), site("bad.x.example", BLOCK)]}, "a.bad.x.example", "ks3", BLOCK, Reason.SCHOOL_SITE),
        # categories: the school's word for one of them does not open the other
        ({"categories": [CategoryRule("k1", "games", ALLOW, 3)]}, "games.example", "ks3", ALLOW, Reason.SCHOOL_CATEGORY),
        ({"categories": [CategoryRule("k1", "games", ALLOW, 3)]}, "both.example", "ks3", BLOCK, Reason.PHASE_DEFAULT),
        ({"categories": [CategoryRule("k1", "games", BLOCK, 3), CategoryRule("k2", "games", ALLOW, 4, groups=("ks3",))]}, "games.example", "ks3", ALLOW, Reason.SCHOOL_CATEGORY),
        ({"authority_categories": [CategoryRule("d1", "games", ALLOW, 5, phases=("ks3",))]}, "games.example", "ks3", ALLOW, Reason.DEFAULT_CATEGORY),
        ({"authority_categories": [CategoryRule("d1", "games", ALLOW, 5, phases=("ks3",))]}, "games.example", "ks4", BLOCK, Reason.PHASE_DEFAULT),
        ({"authority_sites": [site("games.example", ALLOW)]}, "games.example", "ks3", ALLOW, Reason.DEFAULT_SITE),
        ({"authority_sites": [site("games.example", ALLOW)], "sites": [site("games.example", BLOCK)]}, "games.example", "ks3", BLOCK, Reason.SCHOOL_SITE),
    ],
)  # fmt: skip
def test_who_overrules_whom(snapshot, policy, host, group, action, reason):
    decision = ask(snapshot(**policy), host, group)
    assert (decision.action, decision.reason) == (action, reason)


def test_a_persons_rule_stands_above_the_groups(snapshot):
    made = snapshot(sites=[site("x.example", BLOCK, groups=("ks3",)), site("x.example", ALLOW, person="p-1", id="p")])
    assert ask(made, "x.example").action is BLOCK
    assert ask(made, "x.example", person="p-1").action is ALLOW


@pytest.mark.parametrize(
    ("path", "follows", "action", "handling"),
    [
        ("/r/askscience", True, ALLOW, Handling.INSPECT),
        ("/r/askscience/top", True, ALLOW, Handling.INSPECT),
        ("/r/askscienceandmore", True, WARN, Handling.INSPECT),
        ("/", True, WARN, Handling.INSPECT),
        (None, True, WARN, Handling.INSPECT),
        (None, False, BLOCK, Handling.INSPECT),  # DNS alone cannot show a warning, nor see a path
    ],
)
def test_one_path_of_a_site(snapshot, path, follows, action, handling):
    made = snapshot(sites=[site("forum.example", ALLOW, path="/r/askscience")])
    decision = ask(made, "forum.example", path=path, path_follows=follows)
    assert (decision.action, decision.handling) == (action, handling)


def test_a_blocked_sites_open_path_lets_the_tunnel_open_only_where_paths_are_seen(snapshot):
    made = snapshot(sites=[site("games.example", ALLOW, path="/maths")])
    assert ask(made, "games.example", path="/other").action is BLOCK
    assert ask(made, "games.example", path=None).action is ALLOW
    assert ask(made, "games.example", path=None).handling is Handling.INSPECT
    assert ask(made, "games.example", path=None, path_follows=False).action is BLOCK


def test_what_is_private_is_not_looked_at(snapshot):
    assert ask(snapshot(), "bank.example").handling is Handling.DIRECT
    made = snapshot(sites=[site("bank.example", BLOCK)])
    assert (ask(made, "bank.example").action, ask(made, "bank.example").handling) == (BLOCK, Handling.INSPECT)
    made = snapshot(sites=[site("bank.example", BLOCK, path="/loans")])
    assert (ask(made, "bank.example", path="/loans").action, ask(made, "bank.example", path="/loans").handling) == (
        ALLOW,
        Handling.DIRECT,
    )


def test_a_rule_begins_and_ends_at_its_instant_and_until_says_so(snapshot):
    end = LESSON + timedelta(hours=1)
    made = snapshot(sites=[site("games.example", ALLOW, until=end)])
    before, after = ask(made, "games.example"), ask(made, "games.example", at=end)
    assert (before.action, before.until) == (ALLOW, end)
    assert (after.action, after.until) == (BLOCK, None)
    made = snapshot(sites=[site("games.example", ALLOW, starts=end)])
    assert (ask(made, "games.example").action, ask(made, "games.example").until) == (BLOCK, end)


def test_games_open_at_lunch(snapshot):
    made = snapshot(categories=[CategoryRule("k1", "games", ALLOW, 3, during="lunch")])
    lesson, lunch = ask(made, "games.example"), ask(made, "games.example", at=LUNCH)
    assert (lesson.action, lesson.until.hour, lesson.until.minute) == (BLOCK, 12, 10)
    assert (lunch.action, lunch.until.hour, lunch.until.minute) == (ALLOW, 13, 10)


def test_devices_of_no_school_get_the_strictest_answer_and_unknown_names(snapshot):
    def asked(host):
        return decide(snapshot(), Question("", "strictest", host, LESSON, "/")).action

    assert (asked("games.example"), asked("forum.example"), asked("nobody.example")) == (BLOCK, BLOCK, ALLOW)


def test_the_decision_says_which_list_which_rule_which_change(snapshot):
    decision = ask(snapshot(), "games.example")
    assert (decision.category, decision.list, decision.list_version, decision.revision) == ("games", "test-games", "1", 7)
    decision = ask(snapshot(sites=[site("games.example", ALLOW, id="s17", change=17)]), "games.example")
    assert (decision.rule, decision.change) == ("s17", 17)
    assert ask(snapshot(), "illegal.example").list is None, "which list holds illegal content is never told"


def test_the_precedence_ends_with_what_always_finds():
    assert PRECEDENCE[0] is sealed
    assert PRECEDENCE[-1] is unknown_name


HOSTS = st.sampled_from(
    ["games.example", "both.example", "illegal.example", "childline.example", "malware.example", "x.example"]
)
SITES = st.lists(
    st.builds(
        site,
        HOSTS,
        st.sampled_from([ALLOW, WARN, BLOCK]),
        groups=st.sampled_from([(), ("ks3",), ("ks4",)]),
        path=st.sampled_from(["", "/a", "/a/b"]),
        until=st.sampled_from([None, LESSON - timedelta(1), LESSON + timedelta(1)]),
    ),
    max_size=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SITES, HOSTS, st.sampled_from([None, "/", "/a", "/a/b/c"]), st.booleans())
def test_whatever_a_school_says(snapshot, sites, host, path, follows):
    """Sealed stays shut, essential stays open, warn and restrict are inspected, `until` is in the future."""
    decision = ask(snapshot(sites=sites), host, path=path, path_follows=follows)
    if host == "illegal.example":
        assert decision.action is BLOCK
    if host == "childline.example":
        assert decision.action is ALLOW
    if decision.action in {WARN, RESTRICT}:
        assert decision.handling is Handling.INSPECT
    assert decision.until is None or decision.until > LESSON


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SITES, HOSTS, st.sampled_from([None, "/", "/a", "/a/b/c"]))
def test_taking_an_allowance_away_never_opens_anything(snapshot, sites, host, path):
    """What `changes.tightens` relies on."""
    for index, rule in enumerate(sites):
        if rule.action is ALLOW:
            without = [each for n, each in enumerate(sites) if n != index]
            before, after = ask(snapshot(sites=sites), host, path=path), ask(snapshot(sites=without), host, path=path)
            assert STRICTNESS[after.action] >= STRICTNESS[before.action]


ALIKE = st.sampled_from(
    ["games.example", "www.games.example", "both.example", "a.both.example", "bets.example", "forum.example", "nobody.example",
     "illegal.example", "childline.example", "childline-games.example", "www.google.com", "other.example", "x.other.example",
     "club.org.uk", "www.club.org.uk", "a.club.org.uk"]
)  # fmt: skip


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(ALIKE, min_size=2, max_size=8),
    st.sampled_from(["ks3", "ks4", "staff"]),
    st.lists(st.tuples(ALIKE, st.sampled_from([ALLOW, WARN, BLOCK]), st.booleans()), max_size=3),
    st.lists(st.tuples(st.sampled_from(["games", "gambling", "forums"]), st.sampled_from([ALLOW, WARN, BLOCK])), max_size=2),
    st.booleans(),
    st.sampled_from([LESSON, LUNCH]),
    st.booleans(),
)
def test_names_that_are_alike_are_blocked_alike(snapshot, hosts, group, sites, categories, follows, at, stopped):
    rules = [site(host, action, id=f"s{n}", path="/a" if path else "") for n, (host, action, path) in enumerate(sites)]
    kinds = [CategoryRule(f"c{n}", kind, action, 2, during="lunch") for n, (kind, action) in enumerate(categories)]
    made = snapshot(sites=rules, categories=kinds)
    if stopped:
        made = suspended(made, groups=(group,))
    said = {}
    for host in hosts:
        kin = alike(made.profile("hillview", group), host)
        decision = ask(made, host, group, path=None, at=at, path_follows=follows)
        if kin is not None:
            said.setdefault(kin, []).append(decision)
    for decisions in said.values():
        if any(each.action is BLOCK for each in decisions):
            assert len(set(decisions)) == 1


def suspended(made, **more):
    """The snapshot with a suspension and one site of coursework in its school."""
    school = made.schools["hillview"]
    school = replace(
        school,
        suspensions=(Suspension("x9", 9, LESSON + timedelta(days=1), **{"groups": ("ks3",), **more}),),
        coursework=(ListedSite("w1", "forum.example", 8), ListedSite("w2", "malware.example", 8)),
    )
    return replace(made, schools={"hillview": school}, _profiles={})


@pytest.mark.parametrize(
    ("host", "group", "action", "reason"),
    [
        ("x.example", "ks3", BLOCK, Reason.SUSPENSION),
        ("allowed.example", "ks3", BLOCK, Reason.SUSPENSION),  # a rule that opens a site does not undo it
        ("x.example", "ks4", ALLOW, Reason.UNKNOWN_NAME),
        ("childline.example", "ks3", ALLOW, Reason.ESSENTIAL),
        ("illegal.example", "ks3", BLOCK, Reason.SEALED),
        ("a.forum.example", "ks3", WARN, Reason.PHASE_DEFAULT),  # coursework is as it is for everyone: it opens nothing
        ("malware.example", "ks3", BLOCK, Reason.AUTHORITY_CATEGORY),
    ],
)
def test_a_suspension_leaves_coursework_as_it_is(snapshot, host, group, action, reason):
    rules = {
        "sites": [site("allowed.example", ALLOW)],
        "authority_categories": [CategoryRule("m", "malware_phishing", BLOCK, 0, mandatory=True)],
    }
    decision = ask(suspended(snapshot(**rules)), host, group)
    assert (decision.action, decision.reason) == (action, reason)


def test_a_suspension_begins_and_ends_by_itself(snapshot):
    begin, end = LESSON + timedelta(hours=1), LESSON + timedelta(days=1)
    made = suspended(snapshot(), starts=begin)
    now, then, after = (ask(made, "x.example", at=at) for at in (LESSON, begin, end))
    assert [(one.action, one.until) for one in (now, then, after)] == [(ALLOW, begin), (BLOCK, end), (ALLOW, None)]
    assert (then.rule, then.change) == ("x9", 9)


def test_a_persons_suspension_is_hers_alone(snapshot):
    made = suspended(snapshot(), groups=(), person="p-1")
    assert ask(made, "x.example").action is ALLOW
    assert ask(made, "x.example", person="p-1").reason is Reason.SUSPENSION


def test_a_schools_own_site_that_is_never_looked_into(snapshot):
    made = snapshot(sites=[site("x.example", ALLOW), site("x.example", BLOCK, path="/chat", id="c")])
    assert ask(made, "x.example", path="/chat").action is BLOCK
    school = replace(made.schools["hillview"], never_inspect=(ListedSite("i1", "x.example", 4),))
    made = replace(made, schools={"hillview": school}, _profiles={})
    seen = ask(made, "sub.x.example", path="/chat")
    assert (seen.action, seen.handling) == (ALLOW, Handling.DIRECT)


@pytest.mark.parametrize(
    ("host", "path", "query", "action", "inner"),
    [
        ("web.archive.org", "/web/2020/https:/bets.example/x", "", BLOCK, "bets.example/x"),
        ("web.archive.org", "/web/2020/https:/free.example/x", "", ALLOW, None),
        ("web.archive.org", "/", "", ALLOW, None),
        ("bets-example.translate.goog", None, "", BLOCK, "bets.example"),
        ("translate.google.com", "/website", "u=https://forum.example/", WARN, "forum.example/"),
        # an archive of a translation of a betting site
        ("web.archive.org", "/web/2020/https:/translate.google.com/website", "u=bets.example", BLOCK, "bets.example"),
    ],
)
def test_a_site_inside_another_is_judged_too_and_the_stricter_answer_holds(snapshot, host, path, query, action, inner):
    decision = ask(snapshot(), host, path=path, query=query)
    assert (decision.action, decision.inner) == (action, inner)


def test_who_nests_sites_without_end_is_refused(snapshot):
    deep = ask(snapshot(), "r.jina.ai", path="/" + "https:/r.jina.ai/" * 9 + "free.example")
    assert (deep.action, deep.reason) == (BLOCK, Reason.ERROR)
    twice = ask(snapshot(), "r.jina.ai", path="/https:/r.jina.ai/https:/bets.example")
    assert (twice.action, twice.category) == (BLOCK, "gambling")


def test_the_outer_site_still_counts_and_an_essential_one_is_not_looked_through(snapshot):
    closed = snapshot(sites=(site("web.archive.org", BLOCK),))
    assert ask(closed, "web.archive.org", path="/web/2020/https:/free.example").reason is Reason.SCHOOL_SITE
    opened = snapshot(sites=(site("web.archive.org", ALLOW),))
    assert ask(opened, "web.archive.org", path="/web/2020/https:/bets.example").action is BLOCK


class Ours(FakeNames):
    """Our own list knows a bank and a site for adults."""

    def find(self, host, path=None):
        known = {"mybank.example": "finance_business", "adults.example": "pornography", "g00dbank.example": "education"}
        return tuple(
            Match(category, f"starter-{category}", "1", name, "") for name in parents(host) if (category := known.get(name))
        )


@pytest.mark.parametrize(
    ("host", "reason", "entry"),
    [
        ("mybаnk.example", Reason.PHASE_DEFAULT, "names"),  # a Cyrillic a
        ("www.аdults.example", Reason.PHASE_DEFAULT, "names"),
        ("mybank.example", Reason.PHASE_DEFAULT, "starter-finance_business"),
        ("g00dbank.example", Reason.PHASE_DEFAULT, "starter-education"),  # known itself
        ("g00dfriend.example", Reason.UNKNOWN_NAME, None),
    ],
)
def test_a_name_that_poses_as_one_of_our_lists(snapshot, dictionary, host, reason, entry):
    made = snapshot()
    posed = replace(made, dictionaries={dictionary.digest: replace(dictionary, index=Ours())}, _profiles={})
    decision = ask(posed, canonical_host(host))
    assert (decision.reason, decision.list) == (reason, entry)
    assert (decision.action is BLOCK) == (entry == "names")


# --- what is looked into -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("looks", "host", "handling"),
    [
        ((), "lessons.example", Handling.DIRECT),  # its category says what it is
        ((), "nobody-knows.example", Handling.INSPECT),
        ((), "www.google.com", Handling.INSPECT),
        ((), "www.youtube.com", Handling.INSPECT),
        ((), "translate.google.com", Handling.INSPECT),
        (("none",), "nobody-knows.example", Handling.DIRECT),
        (("none",), "web.archive.org", Handling.INSPECT),  # what carries other sites inside is seen whatever is chosen
        (("none",), "www.google.com", Handling.INSPECT),  # safe search is forced there
        (("search",), "nobody-knows.example", Handling.DIRECT),
        (("search",), "films.example", Handling.DIRECT),
        (("video",), "films.example", Handling.INSPECT),
        (("all",), "lessons.example", Handling.INSPECT),
        (("all",), "bank.example", Handling.DIRECT),  # private is private
    ],
)
def test_what_is_looked_into_is_policy(snapshot, looks, host, handling):
    made = snapshot()
    school = made.schools["hillview"]
    known = replace(made.dictionaries[school.dictionary], index=FakeNames({
        "lessons.example": ("education",), "films.example": ("streaming_media",), "bank.example": ("finance_business",),
    }))  # fmt: skip
    groups = tuple(replace(group, phase="staff", looks=looks) for group in school.groups)
    made = replace(
        made,
        schools={"hillview": replace(school, groups=groups)},
        dictionaries={**made.dictionaries, school.dictionary: known},
        _profiles={},
    )
    assert ask(made, host).handling is handling


def test_a_host_with_listed_pages_is_looked_into(snapshot):
    class Paged(FakeNames):
        def has_pages(self, host):
            return host == "lessons.example"

    made = snapshot()
    school = made.schools["hillview"]
    known = replace(made.dictionaries[school.dictionary], index=Paged({"lessons.example": ("education",)}))
    made = replace(made, dictionaries={**made.dictionaries, school.dictionary: known}, _profiles={})
    assert ask(made, "lessons.example").handling is Handling.INSPECT


@pytest.mark.parametrize(
    ("wording", "themes", "host", "action", "listed"),
    [
        ("block", ("pornography",), "nobody-knows.example", BLOCK, "phrases"),
        ("block", ("bullying",), "nobody-knows.example", ALLOW, None),  # no category: a note, no block
        ("block", ("csam_illegal",), "nobody-knows.example", ALLOW, None),  # words alone are never the sealed list
        ("tell", ("pornography",), "nobody-knows.example", ALLOW, None),
        ("off", ("pornography",), "nobody-knows.example", ALLOW, None),
        ("block", ("pornography",), "bank.example", ALLOW, "test-finance_business"),  # never looked into, so never judged
        ("block", ("pornography",), "www.google.com", BLOCK, "phrases"),
    ],
)
@pytest.mark.parametrize("opened", [False, True])
def test_words_count_as_their_category_where_policy_says(snapshot, wording, themes, host, action, listed, opened):
    """What the head opened by name stays open whatever a page says, but a search engine opens no search."""
    made = snapshot(sites=[site(host, ALLOW)] if opened else [])
    school = made.schools["hillview"]
    groups = tuple(replace(group, wording=wording) for group in school.groups)
    made = replace(made, schools={"hillview": replace(school, groups=groups)}, _profiles={})
    decision = ask(made, host, path="/x", themes=themes)
    if opened and host == "nobody-knows.example":
        action, listed = ALLOW, None
    assert decision.action in ({ALLOW, Action.RESTRICT} if action is ALLOW else {action})
    if not opened or listed == "phrases":
        assert decision.list == listed


WAITING = "not signed in, n1"


def waits(made):
    """The snapshot with a network on which people sign in first."""
    school = replace(made.schools["hillview"], portals=(Portal("p7", "n1", 7, required=True),))
    return replace(made, schools={"hillview": school}, _profiles={})


@pytest.mark.parametrize(
    ("host", "action", "reason"),
    [
        ("nobody.example", BLOCK, Reason.NOT_SIGNED_IN),
        ("bank.example", BLOCK, Reason.NOT_SIGNED_IN),
        ("www.google.com", BLOCK, Reason.NOT_SIGNED_IN),
        ("childline.example", ALLOW, Reason.ESSENTIAL),
        ("illegal.example", BLOCK, Reason.SEALED),
        ("captive.apple.com", BLOCK, Reason.NOT_SIGNED_IN),  # though it is essential: so that the device asks its owner
    ],
)
def test_who_has_not_signed_in_gets_essentials_alone(snapshot, dictionary, host, action, reason):
    made = waits(snapshot(sites=[site("nobody.example", ALLOW)], blocked_answer="nxdomain"))
    names = FakeNames({**NAMES, "captive.apple.com": ("essentials",)})
    made = replace(made, dictionaries={key: replace(dictionary, index=names) for key in made.dictionaries})
    said = ask(made, host, WAITING, path=None)
    assert (said.action, said.reason) == (action, reason)
    if reason is Reason.NOT_SIGNED_IN:
        assert (said.rule, said.change) == ("p7", 7), "it says which change asks for that"
    assert made.profile("hillview", WAITING).blocked_answer == "page", "or nobody would find where to sign in"
    assert ask(made, "captive.apple.com", "ks3").reason is Reason.ESSENTIAL, "who need not is told the truth"
    profile = made.profile("hillview", WAITING)
    assert alike(profile, "captive.apple.com") is None
    assert alike(profile, "childline.example") is not None


@pytest.mark.parametrize("group", ["not signed in, n2", "not signed in", "n1", "not signed in, "])
def test_there_is_such_a_group_for_a_signed_rule_alone(snapshot, group):
    with pytest.raises(KeyError):
        waits(snapshot()).profile("hillview", group)
    with pytest.raises(KeyError):
        snapshot().profile("hillview", WAITING)
