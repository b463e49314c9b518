from mitmproxy import ctx
from mitmproxy.certs import CertStore
from mitmproxy.connection import Client, Server
from mitmproxy.proxy.context import Context
from mitmproxy.tls import TlsData

from proxy.ca import ensure_ca
from proxy.opening import Certificates


class Few(Certificates):
    """Soon full."""

    certificates_kept = 3
    contexts_kept = 2


def greeted(few, name):
    """What is made for a connection to a site, and the certificate it shows."""
    client = Client(peername=("10.0.0.7", 1), sockname=("10.0.0.1", 2), timestamp_start=1.0, sni=name)
    about = Context(client, ctx.options)
    about.server = Server(address=(name, 443))
    start = TlsData(client, about)
    few.tls_start_client(start)
    return start.ssl_conn.get_context(), few.get_cert(about).cert


def test_what_was_made_for_a_site_is_kept_and_not_for_ever(tmp_path, worker):
    ensure_ca(tmp_path, "x")
    few = Few()
    few.certstore = CertStore.from_store(tmp_path, "mitmproxy", 2048)
    first, certificate = greeted(few, "a.test")
    assert [str(each.value) for each in certificate.altnames] == ["a.test"]
    assert greeted(few, "a.test") == (first, certificate)
    for name in ("b.test", "c.test", "d.test", "e.test"):
        other, shown = greeted(few, name)
        assert other is not first
        assert [str(each.value) for each in shown.altnames] == [name]
        assert len(few.certstore.certs) <= 3
        assert len(few._contexts) <= 2
    again, renewed = greeted(few, "a.test")
    assert again is not first
    assert renewed != certificate
