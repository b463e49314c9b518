"""Where a client finds the proxy, for the file that tells devices: as it reached this box, and by TLS where there is that."""

from dataclasses import dataclass
from ipaddress import ip_address

from policy.identity import Client
from proxy.tunnels import Tunnels


@dataclass(frozen=True, slots=True)
class Nearby:
    """The explicit listeners."""

    plain: tuple[int, ...] = ()  # ports
    secure: tuple[tuple[str, str, int], ...] = ()  # (listener, address, port) of those reached by TLS
    name: str = ""  # in their certificate

    def proxy(self, own: tuple[str, int]) -> str:
        """As it was reached at one of our addresses."""
        return _place(own[0], own[1] if own[1] in self.plain or not self.plain else self.plain[0])

    def by_tls(self, tunnels: Tunnels, client: Client, address: str) -> str:
        """By a name or an address that the certificate bears, and only where the same rules hold for this client; else ""."""
        for listener, host, port in self.secure:
            there = tunnels.client(listener, address)
            called = self.name if ip_address(host).is_unspecified else host
            if called not in {"", "localhost"} and there and (there.school, there.group) == (client.school, client.group):
                return _place(called, port)
        return ""


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
