"""The words of a page, cut into what the model of page texts counts: each word once, and pieces of the longer ones.

Only the beginning of a page is looked at, and of that so many different words: a page says what it is there, and the time
that a page takes stays short whatever its size. Pure.
"""

from functools import lru_cache
from itertools import chain
from typing import Final

from xxhash import xxh32_intdigest as hash_of

from category_lists.text import plain

_BEGINNING: Final = 4000  # characters of a page that are looked at
_WORDS: Final = 200  # different words of it
_LONG: Final = 5  # letters of a word that is cut into pieces as well
_LONGEST: Final = 60  # letters of a word that are looked at: what is longer is no word, and would fill what is remembered
_PIECE: Final = 4


def rows_of_text(text: str, rows: int) -> list[int]:
    """The rows of a text's words and pieces in a model that has so many rows (a power of two)."""
    words = list(dict.fromkeys(word[:_LONGEST] for word in plain(text[:_BEGINNING]).split()))[:_WORDS]
    return sorted(set(chain.from_iterable(_rows_of_word(word, rows) for word in words)))


@lru_cache(maxsize=1 << 14)  # pages of a day are made of the same words
def _rows_of_word(word: str, rows: int) -> tuple[int, ...]:
    pieces = [word.encode()]
    if len(word) >= _LONG:
        whole = f"^{word}$".encode()
        pieces += [b"#" + whole[at : at + _PIECE] for at in range(len(whole) - _PIECE + 1)]
    return tuple(hash_of(piece) & (rows - 1) for piece in pieces)
