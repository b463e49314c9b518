"""/changes: the change log, entry by entry, and whether it proves itself."""

import json
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import Response

from admin_api.deps import Desk
from admin_api.permissions import at
from admin_api.telling import Ground, actors, names, note
from change_control import standalone
from change_control.authority import Permission
from change_control.offline import fingerprint
from change_control.tables import EntryRow, LogRow
from change_control.verify import DoesNotAgree, verify_installation, witnessed, write_export
from policy.live import Trust
from policy.proof import parse_entry

router = APIRouter()
A_PAGE = 30


@dataclass(frozen=True, slots=True)
class Proof:
    """What the full replay found."""

    agrees: bool
    size: int
    said: str


def prove(session: Session, desk: Desk) -> Proof:
    """Replay everything. What is wrong elsewhere is said without telling one school of another."""
    try:
        replayed = {one.log: one for one in verify_installation(session, desk.services.data)}
    except DoesNotAgree as error:
        log, colon, _ = str(error).partition(": ")
        elsewhere = bool(colon) and log != desk.place.log and session.get(LogRow, log) is not None
        if elsewhere and desk.visitor.at(log) is None:
            return Proof(False, 0, "another change log of this installation does not agree; the LA officer can see which")
        return Proof(False, 0, str(error))
    size = replayed[desk.place.log].size
    return Proof(True, size, f"all {size:,} entries agree")


@router.get("/changes")
def changes(
    desk: Annotated[Desk, at(Permission.READ_CHANGES)],
    before: Annotated[int, Query(ge=0, le=2**31)] = 0,
    check: bool = False,
) -> Response:
    ground = Ground.of(desk.services.snapshot(), desk.place.log)
    wanted = select(EntryRow).where(EntryRow.log == desk.place.log).order_by(EntryRow.n.desc()).limit(A_PAGE + 1)
    if before:
        wanted = wanted.where(EntryRow.n < before)
    with desk.read() as session:
        rows = list(session.scalars(wanted))
        entries = [(row, parse_entry(row.text)) for row in rows[:A_PAGE]]
        who = names(session, {each for _, entry in entries for each in actors(entry)})
        noted = [note(entry, row, ground, who) for row, entry in entries]
        proof = prove(session, desk) if check else None
        size = session.get_one(LogRow, desk.place.log).size
    more = noted[-1].n if len(rows) > A_PAGE else None
    key = fingerprint(Trust.load(desk.services.data).public)
    return desk.page("changes.html", noted=noted, proof=proof, size=size, more=more, key=key, verifier=standalone.NAME)


@router.get("/changes/verifier")
def verifier(desk: Annotated[Desk, at(Permission.READ_CHANGES)]) -> Response:
    """The single file that checks an export on a machine without Schoolgate."""
    del desk
    headers = {"Content-Disposition": f'attachment; filename="{standalone.NAME}"'}
    return Response(standalone.text(), media_type="text/x-python", headers=headers)


@router.get("/changes/export")
def export(desk: Annotated[Desk, at(Permission.READ_CHANGES)]) -> Response:
    """The school's change log and its authority's, for `schoolgate changes verify` anywhere else."""
    trust = Trust.load(desk.services.data)
    with desk.read() as session:
        text = only(write_export(session, trust, witnessed(desk.services.data)), {desk.place.log, trust.authority})
    desk.note("export", "done", "change log")
    name = f"schoolgate-{desk.place.log}-{desk.office.now():%Y-%m-%d}.json"
    return Response(text, media_type="application/json", headers={"Content-Disposition": f'attachment; filename="{name}"'})


def only(export_of_all: str, logs: set[str]) -> str:
    """An export without the logs of other schools. Each log proves itself, so what is left still verifies."""
    found = json.loads(export_of_all)
    for part in ("logs", "policies"):
        found[part] = [one for one in found[part] if one["log"] in logs]
    return json.dumps(found, indent=1)
