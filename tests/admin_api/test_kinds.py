"""The form of each kind of change, and hours as people write them."""

from datetime import date

import pytest

from admin_api.hours import hours_typed, read_hours, read_terms, terms_typed
from admin_api.kinds import OFFERED
from policy.rules import Window

WEEK = (0, 1, 2, 3, 4)


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        ("Mon-Fri 12:10-13:10", [(WEEK, "12:10", "13:10")]),
        ("monday to friday 9.00 to 12.10\nSat, Sun 22:00–06:00", [(WEEK, "09:00", "12:10"), ((5, 6), "22:00", "06:00")]),
        ("Fri-Mon 10:00-11:00", [((0, 4, 5, 6), "10:00", "11:00")]),
        ("every day 00:00-06:30", [(tuple(range(7)), "00:00", "06:30")]),
        ("12:00-13:00", [(tuple(range(7)), "12:00", "13:00")]),
        ("Mon and Wed 08:30 - 09:00; Thu 10:00-11:00", [((0, 2), "08:30", "09:00"), ((3,), "10:00", "11:00")]),
    ],
)
def test_hours_as_people_write_them(text, windows):
    found = read_hours(text)
    assert found == tuple(Window(*one) for one in windows)
    assert read_hours(hours_typed(found)) == found


@pytest.mark.parametrize(
    "text", ["", "lunch", "Mon 25:00-26:00", "Mo 09:00-10:00", "Mon 09:00", "Mon-Fri 09:00-09:00", "Mon 9-10"]
)
def test_what_are_no_hours(text):
    with pytest.raises(ValueError):
        read_hours(text)


def test_terms():
    found = read_terms("03/09/2026 to 23/10/2026\n2026-11-02 - 2026-12-18")
    assert found == ((date(2026, 9, 3), date(2026, 10, 23)), (date(2026, 11, 2), date(2026, 12, 18)))
    assert read_terms(terms_typed(found)) == found
    for wrong in ("September", "23/10/2026 to 03/09/2026", "03/09/2026"):
        with pytest.raises(ValueError):
            read_terms(wrong)


FORMS = {
    "site": ({"site": "poki.com", "action": "allow", "groups": "ks2"}, "may use poki.com", {"site": ""}),
    "category": ({"category": "games", "action": "block", "groups": "*"}, "category Games", {"category": ""}),
    "timetable": ({"name": "Lunch", "hours": "Mon-Fri 12:10-13:10"}, "Lunch is Monday to Friday 12:10 to 13:10.", {"hours": "noon"}),
    "suspension": ({"groups": "ks2", "until": "2026-11-27"}, "may not use the internet until the end of Friday 27 November 2026", {"until": ""}),
    "coursework": ({"site": "seneca.example"}, "seneca.example stays as it is", {"site": "a b"}),
    "video_site": ({"site": "vimeo.com/staffpicks", "groups": "ks2", "until": "2026-12-18"}, "may use vimeo.com/staffpicks until the end of Friday 18 December 2026: an approved video site.", {"until": ""}),
    "platform": ({"site": "edmodo.example", "groups": "ks2", "until": "2026-12-18"}, "a platform that the school sanctions", {"groups": ""}),
    "safety": ({"group": "staff", "safe_search": "off"}, "may search without safe search", {"safe_search": ""}),
    "answer": ({"answer": "nxdomain"}, "a blocked name is answered as if it did not exist", {"answer": "maybe"}),
    "unknown": (
        {"sign": "looks_harmful", "action": "warn", "groups": "ks2"}, "whose names look like something that is closed", {"sign": ""}
    ),
    "tenants": ({"google": "oakfield.sch.uk"}, "only accounts of oakfield.sch.uk may sign in", {"google": "oakfield"}),
    "inspection": ({"group": "ks2", "looks": "all"}, "every site that is not private is looked into", {"group": ""}),
    "never_inspect": ({"site": "portal.example"}, "The content of portal.example is never looked into", {"site": ""}),
    "group": ({"name": "Year 6", "phase": "ks2"}, "A group Year 6 begins", {"name": ""}),
    "alert_rules": ({"does": "ignore", "phrase": "Sex Pistols", "theme": "pornography", "groups": "*"}, "searches with “sex pistols” are no longer captured as Pornography", {"phrase": ""}),
    "belonging": ({"group": "ks2", "user": "26*@oakfield.sch.uk"}, "People who sign in as 26*@oakfield.sch.uk are filtered as", {"user": "*"}),
    "passage": ({"prefixes": "127.10.2.0/24", "ports": "tcp/993, TCP/587"}, "127.10.2.0/24 (Years 3-6) may also use TCP ports 587 and 993, and no other", {"ports": "tcp/443"}),
    "portal": ({"networks": "n-first", "mode": "required"}, "people must sign in first: until then only essential sites open there", {"mode": "maybe"}),
    "network": ({"network": "n-first"}, "are no longer the school’s", {"network": "n9"}),
}  # fmt: skip


@pytest.mark.parametrize("kind", OFFERED)
def test_each_kinds_form_and_its_json(world, kind):
    given, sentence, wrong = FORMS[kind]
    tom, helen = world.browser("tom"), world.browser("helen")
    assert tom.get(f"/requests/new?kind={kind}").status_code == 200
    answer = tom.post("/requests/new", {"kind": kind, "reason": "as agreed", **given})
    assert answer.status_code == 303, answer.text
    assert sentence in helen.get(answer.headers["location"]).text
    change = int(answer.headers["location"].split("/")[2].split("?")[0])
    assert helen.sign("approve", change).status_code == 303
    assert world.state(change) == "in_force"
    assert helen.get("/rules").status_code == 200
    refused = tom.post("/requests/new", {"kind": kind, "reason": "as agreed", **given, **wrong})
    assert refused.status_code == 422
    assert "There is a problem" in refused.text
    body = {
        name: [value] if name in {"groups", "prefixes"} and value != "*" else value
        for name, value in given.items()
        if value != "*"
    }
    asked = tom.api("POST", "/changes", json={"kind": kind, "reason": "as agreed", **body})
    assert asked.status_code in {201, 422}, asked.text  # the second of the same may have nothing left to change
    if asked.status_code == 201:
        assert sentence in asked.json()["sentence"]


def test_a_rule_that_goes_by_hours(world):
    tom, helen = world.browser("tom"), world.browser("helen")
    made = tom.post(
        "/requests/new", {"kind": "timetable", "name": "Lunch", "hours": "Mon-Fri 12:10-13:10", "reason": "as agreed"}
    )
    assert helen.sign("approve", int(made.headers["location"].split("/")[2].split("?")[0])).status_code == 303
    assert "Lunch" in tom.get("/requests/new?kind=site").text
    asked = {"kind": "site", "site": "poki.com", "action": "allow", "groups": "ks2", "during": "lunch", "reason": "club"}
    change = int(tom.post("/requests/new", asked).headers["location"].split("/")[2].split("?")[0])
    assert "during Lunch (Monday to Friday 12:10 to 13:10)" in helen.get(f"/requests/{change}").text
    assert helen.sign("approve", change).status_code == 303
    assert "No." in helen.get("/why?site=poki.com&group=ks2&when=2026-11-23T11:00").text
    assert "Yes." in helen.get("/why?site=poki.com&group=ks2&when=2026-11-23T12:30").text


def test_a_suspension_spares_coursework_and_ends_by_itself(world):
    tom, helen = world.browser("tom"), world.browser("helen")
    for given in (
        {"kind": "coursework", "site": "seneca.example"},
        {"kind": "suspension", "groups": "ks2", "until": "2026-11-27"},
    ):
        made = tom.post("/requests/new", {**given, "reason": "as agreed"})
        change = int(made.headers["location"].split("/")[2].split("?")[0])
        assert helen.sign("approve", change).status_code == 303
    assert "Internet access is suspended" in helen.get("/why?site=bbc.co.uk&group=ks2").text
    assert "Yes." in helen.get("/why?site=seneca.example&group=ks2").text
    assert "Yes." in helen.get("/why?site=bbc.co.uk&group=ks2&when=2026-11-28T08:00").text
    assert "no internet until the end of Friday 27 November 2026" in helen.get("/rules").text
    world.clock.forward(days=8)
    with world.store.write() as session:
        assert [row.id for row in world.office.tick(session)] == [change]
    assert world.state(change) == "expired"
