"""An event written in parts reads as an event written whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.event import Event, decode, ending, opening, stamp

words = st.text(max_size=20)
moments = st.floats(min_value=0, max_value=1e11, allow_nan=False)


@given(moments, st.tuples(*[words] * 8), st.tuples(*[words] * 9), st.integers(0, 1 << 40), st.tuples(*[words] * 3))
def test_parts_make_the_event(at, who, what, change, rest):
    told = (*what[:3], *what[3:9], change, *rest)
    said = decode(stamp(at) + opening(*who) + ending(*told))
    assert said == Event(at, *who, *told)


def test_an_ending_has_all_its_fields():
    with pytest.raises(ValueError, match="13 fields, not 2"):
        ending("host", "path")


def test_one_stamp_serves_many():
    at = stamp(1795000000.25)
    assert [decode(at + opening("dns", *"sgnipad") + ending(f"{n}.example", *("",) * 8, 0, "", "", "w")).host for n in range(3)] == [
        "0.example", "1.example", "2.example"
    ]  # fmt: skip
