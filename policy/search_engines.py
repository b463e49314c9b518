"""Search engines and video sites: how their searches are read and how safe search is forced. The table is YAML."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import parse_qsl

import yaml
from pydantic import TypeAdapter

from policy.proof import canonical, digest
from policy.rules import STRICT, Host, Identifier

COUNTRY_ENDING = r"(?:www\.|images\.)?{}\.(?:com|[a-z]{{2}}|com?\.[a-z]{{2}})"


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine. `terms` are the query parameters that may hold the search words, first match wins."""

    __pydantic_config__ = STRICT
    id: Identifier
    name: str
    hosts: tuple[Host, ...]
    terms: tuple[str, ...]
    paths: tuple[str, ...] = ()  # where a query is a search; none: anywhere
    safe: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    country: str = ""

    def term(self, path: str, query: str) -> str:
        """The words searched for, "" when this is not a search."""
        if not query or (self.paths and path not in self.paths):
            return ""
        found = dict(parse_qsl(query))  # however many fields: nobody hides a search behind a hundred others
        return next((found[name].strip() for name in self.terms if found.get(name, "").strip()), "")


@dataclass(frozen=True)
class Engines:
    """All engines, asked by host."""

    engines: tuple[Engine, ...]

    def find(self, host: str) -> Engine | None:
        """The engine that a canonical host belongs to."""
        if found := self._by_host.get(host):
            return found
        name = host
        while "." in name:
            name = name.partition(".")[2]
            if found := self._by_host.get(name):
                return found
        return next((engine for pattern, engine in self._countries if pattern.fullmatch(host)), None)

    @cached_property
    def _by_host(self) -> dict[str, Engine]:
        return {host: engine for engine in self.engines for host in engine.hosts}

    @cached_property
    def _countries(self) -> list[tuple[re.Pattern[str], Engine]]:
        return [(re.compile(COUNTRY_ENDING.format(one.country)), one) for one in self.engines if one.country]

    def to_json(self) -> str:
        return canonical(_ADAPTER.dump_python(self.engines, mode="json"))

    @classmethod
    def from_json(cls, text: str) -> "Engines":
        return cls(_ADAPTER.validate_json(text))

    @property
    def digest(self) -> str:
        return digest(self.to_json())


_ADAPTER = TypeAdapter(tuple[Engine, ...])


def load() -> Engines:
    """The engines that ship with the product."""
    text = Path(__file__).with_name("search_engines.yaml").read_text(encoding="utf-8")
    return Engines(_ADAPTER.validate_python(yaml.safe_load(text)["engines"]))
