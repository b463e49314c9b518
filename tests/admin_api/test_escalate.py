"""Telling people: in words without a name, to whom the chain says, once."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from admin_api import escalate, outbox
from change_control.tables import OutboxRow, PersonRow
from monitoring import alarms, rota
from monitoring.watch import Caught

MONDAY = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def messages(world):
    with world.store.read() as session:
        return [
            (row.kind, row.to, row.subject, row.text) for row in session.scalars(select(OutboxRow).order_by(OutboxRow.id))
        ]


def addresses(world, **given):
    with world.store.write() as session:
        for username, to in given.items():
            person = session.scalars(select(PersonRow).where(PersonRow.username == username)).one()
            outbox.set_address(session, person.id, to)


def test_the_dsl_then_the_head_are_told_and_no_name_leaves(world):
    addresses(world, sara="dsl@oakfield.example", helen="head@oakfield.example")
    now = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
    for subject in ("pupil", "staff"):
        escalate.raise_for(
            world.log, Caught({"pupil": 1, "staff": 2}[subject], "oakfield", "self-harm", subject, now, "ks2"), now
        )
    assert not escalate.raise_for(world.log, Caught(1, "oakfield", "self-harm", "pupil", now, "ks2"), now)
    for _ in range(2):  # a second look tells nobody twice
        escalate.go_on(world.log, world.store, "https://desk", lambda: now, {}, {})
    mails = [one for one in messages(world) if one[0] == "email"]
    assert [to for _, to, _, _ in mails] == ["dsl@oakfield.example", "head@oakfield.example"]
    assert all("https://desk/captures/" in text for *_, text in mails)
    hooks = [one for one in messages(world) if one[0] == "webhook"]
    assert len(hooks) == 1  # what is about staff goes to no hook
    assert "Pupil" not in str(messages(world))
    assert len(alarms.open_(world.log, "oakfield", ("pupil", "staff"))) == 2


def test_whoever_is_on_the_rota_is_told_whatever_her_role_and_the_la_is_asked_to_telephone(world):
    addresses(world, sara="dsl@oakfield.example", olive="olive@oakfield.example", laura="la@birchwood.example")
    with world.store.read() as session:
        olive = session.scalars(select(PersonRow.id).where(PersonRow.username == "olive")).one()
    now = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
    plan = rota.Plan(rota=((olive,),) * 7)
    rota.set_plan(world.log, "oakfield", plan, person="sara", now=now)
    escalate.raise_for(world.log, Caught(1, "oakfield", "self-harm", "pupil", now, "ks2"), now)
    for step in range(4):
        at = now + timedelta(minutes=21 * step)
        escalate.go_on(world.log, world.store, "https://desk", lambda at=at: at, {}, {})
    mails = [one for one in messages(world) if one[0] == "email"]
    assert [to for _, to, _, _ in mails] == ["olive@oakfield.example", "dsl@oakfield.example", "la@birchwood.example"]
    assert "telephone" in mails[-1][3]
    assert "/captures/" not in mails[-1][3]  # whom it is about is the school's to see


def test_the_page_says_who_cannot_be_written_to(world):
    sara = world.browser("sara")
    assert "No DSL has given an e-mail address" in sara.get("/escalation").text
    addresses(world, sara="dsl@oakfield.example")
    with world.store.read() as session:
        olive = session.scalars(select(PersonRow.id).where(PersonRow.username == "olive")).one()
    rota.set_plan(world.log, "oakfield", rota.Plan(rota=((olive,),) * 7), person="sara", now=MONDAY)
    page = sara.get("/escalation").text
    assert "No DSL has given" not in page
    assert "No e-mail address: Olive" in page


def test_reports_are_told_once_on_their_day(world):
    addresses(world, sara="dsl@oakfield.example", helen="head@oakfield.example")
    for at in (MONDAY, MONDAY, MONDAY.replace(day=24), MONDAY.replace(hour=5)):
        with world.store.write() as session:
            escalate.tell_of_reports(session, "oakfield", "https://desk", at, "Europe/London")
    found = messages(world)
    assert [to for _, to, _, _ in found] == ["dsl@oakfield.example", "head@oakfield.example"]
    assert "period=week&ends=2026-11-22" in found[0][3]
    assert "format=digest" in found[1][3]


def test_the_la_is_told_once_a_month_of_her_schools_in_counts(world):
    addresses(world, laura="la@birchwood.example")
    for at in (
        datetime(2026, 12, 1, 8, 0, tzinfo=UTC),
        datetime(2026, 12, 1, 9, 0, tzinfo=UTC),
        datetime(2026, 12, 2, 8, 0, tzinfo=UTC),
    ):
        for school in ("oakfield", "hillview"):
            with world.store.write() as session:
                escalate.tell_of_reports(session, school, "https://desk", at, "Europe/London")
    ((_, to, _, text),) = messages(world)
    assert to == "la@birchwood.example"
    assert "https://desk/rollup?period=month" in text


def test_a_step_that_reaches_nobody_does_not_keep_the_next_waiting(world):
    addresses(world, helen="head@oakfield.example")
    escalate.raise_for(world.log, Caught(1, "oakfield", "self-harm", "pupil", MONDAY, "ks2"), MONDAY)
    for _ in range(4):  # the rota and the DSLs cannot be written to
        escalate.go_on(world.log, world.store, "https://desk", lambda: MONDAY, {}, {})
    assert [to for kind, to, _, _ in messages(world) if kind == "email"] == ["head@oakfield.example"]
    for minutes in (20, 200):  # nor can the LA officer: it begins anew
        for _ in range(3):
            escalate.go_on(world.log, world.store, "https://desk", lambda at=MONDAY + timedelta(minutes=minutes): at, {}, {})
    assert [to for kind, to, _, _ in messages(world) if kind == "email"] == ["head@oakfield.example"] * 2
