"""The certificates of the desk, of encrypted DNS and of the proxy by TLS, signed by the box's own authority."""

from collections.abc import Iterable, Sequence
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
    return _certificate(config, "desk", [_desk_host(config)])


def dns_certificate(config: Config, labels: Iterable[str] = ()) -> tuple[Path, Path]:
    """The same for DNS over TLS and HTTPS: for the desk's name, one label below it (whose device asks), and addresses."""
    host = _desk_host(config)
    names = [host]
    if not _is_address(host):
        names.append(f"*.{host}")
        names += [f"{label}.{host}" for label in labels]  # by name too: below `localhost` clients take no wildcard
    names += [each for each, _ in (*config.dns.dot_listen, *config.dns.doh_listen)]
    return _certificate(config, "dns", list(dict.fromkeys(names)))


def proxy_certificate(config: Config) -> tuple[Path, Path]:
    """The same for the proxy reached by TLS: for the desk's name, and the addresses where it listens."""
    names = [_desk_host(config), *(host for host, _ in config.proxy.tls_listen if not ip_address(host).is_unspecified)]
    return _certificate(config, "proxy", list(dict.fromkeys(names)))


def _desk_host(config: Config) -> str:
    return urlsplit(config.desk_url).hostname or "localhost"


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _certificate(config: Config, file: str, names: Sequence[str]) -> tuple[Path, Path]:
    folder = config.data / "ca"
    certificate, key = folder / f"{file}.pem", folder / f"{file}-key.pem"
    authority = ensure_ca(folder, "Schoolgate filter")
    if not _good(certificate, names, authority):
        _issue(folder, names, certificate, key)
    return certificate, key


def _good(path: Path, names: Sequence[str], authority: Path) -> bool:
    try:
        chain = x509.load_pem_x509_certificates(path.read_bytes())
        issuer = x509.load_pem_x509_certificate(authority.read_bytes())
        found = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    return (
        chain[0].not_valid_after_utc - datetime.now(UTC) > RENEW
        and {str(name.value) for name in found} >= set(names)
        and chain[-1] == issuer
    )


def _name(host: str) -> x509.GeneralName:
    return x509.IPAddress(ip_address(host)) if _is_address(host) else x509.DNSName(host)


def _issue(folder: Path, names: Sequence[str], certificate: Path, key: Path) -> None:
    pem = (folder / "mitmproxy-ca.pem").read_bytes()
    signing = load_pem_private_key(pem, None)
    issuer = x509.load_pem_x509_certificate(pem)
    if not isinstance(signing, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority's key is not an elliptic-curve key")
    private = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])]))
        .issuer_name(issuer.subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName(list(map(_name, names))), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(signing, hashes.SHA256())
    )
    write_aside(key, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600)
    write_aside(certificate, made.public_bytes(Encoding.PEM) + issuer.public_bytes(Encoding.PEM))
