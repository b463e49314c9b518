"""Who is asking, by listener and source address."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.identity import REMEMBERED, UNASSIGNED, Clients
from policy.rules import Group, Network, SchoolPolicy


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
