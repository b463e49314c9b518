"""Two versions of a list."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from category_lists.compare import compare

ROWS = st.sets(st.sampled_from(["a.com", "b.com", "b.com =", "c.com/x", "d.com @", "e.com", "f.com"]))


@settings(max_examples=60, deadline=None)
@given(ROWS, ROWS)
def test_counts_are_those_of_sets(tmp_path_factory, old: set[str], new: set[str]) -> None:
    folder = tmp_path_factory.mktemp("lists")
    for name, rows in (("old", old), ("new", new)):
        (folder / name).write_bytes(b"# said by hand\n" + b"".join(sorted(row.encode() + b"\n" for row in rows)))
    found = compare(folder / "old", folder / "new", examples=2)
    assert (found.before, found.after) == (len(old), len(new))
    assert (found.added, found.removed) == (len(new - old), len(old - new))
    assert found.came == tuple(sorted(new - old, key=str.encode)[:2])
    assert found.went == tuple(sorted(old - new, key=str.encode)[:2])


def test_an_empty_list_is_compared(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"")
    (tmp_path / "new").write_bytes(b"a.com\n")
    assert compare(tmp_path / "old", tmp_path / "new").added == 1
