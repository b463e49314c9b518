"""How devices find out whether they are online: the addresses that they look at, and what they expect to read there.

A device that has to sign in first must read something else there; then it opens its sign-in sheet by itself. They are on the
list of essentials, so a device that has signed in, or need not, reaches the real ones.
"""

from typing import Final, NamedTuple


class Probe(NamedTuple):
    """What stands at an address."""

    status: int
    kind: str = "text/plain"
    body: str = ""


NOTHING: Final = Probe(204)
_APPLE: Final = Probe(200, "text/html", "<HTML><HEAD><TITLE>Success</TITLE></HEAD><BODY>Success</BODY></HTML>")
_NETWORK_MANAGER: Final = Probe(200, body="NetworkManager is online\n")
PROBES: Final[dict[str, dict[str, Probe]]] = {  # host -> path -> what the real one says; "*": at every path
    "captive.apple.com": {"*": _APPLE},
    "www.appleiphonecell.com": {"*": _APPLE},
    "www.itools.info": {"*": _APPLE},
    "www.ibook.info": {"*": _APPLE},
    "www.airport.us": {"*": _APPLE},
    "www.thinkdifferent.us": {"*": _APPLE},
    "www.apple.com": {"/library/test/success.html": _APPLE},
    "connectivitycheck.gstatic.com": {"*": NOTHING},
    "connectivitycheck.android.com": {"*": NOTHING},
    **{
        f"{name}": {"/generate_204": NOTHING, "/gen_204": NOTHING}
        for name in ("clients3.google.com", "clients1.google.com", "www.gstatic.com", "www.google.com", "play.googleapis.com")
    },
    "www.msftconnecttest.com": {"/connecttest.txt": Probe(200, body="Microsoft Connect Test")},
    "ipv6.msftconnecttest.com": {"/connecttest.txt": Probe(200, body="Microsoft Connect Test")},
    "www.msftncsi.com": {"/ncsi.txt": Probe(200, body="Microsoft NCSI")},
    "ipv6.msftncsi.com": {"/ncsi.txt": Probe(200, body="Microsoft NCSI")},
    "detectportal.firefox.com": {
        "/success.txt": Probe(200, body="success\n"),
        "/canonical.html": Probe(
            200, "text/html", '<meta http-equiv="refresh" content="0;url=https://support.mozilla.org/kb/captive-portal"/>'
        ),
    },
    "connectivity-check.ubuntu.com": {"*": NOTHING},
    "nmcheck.gnome.org": {"/check_network_status.txt": _NETWORK_MANAGER},
    "network-test.debian.org": {"/nm": _NETWORK_MANAGER},
    "ping.archlinux.org": {
        "/nm-check.txt": Probe(200, body="This domain is used for connectivity checking (captive portal).\n")
    },
    "fedoraproject.org": {"/static/hotspot.txt": Probe(200, body="OK")},
    "networkcheck.kde.org": {"*": Probe(200, body="OK\n")},
}


def asks(host: str) -> bool:
    """Is a host one at which devices look whether they are online?"""
    return host in PROBES


def answer(host: str, path: str) -> Probe | None:
    """What a device reads there when it is online; None where it looks for no such thing."""
    found = PROBES.get(host, {})
    return found.get(path) or found.get("*")
