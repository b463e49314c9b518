"""Why this answer? Asked of a running resolver over its socket; and what it counts."""

import json
import socket
from dataclasses import replace

import pytest

from dns.asking import NobodyThere, ask, how
from dns.counters import Counters
from dns.explain import _client, _told
from policy.decide import Decision, Reason
from policy.identity import waiting_group
from policy.rules import Action, Handling, Portal


@pytest.fixture
def asking(running, make_live, upstream, tmp_path):
    upstream.zone["news.example", "A"] = "news.example. 300 IN A 203.0.113.7"
    upstream.zone["shop.example", "A"] = "shop.example. 300 IN CNAME bet.example.\nbet.example. 300 IN A 203.0.113.9"
    path = tmp_path / "explain" / "dns-1.sock"

    def asked(name, **more):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(str(path))
            sock.sendall(
                json.dumps({"name": name, "type": "A", "school": "hillview", "group": "ks3", **more}).encode() + b"\n"
            )
            with sock.makefile("rb") as stream:
                return json.loads(stream.readline())

    with running(make_live(), upstream.address, explain_socket=str(path)) as server:
        server.ask("bet.example")  # by now the socket is open
        server.events.clear()
        yield asked, server, path
    assert not path.exists()


def test_each_step_is_named(asking):
    asked, server, path = asking
    said = [
        asked(name) for name in ("bet.example", "news.example", "shop.example", "use-application-dns.net", "gone.example")
    ]
    assert [(one["step"], one["action"], one["rcode"]) for one in said] == [
        ("decision", "block", "NOERROR"),
        ("upstream", "allow", "NOERROR"),
        ("upstream, then the screen", "block", "NOERROR"),
        ("ourselves", "block", "NXDOMAIN"),
        ("upstream", "allow", "NXDOMAIN"),
    ]
    assert said[0]["worker"] == "dns-1"
    assert said[2]["detail"] == "via bet.example"
    assert ["Gambling" in one["ede"] for one in said[:3]] == [True, False, True]
    assert server.events == []  # nobody asked
    server.ask("news.example")
    assert asked("NEWS.example.")["step"] == "cache"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("more", "why"), [
    ({"group": "ks9"}, "no group 'ks9'"),
    ({"school": "x"}, "of a school 'x'"),
    ({"type": "NONE"}, "no records of type NONE"),
    ({"name": "a" * 80 + ".example"}, "A name is made of"),
])  # fmt: skip
def test_what_cannot_be_asked_is_said_plainly(asking, more, why):
    assert why in asking[0](**{"name": "bet.example", **more})["error"]


def test_it_is_asked_over_the_data_folder(running, make_live, upstream, tmp_path):
    with running(make_live(), upstream.address, explain_socket=str(tmp_path / "run" / "explain" / "dns-1.sock")) as server:
        server.ask("bet.example")
        (tmp_path / "run" / "explain" / "dns-0.sock").touch()  # of a worker that is gone
        told = ask(tmp_path, "bet.example", "A", "hillview", "ks3")
        assert how(told) == "decided by policy, before anything was looked up"
    with pytest.raises(NobodyThere):
        ask(tmp_path, "bet.example", "A", "hillview", "ks3")


def test_of_the_sealed_list_no_more_is_told_than_that_it_blocks():
    sealed = Decision(Action.BLOCK, Handling.INSPECT, Reason.SEALED, list="secret")
    told = _told("decision", sealed, bytes.fromhex("000081830000000000000000"), "")
    assert (told["action"], told["reason"], told["category"]) == ("block", "blocked", None)


def test_whoever_has_to_sign_in_first_is_asked_about_too(make_live):
    made = make_live().snapshot
    school = made.schools["hillview"]
    (network, *_) = school.networks
    waiting = waiting_group(network.id)
    with pytest.raises(ValueError, match="knows no group"):
        _client(made, "hillview", waiting)
    required = replace(school, portals=(Portal("p7", network.id, 7, required=True),))
    made = replace(made, schools={**made.schools, "hillview": required})
    assert _client(made, "hillview", waiting).group == waiting


def test_counters_add_up():
    counters = Counters()
    counters.decisions["block", "sealed"] += 2
    for seconds in (0.0005, 0.001, 0.3, 9.0):
        counters.took(seconds)
    told = counters.told(unsent=1)
    assert told["decisions"] == {"block sealed": 2}
    assert told["upstream"]["buckets"][0] == ("0.001", 2)
    assert told["upstream"]["buckets"][-1] == ("+Inf", 1)
    assert sum(count for _, count in told["upstream"]["buckets"]) == 4
    assert told["troubles"] == {"unsent": 1}
    assert json.loads(json.dumps(told))


def test_a_worker_counts_what_it_does(running, make_live, upstream):
    upstream.zone["news.example", "A"] = "news.example. 300 IN A 203.0.113.7"
    with running(make_live(), upstream.address) as server:
        for name in ("bet.example", "n1.bet.example", "n2.bet.example", "news.example", "news.example"):
            server.ask(name)
        server.ask("news.example", edns=True)
        told = server.told()
    assert told["queries"]["udp"] == 6
    assert told["decisions"] == {"allow phase_default": 3, "block phase_default": 3}
    assert told["replies"] == {"ready": 3, "cache": 1, "upstream": 1, "ourselves": 1, "failure": 0}
