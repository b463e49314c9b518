"""What stands inside a name."""

import pytest

from category_lists.embedded import addresses_in, hosts_in, name_in


@pytest.mark.parametrize(("name", "addresses"), [
    ("10.0.0.1.nip.io", ("10.0.0.1",)),
    ("app-10-0-0-1.nip.io", ("10.0.0.1",)),
    ("customer1.app.10.0.0.1.nip.io", ("10.0.0.1",)),
    ("0a000001.nip.io", ("10.0.0.1",)),
    ("app-c0a80101.nip.io", ("192.168.1.1",)),
    ("www-192-168-0-1.sslip.io", ("192.168.0.1",)),
    ("2a01-4f8-c17-b8f--2.sslip.io", ("2a01:4f8:c17:b8f::2",)),
    ("--1.sslip.io", ("::1",)),
    ("7f000001.c0a80001.rbndr.us", ("127.0.0.1", "192.168.0.1")),
    ("192-168-1-7.0123456789abcdef.plex.direct", ("192.168.1.7",)),
    ("999.0.0.1.nip.io", ()),
    ("nip.io", ()),
    ("www.nip.io", ()),
    ("10.0.0.1.example.com", ()),
    ("10-0-0-1.notnip.io", ()),
])  # fmt: skip
def test_addresses(name, addresses):
    assert addresses_in(name) == addresses


@pytest.mark.parametrize(("name", "site"), [
    ("bet-example.translate.goog", "bet.example"),
    ("www-bet--shop-example.translate.goog", "www.bet-shop.example"),
    ("bet-example.cdn.ampproject.org", "bet.example"),
    ("translate.goog", None),
    ("word.translate.goog", None),
    ("bet-example.translate.example", None),
])  # fmt: skip
def test_sites(name, site):
    assert name_in(name) == site


def test_both():
    assert hosts_in("10-0-0-1.nip.io") == ("10.0.0.1",)
    assert hosts_in("bet-example.translate.goog") == ("bet.example",)
    assert hosts_in("nip.io") == hosts_in("example.com") == ()
