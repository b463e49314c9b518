"""`schoolgate add-school`: a further school in an installation that is there."""

import argparse

from appliance.commands.init import found, networks_of, school_words, short, tell
from appliance.commands.words import WrongWords, config_of, data_option
from appliance.founding import open_installation
from policy.rules import AuthorityPolicy, read


def words(parser: argparse.ArgumentParser) -> None:
    data_option(parser)
    school_words(parser)
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    if not given.school:
        raise WrongWords("add-school needs --school NAME")
    config = config_of(given)
    short("--school", given.school)
    networks = networks_of(given)
    with open_installation(config.data, config.desk_database) as founded:
        with founded.store.write() as session:
            force = founded.office.book(session, founded.office.key.authority).in_force()
            if force is None:
                raise LookupError("the authority has no policy yet")
            codes = found(founded, session, read(AuthorityPolicy, force.text), given, networks)
        founded.publish()
    tell(codes, config.desk_url)
    return 0
