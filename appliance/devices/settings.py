"""What the process for devices has to know: the section `devices` of the configuration, typed.

It says who may tell us which device and which person is at an address. What follows from that is policy, signed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, Final

from appliance.reading import BadConfiguration, hint, keys

RADIUS_PORT: Final = 1813
USUAL_LEASES: Final = (
    "/var/lib/misc/dnsmasq.leases",
    "/var/lib/kea/kea-leases4.csv",
    "/var/lib/kea/kea-leases6.csv",
)


@dataclass(frozen=True, slots=True)
class RadiusClient:
    """Who may tell us by RADIUS accounting who signed in: an access controller, or the school's RADIUS server."""

    name: str
    networks: tuple[str, ...]  # where it sends from
    secret_file: str  # the file of the shared secret
    school: str = ""  # it speaks of this school's addresses only; none: of all

    def has(self, address: str) -> bool:
        ip = ip_address(address)
        return any(ip in network for network in self._networks() if network.version == ip.version)

    def _networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        return tuple(map(ip_network, self.networks))


@dataclass(frozen=True, slots=True)
class DevicesConfig:
    """The section `devices`. One comment a field; that comment is the documentation."""

    neighbours: bool = True  # look at the kernel's neighbour tables: which hardware answers at which address next to us
    leases: tuple[str, ...] = USUAL_LEASES  # lease files of dnsmasq and Kea; those that are not there are passed over
    radius_listen: tuple[tuple[str, int], ...] = ()  # addresses and ports that take RADIUS accounting
    radius_clients: tuple[RadiusClient, ...] = ()  # who may send it
    session_hours: int = 12  # so long a sign-in holds that nobody ended and nothing renewed


def read_devices(file: str, raw: object, address: Any) -> DevicesConfig:
    """The section as YAML has it; BadConfiguration says what is wrong. `address` reads host:port."""
    known = {each.name: each for each in fields(DevicesConfig)}
    values: dict[str, Any] = {}
    for word, value in keys(file, "devices", raw).items():
        where = f"devices.{word}"
        match word:
            case "neighbours":
                if not isinstance(value, bool):
                    raise BadConfiguration(f"{where}: {value!r} is neither yes nor no")
                values["neighbours"] = value
            case "leases":
                items = [value] if isinstance(value, str) else value
                if not isinstance(items, list) or not all(isinstance(each, str) for each in items):
                    raise BadConfiguration(f"{where}: a list of files is expected, such as [{USUAL_LEASES[0]}]")
                values["leases"] = tuple(items)
            case "radius_listen":
                items = [value] if isinstance(value, str) else value
                if not isinstance(items, list) or not items:
                    raise BadConfiguration(f"{where}: a list of host:port is expected")
                values["radius_listen"] = tuple(address(where, str(item), RADIUS_PORT) for item in items)
            case "radius_clients":
                values["radius_clients"] = tuple(
                    _client(file, f"{where}.{name}", str(name), given) for name, given in keys(file, where, value).items()
                )
            case "session_hours":
                if type(value) is not int or not 1 <= value <= 168:
                    raise BadConfiguration(f"{where}: {value!r} is not a number of hours from 1 to 168")
                values["session_hours"] = value
            case _:
                raise BadConfiguration(f"{file}: in devices, unknown key {hint(word, known)}")
    found = DevicesConfig(**values)
    if found.radius_listen and not found.radius_clients:
        raise BadConfiguration("devices.radius_listen: devices.radius_clients says who may send, and their secrets")
    return found


def _client(file: str, where: str, name: str, given: object) -> RadiusClient:
    values: Mapping[Any, Any] = keys(file, where, given)
    words = {"from": 1, "secret_file": 1, "school": 1}
    if unknown := set(values) - set(words):
        raise BadConfiguration(f"{file}: in {where}, unknown key {hint(min(map(str, unknown)), words)}")
    items = values.get("from")
    items = [items] if isinstance(items, str) else items
    if not isinstance(items, list) or not items:
        raise BadConfiguration(f"{where}.from: the addresses that it sends from are expected, such as 10.10.9.5")
    try:
        networks = tuple(str(ip_network(str(each))) for each in items)
    except ValueError as error:
        raise BadConfiguration(f"{where}.from: {error}") from None
    secret, school = values.get("secret_file"), values.get("school", "")
    if not isinstance(secret, str) or not secret:
        raise BadConfiguration(f"{where}: secret_file names the file of the shared secret")
    if not isinstance(school, str):
        raise BadConfiguration(f"{where}.school: {school!r} is not a school")
    return RadiusClient(name[:40], networks, secret, school)


def secret(client: RadiusClient) -> bytes:
    """The shared secret, without the line's end."""
    try:
        found = Path(client.secret_file).read_bytes().strip()
    except OSError as error:
        raise BadConfiguration(f"devices.radius_clients.{client.name}: {client.secret_file}: {error.strerror}") from None
    if len(found) < 8:
        raise BadConfiguration(f"devices.radius_clients.{client.name}: a secret has at least 8 letters")
    return found
