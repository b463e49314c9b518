"""A decision in one plain sentence."""

from datetime import UTC, datetime

import pytest

from policy.decide import REFUSED_ON_ERROR, Question, Reason, decide
from policy.rules import Action, CategoryRule, SiteRule
from policy.words import WHY, because, sentence, uk_date, uk_end

from .conftest import LESSON

ALLOW, WARN, BLOCK = Action.ALLOW, Action.WARN, Action.BLOCK
MANDATORY = CategoryRule("m1", "malware_phishing", BLOCK, 0, mandatory=True)
DEFAULT = CategoryRule("d1", "games", ALLOW, 0, phases=("ks3",))
UNTIL = datetime(2026, 12, 18, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("policy", "host", "group", "said"),
    [
        ({}, "illegal.example", "ks3", "Years 7-9 at Hillview Academy may not open illegal.example. It is blocked."),
        ({}, "childline.example", "ks3", "Years 7-9 at Hillview Academy may open childline.example. It is one of the essential sites that always stay open."),
        ({"authority_sites": [SiteRule("a1", "x.example", BLOCK, 0, mandatory=True)]}, "x.example", "ks4", "Years 10-11 at Hillview Academy may not open x.example. Birchwood has a rule about this site for every school."),
        ({"authority_categories": [MANDATORY]}, "malware.example", "staff", "Staff at Hillview Academy may not open malware.example. Birchwood has a rule about Malware and scams for every school."),
        ({"sites": [SiteRule("s1", "x.example", ALLOW, 17)]}, "x.example", "ks3", "Years 7-9 at Hillview Academy may open x.example. The school has a rule about this site (change 17)."),
        ({"sites": [SiteRule("s1", "x.example", ALLOW, 17, until=UNTIL)]}, "x.example", "ks3", "Years 7-9 at Hillview Academy may open x.example. The school has a rule about this site (change 17). This may change on Friday 18 December 2026 at 15:30."),
        ({"categories": [CategoryRule("k1", "games", WARN, 3)]}, "games.example", "ks4", "Years 10-11 at Hillview Academy will see a warning before games.example. The school has a rule about Games (change 3)."),
        ({"authority_sites": [SiteRule("a1", "x.example", ALLOW, 0)]}, "x.example", "ks3", "Years 7-9 at Hillview Academy may open x.example. Birchwood suggests this for its schools."),
        ({"authority_categories": [DEFAULT]}, "games.example", "ks3", "Years 7-9 at Hillview Academy may open games.example. Birchwood suggests this for Games."),
        ({}, "games.example", "ks3", "Years 7-9 at Hillview Academy may not open games.example. It is in the category Games, and this is what is usual at this age."),
        ({}, "games.example", "staff", "Staff at Hillview Academy may open games.example. It is in the category Games, and this is what is usual for staff."),
        ({}, "nobody.example", "ks3", "Years 7-9 at Hillview Academy may open nobody.example. It is in no category, and this is what is usual at this age for such sites."),
        ({}, "nobody.example", "staff", "Staff at Hillview Academy may open nobody.example. It is in no category, and this is what is usual for staff for such sites."),
        ({}, "www.google.com", "ks3", "Years 7-9 at Hillview Academy may open, with safe search on, www.google.com. It is in no category, and this is what is usual at this age for such sites."),
    ],
)  # fmt: skip
def test_the_sentence(snapshot, policy, host, group, said):
    made = snapshot(**policy)
    asked = Question("hillview", group, host, LESSON)
    decision = decide(made, asked)
    assert sentence(made, decision, asked) == said


def test_devices_of_no_school(snapshot):
    made, asked = snapshot(), Question("", "strictest", "games.example", LESSON)
    assert sentence(made, decide(made, asked), asked) == (
        "Devices that belong to no school may not open games.example. "
        "It is in the category Games, and this is what is usual for devices that belong to no school."
    )


def test_a_refusal_on_error_and_a_category_that_is_gone_can_be_said_too(snapshot):
    made = snapshot()
    profile = made.profile("hillview", "ks3")
    assert because(made, profile, REFUSED_ON_ERROR) == "The filter could not decide, so it refused."
    assert set(WHY) == set(Reason), "every reason has its sentence"


@pytest.mark.parametrize(
    ("moment", "date", "end"),
    [
        (datetime(2026, 12, 18, 15, 30, tzinfo=UTC), "Friday 18 December 2026 at 15:30", "Friday 18 December 2026 at 15:30"),
        (datetime(2026, 7, 1, 8, 5, tzinfo=UTC), "Wednesday 1 July 2026 at 09:05", "Wednesday 1 July 2026 at 09:05"),
        (datetime(2026, 7, 1, 22, 59, tzinfo=UTC), "Wednesday 1 July 2026 at 23:59", "the end of Wednesday 1 July 2026"),
    ],
)
def test_moments_as_the_uk_says_them(moment, date, end):
    assert (uk_date(moment), uk_end(moment)) == (date, end)
