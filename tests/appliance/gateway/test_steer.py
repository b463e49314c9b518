"""The process that steers, with a kernel of the test's own."""

import asyncio
import json
from dataclasses import dataclass, field

import pytest

from appliance.gateway.names import Numbers
from appliance.gateway.netlink import Element, Flow, flow_of
from appliance.gateway.ruleset import GREETED, HELLO, REVOKED
from appliance.gateway.settings import read
from appliance.gateway.steer import ALIVE_S, Near, Steer
from monitoring.coverage import Tally, seen
from policy.event import Event
from policy.rules import Action, SiteRule

PUPIL, DEVICE, SITE = "127.20.3.5", b"\x02\0\0\0\0\x05", "45.33.32.1"
CONFIG = read(
    {
        "outside": "w",
        "admin": ["10.0.0.0/8"],
        "networks": {
            "a": {"interface": "l", "prefixes": ["127.20.3.0/24"]},
            "far": {"interface": "m", "prefixes": ["127.20.9.0/24"], "routed": True},
        },
    }
)


@dataclass
class Kernel:
    written: list[Element] = field(default_factory=list)
    running: list[Flow] = field(default_factory=list)
    marks: list[tuple[str, int]] = field(default_factory=list)
    recorded: list[Event] = field(default_factory=list)
    fails: bool = False

    def write(self, elements):
        if self.fails:
            raise OSError("no")
        self.written += elements

    def flows(self, mark):
        return [flow for flow in self.running if flow.mark == mark]

    def remark(self, flow, mark):
        self.marks.append((flow.to, mark))
        return True


@dataclass
class Live:
    snapshot: object

    def refresh(self):
        return False


@pytest.fixture
def made(make_snapshot, at, tmp_path):
    live, kernel = Live(make_snapshot()), Kernel()
    numbers = Numbers(tmp_path / "names")
    near, tally = Near(CONFIG, lambda: {PUPIL: DEVICE, "127.20.9.5": DEVICE}), Tally(tmp_path / "coverage", at)
    steer = Steer(live, kernel, near, numbers, tally, kernel.recorded.append, lambda: at)
    yield steer, kernel, live
    numbers.close()


def ask(steer, *questions):
    return [json.loads(line) for line in steer.answer([json.dumps(each).encode() for each in questions]).splitlines()]


def permit(number, host, client=PUPIL, address=SITE):
    return [number, "permit", "dns", client, host, [address]]


def test_questions_together_are_one_batch(made):
    steer, kernel, _ = made
    said = ask(steer, permit(1, "news.example"), [2, "name", "a.example"], permit(3, "bet.example"), ["beat"])
    assert said == [[1, 600.0], [2, 1], [3, 0.0]]
    assert [each.set for each in kernel.written] == ["direct_mac4"]
    ask(steer, permit(4, "news.example", "127.20.9.5"))
    assert kernel.written[-1].set == "direct_ip4", "behind a router the MAC is the router's"


@pytest.mark.parametrize("line", [b"", b"[]", b'[1,"open"]', b'{"permit":1}', b'[1,"permit","dns",7,"x",[]]', b"\xff"])
def test_other_words_are_refused(made, line):
    with pytest.raises(ValueError):
        made[0].answer([line])


def test_what_the_kernel_did_not_take_is_not_said(made):
    steer, kernel, _ = made
    kernel.fails = True
    with pytest.raises(OSError, match="no"):
        ask(steer, permit(1, "news.example"))


def test_a_change_of_policy_reaches_permits_and_running_connections(made, make_snapshot):
    steer, kernel, live = made
    ask(steer, permit(1, "news.example"), permit(2, "helpline.example", address="45.33.32.2"))
    ends = [
        flow_of(bytes([127, 20, 3, 5]), bytes([45, 33, 32, each]), (4000, 443), mark)
        for each, mark in ((1, HELLO), (2, GREETED), (3, GREETED))
    ]
    kernel.running, kernel.written = ends, []
    asyncio.run(steer.look())
    assert (kernel.written, kernel.marks) == ([], []), "nothing has changed"
    live.snapshot = make_snapshot(site_rules=(SiteRule("r", "news.example", Action.BLOCK, 1),))
    asyncio.run(steer.look())
    assert {each.set for each in kernel.written} == {"direct_mac4", "until_mac4"}
    assert {each.seconds for each in kernel.written} == {0}
    assert kernel.marks == [(SITE, REVOKED), ("45.33.32.3", REVOKED)], "what nobody knows ends too"


def test_first_words(made):
    from .test_greetings import SYN, hello, packet  # its little world of packets

    steer, kernel, _ = made
    ask(steer, permit(1, "news.example"))
    for name in ("news.example", "bet.example", "a_b..example"):
        steer.shown([("", SYN), ("", packet(hello(name) if ".." not in name else b"\x16\3\1", 100))])
    assert [mark for _, mark in kernel.marks] == [REVOKED, REVOKED], "from an address of no school, to one never permitted"
    assert steer.unnamed == 2


def test_what_became_of_connections_is_counted_and_attempts_are_recorded(made, at, tmp_path):
    from .test_greetings import hello, packet

    steer, kernel, _ = made
    pupil, stranger = bytes([127, 20, 3, 5]), bytes([10, 9, 9, 9])
    syn = [packet(b"", 99, 2, between=(each, bytes([45, 33, 32, 9]))) for each in (pupil, stranger)]
    steer.shown([("content", syn[0]), ("name", syn[0]), ("name", syn[0]), ("refused", syn[1]), ("refused", b"")])
    steer.shown([("", syn[0]), ("", packet(hello("bet.example"), 100, between=(pupil, bytes([45, 33, 32, 9]))))])
    steer.counting._tally.write()
    network, device = seen(tmp_path / "coverage", at, 1)
    assert (network.device, device.device) == ("", "02:00:00:00:00:05")
    assert device.counts == {"content": 1, "name": 2, "forwarded": 0, "refused": 0, "unresolved": 0}
    (event,) = kernel.recorded
    assert (event.school, event.address, event.host) == ("hillview", PUPIL, "bet.example")
    assert event.detail == "bypass:wrong name"


def test_heartbeats(made, at):
    steer, kernel, _ = made

    def beat(proxy=True):
        kernel.written = []
        steer.beat(proxy=proxy)
        return {each.set: each.seconds for each in kernel.written}

    assert beat() == {"steer_alive": ALIVE_S, "proxy_alive": ALIVE_S}, "no resolver has said that it lives"
    ask(steer, ["beat"])
    assert beat(proxy=False) == {"steer_alive": ALIVE_S}
    assert beat() == {"steer_alive": ALIVE_S, "proxy_alive": ALIVE_S, "filter_alive": ALIVE_S}
    steer.beaten = at - 4
    assert beat()["filter_alive"] == ALIVE_S - 4, "as long after the resolver's last beat, not after ours"
