"""What people ask for about devices and about people who sign in: whose rules hold for them, whatever network they are on.

A device is named by its pseudonym, here as in the filter log: what it is called stands in the register of devices, and in the
words of the request, which can be deleted. So can no pupil's user name be written here but as a pattern for many.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from category_lists.taxonomy import Taxonomy
from change_control.diffs import Diff, InForceAlready, check_groups, make, school_of, who
from policy.presence import PORTAL_GUEST, PORTAL_STAFF
from policy.rules import Belonging, Document

DEVICE = re.compile(r"d-[0-9a-f]{16}")
USER = re.compile(r"[a-z0-9*][a-z0-9*._@$+'/-]{0,120}")
MOST_STARS = 2  # of a pattern: it is tried for each person who signs in
MOST_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class BelongingWish:
    """Some devices, or whoever signs in with such a name or role, are filtered as a group; none: by their network again."""

    group: str
    devices: tuple[str, ...] = ()
    user: str = ""
    role: str = ""

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        school = school_of(document, "devices")
        if self.group:
            check_groups(document, (self.group,))
        if self.role.startswith(PORTAL_GUEST) and self.group not in ("", self.role.removeprefix(PORTAL_GUEST)):
            raise ValueError("a guest's code for a group gives the rules of this very group")
        if sum(map(bool, (self.devices, self.user, self.role))) != 1:
            raise ValueError("say whom it is about: devices, a user name, or a role")
        if len(self.devices) > MOST_AT_ONCE:
            raise ValueError(f"at most {MOST_AT_ONCE} devices go into one request")
        if strange := [one for one in self.devices if not DEVICE.fullmatch(one)]:
            raise ValueError(f"{strange[0][:40]!r} is not a device of the register")
        about = [{"device": one} for one in sorted(set(self.devices))] or [
            {"user": _user(self.user), "role": _role(self.role)}
        ]
        held = {(old.device, old.user, old.role): old for old in school.belongings}
        add, remove = [], []
        for n, one in enumerate(about):
            key = (one.get("device", ""), one.get("user", ""), one.get("role", ""))
            old = held.get(key)
            if (old.group if old else "") == self.group:
                continue
            remove += [old] if old else []
            if self.group:
                add.append(Belonging(f"b{change}" if len(about) == 1 else f"b{change}-{n}", self.group, change, *key))
        if not add and not remove:
            raise InForceAlready("this is how it is already")
        return make("belonging", change, add={"belongings": add}, remove={"belongings": remove})


def _user(text: str) -> str:
    """A name or a pattern as it is compared: small letters, stars."""
    text = text.strip().casefold()
    if text and (not USER.fullmatch(text) or text.count("*") > MOST_STARS or not text.strip("*")):
        raise ValueError(f"{text[:40]!r} is not a user name or a pattern such as *@pupils.hill.sch.uk")
    return text


def _role(text: str) -> str:
    text = " ".join(text.split())
    if len(text) > 120 or not text.isprintable():
        raise ValueError(f"{text[:40]!r} is not a role as a RADIUS server says it")
    return text


def tell_belonging(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del taxonomy
    said = []
    added: dict[str, list[Mapping[str, Any]]] = {}
    for one in diff["add"].get("belongings", ()):
        added.setdefault(one["group"], []).append(one)
    for group, some in added.items():
        name = who(document, [group])
        is_ = "is" if len(some) == 1 and some[0].get("device") else "are"
        said.append(f"{_whom(some)} {is_} filtered as {name}, on whichever of the school’s networks.")
    new = {_key(one) for one in diff["add"].get("belongings", ())}
    if gone := [one for one in diff["remove"].get("belongings", ()) if _key(one) not in new]:
        is_ = "is filtered as its" if len(gone) == 1 and gone[0].get("device") else "are filtered as their"
        said.append(f"{_whom(gone)} {is_} network says.")
    return " ".join(said)


def _key(one: Mapping[str, Any]) -> tuple[str, str, str]:
    return one.get("device", ""), one.get("user", ""), one.get("role", "")


def _whom(some: list[Mapping[str, Any]]) -> str:
    if user := some[0].get("user"):
        return f"People who sign in as {user}"
    if role := str(some[0].get("role", "")):
        if role.startswith(PORTAL_GUEST):
            return "Guests who sign in with a code for this group"
        if role == PORTAL_STAFF:
            return "People who sign in at the portal with their account of this desk"
        return f"People of whom sign-in says {role}"
    return f"The device {some[0]['device']}" if len(some) == 1 else f"{len(some)} devices"
