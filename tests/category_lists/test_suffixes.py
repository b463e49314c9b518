"""What no list may take as a whole."""

import pytest

from category_lists.names import SHARED_SUFFIXES
from category_lists.parsers import Entry, parse
from category_lists.suffixes import PRIVATE, load, too_wide, usual_exceptions


@pytest.mark.parametrize(
    ("host", "allowed", "wide"),
    [
        ("com", (), True),
        ("com", ("com",), True),
        ("co.uk", (), True),
        ("sch.uk", (), True),
        ("lea.sch.uk", (), True),
        ("gov.uk", (), True),
        ("anything.ck", (), True),
        ("www.ck", (), False),
        ("github.io", (), True),
        ("github.io", ("github.io",), False),
        ("github.io", (PRIVATE,), True),
        ("duckdns.org", (), True),
        ("duckdns.org", (PRIVATE,), False),
        ("co.uk", (PRIVATE,), True),
        ("someone.github.io", (), False),
        ("bbc.co.uk", (), False),
        ("xn--55qx5d.cn", (), True),
        ("192.0.2.1", (), False),
        ("2001:db8::1", (), False),
    ],
)
def test_too_wide(host: str, allowed: tuple[str, ...], wide: bool) -> None:
    assert (too_wide(host, allowed) is not None) is wide


def test_everything_that_was_guarded_by_hand_still_is() -> None:
    assert [host for host in SHARED_SUFFIXES if too_wide(host) is None] == []
    assert len(load().names) > 9000


def test_pages_and_exact_entries_of_shared_names_are_taken() -> None:
    assert list(parse("ut1", [b"github.io/page"])) == [Entry("github.io", "/page")]
    assert list(parse("rpz", [b"github.io CNAME ."])) == [Entry("github.io", exact=True)]
    assert list(parse("domains", [b"github.io"], ("github.io",))) == [Entry("github.io")]


def test_only_dynamic_dns_lists_are_lists_of_such_names() -> None:
    assert usual_exceptions("dynamic_dns_new") == {PRIVATE}
    assert usual_exceptions("games") == frozenset()


@pytest.mark.parametrize(
    ("host", "site"),
    [
        ("www.oak.example.org.uk", "example.org.uk"),
        ("pages.someone.blogspot.com", "someone.blogspot.com"),
        ("co.uk", "co.uk"),
        ("a.b.nowhere", "b.nowhere"),
        ("com", "com"),
    ],
)
def test_the_name_that_somebody_registered(host: str, site: str) -> None:
    assert load().site_of(host) == site
