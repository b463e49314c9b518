"""Events as rows of the filter log: which have a line of their own, which are folded, and what a database can hold of each.

This runs for every event of the box: what is asked of all fields together costs a tenth of what asking each would.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from operator import le
from typing import cast

from monitoring.lines import LARGEST, MINUTE
from monitoring.tables import SIZES, clean, folded, site
from policy.event import FIELDS, Event, Kind

FOLDED_KINDS = frozenset({Kind.DNS, Kind.RESOURCE, Kind.CONNECTION})
FOLDED_ACTIONS = frozenset({"allow", "restrict"})  # safe search switched on is no refusal
LAST_MOMENT = 253_370_764_800  # the year 9999: datetime knows no later one
TEXTS = tuple(SIZES)
FOLD_BY = tuple(name for name in TEXTS if name in folded.c)
TEXT_SIZES, FOLD_SIZES = tuple(SIZES.values()), tuple(SIZES[name] for name in FOLD_BY)
# The same by place, since a name takes longer to find: all fields but the moment and the change ...
_CHANGE = FIELDS.index("change")
# ... and in three slices what folds: no path, no words, no detail, no worker.
_FROM, _TO, _AGAIN, _OUTCOME = FIELDS.index("kind"), FIELDS.index("path"), FIELDS.index("action"), FIELDS.index("outcome")
_site = lru_cache(16_384)(site)


def _texts(event: Event) -> tuple[str, ...]:
    return cast("tuple[str, ...]", event[1:_CHANGE] + event[_CHANGE + 1 :])


def _fold_key(event: Event) -> tuple[str, ...]:
    return cast("tuple[str, ...]", event[_FROM:_TO] + event[_AGAIN:_CHANGE] + event[_OUTCOME : _OUTCOME + 1])


def sound(event: Event) -> bool:
    """Is it what an Event says it is? What a worker wrote was JSON; any value may stand anywhere."""
    return (
        type(event.at) in {int, float}
        and 0 <= event.at < LAST_MOMENT
        and type(event.change) is int
        and 0 <= event.change <= LARGEST
        and set(map(type, _texts(event))) == {str}
    )


def folds(event: Event) -> bool:
    if "bypass:" in event.detail:  # an attempt to get round the filter is worth its own line even where it was let through
        return False
    return event.kind in FOLDED_KINDS and event.action in FOLDED_ACTIONS and event.reason != "error"


def row_of(event: Event) -> dict[str, object]:
    said = _texts(event)
    if not _fits("".join(said), said, TEXT_SIZES):
        said = tuple(map(clean, said, TEXT_SIZES))
    row: dict[str, object] = dict(zip(TEXTS, said, strict=True))
    if event.kind == Kind.REQUEST:
        row["detail"] = ""  # somebody's own words: they belong to the request, where retention finds them
    return row | {"at": int(event.at * 1_000_000), "change": event.change, "site": _site(str(row["host"]))}


def fold(same: Iterator[Event]) -> list[dict[str, object]]:
    """One row for like events of a minute."""
    found: dict[tuple[int, tuple[str, ...], int], list[int]] = {}
    for event in same:
        at = int(event.at * 1_000_000)
        key = at // MINUTE, _fold_key(event), event.change
        if (row := found.get(key)) is None:
            found[key] = [at, at, 1]
        else:
            row[0], row[1], row[2] = min(row[0], at), max(row[1], at), row[2] + 1
    return [_folded_row(*key, *row) for key, row in found.items()]


def _folded_row(minute: int, said: tuple[str, ...], change: int, at: int, last: int, count: int) -> dict[str, object]:
    if not _fits("".join(said), said, FOLD_SIZES):
        said = tuple(map(clean, said, FOLD_SIZES))
    row: dict[str, object] = dict(zip(FOLD_BY, said, strict=True))
    # 64 bits tell apart the rows of one minute; two alike among a million in that minute: once in 37 million minutes.
    digest = blake2b("\0".join((*said, str(change))).encode(), digest_size=8).digest()
    fold = int.from_bytes(digest, signed=True)
    row |= {
        "change": change,
        "minute": minute,
        "fold": fold,
        "at": at,
        "last": last,
        "count": count,
        "site": _site(str(row["host"])),
    }
    return row


def _fits(whole: str, said: Sequence[str], sizes: Sequence[int]) -> bool:
    """Is there nothing to clean? Nearly always: asked of all fields together, since asking each costs most of the intake."""
    return whole.isascii() and "\0" not in whole and all(map(le, map(len, said), sizes))
