"""`schoolgate init`: begin a real installation. It prints the one-time codes by which the first people enrol at the desk."""

import argparse
from ipaddress import ip_network

from sqlalchemy.orm import Session

from appliance.commands.words import Parsers, WrongWords, config_of, data_option
from appliance.founding import (
    USUAL_GROUPS,
    Founded,
    create_installation,
    found_authority,
    found_school,
    identifier,
    open_installation,
)
from policy.rules import AuthorityPolicy, Network, read


def add(parsers: Parsers) -> None:
    parser = parsers.add_parser("init", help="begin an installation: authority, school, networks, first people")
    data_option(parser)
    parser.add_argument("--authority", metavar="NAME", help="the local authority or trust, such as 'Birchwood Council'")
    _school_words(parser)
    parser.set_defaults(run=run)
    more = parsers.add_parser("add-school", help="add a further school to an installation")
    data_option(more)
    _school_words(more)
    more.set_defaults(run=run_add_school)
    code = parsers.add_parser(
        "code", help="a new one-time code for a school's first people, before its headteacher has enrolled"
    )
    data_option(code)
    code.add_argument("--school", required=True, metavar="ID", help="the school's short name, or the authority's")
    code.add_argument("--role", default="headteacher", help="headteacher or la_officer")
    code.add_argument("--name", default="The headteacher", help="the person's name")
    code.set_defaults(run=run_code)


def _school_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--school", metavar="NAME", help="the school, such as 'Oakfield Primary'")
    parser.add_argument("--phase", default="primary", choices=sorted(USUAL_GROUPS), help="which groups it begins with")
    parser.add_argument("--head", default="The headteacher", metavar="NAME", help="the headteacher's name")
    parser.add_argument("--officer", default="The LA officer", metavar="NAME", help="the authority's officer")
    parser.add_argument(
        "--network",
        action="append",
        default=[],
        metavar="GROUP=PREFIX",
        help="addresses of a group, such as ks2=10.20.2.0/24; repeat",
    )


def run(words: argparse.Namespace) -> int:
    if not words.authority or not words.school:
        raise WrongWords("init needs --authority NAME and --school NAME")
    config = config_of(words)
    networks = _networks(words)
    authority_id = _short("--authority", words.authority)
    if _short("--school", words.school) == authority_id:
        raise WrongWords(f"--school {words.school!r}: the authority has this name; a school needs one of its own")
    with create_installation(config.data, config.desk_database, authority_id) as founded:
        with founded.store.write() as session:
            authority = found_authority(founded, session, words.authority)
            officer = founded.registry.invite(session, authority.log, words.officer, ["la_officer"], by=None)
            codes = {f"LA officer of {authority.name} ({words.officer})": officer} | _found(
                founded, session, authority, words, networks
            )
        founded.publish()
    _tell(codes, config.desk_url)
    return 0


def run_add_school(words: argparse.Namespace) -> int:
    if not words.school:
        raise WrongWords("add-school needs --school NAME")
    _short("--school", words.school)
    config = config_of(words)
    networks = _networks(words)
    with open_installation(config.data, config.desk_database) as founded:
        with founded.store.write() as session:
            force = founded.office.book(session, founded.office.key.authority).in_force()
            if force is None:
                raise LookupError("the authority has no policy yet")
            codes = _found(founded, session, read(AuthorityPolicy, force.text), words, networks)
        founded.publish()
    _tell(codes, config.desk_url)
    return 0


def run_code(words: argparse.Namespace) -> int:
    config = config_of(words)
    with open_installation(config.data, config.desk_database) as founded, founded.store.write() as session:
        code = founded.registry.invite(session, words.school, words.name, [words.role], by=None)
    _tell({f"{words.role.replace('_', ' ')} of {words.school} ({words.name})": code}, config.desk_url)
    return 0


def _short(word: str, name: str) -> str:
    """The short name, found wanting before anything is written."""
    try:
        name.encode()
        return identifier(name)
    except ValueError as error:
        raise WrongWords(f"{word}: {error}") from None


def _networks(words: argparse.Namespace) -> list[Network]:
    found = []
    for number, text in enumerate(words.network, 1):
        group, equals, prefix = text.partition("=")
        if not equals or group not in USUAL_GROUPS[words.phase]:
            raise WrongWords(
                f"--network {text!r}: GROUP=PREFIX is expected, with a group of {', '.join(USUAL_GROUPS[words.phase])}"
            )
        try:
            found.append(Network(f"n-{number}", group, str(ip_network(prefix))))
        except ValueError as error:
            raise WrongWords(f"--network {text!r}: {error}") from None
        if found[-1].prefix in {network.prefix for network in found[:-1]}:
            raise WrongWords(f"--network {text!r}: these addresses have a group already")
    return found


def _found(
    founded: Founded, session: Session, authority: AuthorityPolicy, words: argparse.Namespace, networks: list[Network]
) -> dict[str, str]:
    school = identifier(words.school)
    found_school(
        founded, session, authority, school=school, name=words.school, phases=USUAL_GROUPS[words.phase], networks=networks
    )
    return {
        f"headteacher of {words.school} ({words.head})": founded.registry.invite(
            session, school, words.head, ["headteacher"], by=None
        ),
        f"LA officer as second person at {words.school} ({words.officer})": founded.registry.invite(
            session, school, words.officer, ["la_officer"], by=None
        ),
    }


def _tell(codes: dict[str, str], desk: str) -> None:
    print("One-time codes, valid for seven days. Give each to the person it is for, and to nobody else:\n")
    for who, code in codes.items():
        print(f"  {code}  {who}")
    print(f"\nThey enrol at {desk}/enrol once `schoolgate up` runs. The LA officer enrols before the headteacher does.")
