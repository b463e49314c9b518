"""How good are the lists? Labelled names against what was decided: block rate, over-block rate, confusion, who was wrong.

Pure: the decisions come from a `Judge` that the command hands in, because the one `decide` lives above this folder. What
is counted is what pupils meet: a name counts as refused only where it is blocked; a warning page is counted by itself.
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

from category_lists.names import NameRefused, canonical_site, shown
from category_lists.taxonomy import ACTIONS, PHASES

# A column of expectations -> the phases that must all meet it. A phase's own name is a column of its own.
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "primary": ("ks1", "ks2"),
    "secondary": ("ks3", "ks4"),
    "sixth_form": ("sixth-form",),
} | {phase: (phase,) for phase in PHASES}
_CATEGORY = ("true_category", "category", "expected_category")
_UNCLEAR = ("", "unclear", "-")
_KEPT = 50  # examples of mistakes in a report; the counts are complete


@dataclass(frozen=True, slots=True)
class Case:
    """One labelled name. `kind` is what it is counted under: its category, or a group of sites that must stay open."""

    asked: str
    kind: str
    acceptable: frozenset[str]  # categories that count as right; empty where the file names none
    expected: Mapping[str, str]  # column -> action


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided for one name in one phase, and the entry that it rests on."""

    action: str
    category: str | None
    list: str | None
    entry: str | None
    categories: tuple[str, ...]  # everything the dictionary says of the name, as it is weighed
    proposed: tuple[str, ...] | None = None  # what the model of names makes of a name that no list knows; None: one does


type Judge = Callable[[str, str], Verdict]  # name, phase


@dataclass(frozen=True, slots=True)
class Mistake:
    """One wrong answer, so that a person can find the line that caused it."""

    asked: str
    kind: str
    column: str
    expected: str
    got: str
    category: str | None
    list: str | None
    entry: str | None


@dataclass(slots=True)
class Tally:
    """Counts for one kind of name in one column."""

    to_block: int = 0
    blocked: int = 0
    to_allow: int = 0
    refused: int = 0
    warned: int = 0


@dataclass(slots=True)
class Report:
    """What an evaluation found. Rates are None where nothing was there to count."""

    cases: int = 0
    labelled: int = 0
    right: int = 0  # names of which a category that counts as right was found
    proposals: dict[str, list[int]] = field(default_factory=dict)  # kind -> unknown names, with a proposal, a right one
    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict)  # (kind, column)
    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)  # (kind, category that decided or first known)
    offenders: Counter[tuple[str, str]] = field(default_factory=Counter)  # (list, over-block)
    mistakes: list[Mistake] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    def tally(self, kind: str, column: str) -> Tally:
        return self.tallies.setdefault((kind, column), Tally())

    def total(self, column: str) -> Tally:
        total = Tally()
        for (_, where), one in self.tallies.items():
            if where == column:
                total.to_block += one.to_block
                total.blocked += one.blocked
                total.to_allow += one.to_allow
                total.refused += one.refused
                total.warned += one.warned
        return total

    def columns(self) -> list[str]:
        found = {column for _, column in self.tallies}
        return [column for column in COLUMNS if column in found]


def rate(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def read_cases(lines: Iterable[str]) -> Iterator[Case]:
    """Read a CSV of labelled names. Raises ValueError in one sentence for a file without names or expectations."""
    reader = csv.DictReader(lines)
    header = [name.strip() for name in reader.fieldnames or ()]
    subject = next((name for name in ("domain", "name", "url") if name in header), None)
    columns = [name for name in header if name in COLUMNS]
    if subject is None or not (columns or set(_CATEGORY) & set(header)):
        raise ValueError(
            "The file needs a header with 'domain' and with 'true_category' or columns of expected actions "
            f"({', '.join(COLUMNS)})."
        )
    for row in reader:
        given = {str(key).strip(): (value or "").strip() for key, value in row.items() if isinstance(value, str | None)}
        if not given.get(subject):
            continue
        category = next((given[name] for name in _CATEGORY if given.get(name)), "")
        also = given.get("also_acceptable", "").split("|")
        yield Case(
            given[subject],
            category or given.get("group") or "(no category)",
            frozenset(filter(None, (category, *also))) if category else frozenset(),
            {column: _action(given[column], reader.line_num) for column in columns if given.get(column) not in _UNCLEAR},
        )


def _action(word: str, line: int) -> str:
    if word not in ACTIONS:
        raise ValueError(f"Line {line} expects {shown(word)}; an expectation is {', '.join(ACTIONS)} or unclear.")
    return word


def evaluate(cases: Iterable[Case], judge: Judge) -> Report:
    """Judge every case in every phase that its columns speak of."""
    report = Report()
    for case in cases:
        try:
            site = canonical_site(case.asked)
            name = f"{site}?{site.query}" if site.query else str(site)
        except NameRefused:
            report.unreadable.append(shown(case.asked))
            continue
        report.cases += 1
        verdicts = {phase: judge(name, phase) for phase in _phases(case)}
        _proposed(report, case, next(iter(verdicts.values())))
        for column, expected in case.expected.items():
            _count(report, case, column, expected, [verdicts[phase] for phase in COLUMNS[column]])
        if case.acceptable:
            _confuse(report, case, verdicts.get("ks3") or next(iter(verdicts.values())))
    return report


def _proposed(report: Report, case: Case, verdict: Verdict) -> None:
    if verdict.proposed is None:
        return
    counts = report.proposals.setdefault(case.kind, [0, 0, 0])
    counts[0] += 1
    counts[1] += bool(verdict.proposed)
    counts[2] += bool(case.acceptable & set(verdict.proposed))


def _phases(case: Case) -> list[str]:
    wanted = {phase for column in case.expected for phase in COLUMNS[column]}
    return [phase for phase in PHASES if phase in wanted] or ["ks3"]


def _count(report: Report, case: Case, column: str, expected: str, verdicts: Sequence[Verdict]) -> None:
    tally = report.tally(case.kind, column)
    strictest = max(verdicts, key=lambda one: ACTIONS.index(one.action))
    weakest = min(verdicts, key=lambda one: ACTIONS.index(one.action))
    if expected == "block":
        tally.to_block += 1
        wrong = weakest.action != "block"
        tally.blocked += not wrong
        blame = weakest
    else:
        tally.to_allow += 1
        wrong = strictest.action == "block"
        tally.refused += wrong
        tally.warned += strictest.action == "warn"
        blame = strictest
        if wrong:
            report.offenders[blame.list or "(no list)", blame.category or "(no category)"] += 1
    if wrong:
        report.mistakes.append(
            Mistake(case.asked, case.kind, column, expected, blame.action, blame.category, blame.list, blame.entry)
        )


def _confuse(report: Report, case: Case, verdict: Verdict) -> None:
    report.labelled += 1
    if case.acceptable & set(verdict.categories):
        report.right += 1
    else:
        report.confusion[case.kind, verdict.category or next(iter(verdict.categories), "(unknown)")] += 1


def to_fields(report: Report) -> dict[str, object]:
    """The report as plain values for JSON."""
    kinds = sorted({kind for kind, _ in report.tallies})
    return {
        "cases": report.cases,
        "unreadable": report.unreadable,
        "categories_right": {"right": report.right, "of": report.labelled, "rate": rate(report.right, report.labelled)},
        "unknown_names": {
            kind: {"names": names, "proposed": some, "proposed_right": right}
            for kind, (names, some, right) in sorted(report.proposals.items())
        },
        "totals": {column: _tally(report.total(column)) for column in report.columns()},
        "categories": {
            kind: {
                column: _tally(report.tallies[kind, column])
                for column in report.columns()
                if (kind, column) in report.tallies
            }
            for kind in kinds
        },
        "confusion": [
            {"expected": kind, "found": found, "count": count} for (kind, found), count in report.confusion.most_common()
        ],
        "offending_lists": [
            {"list": name, "category": category, "over_blocks": count}
            for (name, category), count in report.offenders.most_common()
        ],
        "mistakes": [asdict(one) for one in report.mistakes],
    }


def _tally(tally: Tally) -> dict[str, object]:
    return {
        "to_block": tally.to_block,
        "blocked": tally.blocked,
        "block_rate": rate(tally.blocked, tally.to_block),
        "to_allow": tally.to_allow,
        "over_blocked": tally.refused,
        "over_block_rate": rate(tally.refused, tally.to_allow),
        "warned": tally.warned,
    }


def to_text(report: Report) -> Iterator[str]:
    """The report for a person, a line at a time."""
    yield f"{report.cases} names judged" + (f", {len(report.unreadable)} could not be read" if report.unreadable else "")
    if report.labelled:
        yield f"a right category was known for {_percent(report.right, report.labelled)} of {report.labelled}"
    for column in report.columns():
        yield ""
        title = f"{column} ({' and '.join(COLUMNS[column])})"
        yield f"{title:36} {'to block':>9} {'blocked':>8} {'to allow':>9} {'refused':>8}"
        rows = sorted(kind for kind, where in report.tallies if where == column)
        for kind, tally in [(kind, report.tallies[kind, column]) for kind in rows] + [("all", report.total(column))]:
            yield (
                f"  {kind:34} {tally.to_block or '':>9} {_percent(tally.blocked, tally.to_block):>8} "
                f"{tally.to_allow or '':>9} {_percent(tally.refused, tally.to_allow):>8}"
            )
    if report.proposals:
        yield ""
        yield f"{'names that no list knows':36} {'names':>9} {'proposed':>8} {'right':>9}"
        for kind, (names, some, right) in sorted(report.proposals.items()):
            yield f"  {kind:34} {names:>9} {_percent(some, names):>8} {_percent(right, names):>9}"
    if report.offenders:
        yield ""
        yield "lists that refused what must stay open:"
        for (name, category), count in report.offenders.most_common():
            yield f"  {count:5} {name} ({category})"
    if report.confusion:
        yield ""
        yield "expected -> found:"
        for (kind, found), count in report.confusion.most_common():
            yield f"  {count:5} {kind} -> {found}"
    if report.mistakes:
        yield ""
        yield "mistakes:"
        for one in report.mistakes[:_KEPT]:
            why = f", {one.category} says {one.list} by {one.entry}" if one.list else ""
            yield f"  {one.asked} ({one.kind}), {one.column}: {one.got} instead of {one.expected}{why}"
        if len(report.mistakes) > _KEPT:
            yield f"  and {len(report.mistakes) - _KEPT} more (--json gives all)"


def _percent(part: int, whole: int) -> str:
    share = rate(part, whole)
    return "" if share is None else f"{share:.1%}"
