"""What the words of a search or a page are about: the phrase sets asked, and their answer as themes.

It only says; what follows is `decide`'s, which is given the themes as part of the question.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from category_lists.phrases import Kind, Score
from policy.snapshot import Profile
from proxy.content import text_of, unpacked

LONGEST_TERM = 200  # characters of a search that are judged and kept
STRICTEST = "ks2"  # devices of no school are judged as the younger pupils are


class Scores(Protocol):
    """The phrase sets: category_lists.phrases.Phrases."""

    def score(self, text: str, kind: Kind = "page", *, phase: str = "ks4") -> Score: ...


@dataclass(frozen=True, slots=True)
class Said:
    """Themes with their scores, strongest first."""

    themes: Mapping[str, int]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.themes)

    def __str__(self) -> str:
        return "words: " + ", ".join(f"{theme} {score}" for theme, score in self.themes.items()) if self.themes else ""


NOTHING = Said({})


class Wording:
    def __init__(self, phrases: Scores) -> None:
        self._phrases = phrases
        self._search = lru_cache(maxsize=4096)(self._score_search)  # a search is asked for again by each part of its page

    def search(self, term: str, profile: Profile) -> Said:
        """What a search is about; nothing where the group's words are not judged."""
        if not term or profile.wording == "off":
            return NOTHING
        return self._search(term[:LONGEST_TERM], _phase(profile))

    def page(self, data: bytes, content_type: str, encoding: str, profile: Profile) -> Said | None:
        """What a page is about; None when it cannot be read."""
        plain = unpacked(data, encoding)
        if plain is None:
            return None
        return Said(self._phrases.score(text_of(plain, content_type), "page", phase=_phase(profile)).themes)

    def _score_search(self, term: str, phase: str) -> Said:
        return Said(self._phrases.score(term, "search", phase=phase).themes)


def _phase(profile: Profile) -> str:
    return STRICTEST if profile.phase == "strictest" else profile.phase
