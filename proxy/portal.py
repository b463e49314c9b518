"""The captive portal's pages on `schoolgate.internal`: sign in with a guest code or an account, see until when, sign out.

Only on networks of which a signed rule says so. What a sign-in gives is the policy's to say; here it is only asked for and
shown. Nothing that anybody typed is ever shown again, forms carry a note of ours so that no other page can send them, and a
password is taken over https alone.

A device learns of this place in three ways: by DHCP or router advertisement the address of `/captive` (RFC 8910), which says
in JSON whether it is captive (RFC 8908); by its own look at an address that it knows (policy/probes.py), which leads here
while it is captive; and by any other page, which leads here as well.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl

from policy import probes
from policy.event import Event, Kind
from policy.identity import NOT_SIGNED_IN
from policy.snapshot import Snapshot
from policy.words import uk_date
from proxy import tokens
from proxy.answer import MARK, NEVER_KEPT, Answer, Wanted, page, plain
from proxy.block_page import Asker, Pages
from proxy.keeper import Keeper
from proxy.visits import Visit

PATH: Final = "/sign-in"
PURPOSE: Final = "sign in at the portal"
FORM_LIFETIME: Final = 3600.0  # seconds that a sign-in page may lie open
NOTHING_ELSE: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"
CSP: Final = f"{NOTHING_ELSE}; frame-ancestors 'none'; form-action 'self'"
WRONG: Final = {  # what is said of a code, by the keeper's word
    "wrong": "This is not a code of this school, or it has ended. Look at the letters once more.",
    "early": "This code does not hold yet.",
    "over": "This code has ended. Ask for another one.",
    "full": "This code is in use on as many devices as it is for. Sign out on one of them, or ask for another code.",
    "wait": "Too many tries. Please wait ten minutes, or ask the school office.",
    "not here": "On this network nobody signs in.",
    "old": "This page was open for too long. Please try once more.",
}
WRONG_ACCOUNT: Final = {
    "wrong": "The user name or the password is wrong.",
    "elsewhere": "This account has no role at this school.",
    "wait": WRONG["wait"],
    "old": WRONG["old"],
    "away": "Accounts cannot be checked just now. A guest code works.",
}
AWAY: Final = "Signing in does not work just now. Please tell the school office."


class Portal:
    """The pages, for one worker. `url`: where the portal is for those who are led here."""

    def __init__(self, key: bytes, pages: Pages, keeper: Keeper, snapshot: Callable[[], Snapshot], url: str) -> None:
        self._key, self._pages, self._keeper, self._snapshot, self._url = key, pages, keeper, snapshot, url

    # --- from elsewhere -----------------------------------------------------------------------------------------------

    def lead(self, asker: Asker, host: str, path: str) -> Answer:
        """For whatever a device asks of the web before somebody has signed in on it."""
        if asker.want is Wanted.PAGE or probes.answer(host, path):
            return Answer(302, (("Location", self._url), NEVER_KEPT, MARK), b"")
        text = f"Somebody signs in on this device first: {self._url}\n"
        return plain(511, text)

    @staticmethod
    def online(host: str, path: str) -> Answer | None:
        """What a device reads at one of its own addresses when it is online; None: it is none of these."""
        found = probes.answer(host, path)
        return Answer(found.status, (("Content-Type", found.kind), NEVER_KEPT), found.body.encode()) if found else None

    # --- the site -----------------------------------------------------------------------------------------------------

    def answer(self, visit: Visit, body: bytes, record: Callable[[Event], None]) -> Answer | None:
        """None: it is no page of the portal."""
        match visit.method, visit.path:
            case (("GET" | "HEAD"), "/captive"):
                return self._captive(visit)
            case _, ("/sign-in" | "/sign-in/account" | "/sign-out") if not visit.client.portal:
                title, text = "There is no sign-in here", "On this network nobody signs in."
                return self._pages.message(404, title, text, _asker(visit))
            case (("GET" | "HEAD"), "/sign-in"):
                return self._sign_in(visit)
            case "POST", "/sign-in":
                return self._with_code(visit, _form(body), record)
            case (("GET" | "HEAD"), "/sign-in/account"):
                return self._account(visit)
            case "POST", "/sign-in/account":
                return self._with_account(visit, _form(body))
            case "POST", "/sign-out":
                return self._sign_out(visit, _form(body), record)
        return None

    def _captive(self, visit: Visit) -> Answer:
        """RFC 8908."""
        waits = visit.client.group.startswith(NOT_SIGNED_IN)
        said: dict[str, Any] = {"captive": waits}
        if visit.client.portal:
            said["user-portal-url"] = self._url
            told = self._keeper("status", visit.address)
            if told["said"] == "in" and not waits:
                said |= {"seconds-remaining": max(0, int(told["until"] - visit.now)), "can-extend-session": True}
        kind = ("Content-Type", "application/captive+json")
        return Answer(200, (kind, ("Cache-Control", "private, no-store"), MARK), json.dumps(said).encode())

    def _sign_in(self, visit: Visit) -> Answer:
        told = self._keeper("status", visit.address)
        if told["said"] == "in":
            return self._signed_in(visit, told)
        return self._page(200, "sign_in.html", visit, error=AWAY if told["said"] == "away" else "")

    def _signed_in(self, visit: Visit, told: Mapping[str, Any]) -> Answer:
        minutes = max(1, int(told["until"] - visit.now) // 60)
        waits = visit.client.group.startswith(NOT_SIGNED_IN)  # this worker has not heard of it yet: a matter of a second
        profile = self._snapshot().profile(visit.client.school, visit.client.group)
        return self._page(
            200,
            "signed_in.html",
            visit,
            who=told["name"],
            guest=told["guest"],
            group="" if waits else profile.group_name,
            until=uk_date(_moment(told["until"]), profile.zone),
            hours=minutes // 60,
            minutes=minutes % 60,
        )

    def _with_code(self, visit: Visit, form: Mapping[str, str], record: Callable[[Event], None]) -> Answer:
        if not self._ours(visit, form):
            return self._page(400, "sign_in.html", visit, error=WRONG["old"])
        told = self._keeper("guest", visit.address, code=form.get("code", "")[:64])
        if told["said"] == "in":
            record(_event(visit, told, "signed in with a guest code"))
            return _onward(PATH)
        status = 429 if told["said"] == "wait" else 503 if told["said"] == "away" else 403
        return self._page(status, "sign_in.html", visit, error=WRONG.get(told["said"], AWAY))

    def _account(self, visit: Visit) -> Answer:
        if not visit.secure:
            return _onward(f"https://{visit.host}{PATH}/account")
        told = self._keeper("status", visit.address)
        if told["said"] == "in":
            return _onward(PATH)
        if told["said"] == "asking":
            return self._page(200, "asking.html", visit)
        return self._page(200, "account.html", visit, error=WRONG_ACCOUNT.get(told["said"], ""))

    def _with_account(self, visit: Visit, form: Mapping[str, str]) -> Answer:
        if not visit.secure:
            return _onward(f"https://{visit.host}{PATH}/account")
        if not self._ours(visit, form):
            return self._page(400, "account.html", visit, error=WRONG_ACCOUNT["old"])
        user, password = form.get("user", "").strip()[:200], form.get("password", "")[:200]
        if not user or not password:
            return self._page(400, "account.html", visit, error=WRONG_ACCOUNT["wrong"])
        told = self._keeper("staff", visit.address, user=user, password=password)
        if told["said"] in ("wait", "away"):
            return self._page(
                429 if told["said"] == "wait" else 503, "account.html", visit, error=WRONG_ACCOUNT[told["said"]]
            )
        return _onward(f"{PATH}/account")

    def _sign_out(self, visit: Visit, form: Mapping[str, str], record: Callable[[Event], None]) -> Answer:
        if self._ours(visit, form):
            told = self._keeper("leave", visit.address)
            if told["said"] == "out":
                record(_event(visit, told, "signed out"))
        return _onward(PATH)

    # --- parts --------------------------------------------------------------------------------------------------------

    def _page(self, status: int, name: str, visit: Visit, **values: object) -> Answer:
        school = self._snapshot().schools.get(visit.client.school)
        token = tokens.sign(self._key, PURPOSE, _place(visit), visit.now)
        text = self._pages.rendered(
            name,
            _asker(visit),
            token=token,
            school=school.name if school else "",
            required=visit.client.portal == "required",
            **{"error": "", **values},
        )
        return page(status, text, csp=CSP)

    def _ours(self, visit: Visit, form: Mapping[str, str]) -> bool:
        """Was this form made by us, for this device, not long ago?"""
        told = tokens.read(self._key, PURPOSE, form.get("token", ""), visit.now, FORM_LIFETIME)
        return told == _place(visit)


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _place(visit: Visit) -> dict[str, str]:
    return {"school": visit.client.school, "network": visit.client.network, "address": visit.address}


def _asker(visit: Visit) -> Asker:
    return Asker(visit.address, Wanted.PAGE, languages=visit.languages)


def _onward(where: str) -> Answer:
    return Answer(303, (("Location", where), NEVER_KEPT, MARK), b"")


def _event(visit: Visit, told: Mapping[str, Any], text: str) -> Event:
    """A sign-in is written down: without a name, as everything."""
    return Event(
        at=visit.now, kind=Kind.NOTICE, school=visit.client.school, group=visit.client.group, network=visit.client.network,
        identified_by="portal", person=str(told.get("person", "")) or visit.client.person or "", address=visit.address,
        device=str(told.get("device", "")) or visit.client.device, reason="portal", detail=f"{text} at the portal",
    )  # fmt: skip


def _form(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=10))
    except ValueError:  # more fields than any form of ours has
        return {}
