"""Updates of lists on a whole installation: fetched, taken in, shown; and what is left when they are killed halfway.

The updater runs as a process of its own. What kills it, or fills its disk, is an audit hook that the interpreter itself calls
before each rename: nothing of ours is replaced.
"""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pyotp
import pytest

from appliance.config import load
from appliance.founding import open_installation
from appliance.updater import Busy, Updater
from category_lists import feed_state
from change_control.tables import ChangeRow
from change_control.verify import verify_installation
from policy.live import Live
from policy.proof import digest

PASSWORD = "three random words"
HEAD = "headteacher"
FAULT = """
import os, signal, sys
how, wanted, seen = sys.argv[1], int(sys.argv[2]), 0
def hook(event, args):
    global seen
    if event == "os.rename":
        seen += 1
        if seen == wanted and how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if seen >= wanted and how == "full":
            raise OSError(28, "No space left on device")
sys.addaudithook(hook)
from appliance import updater
code = updater.main()
print(seen, flush=True)
sys.exit(code)
"""


def people(founded, log: str, role: str) -> tuple[str, str]:
    """Someone who holds a role, signed in."""
    with founded.store.write() as session:
        code = founded.registry.invite(session, log, "Somebody", [role], by=None)
        founded.registry.enrol(session, code, f"{log}-{role}", PASSWORD, pyotp.random_base32())
        return f"{log}-{role}", founded.registry.sign_in(session, f"{log}-{role}", PASSWORD, None)


def approve(founded, log: str, change: int, cookie: str) -> None:
    with founded.store.write() as session:
        row = session.get(ChangeRow, change)
        who, signer = founded.registry.signed_in(session, cookie), founded.registry.signer(session, cookie, log)
        founded.office.approve(session, row, who, signer, digest(row.diff))


@pytest.fixture(scope="module")
def subscribed(begun, tmp_path_factory) -> Path:
    """An installation whose school and authority are subscribed to a feed that a person brings as a file."""
    from shutil import copytree

    from change_control import list_service

    data = tmp_path_factory.mktemp("subscribed") / "data"
    copytree(begun, data)
    write(data, [f"bet{number}.example" for number in range(30)])
    feeds = (
        "feeds:\n  - {id: bets, name: Bets, format: domains, licence: CC0, maintainer: us, home: here, categories: gambling,"
    )
    (data / "feeds.yaml").write_text(f"{feeds} address: '{(data / 'source.txt').as_uri()}'}}\n")
    config = load(None, data, {})
    with open_installation(data, config.desk_database) as founded:
        for log, role in (("birchwood-council", "la_officer"), ("oakfield-primary", HEAD)):
            _, cookie = people(founded, log, role)
            feed = Updater.open(config, founded).feeds["bets"]
            with founded.store.write() as session:
                change = list_service.subscribe(founded.office, session, log, feed, by=None, reason="we need it").id
            approve(founded, log, change, cookie)
        founded.publish()
    return data


@pytest.fixture
def data(subscribed, tmp_path) -> Path:
    from shutil import copytree

    copytree(subscribed, tmp_path / "data")
    (tmp_path / "data" / "feeds.yaml").write_text(
        (subscribed / "feeds.yaml").read_text().replace(subscribed.as_uri(), (tmp_path / "data").as_uri())
    )
    return tmp_path / "data"


def write(data: Path, names: list[str]) -> None:
    (data / "source.txt").write_text("".join(f"{name}\n" for name in names))


def known(data: Path, name: str) -> set[str]:
    """In which logs a name is known as gambling, by what a worker would load."""
    snapshot = Live(data).snapshot
    found = {log: document.dictionary for log, document in snapshot.schools.items()}
    found[snapshot.authority.log] = snapshot.authority.dictionary
    return {
        log
        for log, dictionary in found.items()
        if any(match.category == "gambling" for match in snapshot.dictionaries[dictionary].index.find(name))
    }


BOTH = {"birchwood-council", "oakfield-primary"}


def update(data: Path, feed: str = "bets"):
    config = load(None, data, {})
    with open_installation(data, config.desk_database) as founded:
        return Updater.open(config, founded).update([feed])


def verified(data: Path) -> None:
    with open_installation(data, f"sqlite:///{data}/desk.sqlite3") as founded, founded.store.read() as session:
        verify_installation(session, data)


def faulty(data: Path, how: str, at: int) -> subprocess.CompletedProcess[str]:
    """The updater, as the recorder starts it, with a fault at its n-th rename."""
    config = load(None, data, {}).to_json()
    return subprocess.run(
        [sys.executable, "-c", FAULT, how, str(at)],
        input=f"{config}\n",
        text=True,
        capture_output=True,
        timeout=240,
        check=False,
    )


def test_an_update_takes_effect_and_the_next_finds_nothing_new(data):
    (outcome,) = update(data)
    assert outcome.good, outcome.lines
    assert known(data, "bet7.example") == BOTH
    state = feed_state.load(data, "bets")
    assert (state.failures, state.lists["bets"].entries) == (0, 30)
    (again,) = update(data)
    assert again.lines == ("bets: nothing new",)
    verified(data)


def test_what_goes_beyond_the_bounds_waits_and_says_so(data):
    update(data)
    write(data, [f"bet{number}.example" for number in range(10)])
    (outcome,) = update(data)
    assert outcome.good
    assert any("waits for approval (bets loses 20 of 30 entries" in line for line in outcome.lines)
    assert "loses 20 of 30" in feed_state.load(data, "bets").said
    assert known(data, "bet20.example") == BOTH
    verified(data)


@pytest.mark.parametrize(
    ("text", "why"),
    [(None, "cannot be fetched"), ("", "no entry"), ("co.uk\ncom\n", "no entry"), ("\x00\x01\n" * 50, "no entry")],
)
def test_a_failure_leaves_the_last_good_lists_and_is_seen(data, text, why):
    update(data)
    if text is None:
        (data / "source.txt").unlink()
    else:
        (data / "source.txt").write_text(text)
    (outcome,) = update(data)
    assert not outcome.good
    assert why in outcome.lines[0]
    assert "the lists in force stay" in outcome.lines[0]
    state = feed_state.load(data, "bets")
    assert state.failures == 1
    assert why in state.said
    assert known(data, "bet7.example") == BOTH
    now = Live(data) and state_now(data)
    assert not state.late(now, 24)
    assert state.late(now + timedelta(days=3), 24)


def state_now(data: Path):
    from datetime import datetime

    return datetime.fromisoformat(feed_state.load(data, "bets").tried)


def test_nobody_is_asked_for_what_nobody_subscribed_to(data):
    (outcome,) = update(data, "hagezi-nsfw")
    assert not outcome.good
    assert "nobody is subscribed" in outcome.lines[0]


def test_one_update_at_a_time(data):
    config = load(None, data, {})
    with open_installation(data, config.desk_database) as founded:
        updater = Updater.open(config, founded)
        with updater._alone(), pytest.raises(Busy):
            Updater.open(config, founded).update(["bets"])


def test_what_is_due(data):
    config = load(None, data, {})
    with open_installation(data, config.desk_database) as founded:
        updater = Updater.open(config, founded)
        assert updater.due() == ["bets"]
        updater.update(["bets"])
        assert updater.due() == []


def _leftovers(data: Path) -> list[Path]:
    return [path for path in data.rglob(".*") if path.is_file() and path.name != ".lock"]


# A share of the steps in each way; all of them in both ways took four minutes, and found what it found.
@pytest.mark.parametrize(("how", "at"), [("kill", 4), ("kill", 6), ("kill", 9), ("full", 5), ("full", 8)])
def test_a_fault_at_any_step_leaves_the_last_good_lists_and_the_next_run_repairs(data, how, at):
    """Every rename is a step; the fault comes before one of them, and a full disk stays full."""
    done = faulty(data, how, at)
    assert done.returncode != 0, (done.stdout, done.stderr)
    assert known(data, "bet7.example") <= BOTH
    assert known(data, "bet365.com") == BOTH  # what was in force before still is
    outcomes = update(data)
    assert outcomes[0].good, outcomes
    assert known(data, "bet7.example") == BOTH
    assert _leftovers(data) == []
    verified(data)


def test_status_tells_of_feeds(data, capsys):
    from appliance.__main__ import main

    update(data)
    (data / "source.txt").unlink()
    update(data)
    assert main(["lists", "status", "--data", str(data)]) == 0
    out = capsys.readouterr().out
    assert "failed 1 times: it cannot be fetched" in out
    assert main(["lists", "catalogue", "--json", "--data", str(data)]) == 0
    found = {one["id"]: one for one in json.loads(capsys.readouterr().out)}
    assert found["bets"]["subscribed"] == ["birchwood-council", "oakfield-primary"]
    assert found["bets"]["state"]["failures"] == 1
