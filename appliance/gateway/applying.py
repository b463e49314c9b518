"""Rules put in force so that nobody is locked out: tried, looked at from outside, confirmed by a person, or taken back.

In the folder of the rules lie `applied.nft`, what was confirmed and what the machine starts with, and while one is tried
`trying.nft`. It is root's where this is installed: root loads it at the start, and our own processes cannot write there. A
person confirms over a new connection, which shows that there still is a way in; when nobody does in time, or when the machine
restarts, what was confirmed before is in force again. Going back to nothing also stops forwarding: a box without rules must
not be a way past the filter.
"""

import ipaddress
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from appliance.gateway import nft
from appliance.gateway.passing import Filling, filling, stretches
from appliance.gateway.ruleset import Ports, removed, ruleset
from policy.live import Live, PolicyMissing, write_aside
from policy.passages import Prefix, Way, ways

if TYPE_CHECKING:
    from appliance.config import Config
    from appliance.gateway.settings import GatewayConfig

FORWARDING: Final = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding")
QUIET: Final = ("net/ipv4/conf/all/send_redirects",)  # "go there yourself" would lead devices around the box
ACCOUNT: Final = "net/netfilter/nf_conntrack_acct"  # bytes of connections, for the coverage page
PROBE_S: Final = 10
INSTALLED: Final = Path("/var/lib/schoolgate")
ANY: Final = {"0.0.0.0", "::"}  # noqa: S104 - compared, not listened on


class NotApplied(RuntimeError):
    """The rules were not put in force, or were taken back; what was there before is in force."""


def gateway_of(config: "Config") -> "GatewayConfig":
    if config.gateway is None:
        raise NotApplied("there is no section `gateway` in the configuration; docs/deploy.md shows one")
    return config.gateway


def steering_folder(data: Path) -> Path:
    """Where the process that steers keeps its socket and the names."""
    return data / "gateway"


def rules_folder(data: Path) -> Path:
    return Path("/etc/schoolgate/gateway") if data == INSTALLED else steering_folder(data)


def ports_of(config: "Config") -> Ports:
    """Where the kernel leads what it steers: listeners on all addresses. NotApplied says which is missing."""

    def port(listeners: tuple[tuple[str, int], ...], six: bool) -> int:
        return next((number for host, number in listeners if host in ANY and (":" in host) == six), 0)

    dns = (port(config.dns.listen, six=False), port(config.dns.listen, six=True))
    proxy = (port(config.proxy.transparent_listen, six=False), port(config.proxy.transparent_listen, six=True))
    families = {":" in prefix for each in gateway_of(config).networks for prefix in each.prefixes}
    for six in families:
        any_, example = ("[::]", "[::]:5300") if six else ("0.0.0.0", "0.0.0.0:5300")  # noqa: S104
        for key, found in (("dns.listen", dns), ("proxy.transparent_listen", proxy)):
            if not found[six]:
                raise NotApplied(f"{key} needs a listener on all addresses, {any_}, to be steered to; such as {example}")
    explicit = (*config.proxy.listen, *config.proxy.tls_listen)
    own = (*config.proxy.page_listen, *explicit, *config.dns.dot_listen, *config.dns.doh_listen)
    radius = [
        (network, number)
        for _, number in (config.devices.radius_listen if config.devices else ())
        for client in (config.devices.radius_clients if config.devices else ())
        for network in client.networks
    ]
    desk = tuple(number for _, number in config.admin.listen)
    return Ports(dns, proxy, tuple(number for _, number in own), desk, tuple(dict.fromkeys(radius)))


def planned(config: "Config") -> str:
    return ruleset(gateway_of(config), ports_of(config))


def signed_ways(config: "Config") -> dict[Prefix, Way]:
    """What signed policy says of networks; nothing before there is a policy."""
    try:
        return ways(Live(config.data).snapshot.schools.values())
    except PolicyMissing:
        return {}


def let_by(config: "Config") -> Filling:
    """What the process that steers adds to the rules."""
    gateway = gateway_of(config)
    return filling(gateway, stretches(gateway, signed_ways(config)))


def locked_out(gateway: "GatewayConfig", environ: Mapping[str, str]) -> str:
    """The address that this person comes from by SSH, when the guard would not let it in; else ""."""
    came = environ.get("SSH_CONNECTION", "").split(" ")[0].partition("%")[0]
    if not came:
        return ""
    ip = ipaddress.ip_address(came)
    networks = map(ipaddress.ip_network, gateway.admin)
    return "" if any(ip.version == each.version and ip in each for each in networks) else came


def forwarding(on: bool) -> None:
    for name in FORWARDING:
        _sysctl(name, "1" if on else "0")
    for name in QUIET:
        _sysctl(name, "0")
    if on:
        _sysctl(ACCOUNT, "1")


def _sysctl(name: str, value: str) -> None:
    path = Path("/proc/sys") / name
    if path.exists():  # a kernel without IPv6
        path.write_text(value, encoding="ascii")


def try_out(text: str, folder: Path, probe: str) -> None:
    """Put rules in force, and run the probe, a command that comes in from outside. NotApplied: all is as it was before."""
    nft.run(text, check=True)
    write_aside(folder / "trying.nft", text.encode(), mode=0o640)
    try:
        nft.run(text)
        forwarding(on=True)
        if probe:
            _probe(probe)
    except BaseException:
        roll_back(folder)
        raise


def _probe(command: str) -> None:
    try:
        done = subprocess.run(command, shell=True, capture_output=True, timeout=PROBE_S, check=False)  # noqa: S602 - as root typed it
    except subprocess.TimeoutExpired:
        raise NotApplied(f"the probe took more than {PROBE_S} s, so the rules were taken back: {command}") from None
    if done.returncode:
        raise NotApplied(f"the probe failed (code {done.returncode}), so the rules were taken back: {command}")


def confirm(folder: Path) -> bool:
    """Keep what is being tried. No: nothing is."""
    try:
        (folder / "trying.nft").replace(folder / "applied.nft")
    except FileNotFoundError:
        return False
    return True


def roll_back(folder: Path) -> None:
    """What was confirmed last is in force again; if nothing was, nothing, and nothing is forwarded."""
    (folder / "trying.nft").unlink(missing_ok=True)
    applied = folder / "applied.nft"
    if applied.exists():
        nft.run(applied.read_text(encoding="utf-8"))
    else:
        remove(folder)


def remove(folder: Path) -> None:
    forwarding(on=False)  # first: never a moment in which the box forwards without rules
    nft.run(removed())
    for name in ("trying.nft", "applied.nft"):
        (folder / name).unlink(missing_ok=True)


def wait_for_a_person(folder: Path, seconds: float) -> None:
    """Start a process that takes the rules back unless they are confirmed in time, and that outlives this terminal."""
    text = (folder / "trying.nft").read_text(encoding="utf-8")
    subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, "-m", "appliance.gateway.applying", str(folder), str(seconds)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "SCHOOLGATE_TRYING": text.partition("\n")[0]},
    )


def main() -> int:
    folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and (folder / "trying.nft").exists():
        time.sleep(min(left, 0.5))
    try:
        first = (folder / "trying.nft").read_text(encoding="utf-8").partition("\n")[0]
    except FileNotFoundError:
        return 0  # confirmed, or taken back
    if first == os.environ.get("SCHOOLGATE_TRYING"):  # else somebody tries something newer
        roll_back(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
