"""The box as a school's router: pupil and staff behind it, a little internet beyond, each in a network namespace.

gateway_world.py is the program that is all of these, gateway_stories.py what happens in it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gateway")
    ways = (["unshare", "--mount", "--net"], ["unshare", "--user", "--map-root-user", "--mount", "--net"])
    unshare = next(way for way in ways if subprocess.run([*way, "true"], capture_output=True, check=False).returncode == 0)
    done = subprocess.run(
        [*unshare, sys.executable, str(HERE / "gateway_world.py"), str(folder)],
        capture_output=True, text=True, timeout=110, check=False, env={**os.environ, "PYTHONPATH": str(HERE)},
    )  # fmt: skip
    log = folder / "up.log"
    assert done.returncode == 0, done.stderr + (log.read_text() if log.exists() else "")
    return json.loads(done.stdout.splitlines()[-1])


def seen_from(got: dict) -> str:
    assert (got["code"], got["status"]) == (0, 200), got
    return got["body"].rpartition(" seen from ")[2]


def test_rules_alone_let_nothing_pass(told):
    assert told["applied"] == ""
    assert told["before the filter"] == 7, "as after a restart: refused at once"


@pytest.mark.parametrize(("version", "device"), [("4", "10.99.1.10"), ("6", "fd99:1::aaaa")])
def test_direct_is_direct_and_inspected_is_inspected(told, version, device):
    """The IPv6 address is one that the device made up for itself; it asked over IPv4."""
    ways = told["ways"]
    for name in ("direct", "plain", "beside", "beside again"):
        assert seen_from(ways[f"{name} {version}"]) == device, name
    assert seen_from(ways[f"inspected {version}"]) == "45.33.32.1", "the box"
    assert ways[f"inspected {version}"]["leads"].startswith(("198.18.", "fd73:6368:6f6f:6c67:"))
    assert ways[f"beside {version}"]["leads"] == {"4": "45.33.32.30", "6": "2a00:1450:1::30"}[version]


def test_who_signs_what_devices_see(told):
    issuers = told["ways"]["issuers"]
    assert "The little internet" in issuers["en.wikipedia.org"]
    assert "Schoolgate" in issuers["www.bbc.co.uk"]
    assert (told["ways"]["blocked"]["status"], seen_from(told["ways"]["staff"])) == (403, "10.99.5.10")


def test_what_was_never_resolved_is_judged_by_its_name(told):
    got = told["unresolved"]
    assert seen_from(got["never asked"]) == "45.33.32.1", "by the proxy, and to where we say that github.com is"
    assert got["hosts file"]["status"] == 403
    assert (got["no name"]["status"], got["plain, no name"]["status"], got["nobody's"]["status"]) == (0, 400, 0)
    assert got["another's"]["status"] == 403, "an address of one name is no way to another"


def test_a_permitted_address_is_no_way_to_another_name(told):
    got = told["fronted"]
    assert seen_from(got.pop("its own")) == "10.99.1.10"
    plain = got.pop("plain")  # read beside the connection: the site may have begun to answer when it is reset
    assert plain["code"] in {52, 56}
    assert plain["took"] < 5
    assert {name: each["status"] for name, each in got.items()} == dict.fromkeys(got, 0)
    assert {each["code"] for each in got.values()} <= {35, 55, 56}, "reset"


def test_other_resolvers_and_quic(told):
    got = told["other_resolvers"]
    assert got["udp"] == got["tcp"] == got["udp 6"] == ["45.33.32.20"], "ours answered: 8.8.8.8 says something else there"
    assert {name: said for name, (said, _) in got["refused"].items()} == dict.fromkeys(
        ("QUIC", "QUIC 6", "DoQ", "DoT"), "ConnectionRefusedError"
    )
    assert max(took for _, took in got["refused"].values()) < 2, "refused, not left to wait"


def test_other_ports_and_the_boxs_own(told):
    got = told["ports"]
    assert {said for said, _ in got["pupil"].values()} == {"ConnectionRefusedError"}
    assert got["staff"]["a name's address"][0] == "OSError", "no route: a name's address is for the web alone"
    assert got["staff desk"] == 200
    assert got["spoofed"] == 28, "nothing comes back"


def test_only_the_process_that_steers_may_change_rules(told):
    assert told["rights"] == {"dns-1": False, "proxy-1": False, "desk": False, "recorder": False, "steer": True}


def test_applying_again_under_load_loses_nothing(told):
    got = told["reapplied"]
    assert got["codes"] == [0, 0]
    assert got["runs"]
    assert got["before"] == got["after"] > 0


def test_kill_9_of_the_resolver(told):
    got = told["resolver_killed"]
    assert seen_from(got["during"]) == "10.99.1.10"
    assert got["before"] == got["after"]
    assert seen_from(got["again"]) == "45.33.32.1"


def test_a_site_blocked_now_ends_now(told):
    got = told["changed"]
    assert [got["four"][0], got["six"][0]] == [56, 56], "reset, not left hanging"
    assert all(each.endswith("from 10.99.1.10") for each in got["beside"]), "its neighbours go on"


def test_nobody_is_locked_out(told):
    got = told["locked_out"]
    assert got["probe"][0] == 1
    assert "taken back" in got["probe"][1]
    assert (got["reached"], got["tried"], got["shut"]) == (0, 0, 7)
    assert got["confirmed"] == [0, 0, 1]


def test_when_the_proxy_is_dead(told):
    closed, direct = told["dead"]["closed"], told["dead"]["direct"]
    assert [each["code"] for each in closed] == [7, 7]
    assert [each["code"] for each in direct] == [0, 7]
    assert seen_from(direct[0]) == "10.99.1.10"
    assert seen_from(told["dead"]["back"]) == "45.33.32.1"


def test_without_rules_nothing_is_forwarded(told):
    assert "the filter as a whole is there" in told["shown"]
    assert "forwards nothing" in told["removed"]
    assert told["after"] == 28
