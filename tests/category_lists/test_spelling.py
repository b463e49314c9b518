"""Abbreviations and slips of the finger."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from category_lists.spelling import PLAIN, Spelling

MADE = Spelling.of({"u": "you", "wanna": "want to"}, ["suicide", "unblocked", "casino"], ["unlocked", "casinos"])


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("sucide", "suicide"), ("suiciide", "suicide"), ("suicde", "suicide"), ("suicied", "suicide"), ("unblokced", "unblocked"),
        ("unblocke", "unblocked"), ("unblacked", "unblocked"), ("unlocked", "unlocked"), ("casinos", "casinos"),
        ("blocked", "blocked"), ("nublocked", "nublocked"), ("suiiciide", "suiiciide"), ("суицид", "суицид"), ("suicide", "suicide"),
    ],
)  # fmt: skip
def test_one_slip_is_undone_towards_few_words(typed, meant):
    assert MADE.nearest(typed) == meant


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        (" u wanna go ", " you want to go "),
        (" how 2 do it ", " how to do it "),
        (" 2 dogs and 2 cats ", " 2 dogs and 2 cats "),
        (" i am here and i do not care ", " im here and i dont care "),
        ("  ", "  "),
    ],
)
def test_texting_is_brought_into_one_form(text, spoken):
    assert MADE.spoken(text) == spoken
    assert MADE.spoken(spoken) == spoken
    assert PLAIN.spoken(text) == text


@given(st.text(min_size=1, max_size=20))
def test_no_word_upsets_it(word):
    assert MADE.nearest(word) in {word, "suicide", "unblocked", "casino"}
