"""A school's device that is not at school: DNS over HTTPS and TLS to a whole box, and what the box says of it."""

import base64
import json
import ssl
import subprocess

import dnslib
import httpx2

from .conftest import until


def port(box, kind):
    return box.ready[kind][0].rpartition(":")[2]


def by_https(box, token, name):
    """Status and answer of a question as a browser asks it."""
    asked = base64.urlsafe_b64encode(bytes(dnslib.DNSRecord.question(name).pack())).rstrip(b"=").decode()
    url = f"https://localhost:{port(box, 'doh')}/dns-query{token}?dns={asked}"
    done = subprocess.run(["curl", "-s", "--cacert", box.ca, url], capture_output=True, timeout=20, check=True)
    return [str(rr.rdata) for rr in dnslib.DNSRecord.parse(done.stdout).rr]


def test_the_path_says_whose_tablet_it_is(box):
    internet = by_https(box, "/hillview/staff", "tablet.crazygames.com")
    page = by_https(box, "/hillview/ks3", "crazygames.com")
    assert page == ["127.0.0.1"]
    assert box.internet.asked["tablet.crazygames.com"] == 1
    assert internet == ["127.0.0.1"]
    assert by_https(box, "/oakfield/ks1", "bet365.com") == page


def test_the_name_says_it_by_tls(box):
    command = [
        "kdig", "@127.0.0.1", "-p", port(box, "dot"), f"+tls-ca={box.ca}",
        "+tls-hostname=hillview-ks3.localhost", "crazygames.com",
    ]  # fmt: skip
    said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    assert "EDE: 17 (Filtered)" in said
    assert "PADDING" in said


def test_the_desk_counts_and_explain_tells(box):
    by_https(box, "/hillview/ks3", "crazygames.com")
    with httpx2.Client(verify=ssl.create_default_context(cafile=box.ca)) as client:
        metrics = box.ready["admin"] + "/metrics"
        until(lambda: 'transport="doh"} 0' not in client.get(metrics).text, 15, "each worker has counted")
        assert "schoolgate_dns_decisions_total{" in client.get(metrics).text
    desk = box.desk("hillview-technician").client
    page = desk.get("/why?school=hillview&group=ks3&site=crazygames.com&dns=A").text
    assert "Decided by policy, before anything was looked up" in page
    assert "crazygames.com." in page
    assert "127.0.0.1:" in desk.get("/resolver?school=hillview").text
    done = box.run("explain", "--dns", "crazygames.com", "--school", "hillview", "--group", "ks3", "--json")
    told = json.loads(done.stdout)
    assert (told["step"], told["action"], told["category"]) == ("decision", "block", "games")
    assert "no resolver" not in done.stderr
