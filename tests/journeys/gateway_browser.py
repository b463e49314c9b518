"""A real Chromium in the pupil's network: what a device's browser makes of each way, QUIC refused included."""

import os
import shutil
import subprocess
import time
from pathlib import Path

from gateway_world import BLOCKED, DIRECT, INSPECTED, World
from playwright.sync_api import sync_playwright

from appliance.gateway import nft

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
QUIET = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update")


def installed(folder: Path) -> tuple[Path, Path]:
    """A command that starts the browser as the pupil's device would, and a home that trusts the box and the internet."""
    home, names, command = folder / "home", folder / "resolv.conf", folder / "chromium"
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True)
    subprocess.run(["certutil", "-d", f"sql:{database}", "-N", "--empty-password"], check=True, capture_output=True)
    for name, trusted in (("box", folder / "data" / "ca" / "schoolgate-ca.pem"), ("internet", folder / "internet-ca.pem")):
        words = ["certutil", "-d", f"sql:{database}", "-A", "-t", "C,,", "-n", name, "-i", str(trusted)]
        subprocess.run(words, check=True, capture_output=True)
    names.write_text("nameserver 10.99.1.1\n")
    inner = f'mount --bind {names} "$(readlink -f /etc/resolv.conf)" && exec {CHROMIUM} "$@"'
    command.write_text(f"#!/bin/sh\nexec ip netns exec pupil unshare --mount sh -c '{inner}' sh \"$@\"\n")
    command.chmod(0o755)
    return command, home


def browsed(world: World) -> dict:
    """Pages of each kind in turn; the one that offers HTTP/3 twice, since the offer is remembered."""
    command, home = installed(world.folder)
    before = nft.state().counters["quic"][0]
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(world.folder / "profile"), executable_path=command, args=QUIET, env={**os.environ, "HOME": str(home)}
        )
        page = context.pages[0]

        def visit(url: str) -> dict:
            began = time.monotonic()
            said = page.goto(url, timeout=20_000)
            details = said.security_details() if said else None
            return {
                "status": said.status if said else 0,
                "text": page.inner_text("body")[:300],
                "issuer": (details or {}).get("issuer", ""),
                "by": page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol"),
                "took": time.monotonic() - began,
            }

        found: dict[str, object] = {
            "direct": visit(f"https://{DIRECT}/"),
            "inspected": visit(f"https://{INSPECTED}/"),
            "blocked": visit(f"https://{BLOCKED}/"),
            "again": visit(f"https://{DIRECT}/again"),
        }
        context.close()
    found["QUIC refused"] = nft.state().counters["quic"][0] - before
    return found
