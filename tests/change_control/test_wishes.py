"""Each kind of change: its plain sentence, what it does to the policy, and that taking it back leaves no trace."""

from datetime import UTC, date, datetime

import pytest

from category_lists.taxonomy import load
from change_control import changes
from change_control.changes import CategoryWish, NetworkGone, NetworkWish, SiteWish
from change_control.group_wishes import GroupWish, InspectionWish, SafetyWish
from change_control.hour_wishes import TimetableWish
from change_control.people_wishes import SuspensionWish
from change_control.school_wishes import AnswerWish, TenantsWish
from change_control.site_wishes import ListedWish
from policy.grounds import undone
from policy.rules import (
    Action,
    AuthorityPolicy,
    Group,
    ListedSite,
    Network,
    SchoolPolicy,
    SiteRule,
    Suspension,
    Timetable,
    Window,
    read_document,
    write,
)

END = datetime(2026, 12, 18, 23, 59, tzinfo=UTC)
WEEK = (0, 1, 2, 3, 4)
LUNCH = Timetable("lunch", "Lunch", (Window(WEEK, "12:10", "13:10"),))
SCHOOL = SchoolPolicy(
    "hillview",
    "Hillview Academy",
    "a" * 64,
    "d" * 64,
    groups=(Group("ks3", "Years 7-9", "ks3"), Group("ks4", "Years 10-11", "ks4")),
    networks=(Network("n1", "ks3", "10.3.0.0/16"),),
    timetables=(LUNCH, Timetable("prep", "Prep", (Window((0,), "17:00", "19:00"),))),
    site_rules=(SiteRule("s3", "poki.com", Action.ALLOW, 3, during="lunch"),),
    coursework=(ListedSite("w2", "seneca.example", 2),),
    never_inspect=(ListedSite("i2", "clinic.example", 2),),
)
TERM = ((date(2026, 9, 3), date(2026, 10, 23)),)

# wish, sentence, what is proven to tighten
KINDS = [
    (
        SiteWish("https://www.reddit.com/r/askscience", Action.ALLOW, ("ks4",), END, "lunch"),
        ("Years 10-11 may use www.reddit.com/r/askscience during Lunch (Monday to Friday 12:10 to 13:10) until the end of Friday "
        "18 December 2026. Nothing else of www.reddit.com opens."),
        False,
    ),
    (SiteWish("poki.com", Action.BLOCK), "Everyone at Hillview Academy may no longer use poki.com until someone changes it.", True),
    (
        CategoryWish("games", Action.BLOCK, ("ks3",), during="lunch"),
        ("Years 7-9 may no longer use sites in the category Games during Lunch (Monday to Friday 12:10 to 13:10) until someone "
        "changes it."),
        True,
    ),
    (TimetableWish("Lessons", (Window(WEEK, "09:00", "12:10"),), TERM), "Lessons is Monday to Friday 09:00 to 12:10, in term time only: 3 September 2026 to 23 October 2026.", False),
    (TimetableWish("Night", (Window((4, 5), "22:00", "06:00"),)), "Night is Friday and Saturday 22:00 to 06:00, past midnight.", False),
    (TimetableWish("", (Window(WEEK, "12:00", "13:00"),), (), "lunch"), "Lunch is Monday to Friday 12:00 to 13:00. Every rule that goes by these hours follows.", False),
    (TimetableWish("", (), (), "prep"), "The timetable Prep is taken away.", False),
    (GroupWish("Year 6", "ks2"), "A group Year 6 begins, with what is usual for key stage 2.", False),
    (GroupWish("Year 10", "ks3", "ks4"), "The group Years 10-11 is called Year 10. Year 10 gets what is usual for key stage 3, no longer for key stage 4.", False),
    (SafetyWish("ks4", safe_search=False), "The group Years 10-11 may search without safe search.", False),
    (SafetyWish("ks4", safe_search=True, video="moderate"), "The group Years 10-11 has safe search and restricted video forced on; video sites leave out what is for adults.", False),
    (AnswerWish("null"), "At Hillview Academy, a blocked name leads nowhere, to the address 0.0.0.0; until now it leads to the page that says so.", True),
    (TenantsWish("Oakfield.sch.uk, b.example"), "At Google, only accounts of oakfield.sch.uk and b.example may sign in from Hillview Academy.", False),
    (TenantsWish("", "oakfield.sch.uk", "8F4E2C1A-35b2-4c23-b3b3-32360826f3d1"), "At Microsoft, only accounts of oakfield.sch.uk may sign in from Hillview Academy.", False),
    (InspectionWish("ks4", ("all",)), "For the group Years 10-11, the content of every site that is not private is looked into.", False),
    (InspectionWish("ks4", ("none",), "tell"), "For the group Years 10-11, open sites are looked into only where a rule needs it. Words in searches and pages are noted in the filter log and block nothing.", False),
    (InspectionWish("ks4", ("video", "search"), "off"), "For the group Years 10-11, the content of search engines and video sites is looked into. Words in searches and pages are not judged.", False),
    (NetworkWish("10.4.0.0/16", "ks4", forced=True), "Devices with addresses in 10.4.0.0/16 are filtered as Years 10-11. Their web traffic cannot go round the proxy.", False),
    (NetworkWish("10.3.0.0/16", "ks4"), "Devices with addresses in 10.3.0.0/16 are filtered as Years 10-11.", False),
    (NetworkGone("n1"), "Devices with addresses in 10.3.0.0/16 are no longer the school’s, so they get the strictest rules.", False),
    (ListedWish("never_inspect", "portal.example"), "The content of portal.example is never looked into for anyone at Hillview Academy: no page warnings, no search words, no rules about parts of it.", False),
    (ListedWish("never_inspect", "clinic.example", gone=True), "The content of clinic.example is looked into again.", False),
    (ListedWish("coursework", "exams.example"), "exams.example stays as it is for those whose internet access is suspended.", False),
    (ListedWish("coursework", "seneca.example", gone=True), "seneca.example is no longer kept from a suspension.", True),
    (SuspensionWish(END, ("ks3",)), "Years 7-9 may not use the internet until the end of Friday 18 December 2026. It ends by itself. Coursework stays open: seneca.example.", True),
    (SuspensionWish(END, (), "p-4f2c"), "The person p-4f2c may not use the internet until the end of Friday 18 December 2026. It ends by itself. Coursework stays open: seneca.example.", True),
]  # fmt: skip


@pytest.mark.parametrize(("wish", "sentence", "tightens"), KINDS)
def test_each_kind_says_what_it_does_and_is_undone_without_a_trace(wish, sentence, tightens):
    diff = wish.diff(17, SCHOOL, load())
    assert changes.sentence(diff, SCHOOL, load()) == sentence
    assert changes.tightens(diff) is tightens
    after = changes.apply(SCHOOL, diff)
    assert after != SCHOOL
    assert read_document(write(after)) == after
    assert write(changes.apply(after, undone(diff))) == write(SCHOOL)
    with pytest.raises(changes.DoesNotFit):
        changes.apply(after, diff)


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        (SiteWish("poki.com", Action.ALLOW, during="never"), "no timetable"),
        (TimetableWish("", (), (), "lunch"), "change 3"),
        (TimetableWish("Lunch", (Window(WEEK, "09:00", "12:10"),)), "already"),
        (TimetableWish("x", (Window(WEEK, "09:00", "12:10"),)), "name"),
        (TimetableWish("Lessons", ()), "which hours"),
        (TimetableWish("Lessons", (Window(WEEK, "09:00", "12:10"),), ((date(2026, 9, 3), date(2026, 9, 1)),)), "term"),
        (TimetableWish("", LUNCH.windows, (), "lunch"), "already"),
        (GroupWish("years 7-9", "ks3"), "already"),
        (GroupWish("Year 7", "ks9"), "no phase"),
        (GroupWish("Years 7-9", "ks3", "ks3"), "already"),
        (SafetyWish("ks3", safe_search=True), "already"),
        (SafetyWish("ks9", safe_search=True), "no group"),
        (SafetyWish("ks4", safe_search=True, video="some"), "strict, moderate or off"),
        (AnswerWish("page"), "already"),
        (AnswerWish("refused"), "nxdomain"),
        (TenantsWish(), "already"),
        (TenantsWish("oakfield"), "not a domain"),
        (TenantsWish("", "oakfield.sch.uk"), "both"),
        (TenantsWish("", "oakfield.sch.uk", "12"), "number"),
        (InspectionWish("ks4", ("unknown", "search", "video")), "already"),
        (InspectionWish("ks4", ("pictures",)), "search, video, unknown, all or none"),
        (InspectionWish("ks4", ("none", "video")), "either none"),
        (InspectionWish("ks4", (), "shout"), "block, tell or be off"),
        (InspectionWish("ks9", ("all",)), "no group"),
        (NetworkGone("n9"), "no network"),
        (ListedWish("coursework", "seneca.example"), "already"),
        (ListedWish("coursework", "other.example", gone=True), "not on this list"),
        (ListedWish("never_inspect", "clinic.example/a"), "whole sites"),
        (SuspensionWish(END), "whose"),
        (SuspensionWish(END, ("ks3",), "p-1"), "whose"),
        (SuspensionWish(END, ("ks3",), None, END), "ends after"),
    ],
)
def test_what_cannot_be_asked_for_is_said(wish, says):
    with pytest.raises(ValueError, match=says):
        wish.diff(17, SCHOOL, load())


@pytest.mark.parametrize(
    "wish",
    [GroupWish("Year 6", "ks2"), SuspensionWish(END, ("ks3",)), ListedWish("coursework", "a.example"), NetworkGone("n1")],
)
def test_an_authority_has_none_of_these(wish):
    with pytest.raises(ValueError, match="belong to schools"):
        wish.diff(1, AuthorityPolicy("birchwood", "Birchwood", "d" * 64), load())


def test_a_suspension_in_force_is_a_value_of_the_policy():
    after = changes.apply(SCHOOL, SuspensionWish(END, ("ks3",)).diff(17, SCHOOL, load()))
    assert after.suspensions == (Suspension("x17", 17, END, None, ("ks3",)),)
    assert changes.until(SuspensionWish(END, ("ks3",)).diff(17, SCHOOL, load())) == END
