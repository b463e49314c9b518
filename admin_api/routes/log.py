"""/log: the filter log. Looking is itself written down, in the access log; people are pseudonyms until someone says why."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends
from fastapi import Query as Asked
from starlette.responses import Response, StreamingResponse

from admin_api import words
from admin_api.deps import Desk
from admin_api.eyes import eyes, filter_log, hidden_groups, looker, masks, my_subjects
from admin_api.forms import Form, Wrong, moment, tidy
from admin_api.permissions import at
from admin_api.telling import Ground
from change_control.authority import Permission
from monitoring import devices, export, saved
from monitoring.captures import GRADES, of_person
from monitoring.lines import Line
from monitoring.log import Log, Query
from monitoring.masks import who_of
from policy.rules import SchoolPolicy

router = APIRouter()
A_PAGE = 50
LONGEST_EXPORT = 200_000  # lines
PERIODS = {"1": "Today and yesterday", "7": "7 days", "30": "30 days", "90": "90 days"}
type Field = Annotated[str, Asked(max_length=300)]

__all__ = ["filter_log", "note_search", "router", "search"]


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for, as the address of the page says it. One place for the page and for the API."""

    since: str = ""
    until: str = ""
    person: str = ""
    address: str = ""
    device: str = ""
    site: str = ""
    group: str = ""
    category: str = ""
    term: str = ""
    action: str = ""
    rule: str = ""
    change: str = ""
    reason: str = ""
    network: str = ""
    identified_by: str = ""
    words: str = ""
    kind: str = ""
    after: str = ""

    def set(self) -> Mapping[str, str]:
        return {name: text for name in self.__slots__ if (text := getattr(self, name))}

    def query(self, school: str, limit: int, who: str | None = None, but_groups: tuple[str, ...] = ()) -> Query:
        """ValueError says what cannot be looked for."""
        text = {name: tidy(value) or None for name, value in self.set().items()}
        if self.change and not (self.change.isdecimal() and self.change.isascii() and len(self.change) < 16):
            raise ValueError("a change is looked for by its number")
        return Query(
            school=school,
            since=moment(self.since, words.ZONE),
            until=moment(self.until, words.ZONE),
            who=who,
            address=text.get("address"),
            device=text.get("device"),
            host=text.get("site"),
            group=text.get("group"),
            category=text.get("category"),
            term=text.get("term"),
            action=text.get("action"),
            rule=text.get("rule"),
            change=int(self.change) if self.change else None,
            reason=text.get("reason"),
            network=text.get("network"),
            identified_by=text.get("identified_by"),
            kind=text.get("kind"),
            text=text.get("words"),
            after=text.get("after"),
            but_groups=but_groups,
            limit=limit,
        )

    def address_of(self, **more: str) -> str:
        return urlencode({**{name: text for name, text in self.set().items() if name != "after"}, **more})


def search(
    since: Field = "",
    until: Field = "",
    person: Field = "",
    address: Field = "",
    device: Field = "",
    site: Field = "",
    group: Field = "",
    category: Field = "",
    term: Field = "",
    action: Field = "",
    rule: Field = "",
    change: Field = "",
    reason: Field = "",
    network: Field = "",
    identified_by: Field = "",
    words: Field = "",
    kind: Field = "",
    after: Field = "",
) -> Search:
    """The search in a request's address."""
    return Search(
        since, until, person, address, device, site, group, category, term, action, rule, change, reason, network,
        identified_by, words, kind, after,
    )  # fmt: skip


def note_search(desk: Desk, asked: Search, act: str = "read the filter log") -> None:
    what = ", ".join(f"{name}: {text}" for name, text in asked.set().items() if name != "after")
    desk.note(act, "done", (what or "everything")[:200])


def query_of(desk: Desk, asked: Search, limit: int) -> Query:
    """What a visitor may find by a search: a person is looked for by pseudonym, and what staff do is the headteacher's."""
    who = None
    if asked.person:
        made = masks(filter_log(desk))
        who = made.who(desk.place.log, asked.person) or tidy(asked.person)
    if asked.device and not asked.device.startswith("d-"):
        with suppress(LookupError):
            asked = replace(asked, device=devices.one(filter_log(desk), desk.place.log, asked.device).device)
    return as_person(filter_log(desk), asked.query(desk.place.log, limit, who, hidden_groups(desk)))


def as_person(log: Log, query: Query) -> Query:
    """The same by the index of persons, where this is the name of one."""
    if query.who and log.search(Query(query.school, person=query.who, limit=1)).rows:
        return replace(query, who=None, person=query.who)
    return query


def _context(desk: Desk) -> dict[str, Any]:
    ground = Ground.of(desk.services.snapshot(), desk.place.log)
    document = ground.document
    return {
        "eyes": eyes(desk),
        "who_of": who_of,
        "groups": {group.id: group.name for group in document.groups} if isinstance(document, SchoolPolicy) else {},
        "categories": {one.id: one.name for one in ground.taxonomy.categories.values()},
    }


@router.get("/log")
def log(
    desk: Annotated[Desk, at(Permission.READ_LOG)], asked: Annotated[Search, Depends(search)], said: str = ""
) -> Response:
    found = filter_log(desk)
    context: dict[str, Any] = {
        "asked": asked,
        "said": said,
        "kept": saved.searches(found, desk.place.log, desk.visitor.person.id),
    } | _context(desk)
    note_search(desk, asked)
    context["full"] = found.completeness()
    try:
        query = query_of(desk, asked, A_PAGE)
    except ValueError as error:
        return desk.page("log.html", 422, error=str(error), rows=(), more="", back=None, summary=None, **context)
    now = desk.office.now()
    page = found.search(query)
    return desk.page(
        "log.html",
        error="",
        rows=page.rows,
        more=asked.address_of(after=page.next) if page.next else "",
        back=page.looked_back,
        summary=None
        if asked.set()
        else found.summary(desk.place.log, now - timedelta(days=1), now, but_groups=hidden_groups(desk)),
        **context,
    )


@router.post("/log/saved")
def save(desk: Annotated[Desk, at(Permission.READ_LOG)], form: Form) -> Response:
    if number := form.text("gone"):
        saved.forget(filter_log(desk), desk.place.log, desk.visitor.person.id, number)
        return desk.go("/log", "search-gone")
    saved.keep(filter_log(desk), desk.place.log, desk.visitor.person.id, form.text("name", 80), form.text("query", 2000))
    return desk.go("/log", "search-saved")


@router.get("/log/export")
def export_log(
    desk: Annotated[Desk, at(Permission.READ_LOG)],
    asked: Annotated[Search, Depends(search)],
    format: Annotated[str, Asked(pattern="^(csv|jsonl|syslog)$")] = "csv",  # noqa: A002 - the word people type
) -> Response:
    """What a search finds, for other programs. It goes into the access log before the first line leaves."""
    query = query_of(desk, asked, A_PAGE)
    note_search(desk, asked, f"exported the filter log as {format}")
    sees = eyes(desk)
    lines = _some(filter_log(desk).every(query))

    def told(line: Line) -> Mapping[str, Any]:
        who = who_of(line)
        return export.fields(line, lambda one: sees.name(who, one.group), named=sees.sees(who))

    name = f"{desk.place.log}-filter-log.{'csv' if format == 'csv' else 'jsonl' if format == 'jsonl' else 'log'}"
    if format == "csv":
        columns = ["at", "who", "person", "device", "address"]
        columns += [one for one in Line.__slots__ if one not in {"id", "at", "person", "device", "address"}]
        body = export.sheet(columns, ([told(line).get(one, "") for one in columns] for line in lines))
    elif format == "jsonl":
        body = export.json_lines(told(line) for line in lines)
    else:
        whose = ((line, who_of(line)) for line in lines)
        body = (export.syslog(line, sees.name(who, line.group), named=sees.sees(who)) + "\n" for line, who in whose)
    return StreamingResponse(
        (part.encode("utf-8", "replace") for part in body),
        media_type={"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl"}.get(format, "text/plain; charset=utf-8"),
        headers={"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"},
    )


def _some(lines: Iterable[Line]) -> Iterator[Line]:
    for n, line in enumerate(lines):
        if n >= LONGEST_EXPORT:
            return
        yield line


@router.get("/log/top")
def top(desk: Annotated[Desk, at(Permission.READ_LOG)], days: Annotated[int, Asked(ge=1, le=90)] = 7) -> Response:
    """Top tens: people, sites and searches, and what was blocked."""
    found, now = filter_log(desk), desk.office.now()
    desk.note("read the filter log", "done", f"top tens of {days} days")
    since, but = now - timedelta(days=days), hidden_groups(desk)

    def ten(by: str, action: str | None = None) -> Any:
        return found.top(by, desk.place.log, since, now, action=action, but_groups=but)

    return desk.page(
        "log_top.html",
        days=days,
        periods=PERIODS,
        people=ten("who"),
        people_blocked=ten("who", "block"),
        sites=ten("host"),
        sites_blocked=ten("host", "block"),
        searches=ten("term"),
        **_context(desk),
    )


@router.get("/log/person/{code}")
def person(desk: Annotated[Desk, at(Permission.READ_LOG)], code: str, after: Field = "", said: str = "") -> Response:
    """One person's timeline."""
    return timeline(desk, code, after, said, {})


def timeline(desk: Desk, code: str, after: str, said: str, errors: Mapping[str, str], status: int = 200) -> Response:
    found = filter_log(desk)
    who = masks(found).who(desk.place.log, tidy(code)[:64])
    desk.note("read the filter log", "done", f"the timeline of {tidy(code)[:12]}")
    if not who:
        raise LookupError("nobody here has this pseudonym; what is older than it may be kept is deleted")
    query = as_person(
        found, Query(desk.place.log, who=who, after=after or None, limit=A_PAGE, but_groups=hidden_groups(desk))
    )
    page = found.search(query)
    now = desk.office.now()
    days = found.days_of(desk.place.log, who, now - timedelta(days=30), now)
    if not page.rows and not after and hidden_groups(desk):
        raise LookupError("nobody here has this pseudonym")  # staff are the headteacher's alone
    return desk.page(
        "log_person.html",
        status,
        code=masks(found).code(desk.place.log, who),
        who=who,
        group=page.rows[0].group if page.rows else "",
        rows=page.rows,
        days=days,
        caught=of_person(found, desk.place.log, who, my_subjects(desk), now - timedelta(days=90), person=looker(desk)),
        grades=GRADES,
        more=urlencode({"after": page.next}) if page.next else "",
        back=page.looked_back,
        said=said,
        errors=errors,
        **_context(desk),
    )


@router.post("/log/person/{code}/unmask")
def unmask(desk: Annotated[Desk, at(Permission.READ_LOG)], code: str, form: Form) -> Response:
    """Show who it is, for an hour, to who gives a reason. The access log has it before the name is shown."""
    code, reason = tidy(code)[:12], form.text("reason", 500)
    desk.note("unmask", "done" if len(reason) >= 10 else "refused", code, reason or "no reason was given")
    try:
        masks(filter_log(desk)).unmask(
            desk.place.log, code, person=desk.visitor.person.id, reason=reason, now=desk.office.now()
        )
    except Wrong:
        raise
    except ValueError as error:
        return timeline(desk, code, "", "", {"reason": str(error)}, 422)
    return desk.go(
        form.text("back", 200) if form.text("back").startswith("/captures/") else f"/log/person/{code}", "unmasked"
    )
