"""The event as bytes and back."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.event import FIELDS, Event, Kind, decode, ending, opening, stamp

WORDS = st.text(st.characters(exclude_categories=()), max_size=20)
EVENTS = st.builds(
    Event,
    at=st.floats(0, 4e9),
    kind=st.sampled_from([str(kind) for kind in Kind]),
    change=st.integers(0, 2**53),
    **dict.fromkeys((name for name in FIELDS if name not in {"at", "kind", "change"}), WORDS),
)


@given(EVENTS)
def test_what_is_written_is_read(event):
    assert decode(event.encode()) == event


@given(EVENTS)
def test_an_event_is_one_line_of_ascii(event):
    assert event.encode().isascii()
    assert b"\n" not in event.encode()


def test_what_says_nothing_is_left_out():
    assert Event(1.5, "dns").encode() == b'[1.5,"dns"]'
    assert Event(1.5, "dns", host="a.example").encode().endswith(b'"a.example"]')


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{}", b"[]", b"[1]", b'"text"', b"null", b"\xff\xfe\x00", b"\x80", b'[1,"dns"', b"[" * 100_000, b"9" * 5000,
        json.dumps([0] * (len(FIELDS) + 1)).encode(),
    ],
)  # fmt: skip
def test_what_is_no_event_is_refused(data):
    with pytest.raises(ValueError):
        decode(data)


@given(
    st.binary() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda value: json.dumps(value).encode())
)
def test_strangers_bytes_are_an_event_or_a_value_error(data):
    with contextlib.suppress(ValueError):
        assert isinstance(decode(data), Event)


moments = st.floats(min_value=0, max_value=1e11, allow_nan=False)


@given(moments, st.tuples(*[WORDS] * 8), st.tuples(*[WORDS] * 9), st.integers(0, 1 << 40), st.tuples(*[WORDS] * 3))
def test_parts_make_the_event(at, who, what, change, rest):
    told = (*what[:3], *what[3:9], change, *rest)
    said = decode(stamp(at) + opening(*who) + ending(*told))
    assert said == Event(at, *who, *told)


def test_what_was_written_before_there_were_titles_is_read():
    older = Event(1.5, "page", host="a.example", worker="w")
    assert decode(json.dumps(list(older)[:-1]).encode()) == older


def test_an_ending_has_all_its_fields():
    with pytest.raises(ValueError, match="13 fields, not 2"):
        ending("host", "path")


def test_one_stamp_serves_many():
    at = stamp(1795000000.25)
    assert [decode(at + opening("dns", *"sgnipad") + ending(f"{n}.example", *("",) * 8, 0, "", "", "w")).host for n in range(3)] == [
        "0.example", "1.example", "2.example"
    ]  # fmt: skip
