"""At the desk: delegations, mandates to block at once, breaking the glass, another headteacher, and who hears of waiting."""

import re

import pytest

from change_control.changes import SiteWish
from policy.rules import Action

SHUT = {"kind": "site", "site": "poki.com", "action": "block", "groups": "ks2", "reason": "a chat window", "now": "yes"}


def person(world, username):
    with world.store.read() as session:
        return world.registry.signed_in(session, world.cookie(username)).id


def sign(world, username, path, **form):
    browser = world.browser(username)
    world.clock.forward(seconds=30)
    return browser.post(path, {"code": world.code(username), **form})


def delegated(world, **more):
    form = {"person": person(world, "dora"), "scope": ["site", "category"], "to": "2026-12-18", **more}
    return sign(world, "helen", "/standing/delegation", **form)


def mandated(world, **more):
    form = {"kinds": ["site"], "roles": ["teacher", "dsl"], "until": "2027-06-30", "days": "5", **more}
    return sign(world, "helen", "/standing/mandate", **form)


def number(answer):
    return int(answer.headers["location"].split("/")[2].split("?")[0])


def test_a_delegation_from_form_to_approval_to_revocation(world):
    change, dora, helen = world.ask(), world.browser("dora"), world.browser("helen")
    assert dora.sign("approve", change).status_code == 403
    answer = delegated(world)
    assert answer.status_code == 303, answer.text
    page = helen.get("/standing").text
    assert "Dora may approve in the headteacher’s place from" in page
    assert "to the end of Friday 18 December 2026: a category, a site." in page
    assert "Waiting for you to decide" in dora.get("/").text
    assert dora.sign("approve", change).status_code == 303
    assert world.state(change) == "in_force"
    assert "Dora may approve in the headteacher’s place" in helen.get(f"/requests/{change}").text
    assert "under the delegation in entry" in helen.get("/changes").text
    entry = re.search(r'name="entry" value="(\d+)"', page)[1]
    assert sign(world, "helen", "/standing/revoke", entry=entry).status_code == 303
    other = world.ask(wish=SiteWish("poki.com", Action.ALLOW, ("ks2",)))
    assert dora.sign("approve", other).status_code == 403
    assert "entries agree" in helen.get("/changes?check=true").text


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"person": ""}, "Choose a person"),
        ({"scope": []}, "Choose what may be approved"),
        ({"to": ""}, "until which day"),
        ({"to": "2026-01-01"}, "ends after it begins"),
        ({"code": "000000"}, "The code is wrong"),
    ],
)
def test_what_is_wrong_with_a_delegation_is_said(world, form, says):
    answer = delegated(world, **form)
    assert answer.status_code in {403, 422}
    assert says in answer.text
    assert "Nobody approves in the headteacher’s place." in answer.text


@pytest.mark.parametrize("username", ["dora", "adam", "tom", "laura", "sara", "gita"])
@pytest.mark.parametrize("path", ["/standing/mandate", "/standing/delegation", "/standing/revoke", "/people/release"])
def test_only_the_head_signs_these(world, username, path):
    assert sign(world, username, path + "?school=oakfield").status_code == 403
    assert world.access(outcome="refused", person=person(world, username))[-1].target == path


def test_a_teacher_blocks_at_once_and_the_head_ratifies(world):
    adam, helen = world.browser("adam"), world.browser("helen")
    assert "Block at once" not in adam.get("/requests/new?kind=site&school=oakfield").text
    answer = adam.post("/requests/new?school=oakfield", SHUT)
    assert answer.status_code == 422
    assert "waits for the headteacher" in answer.text
    assert mandated(world).status_code == 303
    assert "may block a site at once until" in helen.get("/standing").text
    assert "Block at once" in adam.get("/requests/new?kind=site&school=oakfield").text
    loose = adam.post("/requests/new?school=oakfield", {**SHUT, "action": "allow"})
    assert loose.status_code == 422
    assert "not proven to block more" in loose.text
    answer = adam.post("/requests/new?school=oakfield", SHUT)
    assert answer.headers["location"].split("?")[1].startswith("said=enforced")
    change = number(answer)
    assert world.state(change) == "provisional"
    assert "No." in helen.get("/why?site=poki.com&group=ks2").text
    assert "with the session alone; rests on the mandate" in helen.get("/changes").text
    assert "5 days left" in helen.get("/").text
    assert helen.sign("ratify", change).status_code == 303
    assert world.state(change) == "in_force"


def test_breaking_the_glass_is_loud_and_takes_two(world):
    answer = mandated(world, kinds=["break_glass"], roles=["deputy", "technician"])
    assert answer.status_code == 303, answer.text
    change, tom, dora = world.ask("tom"), world.browser("tom"), world.browser("dora")
    assert "break the glass" in tom.get(f"/requests/{change}").text
    assert tom.sign("break-glass", change).status_code == 303
    assert world.state(change) == "requested"
    assert "Tom signed to break the glass" in dora.get(f"/requests/{change}").text
    assert dora.sign("break-glass", change).status_code == 303
    assert world.state(change) == "provisional"
    for username in ("sara", "gita", "helen"):
        assert "The glass is broken." in world.browser(username).get("/").text
    assert "The glass is broken." not in world.browser("harry").get("/").text
    assert "Yes." in dora.get("/why?site=crazygames.com&group=ks2").text
    world.clock.forward(hours=25)
    with world.store.write() as session:
        assert [row.id for row in world.office.tick(session)] == [change]
    assert world.state(change) == "lapsed"


def test_another_headteacher(world):
    laura, dora = world.browser("laura"), world.browser("dora")
    assert "Another headteacher comes" in laura.get("/people?school=oakfield").text
    assert (
        world.browser("adam").post("/requests/new?school=oakfield", {"kind": "head", "reason": "she left"}).status_code == 403
    )
    answer = laura.post("/requests/new?school=oakfield", {"kind": "head", "reason": "she left"})
    change = number(answer)
    assert "gets another headteacher" in dora.get(f"/requests/{change}").text
    assert world.browser("helen").sign("approve", change).status_code == 403
    assert laura.sign("approve", change).status_code == 303
    assert world.state(change) == "requested"
    assert dora.sign("approve", change).status_code == 303
    assert world.state(change) == "in_force"
    shown = laura.post(f"/requests/{change}/head-code", {"name": "Hana"}).text
    assert re.search(r"[A-Z2-9]{4}-[A-Z2-9]{4}-[A-Z2-9]{4}", shown)
    assert "entries agree" in laura.get("/changes?check=true&school=oakfield").text


def test_the_head_ends_someones_roles(world):
    helen, tom = world.browser("helen"), world.browser("tom")
    assert "End all roles" in helen.get("/people").text
    assert sign(world, "helen", "/people/release", person=person(world, "tom")).status_code == 303
    assert tom.get("/").status_code == 403
    assert sign(world, "helen", "/people/release", person=person(world, "helen")).status_code == 403


def test_who_hears_of_a_request_that_waits(world):
    change = world.ask()
    for days, says in ((0, ""), (4, "two school days"), (2, "four school days"), (4, "six school days")):
        world.clock.forward(days=days)
        world.browsers.clear()
        page = world.browser("helen").get("/").text
        assert says in page
        assert ("Nobody has decided" in world.browser("laura").get("/?school=oakfield").text) is (says == "six school days")
    assert world.state(change) == "requested"


def test_the_same_for_scripts(world):
    helen, dora, adam = (world.browser(name) for name in ("helen", "dora", "adam"))
    given = {"kinds": ["site"], "roles": ["teacher"], "until": "2027-06-30"}
    world.clock.forward(seconds=30)
    made = helen.api("POST", "/standing/mandates", json={**given, "totp": world.code("helen")})
    assert made.status_code == 201, made.text
    world.clock.forward(seconds=30)
    terms = {"person": person(world, "dora"), "kinds": ["category"], "to": "2026-12-18", "totp": world.code("helen")}
    made = helen.api("POST", "/standing/delegations", json=terms)
    assert made.json()["delegations"][0]["kinds"] == ["category"]
    asked = adam.api(
        "POST",
        "/changes",
        json={
            "school": "oakfield",
            "kind": "site",
            "site": "poki.com",
            "action": "block",
            "groups": ["ks2"],
            "reason": "chat",
            "now": True,
        },
    )
    assert asked.json()["state"] == "provisional"
    assert (
        dora.api(
            "POST", f"/changes/{asked.json()['id']}/ratify", json={"digest": asked.json()["digest"], "totp": "1"}
        ).status_code
        == 403
    )
    world.clock.forward(seconds=30)
    entry = made.json()["mandates"][0]["entry"]
    gone = helen.api("POST", "/standing/revoke", json={"entry": entry, "totp": world.code("helen")})
    assert gone.json()["mandates"] == []
    world.clock.forward(seconds=30)
    released = helen.api("POST", "/people/release", json={"person": person(world, "tom"), "totp": world.code("helen")})
    assert released.status_code == 200


# --- a pupil's request goes to the named teacher first ------------------------------------------------------------------------


def pupil_asks(world, reference="K7F2-9QXM", site="poki.com", group="ks2"):
    with world.store.write() as session:
        return world.office.request(
            session, "oakfield", SiteWish(site, Action.ALLOW, ("ks2",)), by=None, reason="for my maths", source="block-page",
            asker="Tim", reference=reference, group=group,
        ).id  # fmt: skip


def where(world, reference="K7F2-9QXM"):
    answer = world.stranger().get(f"/asked?reference={reference.lower()}")
    return re.search(r"<strong>(.*?)</strong>", answer.text)[1]


def named(world, username="adam", **more):
    return delegated(world, person=person(world, username), scope=["pupil_requests"], **more)


def test_a_pupils_request_is_with_the_named_teacher_and_then_with_the_head(world):
    helen, adam, tom = world.browser("helen"), world.browser("adam"), world.browser("tom")
    first = pupil_asks(world, "AAAA-2222", "one.example")
    assert where(world, "AAAA-2222") == "It is with the headteacher."  # nobody is named
    assert named(world).status_code == 303
    assert "Adam looks first at what pupils ask for" in helen.get("/standing").text
    change = pupil_asks(world)
    assert where(world) == "Your teacher looks at it first."
    assert "Pupils ask: you look first" in adam.get("/?school=oakfield").text
    assert f"/requests/{change}" not in helen.get("/").text
    assert "2 pupils’ requests are with the teacher you named" in helen.get("/").text
    page = adam.get(f"/requests/{change}").text
    assert "Pass it on to the headteacher" in page
    assert "Approve" not in page
    for who in (tom, world.browser("dora")):
        assert who.post(f"/requests/{change}/pass-on").status_code == 403
        assert who.post(f"/requests/{change}/refuse", {"reason": "no, not now"}).status_code == 403
    assert adam.sign("approve", change).status_code == 403
    assert adam.post(f"/requests/{change}/pass-on", {"words": "we use it in Year 4"}).status_code == 303
    assert world.state(change) == "requested"  # nothing opens by it
    assert where(world) == "It is with the headteacher."
    assert f"/requests/{change}" in helen.get("/").text
    assert "Passed on by Adam: “we use it in Year 4”" in helen.get(f"/requests/{change}").text
    assert adam.post(f"/requests/{change}/refuse", {"reason": "I think again"}).status_code == 403
    assert adam.post(f"/requests/{change}/pass-on").status_code == 403
    assert helen.sign("approve", change).status_code == 303
    assert where(world) == "Yes: it has been opened."
    assert helen.sign("approve", first).status_code == 303  # she decides also what has not been passed on
    assert "entries agree" in helen.get("/changes?check=true").text


def test_the_named_teacher_refuses_with_a_reason_and_whoever_asked_can_read_it(world):
    named(world)
    change, adam = pupil_asks(world), world.browser("adam")
    staff = world.ask("tom")  # what a colleague asks for is not his
    assert adam.post(f"/requests/{staff}/refuse", {"reason": "no, not now"}).status_code == 403
    assert adam.post(f"/requests/{change}/refuse", {"reason": "no"}).status_code == 422
    assert adam.post(f"/requests/{change}/refuse", {"reason": "It is a game"}).status_code == 303
    assert where(world) == "No, it stays as it is."
    page = world.stranger().get("/asked?reference=K7F2-9QXM").text
    assert "It is a game" in page
    assert "Tim" not in page
    assert "Adam" not in page
    world.clock.forward(days=60)
    late = pupil_asks(world, "BBBB-2222")
    assert where(world, "BBBB-2222") == "It is with the headteacher."  # the delegation has ended
    assert adam.post(f"/requests/{late}/pass-on").status_code in {303, 403}
    assert world.state(late) == "requested"


def test_each_group_has_a_teacher_of_its_own_and_the_others_the_schools(world):
    adam, tom, helen = world.browser("adam"), world.browser("tom"), world.browser("helen")
    assert named(world, "adam", groups=["ks2"]).status_code == 303
    assert "Adam looks first at what pupils in Years 3-6 ask for from the block page" in helen.get("/standing").text
    older, younger = pupil_asks(world, "AAAA-2222", "one.example"), pupil_asks(world, "BBBB-2222", "two.example", "ks1")
    assert where(world, "AAAA-2222") == "Your teacher looks at it first."
    assert where(world, "BBBB-2222") == "It is with the headteacher."  # nobody is named for that group
    assert adam.post(f"/requests/{younger}/pass-on").status_code == 403
    assert named(world, "tom").status_code == 303
    assert where(world, "BBBB-2222") == "Your teacher looks at it first."
    assert tom.post(f"/requests/{older}/pass-on").status_code == 403  # it has a teacher of its own
    assert tom.post(f"/requests/{younger}/pass-on").status_code == 303
    assert adam.post(f"/requests/{older}/pass-on").status_code == 303
    assert "entries agree" in helen.get("/changes?check=true").text


def test_groups_go_with_pupils_requests_alone(world):
    both = delegated(world, person=person(world, "adam"), scope=["pupil_requests", "site"], groups=["ks2"])
    assert "roups go with pupils’ requests alone" in both.text
    assert "here is no group ks9 here" in named(world, groups=["ks9"]).text


def test_references_are_not_guessed(world):
    stranger = world.stranger()
    assert stranger.get("/asked?reference=ZZZZ-9999").status_code == 404
    assert 429 in {stranger.get(f"/asked?reference=ZZZZ-{n}").status_code for n in range(1000, 1012)}
