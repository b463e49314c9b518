"""The proxy reached by TLS: the same answers as on the plain listener, by HTTP/1.1 and by HTTP/2."""

import ipaddress
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from policy.event import Kind

from .conftest import School, make_ca
from .h2_client import Client


def own_certificate(folder, ca):
    """For 127.0.0.1 and localhost."""
    from datetime import UTC, datetime, timedelta

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, ca.name)])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False)
        .sign(ca.key, hashes.SHA256())
    )
    certificate, private = folder / "secure.pem", folder / "secure-key.pem"
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate, private


@pytest.fixture(scope="module")
def behind(internet, make_worker, make_settings):
    box = make_ca(internet.folder, "box-ca")
    settings = make_settings(internet.folder / "conf", internet.ca.path, {"nobody": 0})
    secure = tuple((name, "127.0.0.1", 0) for name in ("ks3", "staff"))
    made = make_worker(replace(settings, secure=secure, secure_certificate=own_certificate(internet.folder, box)))
    made.trust = box.path
    yield made
    made.close()


@pytest.fixture
def secure(internet, behind):
    for site in (internet.http, internet.https):
        site.seen.clear()
    behind.events.clear()
    yield School(internet, behind)
    behind.live.broken = False


@pytest.fixture
def client(secure, behind):
    with Client(secure.proxy("ks3"), behind.trust) as made:
        yield made


def ports(secure, text):
    return text.format(http=secure.internet.http.port, https=secure.internet.https.port)


@pytest.mark.parametrize(
    ("url", "status", "words"),
    [
        ("http://allowed.test:{http}/", 200, b"hello from allowed.test"),
        ("http://games.test:{http}/", 403, b"This site is blocked: Games."),
        ("http://mixed.test:{http}/", 403, b"This site is blocked"),
        ("http://user@allowed.test:{http}/", 400, b""),
        ("http://allowed.test:25/", 403, b"not a web address"),
        ("http://inner.test/", 502, b""),
        ("http://schoolgate.internal/", 200, b"school filter"),
    ],
)
def test_a_plain_page(secure, client, url, status, words):
    got = client.get(ports(secure, url), ("accept", "text/html"))
    assert (got.status, words in got.body) == (status, True)
    assert len(secure.seen()) == (status == 200 and "schoolgate" not in url)


def test_a_tunnel_that_is_opened(secure, client):
    place = ports(secure, "allowed.test:{https}")
    inside = client.inside(client.connect(place), "allowed.test", secure.both)
    assert inside.issuer.startswith("Schoolgate")
    assert inside.get(place)[1] == f"hello from {place}".encode()
    assert secure.events[-1].kind is Kind.RESOURCE


def test_a_tunnel_that_passes_through(secure, client):
    place = ports(secure, "bank.test:{https}")
    inside = client.inside(client.connect(place), "bank.test", secure.both)
    assert inside.issuer == "internet-ca"
    assert inside.get(place)[1] == f"hello from {place}".encode()
    assert [(each.kind, each.host, each.address) for each in secure.events] == [(Kind.CONNECTION, "bank.test", "127.0.0.1")]
