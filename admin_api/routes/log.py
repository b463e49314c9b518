"""/log: the filter log. Looking is itself written down, in the access log."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends
from fastapi import Query as Asked
from starlette.responses import Response

from admin_api import words
from admin_api.deps import Desk
from admin_api.forms import moment, tidy
from admin_api.permissions import at
from admin_api.telling import Ground
from change_control.authority import Permission
from monitoring.log import Log, Query
from policy.rules import SchoolPolicy

router = APIRouter()
A_PAGE = 50
type Field = Annotated[str, Asked(max_length=300)]


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for, as the address of the page says it. One place for the page and for the API."""

    since: str = ""
    until: str = ""
    person: str = ""
    address: str = ""
    site: str = ""
    group: str = ""
    category: str = ""
    action: str = ""
    words: str = ""
    kind: str = ""
    after: str = ""

    def set(self) -> Mapping[str, str]:
        return {name: text for name in self.__slots__ if (text := getattr(self, name))}

    def query(self, school: str, limit: int) -> Query:
        """ValueError says what cannot be looked for."""
        text = {name: tidy(value) or None for name, value in self.set().items()}
        return Query(
            school=school,
            since=moment(self.since, words.ZONE),
            until=moment(self.until, words.ZONE),
            person=text.get("person"),
            address=text.get("address"),
            host=text.get("site"),
            group=text.get("group"),
            category=text.get("category"),
            action=text.get("action"),
            kind=text.get("kind"),
            text=text.get("words"),
            after=text.get("after"),
            limit=limit,
        )

    def next(self, after: str) -> str:
        return urlencode({**self.set(), "after": after})


def search(
    since: Field = "",
    until: Field = "",
    person: Field = "",
    address: Field = "",
    site: Field = "",
    group: Field = "",
    category: Field = "",
    action: Field = "",
    words: Field = "",
    kind: Field = "",
    after: Field = "",
) -> Search:
    """The search in a request's address."""
    return Search(since, until, person, address, site, group, category, action, words, kind, after)


def filter_log(desk: Desk) -> Log:
    if desk.services.log is None:
        raise LookupError("there is no filter log on this machine")
    return desk.services.log


def note_search(desk: Desk, asked: Search) -> None:
    what = ", ".join(f"{name}: {text}" for name, text in asked.set().items() if name != "after")
    desk.note("read the filter log", "done", what or "everything")


@router.get("/log")
def log(desk: Annotated[Desk, at(Permission.READ_LOG)], asked: Annotated[Search, Depends(search)]) -> Response:
    ground = Ground.of(desk.services.snapshot(), desk.place.log)
    document = ground.document
    context: dict[str, Any] = {
        "asked": asked,
        "groups": {group.id: group.name for group in document.groups} if isinstance(document, SchoolPolicy) else {},
        "categories": {one.id: one.name for one in ground.taxonomy.categories.values()},
    }
    note_search(desk, asked)
    try:
        query = asked.query(desk.place.log, A_PAGE)
    except ValueError as error:
        return desk.page("log.html", 422, error=str(error), rows=(), more="", summary=None, **context)
    found = filter_log(desk)
    now = desk.office.now()
    page = found.search(query)
    return desk.page(
        "log.html",
        error="",
        rows=page.rows,
        more=asked.next(page.next) if page.next else "",
        summary=None if asked.set() else found.summary(desk.place.log, now - timedelta(days=1), now),
        **context,
    )
