import bz2
import gzip
import hashlib
import lzma
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from category_lists import lists
from category_lists.lists import ListVersion, find, read_source, row, starter, store
from category_lists.names import canonical_site, is_address
from category_lists.parsers import LONGEST_LINE, Entry, Refused, parse
from category_lists.taxonomy import load

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

AT = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


def keep(folder: Path, text: bytes, kind: str = "domains", list_id: str = "try") -> ListVersion:
    source = folder / "source.txt"
    source.write_bytes(text)
    return store(folder / "lists", source, list_id=list_id, category="games", format=kind, at=AT)[0]


def test_a_list_is_kept_sorted_once_and_under_its_own_digest(tmp_path: Path) -> None:
    version = keep(tmp_path, b"# names\nb.com\nA.com\nb.com\nbad name\n")
    described, path = find(tmp_path / "lists", "try", version.digest)
    assert described == version
    assert path.read_bytes() == b"a.com\nb.com\n"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == version.digest
    assert version == ListVersion(
        "try", "games", f"2026-11-21-{version.digest[:8]}", version.digest, 2, "source.txt", "domains"
    )
    assert path.stat().st_mode & 0o777 == 0o644


def test_rows_carry_flags_and_what_says_nothing_new_is_left_out(tmp_path: Path) -> None:
    version = keep(tmp_path, b"b.com CNAME .\na.com CNAME .\n*.a.com CNAME .\nc.com CNAME rpz-passthru.\n", "rpz")
    _, path = find(tmp_path / "lists", "try", version.digest)
    assert path.read_text() == "a.com\nb.com =\nc.com @=\n"
    assert version.entries == 3


@pytest.mark.parametrize(
    ("entry", "written"),
    [
        (Entry("a.com"), "a.com"),
        (Entry("a.com", "/x=@"), "a.com/x=@"),
        (Entry("a.com", exact=True), "a.com ="),
        (Entry("a.com", "/x", exception=True), "a.com/x @"),
        (Entry("a.com", exact=True, exception=True), "a.com @="),
    ],
)
def test_rows(entry: Entry, written: str) -> None:
    assert row(entry) == written


def test_the_same_list_kept_again_is_the_same_version(tmp_path: Path) -> None:
    first = keep(tmp_path, b"a.com\nb.com\n")
    source = tmp_path / "again.txt"
    source.write_bytes(b"b.com\na.com\n")
    later, report = store(
        tmp_path / "lists",
        source,
        list_id="try",
        category="games",
        format="domains",
        at=datetime(2027, 1, 1, tzinfo=UTC),
    )
    assert later == first
    assert report.accepted == 2
    assert len(list((tmp_path / "lists" / "try").iterdir())) == 2


def test_packed_lists_are_read_by_what_they_are_not_by_their_name(tmp_path: Path) -> None:
    text = b"".join(b"name%d.com\n" % number for number in range(2000))
    for name, data in (
        ("a", gzip.compress(text)),
        ("b.txt", lzma.compress(text)),
        ("zstd", zstd.compress(text)),
        ("bz2", bz2.compress(text[:90]) + bz2.compress(text[90:])),
        ("c.gz", text),
        ("d", gzip.compress(text[:90]) + gzip.compress(text[90:])),
        ("e", lzma.compress(text[:90]) + bytes(4) + lzma.compress(text[90:]) + bytes(8)),
    ):
        (tmp_path / name).write_bytes(data)
        assert b"".join(read_source(tmp_path / name, "domains")) == text


def test_a_ut1_folder_is_one_list(tmp_path: Path) -> None:
    folder = tmp_path / "games"
    folder.mkdir()
    (folder / "domains").write_bytes(b"a.com\n")
    (folder / "urls").write_bytes(b"b.com/play\n")
    (folder / "expressions").write_bytes(b"(^|[-\\?+=])games\n")
    version, _ = store(tmp_path / "lists", folder, list_id="ut1-games", category="games", format="ut1", at=AT)
    assert find(tmp_path / "lists", "ut1-games", version.digest)[1].read_text() == "a.com\nb.com/play\n"


def test_an_endless_line_is_refused_without_being_held(tmp_path: Path) -> None:
    source = tmp_path / "long.txt"
    source.write_bytes(b"a.com\n" + b"x" * (LONGEST_LINE * 300) + b"\nb.com\n" + b"y" * (LONGEST_LINE - 1) + b"\n")
    lines = list(read_source(source, "domains"))
    assert len(lines) == 4
    assert max(map(len, lines)) == LONGEST_LINE + 1
    found = list(parse("domains", lines))
    assert [type(item) for item in found] == [Entry, Refused, Entry, Refused]
    assert [item.line for item in found if isinstance(item, Refused)] == [2, 4]


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress, zstd.compress])
def test_a_bomb_is_refused(tmp_path: Path, pack: object) -> None:
    assert callable(pack)
    source = tmp_path / "bomb.gz"
    source.write_bytes(pack(b"a.com\n" * (4 << 20)))
    with pytest.raises(ValueError, match="far too much"):
        list(read_source(source, "domains"))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (gzip.compress(b"a.com\n" * 1000, mtime=0)[:-20], "damaged"),
        (gzip.compress(b"a.com\n", mtime=0)[:4] + b"\xff" * 20, "damaged"),
        (lzma.compress(b"a.com\n" * 1000)[:-20], "damaged"),
        (lzma.compress(b"a.com\n" * 1000) + b"tail", "damaged"),
        (zstd.compress(b"a.com\n" * 1000)[:-20], "damaged"),
        (b"\x28\xb5\x2f\xfd....", "damaged"),
        (bz2.compress(b"a.com\n" * 1000)[:-20], "damaged"),
        (bz2.compress(b"a.com\n" * 1000)[:20] + bytes(40), "damaged"),
        (b"PK\x03\x04....", "damaged"),
    ],
)
def test_what_cannot_be_unpacked_is_said_in_a_sentence(tmp_path: Path, data: bytes, said: str) -> None:
    source = tmp_path / "list"
    source.write_bytes(data)
    with pytest.raises(ValueError, match=said):
        list(read_source(source, "domains"))


def test_what_cannot_be_read_is_said_in_a_sentence(tmp_path: Path) -> None:
    for path, kind, said in (
        (tmp_path / "none", "domains", "cannot be read"),
        (tmp_path, "domains", "holds no list"),
        (tmp_path, "ut1", "neither"),
    ):
        with pytest.raises(ValueError, match=said):
            list(read_source(path, kind))


@pytest.mark.parametrize(
    ("text", "kind"), [(b"", "domains"), (b"com\n", "domains"), (b"a.com\n", "adblock"), (b"a.com", "squid")]
)
def test_a_list_without_one_entry_leaves_nothing(tmp_path: Path, text: bytes, kind: str) -> None:
    with pytest.raises(ValueError):
        keep(tmp_path, text, kind)
    assert not list((tmp_path / "lists").rglob("*")) or not (tmp_path / "lists").exists()


@pytest.mark.parametrize("list_id", ["", "..", "a/b", "A", ".hidden", "x" * 65])
def test_a_list_cannot_be_named_out_of_its_folder(tmp_path: Path, list_id: str) -> None:
    with pytest.raises(ValueError, match="name"):
        keep(tmp_path, b"a.com\n", list_id=list_id)
    with pytest.raises(ValueError, match="name"):
        find(tmp_path, list_id, "0" * 64)


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    home = tmp_path / "lists" / "try"
    home.mkdir(parents=True)
    blocked = keep(tmp_path, b"a.com\n")
    text = home / f"{blocked.digest}.txt"
    for path in home.iterdir():
        path.unlink()
    text.mkdir()  # stands where the file must go, as an error at the last moment would
    with pytest.raises(OSError):
        keep(tmp_path, b"a.com\n")
    assert list(home.iterdir()) == [text]


def test_a_missing_or_damaged_description_is_refused(tmp_path: Path) -> None:
    version = keep(tmp_path, b"a.com\n")
    described = tmp_path / "lists" / "try" / f"{version.digest}.json"
    with pytest.raises(ValueError, match="not kept here"):
        find(tmp_path / "lists", "try", "0" * 64)
    with pytest.raises(ValueError, match="digest"):
        find(tmp_path / "lists", "try", "../../x")
    for text in ("{", "[]", "{}", described.read_text().replace('"entries":1', '"entries":true')):
        described.write_text(text)
        with pytest.raises(ValueError, match="damaged"):
            find(tmp_path / "lists", "try", version.digest)
    described.write_text(version.to_json().replace('"id":"try"', '"id":"other"'))
    with pytest.raises(ValueError, match="another list"):
        find(tmp_path / "lists", "try", version.digest)


def test_progress_is_told(tmp_path: Path) -> None:
    source = tmp_path / "many.txt"
    source.write_bytes(b"".join(b"n%d.com\n" % number for number in range(lists._PROGRESS_EVERY + 5)))
    seen: list[int] = []
    store(
        tmp_path / "lists",
        source,
        list_id="many",
        category="games",
        format="domains",
        at=AT,
        progress=seen.append,
    )
    assert seen[-1] == lists._PROGRESS_EVERY + 5
    assert len(seen) == 2


# --- the starter set ------------------------------------------------------------------------------


def starter_rows() -> list[tuple[str, str]]:
    return [
        (version.category, line)
        for version, path in starter()
        for line in path.read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]


def test_the_starter_set_speaks_of_every_category_that_has_open_names() -> None:
    categories = {version.category for version, _ in starter()}
    assert set(load().categories) - categories == {"csam_illegal", "terrorism_illegal"}  # only licensed lists exist
    assert categories <= set(load().categories)
    for version, _ in starter():
        assert version.id in {f"starter-{version.category}", f"starter-remembered-{version.category}"}
        assert version.entries >= 8 or version.category == "self_harm_eating_disorders", version


def test_every_starter_row_is_a_canonical_row_and_stands_once() -> None:
    rows = starter_rows()
    for category, line in rows:
        name, _, flags = line.partition(" ")
        site = canonical_site(name)
        assert site.host + (site.path or "").rstrip("/") == name, (category, line)
        assert "." in site.host or is_address(site.host)
        assert not site.query
        assert flags in ("", "=")
        assert not site.host.endswith((".example", ".test", ".invalid", ".localhost")), "a demo name in a real list"
    assert len(rows) == len(set(rows))


def test_no_starter_list_blocks_what_help_and_learning_need() -> None:
    categories, rows = load().categories, starter_rows()
    blocked = {line.partition(" ")[0] for category, line in rows if "block" in categories[category].phases.values()}
    for category, line in rows:
        if category in ("essentials", "support_wellbeing", "health", "education", "government_law"):
            assert line.partition(" ")[0] not in blocked, (category, line)


def test_the_starter_files_are_found_from_any_folder(tmp_path: Path) -> None:
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        assert len(starter()) >= 40
    finally:
        os.chdir(before)
