"""Whatever breaks inside, no request is answered from outside without a decision: counted at the origin."""

import contextlib
import dataclasses
import http.client
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from policy.decide import Reason

WAYS = {
    "plain": "http://allowed.test:{http}/",
    "opened": "https://allowed.test:{https}/",
    "passed through": "https://bank.test:{https}/",
    "a search": "https://www.google.com:{https}/search?q=volcano",
    "a search in the page": "https://www.youtube.com:{https}/youtubei/v1/search",
}


class Broken:
    """Raises at any question."""

    def __getattr__(self, name):
        raise RuntimeError(f"{name}: broken for a test")


@pytest.fixture
def without(school):
    """A policy in force of which one part is broken."""
    before = school.live.kept

    def broken(part):
        made = school.build()
        known = made.dictionaries["d"]
        if part == "index":
            found = {"d": dataclasses.replace(known, index=Broken())}
        elif part == "engines":
            found = {"d": dataclasses.replace(known, engines=Broken())}
        elif part == "taxonomy":
            found = {"d": dataclasses.replace(known, taxonomy=Broken())}
        else:
            found = {}
        school.live.kept = dataclasses.replace(made, dictionaries=found, _profiles={})

    yield broken
    school.live.kept = before


@pytest.mark.parametrize("part", ["index", "engines", "taxonomy", "dictionary"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_broken_part_of_the_policy_opens_nothing(school, without, part, way):
    without(part)
    more = ["-d", '{"query": "x"}'] if "youtubei" in way else []
    got = school.browse("ks3", way, *more)
    assert got.status != 200
    assert not school.seen()
    assert {event.reason for event in school.events} == {Reason.ERROR}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_no_policy_at_all_opens_nothing(school, way):
    school.live.broken = True
    assert school.browse("ks3", way).status != 200
    assert not school.seen()


@pytest.mark.parametrize("what", ["phrases", "spool"])
def test_words_that_cannot_be_judged_and_a_full_spool(school, what):
    """Pages that nobody can judge are refused after they came; a log that is full stops nobody, and lets nobody past."""
    page = f"https://allowed.test:{{https}}/html/plain?text={quote('volcano')}"
    school.worker.phrases.broken = what == "phrases"
    school.worker.record_fails = what == "spool"
    opened, blocked = school.browse("ks3", page), school.browse("ks3", "https://games.test:{https}/")
    search = school.browse("ks3", f"https://www.google.com:{{https}}/search?q={what}+how+to+kill+myself")
    assert (opened.status, blocked.status, search.status) == (200 if what == "spool" else 403, 403, 403)
    assert {each.headers["host"].partition(":")[0] for each in school.seen()} <= {"allowed.test"}


def test_a_policy_swapped_between_two_requests_of_one_connection(school):
    """The tunnel is open, one page of it came; under the next policy the next one does not."""
    from policy.rules import Action, SiteRule

    with school.tunnel("ks3", f"allowed.test:{school.internet.https.port}", "allowed.test") as tunnel:
        ask = b"GET / HTTP/1.1\r\nHost: allowed.test\r\n\r\n"
        tunnel.sendall(ask)
        got = b""
        while b"hello from" not in got:
            got += tunnel.recv(65536)
        assert b" 200 " in got.partition(b"\r\n")[0]
        before, school.live.kept = school.live.kept, school.build(SiteRule("r-new", "allowed.test", Action.BLOCK, 11))
        try:
            tunnel.sendall(ask)
            assert b" 403 " in tunnel.recv(65536).partition(b"\r\n")[0]
        finally:
            school.live.kept = before
    assert len(school.seen()) == 1


@pytest.mark.parametrize("host", ["allowed.test", "games.test"])
def test_a_worker_killed_in_the_middle_answers_nothing_from_outside(school, host):
    """`kill -9` while a request is under way: what had no decision is never seen at the origin, then or later."""
    script = Path(__file__).with_name("conftest.py")
    command = [sys.executable, str(script), "0", str(school.worker.settings.confdir), str(school.internet.ca.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        place = other.stdout.readline().split()[-1].rpartition(":")
        connection = http.client.HTTPConnection(place[0], int(place[2]), timeout=10)
        connection.putrequest("GET", f"http://{host}:{school.internet.http.port}/", skip_host=True)
        connection.putheader("Host", f"{host}:{school.internet.http.port}")  # and no end of the head: nothing to decide yet
        connection.send(b"GET / HTTP/1.1\r\n")
        other.send_signal(signal.SIGKILL)
        other.wait(10)
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.endheaders()
            assert connection.getresponse().status == 0, "nobody is there to answer"
        connection.close()
    assert not school.seen()
