"""/incidents: captures being dealt with, until there is an action and an outcome."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from admin_api import words
from admin_api.deps import Desk
from admin_api.eyes import eyes, filter_log, my_subjects
from admin_api.forms import Filled, Form, last_moment
from admin_api.permissions import NUMBER, at
from admin_api.routes.captures import numbers, people, shared
from change_control.authority import NotAllowed, Permission
from monitoring import export, guidance, incidents
from monitoring.incidents import Incident, Reader, Viewing

router = APIRouter()
type Number = Annotated[int, NUMBER]
Reviewer = Annotated[Desk, at(Permission.REVIEW)]
Decider = Annotated[Desk, at(Permission.DECIDE)]
SHEETS: Mapping[str, tuple[str, ...]] = {
    # What each system's import takes; both read CSV with a heading.
    "cpoms": ("Date", "Student", "Incident", "Category", "Linked students", "Actions", "Assigned to"),
    "myconcern": ("Concern date", "Pupil", "Summary", "Concern type", "Details", "Action taken", "Owner", "Status"),
}


def reader(desk: Desk) -> Reader:
    """Who looks. About the headteacher, the chair of governors stands where she stands else."""
    subjects = my_subjects(desk)
    head = "headteacher" in desk.place.roles or ("head" in subjects and "pupil" not in subjects)
    return Reader(desk.visitor.person.id, subjects, head)


@router.get("/incidents")
def listed(desk: Reviewer, state: Annotated[str, Query(pattern="^(open|closed|)$")] = "", said: str = "") -> Response:
    states = ("closed",) if state == "closed" else ("open", "decided")
    desk.note("look at incidents", "done", state or "open")
    return desk.page(
        "incidents.html",
        said=said,
        state=state,
        found=incidents.listed(filter_log(desk), desk.place.log, my_subjects(desk), states=states, reader=reader(desk)),
        todo=incidents.to_do(filter_log(desk), desk.place.log, reader(desk)),
        now=desk.office.now(),
        decisions=guidance.DECISIONS,
        subjects=sorted(my_subjects(desk), key=("pupil", "staff", "head").index),
    )


@router.post("/incidents")
def open_(desk: Reviewer, form: Form) -> Response:
    number = incidents.open_(
        filter_log(desk), desk.place.log, numbers(form), summary=form.text("summary"),
        subject=form.text("subject") or "pupil",
        subjects=my_subjects(desk), person=desk.visitor.person.id, now=desk.office.now(),
    )  # fmt: skip
    desk.note("open an incident", "done", f"incident {number}")
    if form.text("subject") == "head" and "head" not in my_subjects(desk):
        return desk.go("/incidents", "opened")  # it went past whoever opened it, to the chair of governors
    return desk.go(f"/incidents/{number}", "opened")


@router.get("/incidents/{number}")
def incident(desk: Reviewer, number: Number, said: str = "") -> Response:
    return page(desk, number, said, {})


def page(
    desk: Desk, number: int, said: str, errors: Mapping[str, str], status: int = 200, typed: Filled | None = None
) -> Response:
    found = incidents.incident(filter_log(desk), desk.place.log, number, reader(desk))
    desk.note("look at an incident", "done", f"incident {number}")
    ids = {row["person"] for row in found.timeline} | {
        found.row[name] for name in ("opened_by", "decided_by", "countersigned_by")
    }
    return desk.page(
        "incident.html",
        status,
        said=said,
        errors=errors,
        typed=typed or Filled(),
        found=found,
        row=found.row,
        missing=found.missing(),
        who=people(desk, *(each for each in ids if each)),
        head=reader(desk).head,
        me=desk.visitor.person.id,
        steps=guidance.STEPS,
        triggers=guidance.TRIGGERS,
        decisions=guidance.DECISIONS,
        thresholds=guidance.THRESHOLDS,
        card=guidance.CARDS.get(found.row["theme"], ()),
        day=words.day,
        **shared(desk),
    )


def _do(desk: Desk, number: int, form: Filled, what: str, do: Callable[[], Any], said: str = "noted") -> Response:
    """One act on an incident; what is missing is said on its page."""
    try:
        do()
    except (LookupError, NotAllowed):
        raise
    except ValueError as error:
        return page(desk, number, "", {what: str(error)}, 422, form)
    desk.note(f"incident: {what}", "done", f"incident {number}")
    return desk.go(f"/incidents/{number}", said)


@router.post("/incidents/{number}/note")
def note(desk: Reviewer, number: Number, form: Form) -> Response:
    log, now = filter_log(desk), desk.office.now()
    return _do(
        desk,
        number,
        form,
        "said",
        lambda: incidents.note(log, desk.place.log, number, reader(desk), form.text("said", 4000), now),
    )


@router.post("/incidents/{number}/merge")
def merge(desk: Reviewer, number: Number, form: Form) -> Response:
    log, now = filter_log(desk), desk.office.now()
    return _do(
        desk, number, form, "capture", lambda: incidents.merge(log, desk.place.log, number, reader(desk), numbers(form), now)
    )


@router.post("/incidents/{number}/triggers")
def triggers(desk: Reviewer, number: Number, form: Form) -> Response:
    log, now, chosen = filter_log(desk), desk.office.now(), form.many("triggers")
    return _do(
        desk,
        number,
        form,
        "triggers",
        lambda: incidents.check_triggers(log, desk.place.log, number, reader(desk), chosen, now),
    )


@router.post("/incidents/{number}/decide")
def decide(desk: Decider, number: Number, form: Form) -> Response:
    given = form.text("decision"), form.text("reasons"), form.text("threshold")
    log, now = filter_log(desk), desk.office.now()
    return _do(
        desk, number, form, "decision", lambda: incidents.decide(log, desk.place.log, number, reader(desk), *given, now)
    )


@router.post("/incidents/{number}/countersign")
def countersign(desk: Decider, number: Number, form: Form) -> Response:
    log, now = filter_log(desk), desk.office.now()
    return _do(
        desk, number, form, "countersign", lambda: incidents.countersign(log, desk.place.log, number, reader(desk), now)
    )


@router.post("/incidents/{number}/action")
def action(desk: Reviewer, number: Number, form: Form) -> Response:
    def do() -> None:

        found = incidents.incident(filter_log(desk), desk.place.log, number, reader(desk))
        due = last_moment(form.text("due"), words.ZONE)
        if due is None:
            raise ValueError("say by when")
        incidents.act(
            filter_log(desk), desk.place.log, form.text("what", 1000), form.text("owner", 200), due,
            person=desk.visitor.person.id, now=desk.office.now(), incident=found.id,
        )  # fmt: skip

    return _do(desk, number, form, "what", do)


@router.post("/actions/{number}/done")
def action_done(desk: Reviewer, number: Number, form: Form) -> Response:
    found = incidents.done(filter_log(desk), desk.place.log, number, reader(desk), desk.office.now())
    desk.note("finish an action", "done", str(number))
    back = f"/incidents/{found['incident']}" if found["incident"] and form.text("back") != "meeting" else "/meeting"
    return desk.go(back, "noted")


@router.post("/incidents/{number}/viewing")
def viewing(desk: Decider, number: Number, form: Form) -> Response:
    """The record of a decision to look at an image. The image itself never comes here."""
    wanted = Viewing(
        form.text("view", 1000), form.text("viewer", 100), form.text("second", 100),
        bool(form.text("consulted")), bool(form.text("same_sex")),
    )  # fmt: skip
    log, now = filter_log(desk), desk.office.now()
    return _do(
        desk, number, form, "view", lambda: incidents.view(log, desk.place.log, number, reader(desk), wanted, now), "viewing"
    )


@router.post("/incidents/{number}/close")
def close(desk: Decider, number: Number, form: Form) -> Response:
    log, now = filter_log(desk), desk.office.now()
    return _do(
        desk, number, form, "outcome",
        lambda: incidents.close(log, desk.place.log, number, reader(desk), form.text("outcome"), now), "closed",
    )  # fmt: skip


@router.post("/incidents/{number}/hold")
def hold(desk: Decider, number: Number, form: Form) -> Response:
    log, now = filter_log(desk), desk.office.now()
    return _do(
        desk, number, form, "reference",
        lambda: incidents.hold(log, desk.place.log, number, reader(desk), form.text("reference", 64), now), "held",
    )  # fmt: skip


@router.get("/incidents/{number}/export")
def exported(
    desk: Reviewer, number: Number,
    format: Annotated[str, Query(pattern="^(cpoms|myconcern|json|bundle)$")] = "json",  # noqa: A002 - the word people type
) -> Response:  # fmt: skip
    found = incidents.incident(filter_log(desk), desk.place.log, number, reader(desk))
    desk.note(f"export an incident as {format}", "done", f"incident {number}")
    sees = eyes(desk)
    ids = {row["person"] for row in found.timeline} | {str(found.row[one]) for one in incidents.FIELDS if one.endswith("_by")}
    said = incidents.exported(
        found,
        people(desk, *(each for each in ids if each)),
        {each.who: sees.name(each.who, each.group) for each in found.captures},
    )
    name = f"{desk.place.log}-incident-{number}"
    if format == "json":
        return _file(json.dumps(said, indent=1).encode(), "application/json", f"{name}.json")
    if format == "bundle":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for file, data in incidents.bundle(said).items():
                archive.writestr(zipfile.ZipInfo(file, (2020, 1, 1, 0, 0, 0)), data)
        return _file(packed.getvalue(), "application/zip", f"{name}.zip")
    rows = [_sheet(format, found, said)]
    return _file(
        "".join(export.sheet(SHEETS[format], rows)).encode("utf-8", "replace"),
        "text/csv; charset=utf-8",
        f"{name}-{format}.csv",
    )


def _sheet(format: str, found: Incident, said: Mapping[str, Any]) -> tuple[str, ...]:  # noqa: A002
    row = found.row
    taken = "; ".join(f"{one['what']} ({one['owner']}, {one['due']})" for one in said["actions"])
    story = "\n".join(f"{one['at'][:16]} {one['by']}: {one['said']}" for one in said["timeline"])
    about = ", ".join(said["about"])
    owner = found.actions[0]["owner"] if found.actions else ""
    date = row["at"].date().isoformat()
    if format == "cpoms":
        return (date, about, f"{row['summary']}\n{story}", row["theme_name"], "", taken, owner)
    return (date, about, row["summary"], row["theme_name"], story, taken, owner, row["state"])


def _file(data: bytes, kind: str, name: str) -> Response:
    return Response(
        data, media_type=kind,
        headers={"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff",
                 "Cache-Control": "no-store"},
    )  # fmt: skip
