"""The rows of kept lists, read again."""

from collections.abc import Iterable, Iterator
from pathlib import Path


def rows(folder: Path, lists: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Every row of these lists (id, digest) in an installation's lists folder. ValueError for one that is not there."""
    for list_id, digest in lists:
        path = folder / list_id / f"{digest}.txt"
        try:
            with path.open(encoding="utf-8") as file:
                yield from file
        except OSError as error:
            raise ValueError(f"The list {list_id} is not kept here in the version {digest[:8]}: {error.strerror}.") from None
