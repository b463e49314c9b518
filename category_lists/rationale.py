"""Why each category is there, in words for people: what it covers, what it leaves alone, how a site gets in, who asks for it.

Beside the taxonomy rather than in it, because the taxonomy's digest is part of every policy and these words decide nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

import yaml

OVER_BLOCKING = (
    "A site is put into a category by lists that others maintain, by lists of our own that people checked by hand, or by the "
    "school itself. Where they contradict each other, our hand-checked lists of what pupils need outweigh a list that calls "
    "such a site harmful, except malware and illegal content. Helplines, exam boards and gov.uk cannot be taken away by any "
    "list. A name that no list knows opens unless the school has a rule about such names. Each refusal says which list and "
    "which entry caused it and how to ask; what a school corrects is counted against the list, so that a bad list is seen."
)


@dataclass(frozen=True, slots=True)
class Rationale:
    """One category explained."""

    covers: str
    leaves_out: str
    evidence: str
    answers_to: tuple[str, ...]


@cache
def load() -> Mapping[str, Rationale]:
    """The explanations that ship with the product, by category. ValueError for one that is not whole."""
    given = yaml.safe_load(Path(__file__).with_name("rationale.yaml").read_text(encoding="utf-8"))
    return MappingProxyType({str(name): _rationale(str(name), one) for name, one in given.items()})


def _rationale(name: str, given: Mapping[str, object]) -> Rationale:
    texts = [given.get(field) for field in ("covers", "leaves_out", "evidence")]
    standards = given.get("answers_to")
    if not all(isinstance(text, str) and text for text in texts) or not isinstance(standards, list) or not standards:
        raise ValueError(f"the explanation of {name} is not whole")
    covers, leaves_out, evidence = map(str, texts)
    return Rationale(covers, leaves_out, evidence, tuple(map(str, standards)))
