"""Phrase sets: what a page or a search is about, by the words in it.

How a text is scored. Every theme has phrases in four strengths, rules of words that stand together, and phrases that mean
no harm and hide what they overlap (`never`: "breast cancer", "chicken breast"). Words of help, lessons, history, science
and news lower what a theme found, except for its hardest phrases, which they lower only a little: an essay about suicide
is no harm, a page with methods is, whatever else it says. A theme is found when its score passes a line; the line rises
with a text's length, because long texts hold some of every word. Searches have more phrases and a lower line.

What nobody put into a phrase is told by what a text reads like (reading.py): its odds are points as well, for the likeliest
theme, up to `_MOST_READ` lines. In what somebody writes in one go, odds that speak for a harmless text are taken off what
phrases found ("does our filter block pornography and self-harm"), and phrases count up to `_MOST_SAID` lines against them. It
is read for that stretch by stretch, and the worst of them speaks for all: no harm is excused by a word of homework put behind
it, or by the news of a school around it. A long page is not excused at all.

A name for the words of strangers: the files are data, this is the engine, category_lists/text.py makes words of text.
One automaton holds all phrases of all languages, so a page is read once. Nothing here blocks: it says what was found.
"""

import hashlib
import json
import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Final, Literal, Self

import ahocorasick

from category_lists.phrase_files import READ, WEIGHTS, Meaning, Reading, Rule, Says, read
from category_lists.reading import Reader
from category_lists.text import words

type Kind = Literal["page", "search"]

_LINE: Final = {"page": 80, "search": 50}
_BRIEF: Final = 2000  # characters: what somebody writes in one go
_SHORT: Final = 250  # words: up to here a page's line stays where it is
# The younger the readers, the lower the line. A guest may be a pupil.
_BY_PHASE: Final = {
    "early-years": 0.8,
    "ks1": 0.8,
    "ks2": 0.8,
    "ks3": 0.9,
    "ks4": 1.0,
    "sixth-form": 1.2,
    "staff": 1.5,
    "guest": 1.0,
}
_LIKELY: Final = 0.6  # of the line, for a theme that the name of the site speaks of too
_WITHIN: Final = 80  # characters between the first and the last word of a rule's words, about twelve words
_BESIDE: Final = 14  # characters between words of a row, two short words
_MOST_READ, _LEAST_READ = 2.0, -2.0  # lines that what a text reads like can add and take off
_FEW: Final = 9  # words
_ALONE: Final = 0.8  # lines more that a single known word has to speak for a theme
_STRETCH: Final = {"page": 10, "search": 5}  # words that are read at a time where harmless odds excuse, each half in two
_MOST_SAID: Final = 2.0  # lines that phrases count for beside it
_SAME_AGAIN: Final = 0.15  # what each further occurrence of a phrase adds, up to four of them


@dataclass(frozen=True, slots=True)
class _Yields:
    """How much of a weight is left for each word of help, lesson and so on, and at the least."""

    each: float
    least: float


_HARD, _FIRM, _SOFT = _Yields(0.8, 0.4), _Yields(0.74, 0.15), _Yields(0.66, 0.05)
type _Weighed = tuple[str, str, int, float, _Yields]  # theme, phrase, weight, times, yields


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing that was found, in its plain form, and what it counted for."""

    theme: str
    phrase: str
    weight: int


@dataclass(frozen=True, slots=True)
class Score:
    """What a text is about. `themes` are those found, strongest first; `action` is what a filter would do by default."""

    total: int
    themes: Mapping[str, int]
    hits: tuple[Hit, ...]
    action: Literal["allow", "warn", "block"]


FOLDER: Final = Path(__file__).with_name("phrases")
LEARNED: Final = "learned.json"  # among the files: what category_lists/reading.py reads with


def _automaton(meanings: Mapping[str, Meaning], reading: Reading) -> ahocorasick.Automaton:
    """One for each way of reading: a page would meet the little words of rows at every step."""
    made = ahocorasick.Automaton()
    made.add_word("\0", (1, False, (), Says("", (), ())))  # in no text; an empty one cannot be searched with
    for phrase, meaning in meanings.items():
        says = Says(phrase.strip(), meaning.weights(reading), tuple(meaning.parts.get(reading, ())))
        if says.weights or says.parts or meaning.contexts or meaning.never:
            made.add_word(phrase, (len(phrase), meaning.never, tuple(meaning.contexts), says))
    made.make_automaton()
    return made


class Phrases:
    """Phrase sets, ready to score with. Nothing in it changes; share one between threads."""

    __slots__ = ("_automata", "_lowered", "_rules", "_spelling", "_vocabulary", "digest", "languages", "reader", "themes")

    def __init__(self, texts: Mapping[str, str]) -> None:
        """`texts` are the files by name. Raises ValueError in one sentence for what is not understood."""
        built = read({name: text for name, text in texts.items() if name != LEARNED})
        self.reader = Reader.from_text(texts[LEARNED]) if LEARNED in texts else None
        self._automata = {reading: _automaton(built.meanings, reading) for reading in READ[""]}
        self._rules = {reading: [rule for rule in built.rules if reading in READ[rule.kind]] for reading in READ[""]}
        self._lowered = built.lowered
        self._spelling = built.spelling
        self._vocabulary = frozenset(word for phrase in built.meanings for word in phrase.split() if len(word) > 2)
        self.themes = tuple(sorted(set(built.lowered) | (self.reader.themes if self.reader else set())))
        self.languages = tuple(sorted(built.languages))
        named = sorted((name, hashlib.sha256(text.encode()).hexdigest()) for name, text in texts.items())
        self.digest: str = hashlib.sha256(json.dumps(named, separators=(",", ":")).encode()).hexdigest()

    @classmethod
    def load(cls, folder: Path | None = None) -> Self:
        """The sets that ship with the product, or those of a folder."""
        return cls(_texts(folder or FOLDER))

    def spoken(self, text: str) -> str:
        """The words of a text, with tricks undone: what phrases are found in, and what it is read by."""
        return words(text, self._known, self._spelling)

    def score(self, text: str, kind: Kind = "page", *, phase: str = "ks4", likely: Collection[str] = ()) -> Score:
        """What is this text about, for readers of this phase? Of `likely` themes, which something else speaks for as well,
        fewer words are enough.
        """
        spoken = self.spoken(text)
        reading: Reading = "brief" if kind == "page" and len(text) <= _BRIEF else kind
        seen, contexts = self._found(spoken, reading)
        counts: dict[tuple[str, str, int], int] = {}
        places: dict[int, list[int]] = {}
        ends: dict[int, list[int]] = {}  # the same places, where they end, for rows
        for start, (phrase, weights, parts) in seen:
            for theme, weight in weights:
                counts[theme, phrase, weight] = counts.get((theme, phrase, weight), 0) + 1
            for part in parts:
                if part in places:
                    places[part].append(start)
                else:
                    places[part] = [start]
                if reading != "page":
                    ends.setdefault(part, []).append(start + len(phrase))
        hits = self._hits(counts, places, ends, reading)
        scores: dict[str, float] = {}
        for theme, _, weight, again, yields in hits:
            calm = sum([contexts.get(context, 0) for context in self._lowered[theme]])
            scores[theme] = scores.get(theme, 0.0) + weight * again * max(yields.least, yields.each**calm)
        told = [Hit(theme, phrase, weight) for theme, phrase, weight, _, _ in hits]
        line = _LINE[kind] * _BY_PHASE.get(phase, 1.0)
        if kind == "page":
            line *= 1 + 0.6 * max(0.0, math.log2(max(1, spoken.count(" ")) / _SHORT))
        count = scores  # what is held against the line
        if self.reader:
            hit, off = self._read(self.reader, spoken, kind, excused=reading != "page")
            if hit:
                told.append(hit)
                scores[hit.theme] = scores.get(hit.theme, 0.0) + hit.weight
            if reading != "page":
                most = _MOST_SAID * _LINE[kind]
                read = {hit.theme: hit.weight} if hit else {}
                count = {
                    theme: min(score - read.get(theme, 0), most) + read.get(theme, 0) - off for theme, score in scores.items()
                }
        themes = {
            theme: round(score)
            for theme, score in sorted(scores.items(), key=lambda one: -one[1])
            if count[theme] >= (line * _LIKELY if theme in likely else line)
        }
        top = max(count.values(), default=0.0)
        action: Literal["allow", "warn", "block"] = "block" if themes else "warn" if top >= line * 0.85 else "allow"
        told.sort(key=lambda hit: -hit.weight)
        return Score(round(max(scores.values(), default=0.0)), themes, tuple(told), action)

    @staticmethod
    def _read(reader: Reader, spoken: str, kind: Kind, *, excused: bool) -> tuple[Hit | None, float]:
        """What a text reads like as points: for a theme, or to take off all of them."""
        found = reader.read(spoken)
        few = spoken.count(" ") <= _FEW  # a page of so few words is a title, and says as little as a search
        line = reader.lines["search" if few else kind] - 1
        lines = found.odds - line
        if lines <= 0:
            if not excused:
                return None, 0.0
            worst = max(reader.read(some).odds for some in _stretches(spoken, _STRETCH[kind])) - line
            return None, -max(min(worst, 0.0), _LEAST_READ) * _LINE[kind]
        if found.words < 2 and lines <= 1 + _ALONE:
            return None, 0.0
        said = " ... ".join(reader.why(spoken, found.theme))
        return Hit(
            found.theme, f"reads like it: {said}" if said else "reads like it", round(min(lines, _MOST_READ) * _LINE[kind])
        ), 0.0

    def reading(self, text: str) -> tuple[Reader | None, str]:
        """What reads a text, and the text as it is read: for those who ask with the name of its site (classifier.Model)."""
        return self.reader, self.spoken(text)

    def _known(self, word: str) -> bool:
        return word in self._vocabulary

    def _found(self, spoken: str, reading: Reading) -> tuple[list[tuple[int, Says]], dict[str, int]]:
        """Every phrase in the text with where it begins, in order, and how many words of each context there are.

        Phrases that stand inside or across one that means no harm are left out.
        """
        masks: list[tuple[int, int]] = []
        seen: list[tuple[int, int, Says]] = []
        calm: set[tuple[str, tuple[str, ...]]] = set()
        for last, (length, never, context, says) in self._automata[reading].iter(spoken):
            if never:
                masks.append((last - length + 2, last))
            if context:
                calm.add((says[0], context))
            if says[1] or says[2]:
                seen.append((last - length + 2, last, says))
        contexts = Counter(chain.from_iterable([names for _, names in calm]))
        seen.sort(key=_BY_PLACE)
        if not masks:
            return [(start, says) for start, _, says in seen], contexts
        masks.sort()
        starts = [start for start, _ in masks]
        longest = max(end - start for start, end in masks)
        left = []
        for start, end, says in seen:
            first = bisect_left(starts, start - longest)
            if first < len(starts) and starts[first] < end:
                near = masks[first : bisect_left(starts, end, first)]
                if any(mask[1] > start and _hides(mask, start, end) for mask in near):
                    continue
            left.append((start, says))
        return left, contexts

    def _hits(
        self,
        counts: Mapping[tuple[str, str, int], int],
        places: Mapping[int, list[int]],
        ends: Mapping[int, list[int]],
        reading: Reading,
    ) -> list[_Weighed]:
        hits = [
            (theme, phrase, weight, 1 + _SAME_AGAIN * min(count - 1, 4), _HARD if weight >= WEIGHTS["hard"] else _SOFT)
            for (theme, phrase, weight), count in counts.items()
        ]
        hits += [
            (rule.theme, rule.words, rule.weight, 1.0, _FIRM if rule.weight >= WEIGHTS["hard"] else _SOFT)
            for rule in self._rules[reading]
            if all(part in places for part in rule.parts)
            and (_in_a_row(rule, places, ends) if rule.row else _near(rule, places))
        ]
        return hits


def _stretches(spoken: str, long: int) -> list[str]:
    """A text in overlapping runs of so many words, the last of them its end."""
    said = spoken.split()
    last = max(0, len(said) - long)
    return [f" {' '.join(said[at : at + long])} " for at in sorted({*range(0, last, max(1, long // 2)), last})]


_BY_PLACE: Final = itemgetter(0)


def _hides(mask: tuple[int, int], start: int, end: int) -> bool:
    """A harmless phrase hides what it covers or cuts, but not a longer phrase that merely holds it."""
    return not (start < mask[0] and end > mask[1]) and not (start <= mask[0] and end >= mask[1] and (start, end) != mask)


def _near(rule: Rule, places: Mapping[int, list[int]]) -> bool:
    """Whether one place of every part lies within `_WITHIN` characters, no two parts at the same place.

    The places of each part come in rising order, so only those around an anchor are looked at.
    """
    first, *rest = sorted((places[part] for part in rule.parts), key=len)
    for anchor in first:
        taken = [anchor]
        for others in rest:
            n = bisect_left(others, anchor - _WITHIN)
            while n < len(others) and others[n] <= anchor + _WITHIN and others[n] in taken:
                n += 1
            if n == len(others) or others[n] > anchor + _WITHIN:
                break
            taken.append(others[n])
        else:
            return True
    return False


def _in_a_row(rule: Rule, places: Mapping[int, list[int]], ends: Mapping[int, list[int]]) -> bool:
    """Whether the parts follow each other."""
    first, *rest = rule.parts
    reached = set(ends[first])
    for part in rest:
        reached = {
            end
            for start, end in zip(places[part], ends[part], strict=True)
            if any(before < start <= before + _BESIDE for before in reached)
        }
    return bool(reached)


@cache
def shipped() -> Phrases:
    """The sets that ship with the product, read once."""
    return _understood(shipped_text())


@cache
def by_hand() -> Phrases:
    """The same without what was learned: what somebody wrote down alone."""
    return Phrases({name: text for name, text in _texts(FOLDER).items() if name != LEARNED})


@cache
def learned() -> Reader:
    """What was learned alone."""
    return Reader.from_text((FOLDER / LEARNED).read_text(encoding="utf-8"))


def said_by_themselves(weight: int) -> list[tuple[str, str]]:
    """The phrases that ship and say enough by themselves, each with its theme; "" for those that mean no harm."""
    built = read({name: text for name, text in _texts(FOLDER).items() if name != LEARNED})
    found = [
        ("", phrase.strip())
        for phrase, meaning in built.meanings.items()
        if meaning.never or (meaning.contexts and not meaning.scores)
    ]
    for phrase, meaning in built.meanings.items():
        found += [(theme, phrase.strip()) for theme, least, _ in meaning.scores if least >= weight]
    return sorted(set(found))


def shipped_text(folder: Path = FOLDER) -> str:
    """The same as one text, which a dictionary names by its digest."""
    return json.dumps(_texts(folder), ensure_ascii=False, separators=(",", ":"))


def _texts(folder: Path) -> dict[str, str]:
    named = [*folder.glob("*.yaml"), *folder.glob(LEARNED)]
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(named)}


@lru_cache(maxsize=4)
def _understood(text: str) -> Phrases:
    return Phrases(json.loads(text))


class Sets:
    """Phrase sets as their text, understood when first asked: only those who judge words need the third of a second."""

    __slots__ = ("_ready", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._ready: Phrases | None = None

    def score(self, text: str, kind: Kind = "page", *, phase: str = "ks4", likely: Collection[str] = ()) -> Score:
        return self.ready().score(text, kind, phase=phase, likely=likely)

    def reading(self, text: str) -> tuple[Reader | None, str]:
        return self.ready().reading(text)

    def ready(self) -> Phrases:
        """Kept here too: by its text alone it would be found by comparing all of that, for every page and search."""
        if self._ready is None:
            self._ready = _understood(self._text)
        return self._ready
