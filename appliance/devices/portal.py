"""The captive portal's keeper: which guest codes hold, who has signed in with one or with an account, and until when.

A sign-in is bound to the device that it came from and to its address. Where the device is known (the kernel's neighbour, a
lease), its other addresses are the same person's, and its address is nobody's once another device answers there; that is
known.py's to work out. Where it is not known, behind a router, the address alone has to do.

Codes come as a file that the desk writes whole (change_control/guests.py), and whatever is not in it holds no more, nor does
what rests on it. So a revoked code ends its sign-ins even if nobody was there to hear of it. Whether accounts still hold, the
desk is asked again and again (door.py). Pure but for memory.
"""

import hmac
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from appliance.devices.radius import Session
from change_control.guests import Code, digest
from policy.presence import GUEST, PORTAL_GUEST, PORTAL_STAFF

TRIES: Final = 5, 600.0  # so many wrong ones in so many seconds from one device
SCHOOL_TRIES: Final = 2000, 3600.0  # and from all devices of a school: 31**8 codes are not found at this pace
MOST: Final = 20_000  # sign-ins, and devices whose tries are counted
LONGEST: Final = 64  # of what is typed as a code


@dataclass(frozen=True, slots=True)
class Said:
    """What becomes of a try, in one word, and the sign-in if there is one."""

    said: str  # "in", "out", "wrong", "early", "over", "full", "wait"
    session: Session | None = None


class Portal:
    """Of the process for devices."""

    def __init__(self, key: bytes, session_s: float, clock: Callable[[], float]) -> None:
        self._key, self._session_s, self._clock = key, session_s, clock
        self._codes: dict[str, Code] = {}
        self.sessions: dict[str, Session] = {}
        self._wrong: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def take_codes(self, codes: Iterable[Code]) -> bool:
        """The codes that hold, all of them. True when somebody is signed out by that."""
        self._codes = {one.id: one for one in codes}
        return self.expire()

    def expire(self) -> bool:
        """End what is over. True when something was."""
        now = self._clock()
        over = [key for key, one in self.sessions.items() if one.until <= now or (one.code and one.code not in self._codes)]
        for key in over:
            del self.sessions[key]
        return bool(over)

    def of(self, school: str, address: str, device: str) -> Session | None:
        """Who has signed in on this device, at this address."""
        now = self._clock()
        return next(
            (one for one in self.sessions.values() if one.school == school and one.until > now and _is(one, address, device)),
            None,
        )

    def guest(self, school: str, address: str, device: str, text: str) -> Said:
        """Sign in with a code."""
        now = self._clock()
        if not self.may_try(school, address, device):
            return Said("wait")
        given = digest(self._key, school, text[:LONGEST])
        code = None
        for one in self._codes.values():  # all of them, and each in the same time: how long it takes tells nothing
            if hmac.compare_digest(one.digest, given) and one.school == school:
                code = one
        if code is None:
            self.note_wrong(school, address, device)
            return Said("wrong")
        if not code.starts <= now < code.ends:
            return Said("early" if now < code.starts else "over")
        others = [one for one in self.sessions.values() if one.code == code.id and not _is(one, address, device)]
        if len(others) >= code.devices:
            return Said("full")
        roles = (f"{PORTAL_GUEST}{code.group}",) if code.group else ()
        user = f"{GUEST}{code.id} ({code.label})"
        return self._begin(school, address, device, user, roles, min(code.ends, now + self._session_s), code.id)

    def staff(self, school: str, address: str, device: str, user: str) -> Said:
        """Somebody whom the desk has just known by name and password."""
        return self._begin(school, address, device, user, (PORTAL_STAFF,), self._clock() + self._session_s)

    def accounts(self) -> Mapping[str, Sequence[str]]:
        """Who has signed in with an account, by school."""
        found: dict[str, set[str]] = {}
        for one in self.sessions.values():
            if not one.code:
                found.setdefault(one.school, set()).add(one.user)
        return {school: sorted(users) for school, users in found.items()}

    def end_accounts(self, school: str, users: Collection[str]) -> bool:
        """End the sign-ins of accounts that hold no more. True when somebody is signed out by that."""
        gone = [key for key, one in self.sessions.items() if one.school == school and not one.code and one.user in users]
        for key in gone:
            del self.sessions[key]
        return bool(gone)

    def leave(self, school: str, address: str, device: str) -> Said:
        """Sign out, on this device."""
        gone = [key for key, one in self.sessions.items() if one.school == school and _is(one, address, device)]
        for key in gone:
            del self.sessions[key]
        return Said("out")

    def end(self, school: str, key: str) -> bool:
        """End one, from the desk."""
        found = self.sessions.get(key)
        if found is None or found.school != school:
            return False
        del self.sessions[key]
        return True

    def _begin(
        self, school: str, address: str, device: str, user: str, roles: tuple[str, ...], until: float, code: str = ""
    ) -> Said:
        self.leave(school, address, device)  # a device is one person's at a time
        key = f"portal-{secrets.token_hex(8)}"
        session = Session(key, "portal", user, device, (address,), roles, school, self._clock(), until, code)
        self.sessions[key] = session
        if len(self.sessions) > MOST:
            self.sessions.pop(next(iter(self.sessions)))
        return Said("in", session)

    def may_try(self, school: str, address: str, device: str) -> bool:
        """A code, or a name and password: wrong ones are counted together, by device wherever that moves to."""
        now, who = self._clock(), device or address
        for key, (most, within) in ((school, who), TRIES), ((school, ""), SCHOOL_TRIES):
            times = self._wrong.get(key)
            if times and len(times) >= most and now - times[0] < within:
                return False
        return True

    def note_wrong(self, school: str, address: str, device: str) -> None:
        now, who = self._clock(), device or address
        for key, (most, _) in ((school, who), TRIES), ((school, ""), SCHOOL_TRIES):
            self._wrong.setdefault(key, deque(maxlen=most)).append(now)
            self._wrong.move_to_end(key)
        while len(self._wrong) > MOST:
            self._wrong.popitem(last=False)

    def saved(self) -> list[dict[str, Any]]:
        """What must outlive the process."""
        return [asdict(one) for one in self.sessions.values()]

    def recall(self, raw: Iterable[Mapping[str, Any]]) -> None:
        """Take up what an earlier process has saved; ValueError when it is not that."""
        try:
            for one in raw:
                made = Session(**{**one, "addresses": tuple(one["addresses"]), "roles": tuple(one["roles"])})
                self.sessions[made.key] = made
        except (LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"this is not what was saved: {error}") from None


def _is(session: Session, address: str, device: str) -> bool:
    """Is a sign-in of this device, or where no device is known, of this address?"""
    if session.device and device:
        return session.device == device
    return address in session.addresses
