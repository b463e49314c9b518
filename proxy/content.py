"""What a page says: its title, visible text and the words on its pictures, out of the bytes that came. Pure.

Never script or style: a library's word list is nobody's words. Bounded: at most LONGEST_PAGE bytes are kept while a page is
read, unpacked or not, and at most LONGEST_TEXT characters of it are judged; what lies behind passes as it comes.
"""

import re
import zlib
from dataclasses import dataclass
from html import unescape
from unicodedata import category

LONGEST_PAGE = 1 << 20  # bytes of a page that are held back until it is judged
LONGEST_TEXT = 200_000  # characters: fifty milliseconds' reading
LONGEST_TITLE = 200
READABLE = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})  # encodings; pages are asked for in no others
_PAGES = frozenset({"text/html", "application/xhtml+xml"})

_HIDE = ("script", "style", "template", "svg", "math")
_HIDING = re.compile(rf"<(?:((?ai:{'|'.join(_HIDE)}))\b|!--)")  # ASCII: no element is written with a long s
_SEEN_AGAIN = {name: re.compile(rf"</(?ai:{name})\s*>") for name in _HIDE}
_SAYING = ("alt", "title", "aria-label", "placeholder", "content")
# What is said of pictures and fields. Looked for by the sign behind its name, which is rare; the name is looked back at.
_SAID = re.compile(
    rf"""=(?:{"|".join(rf"(?<=(?<!\w){name}=)" for name in _SAYING)})\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE
)
_SPACED = re.compile(r"=(?<=\s=)")  # few pages write so, and a name with a space behind it takes longer to find
_SAID_SPACED = re.compile(rf"""(?<!\w)(?:{"|".join(_SAYING)})\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
_TITLE = re.compile(r"<title\b[^<>]{0,200}>([^<]*)", re.IGNORECASE)
_JOINERS = "\u200c\u200d"  # Urdu and Persian are misspelt without the one, some signs fall apart without the other
_WITHIN_WORDS = re.compile(
    r"</?(?:a|abbr|b|bdi|em|font|i|mark|s|small|span|strong|sub|sup|u|wbr)(?:\s[^<>]*)?>", re.IGNORECASE
)
_CHARSET = re.compile(rb"""charset\s*=\s*["']?\s*([A-Za-z0-9_.:-]{2,30})""", re.IGNORECASE)


def readable(content_type: str, encoding: str) -> bool:
    """Is this a page, in a form that can be read?"""
    return is_page(content_type) and encoding.strip().lower() in READABLE


def is_page(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() in _PAGES


def unpacked(data: bytes, encoding: str, most: int = LONGEST_PAGE) -> bytes | None:
    """At most so many bytes of what was packed; None when it cannot be unpacked. What is cut off gives what is there."""
    how = encoding.strip().lower()
    if how in {"", "identity"}:
        return data[:most]
    if how not in READABLE:
        return None
    for bits in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):  # some send "deflate" without its wrapping
        try:
            return zlib.decompressobj(bits).decompress(data, most)
        except zlib.error:
            continue
    return None


@dataclass(frozen=True, slots=True)
class Words:
    """What people read of a page, in order, and then what is said of its pictures and fields."""

    text: str
    title: str = ""  # one line, for people to read: nothing in it that is not seen, or turns the words round


def words_of(data: bytes, content_type: str = "") -> Words:
    page = _decoded(data, content_type)
    page = _shown(page)
    said = [first or second for first, second in (_SAID_SPACED if _SPACED.search(page) else _SAID).findall(page)]
    seen = _TAG.sub(" ", _WITHIN_WORDS.sub("", page))
    found = _TITLE.search(page)
    return Words(unescape(" ".join((seen, *said)))[:LONGEST_TEXT], _one_line(found[1]) if found else "")


def _shown(page: str) -> str:
    """Without what nobody sees. What never ends hides all that follows."""
    at, parts = 0, []
    while begins := _HIDING.search(page, at):
        parts.append(page[at : begins.start()])
        if begins[1]:
            ends = _SEEN_AGAIN[begins[1].lower()].search(page, begins.end())
            at = ends.end() if ends else len(page)
        else:
            at = page.find("-->", begins.end()) + 3
            at = at if at > 2 else len(page)
    parts.append(page[at:])
    return " ".join(parts)


def _one_line(title: str) -> str:
    """A stranger's words as they may stand in a log: of a megabyte, and of what is no letter, nothing is kept."""
    plain = unescape(title[: 8 * LONGEST_TITLE])
    kept = "".join(" " if letter.isspace() else letter for letter in plain if letter.isspace() or not _unseen(letter))
    return " ".join(kept.split())[:LONGEST_TITLE]


def _unseen(letter: str) -> bool:
    """Control characters, what turns text round or hides in it (but what joins letters), half characters, no characters."""
    return letter not in _JOINERS and category(letter) in {"Cc", "Cf", "Cs", "Co", "Cn"}


def _decoded(data: bytes, content_type: str) -> str:
    found = _CHARSET.search(content_type.encode("ascii", "replace")) or _CHARSET.search(data[:2048])
    for name in ((found[1].decode("ascii") if found else "utf-8"), "utf-8"):
        try:
            return data.decode(name, "replace")
        except LookupError:
            continue
    return data.decode("latin-1")
