"""What is kept, and for how long."""

import pytest

from dns import codec
from dns.cache import LARGEST, Bounds, Cache, Generations, Stored
from dns.codec import Answer, Edns, Query


def query(name="news.example", **more):
    return Query(7, name, codec.wire_name(name), more.pop("qtype", codec.A), **more)


def stored(lifetime, at=1000.0, rcode=0, body=b""):
    return Stored(Answer(rcode, False, (1, 0, 0), body, (), lifetime), at)


@pytest.mark.parametrize(("now", "there"), [(1000, True), (1299, True), (1300, False), (999, False)])
def test_an_answer_lives_as_long_as_its_ttl(now, there):
    cache = Cache(1 << 20)
    cache.put(query(), stored(300))
    assert bool(cache.get(query(), now)) is there


def test_nothing_is_kept_for_more_than_a_day():
    cache = Cache(1 << 20)
    cache.put(query(), stored(10_000_000))
    assert cache.get(query(), 1000 + 86_399)
    assert cache.get(query(), 1000 + 86_400) is None


@pytest.mark.parametrize("answer", [stored(0), stored(300, rcode=2), stored(300, body=bytes(LARGEST + 1))])
def test_what_is_not_kept(answer):
    cache = Cache(1 << 20)
    cache.put(query(), answer)
    assert len(cache) == 0


def test_questions_that_differ_have_answers_that_differ():
    cache = Cache(1 << 20)
    cache.put(query(), stored(300))
    spelling = Query(9, "news.example", b"\x04NeWs\x07example\0", codec.A)
    assert cache.get(spelling, 1000)
    for other in (query("x.example"), query(qtype=28), query(cd=True), query(edns=Edns(1232, do=True))):
        assert cache.get(other, 1000) is None
    assert cache.get(query(edns=Edns(1232, do=False)), 1000)


def test_memory_is_bounded_and_what_is_used_stays():
    kept: Generations[int, int] = Generations(100)
    kept.put(-1, 1)
    for number in range(10_000):
        kept.put(number, number)
        assert kept.get(-1) == 1
        assert len(kept) <= 101
    assert kept.get(9_999) == 9_999
    assert kept.get(0) is None


def test_memory_is_bounded_in_bytes_whatever_answers_weigh():
    cache = Cache(200_000)
    for number in range(2_000):
        cache.put(query(f"n{number}.example"), stored(300, body=bytes(number % 2 * 3_000)))
    assert 20 < len(cache) < 250
    assert cache.get(query("n1999.example"), 1000)


@pytest.mark.parametrize(
    ("lifetime", "rcode", "kept_for"), [(1, 0, 30), (300, 0, 300), (9_000, 0, 600), (9_000, 3, 60), (5, 3, 30)]
)
def test_bounds(lifetime, rcode, kept_for):
    cache = Cache(1 << 20, Bounds(30, 600, 60, 100))
    assert cache.put(query(), stored(lifetime, rcode=rcode)).answer.lifetime == kept_for
    assert cache.get(query(), 1000 + kept_for - 1)
    assert cache.get(query(), 1000 + kept_for) is None
    stale = cache.stale(query(), 1000 + kept_for + 99)
    assert (stale.fresh, stale.answer.lifetime, stale.answer.ad) == (False, 30, False)
    assert cache.stale(query(), 1000 + kept_for + 100) is None


def test_an_answer_is_fetched_anew_near_its_end():
    one = stored(300)
    assert not one.ends_soon(1269)
    assert one.ends_soon(1271)
    assert not stored(10).ends_soon(1009.9)
    assert not one.stale(1400).ends_soon(1429)


def test_what_was_dropped_is_freed_little_by_little():
    """Each value counts how many of its kind are alive: none stay for good, and none of those in use go."""
    alive = set()

    class Value:
        def __init__(self, number):
            self.number = number
            alive.add(number)

        def __del__(self):
            alive.discard(self.number)

    kept = Generations(1_000)
    for number in range(1_000):
        kept.put(number, Value(number))
    kept.clear()
    assert (len(kept), len(alive)) == (0, 1_000)
    assert kept.get(5) is None
    for number in range(1_000, 1_000 + 260):
        kept.put(number, Value(number))
    assert alive == set(range(1_000, 1_260))


@pytest.mark.parametrize("before", [{}, {"a": 1, "b": 2}])
def test_what_is_taken_over_is_held_within_the_bound(before):
    held: Generations[str, int] = Generations(8)
    for key, value in before.items():
        held.put(key, value)
    held.take({"b": 7, "c": 8})
    assert dict(held.items()) == {**before, "b": 7, "c": 8}
    for each in range(20):
        held.put(str(each), each)
    assert len(held) <= 8
    assert held.get("19") == 19
