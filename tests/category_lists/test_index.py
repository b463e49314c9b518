import hashlib
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from category_lists.index import Index, Match, Shared, compile_index
from category_lists.index_format import HEADER
from category_lists.lists import ListVersion, row, starter
from category_lists.names import parents, path_covers
from category_lists.parsers import Entry

Lists = dict[str, list[Entry]]


def write(folder: Path, lists: Lists) -> list[tuple[ListVersion, Path]]:
    """Keep lists by name; a list's category is its name in capitals, so that answers can be told apart."""
    kept = []
    for name, entries in lists.items():
        data = "".join(f"{line}\n" for line in sorted({row(entry) for entry in entries})).encode()
        path = folder / f"{name}.txt"
        path.write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        version = ListVersion(name, name.upper(), f"2026-11-21-{digest[:8]}", digest, len(entries), "a test", "domains")
        kept.append((version, path))
    return kept


@contextmanager
def index_of(lists: Lists) -> Iterator[Index]:
    with TemporaryDirectory() as folder:
        out = Path(folder) / "index"
        digest = compile_index(write(Path(folder), lists), out)
        index = Index.open(out, expect=digest)
        yield index
        index.close()


def e(text: str, *, exact: bool = False, exception: bool = False) -> Entry:
    host, slash, path = text.partition("/")
    return Entry(host, slash + path, exact, exception)


SOME: Lists = {
    "ads": [e("ads.example.com"), e("bad.com"), e("good.bad.com", exception=True), e("9.9.9.9")],
    "games": [e("games.co.uk"), e("bad.com"), e("only.org", exact=True), e("site.net/play/now"), e("site.net/play")],
    "news": [e("deep.a.b.c.site.net"), e("2001:db8::1"), e("site.net/play/now/safe", exception=True)],
}


@pytest.mark.parametrize(
    ("host", "path", "categories"),
    [
        ("ads.example.com", None, ("ADS",)),
        ("www.ads.example.com", None, ("ADS",)),
        ("example.com", None, ()),
        ("com", None, ()),
        ("xads.example.com", None, ()),
        ("bad.com", None, ("ADS", "GAMES")),
        ("x.bad.com", "/any", ("ADS", "GAMES")),
        ("good.bad.com", None, ("GAMES",)),
        ("very.good.bad.com", None, ("GAMES",)),
        ("only.org", None, ("GAMES",)),
        ("www.only.org", None, ()),
        ("9.9.9.9", None, ("ADS",)),
        ("9.9.9", None, ()),
        ("9.9", None, ()),
        ("8.9.9.9", None, ()),
        ("2001:db8::1", "/", ("NEWS",)),
        ("games.co.uk", None, ("GAMES",)),
        ("co.uk", None, ()),
        ("site.net", None, ()),
        ("site.net", "/", ()),
        ("site.net", "/play", ("GAMES",)),
        ("site.net", "/play/", ("GAMES",)),
        ("site.net", "/playground", ()),
        ("www.site.net", "/play/now/here", ("GAMES",)),
        ("deep.a.b.c.site.net", "/play", ("NEWS", "GAMES")),
        ("a.b.c.site.net", None, ()),
        ("localhost", "/", ()),
        ("", None, ()),
    ],
)  # fmt: skip
def test_what_is_said_of_a_name(host: str, path: str | None, categories: tuple[str, ...]) -> None:
    with index_of(SOME) as index:
        assert index.categories(host, path) == categories
        assert tuple(dict.fromkeys(match.category for match in index.find(host, path))) == categories


def test_matches_say_which_entry_of_which_list_most_specific_first() -> None:
    with index_of(SOME) as index:
        versions = {version.id: version.version for version in index.lists}
        assert index.find("www.site.net", "/play/now/x") == (
            Match("GAMES", "games", versions["games"], "site.net", "/play/now"),
            Match("GAMES", "games", versions["games"], "site.net", "/play"),
        )
        assert [match.host for match in index.find("x.bad.com")] == ["bad.com", "bad.com"]
        assert index.names == 11
        assert [version.id for version in index.lists] == ["ads", "games", "news"]


def test_an_exception_speaks_for_its_own_list_only() -> None:
    lists = {"a": [e("x.com"), e("ok.x.com", exception=True), e("deep.ok.x.com")], "b": [e("ok.x.com")]}
    with index_of(lists) as index:
        assert index.categories("x.com") == ("A",)
        assert index.categories("ok.x.com") == ("B",)
        assert index.categories("deep.ok.x.com") == ("B",)
    lists = {"a": [e("x.com"), e("x.com", exact=True, exception=True)]}
    with index_of(lists) as index:
        assert index.categories("x.com") == ()
        assert index.categories("www.x.com") == ("A",)


def test_equal_answers_share_one_tuple() -> None:
    with index_of(SOME) as index:
        assert index.categories("bad.com") is index.categories("x.bad.com") or index.categories(
            "x.bad.com"
        ) is index.categories("y.bad.com")


# --- against a plain model ------------------------------------------------------------------------

LABELS = st.sampled_from(["a", "b", "com", "uk"])
HOSTS = st.lists(LABELS, min_size=2, max_size=5).map(".".join) | st.sampled_from(["1.2.3.4", "5.2.3.4", "2001:db8::1"])
PATHS = st.lists(st.sampled_from(["x", "y", "xy"]), max_size=4).map(lambda parts: "".join(f"/{part}" for part in parts))
ENTRIES = st.builds(Entry, HOSTS, PATHS, st.booleans(), st.sampled_from([False, False, False, True]))
LISTS = st.dictionaries(st.sampled_from(["l1", "l2", "l3"]), st.lists(ENTRIES, max_size=12), max_size=3)
ASKED = st.lists(st.tuples(HOSTS, st.none() | PATHS.map(lambda path: path or "/")), min_size=1, max_size=20)


def model(lists: Lists, host: str, path: str | None) -> set[tuple[str, str, str]]:
    """The same rules without an index: every entry of every list is looked at."""
    found = set()
    for name, entries in lists.items():
        covering = [
            entry
            for entry in entries
            if (entry.host == host if entry.exact else entry.host in parents(host))
            and (not entry.path or (path is not None and path_covers(entry.path, path)))
        ]
        if not any(entry.exception for entry in covering):
            found |= {(name, entry.host, entry.path) for entry in covering}
    return found


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(LISTS, ASKED)
def test_the_index_agrees_with_looking_at_every_entry(lists: Lists, asked: list[tuple[str, str | None]]) -> None:
    with index_of(lists) as index:
        for host, path in asked:
            expected = model(lists, host, path)
            matches = index.find(host, path)
            assert {(match.list_id, match.host, match.path) for match in matches} == expected
            assert len(matches) == len(expected)
            assert set(index.categories(host, path)) == {name.upper() for name, _, _ in expected}
            lengths = [(len(match.host), len(match.path)) for match in matches]
            assert lengths == sorted(lengths, reverse=True)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(LISTS, ASKED)
def test_names_of_one_kin_match_alike(lists: Lists, asked: list[tuple[str, str | None]]) -> None:
    with index_of(lists) as index:
        known: dict[object, list[tuple[str, str, str]]] = {}
        for host, _ in asked:
            said = [(match.category, match.list_id, match.version) for match in index.find(host)]
            assert known.setdefault(index.kin(host), said) == said


# --- the file -------------------------------------------------------------------------------------


def test_the_same_lists_give_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    kept = write(tmp_path, SOME)
    first = compile_index(kept, tmp_path / "one")
    second = compile_index(list(reversed(kept)), tmp_path / "two")
    assert first == second == hashlib.sha256((tmp_path / "two").read_bytes()).hexdigest()
    assert not list(tmp_path.glob(".*"))
    opened = Index.open(tmp_path / "one")
    assert opened.digest == first
    opened.close()


def test_the_starter_set_compiles_and_answers(tmp_path: Path) -> None:
    compile_index(starter(), tmp_path / "index")
    index = Index.open(tmp_path / "index")
    assert index.categories("www.bet365.com") == ("gambling",)
    assert "essentials" in index.categories("www.childline.org.uk")
    assert index.categories("dns.google") == ("doh_dns_bypass",)
    assert index.categories("www.google.com") == ("search_engines",)
    assert index.categories("mail.google.com") == ()
    assert index.categories("bbc.co.uk", "/news/uk") == ("news", "education")
    index.close()


def test_how_far_lists_of_one_category_say_the_same(tmp_path: Path) -> None:
    kept = write(
        tmp_path,
        {
            "one": [e("a.com"), e("b.com", exact=True), e("c.com/x"), e("d.com")],
            "two": [e(f"{each}.com") for each in "abefg"] + [e("c.com/x")],
            "three": [e("a.com"), e("d.com"), e("e.com")],
            "four": [e("d.com", exception=True), e("h.com")],
        },
    )
    games = [(replace(version, category="NEWS" if version.id == "three" else "GAMES"), path) for version, path in kept]
    compile_index(games, tmp_path / "index")
    with closing(Index.open(tmp_path / "index")) as index:
        assert index.shared() == {"one": Shared(75, "two"), "two": Shared(50, "one")}


def test_an_index_of_nothing_knows_nothing(tmp_path: Path) -> None:
    index = Index.open(tmp_path / "none", expect=compile_index([], tmp_path / "none"))
    assert (index.names, index.lists, index.find("a.com"), index.categories("a.com", "/x")) == (0, (), (), ())
    index.close()


def test_a_list_that_changed_is_named_twice_or_is_too_wide_is_not_compiled(tmp_path: Path) -> None:
    (kept,) = write(tmp_path, {"games": [e("a.com")]})
    with pytest.raises(ValueError, match="same name"):
        compile_index([kept, kept], tmp_path / "index")
    kept[1].write_bytes(b"b.com\n")
    with pytest.raises(ValueError, match="changed since"):
        compile_index([kept], tmp_path / "index")
    with pytest.raises(ValueError, match="top-level"):
        compile_index(write(tmp_path, {"wide": [e("com")]}), tmp_path / "index")
    assert not (tmp_path / "index").exists()


def test_progress_is_told(tmp_path: Path) -> None:
    seen: list[int] = []
    compile_index(write(tmp_path, SOME), tmp_path / "index", progress=seen.append)
    assert seen == [12]


def test_what_is_no_index_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "index"
    with pytest.raises(ValueError, match="cannot be read"):
        Index.open(path)
    for data in (b"", b"short", b"x" * 4096, bytes(HEADER.size)):
        path.write_bytes(data)
        with pytest.raises(ValueError):
            Index.open(path)


def test_a_look_up_after_closing_is_an_error_and_not_an_answer(tmp_path: Path) -> None:
    compile_index(write(tmp_path, SOME), tmp_path / "index")
    index = Index.open(tmp_path / "index")
    index.close()
    with pytest.raises(ValueError):
        index.find("bad.com")


@settings(max_examples=300, deadline=None)
@given(st.integers(min_value=0, max_value=10**6), st.integers(min_value=1, max_value=255), st.booleans())
def test_a_spoilt_byte_is_always_seen_by_digest_and_never_crashes_a_reader(place: int, flip: int, cut: bool) -> None:
    with TemporaryDirectory() as folder:
        out = Path(folder) / "index"
        digest = compile_index(write(Path(folder), SOME), out)
        data = bytearray(out.read_bytes())
        place %= len(data)
        data[place] ^= flip
        if cut:
            del data[place:]
        out.write_bytes(data)
        with pytest.raises(ValueError):
            Index.open(out, expect=digest)
        try:
            index = Index.open(out)
        except ValueError:
            return
        for host in ("bad.com", "x.good.bad.com", "only.org", "site.net", "unknown.example"):
            try:
                index.find(host, "/play/now")
                index.categories(host)
            except ValueError:
                continue
        index.close()


def test_an_index_can_be_replaced_while_another_thread_reads_the_old_one(tmp_path: Path) -> None:
    out = tmp_path / "index"
    compile_index(write(tmp_path, SOME), out)
    old = Index.open(out)
    wrong: list[object] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            if old.categories("x.bad.com") != ("ADS", "GAMES"):
                wrong.append(old.find("x.bad.com"))

    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    compile_index(write(tmp_path, {"other": [e("bad.com")]}), out)
    new = Index.open(out)
    assert new.categories("x.bad.com") == ("OTHER",)
    stop.set()
    for reader in readers:
        reader.join()
    assert not wrong
    old.close()
    new.close()


@pytest.mark.parametrize(
    ("host", "has"),
    [("site.net", True), ("www.site.net", True), ("bad.com", False), ("net", False), ("unknown.example", False)],
)
def test_which_names_have_pages_of_their_own(host: str, has: bool) -> None:
    with index_of(SOME) as index:
        assert index.has_pages(host) is has
