"""The desk over a whole installation in a folder: an authority, two schools, their people, a filter log, running workers."""

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pyotp
import pytest
from starlette.testclient import TestClient

from admin_api.app import create_app
from admin_api.auth import COOKIE, Attempts, form_token
from admin_api.deps import Services
from category_lists import lists, taxonomy
from change_control import founding
from change_control.changes import SiteWish
from change_control.dictionaries import Dictionaries
from change_control.keys import AuthorityKey
from change_control.people import Registry
from change_control.publish import publish
from change_control.service import Office
from change_control.store import Store
from change_control.tables import AccessRow, ChangeRow
from monitoring.log import Log
from policy import search_engines
from policy.event import Event, Kind
from policy.live import Live
from policy.proof import digest
from policy.rules import Action, AuthorityPolicy, CategoryRule, Group, Network, SchoolPolicy, write

PASSWORD = "three random words"
URL = "https://localhost:8443"

LISTS = {
    "games": "crazygames.com\npoki.com\n",
    "gambling": "bet365.com\n",
    "social_networks": "reddit.com\n",
    "malware_phishing": "evil.example\n",
}

# Who holds which role where.
PEOPLE = (
    ("laura", "birchwood", ("la_officer",), None),
    ("laura", "oakfield", ("la_officer",), None),
    ("helen", "oakfield", ("headteacher",), None),
    ("harry", "hillview", ("headteacher",), None),
    ("adam", "oakfield", ("teacher",), "helen"),
    ("dora", "oakfield", ("deputy",), "helen"),
    ("tom", "oakfield", ("technician",), "helen"),
    ("sara", "oakfield", ("dsl",), "helen"),
    ("olive", "oakfield", ("online_safety_coordinator",), "helen"),
    ("gita", "oakfield", ("governor",), "helen"),
    ("carl", "oakfield", ("chair_of_governors",), "helen"),
    ("nora", "oakfield", ("analyst",), "helen"),
    ("adam", "hillview", ("teacher",), "harry"),
)


@dataclass
class Clock:
    at: datetime = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **by: float) -> None:
        self.at += timedelta(**by)


class Browser:
    """One person's browser: sends the token of its session with each form, as a page of ours would."""

    def __init__(self, world: "World", username: str = "") -> None:
        self.world, self.username = world, username
        self.client = TestClient(world.app, base_url=URL, follow_redirects=False, client=("10.0.0.7", 5000))
        if username:
            world.clock.forward(seconds=30)  # a code signs a person in once
            answer = self.client.post(
                "/sign-in", data={"username": username, "password": PASSWORD, "code": world.code(username)}
            )
            assert answer.status_code == 303, answer.text

    def get(self, path: str, **more):
        return self.client.get(path, **more)

    def post(self, path: str, data: dict | None = None, *, token: bool = True, **more):
        sent = dict(data or {})
        if token:
            sent["token"] = form_token(self.world.registry.desk_secret, self.client.cookies[COOKIE])
        return self.client.post(path, data=sent, **more)

    def sign(self, path: str, change: int, **data):
        """Post an act that is signed: the digest that the page shows, and a code."""
        shown = re.search(r'name="digest" value="([0-9a-f]{64})"', self.get(f"/requests/{change}").text)
        self.world.clock.forward(seconds=30)
        given = {"digest": shown[1] if shown else self.world.digest(change), "code": self.world.code(self.username)}
        return self.post(f"/requests/{change}/{path}", {**given, **data})

    def api(self, method: str, path: str, **more):
        return self.client.request(method, f"/api/v1{path}", **more)


@dataclass
class World:
    data: Path
    store: Store
    office: Office
    registry: Registry
    clock: Clock
    live: Live
    log: Log
    services: Services
    app: object
    secrets: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    browsers: dict[str, Browser] = field(default_factory=dict)

    def code(self, username: str) -> str:
        return pyotp.TOTP(self.secrets[username]).at(self.clock.at)

    def browser(self, username: str) -> Browser:
        if username not in self.browsers:
            self.browsers[username] = Browser(self, username)
        return self.browsers[username]

    def stranger(self) -> Browser:
        return Browser(self)

    def enrol(self, username: str, log: str, roles: Sequence[str], by: str | None = None) -> None:
        with self.store.write() as session:
            if by:
                cookie = self.cookie(by)
                head = self.registry.signed_in(session, cookie)
                signer = self.registry.signer(session, cookie, log)
                sign = partial(signer.sign, "invite", log)
                code = self.registry.invite(session, log, username.title(), roles, by=head, sign=sign)
            else:
                code = self.registry.invite(session, log, username.title(), roles, by=None)
            secret = self.secrets.setdefault(username, pyotp.random_base32())
            self.registry.enrol(session, code, username, PASSWORD, secret)

    def cookie(self, username: str) -> str:
        if username not in self.cookies:
            self.clock.forward(seconds=30)
            with self.store.write() as session:
                self.cookies[username] = self.registry.sign_in(session, username, PASSWORD, self.code(username))
        return self.cookies[username]

    def ask(self, username: str = "adam", wish=None, reason: str = "for a class debate", log: str = "oakfield") -> int:
        wish = wish or SiteWish("crazygames.com", Action.ALLOW, ("ks2",))
        with self.store.write() as session:
            who = self.registry.signed_in(session, self.cookie(username))
            return self.office.request(session, log, wish, by=who, reason=reason).id

    def digest(self, change: int) -> str:
        with self.store.read() as session:
            return digest(session.get_one(ChangeRow, change).diff)

    def state(self, change: int) -> str:
        with self.store.read() as session:
            return session.get_one(ChangeRow, change).state

    def access(self, **where: str) -> list[AccessRow]:
        with self.store.read() as session:
            return list(session.query(AccessRow).filter_by(**where).order_by(AccessRow.id))

    def publish(self) -> None:
        with self.store.write() as session:
            publish(session, self.office.key, self.data)

    def list_version(self, category: str, text: str, list_id: str = "") -> lists.ListVersion:
        source = self.data / f"{category}.src"
        source.write_text(text)
        folder = self.data / "lists"
        version, _ = lists.store(
            folder, source, list_id=list_id or f"own-{category}", category=category, format="domains", at=self.clock.at
        )
        return version

    def workers(self, count: int = 2) -> None:
        """Let workers take up what was published, as the real ones do a few times a second."""
        for n in range(count):
            Live(self.data, f"dns-{n}")

    def event(self, ago: float = 3600, **said) -> Event:
        """A blocked page of Oakfield's juniors, some seconds ago, unless said otherwise."""
        usual = {"kind": Kind.PAGE, "school": "oakfield", "group": "ks2", "address": "127.10.2.7", "host": "crazygames.com"}
        usual |= {"path": "/", "action": "block", "reason": "phase_default", "category": "games"}
        return Event(at=self.clock.at.timestamp() - ago, **{**usual, **said})

    def events(self, *some: Event) -> None:
        position = max((spool.position[1] for spool in self.log.spools().values()), default=0)
        self.log.append(list(some), {"test": (1, position + 1)})


@pytest.fixture(scope="session")
def shipped(tmp_path_factory) -> tuple[Path, str]:
    """A small dictionary with a few lists, compiled once for all tests."""
    data = tmp_path_factory.mktemp("dictionary")
    dictionaries = Dictionaries(data)
    texts = (taxonomy.load().to_json(), search_engines.load().to_json())
    named = dictionaries._compile([], None, (*map(dictionaries.objects.put, texts), ""))
    for category, text in LISTS.items():
        source = data / f"{category}.src"
        source.write_text(text)
        version, _ = lists.store(
            data / "lists",
            source,
            list_id=f"own-{category}",
            category=category,
            format="domains",
            at=datetime(2026, 11, 1, tzinfo=UTC),
        )
        named = dictionaries.with_list(named, version)
    return data, named


def found(data: Path, dictionary: str, now) -> tuple[Store, Office, Registry]:
    """A new installation, with nobody in it yet."""
    store = Store(f"sqlite:///{data}/desk.sqlite3")
    store.migrate()
    office = Office(AuthorityKey.create(data, "birchwood"), Dictionaries(data), now)
    authority = AuthorityPolicy(
        "birchwood",
        "Birchwood",
        dictionary,
        category_rules=(CategoryRule("malware", "malware_phishing", Action.BLOCK, 0, mandatory=True),),
    )
    groups = {
        "oakfield": (Group("ks1", "Years 1-2", "ks1"), Group("ks2", "Years 3-6", "ks2"), Group("staff", "Staff", "staff")),
        "hillview": (Group("ks3", "Years 7-9", "ks3"), Group("ks4", "Years 10-11", "ks4"), Group("staff", "Staff", "staff")),
    }
    with store.write() as session:
        founding.found_authority(office, session, authority)
        for school, name, prefix in (
            ("oakfield", "Oakfield Primary", "127.10.2.0/24"),
            ("hillview", "Hillview Academy", "127.20.3.0/24"),
        ):
            founding.found_school(
                office,
                session,
                SchoolPolicy(
                    school,
                    name,
                    digest(write(authority)),
                    dictionary,
                    groups=groups[school],
                    networks=(Network("n-first", groups[school][1].id, prefix),),
                ),
            )
    return store, office, Registry(office, b"d" * 32)


@pytest.fixture(scope="session")
def built(tmp_path_factory, shipped) -> tuple[Path, dict[str, str]]:
    """One installation with its people, made once: enrolling costs a second or two. Each test gets a copy."""
    folder, dictionary = shipped
    data = tmp_path_factory.mktemp("built")
    link(data, folder)
    clock = Clock()
    store, office, registry = found(data, dictionary, clock)
    world = World(data, store, office, registry, clock, None, None, None, None)
    for username, log, roles, by in PEOPLE:
        world.enrol(username, log, roles, by)
    world.publish()
    store.close()
    return data, world.secrets


def link(data: Path, folder: Path) -> None:
    shutil.copytree(folder / "objects", data / "objects")
    shutil.copytree(folder / "lists", data / "lists")


def opened(data: Path, secrets: dict[str, str]) -> World:
    """The desk over an installation that is there."""
    clock = Clock(datetime(2026, 11, 20, 10, 5, tzinfo=UTC))
    store = Store(f"sqlite:///{data}/desk.sqlite3")
    office = Office(AuthorityKey.load(data), Dictionaries(data), clock)
    registry = Registry(office, b"d" * 32)
    live, log = Live(data), Log(f"sqlite:///{data}/log.sqlite3")
    services = Services(
        store=store,
        office=office,
        registry=registry,
        live=live,
        log=log,
        data=data,
        public_url=URL,
        workers_expected=2,
        patience=0,
        attempts=Attempts(now=lambda: clock.at.timestamp()),  # noqa: PLW0108 - `at` moves
    )
    made = World(data, store, office, registry, clock, live, log, services, create_app(services), dict(secrets))
    made.workers()
    return made


def closed(world: World) -> None:
    for browser in world.browsers.values():
        browser.client.close()
    world.services.counts.close()
    world.log.close()
    world.store.close()


@pytest.fixture
def world(tmp_path, built) -> Iterator[World]:
    source, secrets = built
    shutil.copytree(source, tmp_path / "data")
    made = opened(tmp_path / "data", secrets)
    yield made
    closed(made)


@pytest.fixture
def empty_world(tmp_path, shipped) -> Iterator[World]:
    """An installation in which nobody is enrolled yet."""
    folder, dictionary = shipped
    data = tmp_path / "data"
    data.mkdir()
    link(data, folder)
    store, office, _ = found(data, dictionary, Clock())
    with store.write() as session:
        publish(session, office.key, data)
    store.close()
    made = opened(data, {})
    yield made
    closed(made)
