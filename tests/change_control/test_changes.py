"""From a wish to a diff, a policy and a sentence."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from category_lists.taxonomy import load
from change_control.changes import (
    CategoryWish,
    DoesNotFit,
    InForceAlready,
    ListChange,
    ListsWish,
    NetworkWish,
    ReverseWish,
    SiteWish,
    apply,
    founding,
    plain,
    sentence,
    tightens,
    until,
)
from policy.grounds import undone
from policy.rules import Action, AuthorityPolicy, CategoryRule, Group, Network, SchoolPolicy, SiteRule

ALLOW, WARN, BLOCK = Action.ALLOW, Action.WARN, Action.BLOCK
TAXONOMY = load()
END = datetime(2026, 12, 18, 15, 30, tzinfo=UTC)
SCHOOL = SchoolPolicy(
    "oakfield",
    "Oakfield",
    "a" * 64,
    "d" * 64,
    groups=(Group("ks1", "Years 1-2", "ks1"), Group("ks2", "Years 3-6", "ks2"), Group("staff", "Staff", "staff")),
    networks=(Network("n0", "ks2", "10.0.0.0/8", forced=True),),
    site_rules=(SiteRule("s0", "old.example", BLOCK, 0), SiteRule("s00", "older.example", ALLOW, 0)),
    category_rules=(CategoryRule("k0", "games", ALLOW, 0, ("ks2",)),),
)
AUTHORITY = AuthorityPolicy("birchwood", "Birchwood", "d" * 64)


def diff_of(wish, document=SCHOOL, change=7):
    return wish.diff(change, document, TAXONOMY)


def list_wish(dictionary, name, entries):
    return ListsWish(dictionary, (ListChange(name, "games", "1", "f" * 64, entries),))


ACTIONS = st.sampled_from([ALLOW, WARN, BLOCK])
GROUPS = st.sets(st.sampled_from(["ks1", "ks2", "staff"])).map(tuple)
WISHES = st.one_of(
    st.builds(
        SiteWish,
        st.sampled_from(["a.example", "https://B.example/x/", "10.1.1.1"]),
        ACTIONS,
        GROUPS,
        st.sampled_from([None, END]),
    ),
    st.builds(CategoryWish, st.sampled_from(["games", "gambling"]), ACTIONS, GROUPS, st.sampled_from([None, END])),
    st.builds(
        NetworkWish, st.sampled_from(["10.0.0.0/8", "10.1.0.0/16", "2001:DB8::/32"]), st.sampled_from(["ks1", "staff"])
    ),
    st.builds(lambda many: list_wish("e" * 64, "mine", many), st.integers(0, 9)),
)


@given(st.lists(WISHES, max_size=5))
def test_what_is_done_can_be_undone(wishes):
    documents, diffs = [SCHOOL], []
    for change, wish in enumerate(wishes, 1):
        try:
            diffs.append(diff_of(wish, documents[-1], change))
        except InForceAlready:
            return  # the same network or dictionary once more
        documents.append(apply(documents[-1], diffs[-1]))
    while diffs:
        last = documents.pop()
        assert undone(undone(diffs[-1])) | {"kind": "", "lists": ""} == diffs[-1] | {"kind": "", "lists": ""}
        assert apply(last, undone(diffs.pop())) == documents[-1]


def test_a_policy_is_founded_once():
    assert apply(None, founding(SCHOOL)) == SCHOOL
    with pytest.raises(DoesNotFit, match="founded once"):
        apply(SCHOOL, founding(SCHOOL))
    with pytest.raises(DoesNotFit, match="no policy"):
        apply(None, diff_of(SiteWish("a.example", BLOCK)))


def bare(**parts):
    return {"kind": "site", "change": 1, "add": {}, "remove": {}, "set": {}} | parts


RULE = plain(SCHOOL.site_rules[0])


@pytest.mark.parametrize(
    ("document", "diff"),
    [
        (SCHOOL, bare(add={"site_rules": [RULE]})),  # there already
        (SCHOOL, bare(add={"site_rules": [RULE | {"host": "other.example"}]})),  # another of that id is
        (SCHOOL, bare(remove={"site_rules": [RULE | {"id": "s9"}]})),  # not there
        (SCHOOL, bare(remove={"site_rules": [RULE | {"action": "allow"}]})),  # not as it is
        (SCHOOL, bare(remove={"site_rules": [RULE, RULE]})),
        (SCHOOL, bare(set={"dictionary": ["x", "y"]})),  # was not x
        (SCHOOL, bare(set={"name": ["Oakfield", "Another"]})),
        (SCHOOL, bare(set={"timezone": ["Europe/London", "UTC"]})),
        (SCHOOL, bare(add={"groups": [plain(SCHOOL.groups[0])]})),
        (AUTHORITY, bare(add={"networks": [plain(SCHOOL.networks[0])]})),
        (AUTHORITY, bare(set={"authority": ["a", "b"]})),
    ],
)
def test_what_was_made_on_another_ground_does_not_fit(document, diff):
    with pytest.raises(DoesNotFit):
        apply(document, diff)


@pytest.mark.parametrize(
    "rule",
    [
        RULE | {"id": "s9", "host": "BAD"},
        RULE | {"id": "s9", "surprise": 1},
        {"id": "s9"},
        RULE | {"id": "s9", "action": "restrict"},
    ],
)
def test_what_is_no_rule_is_refused(rule):
    with pytest.raises(ValueError):
        apply(SCHOOL, bare(add={"site_rules": [rule]}))


@pytest.mark.parametrize(
    ("wish", "document", "why"),
    [
        (SiteWish("", ALLOW), SCHOOL, "name must have"),
        (SiteWish("not a site", ALLOW), SCHOOL, "letters, digits"),
        (SiteWish("gopher://a.example", ALLOW), SCHOOL, "Only web addresses"),
        (SiteWish("a.example?q=1", ALLOW), SCHOOL, "question mark"),
        (SiteWish("a.example", "permit"), SCHOOL, "permit"),
        (SiteWish("a.example", ALLOW, ("ks9",)), SCHOOL, "no group 'ks9'.*ks1, ks2, staff"),
        (SiteWish("a.example", ALLOW, ("ks2",)), AUTHORITY, "no group"),
        (CategoryWish("nonsense", ALLOW), SCHOOL, "no category 'nonsense'"),
        (CategoryWish("csam_illegal", ALLOW), SCHOOL, "locked"),
        (CategoryWish("csam_illegal", BLOCK), SCHOOL, "locked"),
        (CategoryWish("essentials", BLOCK), SCHOOL, "stay open"),
        (CategoryWish("games", ALLOW, ("ks9",)), SCHOOL, "no group"),
        (NetworkWish("10.1.0.0/16", "ks9"), SCHOOL, "no group"),
        (NetworkWish("10.1.0.1/16", "ks2"), SCHOOL, "host bits"),
        (NetworkWish("everywhere", "ks2"), SCHOOL, "everywhere"),
        (NetworkWish("10.0.0.0/8", "ks2"), SCHOOL, "Years 3-6 already"),
        (NetworkWish("10.1.0.0/16", "ks2"), AUTHORITY, "belong to schools"),
        (list_wish("d" * 64, "mine", 3), SCHOOL, "in force already"),
    ],
)
def test_a_wish_that_cannot_be(wish, document, why):
    with pytest.raises(ValueError, match=why):
        diff_of(wish, document)


def test_a_site_is_written_in_its_one_form():
    (rule,) = diff_of(SiteWish(" HTTPS://WWW.B.Example:443/x/%41/ ", WARN, ("staff", "ks1")))["add"]["site_rules"]
    assert (rule["host"], rule["path"], rule["groups"], rule["id"], rule["change"]) == (
        "www.b.example",
        "/x/A",
        ["ks1", "staff"],
        "s7",
        7,
    )
    (rule,) = diff_of(SiteWish("a.example/", BLOCK))["add"]["site_rules"]
    assert rule["path"] == "", "the whole site"


def test_a_category_rule_replaces_the_one_for_the_same_groups_only():
    assert [rule["id"] for rule in diff_of(CategoryWish("games", BLOCK, ("ks2",)))["remove"]["category_rules"]] == ["k0"]
    assert diff_of(CategoryWish("games", BLOCK, ("ks1",)))["remove"] == {}
    assert diff_of(CategoryWish("gambling", BLOCK, ("ks2",)))["remove"] == {}


def test_the_same_addresses_move_from_group_to_group():
    moved = apply(SCHOOL, diff_of(NetworkWish("10.0.0.0/255.0.0.0", "staff")))
    assert moved.networks == (Network("n7", "staff", "10.0.0.0/8", forced=True),)
    beside = apply(SCHOOL, diff_of(NetworkWish("10.0.0.0/8", "staff", "port-1")))
    assert len(beside.networks) == 2, "another listener's is another network"


@pytest.mark.parametrize(
    ("diff", "tight"),
    [
        (diff_of(SiteWish("a.example", BLOCK)), True),
        (diff_of(SiteWish("a.example", WARN)), False),
        (diff_of(SiteWish("a.example", ALLOW)), False),
        (diff_of(CategoryWish("games", BLOCK, ("ks2",))), True),  # an allow goes, a block comes
        (diff_of(CategoryWish("games", WARN, ("ks2",))), False),
        (undone(diff_of(SiteWish("a.example", ALLOW))), True),
        (undone(diff_of(SiteWish("a.example", WARN))), False),
        (undone(diff_of(SiteWish("a.example", BLOCK))), False),
        (undone(diff_of(CategoryWish("games", BLOCK, ("ks2",)))), False),
        (diff_of(NetworkWish("10.1.0.0/16", "ks1")), False),
        (undone(diff_of(NetworkWish("10.1.0.0/16", "ks1"))), False),
        (diff_of(list_wish("e" * 64, "mine", 3)), False),
        (founding(SCHOOL), False),
    ],
)
def test_what_is_proven_to_tighten(diff, tight):
    assert tightens(diff) is tight


def test_a_change_ends_when_all_that_it_adds_has_ended():
    assert until(diff_of(SiteWish("a.example", ALLOW, until=END))) == END
    assert until(diff_of(SiteWish("a.example", ALLOW))) is None
    assert until(undone(diff_of(SiteWish("a.example", ALLOW, until=END)))) is None
    assert until(founding(SCHOOL)) is None
    two = diff_of(SiteWish("a.example", ALLOW, until=END))
    two["add"]["site_rules"].append(two["add"]["site_rules"][0] | {"until": None})
    assert until(two) is None


@pytest.mark.parametrize(
    ("diff", "document", "said"),
    [
        (diff_of(SiteWish("a.example", ALLOW, ("ks2",), END)), SCHOOL, "Years 3-6 may use a.example until Friday 18 December 2026 at 15:30."),
        (diff_of(SiteWish("a.example", BLOCK)), SCHOOL, "Everyone at Oakfield may no longer use a.example until someone changes it."),
        (diff_of(SiteWish("a.example/b", WARN, ("ks1", "ks2"))), SCHOOL, "Years 1-2 and Years 3-6 will see a warning before a.example/b until someone changes it. Nothing else of a.example opens."),
        (diff_of(SiteWish("a.example/b", BLOCK, ("ks1", "ks2", "staff"))), SCHOOL, "Years 1-2, Years 3-6 and Staff may no longer use a.example/b until someone changes it."),
        (diff_of(SiteWish("a.example", BLOCK), AUTHORITY), AUTHORITY, "Everyone in every school of Birchwood may no longer use a.example until someone changes it. A school may decide otherwise."),
        (diff_of(CategoryWish("games", WARN, ("staff",))), SCHOOL, "Staff will see a warning before sites in the category Games until someone changes it."),
        (diff_of(NetworkWish("10.1.0.0/16", "ks2")), SCHOOL, "Devices with addresses in 10.1.0.0/16 are filtered as Years 3-6."),
        (diff_of(list_wish("e" * 64, "ut1-games", 12345)), SCHOOL, "Oakfield filters with the list ut1-games: 12,345 sites in the category Games."),
        (diff_of(ReverseWish(diff_of(SiteWish("a.example", BLOCK)))), SCHOOL, "Change 7 is taken back: everything is as it was before it."),
        (founding(SCHOOL), SCHOOL, "Oakfield begins, with what is usual at each age."),
        (bare(kind="surprise"), SCHOOL, "A change of kind surprise."),
    ],
)  # fmt: skip
def test_the_sentence(diff, document, said):
    assert sentence(diff, document, TAXONOMY) == said


def test_a_category_and_a_group_that_are_gone_are_still_named():
    diff = diff_of(CategoryWish("games", BLOCK, ("ks2",)))
    diff["add"]["category_rules"][0] |= {"category": "gone", "groups": ["former"]}
    assert sentence(diff, replace(SCHOOL, groups=()), TAXONOMY) == (
        "former may no longer use sites in the category gone until someone changes it."
    )
