"""What the words of a search or a page are about: the phrase sets asked, and their answer as themes.

It only says; what follows is `decide`'s, which is given the themes as part of the question.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from category_lists.classifier import Proposal
from category_lists.phrases import Kind, Score, shipped
from policy.snapshot import Profile
from proxy.content import unpacked, words_of

LONGEST_TERM = 200  # characters of a search that are judged and kept
STRICTEST = "ks2"  # devices of no school are judged as the younger pupils are


class Scores(Protocol):
    """Phrase sets, as category_lists.phrases has them."""

    def score(self, text: str, kind: Kind = "page", *, phase: str = "ks4", likely: Collection[str] = ()) -> Score: ...

    def __hash__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Said:
    """Themes with their scores, strongest first."""

    themes: Mapping[str, int]
    named: tuple[str, ...] = ()  # those of them that the site's name speaks of too, so that fewer words were enough
    looks: Mapping[str, float] = field(default_factory=dict)  # what name and text look like together, and how likely
    title: str = ""  # of a page

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.themes)

    def __str__(self) -> str:
        said = ["words: " + ", ".join(f"{theme} {score}" for theme, score in self.themes.items())] if self.themes else []
        said += [f"its name looks like {' and '.join(self.named)} too"] if self.named else []
        likely = ", ".join(f"{category} {share:.0%}" for category, share in self.looks.items())
        return "; ".join([*said, f"name and text together look like {likely}"] if likely else said)


NOTHING = Said({})


class Wording:
    """Judges words by the phrase sets that the signed dictionary names, or by others that it is given."""

    def __init__(self, phrases: Scores | None = None) -> None:
        self._phrases = phrases
        self._search = lru_cache(maxsize=4096)(_score_search)  # a search is asked for again by each part of its page

    def search(self, term: str, profile: Profile) -> Said:
        """What a search is about; nothing where the group's words are not judged."""
        if not term or profile.wording == "off":
            return NOTHING
        return self._search(self._of(profile), term[:LONGEST_TERM], _phase(profile))

    def page(
        self,
        data: bytes,
        content_type: str,
        encoding: str,
        profile: Profile,
        likely: Collection[str] = (),
        read: Callable[[str], Sequence[Proposal]] | None = None,
    ) -> Said | None:
        """What a page is about; None when it cannot be read. `likely` is what the name of its site looks like; `read` tells
        what name and text look like together.
        """
        plain = unpacked(data, encoding)
        if plain is None:
            return None
        words = words_of(plain, content_type)
        themes = self._of(profile).score(words.text, "page", phase=_phase(profile), likely=likely).themes
        looks = {one.category: one.probability for one in read(words.text)} if read else {}
        return Said(themes, tuple(theme for theme in themes if theme in likely), looks, words.title)

    def _of(self, profile: Profile) -> Scores:
        named = profile.dictionary.phrases
        return self._phrases or (named.ready() if named else shipped())


def _score_search(phrases: Scores, term: str, phase: str) -> Said:
    return Said(phrases.score(term, "search", phase=phase).themes)


def _phase(profile: Profile) -> str:
    return STRICTEST if profile.phase == "strictest" else profile.phase
