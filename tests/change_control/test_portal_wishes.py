"""Where people sign in: what may be asked for, in which words it is shown, and that a change of networks takes it along."""

import pytest

from category_lists.taxonomy import load
from change_control.changes import NetworkGone, NetworkWish, apply, sentence, tightens
from change_control.device_wishes import BelongingWish
from change_control.diffs import InForceAlready
from change_control.passage_wishes import PassageWish
from change_control.portal_wishes import PortalWish
from policy.grounds import undone
from policy.rules import AuthorityPolicy, Group, Network, Portal, SchoolPolicy

TAXONOMY = load()
SCHOOL = SchoolPolicy(
    "hill", "Hill", "a" * 64, "d" * 64, (Group("guest", "Guests", "guest"), Group("staff", "Staff", "staff")),
    (Network("g4", "guest", "10.9.0.0/24"), Network("g6", "guest", "fd09::/64"), Network("l4", "staff", "10.6.0.0/24", "own"),
     Network("s4", "staff", "10.5.0.0/24")),
    portals=(Portal("p1-0", "g4", 1, required=True), Portal("p1-1", "s4", 1)),
)  # fmt: skip


@pytest.mark.parametrize(
    ("wish", "told", "left"),
    [
        (PortalWish(("g6",), "required"), "On fd09::/64 people must sign in first: until then only essential sites open there.", 3),
        (PortalWish(("g4",), "offered"), "On 10.9.0.0/24 people may sign in at a page; who does not is filtered as the network is.", 2),
        (PortalWish(("g4", "s4"), "off"), "On 10.9.0.0/24 and 10.5.0.0/24 there is no sign-in page any more. Nobody has to sign in there any more.", 0),
        (PortalWish(("g4", "g6", "s4"), "required"), "On fd09::/64 and 10.5.0.0/24 people must sign in first: until then only essential sites open there.", 3),
        (BelongingWish("staff", role="portal/staff"), "People who sign in at the portal with their account of this desk are filtered as Staff, on whichever of the school’s networks.", 2),
        (BelongingWish("guest", role="portal/guest/guest"), "Guests who sign in with a code for this group are filtered as Guests, on whichever of the school’s networks.", 2),
    ],
)  # fmt: skip
def test_what_is_asked_for_is_applied_told_and_taken_back(wish, told, left):
    diff = wish.diff(7, SCHOOL, TAXONOMY)
    assert sentence(diff, SCHOOL, TAXONOMY) == told
    after = apply(SCHOOL, diff)
    assert len(after.portals) == left
    assert apply(after, undone(diff)) == SCHOOL
    assert not tightens(diff), "it moves questions between rules"


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        (PortalWish(("n9",), "required"), "no network"),
        (PortalWish((), "required"), "at least one"),
        (PortalWish(("l4",), "required"), "by the listener"),
        (PortalWish(("g4",), "maybe"), "choose"),
        (BelongingWish("staff", role="portal/guest/guest"), "this very group"),
    ],
)
def test_what_cannot_be(wish, why):
    with pytest.raises(ValueError, match=why):
        wish.diff(7, SCHOOL, TAXONOMY)


def test_what_is_so_already():
    with pytest.raises(InForceAlready):
        PortalWish(("g4",), "required").diff(7, SCHOOL, TAXONOMY)
    with pytest.raises(ValueError, match="belong to schools"):
        PortalWish(("g4",), "required").diff(7, AuthorityPolicy("b", "B", "d" * 64), TAXONOMY)


def test_a_network_that_changes_takes_its_sign_in_along():
    """Or a change of its group would quietly open it to whoever has not signed in."""
    diff = NetworkWish("10.9.0.0/24", "staff").diff(7, SCHOOL, TAXONOMY)
    after = apply(SCHOOL, diff)
    assert [(each.network, each.required) for each in after.portals] == [("n7", True), ("s4", False)]
    assert apply(after, undone(diff)) == SCHOOL
    gone = apply(SCHOOL, NetworkGone("g4").diff(8, SCHOOL, TAXONOMY))
    assert [each.network for each in gone.portals] == ["s4"]


def test_the_head_reads_that_ports_beside_the_web_wait_for_no_sign_in():
    ports = PassageWish(("10.9.0.0/24",), ("tcp/993",)).diff(7, SCHOOL, TAXONOMY)
    assert sentence(ports, SCHOOL, TAXONOMY).endswith("That holds before anybody has signed in there, too.")
    offered = PassageWish(("10.5.0.0/24",), ("tcp/993",)).diff(7, SCHOOL, TAXONOMY)
    assert "signed in" not in sentence(offered, SCHOOL, TAXONOMY)
    school = apply(SCHOOL, offered)
    both = PortalWish(("g6", "s4"), "required").diff(8, school, TAXONOMY)
    assert sentence(both, school, TAXONOMY).endswith(
        "What devices on 10.5.0.0/24 may use beside the filtered web, they may use before that, too."
    )
