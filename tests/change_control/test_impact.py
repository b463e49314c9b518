"""What a change would have done to past traffic, counted."""

from datetime import UTC, datetime

import pytest

from category_lists.index import Match
from category_lists.taxonomy import load
from change_control.changes import CategoryWish, SiteWish
from change_control.impact import Impact, Past, after, impact
from policy.decide import Question
from policy.identity import Clients
from policy.rules import Action, AuthorityPolicy, Group, SchoolPolicy
from policy.search_engines import load as load_engines
from policy.snapshot import LoadedDictionary, Snapshot

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


class FakeNames:
    """Names that begin with their category."""

    def find(self, host, path=None):
        kind = host.partition(".")[0]
        return (Match(kind, "test", "1", host, ""),) if kind in {"games", "gambling"} else ()

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
    return Past(Question("oakfield", group, host, NOW, "/"), count, who)


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
    return impact(snapshot, after(snapshot, "oakfield", diff), traffic)


def test_what_would_have_opened(snapshot):
    assert looked(snapshot, CategoryWish("games", Action.ALLOW)) == Impact(
        29, 14, 2, 0, 0, ("Years 3-6",), (("games.example", 7), ("games.other", 7))
    )


def test_what_would_have_closed(snapshot):
    assert looked(snapshot, SiteWish("plain.example", Action.BLOCK)) == Impact(
        29, 0, 0, 11, 2, ("Years 3-6", "Staff"), (("plain.example", 11),)
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
        (Impact(9, 1, 1, 0, 0, ("Staff",), ()), "It would have let through 1 request by 1 person or device, in Staff."),
        (
            Impact(9, 2000, 3, 0, 0, ("Staff",), ()),
            "It would have let through 2,000 requests by 3 people or devices, in Staff.",
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
