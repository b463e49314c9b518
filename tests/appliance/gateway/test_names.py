"""Names get their numbers once, also over a restart; a number is not given on while its name is in use."""

import pytest

from appliance.gateway.names import KEPT_S, NoNumberLeft, Numbers
from policy.synthetic import Names


def test_one_name_one_number_over_a_restart(tmp_path):
    path = tmp_path / "gateway" / "names"
    numbers = Numbers(path)
    assert [numbers.of(name, 0) for name in ("a.example", "b.example", "a.example")] == [1, 2, 1]
    assert Names(path).of("198.18.0.2") == "b.example", "readers find it at once"
    numbers.close()
    again = Numbers(path)
    assert [again.of(name, 0) for name in ("c.example", "b.example")] == [3, 2]
    again.close()


def test_numbers_go_round(tmp_path):
    numbers = Numbers(tmp_path / "names", most=2)
    assert [numbers.of(name, 0) for name in ("a.example", "b.example")] == [1, 2]
    with pytest.raises(NoNumberLeft):
        numbers.of("c.example", KEPT_S)
    numbers.of("a.example", KEPT_S)
    assert numbers.of("c.example", KEPT_S + 1) == 2
    assert Names(tmp_path / "names").of("198.18.0.2") == "c.example"
    numbers.close()
