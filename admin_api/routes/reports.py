"""/reports: a week, a month or a term in numbers and pictures, each ending in what it means and what can be done."""

import json
from collections import Counter
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy import select
from starlette.responses import Response

from admin_api import words
from admin_api.agenda import subjects, terms, zone
from admin_api.deps import Desk
from admin_api.eyes import filter_log, uncounted_groups
from admin_api.papers import Paper, Section, Table
from admin_api.permissions import at
from admin_api.routes.meeting import paper_response
from admin_api.telling import Ground
from change_control.authority import Permission
from change_control.changes import Diff, tightens
from change_control.lifecycle import State
from change_control.tables import ChangeRow
from monitoring import captures, constancy, export, reports
from monitoring.reports import Figures
from policy.grounds import undone

router = APIRouter()
PERIODS = {"week": ("The last week", 7), "month": ("The last month", 30), "term": ("The last term", 91)}
# Who sees more than counts: those who review.
FULL = frozenset({"headteacher", "dsl", "online_safety_coordinator"})


@router.get("/reports")
def report(
    desk: Annotated[Desk, at(Permission.READ_REPORTS)],
    period: Annotated[str, Query(pattern="^(week|month|term)$")] = "week",
    format: Annotated[str, Query(pattern="^(pdf|csv|digest|)$")] = "",  # noqa: A002 - the word people type
    ends: Annotated[str, Query(max_length=10)] = "",
    view: Annotated[str, Query(pattern="^(digest|)$")] = "",
) -> Response:
    title, days = PERIODS[period]
    until = _until(desk, ends)
    full = not FULL.isdisjoint(desk.place.roles)
    whole = full and not view  # the headteacher's one page is counts alone, on screen and as CSV too
    log = filter_log(desk)
    found = reports.figures(
        log, desk.place.log, until - timedelta(days=days), until, subjects=("pupil",) if not full else subjects(desk),
        but_groups=uncounted_groups(desk), zone=zone(desk),
    )  # fmt: skip
    desk.note("read a report", "done", f"{title}{f' as {format}' if format else ''}")
    name = f"{desk.place.log}-{period}-{until:%Y-%m-%d}"
    if format == "csv":
        return Response(
            "".join(export.sheet(("What", "Which", "Count"), _rows(desk, found, full=whole))).encode(),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
        )
    if format in {"pdf", "digest"}:
        return paper_response(_paper(desk, title, found, full=full, digest=format == "digest"), until, f"{name}.pdf")
    today = words.local(desk.office.now(), zone(desk)).date()
    looked = constancy.days(log, desk.place.log, today - timedelta(days=days), today, terms(desk), today)
    return desk.page(
        "report.html",
        title=title,
        period=period,
        periods=PERIODS,
        found=found,
        full=full,
        whole=whole,
        view=view,
        categories=_categories(desk),
        meaning=reports.meaning(found),
        says=reports.read(found),
        decided=decided(desk, found.since, found.until),
        counts=reports.in_counts(found),
        proof=constancy.proof(looked),
        agreement=captures.agreement(log, desk.place.log, found.since),
        ends=ends,
        day=words.day,
    )


def decided(desk: Desk, since: datetime, until: datetime) -> list[tuple[str, int]]:
    """What was decided about the filter: opened, closed, refused. From the change log."""
    wanted = select(ChangeRow).where(
        ChangeRow.log == desk.place.log, ChangeRow.decided_at >= since, ChangeRow.decided_at < until
    )
    with desk.read() as session:
        rows = session.scalars(wanted.order_by(ChangeRow.decided_at.desc()).limit(5_000))
        found = Counter(became(row.state, json.loads(row.diff)) for row in rows)
    return [(name, found[name]) for name in DECIDED] if any(found[name] for name in DECIDED) else []


DECIDED = ("Opened, or not proven to close", "Closed", "Refused")


def became(state: str, diff: Diff) -> str:
    """What was decided, one of `DECIDED`; "" where nobody decided about the filter: what was withdrawn, or lapsed unsigned,
    and who is headteacher.
    """
    if state in {State.WITHDRAWN, State.LAPSED} or diff["kind"] == "head":
        return ""
    if state == State.REFUSED:
        return DECIDED[2]
    return DECIDED[tightens(undone(diff) if state == State.REVERSED else diff)]


def _until(desk: Desk, ends: str) -> datetime:
    now: datetime = desk.office.now()
    if not ends:
        return now
    try:
        chosen = datetime.fromisoformat(ends).replace(tzinfo=now.tzinfo) + timedelta(days=1)
    except ValueError:
        raise ValueError("write the last day of the report as 2026-12-18") from None
    return min(chosen, now)


def _categories(desk: Desk) -> dict[str, str]:
    ground = Ground.of(desk.services.snapshot(), desk.place.log)
    return {one.id: one.name for one in ground.taxonomy.categories.values()}


def _rows(desk: Desk, found: Figures, *, full: bool) -> list[tuple[object, ...]]:
    if not full:
        return [(name, "", count) for name, count in reports.in_counts(found)]
    names = _categories(desk)
    rows: list[tuple[object, ...]] = [
        ("asked", "", found.asked), ("blocked", "", found.blocked), ("warned", "", found.warned),
        ("searches", "", found.searches),
        ("captures", "", found.captures), ("captures waiting", "", found.waiting),
        ("incidents opened", "", found.incidents_opened), ("incidents closed", "", found.incidents_closed),
        ("alarms", "", found.alarms),
    ]  # fmt: skip
    rows += [("asked by day", at.isoformat(), count) for at, count, _ in found.by_day]
    rows += [("blocked by day", at.isoformat(), count) for at, _, count in found.by_day]
    rows += [("asked by hour", hour, count) for hour, count, _ in found.by_hour]
    rows += [("blocked category", names.get(name, name), count) for name, count in found.categories_blocked]
    rows += [("blocked site", name, count) for name, count in found.sites_blocked]
    rows += [("captures by theme", name, count) for name, count in found.by_theme]
    rows += [("captures by grade", name, count) for name, count in found.by_grade.items()]
    rows += [("captures by area of risk", name, count) for name, count in found.by_area]
    rows += [("serious by week", at.isoformat(), count) for at, count, _ in found.serious_by_week]
    rows += [("decided", name, count) for name, count in decided(desk, found.since, found.until)]
    return rows


def _shares(head: str, some: Any) -> Table:
    rows = tuple((str(name), f"{count:,}") for name, count in some)
    return Table((head, "Count"), rows, tuple(float(count) for _, count in some))


def _paper(desk: Desk, title: str, found: Figures, *, full: bool, digest: bool) -> Paper:
    """The report on paper; the headteacher's digest is its first page alone."""
    names, says = _categories(desk), reports.read(found)

    def section(name: str, key: str, table: Table) -> Section:
        return Section(name, (says[key],) if key in says else (), (), table)

    sections = [Section("What this means, and what can be done", (), tuple(reports.meaning(found)))]
    sections.append(Section("In numbers", (), (), Table(("", "Count"), tuple(reports.in_counts(found)))))
    if full and not digest:
        hours = [(f"{hour}:00", count) for hour, count, _ in found.by_hour]
        sections += [
            section("Activity by day", "day", _shares("Day", [(words.day(at), count) for at, count, _ in found.by_day])),
            section("Activity by hour", "hour", _shares("Hour", hours)),
            section(
                "Blocked by category",
                "category",
                _shares("Category", [(names.get(one, one), n) for one, n in found.categories_blocked]),
            ),
            section("Sites blocked most", "site", _shares("Site", found.sites_blocked)),
            section("Captures by theme", "theme", _shares("Theme", found.by_theme)),
            section("Captures by grade", "grade", _shares("Grade", found.by_grade.items())),
            section(
                "Serious captures by week",
                "serious",
                _shares("Week of", [(words.day(at), n) for at, n, _ in found.serious_by_week]),
            ),
            Section("Opened and closed by decisions", (), (), _shares("Decision", decided(desk, found.since, found.until))),
        ]
    until = f"{words.day(found.since)} to {words.day(found.until)}"
    return Paper(f"{title} at {desk.place.name}", f"{until}. Nobody is named in this report.", tuple(sections))
