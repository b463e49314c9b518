"""Search engines: whose host it is, what was searched for, what is forced."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.search_engines import Engines, load

ENGINES = load()


@pytest.mark.parametrize(
    ("host", "engine"),
    [
        ("google.com", "google"),
        ("www.google.com", "google"),
        ("www.google.co.uk", "google"),
        ("google.de", "google"),
        ("images.google.com.br", "google"),
        ("bing.com", "bing"),
        ("www.bing.com", "bing"),
        ("uk.search.yahoo.com", "yahoo"),
        ("m.youtube.com", "youtube"),
        ("youtubei.googleapis.com", "youtube"),
        ("yahoo.com", None),
        ("googleapis.com", None),
        ("www.google.co.uk.evil.example", None),
        ("notgoogle.com", None),
        ("evil-google.co.uk", None),
        ("com", None),
        ("", None),
    ],
)
def test_whose_host_it_is(host, engine):
    found = ENGINES.find(host)
    assert (found.id if found else None) == engine


@pytest.mark.parametrize(
    ("host", "path", "query", "term"),
    [
        ("www.google.com", "/search", "q=how+do+plants+eat&hl=en", "how do plants eat"),
        ("www.google.com", "/search", "hl=en&q=caf%C3%A9", "café"),
        ("www.google.com", "/search", "q=+", ""),
        ("www.google.com", "/search", "", ""),
        ("www.google.com", "/maps", "q=leeds", ""),  # no search
        ("www.bing.com", "/search", "query=volcano", "volcano"),
        ("www.bing.com", "/search", "q=first&query=second", "first"),
        ("pixabay.com", "/anything", "q=cat", "cat"),
        ("www.youtube.com", "/results", "search_query=maths", "maths"),
        ("www.google.com", "/search", "&".join(f"x{n}=1" for n in range(200)) + "&q=hidden", "hidden"),
    ],
)
def test_what_was_searched_for(host, path, query, term):
    assert ENGINES.find(host).term(path, query) == term


@given(st.text(), st.text())
def test_no_query_raises(path, query):
    for engine in ENGINES.engines:
        assert isinstance(engine.term(path, query), str)


def test_every_engine_can_be_made_safe():
    for engine in ENGINES.engines:
        assert engine.safe or engine.headers, engine.id
        assert engine.terms, engine.id
    assert ENGINES.find("www.google.co.uk").safe == {"safe": "active"}
    assert ENGINES.find("www.youtube.com").headers == {"YouTube-Restrict": "Strict"}


def test_the_table_travels_as_one_canonical_text():
    again = Engines.from_json(ENGINES.to_json())
    assert (again, again.digest) == (ENGINES, ENGINES.digest)
    with pytest.raises(ValueError):
        Engines.from_json('[{"id":"Not An Id","name":"x","hosts":[],"terms":[]}]')
