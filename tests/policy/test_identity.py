"""Who is asking, by listener and source address."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.identity import REMEMBERED, UNASSIGNED, Clients
from policy.presence import Presence, Present, line
from policy.rules import Belonging, Group, Network, Portal, SchoolPolicy


def school(log, *networks):
    groups = tuple(Group(each, each, "ks2") for each in ("a", "b", "c"))
    return SchoolPolicy(log, log, "a" * 64, "d" * 64, groups, tuple(networks))


CLIENTS = Clients(
    [
        school(
            "one",
            Network("wide", "a", "10.0.0.0/8"),
            Network("site", "b", "10.1.0.0/16"),
            Network("lab", "c", "10.1.2.0/24", forced=True),
            Network("own", "c", "10.0.0.0/8", "port-1"),
            Network("six", "b", "2001:db8:1::/48"),
            Network("six-lab", "c", "2001:db8:1:2::/64"),
            Network("single", "a", "192.0.2.7/32"),
        ),
        school("two", Network("theirs", "a", "10.1.0.0/16", "port-2"), Network("street", "b", "81.2.69.0/24")),
    ]
)


@pytest.mark.parametrize(
    ("listener", "address", "school", "group", "network", "how"),
    [
        ("dns", "10.9.9.9", "one", "a", "wide", "network"),
        ("dns", "10.1.9.9", "one", "b", "site", "network"),
        ("dns", "10.1.2.3", "one", "c", "lab", "network"),
        ("port-1", "10.1.2.3", "one", "c", "own", "listener"),  # the listener's own network, though its prefix is shorter
        ("port-2", "10.1.2.3", "two", "a", "theirs", "listener"),
        ("port-2", "10.9.9.9", "one", "a", "wide", "network"),  # none of the listener's: then any listener's
        ("dns", "2001:db8:1:3::1", "one", "b", "six", "network"),
        ("dns", "2001:db8:1:2::1", "one", "c", "six-lab", "network"),
        ("dns", "2001:DB8:1:2:0::1", "one", "c", "six-lab", "network"),
        ("dns", "::ffff:10.1.2.3", "one", "c", "lab", "network"),
        ("dns", "192.0.2.7", "one", "a", "single", "network"),
        ("dns", "81.2.69.160", "two", "b", "street", "network"),
    ],
)
def test_the_network_of_an_address(listener, address, school, group, network, how):
    client = CLIENTS.of(listener, address)
    assert (client.school, client.group, client.network, client.identified_by) == (school, group, network, how)
    assert client.forced is (network == "lab")
    assert client.person is None


@pytest.mark.parametrize(
    "address",
    ["172.16.0.1", "192.168.1.1", "127.0.0.1", "169.254.1.1", "::1", "fe80::1%eth0", "fd00::1", "::ffff:192.168.1.1"],
)
def test_a_private_address_of_no_school_gets_the_strictest(address):
    assert CLIENTS.of("dns", address) is UNASSIGNED


@pytest.mark.parametrize(
    "address",
    ["81.2.70.1", "8.8.8.8", "2a00:1450:4009::1", "::ffff:8.8.8.8", "", "garbage", "10.1.2", "10.1.2.3.4", "10.1.2.300"],
)
def test_a_public_address_of_no_school_and_garbage_get_no_answer(address):
    assert CLIENTS.of("dns", address) is None


@given(st.text())
def test_no_text_raises(text):
    client = CLIENTS.of("dns", text)
    assert client is None or client.group


@given(st.ip_addresses(v=4))
def test_the_memory_of_answers_changes_none(address):
    fresh = Clients([school("one", Network("wide", "a", "10.0.0.0/8"), Network("half", "b", "128.0.0.0/1"))])
    first = fresh.of("dns", str(address))
    assert fresh.of("dns", str(address)) is first
    expected = "wide" if str(address).startswith("10.") else "half" if int(address) >> 31 else ""
    assert (first.network if first else "") == expected


def test_the_memory_has_an_end():
    clients = Clients([])
    for number in range(REMEMBERED + 2):
        clients.of(str(number), "garbage")
    assert len(clients._remembered) <= REMEMBERED


# --- who signed in, and which device ---

KNOWN = Present("one", "d-1", "lease", "p-1", "radius", "kim@one", ("Staff", "Office"))


@pytest.fixture
def there(tmp_path):
    """What is known of who is where, set by a test."""
    presence = Presence(tmp_path / "presence")

    def say(address, present):
        with (tmp_path / "presence").open("ab") as file:
            file.write(line(address, 1e12, present))
        presence.refresh(1.0)

    return presence, say


@pytest.mark.parametrize(
    ("belongings", "present", "group", "how"),
    [
        ([], KNOWN, "b", "radius"),  # nobody speaks of her: her network's group, and still her name in the log
        ([], replace(KNOWN, person="", signed_in="", user="", roles=()), "b", "lease"),
        ([("d", "a")], KNOWN, "a", "radius"),  # a rule about her device, none about her
        ([("d", "a")], replace(KNOWN, person="", signed_in="", user="", roles=()), "a", "device"),
        ([("d", "a"), ("r", "c")], KNOWN, "c", "radius"),  # the person counts before the device
        ([("r", "a"), ("u", "c")], KNOWN, "c", "radius"),  # the name before the role
        ([("p", "a"), ("r", "c")], KNOWN, "c", "radius"),  # the role before a pattern
        ([("p", "a"), ("q", "c")], KNOWN, "c", "radius"),  # the longer pattern
        ([("d", "a"), ("u", "c")], replace(KNOWN, school="two"), "b", "network"),  # known at another school
    ],
)
def test_the_order_of_confidence(there, belongings, present, group, how):
    presence, say = there
    fields = {
        "d": {"device": "d-1"},
        "u": {"user": "kim@one"},
        "r": {"role": "Office"},
        "p": {"user": "kim*"},
        "q": {"user": "*im@one"},
    }
    rules = tuple(Belonging(f"b{n}", group, 7, **fields[kind]) for n, (kind, group) in enumerate(belongings))
    clients = Clients([replace(school("one", Network("site", "b", "10.1.0.0/16")), belongings=rules)], presence)
    assert clients.of("dns", "10.1.0.5").identified_by == "network"
    say("10.1.0.5", present)
    client = clients.of("dns", "10.1.0.5")
    assert (client.school, client.group, client.network, client.identified_by) == ("one", group, "site", how)
    assert clients.of("dns", "::ffff:10.1.0.5") == client
    assert clients.of("dns", "10.1.0.5") is client, "remembered while nothing changes"
    assert clients.of("dns", "10.1.0.6").identified_by == "network"
    say("10.1.0.5", None)
    assert clients.of("dns", "10.1.0.5").identified_by == "network"


def test_who_signed_in_opens_no_network_of_nobody(there):
    presence, say = there
    clients = Clients([], presence)
    say("10.1.0.5", KNOWN)
    say("8.8.8.8", KNOWN)
    assert clients.of("dns", "10.1.0.5") is UNASSIGNED
    assert clients.of("dns", "8.8.8.8") is None


# --- networks on which people sign in at a page of ours ------------------------------------------------------------------------

GUEST = Present("one", "d-1", "neighbour", "p-1", "portal", "guest code c1 (Ms Khan)", ("portal/guest/a",))
PRINTER = Present("one", "d-9", "neighbour")
STRANGER = Present("one", "d-2", "neighbour")


@pytest.mark.parametrize(
    ("present", "required", "group", "how"),
    [
        (None, False, "b", "network"),
        (None, True, "not signed in, site", "network"),
        (STRANGER, True, "not signed in, site", "neighbour"),
        (STRANGER, False, "b", "neighbour"),
        (GUEST, True, "a", "portal"),  # by the signed rule about codes for this group
        (replace(GUEST, roles=()), True, "b", "portal"),  # a code for no group: the network's own
        (replace(GUEST, roles=("portal/guest/c",)), True, "b", "portal"),  # a code alone gives no group's rules
        (KNOWN, True, "b", "radius"),  # whoever signed in elsewhere has signed in
        (PRINTER, True, "c", "device"),  # the head's word that this device need not
        (replace(GUEST, school="two"), True, "not signed in, site", "network"),
    ],
)
def test_who_has_to_sign_in_first(there, present, required, group, how):
    presence, say = there
    rules = (
        Belonging("b1", "a", 7, role="portal/guest/a"), Belonging("b2", "c", 7, user="g*"), Belonging("b3", "c", 7, device="d-9"),
    )  # fmt: skip
    one = school("one", Network("site", "b", "10.1.0.0/16"), Network("free", "b", "10.2.0.0/16"))
    one = replace(one, belongings=rules, portals=(Portal("p1", "site", 5, required=required),))
    clients = Clients([one], presence)
    if present:
        say("10.1.0.5", present)
    client = clients.of("dns", "10.1.0.5")
    assert (client.group, client.identified_by) == (group, how)
    assert client.portal == ("required" if required else "offered")
    assert (clients.of("dns", "10.2.0.5").group, clients.of("dns", "10.2.0.5").portal) == ("b", "")
