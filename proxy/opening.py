"""The addons by which mitmproxy opens a connection: what may follow what in it, and under which certificates."""

from typing import Any

from mitmproxy.addons.tlsconfig import TlsConfig
from mitmproxy.certs import CertStore
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy import layer, layers
from mitmproxy.proxy.layers.http import HTTPMode
from mitmproxy.proxy.layers.modes import TransparentProxy

CERTIFICATES_KEPT = 10_000  # sites; the stock 100 costs 2 ms for each new one beyond it


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


class Certificates(TlsConfig):
    """Certificates for intercepted sites, and the check of the sites' own. Without the stock addon's answer to
    "…/mitmproxy-<serial>.crl" on every site, and with a larger store.
    """

    name = "tlsconfig"

    def configure(self, updated: Any) -> None:
        super().configure(updated)  # type: ignore[no-untyped-call]
        if self.certstore is not None:
            self.certstore.STORE_CAP = CERTIFICATES_KEPT

    def request(self, flow: Any) -> None:
        """Nothing: the stock addon answers for a certificate list that our certificates do not name."""


assert CertStore.STORE_CAP < CERTIFICATES_KEPT
