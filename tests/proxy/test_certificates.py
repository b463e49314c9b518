"""What a browser of the pupil's would have refused is refused: one site for each way that a certificate can be wrong.

A set like badssl.com's, made by the tests' own authority. The site answers every name with the certificate that is due there.
"""

import socket
import ssl
import subprocess
import threading
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def named(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def issue(
    name, signer, issuer, *, names=(), ca=False, key=None, first=NOW - 30 * DAY, last=NOW + 30 * DAY, usage=None, ski=True
):
    """A key and its certificate; `signer` None signs itself."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    signer = signer or key
    made = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(first)
        .not_valid_after(last)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if ski:
        made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        made = made.add_extension(authority, critical=False)
    if ca:
        bits = dict.fromkeys(
            ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
        )
        made = made.add_extension(
            x509.KeyUsage(**bits, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False), critical=True
        )
    if names:
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), critical=False)
    if usage:
        made = made.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    return key, made.sign(signer, hashes.SHA256())


def pem(key, *chain):
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return text + b"".join(each.public_bytes(Encoding.PEM) for each in chain)


def weak_signature(folder, internet):
    """SHA-1, which no library signs with any more: by the openssl program."""
    key, _ = issue("sha1.test", None, "sha1.test")
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    signer = internet.ca.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "signer.pem").write_bytes(signer)
    (folder / "ext").write_text("subjectAltName=DNS:sha1.test\n")
    subprocess.run(
        ["openssl", "req", "-new", "-key", folder / "key.pem", "-subj", "/CN=sha1.test", "-out", folder / "csr.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    subprocess.run(
        ["openssl", "x509", "-req", "-sha1", "-days", "30", "-in", folder / "csr.pem", "-CA", internet.ca.path, "-CAkey",
         folder / "signer.pem", "-set_serial", "77", "-extfile", folder / "ext", "-out", folder / "sha1.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return (folder / "key.pem").read_bytes() + (folder / "sha1.pem").read_bytes()


def chains(folder, internet):
    """Host -> the PEM that it answers with."""
    ca, name = internet.ca.key, internet.ca.name
    middle_key, middle = issue("middle", ca, name, ca=True)
    leaf_key, leaf = issue("not-a-ca.test", ca, name, names=("not-a-ca.test",))
    small = rsa.generate_private_key(65537, 1024)
    # (arguments of `issue`) for those that are one certificate
    single = {
        "good.test": {"names": ("good.test",)},
        "deep.wild.test": {"names": ("*.wild.test",)},
        "expired.test": {"names": ("expired.test",), "last": NOW - DAY},
        "not-yet.test": {"names": ("not-yet.test",), "first": NOW + DAY},
        "wrong-host.test": {"names": ("other.test",)},
        "a.b.wild.test": {"names": ("*.wild.test",)},  # a star stands for one label
        "common-name.test": {},  # named only where browsers stopped looking in 2017
        "client-only.test": {"names": ("client-only.test",), "usage": ExtendedKeyUsageOID.CLIENT_AUTH},
        "small-key.test": {"names": ("small-key.test",), "key": small},
        "old-tls.test": {"names": ("old-tls.test",)},
    }
    made = {host: pem(*issue(host, ca, name, **more)) for host, more in single.items()}
    made["chained.test"] = pem(*issue("chained.test", middle_key, "middle", names=("chained.test",)), middle)
    made["incomplete.test"] = pem(*issue("incomplete.test", middle_key, "middle", names=("incomplete.test",)))
    made["self-signed.test"] = pem(*issue("self-signed.test", None, "self-signed.test", names=("self-signed.test",)))
    stranger, root = issue("stranger", None, "stranger", ca=True)
    made["untrusted-root.test"] = pem(
        *issue("untrusted-root.test", stranger, "stranger", names=("untrusted-root.test",)), root
    )
    made["signed-by-a-site.test"] = pem(*issue("x", leaf_key, "not-a-ca.test", names=("signed-by-a-site.test",)), leaf)
    made["sha1.test"] = weak_signature(folder, internet)
    return made


class Origin:
    """Answers each name with its certificate, then one page; counts the pages."""

    def __init__(self, folder, internet):
        self.contexts, self.asked = {}, []
        for host, text in chains(folder, internet).items():
            path = folder / f"{host}.pem"
            path.write_bytes(text)
            context = self.contexts[host] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.load_cert_chain(path)
        front = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        front.set_ciphers("ALL:@SECLEVEL=0")
        front.load_cert_chain(folder / "good.test.pem")
        self.old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.old.set_ciphers("ALL:@SECLEVEL=0")
        self.old.load_cert_chain(folder / "old-tls.test.pem")
        self.old.minimum_version = self.old.maximum_version = ssl.TLSVersion.TLSv1_1
        front.sni_callback = self.choose
        self.front = front
        self.listeners = {
            "front": (socket.create_server(("127.0.0.1", 0)), front),
            "old": (socket.create_server(("127.0.0.1", 0)), self.old),
        }
        self.ports = {name: sock.getsockname()[1] for name, (sock, _) in self.listeners.items()}
        for sock, context in self.listeners.values():
            threading.Thread(target=self.serve, args=(sock, context), daemon=True).start()

    def choose(self, tls, name, _):
        if name in self.contexts:
            tls.context = self.contexts[name]

    def serve(self, sock, context):
        while True:
            try:
                client, _ = sock.accept()
            except OSError:
                return
            try:
                client.settimeout(5)
                with context.wrap_socket(client, server_side=True) as tls:
                    if said := tls.recv(65536):
                        self.asked.append(said)
                        tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
            except OSError:
                client.close()

    def close(self):
        for sock, _ in self.listeners.values():
            sock.shutdown(socket.SHUT_RDWR)
            sock.close()


@pytest.fixture(scope="module")
def origin(internet, tmp_path_factory):
    with pytest.warns(DeprecationWarning, match=r"TLSv1_1"):
        made = Origin(tmp_path_factory.mktemp("certificates"), internet)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("host", "opens"),
    [
        ("good.test", True),
        ("deep.wild.test", True),
        ("chained.test", True),
        ("expired.test", False),
        ("not-yet.test", False),
        ("wrong-host.test", False),
        ("a.b.wild.test", False),
        ("common-name.test", False),
        ("self-signed.test", False),
        ("untrusted-root.test", False),
        ("incomplete.test", False),  # its middle certificate is left out; browsers that fetch it themselves are the exception
        ("signed-by-a-site.test", False),
        ("client-only.test", False),
        ("small-key.test", False),
        ("sha1.test", False),
        ("old-tls.test", False),
    ],
)
def test_a_site_opens_only_under_a_good_certificate(school, origin, host, opens):
    origin.asked.clear()
    port = origin.ports["old" if host == "old-tls.test" else "front"]
    got = school.browse("ks3", f"https://{host}:{port}/")
    assert (got.status, len(origin.asked)) == ((200, 1) if opens else (502, 0)), got.text
    if host == "old-tls.test":
        assert "not secure enough" in got.text
    elif not opens:
        assert "could not prove who it is" in got.text
        assert [event.outcome for event in school.events] == ["", "certificate"]


def test_an_address_needs_a_certificate_that_names_it(school, origin):
    """https by a bare address: our certificate for it, and upstream refused, since theirs is for a name."""
    port = origin.ports["front"]
    with school.tunnel("nobody", f"127.0.0.1:{port}", None) as tunnel:
        tunnel.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        assert b" 502 " in tunnel.recv(65536).partition(b"\r\n")[0]
