"""The files of phrase sets, understood: what each phrase stands for, rules, and what lowers whom.

The format is category_lists/phrases/*.yaml. A theme's document has phrases in four strengths, `never`, and rules (`together`:
sets of words that stand near each other). Under `brief` stands what counts in searches and in texts of a few sentences,
under `search` what counts in searches alone. `(a|b) c` stands for either; where that would be too many, a search looks for
the parts in a row instead. Whatever is not understood is refused whole. Pure.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, product
from typing import Final, Literal, NamedTuple

import yaml

from category_lists.spelling import PLAIN, Spelling
from category_lists.text import plain

type Reading = Literal["page", "brief", "search"]  # a page of a few sentences is read like what somebody says

WEIGHTS: Final = {"hard": 100, "strong": 50, "soft": 20, "slight": 8}
READ: Final[Mapping[str, tuple[Reading, ...]]] = {
    "": ("page", "brief", "search"),
    "brief": ("brief", "search"),
    "search": ("search",),
}


@dataclass(slots=True, eq=False)
class Meaning:
    """What one phrase says wherever it stands: it may be a phrase of themes, a context and a part of rules at once."""

    scores: list[tuple[str, int, str]] = field(default_factory=list)  # theme, weight, a key of `READ`
    contexts: list[str] = field(default_factory=list)
    parts: dict[Reading, list[int]] = field(default_factory=dict)
    never: bool = False

    def weights(self, reading: Reading) -> tuple[tuple[str, int], ...]:
        """The weight for each theme, the higher where a search has its own."""
        best: dict[str, int] = {}
        for theme, weight, only in self.scores:
            if reading in READ[only]:
                best[theme] = max(weight, best.get(theme, 0))
        return tuple(best.items())


class Says(NamedTuple):
    """The same, ready for reading a page or a search: a tuple, because a page holds two thousand of them."""

    phrase: str
    weights: tuple[tuple[str, int], ...]
    parts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    theme: str
    weight: int
    kind: str
    parts: tuple[int, ...]
    words: str
    row: bool = False  # in this order, with no more than a word or two between


@dataclass(slots=True)
class Built:
    """Everything that the files say, while it is put together."""

    meanings: dict[str, Meaning] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    lowered: dict[str, frozenset[str]] = field(default_factory=dict)
    sets: dict[str, int] = field(default_factory=dict)
    languages: set[str] = field(default_factory=set)
    spelling: Spelling = PLAIN

    def meaning(self, phrase: str) -> Meaning:
        return self.meanings.setdefault(phrase, Meaning())

    def part(self, phrases: Sequence[str], kind: str) -> int:
        """The number of a set of phrases, which rules of this kind look for; equal sets share one."""
        key = "\n".join(sorted(set(phrases)))
        number = self.sets.setdefault(key, len(self.sets))
        for phrase in set(phrases):
            for each in READ[kind]:
                numbers = self.meaning(phrase).parts.setdefault(each, [])
                if number not in numbers:
                    numbers.append(number)
        return number

    def split(self, given: object, sets: Mapping[str, str], name: str) -> list[str]:
        """Phrases, also in the one form that texts are brought into; the other may stand far down a page."""
        return [
            form for phrase in _split(given, sets, name) for form in dict.fromkeys((phrase, self.spelling.spoken(phrase)))
        ]


def read(texts: Mapping[str, str]) -> Built:
    built = Built()
    documents: dict[str, list[object]] = {}
    for name, text in texts.items():
        try:
            documents[name] = [one for one in yaml.safe_load_all(text) if one is not None]
        except yaml.YAMLError as error:
            raise ValueError(f"The phrase file {name} is not YAML: {str(error).splitlines()[0]}.") from None
    named = _named(documents.pop("words.yaml", []), "words.yaml")
    built.spelling = _spelling(named.pop("spelling", {}))
    for language, contexts in _named(documents.pop("contexts.yaml", []), "contexts.yaml").items():
        for context, phrases in contexts.items():
            for phrase in built.split(phrases, named.get(language, {}), "contexts.yaml"):
                built.meaning(phrase).contexts.append(context)
    for name, some in documents.items():
        for document in some:
            _theme(built, document, named, name)
    return built


def _spelling(said: Mapping[str, str]) -> Spelling:
    """`means: u = you, ...` and the words that slips are undone towards, with the real ones that look like slips."""
    pairs = (pair.split("=") for pair in said.get("means", "").split(",") if "=" in pair)
    means = {short.strip(): meant.strip() for short, meant in pairs}
    meant, real = (said.get(each, "").replace(",", " ").split() for each in ("meant", "real"))
    return Spelling.of(means, meant, real)


def _named(documents: list[object], name: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for document in documents:
        if not isinstance(document, dict) or not all(isinstance(value, dict) for value in document.values()):
            raise ValueError(f"The phrase file {name} must give words by language and name.")
        for language, sets in document.items():
            found.setdefault(str(language), {}).update({str(key): str(value) for key, value in sets.items()})
    return found


_THEME_FIELDS: Final = frozenset((*WEIGHTS, "theme", "language", "lowered_by", "together", "never", "search", "brief"))


def _theme(built: Built, document: object, named: Mapping[str, Mapping[str, str]], name: str) -> None:
    if not isinstance(document, dict) or "theme" not in document or "language" not in document:
        raise ValueError(f"In the phrase file {name}, every part needs a theme and a language.")
    if strange := set(document) - _THEME_FIELDS:
        raise ValueError(f"In the phrase file {name}, there is an unknown field {min(map(str, strange))!r}.")
    theme, language = str(document["theme"]), str(document["language"])
    sets = named.get(language, {})
    built.languages.add(language)
    lowered = frozenset(map(str, document.get("lowered_by") or ()))
    built.lowered[theme] = built.lowered.get(theme, frozenset()) | lowered
    for phrase in built.split(document.get("never"), sets, name):
        built.meaning(phrase).never = True
    for kind, fields in (("", document), ("brief", document.get("brief") or {}), ("search", document.get("search") or {})):
        for strength, weight in WEIGHTS.items():
            given, rows = _rows(fields.get(strength)) if kind else (fields.get(strength), [])  # rows are slow in long texts
            for phrase in built.split(given, sets, name):
                built.meaning(phrase).scores.append((theme, weight, kind))
            for row in rows:
                parts = tuple(built.part(built.split(group, sets, name), kind) for group in row)
                built.rules.append(Rule(theme, weight, kind, parts, " ".join(row)[:60], row=True))
        for rule in fields.get("together") or ():
            if not isinstance(rule, dict) or len(rule) != 1 or not set(rule) <= set(WEIGHTS):
                raise ValueError(f"In the phrase file {name}, a rule of {theme} needs one strength and its sets of words.")
            strength, groups = next(iter(rule.items()))
            parts = tuple(built.part(built.split(group, sets, name), kind) for group in groups)
            built.rules.append(Rule(theme, WEIGHTS[strength], kind, parts, " + ".join(str(one)[:24] for one in groups)))


def _split(given: object, sets: Mapping[str, str], name: str) -> list[str]:
    """Phrases between commas, each with a space at both ends; `<name>` stands for a set of words.yaml, `(a|b)` for either."""
    found: list[str] = []
    for piece in str(given or "").split(","):
        phrase = piece.strip()
        if phrase.startswith("<") and phrase.endswith(">"):
            if phrase[1:-1] not in sets:
                raise ValueError(f"In the phrase file {name}, there are no words {phrase}.")
            found += _split(sets[phrase[1:-1]], {}, name)
        elif "(" in phrase:
            found += [spoken for each in _either(phrase, name) if len(spoken := plain(each)) > 2]
        elif phrase and len(spoken := plain(phrase)) > 2:
            found.append(spoken)
    return found


def _rows(given: object) -> tuple[str, list[list[str]]]:
    """Patterns that stand for too much to write out are looked for part by part; what may be missing is left out of them."""
    few, many = [], []
    for piece in str(given or "").split(","):
        groups = [group.split("|") for group in _EITHER.split(piece) if group.strip()]
        if "(" in piece and math.prod(map(len, groups)) > _FEW:
            many.append([", ".join(group) for group in groups if all(each.strip() for each in group)])
        else:
            few.append(piece)
    return ",".join(few), many


_EITHER: Final = re.compile(r"\(([^()]*)\)")
_FEW, _MOST = 60, 800  # phrases that one pattern is written out into: of searches, of pages


def _either(pattern: str, name: str) -> list[str]:
    """All that `(how|where) to (|buy|get) it` stands for."""
    pieces = [piece.split("|") for piece in _EITHER.split(pattern)]
    if math.prod(map(len, pieces)) > _MOST or "(" in "".join(chain.from_iterable(pieces)):
        raise ValueError(f"In the phrase file {name}, {pattern[:40]!r} stands for too much, or has a bracket too many.")
    return ["".join(some) for some in product(*pieces)]
