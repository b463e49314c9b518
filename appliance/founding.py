"""The beginning of an installation: the authority, its schools, and the codes by which their people enrol."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sqlalchemy import select
from sqlalchemy.orm import Session

from change_control import founding, list_service
from change_control.keys import AuthorityKey, secret_of
from change_control.ledger import LedgerMismatch
from change_control.people import Registry
from change_control.publish import Published, publish
from change_control.service import Office
from change_control.store import Store
from change_control.tables import LogRow
from policy.proof import digest
from policy.rules import Action, AuthorityPolicy, CategoryRule, Group, Network, SchoolPolicy, write

USUAL_GROUPS = {
    "primary": ("early-years", "ks1", "ks2", "staff", "guest"),
    "secondary": ("ks3", "ks4", "sixth-form", "staff", "guest"),
    "all-through": ("early-years", "ks1", "ks2", "ks3", "ks4", "sixth-form", "staff", "guest"),
}
GROUP_NAMES = {
    "early-years": "Early years",
    "ks1": "Years 1-2",
    "ks2": "Years 3-6",
    "ks3": "Years 7-9",
    "ks4": "Years 10-11",
    "sixth-form": "Sixth form",
    "staff": "Staff",
    "guest": "Guests",
}


def identifier(name: str) -> str:
    """A short name for files and addresses: "Oakfield Primary" becomes oakfield-primary."""
    found = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60]
    if not found:
        raise ValueError(f"{name!r} has no letters to make a short name of")
    return found


def groups(phases: Sequence[str]) -> tuple[Group, ...]:
    """The usual groups; staff search without safe search forced on."""
    unknown = set(phases) - set(GROUP_NAMES)
    if unknown:
        raise ValueError(f"there is no phase {', '.join(sorted(unknown))}; there are: {', '.join(GROUP_NAMES)}")
    return tuple(
        sorted((Group(p, GROUP_NAMES[p], p, safe_search=p != "staff") for p in phases), key=lambda group: group.id)  # type: ignore[arg-type]
    )


@dataclass(frozen=True, slots=True)
class Founded:
    """The tools of an installation; `with` closes its database at the end."""

    data: Path
    store: Store
    office: Office
    registry: Registry

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()

    def publish(self) -> Published:
        """Put every log's policy where the workers look; what does not agree with its proof is named, not published."""
        with self.store.write() as session:
            return publish(session, self.office.key, self.data)

    def propose_defaults(self, version: str) -> list[str]:
        """After an upgrade: what this version brings is proposed to each school. Returns what was asked for, in words."""
        with self.store.read() as session:
            logs = session.scalars(select(LogRow.id).order_by(LogRow.tier, LogRow.id)).all()
        said = []
        for log in logs:
            try:
                with self.store.write() as session:
                    if row := list_service.propose_defaults(self.office, session, log, version):
                        said.append(f"{log}: new defaults wait for approval as change {row.id}")
            except (LedgerMismatch, ValueError) as error:
                said.append(f"{log}: new defaults cannot be proposed: {error}")
        return said


def open_installation(data: Path, database: str) -> Founded:
    """An installation that is there; FileNotFoundError in one plain line when there is none."""
    if not (data / "trust" / "authority.json").exists():
        raise FileNotFoundError(f"{data} holds no installation yet; run `schoolgate init --data {data}` first")
    store = Store(database)
    store.migrate()
    office = Office.open(data)
    return Founded(data, store, office, Registry(office, secret_of(data / "secrets" / "desk.key")))


def create_installation(data: Path, database: str, authority: str) -> Founded:
    """A new installation's key and empty tables; FileExistsError when there is one."""
    data.mkdir(parents=True, exist_ok=True)
    data.chmod(0o750)
    AuthorityKey.create(data, authority)
    return open_installation(data, database)


def begun(session: Session) -> bool:
    return session.query(LogRow).first() is not None


def found_authority(founded: Founded, session: Session, name: str) -> AuthorityPolicy:
    """The authority's own log, with what it makes mandatory for every school."""
    dictionary = founded.office.dictionaries.first()
    taxonomy = founded.office.dictionaries.taxonomy(dictionary)
    policy = AuthorityPolicy(
        log=founded.office.key.authority,
        name=name,
        dictionary=dictionary,
        category_rules=tuple(
            CategoryRule(f"m-{category.id.replace('_', '-')}", category.id, Action.BLOCK, 0, mandatory=True)
            for category in sorted(taxonomy.categories.values(), key=lambda category: category.id)
            if category.mandatory
        ),
    )
    founded.office.dictionaries.objects.put(write(policy))
    founding.found_authority(founded.office, session, policy)
    return policy


def found_school(
    founded: Founded,
    session: Session,
    authority: AuthorityPolicy,
    *,
    school: str,
    name: str,
    phases: Sequence[str],
    networks: Sequence[Network],
) -> SchoolPolicy:
    """A school's own log, with what is usual at each age."""
    policy = SchoolPolicy(
        log=school,
        name=name,
        authority=digest(write(authority)),
        dictionary=authority.dictionary,
        groups=groups(phases),
        networks=tuple(sorted(networks, key=lambda network: network.id)),
    )
    founding.found_school(founded.office, session, policy)
    return policy
