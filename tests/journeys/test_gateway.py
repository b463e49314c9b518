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
pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]  # the first of them waits for all that is told


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gateway")
    ways = (["unshare", "--mount", "--net"], ["unshare", "--user", "--map-root-user", "--mount", "--net"])
    unshare = next(way for way in ways if subprocess.run([*way, "true"], capture_output=True, check=False).returncode == 0)
    done = subprocess.run(
        [*unshare, sys.executable, str(HERE / "gateway_world.py"), str(folder)],
        capture_output=True, text=True, timeout=220, check=False, env={**os.environ, "PYTHONPATH": str(HERE)},
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
    assert got["staff"]["a name's address"][0] == "ConnectionRefusedError", "a name's address is for the web alone"
    assert got["staff desk"] == 200
    assert got["spoofed"] == 28, "nothing comes back"


def test_only_the_process_that_steers_may_change_rules(told):
    assert told["rights"] == {"dns-1": False, "proxy-1": False, "desk": False, "recorder": False, "steer": True}


def test_applying_again_under_load_loses_nothing(told):
    got = told["reapplied"]
    assert got["codes"] == [0, 0]
    assert got["runs"]
    assert got["before"] == got["after"] > 0


def test_a_site_blocked_now_ends_now(told):
    got = told["changed"]
    assert [got["four"][0], got["six"][0]] == [56, 56], "reset, not left hanging"
    assert all(each.endswith("from 10.99.1.10") for each in got["beside"]), "its neighbours go on"
    assert got["runs"], "and so does what was being fetched from them"


def test_nobody_is_locked_out(told):
    got = told["locked_out"]
    assert got["probe"][0] == 1
    assert "taken back" in got["probe"][1]
    assert (got["reached"], got["tried"], got["shut"]) == (0, 0, 7)
    assert got["confirmed"] == [0, 0, 1]


@pytest.mark.parametrize("name", ["dns-1", "proxy-1"])
@pytest.mark.parametrize("mode", ["closed", "direct"])
def test_kill_9_of_resolver_and_proxy(told, name, mode):
    during, kept = told[f"killed {name}"][mode]
    assert seen_from(during) == "10.99.1.10"
    assert kept, "the permits stay in the kernel, and it came back"


@pytest.mark.parametrize("name", ["dns-1", "proxy-1"])
def test_when_one_is_dead_for_good(told, name):
    """Closed is closed; in the other mode direct names go on, and what must be seen does as long as the proxy is there."""
    got = told[f"dead {name}"]
    assert [each["code"] for each in got["closed"]] == [7, 7]
    assert got["closed, told nobody"]["code"] == 7
    direct, inspected = got["direct"]
    assert seen_from(direct) == "10.99.1.10"
    if name == "proxy-1":
        assert (inspected["code"], got["direct, told nobody"]["code"]) == (7, 7)
    else:
        assert (seen_from(inspected), got["direct, told nobody"]["status"]) == ("45.33.32.1", 403)
    assert seen_from(got["back"]) == "45.33.32.1"


def test_what_was_seen_of_all_this(told):
    """By network and device; and which device tried to get round."""
    got = {(one["network"], one["device"]): one for one in told["covered"]["connections"]}
    pupils = got["pupils", ""]
    assert {way for way in ("content", "name", "refused", "unresolved") if pupils[way]} == {
        "content", "name", "refused", "unresolved"
    }  # fmt: skip
    assert got["guests", ""]["refused"]
    sizes = told["covered"]["sizes"]
    assert sizes["pupils"]["name"] > 64 << 20, "two downloads of 32 MB were forwarded"
    assert sizes["pupils"]["content"] > 32 << 20, "and one was seen"
    worst = told["covered"]["attempts"][0]
    assert {"wrong name", "no web", "no name"} <= set(worst["kinds"])
    assert worst["score"] >= 20
    devices = {device for network, device in got if network == "pupils" and device}
    assert worst["device"] in devices, "known by one word in both"
    assert "attempts to get round the filter" in told["covered"]["text"]


def test_without_rules_nothing_is_forwarded(told):
    assert "the filter as a whole is there" in told["shown"]
    assert "forwards nothing" in told["removed"]
    assert told["after"] == 28


def test_guests_are_filtered_and_alone(told):
    got = told["guests"]
    assert (seen_from(got["direct"]), seen_from(got["inspected"])) == ("10.99.9.10", "45.33.32.1")
    assert got["blocked"]["status"] == 403
    assert "for guests" in got["blocked"]["body"]
    assert {said for said, _ in (*got["out"].values(), *got["staff"].values())} == {"ConnectionRefusedError"}


def test_a_tunnel_on_the_webs_port_gets_nowhere(told):
    """Told nobody, or behind a name: the proxy says no. Permitted: reset before the other side's first word comes."""
    said = told["vpn"]["said"]
    for kind in ("OpenVPN", "SSH"):
        assert said[f"{kind}, told nobody"].startswith("HTTP/1.1 400")
        assert said[f"{kind}, a name's"].startswith("HTTP/1.1 400")
        assert said[f"{kind}, permitted"] == "ConnectionResetError"
    assert {said for name, said in said.items() if name.startswith("WireGuard")} == {"ConnectionRefusedError"}
    assert (told["vpn"]["SSTP"]["status"], told["vpn"]["SSTP, told nobody"]["status"]) in {(0, 0), (403, 0)}


def test_one_name_in_the_greeting_and_another_in_the_request(told):
    assert {name: each["status"] for name, each in told["fronting"].items()} == {"http1.1": 403, "http2": 403}


def test_dns_over_https(told):
    got = told["encrypted_dns"]
    assert (got["named"]["status"], got["by address"]["status"]) == (403, 403)
    assert got["canary"] == [[], []]
    assert got["offers"] == [["1", ".", 'alpn="h2"'], []], "neither HTTP/3 nor keys for an encrypted greeting"


def test_a_device_with_ipv6_alone_whose_addresses_change(told):
    got = told["six_alone"]
    for address, name in (("a1", "from a1"), ("a2", "from a2"), ("a3", "a new address")):
        assert seen_from(got[name]) == f"fd99:3::{address}", "permitted by device, whatever it calls itself"
    assert seen_from(got["inspected"]) == "45.33.32.1"
    assert got["blocked"]["status"] == 403
    assert got["another resolver"] == ["2a00:1450:1::20"]
    assert {said for said, _ in got["out"].values()} == {"ConnectionRefusedError"}


def test_applying_again_while_much_goes_on(told):
    got = told["under_load"]
    assert got["times"]
    assert (got["codes"], set(got["sizes"])) == ([0, 0, 0], {32 << 20})


def test_a_real_browser(told):
    got = told["browsed"]
    for name, issuer in (("direct", "The little internet"), ("inspected", "Schoolgate"), ("again", "The little internet")):
        assert got[name]["status"] == 200
        assert issuer in got[name]["issuer"]
    assert "This site is blocked: Gambling" in got["blocked"]["text"]
    assert got["QUIC refused"], "it took the site's offer of HTTP/3,"
    assert got["again"]["by"] in {"h2", "http/1.1"}, "was refused, and came by TCP"
    assert got["again"]["took"] < 10


def test_what_is_signed_beside_the_filtered_web(told):
    """A port within seconds, for that network alone; reversed it is shut, and what runs over it ends."""
    got = told["passages"]
    assert got["before"]["mail"][0] == "ConnectionRefusedError"
    running, staff, guest, shown = got["opened"]
    assert (running, staff["mail"][0], guest["mail"][0]) == (True, "open", "ConnectionRefusedError")
    assert "staff (10.99.5.0/24): devices may also use TCP port 993" in shown
    assert (got["applied again"][:2], got["applied again"][2]["mail"][0]) == ([0, True], "open"), "nothing is lost"
    code, why, staff = got["reversed"]
    assert (code, staff["mail"][0]) == (1, "ConnectionRefusedError")
    assert "ConnectionResetError" in why, "ended, not left hanging"
    assert (got["reached"][0], got["reached"][1]["a guest"][0]) == (True, "ConnectionRefusedError")


def test_a_network_that_is_not_filtered_by_signature(told):
    got = told["passages"]
    assert seen_from(got["unfiltered"]["blocked"]) == "10.99.5.10"
    assert got["unfiltered"]["another resolver"] == ["45.33.32.66"], "8.8.8.8 itself"
    assert got["filtered"] == ["10.99.1.1"], "ours again, by which it is blocked"
    assert (got["after"][0]["mail"][0], got["after"][1]) == ("ConnectionRefusedError", True)
