"""Who may do what, as one table, read by the code, by the tests and by the help page alike.

Roles are held at a school, many to many. At the authority's own log the LA officer stands where the headteacher stands at a
school. Beyond the table: nobody approves what they asked for themselves; a headteacher's own request needs the named second
person too (`SECOND_ROLES`), and that is the only thing a second person can agree to.
"""

from collections.abc import Iterable
from enum import StrEnum

from policy.proof import SECOND_ROLES

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
    MANDATE = "mandate"  # sign a standing mandate
    INVITE = "invite"  # give a person a role
    READ_CHANGES = "read_changes"  # requests, rules in force, change log, "why?"
    READ_LOG = "read_log"  # the filter log: what pupils did
    READ_ACCESS = "read_access"  # who tried what at the desk
    READ_SYSTEM = "read_system"  # workers, lists, disk


MAY: dict[Permission, frozenset[str]] = {
    Permission.REQUEST: ADULTS - {"analyst", "governor"},
    Permission.APPROVE: HEAD,
    Permission.SECOND: SECOND_ROLES,
    Permission.REFUSE: HEAD,
    Permission.RATIFY: HEAD,
    Permission.REVERSE: HEAD,
    Permission.MANDATE: HEAD,
    Permission.INVITE: HEAD,
    Permission.READ_CHANGES: ADULTS,
    Permission.READ_LOG: frozenset({"headteacher", "dsl", "online_safety_coordinator"}),
    Permission.READ_ACCESS: HEAD,
    Permission.READ_SYSTEM: frozenset({"headteacher", "dsl", "online_safety_coordinator", "technician", "la_officer"}),
}


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
        who = "the LA officer" if tier == "authority" else f"the {' or '.join(sorted(MAY[permission])).replace('_', ' ')}"
        raise NotAllowed(f"only {who} may {permission.replace('_', ' ')} here")
