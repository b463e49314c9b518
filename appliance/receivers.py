"""Receivers in the configuration: who is told by HTTPS of what happens at the desk, and who gets the log as it grows."""

from dataclasses import dataclass, fields
from urllib.parse import urlsplit

from appliance.reading import BadConfiguration, good_url, hint, keys
from monitoring.syslog import PORTS


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    name: str
    url: str
    secret_file: str


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """A receiver of the filter log as it grows: by syslog or by webhook."""

    name: str
    syslog: str = ""  # udp://, tcp:// or tls://HOST[:PORT]
    webhook: str = ""  # https://...
    secret_file: str = ""  # of the webhook: the file of the shared secret
    ca: str = ""  # a PEM file of further authorities to trust for it
    school: str = ""  # of one school only; none: of all


def webhooks(file: str, raw: object) -> tuple[WebhookConfig, ...]:
    """webhooks: {helpdesk: {url: https://..., secret_file: /...}}"""
    found = []
    for name, given in keys(file, "webhooks", raw).items():
        where = f"webhooks.{name}"
        values = texts(file, where, given, WebhookConfig)
        hook = WebhookConfig(str(name)[:60], values.get("url", ""), values.get("secret_file", ""))
        if not good_url(hook.url):
            raise BadConfiguration(f"{where}.url: {hook.url!r} is not an address such as https://helpdesk.example/hook")
        if not hook.secret_file:
            raise BadConfiguration(f"{where}: secret_file names the file of the shared secret")
        found.append(hook)
    return tuple(found)


def streams(file: str, raw: object) -> tuple[StreamConfig, ...]:
    """log_to: {siem: {syslog: tls://siem.school.example}, soc: {webhook: https://..., secret_file: /...}}"""
    found = []
    for name, given in keys(file, "log_to", raw).items():
        where = f"log_to.{name}"
        stream = StreamConfig(str(name)[:32], **texts(file, where, given, StreamConfig))
        if bool(stream.syslog) == bool(stream.webhook):
            raise BadConfiguration(f"{where}: either syslog or webhook says where the log goes")
        if stream.syslog:
            syslog_server(where, stream.syslog)
        elif not good_url(stream.webhook):
            raise BadConfiguration(f"{where}.webhook: {stream.webhook!r} is not an address such as https://soc.example/hook")
        elif not stream.secret_file:
            raise BadConfiguration(f"{where}: secret_file names the file of the shared secret")
        found.append(stream)
    return tuple(found)


def texts(file: str, where: str, given: object, kind: type[WebhookConfig | StreamConfig]) -> dict[str, str]:
    """The keys of one receiver but its name, each known and a text."""
    known = {each.name: each for each in fields(kind) if each.name != "name"}
    values = {str(key): value for key, value in keys(file, where, given).items()}
    if unknown := set(values) - set(known):
        raise BadConfiguration(f"{file}: in {where}, unknown key {hint(min(unknown), known)}")
    for key, value in values.items():
        if not isinstance(value, str):
            raise BadConfiguration(f"{where}.{key}: {value!r} is not a text")
    return values


def syslog_server(where: str, url: str) -> tuple[str, str, int]:
    """How, host and port of tls://siem.school.example:6514."""
    try:
        parts = urlsplit(url)
        how, host, port = parts.scheme, parts.hostname or "", parts.port
    except ValueError:
        how, host, port = "", "", None
    if how not in PORTS or not host or parts.path.strip("/") or parts.username:
        raise BadConfiguration(f"{where}.syslog: {url!r} is not udp://, tcp:// or tls:// and a host, with a port or without")
    return how, host, port or PORTS[how]
