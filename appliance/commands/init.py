"""`schoolgate init`: begin a real installation. It prints the one-time codes by which the first people enrol at the desk."""

import argparse
from ipaddress import ip_network

from sqlalchemy.orm import Session

from appliance.commands.words import WrongWords, config_of, data_option
from appliance.founding import (
    USUAL_GROUPS,
    Founded,
    create_installation,
    found_authority,
    found_school,
    identifier,
)
from policy.rules import AuthorityPolicy, Network


def words(parser: argparse.ArgumentParser) -> None:
    data_option(parser)
    parser.add_argument("--authority", metavar="NAME", help="the local authority or trust, such as 'Birchwood Council'")
    school_words(parser)
    parser.set_defaults(run=run)


def school_words(parser: argparse.ArgumentParser) -> None:
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
    networks = networks_of(words)
    authority_id = short("--authority", words.authority)
    if short("--school", words.school) == authority_id:
        raise WrongWords(f"--school {words.school!r}: the authority has this name; a school needs one of its own")
    with create_installation(config.data, config.desk_database, authority_id) as founded:
        with founded.store.write() as session:
            authority = found_authority(founded, session, words.authority)
            officer = founded.registry.invite(session, authority.log, words.officer, ["la_officer"], by=None)
            codes = {f"LA officer of {authority.name} ({words.officer})": officer} | found(
                founded, session, authority, words, networks
            )
        founded.publish()
    tell(codes, config.desk_url)
    return 0


def short(word: str, name: str) -> str:
    """The short name, found wanting before anything is written."""
    try:
        name.encode()
        return identifier(name)
    except ValueError as error:
        raise WrongWords(f"{word}: {error}") from None


def networks_of(words: argparse.Namespace) -> list[Network]:
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


def found(
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


def tell(codes: dict[str, str], desk: str) -> None:
    print("One-time codes, valid for seven days. Give each to the person it is for, and to nobody else:\n")
    for who, code in codes.items():
        print(f"  {code}  {who}")
    print(f"\nThey enrol at {desk}/enrol once `schoolgate up` runs. The LA officer enrols before the headteacher does.")
