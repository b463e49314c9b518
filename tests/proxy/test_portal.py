"""The sign-in page: who is led there, what its forms take, and what a device reads when it asks whether it is online."""

import json
import re
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.identity import Client
from proxy.answer import Wanted
from proxy.block_page import Asker, Pages
from proxy.internal import Internal
from proxy.keeper import AWAY, Door, nobody
from proxy.portal import Portal
from proxy.visits import Visit

KEY, URL = b"k" * 32, "http://schoolgate.internal/sign-in"
HERE = "10.9.0.5"
GUEST = Client("hillview", "guest", "g", "network", portal="required")
IN = {"said": "in", "name": "Ms <b>Khan", "until": 8200.0, "guest": True, "person": "p-1", "device": "d-1"}
TOKEN = re.compile(r'name="token" value="([^"]+)"')


class Keeper:
    """Says what it was told to say; knows what it was asked."""

    def __init__(self, **said):
        self.said, self.asked = said, []

    def __call__(self, act, address, **more):
        self.asked.append((act, address, more))
        return self.said.get(act, {"said": "out"})


class Site:
    def __init__(self, snapshot, keeper, client=GUEST):
        pages = Pages(KEY, "https://desk.test")
        self.portal, self.client, self.events = Portal(KEY, pages, keeper, lambda: snapshot, URL), client, []
        self.internal = Internal(KEY, pages, b"", self.portal)

    def __call__(self, method, path, body=b"", *, secure=False, address=HERE, now=1000.0, languages=""):
        visit = Visit(self.client, address, method, path, now, secure=secure, languages=languages)
        return self.internal.answer(visit, body, self.events.append)

    def send(self, path, *, secure=False, form="/sign-in", **fields):
        token = TOKEN.search(self("GET", form, secure=secure).body.decode())[1]
        return self("POST", path, urlencode({"token": token, **fields}).encode(), secure=secure)


@pytest.fixture
def site(phases):
    return lambda client=GUEST, **said: Site(phases, Keeper(**said), client)


def test_a_code_signs_in_and_is_written_down_without_a_name(site):
    here = site(guest=IN)
    answer = here.send("/sign-in", code="ABCD-2345")
    assert (answer.status, dict(answer.headers)["Location"]) == (303, "/sign-in")
    (event,) = here.events
    assert (event.kind, event.identified_by, event.person, event.device) == ("notice", "portal", "p-1", "d-1")
    assert "Khan" not in str(event)


def test_what_is_typed_is_never_shown(site):
    text = site(guest={"said": "wrong"}).send("/sign-in", code="<script>x").body.decode()
    assert "This is not a code" in text
    assert "script" not in text
    assert 'aria-invalid="true"' in text


@pytest.mark.parametrize(
    ("said", "status"), [("wrong", 403), ("full", 403), ("early", 403), ("wait", 429), ("away", 503), ("?", 403)]
)
def test_why_not(site, said, status):
    assert site(guest={"said": said}).send("/sign-in", code="x").status == status


@pytest.mark.parametrize(
    "change",
    [
        {"address": "10.9.0.6"},
        {"now": 9000.0},
        {"body": b"code=ABCD2345"},
        {"body": b"token=x.y&code=a"},
        {"body": b"&" * 99},
    ],
)
@pytest.mark.parametrize("path", ["/sign-in", "/sign-out", "/sign-in/account"])
def test_a_form_of_ours_for_this_device_not_long_ago(site, change, path):
    here = site(guest=IN, leave={"said": "out"}, staff={"said": "asking"})
    body = urlencode(
        {"token": TOKEN.search(here("GET", "/sign-in").body.decode())[1], "code": "x", "user": "a", "password": "b"}
    )
    answer = here("POST", path, **{"body": body.encode(), "secure": True, **change})
    assert answer.status in (303, 400)
    assert {act for act, _, _ in here.internal._portal._keeper.asked} <= {"status"}, "nothing was asked for"


def test_signed_in_and_out(site):
    here = site(status=IN)
    text = here("GET", "/sign-in").body.decode()
    assert "Ms &lt;b&gt;Khan" in text
    assert "2 h 0 min" in text
    assert here.send("/sign-out").status == 303
    assert here.events[0].detail.startswith("signed out")


def test_a_password_goes_by_https_alone(site):
    here = site(staff={"said": "asking"})
    to = {"Location": "https://schoolgate.internal/sign-in/account"}.items()
    assert to <= dict(here("GET", "/sign-in/account").headers).items()
    assert to <= dict(here("POST", "/sign-in/account", b"user=a&password=b").headers).items()
    assert here.internal._portal._keeper.asked == []
    answer = here.send("/sign-in/account", secure=True, form="/sign-in/account", user=" Tom ", password="three words")
    assert answer.status == 303
    assert here.internal._portal._keeper.asked[-1] == ("staff", HERE, {"user": "Tom", "password": "three words"})


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("asking", "being checked"),
        ("wrong", "password is wrong"),
        ("elsewhere", "no role"),
        ("away", "cannot be checked"),
        ("out", "User name"),
    ],
)
def test_what_became_of_a_password(site, said, words):
    assert words in site(status={"said": said})("GET", "/sign-in/account", secure=True).body.decode()


def test_rfc_8908(site):
    waiting = Client("hillview", "not signed in, g", "g", "network", portal="required")
    told = [
        site(client, status=IN)("GET", "/captive") for client in (waiting, GUEST, Client("hillview", "ks3", "n", "network"))
    ]
    assert [json.loads(one.body) for one in told] == [
        {"captive": True, "user-portal-url": URL},
        {"captive": False, "user-portal-url": URL, "seconds-remaining": 7200, "can-extend-session": True},
        {"captive": False},
    ]
    assert {dict(one.headers)["Content-Type"] for one in told} == {"application/captive+json"}
    assert {dict(one.headers)["Cache-Control"] for one in told} == {"private, no-store"}


@pytest.mark.parametrize("path", ["/sign-in", "/sign-in/account"])
def test_elsewhere_nobody_signs_in(site, path):
    assert site(Client("hillview", "ks3", "n", "network"))("GET", path).status == 404


@pytest.mark.parametrize(
    ("host", "path", "want", "status"),
    [
        ("captive.apple.com", "/hotspot-detect.html", Wanted.OTHER, 302),
        ("connectivitycheck.gstatic.com", "/generate_204", Wanted.OTHER, 302),
        ("www.msftconnecttest.com", "/connecttest.txt", Wanted.OTHER, 302),
        ("detectportal.firefox.com", "/success.txt", Wanted.OTHER, 302),
        ("games.test", "/", Wanted.PAGE, 302),
        ("games.test", "/app.js", Wanted.OTHER, 511),
    ],
)
def test_what_a_captive_device_reads(site, host, path, want, status):
    answer = site().portal.lead(Asker(HERE, want), host, path)
    assert answer.status == status
    assert dict(answer.headers).get("Location", URL) == URL


@pytest.mark.parametrize(
    ("host", "path", "status", "body"),
    [
        ("captive.apple.com", "/anything", 200, b"<BODY>Success</BODY>"),
        ("connectivitycheck.gstatic.com", "/generate_204", 204, b""),
        ("www.google.com", "/gen_204", 204, b""),
        ("www.msftconnecttest.com", "/connecttest.txt", 200, b"Microsoft Connect Test"),
        ("www.msftncsi.com", "/ncsi.txt", 200, b"Microsoft NCSI"),
        ("detectportal.firefox.com", "/success.txt", 200, b"success\n"),
    ],
)
def test_what_a_device_reads_that_is_online(site, host, path, status, body):
    answer = site().portal.online(host, path)
    assert answer.status == status
    assert body in answer.body
    assert site().portal.online(host.replace("w", "v", 1) + "x", path) is None


@given(st.sampled_from(["GET", "POST", "PUT", "HEAD"]), st.sampled_from(["/sign-in", "/sign-out", "/sign-in/account", "/captive"]), st.binary(max_size=200), st.text(max_size=40))  # fmt: skip
@settings(max_examples=80)
def test_no_bytes_break_it(phases, method, path, body, languages):
    here = Site(phases, nobody)
    assert here(method, path, body, secure=True, languages=languages).status in (200, 303, 400, 404, 503)
    assert here.events == []


def test_the_door_is_left_alone_for_a_while_after_it_kept_us_waiting(tmp_path):
    assert Door(tmp_path / "nobody")("status", HERE) is AWAY
