"""What is read of a page, and what is not."""

import gzip
import time
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.content import LONGEST_PAGE, LONGEST_TEXT, readable, text_of, unpacked


def words(page, kind="text/html; charset=utf-8"):
    return " ".join(text_of(page if isinstance(page, bytes) else page.encode(), kind).split())


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("<title>One</title><body><h1>Two</h1><p>three", "One Two three"),
        ("<p>a<script>var b='hidden'</script>c", "a c"),
        ("<p>a<SCRIPT src=x>hidden</SCRIPT >c", "a c"),
        ("<p>a<script>never ends, as in a browser", "a"),
        ("<style>.x{}</style>a<!-- hidden -->b", "a b"),
        ("<p>po<b>is</b>on and po<span class='x'>is</span>on", "poison and poison"),
        ("<p>one</p><p>two", "one two"),
        ("<img src=x alt=\"a red fox\"><input placeholder='your name'>", "a red fox your name"),
        ('<meta name="description" content="about foxes">', "about foxes"),
        ("caf&eacute; &#x63;at", "caf\u00e9 cat"),
        ("<template>hidden</template><svg><title>hidden</title></svg>x", "x"),
    ],
)
def test_what_people_read(page, said):
    assert words(page) == said


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        ("caf\u00e9".encode("latin-1"), "text/html; charset=iso-8859-1"),
        (b'<meta charset="windows-1252">' + "caf\u00e9".encode("cp1252"), "text/html"),
        ("caf\u00e9".encode(), "text/html; charset=nonsense"),
        ("caf\u00e9".encode(), "text/html"),
    ],
)
def test_charsets(page, kind):
    assert words(page, kind) == "caf\u00e9"


RAW = b"<p>" + b"word " * 100


@pytest.mark.parametrize(
    ("data", "encoding", "found"),
    [
        (RAW, "", RAW),
        (gzip.compress(RAW, mtime=0), "gzip", RAW),
        (zlib.compress(RAW), "deflate", RAW),
        (zlib.compress(RAW)[2:-4], "deflate", RAW),
        (gzip.compress(RAW, mtime=0)[:-9], "gzip", RAW),
        (b"no gzip", "gzip", None),
        (RAW, "br", None),
        (RAW, "gzip, br", None),
    ],
)
def test_unpacking(data, encoding, found):
    assert (unpacked(data, encoding) or b"")[:400] == (found or b"")[:400]


def test_a_bomb_is_cut():
    assert len(unpacked(gzip.compress(bytes(50 << 20)), "gzip")) == LONGEST_PAGE


@pytest.mark.parametrize("unit", ["<", "<script>", "<!--", "<p alt='", "&#", "<b", 'alt="', "<p title = "])
def test_hostile_pages_are_read_in_time(unit):
    began = time.process_time()
    assert len(text_of(unit.encode() * (LONGEST_PAGE // len(unit)))) <= LONGEST_TEXT
    assert time.process_time() - began < 20  # linear: a quadratic reader takes minutes


@pytest.mark.parametrize(
    ("kind", "encoding", "answer"),
    [
        ("text/html; charset=utf-8", "", True),
        ("Text/HTML", "GZip", True),
        ("application/xhtml+xml", "identity", True),
        ("text/html", "br", False),
        ("application/json", "", False),
        ("text/event-stream", "", False),
        ("", "", False),
    ],
)
def test_what_is_a_page(kind, encoding, answer):
    assert readable(kind, encoding) is answer


@settings(max_examples=100)
@given(st.binary(max_size=400), st.text(max_size=40))
def test_any_bytes_are_read(data, kind):
    assert isinstance(text_of(b"<p>" + data, kind), str)
