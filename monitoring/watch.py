"""Events into captures: read behind the recorder, in the order in which events were stored.

The watcher keeps how far it has read in the same transaction as the captures it made, so a crash repeats nothing and misses
nothing. It reads only what has a line of its own (refusals, searches, pages); it never waits for anybody and nobody waits for
it: were it to stop, filtering and the log go on, and `behind` says how many events nobody has looked through yet.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sql

from monitoring import store
from monitoring.lines import MINUTE, moment
from monitoring.log import Log
from monitoring.rules import MUCH, REFUSED, REFUSED_MOST, Finding, Judge, Past, Seen, pattern, route, together
from monitoring.tables import captures, events, lessons, watched
from monitoring.tallies import DAY
from monitoring.titles import LONGEST_SAID, Awaited, among, beside
from policy.rules import SchoolPolicy

BATCH = 5_000
EPISODE = 30 * MINUTE  # what follows within this time belongs to the same capture
FORTNIGHT = 14 * DAY
SLOWLY = 2 * FORTNIGHT  # so long is remembered what is faint; what is older than a fortnight weighs half
BEFORE, AFTER, NEAR = 6, 6, 10 * MINUTE  # how many searches and pages before and after are kept, and from how long
KINDS = ("search", "page", "connection", "dns", "resource")

type Schools = Callable[[str], SchoolPolicy | None]
type Heads = Callable[[str], Collection[str]]  # under which pseudonyms a school's headteacher comes up


@dataclass(frozen=True, slots=True)
class Caught:
    """A capture that was made, or went up: for who must be told."""

    id: int
    school: str
    theme: str
    subject: str
    at: datetime
    phase: str


class Watcher:
    """Makes captures of one log's events. `schools` gives a school's policy in force."""

    def __init__(self, log: Log, schools: Schools, judge: Judge | None = None, heads: Heads = lambda _: ()) -> None:
        self._log, self._schools, self._heads = log, schools, heads
        self._judge = judge or Judge()
        self._zones: dict[str, ZoneInfo] = {}
        self._awaited = Awaited()

    def step(self) -> tuple[int, Sequence[Caught]]:
        """Look through what is new. Returns how many events, and the captures that must be told of at once."""
        with store.changing(self._log) as connection:
            last = connection.scalar(sql.select(watched.c.event).where(watched.c.name == "captures"))
            if last is None:
                connection.execute(sql.insert(watched).values(name="captures", event=0))
            asked = sql.select(events).where(events.c.id > (last or 0)).order_by(events.c.id).limit(BATCH)
            found = store.rows(connection, asked)
            self._awaited.settle(connection)
            if not found:
                return 0, ()
            batch = _Batch(connection, self._schools, self._judge, self._zones, self._heads, self._awaited)
            for row in found:
                batch.look(row)
            batch.write()
            connection.execute(sql.update(watched).where(watched.c.name == "captures").values(event=found[-1]["id"]))
            return len(found), tuple(batch.urgent)

    def behind(self) -> int:
        """How many events have not been looked through."""
        with store.reading(self._log) as connection:
            last = connection.scalar(sql.select(watched.c.event).where(watched.c.name == "captures")) or 0
            return connection.scalar(sql.select(sql.func.count()).select_from(events).where(events.c.id > last)) or 0


class _Batch:
    """One transaction's worth of looking."""

    def __init__(
        self, connection: sql.Connection, schools: Schools, judge: Judge, zones: dict[str, ZoneInfo], heads: Heads,
        awaited: Awaited,
    ) -> None:  # fmt: skip
        self._awaited = awaited
        self._connection, self._schools, self._judge, self._zones, self._heads = connection, schools, judge, zones, heads
        self._open: dict[tuple[str, str, str], dict[str, Any]] = {}  # captures as they stand, read or made in this batch
        self._changed: dict[int, dict[str, Any]] = {}
        self._trail: dict[tuple[str, str], list[tuple[int, str]]] = {}  # what each did lately, within this batch
        self._waits: dict[tuple[str, str], list[dict[str, Any]]] | None = None  # captures whose "after" is not complete
        self.urgent: list[Caught] = []

    def look(self, row: store.Row) -> None:
        school = self._schools(row["school"])
        who = row["person"] or row["device"] or row["address"]
        if school is None or not who or row["kind"] not in KINDS:
            return
        said = row["term"] or (_page(row["host"], row["path"]) if row["kind"] == "page" else "")
        if said:
            self._follow(row, who, said)
        group = school.group(row["group"])
        phase = group.phase if group else "guest"
        if school.timezone not in self._zones:
            self._zones[school.timezone] = ZoneInfo(school.timezone)
        hour = moment(row["at"]).astimezone(self._zones[school.timezone]).hour
        seen = Seen(
            row["kind"], row["group"], phase, row["term"], row["host"], row["category"], row["action"], row["detail"], hour
        )
        if finding := self._judge.find(seen, school.alert_rules):
            self._capture(row, who, phase, hour, finding)
        if said:
            trail = self._trail.setdefault((row["school"], who), [])
            trail.append((row["at"], said if row["term"] else beside(said, row["title"])))
            del trail[:-BEFORE]

    def _capture(self, row: store.Row, who: str, phase: str, hour: int, finding: Finding) -> None:
        key = row["school"], who, finding.theme.id
        old = self._open.get(key) or self._stored(key)
        if old and (old["grade"] or abs(row["at"] - old["last"]) > EPISODE):
            old = None
        count = old["count"] + 1 if old else 1
        # A run that is not complete stays faint whatever was before: most refusals end here, without another question.
        known = finding.route == "faint" or count >= finding.run
        past = self._past(key, row, old, finding) if known else Past(count)
        at = route(finding, past, hour)
        term = row["term"] or row["host"]
        words = finding.why + (f": {pattern(past, hour)}" if pattern(past, hour) else "")
        if old is None:
            before = [] if at == "faint" else self._before(row["school"], who, row["at"])
            context = {"before": before, "terms": [term], "after": [], "titles": among({}, row["title"])}
            if finding.route == "faint" and at != "faint":
                context["earlier"] = self._earlier(key, row["at"])
            number = store.add(
                self._connection, captures, school=row["school"], at=row["at"], last=row["at"], count=1, who=who,
                group=row["group"], phase=phase, theme=finding.theme.id, area=finding.theme.area, route=at,
                score=finding.score, term=row["term"], site=row["host"], why=words, change=finding.change,
                context=json.dumps(context), lesson="" if at == "faint" else self._lesson(row, finding.theme.id),
                subject=self._subject(row["school"], who, phase), grade="", incident=0,
            )  # fmt: skip
            made = {
                "id": number, "school": row["school"], "who": who, "theme": finding.theme.id, "at": row["at"],
                "last": row["at"], "count": 1, "route": at, "score": finding.score, "grade": "",
                "context": context, "term": row["term"],
                "phase": phase, **({"episodes": past.episodes, "days": past.days, "weight": past.weight} if known else {}),
            }  # fmt: skip
            self._open[key] = made
            self._waiting(made)
            self._awaited.add(row, number)
            if at == "urgent":
                self._tell(made)
            return
        rose = at == "urgent" and old["route"] != "urgent"
        shown = old["route"] == "faint" and at != "faint"
        context = old["context"]
        if term not in context["terms"]:
            context["terms"] = [*context["terms"], term][:20]
            context["after"] = [said for said in context.get("after", ()) if said != term]  # it belongs to the capture itself
        context["titles"] = among(context, row["title"])
        self._awaited.add(row, old["id"])
        if shown:
            context["before"] = self._before(row["school"], who, old["at"])
            if finding.route == "faint":
                context["earlier"] = self._earlier(key, row["at"])
        heavier = finding.score > old["score"] or not old["term"]
        old |= {"last": max(old["last"], row["at"]), "count": old["count"] + 1, "score": max(old["score"], finding.score)}
        old["route"] = max(old["route"], at, key=("faint", "weekly", "review", "urgent").index)
        self._waiting(old)
        new = {"last": old["last"], "count": old["count"], "score": old["score"], "route": old["route"]}
        if heavier and row["term"]:
            old["term"] = row["term"]
            new |= {"term": store.fit(captures, "term", row["term"]), "site": row["host"]}
        if shown:
            new["lesson"] = self._lesson(row, finding.theme.id)
        new |= {"why": store.fit(captures, "why", words), "context": json.dumps(context)}
        self._changed.setdefault(old["id"], {}).update(new)
        if rose:
            self._tell(old)

    def _tell(self, row: Mapping[str, Any]) -> None:
        subject = self._subject(row["school"], row["who"], row["phase"])
        self.urgent.append(Caught(row["id"], row["school"], row["theme"], subject, moment(row["at"]), row["phase"]))

    def _subject(self, school: str, who: str, phase: str) -> str:
        """Whose eyes it is for: see captures.SUBJECTS.

        Whose a device is, the register says, which a technician may write: so a device filtered as a pupil's is a pupil's.
        Otherwise the wrong owner's name would take what a child does from the DSL.
        """
        if who in self._heads(school) and (phase == "staff" or not who.startswith("d-")):
            return "head"
        return "staff" if phase == "staff" else "pupil"

    def _stored(self, key: tuple[str, str, str]) -> dict[str, Any] | None:
        school, who, theme = key
        asked = (
            sql.select(captures)
            .where(captures.c.school == school, captures.c.who == who, captures.c.theme == theme)
            .order_by(captures.c.last.desc())
            .limit(1)
        )
        row = self._connection.execute(asked).mappings().first()
        if row is None:
            return None
        found = {**row, "context": json.loads(row["context"] or '{"before": [], "terms": [], "after": []}')}
        self._open[key] = found
        return found

    def _past(self, key: tuple[str, str, str], row: store.Row, old: Mapping[str, Any] | None, finding: Finding) -> Past:
        """The same person's earlier captures. What is faint is looked at with what came before of all that belongs to it."""
        if old and "episodes" in old:
            return Past(old["count"] + 1, old["episodes"], old["days"], old["weight"] + self._anew(old, row, finding))
        school, who, theme = key
        faint = finding.route == "faint"
        asked = sql.select(captures.c.id, captures.c.at, captures.c.score, captures.c.term).where(
            captures.c.school == school,
            captures.c.who == who,
            captures.c.theme.in_(sorted(together(theme)) if faint else (theme,)),
            captures.c.at > row["at"] - (SLOWLY if faint else FORTNIGHT),
            captures.c.grade != "false",
        )
        before = [one for one in self._connection.execute(asked) if not old or one.id != old["id"]]
        words = [one for one in before if one.term] if faint else before
        refused = sum(REFUSED for one in before if not one.term) if faint else 0
        lately = [one for one in words if one.at > row["at"] - FORTNIGHT]
        slowly = sum(min(one.score, MUCH) for one in words if one not in lately) // 2
        weight = sum(one.score for one in lately) + slowly + min(refused, REFUSED_MOST) + (old["score"] if old else 0)
        days = len({one.at // DAY for one in words})
        return Past(old["count"] + 1 if old else 1, len(lately), days, weight + self._anew(old, row, finding))

    @staticmethod
    def _anew(old: Mapping[str, Any] | None, row: store.Row, finding: Finding) -> int:
        """What this search adds to its episode: nothing, where it is in it already."""
        said = row["term"] or row["host"]
        return 0 if old and said in old["context"]["terms"] else finding.score

    def _earlier(self, key: tuple[str, str, str], at: int) -> list[str]:
        """The faint signs of the weeks before, which are no captures of their own: it is they that make this one."""
        school, who, theme = key
        asked = (
            sql.select(captures.c.at, captures.c.context)
            .where(
                captures.c.school == school, captures.c.who == who, captures.c.theme.in_(sorted(together(theme))),
                captures.c.route == "faint", captures.c.at.between(at - SLOWLY, at - 1), captures.c.grade != "false",
            )
            .order_by(captures.c.at)
        )  # fmt: skip
        return [
            f"{moment(one.at):%d %B}: {', '.join(json.loads(one.context or '{}').get('terms', ()))}"[:300]
            for one in list(self._connection.execute(asked))[-12:]
        ]

    def _before(self, school: str, who: str, at: int) -> list[str]:
        """What was searched for and opened in the minutes before."""
        known = [said for when, said in self._trail.get((school, who), ()) if at - when <= NEAR]
        if len(known) >= BEFORE:
            return known[-BEFORE:]
        asked = (
            sql.select(events.c.at, events.c.term, events.c.host, events.c.path, events.c.title)
            .where(
                events.c.school == school,
                events.c.at.between(at - NEAR, at - 1),
                sql.or_(events.c.person == who, events.c.device == who, events.c.address == who),
                events.c.kind.in_(("search", "page")),
            )
            .order_by(events.c.at.desc())
            .limit(BEFORE)
        )
        rows = list(self._connection.execute(asked))
        said = (row.term or beside(_page(row.host, row.path), row.title) for row in reversed(rows))
        return [each[:LONGEST_SAID] for each in said]

    def _follow(self, row: store.Row, who: str, said: str) -> None:
        """Put what comes next beside the captures before it."""
        school, at = row["school"], row["at"]
        if self._waits is None:
            self._waits = {}
            asked = sql.select(captures).where(captures.c.last > at - NEAR).limit(2_000)
            for each in self._connection.execute(asked).mappings():
                key = each["school"], each["who"], each["theme"]
                found = self._open.setdefault(key, {**each, "context": json.loads(each["context"] or "{}")})
                self._waiting(found)
        waiting = self._waits.get((school, who), [])
        waiting[:] = [one for one in waiting if at - one["last"] <= NEAR and len(one["context"].get("after", ())) < AFTER]
        for one in waiting:
            after = one["context"].setdefault("after", [])
            if at - one["last"] <= NEAR and len(after) < AFTER and said not in one["context"].get("terms", ()):
                whole = (said if row["term"] else beside(said, row["title"]))[:LONGEST_SAID]
                if after and after[-1] in (whole, said[:LONGEST_SAID]):  # the same once more was learnt about it
                    after.pop()
                after.append(whole)
                if not row["term"]:
                    self._awaited.add(row, one["id"], said)
                self._changed.setdefault(one["id"], {})["context"] = json.dumps(one["context"])

    def _waiting(self, row: dict[str, Any]) -> None:
        if self._waits is not None:
            some = self._waits.setdefault((row["school"], row["who"]), [])
            if not any(one is row for one in some):
                some.append(row)

    def _lesson(self, row: store.Row, theme: str) -> str:
        """What a teacher said would be taught to this group at this time."""
        asked = sql.select(lessons.c.topic).where(
            lessons.c.school == row["school"],
            lessons.c.group.in_((row["group"], "")),
            lessons.c.theme.in_((theme, "")),
            lessons.c.begins <= row["at"],
            lessons.c.ends >= row["at"],
        )
        return self._connection.scalar(asked.limit(1)) or ""

    def write(self) -> None:
        for number, values in self._changed.items():
            self._connection.execute(sql.update(captures).where(captures.c.id == number).values(values))


def _page(host: str, path: str) -> str:
    return host + (path if path != "/" else "")
