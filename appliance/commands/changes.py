"""`schoolgate changes`: does the change log agree with itself, with the tables and with what is in force?"""

import argparse
from pathlib import Path

from appliance.commands.words import WrongWords, config_of, data_option
from appliance.founding import open_installation
from change_control import standalone
from change_control.offline import Export, check_key, fingerprint, verify_text, witness_lines
from change_control.replay import DoesNotAgree
from change_control.verify import export_logs, verify_installation, witnessed, write_export
from change_control.witness import Witness
from policy.live import Trust


def words(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="what", required=True, metavar="verify|export|key", parser_class=type(parser))
    verify = kinds.add_parser(
        "verify", help="replay every entry, signature and proof; name the first thing that does not agree"
    )
    verify.add_argument("export", nargs="?", type=Path, metavar="EXPORT", help="a file made by `changes export`")
    verify.add_argument("--key", default="", metavar="FINGERPRINT", help="the authority's key, as the authority told you")
    verify.add_argument(
        "--witness",
        action="append",
        default=[],
        metavar="KEY",
        help="the key of a witness, to tell which of them vouch; repeat",
    )
    data_option(verify)
    verify.set_defaults(run=run_verify)
    export = kinds.add_parser("export", help="write all change logs to a file that can be verified elsewhere")
    export.add_argument("file", type=Path, metavar="FILE")
    data_option(export)
    export.set_defaults(run=run_export)
    key = kinds.add_parser("key", help="the fingerprint of the authority's key, to be told to whoever verifies")
    data_option(key)
    key.set_defaults(run=run_key)


def run_verify(given: argparse.Namespace) -> int:
    try:
        witnesses = [Witness.read(one) for one in given.witness]
    except ValueError as error:
        raise WrongWords(str(error)) from None
    try:
        if given.export:
            said = verify_text(given.export.read_text(encoding="utf-8", errors="replace"), given.key, witnesses)
        else:
            said = _installation(given, witnesses)
    except DoesNotAgree as error:
        raise ValueError(f"does not agree: {error}") from None
    print("\n".join(said))
    return 0


def _installation(given: argparse.Namespace, witnesses: list[Witness]) -> list[str]:
    config = config_of(given)
    with open_installation(config.data, config.desk_database) as founded, founded.store.read() as session:
        trust = Trust.load(config.data)
        check_key(Export(trust.authority, trust.public, (), ()), given.key)
        said = [one.said for one in verify_installation(session, config.data)]
        return [*said, *witness_lines(export_logs(session, witnessed(config.data)), witnesses)]


def run_key(given: argparse.Namespace) -> int:
    trust = Trust.load(config_of(given).data)
    print(f"{trust.authority}: {fingerprint(trust.public)}")
    return 0


def run_export(words: argparse.Namespace) -> int:
    config = config_of(words)
    with open_installation(config.data, config.desk_database) as founded, founded.store.read() as session:
        words.file.write_text(write_export(session, Trust.load(config.data), witnessed(config.data)), encoding="utf-8")
    verifier = words.file.with_name(standalone.NAME)
    verifier.write_text(standalone.text(), encoding="utf-8")
    print(f"written to {words.file}; check it with `schoolgate changes verify {words.file}`,")
    print(f"or on a machine without Schoolgate with `python3 {verifier} {words.file}`")
    return 0
