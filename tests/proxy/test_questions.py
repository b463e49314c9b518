import pytest
from hypothesis import given
from hypothesis import strategies as st

from category_lists.names import NameRefused, canonical_host, canonical_path
from proxy.questions import NamesDiffer, request_site, tunnel_host


@pytest.mark.parametrize(
    ("target", "names", "path", "host", "canonical", "query"),
    [
        ("Games.Test.", ["games.test:8080"], b"/a/../b?x=1", "games.test", "/b", "x=1"),
        ("2130706433", ["127.0.0.1"], b"/", "127.0.0.1", "/", ""),
        ("::1", ["[::1]:80"], b"/", "::1", "/", ""),
        ("bücher.test", ["xn--bcher-kva.test"], b"/", "xn--bcher-kva.test", "/", ""),
        ("a.test", [], b"/caf\xe9", "a.test", "/caf%E9", ""),
        ("a.test", [], b"/x?y#z", "a.test", "/x", "y"),
        ("a.test", [], b"*", "a.test", "/*", ""),
    ],
)
def test_one_site_of_a_request(target, names, path, host, canonical, query):
    site = request_site(target, names, path)
    assert (site.host, site.path, site.query) == (host, canonical, query)


@pytest.mark.parametrize(
    "name", ["b.test", "a.test.b.test", "x@a.test", "a.test/", "a.test b.test", "", "a.test\\", "a.test#"]
)
def test_a_second_name_is_refused(name):
    with pytest.raises(NameRefused):
        request_site("a.test", [name], b"/")


def test_a_tunnel_and_its_greeting_agree():
    assert tunnel_host("A.test", "a.TEST") == tunnel_host("a.test", None) == "a.test"
    with pytest.raises(NamesDiffer):
        tunnel_host("a.test", "b.test")


anything = st.one_of(st.text(max_size=60), st.from_regex(r"[a-zA-Z0-9.:\[\]%@\\/_-]{1,30}"))


@given(anything, st.lists(anything, max_size=3), st.binary(max_size=80))
def test_any_bytes_give_one_canonical_site_or_a_refusal(target, names, path):
    try:
        site = request_site(target, names, path)
    except NameRefused:
        return
    assert site.path is not None
    assert canonical_host(site.host) == site.host
    assert canonical_path(site.path) == site.path
    assert all(request_site(name.strip(), (), path).host == site.host or ":" in name for name in names)


@given(anything, st.one_of(st.none(), anything))
def test_any_tunnel_has_one_host_or_is_refused(target, sni):
    try:
        host = tunnel_host(target, sni)
    except NameRefused:
        return
    assert canonical_host(host) == host
    assert sni is None or canonical_host(sni) == host
