"""The part of what overrides mitmproxy's inside (the package says the version) that is about connections: TLS is
spoken by us, on both sides, before mitmproxy hears of it.

- `Spoken.made`: a client that greeted honestly is answered here, under the certificate that the hooks give, and mitmproxy
  gets HTTP. A greeting that is bent, and one inside a tunnel inside a tunnel, still take mitmproxy's own layers.
- `Spoken.reached`: a site's certificate is checked when the connection to it is opened, so that to fail it is to fail
  to connect.
- `no_layer`: what mitmproxy is given in place of its layer for a site's TLS.
- `Spoken.handle_client`: without a task that watches the clock and one that reads; `look` sees to who is silent.

INVARIANT: what `reached` returns has shown a certificate that OpenSSL found good for the name we asked for.
"""

import asyncio
import ipaddress
import logging
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mitmproxy import connection, tls
from mitmproxy.addons import tlsconfig
from mitmproxy.addons.tlsconfig import DEFAULT_HOSTFLAGS
from mitmproxy.net import tls as net_tls
from mitmproxy.net.check import is_valid_host
from mitmproxy.proxy import events, tunnel
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import HttpLayer, HTTPMode
from OpenSSL import SSL

from proxy.embedding import Handler
from proxy.failures import BAD_CERTIFICATE
from proxy.line import Line

if TYPE_CHECKING:
    from proxy.embedding import Gate
    from proxy.front import Given

CLASSICAL = b"X25519:P-256:P-384:P-521"  # groups
NO_TLS = {"wrong version number", "packet length too long", "record layer failure"}
_lib: Any = SSL._lib  # type: ignore[attr-defined]  # noqa: SLF001
_ffi: Any = SSL._ffi  # type: ignore[attr-defined]  # noqa: SLF001
log = logging.getLogger(__name__)


class Spoken(Handler):
    """A connection whose TLS is ours."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.client.handler = self  # type: ignore[attr-defined]  # for those inside
        self.secured: set[str] = set()  # ids of sites that `reached` speaks TLS to
        self.long: list[tuple[Any, bool]] = []  # streams, and whose body it is, that may take a short cut
        self.met = False
        self.quantum = True  # would this client agree on keys as in `_outward`?

    def call(self, hook: str, data: object) -> None:
        for each in self.gate.hooks.get(hook, ()):
            each(data)

    def meet(self) -> None:
        """Once, before anything is said."""
        if not self.met:
            self.met = True
            self.call("client_connected", self.client)

    @classmethod
    async def made(cls, gate: "Gate", given: "Given") -> Handler | None:
        """A handler whose client has been greeted; None when that came to nothing."""
        if given.greeting is None or given.greeting.bent or given.tunnel is None:
            return await super().made(gate, given)
        line = Line(gate.front.wires, given.sock, peername=given.address, sockname=given.own)
        try:
            made = cls(gate.chief, line, line, gate.chief.options, gate.modes[given.listener], gate)
            client, context = made.client, made.layer.context
            client.tls = True
            client.sni, client.alpn_offers = _named(given.greeting.name), given.greeting.offers
            context.server.address, context.server.tls = given.tunnel, True
            made.quantum = given.greeting.quantum
            made.meet()
            if not client.error and await made._greet(line, given.data, context):
                made.layer = HttpLayer(context, HTTPMode.transparent)
                made.unread = -1
                return made
            line.close()
        except BaseException as error:
            line.close()
            if not isinstance(error, Exception):
                raise
            log.warning("closed a connection", exc_info=True)
        return None

    unread = 0

    async def _greet(self, line: Line, data: bytes, context: Context) -> bool:
        client = context.client
        told = tls.TlsData(client, context)
        self.call("tls_start_client", told)
        assert told.ssl_conn
        line.tls = told.ssl_conn
        line.tls.bio_write(data)
        try:
            await line.greet()
        except TimeoutError:  # it refused nothing, so nothing is learnt from it
            return False
        except (OSError, SSL.Error) as error:
            client.error = _said(line, error)
            self.call("tls_failed_client", told)
            return False
        _established(client, line)
        self.call("tls_established_client", told)
        return True

    async def reached(self, server: connection.Server) -> tuple[Any, Any]:
        if server.id not in self.secured:
            return await super().reached(server)
        assert server.address
        line = Line(self.gate.front.wires, await self.gate.reach.connected(*server.address[:2]))
        try:
            line.tls = self._to_site(server)
            await line.greet()
        except SSL.Error as error:
            words = _said(line, error)
            line.close()
            raise OSError(words) from None
        except BaseException:
            line.close()
            raise
        _established(server, line)
        return line, line

    def _to_site(self, server: connection.Server) -> SSL.Connection:
        """As mitmproxy's addon sets it up, with one context for all sites and each name made ready once."""
        assert server.address
        server.sni = server.sni or self.client.sni or server.address[0]
        server.alpn_offers = server.alpn_offers or self.client.alpn_offers
        name, address = _checked(server.sni)
        made = SSL.Connection(_outward(self.gate.chief.options.ssl_verify_upstream_trusted_ca, self.quantum))
        about = _lib.SSL_get0_param(made._ssl)  # noqa: SLF001
        _lib.X509_VERIFY_PARAM_set_hostflags(about, DEFAULT_HOSTFLAGS)
        if address:  # RFC 6066: an address is no name to greet with
            good = _lib.X509_VERIFY_PARAM_set1_ip(about, address, len(address))
        else:
            made.set_tlsext_host_name(name)
            good = _lib.X509_VERIFY_PARAM_set1_host(about, name, len(name))
        if good != 1:
            _lib.ERR_clear_error()
            raise OSError("a name that no certificate can be checked for")
        if server.alpn_offers:
            made.set_alpn_protos(list(server.alpn_offers))
        made.set_connect_state()
        return made

    async def handle_client(self) -> None:
        """As mitmproxy's own. This task is the one that reads; to cancel it is to close the connection."""
        self.meet()
        task = self.transports[self.client].handler = asyncio.current_task()
        try:
            if self.client.error:
                self.transports.pop(self.client).writer.close()  # type: ignore[union-attr]
            else:
                await self.server_event(events.Start())
                await self.handle_connection(self.client)
        except asyncio.CancelledError:
            log.debug("a connection was closed")
        except Exception:  # what it opened is closed all the same
            log.warning("closed a connection", exc_info=True)
        for timer in self.wakeup_timer:
            timer.cancel()
        self.client.timestamp_end = time.time()
        self.call("client_disconnected", self.client)
        theirs: list[asyncio.Task[Any]] = [
            io.handler for io in self.transports.values() if io.handler and io.handler is not task
        ]
        for each in theirs:
            each.cancel("client disconnected")
        if theirs:
            await asyncio.wait(theirs)

    def look(self, now: float) -> None:
        clock, io = self.timeout_watchdog, self.transports.get(self.client)
        if clock.can_timeout.is_set() and clock.last_activity + clock.timeout < now and io and io.handler:
            io.handler.cancel("timeout")


def no_layer(context: Context) -> tunnel.LayerStack:
    """No layer at all, and a note that this site's TLS is ours."""
    context.server.tls = True
    context.client.handler.secured.add(context.server.id)  # type: ignore[attr-defined]
    return tunnel.LayerStack()


@lru_cache(8)
def _outward(trusted: str, quantum: bool) -> SSL.Context:
    """What all connections to sites have in common.

    Keys that a quantum computer to come does not break either are offered to a site where the browser offered them to us:
    so it is as safe as it would be without us. To make them ready and not to need them costs a quarter of a handshake.
    """
    made = SSL.Context(SSL.TLS_CLIENT_METHOD)
    made.set_min_proto_version(SSL.TLS1_2_VERSION)
    made.set_options(net_tls.DEFAULT_OPTIONS)
    made.set_cipher_list(":".join(tlsconfig._default_ciphers(net_tls.Version.TLS1_2)).encode())  # noqa: SLF001
    made.set_verify(SSL.VERIFY_PEER, None)
    made.load_verify_locations(trusted)
    if not quantum and _lib.SSL_CTX_set1_curves_list(made._context, CLASSICAL) != 1:  # noqa: SLF001
        raise RuntimeError("OpenSSL does not know these groups")
    return made


@lru_cache(1024)
def _checked(sni: str) -> tuple[bytes, bytes]:
    """The name, or the address, that a site's certificate must bear."""
    try:
        return b"", ipaddress.ip_address(sni).packed
    except ValueError:
        return sni.encode("idna"), b""


def _named(name: str | None) -> str | None:
    """As mitmproxy reads it: what is no name of a host is none, and then the tunnel's own name is what counts."""
    return name if name and is_valid_host(name) else None


def fork(self: Context) -> Context:
    """The same for another layer, without a site that is put in place of at once."""
    made = Context.__new__(Context)
    made.client, made.options, made.server, made.layers = self.client, self.options, self.server, self.layers.copy()
    return made


def _established(conn: connection.Connection, line: Line) -> None:
    conn.timestamp_tls_setup = time.time()
    conn.alpn = line.tls.get_alpn_proto_negotiated()


def _said(line: Line, error: Exception) -> str:
    """Why a handshake failed, in the words that proxy/failures.py and the log know."""
    if not isinstance(error, SSL.Error):
        return str(error) or "connection closed"
    parts = error.args[0] if error.args and isinstance(error.args[0], list) else []
    reason = parts[-1][2] if parts else ""
    if reason == "certificate verify failed":
        found = _lib.SSL_get_verify_result(line.tls._ssl)  # noqa: SLF001
        words: bytes = _ffi.string(_lib.X509_verify_cert_error_string(found))
        return f"{BAD_CERTIFICATE}: {words.decode()}"
    return "The site does not speak TLS." if reason in NO_TLS else f"OpenSSL {error!r}"
