"""The portal's public name: at the listener where DNS leads, under the certificate that was issued for it, with what is above it."""

import dataclasses
import socket
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from appliance.facts import portal_trouble
from proxy.opening import Certificates

NAME = "portal.oakfield.test"


def made(folder, *, name=NAME, days=30):
    """A certificate for the name, by one between it and a root; and the root."""
    now = datetime.now(UTC)

    def build(subject, issuer, signer, public, *, ca):
        names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in (subject, issuer)]
        made = x509.CertificateBuilder().subject_name(names[0]).issuer_name(names[1]).public_key(public)
        made = made.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        made = made.not_valid_after(now + timedelta(days=days)).add_extension(x509.BasicConstraints(ca, None), critical=True)
        made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        made = made.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        if not ca:
            made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        else:
            made = made.add_extension(
                x509.KeyUsage(True, False, False, False, False, True, True, False, False), critical=True
            )
        return made.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM)

    top, between, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    (folder / "root.pem").write_bytes(build("root", "root", top, top.public_key(), ca=True))
    (folder / "portal.pem").write_bytes(
        build("portal", "between", between, own.public_key(), ca=False)
        + build("between", "root", top, between.public_key(), ca=True)
        + own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return folder / "portal.pem", folder / "root.pem"


@pytest.fixture
def named(tmp_path, internet, make_worker, make_settings):
    file, root = made(tmp_path)
    settings = make_settings(tmp_path / "ca", internet.ca.path, {})
    settings = dataclasses.replace(settings, page=(("ks3", "127.0.0.1", 0),), portal_name=NAME, portal_certificate=file)
    worker = make_worker(settings)
    yield worker, root
    worker.close()


def test_a_device_that_knows_the_public_authority_alone_reads_it(named):
    worker, root = named
    host, _, port = worker.addresses["ks3"].rpartition(":")
    trust = ssl.create_default_context(cafile=str(root))
    with (
        socket.create_connection((host, int(port)), timeout=10) as plain,
        trust.wrap_socket(plain, server_hostname=NAME) as sock,
    ):
        sock.sendall(f"GET /captive HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
        said = b"".join(iter(lambda: sock.recv(65_536), b""))
    assert b"application/captive+json" in said
    assert b'{"captive": false}' in said


def test_a_certificate_that_cannot_be_used_stops_nothing(tmp_path, caplog):
    assert Certificates(NAME, tmp_path / "none.pem")._own is None
    assert "cannot be used" in caplog.text
    file, _ = made(tmp_path)
    assert Certificates(NAME, file)._own
    locked = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    file.write_bytes(file.read_bytes().partition(b"-----BEGIN PRIVATE")[0] + locked)
    assert Certificates(NAME, file)._own is None, "a key under a password"
    assert "cannot be used" in portal_trouble(NAME, str(file))


def test_the_doctor_says_what_is_wrong_with_it(tmp_path):
    file, root = made(tmp_path)
    assert portal_trouble("", "") == ""
    assert portal_trouble(NAME, str(file)) == ""
    assert "no proxy.portal_certificate" in portal_trouble(NAME, "")
    assert "not for other.test" in portal_trouble("other.test", str(file))
    assert "cannot be used" in portal_trouble(NAME, str(root))
    assert "cannot be used" in portal_trouble(NAME, str(tmp_path / "none.pem"))
    file, _ = made(tmp_path, days=3)
    assert "ends on" in portal_trouble(NAME, str(file))
    file, _ = made(tmp_path, name="*.oakfield.test")
    assert portal_trouble(NAME, str(file)) == ""
