"""What the desk stands on (`Services`), and what every route is handed (`Desk`).

A route opens its own transaction, `with desk.read()` or `with desk.write()`, and never both at once. What `write` committed
is published to the workers before the answer leaves, so that a page which says "in force" has told them already.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Protocol
from urllib.parse import urlsplit

from fastapi import Request
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import RedirectResponse, Response
from starlette.templating import Jinja2Templates

from admin_api.auth import Attempts, Touches, form_token
from admin_api.past import Counts
from admin_api.witnessing import Keeper
from change_control import standing
from change_control.authority import PUPILS, Permission, may
from change_control.passkeys import Passkeys, Where
from change_control.people import Registry
from change_control.publish import publish
from change_control.service import Office, Person
from change_control.sso import Provider, Sso
from change_control.store import Store
from change_control.tables import ChangeRow, LogRow
from monitoring.log import Log
from policy.snapshot import Snapshot

log = logging.getLogger(__name__)


class LiveLike(Protocol):
    """The policy in force as this process sees it. The desk refreshes it by itself, under a lock of its own."""

    problems: Mapping[str, str]

    @property
    def snapshot(self) -> Snapshot: ...

    def refresh(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Services:
    """What the desk is built on; handed in by appliance/wiring.py and by tests."""

    store: Store
    office: Office
    registry: Registry
    live: LiveLike
    log: Log | None  # None: no filter log on this machine
    data: Path  # policy/ and run/workers/ are read here
    public_url: str  # the one origin that pages are served under
    demo: bool = False  # also answers to localhost and 127.0.0.1
    accounts_hint: str = ""  # shown under the sign-in form of a demonstration
    workers_expected: int = 0  # parts of the filter that should be running
    patience: float = 1.5  # seconds that an act waits for the workers to take it up, so that its page can say so
    provider: Provider | None = None  # of identities, where people have another account
    keeper: Keeper | None = None  # this installation as a witness of others' change logs
    alarms: dict[str, str] = field(default_factory=dict)  # what a witness, or the clock, found wrong
    spool: Path | None = None  # where the workers leave what they saw
    # What this process remembers by itself.
    attempts: Attempts = field(default_factory=Attempts)
    touches: Touches = field(default_factory=Touches)
    refreshing: Lock = field(default_factory=Lock)
    counts: Counts = field(default_factory=Counts)

    @property
    def passkeys(self) -> Passkeys:
        parts = urlsplit(self.public_url)
        return Passkeys(self.registry, Where(f"{parts.scheme}://{parts.netloc}"))

    @property
    def sso(self) -> Sso | None:
        return Sso(self.registry, self.provider, f"{self.passkeys.where.origin}/sign-in/sso/back") if self.provider else None

    def snapshot(self) -> Snapshot:
        """The policy in force now."""
        with self.refreshing:
            self.live.refresh()
            return self.live.snapshot

    def note(self, act: str, outcome: str, **where: str) -> None:
        """One line of the access log in a transaction of its own, so that it outlives what is rolled back."""
        with self.store.write() as session:
            self.office.access(session, act, outcome, **where)


@dataclass(frozen=True, slots=True)
class Place:
    """A school (or the authority) as one person meets it: with the roles that she holds there."""

    log: str
    name: str
    tier: str
    roles: frozenset[str]
    delegated: frozenset[str] = frozenset()  # kinds of change that she may approve in the headteacher's place just now
    scopes: frozenset[Permission] | None = None  # a token's: it may do these and nothing else, whatever its maker may

    def may(self, permission: Permission | str) -> bool:
        if self.scopes is not None and permission not in self.scopes:
            return False
        if permission == Permission.DELEGATED:
            return bool(self.delegated - {PUPILS})
        if permission == Permission.SCREEN:
            return PUPILS in self.delegated
        return may(self.roles, Permission(permission), tier=self.tier)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is signed in, from where, and what she can see."""

    person: Person
    cookie: str
    address: str
    places: tuple[Place, ...]

    @classmethod
    def of(cls, session: Session, person: Person, cookie: str, address: str, office: Office | None = None) -> "Visitor":
        """`office` is needed to know what was delegated to her."""
        rows = session.scalars(select(LogRow).where(LogRow.id.in_(person.roles)).order_by(LogRow.tier.desc(), LogRow.name))
        delegated: dict[str, frozenset[str]] = {}
        if office:
            for log in person.roles:
                terms = [entry["delegation"] for entry in standing.delegations(office, session, log)]
                delegated[log] = frozenset(kind for one in terms if one["person"] == person.id for kind in one["kinds"])
        places = tuple(
            Place(row.id, row.name, row.tier, person.at(row.id), delegated.get(row.id, frozenset())) for row in rows
        )
        return cls(person, cookie, address, places)

    def at(self, log_id: str) -> Place | None:
        return next((place for place in self.places if place.log == log_id), None)


@dataclass(frozen=True, slots=True)
class Desk:
    """One request of a signed-in person at one school."""

    services: Services
    request: Request
    visitor: Visitor
    place: Place

    @property
    def office(self) -> Office:
        return self.services.office

    @property
    def registry(self) -> Registry:
        return self.services.registry

    @contextmanager
    def read(self) -> Iterator[Session]:
        with self.services.store.read() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction for one act; once it is committed, the workers are told."""
        with self.services.store.write() as session:
            yield session
            touched = {self.place.log, *session.info.get("logs", ())}  # an act at the authority reaches its schools, too
        try:
            with self.services.store.write() as session:
                found = publish(session, self.office.key, self.services.data, logs=touched)
            for problem in found.problems.values():
                log.error("not published: %s", problem)
        except OSError as error:
            # The change stands in the log; publishing is repeated at the next change and at start-up. The page says on how
            # many parts it is in force, so nobody is told more than is true.
            log.error("could not publish: %s", error)  # noqa: TRY400 - a full disk needs no traceback

    def note(self, act: str, outcome: str, target: str = "", why: str = "") -> None:
        """A line of the access log about this visitor."""
        self.services.note(
            act,
            outcome,
            log=self.place.log,
            person=self.visitor.person.id,
            target=target,
            why=why,
            address=self.visitor.address,
        )

    def link(self, path: str) -> str:
        """A path of the desk that stays at this school."""
        if len(self.visitor.places) < 2:
            return path
        return f"{path}{'&' if '?' in path else '?'}school={self.place.log}"

    def loud(self) -> list[ChangeRow]:
        """What is in force here by broken glass: every page says so."""
        with self.read() as session:
            return standing.broken_glass(session, self.place.log)

    def page(self, name: str, status: int = 200, **context: Any) -> Response:
        return templates(self.request).TemplateResponse(
            self.request,
            name,
            {
                "desk": self,
                "loud": self.loud(),
                "place": self.place,
                "places": self.visitor.places,
                "person": self.visitor.person,
                "token": form_token(self.registry.desk_secret, self.visitor.cookie),
                **context,
            },
            status_code=status,
        )

    def go(self, path: str, said: str = "") -> Response:
        """Onward after a POST. `said` is a key of words.SAID, never a text."""
        target = f"{path}{'&' if '?' in path else '?'}said={said}" if said else path
        return RedirectResponse(self.link(target), status_code=303)


def services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


def templates(request: Request) -> Jinja2Templates:
    found: Jinja2Templates = request.app.state.templates
    return found


def address(request: Request) -> str:
    return request.client.host if request.client else ""
