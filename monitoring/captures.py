"""Triage: captures looked at, graded, taken back, and the proof that somebody looked.

A grade is a row that is only ever added; a capture shows the latest that was not taken back. What one keystroke did carries
one batch number, so that one keystroke takes all of it back. Who may see whom: pupils are the DSL's, the co-ordinator's and
the head's; staff are the head's alone; the headteacher is the chair of governors' and the authority's.
"""

import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any

import sqlalchemy as sql

from monitoring import store
from monitoring.lines import microseconds, moment
from monitoring.log import Log
from monitoring.rules import THEMES
from monitoring.tables import captures, incidents, lessons, looks, marks
from monitoring.tallies import DAY

GRADES: Mapping[str, str] = {
    "off-task": "Off task",
    "behaviour": "Behaviour",
    "serious": "Serious",
    "false": "False positive",
}
SUBJECTS: Mapping[str, frozenset[str]] = {
    "pupil": frozenset({"headteacher", "dsl", "online_safety_coordinator"}),
    "staff": frozenset({"headteacher"}),
    "head": frozenset({"chair_of_governors", "la_officer"}),
}
SAMPLE = 0.1  # the share of a colleague's grades that is graded again without seeing them


class NotYours(LookupError):
    """It is not for this person to see: the answer is the same as where there is none."""


def subjects_for(roles: Iterable[str]) -> frozenset[str]:
    return frozenset(subject for subject, may in SUBJECTS.items() if not may.isdisjoint(roles))


@dataclass(frozen=True, slots=True)
class Capture:
    id: int
    at: datetime
    last: datetime
    count: int
    who: str
    group: str
    phase: str
    theme: str
    area: str
    route: str
    score: int
    term: str
    site: str
    why: str
    change: int
    before: Sequence[str]
    terms: Sequence[str]
    after: Sequence[str]
    titles: Sequence[str]  # what the captured pages call themselves
    earlier: Sequence[str]  # faint signs of the fortnight before, by day
    lesson: str
    subject: str
    grade: str
    graded_by: str
    graded_at: datetime | None
    assigned: str
    incident: int

    @property
    def theme_name(self) -> str:
        found = THEMES.get(self.theme)
        return found.name if found else self.theme

    @property
    def said(self) -> str:
        """What stands in its line: the search, or the site."""
        return self.term or self.site


def capture_of(row: Mapping[str, Any]) -> Capture:
    context = json.loads(row["context"] or "{}")
    own = {name: row[name] for name in Capture.__slots__ if name in row}
    own |= {name: tuple(context.get(name, ())) for name in ("before", "terms", "after", "titles", "earlier")}
    own |= {"at": moment(row["at"]), "last": moment(row["last"])}
    own["graded_at"] = moment(row["graded_at"]) if row["graded_at"] is not None else None
    return Capture(**own)


@dataclass(frozen=True, slots=True)
class Episode:
    """One person's captures of one theme that belong together."""

    captures: tuple[Capture, ...]

    @property
    def first(self) -> Capture:
        return self.captures[0]

    @property
    def heaviest(self) -> Capture:
        return max(self.captures, key=lambda one: (one.route == "urgent", one.score))


def waiting(
    log: Log, school: str, subjects: Iterable[str], *, routes: Sequence[str] = ("urgent", "review"), limit: int = 200,
    assigned: str = "", theme: str = "", looker: str = "",
) -> Sequence[Capture]:  # fmt: skip
    """Captures nobody has graded: urgent ones first, then the oldest. `looker`: see `free`."""
    urgency = sql.case((captures.c.route == "urgent", 0), else_=1)
    open_ = captures.c.grade == ""
    if assigned:  # also what somebody graded and wants her opinion on
        said = sql.select(marks.c.capture).where(marks.c.school == school, marks.c.person == assigned, marks.c.undone == 0)
        open_ |= (captures.c.graded_by != assigned) & captures.c.id.not_in(said)
    asked = (
        sql.select(captures)
        .where(
            captures.c.school == school,
            open_,
            captures.c.route.in_(routes),
            captures.c.subject.in_(tuple(subjects)),
            free(school, looker),
        )
        .order_by(urgency, captures.c.at)
        .limit(limit)
    )
    if assigned:
        asked = asked.where(captures.c.assigned == assigned)
    if theme:
        asked = asked.where(captures.c.theme == theme)
    with store.reading(log) as connection:
        return [capture_of(row) for row in store.rows(connection, asked)]


def episodes(some: Sequence[Capture]) -> Sequence[Episode]:
    """Grouped by person and theme, in the order of the first of each."""
    groups: dict[tuple[str, str], list[Capture]] = {}
    for one in some:
        groups.setdefault((one.who, one.theme), []).append(one)
    return [Episode(tuple(group)) for group in groups.values()]


def counts(log: Log, school: str, subjects: Iterable[str]) -> Mapping[str, int]:
    """How many wait, by route."""
    asked = (
        sql.select(captures.c.route, sql.func.count())
        .where(captures.c.school == school, captures.c.grade == "", captures.c.subject.in_(tuple(subjects)))
        .group_by(captures.c.route)
    )
    with store.reading(log) as connection:
        return {str(route): int(count) for route, count in connection.execute(asked)}


def oldest(log: Log, school: str, subjects: Iterable[str]) -> datetime | None:
    """When the oldest that waits was made."""
    asked = sql.select(sql.func.min(captures.c.at)).where(
        captures.c.school == school,
        captures.c.grade == "",
        captures.c.route.in_(("urgent", "review")),
        captures.c.subject.in_(tuple(subjects)),
    )
    with store.reading(log) as connection:
        found = connection.scalar(asked)
        return None if found is None else moment(found)


def free(school: str, person: str) -> sql.ColumnElement[bool]:
    """What no police hold keeps from this person; blank: the headteacher's eyes, which it keeps nothing from."""
    kept = sql.select(incidents.c.id).where(incidents.c.school == school, incidents.c.held_by.not_in(("", person)))
    return captures.c.incident.not_in(kept) if person else sql.true()


def one(log: Log, school: str, number: int, subjects: Iterable[str], *, person: str = "") -> Capture:
    """A capture; NotYours where there is none, or it is not for these eyes."""
    asked = sql.select(captures).where(
        captures.c.school == school,
        captures.c.id == number,
        captures.c.subject.in_(tuple(subjects)),
        free(school, person),
    )
    with store.reading(log) as connection:
        found = store.rows(connection, asked)
    if not found:
        raise NotYours(f"there is no capture {number} here")
    return capture_of(found[0])


def of_person(
    log: Log, school: str, who: str, subjects: Iterable[str], since: datetime, *, person: str = ""
) -> Sequence[Capture]:
    """The same person's captures, newest first."""
    asked = (
        sql.select(captures)
        .where(
            captures.c.school == school,
            captures.c.who == who,
            captures.c.route != "faint",
            captures.c.subject.in_(tuple(subjects)),
            captures.c.last >= microseconds(since),
            free(school, person),
        )
        .order_by(captures.c.last.desc())
        .limit(100)
    )
    with store.reading(log) as connection:
        return [capture_of(row) for row in store.rows(connection, asked)]


def between(
    log: Log, school: str, since: datetime, until: datetime, subjects: Iterable[str], limit: int = 10_000
) -> Sequence[Capture]:
    """All captures of a period, newest first."""
    asked = (
        sql.select(captures)
        .where(
            captures.c.school == school,
            captures.c.route != "faint",
            captures.c.subject.in_(tuple(subjects)),
            captures.c.at >= microseconds(since),
            captures.c.at < microseconds(until),
        )
        .order_by(captures.c.at.desc())
        .limit(limit)
    )
    with store.reading(log) as connection:
        return [capture_of(row) for row in store.rows(connection, asked)]


# --- grading ----------------------------------------------------------------------------------------------------------


def grade(
    log: Log, school: str, numbers: Sequence[int], given: str, *, person: str, subjects: Iterable[str], now: datetime,
    said: str = "", purpose: str = "triage", looker: str = "",
) -> str:  # fmt: skip
    """Grade captures, all or none; returns the batch by which it is taken back. ValueError in a sentence.

    `looker`: see `free`.
    """
    if given not in GRADES:
        raise ValueError("choose off task, behaviour, serious or false positive")
    if not numbers:
        raise ValueError("choose the captures first")
    batch, at = token_hex(8), microseconds(now)
    with store.changing(log) as connection:
        asked = sql.select(captures.c.id, captures.c.grade).where(
            captures.c.school == school,
            captures.c.id.in_(numbers),
            captures.c.subject.in_(tuple(subjects)),
            free(school, looker),
        )
        found = {row.id: row.grade for row in connection.execute(asked)}
        if missing := set(numbers) - set(found):
            raise NotYours(f"there is no capture {min(missing)} here")
        for number, before in sorted(found.items()):
            store.add(
                connection, marks, school=school, capture=number, at=at, person=person, grade=given, before=before,
                purpose=purpose, said=said, batch=batch, undone=0,
            )  # fmt: skip
        if purpose == "triage":
            connection.execute(
                sql.update(captures)
                .where(captures.c.school == school, captures.c.id.in_(numbers))
                .values(grade=given, graded_by=person, graded_at=at)
            )
        looked(connection, school, person, now, graded=len(found))
    return batch


def undo(log: Log, school: str, batch: str, *, person: str, now: datetime) -> int:
    """Take back what one keystroke did; only who did it can. Returns how many."""
    with store.changing(log) as connection:
        asked = sql.select(marks).where(
            marks.c.school == school, marks.c.batch == batch, marks.c.person == person, marks.c.undone == 0
        )
        found = store.rows(connection, asked)
        for row in found:
            connection.execute(
                sql.update(captures)
                .where(captures.c.school == school, captures.c.id == row["capture"], captures.c.grade == row["grade"])
                .values(
                    grade=row["before"], graded_by=person if row["before"] else "",
                    graded_at=microseconds(now) if row["before"] else None,
                )
            )  # fmt: skip
            connection.execute(sql.update(marks).where(marks.c.id == row["id"]).values(undone=1))
    return len(found)


def history(log: Log, school: str, number: int) -> Sequence[store.Row]:
    """Every grade that a capture was ever given, oldest first."""
    asked = sql.select(marks).where(marks.c.school == school, marks.c.capture == number).order_by(marks.c.id)
    with store.reading(log) as connection:
        return [row | {"at": moment(row["at"])} for row in store.rows(connection, asked)]


def assign(log: Log, school: str, numbers: Sequence[int], to: str, subjects: Iterable[str], *, looker: str = "") -> None:
    chosen = captures.c.id.in_(numbers) & captures.c.subject.in_(tuple(subjects))
    with store.changing(log) as connection:
        connection.execute(
            sql.update(captures).where(captures.c.school == school, chosen, free(school, looker)).values(assigned=to)
        )


# --- how well: a blind second look, and who looked when -----------------------------------------------------------------


def sample(
    log: Log, school: str, person: str, subjects: Iterable[str], now: datetime, size: int = 10, *, looker: str = ""
) -> Sequence[Capture]:
    """Captures that a colleague graded in the last month, to grade again without seeing how. The same each day.

    `looker`: see `free`.
    """
    again = sql.select(marks.c.capture).where(marks.c.school == school, marks.c.person == person)
    asked = sql.select(captures).where(
        captures.c.school == school,
        captures.c.grade != "",
        captures.c.graded_by != person,
        captures.c.subject.in_(tuple(subjects)),
        captures.c.graded_at >= microseconds(now - timedelta(days=30)),
        captures.c.id.not_in(again),
        free(school, looker),
    )
    with store.reading(log) as connection:
        found = store.rows(connection, asked.order_by(captures.c.id).limit(2_000))
    chosen = random.Random(f"{school}{person}{now.date()}").sample(found, min(size, len(found)))  # noqa: S311 - a sample, no secret
    return [capture_of(row) for row in chosen]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often two people gave the same grade, and Cohen's kappa: how much oftener than by chance."""

    both: int
    same: int
    kappa: float | None


def agreement(log: Log, school: str, since: datetime) -> Agreement:
    asked = (
        sql.select(marks.c.grade, captures.c.grade)
        .join(captures, captures.c.id == marks.c.capture)
        .where(
            marks.c.school == school,
            marks.c.purpose == "blind",
            marks.c.undone == 0,
            marks.c.at >= microseconds(since),
            captures.c.grade != "",
        )
    )
    with store.reading(log) as connection:
        pairs = [(str(a), str(b)) for a, b in connection.execute(asked)]
    same = sum(a == b for a, b in pairs)
    if not pairs:
        return Agreement(0, 0, None)
    first, second = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    chance = sum(first[name] * second[name] for name in GRADES) / len(pairs) ** 2
    return Agreement(len(pairs), same, None if chance == 1 else (same / len(pairs) - chance) / (1 - chance))


def looked(connection: sql.Connection, school: str, person: str, now: datetime, *, graded: int = 0) -> None:
    """Somebody looked at captures today."""
    where = (looks.c.school == school) & (looks.c.day == microseconds(now) // DAY) & (looks.c.person == person)
    new = {"looked": looks.c.looked + 1, "graded": looks.c.graded + graded}
    if not connection.execute(sql.update(looks).where(where).values(new)).rowcount:
        store.add(connection, looks, school=school, day=microseconds(now) // DAY, person=person, looked=1, graded=graded)


def look(log: Log, school: str, person: str, now: datetime) -> None:
    with store.changing(log) as connection:
        looked(connection, school, person, now)


def looks_of(log: Log, school: str, since: datetime) -> Mapping[int, tuple[int, int]]:
    """Each day that anybody looked: how many people, how many graded. Days are counted from 1970, UTC."""
    asked = (
        sql.select(looks.c.day, sql.func.count(), sql.func.sum(looks.c.graded))
        .where(looks.c.school == school, looks.c.day >= microseconds(since) // DAY)
        .group_by(looks.c.day)
    )
    with store.reading(log) as connection:
        return {int(day): (int(people), int(graded)) for day, people, graded in connection.execute(asked)}


def first_look(log: Log, school: str) -> int | None:
    """The first day on which anybody ever looked; None: nobody did."""
    with store.reading(log) as connection:
        day: int | None = connection.scalar(sql.select(sql.func.min(looks.c.day)).where(looks.c.school == school))
        return day


# --- lessons ------------------------------------------------------------------------------------------------------------


def declare(
    log: Log, school: str, person: str, *, topic: str, group: str, theme: str, begins: datetime, ends: datetime
) -> int:
    """A teacher says what she will teach: captures that fit say so, and stand where they would have stood."""
    if len(topic.strip()) < 3:
        raise ValueError("say what the lesson is about")
    if begins >= ends or ends - begins > timedelta(days=60):
        raise ValueError("give the beginning and the end of the lessons, at most 60 days apart")
    with store.changing(log) as connection:
        return store.add(
            connection, lessons, school=school, person=person, topic=topic.strip(), group=group, theme=theme,
            begins=microseconds(begins), ends=microseconds(ends),
        )  # fmt: skip


def declared(log: Log, school: str, now: datetime) -> Sequence[store.Row]:
    """Lessons that are not over, the next first."""
    asked = sql.select(lessons).where(lessons.c.school == school, lessons.c.ends >= microseconds(now))
    with store.reading(log) as connection:
        found = store.rows(connection, asked.order_by(lessons.c.begins))
    return [row | {"begins": moment(row["begins"]), "ends": moment(row["ends"])} for row in found]
