"""Guest codes: with one, a visitor signs in at the portal. Issued at the desk, shown once, told apart by whom they are for.

A code says who somebody is, as a name and password do. It opens nothing by itself: whose rules hold for guests with a code
for a group stands in the policy that the headteacher signed (a `Belonging` by the role `portal/guest/GROUP`), and a code for
a group of which no such rule speaks is not issued. So issuing one is no change of the filtering, and no way round her.

Eight letters of thirty-one are 39 bits. The keeper of the portal counts wrong tries, so that nobody guesses one; and only a
keyed digest is kept, whose key is on the box and not in the database, so that who has the database has no code.
"""

import hmac
import json
import secrets
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from change_control.tables import GuestRow
from policy.live import write_aside
from policy.presence import PORTAL_GUEST
from policy.rules import SchoolPolicy

LETTERS: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # none that are mistaken for another when read aloud or copied
LENGTH: Final = 8
LONGEST: Final = timedelta(days=92)  # a term; who is there for longer has an account
MOST_DEVICES: Final = 200  # of one code at a time: a meeting of all governors and their guests
KEPT: Final = timedelta(days=28)  # so long after its end it is known for whom a code was


@dataclass(frozen=True, slots=True)
class Code:
    """A code as the keeper of the portal knows it."""

    id: str
    school: str
    digest: str
    label: str
    group: str
    devices: int
    starts: float
    ends: float


def digest(key: bytes, school: str, text: str) -> str:
    """What is kept of a code. Small letters, spaces and dashes are the writer's."""
    plain = "".join(each for each in text.upper() if each in LETTERS)
    return hmac.digest(key, f"guest code\0{school}\0{plain}".encode(), "sha256").hex()


def groups(policy: SchoolPolicy) -> dict[str, str]:
    """The groups that a code may be for: those of which a signed rule says so. "": the network's own, which needs none."""
    names = {group.id: group.name for group in policy.groups}
    signed = {each.group for each in policy.belongings if each.role == f"{PORTAL_GUEST}{each.group}"}
    return {"": "Whatever their network’s group is"} | {group: names[group] for group in sorted(signed) if group in names}


def issue(
    session: Session,
    key: bytes,
    policy: SchoolPolicy,
    *,
    person: str,
    label: str,
    group: str,
    devices: int,
    starts: datetime,
    ends: datetime,
    now: datetime,
) -> str:
    """A new code's text, which is kept nowhere."""
    label = " ".join(label.split())
    if not 2 <= len(label) <= 60:
        raise ValueError("say who it is for, in 2 to 60 letters, such as: Ms Khan, school nurse")
    if group not in groups(policy):
        raise ValueError("the headteacher has not signed that guests with a code may have this group’s rules")
    if not 1 <= devices <= MOST_DEVICES:
        raise ValueError(f"a code is for 1 to {MOST_DEVICES} devices at a time")
    if ends <= now or ends <= starts:
        raise ValueError("a code ends in the future, after it begins")
    if ends - max(starts, now) > LONGEST:
        raise ValueError("a code holds for a term at most; whoever stays longer needs an account")
    text = "".join(secrets.choice(LETTERS) for _ in range(LENGTH))
    session.add(
        GuestRow(
            id=secrets.token_hex(4),
            digest=digest(key, policy.log, text),
            log=policy.log,
            label=label,
            group=group,
            devices=devices,
            starts=starts,
            ends=ends,
            person=person,
            created=now,
            revoked=None,
        )
    )
    return f"{text[:4]}-{text[4:]}"


def revoke(session: Session, log: str, number: str, now: datetime) -> GuestRow:
    """Nobody signs in with it any more, and whoever has is signed out."""
    row = session.get(GuestRow, number)
    if row is None or row.log != log or row.revoked is not None:
        raise LookupError("there is no such code here")
    row.revoked = now
    return row


def of_log(session: Session, log: str) -> list[GuestRow]:
    """A school's codes, the newest first."""
    return list(session.scalars(select(GuestRow).where(GuestRow.log == log).order_by(GuestRow.created.desc())))


def codes_file(data: Path) -> Path:
    return data / "state" / "guest-codes.json"


def hand_over(session: Session, data: Path, now: datetime) -> None:
    """Tell the keeper of the portal which codes hold, all of them anew; and forget those that ended long ago."""
    session.execute(delete(GuestRow).where(GuestRow.ends < now - KEPT))
    rows = session.scalars(select(GuestRow).where(GuestRow.revoked.is_(None), GuestRow.ends > now))
    said = [
        Code(row.id, row.log, row.digest, row.label, row.group, row.devices, row.starts.timestamp(), row.ends.timestamp())
        for row in rows
    ]
    path = codes_file(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_aside(path, json.dumps([asdict(one) for one in said]).encode(), mode=0o640)


def read_codes(text: str) -> list[Code]:
    """What was handed over; ValueError when it is something else."""
    try:
        return [Code(**one) for one in json.loads(text)]
    except TypeError as error:
        raise ValueError(f"these are no codes: {error}") from None
