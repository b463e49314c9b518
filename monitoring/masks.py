"""Pseudonyms, and taking one off: pages say "Pupil 7F3A2C" until someone with the role gives a reason.

A pseudonym is made from whoever an event names (a person, else a device, else an address) with a key of this log alone: the
same everywhere in a school, meaningless in another school or another log. Who was named to whom, why and until when is kept;
the desk writes it into the access log as well, before the name is shown.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sql

from monitoring import store
from monitoring.lines import Line, microseconds
from monitoring.log import Log
from monitoring.tables import captures, clean, meta, tallies, unmaskings

LASTS = timedelta(hours=1)  # so long a name stays shown to whoever asked for it
CODE = 6  # letters of a pseudonym: among 2,000 people two share one once in eight years' schools
REASONS = 10  # letters a reason must have at least


@dataclass(frozen=True, slots=True)
class Unmasking:
    code: str
    person: str
    reason: str
    at: int


class Masks:
    """The pseudonyms of one log."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._key = b""
        self._made: dict[tuple[str, str], str] = {}

    def code(self, school: str, who: str) -> str:
        if not who:
            return ""
        if (school, who) not in self._made:
            self._made[school, who] = self._make(school, who)
        return self._made[school, who]

    def _make(self, school: str, who: str) -> str:
        if not self._key:
            with store.reading(self._log) as connection:
                text = connection.scalar(sql.select(meta.c.value).where(meta.c.name == "pseudonyms")) or ""
            self._key = text.encode()
        said = f"{school}\0{who}".encode("utf-8", "replace")
        return hmac.new(self._key, said, hashlib.sha256).hexdigest()[:CODE].upper()

    def who(self, school: str, code: str) -> str:
        """Whom a pseudonym stands for; blank where nobody here has it."""
        code = code.strip().upper().removeprefix("PUPIL ").removeprefix("STAFF ").strip()
        for table, column in ((captures, captures.c.who), (tallies, tallies.c.value)):
            asked = sql.select(column).distinct().where(table.c.school == school)
            if table is tallies:
                asked = asked.where(tallies.c.what == "who")
            with store.reading(self._log) as connection:
                for who in connection.scalars(asked):
                    if self.code(school, who) == code:
                        return str(who)
        return ""

    def unmask(self, school: str, code: str, *, person: str, reason: str, now: datetime) -> str:
        """The name, from now on shown to this person for an hour. ValueError without a reason, or where nobody is meant."""
        reason = " ".join(reason.split())
        if len(reason) < REASONS:
            raise ValueError("say why you need to know who it is, in a sentence; it is kept with your name")
        who = self.who(school, code)
        if not who:
            raise ValueError("nobody here has this pseudonym any more")
        with store.changing(self._log) as connection:
            store.add(
                connection, unmaskings, school=school, code=self.code(school, who), person=person, reason=reason,
                at=microseconds(now), until=microseconds(now + LASTS),
            )  # fmt: skip
        return who

    def shown(self, school: str, person: str, now: datetime) -> frozenset[str]:
        """The pseudonyms that this person has taken off, and not more than an hour ago."""
        asked = sql.select(unmaskings.c.code).where(
            unmaskings.c.school == school, unmaskings.c.person == person, unmaskings.c.until > microseconds(now)
        )
        with store.reading(self._log) as connection:
            return frozenset(connection.scalars(asked))


def who_of(line: Line) -> str:
    return line.person or line.device or line.address


@dataclass(frozen=True, slots=True)
class Eyes:
    """How one person sees the people of one school just now."""

    masks: Masks
    school: str
    shown: frozenset[str]
    phases: Mapping[str, str]  # of the school's groups
    known: Callable[[str], str] = str  # what an event's pseudonym stands for in the register

    def code(self, who: str) -> str:
        return self.masks.code(self.school, who)

    def sees(self, who: str) -> bool:
        return self.code(who) in self.shown

    def name(self, who: str, group: str = "") -> str:
        """The pseudonym, and the name after it where it was taken off."""
        if not who:
            return "Nobody known"
        code = self.code(who)
        kind = {"staff": "Staff", "guest": "Guest"}.get(self.phases.get(group, ""), "Pupil")
        label = f"{kind} {code}"
        return f"{label}: {clean(self.known(who), 128)}" if code in self.shown else label
