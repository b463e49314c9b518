"""Who may speak to the desk: cookie, guards against forged requests, host, patience, headers."""

import pytest
from starlette.testclient import TestClient

from admin_api.auth import COOKIE, Attempts, onward

PASSWORD = "three random words"
URL = "https://localhost:8443"


def sign_in(world, browser, username="helen", password=PASSWORD, code=None, **more):
    data = {
        "username": username,
        "password": password,
        "code": code or (world.code(username) if username in world.secrets else "123456"),
    }
    return browser.client.post("/sign-in", data={**data, **more.pop("data", {})}, **more)


def test_the_cookie_is_ours_alone(world):
    answer = sign_in(world, world.stranger())
    assert answer.status_code == 303
    said = answer.headers["set-cookie"]
    assert said.startswith(f"{COOKIE}=")
    for flag in ("Secure", "HttpOnly", "SameSite=strict", "Path=/"):
        assert flag in said
    assert "Domain" not in said
    assert [row.outcome for row in world.access(act="sign-in", log="oakfield")] == ["done"]


@pytest.mark.parametrize("wrong", [{"username": "nobody"}, {"password": "wrong words here"}, {"code": "000000"}])
def test_wrong_credentials_are_one_answer(world, wrong):
    answer = sign_in(world, world.stranger(), **wrong)
    assert answer.status_code == 401
    assert "The user name, password or code is wrong" in answer.text or "The code is wrong" in answer.text
    assert COOKIE not in answer.headers.get("set-cookie", "")
    assert world.access(act="sign-in", outcome="refused")


def test_after_sign_out_the_cookie_is_worth_nothing(world):
    helen = world.browser("helen")
    cookie = helen.client.cookies[COOKIE]
    assert helen.post("/sign-out").status_code == 303
    helen.client.cookies.set(COOKIE, cookie, domain="localhost.local", path="/")
    assert helen.get("/").headers["location"] == "/sign-in"


def test_a_session_ends_by_itself_and_the_page_is_found_again(world):
    helen = world.browser("helen")
    world.clock.forward(minutes=61)
    assert helen.get("/changes?check=true").headers["location"] == "/sign-in?next=%2Fchanges%3Fcheck%3Dtrue"
    page = helen.get("/sign-in?next=/changes")
    assert 'value="/changes"' in page.text
    token = page.text.split('name="token" value="')[1].split('"')[0]
    world.clock.forward(seconds=30)
    answer = sign_in(world, helen, data={"next": "/changes", "token": token})  # the old cookie is still in the browser
    assert (answer.status_code, answer.headers["location"]) == (303, "/changes")


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:1", "/a\nb", ""])
def test_no_open_redirect(target):
    assert onward(target) == "/"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:8443"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": URL, "sec-fetch-site": "cross-site"},
    ],
)
def test_what_comes_from_elsewhere_is_refused(world, headers):
    change, helen = world.ask(), world.browser("helen")
    form = {"digest": world.digest(change), "code": world.code("helen")}
    assert helen.post(f"/requests/{change}/approve", form, headers=headers).status_code == 403
    api = helen.api("POST", f"/changes/{change}/refuse", json={"reason": "no reason"}, headers=headers)
    assert api.status_code == 403
    assert set(api.json()) == {"error"}
    assert sign_in(world, world.stranger(), headers=headers).status_code == 403
    assert world.state(change) == "requested"


def test_our_own_pages_are_let_through(world):
    headers = {"origin": URL, "sec-fetch-site": "same-origin"}
    assert sign_in(world, world.stranger(), headers=headers).status_code == 303


@pytest.mark.parametrize("token", ["", "0" * 64, "zażółć"])
@pytest.mark.parametrize("path", ["approve", "refuse", "ratify", "reverse", "withdraw", "request-reversal"])
def test_a_form_without_its_token_does_nothing(world, path, token):
    change, helen = world.ask(), world.browser("helen")
    form = {"digest": world.digest(change), "code": world.code("helen"), "reason": "no reason", "token": token}
    answer = helen.post(f"/requests/{change}/{path}", form, token=False)
    assert answer.status_code == 403
    assert world.state(change) == "requested"
    assert world.access(act="form", outcome="refused")


@pytest.mark.parametrize("path", ["/requests/new", "/lists/mandate", "/people/invite", "/sign-out"])
def test_every_form_needs_its_token(world, path):
    assert world.browser("helen").post(path, {}, token=False).status_code == 403


def test_another_sessions_token_does_not_hold(world):
    from admin_api.auth import form_token

    change, helen = world.ask(), world.browser("helen")
    theirs = form_token(world.registry.desk_secret, world.browser("adam").client.cookies[COOKIE])
    answer = helen.post(f"/requests/{change}/refuse", {"reason": "no reason", "token": theirs}, token=False)
    assert answer.status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "localhost", "localhost:8443.evil.example", "127.0.0.1:8443", ""])
def test_only_our_own_name(world, host):
    assert world.stranger().get("/sign-in", headers={"host": host}).status_code == 400


def test_a_demonstration_answers_to_local_names_too(world):
    from dataclasses import replace

    from admin_api.app import create_app

    client = TestClient(create_app(replace(world.services, demo=True)), base_url="https://127.0.0.1:8443")
    assert client.get("/sign-in").status_code == 200
    assert client.get("/sign-in", headers={"host": "127.0.0.1.evil.example"}).status_code == 400


@pytest.mark.parametrize("path", ["/sign-in", "/", "/nothing", "/api/v1/session", "/healthz", "/static/desk.css"])
def test_every_answer_carries_its_headers(world, path):
    headers = world.stranger().get(path).headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert "max-age" in headers["strict-transport-security"]
    assert ("no-store" in headers["cache-control"]) == (not path.startswith("/static"))


def test_wrong_tries_slow_down_and_nobody_is_locked_out(world):
    stranger, helen = world.stranger(), world.browser("helen")
    for _ in range(5):
        assert sign_in(world, stranger, "adam", "wrong words here").status_code == 401
    world.clock.forward(seconds=1)
    waits = sign_in(world, stranger, "adam")
    assert waits.status_code == 429
    assert 1 <= int(waits.headers["retry-after"]) <= 30
    assert helen.get("/").status_code == 200  # a session that is there goes on
    world.clock.forward(seconds=31)
    assert sign_in(world, stranger, "adam").status_code == 303


def test_a_strangers_guesses_do_not_keep_a_head_from_her_own_desk():
    clock = [0.0]
    attempts = Attempts(now=lambda: clock[0])
    attempts.succeeded("10.0.0.7", "helen")
    for _ in range(50):
        attempts.failed("203.0.113.9", "Helen ")
    assert attempts.seconds("203.0.113.9", "helen") > 0
    assert attempts.seconds("10.0.0.8", "helen") > 0
    assert attempts.seconds("10.0.0.7", "helen") == 0


def test_many_names_from_one_address_are_slowed_down():
    attempts = Attempts(now=lambda: 0.0)
    for n in range(20):
        attempts.failed("203.0.113.9", f"name{n}")
    assert attempts.seconds("203.0.113.9", "somebody") > 0
    assert attempts.seconds("10.0.0.7", "somebody") == 0


def test_wrong_act_codes_slow_down_too(world):
    change, helen = world.ask(), world.browser("helen")
    for _ in range(5):
        assert helen.post(f"/requests/{change}/approve", {"digest": "x", "code": "000000"}).status_code == 403
    assert helen.post(f"/requests/{change}/approve", {"digest": "x", "code": world.code("helen")}).status_code == 429


def test_what_is_too_long_is_not_read(world):
    helen = world.browser("helen")
    assert helen.post("/requests/new", {"reason": "x" * 70_000}).status_code == 413
    untold = (b"x" * 9000 for _ in range(9))  # a body that does not say how long it is
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert helen.client.post("/sign-in", content=untold, headers=form).status_code == 413
    answer = helen.api("POST", "/changes", json={"reason": "x" * 70_000, "kind": "site"})
    assert answer.status_code == 413
    assert set(answer.json()) == {"error"}
