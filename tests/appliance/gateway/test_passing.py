"""What signed policy lets by: stretches, the rules of each, the kernel's own judgement of them, and what runs already."""

import asyncio
import subprocess
from dataclasses import dataclass, field
from ipaddress import ip_network

import pytest

from appliance.gateway import nft
from appliance.gateway.netlink import Flow, flow_of
from appliance.gateway.passing import Passing, filling, lets, stretches, unfiltered
from appliance.gateway.ruleset import PASSED, STOPPED, removed, ruleset
from policy.passages import NOTHING, Way

from .test_ruleset import CONFIG, PORTS

SERVERS = Way(filtered=False)
STAFF = Way(("tcp/993", "udp/5000-5100"), ("10.4.0.0/24", "10.3.0.128/25"), when_dead="direct")


def ways(**given):
    """By the last number of a network's address."""
    return {ip_network(name): way for name, way in given.items()}


WAYS = {ip_network("10.2.0.0/24"): STAFF, ip_network("10.4.0.0/24"): SERVERS, ip_network("10.2.0.64/26"): NOTHING}


def rules(of=WAYS):
    return [
        line.removeprefix("add rule inet schoolgate ")
        for line in filling(CONFIG, stretches(CONFIG, of)).text.splitlines()
        if line.startswith("add rule")
    ]


def test_stretches_meet_the_wires_and_never_overlap():
    found = {
        (one.inside.name, str(one.prefix)): one for one in stretches(CONFIG, WAYS | {ip_network("10.0.0.0/8"): Way(("all",))})
    }
    assert found["pupils", "10.1.0.0/24"].way.ports == ("all",), "a network around it"
    assert found["pupils", "fd00:1::/64"].way == NOTHING
    assert (found["staff", "10.2.0.0/24"].way, found["staff", "10.2.0.64/26"].way) == (STAFF, NOTHING)
    staff = found["staff", "10.2.0.0/24"]
    assert (staff.holds("10.2.0.5"), staff.holds("10.2.0.70"), staff.holds("fd00:1::5")) == (True, False, False)
    assert staff.match("saddr") == "ip saddr 10.2.0.0/24 ip saddr != { 10.2.0.64/26 }"


def test_where_nothing_is_signed_no_rule_comes():
    assert rules({}) == []
    assert unfiltered(CONFIG, WAYS) == {"servers"}


def test_the_rules_of_each_stretch():
    found = rules()
    comes = 'iifname "lan1" ip saddr 10.2.0.0/24 ip saddr != { 10.2.0.64/26 }'
    assert f"reached {comes} ip daddr 10.4.0.0/24 accept" in found
    assert f"reached {comes} ip daddr 10.3.0.128/25 accept" in found, "a part of an inside network"
    assert f"lasting {comes} meta l4proto tcp tcp dport {{ 80, 443 }} jump web" in found
    assert [each for each in found if "993" in each and each.endswith("accept")] == [
        f'passed {comes} oifname "wan0" meta l4proto tcp tcp dport {{ 993 }} ct mark set ct mark and 0xffffff00 or 0x08 accept'
    ]
    assert 'unsteered iifname "lan3" ip saddr 10.4.0.0/24 accept' in found
    assert not [each for each in found if "lan0" in each]


def test_what_lies_outside_the_wires_is_never_reached():
    out = {ip_network("10.2.0.0/24"): Way(reach=("0.0.0.0/0", "10.9.0.0/16"))}
    reached = [each.split("ip daddr ")[1].split()[0] for each in rules(out) if each.startswith("reached")]
    assert reached == ["10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24", "10.4.0.0/24"]


def flow(source, to, port, protocol=6, mark=PASSED):
    made = flow_of(bytes(map(int, source.split("."))), bytes(map(int, to.split("."))), (4000, port), mark)
    return Flow(
        made.source,
        made.to,
        made.mark,
        made.tuple.replace(bytes([5, 0, 1, 0, 6]), bytes([5, 0, 1, 0, protocol])),
        made.family,
    )


@pytest.mark.parametrize(
    ("source", "to", "port", "protocol", "good"),
    [
        ("10.2.0.5", "9.9.9.9", 993, 6, True),
        ("10.2.0.70", "9.9.9.9", 993, 6, False),  # its part has a way of its own
        ("10.2.0.5", "9.9.9.9", 994, 6, False),
        ("10.2.0.5", "9.9.9.9", 5050, 17, True),
        ("10.2.0.5", "9.9.9.9", 0, 47, False),
        ("10.2.0.5", "10.4.0.9", 22, 6, True),
        ("10.2.0.5", "10.3.0.9", 22, 6, False),
        ("10.2.0.5", "10.3.0.200", 22, 6, True),
        ("10.4.0.5", "9.9.9.9", 443, 6, True),
        ("10.4.0.5", "9.9.9.9", 0, 47, True),
        ("10.4.0.5", "10.2.0.5", 22, 6, False),
        ("10.1.0.5", "9.9.9.9", 993, 6, False),
        ("192.0.2.5", "9.9.9.9", 993, 6, False),  # of no network of ours
    ],
)
def test_what_runs_is_judged_by_the_same_ways(source, to, port, protocol, good):
    assert lets(stretches(CONFIG, WAYS), CONFIG, flow(source, to, port, protocol)) is good


@dataclass
class Kernel:
    mark: bytes = b""
    running: list = field(default_factory=list)
    marks: list = field(default_factory=list)
    filled: list = field(default_factory=list)
    there: bool = True

    def has(self, name, key):
        return key == self.mark

    def flows(self, mark):
        return [each for each in self.running if each.mark == mark]

    def remark(self, flow, mark):
        self.marks.append((flow.source, mark))
        return True

    def fill(self, text):
        if not self.there:
            raise nft.Refused("no table")
        self.filled.append(text)
        self.mark = bytes.fromhex(text.rsplit("0x", 1)[1][:8])[::-1]


@dataclass
class Policy:
    schools: dict


def test_a_change_reaches_the_kernel_and_what_runs(make_snapshot):
    kernel = Kernel(
        running=[
            flow("10.2.0.5", "9.9.9.9", 993),
            flow("10.2.0.6", "9.9.9.9", 51820, 17, STOPPED),
            flow("10.2.0.7", "9.9.9.9", 25, 6, STOPPED),
        ]
    )
    passing, snapshot = Passing(CONFIG, kernel, kernel.fill), make_snapshot()
    asyncio.run(passing.look(snapshot))
    asyncio.run(passing.look(snapshot))
    assert (len(kernel.filled), kernel.marks, passing.ended) == (1, [("10.2.0.5", STOPPED)], 1), "filled once, and ended"
    kernel.mark = b""
    asyncio.run(passing.look(snapshot))
    assert len(kernel.filled) == 2, "the rules were taken away and came again"


def test_what_is_not_tcp_may_go_on_when_policy_says_so():
    kernel = Kernel(running=[flow("10.4.0.6", "9.9.9.9", 51820, 17, STOPPED), flow("10.4.0.7", "9.9.9.9", 25, 6, STOPPED)])
    passing = Passing(CONFIG, kernel, kernel.fill)
    passing._stretches = stretches(CONFIG, WAYS)
    passing.judge()
    assert kernel.marks == [("10.4.0.6", PASSED)]


def test_without_rules_in_the_kernel_it_waits(make_snapshot, caplog):
    kernel = Kernel(there=False)
    passing = Passing(CONFIG, kernel, kernel.fill)
    asyncio.run(passing.look(make_snapshot()))
    asyncio.run(passing.look(make_snapshot()))
    assert caplog.text.count("gateway apply") == 1


def test_the_kernel_takes_it_and_says_that_it_is_there(tmp_path):
    """In a namespace of its own: filled, kept while the rules are applied again, emptied, and refused where there are none."""
    base, full, none, gone = (tmp_path / name for name in ("base", "full", "none", "gone"))
    made = filling(CONFIG, stretches(CONFIG, WAYS | {ip_network("fd00:1::/64"): Way(("all",), ("10.4.0.0/24",))}))
    base.write_text(ruleset(CONFIG, PORTS))
    full.write_text(made.text)
    none.write_text(filling(CONFIG, []).text)
    gone.write_text(removed())
    count = "nft list table inet schoolgate | grep -c 0x00000008"
    asked = f"{__import__('sys').executable} -c \"from appliance.gateway.netlink import Netlink; print(Netlink().has('in_force', bytes.fromhex('{made.mark.hex()}')))\""
    script = (
        f"nft -f {full}; echo refused $?; nft -f {base} && {asked}; nft -f {full} && nft -f {base} && {count} && {asked} && "
        f"nft -f {none} && {count}; {asked}; nft -f {gone}; {asked}"
    )
    ways = (["unshare", "--net"], ["unshare", "--user", "--map-root-user", "--net"])
    unshare = next(way for way in ways if subprocess.run([*way, "true"], capture_output=True, check=False).returncode == 0)
    done = subprocess.run([*unshare, "sh", "-c", script], capture_output=True, text=True, check=False)
    said = done.stdout.split("\n")
    assert said[:2] == ["refused 1", "False"], done.stderr
    assert int(said[2]) >= 8
    assert said[3:7] == ["True", "0", "False", "False"], done.stderr
