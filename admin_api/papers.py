"""Papers: minutes and reports as PDF/UA, by Typst, which tags what it sets.

What strangers typed never reaches Typst as markup: it goes in as data (a JSON input), and the template sets it as text.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from admin_api.words import shown_text
from monitoring.tables import clean

TEMPLATE = Path(__file__).with_name("templates") / "paper.typ"


@dataclass(frozen=True, slots=True)
class Table:
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[float, ...] = ()  # a bar for each row, where there are numbers


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    paragraphs: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    table: Table | None = None


@dataclass(frozen=True, slots=True)
class Paper:
    title: str
    subtitle: str
    sections: tuple[Section, ...]
    ends: tuple[str, ...] = field(default=())  # signatures, or what it means


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return "".join(
            letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in shown_text(clean(value, 4000))
        )
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, Sequence):
        return [_plain(one) for one in value]
    return value


def pdf(paper: Paper, at: datetime) -> bytes:
    """The paper as PDF/UA-1. The same paper of the same moment is the same bytes."""
    import typst

    plain = _plain(asdict(paper))
    for shows in (lambda _: True, _in_our_fonts, str.isascii):  # PDF/UA refuses a letter that no font has
        try:
            made: bytes = typst.compile(
                _template(),
                format="pdf",
                sys_inputs={"paper": json.dumps(_only(plain, shows))},
                pdf_standards=["ua-1"],
                timestamp=int(at.timestamp()),
                ignore_system_fonts=True,
            )
        except typst.TypstError as error:
            if shows is str.isascii or "could not be displayed" not in str(error):
                raise
        else:
            return made
    raise RuntimeError("no paper could be made")


# Latin, Greek, Cyrillic, Arabic, and the marks of typesetting: what the fonts that Typst carries can show.
_SHOWN = (
    (0x20, 0x24F),
    (0x370, 0x52F),
    (0x600, 0x6FF),
    (0x1E00, 0x1EFF),
    (0x2010, 0x203A),
    (0x20AC, 0x20AC),
    (0x2190, 0x2193),
)


def _in_our_fonts(letter: str) -> bool:
    return letter == "\n" or any(first <= ord(letter) <= last for first, last in _SHOWN)


def _only(value: Any, shows: Callable[[str], bool]) -> Any:
    """The same with every other letter by its number."""
    if isinstance(value, str):
        return "".join(letter if shows(letter) else f"[U+{ord(letter):04X}]" for letter in value)
    if isinstance(value, dict):
        return {name: _only(one, shows) for name, one in value.items()}
    return [_only(one, shows) for one in value] if isinstance(value, list) else value


@lru_cache
def _template() -> bytes:
    return TEMPLATE.read_bytes()
