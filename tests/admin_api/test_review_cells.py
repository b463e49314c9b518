"""Review, cell by cell: each route of it, each role, at one's own school and at another. Who may stands here a second time, by hand.

A route that is in no row is a fault of this test: what is new has to say whom it is for.
"""

import re

import pytest

from change_control.authority import ROLES
from monitoring import alarms, captures, incidents, meetings, store
from monitoring.meetings import Item
from monitoring.tables import captures as capture_rows

from .test_attacks import routes

LOOK = {"headteacher", "dsl", "online_safety_coordinator"}
REVIEW = LOOK | {"chair_of_governors", "la_officer"}  # the last two: what is about the headteacher
DECIDE = REVIEW - {"online_safety_coordinator"}
HEAD = {"headteacher"}
REPORTS = REVIEW | {"deputy", "governor", "acting_head"}
DECLARE = set(ROLES) - {"analyst", "governor"}
CELLS = {
    "GET /log": LOOK,  "GET /log/export": LOOK, "GET /log/top": LOOK, "GET /log/person/{code}": LOOK,
    "POST /log/person/{code}/unmask": LOOK, "POST /log/saved": LOOK,
    "GET /captures": REVIEW, "GET /captures/archive": REVIEW, "GET /captures/blind": REVIEW, "GET /captures/{number}": REVIEW, "POST /captures/grade": REVIEW,
    "POST /captures/undo": REVIEW, "POST /captures/assign": REVIEW, "POST /captures/welfare": REVIEW,
    "POST /captures/blind": REVIEW, "POST /captures/{number}/ask": REVIEW, "POST /captures/{number}/opinion": REVIEW,
    "GET /alarms/open": REVIEW, "POST /alarms/{number}/acknowledge": REVIEW, "POST /alarms/acknowledge": REVIEW, "GET /escalation": REVIEW, "POST /escalation": DECIDE,
    "POST /escalation/dates": DECIDE, "POST /escalation/dates/away": DECIDE,
    "GET /lessons": DECLARE, "POST /lessons": DECLARE,
    "GET /incidents": REVIEW, "POST /incidents": REVIEW, "GET /incidents/{number}": REVIEW, "POST /incidents/{number}/note": REVIEW,
    "POST /incidents/{number}/merge": REVIEW, "POST /incidents/{number}/triggers": REVIEW,
    "POST /incidents/{number}/decide": DECIDE, "POST /incidents/{number}/countersign": DECIDE,
    "POST /incidents/{number}/action": REVIEW, "POST /actions/{number}/done": REVIEW, "POST /incidents/{number}/viewing": DECIDE,
    "POST /incidents/{number}/close": DECIDE, "POST /incidents/{number}/hold": DECIDE, "GET /incidents/{number}/export": REVIEW,
    "GET /meeting": LOOK, "POST /meeting": LOOK, "GET /meeting/{number}": LOOK, "POST /meeting/{number}/minutes": LOOK,
    "POST /meeting/{number}/sign": LOOK, "GET /meeting/{number}/minutes.pdf": LOOK, "GET /constancy": LOOK,
    "GET /access": HEAD, "GET /api/v1/events": LOOK, "GET /reports": REPORTS, "GET /rollup": {"la_officer"},
    "GET /keeping": HEAD, "POST /keeping": HEAD, "POST /keeping/hold": HEAD, "POST /keeping/lift": HEAD, "POST /keeping/run": HEAD,
}  # fmt: skip
OF_REVIEW = re.compile(
    r"/(log|captures|alarms|escalation|lessons|incidents|actions|meeting|constancy|reports|rollup|keeping|access|api/v1/events)\b"
)
PEOPLE = {"helen": HEAD, "sara": {"dsl"}, "olive": {"online_safety_coordinator"}, "dora": {"deputy"}, "gita": {"governor"},
          "carl": {"chair_of_governors"}, "laura": {"la_officer"}, "tom": {"technician"}, "adam": {"teacher"}, "nora": {"analyst"}}  # fmt: skip


NOWHERE = "7777777"  # a number that nothing has


def test_every_route_of_review_has_its_row(world):
    every = {f"{method} {path}" for method, path in routes(world.app)}  # of the application itself, its API too
    assert {one for one in every if OF_REVIEW.match(one.partition(" ")[2])} == set(CELLS)


@pytest.mark.parametrize("username", PEOPLE)
def test_each_role_reaches_what_is_its_own_and_nothing_of_another_school(world, username):
    browser = world.browser(username)
    for cell, may in CELLS.items():
        method, _, path = cell.partition(" ")
        path = path.replace("{number}", NOWHERE).replace("{code}", "ABCDEF")
        others = ("hillview",) if username in {"helen", "sara", "laura"} else ()  # those who may most at their own
        for school in ("oakfield", *others):
            allowed = school == "oakfield" and bool(may & PEOPLE[username])
            asked = f"{path}?school={school}"
            answer = browser.get(asked) if method == "GET" else browser.post(asked, {"class": "blocked"})
            if allowed:
                assert answer.status_code not in {401, 403, 405, 500}, (cell, school, answer.text[:300])
            else:
                assert answer.status_code in {403, 404}, (cell, school, answer.status_code)


def test_what_one_school_has_no_number_of_another_opens(world):
    """Each thing with a number, made at Hillview, asked for by those of Oakfield who may most."""
    with store.changing(world.log) as connection:
        usual = {"school": "hillview", "at": 1, "last": 1, "who": "p-other", "theme": "self-harm", "route": "urgent",
                 "term": "a secret of hillview", "context": "{}", "subject": "pupil", "grade": ""}  # fmt: skip
        capture = store.add(connection, capture_rows, **usual)
    now = world.clock.at
    number = incidents.open_(
        world.log,
        "hillview",
        [capture],
        summary="a secret of hillview",
        subject="pupil",
        subjects=["pupil"],
        person="x",
        now=now,
    )
    alarms.raise_(world.log, "hillview", f"capture:{capture}", "a secret of hillview", "pupil", now)
    action = incidents.act(world.log, "hillview", "a secret", "Ms Lee", now, person="x", now=now, incident=number)
    meeting = meetings.open_(world.log, "hillview", "x", [Item("a", "A", ("a secret of hillview",), "?")], now, now)
    things = {"captures": capture, "alarms": 1, "incidents": number, "actions": action or 1, "meeting": meeting}
    for username in ("sara", "helen", "laura"):
        browser = world.browser(username)
        for cell in CELLS:
            method, _, path = cell.partition(" ")
            thing = things.get(path.split("/")[1])
            if "{number}" not in path or thing is None:
                continue
            path = path.replace("{number}", str(thing))
            for asked in (path, f"{path}?school=oakfield", f"{path}?school=hillview"):
                answer = browser.get(asked) if method == "GET" else browser.post(asked, {"grade": "false", "said": "x" * 20})
                assert answer.status_code in {403, 404, 422}, (username, cell, answer.status_code)
                assert "a secret" not in answer.text, (username, cell)
    assert captures.one(world.log, "hillview", capture, ["pupil"]).graded_by in ("", "x")
    assert len(alarms.open_(world.log, "hillview", ["pupil"])) == 1


def test_the_la_compares_schools_in_counts_alone(world):
    laura, helen = world.browser("laura"), world.browser("helen")
    for n in range(7):
        with store.changing(world.log) as connection:
            at = int(world.clock.at.timestamp() * 1e6) - 3_600_000_000
            store.add(
                connection, capture_rows, school="oakfield", at=at, last=at, who=f"p-{n}", theme="self-harm", route="review",
                term="a search", context="{}", subject="pupil", grade="serious" if n < 2 else "",
            )  # fmt: skip
    world.events(world.event(7200, kind="page"))
    page = laura.get("/rollup?school=oakfield").text
    assert "Oakfield" in page
    assert "Hillview" not in page  # she is the officer of one of the two
    assert re.findall(r'data-label="(?:Captures|Waiting|Serious)">([^<]+)<', page) == ["7", "5", "fewer than 5"]
    assert "p-1" not in page
    assert "a search" not in page
    sheet = laura.get("/rollup?school=oakfield&format=csv")
    assert sheet.text.splitlines()[0].startswith("School,Captures,Waiting")
    assert "fewer than 5" in sheet.text
    assert laura.get("/rollup?school=oakfield&format=pdf").content.startswith(b"%PDF")
    assert "/rollup" in laura.get("/?school=oakfield").text
    assert "/rollup" not in helen.get("/").text
