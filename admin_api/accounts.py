"""Who is known by name and password: answered to the keeper of the portal, over a socket in the file system.

No second factor is asked for: what opens is the network, with the rules that the headteacher signed for people with an
account, never the desk; and a code typed into a page of the filter would be one that somebody else could use at the desk.
Wrong passwords count as they do at the desk, by name and by address, so this is no second place to guess at.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import select

from admin_api.deps import Services
from change_control.tables import PersonRow, RoleRow

AT_ONCE: Final = 2  # a password takes 20 MB and a twentieth of a second


def known(services: Services, school: str, user: str, password: str, address: str) -> dict[str, str]:
    """What is said of a name and password at a school: in, wrong, elsewhere, wait."""
    attempts, name = services.attempts, user.strip().lower()[:100]
    if attempts.seconds(address, name):
        return {"said": "wait"}
    with services.store.read() as session:
        row = services.registry.known(session, name, password)
        here = bool(row and services.registry.person(session, row.id).at(school))
        person = row.id if row else ""
    if not person:
        attempts.failed(address, name)
        services.note("portal", "refused", log=school, why="the user name or password is wrong", address=address)
        return {"said": "wrong"}
    attempts.succeeded(address, name)
    if not here:
        services.note("portal", "refused", log=school, person=person, why="no role at this school", address=address)
        return {"said": "elsewhere"}
    services.note("portal", "done", log=school, person=person, address=address)
    return {"said": "in", "user": name}


def gone(services: Services, school: str, users: Sequence[str]) -> list[str]:
    """Those of the user names that hold no role at a school any more."""
    with services.store.read() as session:
        held = select(PersonRow.username).join(RoleRow, RoleRow.person == PersonRow.id)
        still = set(session.scalars(held.where(RoleRow.log == school, PersonRow.username.in_(users))))
    left = [user for user in users if user not in still]
    for user in left:
        services.note("portal", "done", log=school, target=user, why="signed out: no role at this school any more")
    return left


class Accounts:
    """What answers at the socket."""

    def __init__(self, services: Services) -> None:
        self._services, self._places = services, asyncio.Semaphore(AT_ONCE)

    async def answer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """LookupError for a question that leaves out what it takes."""
        if "holds" in asked:
            users = [str(user) for user in asked["holds"]]
            return {"said": "holds", "gone": await asyncio.to_thread(gone, self._services, str(asked["school"]), users)}
        school, user, password, address = (str(asked[key]) for key in ("school", "user", "password", "address"))
        async with self._places:
            return await asyncio.to_thread(known, self._services, school, user, password, address)
