"""/then: what was in force at any instant, who authorised each rule of it, and how two instants differ. To be printed."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from admin_api import words
from admin_api.deps import Desk
from admin_api.forms import moment
from admin_api.permissions import at
from admin_api.then import proof, said
from change_control.authority import Permission
from change_control.history import Between, then
from policy.rules import SchoolPolicy

router = APIRouter()
type Moment = Annotated[str, Query(max_length=40)]
type Short = Annotated[str, Query(max_length=100)]


@router.get("/then")
def then_page(
    desk: Annotated[Desk, at(Permission.READ_CHANGES)],
    when: Moment = "",
    other: Moment = "",
    group: Short = "",
    person: Short = "",
) -> Response:
    errors: dict[str, str] = {}
    now = desk.office.now()
    asked = {}
    for name, text in (("when", when), ("other", other)):
        try:
            asked[name] = moment(text, words.ZONE)
        except ValueError as error:
            errors[name] = str(error)
    typed = {"when": when or f"{words.local(now):%Y-%m-%dT%H:%M}", "other": other, "group": group, "person": person}
    context: dict[str, object] = {"found": None, "between": None}
    if when and not errors:
        try:
            context = _found(desk, asked["when"] or now, asked["other"], group, person.strip())
        except LookupError as error:
            errors["when"] = str(error)
    force = desk.services.snapshot().schools.get(desk.place.log)
    groups = force.groups if isinstance(force, SchoolPolicy) else ()
    return desk.page("then.html", 422 if errors else 200, typed=typed, errors=errors, groups=groups, **context)


def _found(desk: Desk, when: object, other: object, group: str, person: str) -> dict[str, object]:
    from datetime import datetime

    with desk.read() as session:
        instants = sorted(one for one in (when, other) if isinstance(one, datetime))
        some = [then(desk.office, session, desk.place.log, one) for one in instants]
        newest = some[-1]
        taxonomy = desk.office.dictionaries.taxonomy(newest.document.dictionary)
        context: dict[str, object] = {
            "found": newest if len(some) == 1 else None,
            "between": None,
            "instants": instants,
            "lines": said(session, newest, newest.some(group, person), taxonomy) if len(some) == 1 else (),
            "proofs": [proof(one) for one in some],
        }
        if len(some) == 2:
            between = Between.of(some[0], some[1], group, person)
            context |= {
                "between": between,
                "gone": said(session, some[0], between.gone, taxonomy),
                "come": said(session, newest, between.come, taxonomy),
            }
    return context
