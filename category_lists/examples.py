"""What the model of names learns from: our own lists and names made of our own words, and on a box its feeds.

What ships is learned from our own examples alone, so that no list's licence reaches it.
"""

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Final

import yaml

from category_lists.classifier import GENERATED
from category_lists.lists import ListVersion, starter
from category_lists.names import is_address
from category_lists.weigh import PROTECTIVE, curated

_CALM: Final = PROTECTIVE | {"shopping", "entertainment", "essentials"}
_CLEAN: Final = frozenset(("education", "news", "sports", "government_law"))  # feeds of these hold little else
# Of these the letters of a name say little or nothing; a proposal would be a guess.
_UNSAYABLE: Final = frozenset(
    (
        "csam_illegal", "file_sharing", "forums_blogs", "infrastructure", "misinformation", "remote_access", "search_unsafe",
        "terrorism_illegal",
    )
)  # fmt: skip
_SEED: Final = 2026
_BESIDE_FEEDS: Final = 1500  # of our own examples of a category, where feeds have theirs


@dataclass(slots=True)
class Examples:
    """What is learned from: names by category, harmless ones, and of those the ones that can be relied on to be so."""

    named: dict[str, list[str]] = field(default_factory=dict)
    harmless: list[str] = field(default_factory=list)
    sure: list[str] = field(default_factory=list)


def read(lists: Iterable[tuple[ListVersion, Path]], into: Examples | None = None) -> Examples:
    """Gather the names of kept lists. Pages, exceptions and addresses are left out."""
    found = into or Examples()
    for version, path in lists:
        if version.category in _UNSAYABLE:
            continue
        names = list(_names(path))
        if version.category in _CALM:
            found.harmless += names
            if curated(version.id) or version.category in _CLEAN:
                found.sure += names
        else:
            found.named.setdefault(version.category, []).extend(names)
    harmful = frozenset(chain.from_iterable(found.named.values()))
    found.harmless = [name for name in found.harmless if name not in harmful]
    found.sure = [name for name in found.sure if name not in harmful]
    return found


def _names(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            name, _, flags = line.strip().partition(" ")
            if name and name[0] != "#" and "/" not in name and "@" not in flags and not is_address(name):
                yield name


def our_examples() -> Examples:
    """The starter lists, and names made from the words of model/words.yaml; the same every time."""
    found = read(starter())
    words = yaml.safe_load((Path(__file__).parent / "model" / "words.yaml").read_text(encoding="utf-8"))
    dice = random.Random(_SEED)  # noqa: S311 - the same examples every time is what is wanted
    plain = words["harmless"]
    for category, given in words["categories"].items():
        found.named.setdefault(category, []).extend(_made(given, words, dice, 4000))
    found.named[GENERATED] = list(_generated(words, dice, 3000))
    found.harmless.extend(_made(plain, words, dice, 14_000))
    tricky = {**plain, "words": f"{plain['tricky']} {plain['tricky']} {plain['words'][:400]}"}
    found.harmless.extend(_made(tricky, words, dice, 8_000))
    return found


_VOWELS, _CONSONANTS = "aeiou", "bcdfghjklmnpqrstvwxyz"


def _generated(words: Mapping[str, object], dice: random.Random, count: int) -> Iterator[str]:
    """Names as programs make them up that must find one another: letters, digits, hexadecimals, vowels by turns."""
    endings = str(words["endings"]).split()
    letters = _VOWELS + _CONSONANTS
    for number in range(count):
        size = dice.randint(10, 22)
        match number % 5:
            case 0:
                name = "".join(dice.choice(letters) for _ in range(size))
            case 1:
                name = "".join(dice.choice(letters + "0123456789") for _ in range(size))
            case 2:
                name = "".join(dice.choice("0123456789abcdef") for _ in range(dice.choice((12, 16, 24, 32))))
            case 3:
                name = "".join(dice.choice(_CONSONANTS) for _ in range(size))
            case _:
                name = "".join(dice.choice(_CONSONANTS if at % 3 else _VOWELS) for at in range(size))
        yield f"{name}.{dice.choice(endings)}"


def box_examples(lists: Iterable[tuple[ListVersion, Path]]) -> Examples:
    """The lists that this box subscribes to, beside a share of our own examples for what no feed speaks of."""
    ours = our_examples()
    dice = random.Random(_SEED)  # noqa: S311 - the same examples every time is what is wanted
    some = Examples(
        {category: some_of(names, _BESIDE_FEEDS, dice) for category, names in ours.named.items()}, ours.harmless, ours.sure
    )
    return read([pair for pair in lists if not curated(pair[0].id)], some)


def _made(given: Mapping[str, object], words: Mapping[str, object], dice: random.Random, count: int) -> Iterator[str]:
    """Names as people make them: one to three words, sometimes a hyphen or a number, under an ending of the kind."""
    own = str(given["words"]).split()
    beside = str(given.get("with", "")).split() or str(words["beside"]).split()
    endings = str(given.get("endings") or words["endings"]).split()
    for _ in range(count):
        parts = [dice.choice(own)]
        kind = dice.random()
        if kind < 0.75:
            parts.insert(dice.choice((0, 1)), dice.choice(own if dice.random() < 0.45 else beside))
        if kind < 0.25:
            parts.insert(dice.randint(0, len(parts)), dice.choice(beside))
        name = dice.choice(("", "", "", "-")).join(parts)
        if dice.random() < 0.15:
            name += str(dice.choice((1, 2, 3, 4, 7, 8, 18, 24, 77, 88, 99, 123, 247, 365, 777, 888)))
        front = dice.choice(("m.", "blog.", "shop.", "app.", "go.")) if dice.random() < 0.06 else ""
        yield f"{front}{name[:60].strip('-')}.{dice.choice(endings)}"


def some_of(names: Iterable[str], most: int, dice: random.Random) -> list[str]:
    """At most so many of some names, each once, in chance order."""
    chosen = sorted(set(names))
    dice.shuffle(chosen)
    return chosen[:most]
