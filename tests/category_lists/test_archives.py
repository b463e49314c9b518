"""Folders and archives of lists, honest and hostile."""

import io
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from category_lists import archives
from category_lists.archives import is_archive, opened
from category_lists.sources import opened_lists, read_source

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FILES = {"ut1/games/domains": b"a.com\nb.com\n", "ut1/games/urls": b"c.com/play\n", "ut1/bank/domains": b"bank.com\n"}


def tarred(files: dict[str, bytes], mode: str = "w", form: int = tarfile.PAX_FORMAT, extra: tuple = ()) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=form) as archive:
        for info in extra:
            archive.addfile(info)
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def contents(path: Path) -> dict[str, bytes]:
    with opened(path) as tree:
        return {name: file.read_bytes() for name, file in tree.files.items()}


@pytest.mark.parametrize(
    "pack",
    [
        tarred,
        lambda files: tarred(files, "w:gz"),
        lambda files: tarred(files, "w:bz2"),
        lambda files: tarred(files, "w:xz"),
        lambda files: zstd.compress(tarred(files)),
        lambda files: tarred(files, form=tarfile.GNU_FORMAT),
        lambda files: tarred(files, form=tarfile.USTAR_FORMAT),
        zipped,
    ],
)
def test_every_kind_of_archive_gives_its_files(tmp_path: Path, pack: Callable[[dict[str, bytes]], bytes]) -> None:
    files = FILES | {f"ut1/{'long' * 24}/domains": b"long.com\n"}
    path = tmp_path / "lists.bin"
    path.write_bytes(pack(files))
    assert is_archive(path)
    assert contents(path) == files


def test_a_folder_gives_its_files_and_follows_no_link(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret.com\n")
    home = tmp_path / "home"
    (home / "games").mkdir(parents=True)
    (home / "games" / "domains").write_bytes(b"a.com\n")
    (home / "games" / "urls").symlink_to(secret)
    (home / "out").symlink_to(tmp_path)
    assert contents(home) == {"games/domains": b"a.com\n"}


def test_links_and_devices_in_a_tar_are_passed_over(tmp_path: Path) -> None:
    link = tarfile.TarInfo("ut1/porn")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    device = tarfile.TarInfo("ut1/null")
    device.type = tarfile.CHRTYPE
    path = tmp_path / "a.tar"
    path.write_bytes(tarred(FILES, extra=(link, device)))
    assert contents(path) == FILES


@pytest.mark.parametrize("name", ["../out", "/etc/cron.d/x", "a/../../b", "..\\..\\b"])
@pytest.mark.parametrize("pack", [tarred, zipped])
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str, pack: Callable[[dict[str, bytes]], bytes]) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(pack({name: b"a.com\n"}))
    with pytest.raises(ValueError, match="leads out"):
        contents(path)


def test_bombs_are_refused_early(tmp_path: Path) -> None:
    big = b"a.com\n" * (6 << 20)
    for data in (zipped({"x": big}), zstd.compress(tarred({"x": big})), tarred({"x": big}, "w:gz")):
        path = tmp_path / "bomb"
        path.write_bytes(data)
        with pytest.raises(ValueError, match="far too much"):
            contents(path)


def test_a_header_that_claims_a_gigabyte_is_not_read_into_memory(tmp_path: Path) -> None:
    head = tarfile.TarInfo("x")
    head.type, head.size = tarfile.GNUTYPE_LONGNAME, 1 << 30
    path = tmp_path / "a.tar"
    path.write_bytes(head.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    with pytest.raises(ValueError, match="header of"):
        contents(path)


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "many.tar"
    block = tarfile.TarInfo("x").tobuf(tarfile.USTAR_FORMAT)
    path.write_bytes(block * (archives.MOST_MEMBERS + 1) + bytes(1024))
    with pytest.raises(ValueError, match="more than"):
        contents(path)


@pytest.mark.parametrize("data", [tarred(FILES)[:900], zipped(FILES)[:-30], tarred(FILES, "w:gz")[:-20]])
def test_what_breaks_off_is_damaged(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "broken"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"damaged|neither|holds no"):
        contents(path)


@settings(max_examples=120, deadline=None)
@given(
    st.binary(max_size=3000), st.sampled_from([b"", zipped(FILES)[:80], tarred(FILES)[:700], b"BZh9", b"\x28\xb5\x2f\xfd"])
)
def test_no_bytes_raise_anything_but_a_refusal(tmp_path_factory: pytest.TempPathFactory, data: bytes, start: bytes) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "x"
    path.write_bytes(start + data)
    for format_ in ("ut1", "domains", "v2fly"):
        try:
            list(read_source(path, format_))
        except ValueError:
            continue


def test_a_ut1_tree_is_one_list_a_category(tmp_path: Path) -> None:
    path = tmp_path / "ut1.tar.zst"
    path.write_bytes(zstd.compress(tarred(FILES | {"ut1/games/usage": b"black\n", "ut1/README": b"x\n"})))
    with opened_lists(path, "ut1") as lists:
        assert set(lists.parts) == {"games", "bank"}
        assert [line for batch in lists.batches("games") for line in batch] == [b"a.com", b"b.com", b"c.com/play"]
        with pytest.raises(ValueError, match="no list"):
            list(lists.batches("none"))
    assert b"".join(read_source(path, "ut1", part="bank")) == b"bank.com\n"
    with pytest.raises(ValueError, match="say which"):
        list(read_source(path, "ut1"))


def test_a_project_with_a_folder_for_each_format_gives_the_one_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(zipped({"p/adblock/doh.txt": b"||a.com^\n", "p/rpz/doh.txt": b"a.com CNAME .\n", "p/LICENSE": b"x"}))
    with opened_lists(path, "adblock") as lists:
        assert [line for batch in lists.batches("doh") for line in batch] == [b"||a.com^"]
    path.write_bytes(zipped({"p/gambling.mini.txt": b"a.com\n", "p/README.md": b"x"}))
    with opened_lists(path, "domains") as lists:
        assert set(lists.parts) == {"gambling.mini"}


def test_a_csv_file_is_sorted_by_its_second_column(tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    path.write_bytes(b'name,category\na.com,Games\nb.com,bank\n"c.com",games\nd.com,\n')
    with opened_lists(path, "csv") as lists:
        assert set(lists.parts) == {"category", "games", "bank"}
        assert [line for batch in lists.batches("games") for line in batch] == [b"a.com,Games", b'"c.com",games']
