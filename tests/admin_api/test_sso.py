"""Sign-in by another account: against a small OpenID Connect provider on loopback, and against a lying one."""

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from admin_api.app import create_app
from admin_api.routes.sign_in import SSO_COOKIE
from change_control.people import WrongCredentials
from change_control.sso import Provider, fetch

from .conftest import URL, Browser

KEY = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"}, private=True)


@dataclass
class Identities:
    """The provider: what it was asked to sign in, and what it says of that."""

    address: str = ""
    codes: dict[str, dict] = field(default_factory=dict)
    subject: str = "1077"
    lies: dict = field(default_factory=dict)  # claims that it gets wrong
    key: RSAKey = field(default_factory=lambda: KEY)
    now: float = 0

    def authorize(self, page: str) -> tuple[str, str]:
        """What a person does at its page: (code, state)."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(page).query).items()}
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        return code, asked["state"]

    def token(self, given: dict) -> dict | None:
        asked = self.codes.pop(given.get("code", ""), None)
        if asked is None or given["client_secret"] != "quiet" or given["redirect_uri"] != asked["redirect_uri"]:
            return None
        proof = base64.urlsafe_b64encode(hashlib.sha256(given["code_verifier"].encode()).digest()).decode().rstrip("=")
        if proof != asked["code_challenge"]:
            return None
        claims = {"iss": self.address, "aud": "schoolgate", "sub": self.subject, "email": "helen@school.example"}
        claims |= {"nonce": asked["nonce"], "iat": int(self.now), "exp": int(self.now) + 300, **self.lies}
        return {
            "access_token": "x",
            "token_type": "Bearer",
            "id_token": jwt.encode({"alg": "RS256", "kid": "k1"}, claims, self.key),
        }


@pytest.fixture
def identities(world):
    made = Identities(now=world.clock.at.timestamp())

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/.well-known/openid-configuration":
                names = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
                self.say({"issuer": made.address, **{name: f"{made.address}/{path}" for name, path in names.items()}})
            else:
                self.say({"keys": [KEY.as_dict(private=False)]})

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.say(made.token({name: values[0] for name, values in parse_qs(body).items()}))

        def say(self, what):
            self.send_response(200 if what else 400)
            self.end_headers()
            self.wfile.write(json.dumps(what).encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    made.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    world.services = replace(world.services, provider=Provider(made.address, "schoolgate", "quiet", "Birchwood"))
    world.app = create_app(world.services)
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


def onward_to(answer) -> str:
    assert answer.status_code == 200, answer.text
    return re.search(r'content="0;url=([^"]+)"', answer.text)[1].replace("&amp;", "&")


def back(browser: Browser, code: str, state: str):
    return browser.get("/sign-in/sso/back", params={"code": code, "state": state})


def link(world, identities) -> Browser:
    helen = world.browser("helen")
    world.clock.forward(seconds=30)
    page = onward_to(helen.post("/you/sso", {"code": world.code("helen")}))
    assert page.startswith(f"{identities.address}/authorize?")
    assert onward_to(back(helen, *identities.authorize(page))) == "/you?said=linked"
    return helen


def test_linked_by_its_owner_it_signs_her_in_and_opens_no_key(world, identities):
    helen = link(world, identities)
    assert "helen@school.example" in helen.get("/you").text
    stranger = world.stranger()
    assert "Sign in with Birchwood" in stranger.get("/sign-in").text
    page = onward_to(stranger.get("/sign-in/sso?next=/rules"))
    answer = back(stranger, *identities.authorize(page))
    assert onward_to(answer) == "/rules"
    assert "samesite=strict" in answer.headers["set-cookie"].lower()
    assert stranger.get("/rules").status_code == 200
    assert world.access(act="sign-in", outcome="done")[-1].address == "10.0.0.7"
    change = world.ask()
    stranger.username = "helen"
    refused = stranger.sign("approve", change)
    assert refused.status_code == 403
    assert world.state(change) == "requested"
    helen.post("/you/sso/unlink")
    other = world.stranger()
    code, state = identities.authorize(onward_to(other.get("/sign-in/sso")))
    assert "linked to nobody here" in back(other, code, state).text


def test_an_account_that_nobody_linked_opens_nothing_whatever_its_address(world, identities):
    stranger = world.stranger()
    answer = back(stranger, *identities.authorize(onward_to(stranger.get("/sign-in/sso"))))
    assert answer.status_code == 401
    assert world.access(act="sign-in", outcome="refused")


def test_one_account_is_one_persons(world, identities):
    link(world, identities)
    dora = world.browser("dora")
    world.clock.forward(seconds=30)
    page = onward_to(dora.post("/you/sso", {"code": world.code("dora")}))
    assert "linked to another person" in back(dora, *identities.authorize(page)).text


@pytest.mark.parametrize(
    "lies",
    [
        {"iss": "https://evil.example"}, {"aud": "another"}, {"aud": ["schoolgate", "another"]}, {"nonce": "old"}, {"exp": 1},
        {"iat": 4102444800}, {"sub": ""}, {"exp": None}, {"nonce": None},
    ],
)  # fmt: skip
def test_a_token_that_is_not_for_this_sign_in_is_refused(world, identities, lies):
    link(world, identities)
    identities.lies = lies
    stranger = world.stranger()
    assert back(stranger, *identities.authorize(onward_to(stranger.get("/sign-in/sso")))).status_code == 401


def test_a_token_by_another_key_a_wrong_state_and_no_cookie_are_refused(world, identities):
    link(world, identities)
    stranger = world.stranger()
    code, state = identities.authorize(onward_to(stranger.get("/sign-in/sso")))
    assert back(stranger, code, "another").status_code == 401
    assert back(world.stranger(), code, state).status_code == 401, "begun in another browser"
    assert back(stranger, "another", state).status_code == 401
    identities.key = RSAKey.generate_key(2048, {"kid": "k1"}, private=True)
    code, state = identities.authorize(onward_to(stranger.get("/sign-in/sso")))
    assert back(stranger, code, state).status_code == 401
    identities.key = KEY
    code, state = identities.authorize(onward_to(stranger.get("/sign-in/sso")))
    world.clock.forward(minutes=11)
    assert back(stranger, code, state).status_code == 401, "too late"
    assert SSO_COOKIE.startswith("__Host-")


def test_a_provider_that_is_away_is_said(world):
    world.services = replace(world.services, provider=Provider("http://127.0.0.1:9", "schoolgate", "quiet", "Birchwood"))
    world.app = create_app(world.services)
    assert "Birchwood does not answer" in world.stranger().get("/sign-in/sso").text


def test_without_a_provider_there_is_no_such_page(world):
    stranger = world.stranger()
    assert stranger.get("/sign-in/sso").status_code == 404
    assert "Sign in with" not in stranger.get("/sign-in").text.replace("Sign in with a passkey", "")


def test_secrets_do_not_travel_in_the_clear():
    from urllib.request import Request

    with pytest.raises(OSError, match="not safe"):
        fetch(Request("http://idp.example/token"))
    assert issubclass(WrongCredentials, PermissionError)
    assert URL.startswith("https://")
