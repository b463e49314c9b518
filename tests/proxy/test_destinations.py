import pytest

from proxy.destinations import Destinations, web_port


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "240.0.0.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:10.0.0.1",
        "64:ff9b::a00:1", "64:ff9b:1::808:808", "2002:a00:1::", "2001::1", "not an address", "", "192.0.2.1",
    ],
)  # fmt: skip
def test_what_is_not_the_internet_is_out_of_reach(address):
    assert not Destinations(()).may_connect(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_the_internet_is_within_reach(address):
    assert Destinations(()).may_connect(address)


def test_inner_networks_are_named_one_by_one():
    guard = Destinations(("127.0.0.1/32", "fc00::/8"))
    assert guard.may_connect("127.0.0.1")
    assert guard.may_connect("::ffff:127.0.0.1")
    assert guard.may_connect("fc00::5")
    assert not guard.may_connect("127.0.0.2")
    assert guard.inside("127.0.0.1")
    assert not guard.inside("1.1.1.1")


def test_plain_requests_go_to_web_ports():
    assert [port for port in (21, 22, 25, 80, 443, 445, 1023, 8080) if web_port(port)] == [80, 443, 8080]
