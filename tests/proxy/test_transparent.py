"""Pupils, box and internet, each in a network namespace of its own: devices that know of no proxy, behind an nftables redirect.

Run as a program it is the box, or with a second word the internet; the pupils' namespace holds curl alone. Nothing is routed
from one side to the other: what a pupil got, the box fetched.
"""

import importlib.util
import json
import socket
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__)
SITES = {"4": "203.0.113.9", "6": "2001:db8:9::9"}
RULES = """
table inet gate {
  chain pre {
    type nat hook prerouting priority -100;
    iifname "pupils" meta nfproto ipv4 tcp dport { 80, 443, 25 } redirect to :9000
    iifname "pupils" meta nfproto ipv6 tcp dport { 80, 443, 25 } redirect to :9001
  }
}
"""


def test_a_device_that_knows_of_no_proxy(internet):
    ways = (["unshare", "--map-root-user", "--net"], ["unshare", "--net"])  # root needs no user namespace of its own
    unshare = next(way for way in ways if subprocess.run([*way, "true"], capture_output=True, check=False).returncode == 0)
    command = [*unshare, sys.executable, str(HERE), str(internet.folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout.splitlines()[-1])
    for version in ("4", "6"):
        assert got[f"http allowed.test {version}"] == [200, "hello from allowed.test"], got
        assert got[f"https allowed.test {version}"] == [200, "hello from allowed.test"]
        assert got[f"https bank.test {version}"] == [200, "hello from bank.test"]
        assert got[f"http games.test {version}"][0] == 403
        assert got[f"https games.test {version}"][0] == 403
        assert got[f"another Host {version}"][0] == 403
        assert got[f"the address {version}"][0] == 502  # it is a site of its own, and its certificate names another
        assert got[f"a port that is not the web's {version}"][0] == 400
    assert got["issuers"] == {"allowed.test": True, "bank.test": False}  # ours, or the site's own
    assert got["seen"] == {"allowed.test": 5, "bank.test": 2}
    assert set(got["from"]) <= {"198.51.100.1", "2001:db8:7::1"}  # the box's own, never a pupil's
    assert got["not redirected"] == 0  # who comes to the listener by itself is no one's guest


def ip(*lines: str, inside: int = 0) -> None:
    for line in lines:
        where = ["nsenter", f"--net=/proc/{inside}/ns/net"] if inside else []
        subprocess.run([*where, "ip", *line.split()], check=True)


def fakes():
    spec = importlib.util.spec_from_file_location("fakes", HERE.with_name("conftest.py"))
    made = importlib.util.module_from_spec(spec)
    sys.modules["fakes"] = made
    spec.loader.exec_module(made)
    return made


def sites(folder: str) -> None:
    """The internet: two sites that answer to all names, until stdin ends; then who asked for what."""
    made = fakes()

    class Site(made.Origin):
        address_family = socket.AF_INET6  # and IPv4 with it

        def process_request(self, request, client_address):
            clients.append(client_address[0].removeprefix("::ffff:"))
            super().process_request(request, client_address)

    clients: list[str] = []
    ca = made.make_ca(Path(folder), "internet-ca")
    print("made", flush=True)
    sys.stdin.readline()  # the wires are there
    each = [Site("::", None, 80), Site("::", made.site_context(Path(folder), ca, made.HOSTS), 443)]
    print("open", flush=True)
    sys.stdin.read()
    print(json.dumps([[one.headers["host"] for site in each for one in site.seen], clients]), flush=True)
    for site in each:
        site.close()


def main(folder: str) -> None:
    """The box."""
    place = Path(folder) / "transparent"
    place.mkdir()
    with ExitStack() as stack:

        def apart(*command: str) -> subprocess.Popen[str]:
            made = subprocess.Popen(["unshare", "--net", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            return stack.enter_context(made)

        far = apart(sys.executable, str(HERE), str(place), "sites")
        near = apart("sh", "-c", "echo here; cat")
        stack.callback(near.stdin.close)
        stack.callback(far.stdin.close)
        assert far.stdout.readline() == "made\n"
        assert near.stdout.readline() == "here\n"
        for name, end, four, six in (("pupils", near, "10.20.3", "2001:db8:3:"), ("world", far, "198.51.100", "2001:db8:7:")):
            ip(f"link add {name} type veth peer name eth0 netns {end.pid}")
            ip(f"addr add {four}.1/24 dev {name}", f"addr add {six}:1/64 dev {name} nodad", f"link set {name} up")
            ip("link set lo up", f"addr add {four}.5/24 dev eth0", f"addr add {six}:5/64 dev eth0 nodad", "link set eth0 up",
               f"route add default via {four}.1", f"-6 route add default via {six}:1", inside=end.pid)  # fmt: skip
        ip("link set lo up", "route add 203.0.113.0/24 via 198.51.100.5", "-6 route add 2001:db8:9::/48 via 2001:db8:7::5")
        ip("addr add 203.0.113.9/32 dev lo", "addr add 2001:db8:9::9/128 dev lo nodad", inside=far.pid)
        subprocess.run(["nft", "-f", "-"], input=RULES, text=True, check=True)
        far.stdin.write("\n")
        far.stdin.flush()
        assert far.stdout.readline() == "open\n"
        print(json.dumps(asked(place, near.pid, far)))


def asked(place: Path, pupils: int, far: subprocess.Popen[str]) -> dict[str, object]:
    """What the pupils get of it."""
    made = fakes()
    made.PLACES.update({host: tuple(SITES.values()) for host in made.HOSTS})
    ca = place / "internet-ca.pem"
    settings = made.settings_for(place / "conf", ca, {})
    own = (("ks3-four", "0.0.0.0", 9000), ("ks3-six", "::", 9001))
    worker = made.Worker(replace(settings, transparent=own, inner_networks=tuple(SITES.values())))
    try:
        networks = (made.Network("n4", "ks3", "10.20.3.0/24"), made.Network("n6", "ks3", "2001:db8:3::/64"))
        school = replace(worker.live.kept.schools["hillview"], networks=networks)
        worker.live.kept = replace(
            worker.live.kept, schools={"hillview": school}, clients=made.Clients([school]), _profiles={}
        )
        ours, both = settings.confdir / "schoolgate-ca.pem", place / "both.pem"
        both.write_bytes(ours.read_bytes() + ca.read_bytes())

        def curl(url: str, version: str, *more: str, trust: Path = both) -> list:
            host = url.split("/")[2]
            leads = SITES[version] if version == "4" else f"[{SITES[version]}]"
            command = ["nsenter", f"--net=/proc/{pupils}/ns/net", "curl", "-sS", "--max-time", "10", "--cacert", str(trust)]
            if host.endswith(".test"):
                command += ["--resolve", f"{host}:80:{leads}", "--resolve", f"{host}:443:{leads}"]
            done = subprocess.run([*command, "-w", "\n%{http_code}", *more, url], capture_output=True, text=True, check=False)
            body, _, status = done.stdout.rpartition("\n")
            return [int(status), body[:100]]

        found: dict[str, object] = {}
        for version, address in SITES.items():
            literal = f"[{address}]" if version == "6" else address
            for host in ("allowed.test", "games.test"):
                found[f"http {host} {version}"] = curl(f"http://{host}/", version)
            for host in ("allowed.test", "bank.test", "games.test"):
                found[f"https {host} {version}"] = curl(f"https://{host}/", version)
            found[f"another Host {version}"] = curl("https://allowed.test/", version, "-H", "Host: games.test")
            found[f"the address {version}"] = curl(f"https://{literal}/", version, "-k")
            found[f"a port that is not the web's {version}"] = curl(f"http://{literal}:25/", version)
        own_only = {host: curl(f"https://{host}/", "4", trust=ours)[0] for host in ("allowed.test", "bank.test")}
        found["issuers"] = {host: status == 200 for host, status in own_only.items()}
        found["not redirected"] = curl("http://10.20.3.1:9000/", "4")[0]
        far.stdin.close()
        seen, found["from"] = json.loads(far.stdout.readline())
        found["seen"] = {host: seen.count(host) for host in sorted(set(seen))}
        return found
    finally:
        worker.close()


if __name__ == "__main__":
    (sites if len(sys.argv) > 2 else main)(sys.argv[1])
