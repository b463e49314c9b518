"""The portal's door: where the proxy's pages, the desk and the command line ask who has signed in, and sign people in or out.

A socket in the file system; one line of JSON is asked, one line answered, at once. Names and passwords are for the desk to
know: it is asked in turn, meanwhile the one who signs in is told "asking", and the next question has the answer. So nobody
who asks here ever waits, and where the desk is away, codes go on working.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from typing import Any, Final

from appliance.devices.portal import Portal, Said
from appliance.devices.radius import Session, user_of
from appliance.devices.watch import Watch
from monitoring.devices import Names
from policy.doors import ask
from policy.identity import Client
from policy.presence import GUEST, canonical

PENDING_S: Final = 60.0  # so long what the desk said is kept for whoever asked
MOST_PENDING: Final = 5000
MOST: Final = 20  # names and passwords that are asked about at a time
AT_A_TIME: Final = 15  # names in one line to the desk

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Pending:
    """What became of a name and password."""

    said: str
    at: float


class Door:
    """Of the process for devices."""

    def __init__(
        self,
        portal: Portal,
        watch: Watch,
        client_of: Callable[[str], Client | None],
        names: Names,
        *,
        accounts: Path,
        heard: Callable[[], None],
        look: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._portal, self._watch, self._client_of, self._names = portal, watch, client_of, names
        self._accounts, self._heard, self._look, self._clock = accounts, heard, look, clock
        self._pending: OrderedDict[str, _Pending] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._asking = False  # who still holds an account

    async def answer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """What is said to a question. LookupError for one that leaves something out, ValueError for what is no address."""
        act = str(asked["act"])
        if act == "sessions":
            return {"said": "sessions", "sessions": [self._shown(one) for one in self._portal.sessions.values()]}
        if act == "end":
            ended = self._portal.end(str(asked["school"]), str(asked["session"]))
            self._heard()
            return {"said": "out" if ended else "none"}
        return self._of_client(act, canonical(str(asked["address"])), asked)  # ::ffff:10.9.0.5 is 10.9.0.5

    def _of_client(self, act: str, address: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        client = self._client_of(address)
        if client is None or not client.portal:
            self._look()  # whoever asks may have heard of a new policy before us
            client = self._client_of(address)
        if client is None or not client.portal:
            return {"said": "not here"}
        school, device = client.school, self._watch.device_at(address, self._clock())
        if act == "status":
            session = self._portal.of(school, address, device)
            pending = None if session else self._pending.get(address)
            if pending and self._clock() - pending.at > PENDING_S:
                pending = None
            return self._told(Said("in" if session else pending.said if pending else "out", session))
        if act == "guest":
            self._look()  # a code that was issued a moment ago holds
            said = self._portal.guest(school, address, device, str(asked["code"]))
        elif act == "leave":
            said = self._portal.leave(school, address, device)
        elif act == "staff":
            return self._ask_desk(school, address, device, str(asked["user"]), str(asked["password"]))
        else:
            return {"said": "not understood"}
        self._heard()
        return self._told(said)

    def _told(self, said: Said) -> dict[str, Any]:
        one = said.session
        if one is None:
            return {"said": said.said}
        shown = self._shown(one)
        return {
            "said": said.said,
            "guest": bool(one.code),
            **{key: shown[key] for key in ("name", "until", "person", "device")},
        }

    def _shown(self, one: Session) -> dict[str, Any]:
        return {
            "key": one.key,
            "school": one.school,
            "name": _name(one.user),
            "code": one.code,
            "person": self._names.of(one.school, "p", one.user),
            "device": self._names.of(one.school, "d", one.device),
            "addresses": list(one.addresses),
            "at": one.at,
            "until": one.until,
        }

    # --- names and passwords ------------------------------------------------------------------------------------------

    def _ask_desk(self, school: str, address: str, device: str, user: str, password: str) -> dict[str, Any]:
        if not self._portal.may_try(school, address, device):
            return {"said": "wait"}
        held = self._pending.get(address)
        if (held and held.said == "asking") or len(self._tasks) >= MOST:
            return {"said": "asking" if held else "wait"}
        self._put(address, "asking")
        task = asyncio.get_running_loop().create_task(self._know(school, address, user[:200], password[:200]))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return {"said": "asking"}

    async def _know(self, school: str, address: str, user: str, password: str) -> None:
        said = "away"
        try:
            asked = {"school": school, "user": user, "password": password, "address": address}
            told = await asyncio.to_thread(ask, self._accounts, asked)
            said = str(told["said"])
            name = user_of(str(told.get("user", "")))
            if said == "in" and name:
                device = self._watch.device_at(address, self._clock())
                self._portal.staff(school, address, device, name)
                self._pending.pop(address, None)  # the sign-in itself says so, for as long as there is one
                self._heard()
                return
            if said == "wrong":
                self._portal.note_wrong(school, address, self._watch.device_at(address, self._clock()))
            said = "away" if said in ("in", "asking") else said  # "in" without a name is no sign-in
        except (OSError, ValueError, LookupError, TypeError):
            log.warning("cannot ask the desk who somebody is; codes go on working")
        self._put(address, said)

    def ask_who_holds(self) -> None:
        """Does everybody who signed in with an account still have a role there? Whoever has none is signed out."""
        if not self._asking and (accounts := self._portal.accounts()):
            self._asking = True
            task = asyncio.get_running_loop().create_task(self._end_who_left(accounts))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _end_who_left(self, accounts: Mapping[str, Sequence[str]]) -> None:
        try:
            for school, users in accounts.items():
                for some in batched(users, AT_A_TIME):
                    told = await asyncio.to_thread(ask, self._accounts, {"school": school, "holds": some})
                    if told["said"] == "holds" and self._portal.end_accounts(school, set(map(str, told["gone"]))):
                        self._heard()
        except (OSError, ValueError, LookupError, TypeError):
            log.debug("cannot ask the desk who still holds an account; sign-ins end with time")
        finally:
            self._asking = False

    def _put(self, address: str, said: str) -> None:
        self._pending[address] = _Pending(said, self._clock())
        self._pending.move_to_end(address)
        while len(self._pending) > MOST_PENDING:
            self._pending.popitem(last=False)


def _name(user: str) -> str:
    """How somebody is called: for whom a code is, or the user name."""
    return user.partition(" (")[2].removesuffix(")") if user.startswith(GUEST) else user
