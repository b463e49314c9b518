"""Tokens: made with a code, shown once, for a few purposes, until a date; they ask in their maker's name and sign nothing."""

import re

import pytest

from change_control.tables import ChangeRow, TokenRow

ALL = ("request", "read-changes", "read-status")


def make(world, username="tom", scopes=ALL, **more):
    world.clock.forward(seconds=30)
    form = {"label": "the help desk", "scopes": scopes, "until": "2026-12-18", "code": world.code(username), **more}
    answer = world.browser(username).post("/tokens?school=oakfield", form)
    found = re.search(r"<code>(sg_[0-9a-f]{12}_[\w-]{43})</code>", answer.text)
    return found[1] if found else answer


def api(world, token, method, path, **more):
    return world.stranger().api(method, path, headers={"Authorization": f"Bearer {token}"}, **more)


ASK = {"kind": "site", "site": "poki.com", "action": "allow", "groups": ["ks2"], "reason": "asked at the help desk"}


def test_a_token_asks_and_reads_and_the_head_decides(world):
    token = make(world)
    made = api(world, token, "POST", "/changes", json=ASK)
    assert made.status_code == 201, made.text
    change = made.json()["id"]
    with world.store.read() as session:
        row = session.get_one(ChangeRow, change)
        assert (row.source, row.log, row.state) == ("api", "oakfield", "requested")
    assert api(world, token, "GET", "/changes").json()["changes"][0]["id"] == change
    assert api(world, token, "GET", "/status").status_code == 200
    assert "by the token" in world.browser("helen").get(f"/requests/{change}").text
    assert world.browser("helen").sign("approve", change).status_code == 303
    assert api(world, token, "GET", f"/changes/{change}").json()["state"] == "in_force"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/changes/{n}/approve", {"digest": "0" * 64, "totp": "000000"}),
        ("POST", "/changes/{n}/refuse", {"reason": "no such thing"}),
        ("GET", "/events", None),
        ("POST", "/standing/mandates", {"kinds": ["site"], "roles": ["dsl"], "until": "2026-12-18", "totp": "000000"}),
        ("GET", "/changes?school=hillview", None),
    ],
)
def test_a_token_does_nothing_else(world, method, path, body):
    change = world.ask("adam")
    token = make(world, "helen")
    answer = api(world, token, method, path.format(n=change), **({"json": body} if body else {}))
    assert answer.status_code in {403, 404}, answer.text
    assert world.state(change) == "requested"


def test_each_scope_opens_its_own(world):
    paths = {"read-changes": "/changes", "read-status": "/status"}
    for scope in ALL:
        token = make(world, scopes=(scope,))
        for other, path in paths.items():
            assert api(world, token, "GET", path).status_code == (200 if other == scope else 403), (scope, path)
        assert api(world, token, "POST", "/changes", json=ASK).status_code == (201 if scope == "request" else 403)


def test_what_the_heads_token_asks_for_is_her_own_request(world):
    change = api(world, make(world, "helen"), "POST", "/changes", json=ASK).json()["id"]
    world.browser("helen").sign("approve", change)
    assert world.state(change) == "requested", "it waits for the second person"


def test_it_ends_by_its_date_by_revocation_and_with_its_makers_role(world):
    from sqlalchemy import delete

    from change_control.tables import RoleRow

    first, second, third = make(world), make(world), make(world)
    assert world.browser("tom").post("/tokens/revoke", {"token_id": first.split("_")[1]}).status_code == 303
    assert api(world, first, "GET", "/changes").status_code == 401
    assert api(world, second, "GET", "/changes").status_code == 200
    with world.store.write() as session:
        tom = session.query(TokenRow).first().person
        session.execute(delete(RoleRow).where(RoleRow.person == tom))
    assert api(world, second, "GET", "/changes").status_code == 403
    world.clock.forward(days=40)
    assert api(world, third, "GET", "/changes").status_code == 401


def test_only_a_digest_is_kept_and_who_made_it_is_written_down(world):
    token = make(world)
    secret = token.split("_", 2)[2]
    with world.store.read() as session:
        row = session.query(TokenRow).one()
        assert secret not in (row.id, row.secret, row.label, row.scopes)
    assert secret not in world.browser("tom").get("/tokens").text
    assert [line.target for line in world.access(act="token")] == ["the help desk: request, read-changes, read-status"]
    for bad in (token[:-1], token + "x", "sg__", f"sg_{row.id}_", "sg", "", token.replace("sg_", "sx_")):
        assert api(world, bad, "GET", "/changes").status_code == 401


def test_who_may_make_one_and_what_is_wrong_is_said(world):
    assert world.browser("adam").get("/tokens?school=oakfield").status_code == 403
    assert make(world, code="000000").status_code == 403
    for wrong in (
        {"label": ""},
        {"scopes": ()},
        {"scopes": ("approve",)},
        {"until": "2030-01-01"},
        {"until": "2020-01-01"},
        {"until": ""},
    ):
        assert make(world, **wrong).status_code == 422, wrong


def test_a_token_is_for_the_api_and_not_for_pages(world):
    token = make(world, "helen")
    answer = world.stranger().get("/requests", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 303
