"""The block page in other languages than English: one file each, from English sentence to theirs.

A browser says which languages its reader likes; the first of them that we have is spoken. What a file leaves out is said in
English, and a file that is put beside the others is one more language.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

ENGLISH = "en-GB"


@dataclass(frozen=True, slots=True)
class Language:
    code: str
    words: Mapping[str, str]
    why: Mapping[str, str]  # by reason of a decision

    def __call__(self, english: str) -> str:
        return self.words.get(english, english)


def load(folder: Path) -> dict[str, Language]:
    """The languages of a folder, by code. ValueError in one sentence for a file that is none."""
    found = {"en": Language(ENGLISH, {}, {})}
    for path in sorted(folder.glob("*.yaml")):
        try:
            told = yaml.safe_load(path.read_text(encoding="utf-8"))
            words = {str(key): str(value) for key, value in told["words"].items()}
            why = {str(key): str(value) for key, value in (told.get("why") or {}).items()}
            found[path.stem] = Language(str(told["language"]), words, why)
        except (yaml.YAMLError, KeyError, TypeError, AttributeError):
            raise ValueError(f"{path.name} is not a language: it needs `language` and `words`") from None
    return found


@cache
def shipped() -> Mapping[str, Language]:
    return load(Path(__file__).with_name("language_files"))


def chosen(accepted: str, languages: Mapping[str, Language]) -> Language:
    """The first of the reader's languages that we have, by the weights of Accept-Language."""
    wanted = []
    for number, part in enumerate(accepted[:200].split(",")[:12]):
        tag, _, weight = part.strip().partition(";q=")
        try:
            wanted.append((-float(weight or 1), number, tag.partition("-")[0].strip().lower()))
        except ValueError:
            continue
    return next((languages[tag] for _, _, tag in sorted(wanted) if tag in languages), languages["en"])
