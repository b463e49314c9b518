"""Alarms, incidents, meetings, constancy, retention, masks, exports and reports: what must hold in each."""

import csv
import io
import json
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring import alarms, captures, constancy, export, incidents, meetings, reports, retention, rota, saved, store
from monitoring.incidents import NotYet, Reader
from monitoring.lines import Completeness, Line, Query, microseconds
from monitoring.masks import Masks, who_of
from monitoring.meetings import Item, Minute
from monitoring.search import search as look
from monitoring.tables import captures as capture_rows
from monitoring.tables import clean, day_sums, hour_sums, hours, meta
from monitoring.tables import incidents as incident_rows
from policy.event import Event

NOW = datetime(2026, 11, 18, 11, 0, tzinfo=UTC)  # a Wednesday
T = NOW.timestamp()
DSL = Reader("sara", frozenset({"pupil"}), head=False)
HEAD = Reader("helen", frozenset({"pupil", "staff"}), head=True)
PAGE = Event(T, "page", "hillview", "ks3", person="p1", host="a.example", path="/x", action="block", category="games")


def capture(log, **said):
    usual = {"school": "hillview", "at": microseconds(NOW), "last": microseconds(NOW), "who": "p1", "group": "ks3", "phase": "ks3",
             "theme": "self-harm", "area": "content", "route": "urgent", "score": 90, "term": "a search", "site": "g", "why": "w",
             "change": 0, "context": "{}", "lesson": "", "subject": "pupil", "grade": "", "incident": 0}  # fmt: skip
    with store.changing(log) as connection:
        return store.add(connection, capture_rows, **{**usual, **said})


# --- alarms


def told(log, now, **zones):
    said = []
    alarms.go_on(log, said.append, now, zones)
    return [(one.roles, one.people) for one in said]


def test_an_alarm_goes_along_its_chain_until_somebody_has_it(log):
    assert alarms.raise_(log, "hillview", "capture:1", "Something", "pupil", NOW)
    assert not alarms.raise_(log, "hillview", "capture:1", "Something", "pupil", NOW)
    assert told(log, NOW) == [(("dsl",), ())]
    assert told(log, NOW) == []
    assert told(log, NOW + timedelta(minutes=20)) == [(("dsl",), ())]
    assert told(log, NOW + timedelta(minutes=41)) == [(("headteacher",), ())]
    assert told(log, NOW + timedelta(minutes=62)) == [(("la_officer",), ())]
    (one,) = alarms.open_(log, "hillview", ("pupil",))
    alarms.acknowledge(log, "hillview", one.id, ("pupil",), person="sara", now=NOW)
    assert told(log, NOW + timedelta(days=1)) == []
    assert len(alarms.past(log, "hillview", ("pupil",), NOW)[0].told) == 4


def test_staff_go_past_those_they_work_beside_and_the_rota_is_asked_first(log):
    rota.set_plan(log, "hillview", rota.Plan(rota=((), (), ("olive",), (), (), (), ()), cover=("sara",)), person="h", now=NOW)
    alarms.raise_(log, "hillview", "capture:1", "Something", "pupil", NOW)
    alarms.raise_(log, "hillview", "capture:2", "Something", "staff", NOW)
    alarms.raise_(log, "hillview", "capture:3", "Something", "head", NOW)
    assert told(log, NOW) == [(("dsl",), ("olive", "sara")), (("headteacher",), ()), (("chair_of_governors",), ())]
    with pytest.raises(LookupError):
        alarms.acknowledge(log, "hillview", 2, ("pupil",), person="sara", now=NOW)


@pytest.mark.parametrize(
    ("outside", "first", "then"),
    [("at_once", [(("dsl",), ())], None), ("head", [(("headteacher",), ())], None), ("morning", [], [(("dsl",), ())])],
)
def test_out_of_hours_as_the_school_set(log, outside, first, then):
    friday_night = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
    rota.set_plan(log, "hillview", rota.Plan(outside=outside), person="h", now=NOW)
    alarms.raise_(log, "hillview", "capture:1", "Something", "pupil", friday_night)
    assert told(log, friday_night) == first
    if then:
        assert told(log, friday_night + timedelta(days=1)) == []
        assert told(log, datetime(2026, 11, 23, 8, 0, tzinfo=UTC)) == then  # Monday


def test_a_teller_that_fails_is_asked_again(log):
    alarms.raise_(log, "hillview", "capture:1", "Something", "pupil", NOW)

    def dies(_):
        raise OSError("no database")

    with pytest.raises(OSError):
        alarms.go_on(log, dies, NOW, {})
    assert len(told(log, NOW)) == 1
    for wrong in ({"minutes": 1}, {"outside": "never"}, {"starts": "soon"}, {"starts": "18:00"}, {"starts": "T0800"},
                  {"starts": "08+01"}):  # fmt: skip
        with pytest.raises(ValueError):
            rota.set_plan(log, "hillview", rota.Plan(**wrong), person="h", now=NOW)


# --- incidents


def opened(log, reader=DSL, **said):
    number = capture(log, **said)
    return incidents.open_(
        log, "hillview", [number], summary="A worry", subject="pupil", subjects=reader.subjects, person=reader.person, now=NOW
    )


def test_an_incident_is_not_closed_without_action_outcome_and_countersignature(log):
    number = opened(log)

    def act(do, *more):
        return do(log, "hillview", number, DSL, *more, NOW)

    with pytest.raises(NotYet):
        act(incidents.decide, "school", "because it is so", "")
    act(incidents.check_triggers, ["under-13"])
    act(incidents.decide, "school", "because it is so", "additional")
    with pytest.raises(ValueError, match="headteacher"):
        act(incidents.countersign)
    with pytest.raises(NotYet, match="countersign"):
        act(incidents.close, "it went well again")
    incidents.countersign(log, "hillview", number, HEAD, NOW)
    todo = incidents.act(log, "hillview", "Talk", "Sara", NOW + timedelta(days=2), person="sara", now=NOW, incident=number)
    with pytest.raises(NotYet, match="actions"):
        act(incidents.close, "it went well again")
    incidents.done(log, "hillview", todo, DSL, NOW)
    with pytest.raises(ValueError, match="outcome"):
        act(incidents.close, "ok")
    act(incidents.close, "it went well again")
    found = incidents.incident(log, "hillview", number, DSL)
    kinds = [entry["kind"] for entry in found.timeline]
    assert kinds == ["opened", "capture", "triggers", "decision", "countersigned", "action", "done", "closed"]
    assert found.triggers == {"under-13"}
    assert found.captures[0].grade == "serious"
    with pytest.raises(NotYet):
        act(incidents.note, "afterwards")


def test_who_decided_does_not_countersign_and_deciding_anew_needs_another(log):
    number = opened(log)
    incidents.check_triggers(log, "hillview", number, HEAD, [], NOW)
    incidents.decide(log, "hillview", number, HEAD, "school", "because it is so", "", NOW)
    with pytest.raises(ValueError, match="nobody countersigns"):
        incidents.countersign(log, "hillview", number, HEAD, NOW)
    incidents.decide(log, "hillview", number, DSL, "school", "because it is so", "", NOW)
    incidents.countersign(log, "hillview", number, HEAD, NOW)
    incidents.decide(log, "hillview", number, DSL, "school", "other reasons now", "", NOW)
    assert incidents.incident(log, "hillview", number, DSL).row["countersigned_by"] == ""


def test_whose_incident_it_is(log):
    staff = opened(log, HEAD, subject="staff", who="t1")
    assert [row["subject"] for row in incidents.listed(log, "hillview", ("staff",))] == ["staff"]
    todo = incidents.act(log, "hillview", "Talk", "Helen", NOW, person="helen", now=NOW, incident=staff)
    for reader in (DSL, Reader("x", frozenset({"head"}), head=True)):
        with pytest.raises(captures.NotYours):
            incidents.incident(log, "hillview", staff, reader)
        with pytest.raises(captures.NotYours):
            incidents.done(log, "hillview", todo, reader, NOW)
        assert incidents.to_do(log, "hillview", reader) == []
    with pytest.raises(captures.NotYours):
        incidents.incident(log, "oakfield", staff, HEAD)


# --- meetings and constancy

AGENDA = (Item("serious", "Serious", ("one",)), Item("left", "Left", ()))
OSC, LEAD = frozenset({"online_safety_coordinator"}), frozenset({"dsl"})


def test_both_sign_the_same_and_writing_takes_signatures_back(log):
    number = meetings.open_(log, "hillview", "olive", AGENDA, NOW - timedelta(days=7), NOW)
    assert meetings.open_(log, "hillview", "sara", (), NOW, NOW) == number  # the one that is open

    def sign(person, roles):
        shown = meetings.one(log, "hillview", number).shown()
        return meetings.sign(log, "hillview", number, person, roles, shown, {"signature": "x"}, NOW)

    with pytest.raises(ValueError, match="next date"):
        sign("olive", OSC)
    meetings.write(log, "hillview", number, {"serious": Minute("spoke"), "strange": Minute("x")}, NOW + timedelta(days=14))
    assert sign("olive", OSC) is False
    for person, roles in (("olive", OSC | LEAD), ("oscar", OSC), ("tom", frozenset({"technician"}))):
        with pytest.raises(ValueError):
            sign(person, roles)
    meetings.write(log, "hillview", number, {"serious": Minute("spoke again")}, NOW + timedelta(days=14))
    assert meetings.one(log, "hillview", number).signed == []
    sign("olive", OSC)
    assert sign("sara", LEAD) is True
    meetings.close(log, "hillview", number, "d" * 64, 17)
    with pytest.raises(ValueError, match="signed"):
        meetings.write(log, "hillview", number, {}, None)
    assert meetings.since(log, "hillview", NOW + timedelta(days=3)) == NOW
    with pytest.raises(captures.NotYours):
        meetings.one(log, "oakfield", number)


def test_a_second_opinion_stands_beside_the_grade_and_is_asked_for(log):
    number = capture(log)
    captures.grade(log, "hillview", [number], "behaviour", person="olu", subjects=["pupil"], now=NOW)
    captures.assign(log, "hillview", [number], "sara", ["pupil"])
    assert [one.id for one in captures.waiting(log, "hillview", ["pupil"], assigned="sara")] == [number]
    assert captures.waiting(log, "hillview", ["pupil"]) == []
    captures.grade(
        log, "hillview", [number], "serious", person="sara", subjects=["pupil"], now=NOW, said="I know her", purpose="second"
    )
    assert captures.one(log, "hillview", number, ["pupil"]).grade == "behaviour"
    assert [(row["purpose"], row["grade"]) for row in captures.history(log, "hillview", number)] == [
        ("triage", "behaviour"), ("second", "serious"),
    ]  # fmt: skip
    assert captures.waiting(log, "hillview", ["pupil"], assigned="sara") == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"why": "to be sure"}, ""),
        ({"why": "just so"}, "say why"),
        ({"second": ""}, "as second person"),
        ({"second": "Sam Hall"}, "somebody else"),
        ({"consulted": False}, "headteacher is asked first"),
        ({"same_sex": False}, "of the same sex"),
    ],
)
def test_an_image_is_viewed_only_as_the_guidance_asks_and_that_is_recorded(log, changed, said):
    dsl = Reader("sara", frozenset({"pupil"}), head=False)
    number = incidents.open_(
        log, "hillview", [], summary="An image was sent", subject="pupil", subjects=["pupil"], person="sara", now=NOW
    )
    wanted = replace(
        incidents.Viewing("it is not clear whether", "Sam Hall", "Ann Lee", consulted=True, same_sex=True), **changed
    )
    if said:
        with pytest.raises(ValueError, match=said):
            incidents.view(log, "hillview", number, dsl, wanted, NOW)
        return
    incidents.view(log, "hillview", number, dsl, wanted, NOW)
    entry = incidents.incident(log, "hillview", number, dsl).timeline[-1]
    assert (entry["kind"], entry["person"]) == ("viewing", "sara")
    assert "Viewed by Sam Hall, with Ann Lee as second person" in entry["said"]


TERMS = ((date(2026, 9, 3), date(2026, 11, 13)), (date(2026, 11, 16), date(2026, 12, 18)))


def test_nobody_looked_counts_school_days_alone_and_tells_once(log):
    capture(log)
    log.append(
        [PAGE._replace(at=datetime(2026, 11, 9, 8, tzinfo=UTC).timestamp())], {"d": (1, 1)}
    )  # a Monday: the filter begins
    assert not constancy.alarm_if_nobody_looked(log, "oakfield", NOW, TERMS, "Europe/London")  # nothing was there to look at
    captures.look(log, "hillview", "sara", datetime(2026, 11, 13, 9, 0, tzinfo=UTC))  # a Friday
    monday = datetime(2026, 11, 16, 9, 0, tzinfo=UTC)
    assert constancy.nobody_looked(log, "hillview", monday, TERMS, "Europe/London") == []
    assert constancy.alarm_if_nobody_looked(log, "hillview", NOW, TERMS, "Europe/London")
    assert not constancy.alarm_if_nobody_looked(log, "hillview", NOW, TERMS, "Europe/London")
    (one,) = alarms.open_(log, "hillview", ())
    assert one.words == "Nobody has looked at captures since 16 November 2026: 2 school days"
    captures.look(log, "hillview", "sara", NOW)
    assert constancy.nobody_looked(log, "hillview", NOW, TERMS, "Europe/London") == ()
    some = constancy.days(log, "hillview", date(2026, 11, 9), date(2026, 11, 18), TERMS, NOW.date())
    assert constancy.proof(some) == constancy.Proof(1, 7, 4)
    before = constancy.days(log, "hillview", date(2026, 10, 26), date(2026, 11, 9), TERMS, NOW.date())
    assert [(day.heat, day.there) for day in before] == [("off", False)] * 10 + [("none", True)]
    assert constancy.proof(before) == constancy.Proof(0, 1, 1)  # nobody can have looked before there was a filter
    holiday = constancy.days(log, "hillview", date(2026, 12, 21), date(2026, 12, 25), TERMS, date(2027, 1, 1))
    assert [day.heat for day in holiday] == ["off"] * 5


# --- retention, masks, searches


def test_retention_deletes_each_class_but_what_is_held_and_says_so(log):
    old = T - 500 * 86_400
    log.append([PAGE._replace(at=old), PAGE._replace(at=old, person="p2"), PAGE], {})
    capture(log, at=microseconds(NOW - timedelta(days=500)), last=microseconds(NOW - timedelta(days=500)))
    capture(log, at=microseconds(NOW - timedelta(days=500)), last=microseconds(NOW - timedelta(days=500)), who="p2")
    held = retention.hold(log, "hillview", "p2", NOW - timedelta(days=600), NOW, "a complaint is heard", person="h", now=NOW)
    gone = retention.run(log, "hillview", NOW, person="h")
    assert (gone["blocked"], gone["capture"]) == (1, 1)
    assert {line.person for line in log.search(Query("hillview")).rows} == {"p1", "p2"}
    retention.lift(log, "hillview", held, person="h", now=NOW)
    assert retention.run(log, "hillview", NOW)["blocked"] == 1
    assert {row["class"] for row in retention.said(log, "hillview")} == {"blocked", "capture"}
    with pytest.raises(LookupError):
        retention.lift(log, "oakfield", held, person="h", now=NOW)


def test_what_is_held_keeps_its_incident_and_the_counts_by_which_its_lines_are_found(log):
    old = NOW - timedelta(days=4000)
    log.append([PAGE._replace(at=old.timestamp(), person="", address="10.0.0.9")], {})
    kept = capture(log, at=microseconds(old), last=microseconds(old), who="10.0.0.9")
    with store.changing(log) as connection:
        rows = {"school": "hillview", "state": "closed", "held_by": "", "at": microseconds(old)}
        numbers = [store.add(connection, incident_rows, **rows) for _ in range(2)]
        connection.execute(capture_rows.update().where(capture_rows.c.id == kept).values(incident=numbers[0]))
    held = retention.hold(log, "hillview", "10.0.0.9", old, NOW, "a complaint is heard", person="h", now=NOW)
    assert retention.run(log, "hillview", NOW)["incident"] == 1
    assert len(log.search(Query("hillview", who="10.0.0.9")).rows) == 1
    assert len(log.search(Query("hillview", group="ks3", action="block")).rows) == 1
    retention.lift(log, "hillview", held, person="h", now=NOW)
    assert retention.run(log, "hillview", NOW)["incident"] == 1
    everybody = retention.hold(log, "hillview", "", old, NOW + timedelta(days=1), "an inquiry has begun", person="h", now=NOW)
    assert retention.everybody_held(log, "hillview")
    number = incidents.open_(
        log, "hillview", [capture(log)], summary="A worry", subject="pupil", subjects=DSL.subjects, person="sara", now=NOW
    )
    with store.changing(log) as connection:
        connection.execute(incident_rows.update().where(incident_rows.c.id == number).values(state="closed"))
    later = NOW + timedelta(days=9000)
    assert retention.run(log, "hillview", later)["incident"] == 0
    retention.lift(log, "hillview", everybody, person="h", now=NOW)
    assert retention.run(log, "hillview", later)["incident"] == 1


@pytest.mark.parametrize(
    ("which", "days", "why"),
    [
        ("blocked", 0, "because of this"),
        ("blocked", 9_999, "because of this"),
        ("x", 5, "because of this"),
        ("blocked", 5, "so"),
    ],
)
def test_a_length_without_a_reason_or_beyond_what_may_be_is_refused(log, which, days, why):
    with pytest.raises(ValueError):
        retention.keep(log, "hillview", which, days, why, person="h", now=NOW)


def test_a_pseudonym_is_the_schools_own_and_comes_off_for_an_hour(log):
    log.append([PAGE], {})
    masks = Masks(log)
    code = masks.code("hillview", "p1")
    assert masks.code("oakfield", "p1") != code
    assert masks.who("hillview", f" pupil {code.lower()} ") == "p1"
    assert masks.who("oakfield", code) == ""
    with pytest.raises(ValueError):
        masks.unmask("hillview", code, person="sara", reason="why not", now=NOW)
    assert masks.unmask("hillview", code, person="sara", reason="a concern of today", now=NOW) == "p1"
    assert masks.shown("hillview", "sara", NOW) == {code}
    assert masks.shown("hillview", "olive", NOW) == masks.shown("hillview", "sara", NOW + timedelta(hours=2)) == frozenset()
    assert who_of(log.search(Query("hillview")).rows[0]) == "p1"


def test_a_search_that_reads_much_says_how_far_back_it_looked_and_goes_on(log):
    log.append([PAGE._replace(at=T - n * 86_400, path=f"/page{n}") for n in range(30)], {})
    ticks = iter(range(1000))
    query, seen, pages = Query("hillview", text="page29", limit=5), [], 0
    while True:
        with log.open().connect() as connection:
            found = look(connection, query, lambda: float(next(ticks)))
        seen += [line.path for line in found.rows]
        pages += 1
        if found.next is None:
            break
        assert found.looked_back is not None
        query = Query("hillview", text="page29", limit=5, after=found.next)
    assert (seen, pages > 1) == (["/page29"], True)
    with log.open().connect() as connection:
        assert (
            look(connection, Query("hillview", rule="never"), lambda: float(next(ticks))).next is None
        )  # its days are known: none
    assert [line.path for line in log.search(Query("hillview", who="p1", limit=1)).rows] == ["/page0"]
    assert log.search(Query("hillview", but_groups=("ks3",))).rows == ()


@pytest.mark.parametrize(
    ("since", "until"), [(0, 1), (1, 2), (3, 30), (24, 48), (23, 49), (24, 47), (0, 96), (30, 31), (70, 90)]
)
def test_a_period_is_counted_to_the_hour_whether_from_hours_or_from_days(log, since, until):
    start = datetime(2026, 11, 2, tzinfo=UTC)
    asked = [
        PAGE._replace(at=(start + timedelta(hours=hour)).timestamp(), kind=kind, action=action)
        for hour in range(0, 96, 5)
        for kind, action in (("page", "allow"), ("search", "block"), ("dns", "allow"), ("notice", "block"))
    ]
    log.append(asked, {"d": (1, 1)})
    within = sum(since <= hour < until for hour in range(0, 96, 5))
    for _ in range(2):
        found = log.counted("hillview", start + timedelta(hours=since), start + timedelta(hours=until))
        assert sum(one.count for one in found.what) == sum(one.asked for one in found.hours) == 3 * within
        assert sum(one.blocked for one in found.hours) == within
        assert log.completeness().stored == len(asked)
        with log.open().begin() as connection:  # the same from a log whose sums were never written
            for table in (hour_sums, day_sums):
                connection.execute(table.delete())
            connection.execute(meta.update().where(meta.c.name == "version").values(value="2"))
        log.close()


def test_counts_agree_with_the_lines_and_tell_how_complete_they_are(log):
    log.append(
        [PAGE, PAGE._replace(kind="search", term="x", action="allow"), PAGE._replace(kind="dns", action="allow")] * 4,
        {"d": (1, 1)},
        lost={"d": 2},
    )
    wide = (NOW - timedelta(days=5), NOW + timedelta(days=5))
    assert log.top("who", "hillview", *wide) == (("p1", 12),)
    assert log.top("term", "hillview", *wide) == (("x", 4),)
    assert log.top("host", "hillview", *wide, action="block") == (("a.example", 4),)
    assert log.top("host", "hillview", *wide, but_groups=("ks3",)) == ()
    counted = log.counted("hillview", *wide)
    assert (sum(one.count for one in counted.what), sum(one.asked for one in counted.hours)) == (12, 12)
    assert log.completeness() == Completeness(12, 2)
    assert round(Completeness(999_998, 2).percent, 4) == 99.9998
    assert [(asked, blocked) for _, asked, blocked in log.days_of("hillview", "p1", *wide)] == [(12, 4)]
    with store.reading(log) as connection:
        assert connection.scalar(hours.select().with_only_columns(hours.c["count"]).limit(1)) == 4


def test_searches_are_kept_by_person(log):
    saved.keep(log, "hillview", "sara", " Games ", "category=games")
    saved.keep(log, "hillview", "sara", "Games", "category=games&action=block")
    assert [row["query"] for row in saved.searches(log, "hillview", "sara")] == ["category=games&action=block"]
    assert saved.searches(log, "hillview", "olive") == saved.searches(log, "oakfield", "sara") == []
    with pytest.raises(ValueError):
        saved.keep(log, "hillview", "sara", " ", "x")


# --- exports and reports


@settings(max_examples=80, deadline=None)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=4))
def test_no_cell_is_a_formula_and_every_sheet_is_read_back(values):
    text = "".join(export.sheet([f"h{n}" for n in range(len(values))], [values]))
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert len(rows) == 2
    for cell in rows[1]:
        assert not cell.lstrip(" ").startswith(export.FORMULA)
    text.encode()


BLANKS = dict.fromkeys((field.name for field in fields(Line)), "")


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=60))
def test_a_syslog_line_is_one_line_whatever_was_typed(term):
    said = {"at": NOW, "last": NOW, "count": 1, "change": 0, "kind": "search", "action": "block", "term": clean(term, 1024)}
    line = Line(**{**BLANKS, **said})
    said = export.syslog(line, "Pupil 1")
    assert said.startswith("<108>1 2026-11-18T11:00:00.000000Z schoolgate schoolgate - filter [")
    assert not any(ord(letter) < 32 for letter in said)
    assert json.loads(next(iter(export.json_lines([{"term": line.term}]))))["term"] == line.term


def test_a_title_leaves_only_beside_the_name():
    line = Line(**{**BLANKS, "at": NOW, "last": NOW, "count": 1, "change": 0, "kind": "page", "title": "Inbox of Ada"})
    assert export.fields(line, lambda _: "Pupil 1", named=False)["title"] == ""
    assert export.fields(line, lambda _: "Ada", named=True)["title"] == "Inbox of Ada"
    assert "Ada" not in export.syslog(line, "Pupil 1")
    assert 'title="Inbox of Ada"' in export.syslog(line, "Ada", named=True)


def test_a_report_says_what_it_means_and_small_numbers_stay_small(log):
    log.append([PAGE] * 30 + [PAGE._replace(kind="dns", action="allow")] * 70, {})
    number = capture(log)
    found = reports.figures(
        log,
        "hillview",
        NOW - timedelta(days=7),
        NOW + timedelta(hours=1),
        subjects=("pupil",),
        but_groups=(),
        zone="Europe/London",
    )
    assert (found.asked, found.blocked, found.captures, found.waiting) == (100, 30, 1, 1)
    assert found.by_theme == (("Self-harm, suicide and eating disorders", 1),)
    assert found.by_hour == (("11", 100, 30),)
    assert any("has not been looked at" in text for text in reports.meaning(found))
    assert dict(reports.in_counts(found))["Captures"] == "fewer than 5"
    captures.grade(log, "hillview", [number], "serious", person="s", subjects=("pupil",), now=NOW)
    quiet = reports.figures(
        log, "oakfield", NOW - timedelta(days=7), NOW, subjects=("pupil",), but_groups=(), zone="Europe/London"
    )
    assert "round the filter" in reports.meaning(quiet)[0]


def test_a_reports_weeks_count_each_capture_once_in_its_own(log):
    """Counted in the database, as they would be one by one: whole weeks by day, faint ones and other subjects left out."""
    until = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
    first = until.date() + timedelta(days=1) - timedelta(weeks=12)
    made = []
    for n, ago in enumerate((1, 15, 16, 40, 7 * 24 - 9, 7 * 24 - 8, 300, 12 * 7 * 24 - 10)):
        at = until - timedelta(hours=ago)
        grade, where = ("serious", "", "off-task")[n % 3], ("urgent", "weekly", "review")[n % 3]
        capture(log, at=microseconds(at), grade=grade, route=where)
        made.append((at, grade, where))
    capture(log, at=microseconds(until), route="review")  # not in it yet
    capture(log, at=microseconds(until - timedelta(hours=1)), route="faint")
    capture(log, at=microseconds(until - timedelta(hours=1)), subject="staff", route="review")
    month = until - timedelta(days=30), until
    found = reports.figures(log, "hillview", *month, subjects=("pupil",), but_groups=(), zone="Europe/London")
    within = [one for one in made if month[0] <= one[0] < until]
    assert (found.captures, found.waiting) == (len(within), 0)
    assert found.by_grade["Serious"] == sum(grade == "serious" for _, grade, _ in within)
    weeks = [(first + timedelta(weeks=n), first + timedelta(weeks=n + 1)) for n in range(12)]
    assert list(found.serious_by_week) == [
        (
            begins,
            sum(grade == "serious" for at, grade, _ in made if begins <= at.date() < ends),
            sum(where != "weekly" for at, _, where in made if begins <= at.date() < ends),
        )
        for begins, ends in weeks
    ]
