"""Guest codes: what is kept of one, whom it may be for, and what the keeper of the portal is told."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from change_control import guests
from change_control.tables import Base, GuestRow
from policy.rules import Belonging, Group, SchoolPolicy

KEY, NOW = b"k" * 32, datetime(2026, 11, 20, 10, tzinfo=UTC)
SCHOOL = SchoolPolicy(
    "hill", "Hill", "a" * 64, "d" * 64, (Group("guest", "Guests", "guest"), Group("staff", "Staff", "staff")),
    belongings=(Belonging("b1", "guest", 1, role="portal/guest/guest"), Belonging("b2", "staff", 2, role="portal/guest/guest")),
)  # fmt: skip


@pytest.fixture
def session():
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as made:
        yield made
    engine.dispose()


def issue(session, **more):
    given = {"label": "Ms Khan", "group": "", "devices": 1, "starts": NOW, "ends": NOW + timedelta(hours=3), "now": NOW}
    text = guests.issue(session, KEY, SCHOOL, person="p1", **{**given, **more})
    session.flush()
    return text


def test_a_code_is_kept_nowhere_and_known_by_its_digest(session, tmp_path):
    text = issue(session, group="guest")
    row = session.scalars(select(GuestRow)).one()
    assert text.replace("-", "") not in str(vars(row))
    guests.hand_over(session, tmp_path, NOW)
    told = guests.codes_file(tmp_path).read_text()
    assert text not in told
    (code,) = guests.read_codes(told)
    assert code.digest == guests.digest(KEY, "hill", text.lower().replace("-", " "))
    assert code.digest not in {guests.digest(KEY, "other", text), guests.digest(b"x" * 32, "hill", text)}
    assert (code.group, code.label, code.ends) == ("guest", "Ms Khan", (NOW + timedelta(hours=3)).timestamp())
    assert guests.codes_file(tmp_path).stat().st_mode & 0o007 == 0


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"label": " "}, "who it is for"),
        ({"group": "staff"}, "has not signed"),  # the rule of another role speaks of staff, none about codes for them
        ({"group": "nobody"}, "has not signed"),
        ({"devices": 0}, "devices at a time"),
        ({"devices": 201}, "devices at a time"),
        ({"ends": NOW}, "ends in the future"),
        ({"starts": NOW + timedelta(days=2)}, "after it begins"),
        ({"ends": NOW + timedelta(days=93)}, "a term at most"),
    ],
)
def test_what_is_not_issued(session, more, why):
    with pytest.raises(ValueError, match=why):
        issue(session, **more)


def test_what_is_revoked_or_over_is_not_handed_over_and_is_forgotten_in_time(session, tmp_path):
    issue(session), issue(session, label="A governor"), issue(session, ends=NOW + timedelta(days=2))
    one = guests.of_log(session, "hill")[0]
    guests.revoke(session, "hill", one.id, NOW)
    with pytest.raises(LookupError):
        guests.revoke(session, "hill", one.id, NOW)
    with pytest.raises(LookupError):
        guests.revoke(session, "other", guests.of_log(session, "hill")[1].id, NOW)
    session.flush()
    guests.hand_over(session, tmp_path, NOW + timedelta(hours=4))
    assert len(guests.read_codes(guests.codes_file(tmp_path).read_text())) <= 1
    assert len(guests.of_log(session, "hill")) == 3, "for whom they were is known for a while"
    guests.hand_over(session, tmp_path, NOW + timedelta(days=31))
    assert guests.of_log(session, "hill") == []


def test_what_was_not_handed_over_is_no_list_of_codes():
    with pytest.raises(ValueError, match="no codes"):
        guests.read_codes('[{"id": "x"}]')
    assert guests.groups(SCHOOL) == {"": "Whatever their network’s group is", "guest": "Guests"}
    assert guests.groups(SimpleNamespace(groups=(), belongings=SCHOOL.belongings)) == {
        "": "Whatever their network’s group is"
    }
