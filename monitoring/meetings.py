"""The review meeting of DSL and co-ordinator: an agenda made by itself, minutes typed in place, both signing.

The agenda is kept as it was when the meeting was opened: it is what they looked at. Both sign one digest, over agenda,
minutes and next date; writing anything after the first signature takes that signature back. When both have signed, the
meeting is closed for good, and an entry of the change log holds its digest.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sql

from monitoring import store
from monitoring.captures import NotYours
from monitoring.lines import microseconds, moment
from monitoring.log import Log
from monitoring.tables import meetings, signatures
from policy.proof import canonical, digest

LONGEST = timedelta(days=120)  # so far back an agenda looks where there was no meeting before
DSL, COORDINATOR = "dsl", "online_safety_coordinator"


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the agenda: what to look at, in lines that name nobody."""

    id: str
    title: str
    lines: tuple[str, ...]
    prompt: str = ""


@dataclass(frozen=True, slots=True)
class Minute:
    """What was said and decided about one item."""

    said: str = ""
    decision: str = ""
    owner: str = ""
    due: str = ""  # a date


@dataclass(frozen=True, slots=True)
class Meeting:
    id: int
    at: datetime
    since: datetime
    opened_by: str
    state: str  # open, signed
    agenda: tuple[Item, ...]
    minutes: Mapping[str, Minute]
    next: datetime | None
    digest: str
    entry: int
    signed: Sequence[store.Row]

    def terms(self) -> Mapping[str, Any]:
        """What is signed."""
        return {
            "meeting": self.id,
            "at": self.at.isoformat(),
            "since": self.since.isoformat(),
            "agenda": [asdict(item) | {"lines": list(item.lines)} for item in self.agenda],
            "minutes": {name: asdict(minute) for name, minute in sorted(self.minutes.items())},
            "next": self.next.isoformat() if self.next else "",
        }

    def shown(self) -> str:
        return digest(canonical(self.terms()))


def _meeting(row: store.Row, signed: Sequence[store.Row]) -> Meeting:
    agenda = tuple(Item(one["id"], one["title"], tuple(one["lines"]), one["prompt"]) for one in json.loads(row["agenda"]))
    minutes = {name: Minute(**said) for name, said in json.loads(row["minutes"] or "{}").items()}
    return Meeting(
        row["id"], moment(row["at"]), moment(row["since"]), row["opened_by"], row["state"], agenda, minutes,
        moment(row["next"]) if row["next"] is not None else None, row["digest"], row["entry"], signed,
    )  # fmt: skip


def listed(log: Log, school: str, limit: int = 60) -> Sequence[Meeting]:
    """Newest first."""
    asked = sql.select(meetings).where(meetings.c.school == school).order_by(meetings.c.id.desc()).limit(limit)
    with store.reading(log) as connection:
        found = store.rows(connection, asked)
        every = store.rows(connection, sql.select(signatures).where(signatures.c.school == school))
    return [_meeting(row, [one for one in every if one["meeting"] == row["id"]]) for row in found]


def one(log: Log, school: str, number: int) -> Meeting:
    found = next((each for each in listed(log, school, 500) if each.id == number), None)
    if found is None:
        raise NotYours(f"there is no meeting {number} here")
    return found


def since(log: Log, school: str, now: datetime) -> datetime:
    """From when the next meeting looks: the last signed one, else a week ago."""
    last = next((each for each in listed(log, school) if each.state == "signed"), None)
    return max(last.at, now - LONGEST) if last else now - timedelta(days=7)


def open_(log: Log, school: str, person: str, agenda: Sequence[Item], begins: datetime, now: datetime) -> int:
    """A meeting with its agenda; the one that is open, where there is one."""
    waiting = next((each for each in listed(log, school) if each.state == "open"), None)
    if waiting:
        return waiting.id
    said = json.dumps([asdict(item) for item in agenda])
    with store.changing(log) as connection:
        return store.add(
            connection, meetings, school=school, at=microseconds(now), opened_by=person, since=microseconds(begins),
            state="open", agenda=said, minutes="{}", digest="", entry=0,
        )  # fmt: skip


def write(log: Log, school: str, number: int, minutes: Mapping[str, Minute], next_: datetime | None) -> None:
    """Minutes as they stand now. Whoever had signed signs anew: it is no longer what she signed."""
    found = one(log, school, number)
    if found.state != "open":
        raise ValueError("this meeting is signed; what comes now belongs to the next")
    known = {item.id for item in found.agenda}
    kept = {name: minute for name, minute in minutes.items() if name in known and minute != Minute()}
    if kept == found.minutes and next_ == found.next:
        return
    with store.changing(log) as connection:
        connection.execute(
            sql.update(meetings)
            .where(meetings.c.school == school, meetings.c.id == number)
            .values(
                minutes=json.dumps({name: asdict(minute) for name, minute in kept.items()}),
                next=microseconds(next_) if next_ else None,
            )
        )
        connection.execute(sql.delete(signatures).where(signatures.c.school == school, signatures.c.meeting == number))


def part_of(roles: frozenset[str], found: Meeting, person: str) -> str:
    """As whom this person signs: as DSL or as co-ordinator; the headteacher in the place of a DSL who is not there."""
    if any(each["person"] == person for each in found.signed):
        raise ValueError("you have signed already; it waits for the other one")
    taken = {each["role"] for each in found.signed}
    for role, may in ((COORDINATOR, {COORDINATOR}), (DSL, {DSL, "headteacher"})):
        if role not in taken and not may.isdisjoint(roles):
            return role
    raise ValueError("the meeting is signed by the co-ordinator and by the DSL, or the headteacher in her place")


def sign(
    log: Log,
    school: str,
    number: int,
    person: str,
    roles: frozenset[str],
    shown: str,
    signature: Mapping[str, Any],
    now: datetime,
) -> bool:
    """One signature. True when both are there."""
    found = one(log, school, number)
    if found.state != "open":
        raise ValueError("this meeting is signed already")
    if found.shown() != shown:
        raise ValueError("the minutes have changed since you saw them; read them again")
    if found.next is None:
        raise ValueError("set the next date first")
    role = part_of(roles, found, person)
    with store.changing(log) as connection:
        store.add(
            connection, signatures, meeting=number, person=person, school=school, role=role, at=microseconds(now),
            text=canonical(dict(signature)),
        )  # fmt: skip
    return len(found.signed) == 1


def close(log: Log, school: str, number: int, shown: str, entry: int) -> None:
    with store.changing(log) as connection:
        connection.execute(
            sql.update(meetings)
            .where(meetings.c.school == school, meetings.c.id == number)
            .values(state="signed", digest=shown, entry=entry)
        )
