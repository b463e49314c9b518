"""From a request to a change in force, and who may do which step of it."""

import pytest

from change_control.changes import SiteWish
from policy.rules import Action

ROLES = ("helen", "dora", "tom", "adam", "sara", "olive", "laura", "carl", "gita", "nora")
SITE = {"kind": "site", "site": "https://WWW.Poki.com/fun?x=1#top", "action": "allow", "groups": "ks2", "until": "2026-12-18"}
ASKED = {**SITE, "site": "poki.com/fun", "reason": "Friday reward"}


def test_from_a_form_to_in_force_and_back(world):
    adam, helen = world.browser("adam"), world.browser("helen")
    answer = adam.post("/requests/new?school=oakfield", ASKED)
    assert answer.status_code == 303
    change = int(answer.headers["location"].split("/")[2].split("?")[0])
    shown = helen.get(f"/requests/{change}").text
    assert "Years 3-6 may use poki.com/fun until the end of Friday 18 December 2026." in shown
    assert "Nothing else of poki.com opens." in shown
    assert "Asked by <strong>Adam</strong>" in shown
    assert "Friday reward" in shown
    assert world.digest(change)[:4] + "-" + world.digest(change)[4:8] in shown
    answer = helen.sign("approve", change)
    assert answer.headers["location"] == f"/requests/{change}?said=approved"
    assert world.state(change) == "in_force"
    world.workers()
    assert "In force on 2 of 2 since today at 10:0" in helen.get(f"/requests/{change}").text
    assert "poki.com/fun" in helen.get("/rules").text
    assert "Yes." in helen.get("/why?site=poki.com/fun&group=ks2").text
    assert "No." in helen.get("/why?site=poki.com/&group=ks2").text
    assert helen.sign("reverse", change).status_code == 303
    assert world.state(change) == "reversed"
    assert "No." in helen.get("/why?site=poki.com/fun&group=ks2").text
    assert "entries agree" in helen.get("/changes?check=true").text


ACTS = ("approve", "refuse", "ratify", "reverse", "withdraw", "request-reversal")


def may(username: str, act: str) -> int:
    """What each role gets for each act on Adam's request that waits. 303 done, 409 not in that state, 403 never."""
    if username == "helen":
        return {"approve": 303, "refuse": 303, "withdraw": 403}.get(act, 409)
    if act in {"withdraw", "request-reversal"} and username in {"gita", "nora"}:
        return 403
    if act == "withdraw":
        return 303 if username == "adam" else 403
    return 409 if act == "request-reversal" else 403


@pytest.mark.parametrize("username", ROLES)
def test_each_role_and_each_act(world, username):
    browser = world.browser(username)
    for act in ACTS:
        change = world.ask("adam")
        expected = may(username, act)
        before = len(world.access(outcome="refused"))
        answer = browser.sign(act, change, reason="because of the lesson")
        assert answer.status_code == expected, (act, answer.text[-2000:])
        assert (world.state(change) == "requested") == (expected != 303)
        refused = world.access(outcome="refused")[before:]
        if expected == 403:
            assert len(refused) == 1
            assert refused[0].log == "oakfield"
            assert refused[0].person
            assert refused[0].why
            assert refused[0].address == "10.0.0.7"
        else:
            assert refused == []


def test_a_wrong_code_signs_nothing_and_is_remembered(world):
    change, helen = world.ask(), world.browser("helen")
    answer = helen.sign("approve", change, code="000000")
    assert answer.status_code == 403
    assert "The code is wrong" in answer.text
    assert world.state(change) == "requested"
    assert world.access(outcome="refused")[-1].target == f"change {change}"


def test_a_code_signs_once(world):
    first, second = world.ask(), world.ask(wish=SiteWish("poki.com", Action.ALLOW, ("ks2",)))
    helen = world.browser("helen")
    code = world.code("helen")
    assert helen.sign("approve", first).status_code == 303
    assert helen.post(f"/requests/{second}/approve", {"digest": world.digest(second), "code": code}).status_code == 303
    again = helen.post(f"/requests/{second}/reverse", {"digest": world.digest(second), "code": code})
    assert again.status_code == 303  # another purpose
    assert (
        helen.post(f"/requests/{first}/approve", {"digest": world.digest(first), "code": world.code("helen")}).status_code
        == 403
    )


def test_what_changed_since_it_was_shown_is_not_signed(world):
    change, helen = world.ask(), world.browser("helen")
    answer = helen.sign("approve", change, digest="0" * 64)
    assert answer.status_code == 409
    assert "no longer what was shown" in answer.text
    assert world.state(change) == "requested"


def test_nobody_approves_twice_or_what_is_refused(world):
    change, helen = world.ask(), world.browser("helen")
    assert helen.post(f"/requests/{change}/refuse", {"reason": "the unit is over"}).status_code == 303
    assert helen.sign("approve", change).status_code == 409
    assert "the unit is over" in world.browser("adam").get(f"/requests/{change}").text


def test_the_heads_own_request_needs_the_second_person(world):
    change, helen, dora = world.ask("helen"), world.browser("helen"), world.browser("dora")
    assert "Waiting for your agreement as second person" in dora.get("/").text
    answer = helen.sign("approve", change)
    assert answer.headers["location"].endswith("said=waits")
    assert world.state(change) == "requested"
    shown = dora.get(f"/requests/{change}").text
    assert "Signed by Helen" in shown
    assert "Agree as second person" in shown
    assert dora.sign("approve", change).status_code == 303
    assert world.state(change) == "in_force"


def test_taking_back_what_tightened_is_asked_for(world):
    change = world.ask(wish=SiteWish("bbc.co.uk", Action.BLOCK, ("ks2",)))
    helen = world.browser("helen")
    assert helen.sign("approve", change).status_code == 303
    shown = helen.get(f"/requests/{change}").text
    assert "Ask that it be taken back" in shown
    assert f"/requests/{change}/reverse" not in shown
    assert helen.sign("reverse", change).status_code == 403
    answer = world.browser("adam").post(f"/requests/{change}/request-reversal", {"reason": "news week"})
    reversal = int(answer.headers["location"].split("/")[2].split("?")[0])
    assert f"Change {change} is taken back" in helen.get(f"/requests/{reversal}").text
    assert helen.sign("approve", reversal).status_code == 303
    assert (world.state(change), world.state(reversal)) == ("reversed", "in_force")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"site": ""}, "Give a site"),
        ({"site": "not a site!"}, "A name is made of"),
        ({"site": "com"}, ""),
        ({"action": ""}, "Choose whether"),
        ({"groups": []}, "Choose at least one group"),
        ({"groups": "ks9"}, "There is no group"),
        ({"until": "31/02/2026"}, "is not a date"),
        ({"until": "2020-01-01"}, "must lie in the future"),
        ({"reason": " "}, "Say why"),
        ({"kind": "nothing"}, ""),
    ],
)
def test_a_form_says_what_is_wrong_and_keeps_what_was_typed(world, wrong, says):
    answer = world.browser("adam").post("/requests/new?school=oakfield", {**ASKED, **wrong})
    if wrong == {"site": "com"}:
        return  # a whole top-level domain: change_control decides, see its tests
    assert answer.status_code == 422
    assert says in answer.text
    if wrong.get("kind") is None:
        assert "There is a problem" in answer.text
        assert 'aria-invalid="true"' in answer.text or "groups" in wrong or "action" in wrong
        if "reason" not in wrong:
            assert "Friday reward" in answer.text
    with world.store.read() as session:
        from change_control.tables import ChangeRow

        assert session.query(ChangeRow).count() == 0


def test_a_form_says_all_that_is_wrong_at_once(world):
    text = world.browser("adam").post("/requests/new?school=oakfield", {"kind": "site"}).text
    for field in ("site", "action", "groups", "reason"):
        assert f'<a href="#{field}">' in text
        assert f'id="{field}"' in text


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        (
            {"kind": "category", "category": "games", "action": "warn", "groups": "*"},
            "Everyone at Oakfield Primary will see a",
        ),
        (
            {"kind": "network", "prefix": "10.9.0.0/16", "group": "staff"},
            "Devices with addresses in 10.9.0.0/16 are filtered as",
        ),
    ],
)
def test_each_kind_has_its_form(world, form, sentence):
    answer = world.browser("tom").post("/requests/new", {**form, "reason": "as agreed"})
    assert answer.status_code == 303
    assert sentence in world.browser("helen").get(answer.headers["location"]).text


def test_a_locked_category_and_a_foreign_network_are_said_at_the_field(world):
    tom = world.browser("tom")
    answer = tom.post(
        "/requests/new", {"kind": "category", "category": "csam_illegal", "action": "allow", "groups": "*", "reason": "no"}
    )
    assert answer.status_code == 422
    answer = tom.post("/requests/new", {"kind": "network", "prefix": "127.20.3.0/24", "group": "staff", "reason": "ours"})
    assert answer.status_code == 422
    assert "another school" in answer.text
    assert "hillview" not in answer.text.lower()


def test_the_page_counts_what_it_would_have_done(world):
    world.events(
        *(world.event(ago, address=f"127.10.2.{n}") for n, ago in enumerate((60, 3600, 7200))),
        world.event(60, host="bbc.co.uk", action="allow", category="news"),
        world.event(60, group="staff", action="allow"),
        world.event(29 * 86400),
        world.event(60, school="hillview", group="ks3"),
    )
    change = world.ask()
    shown = world.browser("helen").get(f"/requests/{change}").text
    assert "It would have let through 3 requests by 3 people or devices, all in Years 3-6. Nobody else is affected." in shown
    assert "Nothing changes for Years 1-2, Staff." in shown


def test_a_list_under_a_mandate_is_shown_and_ratified(world):
    helen, tom = world.browser("helen"), world.browser("tom")
    world.clock.forward(seconds=30)
    signed = helen.post(
        "/lists/mandate", {"roles": "technician", "until": "2027-06-30", "days": "10", "code": world.code("helen")}
    )
    assert signed.status_code == 303, signed.text
    assert "The technician may take in lists until the end of Wednesday 30 June 2027" in helen.get("/lists").text
    with world.store.write() as session:
        who = world.registry.signed_in(session, tom.client.cookies["__Host-schoolgate"])
        version = world.list_version("games", "friv.com\n", "community")
        asked = world.office.accept_list(session, "oakfield", version, 0, by=who)
    assert asked.in_force
    change = asked.change.id
    assert "9 days left" in helen.get("/").text or "10 days left" in helen.get("/").text
    assert helen.sign("ratify", change).status_code == 303
    assert world.state(change) == "in_force"


def test_a_list_that_waits_is_previewed_with_its_own_dictionary(world):
    world.events(world.event(60, host="friv.com", action="allow", category=""))
    with world.store.write() as session:
        who = world.registry.signed_in(session, world.cookie("tom"))
        version = world.list_version("games", "friv.com\n", "community")
        change = world.office.accept_list(session, "oakfield", version, 0, by=who).change.id
    shown = world.browser("helen").get(f"/requests/{change}").text
    assert "It would have stopped 1 request by 1 person or device, all in Years 3-6." in shown
