"""What strangers wrote is shown harmlessly everywhere, and stored whole."""

import pytest

from change_control.changes import SiteWish
from policy.rules import Action

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7919*7919 }} {% raw %}",
    "'; DROP TABLE changes; --",
    "\u202egnp.exe\u202c",
    "=HYPERLINK(1)",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_words_of_people_are_words(world, text):
    change = world.ask(reason=f"because {text}")
    helen = world.browser("helen")
    helen.post(f"/requests/{change}/refuse", {"reason": f"no {text}"})
    world.events(world.event(60, term=text, host="google.com", path=f"/{text}", person=text, kind="search", detail=text))
    pages = ("/", "/requests", f"/requests/{change}", "/changes", "/log", "/access")
    for page in pages:
        answer = helen.get(page)
        assert answer.status_code == 200, page
        assert "<script>" not in answer.text
        assert "<img" not in answer.text
        assert "62710561" not in answer.text
    for field in ("site", "words", "person", "address", "group", "category", "since", "until", "after", "kind", "action"):
        answer = helen.get("/log", params={field: text})
        assert answer.status_code in {200, 422}, field
        assert "<script>" not in answer.text
    for page in ("/why", "/requests/new", "/rules", "/requests", "/access", "/sign-in"):
        answer = helen.get(
            page, params={"site": text, "group": text, "kind": text, "state": text, "said": text, "next": text}
        )
        assert answer.status_code in {200, 422}, page
        assert "<script>" not in answer.text
        assert "<img" not in answer.text


def test_odd_characters_stop_nothing(world):
    adam = world.browser("adam")
    form = {"kind": "site", "site": "poki.com", "action": "allow", "groups": "ks2"}
    assert adam.post("/requests/new?school=oakfield", {**form, "reason": "nul \x00 and \x1b escape"}).status_code == 303
    asking = {"school": "oakfield", "kind": "site", "site": "poki.com", "action": "allow"}
    raw = '{"school":"oakfield","kind":"site","site":"poki.com","action":"allow","reason":"half \\ud800 a character \\u0000"}'
    answer = adam.api("POST", "/changes", content=raw, headers={"content-type": "application/json"})
    assert answer.status_code in {201, 422}, answer.text
    for body in ("[]", "{", "null", '{"kind":"site"}', "1" * 5000):
        answer = adam.api("POST", "/changes", content=body, headers={"content-type": "application/json"})
        assert answer.status_code in {400, 422}
        assert set(answer.json()) == {"error"}
    answer = adam.api("POST", "/changes", json={**asking, "reason": "why not", "state": "in_force"})
    assert answer.status_code == 422  # nobody sets what is not theirs to set


def test_a_site_in_another_script_is_shown_as_what_it_is(world):
    change = world.ask(wish=SiteWish("bücher.example", Action.ALLOW, ("ks2",)))
    assert "xn--bcher-kva.example" in world.browser("helen").get(f"/requests/{change}").text
