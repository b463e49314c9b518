"""/captures/archive: every capture, graded or not, to search and take along. What is graded is put away, not gone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from admin_api.deps import Desk
from admin_api.eyes import eyes, filter_log, looker, masks, my_subjects
from admin_api.forms import last_moment, moment, tidy
from admin_api.permissions import at
from admin_api.routes.captures import people, shared
from admin_api.words import ZONE
from change_control.authority import Permission
from monitoring import archive as put_away
from monitoring import export
from monitoring.archive import Sought
from monitoring.captures import Capture

router = APIRouter()
A_PAGE, MOST = 100, 10_000
HEAD = (
    "capture", "at", "last", "count", "who", "group", "theme", "area", "term", "site", "why", "before", "terms", "titles",
    "after", "earlier", "lesson", "grade", "graded_by", "graded_at", "incident",
)  # fmt: skip
type Field = Annotated[str, Query(max_length=300)]


@dataclass(frozen=True, slots=True)
class Asked:
    """The search as the page's address says it."""

    grade: str = ""
    theme: str = ""
    group: str = ""
    words: str = ""
    person: str = ""
    since: str = ""
    until: str = ""

    def set(self) -> Mapping[str, str]:
        return {name: text for name in self.__slots__ if (text := getattr(self, name))}


def asked(
    grade: Annotated[str, Query(pattern="^(off-task|behaviour|serious|false|none|)$")] = "",
    theme: Field = "", group: Field = "", words: Field = "", person: Field = "", since: Field = "", until: Field = "",
) -> Asked:  # fmt: skip
    return Asked(grade, theme, group, words, person, since, until)


@router.get("/captures/archive")
def archive(
    desk: Annotated[Desk, at(Permission.REVIEW)],
    asked: Annotated[Asked, Depends(asked)],
    before: Annotated[int, Query(ge=0, le=2**31)] = 0,
    format: Annotated[str, Query(pattern="^(csv|jsonl|)$")] = "",  # noqa: A002 - the word people type
) -> Response:
    log, school = filter_log(desk), desk.place.log
    said = ", ".join(f"{name}: {text}" for name, text in asked.set().items()) or "everything"
    desk.note(f"export captures as {format}" if format else "search captures", "done", said[:200])
    who = masks(log).who(school, tidy(asked.person)) or "nobody" if asked.person else ""
    sought = Sought(
        asked.grade, tidy(asked.theme), tidy(asked.group), tidy(asked.words), who, moment(asked.since, ZONE),
        last_moment(asked.until, ZONE), before,
    )  # fmt: skip
    subjects = my_subjects(desk)
    if format:
        return _file(desk, put_away.found(log, school, subjects, sought, person=looker(desk), limit=MOST), format)
    found = put_away.found(log, school, subjects, sought, person=looker(desk), limit=A_PAGE + 1)
    return desk.page(
        "captures_archive.html",
        asked=asked,
        found=found[:A_PAGE],
        more=urlencode({**asked.set(), "before": found[A_PAGE - 1].id}) if len(found) > A_PAGE else "",
        address=urlencode(asked.set()),
        who=people(desk, *(one.graded_by for one in found if one.graded_by)),
        **shared(desk),
    )


def _file(desk: Desk, found: Any, format: str) -> Response:  # noqa: A002
    sees, who = eyes(desk), people(desk, *(one.graded_by for one in found if one.graded_by))

    def row(one: Capture) -> dict[str, Any]:
        own = {name: getattr(one, name) for name in HEAD if name not in {"capture", "who", "theme", "graded_by"}}
        named = {"capture": one.id, "who": sees.name(one.who, one.group), "theme": one.theme_name}
        return {**own, **named, "graded_by": who.get(one.graded_by, "")}

    def text(value: Any) -> Any:
        return " | ".join(value) if isinstance(value, tuple | list) else value

    rows = [row(one) for one in found]
    if format == "csv":
        body = "".join(export.sheet(HEAD, [[text(one[name]) for name in HEAD] for one in rows]))
    else:
        body = "".join(export.json_lines({name: one[name] for name in HEAD} for one in rows))
    return Response(
        body.encode("utf-8", "replace"),
        media_type="text/csv; charset=utf-8" if format == "csv" else "application/jsonl",
        headers={
            "Content-Disposition": f'attachment; filename="{desk.place.log}-captures.{format}"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )
