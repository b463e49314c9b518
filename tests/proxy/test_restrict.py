import pytest

from policy import search_engines
from proxy.restrict import forced_headers, safe_query

ENGINES = search_engines.load()


@pytest.mark.parametrize(
    ("host", "path", "query", "safe"),
    [
        ("www.google.com", "/search", "q=a", "q=a&safe=active"),
        ("www.google.co.uk", "/search", "safe=off&q=a&safe=images", "q=a&safe=active"),
        ("www.google.com", "/search", "q=a&%73afe=off&SAFE=off", "q=a&safe=active"),
        ("www.google.com", "/", "", ""),
        ("www.google.com", "/other", "q=%zz+b", "q=%zz+b&safe=active"),
        ("www.google.com", "/maps", "z=%31&y", "z=%31&y"),
        ("www.bing.com", "/images/search", "q=a", "q=a&adlt=strict"),
        ("pixabay.com", "/images/search/cat/", "", "safesearch=1"),
        ("www.youtube.com", "/results", "search_query=a", "search_query=a"),
    ],
)
def test_the_safe_parameters_replace_the_clients_own(host, path, query, safe):
    engine = ENGINES.find(host)
    assert engine is not None
    assert safe_query(engine, path, query) == safe
    assert safe_query(engine, path, safe) == safe


@pytest.mark.parametrize(("video", "value"), [("strict", "Strict"), ("moderate", "Moderate")])
def test_a_video_site_is_held_as_the_group_says(video, value):
    engine = ENGINES.find("www.youtube.com")
    assert engine is not None
    assert forced_headers(engine, video) == {"YouTube-Restrict": value}
    assert forced_headers(ENGINES.find("www.google.com"), video) == {}
