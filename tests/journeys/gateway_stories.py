"""What happens in the world of gateway_world.py, told one after the other; each story says what the devices got."""

import json
import subprocess
import sys
import time

from gateway_world import BESIDE, BLOCKED, DIRECT, INSPECTED, NEVER, World, run
from waiting import until

from appliance.capabilities import has
from appliance.gateway import nft


def ways(world: World) -> dict:
    """Which way each kind of name goes, IPv4 and IPv6; two names that share one address, in turn."""
    found: dict[str, object] = {}
    for v in ("4", "6"):
        for name, host in (("direct", DIRECT), ("beside", BESIDE), ("inspected", INSPECTED), ("beside again", BESIDE)):
            found[f"{name} {v}"] = world.curl(f"https://{host}/", v=v)
        found[f"plain {v}"] = world.curl(f"http://{DIRECT}/", v=v)
    found["issuers"] = {host: world.issuer(host, world.dig(host)[-1]) for host in (DIRECT, INSPECTED)}
    found["blocked"] = world.curl(f"http://{BLOCKED}/")
    found["staff"] = world.curl(f"https://{DIRECT}/", place="staff")
    return found


def unresolved(world: World) -> dict:
    """Addresses that nobody was told: the name in the greeting is judged, and gone to where we say it is."""
    return {
        "never asked": world.curl("https://github.com/", leads=NEVER),
        "hosts file": world.curl(f"https://{BLOCKED}/", "-k", leads=NEVER),
        "no name": world.curl(f"https://{NEVER}/", "-k"),
        "plain, no name": world.curl(f"http://{NEVER}/"),
        "nobody's": world.curl(f"https://{DIRECT}/", leads="198.18.99.99"),
        "another's": world.curl(f"https://{BLOCKED}/", "-k", leads=world.dig(INSPECTED)[-1]),
    }


REFUSED = """
import json, socket, sys, time
found = {}
for name, kind, address, port in json.loads(sys.argv[1]):
    began = time.monotonic()
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, getattr(socket, kind)) as sock:
        sock.settimeout(3)
        try:
            sock.connect((address, port)); sock.send(b"x" * 40); sock.recv(10); said = "open"
        except OSError as error:
            said = type(error).__name__
    found[name] = [said, time.monotonic() - began]
print(json.dumps(found))
"""
UDP, TCP = "SOCK_DGRAM", "SOCK_STREAM"


def fronted(world: World) -> dict:
    """A permitted address, and another name said there: by a hosts file, by a bent greeting, or none."""
    four, six = world.dig(DIRECT)[-1], world.dig(DIRECT, "AAAA")[-1]
    return {
        "blocked": world.curl(f"https://{BLOCKED}/", "-k", leads=four),
        "blocked 6": world.curl(f"https://{BLOCKED}/", "-k", leads=six),
        "plain": world.curl(f"http://{BLOCKED}/long", leads=four),
        "to be seen": world.curl(f"https://{INSPECTED}/", "-k", leads=four),
        "no name": world.curl(f"https://{four}/", "-k"),
        "its own": world.curl(f"https://{DIRECT}/", leads=four),
    }


def refused(*tried: tuple[str, str, str, int], place: str = "pupil") -> dict:
    """What a device gets that connects there and sends something, and after how long."""
    return json.loads(run("ip", "netns", "exec", place, sys.executable, "-SE", "-c", REFUSED, json.dumps(tried)).stdout)


def other_resolvers(world: World) -> dict:
    """Whomever a device asks, we answer; what cannot be brought to us is refused at once."""
    tried = (
        ("QUIC", UDP, "45.33.32.20", 443),
        ("QUIC 6", UDP, "2a00:1450:1::20", 443),
        ("DoQ", UDP, "8.8.8.8", 853),
        ("DoT", TCP, "8.8.8.8", 853),
    )
    return {
        "udp": world.dig(DIRECT, at="8.8.8.8"),
        "tcp": world.dig(DIRECT, "+tcp", at="8.8.8.8"),
        "udp 6": world.dig(DIRECT, at="2001:4860:4860::8888"),
        "refused": refused(*tried),
    }


def ports(world: World) -> dict:
    """Other ports, the box's own ports, addresses that are not the device's."""
    tried = (
        ("993", TCP, "45.33.32.20", 993),
        ("the proxy's", TCP, "10.99.1.1", 8081),
        ("the resolver's", TCP, "fd99:1::1", 5300),
        ("the desk", TCP, "10.99.1.1", 8443),
        ("staff", TCP, "10.99.5.10", 22),
    )
    found = {
        "pupil": refused(*tried),
        "staff": refused(("a name's address", TCP, "198.18.0.1", 993), place="staff"),
        "staff desk": world.curl("https://10.99.5.1:8443/healthz", "-k", place="staff")["status"],
    }
    run("ip", "-n", "pupil", "addr", "add", "10.99.7.7/24", "dev", "eth0")
    run("ip", "route", "add", "10.99.7.0/24", "dev", "lan0")
    found["spoofed"] = world.curl("http://45.33.32.20:8000/", "--interface", "10.99.7.7", "--max-time", "1")["code"]
    return found


def rights(world: World) -> dict:
    """Who may change the kernel's rules."""
    names = ("dns-1", "proxy-1", "desk", "recorder", "steer")
    return {name: has(world.pid(name)) for name in names}


def long_download(world: World, v: str = "4", host: str = DIRECT, place: str = "pupil") -> subprocess.Popen:
    """One that lasts a minute, once its first bytes are there."""
    leads = world.dig(host, "AAAA" if v == "6" else "A", place=place)[-1]
    to = f"[{leads}]" if v == "6" else leads
    out = world.folder / f"long-{time.monotonic()}"
    words = ["curl", "-sS", "-N", "--cacert", str(world.folder / "both.pem"), "--resolve", f"{host}:443:{to}"]
    made = subprocess.Popen(
        ["ip", "netns", "exec", place, *words, "-o", str(out), f"https://{host}/long"], stderr=subprocess.DEVNULL
    )
    world.processes.append(made)
    until(lambda: out.exists() and out.stat().st_size, 10, "the download has begun")
    made.out = out
    return made


def ended(made: subprocess.Popen) -> tuple[int, float]:
    began = time.monotonic()
    return made.wait(10), time.monotonic() - began


def permits() -> int:
    return sum(nft.state().permits.values())


def reapplied(world: World) -> dict:
    """The rules put in force again while a download runs: nothing is lost."""
    download, before = long_download(world), permits()
    again = [world.gate("apply", "--yes").returncode for _ in range(2)]
    size = download.out.stat().st_size
    until(lambda: download.out.stat().st_size > size, 5, "the download goes on")
    found = {"codes": again, "before": before, "after": permits(), "runs": download.poll() is None}
    download.kill()
    return found


def changed(world: World, rule) -> dict:
    """A site blocked now ends now, where it runs; its neighbours do not."""
    four, six, other = long_download(world), long_download(world, "6"), long_download(world, host=BESIDE)
    beside = world.curl(f"https://{BESIDE}/")
    leads = four.args[four.args.index("--resolve") + 1].rpartition(":")[2]
    rule(DIRECT, "block")
    found = {"four": ended(four), "six": ended(six)}
    until(lambda: world.curl(f"https://{DIRECT}/", "-k", leads=leads)["status"] == 403, 5, "the address is of no use")
    size = other.out.stat().st_size
    until(lambda: other.out.stat().st_size > size, 5, "the other download goes on")
    found["beside"] = [beside["body"], world.curl(f"https://{BESIDE}/")["body"]]
    found["runs"] = other.poll() is None
    other.kill()
    return found


def locked_out(world: World) -> dict:
    """Rules that shut the technician out do not stay."""
    probe = "ip netns exec staff curl -sk --max-time 2 https://10.99.5.1:8443/healthz"
    world.configure(admin="192.0.2.0/24")
    said = world.gate("apply", "--probe", probe)
    reached = run(*probe.split(), check=False).returncode
    tried = world.gate("apply", "--confirm", "0.5").returncode
    shut = run(*probe.split(), check=False).returncode
    until(lambda: not (world.data / "gateway" / "trying.nft").exists(), 10, "nobody confirmed")
    until(lambda: run(*probe.split(), check=False).returncode == 0, 10, "there is a way in again")
    world.configure()
    confirmed = [
        world.gate("apply", "--confirm", "60").returncode,
        world.gate("confirm").returncode,
        world.gate("confirm").returncode,
    ]
    return {"probe": [said.returncode, said.stderr], "reached": reached, "tried": tried, "shut": shut, "confirmed": confirmed}


STORIES = (ways, unresolved, fronted, other_resolvers, ports, rights, reapplied)
