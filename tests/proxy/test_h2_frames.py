"""Frames are counted however they are cut, and cost what they cost."""

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.h2_frames import A_SECOND, CARRIED, MOST, PREFACE, Frames, Patience


@settings(max_examples=60)
@given(st.lists(st.integers(0, 40), max_size=8), st.lists(st.integers(1, 30), min_size=1, max_size=20))
def test_frames_are_counted_however_they_are_cut(sizes, cuts):
    data = bytes(PREFACE) + b"".join(size.to_bytes(3) + b"\0" * (6 + size) for size in sizes)
    frames, count, at = Frames(), 0, 0
    for cut in [*cuts, len(data)]:
        count, at = count + frames.begun(data[at : at + cut]), at + cut
    assert count == len(sizes)


def test_what_one_may_ask():
    patience = Patience(0.0)
    assert patience.spend(MOST, 0.0)
    assert not patience.spend(1, 0.0)
    assert patience.spend(A_SECOND - 1, 1.0)
    assert not patience.spend(1, 1.0)
    patience.earn(3 * CARRIED)
    assert patience.spend(1, 1.0)
    assert patience.spend(MOST, 1e9)  # never more than so many at once
    assert not patience.spend(1, 1e9)
