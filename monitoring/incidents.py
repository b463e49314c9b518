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
from monitoring.lines import microseconds, moment
from monitoring.log import Log
from monitoring.rules import THEMES
from monitoring.tables import actions, captures, entries, incidents

STEPS: Sequence[str] = (
    "Talk to a member of staff who knows the pupil, for what lies behind it.",
    "Discuss it with the DSL: is it a safeguarding concern?",
    "Talk to the pupil about the reasons, and note the conversation.",
    "Decide with the DSL when and how parents are told, unless that would put the pupil at risk.",
    "Meet the parents at the end of the day or when it suits; keep a record.",
    "Agree what follows for the pupil: support first, sanctions where they are right.",
    "Record it in the school’s system where it is a safeguarding issue.",
    "Report to the headteacher, and to the governing body as appropriate.",
    "Keep what is learnt: look again after six weeks.",
)
TRIGGERS: Mapping[str, str] = {
    "adult": "An adult is involved",
    "coercion": "A young person may have been coerced, blackmailed or groomed, or there is doubt about capacity to consent",
    "violent": "What is known suggests acts that are violent, or unusual for the young person’s stage of development",
    "under-13": "There are sexual acts, and a pupil in it is under 13",
    "immediate": "A pupil is at immediate risk of harm, such as being suicidal or self-harming",
}
DECISIONS: Mapping[str, str] = {
    "refer": "Refer to children’s social care",
    "police": "Refer to the police",
    "both": "Refer to both",
    "school": "Do not refer: the school deals with it",
}
NOT_REFERRED = "school"
THRESHOLDS: Mapping[str, str] = {
    "universal": "Universal", "additional": "Universal plus",
    "complex": "Additional needs", "acute": "Complex and significant",
}  # fmt: skip
CARDS: Mapping[str, Sequence[str]] = {  # what must be done, by theme
    "exploitation": (
        "Refer at once where an adult may be involved. Do not investigate first, and tip nobody off.",
        (
            "Never view, copy, print or forward sexual images. If one must be seen: ask the headteacher, have a second "
            "person of the same sex present, and record, sign and date it."
        ),
        "Report online grooming to CEOP; imagery to the Internet Watch Foundation’s Report Remove.",
    ),
    "self-harm": (
        "See the pupil today. If there is immediate danger, call 999 and stay with them.",
        "Tell parents or carers, unless that puts the pupil at risk.",
        "Give Childline 0800 1111, Papyrus 0800 068 4141, Shout 85258.",
    ),
    "prevent": (
        "Talk to the Prevent lead before anything else. Advice: the police’s Act Early line, 0800 011 3764.",
        "A referral to Channel needs the DSL; where life is in danger, call 999.",
    ),
    "family": (
        "If there is immediate danger, call 999. Else children’s social care the same day.",
        "Forced marriage and FGM: do not tell the family first. A teacher reports known FGM of under-18s to the police.",
    ),
    "violence": ("Check at once whether a person or a date is named; then the police, 101, or 999 in danger.",),
}
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
                "site": each.site,
                "why": each.why, "before": list(each.before), "terms": list(each.terms), "after": list(each.after),
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
