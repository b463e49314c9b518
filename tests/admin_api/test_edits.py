"""Every table of the desk's database, edited by SQL behind its back: nothing opens by it, and what the log proves is named.

One installation with something in each table. Each edit is made in a transaction of its own; then time does what it does, what
is in force is published anew, a worker starts, and the whole is verified. After that the edit is taken back.
"""

import re
import shutil
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Boolean, Integer, LargeBinary, text
from sqlalchemy.exc import SQLAlchemyError

from change_control.changes import SiteWish
from change_control.ledger import LedgerMismatch
from change_control.publish import publish
from change_control.replay import DoesNotAgree
from change_control.tables import Base
from change_control.verify import verify_installation
from policy.decide import Question, decide
from policy.live import Live
from policy.proof import ProofRefused
from policy.rules import STRICTNESS, Action

from .conftest import closed, opened

PROBES = ("poki.com", "crazygames.com", "bet365.com", "evil.example", "coolmath.example")
# Where the log itself says otherwise, `changes verify` names the edit. The rest holds nothing that decides: whose table says
# what, is answered by the log and not by the table (standing.py), and what a table says beside it opens nothing.
NAMED = {
    "logs": {"tier", "size", "checkpoint"},
    "entries": {"n", "kind", "change", "policy", "at", "text"},
    "documents": {"text"},
    "changes": {"state", "diff"},
    "access_log": {"act", "outcome", "person", "target", "why", "at"},
}
BY_ONE = {**NAMED, "nodes": {"hash"}, "roles": {"role", "enrolled"}, "signatures": {"person", "text"}}  # the rest at once


class Undo(Exception):
    """Ends a transaction without a trace."""


def other(column, value):
    """Another value of the column's sort, and one that would open something where it can."""
    if isinstance(column.type, Boolean):
        return not value
    if isinstance(column.type, Integer):
        return (value or 0) + 1
    if re.match(r"\d{4}-\d\d-\d\d \d\d:", str(value)):  # a moment, as the database holds it
        return str(datetime.fromisoformat(value) + timedelta(days=400))
    if isinstance(column.type, LargeBinary):
        return bytes([value[0] ^ 1]) + value[1:]
    said = {"block": "allow", "requested": "in_force", "in_force": "requested", "authority": "school", "school": "authority"}
    if value in said:
        return said[value]
    changed = (
        (value or "").replace("crazygames.com", "bet365.com").replace("teacher", "headteacher").replace("block", "allow")
    )
    return changed if value and changed != value else f"x{value or ''}"


@pytest.fixture(scope="module")
def full(tmp_path_factory, built):
    """Something in force, something waiting, a day that is over, and a row in most tables."""
    source, secrets = built
    data = tmp_path_factory.mktemp("edited") / "data"
    shutil.copytree(source, data)
    world = opened(data, secrets)
    change = world.ask("adam", SiteWish("crazygames.com", Action.ALLOW, ("ks2",), world.clock.at + timedelta(days=90)))
    assert world.browser("helen").sign("approve", change).status_code == 303
    world.ask("adam", SiteWish("poki.com", Action.ALLOW, ("ks2",)))
    world.browser("tom").sign("approve", change)  # refused, and so in the access log
    world.clock.forward(days=1)
    with world.store.write() as session:
        world.office.tick(session)
    world.publish()
    yield world
    closed(world)


def actions(world):
    snapshot, now = Live(world.data).snapshot, world.clock.at
    return [decide(snapshot, Question("oakfield", "ks2", host, now, "/")).action for host in PROBES]


def tried(world, statement, given):
    """Was the edit named? Whatever time and publishing make of it is tried first; the edit does not stay."""
    named = False
    try:
        with world.store.write() as session:
            try:
                if not session.execute(text(statement), given).rowcount:
                    raise Undo
            except SQLAlchemyError:  # the database itself does not take it
                raise Undo from None
            session.expire_all()
            for step in (lambda: world.office.tick(session), lambda: publish(session, world.office.key, world.data)):
                try:
                    with session.begin_nested():
                        step()
                except (LedgerMismatch, ProofRefused, ValueError, LookupError, TypeError):
                    named = True
            try:
                verify_installation(session, world.data)
            except (DoesNotAgree, LedgerMismatch):
                named = True
            raise Undo
    except Undo:
        return named


@pytest.mark.parametrize("table", sorted(Base.metadata.tables))
def test_no_edit_of_a_table_opens_anything(full, table):
    world, found = full, Base.metadata.tables[table]
    before, named = actions(world), set()
    order = ", ".join(f'"{one.name}"' for one in found.primary_key)
    with world.store.read() as session:
        row = (
            session.execute(text(f'SELECT rowid AS edited, * FROM "{table}" ORDER BY {order} DESC LIMIT 1'))
            .mappings()
            .first()
        )
    harmless = [one for one in found.columns if not one.primary_key and not one.foreign_keys]
    every = [[one] for one in found.columns if one.name in BY_ONE.get(table, ())] or [harmless]
    for columns in every if row else ():
        sets = ", ".join(f'"{one.name}" = :{one.name}' for one in columns)
        given = {one.name: other(one, row[one.name]) for one in columns}
        if tried(world, f'UPDATE "{table}" SET {sets} WHERE rowid = :edited', {**given, "edited": row["edited"]}):
            named |= set(given)
        now = actions(world)
        assert all(STRICTNESS[a] >= STRICTNESS[b] for a, b in zip(now, before, strict=True)), (table, sorted(given), now)
    assert named >= NAMED.get(table, set()), named
    with world.store.read() as session:
        verify_installation(session, world.data)


def test_what_cannot_be_read_any_more_is_named_and_not_a_crash(full):
    for statement in (
        "UPDATE changes SET requested_at = 'never'",
        "UPDATE entries SET at = 'x' WHERE n = 2",
        "UPDATE entries SET text = '{' WHERE n = 2",
        "UPDATE logs SET size = 'many'",
        "DELETE FROM nodes WHERE level = 0",
    ):
        assert tried(full, statement, {}), statement


def test_a_role_that_only_the_table_gives_signs_nothing(world):
    change, tom, adam = world.ask("adam"), world.browser("tom"), world.browser("adam")
    with world.store.write() as session:
        session.execute(text("UPDATE roles SET role = 'headteacher' WHERE role = 'technician' AND log = 'oakfield'"))
        size = world.office.book(session, "oakfield").size
    assert tom.sign("approve", change).status_code >= 400
    world.clock.forward(seconds=30)
    mandate = {"kinds": ["site"], "roles": ["teacher"], "until": "2027-06-30", "code": world.code("tom")}
    assert tom.post("/standing/mandate?school=oakfield", mandate).status_code >= 400
    assert (world.state(change), actions(world)[1]) == ("requested", Action.BLOCK)
    with world.store.write() as session:
        assert world.office.book(session, "oakfield").size == size
        verify_installation(session, world.data)
    world.clock.forward(seconds=30)
    assert adam.get("/?school=oakfield").status_code == 200


def test_whoever_was_released_signs_nothing_by_a_row_put_back(world):
    change, helen = world.ask("adam"), world.browser("helen")
    with world.store.read() as session:
        rows = [dict(row) for row in session.execute(text("SELECT * FROM roles WHERE role = 'deputy'")).mappings()]
    world.clock.forward(seconds=30)
    given = {"person": rows[0]["person"], "scope": ["site"], "to": "2026-12-18", "code": world.code("helen")}
    assert helen.post("/standing/delegation", given).status_code == 303
    world.clock.forward(seconds=30)
    assert helen.post("/people/release", {"person": rows[0]["person"], "code": world.code("helen")}).status_code == 303
    with world.store.write() as session:
        session.execute(
            text("INSERT INTO roles (person, log, role, enrolled) VALUES (:person, :log, :role, :enrolled)"), rows
        )
    assert world.browser("dora").sign("approve", change).status_code >= 400
    assert world.state(change) == "requested"
    with world.store.write() as session:
        verify_installation(session, world.data)
