"""How words are written on a phone, and the slips of the finger in those that matter: what words.yaml says of spelling.

Abbreviations are read as what they stand for, in texts and in phrases alike, so that a phrase is written once. A slip is
undone towards a short list of words alone, by one letter left out, added, changed or swapped with its neighbour, because an
edit towards any word at all would make `bigger` and `unlocked` into what they are not. Pure.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

# Two words that are written as one, or with an apostrophe, which plain words lose.
_PAIRS: Final = (
    (" i am ", " im "), (" i have ", " ive "), (" do not ", " dont "), (" does not ", " doesnt "), (" did not ", " didnt "),
    (" can not ", " cant "), (" cannot ", " cant "), (" will not ", " wont "), (" is not ", " isnt "),
    (" you are ", " youre "),
    (" self harming ", " selfharm "), (" self harm ", " selfharm "), (" no one ", " nobody "),
)  # fmt: skip
_TO: Final = re.compile(
    r"(?<= )(how|where|want|need|going|ways?|trying|have|easy|best|like|about|time|someone|u|you) 2(?= [a-z])"
)


@dataclass(frozen=True, slots=True)
class Spelling:
    """`means` are words and what they stand for, `slips` the words meant, found by what is left without one letter."""

    means: Mapping[str, str] = field(default_factory=dict)
    slips: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    real: frozenset[str] = frozenset()

    @classmethod
    def of(cls, means: Mapping[str, str], meant: Iterable[str], real: Iterable[str]) -> Self:
        slips: dict[str, tuple[str, ...]] = {}
        for word in meant:
            for left in _without_one(word):
                slips[left] = (*slips.get(left, ()), word)
        return cls(means, slips, frozenset(real))

    def spoken(self, text: str) -> str:
        """Plain words with a space at both ends, in the one form."""
        if not self.means:
            return text
        means = self.means.get
        text = f" {' '.join([means(word, word) for word in text.split()])} "
        if " 2 " in text:
            text = _TO.sub(r"\1 to", text)
        for pair, one in _PAIRS:
            if pair in text:
                text = text.replace(pair, one)
        return text

    def nearest(self, word: str) -> str:
        """The word meant, if this is one slip away from it; else the word."""
        if self.slips and word.isascii() and word not in self.real:
            for left in _without_one(word):
                for meant in self.slips.get(left, ()):
                    if _one_slip(word, meant):
                        return meant
        return word


PLAIN: Final = Spelling()


def _without_one(word: str) -> set[str]:
    return {word} | {word[:n] + word[n + 1 :] for n in range(len(word))}


def _one_slip(word: str, meant: str) -> bool:
    """Whether one letter left out, added, changed or swapped makes one into the other; first letters are seldom wrong."""
    if word[0] != meant[0]:
        return False
    start = next(
        (n for n, (one, other) in enumerate(zip(word, meant, strict=False)) if one != other), min(len(word), len(meant))
    )
    left, right = word[start:], meant[start:]
    swapped = left[1::-1] + left[2:] if len(left) > 1 else left
    return right in {left[1:], swapped} or left in {right[1:], right} or left[1:] == right[1:]
