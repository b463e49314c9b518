"""Publishing: idempotent, safe from several processes, and never worse than what was there."""

import json
import subprocess
import sys

import pytest
from sqlalchemy import text

from change_control.changes import SiteWish
from change_control.publish import publish
from policy.live import Live
from policy.proof import digest
from policy.rules import Action


def changed(world, site="x.example"):
    with world.store.write() as session:
        wish = SiteWish(site, Action.BLOCK)
        row = world.office.request(session, "oakfield", wish, by=world.who(session, "adam"), reason="for the test")
        helen, signer = world.who(session, "helen"), world.signer(session, "helen")
        world.office.approve(session, row, helen, signer, digest(row.diff))


def current(world):
    return json.loads((world.data / "policy" / "current.json").read_text())


def part_of(world, log="oakfield"):
    return world.data / "policy" / current(world)["parts"][log]


def snapshot_of(folder):
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.glob("*.json")}


def test_publishing_again_writes_nothing(world):
    before = snapshot_of(world.data / "policy")
    assert (world.publish().problems, snapshot_of(world.data / "policy")) == ({}, before)


def test_a_change_is_one_generation_on_and_one_new_file(world):
    before = current(world)
    changed(world)
    done = world.publish()
    assert done.generation == before["generation"] + 1 == current(world)["generation"]
    assert done.parts["birchwood"] == before["parts"]["birchwood"]
    assert done.parts["oakfield"] != before["parts"]["oakfield"]
    assert (world.data / "policy" / before["parts"]["oakfield"]).exists(), "a worker may be reading it still"


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", "[" * 100_000, None])
def test_a_part_that_was_damaged_is_put_right_and_workers_are_told_to_look(world, damage):
    live = Live(world.data)
    path = part_of(world)
    good = path.read_bytes()
    path.unlink()
    if damage is not None:
        path.write_text(damage)
    (world.data / "policy" / "current.json").write_text(json.dumps(current(world)))  # someone touched that, too
    live.refresh()
    assert live.problems
    assert world.publish().problems == {}
    assert path.read_bytes() == good
    assert live.refresh()
    assert live.problems == {}


def test_an_older_good_part_under_the_newest_name_is_put_right(world):
    older = part_of(world).read_bytes()
    changed(world)
    world.publish()
    newest = part_of(world)
    good = newest.read_bytes()
    newest.write_bytes(older)
    world.publish()
    assert newest.read_bytes() == good


@pytest.mark.parametrize("damage", ["", "[]", '{"generation": 1}', '{"generation": 1, "parts": 2}', None])
def test_where_the_list_of_parts_is_lost_one_schools_publication_brings_back_all(world, damage):
    before = current(world)["parts"]
    path = world.data / "policy" / "current.json"
    path.unlink()
    if damage is not None:
        path.write_text(damage)
    with world.store.write() as session:
        assert publish(session, world.office.key, world.data, ["oakfield"]).parts == before
    assert current(world)["parts"] == before


def test_only_the_logs_that_are_named_are_published(world):
    before = current(world)
    changed(world)
    with world.store.write() as session:
        assert publish(session, world.office.key, world.data, ["birchwood"]).parts == before["parts"]
        assert publish(session, world.office.key, world.data, ["oakfield"]).parts != before["parts"]


def test_a_log_that_does_not_agree_keeps_its_last_good_file_and_others_go_on(world):
    before = current(world)
    changed(world)
    with world.store.write() as session:
        session.execute(text("UPDATE documents SET text = replace(text, 'x.example', 'y.example') WHERE log = 'oakfield'"))
    done = world.publish()
    assert list(done.problems) == ["oakfield"]
    assert (done.parts, current(world)) == (before["parts"], before)
    assert Live(world.data).snapshot.schools["oakfield"].site_rules == ()


def test_a_damaged_authority_document_is_put_right(world):
    (world.data / "objects").unlink()  # a shared link in tests; this one is the test's own
    (world.data / "objects").mkdir()
    with world.store.read() as session:
        name = world.office.book(session, "oakfield").in_force().document.authority
    world.publish()
    path = world.data / "objects" / f"{name}.json"
    good = path.read_bytes()
    path.write_text("{}")
    world.publish()
    assert path.read_bytes() == good


PUBLISH = """
import sys
from pathlib import Path
from change_control.keys import AuthorityKey
from change_control.publish import publish
from change_control.store import Store
data, url = Path(sys.argv[1]), sys.argv[2]
store = Store(url)
for _ in range(5):
    with store.write() as session:
        done = publish(session, AuthorityKey.load(data), data)
    assert not done.problems, done.problems
print(done.generation)
"""


def test_several_processes_publish_at_once(world):
    for number in range(3):
        changed(world, f"x{number}.example")
    before = current(world)["generation"]
    url = world.store.engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", PUBLISH, str(world.data), url]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for one in running:
        out, err = one.communicate(timeout=60)
        assert (one.returncode, err, out.strip()) == (0, "", str(before + 1)), err
    assert len(Live(world.data).snapshot.schools["oakfield"].site_rules) == 3
    assert not [path.name for path in (world.data / "policy").iterdir() if path.name.startswith(".oakfield")]
