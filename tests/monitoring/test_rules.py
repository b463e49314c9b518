"""What a search reads like: which theme that is, where it goes, and how much of it a reviewer is shown."""

import math
from array import array
from collections import Counter
from pathlib import Path

import pytest

from category_lists.linear import HARMLESS
from category_lists.phrases import learned
from category_lists.reading import Reader
from monitoring.rules import CONCERNS, SURE, SURER, THEMES, Finding, Judge, Seen
from policy.rules import AlertRule

WEEK = Path(__file__).parents[2] / "benchmarks" / "data" / "week.txt"
NOWHERE = {"academic_cheating", "piracy"}  # no safeguarding matter, and no phrase of them makes a capture either
FAINT = "mum is so angry with me"
PLAIN = "zorb wuggle fnarp quindle"


def reads(**shares: float) -> Reader:
    """A reader to which everything reads alike."""
    kinds = (HARMLESS, *shares)
    biases = (math.log(1 - sum(shares.values())), *(math.log(share) for share in shares.values()))
    lines = {"search": 0.0, "page": 0.0}
    return Reader(kinds, frozenset(shares), biases, (1.0,) * len(kinds), lines, 0, 0, 0, array("I"), array("b"))


def found(reader: Reader, term: str = PLAIN, phase: str = "ks4", *rules: AlertRule) -> Finding | None:
    return Judge(reader=reader).find(Seen("search", "g", phase, term, "www.google.com", "search_engines", "restrict"), rules)


@pytest.mark.parametrize(
    ("shares", "term", "phase", "goes"),
    [
        ({"self_harm_eating_disorders": 0.99}, PLAIN, "ks4", ("self-harm", "review")),
        ({"self_harm_eating_disorders": 0.99}, PLAIN, "ks2", ("self-harm", "urgent")),
        ({"abuse": 0.99}, PLAIN, "ks4", ("exploitation", "review")),
        ({"abuse": 0.99}, "zorb my stepdad wuggle", "ks4", ("family", "review")),
        (
            {"abuse": 0.5, "stranger_chat": 0.49},
            PLAIN,
            "ks4",
            ("exploitation", "review"),
        ),  # kinds of one theme count together
        ({"abuse": 0.38, "pornography": 0.61}, PLAIN, "ks4", ("exploitation", "review")),  # what cannot wait is in no batch
        ({"abuse": 0.38, "piracy": 0.61}, PLAIN, "ks4", ("exploitation", "review")),
        ({"abuse": 0.1, "pornography": 0.89}, PLAIN, "ks4", ("pornography", "weekly")),
        ({"adult_mixed": 0.5, "pornography": 0.49}, PLAIN, "ks2", ("pornography", "weekly")),
        ({"hacking": 0.99}, PLAIN, "ks1", ("bypass", "weekly")),
        ({"academic_cheating": 0.99}, PLAIN, "ks4", None),
        ({"abuse": 0.9}, PLAIN, "ks4", None),  # not sure enough
        ({"abuse": 0.33, "bullying": 0.33, "violence_gore": 0.33}, PLAIN, "ks4", ("exploitation", "review")),
        ({"abuse": 0.31, "bullying": 0.31, "violence_gore": 0.31}, PLAIN, "ks4", None),  # of something, but of what?
        ({"abuse": 0.95}, FAINT, "ks4", ("family", "faint")),
        ({"abuse": 0.99}, FAINT, "ks4", ("family", "review")),
        ({"abuse": 0.99}, "zorb wuggle lyrics", "ks4", None),
    ],
)
def test_what_it_reads_like_is_a_theme_and_what_cannot_wait_is_in_no_weekly_batch(shares, term, phase, goes):
    said = found(reads(**shares), term, phase)
    assert ((said.theme.id, said.route) if said else None) == goes


def test_a_school_decides_about_what_it_reads_like_as_about_phrases():
    ignored = AlertRule("a", 1, "ignore", "exploitation", "wuggle")
    off, urgent = (AlertRule("a", 1, "route", "exploitation", route=where) for where in ("off", "urgent"))
    weekly = AlertRule("a", 1, "route", "pornography", route="review")
    assert found(reads(abuse=0.99), PLAIN, "ks4", ignored) is None
    assert found(reads(abuse=0.99), PLAIN, "ks4", off) is None
    assert found(reads(abuse=0.99), PLAIN, "ks4", urgent).route == "urgent"
    assert found(reads(pornography=0.99), PLAIN, "ks2", weekly).route == "review"


def test_everything_that_is_learned_has_its_theme_or_none_for_a_reason():
    placed = {kind for theme in THEMES.values() for kind in theme.phrases}
    assert learned().themes - placed == NOWHERE
    assert all(THEMES[name].route != "weekly" and THEMES[name].young != "weekly" for name in CONCERNS)
    assert 0 < SURE < SURER


def test_a_week_of_searches():
    """One author's searches, of the plain ones a third: see docs/review.md."""
    judge, every = Judge(), {}
    for line in WEEK.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            some = every.setdefault(line[3:].split()[0], [])
        elif line and not line.startswith("#"):
            some.append(line)
    assert {kind: len(some) for kind, some in every.items()} == {"plain": 750, "concern": 150, "worry": 50}
    shown, read = Counter(), Counter()
    for kind, some in (every | {"plain": every["plain"][::3]}).items():
        for term in some:
            said = judge.find(Seen("search", "g", "ks4", term, "www.google.com", "search_engines", "restrict"))
            if said and said.route in {"review", "urgent"}:
                shown[kind] += 1
                if said.why.startswith("what it reads like"):
                    read[kind] += 1
                    assert 1 <= said.why.count("“") <= 3, said.why
    assert shown["plain"] <= 4
    assert read["plain"] <= 1
    assert read["worry"] <= 3
    assert shown["concern"] >= 74
