"""`schoolgate explain`: what happens to a name or a page, and which change says so. The same `decide` as everywhere."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from appliance.commands.words import Parsers, WrongWords, data_option
from category_lists.names import NameRefused, canonical_site
from policy import words as plain
from policy.decide import Decision, Question, decide
from policy.live import Live
from policy.rules import instant
from policy.snapshot import Snapshot


def add(parsers: Parsers) -> None:
    parser = parsers.add_parser("explain", help="say what happens to a name or page for a group, and why")
    parser.add_argument("asked", nargs="*", metavar="NAME_OR_URL")
    parser.add_argument("--school", required=True)
    parser.add_argument("--group", required=True)
    parser.add_argument("--at", metavar="RFC3339", help="the moment to decide for (default: now)")
    parser.add_argument("--json", action="store_true", help="one JSON value a line")
    parser.add_argument("--batch", metavar="FILE", help="a file with one name or page a line, - for standard input")
    data_option(parser)
    parser.set_defaults(run=run)


def run(words: argparse.Namespace) -> int:
    if bool(words.asked) == bool(words.batch):
        raise WrongWords("give names or pages, or --batch FILE")
    snapshot = Live(words.data).snapshot
    at = _moment(words.at)
    teller = Teller(snapshot, words.school, words.group, at)
    lines = _batch(words.batch) if words.batch else words.asked
    out = sys.stdout
    for told in map(teller.tell, lines):
        out.write((json.dumps(told, ensure_ascii=False) if words.json or words.batch else str(told["sentence"])) + "\n")
    out.flush()
    return 0


def _moment(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise WrongWords(f"--at {text!r} is not a moment such as 2026-11-24T11:05:00Z") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _batch(name: str) -> Iterator[str]:
    if name == "-":
        yield from _stripped(sys.stdin)
    else:
        with Path(name).open(encoding="utf-8", errors="replace") as file:
            yield from _stripped(file)


def _stripped(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if text := line.strip():
            yield text


@dataclass(frozen=True, slots=True)
class Teller:
    """Answers for one group at one moment."""

    snapshot: Snapshot
    school: str
    group: str
    at: datetime

    def __post_init__(self) -> None:
        if self.school not in self.snapshot.schools:
            raise WrongWords(f"there is no school {self.school!r}; there are: {', '.join(sorted(self.snapshot.schools))}")
        groups = [group.id for group in self.snapshot.schools[self.school].groups]
        if self.group not in groups:
            raise WrongWords(f"{self.school} has no group {self.group!r}; it has: {', '.join(groups)}")

    def tell(self, asked: str) -> dict[str, object]:
        """One answer as the JSON of the command."""
        try:
            site = canonical_site(asked)
        except NameRefused as error:
            return _answer(
                asked, "block", "inspect", reason="error", sentence=f"This cannot be a site, so it is refused: {error}."
            )
        question = Question(self.school, self.group, site.host, self.at, site.path, query=site.query)
        decision = decide(self.snapshot, question)
        return self._told(asked, question, decision)

    def _told(self, asked: str, question: Question, decision: Decision) -> dict[str, object]:
        return _answer(
            asked,
            decision.action.value,
            decision.handling.value,
            reason=decision.reason.value,
            until=instant(decision.until) if decision.until else None,
            category=decision.category,
            rule=decision.rule,
            list=f"{decision.list}@{decision.list_version}" if decision.list else None,
            change=decision.change,
            sentence=plain.sentence(self.snapshot, decision, question),
        )


def _answer(asked: str, action: str, handling: str, **more: object) -> dict[str, object]:
    names = ("until", "category", "reason", "rule", "list", "change", "sentence")
    return {"asked": asked, "action": action, "handling": handling} | {name: more.get(name) for name in names}
