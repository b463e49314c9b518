"""The section `gateway`: what is wrong is said in one line that names it."""

import pytest

from appliance.gateway.settings import BadGateway, read

GOOD = {
    "outside": "wan0",
    "admin": ["10.0.9.0/24"],
    "networks": {
        "pupils": {"interface": "lan0.10", "prefixes": ["10.1.0.0/16", "fd00:1::/64"], "reach": ["servers"]},
        "servers": {"interface": "lan0.40", "prefixes": "10.4.0.0/24", "filtered": False},
    },
}


def test_a_whole_section():
    config = read(GOOD)
    assert [each.name for each in config.networks] == ["pupils", "servers"]
    assert (config.networks[0].four, config.networks[0].six) == (("10.1.0.0/16",), ("fd00:1::/64",))
    assert (config.when_dead, config.admin_ports, config.masquerade) == ("closed", (22,), False)


def test_no_section_no_gateway():
    assert read(None) is read({}) is None


def changed(path: str, value: object) -> dict:
    """GOOD with one value changed; a path of keys."""
    made = {**GOOD, "networks": {name: dict(each) for name, each in GOOD["networks"].items()}}
    at, (*ways, last) = made, path.split("/")
    for each in ways:
        at = at[each]
    at[last] = value
    return made


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("outside", "", "interface"),
        ("outside", 'wan0" accept', "interface"),
        ("outside", "lan0.10", "inside network's"),
        ("admin", [], "at least one"),
        ("admin", ["10.0.9.1/24"], "host bits"),
        ("admin_ports", [0], "ports"),
        ("when_dead", "open", "neither closed nor direct"),
        ("masquerade", "yes please", "neither yes nor no"),
        ("networks", {}, "at least one network"),
        ("wan", "x", "unknown key 'wan'"),
        ("networks/pupils/interfaces", "x", "did you mean 'interface'"),
        ("networks/pupils/interface", "lan 0", "interface"),
        ("networks/pupils/prefixes", ["10.4.0.0/25"], "overlap"),
        ("networks/pupils/direct", "maybe", "neither forward nor relay"),
        ("networks/pupils/reach", ["moon"], "no network 'moon'"),
        ("networks/pupils/ports", ["tcp/0"], "not a port"),
        ("networks/pupils/ports", ["tcp/-5"], "not a port"),
        ("networks/pupils/ports", ["tcp/5-"], "not a port"),
        ("networks/pupils/ports", ["sctp/5"], "not a port"),
        ("networks/pupils/ports", ["tcp/443"], "filtered and not let by"),
        ("networks/pupils/ports", ["udp/1-1000"], "filtered and not let by"),
        ("networks/a b", {"interface": "x", "prefixes": ["10.8.0.0/24"]}, "letters"),
    ],
)
def test_what_is_wrong_is_named(path, value, said):
    with pytest.raises(BadGateway, match=said):
        read(changed(path, value))
