"""More of what happens in the world of gateway_world.py: ways round the box, other devices, and what dies for good."""

import json
import os
import signal
import subprocess
import sys

from gateway_passages import lasting
from gateway_stories import TCP, UDP, permits, refused
from gateway_world import BESIDE, BLOCKED, DIRECT, INSPECTED, NEVER, TUNNELS, World, run
from waiting import until

from appliance.gateway import nft
from appliance.gateway.netlink import Netlink
from appliance.gateway.ruleset import GREETED, PASSED, PROXIED

SAY = """
import json, socket, sys
found = {}
for name, kind, address, port, said in json.loads(sys.argv[1]):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, getattr(socket, kind)) as sock:
        sock.settimeout(4)
        try:
            sock.connect((address, port)); sock.send(bytes.fromhex(said)); found[name] = sock.recv(100).decode("latin-1")
        except OSError as error:
            found[name] = type(error).__name__
print(json.dumps(found))
"""
OPENVPN = "000e38" + "5a" * 8 + "0000000000"  # a client's hard reset, over TCP
WIREGUARD = "01000000" + "5a" * 144  # the first message of a handshake
SSH = b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n".hex()


def inside(place: str, program: str, words: object) -> dict:
    """What a device's own program prints."""
    return json.loads(run("ip", "netns", "exec", place, sys.executable, "-SE", "-c", program, json.dumps(words)).stdout)


def guests(world: World) -> dict:
    """A visitor's phone: filtered as a guest's, and alone; nobody reaches anyone of another network."""
    listener = world.start(
        "ip", "netns", "exec", "pupil", sys.executable, "-SE", "-c", "import socket; socket.create_server(('', 8000)).accept()",
        log="listener.log",
    )  # fmt: skip
    until(lambda: ":8000" in run("ip", "netns", "exec", "pupil", "ss", "-ltn").stdout, 10, "a pupil's device listens")
    found = {
        "direct": world.curl(f"https://{DIRECT}/", place="guest"),
        "inspected": world.curl(f"https://{INSPECTED}/", place="guest"),
        "blocked": world.curl(f"http://{BLOCKED}/", place="guest"),
        "out": refused(
            ("a pupil", TCP, "10.99.1.10", 8000), ("the desk", TCP, "10.99.9.1", 8443), ("993", TCP, TUNNELS[1], 993),
            ("a pupil's side of the box", TCP, "10.99.1.1", 8443), ("a VPN", UDP, TUNNELS[1], 51820), place="guest",
        ),
        "staff": refused(("a pupil", TCP, "10.99.1.10", 8000), ("a guest", TCP, "10.99.9.10", 8000), place="staff"),
    }  # fmt: skip
    listener.kill()
    return found


def vpn(world: World) -> dict:
    """Tunnels on the web's port, to an address that was never told, one that stands for a name, and one that is permitted."""
    ways = {
        "told nobody": TUNNELS[1],
        "a name's": world.dig("tunnel.example")[-1],
        "permitted": world.dig("www.britannica.com")[-1],
    }
    tried = [
        (f"{kind}, {way}", TCP, to, 443, said)
        for kind, said in (("OpenVPN", OPENVPN), ("SSH", SSH))
        for way, to in ways.items()
    ]
    tried += [(f"WireGuard, {way}", UDP, to, 443, WIREGUARD) for way, to in ways.items()]
    post = ("-X", "SSTP_DUPLEX_POST", "-H", "Content-Length: 18446744073709551615")
    path = "sra_%7BBA195980-CD49-458b-9E23-C84EE0ADCD75%7D/"
    return {
        "said": inside("pupil", SAY, tried),
        "SSTP": world.curl(f"https://{INSPECTED}/{path}", *post, "--http1.1"),
        "SSTP, told nobody": world.curl(f"https://{NEVER}/{path}", "-k", *post, "--http1.1"),
    }


def fronting(world: World) -> dict:
    """One name in the greeting, another in the request."""
    return {
        version: world.curl(f"https://{INSPECTED}/", "-H", f"Host: {BLOCKED}", f"--{version}")
        for version in ("http1.1", "http2")
    }


def encrypted_dns(world: World) -> dict:
    """DNS over HTTPS: by the names of its servers, by their addresses; what has browsers look for it."""
    return {
        "named": world.curl("https://dns.google/dns-query", "-k"),
        "by address": world.curl("https://8.8.8.8/dns-query", "-k"),
        "canary": [world.dig(each) for each in ("use-application-dns.net", "mask.icloud.com")],
        "offers": [world.dig(each, "HTTPS") for each in (DIRECT, INSPECTED)],
    }


def six_alone(world: World) -> dict:
    """A device without IPv4, whose addresses change as it likes."""
    found = {
        "asked": world.dig(DIRECT, place="tablet"),
        **{
            f"from {each}": world.curl(f"https://{DIRECT}/", "--interface", f"fd99:3::{each}", place="tablet", v="6")
            for each in ("a1", "a2")
        },
    }
    leads = world.dig(DIRECT, "AAAA", place="tablet")[-1]
    run("ip", "-n", "tablet", "addr", "add", "fd99:3::a3/64", "dev", "eth0", "nodad")
    found["a new address"] = world.curl(f"https://{DIRECT}/", "--interface", "fd99:3::a3", place="tablet", leads=leads)
    found["inspected"] = world.curl(f"https://{INSPECTED}/", place="tablet", v="6")
    found["blocked"] = world.curl(f"https://{BLOCKED}/", place="tablet", v="6")
    found["another resolver"] = world.dig(DIRECT, "AAAA", at="2001:4860:4860::8888", place="tablet")
    found["out"] = refused(("QUIC", UDP, leads, 443), ("a pupil", TCP, "fd99:1::10", 8000), place="tablet")
    return found


def under_load(world: World) -> dict:
    """The rules put in force again and again while much goes on, both ways: all of it ends well."""
    both = [(host, world.dig(host)[-1]) for host in (DIRECT, DIRECT, INSPECTED)]
    downloads = [
        subprocess.Popen(
            ["ip", "netns", "exec", "pupil", "curl", "-sS", "--cacert", str(world.folder / "both.pem"), "--limit-rate", "16M",
             "--resolve", f"{host}:443:{leads}", "-o", "/dev/null", "-w", "%{size_download}", f"https://{host}/large"],
            stdout=subprocess.PIPE, text=True,
        )
        for host, leads in both
    ]  # fmt: skip
    times = 0
    while any(each.poll() is None for each in downloads):
        times += world.gate("apply", "--yes").returncode == 0
    return {
        "times": times,
        "sizes": [int(each.communicate()[0]) for each in downloads],
        "codes": [each.returncode for each in downloads],
    }


def killed(world: World, rule, name: str) -> dict:
    """kill -9 in each mode: what is permitted goes on, and it comes back."""
    found: dict[str, object] = {}
    for mode in ("closed", "direct"):
        lasting(world, rule, mode)
        leads, before, pid = world.dig(BESIDE)[-1], permits(), world.pid(name)
        os.kill(pid, signal.SIGKILL)
        during = world.curl(f"https://{BESIDE}/", leads=leads)
        until(lambda pid=pid: world.pid(name) != pid, 20, f"{name} is back")
        kept = permits() == before
        until(lambda: all(world.curl(f"https://{each}/")["status"] == 200 for each in (INSPECTED, BESIDE)), 20, "all is well")
        found[mode] = [during, kept]
    return found


def dead(world: World, rule, name: str) -> dict:
    """One says nothing any more, and nothing starts it again: the kernel itself goes to the mode that was chosen."""
    leads = world.dig(BESIDE)[-1], world.dig(INSPECTED)[-1]
    until(world.alive, 20, "the filter lives")
    os.kill(world.pid(name), signal.SIGSTOP)
    lapse = {"filter_alive", "proxy_alive"} if name.startswith("proxy") else {"filter_alive"}
    until(lambda: not any(nft.alive()[each] for each in lapse), 20, "the kernel knows")
    found: dict[str, object] = {}
    for mode in ("closed", "direct"):
        lasting(world, rule, mode)
        hosts = zip((BESIDE, INSPECTED), leads, strict=True)
        found[mode] = [world.curl(f"https://{host}/", "--max-time", "3", leads=to) for host, to in hosts]
        found[f"{mode}, told nobody"] = world.curl(f"https://{BLOCKED}/", "-k", "--max-time", "3", leads=NEVER)
    os.kill(world.pid(name), signal.SIGCONT)
    until(world.alive, 10, "the filter lives again")
    found["back"] = world.curl(f"https://{INSPECTED}/")
    return found


def covered(world: World) -> dict:
    """What the box says of all this, once its recorder has it."""

    def said() -> dict:
        return json.loads(world.gate("coverage", "--json").stdout)

    until(lambda: any("no web" in each["kinds"] for each in said()["attempts"]), 10, "attempts are in the filter log")
    kernel = Netlink()
    sizes: dict[str, int] = {}

    def counted() -> bool:
        for mark in (PROXIED, GREETED, PASSED):
            kernel.flows(mark)  # the kernel looks through them, and forgets those that are over
        sizes.update({one["network"]: one["bytes"] for one in said()["connections"] if not one["device"]})
        return bool(sizes["pupils"]["content"] and sizes["pupils"]["name"] and sizes["staff"]["forwarded"])

    until(counted, 20, "bytes are counted")
    kernel.close()
    return said() | {"text": world.gate("coverage", "--school", "hill").stdout, "sizes": sizes}


STORIES = (guests, vpn, fronting, encrypted_dns, six_alone, under_load)
