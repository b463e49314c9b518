"""/access: who signed in, who looked at the filter log, and what was refused. The headteacher reads it."""

from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy import or_, select
from starlette.responses import Response

from admin_api.deps import Desk
from admin_api.permissions import at
from admin_api.telling import names
from change_control.authority import Permission
from change_control.tables import AccessRow

router = APIRouter()
A_PAGE = 50
ABOUT = {  # by the first words of what was done
    "names": ("unmask",),
    "exports": ("export", "download"),
    "looks": ("look at", "read", "search"),
}


@router.get("/access")
def access(
    desk: Annotated[Desk, at(Permission.READ_ACCESS)],
    outcome: str = "",
    about: Annotated[str, Query(pattern="^(names|exports|looks|)$")] = "",
    before: Annotated[int, Query(ge=0, le=2**31)] = 0,
) -> Response:
    wanted = select(AccessRow).where(AccessRow.log == desk.place.log).order_by(AccessRow.id.desc()).limit(A_PAGE + 1)
    if outcome in {"done", "refused"}:
        wanted = wanted.where(AccessRow.outcome == outcome)
    if about:
        wanted = wanted.where(or_(*(AccessRow.act.startswith(word, autoescape=True) for word in ABOUT[about])))
    if before:
        wanted = wanted.where(AccessRow.id < before)
    with desk.read() as session:
        rows = list(session.scalars(wanted))
        who = names(session, {row.person for row in rows})
    more = rows[A_PAGE - 1].id if len(rows) > A_PAGE else None
    return desk.page("access.html", rows=rows[:A_PAGE], who=who, outcome=outcome, about=about, more=more)
