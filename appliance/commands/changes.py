"""`schoolgate changes`: does the change log agree with itself, with the tables and with what is in force?"""

import argparse
from pathlib import Path

from appliance.commands.words import config_of, data_option
from appliance.founding import open_installation
from change_control.verify import DoesNotAgree, Replayed, verify_export, verify_installation, write_export
from policy.live import Trust


def words(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="what", required=True, metavar="verify|export", parser_class=type(parser))
    verify = kinds.add_parser(
        "verify", help="replay every entry, signature and proof; name the first thing that does not agree"
    )
    verify.add_argument("export", nargs="?", type=Path, metavar="EXPORT", help="a file made by `changes export`")
    data_option(verify)
    verify.set_defaults(run=run_verify)
    export = kinds.add_parser("export", help="write all change logs to a file that can be verified elsewhere")
    export.add_argument("file", type=Path, metavar="FILE")
    data_option(export)
    export.set_defaults(run=run_export)


def run_verify(words: argparse.Namespace) -> int:
    try:
        if words.export:
            replayed = verify_export(words.export.read_text(encoding="utf-8", errors="replace"))
        else:
            config = config_of(words)
            with open_installation(config.data, config.desk_database) as founded, founded.store.read() as session:
                replayed = verify_installation(session, config.data)
    except DoesNotAgree as error:
        raise ValueError(f"does not agree: {error}") from None
    _tell(replayed)
    return 0


def _tell(replayed: list[Replayed]) -> None:
    for one in replayed:
        many = "its 1 entry agrees" if one.size == 1 else f"all {one.size} entries agree"
        print(f"{one.log}: {many} with the signatures, the proofs and the policy in force")
    print("No witness co-signs these logs yet, so whoever rules this machine could roll all of it back together.")


def run_export(words: argparse.Namespace) -> int:
    config = config_of(words)
    with open_installation(config.data, config.desk_database) as founded, founded.store.read() as session:
        words.file.write_text(write_export(session, Trust.load(config.data)), encoding="utf-8")
    print(f"written to {words.file}; check it with `schoolgate changes verify {words.file}`")
    return 0
