"""The configuration, read once: a YAML file, then the environment on top. It holds only what cannot change a decision.

What may be filtered, for whom and how is policy, signed by the headteacher; none of it can be said here.
"""

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import TypeAdapter

from appliance.devices.settings import DevicesConfig, read_devices
from appliance.gateway.settings import GatewayConfig
from appliance.gateway.settings import read as read_gateway
from appliance.reading import BadConfiguration, good_url, hint, keys, read, split
from appliance.receivers import StreamConfig, WebhookConfig, streams, webhooks
from category_lists.names import NameRefused, canonical_host
from change_control.witness import Witness
from dns.servers import server

__all__ = ["BadConfiguration", "Config", "load"]

type Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class DnsConfig:
    listen: tuple[Address, ...] = (("127.0.0.1", 5300),)  # addresses and ports that answer DNS, UDP and TCP
    upstreams: tuple[str, ...] = ()  # resolvers that are asked, also tls:// and https://; none: those of /etc/resolv.conf
    forward: tuple[tuple[str, tuple[str, ...]], ...] = ()  # zones of the school's own, and the resolvers that know them
    hosts: tuple[tuple[str, tuple[str, ...]], ...] = ()  # names of the school's own network, and their addresses
    tunnels: str = "tell"  # names that look like smuggled data: "tell" of them in the filter log, or also "block" them
    rpz_listen: tuple[Address, ...] = ()  # addresses and ports that serve policies as response policy zones; none: nowhere
    rpz_keys: str = ""  # the file of the keys that may fetch those; none: secrets/rpz-keys.yaml in the data folder
    page_addresses: tuple[str, ...] = ("127.0.0.1",)  # where blocked names lead, if the school chose the block page
    workers: int = 0  # processes; 0: one a core
    dot_listen: tuple[Address, ...] = ()  # addresses and ports that answer DNS over TLS
    doh_listen: tuple[Address, ...] = ()  # addresses and ports that answer DNS over HTTPS, at /dns-query
    proxy_protocol_from: tuple[str, ...] = ()  # balancers, as networks, that say with PROXY v2 whom they pass on
    client_queries_per_s: int = 0  # UDP queries a second from one address; 0: no limit
    busy_poll_us: int = 0  # microseconds for which a busy resolver looks for the next packet before it sleeps; 0: none


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    listen: tuple[Address, ...] = (("127.0.0.1", 8080),)  # addresses and ports of the web proxy
    tls_listen: tuple[Address, ...] = ()  # addresses and ports of the web proxy that are reached by TLS, HTTP/2 under it
    transparent_listen: tuple[Address, ...] = ()  # addresses and ports that nftables redirects web traffic to
    page_listen: tuple[Address, ...] = ()  # where DNS leads blocked names (dns.page_addresses), ports 80 and 443
    proxy_protocol_from: tuple[str, ...] = ()  # balancers before those two, as networks, that say with PROXY v2 who it is
    portal_name: str = ""  # a public name of the sign-in page, such as portal.oakfield.sch.uk; none: schoolgate.internal
    portal_certificate: str = ""  # a PEM file for that name: the certificate, those above it, and the key
    upstream_ca: str = ""  # a PEM file of further authorities to trust upstream
    workers: int = 0  # processes; 0: one a core


@dataclass(frozen=True, slots=True)
class AdminConfig:
    listen: tuple[Address, ...] = (("127.0.0.1", 8443),)  # addresses and ports of the desk
    public_url: str = ""  # the desk's address as people type it; names its certificate and its passkeys
    sso_issuer: str = ""  # OpenID Connect: https://accounts.google.com, https://login.microsoftonline.com/TENANT/v2.0
    sso_client_id: str = ""
    sso_client_secret: str = ""  # the path of a file that holds it
    sso_name: str = ""  # what people call it: Google, Microsoft


@dataclass(frozen=True, slots=True)
class StoreConfig:
    desk: str = ""  # SQLAlchemy URL of the change-control database; none: SQLite in the data folder
    log: str = ""  # SQLAlchemy URL of the filter log's database; none: SQLite in the data folder


@dataclass(frozen=True, slots=True)
class MailConfig:
    server: str = ""  # host:port of the mail server that takes our e-mail; none: no e-mail leaves
    sender: str = ""  # whom it comes from: Schoolgate <filter@school.example>; may be written as `from`
    tls: str = "starttls"  # "starttls", "tls" from the first byte, or "none"
    user: str = ""  # who signs in there; none: nobody does
    password_file: str = ""  # the file of the password, mode 0600
    ca: str = ""  # a PEM file of further authorities to trust for it

    @property
    def where(self) -> tuple[str, int]:
        host, _, port = self.server.rpartition(":")
        return host.strip("[]"), int(port)


@dataclass(frozen=True, slots=True)
class WitnessConfig:
    name: str = ""  # the name under which this installation co-signs others' change logs; none: it does not
    logs: tuple[tuple[str, str], ...] = ()  # whose: each authority's name and its public key in base64
    ask: tuple[tuple[str, str, str], ...] = ()  # who co-signs ours: each one's address, key, and a PEM file to trust it by


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that is configured."""

    data: Path = Path("var")  # the data folder
    dns: DnsConfig = field(default_factory=DnsConfig)
    proxy: ProxyConfig = field(default_factory=ProxyConfig)
    admin: AdminConfig = field(default_factory=AdminConfig)
    database: StoreConfig = field(default_factory=StoreConfig)
    mail: MailConfig = field(default_factory=MailConfig)
    witness: WitnessConfig = field(default_factory=WitnessConfig)
    gateway: GatewayConfig | None = None  # the networks that this box stands before, when it routes
    devices: DevicesConfig | None = None  # who says which device and which person is at an address
    webhooks: tuple[WebhookConfig, ...] = ()  # who is told by HTTPS of what happens at the desk
    log_to: tuple[StreamConfig, ...] = ()  # who gets the filter log as it grows
    inner_networks: tuple[str, ...] = ()  # demo only: private addresses that names may lead to
    group_listeners: tuple[tuple[str, str, int], ...] = ()  # demo only: (school/group, host, port), for browsers
    demo: bool = False

    def to_json(self) -> str:
        """For the processes of this installation."""
        return _ADAPTER.dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str) -> "Config":
        return _ADAPTER.validate_json(text)

    @property
    def filter_processes(self) -> tuple[tuple[str, str], ...]:
        """(kind, name) of each process that carries policy out: one a core of each kind unless configured otherwise."""
        cores = os.cpu_count() or 1
        return (
            *(("dns", f"dns-{n}") for n in range(1, (self.dns.workers or cores) + 1)),
            *(("proxy", f"proxy-{n}") for n in range(1, (self.proxy.workers or cores) + 1)),
            *([("steer", "steer")] if self.gateway else []),
        )

    @property
    def desk_url(self) -> str:
        if self.admin.public_url:
            return self.admin.public_url.rstrip("/")
        host, port = self.admin.listen[0]
        name = "localhost" if ip_address(host).is_loopback else host
        return f"https://{name}:{port}"

    @property
    def desk_database(self) -> str:
        return self.database.desk or f"sqlite:///{self.data / 'desk.sqlite3'}"

    @property
    def log_database(self) -> str:
        return self.database.log or f"sqlite:///{self.data / 'log.sqlite3'}"

    def upstreams(self, resolv_conf: Path = Path("/etc/resolv.conf")) -> tuple[str, ...]:
        """The resolvers to ask: the configured ones, else this machine's own. BadConfiguration when there are none."""
        if self.dns.upstreams:
            return self.dns.upstreams
        try:
            lines = resolv_conf.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        found = [line.split()[1] for line in lines if line.startswith("nameserver") and len(line.split()) > 1]
        if not found and not self.demo:
            raise BadConfiguration(f"dns.upstreams is not set, and {resolv_conf} names no resolver to ask")
        return tuple(address.partition("%")[0] for address in found) or ("127.0.0.1",)


_ADAPTER = TypeAdapter(Config)
ENVIRONMENT = {  # variable: (section, key)
    "SCHOOLGATE_DNS_LISTEN": ("dns", "listen"),
    "SCHOOLGATE_DNS_UPSTREAMS": ("dns", "upstreams"),
    "SCHOOLGATE_DNS_RPZ_LISTEN": ("dns", "rpz_listen"),
    "SCHOOLGATE_DOT_LISTEN": ("dns", "dot_listen"),
    "SCHOOLGATE_DOH_LISTEN": ("dns", "doh_listen"),
    "SCHOOLGATE_PROXY_LISTEN": ("proxy", "listen"),
    "SCHOOLGATE_PROXY_TLS_LISTEN": ("proxy", "tls_listen"),
    "SCHOOLGATE_PROXY_TRANSPARENT_LISTEN": ("proxy", "transparent_listen"),
    "SCHOOLGATE_PROXY_PAGE_LISTEN": ("proxy", "page_listen"),
    "SCHOOLGATE_PROXY_UPSTREAM_CA": ("proxy", "upstream_ca"),
    "SCHOOLGATE_ADMIN_LISTEN": ("admin", "listen"),
    "SCHOOLGATE_ADMIN_URL": ("admin", "public_url"),
}
SECTIONS: dict[str, type] = {
    "dns": DnsConfig,
    "proxy": ProxyConfig,
    "admin": AdminConfig,
    "database": StoreConfig,
    "mail": MailConfig,
    "witness": WitnessConfig,
}
LISTENERS = {"listen", "rpz_listen", "dot_listen", "doh_listen", "tls_listen", "transparent_listen", "page_listen"}
ADDRESSES = {*LISTENERS, "upstreams"}
ALIASES: dict[tuple[str, object], str] = {("mail", "from"): "sender"}
DEFAULT_PORTS = {"rpz_listen": 53, "dot_listen": 853, "doh_listen": 443}


def load(file: Path | None, data: Path | None, environ: Mapping[str, str] | None = None, *, demo: bool = False) -> Config:
    """The configuration from a file (none: schoolgate.yaml in the data folder, if there) and the environment."""
    environ = os.environ if environ is None else environ
    folder = data or Path(environ.get("SCHOOLGATE_DATA") or "var")
    given = file or folder / "schoolgate.yaml"
    raw = read(given) if file or given.exists() else {}
    for variable, (section, key) in ENVIRONMENT.items():
        if text := environ.get(variable, "").strip():
            values = keys(str(given), section, raw.get(section))
            raw[section] = values | {key: split(text) if key in ADDRESSES else text}
    sections = {name: _section(str(given), name, kind, raw.pop(name, {})) for name, kind in SECTIONS.items()}
    hooks = webhooks(str(given), raw.pop("webhooks", {}))
    log_to = streams(str(given), raw.pop("log_to", {}))
    try:
        gateway = read_gateway(raw.pop("gateway", None))
    except ValueError as error:
        raise BadConfiguration(f"{given}: {error}") from None
    usual = DevicesConfig() if gateway else None  # a box that routes sees its neighbours anyway
    devices = read_devices(str(given), raw.pop("devices"), address) if "devices" in raw else usual
    if raw:
        known = {**SECTIONS, "gateway": tuple, "devices": tuple, "webhooks": tuple, "log_to": tuple}
        raise BadConfiguration(f"{given}: unknown key {hint(next(iter(raw)), known)}")
    inner = split(environ.get("SCHOOLGATE_DEMO_INNER_NETWORKS", "")) if demo else []
    for text in inner:
        try:
            ip_network(text)
        except ValueError:
            raise BadConfiguration(f"SCHOOLGATE_DEMO_INNER_NETWORKS: {text!r} is not a network such as 127.0.0.0/8") from None
    config = Config(
        data=folder.absolute(),
        inner_networks=tuple(inner),
        demo=demo,
        gateway=gateway,
        devices=devices,
        webhooks=hooks,
        log_to=log_to,
        **sections,
    )
    _check_url(config.admin.public_url)
    _check_mail(config.mail)
    _check_sso(config.admin)
    return config


def _asked(where: str, url: str, given: object) -> tuple[str, str, str]:
    """{https://filter.birchwood.example/witness: KEY}, or {key: KEY, ca: FILE} in the place of KEY."""
    values = given if isinstance(given, dict) else {"key": given}
    if not good_url(url):
        raise BadConfiguration(f"{where}: {url!r} is not an address such as https://filter.birchwood.example/witness")
    if set(values) - {"key", "ca"} or not isinstance(values.get("key"), str):
        raise BadConfiguration(f"{where}: the witness's key is expected, as it tells it at {url}/key")
    try:
        Witness.read(str(values["key"]))
    except ValueError as error:
        raise BadConfiguration(f"{where}: {error}") from None
    return url, str(values["key"]), str(values.get("ca", ""))


def _public(where: str, text: str) -> str:
    try:
        good = len(base64.b64decode(text, validate=True)) == 32
    except ValueError:
        good = False
    if not good:
        raise BadConfiguration(f"{where}: {text[:60]!r} is not an authority's public key, 32 bytes in base64")
    return text


def _check_mail(mail: MailConfig) -> None:
    if mail.tls not in {"starttls", "tls", "none"}:
        raise BadConfiguration(f"mail.tls: {mail.tls!r} is neither starttls, tls nor none")
    if not mail.server:
        return
    host, colon, port = mail.server.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) < 65536:
        raise BadConfiguration(f"mail.server: {mail.server!r} is not host:port, such as smtp.school.example:587")
    if "@" not in mail.sender or any(ord(each) < 32 for each in mail.sender):
        raise BadConfiguration("mail.sender: say whom e-mail comes from, such as Schoolgate <filter@school.example>")
    if mail.user and not mail.password_file:
        raise BadConfiguration("mail.user: mail.password_file names the file of the password")
    if mail.user and mail.tls == "none":
        raise BadConfiguration("mail.tls: a password is never sent without TLS; set starttls or tls")


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme == "https" and parts.hostname and parts.port != 0 and not parts.path.strip("/")
    except ValueError:  # brackets that do not match, a port that is none
        good = False
    if url and not good:
        raise BadConfiguration(f"admin.public_url: {url!r} is not an address such as https://filter.school.example")


def _check_sso(admin: AdminConfig) -> None:
    if not admin.sso_issuer:
        return
    if urlsplit(admin.sso_issuer).scheme != "https" or not admin.sso_client_id:
        raise BadConfiguration("admin.sso_issuer: an https address is expected, and admin.sso_client_id with it")
    if find_spec("joserfc") is None:
        raise BadConfiguration("admin.sso_issuer: sign-in by another account needs the extra: pip install 'schoolgate[sso]'")
    if admin.sso_client_secret and not os.access(admin.sso_client_secret, os.R_OK):
        raise BadConfiguration(
            f"admin.sso_client_secret: {admin.sso_client_secret} cannot be read; it is a file with the secret"
        )


def on_loopback_only(config: Config) -> None:
    """The demonstration has known passwords, so it never listens where others can reach it."""
    dns, proxy = (*config.dns.listen, *config.dns.dot_listen, *config.dns.doh_listen, *config.dns.rpz_listen), config.proxy
    for section, addresses in (
        ("dns", dns),
        ("proxy", (*proxy.listen, *proxy.tls_listen, *proxy.transparent_listen, *proxy.page_listen)),
        ("admin", config.admin.listen),
    ):
        for host, _ in addresses:
            if not ip_address(host).is_loopback:
                raise BadConfiguration(
                    f"{section}.listen: {host} can be reached from outside; the demonstration listens on loopback only"
                )


def _section(file: str, name: str, kind: type, raw: object) -> Any:
    known = {each.name: each for each in fields(kind)}
    values: dict[str, Any] = {}
    for word, value in keys(file, name, raw).items():
        key = ALIASES.get((name, word), word)
        if key not in known:
            raise BadConfiguration(f"{file}: in {name}, unknown key {hint(key, known)}")
        values[key] = _value(f"{name}.{key}", str(key), value)
    return replace(kind(), **values)


def _value(where: str, key: str, value: object) -> object:
    match key:
        case "upstreams":
            return _servers(where, value)
        case "forward":
            return tuple((_zone(where, name), _servers(where, given)) for name, given in _mapping(where, value))
        case "hosts":
            return tuple((_zone(where, name), _addresses(where, given)) for name, given in _mapping(where, value))
        case "logs":
            return tuple((name, _public(f"{where}.{name}", str(given))) for name, given in _mapping(where, value))
        case "ask":
            return tuple(_asked(f"{where}.{url}", url, given) for url, given in _mapping(where, value))
        case "tunnels":
            if value not in ("tell", "block"):
                raise BadConfiguration(f"{where}: {value!r} is neither tell nor block")
            return value
        case key if key in LISTENERS:
            items = [value] if isinstance(value, str) else value
            if not isinstance(items, list) or not items:
                raise BadConfiguration(f"{where}: a list of host:port is expected")
            return tuple(address(where, str(item), DEFAULT_PORTS.get(key)) for item in items)
        case "page_addresses":
            return _addresses(where, value)
        case "proxy_protocol_from":
            items = [value] if isinstance(value, str) else value
            if not isinstance(items, list):
                raise BadConfiguration(f"{where}: a list of networks such as 10.0.0.0/30 is expected")
            return tuple(_network(where, str(item)) for item in items)
        case "client_queries_per_s":
            if type(value) is not int or value < 0:
                raise BadConfiguration(f"{where}: {value!r} is not a number of queries a second; 0 means no limit")
            return value
        case "busy_poll_us":
            if type(value) is not int or not 0 <= value <= 2000:
                raise BadConfiguration(f"{where}: {value!r} is not a number of microseconds from 0 to 2000")
            return value
        case "workers":
            if type(value) is not int or not 0 <= value <= 64:  # `true` is an int, too
                raise BadConfiguration(f"{where}: {value!r} is not a number of processes from 0 to 64")
            return value
        case _:
            if not isinstance(value, str):
                raise BadConfiguration(f"{where}: {value!r} is not a text")
            return value


def _addresses(where: str, value: object) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list):
        raise BadConfiguration(f"{where}: a list of IP addresses is expected")
    return tuple(_ip(where, str(item)) for item in items)


def _servers(where: str, value: object) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not items:
        raise BadConfiguration(f"{where}: a list of resolvers is expected")
    try:
        return tuple(server(str(item)).words for item in items)
    except ValueError as error:
        raise BadConfiguration(f"{where}: {error}") from None


def _mapping(where: str, value: object) -> list[tuple[str, object]]:
    if not isinstance(value, dict):
        raise BadConfiguration(f"{where}: names with a list each are expected")
    return [(str(name), given) for name, given in value.items()]


def _zone(where: str, name: str) -> str:
    try:
        return canonical_host(name)
    except NameRefused as error:
        raise BadConfiguration(f"{where}: {error}") from None


def _network(where: str, text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError:
        raise BadConfiguration(f"{where}: {text!r} is not a network such as 10.0.0.0/30") from None


def _ip(where: str, text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise BadConfiguration(f"{where}: {text!r} is not an IP address") from None


def address(where: str, text: str, default: int | None = None) -> Address:
    """host:port, [v6]:port, or with a default port an address alone."""
    host, colon, port = text.rpartition(":")
    if not colon or (text.count(":") > 1 and not text.startswith("[")) or host.count("[") != host.count("]"):
        host, port = text, str(default or "")
    host = host.strip("[]")
    if not port.isascii() or not port.isdigit() or len(port) > 5 or int(port) > 65535:
        raise BadConfiguration(f"{where}: {text!r} is not host:port")
    return _ip(where, host), int(port)
