"""/rollup: the LA officer's schools side by side, in counts: one row a school, nobody in it, small numbers unsaid."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from admin_api import words
from admin_api.agenda import terms_of
from admin_api.deps import Desk
from admin_api.eyes import filter_log
from admin_api.papers import Paper, Section, Table
from admin_api.permissions import at
from admin_api.routes.meeting import paper_response
from admin_api.routes.reports import PERIODS
from change_control.authority import Permission
from monitoring import constancy, export, reports
from policy.rules import SchoolPolicy

router = APIRouter()
HEAD = (
    "School", "Captures", "Waiting", "Serious", "Incidents opened", "Incidents closed", "Alarms", "Taken within",
    "School days looked", "Longest gap", "To ask about",
)  # fmt: skip
GAP = 2  # school days on end without a look after which the LA asks


@dataclass(frozen=True, slots=True)
class Row:
    """One school of a period."""

    school: str
    name: str
    counts: tuple[str, ...]  # as they may leave the school
    ask: tuple[str, ...]  # what the LA should ask about

    @property
    def cells(self) -> tuple[str, ...]:
        return (self.name, *self.counts, "; ".join(self.ask))


def schools_of(desk: Desk) -> Sequence[tuple[str, SchoolPolicy]]:
    """The schools at which this visitor is the LA's officer."""
    documents = desk.services.snapshot().schools
    mine = [place.log for place in desk.visitor.places if place.may(Permission.COMPARE) and place.tier != "authority"]
    return [(log, document) for log in mine if isinstance(document := documents.get(log), SchoolPolicy)]


def row(desk: Desk, school: str, document: SchoolPolicy, days: int) -> Row:
    log, now, zone = filter_log(desk), desk.office.now(), document.timezone
    staff = tuple(sorted(group.id for group in document.groups if group.phase == "staff"))
    found = reports.figures(
        log, school, now - timedelta(days=days), now, subjects=("pupil",), but_groups=staff, zone=zone, compare=False
    )
    today = words.local(now, zone).date()
    proof = constancy.proof(constancy.days(log, school, today - timedelta(days=days), today, terms_of(document), today))
    took = found.minutes_to_acknowledge
    counts = (
        reports.few(found.captures), reports.few(found.waiting), reports.few(found.by_grade.get("Serious", 0)),
        reports.few(found.incidents_opened), reports.few(found.incidents_closed), reports.few(found.alarms),
        "–" if took is None or found.alarms < reports.FEWEST else f"{took + 1} min",
        f"{proof.looked} of {proof.every}", words.many(proof.longest_gap, "school day"),
    )  # fmt: skip
    ask = []
    if not found.asked:
        ask.append("nothing passed the filter")
    if proof.longest_gap >= GAP:
        ask.append(f"nobody looked for {words.many(proof.longest_gap, 'school day')}")
    if found.waiting >= 20:
        ask.append("captures pile up")
    if took is not None and took > 60 and found.alarms >= reports.FEWEST:
        ask.append("alarms are taken late")
    place = desk.visitor.at(school)
    return Row(school, place.name if place else school, counts, tuple(ask))


@router.get("/rollup")
def rollup(
    desk: Annotated[Desk, at(Permission.COMPARE)],
    period: Annotated[str, Query(pattern="^(week|month|term)$")] = "month",
    format: Annotated[str, Query(pattern="^(pdf|csv|)$")] = "",  # noqa: A002 - the word people type
) -> Response:
    title, days = PERIODS[period]
    rows = [row(desk, school, document, days) for school, document in schools_of(desk)]
    desk.note("read the roll-up", "done", f"{title}{f' as {format}' if format else ''}")
    name = f"schools-{period}-{desk.office.now():%Y-%m-%d}"
    if format == "csv":
        return Response(
            "".join(export.sheet(HEAD, [one.cells for one in rows])).encode(),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}.csv"', "Cache-Control": "no-store"},
        )
    if format == "pdf":
        sections = tuple(
            Section(one.name, (), (), Table(("", ""), tuple(zip(HEAD[1:], one.cells[1:], strict=True)))) for one in rows
        )
        paper = Paper(f"{title} at {words.many(len(rows), 'school')}", "In counts. Nobody is named.", sections)
        return paper_response(paper, desk.office.now(), f"{name}.pdf")
    return desk.page("rollup.html", title=title, period=period, periods=PERIODS, rows=rows, head=HEAD, fewest=reports.FEWEST)
