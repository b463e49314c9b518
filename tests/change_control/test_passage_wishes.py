"""Ports and ways past the filter: what may be asked for, and in which words it is shown."""

from ipaddress import ip_network

import pytest

from category_lists.taxonomy import load
from change_control.changes import NetworkGone, NetworkWish, apply, sentence, tightens
from change_control.diffs import InForceAlready
from change_control.passage_wishes import PassageWish
from policy.grounds import undone
from policy.passages import NOTHING, ways
from policy.rules import AuthorityPolicy, Group, Network, Passage, SchoolPolicy, passage_id, read_document, write

GUESTS, SERVERS, STAFF = "10.3.0.0/24", "10.4.0.0/24", "10.2.0.0/24"
SCHOOL = SchoolPolicy(
    "hill", "Hill", "a" * 64, "d" * 64, (Group("guest", "Guests", "guest"), Group("staff", "Staff", "staff")),
    networks=(Network("n1", "guest", GUESTS), Network("n2", "staff", STAFF), Network("n3", "staff", SERVERS), Network("n4", "staff", "fd00:2::/64", "port-1")),
    passages=(Passage(passage_id(STAFF), STAFF, 1, ("tcp/587", "tcp/993")),),
)  # fmt: skip
AUTHORITY = AuthorityPolicy("birchwood", "Birchwood", "d" * 64)


@pytest.mark.parametrize(
    ("wish", "told", "left", "tight"),
    [
        (PassageWish((GUESTS,), ("tcp/5228", "tcp/993")), f"Devices in {GUESTS} (Guests) may also use TCP ports 993 and 5228, and no other.", 2, False),
        (PassageWish((GUESTS,), reach=(SERVERS,)), f"Devices in {GUESTS} (Guests) may use nothing but the filtered web, and may connect to {SERVERS}.", 2, False),
        (PassageWish((SERVERS,), filtered=False), f"Devices in {SERVERS} (Staff) are not filtered: every site and every port is open to them, also while the filter is not there.", 2, False),
        (PassageWish((STAFF,), ("tcp/993",)), f"Devices in {STAFF} (Staff) may also use TCP port 993, and no other. Until now they may also use TCP ports 587 and 993, and no other.", 1, True),
        (PassageWish((STAFF,)), f"Devices in {STAFF} (Staff) may use nothing but the filtered web. Until now they may also use TCP ports 587 and 993, and no other.", 0, True),
        (PassageWish((STAFF, GUESTS), ("tcp/993", "tcp/587"), when_dead="direct"), f"Devices in {STAFF} (Staff) may also use TCP ports 587 and 993, and no other, and keep the sites that need no look while the filter is not there. Devices in {GUESTS} (Guests) may also use TCP ports 587 and 993, and no other, and keep the sites that need no look while the filter is not there.", 2, False),
    ],
)  # fmt: skip
def test_what_is_asked_for_is_applied_told_and_taken_back(wish, told, left, tight):
    diff = wish.diff(7, SCHOOL, load())
    assert sentence(diff, SCHOOL, load()) == told
    after = apply(SCHOOL, diff)
    assert len(after.passages) == left
    assert read_document(write(after)) == after
    assert write(apply(after, undone(diff))) == write(SCHOOL)
    assert tightens(diff) is tight


@pytest.mark.parametrize(
    ("wish", "document", "why"),
    [
        (PassageWish(("10.9.0.0/24",)), SCHOOL, "no network of Hill"),
        (PassageWish(("fd00:2::/64",)), SCHOOL, "no network of Hill"),  # of one listener alone
        (PassageWish(()), SCHOOL, "which network"),
        (PassageWish((GUESTS,), ("tcp/443",)), SCHOOL, "not let by"),
        (PassageWish((GUESTS,), reach=("0.0.0.0/0",)), SCHOOL, "no network of Hill"),
        (PassageWish((GUESTS,), reach=(GUESTS,)), SCHOOL, "very network"),
        (PassageWish((GUESTS,), when_dead="open"), SCHOOL, "closed or direct"),
        (PassageWish((GUESTS,)), SCHOOL, "already"),
        (PassageWish((STAFF,), ("tcp/0993", "tcp/587")), SCHOOL, "already"),
        (PassageWish((GUESTS,)), AUTHORITY, "belong to schools"),
    ],
)
def test_what_cannot_be_asked_for(wish, document, why):
    with pytest.raises(ValueError, match=why):
        wish.diff(7, document, load())


def test_what_is_so_already_is_said():
    with pytest.raises(InForceAlready):
        PassageWish((STAFF,), ("tcp/993", "tcp/587")).diff(7, SCHOOL, load())


def test_a_network_that_goes_takes_its_passage_along():
    diff = NetworkGone("n2").diff(7, SCHOOL, load())
    assert sentence(diff, SCHOOL, load()).endswith("What they may use beside the filtered web ends, too.")
    after = apply(SCHOOL, diff)
    assert after.passages == ()
    assert write(apply(after, undone(diff))) == write(SCHOOL)


def test_a_new_network_does_not_take_up_what_was_signed_for_one_that_has_gone():
    added = NetworkWish("10.7.0.0/24", "guest").diff(7, SCHOOL, load())
    school = apply(SCHOOL, added)
    school = apply(school, PassageWish(("10.7.0.0/24",), filtered=False).diff(8, school, load()))
    school = apply(school, undone(added))  # taken back, and its passage says nothing any more
    school = apply(school, NetworkWish("10.7.0.0/24", "guest").diff(9, school, load()))
    assert ways([school])[ip_network("10.7.0.0/24")] == NOTHING
    moved = NetworkWish(STAFF, "guest").diff(10, school, load())
    assert apply(school, moved).passages == school.passages, "one that is filtered as another group keeps what it had"
