"""Applications that accept only the certificate they know of a site ("pinning") break where we look in. They are learnt here,
and proposed to the headteacher as sites never looked into; nothing opens by itself.

A greeting that fails says little: most often the device simply lacks our certificate, and then everything fails. So it
counts only from an address whose other greetings we answer with success: that device trusts us, yet this one name does not
work for it. Some of those within a day, and the name is proposed, once. Pure but for what it remembers, which is bounded.
"""

import hashlib
from collections import OrderedDict

from policy.event import NEVER_INSPECT, Event, Kind

TIMES = 3  # failures of trusting devices before a name is proposed
WITHIN = 86_400.0  # seconds in which they must fall, and for which a success proves that a device trusts us
TOGETHER = 60.0  # an application tries again at once: failures of one device so close together are one
REMEMBERED = 4096  # devices, and names


class Pinned:
    """What one worker has seen of greetings."""

    def __init__(self) -> None:
        self._trusts: OrderedDict[str, float] = OrderedDict()  # address -> when a greeting of ours last succeeded
        self._failed: OrderedDict[tuple[str, str], dict[str, list[float]]] = OrderedDict()  # (school, host) -> by address
        self._works: OrderedDict[tuple[str, str], float] = OrderedDict()  # (school, host) -> when it last worked for someone

    def succeeded(self, school: str, host: str, address: str, now: float) -> None:
        _remember(self._trusts, address, now)
        _remember(self._works, (school, host), now)

    def failed(self, school: str, host: str, address: str, now: float) -> bool:
        """Should the name be proposed now? True once, when enough of them have failed."""
        if not school or now - self._trusts.get(address, -WITHIN) >= WITHIN:
            return False
        by_address = self._failed.get((school, host))
        if by_address is None:
            by_address = {}
            _remember(self._failed, (school, host), by_address)
        times = by_address.setdefault(address, [])
        if times and now - times[-1] < TOGETHER:
            return False
        times.append(now)
        fresh = sum(1 for each in by_address.values() for at in each if now - at < WITHIN)
        return fresh == TIMES

    def works_elsewhere(self, school: str, host: str, now: float) -> bool:
        """Does the name work for a browser of the school, so that only some application of it breaks?"""
        return now - self._works.get((school, host), -WITHIN) < WITHIN


def reference(school: str, host: str) -> str:
    """The one reference of such a proposal: made twice, by two workers or after a refusal, it is the one made first."""
    return "PIN-" + hashlib.sha256(f"{school} {host}".encode()).hexdigest()[:20].upper()


def proposal(failed: Event, *, works_elsewhere: bool) -> Event:
    """The event that becomes a change for the headteacher to decide on."""
    words = (
        f"Devices that trust the filter refused its certificate for {failed.host}, {TIMES} times within a day. "
        "An application there probably accepts only the site's own certificate. If it is left as it is, that application "
        "does not work at school. If the site is never looked into, it works, and the filter sees its name only."
    )
    if works_elsewhere:
        words += " In browsers the site works."
    return failed._replace(
        kind=Kind.REQUEST, reason=NEVER_INSPECT, outcome=reference(failed.school, failed.host), detail=words, path=""
    )


def _remember[K, V](where: OrderedDict[K, V], key: K, value: V) -> None:
    where[key] = value
    where.move_to_end(key)
    if len(where) > REMEMBERED:
        where.popitem(last=False)
