"""A school's device that is not at school: DNS over HTTPS and TLS to a whole box, and what the box says of it."""

import base64
import json
import os
import sqlite3
import ssl
import subprocess
from contextlib import closing

import dnslib
import httpx2
import pytest
from playwright.sync_api import Error, sync_playwright

from .browsing import CHROMIUM, QUIET
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
    def counted():
        by_https(box, "/hillview/ks3", "crazygames.com")  # the kernel says which worker gets it
        return 'transport="doh"} 0' not in client.get(metrics).text

    with httpx2.Client(verify=ssl.create_default_context(cafile=box.ca)) as client:
        metrics = box.ready["admin"] + "/metrics"
        until(counted, 30, "each worker has counted")
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


@pytest.fixture
def answered_nxdomain(box):
    """Oakfield's head has blocked names answered as if they did not exist, and takes that back afterwards."""
    head = box.desk("oakfield-head")
    change = box.desk("oakfield-technician").ask("oakfield", kind="answer", answer="nxdomain")
    assert head.act("approve", change).json()["state"] == "in_force"
    until(lambda: box.resolves("bet365.com", "127.10.1.5") == "NXDOMAIN", 10, "the school's new answer is in force")
    yield
    assert head.act("reverse", change).json()["state"] == "reversed"


@pytest.mark.browser
def test_chromium_with_secure_dns_keeps_the_schools_policy(box, internet, answered_nxdomain, tmp_path):
    database = tmp_path / ".pki" / "nssdb"
    database.mkdir(parents=True)
    subprocess.run(["certutil", "-d", f"sql:{database}", "-N", "--empty-password"], check=True, capture_output=True)
    for name, file in (("Schoolgate", box.ca), ("Internet", internet.ca)):
        trust = ["certutil", "-d", f"sql:{database}", "-A", "-t", "C,,", "-n", name, "-i", str(file)]
        subprocess.run(trust, check=True, capture_output=True)
    profile = tmp_path / "profile"
    profile.mkdir()
    template = f"https://localhost:{port(box, 'doh')}/dns-query/oakfield/ks1"
    secure = {"dns_over_https": {"mode": "secure", "templates": template}}
    (profile / "Local State").write_text(json.dumps(secure))
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(profile), executable_path=CHROMIUM, headless=True, args=QUIET, env={**os.environ, "HOME": str(tmp_path)}
        )
        page = context.pages[0]
        page.goto(box.https("en.wikipedia.org", "/wiki/Otter"))
        assert page.get_by_role("heading", level=1).text_content() == "This is en.wikipedia.org/wiki/Otter"
        with pytest.raises(Error, match="ERR_NAME_NOT_RESOLVED"):
            page.goto(box.https("bet365.com"))
        context.close()
    assert internet.fetched["bet365.com"] == 0

    def recorded():
        with closing(sqlite3.connect(box.data / "log.sqlite3", timeout=10)) as log:
            return log.execute(
                "SELECT 1 FROM events WHERE school = 'oakfield' AND network = 'h-ks1' AND host = 'bet365.com' AND action = 'block'"
            ).fetchall()

    until(recorded, 20, "it is in the filter log, as that listener's")
