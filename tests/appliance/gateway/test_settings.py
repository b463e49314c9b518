"""The section `gateway`: what is wrong is said in one line that names it."""

import pytest

from appliance.gateway.settings import BadGateway, read

GOOD = {
    "outside": "wan0",
    "admin": ["10.0.9.0/24"],
    "networks": {
        "pupils": {"interface": "lan0.10", "prefixes": ["10.1.0.0/16", "fd00:1::/64"]},
        "servers": {"interface": "lan0.40", "prefixes": "10.4.0.0/24"},
    },
}


def test_a_whole_section():
    config = read(GOOD)
    assert [each.name for each in config.networks] == ["pupils", "servers"]
    assert (config.networks[0].four, config.networks[0].six) == (("10.1.0.0/16",), ("fd00:1::/64",))
    assert (config.admin_ports, config.masquerade, config.unsigned) == ((22,), False, ())


def test_what_the_headteacher_signs_now_has_no_effect_and_that_is_said():
    old = changed("networks/pupils/reach", ["servers"])
    old["networks"]["servers"] |= {"filtered": False, "ports": []}
    old["when_dead"] = "direct"
    config = read(old)
    assert config.networks == read(GOOD).networks
    assert config.unsigned == ("gateway.when_dead", "gateway.networks.pupils.reach", "gateway.networks.servers.filtered")
    assert "have no effect: the headteacher signs that now" in config.told


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
        ("masquerade", "yes please", "neither yes nor no"),
        ("networks", {}, "at least one network"),
        ("wan", "x", "unknown key 'wan'"),
        ("networks/pupils/interfaces", "x", "did you mean 'interface'"),
        ("networks/pupils/interface", "lan 0", "interface"),
        ("networks/pupils/prefixes", ["10.4.0.0/25"], "overlap"),
        ("networks/pupils/direct", "maybe", "neither forward nor relay"),
        ("networks/a b", {"interface": "x", "prefixes": ["10.8.0.0/24"]}, "letters"),
    ],
)
def test_what_is_wrong_is_named(path, value, said):
    with pytest.raises(BadGateway, match=said):
        read(changed(path, value))
