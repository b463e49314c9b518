"""What `schoolgate doctor` looks at on this machine and around it."""

import asyncio
import ctypes
import json
import os
import secrets
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from appliance.config import Config
from appliance.doctor import Facts, Offer
from appliance.gateway import nft
from appliance.gateway.applying import rules_folder, signed_ways
from appliance.gateway.passing import unfiltered
from appliance.gateway.settings import GatewayConfig

OFFERS_S: Final = 4.5  # dnsmasq first looks for three seconds whether the address is free
ASKED: Final = "example.com"
_UNSYNCHRONISED: Final = 5  # what adjtimex returns when nobody keeps the clock
_COOKIE: Final = b"\x63\x82\x53\x63"


def gather(config: Config) -> Facts:
    """The facts; what cannot be seen (without root, say) is left out rather than guessed."""
    up = _up(config)
    more: dict[str, Any] = {}
    if gateway := config.gateway:
        links = _ip("-j", "addr")
        more = {
            "addresses": {
                each["ifname"]: tuple(
                    f"{one['local']}/{one['prefixlen']}" for one in each.get("addr_info", []) if "local" in one
                )
                for each in links
            },
            "default_routes": tuple(each["dev"] for each in _ip("-j", "route", "show", "default") if "dev" in each),
            "leads": dict(_leads(gateway)),
            "unfiltered": unfiltered(gateway, signed_ways(config)),
            "routers": tuple(
                (each["dev"], each["dst"]) for each in _ip("-j", "-6", "neigh") if "router" in each and "dev" in each
            ),
            "forwards": _read("/proc/sys/net/ipv4/ip_forward") == "1",
            "trying": (rules_folder(config.data) / "trying.nft").exists(),
            "connections": tuple(
                int(_read(f"/proc/sys/net/netfilter/nf_conntrack_{each}") or 0) for each in ("count", "max")
            ),
        }
        if os.geteuid() == 0:
            state = nft.state()
            more |= {
                "rules": state.there,
                "alive": not state.there or all(state.alive.values()),
                "features": nft.features(),
                "offers": tuple(
                    _offers({each.interface for each in gateway.networks if each.name not in more["unfiltered"]})
                ),
            }
        else:
            more |= {"rules": True}
    return Facts(
        synchronised=_synchronised(),
        disk_free=shutil.disk_usage(config.data if config.data.exists() else "/").free,
        up=up,
        upstream=_upstream(config),
        portal=portal_trouble(config.proxy.portal_name, config.proxy.portal_certificate),
        taken=() if up else tuple(_taken(config)),
        **more,
    )


def portal_trouble(name: str, file: str) -> str:
    """What is wrong with the certificate of the sign-in page's public name; "": nothing."""
    if not name:
        return ""
    if not file:
        return f"there is no proxy.portal_certificate for {name}"
    try:
        raw = Path(file).read_bytes()
        certificate = x509.load_pem_x509_certificates(raw)[0]
        key = load_pem_private_key(raw, password=None)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, x509.ExtensionNotFound) as error:
        return f"{file} cannot be used: {error}"
    known = names.get_values_for_type(x509.DNSName)
    if name not in known and f"*.{name.partition('.')[2]}" not in known:
        return f"{file} is for {', '.join(known) or 'no name'}, not for {name}"
    if key.public_key() != certificate.public_key():
        return f"the key in {file} is another certificate's"
    ends = certificate.not_valid_after_utc
    return f"{file} ends on {ends:%Y-%m-%d}" if ends.timestamp() < time.time() + 7 * 86_400 else ""


def _ip(*words: str) -> list[dict[str, Any]]:
    try:
        done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603, S607
        found: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    except (OSError, ValueError):
        return []
    return found


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _leads(gateway: GatewayConfig) -> Iterator[tuple[str, str]]:
    for inside in gateway.networks:
        for prefix in inside.prefixes:
            someone = str(ip_network(prefix)[-2])
            for each in _ip("-j", "route", "get", someone):
                if "dev" in each and each.get("type") != "local":
                    yield prefix, each["dev"]


def _synchronised() -> bool:
    """As the kernel knows from whoever keeps its clock."""
    timex = ctypes.create_string_buffer(512)
    return bool(ctypes.CDLL(None).adjtimex(timex) != _UNSYNCHRONISED)


def _up(config: Config) -> bool:
    try:
        pids = json.loads((config.data / "run" / "ready.json").read_text(encoding="utf-8"))["pids"]
    except (OSError, ValueError, KeyError):
        return False
    return any(Path(f"/proc/{pid}").exists() for pid in pids.values())


def _upstream(config: Config) -> str:
    from appliance.wiring import resolver

    async def ask() -> str:
        try:
            await resolver(config)(ASKED)
        except OSError as error:
            return str(error)
        return ""

    try:
        return asyncio.run(ask())
    except ValueError as error:  # there are none
        return str(error)


def _taken(config: Config) -> Iterator[str]:
    for key, listeners in (
        ("dns.listen", config.dns.listen),
        ("proxy.listen", config.proxy.listen),
        ("proxy.tls_listen", config.proxy.tls_listen),
        ("admin.listen", config.admin.listen),
    ):
        for host, port in listeners:
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    sock.bind((host, port))
                except PermissionError:
                    continue
                except OSError:
                    yield f"{host} port {port} ({key})"


# --- DHCP: asked as a device would ask ------------------------------------------------------------------------------------


def discover(number: int, device: bytes) -> bytes:
    """A DHCPDISCOVER that wants its answer by broadcast."""
    fixed = struct.pack("!BBBBIHH16s", 1, 1, 6, 0, number, 0, 0x8000, bytes(16)) + device.ljust(16, b"\0") + bytes(192)
    return fixed + _COOKIE + b"\x35\x01\x01" + b"\x37\x03\x01\x03\x06" + b"\xff"


def offer(data: bytes, number: int, interface: str) -> Offer | None:
    """What a server offers; None for anything else."""
    if len(data) < 240 or data[0] != 2 or int.from_bytes(data[4:8]) != number or data[236:240] != _COOKIE:
        return None
    options: dict[int, bytes] = {}
    at = 240
    while at + 1 < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        options[data[at]] = data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]

    def addresses(kind: int) -> tuple[str, ...]:
        value = options.get(kind, b"")
        return tuple(str(ip_address(value[at : at + 4])) for at in range(0, len(value) - 3, 4))

    server = (*addresses(54), str(ip_address(data[20:24])))[0]
    return Offer(interface, server, addresses(6), addresses(3)) if options.get(53) == b"\x02" else None


def _offers(interfaces: Iterable[str]) -> Iterator[Offer]:
    """Asked in all filtered networks at once; a server on this very box is not heard."""
    asked: list[tuple[str, int, socket.socket]] = []
    for interface in sorted(interfaces):
        number, sock = secrets.randbits(32), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
            sock.bind(("", 68))
            device = bytes([2, *secrets.token_bytes(5)])
            sock.sendto(discover(number, device), ("255.255.255.255", 67))
        except OSError:  # no such interface, or a DHCP client of its own
            sock.close()
            continue
        asked.append((interface, number, sock))
    end = time.monotonic() + OFFERS_S
    for interface, number, sock in asked:
        with sock:
            while (left := end - time.monotonic()) > 0:
                sock.settimeout(left)
                try:
                    found = offer(sock.recv(2048), number, interface)
                except TimeoutError:
                    break
                if found:
                    yield found
