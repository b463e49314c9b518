"""Search engines and video sites: how their searches are read and how safe search is forced. The table is YAML.

There are two ways to force it. The proxy sets query parameters and headers. The resolver, which sees names only, leads the
engine's names to another name of the engine's own, on which safe search cannot be switched off.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from urllib.parse import parse_qsl, unquote_plus

import yaml
from pydantic import TypeAdapter

from policy.proof import canonical, digest
from policy.rules import STRICT, Host, Identifier

COUNTRY_ENDING = r"(?:www\.|images\.)?{}\.(?:com|[a-z]{{2}}|com?\.[a-z]{{2}})"


@lru_cache(maxsize=64)
def _country(name: str) -> re.Pattern[str]:
    return re.compile(COUNTRY_ENDING.format(name))


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine. `terms` are the query parameters that may hold the search words, first match wins."""

    __pydantic_config__ = STRICT
    id: Identifier
    name: str
    hosts: tuple[Host, ...]
    terms: tuple[str, ...]
    paths: tuple[str, ...] = ()  # where a query is a search; none: anywhere
    inside: tuple[str, ...] = ()  # beginnings of paths after which the words stand in the path itself
    posted: Mapping[str, str] = field(default_factory=dict)  # path -> what the words are called in what is sent there
    cookies: Mapping[str, str] = field(default_factory=dict)  # set along with the parameters, where the engine reads those
    safe: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    country: str = ""
    video: bool = False  # a video site: forced as the group's own setting for those says, not as its safe search
    moderate: Mapping[str, str] = field(default_factory=dict)  # headers in the place of `headers` where video is "moderate"
    dns: Mapping[str, Host] = field(default_factory=dict)  # level -> the name that the resolver leads to
    dns_hosts: tuple[Host, ...] = ()  # the names that are led there; of a `country` engine also those of each country
    dns_refused: tuple[Host, ...] = ()  # further ways to search, that cannot be led anywhere

    def sent(self, level: str) -> Mapping[str, str]:
        """The headers that force it at a level."""
        return self.moderate if level == "moderate" and self.moderate else self.headers

    def led(self, host: str, level: str) -> str:
        """The name that a host of this engine is led to by DNS; "" where it is left as it is."""
        if not self.dns or not (host in self.dns_hosts or (self.country and _country(self.country).fullmatch(host))):
            return ""
        return self.dns.get(level) or self.dns["strict"]

    def unforced(self, host: str) -> bool:
        """Can a search be made at this host on which DNS alone cannot force it?"""
        if not self.dns:
            return True
        return any(host == each or host.endswith("." + each) for each in self.dns_refused)

    def term(self, path: str, query: str) -> str:
        """The words searched for, "" when this is not a search."""
        for start in self.inside:
            if path.startswith(start) and (words := path[len(start) :].partition("/")[0]):
                return " ".join(unquote_plus(words).replace("-", " ").split())
        if not query or (self.paths and path not in self.paths):
            return ""
        found = dict(parse_qsl(query))  # however many fields: nobody hides a search behind a hundred others
        return next((found[name].strip() for name in self.terms if found.get(name, "").strip()), "")

    def sent_words(self, path: str, body: bytes) -> str:
        """The words of a search that is sent as a form or as JSON, "" when there are none to be found."""
        name = self.posted.get(path)
        if name is None:
            return ""
        try:
            told = json.loads(body) if body.lstrip()[:1] == b"{" else dict(parse_qsl(body.decode("utf-8", "replace")))
            return str(told.get(name) or "").strip() if isinstance(told, dict) else ""
        except (ValueError, RecursionError):
            return ""


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
    def by_dns(self) -> bool:
        """Was this table written by a version that forces safe search by DNS? An older one knows no way."""
        return any(engine.dns for engine in self.engines)

    @cached_property
    def _by_host(self) -> dict[str, Engine]:
        return {host: engine for engine in self.engines for host in engine.hosts}

    @cached_property
    def _countries(self) -> list[tuple[re.Pattern[str], Engine]]:
        return [(_country(one.country), one) for one in self.engines if one.country]

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
