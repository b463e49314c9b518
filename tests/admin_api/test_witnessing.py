"""Another installation co-signs over a real socket; what is rolled back, made anew or forged it refuses, and that is told."""

import shutil
import socket
import threading
import time
from dataclasses import replace

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from starlette.testclient import TestClient

from admin_api.app import create_app
from admin_api.notices import Watcher
from admin_api.witnessing import Asked, Cosigner, Keeper, post, witnessed_file
from change_control.keys import AuthorityKey
from change_control.offline import verify_text
from change_control.replay import DoesNotAgree
from change_control.verify import witnessed, write_export
from change_control.witness import Behind, Witness, cosignatures, request
from policy.live import Trust
from policy.proof import Checkpoint, ProofRefused

from .conftest import URL, closed, opened


@pytest.fixture
def keeper(world, tmp_path):
    return Keeper(tmp_path / "elsewhere", "birchwood.example/witness", {"birchwood": world.office.key.public})


@pytest.fixture
def cosigner(world, keeper):
    """The witness as a desk of its own on loopback, and the one who shows it our logs."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    app = create_app(replace(world.services, keeper=keeper, public_url=url))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    end = time.monotonic() + 30
    while not server.started and time.monotonic() < end:
        time.sleep(0.01)
    asked = Asked(keeper.witness, f"{url}/witness")
    yield Cosigner(
        world.store, world.office, world.data, [asked], world.services.alarms, now=lambda: world.clock().timestamp()
    )
    server.should_exit = True
    thread.join(20)
    listening.close()


def look(world, cosigner):
    world.clock.forward(seconds=30)
    cosigner()


def exported(world):
    with world.store.read() as session:
        return write_export(session, Trust.load(world.data), witnessed(world.data))


def test_each_new_checkpoint_is_co_signed_and_goes_into_the_export(world, keeper, cosigner):
    for _ in range(3):
        look(world, cosigner)
        assert cosigner.troubles == world.services.alarms == {}
        world.ask("adam")
    said = verify_text(exported(world), witnesses=[keeper.witness])
    assert any("oakfield: birchwood.example/witness saw" in line for line in said)
    assert not any("No witness vouches" in line for line in said)
    assert any("No witness vouches" in line for line in verify_text(exported(world))), "who has no key of it is told nothing"
    other = Witness(keeper.witness.name, b"o" * 32)
    assert any("No witness vouches" in line for line in verify_text(exported(world), witnesses=[other]))
    assert Witness.read(keeper.witness.vkey()) == keeper.witness


def test_an_old_backup_put_back_is_named_and_told(world, keeper, cosigner):
    look(world, cosigner)
    world.store.close()
    shutil.copyfile(world.data / "desk.sqlite3", world.data / "backup")
    world.ask("adam")
    look(world, cosigner)
    world.store.close()
    for tail in ("-wal", "-shm"):
        (world.data / f"desk.sqlite3{tail}").unlink(missing_ok=True)
    shutil.copyfile(world.data / "backup", world.data / "desk.sqlite3")
    with pytest.raises(DoesNotAgree, match="rolled back or made anew"):
        verify_text(exported(world))
    shutil.rmtree(world.data / "state" / "witnessed")  # whoever rules the machine rolls everything on it back together
    look(world, cosigner)
    (alarm,) = (said for said in world.services.alarms.values() if said.startswith("oakfield"))
    assert "it was rolled back or made anew" in alarm
    assert "entries were seen before, and now there are" in alarm
    assert "it was rolled back" in world.browser("helen").get("/").text
    Watcher(world.services, hooks=True)()
    with world.store.read() as session:
        assert session.execute(text("SELECT count(*) FROM outbox WHERE subject = 'policy.refused'")).scalar() == 1


def test_a_log_made_anew_at_the_same_length_is_refused(world, keeper, cosigner):
    look(world, cosigner)
    with world.store.read() as session:
        book = world.office.book(session, "oakfield")
        size, origin = book.size, book.checkpoint.origin
    forged = world.office.key.sign(Checkpoint(origin, size + 1, b"f" * 32))
    (asked,) = cosigner.asked
    status, said = post(asked, request(size, [b"p" * 32], forged))
    assert (status, "does not continue" in said or "too long" in said or "empty" in said) == (422, True)
    shorter = world.office.key.sign(Checkpoint(origin, size - 1, b"f" * 32))
    assert post(asked, request(0, [], shorter))[0] == 422
    assert post(asked, request(size + 5, [], forged))[0] == 400
    newer = world.office.key.sign(Checkpoint(origin, size + 9, b"f" * 32))
    assert post(asked, request(size + 1, [], newer)) == (409, f"{size}\n")


def test_what_is_not_signed_by_its_authority_or_is_nobodys_is_refused(world, keeper, cosigner):
    (asked,) = cosigner.asked
    stranger = AuthorityKey("birchwood", b"s" * 32)
    note = stranger.sign(Checkpoint("schoolgate/birchwood/oakfield", 3, b"r" * 32))
    assert post(asked, request(0, [], note))[0] == 403
    assert post(asked, request(0, [], stranger.sign(Checkpoint("schoolgate/elsewhere/x", 3, b"r" * 32))))[0] == 404
    for body in ("", "old x\n\n", "old 1\n!\n\nx", "old -1\n\nx", "\x00" * 40):
        assert post(asked, body)[0] in {400, 404}, body


def test_a_witness_that_is_away_stops_nothing(world, keeper):
    away = Asked(keeper.witness, "http://127.0.0.1:1/witness")
    one = Cosigner(world.store, world.office, world.data, [away], world.services.alarms)
    one()
    assert keeper.witness.name in one.troubles
    assert world.services.alarms == {}


def test_an_answer_without_a_good_signature_is_not_kept(world, keeper, cosigner):
    (asked,) = cosigner.asked
    wrong = replace(asked, witness=Witness(asked.witness.name, b"w" * 32))
    with pytest.raises(ProofRefused):
        cosigner.show(wrong, "oakfield")
    assert not witnessed_file(world.data, "oakfield", wrong.witness).exists()


def test_a_witness_begins_where_it_is(world, keeper):
    with world.store.read() as session:
        book = world.office.book(session, "oakfield")
        note = book.row.checkpoint
        keeper.add(request(0, [], note), world.clock.at)
        with pytest.raises(Behind) as found:
            keeper.add(request(1, book.consistency(1), note), world.clock.at)
    assert found.value.size == book.size


def test_a_clock_that_was_set_back_is_refused_and_told(world):
    world.ask("adam")
    watcher = Watcher(world.services)
    watcher()
    assert world.services.alarms == {}
    world.browser("adam")
    world.clock.forward(minutes=-3)
    world.ask("adam", reason="a clock put right by a little")
    world.clock.forward(days=-2)
    with pytest.raises(Exception, match="the clock of this machine says"):
        world.ask("adam")
    watcher()
    assert "has been set back" in world.services.alarms["clock"]


@pytest.fixture(scope="module")
def witnessing(tmp_path_factory, built):
    """A witness's desk, in this process, and a request that it would answer with a cosignature."""
    source, secrets = built
    data = tmp_path_factory.mktemp("witness") / "data"
    shutil.copytree(source, data)
    world = opened(data, secrets)
    keeper = Keeper(data.parent / "elsewhere", "birchwood.example/witness", {"birchwood": world.office.key.public})
    app = create_app(replace(world.services, keeper=keeper))
    with world.store.read() as session:
        good = request(0, [], world.office.book(session, "oakfield").row.checkpoint).encode()
    client = TestClient(app, base_url=URL, raise_server_exceptions=False)
    yield client, keeper, good
    client.close()
    closed(world)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_strangers_bytes_get_no_cosignature_and_break_nothing(witnessing, data):
    """Any bytes, and a good request with a few of its bytes changed, cut, doubled or joined with others."""
    client, keeper, good = witnessing
    edit = data.draw(st.sampled_from(("bytes", "flip", "cut", "insert", "twice")))
    at = data.draw(st.integers(0, len(good) - 1))
    some = data.draw(st.binary(min_size=1, max_size=60))
    body = {
        "bytes": some,
        "flip": good[:at] + bytes([good[at] ^ (some[0] or 1)]) + good[at + 1 :],
        "cut": good[:at],
        "insert": good[:at] + some + good[at:],
        "twice": good[:at] + good[: at + 1] + good,
    }[edit]
    answer = client.post("/witness/add-checkpoint", content=body)
    assert answer.status_code in {200, 400, 403, 404, 409, 413, 422}, answer.text
    if answer.status_code == 200:  # what was changed was nothing that the note says: it is the good checkpoint's cosignature
        note = good.decode().partition("\n\n")[2]
        assert [one.witness for one in cosignatures(note + answer.text, [keeper.witness])] == [keeper.witness.name]
    again = client.post("/witness/add-checkpoint", content=good)
    assert again.status_code in {200, 409, 422}
