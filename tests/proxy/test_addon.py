"""Each hook by itself: whatever breaks inside it, the answer is a refusal and nothing is let through."""

import asyncio
from types import SimpleNamespace

import pytest
from mitmproxy.test import tflow

from category_lists.phrases import shipped
from proxy.addon import Judge
from proxy.block_page import Pages
from proxy.connections import Connections
from proxy.destinations import Destinations
from proxy.embedding import GateMode
from proxy.internal import Internal
from proxy.keeper import nobody
from proxy.portal import Portal
from proxy.reach import Reach
from proxy.record import Record
from proxy.tls import greeted_host
from proxy.tunnels import Tunnels
from proxy.wording import Wording

KEY = b"k" * 32


class Broken:
    @property
    def snapshot(self):
        raise RuntimeError("broken for a test")


class Gate:
    def __init__(self):
        self.opened = []

    def let_through(self, client, host, port):
        self.opened.append((host, port))


async def resolve(_host):
    return ["1.1.1.1"]


def parts(live, events):
    pages, record = Pages(KEY, "https://desk.test"), Record(events.append, "w1")
    return pages, record, Tunnels(live, record, pages=pages, reach=Reach(resolve, Destinations(()), 5))


def a_judge(live, gate, events):
    pages, record, tunnels = parts(live, events)
    return Judge(
        live,
        record,
        tunnels,
        pages=pages,
        internal=Internal(KEY, pages, b""),
        portal=Portal(KEY, pages, nobody, lambda: live.snapshot, "http://schoolgate.internal/sign-in"),
        form_key=KEY,
        gate=gate,
        wording=Wording(shipped()),
    )


def the_connections(live, gate, events):
    _, record, tunnels = parts(live, events)
    return Connections(live, record, tunnels, gate)


@pytest.fixture
def flow():
    made = tflow.tflow()
    made.live = True
    made.client_conn.proxy_mode = GateMode.parse("gate:ks3@127.0.0.1:1")
    made.client_conn.peername = ("127.0.0.1", 5000)
    made.client_conn.sni = None
    made.server_conn.address = None
    made.request.data.host = "allowed.test"
    made.request.port = 80
    made.request.headers["host"] = "allowed.test"
    made.request.headers["content-length"] = "0"
    return made


def test_a_request_that_cannot_be_decided_is_refused(flow):
    gate, events = Gate(), []
    a_judge(Broken(), gate, events).requestheaders(flow)
    assert flow.response.status_code == 403
    assert (gate.opened, [event.reason for event in events]) == ([], ["error"])


def test_a_connection_whose_client_cannot_be_told_is_closed(flow):
    the_connections(Broken(), Gate(), []).client_connected(flow.client_conn)
    assert flow.client_conn.error


def test_a_public_address_of_no_school_is_closed(flow, snapshot):
    flow.client_conn.peername = ("8.8.8.8", 5000)
    live = SimpleNamespace(snapshot=snapshot)
    the_connections(live, Gate(), []).client_connected(flow.client_conn)
    assert flow.client_conn.error
    a_judge(live, Gate(), []).requestheaders(flow)
    assert flow.error  # killed, even if the connection had stayed


def test_a_tunnel_that_cannot_be_decided_is_refused(flow):
    asyncio.run(the_connections(Broken(), Gate(), []).http_connect(flow))
    assert flow.response.status_code == 403


def test_a_greeting_that_cannot_be_decided_does_not_pass_through(flow):
    gate, greeting = Gate(), SimpleNamespace(sni="bank.test", extensions=[])
    context = SimpleNamespace(server=SimpleNamespace(address=("bank.test", 443)), client=flow.client_conn, layers=[None])
    data = SimpleNamespace(context=context, client_hello=greeting, ignore_connection=False)
    the_connections(Broken(), gate, []).tls_clienthello(data)
    assert (data.ignore_connection, gate.opened) == (False, [])


@pytest.mark.parametrize(
    ("sni", "extensions", "passes"),
    [("bank.test", [(0, b"")], True), (None, [], True), (None, [(0, b"")], False), ("allowed.test", [(0, b"")], False)],
)
def test_only_an_honest_greeting_passes_through(flow, snapshot, sni, extensions, passes):
    gate, greeting = Gate(), SimpleNamespace(sni=sni, extensions=extensions)
    context = SimpleNamespace(server=SimpleNamespace(address=("Bank.test.", 443)), client=flow.client_conn, layers=[None])
    data = SimpleNamespace(context=context, client_hello=greeting, ignore_connection=False)
    the_connections(SimpleNamespace(snapshot=snapshot), gate, []).tls_clienthello(data)
    assert data.ignore_connection is passes
    assert gate.opened == ([("bank.test", 443)] if passes else [])


def test_a_response_that_breaks_the_hook_is_cut(flow, snapshot):
    judge = a_judge(SimpleNamespace(snapshot=snapshot), Gate(), [])
    judge.requestheaders(flow)
    assert flow.response is None
    flow.response = SimpleNamespace(headers=None, status_code=200)
    judge.responseheaders(flow)
    assert flow.error


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "x", "70000"])
def test_a_refusal_with_an_odd_body_is_still_a_refusal(flow, snapshot, length):
    flow.request.headers["content-length"] = length
    flow.request.path = "/shut"
    gate = Gate()
    a_judge(SimpleNamespace(snapshot=snapshot), gate, []).requestheaders(flow)
    assert flow.error
    assert gate.opened == []


def test_someone_elses_answer_is_left_alone(flow):
    flow.response = answered = tflow.tresp()
    a_judge(Broken(), Gate(), []).requestheaders(flow)
    assert flow.response is answered


def test_a_gate_that_refuses_is_a_refusal(flow, snapshot):
    class Shut:
        def let_through(self, *_):
            raise KeyError("gone")

    a_judge(SimpleNamespace(snapshot=snapshot), Shut(), []).requestheaders(flow)
    assert flow.response.status_code == 403


def test_an_outer_name_of_an_encrypted_greeting_never_passes_through():
    assert greeted_host("cloudflare-ech.com", "cloudflare-ech.com", [0]) is None
    assert greeted_host("bank.test", "bank.test", [0, 65037]) == "bank.test"  # browsers send that extension always, as grease
