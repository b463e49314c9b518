"""The hooks of connections: whose one is, which further tunnels it may ask for, and what its greetings teach.

The front has judged a connection's first words before mitmproxy hears of it; these hooks meet what comes after, and what
becomes of the greetings that we answer. Like every hook of ours each is an edge: what goes wrong in it opens nothing.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from mitmproxy import connection, http, tls
from mitmproxy.proxy.layers.modes import TransparentProxy

from category_lists.names import NameRefused
from policy.decide import decide
from policy.event import Kind
from policy.identity import Client
from policy.rules import Action
from proxy import flows, pinned
from proxy.answer import CANNOT_DECIDE, Answer
from proxy.questions import question, tunnel_host
from proxy.record import Record
from proxy.tls import greeted_host
from proxy.tunnels import HasSnapshot, Tunnels, clock

log = logging.getLogger(__name__)


class Gatekeeper(Protocol):
    """Where a decision to let through is put down: embedding.Gate."""

    def let_through(self, client: connection.Client, host: str, port: int) -> None: ...


class Connections:
    """The hooks. `name` is how mitmproxy knows the addon."""

    name = "schoolgate-connections"

    def __init__(
        self, live: HasSnapshot, record: Record, tunnels: Tunnels, gate: Gatekeeper, *, now: Callable[[], datetime] = clock
    ) -> None:
        self._live, self._record, self._tunnels, self._gate, self._now = live, record, tunnels, gate, now
        self._pinned = pinned.Pinned()

    def client_connected(self, client: connection.Client) -> None:
        if not self._tunnels.known(client.proxy_mode.data, flows.address(client)):
            client.error = "no school has this address"

    async def http_connect(self, flow: http.HTTPFlow) -> None:
        """A tunnel is asked for where others were before it; the first of a connection is the front's."""
        try:
            client = flow.client_conn
            said = await self._tunnels.ask(
                client.proxy_mode.data, flows.address(client), flow.request.host, flow.request.port
            )
            if said is None:
                flow.kill()
            elif isinstance(said, Answer):
                flow.response = flows.made(said, flow)
        except Exception:  # noqa: BLE001 - an enforcing edge
            flow.response = flows.made(CANNOT_DECIDE, flow)
            self._record.trouble("a tunnel", flows.address(flow.client_conn), flow.request.host)

    def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        """What the front has handed over is opened. What was asked for later may pass through: proxy/tls.py says which."""
        try:
            server, greeting, client = data.context.server.address, data.client_hello, data.context.client
            if server is None or isinstance(data.context.layers[0], TransparentProxy):
                return
            host = greeted_host(server[0], greeting.sni, (kind for kind, _ in greeting.extensions))
            if host and self._tunnels.passes(client.id, client.proxy_mode.data, flows.address(client), host):
                data.context.server.address = (host, server[1])
                self._gate.let_through(client, host, server[1])
                data.ignore_connection = True
        except Exception:  # noqa: BLE001 - an enforcing edge: opened, so that each request meets `requestheaders`
            data.ignore_connection = False
            self._record.trouble("a TLS greeting", flows.address(data.context.client))

    def client_disconnected(self, client: connection.Client) -> None:
        self._tunnels.over(client.id)

    def tls_established_client(self, data: tls.TlsData) -> None:
        """A client takes our certificate: where the same device refuses it for one name, that name's application pins."""
        try:
            server, client = data.context.server.address, self._client(data.context.client)
            if server is not None and client is not None:
                address = flows.address(data.context.client)
                self._pinned.succeeded(client.school, tunnel_host(server[0], None), address, self._now().timestamp())
        except Exception:  # nothing is let through here, and nothing depends on it
            log.exception("could not note a greeting")

    def tls_failed_client(self, data: tls.TlsData) -> None:
        """A client that does not take our certificate asks for nothing; the log should still say what it was about."""
        try:
            server, client = data.context.server.address, self._client(data.context.client)
            if server is None or client is None:
                return
            asked = question(client, tunnel_host(server[0], None), None, self._now())
            decision = decide(self._live.snapshot, asked)
            event = self._record.decided(Kind.CONNECTION, client, flows.address(data.context.client), asked, decision)
            self._record(event._replace(outcome="no trust", detail="the client did not accept the filter's certificate"))
            now = asked.at.timestamp()
            if decision.action is Action.ALLOW and self._pinned.failed(client.school, asked.host, event.address, now):
                also = self._pinned.works_elsewhere(client.school, asked.host, now)
                self._record(pinned.proposal(event, works_elsewhere=also))
        except NameRefused:
            return
        except Exception:  # noqa: BLE001 - nothing is let through here
            self._record.trouble("a failed greeting", flows.address(data.context.client))

    def _client(self, client: connection.Client) -> Client | None:
        return self._tunnels.client(client.proxy_mode.data, flows.address(client))
