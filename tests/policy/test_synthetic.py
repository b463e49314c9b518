"""Addresses that stand for names, and the table that says which."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.synthetic import NUMBERS, Names, addresses, number_of


@settings(max_examples=60, deadline=None)
@given(st.integers(1, NUMBERS))
def test_there_and_back(number):
    assert [number_of(each) for each in addresses(number)] == [number, number]


@pytest.mark.parametrize("number", [0, -1, NUMBERS + 1])
def test_no_such_number(number):
    with pytest.raises(ValueError, match="no number"):
        addresses(number)


@pytest.mark.parametrize(
    ("address", "number"),
    [("8.8.8.8", 0), ("2001:db8::1", 0), ("::ffff:198.18.0.7", 7), ("198.19.255.255", -1), ("fd73:6368:6f6f:6c67:1::1", -1)],
)
def test_other_addresses(address, number):
    assert number_of(address) == number


def test_the_table_is_read_on_and_anew(tmp_path):
    path = tmp_path / "names"
    names = Names(path)
    assert names.of("198.18.0.1") == ""
    assert names.of("1.1.1.1") is None
    path.write_text("1 a.example\n2 b.exa")
    assert (names.of("198.18.0.1"), names.of("198.18.0.2")) == ("a.example", ""), "half a line is none"
    with path.open("a") as file:
        file.write("mple\n1 c.example\nrubbish\n")
    assert (names.of("198.18.0.1"), names.of("fd73:6368:6f6f:6c67::2")) == ("c.example", "b.example")
    other = tmp_path / "new"
    other.write_text("9 d.example\n")
    other.replace(path)
    assert names.all() == {9: "d.example"}
