"""What is found of searches and pages, and of long texts that nobody wrote to be found: question 4 of accuracy.py.

    .venv/bin/python benchmarks/texts.py [FILE ...]

Judged in Key Stage 4 if nothing else is said, by phrases alone, by what a text reads like alone, and by both as they ship.
Lines whose very words the model has learned from are told apart. FILEs are harmless texts of your own (documents, policies,
lessons), which are cut into slices.
"""

import argparse
import csv
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # not this folder, where dns.py stands

from benchmarks.shares import interval, percent
from category_lists import classifier
from category_lists.classifier import Model
from category_lists.linear import HARMLESS, harm_in
from category_lists.phrases import FOLDER, LEARNED, Phrases, by_hand, learned, shipped
from category_lists.reading import Reader
from category_lists.train_texts import JUDGES, Line, corpus, held_out, learn

_HERE = Path(__file__).resolve().parent
_KINDS = ("search", "page")
_SCAMS = {"scams": "malware_phishing"}  # as the phrase sets call them
_SEED = 2026
_BESIDE = 10  # names beside each page
_TAUGHT = (2, 4, 8)  # hands
_ONE_IN = 100  # harmless lines that may be called harmful where numbers of hands are compared
_LONG = (200, 500, 1000, 2000, 4000)  # characters of a slice
_ADDED = ("", " gcse", " gcse revision", " ks3 worksheet", " for my history homework", " lol", " please help me")

type _Way = Callable[[str, str], list[str]]  # a text and its kind: the themes found, strongest first


@dataclass(slots=True)
class _Tally:
    harmful: int = 0
    found: int = 0
    right: int = 0
    harmless: int = 0
    called: int = 0

    def add(self, category: str, themes: Sequence[str]) -> None:
        if category == HARMLESS:
            self.harmless += 1
            self.called += bool(themes)
        else:
            self.harmful += 1
            self.found += bool(themes)
            self.right += category in themes[:1]

    def row(self, title: str) -> str:
        return (
            f"{title:46} {self.harmful:5} {percent(self.found, self.harmful):>8} {percent(self.right, self.harmful):>8}"
            f" {self.harmless:6} {self.called:4} {percent(self.called, self.harmless):>7}"
        )


_HEAD = f"{'':46} {'harm':>5} {'found':>8} {'theme':>8} {'calm':>6} {'called harmful':>12}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="harmless texts of yours, measured in slices")
    given = parser.parse_args()
    examples_and_blind(None)
    unseen()
    growth()
    long_texts(given.files)
    disguised()


def by_phrases(sets: Phrases, phase: str = "ks4") -> _Way:
    return lambda text, kind: list(sets.score(text, kind, phase=phase).themes)  # type: ignore[arg-type]


def by_reading(reader: Reader, sets: Phrases) -> _Way:
    """At its line, whichever it is (a page of few words has that of searches: phrases.py)."""

    def asked(text: str, kind: str) -> list[str]:
        spoken = sets.spoken(text)
        found = reader.read(spoken)
        few = kind == "search" or spoken.count(" ") <= 9
        return [found.theme] if found.odds >= reader.lines["search" if few else "page"] else []

    return asked


def with_reader(reader: Reader) -> Phrases:
    """The phrases that ship, beside a reader that was taught something else."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.yaml")}
    return Phrases(texts | {LEARNED: reader.to_text()})


def _labelled(path: Path) -> list[Line]:
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Line(
                row["source"],
                row["kind"],
                HARMLESS if row["label"] == "benign" else _SCAMS.get(row["category"], row["category"]),
                row["text"],
            )
            for row in csv.DictReader(file)
        ]


def examples_and_blind(shared: Path | None) -> None:
    """What was labelled by others than those who taught: the examples, and the two hands of blind.csv."""
    ways = {
        "phrases alone": by_phrases(by_hand()),
        "reads like it, alone": by_reading(learned(), by_hand()),
        "both": by_phrases(shipped()),
    }
    if shared:
        print("\n4. texts of the examples\n")
        print(_HEAD)
        for kind in _KINDS:
            given = [line for line in _labelled(shared / "examples" / "text_examples.csv") if line.kind == kind]
            _rows(f"{kind}, ", ways, given)
    blind = _labelled(_HERE / "data" / "blind.csv")
    sets = by_hand()
    words = {sets.spoken(line.text) for line in corpus()}
    fresh = [line for line in blind if sets.spoken(line.text) not in words]
    print("\n4a. blind.csv: by hand and kind\n")
    print(_HEAD)
    for hand in sorted({line.hand for line in blind}):
        for kind in _KINDS:
            _rows(f"{hand}, {kind}, ", ways, [line for line in blind if (line.hand, line.kind) == (hand, kind)])
    _rows("all, ", ways, blind)
    _rows(f"all but {len(blind) - len(fresh)} whose words the corpus has, ", ways, fresh)
    for phase in ("ks2", "ks3", "sixth-form"):
        _rows("all, ", {f"both, for {phase}": by_phrases(shipped(), phase)}, blind)
    both, alone = ways["both"], ways["phrases alone"]
    print(f"\n{'theme':30} {'lines':>6} {'phrases':>8} {'both':>8} {'right theme':>12}")
    for theme in sorted({line.category for line in blind} - {HARMLESS}):
        of_it = [line for line in blind if line.category == theme]
        found = [both(line.text, line.kind) for line in of_it]
        before = sum(bool(alone(line.text, line.kind)) for line in of_it)
        right = sum(theme in themes[:1] for themes in found)
        cells = [percent(part, len(of_it)) for part in (before, sum(map(bool, found)), right)]
        print(f"{theme:30} {len(of_it):6} {cells[0]:>8} {cells[1]:>8} {cells[2]:>12}")
    wrong = [line for line in blind if bool(both(line.text, line.kind)) == (line.category == HARMLESS)]
    print("\nmissed, or called harmful:")
    for line in wrong:
        print(f"  {line.kind} {line.category}: {line.text}")


def _rows(title: str, ways: Mapping[str, _Way], lines: Iterable[Line]) -> None:
    lines = list(lines)
    for name, way in ways.items():
        tally = _Tally()
        for line in lines:
            tally.add(line.category, way(line.text, line.kind))
        print(tally.row(title + name))


def disguised() -> None:
    """Harmful searches with a lesson's words behind them: reading takes off what phrases found, and may be led by that."""
    searches = [
        line for line in _labelled(_HERE / "data" / "blind.csv") if line.kind == "search" and line.category != HARMLESS
    ]
    alone, both = by_phrases(by_hand()), by_phrases(shipped())
    print(f"\n4e. {len(searches)} harmful searches with words added\n")
    print(f"{'added':40} {'phrases':>8} {'both':>8} {'phrases, not both':>18}")
    for added in _ADDED:
        found = [tuple(bool(way(line.text + added, "search")) for way in (alone, both)) for line in searches]
        cells = [percent(sum(part), len(searches)) for part in zip(*found, strict=True)]
        lost = percent(sum(by and not together for by, together in found), len(searches))
        print(f"{added or '(nothing)':40} {cells[0]:>8} {cells[1]:>8} {lost:>18}")


@cache
def _unseen(hands: tuple[str, ...] = ()) -> list[tuple[Line, Reader]]:
    """Lines (of some hands at least), each with a reader that learned from none of its hand, at the lines that ship."""
    own = learned()
    return [
        (line, replace(reader, lines=own.lines, line=own.line, alone=own.alone))
        for line, reader in held_out(corpus(), by_hand(), hands)
    ]


def unseen() -> None:
    """Leave a hand out: what a reader that learned from the others makes of it."""
    print("\n4b. every hand, read by a model that learned from others, at the lines that ship\n")
    print(_HEAD)
    ready: dict[int, tuple[_Way, _Way]] = {}
    phrases = by_phrases(by_hand())
    tallies: dict[tuple[int, str, str], _Tally] = defaultdict(_Tally)
    for line, reader in _unseen():
        if id(reader.weights) not in ready:
            ready[id(reader.weights)] = by_reading(reader, by_hand()), by_phrases(with_reader(reader))
        alone, both = ready[id(reader.weights)]
        for name, way in (("phrases alone", phrases), ("reads like it, alone", alone), ("both", both)):
            themes = way(line.text, line.kind)
            judge = line.hand in JUDGES
            groups = [(0, f"four that wrote a test, {line.kind}")] if judge else [(1, f"others, {line.kind}")]
            for number, group in (*groups, (2, line.hand)):
                tallies[number, group, name].add(line.category, themes)
    for (_, group, name), tally in sorted(tallies.items(), key=lambda one: one[0][:2]):
        print(tally.row(f"{group}, {name}"))


def growth() -> None:
    """What more hands bring: taught by some of them, asked about two of the four that wrote a test."""
    print(f"\n4c. what more hands bring, at one harmless line in {_ONE_IN}, on the four that wrote a test\n")
    print(f"{'hands taught':14} {'lines taught':>13} {'searches found':>15} {'pages found':>12}")
    lines = corpus()
    dice = random.Random(_SEED)
    totals: dict[str, Counter[str]] = defaultdict(Counter)
    for away in (JUDGES[:2], JUDGES[2:]):
        hands = sorted({line.hand for line in lines if line.category != HARMLESS} - set(away))  # one alone must teach both
        for many in (*_TAUGHT, len(hands)):
            for _ in range(1 if many == len(hands) else 3):
                some = frozenset(dice.sample(hands, many))
                reader = learn([line for line in lines if line.hand in some], by_hand())
                count = totals[f"all {many}" if many == len(hands) else str(many)]
                count["readers"] += 1
                count["lines"] += sum(line.hand in some for line in lines)
                for kind in _KINDS:
                    count.update(_found(reader, [line for line in lines if line.hand in away and line.kind == kind], kind))
    for title, count in totals.items():
        taught = count["lines"] // count["readers"]
        cells = [percent(count[f"{kind} found"], count[kind]) for kind in _KINDS]
        print(f"{title:14} {taught:13} {cells[0]:>15} {cells[1]:>12}")


def _found(reader: Reader, lines: Sequence[Line], kind: str) -> Counter[str]:
    sets = by_hand()
    calm = sorted((reader.read(sets.spoken(line.text)).odds for line in lines if line.category == HARMLESS), reverse=True)
    line = calm[len(calm) // _ONE_IN]
    odds = [reader.read(sets.spoken(one.text)).odds for one in lines if one.category != HARMLESS]
    return Counter({kind: len(odds), f"{kind} found": sum(each > line for each in odds)})


def long_texts(paths: Sequence[Path] = ()) -> None:
    """Harmless texts that nobody wrote as a test, in slices: a filter's own documents speak of harm on every page."""
    docs = sorted([*(_HERE.parent / "docs").glob("*.md"), *_HERE.parent.glob("*.md")])
    for title, some in (("our own documents", docs), ("texts given", paths)):
        texts = {path: " ".join(path.read_text(encoding="utf-8", errors="replace").split()) for path in some}
        if not texts:
            continue
        print(f"\n4d. {title} ({len(texts)} files) as pages, in slices\n")
        print(f"{'characters':>10} {'slices':>7} {'phrases':>9} {'both':>9} {'both, ks2':>10}")
        ways = by_phrases(by_hand()), by_phrases(shipped()), by_phrases(shipped(), "ks2")
        where: Counter[str] = Counter()
        for size in _LONG:
            slices = [(path, text[at : at + size]) for path, text in texts.items() for at in range(0, len(text), size)]
            counts = [0, 0, 0]
            for path, text in slices:
                for number, way in enumerate(ways):
                    themes = way(text, "page")
                    counts[number] += bool(themes)
                    if themes and number == 1:
                        where[f"{path.name} ({themes[0]})"] += 1
            cells = [percent(count, len(slices)) for count in counts]
            print(f"{size:10} {len(slices):7} {cells[0]:>9} {cells[1]:>9} {cells[2]:>10}")
        print("called harmful:", ", ".join(f"{name} {count}" for name, count in where.most_common(8)) or "nothing")


def pages(trained: Model, names: Mapping[str, Sequence[str]], dice: random.Random) -> None:
    """Pages of the hands that wrote a test, each read by a model that learned from others: alone, and together with names."""
    found: dict[str, Counter[str]] = defaultdict(Counter)

    def asked(way: str, kind: str, shares: Mapping[str, float], reader: Reader, line: float) -> None:
        likely = max((each for each in shares if each != HARMLESS), key=shares.__getitem__)
        some = harm_in(shares, reader.against) >= line
        found[way].update(
            {"harmless": 1, "called": some}
            if kind == HARMLESS
            else {"texts": 1, "some": some, "right": some and likely == kind}
        )

    for line, reader in _unseen(JUDGES):
        kind = line.category
        if line.kind != "page" or line.hand not in JUDGES:
            continue
        scores = reader.scores_of(by_hand().spoken(line.text))
        asked("the text alone", kind, trained.together("", scores), reader, reader.alone)
        for name in dice.choices(names[kind], k=_BESIDE) if names.get(kind) else ():
            asked("name and text, learned here", kind, trained.together(name, scores), reader, reader.line)
            shares = classifier.shipped().together(name, scores)
            asked("name and text, as shipped", kind, shares, reader, reader.line)
    print(f"\n{'pages':30} {'texts':>7} {'found':>8} {'right':>8} {'harmless':>9} {'called':>8}")
    for way, counts in found.items():
        cells = [percent(counts[what], counts["texts"]) for what in ("some", "right")]
        called = percent(counts["called"], counts["harmless"])
        print(f"{way:30} {counts['texts']:7} {cells[0]:>8} {cells[1]:>8} {counts['harmless']:9} {called:>8}", end="  ")
        print("95 %: {:.2%} to {:.2%}".format(*interval(counts["called"], counts["harmless"])))


if __name__ == "__main__":
    main()
