"""Which devices are in the inside networks: the kernel's neighbours beside the leases of dnsmasq and Kea. Pure but for files.

A lease tells the name that a device gave itself, and is no proof of it; the kernel tells who answers at an address.
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final

from appliance.gateway.settings import GatewayConfig

USUAL: Final = (
    Path("/var/lib/misc/dnsmasq.leases"),
    Path("/var/lib/kea/kea-leases4.csv"),
    Path("/var/lib/kea/kea-leases6.csv"),
)


@dataclass(frozen=True, slots=True)
class Lease:
    address: str
    device: str  # MAC; "" when the server does not know it
    name: str


@dataclass(frozen=True, slots=True)
class Device:
    """One device, by its MAC."""

    device: str
    name: str
    network: str
    addresses: tuple[str, ...]
    own: bool  # a MAC that it made up itself, as phones do: another one in another network, and perhaps tomorrow
    here: bool  # it answers at this moment


def leases(text: str, now: float) -> list[Lease]:
    """Those of a file that are not over, dnsmasq's or Kea's; lines that are neither are passed over."""
    if text.startswith("address,"):
        return _kea(text, now)
    found = []
    for line in text.splitlines():
        match line.split():
            case [end, device, address, name, *_] if end.isdigit() and _is_address(address) and device.count(":") == 5:
                if int(end) == 0 or int(end) > now:
                    found.append(Lease(str(ip_address(address)), device.lower(), "" if name == "*" else name))
    return found


def _kea(text: str, now: float) -> list[Lease]:
    """A memfile: later lines take the place of earlier ones, and a lifetime of 0 ends a lease."""
    found: dict[str, Lease] = {}
    for row in csv.DictReader(text.splitlines()):
        address, end = row.get("address") or "", row.get("expire") or ""
        if not _is_address(address) or not end.isdigit():
            continue
        if int(end) <= now or row.get("valid_lifetime") == "0" or (row.get("state") or "0") != "0":
            found.pop(address, None)
            continue
        found[address] = Lease(
            str(ip_address(address)), (row.get("hwaddr") or "").lower(), (row.get("hostname") or "").rstrip(".")
        )
    return list(found.values())


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def devices(config: GatewayConfig, near: Mapping[str, bytes], leased: Iterable[Lease]) -> list[Device]:
    """All that is known, in the order of networks and names."""
    networks = [(ip_network(prefix), each.name) for each in config.networks for prefix in each.prefixes]
    known: dict[str, Device] = {}

    def add(device: str, address: str, name: str, *, here: bool) -> None:
        ip = ip_address(address)
        inside = next((each for network, each in networks if network.version == ip.version and ip in network), "")
        held = known.get(device)
        if held is None and not inside:
            return  # of the other side
        held = held or Device(device, "", inside, (), bool(int(device[:2], 16) & 2), here=False)
        addresses = held.addresses if address in held.addresses else (*held.addresses, address)
        known[device] = replace(held, name=held.name or name, addresses=addresses, here=held.here or here)

    for lease in leased:
        if lease.device:
            add(lease.device, lease.address, lease.name, here=False)
    for address, device in near.items():
        add(":".join(f"{each:02x}" for each in device), address, "", here=True)
    order = [each.name for each in config.networks]
    return sorted(known.values(), key=lambda one: (order.index(one.network), one.name or "~", one.device))
