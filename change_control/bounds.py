"""No exception without an end, and no end that lies too far."""

from dataclasses import replace
from datetime import datetime, timedelta

from change_control.changes import SiteWish, Wish
from change_control.people_wishes import SuspensionWish
from change_control.site_wishes import PlatformWish
from policy.rules import Action

LONGEST = timedelta(days=366)  # none outlives a school year
USUAL = timedelta(days=28)
LONGEST_SUSPENSION = timedelta(weeks=6)  # a sanction, and not a way to take the internet from someone for good


def bounded(wish: Wish, now: datetime) -> Wish:
    """No exception without an end: an allow that names none ends after four weeks, and none may outlive a year."""
    if isinstance(wish, SiteWish) and wish.action is not Action.BLOCK:
        until = wish.until or now + USUAL
        if not now < until <= now + LONGEST:
            raise ValueError("the end must lie in the future, and within a year")
        return replace(wish, until=until.replace(microsecond=0))
    if isinstance(wish, PlatformWish) and not now < wish.until <= now + LONGEST:
        raise ValueError("the end must lie in the future, and within a year")
    if isinstance(wish, SuspensionWish):
        if not now < wish.until <= now + LONGEST_SUSPENSION:
            raise ValueError("a suspension ends within six weeks, and not in the past")
        return replace(wish, until=wish.until.replace(microsecond=0))
    return wish
