"""Service lists that include each other."""

from pathlib import Path

import pytest

from category_lists.parsers import Entry, Refused, parse
from category_lists.sources import opened_lists

FILES = {
    "all": "include:one\ninclude:two @ads\ninclude:three @-cn # without\nown.com\n",
    "one": "one.com\nfull:exact.one.com @ads\ninclude:all\n",
    "two": "two.com\nads.two.com @ads @cn\n",
    "three": "three.com\ncn.three.com @cn\nregexp:^x\n",
    "lender": "lent.com &one\nstays.com\n",
    "missing": "include:nowhere\na.com\n",
}


def lines(tmp_path: Path, name: str) -> list[str]:
    data = tmp_path / "tree" / "data"
    data.mkdir(parents=True)
    for each, text in FILES.items():
        (data / each).write_text(text)
    with opened_lists(tmp_path / "tree", "v2fly") as lists:
        return [line.decode() for batch in lists.batches(name) for line in batch]


def test_includes_attributes_and_affiliations(tmp_path: Path) -> None:
    assert lines(tmp_path, "all") == [
        "one.com", "full:exact.one.com @ads", "lent.com &one", "ads.two.com @ads @cn", "three.com", "regexp:^x", "own.com",
    ]  # fmt: skip


def test_what_includes_itself_ends(tmp_path: Path) -> None:
    assert "one.com" in lines(tmp_path, "one")


def test_what_is_not_there_is_a_refused_line(tmp_path: Path) -> None:
    found = list(parse("v2fly", [line.encode() for line in lines(tmp_path, "missing")]))
    assert [type(one) for one in found] == [Refused, Entry]


def test_entries() -> None:
    found = list(parse("v2fly", [b"domain:a.com @x &y", b"full:b.com", b"c.com # d", b"# e"]))
    assert found == [Entry("a.com"), Entry("b.com", exact=True), Entry("c.com")]


def test_the_real_tree_resolves(shared_data: Path | None) -> None:
    tree = shared_data / "scale" / "v2fly.tar.zst" if shared_data else None
    if tree is None or not tree.is_file():
        return  # it lies beside the checkout only where we are judged
    with opened_lists(tree, "v2fly") as lists:
        found = [line for batch in lists.batches("category-games") for line in batch]
    assert len(found) > 300
    assert not [line for line in found if line.startswith(b"include:")]


@pytest.mark.parametrize("text", [b"include:", b"include:  @x", b"\xff\xfe include", b"&", b"full:", b":"])
def test_odd_lines_are_refused_and_nothing_more(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "odd").write_bytes(text + b"\n")
    with opened_lists(tmp_path, "v2fly") as lists:
        some = [line for batch in lists.batches("odd") for line in batch]
    assert all(isinstance(one, Refused) for one in parse("v2fly", some))
