"""`schoolgate lists evaluate`: the lists in force against labelled names. The same `decide` as everywhere."""

import argparse
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, get_args

from appliance.commands.words import WrongWords, data_option
from category_lists.evaluate import Judge, Verdict, evaluate, read_cases, to_fields, to_text
from category_lists.names import canonical_site
from category_lists.weigh import weigh
from policy.decide import Question, decide
from policy.identity import Clients
from policy.live import Live
from policy.rules import Group, Phase, SchoolPolicy
from policy.snapshot import Snapshot

_TRIAL: Final = "trial"  # the log of a school that exists only here: one group a phase, and no rules of its own
_PHASES: Final[tuple[Phase, ...]] = get_args(Phase)


def words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE.csv", help="domain, true_category, primary, secondary, staff …")
    parser.add_argument("--school", help="by this school's rules (default: the authority's, with every phase's defaults)")
    parser.add_argument("--json", action="store_true")
    data_option(parser, config=False)
    parser.set_defaults(run=run)


def run(words: argparse.Namespace) -> int:
    judge = judge_of(Live(words.data).snapshot, words.school, datetime.now(UTC))
    try:
        with words.file.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            report = evaluate(read_cases(file), judge)
    except OSError as error:
        raise ValueError(f"{words.file} cannot be read: {error.strerror or error}") from None
    if words.json:
        print(json.dumps(to_fields(report), ensure_ascii=False))
    else:
        print("\n".join(to_text(report)))
    return 0


def judge_of(snapshot: Snapshot, school: str | None, at: datetime) -> Judge:
    """Answers for a name in a phase: as a school's groups of that phase, or as a school without rules would get."""
    trial = _with_trial(snapshot, school)
    dictionary = trial.dictionaries[trial.schools[_TRIAL].dictionary]

    def judge(name: str, phase: str) -> Verdict:
        site = canonical_site(name)
        decision = decide(trial, Question(_TRIAL, phase, site.host, at, site.path, query=site.query))
        matches = weigh(dictionary.index.find(site.host, site.path), site.host)
        why = next((one for one in matches if (one.list_id, one.category) == (decision.list, decision.category)), None)
        categories = tuple(dict.fromkeys(one.category for one in matches))
        model = dictionary.model
        proposed = tuple(one.category for one in model.propose(site.host)) if model and not matches else None
        entry = why.host + why.path if why else None
        return Verdict(decision.action.value, decision.category, decision.list, entry, categories, proposed)

    return judge


def _with_trial(snapshot: Snapshot, school: str | None) -> Snapshot:
    """The snapshot with one school more: one group a phase, taken from the school named, or without rules."""
    if school is None:
        document, authority = SchoolPolicy(_TRIAL, "Trial", _TRIAL, snapshot.authority.dictionary), snapshot.authority
        document = replace(document, groups=tuple(Group(phase, phase, phase) for phase in _PHASES))
    elif school in snapshot.schools:
        found = snapshot.schools[school]
        renamed: dict[str, str] = {
            group.phase: group.id for group in found.groups
        }  # the last of several groups of one phase speaks for it
        groups = [Group(phase, phase, phase) for phase in _PHASES]
        document = replace(
            found,
            log=_TRIAL,
            authority=_TRIAL,
            groups=tuple(groups),
            site_rules=tuple(replace(rule, groups=_phases(rule.groups, renamed)) for rule in found.site_rules),
            category_rules=tuple(replace(rule, groups=_phases(rule.groups, renamed)) for rule in found.category_rules),
        )
        authority = snapshot.authorities[found.authority]
    else:
        raise WrongWords(f"there is no school {school!r}; there are: {', '.join(sorted(snapshot.schools))}")
    return Snapshot(
        generation=snapshot.generation,
        authority=snapshot.authority,
        schools={_TRIAL: document},
        authorities={_TRIAL: authority},
        dictionaries=snapshot.dictionaries,
        revisions={},
        clients=Clients([]),
    )


def _phases(groups: tuple[str, ...], renamed: dict[str, str]) -> tuple[str, ...]:
    """The phases that a rule for these groups holds for; a rule for none of them holds for a phase that is not there."""
    if not groups:
        return ()
    return tuple(phase for phase, group in renamed.items() if group in groups) or ("none",)
