"""What a text reads like, learned from examples: words, pairs of words and pieces of words, each with a weight for each kind.

The theory. Phrases (phrases.py) say what somebody thought of; most of what is written was thought of by nobody ("my ex is
threatening to post our video"). So beside them stands a linear model that has learned from some thirty thousand searches and
short texts which we wrote for it (model/written/), harmful ones of every theme and twice as many harmless ones that look
like them. It knows a piece only if two of those lines had it: whatever else a text holds says nothing, so a text in a tongue
that it was not taught, or a row of letters, reads like nothing. Only the beginning of a text is looked at: a page says there
what it is, and the time stays short whatever its size.

Nothing in it is hidden: for each text it says which words spoke for what was found (`why`). It travels as a file of phrase
sets, and so under the same digest and signature as they do. Written by category_lists/train_texts.py. Pure.
"""

import base64
import json
import math
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Self

from xxhash import xxh32_intdigest as hash_of

from category_lists.linear import HARMLESS, scores, shares

NO_CATEGORIES: Final = frozenset(("abuse", "bullying"))  # kinds of what is said, of which no site is
_BEGINNING: Final = 4000  # characters that are looked at
_WORDS: Final = 200  # words of them
_LONG: Final = 5  # letters of a word that is cut into pieces as well
_LONGEST: Final = 60  # letters of a word that are looked at: what is longer is no word
_USUAL: Final = 20  # letters of a word whose pieces are remembered: rows of letters would fill that for nothing
_PIECE: Final = 4
LEAST: Final = 24  # pieces that a text counts as having: one or two words by themselves say little
_MOST_KINDS: Final = 200
_MOST_PIECES: Final = 1 << 20
_FAR: Final = 1e6  # from nought, for a number of these
_TOLD: Final = 3  # words that are given as reasons

_DAMAGED: Final = "The learned weights are damaged; write them again."


def pieces(spoken: str) -> set[str]:
    """The words of a text, its pairs of words with beginning and end marked, and the pieces of its longer words."""
    words = [word[:_LONGEST] for word in spoken[:_BEGINNING].split()[:_WORDS]]
    if not words:
        return set()
    found = {f"{first} {second}" for first, second in zip(["^", *words], [*words, "$"], strict=True)}
    for word in set(words):
        found.update(_of_word(word))
    return found


def _of_word(word: str) -> tuple[str, ...]:
    return _of_usual(word) if len(word) <= _USUAL else _cut(word)


@lru_cache(maxsize=1 << 14)  # what is read in a day is made of the same words
def _of_usual(word: str) -> tuple[str, ...]:
    return _cut(word) if len(word) >= _LONG else (word,)


def _cut(word: str) -> tuple[str, ...]:
    whole = f"^{word}$"
    return (word, *{f"#{whole[at : at + _PIECE]}" for at in range(len(whole) - _PIECE + 1)})


@lru_cache(maxsize=1 << 15)
def key(piece: str) -> int:
    """By what a piece is known."""
    return hash_of(piece.encode())


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text reads like. `odds`: the logarithm of how much likelier it is of some theme than harmless."""

    odds: float
    theme: str  # the likeliest
    share: float  # of the theme in all themes
    words: int  # that it knows: one by itself says little, as a name or the half of a thought


@dataclass(frozen=True, slots=True)
class Reader:
    """Weights of one training. Share one between threads: nothing in it changes."""

    kinds: tuple[str, ...]  # the harmless ones first
    themes: frozenset[str]  # kinds that harm; the others are kinds of sites, and harmless as words
    biases: tuple[float, ...]
    scales: tuple[float, ...]
    lines: Mapping[str, float]  # for a "search" and a "page": the odds that tell
    line: float  # what harm has to pass together with the letters of a name (classifier.Model.read)
    alone: float  # ... and where no name says anything
    against: float
    keys: "array[int]" = field(repr=False)  # of the pieces that are known, rising
    weights: "array[int]" = field(repr=False)  # len(keys) * len(kinds) signed bytes
    about: Mapping[str, object] = field(default_factory=dict)

    def scores_of(self, spoken: str) -> dict[str, float]:
        """What a text scores for each kind."""
        return self._scores(self._rows(pieces(spoken)))

    def read(self, spoken: str) -> Reading:
        found = shares(self.scores_of(spoken))
        harm = {kind: share for kind, share in found.items() if kind in self.themes}
        whole = sum(harm.values())
        theme = max(harm, key=harm.__getitem__)
        odds = math.log((whole + 1e-9) / (1 - whole + 1e-9))
        words = len(self._rows(set(spoken[:_BEGINNING].split()[:_WORDS])))
        return Reading(odds, theme, harm[theme] / whole if whole else 0.0, words)

    def why(self, spoken: str, kind: str) -> tuple[str, ...]:
        """The words and pairs that spoke most for a kind, so that a person can see what was seen; the strongest first."""
        column, calm = self.kinds.index(kind), self.kinds.index(HARMLESS)
        said: dict[str, float] = {}
        for piece in pieces(spoken):
            if piece[0] not in "#^" and not piece.endswith(" $"):
                for row in self._rows({piece}):
                    own, other = (self.weights[row * len(self.kinds) + at] * self.scales[at] for at in (column, calm))
                    said[piece] = own - other
        # A pair says what it is, and what its words are: "wont let" is more of a reason to a person than "me".
        said |= {piece: said[piece] + sum(said.get(word, 0.0) for word in piece.split()) for piece in said if " " in piece}
        best = sorted((piece for piece in said if said[piece] > 0), key=lambda piece: (-said[piece], piece))
        told: list[str] = []
        for piece in best:
            if len(told) < _TOLD and not any(piece in other or other in piece for other in told):
                told.append(piece)
        return tuple(told)

    def _rows(self, found: set[str]) -> list[int]:
        keys, last = self.keys, len(self.keys) - 1
        rows = []
        for piece in found:
            wanted = key(piece)
            at = bisect_left(keys, wanted)
            if at <= last and keys[at] == wanted:
                rows.append(at)
        return rows

    def _scores(self, rows: list[int]) -> dict[str, float]:
        return scores(memoryview(self.weights), rows, self.kinds, self.biases, self.scales, LEAST)

    def to_text(self) -> str:
        packed = zlib.compress(self.keys.tobytes() + self.weights.tobytes(), 9)
        table = {
            "about": dict(self.about),
            "kinds": self.kinds,
            "themes": sorted(self.themes),
            "biases": [round(one, 5) for one in self.biases],
            "scales": [round(one, 8) for one in self.scales],
            "lines": {kind: round(line, 4) for kind, line in self.lines.items()},
            "line": round(self.line, 5),
            "alone": round(self.alone, 5),
            "against": self.against,
            "pieces": len(self.keys),
            "weights": base64.b85encode(packed).decode(),
        }
        return json.dumps(table, indent=0) + "\n"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read what `to_text` wrote. Raises ValueError in one sentence for anything else."""
        try:
            table = json.loads(text)
            kinds, known = tuple(map(str, table["kinds"])), int(table["pieces"])
            if not 1 < len(kinds) <= _MOST_KINDS or kinds[0] != HARMLESS or not 0 <= known <= _MOST_PIECES:
                raise ValueError(_DAMAGED)
            keys, weights = array("I"), array("b")
            wanted = known * (keys.itemsize + len(kinds))
            data = zlib.decompressobj().decompress(base64.b85decode(table["weights"]), wanted + 1)
            if len(data) != wanted:
                raise ValueError(_DAMAGED)
            keys.frombytes(data[: known * keys.itemsize])
            weights.frombytes(data[known * keys.itemsize :])
            biases, scales = (tuple(map(float, table[name])) for name in ("biases", "scales"))
            lines = {kind: float(table["lines"][kind]) for kind in ("search", "page")}
            line, alone, against = (float(table[name]) for name in ("line", "alone", "against"))
            numbers = (*biases, *scales, *lines.values(), line, alone)
            if any(abs(one) > _FAR for one in numbers):  # sums of such would be no number
                raise ValueError(_DAMAGED)
            themes = frozenset(map(str, table["themes"]))
            if not all(map(math.isfinite, numbers)) or not 0 <= against <= 1 or not len(biases) == len(scales) == len(kinds):
                raise ValueError(_DAMAGED)
            if not themes or not themes < set(kinds) or HARMLESS in themes:
                raise ValueError(_DAMAGED)
            return cls(kinds, themes, biases, scales, lines, line, alone, against, keys, weights, dict(table["about"]))
        except (KeyError, TypeError, AttributeError, RecursionError, OverflowError, zlib.error, ValueError) as error:
            raise ValueError(_DAMAGED) from error
