"""Train what texts read like (reading.py): on searches and short texts, words of names and phrases, all of which we wrote.

Each file of model/written is by another hand; `## search gambling` stands above searches of that category, one a line. The
words of names (model/words.yaml) and the phrase sets give more words, each as an example that counts little, and rows of
letters are shown as harmless. Lines are set on what training has not seen: every file is read by a model that learned from
others. Run by hand after a change of the texts, the phrases or the model of names:

    .venv/bin/python -m category_lists.train_texts
"""

import random
import string
import sys
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import yaml

from category_lists import classifier, phrases
from category_lists.classifier import Model
from category_lists.examples import our_examples
from category_lists.linear import HARMLESS, harm_in
from category_lists.phrases import FOLDER, LEARNED, Phrases
from category_lists.reading import LEAST, Reader, key, pieces
from category_lists.train import Pace, learned

_FOLDER: Final = Path(__file__).parent / "model"
_SAYS: Final = 20  # weight of a phrase from which on it says enough by itself
_TWICE: Final = 2  # lines that must have a piece
_NOISE: Final = 1_000  # rows of letters that are shown as harmless
_FEWEST: Final = 20  # lines that a kind needs
_PARTS: Final = 6  # files are held out by sixths
_AGAINST: Final = 0.5
_ALLOWED: Final = 0.002  # share of harmless texts on harmless names that may get a proposal
# Share of unseen harmless lines that may be called harmful by what they read like alone; a page that is refused is gone.
_ALLOWED_WORDS: Final = {"search": 0.0055, "page": 0.001}
# Hands that wrote what a test of a filter asks, in such shares. The others wrote to teach, and harder than people search.
JUDGES: Final = ("computing-teacher", "librarian-and-officer", "safeguarding-lead", "test-laboratory")
_BESIDE: Final = 20  # names beside each text, to set the line by
_SEED: Final = 2026


@dataclass(frozen=True, slots=True)
class Line:
    hand: str  # whose it is: the name of the file
    kind: str  # "search" or "page"
    category: str
    text: str


def corpus(folder: Path = _FOLDER / "written") -> list[Line]:
    """Our lines, file by file."""
    found = []
    for path in sorted(folder.glob("*.txt")):
        kind = category = ""
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("## "):
                kind, category = line[3:].split()
            elif line and not line.startswith("#"):
                found.append(Line(path.stem, kind, category, line))
    return found


def slight(kinds: Iterable[str]) -> dict[str, list[str]]:
    """Words and phrases by category, for those kinds: they say what belongs where, and count little."""
    known = set(kinds)
    given = yaml.safe_load((_FOLDER / "words.yaml").read_text(encoding="utf-8"))
    found = {kind: str(words["words"]).split() for kind, words in given["categories"].items() if kind in known}
    found[HARMLESS] = str(given["harmless"]["words"]).split()
    for kind, phrase in phrases.said_by_themselves(_SAYS):
        if (kind or HARMLESS) in known:
            found.setdefault(kind or HARMLESS, []).append(phrase)
    return found


def _noise() -> list[str]:
    dice = random.Random(_SEED)  # noqa: S311 - the same letters every time are what is wanted
    letters = string.ascii_lowercase + string.digits
    return [
        " ".join("".join(dice.choices(letters, k=dice.randint(1, 9))) for _ in range(dice.randint(1, 3)))
        for _ in range(_NOISE)
    ]


def learn(lines: Sequence[Line], sets: Phrases, words: Mapping[str, Sequence[str]] | None = None) -> Reader:
    """A reader taught by some lines, beside words and phrases (all that are ours). Its lines are still to be set."""
    told = [(line.category, sets.spoken(line.text)) for line in lines]
    enough = Counter(kind for kind, _ in told)
    kinds = [HARMLESS, *sorted(kind for kind, count in enough.items() if count >= _FEWEST and kind != HARMLESS)]
    words = slight(kinds) if words is None else words
    known: dict[str, list[str]] = {kind: [] for kind in kinds}
    for kind, text in told:
        if kind in known:
            known[kind].append(text)
    light = {kind: sorted({sets.spoken(word) for word in some}) for kind, some in words.items() if kind in known}
    light[HARMLESS] = [*light.get(HARMLESS, ()), *_noise()]
    for kind, some in light.items():
        known[kind] += some
    seen = Counter(piece for _, text in told for piece in pieces(text))
    keys = array("I", sorted({key(piece) for piece, count in seen.items() if count >= _TWICE}))
    numbers = {one: number for number, one in enumerate(keys)}

    def rows_of(text: str) -> list[int]:
        return sorted({numbers[one] for piece in pieces(text) if (one := key(piece)) in numbers}) or [len(keys)]

    slightly = frozenset(text for some in light.values() for text in some)
    weights = learned(known, None, Pace(rows_of, 15, 16, 0.2, 1.0, slightly, {}, len(keys) + 1, LEAST))
    return Reader(
        kinds=weights.kinds,
        themes=frozenset(weights.kinds) & (frozenset(sets.themes) | {"adult_mixed"}),
        biases=weights.biases,
        scales=weights.scales,
        lines={"search": 0.0, "page": 0.0},
        line=0.0,
        alone=0.0,
        against=_AGAINST,
        keys=keys,
        weights=weights.weights[: len(keys) * len(kinds)],
        about={"lines": len(told), "hands": len({line.hand for line in lines}), "kinds": dict(sorted(enough.items()))},
    )


def held_out(lines: Sequence[Line], sets: Phrases, only: Collection[str] = ()) -> list[tuple[Line, Reader]]:
    """Every line, and a reader that learned from no line of the same hand, a sixth of the hands at a time; of some hands
    `only`, each by itself.
    """
    hands = sorted({line.hand for line in lines})
    parts = [frozenset((hand,)) for hand in sorted(only)] or [frozenset(hands[part::_PARTS]) for part in range(_PARTS)]
    found = []
    for away in parts:
        reader = learn([line for line in lines if line.hand not in away], sets)
        found += [(line, reader) for line in lines if line.hand in away]
        print(f"learned without {', '.join(sorted(away))}", file=sys.stderr)
    return found


def taught(names: Model, calm: Sequence[str], lines: Sequence[Line], sets: Phrases) -> Reader:
    """A reader with its lines; `calm` are names that are surely harmless."""
    dice = random.Random(_SEED)  # noqa: S311 - the same names every time is what is wanted
    unseen = [
        (line.kind, reader.read(text), reader.scores_of(text))
        for line, reader in held_out(lines, sets, JUDGES)
        if line.category == HARMLESS and line.hand in JUDGES
        for text in (sets.spoken(line.text),)
    ]
    odds = {kind: [found.odds for which, found, _ in unseen if which == kind] for kind in _ALLOWED_WORDS}
    scores = [each for kind, _, each in unseen if kind == "page"]
    alone = [harm_in(names.together("", each), _AGAINST) for each in scores]
    beside = [harm_in(names.together(host, each), _AGAINST) for each in scores for host in dice.sample(calm, _BESIDE)]
    return replace(
        learn(lines, sets),
        lines={kind: _line(some, _ALLOWED_WORDS[kind]) for kind, some in odds.items()},
        line=_line(beside, _ALLOWED),
        alone=_line(alone, _ALLOWED),
    )


def _line(harms: Iterable[float], allowed: float) -> float:
    """What at most the allowed share of these passes: between two of them, as the last ones lie far apart."""
    found = sorted(harms, reverse=True)
    at = len(found) * allowed
    higher, lower = found[int(at)], found[int(at) + 1]
    return higher + (lower - higher) * (at - int(at)) + 1e-4


def write_shipped() -> None:
    sets = Phrases({path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.yaml")})
    reader = taught(classifier.shipped(), sorted(set(our_examples().sure)), corpus(), sets)
    (FOLDER / LEARNED).write_text(reader.to_text(), encoding="utf-8")


if __name__ == "__main__":
    write_shipped()
