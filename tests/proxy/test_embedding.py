"""The overrides: the version they were read against, the shared port, and the last guard before a socket opens."""

import asyncio
import http.client
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http as messages
from mitmproxy import optmanager, version
from mitmproxy.connection import Server
from mitmproxy.options import Options
from mitmproxy.proxy.commands import OpenConnection
from mitmproxy.test import tutils

from proxy.destinations import Destinations
from proxy.embedding import GateMode, Handler
from proxy.failures import NOT_DECIDED
from proxy.inside import READ_AGAINST, Quick, install, often
from proxy.reach import INNER_ADDRESS, Reach
from proxy.server import bind


def test_the_overrides_were_read_against_this_mitmproxy():
    assert version.VERSION == READ_AGAINST, "read proxy/inside beside the new version, then change READ_AGAINST"


def test_with_another_version_the_plain_path_is_taken_and_said(caplog):
    gate = SimpleNamespace(handler=Handler)
    assert not install(gate, "99.0")
    assert gate.handler is Handler
    assert "slow path" in caplog.text
    assert install(gate)
    assert gate.handler is Quick


def test_answers_wait_for_nobodys_acknowledgement(make_settings, internet, tmp_path):
    """asyncio sets TCP_NODELAY where a socket says that it is TCP's; what is accepted says what its listener said."""
    sockets = bind(make_settings(tmp_path, internet.ca.path, {"ks3": 0}))
    assert {each.proto for each in sockets.values()} == {socket.IPPROTO_TCP}
    for each in sockets.values():
        each.close()


FIELDS = st.lists(st.tuples(st.sampled_from([b"Host", b"host", b"Accept", b"X"]), st.binary(max_size=8)), max_size=5)


@given(FIELDS, st.sampled_from(["host", "HOST", "accept", b"x", "none"]))
def test_a_field_is_found_as_mitmproxy_finds_it(fields, key):
    headers = messages.Headers(fields)
    found = headers.get_all(key)
    assert often.header(headers, key) == (", ".join(found) if found else None)
    assert often.has_header(headers, key) is bool(found)


@pytest.mark.parametrize("value", ["text", None, True, 7, ["a", "b"]])
def test_an_option_is_what_it_was_set_to_and_nobodys_to_change(value):
    option = optmanager._Option("x", object, value, "help", None)
    found = often.current(option)
    assert found == value
    assert found is not value or not isinstance(value, list)


def test_a_message_is_made_of_what_it_should_be_made_of():
    good = tutils.treq().data
    often.typed(good)
    good.timestamp_end = 1  # a whole number of seconds is a time too
    often.typed(good)
    for name, value in (("method", "GET"), ("headers", {}), ("port", "80"), ("content", "text")):
        bad = tutils.treq().data
        setattr(bad, name, value)
        with pytest.raises(TypeError, match=name):
            often.typed(bad)


def test_two_workers_share_a_port(school):
    """Many connections to one port: some reach this process, some the other one."""
    host, port = school.proxy("staff")
    script = Path(__file__).with_name("conftest.py")
    command = [sys.executable, str(script), str(port), str(school.worker.settings.confdir), str(school.internet.ca.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline().startswith("ready ")
        for _ in range(60):
            connection = http.client.HTTPConnection(host, port, timeout=10)
            connection.request("GET", f"http://allowed.test:{school.internet.http.port}/")
            assert connection.getresponse().status == 200
            connection.close()
        asked = time.monotonic()
        other.stdin.close()
        theirs = int(other.stdout.readline())
        assert other.wait(10) == 0
    assert time.monotonic() - asked < 10  # two seconds and the end of a Python, on a busy machine
    assert theirs + len(school.events) == 60
    assert theirs > 0
    assert school.events


class Ear:
    """Hears what a handler tells its layers."""

    def __init__(self):
        self.heard = []

    def handle_event(self, event):
        self.heard.append(event)
        return ()


class Writer:
    def get_extra_info(self, name, default=None):
        return {"peername": ("127.0.0.1", 5), "sockname": ("127.0.0.1", 6)}.get(name, default)


def test_nothing_is_opened_that_no_decision_let_through(internet):
    """Even if every hook were skipped: the socket itself waits for a decision about this very host and port."""

    async def resolve(_host):
        return ["127.0.0.1"]

    async def tries():
        reach = Reach(resolve, Destinations(("127.0.0.1/32",)), 5)
        handler = Handler(None, None, Writer(), Options(), GateMode.parse("gate:x@127.0.0.1:1"), SimpleNamespace(reach=reach))
        handler.layer = Ear()
        handler.allowed.add(("other.test", internet.http.port))
        await handler.open_connection(OpenConnection(Server(address=("a.test", internet.http.port))))
        return handler.layer.heard

    (event,) = asyncio.run(tries())
    assert event.reply == NOT_DECIDED


def test_a_taken_port_is_said_plainly(make_worker, make_settings, internet, tmp_path):
    port = internet.http.port
    with pytest.raises(OSError, match=rf"The proxy cannot listen on 127.0.0.1:{port}: Address already in use"):
        make_worker(make_settings(tmp_path, internet.ca.path, {"ks3": port}))


def test_a_broken_bundle_is_said_plainly(make_worker, make_settings, tmp_path):
    (tmp_path / "bad.pem").write_text("nothing")
    with pytest.raises(ValueError, match="holds no certificate"):
        make_worker(make_settings(tmp_path, tmp_path / "bad.pem", {"ks3": 0}))


@pytest.mark.parametrize("found", [["10.0.0.1"], ["127.0.0.2", "::1"]])
def test_inner_addresses_are_not_opened(found):
    async def resolve(_host):
        return found

    with pytest.raises(OSError, match=INNER_ADDRESS):
        asyncio.run(Reach(resolve, Destinations(()), 5).open("a.test", 80))


def test_a_name_without_address_is_an_error():
    async def resolve(_host):
        return ()

    with pytest.raises(OSError, match="no address"):
        asyncio.run(Reach(resolve, Destinations(()), 5).open("a.test", 80))


def test_this_box_by_its_own_address_is_not_opened(internet):
    """An inner network lets the demo's sites be reached, yet never the proxy itself."""

    async def resolve(_host):
        return ["127.0.0.1"]

    reach = Reach(resolve, Destinations(("127.0.0.1/32",)), 5)
    reach.own_ports = frozenset({internet.http.port})
    with pytest.raises(OSError, match=INNER_ADDRESS):
        asyncio.run(reach.open("a.test", internet.http.port))
