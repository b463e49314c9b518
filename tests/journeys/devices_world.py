"""Who is it? A pupil's device behind the box, known by the kernel, a lease, RADIUS and the register, one after the other.

Run as a program in a namespace of its own, like gateway_world.py, whose school and internet it uses.
"""

import json
import os
import signal
import socket
import sqlite3
import sys
import time
from pathlib import Path

import gateway_world
from gateway_stories import ended, long_download
from gateway_world import DIRECT, going, run
from portal_story import Lobby, a_guest
from pyrad.packet import AcctPacket
from waiting import until

from change_control.changes import SiteWish
from change_control.device_wishes import BelongingWish
from monitoring import devices
from monitoring.devices import Wanted
from monitoring.log import Log
from policy.rules import Action

SECRET = b"a shared secret"
USER = b"HILL\\Kim"


class School(Lobby):
    """The gateway's world, with a section `devices`."""

    def configure(self, admin: str = "10.99.5.0/24") -> None:
        super().configure(admin)
        self.lay_six()
        text = self.config.read_text()
        self.config.write_text(text.replace("prefixes: [10.99.9.0/24]", 'prefixes: [10.99.9.0/24, "fd99:9::/64"]'))
        (self.folder / "radius.secret").write_bytes(SECRET + b"\n")
        (self.folder / "leases").touch()
        with self.config.open("a") as file:
            file.write(
                f"devices:\n  leases: [{self.folder}/leases]\n  radius_listen: [0.0.0.0:1813]\n  radius_clients:\n"
                f"    wifi: {{from: 10.99.5.10, secret_file: {self.folder}/radius.secret, school: hill}}\n"
            )

    # --- what is said of the device ---

    def mac(self) -> str:
        return json.loads(run("ip", "-n", "pupil", "-j", "link", "show", "eth0").stdout)[0]["address"]

    def lease(self, name: str) -> None:
        with (self.folder / "leases").open("a") as file:
            file.write(f"{int(time.time()) + 3600} {self.mac()} 10.99.1.10 {name} *\n")

    def accounting(self, status: int, session: bytes = b"s1", *, secret: bytes = SECRET, ip: bool = True) -> bytes:
        packet = AcctPacket(secret=secret)
        mac = self.mac().replace(":", "-").upper().encode()
        for kind, value in ((1, USER), (44, session), (31, mac), (25, b"Staff"), (40, status.to_bytes(4))):
            packet[kind] = [value]
        packet[55] = [int(time.time()).to_bytes(4)]
        if ip:
            packet[8] = [socket.inet_aton("10.99.1.10")]
        return packet.RequestPacket()

    def send(self, packet: bytes, patience: float = 5.0) -> bool:
        """From the access controller in the staff network: is it answered?"""
        words = ("ip", "netns", "exec", "staff", sys.executable, "-SE", "-c", SEND, packet.hex(), str(patience))
        return run(*words).stdout.strip() == "5"  # Accounting-Response

    # --- what came of it ---

    def event(self) -> dict:
        """The newest line of the filter log about the device, by the resolver or by the proxy."""
        with sqlite3.connect(f"file:{self.data / 'log.sqlite3'}?mode=ro", uri=True) as log:
            log.row_factory = sqlite3.Row
            asked = "select * from events where address in (?, ?) order by at desc limit 1"
            row = log.execute(asked, ("10.99.1.10", "fd99:1::aaaa")).fetchone()
        names = ("group", "identified_by", "person", "device")
        return {name: row[name] for name in names} if row else dict.fromkeys(names, "")

    def page(self, v: str = "4") -> int:
        return self.curl(f"https://{DIRECT}/", "-k", v=v)["status"]

    def known_as(self, how: str) -> dict:
        """Pages are asked for until the log says that the device is known so; what it says then."""

        def told() -> bool:
            self.page()
            return self.event()["identified_by"] == how

        until(told, 15, how)
        return self.event()

    def table(self) -> list:
        return [json.loads(line) for line in (self.data / "run" / "presence").read_text().splitlines()]


SEND = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.settimeout(float(sys.argv[2])); sock.connect(("10.99.5.1", 1813)); sock.send(bytes.fromhex(sys.argv[1]))
    try: print(sock.recv(4096)[0])
    except OSError: print(0)
"""


def tell(world: School, sign) -> dict:
    told: dict[str, object] = {"applied": world.gate("apply", "--yes").stderr}
    world.up()
    world.trust()
    until(world.alive, 20, "the filter lives")
    sign(SiteWish(DIRECT, Action.BLOCK, ("ks3",)))
    until(lambda: world.page() == 403, 10, "it is blocked for pupils")
    told["neighbour"] = world.known_as("neighbour")
    world.lease("kims-laptop")
    told["lease"] = world.known_as("lease")
    told["wrong secret"] = world.send(world.accounting(1, secret=b"another secret"), 0.3)
    start = world.accounting(1)
    told["start"] = [world.send(start), world.send(start)]
    told["radius"] = world.known_as("radius")
    told["without a rule"] = world.page()
    sign(BelongingWish("staff", role="Staff"))
    until(lambda: world.page() == 200, 10, "her own rules")
    until(lambda: world.curl(f"https://{DIRECT}/")["body"].endswith("10.99.1.10"), 10, "forwarded by the kernel")
    until(lambda: world.page("6") == 200, 10, "by IPv6, too: the device is the same")
    told["six"] = world.curl(f"https://{DIRECT}/", v="6")["body"]
    os.kill(world.pid("devices"), signal.SIGKILL)
    told["killed"] = world.page()
    download = long_download(world)
    until(lambda: world.send(world.accounting(2), 0.5), 10, "started again, as a sender finds that tries again")
    told["reset"] = ended(download)
    until(lambda: world.page() == 403, 10, "signed out")
    told["signed out"] = world.known_as("lease")
    told["ended"] = world.send(world.accounting(3, ip=False))
    told["begun again"] = world.page()
    log = Log(f"sqlite:///{world.data / 'log.sqlite3'}")

    def registered() -> bool:
        world.page("6")  # the kernel forgets an address that says nothing for long
        return any(one.told and len(one.addresses) == 2 for one in devices.search(log, "hill", Wanted()))

    until(registered, 15, "the register")
    found = devices.search(log, "hill", Wanted("laptop"))
    told["register"] = [[one.mac == world.mac(), one.told, sorted(one.addresses), one.device] for one in found]
    told["called"] = devices.called(log, "hill", [told["radius"]["person"]])
    sign(BelongingWish("staff", devices=(found[0].device,)))
    until(lambda: world.page() == 200, 10, "the device's own rules")
    told["device"] = [line for line in world.table() if line[0] == "10.99.1.10"][-1][3] == found[0].device
    told["portal"] = a_guest(world, sign)
    return told


if __name__ == "__main__":
    gateway_world.World = School
    gateway_world.NETWORKS.append(("g6", "guest", "fd99:9::/64"))
    with going(Path(sys.argv[1])) as (world, rule):
        world.configure()
        print(json.dumps(tell(world, rule.sign)))
