"""Messages leave over real sockets: by SMTP with STARTTLS and a password, by signed HTTP; and when they cannot, that is said."""

import base64
import hashlib
import hmac
from datetime import timedelta

import pytest

from admin_api import outbox
from admin_api.outbox import EMAIL, FAILED, SENT, WAITING, WEBHOOK, Message
from admin_api.post import Hook, MailServer, Post, signature
from change_control.tables import OutboxRow


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_text("pass word\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def post(world, mailbox, receiver, secret):
    server = MailServer(
        "127.0.0.1", mailbox.port, "Schoolgate <filter@school.example>", "starttls", "filter", str(secret), str(mailbox.pem)
    )
    return Post(world.store, server, {"desk": Hook("desk", receiver.url, str(secret))}, now=world.clock)


def put(world, to="head@school.example", kind=EMAIL, key="one", text="Räume: look here.\n.\nThe end.\n"):
    with world.store.write() as session:
        outbox.put(session, Message("oakfield", kind, to, "A request waits – decide", text, key), world.clock.at)


def row(world):
    with world.store.read() as session:
        return session.query(OutboxRow).order_by(OutboxRow.id.desc()).first()


def test_an_e_mail_arrives_whole_and_is_not_sent_again(world, post, mailbox):
    put(world)
    assert post.look() == 1
    ((to, message),) = mailbox.got
    assert to == ("head@school.example",)
    assert message["Subject"] == "A request waits – decide"
    assert message["From"] == "Schoolgate <filter@school.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"].endswith("@school.example>")
    assert message.get_content().splitlines() == ["Räume: look here.", ".", "The end."]
    assert post.look() == 0
    assert (row(world).state, row(world).text) == (SENT, ""), "what was said is not kept"


def test_a_busy_server_is_asked_again(world, post, mailbox):
    put(world)
    mailbox.busy = True
    assert post.look() == 0
    assert "421 come back later" in row(world).why
    mailbox.busy = False
    assert post.look() == 0, "not at once"
    world.clock.forward(seconds=31)
    assert post.look() == 1


@pytest.mark.parametrize(("code", "state"), [(450, WAITING), (550, FAILED)])
def test_one_address_that_is_refused_stops_no_other(world, post, mailbox, code, state):
    mailbox.refuses["head@school.example"] = code
    put(world)
    put(world, "deputy@school.example")
    assert post.look() == 1
    with world.store.read() as session:
        found = {one.to: one.state for one in session.query(OutboxRow)}
    assert found == {"head@school.example": state, "deputy@school.example": SENT}


def test_what_is_wrong_with_the_server_is_said(world, post, mailbox, secret):
    put(world)
    said = []
    for server in (
        None,
        MailServer("127.0.0.1", 1, "a@b.example"),
        MailServer("127.0.0.1", mailbox.port, "a@b.example"),  # a certificate that nobody vouches for
        MailServer("127.0.0.1", mailbox.port, "a@b.example", "starttls", "other", str(secret), str(mailbox.pem)),
    ):
        post.mail = server
        world.clock.forward(hours=2)
        assert post.look() == 0
        said.append(row(world).why)
    secret.chmod(0o644)
    world.clock.forward(hours=2)
    post.look()
    said.append(row(world).why)
    for why, expected in zip(
        said,
        ("no mail server is configured", "refused", "not trusted", "535 wrong password", "can be read by others"),
        strict=True,
    ):
        assert expected in why


def test_a_webhook_is_signed_so_that_the_receiver_can_tell(world, post, receiver):
    put(world, "*", WEBHOOK, text=outbox.event("request.waiting", world.clock.at, {"change": 7}))
    assert post.look() == 0
    assert post.look() == 1
    ((headers, body),) = receiver.got
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    mac = base64.b64encode(hmac.digest(b"pass word", signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{mac}"
    assert int(headers["webhook-timestamp"]) == int(world.clock.at.timestamp())
    assert receiver.said == [{"type": "request.waiting", "timestamp": world.clock.at.isoformat(), "data": {"change": 7}}]


def test_the_signature_is_the_one_of_the_specification():
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    assert (
        signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
        == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


@pytest.mark.parametrize(("status", "state"), [(200, SENT), (302, WAITING), (500, WAITING), (410, FAILED)])
def test_what_a_receiver_answers_counts(world, post, receiver, status, state):
    receiver.status = status
    put(world, "desk", WEBHOOK, text="{}")
    post.look()
    assert row(world).state == state
    assert len(receiver.got) == 1


def test_a_webhook_that_is_no_more_or_does_not_answer(world, post, receiver):
    put(world, "gone", WEBHOOK, text="{}")
    post.look()
    assert (row(world).state, row(world).why) == (FAILED, "there is no webhook gone any more")
    put(world, "desk", WEBHOOK, text="{}")
    receiver.close()
    post.look()
    assert row(world).state == WAITING


def test_a_sender_that_dies_on_the_way_loses_nothing(world, post, mailbox):
    put(world)
    with world.store.write() as session:
        outbox.take(session, world.clock.at)  # and then the machine stops
    assert post.look() == 0
    world.clock.forward(seconds=31)
    assert post.look() == 1


def test_the_thread_watches_sends_and_stops(world, post, mailbox):
    def watch():
        put(world)
        raise RuntimeError("a watcher that fails stops nothing")

    post.watch = watch
    post.start(0.02)
    mailbox.wait(1)
    post.stop(10)
    assert not any(thread.is_alive() for thread in post._threads)
    assert len(mailbox.got) == 1
    with world.store.write() as session:
        outbox.prune(session, world.clock.at + timedelta(days=500))
