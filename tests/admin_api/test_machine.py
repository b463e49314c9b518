"""Health and metrics, and how the desk says what is in force."""

import json
import os

from starlette.testclient import TestClient

URL = "https://localhost:8443"


def test_health(world):
    assert world.stranger().get("/healthz").json() == {"ok": True, "logs": 3}


def test_metrics_are_for_this_machine(world):
    world.ask()
    assert world.stranger().get("/metrics").status_code == 403
    client = TestClient(world.app, base_url="https://127.0.0.1:8443", client=("127.0.0.1", 4000))
    text = client.get("/metrics").text
    assert 'schoolgate_requests_waiting{log="oakfield"} 1' in text
    assert 'schoolgate_workers_in_force{log="hillview"} 2' in text
    assert "schoolgate_policy_problems 0" in text
    assert client.get("/sign-in").status_code == 400


def test_metrics_have_what_the_resolver_counts(world):
    folder = world.data / "run" / "counters"
    folder.mkdir(parents=True)
    said = {
        "worker": "dns-1",
        "queries": {"udp": 12, "doh": 3},
        "decisions": {"block sealed": 2},
        "replies": {"ready": 9},
        "dropped": {"malformed": 1},
        "upstream": {"buckets": [["0.001", 4], ["+Inf", 1]], "sum": 9.5},
        "troubles": {"unsent": 0},
        "upstreams": [{"name": "10.0.0.1:53", "asked": 7, "lost": 1, "latency": 0.0125, "rests": False}],
    }
    (folder / "dns-1.json").write_text(json.dumps(said))
    (folder / "dns-2.json").write_text("half a")
    (folder / "steer.json").write_text('{"worker": "steer", "permits": 7}')
    client = TestClient(world.app, base_url="https://127.0.0.1:8443", client=("127.0.0.1", 4000))
    text = client.get("/metrics").text
    for line in (
        'schoolgate_dns_queries_total{worker="dns-1",transport="udp"} 12',
        'schoolgate_dns_decisions_total{worker="dns-1",decision="block sealed"} 2',
        'schoolgate_dns_upstream_seconds_bucket{worker="dns-1",le="+Inf"} 5',
        'schoolgate_dns_upstream_seconds_count{worker="dns-1"} 5',
        "# TYPE schoolgate_dns_upstream_seconds histogram",
        'schoolgate_dns_upstream_latency_seconds{worker="dns-1",upstream="10.0.0.1:53"} 0.0125',
        'schoolgate_dns_upstream_rests{worker="dns-1",upstream="10.0.0.1:53"} 0',
    ):
        assert line in text.splitlines()
    page = world.browser("tom").get("/resolver").text
    for words in (
        "by HTTPS 3",
        "not DNS 1",
        "Illegal content, which nobody can open",
        "10.0.0.1:53",
        "12.5 ms",
        "up to 1 ms",
    ):
        assert words in page


def test_a_worker_that_is_gone_is_not_counted(world):
    helen = world.browser("helen")
    assert "In force on 2 of 2" in helen.get("/").text
    path = world.data / "run" / "workers" / "dns-1.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "pid": 2**22 + 1}))
    assert "In force on 1 of 2" in helen.get("/").text
    path.write_text("half a fi")
    assert "In force on 1 of 2" in helen.get("/").text
    path.write_text(json.dumps({**said, "pid": os.getpid(), "revisions": {}}))
    assert "In force on 1 of 2" in helen.get("/").text


def test_what_a_worker_refused_is_shown_at_its_school_alone(world):
    path = world.data / "run" / "workers" / "dns-1.json"
    said = json.loads(path.read_text())
    problems = {"oakfield": "oakfield: x.json: the proof does not hold", "hillview": "hillview: y.json: rolled back"}
    path.write_text(json.dumps({**said, "problems": problems}))
    text = world.browser("helen").get("/").text
    assert "the proof does not hold" in text
    assert "rolled back" not in text
    assert world.browser("helen").api("GET", "/status").json()["problems"] == [problems["oakfield"]]


def test_a_rule_inserted_by_sql_stops_acts_and_not_the_pages(world):
    from sqlalchemy import text

    change = world.ask()
    with world.store.write() as session:
        session.execute(text("UPDATE documents SET text = replace(text, 'Years 3-6', 'Years 3-7') WHERE log = 'oakfield'"))
    helen = world.browser("helen")
    for page in (
        "/",
        "/requests",
        f"/requests/{change}",
        "/rules",
        "/changes",
        "/changes?check=true",
        "/why?site=a.com&group=ks2",
    ):
        assert helen.get(page).status_code == 200, page
    answer = helen.sign("approve", change)
    assert answer.status_code == 503
    assert "does not agree with what was signed" in answer.text
    assert "The change log does not agree" in helen.get("/changes?check=true").text


def test_an_address_that_is_not_there_is_a_page_with_a_way_on(world):
    answer = world.browser("helen").get("/nothing")
    assert answer.status_code == 404
    assert "Back to today" in answer.text
    assert world.stranger().get("/nothing").status_code == 404


def test_the_desk_stays_up_without_a_filter_log(world):
    from dataclasses import replace

    from admin_api.app import create_app
    from admin_api.auth import COOKIE

    cookie = world.browser("helen").client.cookies[COOKIE]
    client = TestClient(create_app(replace(world.services, log=None)), base_url=URL, cookies={COOKIE: cookie})
    change = world.ask()
    assert client.get("/").status_code == 200
    assert "no filter log on this machine" in client.get("/log").text
    assert "no filter log on this machine" in client.get(f"/requests/{change}").text
