"""The feeds that can be subscribed to."""

from pathlib import Path

import pytest

from category_lists.catalogue import Bounds, load, read
from category_lists.taxonomy import load as taxonomy
from category_lists.weigh import vouches

KNOWN = taxonomy().categories
ONE = """
feeds:
  - id: mine
    name: My own
    address: https://lists.example/a.txt
    format: domains
    licence: CC0
    maintainer: Us
    home: https://lists.example/
    categories: games
"""


def test_the_catalogue_that_ships() -> None:
    feeds = load(None, KNOWN)
    assert len(feeds) >= 20
    for feed in feeds.values():
        assert feed.address.startswith("https://")
        assert feed.licence
        assert feed.maintainer
        assert not feed.categories & {"csam_illegal", "terrorism_illegal", "essentials"}
    assert feeds["ut1"].list_id("Audio-Video") == "ut1-audio-video"
    assert feeds["hagezi-nsfw"].list_id("*") == "hagezi-nsfw"
    assert feeds["v2fly"].list_id("category-ai-!cn") == "v2fly-category-ai-cn"
    assert feeds["ut1-schools"].list_id("press") == "vouching-ut1-schools-press"
    assert all(vouches(feed.list_id("any")) is feed.vouches for feed in feeds.values())


def test_own_feeds_stand_beside_it(tmp_path: Path) -> None:
    (tmp_path / "feeds.yaml").write_text(ONE)
    found = load(tmp_path, KNOWN)
    assert found["mine"].mapping == {"*": "games"}
    assert found["mine"].bounds == Bounds(10, 25, 1_000_000)
    (tmp_path / "feeds.yaml").write_text(ONE.replace("domains", "squid"))
    with pytest.raises(ValueError, match=r"feeds\.yaml: 'mine': the formats are"):
        load(tmp_path, KNOWN)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("id: mine", "id: ../up", "an id is"),
        ("id: mine", "id: 7", "id is a text"),
        ("id: mine", "id: corrections-oakfield-games", "given by the product"),
        ("id: mine", "id: starter-games", "given by the product"),
        ("games", "nonsense", "no category"),
        ("https://lists.example/a.txt", "gopher://x/", "https address"),
        ("licence: CC0", "licence:", "licence is a text"),
        ("categories: games", "categories: []", "categories is"),
        ("categories: games", "categories: games\n    every_hours: 0", "hours"),
        ("categories: games", "categories: games\n    bounds: {max_entries: -1}", "max_entries"),
        ("categories: games", "categories: games\n    bounds: {what: 1}", "bounds"),
        ("categories: games", "categories: games\n    key: RWQ", "signature needs"),
        ("categories: games", "categories: games\n    vouches: true", "a list of games cannot vouch"),
        ("categories: games", "categories: news\n    vouches: perhaps", "true or false"),
        ("id: mine", "id: vouching-mine", "not by its id"),
        ("categories: games", "categories: games\n    colour: red", "no key"),
        ("feeds:", "lists:", "begins with"),
        ("feeds:", "feeds: [", "not YAML"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read(ONE.replace(old, new, 1), KNOWN)


def test_two_of_a_name() -> None:
    with pytest.raises(ValueError, match="same id"):
        read(ONE + ONE.split("feeds:")[1], KNOWN)
