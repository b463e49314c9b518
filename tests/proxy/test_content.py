"""What is read of a page, and what is not."""

import gzip
import time
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.content import LONGEST_PAGE, LONGEST_TEXT, LONGEST_TITLE, readable, unpacked, words_of


def words(page, kind="text/html; charset=utf-8"):
    return " ".join(words_of(page if isinstance(page, bytes) else page.encode(), kind).text.split())


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
        ("<img alt = 'a red fox' data-alt=\"its den\" xalt='hidden' title=\n\"asleep\">", "a red fox its den asleep"),
        (
            "<\u017fcript>no element in any browser</\u017fcript> and <scripted>nor this",
            "no element in any browser and nor this",
        ),
        ("a<!-->never ends, as in a browser? it does there", "a"),
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


@pytest.mark.parametrize(
    ("page", "title"),
    [
        ("<title>Volcanoes &amp; lava</title>", "Volcanoes & lava"),
        ("<TITLE lang=en>\n  Two\r\n\tlines </TITLE>", "Two lines"),
        ("<title>a\0b\x1b[31mc&#0;d</title>", "ab[31mc\ufffdd"),
        ("<title>tset\u202e evil\u2066\u200f &#x202e;turned</title>", "tset evil turned"),
        ("<title>&#xd800;half</title>", "\ufffdhalf"),
        ("<title>می\u200cخواهم 👩\u200d🚀</title>", "می\u200cخواهم 👩\u200d🚀"),
        ("<title>" + "x" * 100_000 + "</title>", "x" * LONGEST_TITLE),
        ("<title>=1+1</title>", "=1+1"),  # what a spreadsheet makes of it is the export's to prevent
        ("<title><script>alert(1)</script></title>", ""),
        ("<title>&lt;script&gt;</title>", "<script>"),
        ("<svg><title>a picture</title></svg><p>x", ""),
        ("<!--<title>hidden</title>--><title>shown</title>", "shown"),
        ("<title>never ends", "never ends"),
        ("<p>none", ""),
    ],
)
def test_what_a_page_calls_itself(page, title):
    assert words_of(page.encode()).title == title


@pytest.mark.parametrize(
    "unit", ["<", "<title", "<title ", "<title>", "<script>", "<!--", "<p alt='", "&#", "<b", 'alt="', "<p title = "]
)
def test_hostile_pages_are_read_in_time(unit):
    began = time.process_time()
    assert len(words_of(unit.encode() * (LONGEST_PAGE // len(unit))).text) <= LONGEST_TEXT
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
    assert isinstance(words_of(b"<p>" + data, kind).text, str)
