"""`schoolgate.internal`: a site that the proxy answers itself, for every client it serves, by http and https.

The form of the block page ends here. What someone asks for becomes an Event like any other and goes the way of all events:
into the worker's spool, from which the recorder makes a change request. So nothing is lost while the desk is down, and there
is no socket between a pupil's browser and the desk that could be attacked.
"""

import secrets
from collections import deque
from collections.abc import Callable
from urllib.parse import parse_qsl

from policy.event import Event, Kind
from proxy import tokens
from proxy.answer import NEVER_KEPT, Answer
from proxy.block_page import ASK_PURPOSE, Pages
from proxy.portal import Portal
from proxy.setup import Setup
from proxy.visits import Visit

HOST = "schoolgate.internal"
LONGEST_FORM = 8192  # bytes
LONGEST_REASON, LONGEST_CLASS = 500, 80
FORM_LIFETIME = 1800.0  # seconds that a block page may lie open before its form is too old
ASKS, ASKS_IN = 5, 600.0  # so many requests for sites in so many seconds from one address, at each worker
ADDRESSES = 5000  # remembered for that
# What a device's browser asks which proxy to use. No DNS look-up in it: each would hold up every page.
PAC = """function FindProxyForURL(url, host) {
  if (isPlainHostName(host) || host === "[::1]" || /[.]local$/.test(host)) return "DIRECT";
  if (/^(10|127|192[.]168|169[.]254)[.][0-9.]+$/.test(host)) return "DIRECT";
  return "PROXY";
}
"""
_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # none that are mistaken for another when read aloud or copied


class Internal:
    def __init__(self, form_key: bytes, pages: Pages, certificate: bytes, portal: Portal | None = None) -> None:
        self._key, self._pages, self._certificate, self._portal = form_key, pages, certificate, portal
        self._setup = Setup(pages, certificate)
        self._asked: dict[str, deque[float]] = {}

    def answer(self, visit: Visit, body: bytes, record: Callable[[Event], None]) -> Answer:
        """The answer to a request, whose body is at most LONGEST_FORM bytes."""
        match visit.method, visit.path:
            case (("GET" | "HEAD"), "/"):
                return self._pages.home(portal=bool(visit.client.portal))
            case (("GET" | "HEAD"), "/ca.pem"):
                kind = ("Content-Type", "application/x-x509-ca-cert")
                name = ("Content-Disposition", 'attachment; filename="schoolgate-ca.pem"')
                return Answer(200, (kind, name, NEVER_KEPT), self._certificate)
            case (("GET" | "HEAD"), ("/proxy.pac" | "/wpad.dat")):
                kind = ("Content-Type", "application/x-ns-proxy-autoconfig")
                ways = f"HTTPS {visit.by_tls}; PROXY {visit.proxy}" if visit.by_tls else f"PROXY {visit.proxy}"
                return Answer(200, (kind, NEVER_KEPT), PAC.replace("PROXY", ways).encode())
            case "POST", "/ask":
                return self._ask(visit, body, record)
            case (("GET" | "HEAD"), path) if found := self._setup.answer(path):
                return found
            case _ if self._portal and (found := self._portal.answer(visit, body, record)):
                return found
            case _:
                return self._pages.message(404, "There is nothing here", "This part of the school's filter has no such page.")

    def _ask(self, visit: Visit, body: bytes, record: Callable[[Event], None]) -> Answer:
        form = _form(body)
        told = tokens.read(self._key, ASK_PURPOSE, form.get("token", ""), visit.now, FORM_LIFETIME)
        here = (visit.client.school, visit.client.group, visit.address)
        if told is None or (told["school"], told["group"], told["address"]) != here:
            return self._pages.message(
                400, "This form is too old", "Please go back to the blocked page, load it again, and ask from there."
            )
        reason, for_class = _words(form.get("reason", ""), LONGEST_REASON), _words(form.get("for_class", ""), LONGEST_CLASS)
        if not reason:
            return self._pages.message(
                400, "Please say why", "Go back and write a few words about what you need the site for."
            )
        if not self._may_ask(visit.address, visit.now):
            return self._pages.message(
                429, "That is a lot of requests", "Please wait ten minutes, or ask your teacher to speak to the headteacher."
            )
        reference = _reference()
        event = Event(
            at=visit.now,
            kind=Kind.REQUEST,
            school=told["school"],
            group=told["group"],
            network=visit.client.network,
            identified_by=visit.client.identified_by,
            person=visit.client.person or "",
            address=visit.address,
            device=visit.client.device,
            host=told["host"],
            path=told["path"],
            term=for_class,
            list=told.get("needs", ""),
        )
        record(event._replace(detail=reason, outcome=reference))
        return self._pages.thanks(told["host"], reference)

    def _may_ask(self, address: str, now: float) -> bool:
        if len(self._asked) >= ADDRESSES:
            self._asked.clear()
        times = self._asked.setdefault(address, deque(maxlen=ASKS))
        if len(times) == ASKS and now - times[0] < ASKS_IN:
            return False
        times.append(now)
        return True


def _form(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=10))
    except ValueError:  # more fields than any form of ours has
        return {}


def _words(text: str, most: int) -> str:
    """What a person typed, on one line, without what cannot be printed."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:most]


def _reference() -> str:
    """Short enough to say to a teacher: K7F2-9QXM."""
    code = "".join(secrets.choice(_LETTERS) for _ in range(8))
    return f"{code[:4]}-{code[4:]}"
