"""The JSON API: the same services for scripts."""

import json

import pytest

from admin_api.auth import COOKIE

PASSWORD = "three random words"


def test_a_whole_journey(world):
    adam, helen = world.stranger(), world.stranger()
    for username, browser in (("adam", adam), ("helen", helen)):
        given = {"username": username, "password": PASSWORD, "totp": world.code(username)}
        answer = browser.api("POST", "/session", json=given)
        assert answer.status_code == 201
        assert COOKIE in answer.headers["set-cookie"]
    assert adam.api("GET", "/session").json()["roles"] == {"hillview": ["teacher"], "oakfield": ["teacher"]}
    assert [one["id"] for one in adam.api("GET", "/schools").json()["schools"]] == ["hillview", "oakfield"]
    asked = adam.api(
        "POST",
        "/changes",
        json={
            "school": "oakfield",
            "kind": "site",
            "site": "crazygames.com",
            "action": "allow",
            "groups": ["ks2"],
            "until": "2026-12-18",
            "reason": "coding club",
        },
    )
    assert asked.status_code == 201, asked.text
    change, digest = asked.json()["id"], asked.json()["digest"]
    assert asked.json()["state"] == "requested"
    shown = helen.api("GET", f"/changes/{change}").json()
    assert shown["sentence"].startswith("Years 3-6 may use crazygames.com until")
    assert shown["impact"]["sentence"].startswith("It would have changed nothing")
    assert {"group": "Years 3-6", "before": "block", "after": "allow"} in shown["impact"]["groups"]
    assert shown["fingerprint"] == f"{digest[:4]}-{digest[4:8]}"
    world.clock.forward(seconds=30)
    why = "/why?site=crazygames.com&group=ks2"
    assert helen.api("GET", why).json()["action"] == "block"
    done = helen.api("POST", f"/changes/{change}/approve", json={"digest": digest, "totp": world.code("helen")})
    assert done.status_code == 200, done.text
    world.workers()
    assert helen.api("GET", f"/changes/{change}").json()["in_force"] == {"on": 2, "of": 2}
    found = helen.api("GET", why).json()
    assert (found["action"], found["change"], found["reason"]) == ("allow", change, "school_site")
    assert [rule["change"] for rule in helen.api("GET", "/rules").json()["rules"]] == [change]
    assert helen.api("GET", "/ledger/verify").json()["agrees"] is True
    ledger = helen.api("GET", "/ledger?after=10").json()
    assert json.loads(ledger["entries"][-1])["kind"] == "change.approved"
    assert ledger["checkpoint"].startswith("birchwood/oakfield\n") or "oakfield" in ledger["checkpoint"]
    assert helen.api("GET", "/status").json()["in_force"] == {"on": 2, "of": 2}
    assert [one["id"] for one in helen.api("GET", "/changes?state=in_force").json()["changes"]] == [change]
    back = helen.api("POST", f"/changes/{change}/reverse", json={"digest": digest, "totp": world.code("helen")})
    assert back.json()["state"] == "reversed"
    assert helen.api("GET", why).json()["action"] == "block"
    assert helen.api("DELETE", "/session").status_code == 200
    assert helen.api("GET", "/session").status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/session"), ("DELETE", "/session"), ("GET", "/schools"), ("GET", "/changes"), ("POST", "/changes"),
        ("GET", "/changes/1"), ("POST", "/changes/1/approve"), ("POST", "/changes/1/refuse"), ("GET", "/rules"),
        ("GET", "/ledger"), ("GET", "/ledger/verify"), ("GET", "/events"), ("GET", "/why?site=a.com&group=b"),
        ("GET", "/lists"), ("GET", "/status"),
    ],
)  # fmt: skip
def test_nothing_without_a_session(world, method, path):
    body = {"json": {"kind": "site", "reason": "why not"}} if method == "POST" else {}
    answer = world.stranger().api(method, path, **body)
    assert (answer.status_code, answer.json()) in [(401, {"error": "sign in first"}), (422, answer.json())]
    assert set(answer.json()) == {"error"}


def test_who_may_not_is_told_and_noted(world):
    change = world.ask()
    for username in ("adam", "tom", "laura", "dora"):
        browser = world.browser(username)
        world.clock.forward(seconds=30)
        given = {"digest": world.digest(change), "totp": world.code(username)}
        answer = browser.api("POST", f"/changes/{change}/approve", json=given)
        assert answer.status_code == 403, username
        assert "headteacher" in answer.json()["error"]
    assert len(world.access(outcome="refused", log="oakfield")) == 4
    for username in ("adam", "tom", "laura", "dora", "gita"):
        assert world.browser(username).api("GET", "/events?school=oakfield").status_code == 403


def test_errors_have_their_numbers(world):
    change, helen = world.ask(), world.browser("helen")
    world.clock.forward(seconds=30)
    good = {"digest": world.digest(change), "totp": world.code("helen")}
    assert helen.api("POST", f"/changes/{change}/approve", json={**good, "digest": "0" * 64}).status_code == 409
    assert helen.api("POST", f"/changes/{change}/approve", json={**good, "totp": "000000"}).status_code == 403
    assert helen.api("POST", f"/changes/{change}/ratify", json=good).status_code == 409
    assert helen.api("POST", f"/changes/{change}/approve", json={"digest": "x"}).status_code == 422
    assert helen.api("POST", f"/changes/{change}/refuse", json={"reason": ""}).status_code == 422
    assert helen.api("GET", "/changes?state=sideways").status_code == 422
    assert helen.api("GET", "/changes/0").status_code == 404
    assert helen.api("GET", "/nothing").json() == {"error": "there is nothing at this address; it may have been mistyped"}
    assert helen.api("GET", "/why?site=!!&group=ks2").status_code == 422
    assert helen.api("GET", "/why?site=a.com&group=ks9").status_code == 422
    assert helen.api("GET", "/events?since=tomorrow").status_code == 422
    assert helen.api("GET", "/events?after=nowhere").status_code == 422
    plain = {"content-type": "text/plain"}
    assert helen.api("POST", f"/changes/{change}/withdraw", content="{}", headers=plain).status_code in {403, 415, 422}
    assert helen.api("POST", f"/changes/{change}/refuse", content='{"reason":"by form"}', headers=plain).status_code == 422
    assert world.state(change) == "requested"


def test_events_are_found_and_the_looking_is_noted(world):
    world.events(
        *(world.event(60 * n, host=f"site{n}.example", action="block" if n % 2 else "warn") for n in range(1, 8)),
        world.event(30, kind="search", term="how to bake bread", host="google.com", action="restrict"),
        world.event(90, school="hillview", host="site1.example"),
    )
    sara = world.browser("sara")
    hosts = [one["host"] for one in sara.api("GET", "/events?action=block").json()["events"]]
    assert hosts == ["site1.example", "site3.example", "site5.example", "site7.example"]
    assert len(sara.api("GET", "/events?words=bake").json()["events"]) == 1
    first = sara.api("GET", "/events?limit=3").json()
    rest = sara.api("GET", f"/events?limit=100&after={first['next']}").json()
    assert len(first["events"]) + len(rest["events"]) == 8
    assert rest["next"] is None
    assert [row.target for row in world.access(act="read the filter log")][:2] == ["action: block", "words: bake"]
    assert "words: bake" in world.browser("helen").get("/access").text


def test_it_describes_itself(world):
    found = world.stranger().get("/api/v1/openapi.json").json()
    assert set(found["paths"]) >= {
        "/api/v1/session", "/api/v1/schools", "/api/v1/changes", "/api/v1/changes/{number}", "/api/v1/rules",
        "/api/v1/changes/{number}/approve", "/api/v1/ledger", "/api/v1/ledger/verify", "/api/v1/events", "/api/v1/why",
        "/api/v1/lists", "/api/v1/status",
    }  # fmt: skip
    assert not any(path for path in found["paths"] if not path.startswith("/api/v1/"))
    assert all(method.get("description") for path in found["paths"].values() for method in path.values())
    assert world.stranger().get("/docs").status_code == 404
