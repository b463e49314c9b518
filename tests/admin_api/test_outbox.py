"""Messages are put once, with what they tell of or not at all; who may be told, and what the pages say when none leaves."""

from datetime import timedelta

import pytest

from admin_api import outbox
from admin_api.outbox import EMAIL, FAILED, SENT, WAITING, WEBHOOK, Message
from change_control.tables import OutboxRow


def letter(to="head@school.example", key="one", **more):
    return Message(
        **{"log": "oakfield", "kind": EMAIL, "to": to, "subject": "A request", "text": "Look.", "key": key, **more}
    )


def rows(world):
    with world.store.read() as session:
        return list(session.query(OutboxRow).order_by(OutboxRow.id))


def test_the_same_to_the_same_place_is_put_once(world):
    with world.store.write() as session:
        assert outbox.put(session, letter(), world.clock.at)
        assert not outbox.put(session, letter(text="Other words."), world.clock.at)
        assert outbox.put(session, letter(key="two"), world.clock.at)
        assert outbox.put(session, letter("deputy@school.example"), world.clock.at)
    assert [(row.to, row.key, row.text) for row in rows(world)] == [
        ("head@school.example", "one", "Look."),
        ("head@school.example", "two", "Look."),
        ("deputy@school.example", "one", "Look."),
    ]


def test_what_was_not_committed_tells_nobody(world):
    def fails():
        with world.store.write() as session:
            outbox.put(session, letter(), world.clock.at)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert rows(world) == []


@pytest.mark.parametrize(
    "bad",
    ["", "head", "head@", "@school.example", "head@school", "a b@school.example", "head@school.example\nBcc: x@y.example",
     "Head <head@school.example>", "héad@school.example", "a" * 300 + "@school.example", "a@b@c.example"],
)  # fmt: skip
def test_what_is_no_address_is_refused(world, bad):
    with pytest.raises(ValueError, match="not an e-mail address"), world.store.write() as session:
        outbox.put(session, letter(bad), world.clock.at)


def test_a_subject_is_one_line_and_words_have_an_end(world):
    with world.store.write() as session:
        outbox.put(session, letter(subject="A\r\nBcc: x@y.example " + "z" * 500, text="w" * 50_000), world.clock.at)
    (row,) = rows(world)
    assert row.subject.startswith("A Bcc: x@y.example zzz")
    assert (len(row.subject), len(row.text)) == (200, 20_000)


def test_those_with_a_role_and_an_address_are_told(world):
    cookies = {name: world.cookie(name) for name in ("helen", "dora", "harry")}
    with world.store.write() as session:
        ids = {name: world.registry.signed_in(session, cookie).id for name, cookie in cookies.items()}
        for name, person in ids.items():
            outbox.set_address(session, person, f"{name}@school.example")
        assert outbox.addresses(session, "oakfield", ("headteacher", "deputy")) == {
            ids["helen"]: "helen@school.example",
            ids["dora"]: "dora@school.example",
        }
        told = outbox.put_to_roles(
            session, "oakfield", ("headteacher", "deputy"), "s", "t", "k", world.clock.at, but=ids["dora"]
        )
        assert told == 1
        assert outbox.put_to_roles(session, "oakfield", ("governor",), "s", "t", "k", world.clock.at) == 0
        outbox.set_address(session, ids["helen"], "")
        assert outbox.address_at(session, ids["helen"]) == ""
    assert [row.to for row in rows(world)] == ["helen@school.example"]


def test_what_was_taken_is_due_again_later_and_goes_in_the_end(world):
    now = world.clock.at
    with world.store.write() as session:
        outbox.put(session, letter(), now)
    pauses = []
    for _ in range(7):
        with world.store.write() as session:
            (row,) = outbox.take(session, now)
            assert outbox.take(session, now) == []
            assert not outbox.not_sent(session, row.id, "no answer", now)
            assert outbox.state(session, now) == outbox.State(1, 0, ("no answer",))
            pauses.append((row.due - now).total_seconds())
            now = row.due
    assert pauses == [30, 120, 600, 1800, 3600, 3600, 3600]
    now += timedelta(days=3)
    with world.store.write() as session:
        (row,) = outbox.take(session, now)
        assert outbox.not_sent(session, row.id, "no answer", now)
    (row,) = rows(world)
    assert (row.state, row.text) == (FAILED, "")
    with world.store.write() as session:
        assert outbox.state(session, now).troubled
        assert not outbox.state(session, now + timedelta(days=20)).troubled
        outbox.prune(session, now + timedelta(days=401))
    assert rows(world) == []


def test_a_message_for_all_webhooks_becomes_one_for_each(world):
    with world.store.write() as session:
        outbox.put(session, letter("*", kind=WEBHOOK, subject="request.waiting", text="{}"), world.clock.at)
        (row,) = outbox.take(session, world.clock.at)
        outbox.spread(session, row, ("a", "b"), world.clock.at)
    assert [(row.to, row.state) for row in rows(world)] == [("*", SENT), ("a", WAITING), ("b", WAITING)]


def test_the_technician_sees_that_messages_do_not_leave(world):
    with world.store.write() as session:
        outbox.put(session, letter(), world.clock.at)
        (row,) = outbox.take(session, world.clock.at)
        outbox.not_sent(session, row.id, "the mail server smtp:25: no answer", world.clock.at)
    assert "Messages do not leave this machine" in world.browser("tom").get("/").text
    assert "smtp:25: no answer" in world.browser("helen").get("/").text
    assert "Messages do not leave" not in world.browser("adam").get("/?school=oakfield").text


def test_a_person_says_where_she_is_told(world):
    adam = world.browser("adam")
    assert "is not an e-mail address" in adam.post("/you/email", {"email": "adam"}).text
    assert adam.post("/you/email", {"email": "adam@school.example"}).status_code == 303
    assert 'value="adam@school.example"' in adam.get("/you/email").text
    adam.post("/you/email", {"email": "other@school.example"})
    assert [(row.to, row.subject) for row in rows(world)] == [
        ("adam@school.example", "The desk writes to you here"),
        ("other@school.example", "The desk writes to you here"),
        ("adam@school.example", "The desk no longer writes to you here"),
    ]
    adam.post("/you/email", {"email": ""})
    assert 'value=""' in adam.get("/you/email").text
    assert adam.post("/you/email", {"email": "a@b.example"}, token=False).status_code == 403
