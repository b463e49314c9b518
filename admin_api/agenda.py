"""The agenda of a review meeting, made by itself from two records that never meet below: what happened, what changed."""

import re
from collections import Counter
from datetime import datetime, timedelta

from sqlalchemy import select

from admin_api.deps import Desk
from admin_api.eyes import filter_log, my_subjects, uncounted_groups
from admin_api.routes.incidents import reader
from admin_api.telling import Ground, tell
from admin_api.words import ZONE, day
from change_control.tables import ChangeRow
from monitoring import captures, constancy, guidance, incidents, reports, rota
from monitoring.meetings import Item
from policy.rules import SchoolPolicy

MOST = 12  # lines of an item; what is more is counted
PLACES = {"Capture": "/captures", "Incident": "/incidents", "Change": "/requests"}
NAMED = re.compile(r"(Capture|Incident|Change) ([1-9][0-9]{0,14})(?=[:,])")


def terms(desk: Desk) -> rota.Terms:
    document = Ground.of(desk.services.snapshot(), desk.place.log).document
    return terms_of(document) if isinstance(document, SchoolPolicy) else ()


def terms_of(document: SchoolPolicy) -> rota.Terms:
    return tuple(sorted({term for table in document.timetables for term in table.terms}))


def zone(desk: Desk) -> str:
    document = Ground.of(desk.services.snapshot(), desk.place.log).document
    return document.timezone if isinstance(document, SchoolPolicy) else ZONE


def agenda(desk: Desk, since: datetime) -> tuple[Item, ...]:
    """What the two look at together. Pupils alone: staff are not spoken of in this meeting."""
    log, school, now = filter_log(desk), desk.place.log, desk.office.now()
    pupils = ("pupil",)
    found = reports.figures(log, school, since, now, subjects=pupils, but_groups=uncounted_groups(desk), zone=zone(desk))
    mine = [row for row in incidents.listed(log, school, pupils, reader=reader(desk)) if row["subject"] == "pupil"]
    caught = captures.between(log, school, since, now, pupils)
    serious = [
        f"Incident {row['id']}: {row['summary']} ({guidance.DECISIONS.get(row['decision'], 'no decision yet')})"
        for row in mine
        if row["state"] != "closed" or row["at"] >= since
    ]
    serious += [
        f"Capture {one.id}: {one.theme_name}, in no incident" for one in caught if one.grade == "serious" and not one.incident
    ]
    behaviour = Counter(one.theme_name for one in caught if one.grade == "behaviour")
    false = [f"Capture {one.id}: “{one.said[:80]}” ({one.theme_name})" for one in caught if one.grade == "false"]
    waiting = captures.waiting(log, school, pupils)
    looked = constancy.days(log, school, since.date(), now.date(), terms(desk), now.date())
    proof = constancy.proof(looked)
    follow = [
        f"Incident {row['id']}: {row['summary']}. Did it help?"
        for row in mine
        if row["state"] == "closed" and row["follow_up"] and row["follow_up"] <= now + timedelta(days=7)
    ]
    return (
        Item("serious", "Incidents and serious captures", _cut(serious), "Is each one dealt with? What has been learnt?"),
        Item(
            "trends",
            "Trends",
            _cut(
                [*reports.meaning(found), *(f"{name}: {count} graded behaviour" for name, count in behaviour.most_common())]
            ),
            "Does a class need a lesson, an assembly, a talk with parents?",
        ),
        Item(
            "left",
            "Captures nobody looked at",
            _cut([f"Capture {one.id}: {one.theme_name}, {one.at:%d %B %H:%M}" for one in waiting]),
            "Why were they left? Is the rota right?",
        ),
        Item(
            "changes",
            "Changes of the filter since last time",
            _cut(_changes(desk, since)),
            "Is each still needed? Was a refusal right?",
        ),
        Item(
            "over-blocking",
            "Sites people could not reach",
            _cut([f"{site}: blocked {count:,} times" for site, count in found.sites_blocked] + _asked_for(desk, since)),
            "Does a lesson need one of them?",
        ),
        Item("rules", "What meant no harm", _cut(false), "Propose words that mean no harm here."),
        Item(
            "actions",
            "Actions due",
            _cut(
                [f"{one['owner']}: {one['what']}, by {day(one['due'])}" for one in incidents.to_do(log, school, reader(desk))]
            ),
            "What stands in the way?",
        ),
        Item("follow-up", "Looked at again after six weeks", _cut(follow), "Write down what came of it."),
        Item(
            "constancy",
            "Did somebody look, every school day?",
            (f"On {proof.looked} of {proof.every} school days; the longest gap was {proof.longest_gap}.",),
            "Who covers the next holiday and the next absence?",
        ),
    )


def leads(text: str) -> tuple[str, str, str]:
    """A line of an agenda: what it names first, the page of that, and the rest. Two blanks where it names nothing."""
    found = NAMED.match(text)
    return (found[0], f"{PLACES[found[1]]}/{found[2]}", text[found.end() :]) if found else ("", "", text)


def _cut(lines: list[str]) -> tuple[str, ...]:
    left = len(lines) - MOST
    return (*lines[:MOST], f"and {left} more") if left > 0 else tuple(lines)


def _changes(desk: Desk, since: datetime) -> list[str]:
    """What was decided about the filter: from the change log."""
    ground = Ground.of(desk.services.snapshot(), desk.place.log)
    with desk.read() as session:
        rows = session.scalars(
            select(ChangeRow)
            .where(ChangeRow.log == desk.place.log, ChangeRow.decided_at >= since)
            .order_by(ChangeRow.decided_at.desc())
            .limit(200)
        )
        told = tell(session, desk.services, ground, rows)
    states = {"in_force": "in force", "refused": "refused", "reversed": "taken back", "provisional": "to be ratified"}
    return [f"Change {one.id}, {states.get(one.state, one.state)}: {one.sentence}" for one in told]


def _asked_for(desk: Desk, since: datetime) -> list[str]:
    wanted = select(ChangeRow.id).where(
        ChangeRow.log == desk.place.log, ChangeRow.requested_at >= since, ChangeRow.source == "block-page"
    )
    with desk.read() as session:
        count = len(list(session.scalars(wanted)))
    return [f"{count} requests came from the block page"] if count else []


def subjects(desk: Desk) -> tuple[str, ...]:
    return tuple(sorted(my_subjects(desk)))
