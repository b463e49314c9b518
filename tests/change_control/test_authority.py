"""Who may do what, cell by cell: columns are roles, rows are permissions, written here a second time on purpose."""

import pytest

from change_control.authority import MAY, ROLES, NotAllowed, Permission, may, require

COLUMNS = [
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
]
SCHOOL = {
    "request":      "x x x x x x x . x x .",
    "approve":      "x . . . . . . . . . .",
    "second":       ". x . . . . . . x x .",
    "refuse":       "x . . . . . . . . . .",
    "ratify":       "x . . . . . . . . . .",
    "reverse":      "x . . . . . . . . . .",
    "mandate":      "x . . . . . . . . . .",
    "delegate":     "x . . . . . . . . . .",
    "delegated":    ". . . . . . . . . . .",
    "screen":       ". . . . . . . . . . .",
    "tighten":      "x x x x x x x . x x .",
    "break_glass":  "x x x x x x . . x x .",
    "invite":       "x . . . . . . . . . .",
    "release":      "x . . . . . . . . . .",
    "replace_head": ". x . . . . . . x x .",
    "read_changes": "x x x x x x x x x x x",
    "read_log":     "x . . x x . . . . . .",
    "review":       "x . . x x . . . x x .",
    "decide":       "x . . x . . . . x x .",
    "declare":      "x x x x x x x . x x .",
    "read_reports": "x x x x x . . x x x .",
    "compare":      ". . . . . . . . . x .",
    "retain":       "x . . . . . . . . . .",
    "read_access":  "x . . . . . . . . . .",
    "read_system":  "x . . x x x . . . x .",
    "read_devices": "x . . x x x . . . . .",
    "devices":      "x . . . x x . . . . .",
    "read_guests":  "x x x x x x . . . . .",
    "guests":       "x x x . x x . . . . .",
    "tokens":       "x . . . . x . . . . .",
}  # fmt: skip
AUTHORITY = {  # the LA officer stands where the headteacher stands
    "request":      ". x x x x x x . x x .",
    "approve":      ". . . . . . . . . x .",
    "second":       ". x . . . . . . x x .",
    "refuse":       ". . . . . . . . . x .",
    "ratify":       ". . . . . . . . . x .",
    "reverse":      ". . . . . . . . . x .",
    "mandate":      ". . . . . . . . . x .",
    "delegate":     ". . . . . . . . . x .",
    "delegated":    ". . . . . . . . . . .",
    "screen":       ". . . . . . . . . . .",
    "tighten":      ". x x x x x x . x x .",
    "break_glass":  ". x x x x x . . x x .",
    "invite":       ". . . . . . . . . x .",
    "release":      ". . . . . . . . . x .",
    "replace_head": ". x . . . . . . x x .",
    "read_changes": ". x x x x x x x x x x",
    "read_log":     ". . . x x . . . . x .",
    "review":       ". . . x x . . . x x .",
    "decide":       ". . . x . . . . x x .",
    "declare":      ". x x x x x x . x x .",
    "read_reports": ". x x x x . . x x x .",
    "compare":      ". . . . . . . . . x .",
    "retain":       ". . . . . . . . . x .",
    "read_access":  ". . . . . . . . . x .",
    "read_system":  ". . . x x x . . . x .",
    "read_devices": ". . . x x x . . . x .",
    "devices":      ". . . . x x . . . x .",
    "read_guests":  ". x x x x x . . . x .",
    "guests":       ". x x . x x . . . x .",
    "tokens":       ". . . . . x . . . x .",
}  # fmt: skip


def cells():
    for tier, table in (("school", SCHOOL), ("authority", AUTHORITY)):
        for permission, row in table.items():
            for role, mark in zip(COLUMNS, row.split(), strict=True):
                yield tier, permission, role, mark == "x"


@pytest.mark.parametrize(("tier", "permission", "role", "allowed"), list(cells()))
def test_each_cell(tier, permission, role, allowed):
    assert may([role], Permission(permission), tier=tier) is allowed
    if allowed:
        require([role, "teacher"], Permission(permission), tier=tier)
    else:
        with pytest.raises(NotAllowed, match=r"only the .* may "):
            require([role], Permission(permission), tier=tier)


def test_the_tables_are_whole():
    assert tuple(COLUMNS) == ROLES
    assert set(MAY) == set(Permission) == {Permission(name) for name in SCHOOL} == {Permission(name) for name in AUTHORITY}
    assert all(roles <= set(ROLES) for roles in MAY.values())


@pytest.mark.parametrize("permission", list(Permission))
@pytest.mark.parametrize("roles", [[], ["caretaker"], [""]])
def test_no_role_may_nothing(permission, roles):
    assert not may(roles, permission)
    assert not may(roles, permission, tier="authority")


def test_the_refusal_says_who_may():
    with pytest.raises(NotAllowed, match=r"^only the headteacher may approve here$"):
        require(["teacher"], Permission.APPROVE)
    with pytest.raises(NotAllowed, match=r"^only the LA officer may approve here$"):
        require(["headteacher"], Permission.APPROVE, tier="authority")
