"""What signed policy lets by beside the filtered web: opened and taken back while the box runs, and while something is dead."""

import subprocess
import sys

from gateway_stories import TCP, permits, refused
from gateway_world import TUNNELS, World, run
from waiting import until

from appliance.config import load
from appliance.gateway.applying import let_by
from appliance.gateway.netlink import Netlink
from appliance.gateway.ruleset import IN_FORCE
from change_control.diffs import InForceAlready
from change_control.passage_wishes import PassageWish

PUPILS, STAFF, GUESTS = "10.99.1.0/24", "10.99.5.0/24", "10.99.9.0/24"
MAIL = ("mail", TCP, TUNNELS[0], 993)
TALK = """
import socket, sys
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
sock.settimeout(20)
while True:
    sock.send(b"x" * 10)
    print(len(sock.recv(100)), flush=True)
    sys.stdin.readline()
"""
SERVER = """
import socket, sys, threading
def serve(sock):
    while data := sock.recv(100):
        sock.sendall(b"tunnel")
listener = socket.create_server(("0.0.0.0", int(sys.argv[1])))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


def signed(world: World, rule, wish: PassageWish) -> None:
    """Asked for, signed, published; until the kernel has it."""
    try:
        rule.sign(wish)
    except InForceAlready:
        return
    kernel = Netlink()
    try:
        until(lambda: kernel.has(IN_FORCE, let_by(load(world.config, world.data)).mark), 10, "the kernel has what was signed")
    finally:
        kernel.close()


def lasting(world: World, rule, mode: str) -> None:
    """What is left of the pupils' web while the filter is dead."""
    signed(world, rule, PassageWish((PUPILS,), when_dead=mode))


def talking(world: World, place: str, to: str, port: int) -> subprocess.Popen:
    """A connection that goes on as long as it is told to say more."""
    made = subprocess.Popen(
        ["ip", "netns", "exec", place, sys.executable, "-SE", "-c", TALK, to, str(port)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    world.processes.append(made)
    made.stdout.readline()
    return made


def goes_on(made: subprocess.Popen) -> bool:
    if made.poll() is not None:
        return False
    made.stdin.write("\n")
    made.stdin.flush()
    return made.stdout.readline() != ""


def passages(world: World, rule) -> dict:
    """A port, another network and no filter at all, each opened by what the headteacher signs, and taken back."""
    for place, port in (("net", "993"), ("guest", "8000")):
        world.start("ip", "netns", "exec", place, sys.executable, "-SE", "-c", SERVER, port, log="listener.log")
        until(lambda: f":{port}" in run("ip", "netns", "exec", place, "ss", "-ltn").stdout, 10, "it listens")  # noqa: B023
    found: dict[str, object] = {"before": refused(MAIL, place="staff"), "permits": permits()}

    signed(world, rule, PassageWish((STAFF,), ("tcp/993",)))
    mail = talking(world, "staff", TUNNELS[0], 993)
    found["opened"] = [goes_on(mail), refused(MAIL, place="staff"), refused(MAIL, place="guest"), world.gate("show").stdout]
    found["applied again"] = [world.gate("apply", "--yes").returncode, goes_on(mail), refused(MAIL, place="staff")]

    signed(world, rule, PassageWish((STAFF,), reach=(GUESTS,)))  # instead of the port
    until(lambda: not goes_on(mail), 5, "what ran over the port ends")
    found["reversed"] = [mail.wait(5), mail.stderr.read().splitlines()[-1], refused(MAIL, place="staff")]
    visit = talking(world, "staff", "10.99.9.10", 8000)
    found["reached"] = [goes_on(visit), refused(("a guest", TCP, "10.99.9.10", 8000))]

    signed(world, rule, PassageWish((STAFF,), filtered=False))
    until(lambda: not goes_on(visit), 5, "a visit that may be no more ends")
    found["unfiltered"] = {
        "blocked": world.curl("https://45.33.32.20/", "-k", "-H", "Host: www.bet365.com", place="staff"),
        "another resolver": world.dig("en.wikipedia.org", at="8.8.8.8", place="staff"),
    }
    signed(world, rule, PassageWish((STAFF,)))
    found["filtered"] = world.dig("en.wikipedia.org", at="8.8.8.8", place="staff")
    found["after"] = [refused(MAIL, place="staff"), permits() >= found["permits"]]
    return found
