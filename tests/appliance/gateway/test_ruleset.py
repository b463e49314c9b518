"""The text of the rules: what must stand before what, and that this kernel takes it."""

import subprocess
from dataclasses import replace

from appliance.gateway.ruleset import OPEN, Ports, removed, ruleset
from appliance.gateway.settings import read

CONFIG = read(
    {
        "outside": "wan0",
        "admin": ["10.0.9.0/24", "fd00:9::/64"],
        "masquerade": True,
        "networks": {
            "pupils": {"interface": "lan0", "prefixes": ["10.1.0.0/24", "fd00:1::/64"]},
            "staff": {"interface": "lan1", "prefixes": ["10.2.0.0/24"], "desk": True},
            "guests": {"interface": "lan2", "prefixes": ["10.3.0.0/24"], "routed": True},
            "servers": {"interface": "lan3", "prefixes": ["10.4.0.0/24"]},
        },
    }
)
PORTS = Ports((5300, 5301), (8081, 8082), (80, 443), (8443,))


def chain(text: str, name: str) -> list[str]:
    """The rules of a chain."""
    filled = text.split(f"  chain {name} {{\n")[1].split("\n  }", maxsplit=1)[0]
    return [line.strip() for line in filled.splitlines()]


def test_the_guard_comes_first():
    text = ruleset(CONFIG, PORTS)
    guard = "fib daddr type local tcp dport { 22, 8443 } ip saddr { 10.0.9.0/24 } accept"
    assert chain(text, "steer")[0] == guard
    assert chain(text, "input")[1] == guard
    assert "ip6 saddr { fd00:9::/64 } accept" in chain(text, "steer")[1]


def test_nothing_is_forwarded_that_no_rule_lets_by():
    text = ruleset(CONFIG, PORTS)
    for name in ("forward", "input"):
        assert f"chain {name} {{ type filter hook {name} priority 0; policy drop; }}" in text
    for network in ("pupils", "staff", "guests", "servers"):
        lets = [rule for rule in chain(text, f"from_{network}") if rule.endswith("accept") and "ct mark" not in rule]
        assert lets == [f'oifname "wan0" {each} type echo-request accept' for each in ("icmp", "icmpv6")]


def test_when_the_filter_dies():
    """Only what policy lets last goes on: those chains stand before the rule that closes, and this file leaves them empty."""
    text = ruleset(CONFIG, PORTS)
    steer, web = chain(text, "steer"), chain(text, "web")
    closes = next(n for n, rule in enumerate(steer) if "@filter_alive" in rule)
    assert (steer[closes - 1], steer[closes + 1]) == ("jump lasting", "meta l4proto tcp tcp dport { 80, 443 } jump web")
    assert steer[closes].startswith("tcp dport { 80, 443 } meta l4proto != @filter_alive ")
    assert all("@proxy_alive" in rule for rule in web if "redirect" in rule)
    assert web[-1] == 'log prefix "refused" group 1107 ct mark set ct mark and 0xffffff00 or 0x04 accept', (
        "what nothing takes is refused"
    )
    assert all(f"  chain {name} {{ }}" in text and f"flush chain inet schoolgate {name}" not in text for name in OPEN)


def test_until_its_first_words_are_judged_a_connection_is_no_tunnel():
    forward = chain(ruleset(CONFIG, PORTS), "forward")
    held = [rule for rule in forward if rule.endswith(" drop") and "ct mark and 0xff == 0x02" in rule]
    assert [rule.partition("@ih")[0].split()[-1] for rule in held] == ["443", "443", "80"]
    assert forward.index(held[-1]) < forward.index("ct state established,related accept")
    assert "log group" in forward[forward.index(held[0]) - 1], "what is held back is shown before it is"


def test_permits_are_renewed_when_used_but_not_past_policy():
    web = chain(ruleset(CONFIG, PORTS), "web")
    assert sum("update @direct_" in rule for rule in web) == 4
    assert not any("update @until_" in rule for rule in web)


def test_a_resolver_on_port_53_is_reached_by_who_asks_the_box_itself():
    """Brought from port 53 to port 53 is not translated, as the kernel sees it."""
    rule = 'iifname { "lan0", "lan1", "lan2", "lan3" } meta nfproto ipv4 meta l4proto { tcp, udp } th dport 53 accept'
    assert rule in chain(ruleset(CONFIG, replace(PORTS, dns=(53, 5301))), "input")
    assert not [each for each in chain(ruleset(CONFIG, PORTS), "input") if "dport 53" in each]


def test_the_desk_is_for_those_who_may():
    (rule,) = [rule for rule in chain(ruleset(CONFIG, PORTS), "input") if "8443" in rule and "saddr" not in rule]
    assert rule == 'iifname { "lan1" } meta l4proto tcp tcp dport { 8443 } accept'


def test_a_family_without_listeners_is_closed_not_open():
    text = ruleset(CONFIG, Ports((5300, 0), (8081, 0)))
    assert "redirect to :0" not in text
    assert "meta nfproto ipv6 meta l4proto udp th dport 53 counter name dns drop" in chain(text, "steer")


def test_a_ruleset_says_what_it_is():
    text = ruleset(CONFIG, PORTS)
    assert text == ruleset(CONFIG, PORTS)
    assert text.splitlines()[0] != ruleset(replace(CONFIG, masquerade=False), PORTS).splitlines()[0]


def test_the_kernel_takes_it_again_and_again(tmp_path):
    """In a namespace of its own: loaded twice, elements kept, taken away twice."""
    rules, gone = tmp_path / "rules", tmp_path / "gone"
    rules.write_text(ruleset(CONFIG, PORTS))
    gone.write_text(removed())
    element = "add element inet schoolgate direct_ip4 { 10.3.0.1 . 9.9.9.9 }"
    script = (
        f"nft -f {rules} && nft '{element}' && nft -f {rules} && nft list set inet schoolgate direct_ip4 && "
        f"nft -f {gone} && nft -f {gone} && nft list ruleset"
    )
    ways = (["unshare", "--net"], ["unshare", "--user", "--map-root-user", "--net"])
    unshare = next(way for way in ways if subprocess.run([*way, "true"], capture_output=True, check=False).returncode == 0)
    done = subprocess.run([*unshare, "sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "10.3.0.1 . 9.9.9.9" in done.stdout
    assert "chain" not in done.stdout
