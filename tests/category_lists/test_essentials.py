"""What no list may take away."""

import pytest

from category_lists.essentials import essential_rows, must_allow, protected
from category_lists.names import canonical_site
from category_lists.taxonomy import load

CATEGORIES = load().categories


@pytest.mark.parametrize(
    ("category", "host", "path", "hit"),
    [
        ("pornography", "childline.org.uk", "", True),
        ("pornography", "www.childline.org.uk", "", True),
        ("pornography", "clinic.nhs.uk", "/x", True),
        ("malware_phishing", "childline.org.uk", "", True),
        ("malware_phishing", "someschool.lea.sch.uk", "", False),
        ("games", "someschool.lea.sch.uk", "", True),
        ("games", "times.ac.uk", "", True),
        ("ads_trackers", "www.gstatic.com", "", True),
        ("ads_trackers", "gstatic.com", "", True),
        ("ads_trackers", "www.gstatic.com", "/ads", False),
        ("ads_trackers", "ads.cnn.com", "", False),
        ("games", "phonicsplay.co.uk", "", True),
        ("games", "crazygames.com", "", False),
        ("essentials", "childline.org.uk", "", False),
        ("education", "childline.org.uk", "", False),
    ],
)
def test_what_is_set_aside(category: str, host: str, path: str, hit: bool) -> None:
    guard = protected(CATEGORIES[category])
    assert (guard.hit(host, path) is not None) is hit
    if not path:
        assert (host.encode() in guard.hits([host.encode()])) is hit


def test_the_must_allow_lists_are_canonical_and_speak_of_every_group() -> None:
    groups = must_allow()
    assert len(groups) >= 15
    for group, rows in groups.items():
        assert len(rows) >= 8, group
        for row in rows:
            assert canonical_site(row).host == row, (group, row)


def test_the_essentials_that_ship_are_whole() -> None:
    assert {"childline.org.uk", "samaritans.org", "gov.uk", "nhs.uk"} <= set(essential_rows())
