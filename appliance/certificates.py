"""The desk's certificate, signed by the box's own authority, which people's devices trust already for the block page."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from appliance.config import Config
from policy.live import write_aside
from proxy.ca import ensure_ca

DAYS = 397  # the longest that browsers accept
RENEW = timedelta(days=30)


def desk_certificate(config: Config) -> tuple[Path, Path]:
    """Certificate (with its chain) and key of the desk, renewed when it is about to end or its name has changed."""
    host = urlsplit(config.desk_url).hostname or "localhost"
    folder = config.data / "ca"
    certificate, key = folder / "desk.pem", folder / "desk-key.pem"
    authority = ensure_ca(folder, "Schoolgate filter")
    if not _good(certificate, host, authority):
        _issue(folder, host, certificate, key)
    return certificate, key


def _good(path: Path, host: str, authority: Path) -> bool:
    try:
        chain = x509.load_pem_x509_certificates(path.read_bytes())
        issuer = x509.load_pem_x509_certificate(authority.read_bytes())
        names = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    return (
        chain[0].not_valid_after_utc - datetime.now(UTC) > RENEW
        and host in {str(name.value) for name in names}
        and chain[-1] == issuer
    )


def _issue(folder: Path, host: str, certificate: Path, key: Path) -> None:
    pem = (folder / "mitmproxy-ca.pem").read_bytes()
    signing = load_pem_private_key(pem, None)
    issuer = x509.load_pem_x509_certificate(pem)
    if not isinstance(signing, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority's key is not an elliptic-curve key")
    private = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    try:
        name: x509.GeneralName = x509.IPAddress(ip_address(host))
    except ValueError:
        name = x509.DNSName(host)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])]))
        .issuer_name(issuer.subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(signing, hashes.SHA256())
    )
    write_aside(key, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600)
    write_aside(certificate, made.public_bytes(Encoding.PEM) + issuer.public_bytes(Encoding.PEM))
