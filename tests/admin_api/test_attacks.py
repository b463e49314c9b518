"""Attacks on every route there is, found by walking the application: nothing is left out because somebody forgot it here."""

import re
from dataclasses import replace
from http import HTTPStatus

import pytest
import schemathesis
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from admin_api.app import create_app
from admin_api.auth import COOKIE, Attempts, onward
from change_control.changes import SiteWish
from policy.rules import Action

from .conftest import PASSWORD, URL

OPEN = {
    "/sign-in",
    "/sign-in/passkey",
    "/sign-in/sso",
    "/sign-in/sso/back",
    "/enrol",
    "/recover",
    "/asked",
    "/healthz",
    "/metrics",
}
OPEN |= {"/api/v1/session", "/api/v1/openapi.json", "/api/v1/changes/{number}/impact"}
OF_ONESELF = {"/sign-out", "/api/v1/schools"}  # about no school in particular


def routes(app, of=None) -> list[tuple[str, str]]:
    """(method, path) of everything that the application answers, through every router it includes."""
    found = []
    for route in app.routes if of is None else of:
        if isinstance(route, APIRoute):
            found += [(method, route.path) for method in route.methods]
        elif inner := getattr(route, "effective_route_contexts", None):
            found += [(method, one.path) for one in inner() for method in one.methods or ()]
    return sorted(set(found))


def at(path: str, change: int) -> str:
    return re.sub(r"\{[^}]*\}", str(change), path)


@pytest.fixture
def client(world):
    with TestClient(world.app, base_url=URL, follow_redirects=False, client=("10.0.0.7", 5000)) as made:
        yield made


def test_the_walk_finds_the_routes(world):
    every = {path for _, path in routes(world.app)}
    assert {"/requests/{number}/approve", "/you", "/api/v1/changes/{number}", "/requests/{number}/narrow"} <= every
    assert len(every) > 60


def test_nobody_who_is_not_signed_in_gets_further_than_the_door(world, client):
    change = world.ask()
    for method, path in routes(world.app):
        if path in OPEN:
            continue
        answer = client.request(method, at(path, change))
        assert answer.status_code in {303, 401, 403, 404}, (method, path, answer.status_code)
        if answer.status_code == HTTPStatus.SEE_OTHER:
            assert answer.headers["location"].startswith("/sign-in")


def test_no_route_acts_for_a_form_that_is_not_ours(world):
    change, helen = world.ask(), world.browser("helen")
    for method, path in routes(world.app):
        if method in {"GET", "HEAD"}:
            continue
        for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
            answer = helen.client.request(method, at(path, change), headers=headers)
            assert answer.status_code == 403, (method, path, headers)
        if path.startswith("/api/"):
            continue  # JSON, which no form of another site can send, and checked by its origin above
        if path.startswith("/witness/"):
            continue  # for machines: no session counts there, and what is taken is signed
        for data in ({}, {"token": "0" * 64}):
            answer = helen.client.post(at(path, change), data=data)
            assert answer.status_code == 403, (path, data)
    assert world.state(change) == "requested"


def test_no_route_answers_to_another_name(world, client):
    for method, path in routes(world.app):
        for host in ("evil.example", "localhost:8443.evil.example", "localhost"):
            answer = client.request(method, at(path, 1), headers={"host": host})
            assert answer.status_code == 400, (method, path, host)


def test_no_route_leads_into_another_school(world):
    theirs = world.ask("harry", SiteWish("secret.example", Action.ALLOW, ("ks3",)), "a secret of Hillview", "hillview")
    helen = world.browser("helen")
    for method, path in routes(world.app):
        if path in OPEN | OF_ONESELF or method == "HEAD":
            continue
        call = (
            helen.client.request
            if path.startswith("/api/")
            else lambda how, where, **more: helen.get(where, **more) if how == "GET" else helen.post(where, **more)
        )
        body = {"json": {"school": "hillview"}} if path.startswith("/api/") and method != "GET" else {}
        answer = call(method, at(path, theirs), params={"school": "hillview"}, **body)
        assert answer.status_code in {403, 404, 422}, (method, path, answer.status_code)
        assert "secret.example" not in answer.text
        assert "a secret of" not in answer.text
    assert world.state(theirs) == "requested"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "javascript:alert(1)",
        "/%09/evil.example\n", "http:evil.example", " //evil.example", "/../..//evil.example\x00", "///evil.example",
    ],
)  # fmt: skip
def test_signing_in_leads_nowhere_else(world, target):
    for place in (onward(target),):
        assert place == "/" or (place.startswith("/") and not place.startswith(("//", "/\\")))
    world.clock.forward(seconds=30)
    with TestClient(world.app, base_url=URL, follow_redirects=False) as browser:
        given = {"username": "nobody", "password": PASSWORD, "code": "000000", "next": target}
        assert 'value="https' not in browser.post("/sign-in", data=given).text


def test_a_session_that_someone_else_planted_is_not_taken_over(world):
    world.clock.forward(seconds=30)
    with TestClient(world.app, base_url=URL, follow_redirects=False) as browser:
        browser.cookies.set(COOKIE, "planted-by-a-stranger", domain="localhost.local", path="/")
        given = {"username": "helen", "password": PASSWORD, "code": world.code("helen")}
        token = re.search(r'name="token" value="([0-9a-f]{64})"', browser.get("/sign-in").text)[1]
        answer = browser.post("/sign-in", data={**given, "token": token})
        assert answer.status_code == 303
        made = answer.cookies[COOKIE]
        assert made != "planted-by-a-stranger"
        assert "httponly" in answer.headers["set-cookie"].lower()
    with world.store.read() as session:
        assert world.registry.signed_in(session, "planted-by-a-stranger") is None
        assert world.registry.signed_in(session, made) is not None


def test_a_stranger_who_guesses_does_not_keep_the_head_out_even_after_a_restart(world):
    world.browser("helen").get("/")  # she has signed in from her own address
    world.services = replace(world.services, attempts=Attempts(now=lambda: world.clock.at.timestamp()))  # noqa: PLW0108 - `at` moves
    world.app = create_app(world.services)
    with TestClient(world.app, base_url=URL, follow_redirects=False, client=("203.0.113.9", 4000)) as stranger:
        guess = {"username": "helen", "password": "guess", "code": "000000"}
        answers = [stranger.post("/sign-in", data=guess).status_code for _ in range(7)]
    assert answers[-1] == 429
    world.clock.forward(seconds=30)
    world.browsers.clear()
    assert world.browser("helen").get("/").status_code == 200


# --- strangers' requests against the description of the interface, as each role -------------------------------------------

PEOPLE = ("helen", "dora", "tom", "adam", "sara", "olive", "laura", "carl", "gita", "nora")
NEVER = frozenset({"delete_/api/v1/session", "post_/api/v1/session"})  # would end or begin the session that the test goes by


def test_no_role_breaks_the_interface_or_sees_another_school(world):
    theirs = world.ask("harry", SiteWish("secret.example", Action.ALLOW, ("ks3",)), "a secret of Hillview", "hillview")
    described = schemathesis.openapi.from_dict(world.app.openapi())
    every = [one.ok() for one in described.get_all_operations()]
    chosen = [one for one in every if f"{one.method}_{one.path}" not in NEVER]
    assert len(chosen) > 20
    clients = {}
    for name in PEOPLE:
        clients[name] = TestClient(world.app, base_url=URL, follow_redirects=False, client=("10.0.0.7", 5000))
        clients[name].cookies.set(COOKIE, world.cookie(name), domain="localhost.local", path="/")

    @settings(
        max_examples=80,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=True,
    )
    @given(st.data())
    def strangers(data):
        case = data.draw(st.sampled_from(chosen).flatmap(lambda one: one.as_strategy()))
        who = data.draw(st.sampled_from(PEOPLE))
        sent = case.as_transport_kwargs(base_url=URL)
        sent = {key: value for key, value in sent.items() if key in {"method", "url", "params", "json", "headers"}}
        answer = clients[who].request(**sent)
        assert answer.status_code < 500, (who, case.method, case.path, answer.text[:500])
        if who not in {"adam", "laura"}:  # who has no role at Hillview
            assert "secret.example" not in answer.text

    strangers()
    assert world.state(theirs) == "requested"
    for each in clients.values():
        each.close()
