"""What people write, turned into plain words that phrases can be found in.

The words of a text are lower-case, without accents, marks and apostrophes, separated by single spaces, with a space at
both ends, so that ` word ` finds whole words only and Scunthorpe stays a town. Tricks are undone where the result is a
word that some phrase uses, and only there: `p0rn`, `$ex`, `p o r n`, `pooorn`, `роrn` with Cyrillic letters. A text that
holds no such word is left as it is, so undoing tricks cannot invent harm in ordinary prose. What is written as on a phone
(`u wanna`, `how 2`, "I am" for "im") is brought into one form, which phrases are brought into as well; and a slip of the
finger in a search, `unblokced`, becomes the word meant where that is one of a short list (category_lists/spelling.py). Pure.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from category_lists.confusables import LETTERS
from category_lists.spelling import PLAIN, Spelling

_TRICKY: Final = 4096  # characters at the start of a text that are looked at for tricks; searches and titles lie within
_TYPED: Final = 120  # characters: a text as short as a search
_RUN: Final = 100  # characters beyond ASCII in a row, up to which what became of them is remembered: longer ones fill memory
_KEPT = "abcdefghijklmnopqrstuvwxyz0123456789"
# ASCII: letters and digits stay, apostrophes vanish ("can't" is one word), all else separates words.
# `None`, not "", for what vanishes: only then does Python translate by table.
_ASCII: Final = {code: " " for code in range(128) if chr(code).lower() not in _KEPT} | {ord("'"): None}
# What vanishes (quotes within words, joiners, the Arabic stretch), and letters with several spellings.
_OTHER: Final = dict.fromkeys("’‘ʼ\u0640\u200b\u200c\u200d\ufeff\u00ad\ufe0f", "") | {
    "ł": "l", "ø": "o", "đ": "d", "ı": "i", "ß": "ss", "æ": "ae", "œ": "oe",
    "ي": "ی", "ك": "ک", "ى": "ی", "ۀ": "ه", "ة": "ه", "أ": "ا", "إ": "ا", "آ": "ا",
}  # fmt: skip
_MARKS: Final = re.compile("[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\ufe00-\ufe0f]")
_FOREIGN: Final = re.compile(r"[^\x00-\x7f]+")
_NO_WORD: Final = re.compile("[\\x00-\\x1f!-/:-@\\[-`{-\\x7f]+")
# A picture that stands for a word. Few, because most emoji mean many things.
_EMOJI: Final = {
    "🔞": " xxx ", "🍆": " horny ", "💦": " horny ", "🔪": " knife ", "🔫": " gun ",
    "💣": " bomb ", "🎰": " slots ", "🎲": " dice ", "🍁": " weed ", "🌿": " weed ", "🍄": " shrooms ",
    "💊": " pills ", "💉": " inject ", "🚬": " cigarettes ", "🍺": " beer ", "🍻": " beer ", "🍷": " wine ", "🔌": " plug ",
    "🩸": " blood ", "☠": " dead ", "💀": " dead ", "🪦": " dead ", "🖕": " fuck you ",
}  # fmt: skip
_LEET: Final = str.maketrans("013457896@$!|+", "oieastbgbasiit")
_LEET_L: Final = str.maketrans("013457896@$!|+", "oleastbgbaslit")
_TRICK: Final = re.compile(r"[0-9@$!|*+]|([a-z])\1\1")
_RUNS: Final = re.compile(r"(.)\1{2,}")
_DOUBLE: Final = re.compile(r"([a-z])\1")
_SPELT: Final = re.compile(r"(?<= )(?:[^\W_] ){2,}[^\W_](?= )")

type Known = Callable[[str], bool]


def plain(text: str) -> str:
    """The words of a text, and nothing undone. What phrases are written in."""
    text = text.lower()
    if not text.isascii():
        text = _FOREIGN.sub(_letters, text)
    # A text that is plain ASCII by now, as most are, is translated ten times as fast.
    text = text.translate(_ASCII) if text.isascii() else _NO_WORD.sub(" ", text.replace("'", ""))
    return f" {' '.join(text.split())} "


def _letters(found: re.Match[str]) -> str:
    run = found[0]
    return _spelt_plainly(run) if len(run) <= _RUN else _spelt_plainly.__wrapped__(run)


@lru_cache(maxsize=1 << 14)
def _spelt_plainly(run: str) -> str:
    """A run of characters beyond ASCII: letters in one spelling without marks, words for pictures, else a space."""
    letters = _MARKS.sub("", unicodedata.normalize("NFKD", run)).lower()
    return "".join(
        [_OTHER.get(char) or _EMOJI.get(char, char if char.isalnum() else "" if char in _OTHER else " ") for char in letters]
    )


def words(text: str, known: Known, spelling: Spelling = PLAIN) -> str:
    """The words of a text, with tricks undone at its beginning where that makes a word that is `known`."""
    if len(text) <= _TRICKY:
        return _undone(text, known, spelling)
    cut = text.rfind(" ", 0, _TRICKY) + 1 or _TRICKY
    return _undone(text[:cut], known, spelling) + plain(text[cut:])[1:]


def _undone(text: str, known: Known, spelling: Spelling) -> str:
    # Full-width letters and the like first: they hide `@` and digits as well.
    low = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).lower()
    if not low.isascii():
        low = " ".join([_one_script(word, known) for word in low.split()])
    if _TRICK.search(low):
        low = " ".join([_unmasked(word, known) if _TRICK.search(word) else word for word in low.split()])
    found = plain(low)
    if len(found) <= _TYPED:
        found = f" {' '.join([_meant(word, known, spelling) for word in found.split()])} "
    if _SPELT.search(found):
        found = _SPELT.sub(lambda spelt: _joined(spelt[0], known), found)
    return spelling.spoken(found)


def _meant(word: str, known: Known, spelling: Spelling) -> str:
    """A slip of the finger in a search: with single letters, `porrn`, or one letter amended it is a word we know."""
    if len(word) < 5 or known(word):
        return word
    if _DOUBLE.search(word):
        once = _DOUBLE.sub(r"\1", word)
        if len(once) > 3 and known(once):
            return once
    return spelling.nearest(word)


def _one_script(word: str, known: Known) -> str:
    """A word of mixed scripts in the Latin letters that it looks like, if that is a word we know."""
    if word.isascii():
        return word
    seen = "".join([LETTERS.get(char, char) for char in word])
    if seen == word:
        return word
    bare = seen.strip(".,;:!?\"'()[]")
    return seen if bare.isascii() and known(bare) else word


def _unmasked(word: str, known: Known) -> str:
    """`p0rn`, `$ex`, `p*rn`, `pooorn`: the known word behind it, or the word as it was."""
    bare = word.strip(".,;:?\"'()[]#-_")
    for ends in (bare, bare.rstrip("!*+|")):
        if not ends or (ends.isalpha() and not _RUNS.search(ends)) or ends.isdigit():
            continue
        for made in _candidates(ends):
            if len(made) > 2 and known(made):
                return made
    return word


def _candidates(word: str) -> list[str]:
    spelt = [word.translate(_LEET), word.translate(_LEET_L), re.sub(r"(?<=[a-z])[.\-_](?=[a-z])", "", word)]
    if "*" in word and 0 < word.count("*") < len(word) - 1:
        spelt += [word.replace("*", vowel) for vowel in ("o", "i", "u", "e", "a", "", "c", "ck")]
        spelt += [re.sub(r"\*+", middle, word) for middle in ("uc", "or", "ex", "igge", "un", "i", "u", "oc", "ic")]
    for one in tuple(spelt):
        if _RUNS.search(one):
            spelt += [_RUNS.sub(r"\1", one), _RUNS.sub(r"\1\1", one)]
    return [one for one in spelt if one.isalpha() and one != word]


def _joined(spelt: str, known: Known) -> str:
    letters = spelt.replace(" ", "")
    for made in (letters, letters.translate(_LEET)):
        if known(made):
            return made
    return spelt
