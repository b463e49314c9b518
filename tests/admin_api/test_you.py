"""Your sign-in: passkeys added, used and taken away; sessions; recovery codes and a new phone."""

import base64
import html
import json
import re

import pyotp
import pytest

from change_control import standing
from policy.proof import canonical, digest

from .conftest import PASSWORD, URL


@pytest.fixture
def device(authenticator):
    return authenticator(URL)


def asked(page: str) -> dict:
    """What the page's script would ask the authenticator."""
    return json.loads(html.unescape(re.search(r'data-passkey="([^"]*)"', page)[1]))


def challenge(page: str) -> bytes:
    return base64.urlsafe_b64decode(asked(page)["challenge"] + "==")


def add(world, device, username="helen", **wrong):
    browser = world.browser(username)
    page = browser.get("/you").text
    state = re.search(r'name="state" value="([^"]*)"', page)[1]
    world.clock.forward(seconds=30)
    given = {"label": "Phone", "state": html.unescape(state), "answer": device.create(challenge(page), **wrong)}
    return browser.post("/you/passkeys", {**given, "code": world.code(username)})


def test_a_headteacher_adds_a_passkey_and_approves_with_it(world, device):
    helen, change = world.browser("helen"), world.ask()
    assert "data-passkey" not in helen.get(f"/requests/{change}").text
    assert add(world, device).headers["location"].endswith("said=passkey-added")
    page = helen.get(f"/requests/{change}").text
    assert asked(page)["known"] == [device.credential]
    answer = helen.post(
        f"/requests/{change}/approve", {"digest": world.digest(change), "answer": device.get(challenge(page))}
    )
    assert answer.status_code == 303, answer.text
    assert world.state(change) == "in_force"
    assert "signed by Helen, with a passkey" in helen.get("/changes").text
    page = helen.get(f"/requests/{change}").text
    back = helen.post(f"/requests/{change}/reverse", {"digest": world.digest(change), "answer": device.get(challenge(page))})
    assert back.status_code == 303, back.text
    assert "entries agree" in helen.get("/changes?check=true").text


def test_an_answer_for_one_change_approves_no_other(world, device):
    helen, first, second = world.browser("helen"), world.ask(), world.ask()
    add(world, device)
    answer = device.get(challenge(helen.get(f"/requests/{first}").text))
    refused = helen.post(f"/requests/{second}/approve", {"digest": world.digest(second), "answer": answer})
    assert refused.status_code == 403
    assert world.state(second) == "requested"
    assert world.access(act="approve", outcome="refused")
    for nonsense in ("{}", "x", json.dumps({"id": device.credential})):
        assert (
            helen.post(f"/requests/{first}/approve", {"digest": world.digest(first), "answer": nonsense}).status_code == 403
        )
    body = {"digest": world.digest(first), "assertion": device.get(challenge(helen.get(f"/requests/{first}").text))}
    world.clock.forward(minutes=5)
    assert helen.api("POST", f"/changes/{first}/approve", json=body).json()["state"] == "in_force"


def test_a_passkey_of_another_origin_or_with_a_wrong_code_is_not_added(world, device, authenticator):
    assert add(world, authenticator("https://evil.example")).status_code == 403
    world.secrets["helen"] = pyotp.random_base32()
    assert add(world, device).status_code == 403
    assert "You have none yet" in world.browser("helen").get("/you").text


def test_signing_in_with_a_passkey(world, device):
    add(world, device)
    stranger = world.stranger()
    page = stranger.get("/sign-in").text
    state = html.unescape(re.search(r'name="state" value="([^"]*)"', page)[1])
    given = {"state": state, "answer": device.get(challenge(page)), "next": "/rules"}
    answer = stranger.post("/sign-in/passkey", given, token=False)
    assert answer.headers["location"] == "/rules"
    assert "Helen" in stranger.get("/").text
    assert world.access(act="sign-in", outcome="done")[-1].log == "oakfield"
    again = world.stranger().post("/sign-in/passkey", given, token=False)
    assert again.status_code == 401
    change = world.ask()
    stranger.username = "helen"
    refused = stranger.sign("approve", change)
    assert refused.status_code == 403
    assert "sign in with your password" in refused.text
    page = stranger.get(f"/requests/{change}").text
    done = stranger.post(
        f"/requests/{change}/approve", {"digest": world.digest(change), "answer": device.get(challenge(page))}
    )
    assert done.status_code == 303


def test_a_passkey_is_taken_away(world, device):
    add(world, device)
    helen = world.browser("helen")
    world.clock.forward(seconds=30)
    gone = helen.post("/you/passkeys/revoke", {"credential": device.credential, "code": world.code("helen")})
    assert gone.headers["location"].endswith("said=passkey-gone")
    assert "data-passkey" not in helen.get(f"/requests/{world.ask()}").text
    world.clock.forward(seconds=30)
    other = world.browser("adam").post("/you/passkeys/revoke", {"credential": device.credential, "code": world.code("adam")})
    assert other.status_code == 404


def test_sessions_are_seen_and_ended(world):
    helen = world.browser("helen")
    world.browsers.clear()
    other = world.browser("helen")
    page = helen.get("/you").text
    assert page.count("from 10.0.0.7") == 2
    session = re.search(r'name="session" value="(\w+)"', page)[1]
    adam = world.browser("adam")
    adam.post("/you/sessions", {"session": session})
    assert other.get("/").status_code == 200, "nobody ends another person's session"
    assert helen.post("/you/sessions", {"session": session}).status_code == 303
    assert other.get("/").status_code == 303
    assert helen.get("/").status_code == 200


def test_a_new_phone_with_a_recovery_code(world):
    helen = world.browser("helen")
    world.clock.forward(seconds=30)
    codes = re.findall(r"<code>([A-Z2-9-]{14})</code>", helen.post("/you/recovery", {"code": world.code("helen")}).text)
    assert len(codes) == 8
    assert "You have 8 recovery codes left." in helen.get("/you").text
    stranger = world.stranger()
    page = stranger.get("/recover").text
    secret = re.search(r'<code class="wrap">([A-Z2-7 ]+)</code>', page)[1].replace(" ", "")
    given = {
        "sealed": html.unescape(re.search(r'name="sealed" value="([^"]*)"', page)[1]),
        "username": "helen",
        "password": PASSWORD,
        "recovery": codes[0],
        "code": pyotp.TOTP(secret).at(world.clock.at),
    }
    for wrong in ({"recovery": "AAAA-AAAA-AAAA"}, {"password": "not her password"}, {"code": "000000"}, {"sealed": "x"}):
        world.clock.forward(minutes=5)
        fresh = {"code": pyotp.TOTP(secret).at(world.clock.at)}
        assert stranger.post("/recover", {**given, **fresh, **wrong}, token=False).status_code in {401, 403, 422}
    world.clock.forward(minutes=5)
    given["code"] = pyotp.TOTP(secret).at(world.clock.at)
    assert stranger.post("/recover", given, token=False).headers["location"] == "/sign-in?said=recovered"
    assert helen.get("/").status_code == 303, "every session has ended"
    world.secrets["helen"] = secret
    world.browsers.clear()
    page = world.browser("helen").get("/changes?check=true").text
    assert "A person set up a new phone with a recovery code" in page
    assert "entries agree" in page


def test_two_named_people_and_the_la_officer_help_her_back_in(world):
    helen, dora, carl, laura = (world.browser(name) for name in ("helen", "dora", "carl", "laura"))

    def post(browser, path, **data):
        world.clock.forward(seconds=30)
        return browser.post(f"{path}?school=oakfield", {**data, "code": world.code(browser.username)})

    ids = {
        name: re.search(rf'value="(p-\w+)"><label[^>]*>{name}<', helen.get("/you").text)[1]
        for name in ("Dora", "Carl", "Tom")
    }
    assert "Laura" not in re.search(r"(?s)Which two.*?</fieldset>", helen.get("/you").text)[0], "she signs in any case"
    assert post(helen, "/you/helpers", person=[ids["Dora"]]).status_code == 422
    assert post(helen, "/you/helpers", person=[ids["Dora"], ids["Carl"]]).headers["location"].endswith("said=helpers")
    assert "Carl and Dora" in helen.get("/you").text or "Dora and Carl" in helen.get("/you").text
    me = world.registry
    with world.store.read() as session:
        lost = me.signed_in(session, world.cookie("helen")).id
    assert post(world.browser("tom"), "/people/back-in", person=lost).status_code == 403
    assert post(dora, "/people/back-in", person=lost).headers["location"].find("said=agreed") > 0
    assert post(dora, "/people/back-in", person=lost).status_code == 403, "nobody signs twice"
    assert "Signed by Dora" in laura.get("/people?school=oakfield").text
    assert post(laura, "/people/back-in", person=lost).headers["location"].find("said=agreed") > 0
    shown = post(carl, "/people/back-in", person=lost).text
    code = re.search(r'<code class="once">([A-Z2-9-]{14})</code>', shown)[1]
    assert "You have 1 recovery code left" in helen.get("/you").text
    with world.store.write() as session:
        world.services.passkeys.recover(session, "helen", PASSWORD, code, world.secrets["helen"])
    page = laura.get("/changes?check=true&school=oakfield").text
    assert "gave a person a recovery code" in page
    assert "entries agree" in page
    assert post(dora, "/people/back-in", person=lost).headers["location"].find("said=agreed") > 0, "a new beginning"
    world.clock.forward(days=4)
    world.browsers.clear()
    assert "Signed by" not in world.browser("carl").get("/people").text, "a signature does not wait for ever"


# --- what the headteacher signs beforehand: the same ceremony as for a change ------------------------------------------------

MANDATE = {"kinds": ["site"], "roles": ["teacher"], "until": "2027-06-30", "days": "5"}


def drafted(answer) -> dict[str, str]:
    assert answer.status_code == 200, answer.text
    return {"draft": html.unescape(re.search(r'name="draft" value="([^"]*)"', answer.text)[1])}


def person(world, username):
    with world.store.read() as session:
        return world.registry.signed_in(session, world.cookie(username)).id


def entries(world, kind):
    with world.store.read() as session:
        return standing.entries(session, world.office.book(session, "oakfield"), kind)


def test_a_mandate_and_a_delegation_are_signed_with_a_passkey_over_exactly_their_terms(world, device):
    helen = world.browser("helen")
    add(world, device)
    for path, form, kind, terms, says in (
        ("mandate", MANDATE, "mandate.signed", "mandate", "The teacher may block a site at once until"),
        (
            "delegation",
            {"person": person(world, "dora"), "scope": ["site"], "to": "2026-12-18"},
            "delegation.signed",
            "delegation",
            "Dora may approve in the headteacher’s place",
        ),
    ):
        page = helen.post(f"/standing/{path}", form)
        assert says in page.text
        signed = helen.post("/standing/sign", {**drafted(page), "answer": device.get(challenge(page.text))})
        assert signed.status_code == 303, signed.text
        (entry,) = entries(world, kind)
        (signature,) = entry["rests_on"]["signatures"]
        assert signature["factor"] == "passkey"
        assert signature["over"] == digest(canonical(entry[terms]))
    change, dora = world.ask(), world.browser("dora")
    assert dora.sign("approve", change).status_code == 303  # what rests on it is believed by whoever checks
    page = helen.get("/standing").text
    back = {"entry": re.search(r'name="entry" value="(\d+)"', page)[1], "answer": device.get(challenge(page))}
    assert helen.post("/standing/revoke", back).status_code == 303
    assert "entries agree" in helen.get("/changes?check=true").text


def taken_in(world, site):
    with world.store.write() as session:
        who = world.registry.signed_in(session, world.cookie("tom"))
        version = world.list_version("games", f"{site}\n", f"by-hand-{site}")
        return world.office.accept_list(session, "oakfield", version, 0, by=who).change.id


def test_lists_are_mandated_and_ratified_with_a_passkey(world, device):
    helen = world.browser("helen")
    add(world, device)
    page = helen.post("/lists/mandate", {"roles": "technician", "until": "2027-06-30", "days": "10"})
    assert "The technician may take in lists until the end of Wednesday 30 June 2027" in page.text
    signed = helen.post("/standing/sign", {**drafted(page), "answer": device.get(challenge(page.text))})
    assert signed.status_code == 303, signed.text
    changes = [taken_in(world, site) for site in ("friv.com", "miniclip.com")]
    assert "/lists/ratify" in helen.get("/lists").text
    many = asked(helen.get("/lists/ratify").text)["many"]
    assert sorted(map(int, many)) == changes
    answers = {
        change: json.loads(device.get(base64.urlsafe_b64decode(one["challenge"] + "=="))) for change, one in many.items()
    }
    shown = {"change": changes, **{f"digest-{change}": world.digest(change) for change in changes}}
    crossed = {**answers, str(changes[0]): answers[str(changes[1])]}
    assert helen.post("/lists/ratify", {**shown, "answer": json.dumps(crossed)}).status_code == 403
    assert [world.state(change) for change in changes] == ["provisional"] * 2
    assert helen.post("/lists/ratify", {**shown, "answer": json.dumps(answers)}).status_code == 303
    assert [world.state(change) for change in changes] == ["in_force"] * 2
    assert {one["rests_on"]["signatures"][0]["factor"] for one in entries(world, "change.ratified")} == {"passkey"}
    assert "entries agree" in helen.get("/changes?check=true").text


def test_lists_are_ratified_with_one_code_over_what_was_shown(world):
    helen, tom = world.browser("helen"), world.browser("tom")
    world.clock.forward(seconds=30)
    mandate = {"roles": "technician", "until": "2027-06-30", "days": "10", "code": world.code("helen")}
    assert helen.post("/lists/mandate", mandate).headers["location"].startswith("/lists")
    change = taken_in(world, "friv.com")
    world.clock.forward(seconds=30)
    given = {"change": change, "code": world.code("helen")}
    good = {**given, f"digest-{change}": world.digest(change)}
    assert tom.post("/lists/ratify", good).status_code == 403
    assert helen.post("/lists/ratify", {"code": world.code("helen")}).status_code == 422
    assert helen.post("/lists/ratify", {**given, f"digest-{change}": "0" * 64}).status_code == 409
    assert helen.post("/lists/ratify", good).status_code == 303
    assert world.state(change) == "in_force"


def test_an_invitation_and_a_release_are_signed_with_a_passkey(world, device):
    helen = world.browser("helen")
    add(world, device)
    page = helen.post("/people/invite", {"name": "Nora", "roles": ["teacher"]})
    assert "Nora is invited as teacher." in page.text
    signed = helen.post("/people/sign", {**drafted(page), "answer": device.get(challenge(page.text))})
    assert "Give this code to the person you invited" in signed.text
    assert entries(world, "person.invited")[-1]["rests_on"]["signatures"][0]["factor"] == "passkey"
    form = re.search(rf'name="person" value="{person(world, "gita")}".*?</form>', helen.get("/people").text, re.DOTALL)[0]
    gone = {"person": person(world, "gita"), "answer": device.get(challenge(form))}
    assert helen.post("/people/release", gone).status_code == 303
    assert helen.post("/people/release", gone).status_code == 403  # an answer signs once
    assert "entries agree" in helen.get("/changes?check=true").text


def test_a_draft_is_signed_as_it_was_shown_once_and_in_time(world, device):
    helen = world.browser("helen")
    add(world, device)
    page = helen.post("/standing/mandate", MANDATE)
    other = helen.post("/standing/mandate", {**MANDATE, "roles": ["technician"]})
    crossed = helen.post("/standing/sign", {**drafted(page), "answer": device.get(challenge(other.text))})
    assert crossed.status_code == 403  # the answer was given for other terms
    assert not entries(world, "mandate.signed")
    good = {**drafted(page), "answer": device.get(challenge(page.text))}
    assert world.browser("dora").post("/standing/sign", good).status_code == 403
    assert helen.post("/people/sign", good).status_code == 409
    assert helen.post("/standing/sign", {**good, "draft": good["draft"][:-8] + "AAAAAAA="}).status_code == 409
    assert helen.post("/standing/sign", good).status_code == 303
    again = helen.post("/standing/sign", {**drafted(page), "answer": device.get(challenge(page.text))})
    assert again.status_code == 422
    assert "exactly this is signed already" in again.text.lower()
    late = helen.post("/standing/mandate", {**MANDATE, "days": "9"})
    world.clock.forward(minutes=11)
    assert helen.post("/standing/sign", {**drafted(late), "answer": device.get(challenge(late.text))}).status_code == 409
    assert len(entries(world, "mandate.signed")) == 1
