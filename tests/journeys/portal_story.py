"""A guest signs in: probe, captive, code, filtered as guests are; another device at her address, new addresses, the end.

Told in the world of devices_world.py, once that has told its own.
"""

import json
import os
import re
import signal
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway_stories import ended, long_download
from gateway_world import BLOCKED, DIRECT, World, run
from sqlalchemy import select
from waiting import until

from change_control import guests
from change_control.keys import secret_of
from change_control.portal_wishes import PortalWish
from change_control.store import Store
from change_control.tables import PersonRow
from policy.live import Live

PROBE, HELP = "captive.apple.com", "www.childline.org.uk"
PAGE = "http://schoolgate.internal/sign-in"


class Lobby(World):
    """The gateway's world, whose guests' network has IPv6 as well and a page to sign in at."""

    def lay_six(self) -> None:
        run("ip", "addr", "add", "fd99:9::1/64", "dev", "lan2", "nodad")
        self.address("fd99:9::10")
        run("ip", "-n", "guest", "-6", "route", "add", "default", "via", "fd99:9::1")

    def address(self, address: str) -> None:
        run("ip", "-n", "guest", "addr", "add", f"{address}/64", "dev", "eth0", "nodad")

    def get(self, url: str, *more: str, v: str = "4") -> dict:
        return self.curl(url, "-k", *more, place="guest", v=v)

    def text(self, url: str, *more: str, accept: str = "text/html") -> str:
        """A whole page, as a browser that follows us gets it."""
        host = url.split("/")[2]
        leads = self.dig(host, place="guest")[-1]
        words = (
            "ip",
            "netns",
            "exec",
            "guest",
            "curl",
            "-sS",
            "-k",
            "-i",
            "--max-time",
            "8",
            "--resolve",
            f"{host}:80:{leads}",
        )
        return run(*words, "--resolve", f"{host}:443:{leads}", "-H", f"Accept: {accept}", *more, url, check=False).stdout

    def sign_in(self, code: str) -> str:
        token = re.search(r'name="token" value="([^"]+)"', self.text(PAGE))[1]
        return self.text(PAGE, "--data-urlencode", f"token={token}", "--data-urlencode", f"code={code}")

    def sign_in_by_password(self, user: str, password: str) -> str:
        """What the page says once the desk has been asked."""
        page = "https://schoolgate.internal/sign-in/account"
        token = re.search(r'name="token" value="([^"]+)"', self.text(page))[1]
        given = {"token": token, "user": user, "password": password}
        self.text(page, *(word for name, value in given.items() for word in ("--data-urlencode", f"{name}={value}")))
        until(lambda: "being checked" not in self.text(page), 10, "the desk has answered")
        return self.text(page) + self.text(PAGE)

    def api(self) -> dict:
        return json.loads(self.text("https://schoolgate.internal/captive").rpartition("\n\n")[2])

    def last(self) -> dict:
        """The newest line of the filter log about her device, but for those in which the filter speaks of itself."""
        with sqlite3.connect(f"file:{self.data / 'log.sqlite3'}?mode=ro", uri=True) as log:
            log.row_factory = sqlite3.Row
            asked = "select * from events where address like '%9%::%' or address = '10.99.9.10' order by at desc limit 1"
            row = log.execute(asked).fetchone()
        return {name: row[name] for name in ("host", "group", "identified_by", "person", "device")} if row else {}


class Office:
    """Who issues codes at the desk."""

    def __init__(self, data: Path) -> None:
        self.data, self.store = data, Store(f"sqlite:///{data / 'desk.sqlite3'}")
        self.key = secret_of(data / "secrets" / "portal.key")

    def issue(self, devices: int = 1) -> str:
        now = datetime.now(UTC)
        with self.store.write() as session:
            person = session.scalars(select(PersonRow.id)).first()
            made = guests.issue(
                session, self.key, Live(self.data).snapshot.schools["hill"], person=person, label="Ms Khan, nurse", group="",
                devices=devices, starts=now, ends=now + timedelta(hours=3), now=now,
            )  # fmt: skip
            guests.hand_over(session, self.data, now)
        return made

    def revoke(self) -> None:
        now = datetime.now(UTC)
        with self.store.write() as session:
            for row in guests.of_log(session, "hill"):
                guests.revoke(session, "hill", row.id, now)
            session.flush()
            guests.hand_over(session, self.data, now)


def a_guest(world: Lobby, sign) -> dict:
    told: dict[str, object] = {}
    sign(PortalWish(("g4", "g6"), "required"))
    office = Office(world.data)
    until(lambda: world.api()["captive"], 10, "signed")
    told["probe"] = world.text(f"http://{PROBE}/hotspot-detect.html")
    told["page"] = world.text(f"https://{DIRECT}/")
    told["script"] = world.text(f"http://{DIRECT}/", accept="*/*")
    told["help"] = world.dig(HELP, place="guest")
    told["captive"] = world.api()
    told["form"] = world.text(PAGE)
    told["wrong"] = world.sign_in("AAAA-AAAA")
    code = office.issue()
    told["signed in"] = world.sign_in(code.lower())
    told["in"] = world.text(PAGE)
    until(lambda: world.get(f"https://{DIRECT}/")["body"].endswith("10.99.9.10"), 10, "forwarded by the kernel")
    told["blocked"] = world.text(f"https://{BLOCKED}/")
    until(lambda: world.last().get("host") == BLOCKED, 10, "the log says so")
    told["event"], told["free"] = world.last(), world.api()
    leads = world.dig("schoolgate.internal", place="guest")[-1]
    told["probe again"] = world.curl(f"http://{PROBE}/hotspot-detect.html", place="guest", leads=leads)["body"]
    until(lambda: world.get(f"https://{DIRECT}/", v="6")["body"].endswith("fd99:9::10"), 10, "by IPv6, too")
    world.address("fd99:9::abcd")
    until(
        lambda: world.get(f"https://{DIRECT}/", "--interface", "fd99:9::abcd", v="6")["body"].endswith("fd99:9::abcd"),
        10, "at an address that she has just made up",
    )  # fmt: skip
    os.kill(world.pid("devices"), signal.SIGKILL)
    until(lambda: "You are signed in" in world.text(PAGE), 10, "known again")
    told["killed"] = world.get(f"https://{DIRECT}/")["status"]
    mac = json.loads(run("ip", "-n", "guest", "-j", "link", "show", "eth0").stdout)[0]["address"]
    run("ip", "-n", "guest", "link", "set", "eth0", "address", "02:00:00:00:00:99")
    until(lambda: world.api()["captive"], 10, "another device at her address")
    told["another"] = world.text(PAGE)
    told["full"] = world.sign_in(code)
    run("ip", "-n", "guest", "link", "set", "eth0", "address", mac)
    until(lambda: not world.api()["captive"], 10, "she is back")
    until(lambda: world.get(f"https://{DIRECT}/")["status"] == 200, 10, "and goes on")
    download = long_download(world, place="guest")
    office.revoke()
    told["reset"] = ended(download)
    until(lambda: world.api()["captive"], 10, "revoked")
    told["after"] = world.text(f"http://{PROBE}/hotspot-detect.html")
    told["wrong password"] = world.sign_in_by_password("hill-teacher", "a guess")
    told["account"] = world.sign_in_by_password("hill-teacher", "three random words")
    until(lambda: not world.api()["captive"], 10, "staff")
    return told
