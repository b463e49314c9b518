"""`schoolgate explain`: what happens to a name or a page, and which change says so. The same `decide` as everywhere."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from appliance.commands.words import WrongWords, data_option
from category_lists.names import NameRefused, canonical_site
from dns import asking
from policy import passages
from policy import words as plain
from policy.decide import REFUSED_ON_ERROR, Decision, Question, Reason, decide
from policy.live import Live
from policy.rules import instant
from policy.snapshot import Snapshot


def words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("asked", nargs="*", metavar="NAME_OR_URL")
    parser.add_argument("--school", default="")
    parser.add_argument("--group", default="")
    parser.add_argument("--address", metavar="IP", help="for whoever is at an address now, instead of --school and --group")
    parser.add_argument("--at", metavar="RFC3339", help="the moment to decide for (default: now)")
    parser.add_argument("--json", action="store_true", help="one JSON value a line")
    parser.add_argument("--batch", metavar="FILE", help="a file with one name or page a line, - for standard input")
    parser.add_argument("--dns", action="store_true", help="ask the running resolver what it would answer, and from where")
    parser.add_argument("--type", default="A", metavar="TYPE", help="with --dns: the type of records (default: A)")
    data_option(parser, config=False)
    parser.set_defaults(run=run)


def run(words: argparse.Namespace) -> int:
    if bool(words.asked) == bool(words.batch):
        raise WrongWords("give names or pages, or --batch FILE")
    if not words.address and not (words.school and words.group):
        raise WrongWords("say --school and --group, or --address")
    if words.dns and not words.address:
        return _by_dns(words)
    snapshot = Live(words.data).snapshot
    person = _who(words, snapshot) if words.address else None
    if words.dns:
        return _by_dns(words)
    at = _moment(words.at)
    teller = Teller(snapshot, words.school, words.group, at, person)
    lines = _batch(words.batch) if words.batch else words.asked
    write = sys.stdout.write
    for line in map(teller.line, lines):
        write((line if words.json or words.batch else json.loads(line)["sentence"]) + "\n")
    sys.stdout.flush()
    return 0


def _who(words: argparse.Namespace, snapshot: Snapshot) -> str | None:
    """Whoever is at an address: into `words` as if school and group had been given; returns the person's pseudonym."""
    client = snapshot.clients.of("", words.address)
    if client is None or not client.school:
        raise WrongWords(f"{words.address} is no address of a school")
    words.school, words.group = client.school, client.group
    if not words.json and not words.batch:
        known = f"known by {client.identified_by}" + (f", device {client.device}" if client.device else "")
        known += f", person {client.person}" if client.person else ""
        print(f"{words.address} is of {client.school}/{client.group}, {known}.")
        way = passages.way_at(passages.ways(snapshot.schools.values()), words.address)
        if way != passages.NOTHING:
            print(f"Behind a gateway, devices of its network {'; '.join(passages.in_words(way))}.")
    return client.person


def _by_dns(words: argparse.Namespace) -> int:
    """Each name as a running resolver sees it at this moment."""
    if words.batch or words.at:
        raise WrongWords("--dns asks a running resolver about names, now: it goes with neither --batch nor --at")
    for name in words.asked:
        told = asking.ask(words.data, name, words.type, words.school, words.group)
        if "error" in told:
            raise WrongWords(str(told["error"]))
        print(json.dumps({"asked": name, **told}, ensure_ascii=False) if words.json else _in_words(name, told))
    return 0


def _in_words(name: str, told: Mapping[str, Any]) -> str:
    how = asking.how(told)
    why = ", ".join(str(part) for part in (told["reason"], told["category"], told["detail"]) if part)
    change = f", change {told['change']}" if told["change"] else ""
    lines = [f"{name}: {told['action']}, {how} ({why}{change})" if why else f"{name}: {told['action']}, {how}"]
    if told["ede"]:
        lines.append(f"clients are told: {told['ede']}")
    return "\n  ".join([*lines, *(told["answer"] or [f"{told['rcode']}, no records"])])


def _moment(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise WrongWords(f"--at {text!r} is not a moment such as 2026-11-24T11:05:00Z") from None
    if not 1970 <= at.year < 9999:  # days are counted from there, both ways
        raise WrongWords(f"--at {text!r} is too far away")
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _batch(name: str) -> Iterator[str]:
    with open(0 if name == "-" else name, encoding="utf-8", errors="replace", closefd=name != "-") as file:
        yield from _stripped(file)


def _stripped(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if text := line.strip():
            yield text


_encode = json.JSONEncoder(ensure_ascii=False).encode  # json.dumps would make this encoder anew for every line


@dataclass(slots=True)
class Patience:
    """How often one run may hear of names that are simply blocked: the sealed list is not to be tried out in bulk."""

    left: int = 20

    def counted(self, decision: Decision) -> Decision:
        self.left -= decision.reason is Reason.BLOCKED
        if self.left < 0:
            raise ValueError("too many questions of one kind; ask again about fewer sites")
        return decision


@dataclass(frozen=True, slots=True)
class Teller:
    """Answers for one group at one moment. What equal decisions say alike is written once: a batch has a million lines."""

    snapshot: Snapshot
    school: str
    group: str
    at: datetime
    person: str | None = None
    _written: dict[Decision, tuple[str, str]] = field(default_factory=dict)
    _patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        if self.school not in self.snapshot.schools:
            raise WrongWords(f"there is no school {self.school!r}; there are: {', '.join(sorted(self.snapshot.schools))}")
        groups = [group.id for group in self.snapshot.schools[self.school].groups]
        if self.group not in groups:
            raise WrongWords(f"{self.school} has no group {self.group!r}; it has: {', '.join(groups)}")

    def line(self, asked: str) -> str:
        """One answer as the JSON of the command."""
        try:
            site = canonical_site(asked)
        except NameRefused as error:
            return _encode(
                {"asked": asked, **_fields(REFUSED_ON_ERROR), "sentence": f"This cannot be a site, so it is refused. {error}"}
            )
        question = Question(self.school, self.group, site.host, self.at, site.path, person=self.person, query=site.query)
        decision = self._patience.counted(decide(self.snapshot, question).told())
        if decision not in self._written:
            self._written[decision] = self._around_the_site(decision, question)
        before, after = self._written[decision]
        # A canonical host and path are plain ASCII without quotes, so they stand in JSON as they are.
        return f'{{"asked": {_encode(asked)}, {before} {site.host}{site.path or ""}{after}'

    def _around_the_site(self, decision: Decision, asked: Question) -> tuple[str, str]:
        fields = _encode(_fields(decision))[1:-1]
        opening = _encode(plain.who_may(self.snapshot, decision, asked))
        reason = _encode(plain.why(self.snapshot, decision, asked))
        return f'{fields}, "sentence": {opening[:-1]}', f". {reason[1:]}}}"


def _fields(decision: Decision) -> dict[str, object]:
    return {
        "action": decision.action,
        "handling": decision.handling,
        "until": instant(decision.until) if decision.until else None,
        "category": decision.category,
        "reason": decision.reason,
        "rule": decision.rule,
        "list": f"{decision.list}@{decision.list_version}" if decision.list else None,
        "change": decision.change,
    }
