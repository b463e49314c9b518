"""A school's own word on what a site is: small lists that stand above everybody else's.

A correction is an ordinary kept list, `corrections-<school>-<category>`. What it names belongs to its category and, for that
school, to no other: when the index is compiled, each of its rows is also an exception in all other lists, but for the
essentials and the illegal ones. A site that is wrongly listed and belongs nowhere stands in the list `-none`.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from category_lists.lists import ListVersion, store_lines

PREFIX: Final = "corrections-"
UNTOUCHED: Final = frozenset(("essentials", "csam_illegal", "terrorism_illegal"))
_NOWHERE: Final = "infrastructure"  # the list of what belongs nowhere needs a category; its rows are exceptions all the same


def is_correction(list_id: str) -> bool:
    return list_id.startswith(PREFIX)


def list_id(log: str, category: str) -> str:
    return f"{PREFIX}{log[:24]}-{(category or 'none').replace('_', '-')}"[:64]


def corrected(
    folder: Path,
    mine: Mapping[str, tuple[ListVersion, Path]],
    log: str,
    site: str,
    category: str | None,
    *,
    at: datetime,
) -> tuple[list[str], list[ListVersion]]:
    """The correction lists of a school once a site is put in a category: ids that go, versions that come.

    `category` "" puts it in none; None takes the school's word on it back, so that others' counts again.
    """
    target = list_id(log, category or "") if category is not None else None
    gone: list[str] = []
    versions: list[ListVersion] = []
    rows = {each: set(path.read_text("utf-8").split("\n")) - {""} for each, (_, path) in mine.items()}
    for each, (version, _) in mine.items():
        left = {row for row in rows[each] if row.partition(" ")[0] != site}
        if each != target and left != rows[each]:
            if left:
                versions.append(_kept(folder, each, version.category, left, at))
            else:
                gone.append(each)
    if target is None:
        return gone, versions
    names = {row for row in rows.get(target, set()) if row.partition(" ")[0] != site}
    names.add(site if category else f"{site} @")
    versions.append(_kept(folder, target, category or _NOWHERE, names, at))
    return gone, versions


def _kept(folder: Path, name: str, category: str, rows: set[str], at: datetime) -> ListVersion:
    lines = [_as_rule(row).encode() for row in sorted(rows)]
    version, _ = store_lines(
        folder, [lines], source="the school's corrections", list_id=name, category=category, format="adblock", at=at
    )
    return version


def _as_rule(row: str) -> str:
    name, _, flag = row.partition(" ")
    host, slash, path = name.partition("/")
    return f"{'@@' if '@' in flag else ''}||{host}{slash + path if slash else '^'}"
