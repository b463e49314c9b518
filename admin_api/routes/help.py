"""/help: one word for one thing, and who may do what, from the table that the code obeys."""

from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response

from admin_api.deps import Desk
from admin_api.permissions import at
from change_control.authority import MAY, ROLES, Permission

router = APIRouter()


@router.get("/help")
def help_page(desk: Annotated[Desk, at(Permission.READ_CHANGES)]) -> Response:
    return desk.page("help.html", may=MAY, permissions=list(Permission), roles=ROLES)
