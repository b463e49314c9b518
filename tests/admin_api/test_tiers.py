"""The authority's rules at the desk: asked for there, shown to each headteacher, and which tier has the say."""

from change_control.changes import SiteWish
from policy.rules import Action

RULE = {
    "kind": "site",
    "site": "poki.com",
    "action": "block",
    "groups": "*",
    "mandatory": "yes",
    "reason": "for every school",
}


def test_from_the_authority_to_the_school(world):
    world.enrol("tina", "birchwood", ("technician",), "laura")
    tina, laura, helen = (world.browser(name) for name in ("tina", "laura", "helen"))
    page = tina.get("/requests/new?kind=site").text
    assert "May a school decide otherwise?" in page
    assert "A suspension" not in tina.get("/requests/new").text
    answer = tina.post("/requests/new", RULE)
    assert answer.status_code == 303, answer.text
    change = int(answer.headers["location"].split("/")[2].split("?")[0])
    shown = laura.get(f"/requests/{change}?school=birchwood").text
    assert "Everyone in every school of Birchwood may no longer use poki.com" in shown
    assert "No school can change this." in shown
    assert laura.sign("approve", change).status_code == 303
    page = helen.get("/").text
    assert "accepts its authority’s rules as they stand now" in page
    offered = change + 2  # hillview's is one number lower
    shown = helen.get(f"/requests/{offered}").text
    assert "New: everyone may no longer use poki.com" in shown
    assert "<strong>Staff</strong>" in shown
    assert helen.sign("approve", offered).status_code == 303
    answer = helen.get("/why?site=poki.com&group=staff").text
    assert "Who has the say" in answer
    assert "Authority." in answer
    own = world.ask(wish=SiteWish("poki.com", Action.ALLOW, ("ks2",)))
    assert "other rules already say the same, or stand above this one" in helen.get(f"/requests/{own}").text
    assert "entries agree" in helen.get("/changes?check=true").text
    asked = tina.api("POST", "/changes", json={**RULE, "groups": [], "mandatory": True, "site": "friv.com"})
    assert asked.status_code == 201, asked.text
    assert world.browser("adam").post("/requests/new?school=oakfield", RULE).status_code == 422
