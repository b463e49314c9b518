"""The taxonomy: which categories exist, what they mean to people, and what each phase gets by default.

A policy snapshot names the digest of the taxonomy that it decides with, so it travels as canonical JSON: the same
categories in the same order always give the same text, however the YAML was laid out.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Final

import yaml

from category_lists.names import shown

PHASES: Final[tuple[str, ...]] = ("early-years", "ks1", "ks2", "ks3", "ks4", "sixth-form", "staff", "guest")
ACTIONS: Final[tuple[str, ...]] = ("allow", "warn", "restrict", "block")  # from weakest to strictest
_DEFAULTS = ("allow", "warn", "block")  # what a category may give: restrict is for search engines and sign-ins, by rule
_WORDS = ("id", "name", "sentence", "group")
_FLAGS = ("locked", "essential", "never_inspect", "mandatory")


@dataclass(frozen=True, slots=True)
class Category:
    """One kind of site. `phases` has an action for every phase; taxonomy.yaml explains the flags at its top."""

    id: str
    name: str
    sentence: str
    group: str
    phases: Mapping[str, str]
    locked: bool = False
    essential: bool = False
    never_inspect: bool = False
    mandatory: bool = False


@dataclass(frozen=True)
class Taxonomy:
    """All categories by id, in the order they were written, and the action for names in none of them by phase."""

    categories: Mapping[str, Category]
    unknown: Mapping[str, str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "categories", MappingProxyType(dict(self.categories)))
        object.__setattr__(self, "unknown", MappingProxyType(dict(self.unknown)))

    def to_json(self) -> str:
        """Give the canonical text: sorted keys, no spaces, characters as they are. Equal taxonomies give equal text."""
        categories = [
            {word: getattr(category, word) for word in (*_WORDS, *_FLAGS)} | {"phases": dict(category.phases)}
            for category in self.categories.values()
        ]
        whole = {"categories": categories, "unknown": dict(self.unknown)}
        return json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Taxonomy":
        """Read what `to_json` wrote, or any JSON of that shape. Raises ValueError that names the first wrong value."""
        return _taxonomy(json.loads(text))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical text, in hex."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def load() -> Taxonomy:
    """Read the taxonomy that ships with the product."""
    return _taxonomy(yaml.safe_load(Path(__file__).with_name("taxonomy.yaml").read_text(encoding="utf-8")))


# --- reading, strictly: a taxonomy that is half understood would filter half ------------------------------------------


def _taxonomy(given: object) -> Taxonomy:
    top = _fields(given, "the taxonomy", required=("categories", "unknown"))
    listed = top["categories"]
    if not isinstance(listed, list):
        raise ValueError("The taxonomy's categories must be a list.")  # noqa: TRY004 - wrong content, not a wrong call
    categories: dict[str, Category] = {}
    for item in listed:
        category = _category(item)
        if category.id in categories:
            raise ValueError(f"The taxonomy has the category {shown(category.id)} twice.")
        categories[category.id] = category
    if not categories:
        raise ValueError("The taxonomy has no categories.")
    return Taxonomy(categories, _actions(top["unknown"], "names in no category"))


def _category(given: object) -> Category:
    fields = _fields(given, "a category", required=(*_WORDS, "phases"), allowed=_FLAGS)
    identity = _word(fields, "id", "a category")
    where = f"the category {shown(identity)}"
    if not identity.replace("_", "").isalnum() or not identity.isascii() or identity != identity.lower():
        raise ValueError(
            f"A category's id is lower-case letters, digits and underscores, and {shown(identity)} is not."
        )
    category = Category(
        id=identity,
        name=_word(fields, "name", where),
        sentence=_word(fields, "sentence", where),
        group=_word(fields, "group", where),
        phases=_actions(fields["phases"], where),
        locked=_flag(fields, "locked", where),
        essential=_flag(fields, "essential", where),
        never_inspect=_flag(fields, "never_inspect", where),
        mandatory=_flag(fields, "mandatory", where),
    )
    given_actions = set(category.phases.values())
    if category.locked and given_actions != {"block"}:
        raise ValueError(f"In {where}, locked means block for every phase.")
    if category.essential and (given_actions != {"allow"} or category.locked or category.mandatory):
        raise ValueError(f"In {where}, essential means allow for every phase.")
    return category


def _fields(
    given: object, where: str, *, required: tuple[str, ...], allowed: tuple[str, ...] = ()
) -> dict[str, object]:
    if not isinstance(given, dict):
        raise ValueError(f"In the taxonomy, {where} must be a mapping of names to values.")  # noqa: TRY004 - as above
    for key in given:
        if key not in required and key not in allowed:
            raise ValueError(f"In the taxonomy, {where} has an unknown field {shown(str(key))}.")
    for key in required:
        if key not in given:
            raise ValueError(f"In the taxonomy, {where} lacks the field {key!r}.")
    return given


def _word(fields: Mapping[str, object], key: str, where: str) -> str:
    value = fields[key]
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"In the taxonomy, {key!r} of {where} must be words, not {shown(repr(value))}.")
    return value


def _flag(fields: Mapping[str, object], key: str, where: str) -> bool:
    value = fields.get(key, False)
    if not isinstance(value, bool):
        raise ValueError(f"In the taxonomy, {key!r} of {where} must be true or false, not {shown(repr(value))}.")  # noqa: TRY004 - as above
    return value


def _actions(given: object, where: str) -> Mapping[str, str]:
    fields = _fields(given, f"the phases of {where}", required=PHASES)
    actions: dict[str, str] = {}
    for phase in PHASES:
        action = fields[phase]
        if not isinstance(action, str) or action not in _DEFAULTS:
            raise ValueError(f"In the taxonomy, {where} cannot give {phase} the action {shown(str(action))}.")
        actions[phase] = action
    return MappingProxyType(actions)
