"""/api/v1: what can be looked at: rules, change log, events, why, lists, status."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from sqlalchemy import select

from admin_api import words
from admin_api.api_shapes import Json, when
from admin_api.deps import Desk
from admin_api.eyes import eyes
from admin_api.filter_state import filter_state, problems
from admin_api.forms import moment
from admin_api.permissions import at
from admin_api.routes import log as filter_log
from admin_api.routes.changes import prove
from admin_api.routes.machine import behind
from admin_api.routes.rules import rules_in_force
from admin_api.routes.today import list_ages
from admin_api.routes.why import answer
from admin_api.telling import Ground
from change_control.authority import Permission
from change_control.tables import EntryRow, LogRow
from monitoring import export
from monitoring.log import Line
from monitoring.masks import Eyes, who_of
from policy.rules import SchoolPolicy, SiteRule, instant, write

router = APIRouter()


@router.get("/rules")
def rules(desk: Annotated[Desk, at(Permission.READ_CHANGES)]) -> Json:
    """The rules in force of a school, with the change behind each, and the whole policy as it was signed."""
    snapshot = desk.services.snapshot()
    ground = Ground.of(snapshot, desk.place.log)
    with desk.read() as session:
        found = rules_in_force(session, desk, ground)
    document = ground.document
    return {
        "school": desk.place.log,
        "revision": snapshot.revisions.get(desk.place.log),
        "rules": [
            {
                "id": one.rule.id,
                "kind": "site" if isinstance(one.rule, SiteRule) else "category",
                "about": one.about,
                "action": one.rule.action,
                "groups": list(one.rule.groups),
                "until": when(one.rule.until),
                "change": one.rule.change,
                "sentence": one.change.sentence if one.change else None,
            }
            for one in found
        ],
        "groups": [group.id for group in document.groups] if isinstance(document, SchoolPolicy) else [],
        "document": write(document),
    }


@router.get("/ledger")
def ledger(
    desk: Annotated[Desk, at(Permission.READ_CHANGES)],
    after: Annotated[int, Query(ge=-1, le=2**31)] = -1,
    limit: Annotated[int, Query(ge=1, le=1000)] = 500,
) -> Json:
    """The change log's entries after a number, as canonical texts, and the signed checkpoint."""
    log = desk.place.log
    with desk.read() as session:
        row = session.get_one(LogRow, log)
        wanted = select(EntryRow.text).where(EntryRow.log == log, EntryRow.n > after).order_by(EntryRow.n).limit(limit)
        return {"school": log, "size": row.size, "checkpoint": row.checkpoint, "entries": list(session.scalars(wanted))}


@router.get("/ledger/verify")
def verify(desk: Annotated[Desk, at(Permission.READ_CHANGES)]) -> Json:
    """Replay every change log of the installation: does everything agree?"""
    with desk.read() as session:
        proof = prove(session, desk)
    return {"agrees": proof.agrees, "entries": proof.size, "said": proof.said}


@router.get("/events")
def events(
    desk: Annotated[Desk, at(Permission.READ_LOG)],
    asked: Annotated[filter_log.Search, Depends(filter_log.search)],
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Json:
    """The filter log, newest first; `next` is the `after` of what follows. Each look is written into the access log."""
    query = filter_log.query_of(desk, asked, limit)
    found = filter_log.filter_log(desk)
    filter_log.note_search(desk, asked)
    page, sees = found.search(query), eyes(desk)
    return {
        "events": [_line(line, sees) for line in page.rows],
        "next": page.next,
        "looked_back": page.looked_back.isoformat() if page.looked_back else None,
    }


def _line(line: Line, sees: Eyes) -> Json:
    """A line under its pseudonym; with person, device and address only where the visitor has said why."""
    who = who_of(line)
    said = export.fields(line, lambda one: sees.name(who, one.group), named=sees.sees(who))
    return {**said, "at": line.at.isoformat(), "last": line.last.isoformat()}


@router.get("/why")
def why(
    desk: Annotated[Desk, at(Permission.READ_CHANGES)],
    site: Annotated[str, Query(max_length=2000)],
    group: Annotated[str, Query(max_length=100)],
    at: Annotated[str, Query(max_length=40)] = "",
) -> Json:
    """May this group open this site at this time? The one decision, said."""
    found = answer(desk.services.snapshot(), desk.place.log, group, site, moment(at, words.ZONE) or desk.office.now())
    decision = found.decision
    return {
        "asked": site,
        "school": desk.place.log,
        "group": group,
        "at": instant(found.question.at),
        "action": decision.action,
        "handling": decision.handling,
        "until": when(decision.until),
        "category": decision.category,
        "reason": decision.reason,
        "rule": decision.rule,
        "list": decision.list,
        "list_version": decision.list_version,
        "change": decision.change,
        "revision": decision.revision,
        "sentence": found.sentence,
    }


@router.get("/lists")
def lists(desk: Annotated[Desk, at(Permission.READ_CHANGES)]) -> Json:
    """The lists that a school decides with."""
    ground = Ground.of(desk.services.snapshot(), desk.place.log)
    return {
        "dictionary": ground.document.dictionary,
        "lists": [
            {"id": one.id, "category": one.category, "version": one.version, "entries": one.entries, "days_old": one.days}
            for one in list_ages(desk, ground)
        ],
    }


@router.get("/status")
def status(desk: Annotated[Desk, at(Permission.READ_SYSTEM)]) -> Json:
    """How the filter is running."""
    snapshot = desk.services.snapshot()
    state = filter_state(desk.services)
    log = desk.place.log
    revision = snapshot.revisions.get(log, -1)
    return {
        "generation": snapshot.generation,
        "revision": revision,
        "in_force": {"on": state.on(log, revision), "of": state.of},
        "workers": [
            {"name": worker.name, "generation": worker.generation, "revision": worker.revisions.get(log)}
            for worker in state.workers
        ],
        "problems": problems(desk, snapshot, state),
        "spool_behind_bytes": behind(desk.services),
    }
