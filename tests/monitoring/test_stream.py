"""The log sent on as it grows: over real sockets, in order, nothing skipped whoever dies in between, nobody named."""

import re
import socket
import threading
from datetime import UTC, datetime

import pytest

from monitoring.stream import Stream, as_json
from monitoring.syslog import Syslog
from policy.event import Event

AT = datetime(2026, 11, 9, 10, tzinfo=UTC).timestamp()
SEARCH = Event(
    AT, "search", "hillview", "ks3", "lan", "lease", "sam", "10.0.0.9", "pc-1", "google.com", "/s", "maths", "allow"
)


@pytest.fixture
def server(syslog_server):
    found = []

    def make(*args):
        found.append(syslog_server(*args))
        return found[-1]

    yield make
    for one in found:
        one.close()


def store(log, *some: Event) -> None:
    place = log.spools()["w"].position[1] if log.spools() else 0
    log.append(some, {"w": (1, place + 1)})


def staff(school: str) -> frozenset[str] | None:
    return {"hillview": frozenset({"staff"}), "": frozenset()}.get(school)


def terms(messages) -> list[str]:
    return [found[1] for one in messages if (found := re.search(r' term="([^"]*)"', one))]


@pytest.mark.parametrize("secure", [False, True])
def test_syslog_gets_each_line_in_order_also_after_it_was_away_and_after_our_own_restart(
    log, server, mail_certificate, secure
):
    pem = mail_certificate if secure else None
    first = server(pem)
    how, ca, ticks = ("tls", str(pem)) if secure else ("tcp", ""), "", [0.0]
    how, ca = how
    sender = Syslog(how, "127.0.0.1", first.port, ca=ca)
    stream = Stream("siem", log, sender, staff, clock=lambda: ticks[0])
    store(log, SEARCH._replace(term="long ago"))
    assert stream.step() == 0  # a new stream begins with what comes from now on
    store(log, SEARCH._replace(term="one"), SEARCH._replace(term="mine", group="staff"), SEARCH._replace(school="unknown"))
    assert stream.step() == 3
    assert terms(first.wait(1)) == ["one"]
    first.close()

    store(log, SEARCH._replace(term="two"))
    ticks[0] += 60
    assert stream.step() == 0  # it is away
    assert stream.state().error
    assert stream.state().behind == 1
    assert stream.step() == 0  # and is left alone for a moment
    sender.close()
    second = server(pem, first.port)  # it comes back, and we begin anew
    sender = Syslog(how, "127.0.0.1", second.port, ca=ca)
    again = Stream("siem", log, sender, staff)
    store(log, SEARCH._replace(term="three"))
    assert again.step() == 2
    assert terms(second.wait(2)) == ["two", "three"]
    assert (again.state().behind, again.state().error) == (0, "")
    assert "sam" not in str(second.got)
    assert "10.0.0.9" not in str(second.got)
    assert ' who="' in second.got[0]
    sender.close()


def test_nothing_is_sent_to_a_server_whose_certificate_nobody_vouches_for(log, server, mail_certificate):
    found = server(mail_certificate)
    with pytest.raises(OSError, match="not trusted"):
        Syslog("tls", "127.0.0.1", found.port).send(["<110>1 - - - - - - hello"])
    assert found.got == []


def test_syslog_by_udp(log):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(20)
        sender = Syslog("udp", "127.0.0.1", listening.getsockname()[1])
        sender.send(["<110>1 one", "<110>1 two"])
        assert [listening.recv(100) for _ in range(2)] == [b"<110>1 one", b"<110>1 two"]
        sender.close()


def test_hostile_lines_stay_one_message_each(log, server):
    found = server()
    sent = Syslog("tcp", "127.0.0.1", found.port)
    stream = Stream("siem", log, sent, staff)
    stream.step()
    nasty = 'a\n<0>1 forged ] "\\ \u202e=1+1 \ud800'
    store(log, SEARCH._replace(term=nasty), SEARCH._replace(term="x" * 100_000))
    assert stream.step() == 2
    first, second = found.wait(2)
    assert "\n" not in first
    assert first.count("<0>1 forged \\] ") == 1
    assert "\u202e" not in first
    assert len(second) < 2_000
    sent.close()


def test_nothing_leaves_while_nobody_knows_what_is_staffs(log):
    def unknown(_: str) -> frozenset[str]:
        raise RuntimeError("no policy is in force yet")

    got = []
    stream = Stream("soc", log, got.append, unknown)
    stream.step()
    store(log, SEARCH)
    assert (stream.step(), got, stream.state().behind) == (0, [], 1)
    known = Stream("soc", log, lambda lines: got.extend(as_json(*one) for one in lines), staff, school="hillview")
    assert known.step() == 1
    assert got[0]["term"] == "maths"
    assert got[0]["id"]
    assert "person" not in got[0]
    assert Stream("of another school", log, got.append, staff, school="oakfield").step() == 0


def test_a_stream_of_its_own_thread_tells_how_it_stands(log, server):
    found, told = server(), threading.Event()
    states = []

    def tell(state) -> None:
        states.append(state)
        if state.sent:
            told.set()

    sent = Syslog("tcp", "127.0.0.1", found.port)
    stream = Stream("siem", log, sent, staff, told=tell)
    stream.step()
    store(log, SEARCH)
    stream.start()
    assert told.wait(20)
    stream.stop(10)
    assert (states[-1].sent, states[-1].behind, states[-1].error) == (1, 0, "")
    sent.close()
