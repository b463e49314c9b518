"""/api/v1: the same services for scripts. Errors are {"error": "a plain sentence"}."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from admin_api.api_shapes import CLOSED, ERRORS, Json, Text
from admin_api.auth import drop_cookie, set_cookie
from admin_api.deps import Visitor, services
from admin_api.permissions import SignedIn
from admin_api.routes import api_changes, api_looking, api_standing
from admin_api.routes.sign_in import Wait, sign_in
from change_control.people import WrongCredentials

router = APIRouter(responses=ERRORS)


class Credentials(BaseModel):
    """What a person signs in with."""

    model_config = CLOSED
    username: Text
    password: Annotated[str, Field(max_length=500)]
    totp: Annotated[str, Field(max_length=20)]


@router.post("/session", status_code=201)
def begin(request: Request, given: Credentials) -> Response:
    """Sign in; the answer sets the cookie."""
    try:
        cookie = sign_in(request, given.username, given.password, given.totp)
    except WrongCredentials as error:
        return JSONResponse({"error": str(error)}, 401)
    except Wait as error:
        return JSONResponse({"error": str(error)}, 429, headers={"Retry-After": str(error.seconds)})
    desk = services(request)
    with desk.store.read() as session:
        person = desk.registry.signed_in(session, cookie)
        who = Visitor.of(session, person, cookie, "") if person else None
    response = JSONResponse(_me(who) if who else {}, 201)
    set_cookie(response, cookie)
    return response


@router.get("/session")
def me(who: SignedIn) -> Json:
    """Who is signed in, with which roles where."""
    return _me(who)


@router.delete("/session")
def finish(request: Request, who: SignedIn) -> Response:
    """Sign out."""
    desk = services(request)
    with desk.store.write() as session:
        desk.registry.sign_out(session, who.cookie)
        for place in who.places:
            desk.office.access(session, "sign-out", "done", log=place.log, person=who.person.id, address=who.address)
    response = JSONResponse({"signed_in": False})
    drop_cookie(response)
    return response


def _me(who: Visitor) -> Json:
    return {
        "person": who.person.id,
        "name": who.person.name,
        "roles": {place.log: sorted(place.roles) for place in who.places},
    }


@router.get("/schools")
def schools(request: Request, who: SignedIn) -> Json:
    """The schools at which the signed-in person holds a role, and the authority if she holds one there."""
    snapshot = services(request).snapshot()
    return {
        "schools": [
            {
                "id": place.log,
                "name": place.name,
                "tier": place.tier,
                "roles": sorted(place.roles),
                "groups": [
                    {"id": group.id, "name": group.name, "phase": group.phase}
                    for group in (snapshot.schools[place.log].groups if place.log in snapshot.schools else ())
                ],
            }
            for place in who.places
        ]
    }


for part in (api_changes, api_standing, api_looking):
    router.include_router(part.router)
