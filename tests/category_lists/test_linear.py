"""Sums of rows of signed bytes, and what probabilities become of them."""

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from category_lists.linear import HARMLESS, _added, harm_in, scores, shares


@given(st.integers(2, 9), st.data())
@settings(max_examples=40)
def test_rows_are_added_as_one_number_as_they_would_be_one_by_one(width, data):
    weights = array("b", data.draw(st.lists(st.integers(-128, 127), min_size=width * 20, max_size=width * 20)))
    rows = data.draw(st.lists(st.integers(0, 19), max_size=30)) + [0, 19] * 100
    one_by_one = [sum(weights[row * width + column] for row in rows) for column in range(width)]
    assert _added(memoryview(weights), width, rows) == one_by_one


def test_many_rows_are_added_in_parts_and_few_count_as_having_said_nothing_more():
    weights = memoryview(array("b", [127, -128] * 3))
    kinds, biases, scales = (HARMLESS, "games"), (1.0, 2.0), (0.5, 0.25)
    many = scores(weights, [0, 1, 2] * 300, kinds, biases, scales)
    assert many == {HARMLESS: pytest.approx(1 + 900 * 127 * 0.5 / 30), "games": pytest.approx(2 - 900 * 128 * 0.25 / 30)}
    few = scores(weights, [0], kinds, biases, scales, least=4)
    assert few == {HARMLESS: pytest.approx(1 + 127 * 0.5 / 2), "games": pytest.approx(2 - 128 * 0.25 / 2)}
    assert scores(weights, [], kinds, biases, scales) == {HARMLESS: 1.0, "games": 2.0}


def test_shares_make_one_and_harm_is_held_against_harmless():
    found = shares({HARMLESS: 0.0, "games": 1.0, "gambling": 2.0})
    assert sum(found.values()) == pytest.approx(1)
    assert harm_in(found, 0.0) == found["gambling"]
    assert harm_in(found, 1.0) == pytest.approx(found["gambling"] / found[HARMLESS])
    assert harm_in({HARMLESS: 0.0, "games": 1.0}, 0.5) > 1e4  # never divided by nothing
