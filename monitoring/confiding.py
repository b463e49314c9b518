"""Does a search confide something? Pure: words in, a theme and a small weight out.

Frames of words (signs.yaml) find what their author thought of. This asks less and sees more: somebody writes about herself or
those around her, and a word says that it is not well. One such search is nothing, everybody has a bad day, and each weighs so
little that it takes several within a fortnight (see rules.py). What it is about is told by who stands in it: those at home,
those at school, somebody older or met online, else herself. English alone, so far: other languages have their phrases.

Where nobody says that anything is wrong, somebody may still act as if it were: hide, weigh whom to tell, get away
(moves.yaml). That is looked for last. And whoever names a lesson, a game or a song means that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import yaml

from category_lists.text import plain

WEIGHT, LESS, MORE, MOST = 14, 10, 4, 22  # of one sign, where nobody is named, of each further one in a search, of a search
MOVE = 14  # of a move
FEWEST = 3  # words: fewer say nothing about anybody


@dataclass(frozen=True, slots=True)
class Confided:
    """What a search seems to be about, and how much it weighs."""

    theme: str
    weight: int


@cache
def _words() -> Mapping[str, tuple[str, ...]]:
    text = Path(__file__).with_name("confiding.yaml").read_text(encoding="utf-8")
    (said,) = yaml.safe_load(text).values()
    return {name: tuple(plain(one) for one in str(some).split(",")) for name, some in said.items()}


@cache
def _moves() -> Mapping[str, tuple[str, tuple[tuple[str, ...], ...]]]:
    """Of each move its theme and its groups of words."""
    text = Path(__file__).with_name("moves.yaml").read_text(encoding="utf-8")
    (said,) = yaml.safe_load(text).values()
    return {
        name: (move.get("theme", ""), tuple(tuple(plain(one) for one in str(some).split(",")) for (some,) in move["words"]))
        for name, move in said.items()
    }


def _move(said: str) -> Confided | None:
    made = [
        theme for theme, groups in _moves().values() if theme and all(any(one in said for one in some) for some in groups)
    ]
    return Confided(made[0], MOVE + MORE * (len(made) > 1)) if made else None


@lru_cache(maxsize=20_000)  # schools search for the same things
def calm(term: str) -> bool:
    """Does it name a lesson, a game, a song: what else is in it is about that?"""
    said = plain(term[:300])
    return any(one in said for one in (*_words()["calm"], *_moves()["calm"][1][0]))


def at_home(term: str) -> bool:
    """Is it about somebody at home? "my dad said he will" is, "he will tell my mum" is not: who is named first does it."""
    said = plain(term[:300])
    first = {
        name: min((said.find(one) for one in _words()[name] if one in said), default=len(said))
        for name in ("family", "close")
    }
    return first["family"] < first["close"]


@lru_cache(maxsize=20_000)
def confided(term: str) -> Confided | None:
    """None for what is about nobody, about a lesson or a game, or about nothing that is wrong."""
    said = plain(term[:300])
    if said.count(" ") <= FEWEST:
        return None

    def found(name: str) -> int:
        return sum(one in said for one in _words()[name])

    if calm(term):
        return None
    self, family, peers, close = (found(name) for name in ("self", "family", "peers", "close"))
    older, nearer, wrong = found("older"), found("nearer"), found("wrong")
    unwell = found("unwell") + found("ill") + found("help")
    counts = {
        "exploitation": older + nearer + wrong if close and (older > 0) + (nearer > 0) + (wrong > 0) >= 2 else 0,
        "family": found("mistreated") + unwell if family else found("mistreated") if self else 0,
        "bullying": found("shut_out") if self or peers else 0,
        "self-harm": unwell if not family else 0,
    }
    theme = max(counts, key=lambda name: counts[name])
    signs = sum(counts.values())
    least = WEIGHT if self or family or peers or close else LESS
    return Confided(theme, min(MOST, least + MORE * (signs - 1))) if signs else _move(said)
