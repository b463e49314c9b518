"""Train the model of page texts: on short texts, words of names and phrases, all of which we wrote.

Texts (model/texts.txt) say what pages say; the words of names (model/words.yaml) and the phrase sets give more words, each as
an example that counts little. The line is set with names beside the texts, as it is used: every harmless text, judged by a
model that has not learned from it, together with many names that are surely harmless. Run by hand with the model of names:
.venv/bin/python -m category_lists.train
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import yaml

from category_lists import phrases
from category_lists.classifier import HARMLESS, ROWS, Model, harm_in
from category_lists.reading import rows_of_text
from category_lists.train import Pace, learned

_FOLDER: Final = Path(__file__).parent / "model"
_SAYS: Final = 20  # weight of a phrase from which on it says enough by itself
_PARTS: Final = 4  # texts are held out by quarters
_AGAINST: Final = 0.5
_ALLOWED: Final = 0.002  # share of harmless texts on harmless names that may get a proposal
_BESIDE: Final = 60  # names beside each text, to set the line by
_SEED: Final = 2026


def corpus(path: Path = _FOLDER / "texts.txt") -> dict[str, list[str]]:
    """Our texts by category, the harmless ones first."""
    found: dict[str, list[str]] = {HARMLESS: []}
    category = HARMLESS
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            category = line[3:].strip()
        elif line and not line.startswith("#"):
            found.setdefault(category, []).append(line)
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


def learn(
    texts: Mapping[str, Sequence[str]], about: Mapping[str, object], words: Mapping[str, Sequence[str]] | None = None
) -> Model:
    """A model of some texts, beside words and phrases (all that are ours). Its line is still to be set."""
    words = slight(texts) if words is None else words
    whole = {kind: [*some, *sorted(set(words.get(kind, ())) - set(some))] for kind, some in texts.items()}
    light = frozenset(word for some in words.values() for word in some)
    pace = Pace(lambda text: rows_of_text(text, ROWS), 10, 16, 0.1, 1.0, light, {})
    counted = {kind: len(some) for kind, some in texts.items()}
    return replace(learned(whole, {**about, "texts": counted}, None, pace), against=_AGAINST)


def held_out(texts: Mapping[str, Sequence[str]]) -> list[tuple[str, str, dict[str, float]]]:
    """Every text with its kind, and what it scores in a model that learned from three quarters of the others."""
    dice = random.Random(_SEED)  # noqa: S311 - the same parts every time is what is wanted
    parts = {kind: dice.sample(list(some), len(some)) for kind, some in texts.items()}
    found, words = [], slight(texts)
    for part in range(_PARTS):
        learned_from = {kind: [text for n, text in enumerate(some) if n % _PARTS != part] for kind, some in parts.items()}
        model = learn(learned_from, {}, words)
        found += [(kind, text, model.scores_of(text)) for kind, some in parts.items() for text in some[part::_PARTS]]
    return found


def with_texts(names: Model, calm: Sequence[str]) -> Model:
    """A model of names with what we know of page texts; `calm` are names that are surely harmless."""
    texts = corpus()
    dice = random.Random(_SEED)  # noqa: S311 - the same names every time is what is wanted
    harmless = [scores for kind, _, scores in held_out(texts) if kind == HARMLESS]
    beside = [names.together(host, scores) for scores in harmless for host in dice.sample(calm, _BESIDE)]
    model = learn(texts, {"trained_on": "texts, words of names and phrases that we wrote"})
    line, alone = (_line(some) for some in (beside, [names.together("", scores) for scores in harmless]))
    return replace(names, texts=replace(model, line=line, alone=alone))


def _line(harmless: Sequence[Mapping[str, float]]) -> float:
    """What at most the allowed share of these passes; of few, none."""
    harms = sorted((harm_in(found, _AGAINST) for found in harmless), reverse=True)
    return harms[int(len(harms) * _ALLOWED)] + 1e-4
