"""Whose rules hold for devices and for people who sign in: what may be asked for, and in which words it is shown."""

import pytest

from category_lists.taxonomy import load
from change_control.changes import apply, sentence, tightens
from change_control.device_wishes import BelongingWish
from change_control.diffs import InForceAlready
from policy.grounds import undone
from policy.rules import AuthorityPolicy, Belonging, Group, SchoolPolicy, write

TAXONOMY = load()
ONE, TWO = "d-00000000000000a1", "d-00000000000000a2"
SCHOOL = SchoolPolicy(
    "hill", "Hill", "a" * 64, "d" * 64, (Group("ks3", "Years 7-9", "ks3"), Group("staff", "Staff", "staff")),
    belongings=(Belonging("b1", "staff", 1, device=ONE), Belonging("b2", "ks3", 2, user="2*@hill.sch.uk")),
)  # fmt: skip
AUTHORITY = AuthorityPolicy("birchwood", "Birchwood", "d" * 64)


@pytest.mark.parametrize(
    ("wish", "told", "left"),
    [
        (BelongingWish("ks3", (TWO,)), f"The device {TWO} is filtered as Years 7-9, on whichever of the school’s networks.", 3),
        (BelongingWish("ks3", (ONE, TWO)), "2 devices are filtered as Years 7-9, on whichever of the school’s networks.", 3),
        (BelongingWish("", (ONE,)), f"The device {ONE} is filtered as its network says.", 1),
        (BelongingWish("staff", user="*@Staff.hill.sch.uk"), "People who sign in as *@staff.hill.sch.uk are filtered as Staff, on whichever of the school’s networks.", 3),
        (BelongingWish("staff", role="Teaching  Staff"), "People of whom sign-in says Teaching Staff are filtered as Staff, on whichever of the school’s networks.", 3),
        (BelongingWish("", user="2*@hill.sch.uk"), "People who sign in as 2*@hill.sch.uk are filtered as their network says.", 1),
    ],
)  # fmt: skip
def test_what_is_asked_for_is_applied_told_and_taken_back(wish, told, left):
    diff = wish.diff(7, SCHOOL, TAXONOMY)
    assert sentence(diff, SCHOOL, TAXONOMY) == told
    after = apply(SCHOOL, diff)
    assert len(after.belongings) == left
    assert apply(after, undone(diff)) == SCHOOL
    assert not tightens(diff), "it moves questions between rules"


@pytest.mark.parametrize(
    ("wish", "document", "why"),
    [
        (BelongingWish("year9", (ONE,)), SCHOOL, "no group"),
        (BelongingWish("staff"), SCHOOL, "whom"),
        (BelongingWish("staff", (ONE,), role="Staff"), SCHOOL, "whom"),
        (BelongingWish("staff", ("00:11:22:aa:bb:cc",)), SCHOOL, "register"),
        (BelongingWish("staff", user="*"), SCHOOL, "pattern"),
        (BelongingWish("staff", user="a*b*c*d"), SCHOOL, "pattern"),
        (BelongingWish("staff", user="kim[ab]"), SCHOOL, "pattern"),
        (BelongingWish("staff", role="x" * 121), SCHOOL, "role"),
        (BelongingWish("staff", (ONE,)), AUTHORITY, "belong to schools"),
    ],
)
def test_what_cannot_be_asked_for(wish, document, why):
    with pytest.raises(ValueError, match=why):
        wish.diff(7, document, TAXONOMY)


def test_what_is_so_already_is_said():
    with pytest.raises(InForceAlready):
        BelongingWish("staff", (ONE,)).diff(7, SCHOOL, TAXONOMY)
    with pytest.raises(InForceAlready):
        BelongingWish("", (TWO,)).diff(7, SCHOOL, TAXONOMY)


def test_older_documents_keep_their_text():
    assert "belongings" not in write(SchoolPolicy("hill", "Hill", "a" * 64, "d" * 64))
