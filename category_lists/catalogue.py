"""The feeds that a school can subscribe to: who makes them, under which licence, and what their categories are here.

The catalogue ships with the product and holds no list. A person may add feeds of their own in `feeds.yaml` in the data
folder, in the same form. Being in the catalogue changes nothing: a feed is fetched once a headteacher has approved a
subscription to it.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from category_lists.names import shown
from category_lists.parsers import FORMATS
from category_lists.weigh import GIVEN, VOUCHED, VOUCHING

OWN: Final = "feeds.yaml"  # a school's or authority's own feeds, in the data folder
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,39}").fullmatch
_SCHEMES = ("https", "http", "file")  # http only to this machine; fetch.py sees to that


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far one update may go by itself."""

    max_shrink_percent: int = 10
    max_growth_percent: int = 25
    max_entries: int = 1_000_000  # of one list

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not int or not 0 < value <= 10_000_000:
                raise ValueError(f"{field.name} is a whole number above 0, not {shown(str(value))}")


@dataclass(frozen=True, slots=True)
class Feed:
    """One feed. `mapping` leads from the maker's categories to ours; its single key `*` stands for a feed of one list."""

    id: str
    name: str
    address: str
    format: str
    licence: str
    maintainer: str
    home: str
    mapping: Mapping[str, str]
    every_hours: int = 24
    bounds: Bounds = Bounds()
    checksum: str = ""  # where its SHA-256 is published, as `sha256sum` writes it
    signature: str = ""  # where its minisign signature is published
    key: str = ""  # the maker's minisign public key
    allow_wide: tuple[str, ...] = ()
    vouches: bool = False  # its lists also open sites that others call games, advertising and the like (weigh.py)
    note: str = ""

    @property
    def categories(self) -> frozenset[str]:
        return frozenset(self.mapping.values())

    @property
    def single(self) -> str | None:
        """The category of a feed that is one list; None for one of many lists."""
        return self.mapping.get("*")

    def list_id(self, part: str) -> str:
        """What the list made of a part of this feed is called."""
        front = VOUCHING if self.vouches else ""
        if self.single:
            return front + self.id
        return f"{front}{self.id}-{re.sub(r'[^a-z0-9.]+', '-', part.lower()).strip('-.') or 'list'}"[:64]


def load(data: Path | None, known: Collection[str]) -> dict[str, Feed]:
    """The feeds that ship, and those of the data folder. ValueError with the feed's name for one that is wrong."""
    found = {feed.id: feed for feed in read(Path(__file__).with_name("catalogue.yaml").read_text("utf-8"), known)}
    if data and (own := data / OWN).is_file():
        try:
            found |= {feed.id: feed for feed in read(own.read_text("utf-8"), known)}
        except (OSError, ValueError) as error:
            raise ValueError(f"{OWN}: {error}") from None
    return found


def read(text: str, known: Collection[str]) -> list[Feed]:
    """Read feeds as YAML; `known` are the categories that there are."""
    try:
        raw = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ValueError("this is not YAML") from error
    if not isinstance(raw, dict) or set(raw) != {"feeds"} or not isinstance(raw["feeds"], list):
        raise ValueError("a catalogue begins with `feeds:` and a list of feeds")
    found = [_feed(one, known) for one in raw["feeds"]]
    if len({feed.id for feed in found}) != len(found):
        raise ValueError("two feeds have the same id")
    return found


_TEXTS = ("id", "name", "address", "format", "licence", "maintainer", "home")
_MORE = ("checksum", "signature", "key", "note")


def _feed(raw: Any, known: Collection[str]) -> Feed:
    if not isinstance(raw, dict):
        raise ValueError("a feed is a set of keys and values")  # noqa: TRY004 - shown to the person who wrote it
    where = shown(str(raw.get("id", "a feed without id")))
    names = {field.name for field in fields(Feed)} - {"mapping"} | {"categories"}
    if unknown := set(map(str, raw)) - names:
        raise ValueError(f"{where}: there is no key {shown(min(unknown))}")
    texts = {name: raw.get(name, "") for name in (*_TEXTS, *_MORE)}
    for name, value in texts.items():
        if not isinstance(value, str) or (name in _TEXTS and not value.strip()):
            raise ValueError(f"{where}: {name} is a text")
    if not _ID(texts["id"]):
        raise ValueError(f"{where}: an id is lower-case letters, digits and hyphens")
    if texts["format"] not in FORMATS:
        raise ValueError(f"{where}: the formats are {', '.join(FORMATS)}")
    for name in ("address", "checksum", "signature"):
        if texts[name] and urlsplit(texts[name]).scheme not in _SCHEMES:
            raise ValueError(f"{where}: {name} is an https address")
    if bool(texts["signature"]) != bool(texts["key"]):
        raise ValueError(f"{where}: a signature needs its key, and a key its signature")
    if texts["id"].startswith(VOUCHING):
        raise ValueError(f"{where}: whether a list vouches is said by `vouches: true`, not by its id")
    if texts["id"].startswith(GIVEN):
        raise ValueError(f"{where}: ids beginning with {', '.join(GIVEN)} are given by the product")
    mapping, vouches = _mapping(where, raw.get("categories"), known), raw.get("vouches", False)
    if type(vouches) is not bool:
        raise ValueError(f"{where}: vouches is true or false")
    if vouches and (wrong := set(mapping.values()) - VOUCHED):
        raise ValueError(f"{where}: a list of {min(wrong)} cannot vouch; of these it can: {', '.join(sorted(VOUCHED))}")
    return Feed(
        **texts,
        mapping=mapping,
        vouches=vouches,
        every_hours=_hours(where, raw.get("every_hours", 24)),
        bounds=_bounds(where, raw.get("bounds", {})),
        allow_wide=tuple(str(name) for name in raw.get("allow_wide") or ()),
    )


def _mapping(where: str, raw: Any, known: Collection[str]) -> dict[str, str]:
    if isinstance(raw, str):
        raw = {"*": raw}
    if not isinstance(raw, dict) or not raw:
        raise ValueError(f"{where}: categories is one category, or a table from theirs to ours")
    for ours in raw.values():
        if ours not in known:
            raise ValueError(f"{where}: there is no category {shown(str(ours))}")
    return {str(theirs).lower(): str(ours) for theirs, ours in raw.items()}


def _hours(where: str, raw: Any) -> int:
    if type(raw) is not int or not 1 <= raw <= 24 * 366:
        raise ValueError(f"{where}: every_hours is a whole number of hours")
    return raw


def _bounds(where: str, raw: Any) -> Bounds:
    try:
        return Bounds(**raw)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: bounds: {error}") from None
