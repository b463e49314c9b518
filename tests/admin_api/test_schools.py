"""Nothing of one school is visible from another, by any route or identifier."""

import json

import pytest

from admin_api.routes.changes import only
from change_control.changes import SiteWish
from change_control.verify import verify_export
from policy.rules import Action

READS = ("/", "/requests", "/rules", "/changes", "/changes/export", "/log", "/why", "/lists", "/people", "/access", "/help")
API_READS = ("/changes", "/rules", "/ledger", "/ledger/verify", "/events", "/lists", "/status", "/why?site=a.com&group=ks2")


@pytest.fixture
def theirs(world) -> int:
    """A request at Hillview that Oakfield must not see."""
    world.events(world.event(3600, school="hillview", group="ks3", host="secret.example"))
    return world.ask("harry", SiteWish("secret.example", Action.ALLOW, ("ks3",)), "a secret of Hillview", "hillview")


@pytest.mark.parametrize("school", ["hillview", "birchwood", "nowhere", "../oakfield", "oakfield\x00"])
def test_no_page_of_another_school(world, theirs, school):
    helen = world.browser("helen")
    for page in READS:
        answer = helen.get(page, params={"school": school})
        assert answer.status_code == 404, page
        assert "secret" not in answer.text
        assert "Hillview" not in answer.text
    for page in API_READS:
        path, _, query = page.partition("?")
        answer = helen.api("GET", f"{path}?{query}", params={"school": school})
        assert answer.status_code in {404, 422}, page
        assert "secret" not in answer.text


def test_no_change_of_another_school(world, theirs):
    helen = world.browser("helen")
    answers = [helen.get(f"/requests/{theirs}"), helen.api("GET", f"/changes/{theirs}")]
    for act in ("approve", "ratify", "reverse"):
        given = {"digest": world.digest(theirs), "code": world.code("helen")}
        answers.append(helen.post(f"/requests/{theirs}/{act}", given))
        given = {"digest": world.digest(theirs), "totp": world.code("helen")}
        answers.append(helen.api("POST", f"/changes/{theirs}/{act}", json=given))
    for act in ("refuse", "withdraw", "request-reversal"):
        answers.append(helen.post(f"/requests/{theirs}/{act}", {"reason": "not mine"}))
        answers.append(helen.api("POST", f"/changes/{theirs}/{act}", json={"reason": "not mine"}))
    answers.append(
        helen.api(
            "POST",
            "/changes",
            json={"school": "hillview", "kind": "site", "site": "a.com", "action": "allow", "reason": "not mine"},
        )
    )
    assert {answer.status_code for answer in answers} == {404}
    assert not any("secret" in answer.text for answer in answers)
    assert world.state(theirs) == "requested"
    assert len(world.access(log="hillview", outcome="refused")) == len(answers)
    assert helen.get("/requests/99999").status_code == 404
    assert helen.get("/requests/99999999999999999999").status_code == 404
    assert helen.get("/requests/one").status_code == 404


def test_one_schools_log_access_and_lists_do_not_hold_the_others(world, theirs):
    world.browser("harry").get("/")
    helen = world.browser("helen")
    for page in (*READS, "/changes?check=true"):
        text = helen.get(page).text
        assert "secret" not in text, page
        assert "Harry" not in text, page
        assert "hillview" not in text.lower(), page


def test_an_export_holds_the_school_and_its_authority_and_proves_itself(world, theirs):
    answer = world.browser("helen").get("/changes/export")
    assert {one["log"] for one in answer.json()["logs"]} == {"oakfield", "birchwood"}
    assert {one.log for one in verify_export(answer.text)} == {"oakfield", "birchwood"}
    broken = json.loads(answer.text)
    broken["logs"][1]["entries"][3] = broken["logs"][1]["entries"][3].replace("teacher", "deputy")
    with pytest.raises(ValueError, match="is not what was signed"):
        verify_export(json.dumps(broken))
    assert json.loads(only(answer.text, {"oakfield"}))["logs"][0]["log"] == "oakfield"


def test_who_works_at_two_schools_chooses(world, theirs):
    adam = world.browser("adam")
    page = adam.get("/?school=hillview").text
    assert "Today at Hillview Academy" in page
    assert '<option value="hillview" selected>' in page
    assert 'href="/requests?school=hillview"' in page
    assert "secret.example" in adam.get("/requests?school=hillview").text
    assert "secret.example" not in adam.get("/requests?school=oakfield").text
    answer = adam.post(
        "/requests/new?school=hillview",
        {"kind": "site", "site": "x.org", "action": "allow", "groups": "ks3", "reason": "biology"},
    )
    assert answer.headers["location"].endswith("?said=asked&school=hillview")


def test_the_authority_has_its_own_place(world):
    laura = world.browser("laura")
    for page in READS:
        answer = laura.get(f"{page}?school=birchwood")
        assert answer.status_code == 200, page
    answer = laura.post(
        "/requests/new?school=birchwood",
        {"kind": "site", "site": "bad.example", "action": "block", "groups": "*", "reason": "all schools"},
    )
    assert answer.status_code == 303
    assert (
        "Every school" in laura.get("/rules?school=birchwood").text
        or "There is no rule" in laura.get("/rules?school=birchwood").text
    )
    assert laura.get(answer.headers["location"]).status_code == 200


def test_a_wrong_log_elsewhere_is_not_told_in_detail(world, theirs):
    from sqlalchemy import text

    with world.store.write() as session:
        session.execute(text("UPDATE entries SET text = replace(text, 'secret', 'public') WHERE log = 'hillview'"))
    said = world.browser("helen").get("/changes?check=true").text
    assert "another change log of this installation does not agree" in said.lower()
    assert "hillview" not in said.lower()
    mine = world.browser("harry").get("/changes?check=true").text
    assert "is not what was signed" in mine
