# ruff: noqa: F811 - a fixture of the tests beside this one
"""What is found again and what is kept from whom: captures put away, held ones, the head's own, the access log, each field."""

import csv
import io
import json
import re

import pytest

from admin_api.agenda import leads
from admin_api.routes.reports import became
from change_control.diffs import make
from change_control.verify import verify_installation
from monitoring.watch import Watcher

from .test_review import search, waiting, watched  # noqa: F401 - a world whose events have become captures


def test_what_is_graded_is_put_away_and_found_again_by_each_field(watched):
    sara = watched.browser("sara")
    one = next(each for each in waiting(watched) if each.theme == "self-harm")
    sara.post("/captures/grade", {"capture": one.id, "grade": "behaviour"})
    code = re.search(r"/log/person/([0-9A-F]{6})", sara.get(f"/captures/{one.id}").text)[1]
    day = one.at.date().isoformat()
    for asked in (
        "grade=behaviour",
        "theme=self-harm",
        "group=ks2",
        "words=KILL",
        "words=volcano",
        f"person={code}",
        f"since={day}",
        f"until={day}",
    ):
        assert f"/captures/{one.id}" in sara.get(f"/captures/archive?{asked}").text, asked
    for asked in (
        "grade=serious",
        "grade=none&theme=self-harm",
        "group=ks1",
        "words=volcanoes",
        "person=ABCDEF",
        "until=2020-01-01",
        f"before={one.id}",
    ):
        assert f"/captures/{one.id}" not in sara.get(f"/captures/archive?{asked}").text, asked
    rows = list(csv.DictReader(io.StringIO(sara.get("/captures/archive?grade=behaviour&format=csv").text)))
    assert [(row["capture"], row["grade"], row["graded_by"], row["term"]) for row in rows] == [
        (str(one.id), "behaviour", "Sara", "how to kill myself")
    ]
    assert "p-zoe" not in str(rows)
    assert watched.access(act="export captures as csv")[0].target == "grade: behaviour"
    assert "/captures/archive" in sara.get("/captures").text


def test_a_police_hold_keeps_its_captures_from_colleagues_too(watched):
    sara, olive, helen = (watched.browser(name) for name in ("sara", "olive", "helen"))
    one = next(each for each in waiting(watched) if each.theme == "self-harm")
    opened = sara.post("/incidents", {"capture": one.id, "summary": "See the capture", "subject": "pupil"})
    sara.post(f"{opened.headers['location'].partition('?')[0]}/hold", {"reference": "CRIME 4711"})
    sees = {
        name: browser.get(f"/captures/{one.id}").status_code
        for name, browser in (("sara", sara), ("olive", olive), ("helen", helen))
    }
    assert sees == {"sara": 200, "olive": 404, "helen": 200}
    assert olive.post("/captures/grade", {"capture": one.id, "grade": "false"}).status_code == 404
    assert "how to kill myself" not in olive.get("/captures/blind").text
    assert "how to kill myself" not in olive.get("/captures/archive").text + olive.get("/captures/archive?format=jsonl").text
    assert "how to kill myself" in helen.get("/captures/archive").text


def test_what_is_about_the_head_is_seen_by_the_chair_and_not_by_her(world):
    world.events(search(world, "how to kill myself", group="staff", person="p-head"))
    Watcher(
        world.log, world.live.snapshot.schools.get, heads=lambda school: {"p-head"} if school == "oakfield" else ()
    ).step()
    (one,) = waiting(world, ("head",))
    sees = {
        name: world.browser(name).get(f"/captures/{one.id}").status_code
        for name in ("helen", "sara", "olive", "carl", "laura")
    }
    assert sees == {"helen": 404, "sara": 404, "olive": 404, "carl": 200, "laura": 200}


@pytest.mark.parametrize(
    ("who", "group", "subject"),
    [
        ({"person": "p-head"}, "staff", "head"),
        ({"person": "p-head"}, "ks3", "head"),
        ({"device": "d-head"}, "staff", "head"),
        ({"device": "d-head"}, "ks3", "pupil"),
    ],
)
def test_a_wrong_owner_in_the_register_takes_no_childs_words_from_the_dsl(world, who, group, subject):
    world.events(search(world, "how to kill myself", group=group, **({"person": ""} | who)))
    heads = ("p-head", "d-head")
    Watcher(world.log, world.live.snapshot.schools.get, heads=lambda _: heads).step()
    assert len(waiting(world, (subject,))) == 1


def test_the_access_log_is_deleted_by_whole_days_and_its_proof_stays(world):
    helen = world.browser("helen")
    helen.get("/log")
    world.clock.forward(days=2)
    with world.store.write() as session:
        world.office.tick(session)
    world.cookies.clear()
    world.browsers.clear()
    helen = world.browser("helen")
    assert "read the filter log" in helen.get("/access").text.lower()
    helen.post("/keeping", {"class": "access", "days": "1", "why": "For this test alone"})
    assert helen.post("/keeping/run").status_code == 303
    assert not world.access(act="read the filter log")
    page = helen.get("/keeping").text
    assert "The access log: who looked" in page
    assert re.search(r'data-label="How many" class="num">[1-9]', page)
    with world.store.read() as session:
        assert verify_installation(session, world.data)


def test_each_picture_of_a_report_says_what_it_means(watched):
    page = watched.browser("sara").get("/reports").text
    for said in (
        "Most was asked on",
        "The busiest hour begins at",
        "came up most",
        "have been graded",
        "Serious captures|No capture of these weeks",
    ):
        assert re.search(said, page), said


@pytest.mark.parametrize(
    ("state", "action", "said"),
    [
        ("in_force", "allow", "Opened, or not proven to close"),
        ("in_force", "block", "Closed"),
        ("reversed", "allow", "Closed"),
        ("reversed", "block", "Opened, or not proven to close"),
        ("refused", "allow", "Refused"),
        ("withdrawn", "allow", ""),
        ("lapsed", "block", ""),
    ],
)
def test_a_report_tells_what_was_decided_and_not_what_was_asked(state, action, said):
    assert became(state, make("site", 7, add={"site_rules": [{"id": "r7", "action": action}]})) == said
    assert became("in_force", make("head", 7)) == ""


FIELDS = (
    "since=2026-11-20T09:00", "until=2026-11-20T11:00", "person={code}", "address=10.0.0.7", "device=tablet-7", "site=b.example",
    "group=ks2", "category=games", "term=of_all", "action=warn", "rule=rule-7", "change=7", "reason=school_site", "network=lan",
    "identified_by=radius", "words=of_all", "words=Tablets+(of)", "kind=page",
)  # fmt: skip


def test_the_page_finds_a_line_by_each_field_and_exports_it(world):
    line = world.event(
        60, term="50% of_all", action="warn", rule="rule-7", change=7, reason="school_site", network="lan", person="p7",
        identified_by="radius", address="10.0.0.7", device="tablet-7", host="a.b.example",
        title="=Tablets (of) <b>Zoe</b> \u202eeoZ",
    )  # fmt: skip
    world.events(line)
    sara = world.browser("sara")
    code = re.search(r"/log/person/([0-9A-F]{6})", sara.get("/log").text)[1]
    for field in FIELDS:
        asked = field.format(code=code)
        assert "a.b.example" in sara.get(f"/log?{asked}").text, asked
        assert "a.b.example" in sara.get(f"/log/export?format=csv&{asked}").text, asked
        (row,) = [json.loads(text) for text in sara.get(f"/log/export?format=jsonl&{asked}").text.splitlines()]
        assert (row["host"], row["identified_by"], row["who"][:5]) == ("a.b.example", "radius", "Pupil")
    assert "“=Tablets (of) &lt;b&gt;Zoe&lt;/b&gt; [U+202E]eoZ”" in sara.get("/log?term=of_all").text
    assert "“=Tablets (of) &lt;b&gt;Zoe" in sara.get(f"/log/person/{code}").text
    (row,) = csv.DictReader(io.StringIO(sara.get("/log/export?format=csv&term=of_all").text))
    assert row["title"] == "'=Tablets (of) <b>Zoe</b> [U+202E]eoZ"  # text to a spreadsheet, whatever it begins with


def test_the_headteachers_one_page_is_on_screen_as_pdf_and_as_csv(watched):
    helen = watched.browser("helen")
    page = helen.get("/reports?view=digest").text
    assert "What this means" in page
    assert "In counts" in page
    assert "Sites blocked most" not in page
    assert "view=digest" in helen.get("/reports").text
    sheet = helen.get("/reports?view=digest&format=csv").text
    assert "fewer than 5" in sheet
    assert "blocked site" not in sheet
    assert helen.get("/reports?format=digest").content.startswith(b"%PDF")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Capture 17: Drugs and alcohol", ("Capture 17", "/captures/17", ": Drugs and alcohol")),
        ("Incident 3: a worry (no decision yet)", ("Incident 3", "/incidents/3", ": a worry (no decision yet)")),
        ("Change 2, in force: a site", ("Change 2", "/requests/2", ", in force: a site")),
        ("“Capture 17: mine” (Bullying)", ("", "", "“Capture 17: mine” (Bullying)")),
        ("Capture 017: no", ("", "", "Capture 017: no")),
        ("and 2 more", ("", "", "and 2 more")),
    ],
)
def test_a_line_of_the_agenda_leads_to_what_it_names(text, named):
    assert leads(text) == named


def test_from_a_capture_to_the_next_with_undo_and_from_the_agenda_and_the_person_to_it(watched):
    sara = watched.browser("sara")
    one, *_ = waiting(watched)
    answer = sara.post("/captures/grade", {"capture": one.id, "grade": "behaviour", "back": "capture"})
    page = sara.get(answer.headers["location"]).text
    batch = re.search(r'name="batch" value="([0-9a-f]+)"', page)[1]
    assert f"/captures/{one.id}" not in re.search(r'href="(/captures/\d+[^"]*)">Next that waits', page)[1]
    back = sara.post("/captures/undo", {"batch": batch, "capture": one.id}).headers["location"]
    assert back.startswith(f"/captures/{one.id}?said=undone")
    assert one.id in [each.id for each in waiting(watched)]
    number = sara.post("/meeting").headers["location"].rpartition("/")[2]
    assert f'href="/captures/{one.id}">Capture {one.id}</a>' in sara.get(f"/meeting/{number}").text
    code = re.search(r"/log/person/([0-9A-F]{6})", sara.get(f"/captures/{one.id}").text)[1]
    assert f'href="/captures/{one.id}"' in sara.get(f"/log/person/{code}").text


def test_the_headteacher_reads_who_was_named_to_whom_and_what_left(watched):
    sara, helen = watched.browser("sara"), watched.browser("helen")
    one, *_ = waiting(watched)
    code = re.search(r"/log/person/([0-9A-F]{6})", sara.get(f"/captures/{one.id}").text)[1]
    sara.post(f"/log/person/{code}/unmask", {"reason": "I must ring her parents today"})
    sara.get("/captures/archive?format=csv")
    names, exports, looks = (helen.get(f"/access?about={about}").text for about in ("names", "exports", "looks"))
    assert "I must ring her parents today" in names
    assert "Export captures" not in names
    assert "Export captures as csv" in exports
    assert "I must ring" not in exports + looks
    assert "Look at a capture" in looks
    assert helen.get("/access?about=everything").status_code == 422
