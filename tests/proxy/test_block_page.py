"""The pages: small, self-contained, and silent about sealed lists."""

import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from policy.decide import Question, decide
from proxy.answer import Wanted, cross_origin, wanted
from proxy.block_page import Asker, Pages

PAGES = Pages(b"k" * 32, "https://desk.test")
ASKER = Asker("10.0.0.7", Wanted.PAGE)


def blocked(snapshot, group, host, school="hillview", asker=ASKER):
    asked = Question(school, group, host, datetime(2026, 11, 23, 10, tzinfo=UTC), "/")
    return PAGES.block(snapshot, decide(snapshot, asked), asked, asker)


class Reader(HTMLParser):
    """What an accessibility reviewer looks at first."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.labels, self.ids, self.inputs, self.headings, self.links = [], set(), set(), [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append((tag, found))
        if "id" in found:
            assert found["id"] not in self.ids
            self.ids.add(found["id"])
        if tag == "label":
            self.labels.add(found["for"])
        if tag in {"input", "textarea"} and found.get("type") != "hidden":
            self.inputs.append(found["id"])
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))


@pytest.mark.parametrize(
    ("group", "host", "school"),
    [
        ("ks1", "games.test", "hillview"),
        ("ks3", "games.test", "hillview"),
        ("ks3", "worry.test", "hillview"),
        ("ks3", "sealed.test", "hillview"),
        ("staff", "mixed.test", "hillview"),
        ("strictest", "games.test", ""),
    ],
)
def test_a_page_is_small_complete_and_accessible(snapshot, group, host, school):
    answer = blocked(snapshot, group, host, school)
    text = answer.body.decode()
    reader = Reader(text)
    assert len(answer.body) < 15_000
    assert ("html", {"lang": "en-GB"}) in reader.tags
    assert reader.headings[0] in {1, 2}
    assert reader.headings.count(1) == 1
    assert set(reader.inputs) <= reader.labels
    assert not [tag for tag, _ in reader.tags if tag in {"script", "link", "img", "iframe"}]
    assert "src=" not in text
    assert "@import" not in text
    assert all(found["aria-labelledby"] in reader.ids for _, found in reader.tags if "aria-labelledby" in found)


def test_each_reader_gets_their_own(snapshot):
    young, pupil, staff = (blocked(snapshot, group, "mixed.test").body.decode() for group in ("ks1", "ks3", "staff"))
    assert "Tell your teacher." in young
    assert "<form" not in young
    assert "0800 1111" in pupil
    assert "r-shut" not in pupil
    assert "r-shut" in staff
    assert "https://desk.test" in staff


def test_a_sealed_list_is_never_told(snapshot):
    for group in ("ks1", "ks3", "staff"):
        for want in Wanted:
            text = blocked(snapshot, group, "sealed.test", asker=Asker("10.0.0.7", want)).body.decode("latin-1")
            assert "Child sexual abuse" not in text
            assert "csam" not in text
            assert "<form" not in text
            assert "sealed list" not in text


def test_help_comes_first_where_it_may_be_needed(snapshot):
    text = blocked(snapshot, "ks3", "worry.test").body.decode()
    assert text.index("0800 1111") < text.index("This site is blocked: ", text.index("<main>"))


@pytest.mark.parametrize(
    ("dest", "accept", "want"),
    [
        ("document", "*/*", Wanted.PAGE),
        ("iframe", "", Wanted.PAGE),
        ("", "text/html,*/*", Wanted.PAGE),
        ("", "*/*", Wanted.OTHER),
        ("", "image/avif,image/webp,*/*", Wanted.IMAGE),
        ("image", "*/*", Wanted.IMAGE),
        ("empty", "application/json", Wanted.JSON),
        ("empty", "text/html", Wanted.OTHER),
        ("script", "*/*", Wanted.OTHER),
    ],
)
def test_what_is_wanted(dest, accept, want):
    assert wanted(dest, accept) is want


@pytest.mark.parametrize(
    "origin", ["", "null", "https://a.test/x", "https://a.test\r\nX: y", "javascript:1", "https://é.test"]
)
def test_only_an_origin_is_mirrored(origin):
    assert cross_origin(origin) == ()
