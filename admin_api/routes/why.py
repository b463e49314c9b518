"""/why: may this group open this site, at this time? The answer, and the change behind it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from admin_api import words
from admin_api.deps import Desk
from admin_api.forms import Wrong, moment
from admin_api.permissions import at
from admin_api.telling import Ground, Told, tell
from category_lists.names import canonical_site
from change_control.authority import Permission
from change_control.tables import ChangeRow
from dns import asking
from policy.decide import Decision, Question, Reason, decide
from policy.rules import SchoolPolicy
from policy.snapshot import Snapshot
from policy.words import sentence

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Answer:
    """A decision, said."""

    question: Question
    decision: Decision
    sentence: str


def answer(snapshot: Snapshot, school: str, group: str, site: str, at_time: datetime) -> Answer:
    """Wrong says what cannot be asked."""
    document = snapshot.schools.get(school)
    if document is None or document.group(group) is None:
        raise Wrong({"group": "choose a group"})
    try:
        named = canonical_site(site)
    except ValueError as error:
        raise Wrong({"site": str(error) if site.strip() else "give a site, such as bbc.co.uk"}) from None
    asked = Question(school, group, named.host, at_time, path=named.path or "/", query=named.query)
    decision = decide(snapshot, asked).told()
    said = sentence(snapshot, decision, Question(school, group, named.host, at_time, path=named.path))
    return Answer(asked, decision, said)


# What it would take to have it otherwise.
TAKES = {
    Reason.ESSENTIAL: "This always stays open, so that nobody is cut off from help.",
    Reason.NOT_SIGNED_IN: "It opens once somebody has signed in on the device. Guests need a code: see Guests.",
    Reason.SUSPENSION: "The suspension ends by itself. The headteacher can end it sooner.",
    Reason.AUTHORITY_SITE: "This is a rule of the authority for all its schools. Ask its officer to change it.",
    Reason.AUTHORITY_CATEGORY: "This is a rule of the authority for all its schools. Ask its officer to change it.",
    Reason.ERROR: "The filter could not decide. Tell your technician.",
}


@router.get("/why")
def why(
    desk: Annotated[Desk, at(Permission.READ_CHANGES)],
    site: Annotated[str, Query(max_length=2000)] = "",
    group: str = "",
    when: Annotated[str, Query(max_length=40)] = "",
    dns: Annotated[str, Query(max_length=10)] = "",
) -> Response:
    snapshot = desk.services.snapshot()
    ground = Ground.of(snapshot, desk.place.log)
    document = ground.document
    errors: dict[str, str] = {}
    found: Answer | None = None
    if site or group:
        try:
            found = answer(snapshot, desk.place.log, group, site, _when(desk, when))
        except Wrong as error:
            errors = error.fields
    behind: Told | None = None
    if found and found.decision.change:
        with desk.read() as session:
            row = session.get(ChangeRow, found.decision.change)
            if row is not None and row.log == desk.place.log:
                (behind,) = tell(session, desk.services, ground, [row])
    return desk.page(
        "why.html",
        422 if errors else 200,
        groups=document.groups if isinstance(document, SchoolPolicy) else (),
        site=site,
        group=group,
        when=when,
        now=words.local(desk.office.now()),
        errors=errors,
        answer=found,
        category=ground.category(found.decision.category) if found and found.decision.category else "",
        takes=TAKES.get(found.decision.reason, "") if found else "",
        behind=behind,
        dns=dns,
        types=TYPES,
        trace=_trace(desk, found, dns) if found and dns else None,
    )


TYPES = ("A", "AAAA", "HTTPS", "CNAME", "MX", "TXT", "NS", "SRV", "PTR")


@dataclass(frozen=True, slots=True)
class Trace:
    """What a running resolver would answer this group now, and by which step."""

    trouble: str = ""
    told: Mapping[str, Any] = field(default_factory=dict)
    how: str = ""


def _trace(desk: Desk, found: Answer, kind: str) -> Trace:
    try:
        told = asking.ask(desk.services.data, found.question.host, kind, found.question.school, found.question.group)
    except asking.NobodyThere:
        return Trace("No resolver runs on this machine now.")
    return Trace(str(told["error"])) if "error" in told else Trace("", told, asking.how(told))


def _when(desk: Desk, text: str) -> datetime:
    try:
        return moment(text, words.ZONE) or desk.office.now()
    except ValueError as error:
        raise Wrong({"when": str(error)}) from None
