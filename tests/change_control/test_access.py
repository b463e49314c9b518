"""The access log's daily digest: written once a day, and a row altered afterwards is named."""

import pytest
from sqlalchemy import text

from change_control import access, passing
from change_control.tables import AccessRow, EntryRow
from change_control.verify import DoesNotAgree, verify_installation


def tried(world, act="approve"):
    with world.store.write() as session:
        world.office.access(session, act, "refused", log="oakfield", person="p-1", target="change 1", why="not the head")


def daily(world):
    with world.store.write() as session:
        passing.daily(world.office, session)


def digests(world):
    with world.store.read() as session:
        return session.query(EntryRow).filter_by(kind="access.digest", log="oakfield").count()


def test_a_day_that_is_over_gets_one_digest(world):
    tried(world)
    daily(world)
    assert digests(world) == 0, "the day is not over"
    world.clock.forward(days=1)
    daily(world)
    daily(world)
    assert digests(world) == 1
    tried(world)
    world.clock.forward(days=3)
    daily(world)
    assert digests(world) == 2, "days without a row need none"
    world.publish()
    with world.store.read() as session:
        verify_installation(session, world.data)


@pytest.mark.parametrize("edit", ["UPDATE access_log SET outcome = 'done'", "DELETE FROM access_log WHERE act = 'refuse'"])
def test_an_altered_day_is_named_and_a_day_deleted_by_retention_is_not(world, edit):
    tried(world)
    tried(world, "refuse")
    world.clock.forward(days=1)
    daily(world)
    world.publish()
    with world.store.write() as session:
        session.execute(text(edit))
    with world.store.read() as session, pytest.raises(DoesNotAgree, match="access log of 2026-11-20"):
        verify_installation(session, world.data)
    with world.store.write() as session:
        session.execute(text("DELETE FROM access_log"))
    with world.store.read() as session:
        verify_installation(session, world.data)


def test_retention_takes_no_day_whose_digest_is_not_written(world):
    def forget(log="oakfield"):
        with world.store.write() as session:
            access.forget(session, log, world.clock())
            return session.query(AccessRow).filter_by(log=log).count()

    tried(world)
    with world.store.write() as session:
        world.office.access(session, "sign in", "refused", target="nobody", why="no such name")
    world.clock.forward(days=1)
    daily(world)
    tried(world, "refuse")
    world.clock.forward(days=1)
    assert forget() == 1, "the day before stays: the desk was away and has not put its digest into the log"
    daily(world)
    assert forget() == 0
    assert forget("") == 0, "of no school's there are no digests"
