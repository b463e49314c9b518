import pytest
from hypothesis import given
from hypothesis import strategies as st

from category_lists.inner import carries, imitated, inner_sites
from category_lists.names import NameRefused, Site, canonical_host, canonical_site


@pytest.mark.parametrize(
    ("asked", "inner"),
    [
        ("www-example-com.translate.goog", "www.example.com"),
        ("https://my--site-co-uk.translate.goog/a/b?_x_tr_sl=en", "my-site.co.uk/a/b"),
        ("https://translate.google.com/website?sl=fr&u=https://bad.example/x", "bad.example/x"),
        ("https://translate.google.co.uk/translate?u=bad.example", "bad.example"),
        ("https://www.translatetheweb.com/?from=&to=en&a=http%3A%2F%2Fbad.example%2Fp", "bad.example/p"),
        ("https://translated.turbopages.org/proxy_u/ru-en.ru.65d1/https/bad.example/p", "bad.example/p"),
        ("https://web.archive.org/web/20200101000000/http://bad.example/x?y=1", "bad.example/x"),
        ("https://web.archive.org/web/20200101000000im_/https://bad.example/x.jpg", "bad.example/x.jpg"),
        ("https://web.archive.org/web/2020*/bad.example", "bad.example"),
        ("https://web.archive.org/web/http:%2F%2Fbad.example/x", "bad.example/x"),
        ("https://archive.is/newest/https://bad.example/", "bad.example/"),
        ("https://archive.ph/20200101/https://bad.example/", "bad.example/"),
        ("https://webcache.googleusercontent.com/search?q=cache:Ab12xyz:https://bad.example/x+word&hl=en", "bad.example/x"),
        ("https://webcache.googleusercontent.com/search?q=cache:bad.example", "bad.example"),
        ("https://www.google.com/amp/s/bad.example/x", "bad.example/x"),
        ("https://bad-example.cdn.ampproject.org/c/s/bad.example/x", "bad.example/x"),
        ("bad-example.cdn.ampproject.org", "bad.example"),
        ("https://r.jina.ai/https://bad.example/x", "bad.example/x"),
        ("https://r.jina.ai/bad.example", "bad.example"),
        ("https://12ft.io/https://bad.example", "bad.example"),
        ("https://12ft.io/proxy?q=https%3A%2F%2Fbad.example", "bad.example"),
        ("https://www.google.com/url?sa=t&url=https%3A%2F%2Fbad.example%2F", "bad.example/"),
        ("https://duckduckgo.com/l/?uddg=https%3A%2F%2Fbad.example", "bad.example"),
        ("https://www.bing.com/ck/a?!&&p=1&u=a1aHR0cHM6Ly9iYWQuZXhhbXBsZS94&ntb=1", "bad.example/x"),
        ("https://r.search.yahoo.com/_ylt=A/RV=2/RE=1/RO=10/RU=https%3a%2f%2fbad.example%2fx/RK=2", "bad.example/x"),
        ("https://href.li/?https://bad.example/x", "bad.example/x"),
        ("https://i0.wp.com/bad.example/pic.jpg", "bad.example/pic.jpg"),
        ("https://corsproxy.io/?https://bad.example/x", "bad.example/x"),
        ("10.0.0.1.nip.io", "10.0.0.1"),
        ("app.192-168-1-250.sslip.io", "192.168.1.250"),
        ("site.c0a801fa.nip.io", "192.168.1.250"),
        ("a.2a01-4f8--1.sslip.io", "2a01:4f8::1"),
    ],
)
def test_what_is_carried_inside(asked, inner):
    assert [str(found) for found in inner_sites(canonical_site(asked))] == [inner]


@pytest.mark.parametrize(
    "asked",
    [
        "example.com", "https://example.com/?u=https://other.example", "https://www.google.com/search?q=bad.example",
        "https://web.archive.org/", "https://web.archive.org/web/2020*/", "https://translate.google.com/?sl=en&text=hello",
        "translate.goog", "nip.io", "www.nip.io", "https://archive.org/details/book", "https://web.archive.org/about/",
        "https://r.jina.ai/", "notnip.io", "https://12ft.io/",
    ],
)  # fmt: skip
def test_most_sites_are_only_themselves(asked):
    assert inner_sites(canonical_site(asked)) == ()


@pytest.mark.parametrize(
    ("host", "like"),
    [
        ("аpple.com", "apple.com"),  # Cyrillic a
        ("рауpal.com", "paypal.com"),
        ("xn--pple-43d.com", "apple.com"),
        ("pоrnhub.com", "pornhub.com"),
        ("paypa1.com", "paypal.com"),
        ("www.g00gle.co.uk", "www.google.co.uk"),
        ("faceb00k.com", "facebook.com"),
    ],
)
def test_names_that_look_like_another(host, like):
    assert imitated(canonical_host(host)) == like


@pytest.mark.parametrize(
    "host",
    [
        "münchen.de",
        "пример.рф",
        "例え.jp",
        "example.com",
        "o2online.de",
        "r3---sn-x.c.y.com",
        "4chan.org",
        "1.2.3.4",
        "123456.com",
        "com",
    ],
)
def test_names_that_look_like_themselves(host):
    assert imitated(canonical_host(host)) in (None, "achan.org")


@given(st.text(max_size=80), st.one_of(st.none(), st.text(max_size=120)), st.text(max_size=120))
def test_nothing_upsets_it(host, path, query):
    hosts = [
        "web.archive.org",
        "www.google.com",
        "translate.google.com",
        "r.jina.ai",
        "bing.com",
        "a.translate.goog",
        "x.nip.io",
    ]
    for name in hosts:
        for site in inner_sites(Site(name, None if path is None else "/" + path, query)):
            assert canonical_host(site.host) == site.host
    try:
        imitated(canonical_host(host))
    except NameRefused:
        return


@pytest.mark.parametrize(
    ("host", "may"),
    [
        ("translate.google.com", True),
        ("www.google.co.uk", True),
        ("web.archive.org", True),
        ("10-0-0-1.nip.io", True),
        ("bbc.co.uk", False),
        ("archive.example", False),
    ],
)
def test_which_hosts_may_carry_another(host, may):
    assert carries(host) is may
