"""`schoolgate code`: a new one-time code for a school's first people."""

import argparse

from appliance.commands.init import tell
from appliance.commands.words import config_of, data_option
from appliance.founding import open_installation


def words(parser: argparse.ArgumentParser) -> None:
    data_option(parser)
    parser.add_argument("--school", required=True, metavar="ID", help="the school's short name, or the authority's")
    parser.add_argument("--role", default="headteacher", help="headteacher or la_officer")
    parser.add_argument("--name", default="The headteacher", help="the person's name")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    config = config_of(given)
    with open_installation(config.data, config.desk_database) as founded, founded.store.write() as session:
        code = founded.registry.invite(session, given.school, given.name, [given.role], by=None)
    tell({f"{given.role.replace('_', ' ')} of {given.school} ({given.name})": code}, config.desk_url)
    return 0
