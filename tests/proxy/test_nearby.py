"""Where devices are told to find the proxy."""

from types import SimpleNamespace

import pytest

from proxy.nearby import Nearby


class Tunnels:
    """Knows who is at which listener."""

    def __init__(self, **known):
        self.known = known

    def client(self, listener, _address):
        group = self.known.get(listener)
        return group and SimpleNamespace(school="hillview", group=group)


@pytest.mark.parametrize(
    ("own", "told"),
    [(("10.0.0.2", 8080), "10.0.0.2:8080"), (("10.0.0.2", 443), "10.0.0.2:8080"), (("fd00::2", 8081), "[fd00::2]:8081")],
)
def test_as_it_was_reached(own, told):
    assert Nearby((8080, 8081)).proxy(own) == told


@pytest.mark.parametrize(
    ("address", "name", "group", "told"),
    [
        ("10.0.0.2", "filter.school.example", "ks3", "10.0.0.2:3129"),
        ("fd00::2", "", "ks3", "[fd00::2]:3129"),
        ("0.0.0.0", "filter.school.example", "ks3", "filter.school.example:3129"),
        ("::", "localhost", "ks3", ""),  # a name that leads nowhere from a device
        ("0.0.0.0", "", "ks3", ""),
        ("10.0.0.2", "", "staff", ""),  # other rules there
        ("10.0.0.2", "", None, ""),
    ],
)
def test_by_tls_only_where_the_same_rules_hold(address, name, group, told):
    tunnels = Tunnels(t=group)
    client = SimpleNamespace(school="hillview", group="ks3")
    assert Nearby((8080,), (("t", address, 3129),), name).by_tls(tunnels, client, "10.0.3.9") == told
