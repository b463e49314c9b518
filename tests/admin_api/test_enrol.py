"""The first-run page: a code makes an account, once."""

import re

import pyotp
import pytest

from admin_api.auth import COOKIE

PASSWORD = "three random words"


def invited(world, name="Tessa", roles=("teacher",)) -> str:
    helen = world.browser("helen")
    world.clock.forward(seconds=30)
    answer = helen.post("/people/invite", {"name": name, "roles": list(roles), "code": world.code("helen")})
    assert answer.status_code == 200, answer.text
    return re.search(r'class="once">([A-Z2-9-]{14})<', answer.text)[1]


def second_step(stranger, code):
    page = stranger.client.post("/enrol", data={"code": code})
    assert page.status_code == 200
    assert "<svg" in page.text
    sealed = re.search(r'name="sealed" value="([^"]+)"', page.text)[1]
    secret = re.search(r'class="secret">([A-Z2-7 ]+)<', page.text)[1].replace(" ", "")
    return sealed, secret


def test_by_code_to_a_first_sign_in(world):
    code, stranger = invited(world), world.stranger()
    sealed, secret = second_step(stranger, code)
    form = {"code": code, "sealed": sealed, "username": "Tessa", "password": PASSWORD}
    wrong = stranger.client.post("/enrol", data={**form, "totp": "000000"})
    assert wrong.status_code == 422
    assert secret in wrong.text.replace(" ", "")  # the same secret as the phone has now
    answer = stranger.client.post("/enrol", data={**form, "totp": pyotp.TOTP(secret).at(world.clock.at)})
    assert answer.headers["location"] == "/sign-in?said=enrolled"
    world.secrets["tessa"] = secret
    assert "Today at Oakfield Primary" in world.browser("tessa").get("/").text
    again = world.stranger().client.post("/enrol", data={"code": code})
    assert again.status_code == 403
    assert "ask for a new one" in again.text


def test_an_account_that_is_there_gets_the_role_with_its_own_code(world):
    code, stranger = invited(world, "Adam", ("dsl",)), world.stranger()
    sealed, secret = second_step(stranger, code)
    form = {"code": code, "sealed": sealed, "username": "adam", "password": PASSWORD}
    theirs = stranger.client.post("/enrol", data={**form, "totp": pyotp.TOTP(secret).at(world.clock.at)})
    assert theirs.status_code == 403
    world.clock.forward(seconds=30)
    assert stranger.client.post("/enrol", data={**form, "totp": world.code("adam")}).status_code == 303
    assert "Designated safeguarding lead" in world.browser("helen").get("/people").text


@pytest.mark.parametrize(
    ("wrong", "says"), [({"username": "x"}, "at least 2 letters"), ({"password": "short"}, "at least 10 characters")]
)
def test_what_is_wrong_is_said(world, wrong, says):
    code, stranger = invited(world), world.stranger()
    sealed, secret = second_step(stranger, code)
    form = {"code": code, "sealed": sealed, "username": "tessa", "password": PASSWORD}
    answer = stranger.client.post("/enrol", data={**form, "totp": pyotp.TOTP(secret).at(world.clock.at), **wrong})
    assert answer.status_code == 422
    assert says in answer.text
    assert f'value="{PASSWORD}"' not in answer.text


def test_a_secret_of_ones_own_choosing_or_for_another_code_is_not_taken(world):
    mine, theirs = invited(world, "One"), invited(world, "Two")
    stranger = world.stranger()
    sealed, secret = second_step(stranger, mine)
    form = {"username": "tessa", "password": PASSWORD, "totp": pyotp.TOTP(secret).at(world.clock.at)}
    for code, seal in ((theirs, sealed), (mine, "AAAA"), (mine, "not base64 at all")):
        assert stranger.client.post("/enrol", data={**form, "code": code, "sealed": seal}).status_code == 403


def test_codes_are_not_guessed_for_long(world):
    stranger = world.stranger()
    answers = [stranger.client.post("/enrol", data={"code": "AAAA-BBBB-CCCC"}).status_code for _ in range(6)]
    assert answers == [403] * 5 + [429]
    assert len(world.access(act="enrol", outcome="refused")) == 5


def test_without_a_code_the_page_says_what_to_do(world):
    page = world.stranger().get("/enrol").text
    assert "schoolgate init" in page
    assert COOKIE not in page


def test_only_the_head_invites(world):
    for username in ("adam", "dora", "tom", "laura", "gita"):
        browser = world.browser(username)
        world.clock.forward(seconds=30)
        form = {"name": "Eve", "roles": "technician", "code": world.code(username)}
        assert browser.post("/people/invite?school=oakfield", form).status_code == 403
    assert len(world.access(outcome="refused", act="invite")) == 5


def test_there_is_one_head(world):
    helen = world.browser("helen")
    world.clock.forward(seconds=30)
    answer = helen.post("/people/invite", {"name": "Eve", "roles": "headteacher", "code": world.code("helen")})
    assert answer.status_code == 403
    assert "has its headteacher already" in answer.text


def test_a_new_installation_begins_at_the_sign_in_page(empty_world):
    """From nobody at all to a head who is signed in, with the console's code alone."""
    world = empty_world
    first = world.stranger()
    assert first.get("/").headers["location"] == "/sign-in"
    assert "This installation is new" in first.get("/sign-in").text
    with world.store.write() as session:
        code = world.registry.invite(session, "oakfield", "Helen", ["headteacher"], by=None)
    sealed, secret = second_step(first, code)
    form = {"code": code, "sealed": sealed, "username": "helen", "password": PASSWORD}
    assert first.client.post("/enrol", data={**form, "totp": pyotp.TOTP(secret).at(world.clock.at)}).status_code == 303
    assert "This installation is new" not in first.get("/sign-in").text
    world.secrets["helen"] = secret
    assert "Nothing waits for you" in world.browser("helen").get("/").text
    assert "entries agree" in world.browser("helen").get("/changes?check=true").text
