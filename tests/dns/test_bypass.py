"""Points for ways round, and that they fade."""

import pytest

from dns.bypass import BY_CATEGORY, HALF_LIFE_S, Scores
from policy.attempts import POINTS, told


def test_points_add_up_fade_and_are_each_clients_own():
    scores = Scores()
    assert scores.note("a", "vpn", 0) == 3
    assert scores.note("a", "vpn", 0) == 6
    assert scores.of("a", HALF_LIFE_S) == pytest.approx(3)
    assert scores.of("a", -50) == 6  # a clock set back
    assert scores.of("b", 0) == 0
    assert scores.note("b", "canary", 0) == 0


def test_every_kind_has_its_points():
    assert set(BY_CATEGORY.values()) <= set(POINTS)


def test_memory_is_bounded():
    scores = Scores(clients=100)
    for number in range(10_000):
        scores.note(str(number), "doh", number)
    assert len(scores._known) <= 101


def test_how_it_is_told():
    assert told("vpn") == "bypass:vpn"
    assert told("vpn", 5.6) == "bypass:vpn (score 6)"
