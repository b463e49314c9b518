"""Dictionaries: named by their content, made from accepted lists."""

import shutil
from datetime import UTC, datetime

import pytest

from category_lists.lists import store
from category_lists.taxonomy import load
from change_control.dictionaries import Dictionaries, covered_by_mandate
from policy.live import Objects
from policy.proof import ProofRefused

NOW = datetime(2026, 11, 20, tzinfo=UTC)
TAXONOMY = load()


@pytest.fixture
def dictionaries(first_dictionary, tmp_path):
    """The shipped dictionary in a folder of the test's own."""
    shipped, digest = first_dictionary
    shutil.copytree(shipped / "objects", tmp_path / "objects")
    shutil.copytree(shipped / "lists", tmp_path / "lists")
    return Dictionaries(tmp_path), digest


def taken(dictionaries, text, *, list_id="mine", category="gambling"):
    folder = dictionaries.lists
    source = folder.parent / "source.txt"
    source.write_text(text)
    return store(folder, source, list_id=list_id, category=category, format="domains", at=NOW)[0]


def categories(dictionaries, digest, name):
    return [match.category for match in Objects(dictionaries.lists.parent).dictionary(digest).index.find(name)]


def test_what_ships_is_one_dictionary(dictionaries):
    made, digest = dictionaries
    named = made.named(digest)
    assert {ref.category for ref in named.lists} <= set(TAXONOMY.categories)
    assert all(ref.id == f"starter-{ref.category}" for ref in named.lists)
    assert made.taxonomy(digest) == TAXONOMY
    assert made.first() == digest, "the same lists make the same dictionary"


def test_a_list_is_added_and_the_old_dictionary_stays(dictionaries):
    made, old = dictionaries
    new = made.with_list(old, taken(made, "bets.invalid.example\n"))
    assert (categories(made, old, "www.bets.invalid.example"), categories(made, new, "www.bets.invalid.example")) == (
        [],
        ["gambling"],
    )
    assert len(made.named(new).lists) == len(made.named(old).lists) + 1
    assert (made.named(new).taxonomy, made.named(new).engines) == (made.named(old).taxonomy, made.named(old).engines)
    assert not list(made.objects.folder.glob(".*")), "nothing half-made is left"


def test_a_newer_version_takes_the_place_of_the_older(dictionaries):
    made, old = dictionaries
    first = made.with_list(old, taken(made, "a.invalid.example\n"))
    second = made.with_list(first, taken(made, "b.invalid.example\n"))
    assert (categories(made, second, "a.invalid.example"), categories(made, second, "b.invalid.example")) == (
        [],
        ["gambling"],
    )
    assert len(made.named(second).lists) == len(made.named(first).lists)
    assert made.with_list(first, taken(made, "a.invalid.example\n")) == first, (
        "the same version once more is no other dictionary"
    )


def test_a_list_that_was_edited_is_not_compiled(dictionaries):
    made, old = dictionaries
    version = taken(made, "a.invalid.example\n")
    (made.lists / "mine" / f"{version.digest}.txt").write_text("b.invalid.example\n")
    with pytest.raises(ValueError):
        made.with_list(old, version)
    assert not list(made.objects.folder.glob(".*")), "nothing half-made is left"


@pytest.mark.parametrize("digest", ["0" * 64, ""])
def test_a_dictionary_that_is_not_there(dictionaries, digest):
    with pytest.raises(ProofRefused):
        dictionaries[0].named(digest)


OPEN = dict.fromkeys(TAXONOMY.unknown, "allow")


@pytest.mark.parametrize(
    ("category", "unknown", "exceptions", "why"),
    [
        ("gambling", OPEN, 0, ""),
        ("games", OPEN, 0, ""),
        ("gambling", OPEN, 2, "opens 2 sites"),
        ("csam_illegal", OPEN, 0, "licensed, sealed bundle"),
        ("essentials", OPEN, 0, "opens sites or keeps them"),
        ("finance_business", OPEN, 0, "opens sites or keeps them"),
        ("games", OPEN | {"staff": "warn"}, 0, "milder than what unknown sites get"),
        ("gambling", dict.fromkeys(OPEN, "block"), 0, ""),
        ("news", OPEN | {"ks1": "block"}, 0, "milder than what unknown sites get"),
    ],
)
def test_which_lists_a_mandate_covers(category, unknown, exceptions, why):
    said = covered_by_mandate(TAXONOMY.categories[category], unknown, exceptions)
    assert why in said
    assert bool(said) is bool(why)
