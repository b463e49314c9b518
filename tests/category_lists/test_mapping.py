"""From their categories to ours."""

from pathlib import Path

import pytest

from category_lists.mapping import read_map
from category_lists.taxonomy import load

KNOWN = load().categories
MAP = """source,source_category,school_category,note
ut1,games,games,
ut1,cleaning,(ignore),left out
hagezi,gambling / .medium / .mini,gambling,
hagezi,native.* / popupads,ads_trackers,
other,games,gambling,
"""


def read(tmp_path: Path, text: str, source: str):
    (tmp_path / "map.csv").write_text(text)
    return read_map(tmp_path / "map.csv", source, KNOWN)


def test_rows_of_one_source(tmp_path: Path) -> None:
    ut1, hagezi = read(tmp_path, MAP, "ut1"), read(tmp_path, MAP, "hagezi")
    assert (ut1.category("Games"), ut1.category("cleaning"), ut1.category("gambling")) == ("games", None, None)
    assert [hagezi.category(name) for name in ("gambling", "gambling.mini", "native.apple", "popupads", "games")] == [
        "gambling", "gambling", "ads_trackers", "ads_trackers", None,
    ]  # fmt: skip


def test_other_sizes_and_spellings_of_a_list_are_that_list(tmp_path: Path) -> None:
    found = read(tmp_path, "source_category,school_category\nphishing,games\npro,gambling\n", "any")
    names = ("phishing-nl", "pro.mini", "pro.plus.mini", "pro.plus", "phishing-nl.x", "spam-nl")
    assert [found.category(name) for name in names] == ["games", "gambling", "gambling", "gambling", None, None]


def test_a_map_without_sources(tmp_path: Path) -> None:
    assert read(tmp_path, "source_category,school_category\nx,games\n", "any").category("x") == "games"


@pytest.mark.parametrize(
    ("text", "source", "why"),
    [
        ("a,b\n1,2\n", "x", "begins with a line"),
        (MAP, "nobody", "has no line for the source"),
        ("source_category,school_category\nx,nonsense\n", "x", "line 2: there is no category"),
        ("", "x", "begins with a line"),
    ],
)
def test_what_is_no_map(tmp_path: Path, text: str, source: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read(tmp_path, text, source)
    with pytest.raises(ValueError, match="cannot be read"):
        read_map(tmp_path / "none.csv", source, KNOWN)


def test_the_shared_map_reads_for_every_source(shared_data: Path | None) -> None:
    if shared_data is None:
        return
    for source in ("ut1", "hagezi", "blocklistproject", "sinfonietta", "v2fly"):
        assert read_map(shared_data / "category_map.csv", source, KNOWN).exact
