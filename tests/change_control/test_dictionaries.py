"""Dictionaries: named by their content, made from accepted lists."""

import shutil
from array import array
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from category_lists import classifier
from category_lists.classifier import HARMLESS, ROWS, Model
from category_lists.lists import store
from category_lists.taxonomy import load
from change_control.dictionaries import Dictionaries, covered_by_mandate
from policy.live import Objects
from policy.proof import ProofRefused
from policy.rules import write

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
    assert all(ref.id in {f"starter-{ref.category}", f"starter-remembered-{ref.category}"} for ref in named.lists)
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


def test_no_mandate_covers_a_list_that_vouches():
    news = TAXONOMY.categories["news"]
    assert covered_by_mandate(news, OPEN, 0) == ""
    assert "vouch also open sites" in covered_by_mandate(news, OPEN, 0, vouches=True)


# --- the model of names ---------------------------------------------------------------------------------------------------


def learner(lists, about, progress):
    """Learns nothing but what it was given."""
    names = b"".join(path.read_bytes() for _, path in lists)
    weights = array("b", bytes(ROWS * 2))
    return Model((HARMLESS, "gambling"), (0.0, 1.0), (1.0, 1.0), 0.5, 0.0, weights, {**about, "seen": len(names)})


def test_the_model_is_learned_anew_from_many_names_and_kept_while_they_stay_about_the_same(dictionaries):
    shipped, first = dictionaries
    learning = Dictionaries(shipped.lists.parent, learn=learner, learn_from=10)
    assert shipped.objects.dictionary(first).model.version == classifier.shipped().version
    usual = shipped.named(first).model

    def with_names(digest, count):
        text = "".join(f"bet{number}.example\n" for number in range(count))
        return learning.with_list(digest, taken(shipped, text))

    few = with_names(first, 9)
    assert learning.named(few).model == usual
    learned = with_names(few, 15)
    model = learning.objects.dictionary(learned).model
    assert (model.about["from_lists"], model.propose("anything.example")[0].category) == (15, "gambling")
    more = with_names(learned, 17)
    assert learning.named(more).model == learning.named(learned).model
    assert learning.named(with_names(more, 30)).model != learning.named(learned).model
    assert learning.named(with_names(more, 8)).model == usual  # lists that went take what was learned from them along
    upgraded = learning.with_defaults(more)  # an upgrade's model does not displace it
    assert learning.objects.dictionary(upgraded).model.about["from_lists"] == 15
    assert learning.with_defaults(upgraded) == upgraded


def test_a_dictionary_of_an_older_version_gets_a_model_with_the_defaults(dictionaries):
    made, first = dictionaries
    older = made.objects.put(write(replace(made.named(first), model="")))
    assert made.objects.dictionary(older).model is None
    assert made.named(made.with_list(older, taken(made, "bet1.example"))).model == ""
    assert made.named(made.with_defaults(older)).model == made.named(first).model


def test_a_model_that_was_touched_is_a_refused_policy(dictionaries):
    made, first = dictionaries
    path = made.objects.path(made.named(first).model, "model")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ProofRefused, match="model"):
        made.objects.dictionary(first)
