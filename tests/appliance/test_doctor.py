"""The usual mistakes, each found by its facts and by nothing else; what a DHCP server offers is read."""

import json
import struct
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.__main__ import main
from appliance.config import Config
from appliance.doctor import Facts, Offer, examine
from appliance.facts import discover, offer
from appliance.gateway.settings import read

CONFIG = Config(
    gateway=read(
        {
            "outside": "wan0",
            "admin": ["10.9.0.0/24"],
            "networks": {
                "pupils": {"interface": "lan0", "prefixes": ["10.1.0.0/24"]},
                "servers": {"interface": "lan1", "prefixes": ["10.4.0.0/24"]},
            },
        }
    )
)
GOOD = Facts(
    addresses={"wan0": ("203.0.113.5/24",), "lan0": ("10.1.0.1/24", "fe80::1/64"), "lan1": ("10.4.0.1/24",)},
    default_routes=("wan0",),
    leads={"10.1.0.0/24": "lan0", "10.4.0.0/24": "lan1"},
    offers=(Offer("lan0", "10.1.0.1", ("10.1.0.1",), ("10.1.0.1",)),),
    forwards=True,
    rules=True,
    features={"redirect": True},
    connections=(10, 1000),
)


def test_nothing_wrong():
    assert examine(CONFIG, GOOD) == []
    assert examine(Config(), Facts(forwards=True)) == [], "no gateway"


@pytest.mark.parametrize(
    ("facts", "said", "mend"),
    [
        ({"rules": False}, "a way past the filter", "gateway apply"),
        ({"rules": False, "forwards": False}, "nothing is forwarded", "gateway apply"),
        ({"trying": True}, "only being tried", "gateway confirm"),
        ({"alive": False}, "takes the filter for dead", "gateway show"),
        ({"up": False}, "nothing of Schoolgate runs", "systemctl start"),
        ({"up": False, "taken": ("0.0.0.0 port 53 (dns.listen)",)}, "another program holds", "DNSStubListener"),
        ({"synchronised": False}, "clock", "timesyncd"),
        ({"upstream": "no answer"}, "resolvers above", "dns.upstreams"),
        ({"disk_free": 1 << 20}, "1 MB are left", "Retention"),
        ({"features": {"reset": False}}, "cannot do: reset", "kernel"),
        (
            {"addresses": {**GOOD.addresses, "lan0": ("10.7.0.1/24",)}, "offers": ()},
            "lan0 has no address in 10.1.0.0/24",
            "address there",
        ),
        ({"addresses": {"wan0": (), "lan1": ()}, "offers": ()}, "no interface lan0", "ip link"),
        ({"addresses": {**GOOD.addresses, "lan0": ("10.1.0.1/24", "2001:db8::1/64")}}, "IPv6 is dropped", "add the prefix"),
        ({"routers": (("lan0", "fe80::9"),)}, "another IPv6 router, fe80::9", "RA guard"),
        ({"default_routes": ("wan0", "lan1")}, "also lan1", "one default route"),
        ({"leads": {"10.1.0.0/24": "wan0"}}, "asymmetric", "10.1.0.0/24"),
        ({"offers": (Offer("lan0", "10.1.0.9", ("8.8.8.8",), ("10.1.0.1",)),)}, "another resolver, 8.8.8.8", "10.1.0.1"),
        ({"offers": (Offer("lan0", "10.1.0.9", ("10.1.0.1",), ("10.1.0.9",)),)}, "another router", "never comes here"),
        ({"connections": (950, 1000)}, "950 connections", "nf_conntrack_max=4000"),
    ],
)
def test_what_is_wrong_and_how_to_mend_it(facts, said, mend):
    (finding,) = examine(CONFIG, replace(GOOD, **facts))
    assert said in finding.wrong
    assert mend in finding.mend


def test_what_does_not_concern_pupils_is_no_finding():
    facts = replace(
        GOOD, routers=(("lan1", "fe80::9"), ("wan0", "fe80::8")), offers=(Offer("lan1", "10.4.0.9", ("8.8.8.8",), ()),),
        unfiltered=frozenset({"servers"}),
    )  # fmt: skip
    assert examine(CONFIG, facts) == []


def offered(number: int, *options: bytes) -> bytes:
    head = struct.pack("!BBBBI", 2, 1, 6, 0, number) + bytes(12) + bytes([10, 1, 0, 9]) + bytes(212)
    return head + b"\x63\x82\x53\x63" + b"".join(options) + b"\xff"


def test_an_offer_is_read():
    said = offered(7, b"\x35\x01\x02", b"\0", b"\x36\x04\x0a\x01\x00\x09", b"\x06\x08" + bytes([8, 8, 8, 8, 1, 1, 1, 1]))
    assert offer(said, 7, "lan0") == Offer("lan0", "10.1.0.9", ("8.8.8.8", "1.1.1.1"), ())
    assert offer(said, 8, "lan0") is None, "another's"
    assert offer(offered(7, b"\x35\x01\x05"), 7, "lan0") is None, "no offer"
    assert offer(discover(7, bytes(6)), 7, "lan0") is None, "our own question"


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes(data):
    offer(data, 7, "lan0")
    offer(offered(7)[:-1] + data, 7, "lan0")


def test_the_command(tmp_path, capsys):
    (tmp_path / "schoolgate.yaml").write_text('dns: {upstreams: ["127.0.0.1:1"]}')
    assert main(["doctor", "--json", "--data", str(tmp_path)]) == 1
    assert "resolvers above" in " ".join(each["wrong"] for each in json.loads(capsys.readouterr().out))
