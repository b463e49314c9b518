"""`schoolgate lists`: take lists in, say what is known of a name."""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select

from appliance.commands import evaluating, scoring
from appliance.commands.words import WrongWords, config_of, data_option
from appliance.founding import Founded, open_installation
from category_lists.lists import ListVersion, store
from category_lists.names import canonical_site
from category_lists.parsers import FORMATS
from category_lists.weigh import CURATED, curated, set_aside
from change_control.changes import InForceAlready
from change_control.tables import LogRow
from policy.live import Live, Objects
from policy.rules import Dictionary, read


def words(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(
        dest="what", required=True, metavar="import|lookup|status|evaluate|score", parser_class=type(parser)
    )
    take = kinds.add_parser("import", help="take a list in, under a standing mandate or as a request to the headteacher")
    take.add_argument("file", type=Path, metavar="FILE", help="the list (for ut1 also a category's folder)")
    take.add_argument("--format", required=True, choices=FORMATS)
    take.add_argument("--category", required=True, help="the category of its names, such as gambling")
    take.add_argument("--id", help="the list's name (default: from the file's)")
    data_option(take)
    take.set_defaults(run=run_import)
    look = kinds.add_parser("lookup", help="what is this name, and which list says so?")
    look.add_argument("name", metavar="NAME")
    look.add_argument("--school", help="by this school's dictionary (default: the authority's)")
    look.add_argument("--json", action="store_true")
    data_option(look, config=False)
    look.set_defaults(run=run_lookup)
    status = kinds.add_parser("status", help="the lists in force, with their versions")
    status.add_argument("--json", action="store_true")
    status.add_argument("--school")
    data_option(status, config=False)
    status.set_defaults(run=run_status)
    judged = kinds.add_parser("evaluate", help="judge labelled names: block rate, over-blocking, which list was wrong")
    evaluating.words(judged)
    scored = kinds.add_parser("score", help="what are these texts about, by the phrase sets? One text a line")
    scoring.words(scored)


def _progress(done: int) -> None:
    print(f"\r  {done:,} lines …", end="", file=sys.stderr, flush=True)


def run_import(words: argparse.Namespace) -> int:
    config = config_of(words)
    with open_installation(config.data, config.desk_database) as founded:
        return _import(founded, words)


def _import(founded: Founded, words: argparse.Namespace) -> int:
    office = founded.office
    with founded.store.read() as session:
        force = office.book(session, office.key.authority).in_force()
        if force is None:
            raise LookupError("the authority has no policy yet")
        taxonomy = office.taxonomy(force)
    category = taxonomy.categories.get(words.category)
    if category is None:
        raise WrongWords(f"there is no category {words.category!r}; `schoolgate lists status` names those in use")
    if category.locked:
        raise ValueError(f"{category.name} comes only as a licensed, sealed bundle, not as a list")
    name = words.id or f"{words.file.stem.partition('.')[0].lower()}-{words.category}".replace("_", "-")
    if curated(name):
        raise WrongWords(
            f"names beginning with {CURATED!r} are for the lists that ship with the product; choose another --id"
        )
    interactive = sys.stderr.isatty()
    version, report = store(
        office.dictionaries.lists,
        words.file,
        list_id=name,
        category=words.category,
        format=words.format,
        at=datetime.now(UTC),
        progress=_progress if interactive else None,
    )
    if interactive:
        print(file=sys.stderr)
    lines = "line" if report.refused == 1 else "lines"
    print(f"{name}: {version.entries:,} entries taken, {report.refused:,} {lines} refused, version {version.version}")
    for refused in report.examples:
        print(f"  line {refused.line}: {refused.text}: {refused.why}")
    waiting = _accept(founded, version, report.exceptions)
    for line in waiting:
        print(line)
    return 0


def _accept(founded: Founded, version: ListVersion, exceptions: int) -> list[str]:
    said = []
    with founded.store.read() as session:
        logs = list(session.execute(select(LogRow.id, LogRow.name).order_by(LogRow.tier, LogRow.id)))
    for log, name in logs:
        try:
            with founded.store.write() as session:
                asked = founded.office.accept_list(
                    session, log, version, exceptions, by=None, roles=("technician", "la_officer")
                )
        except InForceAlready as error:  # the others may lack it still
            said.append(f"  {name}: {error}")
            continue
        said.append(
            f"  {name}: in force now as change {asked.change.id}, to be ratified by {asked.change.ratify_by:%-d %B %Y}"
            if asked.in_force and asked.change.ratify_by
            else f"  {name}: change {asked.change.id} waits for approval ({asked.waits_because})"
        )
    founded.publish()
    return said


def run_lookup(words: argparse.Namespace) -> int:
    snapshot = Live(words.data).snapshot
    site = canonical_site(words.name)
    document = snapshot.schools.get(words.school) if words.school else snapshot.authority
    if document is None:
        raise WrongWords(f"there is no school {words.school!r}; there are: {', '.join(sorted(snapshot.schools))}")
    dictionary = snapshot.dictionaries[document.dictionary]
    matches = dictionary.index.find(site.host, site.path)
    outweighed = set_aside(matches, site.host)
    found = [
        {
            "category": match.category,
            "list": match.list_id,
            "version": match.version,
            "entry": match.host + match.path,
            "set_aside": match in outweighed,
        }
        for match in matches
    ]
    if words.json:
        print(json.dumps({"asked": words.name, "name": str(site), "matches": found, "proposed": []}))
    elif not found:
        print(f"{site}: no list knows it")
    else:
        for one in found:
            name = dictionary.taxonomy.categories[str(one["category"])].name
            aside = "; set aside, because our own lists or the name itself say otherwise" if one["set_aside"] else ""
            print(f"{site}: {name}, says {one['list']} ({one['version']}) by {one['entry']}{aside}")
    return 0 if found else 1


def run_status(words: argparse.Namespace) -> int:
    snapshot = Live(words.data).snapshot
    document = snapshot.schools.get(words.school) if words.school else snapshot.authority
    if document is None:
        raise WrongWords(f"there is no school {words.school!r}; there are: {', '.join(sorted(snapshot.schools))}")
    lists = read(Dictionary, Objects(words.data).text(document.dictionary)).lists
    if words.json:
        print(
            json.dumps(
                [{"id": one.id, "category": one.category, "version": one.version, "entries": one.entries} for one in lists]
            )
        )
        return 0
    for one in lists:
        print(f"{one.id:40} {one.category:28} {one.entries:>10,}  {one.version}")
    return 0
