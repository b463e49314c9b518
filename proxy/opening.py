"""The addons by which mitmproxy opens a connection: what may follow what in it, and under which certificates."""

import logging
from collections import OrderedDict
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from mitmproxy import ctx, tls
from mitmproxy.addons import tlsconfig
from mitmproxy.certs import Cert, CertStoreEntry
from mitmproxy.net import tls as net_tls
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy import layer, layers
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import HTTPMode
from mitmproxy.proxy.layers.modes import TransparentProxy
from OpenSSL import SSL

log = logging.getLogger(__name__)
CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES"  # of TLS 1.2, with whatever kind of key; 1.3 has its own


class Layers:
    """What follows what: proxy HTTP; after CONNECT either TLS or HTTP; inside TLS always HTTP.

    The stock addon also guesses DNS, raw TCP and TLS inside TLS: ways round.
    """

    name = "nextlayer"

    def next_layer(self, data: layer.NextLayer) -> None:
        context, sent = data.context, data.data_client()
        if isinstance(context.layers[-1], layers.modes.HttpProxy):  # no TLS to the proxy yet: a greeting is a bad request
            data.layer = layers.HttpLayer(context, HTTPMode.regular)
        elif isinstance(context.layers[-1], layers.ClientTLSLayer):
            data.layer = layers.HttpLayer(context, HTTPMode.transparent)
        elif len(sent) < 3:
            return
        elif starts_like_tls_record(sent) and isinstance(context.layers[0], TransparentProxy):
            context.server.tls = True  # what ServerTLSLayer would say; sites are spoken to through layers of their own
            data.layer = layers.ClientTLSLayer(context)
        elif starts_like_tls_record(sent):
            data.layer = layers.ServerTLSLayer(context)
            data.layer.child_layer = layers.ClientTLSLayer(context)
        else:
            data.layer = layers.HttpLayer(context, HTTPMode.transparent)


class Certificates(tlsconfig.TlsConfig):
    """Certificates for intercepted sites, and the check of the sites' own. Without the stock addon's answer to
    "…/mitmproxy-<serial>.crl" on every site, with a larger store, and with what OpenSSL made of a certificate and its key
    kept, where the stock addon has them read again for each connection.
    """

    name = "tlsconfig"
    certificates_kept = 5_000  # sites; 2 KB each
    contexts_kept = 200  # 22 KB each

    def __init__(self, own_name: str = "", own_file: Path | None = None) -> None:
        """`own_name`: a public name of ours, whose certificate and key are in a file."""
        self._own_name, self._own = own_name, None
        if own_name and own_file:
            try:
                self._own = _own(own_file)
            except (OSError, ValueError, TypeError, UnsupportedAlgorithm):  # one of our own then, and the filter goes on
                log.exception("the certificate for %s cannot be used", own_name)
        self._contexts: OrderedDict[Cert, SSL.Context] = OrderedDict()
        self._entries: dict[tuple[str, str], CertStoreEntry] = {}  # by what was greeted, and what the tunnel is for

    def configure(self, updated: Any) -> None:
        super().configure(updated)  # type: ignore[no-untyped-call]
        self._contexts.clear()
        self._entries.clear()
        if self.certstore is not None:
            self.certstore.STORE_CAP = 2 * self.certificates_kept  # it is we who forget

    def get_cert(self, conn_context: Context) -> CertStoreEntry:
        """Made anew at 0.3 ms each; the store's own way to forget one looks through all of them."""
        if self._own and conn_context.client.sni == self._own_name:
            return self._own
        client, server = conn_context.client, conn_context.server
        asked = client.sni or client.sockname[0], server.address[0] if server.address else ""
        kept = self._entries.get(asked)
        if kept is not None:
            return kept
        store = self.certstore
        if len(store.certs) >= self.certificates_kept or len(self._entries) >= self.certificates_kept:
            store.certs.clear()
            store.expire_queue.clear()
            self._entries.clear()
        made = self._entries[asked] = super().get_cert(conn_context)
        return made

    def tls_start_client(self, tls_start: tls.TlsData) -> None:
        made = tls_start.ssl_conn = SSL.Connection(self._context(self.get_cert(tls_start.context)))
        about = tls_start.context
        made.set_app_data(
            tlsconfig.AppData(client_alpn=about.client.alpn, server_alpn=about.server.alpn, http2=ctx.options.http2)
        )
        made.set_accept_state()

    def _context(self, entry: CertStoreEntry) -> SSL.Context:
        kept = self._contexts.get(entry.cert)
        if kept is not None:
            self._contexts.move_to_end(entry.cert)
            return kept
        made = SSL.Context(SSL.TLS_SERVER_METHOD)
        made.set_min_proto_version(SSL.TLS1_2_VERSION)
        made.set_options(net_tls.DEFAULT_OPTIONS)
        made.set_cipher_list(CIPHERS)
        made.set_alpn_select_callback(tlsconfig.alpn_select_callback)
        made.use_certificate(entry.cert.to_cryptography())
        made.use_privatekey(entry.privatekey)
        for above in entry.chain_certs if entry is self._own else ():  # ours stand right below what is trusted
            made.add_extra_chain_cert(above.to_cryptography())
        self._contexts[entry.cert] = made
        if len(self._contexts) > self.contexts_kept:
            self._contexts.popitem(last=False)
        return made

    def request(self, flow: Any) -> None:
        """Nothing: the stock addon answers for a certificate list that our certificates do not name."""


def _own(file: Path) -> CertStoreEntry:
    """A certificate that was issued to us. OSError, ValueError, UnsupportedAlgorithm, or for a locked key TypeError, when it
    cannot be used.
    """
    raw = file.read_bytes()
    first, *above = x509.load_pem_x509_certificates(raw)
    key = load_pem_private_key(raw, password=None)
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) or key.public_key() != first.public_key():
        raise ValueError(f"{file}: the key is not that of the first certificate")
    return CertStoreEntry(Cert(first), key, file, [Cert(each) for each in above])
