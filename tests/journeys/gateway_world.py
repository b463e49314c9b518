"""A school behind the box, in network namespaces: pupil, tablet, staff and guest, the box between, a little internet beyond.

Run as a program in a namespace of its own, which is the box; it makes the others, starts `schoolgate up`, and prints what the
devices got as JSON. Everything ends with it: the namespaces are named in a mount that nobody else sees.
"""

import contextlib
import io
import json
import os
import signal
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import dnslib
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from waiting import until

from appliance.__main__ import main
from appliance.gateway import nft

SCHOOLGATE = str(Path(sys.executable).with_name("schoolgate"))
DIRECT, INSPECTED, BESIDE, BLOCKED = "en.wikipedia.org", "www.bbc.co.uk", "www.khanacademy.org", "www.bet365.com"
ADDRESSES = {  # INSPECTED and BESIDE share one
    DIRECT: ("45.33.32.20", "2a00:1450:1::20"),
    INSPECTED: ("45.33.32.30", "2a00:1450:1::30"),
    BESIDE: ("45.33.32.30", "2a00:1450:1::30"),
    "github.com": ("45.33.32.21", "2a00:1450:1::21"),
    "www.britannica.com": ("45.33.32.45", "2a00:1450:1::45"),  # needs no look; what is there is no web site
    "tunnel.example": ("45.33.32.46", "2a00:1450:1::46"),  # is to be seen
}
NEVER, TUNNELS = "45.33.32.40", ("45.33.32.45", "45.33.32.46")


def run(*words: str, check: bool = True, **more) -> subprocess.CompletedProcess:
    return subprocess.run([*words], capture_output=True, text=True, check=check, timeout=60, **more)


# --- the little internet, in its own namespace ----------------------------------------------------------------------------


def certificates(folder: Path) -> None:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "The little internet")])

    def build(subject: str, public, *, ca: bool):
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
        made = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(public)
        made = made.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        made = made.not_valid_after(now + timedelta(days=30))
        made = made.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if not ca:
            names = x509.SubjectAlternativeName([x509.DNSName(each) for each in ADDRESSES])
            made = made.add_extension(names, critical=False)
        return made.sign(key, hashes.SHA256())

    leaf = ec.generate_private_key(ec.SECP256R1())
    (folder / "internet-ca.pem").write_bytes(
        build("The little internet", key.public_key(), ca=True).public_bytes(Encoding.PEM)
    )
    (folder / "sites.pem").write_bytes(
        leaf.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + build("sites", leaf.public_key(), ca=False).public_bytes(Encoding.PEM)
    )


LARGE = bytes(32 << 20)


class Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """Who is seen to ask; /long goes on for a minute."""
        who = self.client_address[0].removeprefix("::ffff:")
        if self.path.startswith("/long"):
            self.send_response(200)
            self.send_header("Content-Length", str(600 * 100))
            self.end_headers()
            with contextlib.suppress(OSError):
                for _ in range(600):
                    self.wfile.write(b"x" * 100)
                    time.sleep(0.1)
            return
        body = f"{self.headers.get('Host', '')} seen from {who}".encode()
        if self.path.startswith("/large"):
            body = LARGE[: int(self.path[7:] or len(LARGE))]  # /large/N: N bytes of it
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "text/html")
        self.send_header("Alt-Svc", 'h3=":443"; ma=86400')  # "come back by QUIC"
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Six(ThreadingHTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True
    request_queue_size = 200


class Sites(Six):
    allow_reuse_port = True  # beside the tunnel's


class Tunnel(socketserver.BaseRequestHandler):
    """A VPN's server: takes whatever comes, and answers it."""

    def handle(self):
        if isinstance(self.request, tuple):
            self.request[1].sendto(b"tunnel", self.client_address)
        elif self.request.recv(100):
            self.request.sendall(b"tunnel")


class TunnelServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = allow_reuse_port = daemon_threads = True


def origin(folder: Path) -> None:
    """Sites on all addresses, and an honest name server at 45.33.32.53; 8.8.8.8 says something else of every name.

    At TUNNELS there are VPNs' servers instead, on TCP 443 and UDP 443 and 51820.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "sites.pem")
    plain, secure = Six(("::", 80), Page), Sites(("::", 443), Page)
    secure.socket = context.wrap_socket(secure.socket, server_side=True, do_handshake_on_connect=False)

    def answer(data: bytes, mine: str) -> bytes:
        request = dnslib.DNSRecord.parse(data)
        reply = request.reply()
        name, kind = str(request.q.qname).rstrip(".").lower(), request.q.qtype
        found = ADDRESSES.get(name, ("45.33.32.50", "2a00:1450:1::50")) if mine == "45.33.32.53" else ("45.33.32.66",) * 2
        if kind == dnslib.QTYPE.A:
            reply.add_answer(dnslib.RR(request.q.qname, kind, rdata=dnslib.A(found[0]), ttl=300))
        elif kind == dnslib.QTYPE.AAAA and ":" in found[1]:
            reply.add_answer(dnslib.RR(request.q.qname, kind, rdata=dnslib.AAAA(found[1]), ttl=300))
        elif kind == dnslib.QTYPE.HTTPS and name == DIRECT:
            reply.add_answer(*dnslib.RR.fromZone(f"{name}. 300 IN HTTPS 1 . alpn=h3,h2 echconfig=AAAA"))
        return reply.pack()

    def names(address: str):
        class Asked(socketserver.BaseRequestHandler):
            def handle(self):
                data, sock = self.request
                sock.sendto(answer(data, address), self.client_address)

        return socketserver.ThreadingUDPServer((address, 53), Asked)

    tunnels = [made for at in TUNNELS for made in (
        TunnelServer((at, 443), Tunnel), *(socketserver.ThreadingUDPServer((at, port), Tunnel) for port in (443, 51820))
    )]  # fmt: skip
    for server in (plain, secure, names("45.33.32.53"), names("8.8.8.8"), *tunnels):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    (folder / "origin.ready").touch()
    signal.pause()


# --- wires ----------------------------------------------------------------------------------------------------------------

WIRES = """
netns add pupil
netns add tablet
netns add staff
netns add guest
netns add net
link add lan0 type veth peer name eth0 netns pupil
link add lan1 type veth peer name eth0 netns staff
link add lan2 type veth peer name eth0 netns guest
link add lan3 type veth peer name eth0 netns tablet
link add wan0 type veth peer name eth0 netns net
addr add 10.99.1.1/24 dev lan0
addr add fd99:1::1/64 dev lan0 nodad
addr add 10.99.5.1/24 dev lan1
addr add 10.99.9.1/24 dev lan2
addr add fd99:3::1/64 dev lan3 nodad
addr add 45.33.32.1/24 dev wan0
addr add 2a00:1450:1::1/64 dev wan0 nodad
link set lo up
link set lan0 up
link set lan1 up
link set lan2 up
link set lan3 up
link set wan0 up
-n pupil link set lo up
-n pupil link set eth0 up
-n pupil addr add 10.99.1.10/24 dev eth0
-n pupil addr add fd99:1::10/64 dev eth0 nodad
-n pupil addr add fd99:1::aaaa/64 dev eth0 nodad
-n pupil route add default via 10.99.1.1
-n pupil -6 route add default via fd99:1::1 src fd99:1::aaaa
-n staff link set lo up
-n staff link set eth0 up
-n staff addr add 10.99.5.10/24 dev eth0
-n staff route add default via 10.99.5.1
-n guest link set lo up
-n guest link set eth0 up
-n guest addr add 10.99.9.10/24 dev eth0
-n guest route add default via 10.99.9.1
-n tablet link set lo up
-n tablet link set eth0 up
-n tablet addr add fd99:3::a1/64 dev eth0 nodad
-n tablet addr add fd99:3::a2/64 dev eth0 nodad
-n tablet -6 route add default via fd99:3::1
-n net link set lo up
-n net link set eth0 up
-n net route add default via 45.33.32.1 dev eth0 onlink
-n net -6 route add default via 2a00:1450:1::1 dev eth0 onlink
"""


def wires() -> None:
    lines = [line for line in WIRES.splitlines() if line]
    lines += [
        f"-n net addr add {each}/24 dev eth0"
        for each in ("45.33.32.53", "45.33.32.20", "45.33.32.21", "45.33.32.30", NEVER, *TUNNELS, "45.33.32.50")
    ]
    lines += [
        f"-n net addr add {each}/64 dev eth0 nodad"
        for each in (
            "2a00:1450:1::20",
            "2a00:1450:1::21",
            "2a00:1450:1::30",
            "2a00:1450:1::45",
            "2a00:1450:1::46",
            "2a00:1450:1::50",
        )
    ]
    lines += [
        "-n net addr add 8.8.8.8/32 dev eth0",
        "route add default via 45.33.32.53 dev wan0",
        "-6 route add default via 2a00:1450:1::20 dev wan0",
    ]
    run("ip", "-batch", "-", input="\n".join(line for line in lines if not line.startswith("-")) + "\n")
    for line in lines:
        if line.startswith("-"):
            run("ip", *line.split())


# --- the school -----------------------------------------------------------------------------------------------------------


def found(data: Path):
    """An installation with a head, made as the demonstration makes its schools, and what changes its policy."""
    from appliance import demo
    from appliance.founding import create_installation, found_authority, found_school
    from change_control.changes import SiteWish
    from policy.proof import digest
    from policy.rules import Action, Network

    founded = create_installation(data, f"sqlite:///{data}/desk.sqlite3", demo.AUTHORITY)
    people = [
        demo.Account(f"hill-{role}", "three random words", demo.pyotp.random_base32(), role, "hill", role)
        for role in ("headteacher", "teacher")
    ]
    with founded.store.write() as session:
        authority = found_authority(founded, session, "Birchwood")
        networks = [Network(*each) for each in NETWORKS]
        found_school(
            founded, session, authority, school="hill", name="Hill", phases=("ks3", "staff", "guest"), networks=networks
        )
        demo._enrol(founded, session, "hill", people[0])
        demo._enrol(founded, session, "hill", people[1], by=people[0])
    founded.publish()

    def sign(wish) -> None:
        with founded.store.write() as session:
            teacher, _ = demo._signed_in(founded, session, people[1])
            row = founded.office.request(session, "hill", wish, by=teacher, reason="a lesson")
            head, cookie = demo._signed_in(founded, session, people[0])
            founded.office.approve(session, row, head, founded.registry.signer(session, cookie, "hill"), digest(row.diff))
        founded.publish()

    def rule(site: str, action: str) -> None:
        sign(SiteWish(site, Action(action)))

    rule.sign = sign  # any other change
    return rule


NETWORKS = [
    ("n4", "ks3", "10.99.1.0/24"),
    ("n6", "ks3", "fd99:1::/64"),
    ("t6", "ks3", "fd99:3::/64"),
    ("s4", "staff", "10.99.5.0/24"),
    ("g4", "guest", "10.99.9.0/24"),
]
BOX = {"pupil": "10.99.1.1", "staff": "10.99.5.1", "guest": "10.99.9.1", "tablet": "fd99:3::1"}  # as each sees it
CONFIG = """
dns: {{listen: ["0.0.0.0:53", "[::]:5300"], upstreams: [45.33.32.53], page_addresses: [10.99.1.1, "fd99:1::1"], workers: 1}}
proxy:
  listen: ["127.0.0.1:3128"]
  transparent_listen: ["0.0.0.0:8081", "[::]:8082"]
  page_listen: ["0.0.0.0:80", "0.0.0.0:443", "[::]:80", "[::]:443"]
  upstream_ca: {folder}/internet-ca.pem
  workers: 1
admin: {{listen: ["0.0.0.0:8443"], public_url: "https://10.99.5.1:8443"}}
gateway:
  outside: wan0
  admin: [{admin}]
  networks:
    pupils: {{interface: lan0, prefixes: [10.99.1.0/24, "fd99:1::/64"]}}
    staff: {{interface: lan1, prefixes: [10.99.5.0/24]}}
    guests: {{interface: lan2, prefixes: [10.99.9.0/24]}}
    tablets: {{interface: lan3, prefixes: ["fd99:3::/64"]}}
"""


class World:
    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        self.config = folder / "schoolgate.yaml"
        self.processes: list[subprocess.Popen] = []

    def configure(self, admin: str = "10.99.5.0/24") -> None:
        self.config.write_text(CONFIG.format(folder=self.folder, admin=admin))

    def start(self, *words: str, log: str) -> subprocess.Popen:
        with (self.folder / log).open("ab") as out:
            made = subprocess.Popen([*words], stdout=out, stderr=out)
        self.processes.append(made)
        return made

    def gate(self, *words: str) -> SimpleNamespace:
        """`schoolgate gateway ...`, in this process: a new one takes half a second each time."""
        out, trouble = io.StringIO(), io.StringIO()
        os.environ.pop("SSH_CONNECTION", None)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(trouble):
            code = main(["gateway", *words, "--config", str(self.config), "--data", str(self.data)])
        return SimpleNamespace(returncode=code, stdout=out.getvalue(), stderr=trouble.getvalue())

    def up(self) -> None:
        made = self.start(SCHOOLGATE, "up", "--config", str(self.config), "--data", str(self.data), log="up.log")
        ready = self.data / "run" / "ready.json"
        until(lambda: made.poll() is not None or ready.exists(), 60, "up")
        assert made.poll() is None, (self.folder / "up.log").read_text()

    def trust(self) -> None:
        """What devices trust: the box, and the internet's own authority; and wait for the internet."""
        trust = self.data / "ca" / "schoolgate-ca.pem"
        (self.folder / "both.pem").write_bytes(trust.read_bytes() + (self.folder / "internet-ca.pem").read_bytes())
        until((self.folder / "origin.ready").exists, 20, "the internet is there")

    def pid(self, name: str) -> int:
        return int(json.loads((self.data / "run" / "ready.json").read_text())["pids"][name])

    def alive(self) -> bool:
        return set(nft.alive().values()) == {True}

    def close(self) -> None:
        for each in self.processes:
            each.terminate()
        for each in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                each.wait(8)
            each.kill()

    # --- what a device does ---

    def dig(self, name: str, *more: str, at: str = "", place: str = "pupil") -> list[str]:
        words = ("ip", "netns", "exec", place, "dig", f"@{at or BOX[place]}", name, "+short", "+tries=1", "+time=5", *more)
        return run(*words, check=False).stdout.split()

    def curl(self, url: str, *more: str, place: str = "pupil", v: str = "4", leads: str = "") -> dict:
        """What a browser would see: it asks our resolver, and goes where that says. `leads`: it goes there instead."""
        host = url.split("/")[2]
        if not leads and not host[0].isdigit():
            said = self.dig(host, "AAAA" if v == "6" else "A", place=place)
            leads = said[-1] if said else ""
        if leads:
            to = f"[{leads}]" if ":" in leads else leads
            more = ("--resolve", f"{host}:443:{to}", "--resolve", f"{host}:80:{to}", *more)
        words = ["ip", "netns", "exec", place, "curl", "-sS", "--max-time", "8", "--cacert", str(self.folder / "both.pem")]
        done = run(*words, "-w", "\n%{http_code} %{time_total} %{exitcode}", *more, url, check=False)
        body, _, numbers = done.stdout.rpartition("\n")
        status, took, code = numbers.split()
        return {"status": int(status), "body": body[:200], "took": float(took), "code": int(code), "leads": leads}

    def issuer(self, host: str, leads: str) -> str:
        words = ("ip", "netns", "exec", "pupil", "openssl", "s_client", "-connect", f"{leads}:443", "-servername", host)
        said = run(*words, check=False, input="").stdout
        return next((line for line in said.splitlines() if line.startswith("issuer=")), "")


@contextlib.contextmanager
def going(folder: Path):
    """The world, and what changes the school's policy."""
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    wires()
    certificates(folder)
    world = World(folder)
    try:
        world.start("ip", "netns", "exec", "net", sys.executable, __file__, str(folder), "origin", log="origin.log")
        yield world, found(world.data)
    finally:
        world.close()


def tell(folder: Path) -> dict:
    """All stories, one after the other. The box is started as after a reboot: rules first, then the filter."""
    import gateway_browser as browser
    import gateway_passages as passages
    import gateway_stories as stories
    import gateway_ways as more

    with going(folder) as (world, rule):
        world.configure()
        told: dict[str, object] = {"applied": world.gate("apply", "--yes").stderr}
        waits = Path(
            "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_time_wait"
        )  # two minutes, till the kernel tells of them
        waits.write_text("1")
        told["before the filter"] = world.curl(f"https://{NEVER}/", "-k")["code"]
        world.up()
        world.trust()
        until(world.alive, 20, "the filter lives")
        told.update({story.__name__: story(world) for story in (*stories.STORIES, *more.STORIES, browser.browsed)})
        told["changed"] = stories.changed(world, rule)
        told["passages"] = passages.passages(world, rule)
        told["locked_out"] = stories.locked_out(world)
        for name in ("dns-1", "proxy-1"):
            told[f"killed {name}"] = more.killed(world, rule, name)
            told[f"dead {name}"] = more.dead(world, rule, name)
        told["covered"] = more.covered(world)
        told["shown"] = world.gate("show").stdout
        told["removed"] = world.gate("remove").stdout
        told["after"] = world.curl(f"https://{DIRECT}/", leads="45.33.32.20")["code"]
        return told


if __name__ == "__main__":
    if len(sys.argv) > 2:
        origin(Path(sys.argv[1]))
    else:
        print(json.dumps(tell(Path(sys.argv[1]))))
