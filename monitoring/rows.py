"""Events as rows of the filter log: which have a line of their own, which are folded, and what a database can hold of each.

This runs for every event of the box, thousands at a time. So what can be asked of a whole column is asked once of it, and
not of each event; but of a few hundred events (`FEW`), for those of thousands do not fit into the processor's cache, and then
each event alone would be quicker. Rows are tuples in the order of their columns.
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import batched
from math import isfinite
from typing import cast

from monitoring.lines import LARGEST, MINUTE
from monitoring.tables import SIZES, clean, folded, site
from policy.event import FIELDS, Event, Kind

FOLDED_KINDS = frozenset({Kind.DNS, Kind.RESOURCE, Kind.CONNECTION})
FOLDED_ACTIONS = frozenset({"allow", "restrict"})  # safe search switched on is no refusal
LAST_MOMENT = 253_370_764_800  # the year 9999: datetime knows no later one
TEXTS = tuple(SIZES)
FOLD_BY = tuple(name for name in TEXTS if name in folded.c)
OWN = (*TEXTS, "at", "change", "site")  # in the order of the rows below
FOLDED = (*FOLD_BY, "change", "minute", "fold", "at", "last", "count", "site")
# Fields by place, since a name takes longer to find. What folds is two slices: no path, no words, no detail, no worker.
_CHANGE, _HOST, _DETAIL = FIELDS.index("change"), FIELDS.index("host"), FIELDS.index("detail")
_PATH, _ACTION, _END = FIELDS.index("path"), FIELDS.index("action"), FIELDS.index("outcome") + 1
_AMONG = _CHANGE - _ACTION + _PATH - 1  # where the change stands among what folds
_SIZE_AT = {FIELDS.index(name): size for name, size in SIZES.items()}
_site = lru_cache(32_768)(site)

FEW = 256  # events whose columns are looked through together

type Row = tuple[object, ...]


def sound(event: Event) -> bool:
    """Is it what an Event says it is? What a worker wrote was JSON; any value may stand anywhere."""
    return all_sound((event,))


def all_sound(some: Sequence[Event]) -> bool:
    if not some:
        return True
    columns = list(zip(*some, strict=True))
    at, change = columns[0], columns[_CHANGE]
    return (
        set(map(type, at)) <= {int, float}
        and set(map(type, change)) == {int}
        and all(set(map(type, columns[place])) == {str} for place in _SIZE_AT)
        and min(at) >= 0
        and max(at) < LAST_MOMENT
        and isfinite(sum(at))  # what is no number is neither less nor more
        and min(change) >= 0
        and max(change) <= LARGEST
    )


def folds(event: Event) -> bool:
    if "bypass:" in event.detail:  # an attempt to get round the filter is worth its own line even where it was let through
        return False
    return event.kind in FOLDED_KINDS and event.action in FOLDED_ACTIONS and event.reason != "error"


def fitted(some: Sequence[Event]) -> Sequence[Event]:
    """The same, with texts that every database can hold."""
    return [event for few in batched(some, FEW) for event in _fitted(few)]


def _fitted(some: Sequence[Event]) -> Sequence[Event]:
    columns = list(zip(*some, strict=True))
    if all(_fits(set(columns[place]), size) for place, size in _SIZE_AT.items()):
        return some
    return [
        Event._make(clean(str(value), _SIZE_AT[place]) if place in _SIZE_AT else value for place, value in enumerate(event))
        for event in some
    ]


def _fits(texts: set[str], size: int) -> bool:
    whole = "".join(texts)
    return whole.isascii() and "\0" not in whole and max(map(len, texts)) <= size


def row_of(event: Event) -> Row:
    """A line of its own, of an event that fits."""
    if event.kind == Kind.REQUEST:
        event = event._replace(detail="")  # somebody's own words: they belong to the request, where retention finds them
    at = int(event[0] * 1_000_000)
    return event[1:_CHANGE] + event[_CHANGE + 1 :] + (at, event[_CHANGE], _site(event[_HOST]))


def fold(same: Sequence[Event]) -> list[Row]:
    """One row for like events of a minute, of events that fit."""
    found: dict[tuple[int, tuple[object, ...]], list[int]] = {}
    for event in same:
        at = int(event[0] * 1_000_000)
        key = at // MINUTE, event[1:_PATH] + event[_ACTION:_END]
        if (row := found.get(key)) is None:
            found[key] = [at, at, 1]
        else:
            row[0], row[1], row[2] = min(row[0], at), max(row[1], at), row[2] + 1
    return [_folded_row(minute, said, *row) for (minute, said), row in found.items()]


def _folded_row(minute: int, key: Row, at: int, last: int, count: int) -> Row:
    change, said = key[_AMONG], cast("tuple[str, ...]", key[:_AMONG] + key[_AMONG + 1 :])
    # 64 bits tell apart the rows of one minute; two alike among a million in that minute: once in 37 million minutes.
    digest = blake2b("\0".join((*said, str(change))).encode(), digest_size=8).digest()
    return (*said, change, minute, int.from_bytes(digest, signed=True), at, last, count, _site(said[_HOST - 1]))
