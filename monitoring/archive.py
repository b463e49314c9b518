"""Every capture there is, graded or not: what is graded is put away, not gone, and is found by what one remembers of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sql

from monitoring import store
from monitoring.captures import Capture, capture_of, free
from monitoring.lines import microseconds
from monitoring.log import Log
from monitoring.tables import captures, clean


@dataclass(frozen=True, slots=True)
class Sought:
    """What is looked for among captures that were made, graded or not."""

    grade: str = ""  # one of GRADES, or "none" for what nobody has graded
    theme: str = ""
    group: str = ""
    words: str = ""  # within what was searched for, the site, or why it was captured
    who: str = ""
    since: datetime | None = None
    until: datetime | None = None
    before: int = 0  # the number of the last one shown


def found(
    log: Log, school: str, subjects: Iterable[str], sought: Sought, *, person: str, limit: int = 100
) -> Sequence[Capture]:
    """Every capture that fits, the latest made first: what is graded is put away, not gone."""
    wanted = [
        captures.c.school == school,
        captures.c.route != "faint",
        captures.c.subject.in_(tuple(subjects)),
        free(school, person),
    ]
    if sought.grade:
        wanted.append(captures.c.grade == ("" if sought.grade == "none" else sought.grade))
    exact = {"theme": sought.theme, "group": sought.group, "who": sought.who}
    wanted += [captures.c[name] == clean(value, 128) for name, value in exact.items() if value]
    if sought.since:
        wanted.append(captures.c.at >= microseconds(sought.since))
    if sought.until:
        wanted.append(captures.c.at < microseconds(sought.until))
    if sought.before:
        wanted.append(captures.c.id < sought.before)
    if sought.words:
        words = clean(sought.words, 300)
        fields = (captures.c.term, captures.c.site, captures.c.why, captures.c.context)
        wanted.append(sql.or_(*(each.icontains(words, autoescape=True) for each in fields)))
    asked = sql.select(captures).where(*wanted).order_by(captures.c.id.desc()).limit(limit)
    with store.reading(log) as connection:
        return [capture_of(row) for row in store.rows(connection, asked)]
