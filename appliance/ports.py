"""The ports of an installation: each looked at before anything is started, and those that were left to us chosen and held.

Between the choice of a port and its first listener some seconds go by, in which the kernel may give the same port to any
connection that goes out. So a chosen port is held by a socket that is bound and never listens, as long as its holder lives;
our processes share it (SO_REUSEPORT), nobody else gets it.
"""

import contextlib
import socket
from dataclasses import replace

from appliance.config import Address, Config

_BOTH = (socket.SOCK_DGRAM, socket.SOCK_STREAM)
_STREAM = (socket.SOCK_STREAM,)


class PortTaken(OSError):
    """A port that we should listen on belongs to another program."""


class Ports:
    """What was chosen for one installation. To be closed when nothing listens any more."""

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def close(self) -> None:
        for each in self._held:
            each.close()

    def settle(self, config: Config) -> Config:
        """Every port 0 made a real one, and every port looked at: PortTaken says in one line which is not free."""
        devices = config.devices
        if devices:
            devices = replace(devices, radius_listen=self._settled("radius", devices.radius_listen, (socket.SOCK_DGRAM,)))
        return replace(
            config,
            devices=devices,
            dns=replace(
                config.dns,
                listen=self._settled("dns", config.dns.listen, _BOTH),
                rpz_listen=self._settled("dns", config.dns.rpz_listen, _BOTH),
                dot_listen=self._settled("dot", config.dns.dot_listen, _STREAM),
                doh_listen=self._settled("doh", config.dns.doh_listen, _STREAM),
            ),
            proxy=replace(
                config.proxy,
                listen=self._settled("proxy", config.proxy.listen, _STREAM),
                tls_listen=self._settled("proxy", config.proxy.tls_listen, _STREAM),
                transparent_listen=self._settled("proxy", config.proxy.transparent_listen, _STREAM),
                page_listen=self._settled("proxy", config.proxy.page_listen, _STREAM),
            ),
            admin=replace(config.admin, listen=self._settled("admin", config.admin.listen, _STREAM)),
            group_listeners=tuple(
                (name, *self._settled("proxy", ((host, port),), _STREAM)[0]) for name, host, port in config.group_listeners
            ),
        )

    def _settled(
        self, section: str, addresses: tuple[Address, ...], kinds: tuple[socket.SocketKind, ...]
    ) -> tuple[Address, ...]:
        for host, port in addresses:
            if port:
                _check_free(section, host, port, kinds)
        return tuple((host, port or self._chosen(host)) for host, port in addresses)

    def _chosen(self, host: str) -> int:
        """A port that is free for UDP and TCP, held from now on."""
        while True:
            with _bound(host, 0, socket.SOCK_DGRAM) as datagrams:
                port = int(datagrams.getsockname()[1])
                with contextlib.suppress(OSError):
                    self._held.append(_bound(host, port, socket.SOCK_STREAM, socket.SO_REUSEPORT))
                    return port


def is_free(host: str, port: int) -> bool:
    """Is a TCP port free at this moment?"""
    try:
        _bound(host, port, socket.SOCK_STREAM).close()
    except OSError:
        return False
    return True


def _check_free(section: str, host: str, port: int, kinds: tuple[socket.SocketKind, ...]) -> None:
    for kind in kinds:
        try:
            _bound(host, port, kind).close()
        except OSError as error:
            key = f"dns.{section}_listen" if section in ("dot", "doh") else f"{section}.listen"
            settings = f"{key} or SCHOOLGATE_{section.upper()}_LISTEN" if section != "radius" else "devices.radius_listen"
            raise PortTaken(
                f"cannot listen on {host}:{port} ({error.strerror}); stop what uses it, or set {settings}"
            ) from None


def _bound(host: str, port: int, kind: socket.SocketKind, option: int = socket.SO_REUSEADDR) -> socket.socket:
    found = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    if kind is socket.SOCK_STREAM:
        found.setsockopt(socket.SOL_SOCKET, option, 1)
    try:
        found.bind((host, port))
    except OSError:
        found.close()
        raise
    return found
