"""The filter's own certificate authority: made at first start, kept in `confdir`, trusted by the school's devices.

An EC key (P-256), because a certificate for each new site is minted while a child waits: 0.3 ms instead of 1.3 for RSA.
mitmproxy signs the sites' certificates with this key and reads it from `mitmproxy-ca.pem`, so that is the file's name.
"""

import fcntl
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from mitmproxy.certs import DEFAULT_DHPARAM

from policy.live import write_aside

KEY_FILE = "mitmproxy-ca.pem"  # key and certificate, for this machine's user alone
CERTIFICATE_FILE = "schoolgate-ca.pem"  # the certificate alone: what people install
DHPARAM_FILE = "mitmproxy-dhparam.pem"
TRUST_FILE = "upstream-trust.pem"
YEARS = 10
LONGEST_NAME = 64  # of a common name: X.520


def ensure_ca(confdir: Path, name: str) -> Path:
    """Make the CA if there is none; the path of the certificate that devices install. Safe to call from any process."""
    confdir.mkdir(parents=True, exist_ok=True)
    key_file, certificate_file = confdir / KEY_FILE, confdir / CERTIFICATE_FILE
    with (confdir / ".ca.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two workers that start together must not make two CAs
        if not (confdir / DHPARAM_FILE).exists():  # mitmproxy would write it, but not atomically
            write_aside(confdir / DHPARAM_FILE, DEFAULT_DHPARAM)
        if not key_file.exists():
            write_aside(key_file, _make(f"Schoolgate filter ({name})"), 0o600)
        certificate = x509.load_pem_x509_certificate(key_file.read_bytes()).public_bytes(Encoding.PEM)
        if not certificate_file.exists() or certificate_file.read_bytes() != certificate:
            write_aside(certificate_file, certificate)
    return certificate_file


def _make(name: str) -> bytes:
    """PEM of a new key and its certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:LONGEST_NAME])])
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))  # devices whose clock is behind
        .not_valid_after(now + timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(Encoding.PEM)


def trust_bundle(confdir: Path, extra: str | None) -> Path:
    """One file with every CA that sites may be signed by: the system's and `extra`. ValueError when `extra` holds none."""
    bundle = _system_bundle().read_bytes()
    if extra:
        added = Path(extra).read_bytes()
        try:
            x509.load_pem_x509_certificates(added)
        except ValueError:
            raise ValueError(f"{extra} holds no certificate (PEM)") from None
        bundle += b"\n" + added
    path = confdir / TRUST_FILE
    if not path.exists() or path.read_bytes() != bundle:
        write_aside(path, bundle)
    return path


def _system_bundle() -> Path:
    paths = ssl.get_default_verify_paths()
    for each in (paths.cafile, "/etc/ssl/certs/ca-certificates.crt"):
        if each and Path(each).is_file():
            return Path(each)
    return Path(certifi.where())
