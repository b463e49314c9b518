from proxy import needs
from proxy.needs import Needs, page_host


def test_what_a_page_wanted_is_told_for_a_while_to_whoever_it_was_refused():
    made = Needs()
    for host in ("player.test", "cdn.test", "chess.test"):
        made.refused("10.0.0.1", "https://chess.test/lesson", host, 0.0)
    assert made.of("10.0.0.1", "chess.test", 1.0) == ("cdn.test", "player.test")
    assert made.of("10.0.0.2", "chess.test", 1.0) == ()
    assert made.of("10.0.0.1", "chess.test", needs.LIFETIME) == ()


def test_it_is_bounded():
    made = Needs()
    for n in range(needs.REMEMBERED + 5):
        for m in range(needs.HOSTS + 2) if n == needs.REMEMBERED else (0,):
            made.refused("10.0.0.1", f"https://page{n}.test", f"host{m}.test", 0.0)
    assert len(made._of) == needs.REMEMBERED
    assert len(made.of("10.0.0.1", f"page{needs.REMEMBERED}.test", 1.0)) == needs.HOSTS


def test_where_a_request_comes_from_is_read_or_nothing():
    read = ("https://Chess.TEST./x", "null", "", "https://[::1", "https://a..b/", "x" * 9000, "https://user@chess.test:8443")
    assert [page_host(each) for each in read] == ["chess.test", "", "", "", "", "", "chess.test"]
