"""An installation in a folder: an authority, one school, its people, on SQLite or a real PostgreSQL."""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyotp
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from change_control import founding
from change_control.dictionaries import Dictionaries
from change_control.keys import AuthorityKey
from change_control.people import Registry
from change_control.publish import publish
from change_control.service import Office
from change_control.store import Store
from policy.proof import digest
from policy.rules import AuthorityPolicy, Group, Network, SchoolPolicy, write

PASSWORD = "three random words"


@dataclass
class Clock:
    """A clock that a test sets."""

    at: datetime = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **by: float) -> None:
        self.at += timedelta(**by)


@dataclass
class World:
    """One school with its people, ready for changes."""

    data: Path
    store: Store
    office: Office
    registry: Registry
    clock: Clock
    secrets: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)

    def enrol(self, log: str, username: str, *roles: str, by: str | None = None) -> None:
        with self.store.write() as session:
            if by:
                cookie = self.cookie(by)
                head = self.registry.signed_in(session, cookie)
                signer = self.registry.signer(session, cookie, log)
                code = self.registry.invite(
                    session, log, username.title(), roles, by=head, sign=lambda terms: signer.sign("invite", log, terms)
                )
            else:
                code = self.registry.invite(session, log, username.title(), roles, by=None)
            secret = self.secrets.setdefault(username, pyotp.random_base32())
            self.registry.enrol(session, code, username, PASSWORD, secret)

    def cookie(self, username: str) -> str:
        if username not in self.cookies:
            with self.store.write() as session:
                code = pyotp.TOTP(self.secrets[username]).at(self.clock.at)
                self.cookies[username] = self.registry.sign_in(session, username, PASSWORD, code)
        return self.cookies[username]

    def who(self, session, username: str):
        return self.registry.signed_in(session, self.cookie(username))

    def signer(self, session, username: str, log: str = "oakfield"):
        return self.registry.signer(session, self.cookie(username), log)

    def publish(self):
        with self.store.write() as session:
            return publish(session, self.office.key, self.data)


@pytest.fixture(scope="session")
def first_dictionary(tmp_path_factory) -> tuple[Path, str]:
    """The shipped dictionary, compiled once for all tests."""
    data = tmp_path_factory.mktemp("dictionary")
    return data, Dictionaries(data).first()


@pytest.fixture(scope="session")
def founded_sqlite(tmp_path_factory, first_dictionary) -> World:
    """An installation with its people, made once; tests get copies of it."""
    data = tmp_path_factory.mktemp("founded-sqlite")
    return _installation(data, f"sqlite:///{data}/desk.sqlite3", first_dictionary)


@pytest.fixture(scope="session")
def founded_postgres(tmp_path_factory, first_dictionary, postgres) -> World:
    """The same on a real PostgreSQL."""
    return _installation(tmp_path_factory.mktemp("founded-postgres"), _new_database(postgres, "founded"), first_dictionary)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def founded(request) -> World:
    return request.getfixturevalue(f"founded_{request.param}")


def _installation(data: Path, url: str, first_dictionary: tuple[Path, str]) -> World:
    shipped, dictionary = first_dictionary
    for folder in ("objects", "lists"):
        (data / folder).symlink_to(shipped / folder)
    world = _open(data, url, Clock(), create=True)
    _found(world, dictionary)
    for username in world.secrets:
        world.cookie(username)
    world.publish()
    world.store.close()
    return world


@pytest.fixture
def world(founded, tmp_path, request) -> Iterator[World]:
    """A copy of the installation for one test."""
    data = tmp_path / "data"
    shutil.copytree(founded.data, data, symlinks=True)
    if founded.store.sqlite:
        url = f"sqlite:///{data}/desk.sqlite3"
    else:
        name = f"t{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:16]}"
        url = _new_database(request.getfixturevalue("postgres"), name, template="founded")
    world = _open(data, url, Clock(founded.clock.at))
    world.secrets, world.cookies = dict(founded.secrets), dict(founded.cookies)
    yield world
    world.store.close()


def _new_database(base: str, name: str, template: str = "template1") -> str:
    admin = create_engine(base, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    admin.dispose()
    return make_url(base).set(database=name).render_as_string(hide_password=False)


def _open(data: Path, url: str, clock: Clock, *, create: bool = False) -> World:
    key = AuthorityKey.create(data, "birchwood") if create else AuthorityKey.load(data)
    store = Store(url)
    store.migrate()
    office = Office(key, Dictionaries(data), clock)
    return World(data, store, office, Registry(office, b"d" * 32), clock)


def _found(world: World, dictionary: str) -> None:
    with world.store.write() as session:
        authority = AuthorityPolicy("birchwood", "Birchwood", dictionary)
        founding.found_authority(world.office, session, authority)
        founding.found_school(
            world.office,
            session,
            SchoolPolicy(
                "oakfield",
                "Oakfield Primary",
                digest(write(authority)),
                dictionary,
                groups=(Group("ks1", "Years 1-2", "ks1"), Group("ks2", "Years 3-6", "ks2"), Group("staff", "Staff", "staff")),
                networks=(Network("n-ks2", "ks2", "127.10.2.0/24"),),
            ),
        )
    world.enrol("birchwood", "laura", "la_officer")
    world.enrol("oakfield", "laura", "la_officer")
    world.enrol("oakfield", "helen", "headteacher")
    world.enrol("oakfield", "adam", "teacher", by="helen")
    world.enrol("oakfield", "dora", "deputy", by="helen")
    world.enrol("oakfield", "tom", "technician", by="helen")
