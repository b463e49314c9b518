import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from category_lists.names import (
    SHARED_SUFFIXES,
    NameRefused,
    Site,
    canonical_host,
    canonical_path,
    canonical_site,
    is_address,
    parents,
    path_covers,
    shown,
    too_wide,
)

# What strangers send: any text, and texts made of the pieces that names and addresses are made of.
PIECES = st.sampled_from(
    [
        "a",
        "B",
        "0",
        "7",
        "0x",
        "xn--",
        "-",
        "_",
        ".",
        "..",
        ":",
        "[",
        "]",
        "%",
        "%2e",
        "%41",
        "/",
        "\\",
        "@",
        "?",
        "#",
        "é",
        "ß",
        "。",
        "１",
        "\u200d",
        "\ud800",
        "☃",
        "http://",
        "//",
        " ",
        "\x00",
        "\n",
        "255",
        "256",
        "::",
        "ffff",
        "com",
        "4294967296",
    ]
)
TEXTS = st.text() | st.lists(PIECES, max_size=12).map("".join)


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("example.com", "example.com"),
        ("WWW.Example.COM", "www.example.com"),
        ("example.com.", "example.com"),
        ("_dns.resolver.arpa", "_dns.resolver.arpa"),
        ("r3---sn-x.googlevideo.com", "r3---sn-x.googlevideo.com"),
        ("-.example.com", "-.example.com"),
        ("localhost", "localhost"),
        ("ex%61mple.com", "example.com"),
        ("bücher.de", "xn--bcher-kva.de"),
        ("BÜCHER.de", "xn--bcher-kva.de"),
        ("xn--bcher-kva.de", "xn--bcher-kva.de"),
        ("straße.de", "xn--strae-oqa.de"),
        ("☃.net", "xn--n3h.net"),  # not IDNA 2008, but browsers ask for it
        ("ｅｘａｍｐｌｅ。com", "example.com"),
        ("1.2.3.4", "1.2.3.4"),
        ("1.2.3.4.", "1.2.3.4"),
        ("127.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0X7F.1", "127.0.0.1"),
        ("0177.0.0.01", "127.0.0.1"),
        ("00000000000000000000177.1", "127.0.0.1"),
        ("１２７.0.0.1", "127.0.0.1"),
        ("0x", "0.0.0.0"),
        ("[2001:DB8:0:0::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[::ffff:1.2.3.4]", "1.2.3.4"),
        ("::FFFF:102:304", "1.2.3.4"),
        ("foo.0x1g", "foo.0x1g"),  # not a number, so a name
        (".".join(["a" * 63] * 3 + ["b" * 61]), ".".join(["a" * 63] * 3 + ["b" * 61])),
    ],
)
def test_one_name_has_one_spelling(written: str, host: str) -> None:
    assert canonical_host(written) == host


@pytest.mark.parametrize(
    "written",
    [
        "",
        ".",
        "a..b",
        ".a",
        "a b",
        "*.com",
        "a/b",
        "a@b",
        "a:80",
        "foo.123",
        "256.256.256.256",
        "1.2.3.4.5",
        "4294967296",
        "08.1",
        "1_0.1",
        "0o7.1",
        "fe80::1%eth0",
        "[fe80::1%25eth0]",
        "[::1",
        "::g",
        "xn--a",
        "xn--",
        "xn--BCHER-KVA-.de",
        "\ud800.com",
        "a\x00b.com",
        "%zz.com",
        "%2565xample.com",
        "%ff.com",
        "a" * 64 + ".com",
        ".".join(["a" * 63] * 4),
        "x" * 5000,
    ],
)
def test_what_is_no_name_is_refused_in_a_sentence(written: str) -> None:
    with pytest.raises(NameRefused) as refused:
        canonical_host(written)
    said = str(refused.value)
    assert said.isprintable()
    assert said.endswith(".")
    assert len(said) < 300


@given(TEXTS)
@example("xn--xn---epa")
@example("xn--\x80")
@example("a.xn--99999999999")
def test_a_canonical_host_is_a_fixed_point(text: str) -> None:
    try:
        host = canonical_host(text)
    except NameRefused:
        return
    assert canonical_host(host) == host
    assert host.isascii()
    assert host == host.lower()
    assert len(host) <= 253
    assert next(parents(host)) == host


@given(TEXTS)
def test_a_canonical_site_is_a_fixed_point(text: str) -> None:
    try:
        site = canonical_site(text)
    except NameRefused:
        return
    assert canonical_site(str(site)) == Site(site.host, site.path, "")


@given(TEXTS)
@example("/%%341")
@example("/%25%41")
@example("/a/../..//./b/.")
def test_a_canonical_path_is_a_fixed_point(text: str) -> None:
    path = canonical_path(text)
    assert canonical_path(path) == path
    assert path.startswith("/")
    assert path.isascii()
    assert path_covers("/", path)
    assert path_covers(path, path)


@pytest.mark.parametrize(
    ("written", "site"),
    [
        ("bbc.co.uk", Site("bbc.co.uk", None, "")),
        ("  bbc.co.uk\n", Site("bbc.co.uk", None, "")),
        ("bbc.co.uk:8080", Site("bbc.co.uk", None, "")),
        ("bbc.co.uk/", Site("bbc.co.uk", "/", "")),
        ("https://bbc.co.uk", Site("bbc.co.uk", None, "")),
        ("HTTP://user:p%40ss@BBC.co.uk:443/News?q=1?2#top", Site("bbc.co.uk", "/News", "q=1?2")),
        ("http:\\\\bbc.co.uk\\news", Site("bbc.co.uk", "/news", "")),
        ("https:/bbc.co.uk/news", Site("bbc.co.uk", "/news", "")),
        ("//bbc.co.uk/news", Site("bbc.co.uk", "/news", "")),
        ("http://good.example@bad.example/", Site("bad.example", "/", "")),
        ("http://bad.example\\@good.example/", Site("bad.example", "/@good.example/", "")),
        ("bbc.co.uk?x", Site("bbc.co.uk", "/", "x")),
        ("ht\ntp://bb\tc.co.uk/a", Site("bbc.co.uk", "/a", "")),
        ("http://[::1]:8080/x", Site("::1", "/x", "")),
        ("http://0x7f.1/x", Site("127.0.0.1", "/x", "")),
        ("wss://chat.example/socket", Site("chat.example", "/socket", "")),
    ],
)
def test_sites_as_people_write_them(written: str, site: Site) -> None:
    assert canonical_site(written) == site


@pytest.mark.parametrize(
    "written",
    [
        "",
        "http://",
        "foo://a.com",
        "javascript://a.com/%0a",
        "a.com:x",
        "a.com:99999",
        "[::1]x",
        "[::1",
        "/a",
        "a.com:８０",
    ],
)
def test_what_is_no_site_is_refused(written: str) -> None:
    with pytest.raises(NameRefused):
        canonical_site(written)


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("", "/"),
        ("/", "/"),
        ("a", "/a"),
        ("/a//b", "/a/b"),
        ("/a/./b/../c", "/a/c"),
        ("/../../a", "/a"),
        ("/a/..", "/"),
        ("/a/.", "/a/"),
        ("/a/%2e%2E/b", "/b"),
        ("/%7euser/%61", "/~user/a"),
        ("/a%2fb%c3%a9", "/a%2Fb%C3%A9"),
        ("/é x", "/%C3%A9%20x"),
        ("/100%", "/100%25"),
        ("/a\\b", "/a/b"),
        ("/a?b#c", "/a"),
        ("/.hidden/..x/...", "/.hidden/..x/..."),
    ],
)
def test_paths(written: str, path: str) -> None:
    assert canonical_path(written) == path


@pytest.mark.parametrize(
    ("prefix", "path", "covered"),
    [
        ("/a", "/a", True),
        ("/a", "/a/", True),
        ("/a", "/a/b", True),
        ("/a", "/ab", False),
        ("/a/", "/a", True),
        ("/a/", "/a/b", True),
        ("/a/b", "/a", False),
        ("", "/x", True),
        ("/", "/x", True),
        ("/", "/", True),
    ],
)
def test_a_prefix_covers_whole_segments(prefix: str, path: str, covered: bool) -> None:
    assert path_covers(prefix, path) is covered


def test_parents_end_at_the_top_level_and_addresses_have_none() -> None:
    assert list(parents("www.bbc.co.uk")) == ["www.bbc.co.uk", "bbc.co.uk", "co.uk", "uk"]
    assert list(parents("1.2.3.4")) == ["1.2.3.4"]
    assert list(parents("2001:db8::1")) == ["2001:db8::1"]
    assert is_address("1.2.3.4")
    assert not is_address("1.2.3.4.example")


@pytest.mark.parametrize(
    ("host", "wide"), [("uk", True), ("co.uk", True), ("github.io", True), ("bbc.co.uk", False), ("1.2.3.4", False)]
)
def test_what_an_entry_may_not_take_away(host: str, wide: bool) -> None:
    assert (too_wide(host) is not None) is wide


def test_shared_suffixes_are_canonical_names() -> None:
    assert all(canonical_host(name) == name and "." in name for name in SHARED_SUFFIXES)


@given(st.text(), st.integers(min_value=8, max_value=120))
def test_what_is_shown_is_short_and_printable(text: str, limit: int) -> None:
    said = shown(text, limit)
    assert said.isprintable()
    assert len(said) <= limit + 4
