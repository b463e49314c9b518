"""/asked: where a request from the block page stands, for whoever has its reference. Nobody has to sign in."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from admin_api import words
from admin_api.deps import address, services, templates
from change_control import screening

router = APIRouter()


@router.get("/asked")
def asked(request: Request, reference: Annotated[str, Query(max_length=40)] = "") -> Response:
    desk, where, typed = services(request), address(request), reference.strip().upper()
    found, reason, status = "", "", 200
    if typed and desk.attempts.seconds(where, "a reference"):
        found, status = "wait", 429
    elif typed:
        with desk.store.read() as session:
            found, reason = screening.where(desk.office, session, typed)
        if found == "unknown":  # references are long, and guessing them is slow
            desk.attempts.failed(where, "a reference")
            status = 404
    said = words.ASKED.get(found, "")
    page = {"reference": typed if found != "wait" else "", "where": said, "reason": reason}
    return templates(request).TemplateResponse(request, "asked.html", page, status_code=status)
