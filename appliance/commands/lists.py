"""`schoolgate lists`: take lists in, say what is known of a name."""

import argparse
import json

from appliance.commands import evaluating, lists_feeds, lists_import, lists_status, scoring
from appliance.commands.words import WrongWords, data_option
from category_lists.names import canonical_site
from category_lists.weigh import set_aside
from policy.live import Live


def words(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(
        dest="what", required=True, metavar="import|update|status|lookup|evaluate|score|...", parser_class=type(parser)
    )
    lists_import.add(kinds)
    lists_feeds.add(kinds)
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
    told = lists_status.status(words.data, document)
    if words.json:
        print(json.dumps(told.as_json()))
        return 0
    print("\n".join(told.as_lines()))
    return 0
