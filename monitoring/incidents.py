"""Incidents: captures being dealt with, from the first note to the outcome.

The timeline is only ever added to; what was decided is an entry in it as well as the state. An incident is closed only with
an action that was done and an outcome; a decision not to refer is countersigned by the headteacher, who is never the one who
decided. The steps and triggers are those of the guidance on sharing imagery and of the council's review. A police hold keeps
everything about it from deletion and narrows who sees it; nothing that the person could notice changes.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sql

from monitoring import retention, store
from monitoring.captures import Capture, NotYours, one
from monitoring.guidance import DECISIONS, NOT_REFERRED, THRESHOLDS, TRIGGERS
from monitoring.lines import microseconds, moment
from monitoring.log import Log
from monitoring.rules import THEMES
from monitoring.tables import actions, captures, entries, incidents

FIELDS = (
    "summary", "theme", "area", "state", "decision", "reasons", "outcome", "reference", "opened_by", "decided_by",
    "countersigned_by",
)  # fmt: skip


class NotYet(ValueError):
    """What is missing before this can be done, in a sentence."""


def open_(
    log: Log,
    school: str,
    numbers: Sequence[int],
    *,
    summary: str,
    subject: str,
    subjects: Iterable[str],
    person: str,
    now: datetime,
) -> int:
    """A new incident of these captures."""
    if len(summary.strip()) < 5:
        raise ValueError("say in a sentence what it is about")
    subjects = frozenset(subjects)
    found = [one(log, school, number, subjects) for number in numbers]
    if subject not in {"pupil", "staff", "head"}:
        raise ValueError("say whether it is about a pupil, a member of staff or the headteacher")
    if any(each.subject == "staff" for each in found) and subject == "pupil":
        subject = "staff"
    theme = found[0].theme if found else ""
    with store.changing(log) as connection:
        number = store.add(
            connection, incidents, school=school, at=microseconds(now), opened_by=person, theme=theme,
            area=found[0].area if found else "", subject=subject, summary=summary.strip(), state="open", decision="",
            reasons="", outcome="", held_by="", reference="", countersigned_by="", decided_by="",
        )  # fmt: skip
        _entry(connection, school, number, person, "opened", summary.strip(), now)
        _join(connection, school, number, found, person, now)
    return number


def _entry(connection: sql.Connection, school: str, incident: int, person: str, kind: str, said: str, now: datetime) -> None:
    store.add(
        connection, entries, school=school, incident=incident, at=microseconds(now), person=person, kind=kind, said=said
    )


def _join(connection: sql.Connection, school: str, number: int, found: Sequence[Capture], person: str, now: datetime) -> None:
    for each in found:
        connection.execute(
            sql.update(captures)
            .where(captures.c.school == school, captures.c.id == each.id)
            .values(
                incident=number,
                grade=sql.case((captures.c.grade == "", "serious"), else_=captures.c.grade),
                graded_by=sql.case((captures.c.grade == "", person), else_=captures.c.graded_by),
                graded_at=sql.func.coalesce(captures.c.graded_at, microseconds(now)),
            )
        )
        _entry(connection, school, number, person, "capture", f"Capture {each.id} of {each.at:%d %B %Y} joins.", now)


@dataclass(frozen=True, slots=True)
class Viewing:
    """A decision to look at an image: rare, and never by one person alone. No image is ever kept here."""

    why: str
    viewer: str
    second: str
    consulted: bool  # the headteacher was asked first
    same_sex: bool


@dataclass(frozen=True, slots=True)
class Reader:
    """Who looks: whom she may see, and whether she is the headteacher, who also sees what is held."""

    person: str
    subjects: frozenset[str]
    head: bool

    def where(self, school: str) -> sql.ColumnElement[bool]:
        mine = (incidents.c.school == school) & incidents.c.subject.in_(tuple(self.subjects))
        return mine if self.head else mine & incidents.c.held_by.in_(("", self.person))


def listed(
    log: Log,
    school: str,
    subjects: Iterable[str],
    *,
    states: Sequence[str] = ("open", "decided", "closed"),
    reader: Reader | None = None,
) -> Sequence[store.Row]:
    """Newest first."""
    sees = reader or Reader("", frozenset(subjects), head=True)
    asked = sql.select(incidents).where(sees.where(school), incidents.c.state.in_(states))
    with store.reading(log) as connection:
        found = store.rows(connection, asked.order_by(incidents.c.id.desc()).limit(500))
    return [_told(row) for row in found]


def _told(row: store.Row) -> store.Row:
    theme = THEMES.get(row["theme"])
    return row | {
        "at": moment(row["at"]),
        "follow_up": moment(row["follow_up"]) if row["follow_up"] is not None else None,
        "theme_name": theme.name if theme else "Other",
    }


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident with everything that belongs to it."""

    row: store.Row
    timeline: Sequence[store.Row]
    actions: Sequence[store.Row]
    captures: Sequence[Capture]

    @property
    def id(self) -> int:
        return int(self.row["id"])

    @property
    def triggers(self) -> frozenset[str]:
        said = [entry["said"] for entry in self.timeline if entry["kind"] == "triggers"]
        return frozenset(said[-1].split(", ")) & frozenset(TRIGGERS) if said else frozenset()

    @property
    def triggers_checked(self) -> bool:
        return any(entry["kind"] == "triggers" for entry in self.timeline)

    def missing(self) -> Sequence[str]:
        """What stands between it and being closed."""
        said = []
        if not self.triggers_checked:
            said.append("go through the five triggers for immediate referral")
        if not self.row["decision"]:
            said.append("record the decision of the DSL or the headteacher, with reasons")
        if self.row["decision"] == NOT_REFERRED and not self.row["countersigned_by"]:
            said.append("have the headteacher countersign that it is not referred")
        if not self.actions:
            said.append("record an action, with who does it by when")
        if any(each["done_at"] is None for each in self.actions):
            said.append("finish the actions that are open")
        return said


def incident(log: Log, school: str, number: int, reader: Reader) -> Incident:
    with store.reading(log) as connection:
        found = store.rows(connection, sql.select(incidents).where(reader.where(school), incidents.c.id == number))
        if not found:
            raise NotYours(f"there is no incident {number} here")
        timeline = store.rows(
            connection,
            sql.select(entries).where(entries.c.school == school, entries.c.incident == number).order_by(entries.c.id),
        )
        todo = store.rows(
            connection,
            sql.select(actions).where(actions.c.school == school, actions.c.incident == number).order_by(actions.c.id),
        )
        numbers = list(
            connection.scalars(sql.select(captures.c.id).where(captures.c.school == school, captures.c.incident == number))
        )
    every = frozenset({"pupil", "staff", "head"})
    return Incident(
        _told(found[0]),
        [row | {"at": moment(row["at"])} for row in timeline],
        [_action(row) for row in todo],
        [one(log, school, each, every) for each in sorted(numbers)],
    )


def _action(row: store.Row) -> store.Row:
    return row | {
        "at": moment(row["at"]),
        "due": moment(row["due"]),
        "done_at": moment(row["done_at"]) if row["done_at"] is not None else None,
    }


def _open_one(log: Log, school: str, number: int, reader: Reader) -> Incident:
    found = incident(log, school, number, reader)
    if found.row["state"] == "closed":
        raise NotYet("this incident is closed; open a new one that refers to it")
    return found


def note(log: Log, school: str, number: int, reader: Reader, said: str, now: datetime) -> None:
    _open_one(log, school, number, reader)
    if len(said.strip()) < 2:
        raise ValueError("write what happened")
    with store.changing(log) as connection:
        _entry(connection, school, number, reader.person, "note", said.strip(), now)


def merge(log: Log, school: str, number: int, reader: Reader, chosen: Sequence[int], now: datetime) -> None:
    _open_one(log, school, number, reader)
    found = [one(log, school, each, reader.subjects) for each in chosen]
    with store.changing(log) as connection:
        _join(connection, school, number, found, reader.person, now)


def check_triggers(log: Log, school: str, number: int, reader: Reader, chosen: Sequence[str], now: datetime) -> None:
    _open_one(log, school, number, reader)
    with store.changing(log) as connection:
        said = ", ".join(each for each in TRIGGERS if each in chosen) or "none of them"
        _entry(connection, school, number, reader.person, "triggers", said, now)


def decide(
    log: Log, school: str, number: int, reader: Reader, decision: str, reasons: str, threshold: str, now: datetime
) -> None:
    """By the DSL or the headteacher, with reasons; deciding anew is another entry, and needs another countersignature."""
    found = _open_one(log, school, number, reader)
    if decision not in DECISIONS:
        raise ValueError("choose what is decided")
    if len(reasons.strip()) < 10:
        raise ValueError("give the reasons; they may be asked for years later")
    if not found.triggers_checked:
        raise NotYet("go through the five triggers for immediate referral first")
    level = THRESHOLDS.get(threshold, "")
    with store.changing(log) as connection:
        connection.execute(
            sql.update(incidents)
            .where(incidents.c.school == school, incidents.c.id == number)
            .values(
                state="decided", decision=decision, decided_by=reader.person,
                reasons=store.fit(incidents, "reasons", reasons.strip()),
                countersigned_by="",
            )
        )  # fmt: skip
        said = f"{DECISIONS[decision]}{f'. Threshold: {level}' if level else ''}. {reasons.strip()}"
        _entry(connection, school, number, reader.person, "decision", said, now)


def countersign(log: Log, school: str, number: int, reader: Reader, now: datetime) -> None:
    found = _open_one(log, school, number, reader)
    if not reader.head:
        raise ValueError("the headteacher countersigns")
    if found.row["decision"] != NOT_REFERRED:
        raise NotYet("only a decision not to refer is countersigned")
    if found.row["decided_by"] == reader.person:
        raise ValueError("nobody countersigns their own decision; ask the DSL to decide")
    with store.changing(log) as connection:
        connection.execute(
            sql.update(incidents)
            .where(incidents.c.school == school, incidents.c.id == number)
            .values(countersigned_by=reader.person)
        )
        _entry(connection, school, number, reader.person, "countersigned", "The decision not to refer is countersigned.", now)


def view(log: Log, school: str, number: int, reader: Reader, wanted: "Viewing", now: datetime) -> None:
    """That an image has to be seen, decided as the guidance asks; signed and dated by being in the timeline."""
    _open_one(log, school, number, reader)
    if len(wanted.why.strip()) < 10:
        raise ValueError("say why it cannot be decided without seeing it; in most cases it can")
    if not (wanted.viewer.strip() and wanted.second.strip()) or wanted.viewer.strip() == wanted.second.strip():
        raise ValueError("name who views it and, as second person, somebody else")
    if not wanted.consulted:
        raise ValueError("the headteacher is asked first, unless the images are about the headteacher")
    if not wanted.same_sex:
        raise ValueError("confirm that those who view it are of the same sex as the young person, where at all possible")
    said = (
        f"Decision to view an image. Why: {wanted.why.strip()} Viewed by {wanted.viewer.strip()}, with "
        f"{wanted.second.strip()} as second person, of the same sex as the young person where at all possible; "
        "the headteacher was asked first. Nothing may be copied, printed or shared."
    )
    with store.changing(log) as connection:
        _entry(connection, school, number, reader.person, "viewing", said, now)


def act(
    log: Log,
    school: str,
    what: str,
    owner: str,
    due: datetime,
    *,
    person: str,
    now: datetime,
    incident: int = 0,
    meeting: int = 0,
) -> int:
    if len(what.strip()) < 3:
        raise ValueError("say what is to be done")
    if len(owner.strip()) < 2:
        raise ValueError("say who does it")
    with store.changing(log) as connection:
        number = store.add(
            connection, actions, school=school, incident=incident, meeting=meeting, at=microseconds(now), owner=owner.strip(),
            what=what.strip(), due=microseconds(due), done_by="",
        )  # fmt: skip
        if incident:
            _entry(connection, school, incident, person, "action", f"{owner.strip()}: {what.strip()}, by {due:%d %B %Y}", now)
    return number


def done(log: Log, school: str, number: int, reader: Reader, now: datetime) -> store.Row:
    if number not in {row["id"] for row in to_do(log, school, reader)}:
        raise NotYours("there is no such action here")
    person = reader.person
    with store.changing(log) as connection:
        where = (actions.c.school == school) & (actions.c.id == number)
        found = store.rows(connection, sql.select(actions).where(where))
        connection.execute(sql.update(actions).where(where).values(done_at=microseconds(now), done_by=person))
        if found[0]["incident"]:
            _entry(connection, school, found[0]["incident"], person, "done", f"Done: {found[0]['what']}", now)
    return found[0]


def to_do(log: Log, school: str, reader: Reader) -> Sequence[store.Row]:
    """Actions nobody has finished, the most urgent first: those of meetings, and of the incidents that she may see."""
    mine = sql.select(incidents.c.id).where(reader.where(school))
    asked = sql.select(actions).where(
        actions.c.school == school,
        actions.c.done_at.is_(None),
        (actions.c.incident == 0) | actions.c.incident.in_(mine),
    )
    with store.reading(log) as connection:
        return [_action(row) for row in store.rows(connection, asked.order_by(actions.c.due).limit(200))]


def close(log: Log, school: str, number: int, reader: Reader, outcome: str, now: datetime) -> None:
    """With its outcome; it is looked at again after six weeks."""
    found = _open_one(log, school, number, reader)
    if missing := found.missing():
        raise NotYet(f"before it can be closed: {'; '.join(missing)}")
    if len(outcome.strip()) < 10:
        raise ValueError("say what came of it; an incident is not closed without an outcome")
    with store.changing(log) as connection:
        connection.execute(
            sql.update(incidents)
            .where(incidents.c.school == school, incidents.c.id == number)
            .values(
                state="closed", outcome=store.fit(incidents, "outcome", outcome.strip()),
                follow_up=microseconds(now + timedelta(weeks=6)),
            )
        )  # fmt: skip
        _entry(connection, school, number, reader.person, "closed", outcome.strip(), now)


# --- police hold ----------------------------------------------------------------------------------------------------------


def hold(log: Log, school: str, number: int, reader: Reader, reference: str, now: datetime) -> None:
    """Freeze what is known: nothing about these people is deleted, and only the holder and the headteacher see it."""
    found = _open_one(log, school, number, reader)
    people = {each.who for each in found.captures} or {""}
    first = min((each.at for each in found.captures), default=found.row["at"]) - timedelta(days=90)
    for who in sorted(people):
        retention.hold(
            log,
            school,
            who,
            first,
            now + timedelta(days=3650),
            f"Police hold of incident {number}",
            person=reader.person,
            now=now,
        )
    with store.changing(log) as connection:
        connection.execute(
            sql.update(incidents)
            .where(incidents.c.school == school, incidents.c.id == number)
            .values(held_by=reader.person, reference=store.fit(incidents, "reference", reference.strip()))
        )
        _entry(connection, school, number, reader.person, "hold", f"Held for the police. {reference.strip()}".strip(), now)


# --- out of the house -----------------------------------------------------------------------------------------------------


def exported(found: Incident, names: Mapping[str, str], who: Mapping[str, str]) -> Mapping[str, Any]:
    """An incident as plain data. `names` are the people who worked on it, `who` the pseudonyms of those it is about."""
    row = found.row
    return {
        "incident": row["id"],
        "opened": row["at"].isoformat(),
        **{name: names.get(row[name], row[name]) if name.endswith("_by") else row[name] for name in FIELDS},
        "decision": DECISIONS.get(row["decision"], ""),
        "about": sorted({who.get(each.who, "") for each in found.captures}),
        "triggers": [TRIGGERS[each] for each in TRIGGERS if each in found.triggers],
        "actions": [
            {
                "what": each["what"], "owner": each["owner"], "due": each["due"].date().isoformat(),
                "done": each["done_at"].isoformat() if each["done_at"] else "",
            }
            for each in found.actions
        ],
        "timeline": [
            {"at": each["at"].isoformat(), "by": names.get(each["person"], ""), "kind": each["kind"], "said": each["said"]}
            for each in found.timeline
        ],
        "captures": [
            {
                "capture": each.id, "at": each.at.isoformat(), "last": each.last.isoformat(), "count": each.count,
                "who": who.get(each.who, ""), "group": each.group, "theme": each.theme_name, "term": each.term,
                "site": each.site, "why": each.why, "before": list(each.before), "terms": list(each.terms),
                "titles": list(each.titles), "after": list(each.after),
            }
            for each in found.captures
        ],
    }  # fmt: skip


def bundle(said: Mapping[str, Any]) -> Mapping[str, bytes]:
    """The evidence: files, and a list of their SHA-256 by which anybody can tell that none was altered."""
    files = {
        "incident.json": json.dumps(said, indent=1, ensure_ascii=True, sort_keys=True).encode(),
        "captures.jsonl": "".join(
            json.dumps(each, ensure_ascii=True, sort_keys=True) + "\n" for each in said["captures"]
        ).encode(),
    }
    listed_ = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items()))
    return {**files, "SHA256SUMS": listed_.encode()}
