"""/resolver: what the DNS resolver counts, and how the resolvers above it fare."""

from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response

from admin_api import counters
from admin_api.deps import Desk
from admin_api.permissions import at
from change_control.authority import Permission

router = APIRouter()


@router.get("/resolver")
def resolver(desk: Annotated[Desk, at(Permission.READ_SYSTEM)]) -> Response:
    return desk.page("resolver.html", counted=counters.summary(desk.services.data))
