"""What a change would have done to past traffic, counted."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from category_lists.index import Match
from category_lists.taxonomy import load
from change_control.changes import CategoryWish, SiteWish
from change_control.impact import Companions, Impact, Past, after, impact
from policy.decide import Question, decide
from policy.identity import Clients
from policy.rules import STRICTNESS, Action, AuthorityPolicy, CategoryRule, Group, SchoolPolicy, SiteRule, Timetable, Window
from policy.search_engines import load as load_engines
from policy.snapshot import LoadedDictionary, Snapshot

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


class FakeNames:
    """Names that begin with their category."""

    def find(self, host, path=None):
        kind = host.partition(".")[0]
        return (Match(kind, "test", "1", host, ""),) if kind in {"games", "gambling"} else ()

    def kin(self, host):
        return host.partition(".")[0] if self.find(host) else ()

    def has_pages(self, host):
        return False


@pytest.fixture(scope="module")
def snapshot():
    authority = AuthorityPolicy("birchwood", "Birchwood", "d")
    groups = (Group("ks2", "Years 3-6", "ks2"), Group("staff", "Staff", "staff"))
    school = SchoolPolicy("oakfield", "Oakfield", "a", "d", groups)
    dictionary = LoadedDictionary("d", FakeNames(), load(), load_engines())
    return Snapshot(1, authority, {"oakfield": school}, {"a": authority}, {"d": dictionary}, {}, Clients([school]))


def past(host, count=1, who="p-1", group="ks2"):
    return Past(group, host, NOW.timestamp(), "/", True, count, who, who)


TRAFFIC = [
    past("games.example", 5, "p-1"),
    past("games.example", 2, "p-2"),
    past("games.other", 7, "p-2"),
    past("games.example", 1, "p-9", "staff"),  # open to staff before and after
    past("plain.example", 10, "p-1"),
    past("plain.example", 1, "p-9", "staff"),
    past("games.example", 3, "p-3", "former"),  # a group that is no more
]


def looked(snapshot, wish, traffic=TRAFFIC):
    diff = wish.diff(1, snapshot.schools["oakfield"], load())
    return impact(snapshot, after(snapshot, "oakfield", diff), "oakfield", traffic)


def test_what_would_have_opened(snapshot):
    assert looked(snapshot, CategoryWish("games", Action.ALLOW)) == Impact(
        29, 14, 2, 0, 0, ("Years 3-6",), (("games.example", 7), ("games.other", 7)), 2, persons=True, others=True
    )


def test_what_would_have_closed(snapshot):
    assert looked(snapshot, SiteWish("plain.example", Action.BLOCK)) == Impact(
        29, 0, 0, 11, 2, ("Years 3-6", "Staff"), (("plain.example", 11),), 1, persons=True
    )


def test_a_warning_in_place_of_a_block_opens_and_in_place_of_nothing_closes(snapshot):
    found = looked(snapshot, SiteWish("example", Action.WARN))
    assert (found.opened, found.opened_for, found.closed, found.closed_for) == (7, 2, 12, 2)


def test_nothing_changes_for_nobody(snapshot):
    assert looked(snapshot, SiteWish("elsewhere.example", Action.BLOCK)) == Impact(29, 0, 0, 0, 0, (), ())
    assert looked(snapshot, SiteWish("plain.example", Action.BLOCK), []) == Impact(0, 0, 0, 0, 0, (), ())


def test_the_most_frequent_ten_sites_are_named(snapshot):
    traffic = [past(f"plain{number}.example", number) for number in range(1, 15)]
    sites = looked(snapshot, SiteWish("example", Action.BLOCK), traffic).sites
    assert sites == tuple((f"plain{number}.example", number) for number in range(14, 4, -1))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Impact(1234, 0, 0, 0, 0, (), ()), "It would have changed nothing of the 1,234 things asked for in that time."),
        (Impact(9, 1, 1, 0, 0, ("Staff",), ()), "It would have let through 1 request by 1 person or device, all in Staff."),
        (
            Impact(9, 2000, 3, 0, 0, ("Staff",), (), persons=True, others=True),
            "It would have let through 2,000 requests by 3 people, all in Staff. Nobody else is affected.",
        ),
        (
            Impact(9, 2, 2, 1, 1, ("Staff", "Years 3-6"), ()),
            "It would have let through 2 requests by 2 people or devices and stopped 1 request by 1 person or device, in Staff, Years 3-6.",
        ),
    ],
)
def test_the_sentence(found, said):
    assert found.sentence() == said


def test_the_snapshot_in_force_is_left_alone(snapshot):
    before = snapshot.schools["oakfield"]
    looked(snapshot, CategoryWish("games", Action.ALLOW))
    assert snapshot.schools["oakfield"] is before
    with pytest.raises(KeyError):
        after(snapshot, "nowhere", {})


# --- exactly what `decide` alone would have counted -----------------------------------------------------------------------

MONDAY = datetime(2026, 11, 16, 0, 0, tzinfo=UTC)
PLACES = ("games.example", "www.plain.example", "plain.example", "gambling.org", "translate.google.com", "g4mes.example")
LESSONS = Timetable("lessons", "Lessons", (Window((0, 1, 2), "09:00", "12:30"), Window((1,), "22:00", "02:00")))

moments = st.integers(0, 4 * 86_400).map(lambda seconds: MONDAY.timestamp() + seconds)
pasts = st.builds(
    Past,
    st.sampled_from(("ks2", "staff", "former")),
    st.sampled_from(PLACES),
    moments,
    st.sampled_from((None, "/", "/maths", "/maths/a", "/chat")),
    st.booleans(),
    st.integers(1, 3),
    st.sampled_from(("p-1", "p-2", "10.0.0.7")),
    st.sampled_from(("p-1", "")),
)
ends = st.none() | moments.map(lambda at: datetime.fromtimestamp(at, UTC))
site_rules = st.builds(
    SiteRule,
    st.uuids().map(lambda one: f"s{one}"),
    st.sampled_from(("plain.example", "games.example", "www.plain.example", "google.com")),
    st.sampled_from((Action.ALLOW, Action.WARN, Action.BLOCK)),
    st.just(1),
    path=st.sampled_from(("", "/maths")),
    groups=st.sampled_from(((), ("ks2",))),
    person=st.none() | st.just("p-1"),
    starts=ends,
    until=ends,
    during=st.none() | st.just("lessons"),
)
category_rules = st.builds(
    CategoryRule,
    st.uuids().map(lambda one: f"k{one}"),
    st.sampled_from(("games", "gambling", "malware_phishing")),
    st.sampled_from((Action.ALLOW, Action.BLOCK)),
    st.just(1),
    until=ends,
    during=st.none() | st.just("lessons"),
)
rule_sets = st.tuples(st.lists(site_rules, max_size=3).map(tuple), st.lists(category_rules, max_size=2).map(tuple))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rule_sets, rule_sets, st.lists(pasts, max_size=25))
def test_the_count_is_what_decide_alone_comes_to(snapshot, old, new, traffic):
    def with_rules(rules):
        school = replace(snapshot.schools["oakfield"], timetables=(LESSONS,), site_rules=rules[0], category_rules=rules[1])
        return replace(snapshot, schools={"oakfield": school}, _profiles={})

    before, then = with_rules(old), with_rules(new)
    opened = closed = 0
    for one in traffic:
        when = datetime.fromtimestamp(one.at, UTC)
        asked = Question("oakfield", one.group, one.host, when, one.path, one.follows, one.person or None)
        if one.group == "former":
            continue
        first, second = (STRICTNESS[decide(each, asked).action] for each in (before, then))
        opened, closed = opened + one.times * (second < first), closed + one.times * (second > first)
    found = impact(before, then, "oakfield", traffic)
    assert (found.opened, found.closed, found.looked_at) == (opened, closed, sum(one.times for one in traffic))


# --- what a page loads besides --------------------------------------------------------------------------------------------


def loads(minute, who, *hosts, allowed=True):
    at = NOW.timestamp() - 60 * minute
    return [Past("ks2", host, at, who=who, allowed=allowed) for host in hosts]


def test_names_that_come_with_a_site_are_found_and_those_that_are_always_there_are_not():
    found = Companions(["lesson.example"])
    found.feed(loads(1, "a", "www.lesson.example", "cdn.example", "telemetry.example"))
    found.feed(loads(2, "b", "lesson.example", "cdn.example", "telemetry.example", "rare.example"))
    found.feed(loads(3, "c", "telemetry.example", "news.example") + loads(3, "d", "telemetry.example"))
    found.feed(loads(4, "e", "blocked.example", allowed=False))
    assert found.found() == ("cdn.example",)


def test_one_load_says_nothing_about_what_comes_with_it():
    found = Companions(["lesson.example"])
    found.feed(loads(1, "a", "lesson.example", "cdn.example"))
    assert found.found() == ()
