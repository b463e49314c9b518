"""The sealed list: what it refuses, what it does not say."""

import json
from datetime import date
from pathlib import Path

import pytest

from category_lists import sealed

BUNDLE = """# issuer: A licensed body
# issued: 2026-11-19
bad.example
http://WWW.mixed.example/Gallery/1/?page=2
https://host.example/a/b.html
*.wild.example
co.uk
https://shared.example/?id=3
not a name at all !!
"""


@pytest.fixture
def opened(tmp_path: Path) -> sealed.Sealed:
    (tmp_path / "bundle").write_text(BUNDLE)
    bundle, refused = sealed.seal(tmp_path / "bundle", tmp_path / "sealed", tmp_path / "secrets" / "sealed.key")
    assert (bundle.issuer, bundle.issued, bundle.entries, refused) == ("A licensed body", "2026-11-19", 4, 3)
    return sealed.load(tmp_path / "sealed", tmp_path / "secrets" / "sealed.key", bundle.digest)


@pytest.mark.parametrize(
    ("host", "path", "refused", "watched"),
    [
        ("bad.example", None, True, False),
        ("cdn.bad.example", "/x", True, False),
        ("notbad.example", "/", False, False),
        ("www.mixed.example", None, False, True),
        ("www.mixed.example", "/Gallery/1", True, True),
        ("www.mixed.example", "/Gallery/1/2/3", True, True),
        ("www.mixed.example", "/Gallery/12", False, True),
        ("www.mixed.example", "/Gallery", False, True),
        ("mixed.example", "/Gallery/1", False, False),
        ("host.example", "/a/b.html", True, True),
        ("a.host.example", "/a/b.html", True, True),
        ("x.wild.example", "/", True, False),
        ("bbc.co.uk", "/", False, False),
        ("shared.example", "/", False, False),
        ("host.example", "/" + "x/" * 500, False, True),
    ],
)
def test_what_is_refused(opened: sealed.Sealed, host: str, path: str | None, refused: bool, watched: bool) -> None:
    assert opened.covers(host, path) is refused
    assert opened.watches(host) is watched


def test_nothing_on_the_disk_says_what_is_in_it(opened: sealed.Sealed, tmp_path: Path) -> None:
    (tmp_path / "bundle").unlink()
    for path in tmp_path.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert b"example" not in data
            assert b"licensed" not in data
    key = tmp_path / "secrets" / "sealed.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert "bad.example" not in repr(opened)
    assert opened.works()


def test_the_same_bundle_sealed_elsewhere_is_another_file(tmp_path: Path) -> None:
    (tmp_path / "bundle").write_text(BUNDLE)
    one, _ = sealed.seal(tmp_path / "bundle", tmp_path / "a", tmp_path / "a.key")
    other, _ = sealed.seal(tmp_path / "bundle", tmp_path / "b", tmp_path / "b.key")
    assert one.digest != other.digest
    (tmp_path / "a" / f"{other.digest}.sealed").write_bytes((tmp_path / "b" / f"{other.digest}.sealed").read_bytes())
    with pytest.raises(sealed.CannotOpen, match="key"):
        sealed.load(tmp_path / "a", tmp_path / "a.key", other.digest)


def test_what_was_touched_is_not_opened(opened: sealed.Sealed, tmp_path: Path) -> None:
    digest, key = opened.bundle.digest, tmp_path / "secrets" / "sealed.key"
    file = tmp_path / "sealed" / f"{digest}.sealed"
    good = file.read_bytes()
    for at in (0, 15, len(good) // 2, len(good) - 1):
        file.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        with pytest.raises(sealed.CannotOpen):
            sealed.load(tmp_path / "sealed", key, digest)
    file.write_bytes(good)
    assert sealed.load(tmp_path / "sealed", key, digest).works()
    key.unlink()
    with pytest.raises(sealed.CannotOpen):
        sealed.load(tmp_path / "sealed", key, digest)
    with pytest.raises(sealed.CannotOpen):
        sealed.load(tmp_path / "sealed", key, "../../etc/passwd")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("bad.example\n", "who issued"),
        ("# issuer: X\nbad.example\n", "when"),
        ("# issuer: X\n# issued: yesterday\nbad.example\n", "when"),
        ("# issuer: X\n# issued: 2026-11-19\nco.uk\n", "no address"),
    ],
)
def test_what_is_no_bundle(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "bundle").write_text(text)
    with pytest.raises(ValueError, match=why):
        sealed.seal(tmp_path / "bundle", tmp_path / "sealed", tmp_path / "key")


def test_a_bundle_grows_stale() -> None:
    bundle = sealed.Bundle("d", "X", "2026-11-01", 1)
    assert not bundle.stale(date(2026, 11, 8))
    assert bundle.stale(date(2026, 11, 9))
    assert bundle.days_old(date(2026, 10, 1)) == 0


def test_the_header_is_not_stored_in_clear(opened: sealed.Sealed, tmp_path: Path) -> None:
    data = (tmp_path / "sealed" / f"{opened.bundle.digest}.sealed").read_bytes()
    assert json.dumps("issuer").encode() not in data
