"""Who hears of a request, when, in which words; and that an e-mail's link decides nothing."""

import json
import re

import pytest

from admin_api import outbox
from admin_api.notices import Watcher
from admin_api.post import MailServer, Post
from change_control.changes import SiteWish
from change_control.tables import OutboxRow
from policy.rules import Action

BLOCK = SiteWish("poki.com", Action.BLOCK, ("ks2",))


@pytest.fixture
def watcher(world):
    """Everyone at Oakfield has an address; the watcher that tells them."""
    with world.store.write() as session:
        from change_control.tables import PersonRow

        for row in session.query(PersonRow):
            outbox.set_address(session, row.id, f"{row.username}@school.example")
    return Watcher(world.services, hooks=True)


def told(world, kind=outbox.EMAIL):
    """(whom, subject) of what was put since the last look."""
    with world.store.write() as session:
        rows = list(session.query(OutboxRow).filter_by(kind=kind, state="waiting").order_by(OutboxRow.id))
        for row in rows:
            row.state = "sent"
        return sorted((row.to.partition("@")[0], row.subject.partition(": ")[2] or row.subject) for row in rows)


def test_the_head_hears_of_a_request_once_wherever_it_came_from(world, watcher):
    desk = world.ask("adam")
    with world.store.write() as session:
        from_page = world.office.request(
            session, "oakfield", SiteWish("poki.com", Action.ALLOW, ("ks2",)), by=None, reason="secret words of a child",
            source="block-page", asker="Tim in Year 4, at 127.10.2.7",
        ).id  # fmt: skip
    watcher()
    watcher()
    Watcher(world.services)()  # after a start of the machine
    with world.store.read() as session:
        rows = list(session.query(OutboxRow).filter_by(kind="email"))
    assert [row.to for row in rows] == ["helen@school.example"] * 2
    assert f"https://localhost:8443/requests/{desk}\n" in rows[0].text
    assert "Adam" in rows[0].text
    assert f"/requests/{from_page}" in rows[1].text
    for words in ("secret words", "Tim", "127.10.2.7", "class debate"):
        assert words not in rows[0].text + rows[1].text, "what was typed stays at the desk"
    assert [kind for kind, _ in told(world, outbox.WEBHOOK)] == ["*", "*"]


def test_the_link_opens_the_page_and_approves_nothing(world, watcher):
    change = world.ask("adam")
    watcher()
    with world.store.read() as session:
        text = session.query(OutboxRow).filter_by(kind="email").one().text
    path = re.search(r"https://localhost:8443(/\S+)", text)[1]
    stranger = world.stranger().get(path)
    assert (stranger.status_code, stranger.headers["location"]) == (303, f"/sign-in?next=%2Frequests%2F{change}")
    page = world.browser("helen").get(path)
    assert page.status_code == 200
    assert "Approve" in page.text
    assert world.state(change) == "requested"
    for method in ("HEAD", "OPTIONS"):
        world.browser("helen").client.request(method, path)
    assert world.state(change) == "requested"


def test_nobody_decides_and_more_people_are_told(world, watcher):
    world.ask("adam")  # on a Friday
    stages = []
    for _ in range(8):
        watcher()
        stages.append(told(world))
        world.clock.forward(days=1)
    head = lambda subject: ("helen", subject)  # noqa: E731
    assert stages[0] == [head("A request waits for you")]
    assert stages[4] == [head("A request has waited for two school days")], "Tuesday"
    assert stages[6] == [
        ("dora", "A request has waited for four school days"),
        head("A request has waited for four school days"),
    ]
    assert not any(stages[n] for n in (1, 2, 3, 5, 7))
    watcher()
    world.clock.forward(days=1)
    watcher()
    assert told(world) == [], "Saturday and Sunday count for nothing"
    world.clock.forward(days=1)
    watcher()
    assert told(world) == [
        head("Nobody has decided a request for six school days"),
        ("laura", "Nobody has decided a request for six school days"),
    ]
    assert world.state(1) == "requested", "nothing opens by waiting"


def test_the_delegate_is_asked_with_her(world, watcher):
    helen = world.browser("helen")
    with world.store.read() as session:
        dora = world.registry.signed_in(session, world.cookie("dora")).id
    terms = {"school": "oakfield", "person": dora, "kinds": ["site"], "to": "2026-12-18"}
    world.clock.forward(seconds=30)
    assert helen.api("POST", "/standing/delegations", json={**terms, "totp": world.code("helen")}).status_code == 201
    world.ask("adam")
    watcher()
    assert told(world) == [("dora", "A request waits for you"), ("helen", "A request waits for you")]


def test_the_heads_own_request_goes_to_the_second_persons(world, watcher):
    world.ask("helen")
    watcher()
    assert {to for to, _ in told(world)} == {"dora", "carl", "laura"}


def test_whoever_asked_hears_what_became_of_it(world, watcher):
    refused, approved = world.ask("adam"), world.ask("adam", BLOCK)
    watcher()
    told(world)
    helen = world.browser("helen")
    helen.post(f"/requests/{refused}/refuse", {"reason": "It is full of advertisements."})
    assert helen.sign("approve", approved).status_code == 303
    watcher()
    with world.store.read() as session:
        texts = [row.text for row in session.query(OutboxRow).filter_by(state="waiting", kind="email")]
        events = [json.loads(row.text)["type"] for row in session.query(OutboxRow).filter_by(kind="webhook")]
    assert not any("advertisements" in text for text in texts)
    assert told(world) == [("adam", "Your request was approved"), ("adam", "Your request was refused")]
    assert sorted(events)[:2] == ["change.in_force", "request.refused"]


def test_what_is_refused_is_told_to_head_and_authority(world, watcher):
    part = next((world.data / "policy").glob("oakfield-*.json"))
    part.write_text(part.read_text().replace("Years 3-6", "Years 3-7"))
    current = world.data / "policy" / "current.json"
    current.write_text(current.read_text())
    world.live.refresh()
    watcher()
    watcher()
    assert told(world) == [(who, "the filter refused something that was not signed") for who in ("helen", "laura", "tom")]
    assert ("*", "policy.refused") in told(world, outbox.WEBHOOK)
    world.clock.forward(days=1)
    watcher()
    assert len(told(world)) == 3, "once a day, as long as it lasts"


def test_a_request_reaches_the_heads_mailbox(world, watcher, mailbox, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("pass word")
    secret.chmod(0o600)
    server = MailServer("127.0.0.1", mailbox.port, "a@b.example", "starttls", "filter", str(secret), str(mailbox.pem))
    post = Post(world.store, server, {}, now=world.clock, watch=watcher)
    change = world.ask("adam")
    post.start(0.02)
    ((to, message),) = mailbox.wait(1)
    post.stop(10)
    assert to == ("helen@school.example",)
    assert f"/requests/{change}" in message.get_content()


def test_a_named_teacher_hears_of_a_pupils_request_before_the_head_does(world, watcher):
    with world.store.read() as session:
        adam = world.registry.signed_in(session, world.cookie("adam")).id
    helen = world.browser("helen")
    world.clock.forward(seconds=30)
    named = {"person": adam, "scope": ["pupil_requests"], "to": "2026-12-18", "code": world.code("helen")}
    assert helen.post("/standing/delegation", named).status_code == 303
    with world.store.write() as session:
        change = world.office.request(
            session,
            "oakfield",
            SiteWish("poki.com", Action.ALLOW, ("ks2",)),
            by=None,
            reason="for maths",
            source="block-page",
        ).id
    watcher()
    watcher()
    assert told(world) == [("adam", "A pupil asks for something")]
    assert world.browser("adam").post(f"/requests/{change}/pass-on").status_code == 303
    watcher()
    assert [whom for whom, _ in told(world)] == ["helen"]
