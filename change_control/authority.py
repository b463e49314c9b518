"""Who may do what, as one table, read by the code, by the tests and by the help page alike.

Roles are held at a school, many to many. At the authority's own log the LA officer stands where the headteacher stands at a
school. Beyond the table: nobody approves what they asked for themselves; a headteacher's own request needs the named second
person too (`SECOND_ROLES`), and that is the only thing a second person can agree to.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from policy.grounds import SECOND_ROLES

ROLES = (
    "headteacher",
    "deputy",
    "acting_head",
    "dsl",
    "online_safety_coordinator",
    "technician",
    "teacher",
    "governor",
    "chair_of_governors",
    "la_officer",
    "analyst",
)
ADULTS = frozenset(ROLES)
HEAD = frozenset({"headteacher"})


class Permission(StrEnum):
    REQUEST = "request"  # ask for a change
    APPROVE = "approve"  # sign it into force
    SECOND = "second"  # agree to the headteacher's own request
    REFUSE = "refuse"
    RATIFY = "ratify"  # sign what a mandate let through
    REVERSE = "reverse"  # take back what is in force
    MANDATE = "mandate"  # sign a standing mandate, or revoke one
    DELEGATE = "delegate"  # let a named person approve in the head's place for a time, or end that
    DELEGATED = "delegated"  # approve, refuse and ratify in her place: by a delegation that names the person, never by role
    SCREEN = "screen"  # pass a pupil's request on, or refuse it: by a delegation that names the person, never by role
    TIGHTEN = "tighten"  # block at once, where a standing mandate names the role
    BREAK_GLASS = "break_glass"  # open or block at once, two people together, where a mandate names their roles
    INVITE = "invite"  # give a person a role
    RELEASE = "release"  # end a person's roles
    REPLACE_HEAD = "replace_head"  # the LA officer and a second person together
    READ_CHANGES = "read_changes"  # requests, rules in force, change log, "why?"
    READ_LOG = "read_log"  # the filter log: what pupils did
    REVIEW = "review"  # look at captures and grade them; whose, depends on the role
    DECIDE = "decide"  # decide what becomes of an incident
    DECLARE = "declare"  # say what a lesson will search for
    READ_REPORTS = "read_reports"  # reports in counts
    COMPARE = "compare"  # the LA's schools side by side, in counts
    RETAIN = "retain"  # say how long what is kept, and hold it
    READ_ACCESS = "read_access"  # who tried what at the desk
    READ_SYSTEM = "read_system"  # workers, lists, disk
    READ_DEVICES = "read_devices"  # the register of devices: what is there, and whose
    DEVICES = "devices"  # say in the register what a device is called, and whose it is; that changes no answer
    READ_GUESTS = "read_guests"  # who has signed in at the portal just now, and which codes there are
    GUESTS = "guests"  # issue and revoke codes for guests, and end a sign-in; whose rules hold for them the headteacher signs
    TOKENS = "tokens"  # make and revoke tokens of scripts


MAY: dict[Permission, frozenset[str]] = {
    Permission.REQUEST: ADULTS - {"analyst", "governor"},
    Permission.APPROVE: HEAD,
    Permission.SECOND: SECOND_ROLES,
    Permission.REFUSE: HEAD,
    Permission.RATIFY: HEAD,
    Permission.REVERSE: HEAD,
    Permission.MANDATE: HEAD,
    Permission.DELEGATE: HEAD,
    Permission.DELEGATED: frozenset(),
    Permission.SCREEN: frozenset(),
    Permission.TIGHTEN: ADULTS - {"analyst", "governor"},
    Permission.BREAK_GLASS: ADULTS - {"analyst", "governor", "teacher"},
    Permission.INVITE: HEAD,
    Permission.RELEASE: HEAD,
    Permission.REPLACE_HEAD: SECOND_ROLES,
    Permission.READ_CHANGES: ADULTS,
    Permission.READ_LOG: frozenset({"headteacher", "dsl", "online_safety_coordinator"}),
    Permission.REVIEW: frozenset(
        {"headteacher", "dsl", "online_safety_coordinator", "chair_of_governors", "la_officer"}
    ),  # the last two only what is about the headteacher: see monitoring/captures.py
    Permission.DECIDE: frozenset({"headteacher", "dsl", "chair_of_governors", "la_officer"}),
    Permission.DECLARE: ADULTS - {"analyst", "governor"},
    Permission.READ_REPORTS: ADULTS - {"teacher", "technician", "analyst"},
    Permission.COMPARE: frozenset({"la_officer"}),
    Permission.RETAIN: HEAD,
    Permission.READ_ACCESS: HEAD,
    Permission.READ_SYSTEM: frozenset({"headteacher", "dsl", "online_safety_coordinator", "technician", "la_officer"}),
    Permission.READ_DEVICES: frozenset({"headteacher", "dsl", "online_safety_coordinator", "technician"}),
    Permission.DEVICES: frozenset({"headteacher", "online_safety_coordinator", "technician"}),
    Permission.READ_GUESTS: frozenset(
        {"headteacher", "deputy", "acting_head", "dsl", "online_safety_coordinator", "technician"}
    ),
    Permission.GUESTS: frozenset({"headteacher", "deputy", "acting_head", "online_safety_coordinator", "technician"}),
    Permission.TOKENS: frozenset({"headteacher", "technician"}),
}


# What a mandate or a delegation may be about. Their kinds are those whose undoing always fits, whatever is signed later.
TAKING_IN = frozenset({"dictionary", "authority"})
TIGHTENING = frozenset({"site", "suspension"})
GLASS = frozenset({"site"})
GLASS_HOURS = 24
DELEGABLE = frozenset(
    {
        "site",
        "category",
        "timetable",
        "suspension",
        "coursework",
        "video_site",
        "platform",
        "safety",
        "answer",
        "inspection",
        "alert_rules",
        "unknown",
        "tenants",
        "never_inspect",
        "group",
        "network",
        "belonging",
        "passage",
        "portal",
        "dictionary",
        "reverse",
    }
)  # and so never: who is headteacher, the authority's rules, mandates, delegations, people

PUPILS = "pupil_requests"  # no kind of change: whoever this is delegated to reads pupils' requests first (screening.py)


def stacks_with(kind: str) -> frozenset[str]:
    """The kinds whose changes stand on one another: they set the same thing, so the newest goes back first."""
    return frozenset({kind}) if kind in TAKING_IN else frozenset()


class Waiting(StrEnum):
    """How long a request has waited, and who hears of it. Nothing opens by waiting."""

    FRESH = "fresh"
    REMINDED = "reminded"  # the headteacher is reminded
    DEPUTY = "deputy"  # whoever she delegated to is asked as well
    OFFICER = "officer"  # the LA officer is told


SCHOOL_DAYS: tuple[tuple[int, Waiting], ...] = ((6, Waiting.OFFICER), (4, Waiting.DEPUTY), (2, Waiting.REMINDED))


def waits(asked: datetime, now: datetime, terms: Sequence[tuple[date, date]] = (), zone: str = "Europe/London") -> Waiting:
    """What the wait of a request has come to, in whole school days: Monday to Friday, in term where terms are known."""
    day, today = asked.astimezone(ZoneInfo(zone)).date(), now.astimezone(ZoneInfo(zone)).date()
    days = 0
    while day < today and days <= SCHOOL_DAYS[0][0]:
        day += timedelta(days=1)
        days += day.weekday() < 5 and (not terms or any(first <= day <= last for first, last in terms))
    return next((stage for least, stage in SCHOOL_DAYS if days >= least), Waiting.FRESH)


class NotAllowed(PermissionError):
    """This person may not do this; the message says who may."""


def may(roles: Iterable[str], permission: Permission, *, tier: str = "school") -> bool:
    """Does any of the roles held at a log carry the permission?"""
    allowed = MAY[permission]
    if tier == "authority" and "headteacher" in allowed:
        allowed = allowed - HEAD | {"la_officer"}
    return not allowed.isdisjoint(roles)


def require(roles: Iterable[str], permission: Permission, *, tier: str = "school") -> None:
    """NotAllowed, with who may instead, unless `may`."""
    if not may(roles, permission, tier=tier):
        named = " or ".join(sorted(MAY[permission])).replace("_", " ") or "delegate of the headteacher"
        who = "the LA officer" if tier == "authority" else f"the {named}"
        raise NotAllowed(f"only {who} may {permission.replace('_', ' ')} here")
