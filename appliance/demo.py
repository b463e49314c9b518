"""The demonstration: Birchwood, an authority of two schools on loopback, whose people's passwords lie in a file.

Everything in it is real (logs, signatures, traffic); only the people are made up, and their secrets are known, which is why
it refuses to listen beyond this machine.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pyotp
import yaml
from sqlalchemy.orm import Session

from appliance.config import Config, on_loopback_only
from appliance.founding import Founded, begun, create_installation, found_authority, found_school, open_installation
from appliance.ports import is_free
from change_control.changes import CategoryWish, SiteWish
from change_control.service import Person
from policy.live import write_aside
from policy.proof import digest
from policy.rules import Action, AuthorityPolicy, Network

AUTHORITY, AUTHORITY_NAME = "birchwood", "Birchwood"
SCHOOLS: dict[str, tuple[str, dict[str, str]]] = {
    "oakfield": ("Oakfield Primary", {"ks1": "127.10.1.0/24", "ks2": "127.10.2.0/24", "staff": "127.10.9.0/24"}),
    "hillview": (
        "Hillview Academy",
        {
            "ks3": "127.20.3.0/24",
            "ks4": "127.20.4.0/24",
            "sixth-form": "127.20.5.0/24",
            "staff": "127.20.9.0/24",
            "guest": "127.20.10.0/24",
        },
    ),
}
PEOPLE: dict[str, dict[str, tuple[str, tuple[str, ...]]]] = {
    "oakfield": {
        "head": ("Helen Ward", ("headteacher",)),
        "deputy": ("Dora Lane", ("deputy",)),
        "dsl": ("Sam Okafor", ("dsl",)),
        "coordinator": ("Olivia Price", ("online_safety_coordinator",)),
        "technician": ("Tom Birch", ("technician",)),
        "teacher": ("Adam Reed", ("teacher",)),
        "governor": ("Grace Hill", ("governor",)),
        "chair": ("Colin Marsh", ("chair_of_governors",)),
    },
    "hillview": {
        "head": ("Harriet Stone", ("headteacher",)),
        "deputy": ("Daniel Frost", ("deputy",)),
        "dsl": ("Simone Clarke", ("dsl",)),
        "coordinator": ("Omar Said", ("online_safety_coordinator",)),
        "technician": ("Tess Wood", ("technician",)),
        "teacher": ("Anna Bell", ("teacher",)),
        "governor": ("George Pitt", ("governor",)),
        "chair": ("Clare Young", ("chair_of_governors",)),
    },
}
OFFICER = ("birchwood-officer", "Laura Finch")
FIRST_GROUP_PORT = 8081
FIXED_DNS_PORT, DOT_PORT, DOH_PORT = 5300, 8530, 8531


@dataclass(frozen=True, slots=True)
class Account:
    """One line of demo-accounts.yaml."""

    username: str
    password: str
    totp_secret: str
    role: str
    school: str
    name: str


def group_listeners(config: Config) -> Config:
    """One proxy listener a group, since a browser cannot choose its source address."""
    on_loopback_only(config)
    host, port = config.proxy.listen[0]
    fixed = port == 8080
    groups = [f"{school}/{group}" for school, (_, networks) in SCHOOLS.items() for group in networks]
    listeners = tuple((name, host, FIRST_GROUP_PORT + n if fixed else 0) for n, name in enumerate(groups))
    return replace(config, group_listeners=listeners)


def encrypted_dns(config: Config) -> Config:
    """DNS over TLS and HTTPS beside the fixed ports, where these are free and nothing else was configured."""
    host, port = config.dns.listen[0]
    fixed = port == FIXED_DNS_PORT and not config.dns.dot_listen and not config.dns.doh_listen
    if not fixed or not is_free(host, DOT_PORT) or not is_free(host, DOH_PORT):
        return config
    return replace(config, dns=replace(config.dns, dot_listen=((host, DOT_PORT),), doh_listen=((host, DOH_PORT),)))


def accounts_file(data: Path) -> Path:
    return data / "demo-accounts.yaml"


def ensure(config: Config) -> Founded:
    """The demonstration's installation: made at the first start, kept at every other."""
    if (config.data / "trust" / "authority.json").exists():
        founded = open_installation(config.data, config.desk_database)
    else:
        founded = create_installation(config.data, config.desk_database, AUTHORITY)
    with founded.store.read() as session:
        if begun(session):
            return founded
    accounts = _accounts()
    text = yaml.safe_dump([_plain(account) for account in accounts], sort_keys=False)
    write_aside(accounts_file(config.data), text.encode(), mode=0o600)
    with founded.store.write() as session:
        _fill(founded, session, accounts)
    return founded


def _plain(account: Account) -> dict[str, str]:
    return {
        "username": account.username,
        "password": account.password,
        "totp_secret": account.totp_secret,
        "role": account.role,
        "school": account.school,
    }


def _accounts() -> list[Account]:
    def made(username: str, name: str, role: str, school: str) -> Account:
        return Account(username, secrets.token_urlsafe(12), pyotp.random_base32(), role, school, name)

    found = [made(OFFICER[0], OFFICER[1], "la_officer", AUTHORITY)]
    for school, people in PEOPLE.items():
        found += [made(f"{school}-{key}", name, roles[0], school) for key, (name, roles) in people.items()]
    return found


def _fill(founded: Founded, session: Session, accounts: Sequence[Account]) -> None:
    authority = found_authority(founded, session, AUTHORITY_NAME)
    officer = accounts[0]
    _enrol(founded, session, AUTHORITY, officer)
    _mandate(founded, session, AUTHORITY, officer)
    for school, (name, networks) in SCHOOLS.items():
        _school(founded, session, authority, school, name, networks)
        _enrol(founded, session, school, officer)
        mine = [account for account in accounts if account.school == school]
        head = mine[0]
        _enrol(founded, session, school, head)
        for account in mine[1:]:
            _enrol(founded, session, school, account, by=head)
        _mandate(founded, session, school, head)
    _first_rules(founded, session, {account.username: account for account in accounts})


def _school(
    founded: Founded, session: Session, authority: AuthorityPolicy, school: str, name: str, networks: dict[str, str]
) -> None:
    found_school(
        founded,
        session,
        authority,
        school=school,
        name=name,
        phases=tuple(networks),
        networks=[
            *(Network(f"n-{group}", group, prefix) for group, prefix in networks.items()),
            *(Network(f"p-{group}", group, "127.0.0.0/8", f"{school}/{group}") for group in networks),
            *(Network(f"h-{group}", group, "127.0.0.0/8", f"doh:{school}/{group}") for group in networks),
            *(Network(f"t-{group}", group, "127.0.0.0/8", f"dot:{school}-{group}") for group in networks),
        ],
    )


def _signed_in(founded: Founded, session: Session, account: Account) -> tuple[Person, str]:
    """The made-up person at the desk."""
    cookie = founded.registry.sign_in(session, account.username, account.password, None)
    person = founded.registry.signed_in(session, cookie)
    if person is None:
        raise LookupError(account.username)
    return person, cookie


def _enrol(founded: Founded, session: Session, log: str, account: Account, by: Account | None = None) -> None:
    registry = founded.registry
    if by is None:
        code = registry.invite(session, log, account.name, [account.role], by=None)
    else:
        head, cookie = _signed_in(founded, session, by)
        signer = registry.signer(session, cookie, log)
        code = registry.invite(
            session, log, account.name, [account.role], by=head, sign=lambda terms: signer.sign("invite", log, terms)
        )
        registry.sign_out(session, cookie)
    registry.enrol(session, code, account.username, account.password, account.totp_secret)


def _mandate(founded: Founded, session: Session, log: str, account: Account) -> None:
    """The standing mandate that `schoolgate lists import` needs."""
    head, cookie = _signed_in(founded, session, account)
    signer = founded.registry.signer(session, cookie, log)
    founded.office.sign_mandate(
        session,
        log,
        head,
        lambda terms: signer.sign("mandate", log, terms),
        kinds=["dictionary"],
        roles=["technician", "la_officer"],
        until=founded.office.now() + timedelta(days=365),
    )
    founded.registry.sign_out(session, cookie)


def _first_rules(founded: Founded, session: Session, accounts: dict[str, Account]) -> None:
    """A few changes with their history, so that no page of the demonstration is empty."""
    wishes: list[tuple[str, SiteWish | CategoryWish, str]] = [
        (
            "hillview",
            SiteWish("reddit.com/r/askscience", Action.ALLOW, ("sixth-form",)),
            "Chemistry: questions to working scientists",
        ),
        (
            "hillview",
            CategoryWish("games", Action.WARN, ("sixth-form",)),
            "Sixth-formers may choose to play in their free periods",
        ),
        ("oakfield", SiteWish("scratch.mit.edu", Action.ALLOW, ("ks2",)), "Computing: Scratch projects in Years 5 and 6"),
    ]
    for school, wish, reason in wishes:
        teacher, teacher_cookie = _signed_in(founded, session, accounts[f"{school}-teacher"])
        row = founded.office.request(session, school, wish, by=teacher, reason=reason)
        head, cookie = _signed_in(founded, session, accounts[f"{school}-head"])
        founded.office.approve(session, row, head, founded.registry.signer(session, cookie, school), digest(row.diff))
        founded.registry.sign_out(session, cookie)
        founded.registry.sign_out(session, teacher_cookie)


WELCOME = """
Schoolgate, the demonstration of Birchwood's two schools. Nothing here can be reached from another machine.

Try this in another terminal:
  dig @{dns_host} -p {dns_port} -b 127.10.2.5 poki.com +short        a pupil of Oakfield, Years 3-6: blocked
  dig @{dns_host} -p {dns_port} -b 127.20.9.5 poki.com +short        a member of staff of Hillview: asks the resolvers
  curl --interface 127.20.3.5 -x http://{proxy} http://poki.com/     the block page of Hillview, Years 7-9
  {command} explain poki.com --school hillview --group ks3 --data {data}

In a browser: set the proxy of a group, trust the certificate, open any page.
{groups}
  {encrypted}
  certificate to trust: {ca}

The desk: {admin} (under the same certificate)
  people and their passwords: {accounts}; the second factor of anyone:
  {python} -c "import pyotp; print(pyotp.TOTP('TOTP_SECRET').now())"
  hillview-head approves, hillview-teacher asks, hillview-coordinator reads the filter log.

Ctrl-C stops it. What it stored stays in {data}.
"""
