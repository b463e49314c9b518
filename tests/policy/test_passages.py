"""Ways past the filter: how ports are written, what a way lets through, and when one is within another."""

from dataclasses import replace
from ipaddress import ip_network
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.grounds import tightens, undone
from policy.passages import FILTERED, NOTHING, Way, in_words, port, ways
from policy.rules import Group, Network, Passage, SchoolPolicy, passage_id


@pytest.mark.parametrize(
    ("text", "written"), [("tcp/0993", "tcp/993"), ("udp/5000-5000", "udp/5000"), ("tcp/1-52", "tcp/1-52"), ("all", "all")]
)
def test_ports(text, written):
    assert port(text) == written


@pytest.mark.parametrize(
    "text", ["", "tcp", "tcp/", "tcp/0", "tcp/5-", "tcp/-5", "tcp/9-5", "sctp/5", "tcp/70000", "TCP/5", "tcp/٣"]
)
def test_what_is_no_port(text):
    with pytest.raises(ValueError, match="is not a port"):
        port(text)


@pytest.mark.parametrize("text", ["tcp/443", "tcp/80", "udp/53", "udp/1-1000", "tcp/800-900", "udp/784"])
def test_what_is_filtered_is_never_let_by(text):
    with pytest.raises(ValueError, match="filtered and not let by"):
        port(text)


PORTS = st.lists(
    st.sampled_from(["tcp/993", "tcp/990-1000", "tcp/1001", "udp/993", "udp/5000-5100", "udp/5050", "all"]), max_size=4
)
REACH = st.lists(st.sampled_from(["10.1.0.0/16", "10.1.2.0/24", "10.2.0.0/16", "fd00:1::/64"]), max_size=2)
WAYS = st.builds(
    Way,
    PORTS.map(lambda some: tuple(sorted(set(some)))),
    REACH.map(tuple),
    st.booleans(),
    st.sampled_from(["closed", "direct"]),
)
TRIED = [*product(("tcp", "udp"), (993, 995, 1001, 5000, 5050, 5100, 22)), *FILTERED]


@settings(max_examples=200, deadline=None)
@given(WAYS, WAYS)
def test_a_way_within_another_lets_nothing_more_through(one, other):
    assert NOTHING.within(one)
    assert one.within(one)
    if one.within(other):
        assert not [each for each in TRIED if one.lets(*each) and not other.lets(*each)]
        assert other.filtered <= one.filtered or not other.filtered


@pytest.mark.parametrize(
    ("one", "other", "within"),
    [
        (Way(("tcp/993",)), Way(("tcp/990-995",)), True),
        (Way(("tcp/990-1001",)), Way(("tcp/990-1000", "tcp/1001")), True),  # two that touch are one
        (Way(("tcp/990-1002",)), Way(("tcp/990-1000", "tcp/1002")), False),
        (Way(("tcp/993",)), Way(("udp/993",)), False),
        (Way(("all",)), Way(("tcp/993",)), False),
        (Way(("tcp/993", "udp/1")), Way(("all",)), True),
        (Way(("all",)), Way(filtered=False), True),
        (Way(filtered=False), Way(("all",)), False),
        (Way(reach=("10.1.2.0/24",)), Way(reach=("10.1.0.0/16",)), True),
        (Way(reach=("10.1.0.0/16",)), Way(filtered=False), False),
        (Way(when_dead="direct"), NOTHING, False),
        (Way(when_dead="direct"), Way(filtered=False), True),
    ],
)
def test_within(one, other, within):
    assert one.within(other) is within


def passage(prefix="10.1.0.0/16", ports=(), **more):
    return {
        "id": passage_id(prefix),
        "prefix": prefix,
        "change": 1,
        "ports": list(ports),
        "reach": [],
        "filtered": True,
        "when_dead": "closed",
        **more,
    }


def diff(add=(), remove=(), **more):
    return {
        "kind": "passage",
        "change": 2,
        "add": {"passages": list(add)},
        "remove": {"passages": list(remove)},
        "set": {},
        **more,
    }


@pytest.mark.parametrize(
    ("diff", "tight"),
    [
        (diff([passage(ports=["tcp/993"])]), False),
        (undone(diff([passage(ports=["tcp/993"])])), True),
        (diff([passage(ports=["tcp/993"])], [passage(ports=["tcp/993", "tcp/25"])]), True),
        (diff([passage(ports=["tcp/993"])], [passage("10.2.0.0/16", ["tcp/993"])]), False),  # another network's
        (diff([passage()], [passage(filtered=False)]), True),
        (diff([passage(filtered=False)], [passage()]), False),
        (diff([passage(when_dead="direct")], [passage()]), False),
        (diff([], [passage(ports=["all"])], set={"timezone": ["a", "b"]}), False),
    ],
)
def test_what_is_proven_to_tighten(diff, tight):
    assert tightens(diff) is tight


def school(log, networks, passages):
    return SchoolPolicy(
        log, log, "a" * 64, "d" * 64, (Group("staff", "Staff", "staff"),),
        tuple(Network(f"n{n}", "staff", *each) for n, each in enumerate(networks)),
        passages=tuple(Passage(passage_id(prefix), prefix, 1, ports) for prefix, ports in passages),
    )  # fmt: skip


def test_a_school_speaks_of_its_own_networks():
    one = school(
        "one", [("10.1.0.0/16",), ("10.3.0.0/16", "port-1")], [("10.1.0.0/16", ("tcp/1",)), ("10.3.0.0/16", ("all",))]
    )
    two = school("two", [("10.2.0.0/16",), ("10.1.0.0/16",)], [("10.1.0.0/16", ("all",)), ("10.9.0.0/16", ("all",))])
    found = {str(prefix): way.ports for prefix, way in ways((one, two)).items()}
    assert found == {"10.1.0.0/16": ("tcp/1",), "10.2.0.0/16": ()}


def test_nobody_is_let_into_another_schools_network_within_ones_own():
    one = school("one", [("10.0.0.0/8",), ("10.9.0.0/16",)], [])
    passage = Passage(passage_id("10.9.0.0/16"), "10.9.0.0/16", 1, reach=("10.0.0.0/8",))
    two = school("two", [("10.1.0.0/16",)], [])
    way = ways((replace(one, passages=(passage,)), two))[ip_network("10.9.0.0/16")]
    assert way.reaches(ip_network("10.0.0.0/16"))
    assert way.reaches(ip_network("10.200.0.0/16"))
    assert not way.reaches(ip_network("10.1.7.0/24"))
    assert not any(ip_network(each).overlaps(ip_network("10.1.0.0/16")) for each in way.reach)


def test_a_network_has_one_passage():
    with pytest.raises(ValueError, match=r"w-10\.1\.0\.0-16"):
        Passage("w7", "10.1.0.0/16", 1)


def test_words():
    assert tuple(in_words(NOTHING)) == ("may use nothing but the filtered web",)
    assert next(in_words(Way(("tcp/5-9", "tcp/993", "udp/3478")))) == (
        "may also use TCP ports 5 to 9 and 993 and UDP port 3478, and no other"
    )
    assert next(in_words(Way(("all",)))) == "may also use every other port, unfiltered"
    assert tuple(in_words(Way(filtered=False, reach=("10.1.0.0/16",))))[1] == "may connect to 10.1.0.0/16"
    assert tuple(in_words(Way(when_dead="direct")))[1] == "keep the sites that need no look while the filter is not there"
