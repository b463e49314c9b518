"""What people ask for about networks behind a gateway: other ports, other networks, what is left while the filter is dead."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from category_lists.taxonomy import Taxonomy
from change_control.diffs import Diff, InForceAlready, make, school_of, who
from policy import passages
from policy.passages import NOTHING, Way, in_words, way_of
from policy.rules import Document, Network, Passage, SchoolPolicy, passage_id


@dataclass(frozen=True, slots=True)
class PassageWish:
    """What devices of some networks may do beside the filtered web, instead of what they might before; nothing: as usual."""

    prefixes: tuple[str, ...]
    ports: tuple[str, ...] = ()
    reach: tuple[str, ...] = ()
    filtered: bool = True
    when_dead: str = "closed"

    def diff(self, change: int, document: Document, taxonomy: Taxonomy) -> Diff:
        del taxonomy
        school = school_of(document, "networks")
        if self.when_dead not in {"closed", "direct"}:
            raise ValueError(f"while the filter is dead the web is closed or direct, not {self.when_dead[:20]!r}")
        ports = tuple(sorted({passages.port(each) for each in self.ports}))
        if passages.ALL in ports:
            ports = (passages.ALL,)
        prefixes = _own(school, self.prefixes)
        if not prefixes:
            raise ValueError("say which network it is about")
        reach = _own(school, self.reach)
        if both := set(prefixes) & set(reach):
            raise ValueError(f"{min(both)} is the very network that it is about")
        held = {one.prefix: one for one in school.passages}
        add, remove = [], []
        for prefix in prefixes:
            new = Passage(passage_id(prefix), prefix, change, ports, reach, self.filtered, self.when_dead)  # type: ignore[arg-type]
            wanted, old = Way(ports, reach, self.filtered, self.when_dead), held.get(prefix)
            if wanted == (way_of(old) if old else NOTHING):
                continue
            remove += [old] if old else []
            add += [new] if wanted != NOTHING else []
        if not add and not remove:
            raise InForceAlready("this is how it is already")
        return make("passage", change, add={"passages": add}, remove={"passages": remove})


def _own(school: SchoolPolicy, given: Sequence[str]) -> tuple[str, ...]:
    """Networks of the school's own, in order: it speaks for no others."""
    known = [one.prefix for one in school.networks if one.listener == "*"]
    found = sorted({str(ip_network(each)) for each in given})
    for prefix in found:
        if prefix not in known:
            raise ValueError(f"{prefix} is no network of {school.name}; there are: {', '.join(sorted(known)) or 'none'}")
    return tuple(found)


def named(networks: Sequence[Network], document: Document, prefix: str) -> str:
    """A network as people know it: 10.10.3.0/24 (Guests)."""
    found = next((one for one in networks if (one.prefix, one.listener) == (prefix, "*")), None)
    return f"{prefix} ({who(document, [found.group])})" if found else prefix


def tell_passage(diff: Diff, document: Document, taxonomy: Taxonomy) -> str:
    del taxonomy
    old = {one["prefix"]: one for one in diff["remove"].get("passages", ())}
    new = {one["prefix"]: one for one in diff["add"].get("passages", ())}
    alike: dict[tuple[Way, Way | None], list[str]] = {}
    for prefix in sorted({*old, *new}):
        before = _of(old[prefix]) if prefix in old else None
        alike.setdefault((_of(new.get(prefix)), before), []).append(prefix)
    networks = document.networks if isinstance(document, SchoolPolicy) else ()
    portals = document.portals if isinstance(document, SchoolPolicy) else ()
    required = {each.network for each in portals if each.required}
    must = {each.prefix for each in networks if each.id in required}
    said = []
    for (way, before), prefixes in alike.items():
        whose = " and ".join(named(networks, document, prefix) for prefix in prefixes)
        said.append(f"Devices in {whose} {_list(tuple(in_words(way)))}.")
        if gone := tuple(one for one in in_words(before or way) if one not in set(in_words(way))):
            said.append(f"Until now they {_list(gone)}.")
        if way != NOTHING and any(prefix in must for prefix in prefixes):
            said.append("That holds before anybody has signed in there, too.")
    return " ".join(said)


def _of(one: Mapping[str, Any] | None) -> Way:
    return Way.of(one) if one else NOTHING


def _list(said: tuple[str, ...]) -> str:
    """They do this, that, and that."""
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])}, and {said[-1]}"
