"""What does not agree is found and named: rows edited by SQL, files edited or rolled back, logs cut short."""

import json

import pytest
from sqlalchemy import text

from change_control.changes import SiteWish
from change_control.ledger import LedgerMismatch
from change_control.publish import publish
from change_control.tables import ChangeRow
from change_control.verify import DoesNotAgree, verify_export, verify_installation, write_export
from policy.live import Live, Trust
from policy.proof import digest
from policy.rules import Action


def changed(world, site="crazygames.com"):
    """A change asked for, approved and published."""
    with world.store.write() as session:
        wish = SiteWish(site, Action.ALLOW, ("ks2",))
        row = world.office.request(session, "oakfield", wish, by=world.who(session, "adam"), reason="for class")
        helen, signer = world.who(session, "helen"), world.signer(session, "helen")
        world.office.approve(session, row, helen, signer, digest(row.diff))
        change = row.id
    world.publish()
    return change


def sql(world, statement, **values):
    with world.store.write() as session:
        session.execute(text(statement), values)


def problem(world):
    with world.store.read() as session, pytest.raises(DoesNotAgree) as found:
        verify_installation(session, world.data)
    return str(found.value)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        (
            "DELETE FROM entries WHERE log = 'oakfield' AND n = (SELECT max(n) FROM entries WHERE log = 'oakfield')",
            "cut short",
        ),
        (
            "UPDATE entries SET text = replace(text, 'crazygames', 'badgames') WHERE kind = 'change.approved'",
            "is not what was signed",
        ),
        ("UPDATE entries SET kind = 'change.refused' WHERE kind = 'change.approved'", "stored beside entry"),
        (
            "UPDATE documents SET text = replace(text, '\"allow\"', '\"warn\"') WHERE log = 'oakfield'",
            "stored policy of entry",
        ),
        ("UPDATE changes SET state = 'reversed'", "is marked reversed"),
        ("DELETE FROM documents WHERE n > 0 AND log = 'oakfield'", "stored policy is not"),
        ("UPDATE logs SET checkpoint = '' WHERE id = 'oakfield'", "not a signed note"),
        (
            """INSERT INTO changes (log, kind, state, diff, requested_by, requested_at, source, "group")
               VALUES ('oakfield', 'site', 'in_force', '{}', 'p-x', '2026-11-20', 'desk', '')""",
            "the change log says nothing of it",
        ),
    ],
)
def test_an_edited_row_is_named_and_the_last_good_policy_stays(world, statement, named):
    changed(world)
    live = Live(world.data)
    sql(world, statement)
    assert named in problem(world)
    with world.store.write() as session:
        publish(session, world.office.key, world.data)
    live.refresh()
    (rule,) = live.snapshot.schools["oakfield"].site_rules
    assert (rule.host, rule.action) == ("crazygames.com", Action.ALLOW)


def test_a_rule_slipped_into_the_stored_policy_is_not_published_nor_built_upon(world):
    changed(world)
    sql(world, "UPDATE documents SET text = replace(text, 'crazygames.com', 'gambling.example') WHERE log = 'oakfield'")
    with world.store.write() as session:
        done = publish(session, world.office.key, world.data)
        assert "is not the one that entry" in done.problems["oakfield"]
    with world.store.write() as session, pytest.raises(LedgerMismatch):
        world.office.request(
            session, "oakfield", SiteWish("x.example", Action.BLOCK), by=world.who(session, "adam"), reason="another"
        )
    assert Live(world.data).snapshot.schools["oakfield"].site_rules[0].host == "crazygames.com"


def test_an_edited_file_is_refused_named_and_put_right(world):
    changed(world)
    live = Live(world.data)
    (path,) = (world.data / "policy").glob("oakfield-*" + digest_of(world) + "*.json")
    good = path.read_text()
    part = json.loads(good)
    path.write_text(json.dumps({**part, "document": part["document"].replace("crazygames.com", "gambling.example")}))
    current = world.data / "policy" / "current.json"
    current.write_text(current.read_text())  # so that workers look
    live.refresh()
    assert "not the one that entry" in live.problems["oakfield"]
    assert live.snapshot.schools["oakfield"].site_rules[0].host == "crazygames.com"
    assert Live(world.data).snapshot.schools["oakfield"].site_rules[0].host == "crazygames.com", "after a restart too"
    assert path.name in problem(world)
    world.publish()
    assert json.loads(path.read_text()) == part


def digest_of(world):
    return json.loads((world.data / "policy" / "current.json").read_text())["parts"]["oakfield"].rsplit("-", 1)[1][:12]


def test_an_older_policy_is_refused_even_after_a_restart(world):
    first = json.loads((world.data / "policy" / "current.json").read_text())
    changed(world)
    assert Live(world.data).snapshot.schools["oakfield"].site_rules
    (world.data / "policy" / "current.json").write_text(json.dumps(first))
    live = Live(world.data)
    assert "were seen before" in live.problems["oakfield"]
    assert live.snapshot.schools["oakfield"].site_rules


def test_a_database_rolled_back_as_a_whole_is_named(world):
    tables = ("entries", "nodes", "documents", "logs")
    with world.store.read() as session:
        before = {table: session.execute(text(f"SELECT * FROM {table}")).mappings().all() for table in tables}
    changed(world)
    Live(world.data)
    with world.store.write() as session:
        for table in ("details", "signatures", "changes", *tables[:-1]):
            session.execute(text(f"DELETE FROM {table}"))
        for row in before["logs"]:
            session.execute(text("UPDATE logs SET size = :size, checkpoint = :checkpoint WHERE id = :id"), dict(row))
        for table in tables[:-1]:
            for row in before[table]:
                names = ", ".join(row)
                session.execute(text(f"INSERT INTO {table} ({names}) VALUES ({', '.join(':' + n for n in row)})"), dict(row))
    assert "not the policy that its change log amounts to" in problem(world) or "rolled back" in problem(world)


def test_an_export_verifies_elsewhere_and_a_changed_one_does_not(world):
    change = changed(world)
    with world.store.read() as session:
        export = write_export(session, Trust.load(world.data))
        assert session.get(ChangeRow, change).entry is not None
    assert {one.log for one in verify_export(export)} == {"birchwood", "oakfield"}
    for old, new in (
        ("crazygames.com", "gambling.example"),
        ("headteacher", "technician"),
        ("2026-11-20T10", "2026-11-20T09"),
    ):
        with pytest.raises(DoesNotAgree):
            verify_export(export.replace(old, new))
    with pytest.raises(DoesNotAgree, match="not an export"):
        verify_export("{}")
