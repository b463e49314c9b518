"""The log to a webhook: signed, under pseudonyms, tried again; what the technician sees of it."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime

import pytest

from admin_api.stream_state import stream_states, troubled_streams
from appliance.config import Config
from appliance.receivers import StreamConfig
from appliance.streaming import Staff, example, sender, state_file, streams
from appliance.wiring import write_quickly
from monitoring.log import Log
from monitoring.stream import Stream
from policy.event import Event

AT = datetime(2026, 11, 9, 10, tzinfo=UTC).timestamp()
SEARCH = Event(
    AT, "search", "hillview", "ks3", "lan", "lease", "sam", "10.0.0.9", "pc-1", "google.com", "/s", "maths", "allow"
)


@pytest.fixture
def config(tmp_path, receiver) -> Config:
    secret = tmp_path / "secret"
    secret.write_text("a shared secret\n")
    secret.chmod(0o600)
    return Config(data=tmp_path, log_to=(StreamConfig("soc", webhook=receiver.url, secret_file=str(secret)),))


def test_a_webhook_gets_what_is_new_signed_and_again_after_it_refused(config, receiver):
    (one,) = config.log_to
    with Log(config.log_database) as log:
        ticks = [0.0]
        stream = Stream("soc", log, sender(config, one), lambda _: frozenset({"staff"}), clock=lambda: ticks[0])
        stream.step()
        log.append([SEARCH, SEARCH._replace(group="staff", term="mine")], {"w": (1, 1)})
        receiver.status = 503
        assert stream.step() == 0
        assert stream.state().error == "NotNow: the webhook soc answered 503"
        receiver.status, ticks[0] = 204, 60.0
        assert stream.step() == 2
    (_, refused), (head, body) = receiver.got
    said = receiver.said[1]
    assert (said["type"], said["data"]["stream"]) == ("log.lines", "soc")
    assert [line["term"] for line in said["data"]["lines"]] == ["maths"]
    assert b"sam" not in body
    assert head["webhook-id"] == receiver.got[0][0]["webhook-id"]  # by which the receiver knows it again
    signed = f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode() + body
    made = base64.b64encode(hmac.digest(b"a shared secret", signed, hashlib.sha256)).decode()
    assert head["webhook-signature"] == f"v1,{made}"
    assert refused


def test_how_a_stream_stands_is_there_for_the_desk_and_goes_with_its_receiver(config):
    gone = state_file(config.data, "of old")
    write_quickly(gone, b'{"name": "of old", "to": "x", "behind": 1, "since": null, "error": "away"}')
    (config.data / "run" / "streams" / "broken.json").write_text("{")
    assert [one.words for one in troubled_streams(config.data)] == ["1 line waits: away"]
    (stream,) = streams(config, write_quickly)
    assert not gone.exists()
    stream.start()  # nothing is known of the policy yet, and nothing is there to send
    stream.stop(10)
    assert [(one.name, one.words) for one in stream_states(config.data)] == [
        ("soc", f"{config.log_to[0].webhook} has everything")
    ]


def test_nothing_is_known_of_staff_without_a_policy(config):
    with pytest.raises(RuntimeError, match="no policy is in force yet"):
        Staff(config.data)("hillview")


def test_a_line_to_try_a_receiver_with(config, receiver):
    sender(config, config.log_to[0])([example()])
    (line,) = receiver.said[0]["data"]["lines"]
    assert (line["kind"], line["detail"]) == ("notice", "a test from Schoolgate")
