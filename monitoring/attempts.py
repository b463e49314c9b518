"""Who tried to get round the filter, and how often: the filter log's own lines, by device."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sql

from monitoring.lines import microseconds, moment
from monitoring.log import Log
from monitoring.tables import events, folded
from policy.attempts import MARK, OF_OUTCOME, POINTS, kind_of
from policy.event import Kind

MOST = 50


@dataclass(slots=True)
class Tried:
    """One device's attempts of a period. `score` is the sum of what each weighs."""

    device: str  # its pseudonym, or its MAC, where that is known
    address: str  # the last that it had
    group: str
    last: datetime
    kinds: Counter[str] = field(default_factory=Counter)

    @property
    def score(self) -> int:
        return round(sum(POINTS[kind] * count for kind, count in self.kinds.items()))


def attempts(log: Log, school: str, since: datetime, until: datetime, *, but_groups: Sequence[str] = ()) -> list[Tried]:
    """The highest score first. Lines that know only an address are those of the device that other lines say had it."""
    row = events.c
    odd = (row.kind == Kind.CONNECTION) & (row.reason == "error") & row.outcome.in_(OF_OUTCOME)
    within = (row.school == school, row.at >= microseconds(since), row.at < microseconds(until))
    asked = (
        sql.select(row.address, row.device, row.group, row.detail, row.outcome, sql.func.count(), sql.func.max(row.at))
        .where(*within, row.group.not_in(but_groups), odd | row.detail.contains(MARK))
        .group_by(row.address, row.device, row.group, row.detail, row.outcome)
    )
    found: dict[str, Tried] = {}
    with log.open().connect() as connection:
        rows = connection.execute(asked).all()
    devices = {address: device for address, device, *_ in rows if device}
    for address, device, group, detail, outcome, count, at in rows:
        kind, known = kind_of(detail, outcome), device or devices.get(address, "")
        if not kind or not POINTS[kind]:
            continue
        one = found.setdefault(known or address, Tried(known, address, group, moment(at)))
        one.kinds[kind] += count
        if moment(at) > one.last:
            one.address, one.group, one.last = address, group, moment(at)
    return sorted(found.values(), key=lambda one: (-one.score, one.address))[:MOST]


def pinned(
    log: Log, school: str, since: datetime, until: datetime, *, but_groups: Sequence[str] = ()
) -> list[tuple[str, int]]:
    """Sites whose apps did not accept the filter's certificate, the most frequent first."""
    row, count = folded.c, sql.func.sum(folded.c["count"])  # their sites were allowed, or there would be nothing to accept
    within = (row.school == school, row.at >= microseconds(since), row.at < microseconds(until))
    asked = (
        sql.select(row.host, count)
        .where(*within, row.kind == Kind.CONNECTION, row.outcome == "no trust", row.group.not_in(but_groups))
        .group_by(row.host)
        .order_by(count.desc(), row.host)
        .limit(10)
    )
    with log.open().connect() as connection:
        return [(str(host), int(number)) for host, number in connection.execute(asked)]
