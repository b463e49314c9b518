"""Each category is explained, and nothing else is."""

import pytest

from category_lists import rationale
from category_lists.rationale import _rationale
from category_lists.taxonomy import load


def test_every_category_says_what_it_covers_what_it_leaves_alone_and_who_asks_for_it():
    explained = rationale.load()
    assert set(explained) == set(load().categories)
    for name, one in explained.items():
        assert all(text.endswith(".") for text in (one.covers, one.leaves_out, one.evidence)), name
        assert all(one.answers_to), name


@pytest.mark.parametrize("given", [{}, {"covers": "a", "leaves_out": "b", "evidence": "c", "answers_to": []}, {"covers": 1}])
def test_a_half_explanation_is_none(given):
    with pytest.raises(ValueError, match="not whole"):
        _rationale("games", given)
