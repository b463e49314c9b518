"""Words decide, over real sockets: searches in all their forms, and the text of pages."""

import dataclasses
import json
from urllib.parse import quote

import pytest

from category_lists.classifier import Guess, Proposal
from category_lists.phrases import by_hand
from policy.rules import Action, UnknownRule


class Suspects:
    """A model that takes every name for gambling, and no text for anything."""

    version = "v1"

    def guess(self, host):
        return Guess((Proposal("gambling", 0.9),))

    def propose(self, host):
        return self.guess(host).proposals

    def read(self, host, reader, text):
        del host, reader, text
        return Guess()


BAD = "hardcore porn videos, free porn, xxx porn movies, porn tube"
GOOD = "volcanoes and how lava cools into igneous rock"


@pytest.fixture
def wording(school):
    """Sets what follows from words for everyone here."""
    before = school.live.kept

    def set_to(how):
        made = school.build()
        hillview = made.schools["hillview"]
        groups = tuple(dataclasses.replace(group, wording=how) for group in hillview.groups)
        school.live.kept = dataclasses.replace(
            made, schools={"hillview": dataclasses.replace(hillview, groups=groups)}, _profiles={}
        )

    yield set_to
    school.live.kept = before


@pytest.mark.parametrize("how", ["plain", "gzip", "chunked", "gzip/chunked", "long", "long/chunked"])
@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_a_pages_words_decide(school, how, version):
    got = school.browse("ks3", f"https://allowed.test:{{https}}/html/{how}?text={quote(BAD)}", version, "--compressed")
    assert (got.status, got.code) == (403, 0), got.error
    assert "Pornography" in got.text
    assert "porn tube" not in got.text
    asked, told = school.events
    assert (asked.action, told.action, told.list, told.category, told.outcome) == (
        "allow",
        "block",
        "phrases",
        "pornography",
        "403",
    )
    assert told.detail.startswith("words: pornography ")
    got = school.browse("ks3", f"https://allowed.test:{{https}}/html/{how}?text={quote(GOOD)}", version, "--compressed")
    assert (got.status, GOOD in got.text) == (200, True)
    assert got.text.count("filler") == (200_000 if "long" in how else 1)
    *_, page, called = school.events
    assert told.title == "A page"  # what was refused for its words was read, and says what it called itself
    assert (page.kind, page.title, called.kind, called.title) == ("page", "", "title", "A page")
    assert (called.at, called.host, called.worker, called.term) == (page.at, page.host, page.worker, "")


def test_a_search_has_its_title_and_what_is_not_opened_has_none(school):
    """Nothing is held back for a title: the line is there before, and what is not read anyway is not read for it."""
    school.browse("ks3", f"https://allowed.test:{{https}}/html/plain?text={quote(GOOD)}")
    assert [event.kind for event in school.events] == ["page", "title"]
    school.events.clear()
    assert school.browse("ks3", f"https://bank.test:{{https}}/html/plain?text={quote(GOOD)}").status == 200
    assert not [event for event in school.events if event.title]


FEW = "Roulette every night"  # by phrases alone not enough to call a page gambling


def under_a_rule(school, model, page, action=Action.BLOCK):
    """What comes of a page before a rule says that such guesses count, and after."""
    before = school.live.kept
    made = school.build()
    hillview = made.schools["hillview"]
    signed = dataclasses.replace(hillview, unknown_rules=(UnknownRule("u1", "looks_harmful", action, 7),))
    shown = []
    for document in (hillview, signed):
        known = {digest: dataclasses.replace(one, model=model) for digest, one in made.dictionaries.items()}
        school.live.kept = dataclasses.replace(made, schools={"hillview": document}, dictionaries=known, _profiles={})
        shown.append(school.browse("ks3", page).status)
    school.live.kept = before
    return shown


class Looks(Suspects):
    """A model that takes no name for anything, and a text of countries on this site for a way round."""

    def guess(self, host):
        del host
        return Guess()

    def read(self, host, reader, text):
        known = reader is not None and host == "allowed.test"
        return Guess((Proposal("proxy_vpn", 0.9),)) if known and " countries " in text else Guess()


VAGUE = "Fast servers in forty countries, one click and your address is another"  # says too little by itself


def test_name_and_text_together_count_where_a_rule_says_so_and_the_log_tells_both(school):
    page = f"https://allowed.test:{{https}}/html/plain?text={quote(VAGUE)}"
    assert under_a_rule(school, Looks(), page) == [200, 403]
    told = school.events[-1]
    assert (told.list, told.category, told.reason) == ("classifier-page", "proxy_vpn", "looks_harmful")
    assert told.detail.startswith("name and text together look like proxy_vpn ")
    assert under_a_rule(school, Looks(), f"https://allowed.test:{{https}}/html/plain?text={quote(GOOD)}") == [200, 200]


def test_fewer_words_are_enough_where_the_name_speaks_of_the_same_and_a_rule_says_that_it_counts(school):
    page = f"https://allowed.test:{{https}}/html/plain?text={quote(FEW)}"
    school.worker.phrases.sets = by_hand  # what was learned changes with each training
    assert under_a_rule(school, Suspects(), page, Action.ALLOW) == [200, 403]
    told = school.events[-1]
    assert (told.list, told.category) == ("phrases", "gambling")
    assert told.detail.endswith("; its name looks like gambling too")


def test_a_page_packed_as_nobody_asked_is_refused(school):
    got = school.browse("ks3", f"https://allowed.test:{{https}}/html/br?text={quote(GOOD)}")
    assert (got.status, school.events[-1].outcome) == (502, "unreadable")
    assert school.internet.https.seen[0].headers["accept-encoding"] == "gzip"


def test_where_words_only_tell_they_are_noted(school, wording):
    wording("tell")
    got = school.browse("ks3", f"https://allowed.test:{{https}}/html/plain?text={quote(BAD)}")
    assert (got.status, got.code) == (200, 0)
    assert [event.action for event in school.events] == ["allow", "allow"]
    assert "pornography" in school.events[1].detail
    wording("off")
    school.events.clear()
    assert school.browse("ks3", f"https://allowed.test:{{https}}/html/br?text={quote(BAD)}").status == 200
    assert len(school.events) == 1


def test_what_is_no_page_is_not_held(school):
    url = f"https://allowed.test:{{https}}/html/plain?text={quote(BAD)}"
    assert school.curl("ks3", url, "-H", "Sec-Fetch-Dest: empty").status == 200  # a script's call, not a page
    assert school.browse("ks3", f"https://bank.test:{{https}}/html/plain?text={quote(BAD)}").status == 200  # private


SEARCHES = {
    "a search": ("www.google.com", "/search?q={}", None),
    "as it is typed": ("www.google.com", "/complete/search?client=x&q={}", None),
    "video, by address": ("www.youtube.com", "/results?search_query={}", None),
    "video, inside the page": ("www.youtube.com", "/youtubei/v1/search?prettyPrint=false", {"context": {}, "query": "{}"}),
}


@pytest.mark.parametrize(("host", "path", "sent"), SEARCHES.values(), ids=SEARCHES)
@pytest.mark.parametrize(
    ("words", "status", "theme"), [("volcano facts", 200, ""), ("how to kill myself", 403, "self_harm_eating_disorders")]
)
def test_searches_are_judged_by_their_words(school, host, path, sent, words, status, theme):
    more = []
    if sent:
        more = ["-H", "Content-Type: application/json", "-H", "Sec-Fetch-Dest: empty", "-H", "Accept: application/json"]
        more += ["--data", json.dumps({**sent, "query": words})]
    ask = school.curl if sent else school.browse
    got = ask("ks3", f"https://{host}:{{https}}{path.format(quote(words))}", *more)
    assert (got.status, got.code) == (status, 0), got.error
    (event,) = school.events
    assert (event.kind, event.term, event.category if theme else "") == ("search", words, theme)
    assert len(school.seen()) == (1 if status == 200 else 0)
    if status == 403 and not sent:
        main = got.text.partition("<main>")[2]
        assert main.index("Childline") < main.index("blocked:")  # help comes first
    if sent and status == 200:
        assert school.seen()[0].headers["youtube-restrict"] == "Strict"
        assert got.text == str(len(json.dumps({**sent, "query": words})))


@pytest.mark.parametrize("head", [[], ["-H", "Transfer-Encoding: chunked"]])
def test_a_search_whose_words_cannot_be_read_is_refused(school, tmp_path, head):
    body = json.dumps({"query": "x" * 300_000}) if not head else json.dumps({"query": "volcano"})
    (tmp_path / "body").write_text(body)
    got = school.curl(
        "ks3",
        "https://www.youtube.com:{https}/youtubei/v1/search",
        "-H",
        "Expect:",
        *head,
        "--http1.1",
        "--data-binary",
        f"@{tmp_path}/body",
    )
    assert got.status != 200
    assert not school.seen()
