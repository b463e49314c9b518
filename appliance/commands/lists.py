"""`schoolgate lists`: take lists in, say what is known of a name."""

import argparse
import json
from dataclasses import asdict

from appliance.commands import evaluating, lists_feeds, lists_import, lists_status, scoring
from appliance.commands.words import WrongWords, data_option
from category_lists import rationale, taxonomy
from category_lists.classifier import NOTHING
from category_lists.names import canonical_site
from category_lists.weigh import set_aside
from policy.live import Live
from policy.snapshot import LoadedDictionary


def words(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(
        dest="what", required=True, metavar="import|update|status|lookup|diff|evaluate|score|...", parser_class=type(parser)
    )
    lists_import.add(kinds)
    lists_feeds.add(kinds)
    look = kinds.add_parser("lookup", help="what is this name, and which list says so?")
    look.add_argument("names", metavar="NAME", nargs="+")
    look.add_argument("--school", help="by this school's dictionary (default: the authority's)")
    look.add_argument("--json", action="store_true")
    data_option(look, config=False)
    look.set_defaults(run=run_lookup)
    status = kinds.add_parser("status", help="the lists in force, with their versions")
    status.add_argument("--json", action="store_true")
    status.add_argument("--school")
    data_option(status, config=False)
    status.set_defaults(run=run_status)
    told = kinds.add_parser("categories", help="what each category covers, why, and what each age gets: to be published")
    told.add_argument("--json", action="store_true")
    told.set_defaults(run=run_categories)
    judged = kinds.add_parser("evaluate", help="judge labelled names: block rate, over-blocking, which list was wrong")
    evaluating.words(judged)
    scored = kinds.add_parser("score", help="what are these texts about, by the phrase sets? One text a line")
    scoring.words(scored)


def run_lookup(words: argparse.Namespace) -> int:
    snapshot = Live(words.data).snapshot
    document = snapshot.schools.get(words.school) if words.school else snapshot.authority
    if document is None:
        raise WrongWords(f"there is no school {words.school!r}; there are: {', '.join(sorted(snapshot.schools))}")
    dictionary = snapshot.dictionaries[document.dictionary]
    known = [_look_up(dictionary, name, as_json=words.json) for name in words.names]
    return 0 if all(known) else 1


def _look_up(dictionary: LoadedDictionary, asked: str, *, as_json: bool) -> bool:
    """Print what is known of one name; whether a list knows it."""
    site = canonical_site(asked)
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
    guess = dictionary.model.guess(site.host) if dictionary.model and not matches else NOTHING
    if as_json:
        told = {"asked": asked, "name": str(site), "matches": found, "proposed": [asdict(one) for one in guess.proposals]}
        print(json.dumps(told | {"generated": guess.generated}))
    elif not found:
        likely = ", ".join(
            f"{dictionary.taxonomy.categories[one.category].name} ({one.probability:.0%})" for one in guess.proposals
        )
        made = "; it seems to be made up by a program" if guess.generated else ""
        print(f"{site}: no list knows it{f'; by its letters it may be {likely}' if likely else ''}{made}")
    else:
        for one in found:
            name = dictionary.taxonomy.categories[str(one["category"])].name
            aside = (
                "; set aside, because our own lists, a list that vouches or the name itself say otherwise"
                if one["set_aside"]
                else ""
            )
            print(f"{site}: {name}, says {one['list']} ({one['version']}) by {one['entry']}{aside}")
    return bool(found)


def run_categories(words: argparse.Namespace) -> int:
    """The categories that ship, explained: a school's published statement of what it filters and why."""
    explained = rationale.load()
    categories = taxonomy.load().categories.values()
    if words.json:
        told = [
            {
                "id": one.id,
                "name": one.name,
                "sentence": one.sentence,
                "locked": one.locked,
                "phases": dict(one.phases),
                **asdict(explained[one.id]),
            }
            for one in categories
        ]
        print(json.dumps({"categories": told, "over_blocking": rationale.OVER_BLOCKING}, ensure_ascii=False))
        return 0
    for one in categories:
        why = explained[one.id]
        print(f"{one.name} ({one.id}){', locked' if one.locked else ''}\n  {one.sentence}\n  Covers: {why.covers}")
        print(f"  Does not cover: {why.leaves_out}\n  Evidence: {why.evidence}\n  Answers to: {'; '.join(why.answers_to)}")
        print(f"  {', '.join(f'{phase} {action}' for phase, action in one.phases.items())}\n")
    print(f"How over-blocking is avoided: {rationale.OVER_BLOCKING}")
    return 0


def run_status(words: argparse.Namespace) -> int:
    snapshot = Live(words.data).snapshot
    document = snapshot.schools.get(words.school) if words.school else snapshot.authority
    if document is None:
        raise WrongWords(f"there is no school {words.school!r}; there are: {', '.join(sorted(snapshot.schools))}")
    told = lists_status.status(words.data, document, snapshot.dictionaries[document.dictionary].index.shared())
    if words.json:
        print(json.dumps(told.as_json()))
        return 0
    print("\n".join(told.as_lines()))
    return 0
