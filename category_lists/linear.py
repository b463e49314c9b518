"""Linear models whose weights are one byte each: how they are added up, and what probabilities become of it. Pure.

Two models are of this form: that of names (classifier.py) and that of texts (reading.py). The first of a model's kinds is
always *harmless*; a kind's score is the mean-like sum of its column over the rows of what was asked, plus a bias.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Final

HARMLESS: Final = "harmless"
_AT_ONCE: Final = 256  # rows that can be added without running over (see `_added`)
_SMALLEST: Final = 1e-9  # probability that is told from none


def scores(
    weights: "memoryview[int]",
    rows: Sequence[int],
    kinds: Sequence[str],
    biases: Sequence[float],
    scales: Sequence[float],
    least: int = 1,
) -> dict[str, float]:
    """The score of each kind; `weights` are as many signed bytes for each row as there are kinds, `scales` what they mean.

    Fewer rows than `least` count as if the others had said nothing.
    """
    width = len(kinds)
    sums = _added(weights, width, rows[:_AT_ONCE])
    for at in range(_AT_ONCE, len(rows), _AT_ONCE):
        sums = list(map(int.__add__, sums, _added(weights, width, rows[at : at + _AT_ONCE])))
    long = math.sqrt(max(len(rows), least))
    return {kind: bias + total * scale / long for kind, bias, total, scale in zip(kinds, biases, sums, scales, strict=True)}


def shares(scores: Mapping[str, float]) -> dict[str, float]:
    """Scores as probabilities that make one (softmax)."""
    highest = max(scores.values())
    found = {kind: math.exp(score - highest) for kind, score in scores.items()}
    whole = sum(found.values())
    return {kind: share / whole for kind, share in found.items()}


def harm_in(probabilities: Mapping[str, float], against: float) -> float:
    """How likely the likeliest kind but harmless is against harmless: what has to pass the line."""
    likeliest = max(share for kind, share in probabilities.items() if kind != HARMLESS)
    return likeliest / math.pow(max(probabilities[HARMLESS], _SMALLEST), against)


def _added(weights: "memoryview[int]", width: int, rows: Sequence[int]) -> list[int]:
    """The sums of the columns of some rows.

    A row is read as one large number whose bytes are its weights, raised by 128 so that none is negative; every other byte is
    masked out, so that sums have sixteen bits each and do not run into their neighbours: fewer than 257 rows at once.
    That is a quarter of the time that adding them one by one takes.
    """
    size = width + width % 2
    every_other = int.from_bytes(b"\xff\0" * (size // 2), "little")
    raised = int.from_bytes(b"\x80" * width, "little")
    first = second = 0
    for row in rows:
        found = int.from_bytes(weights[row * width : (row + 1) * width], "little") ^ raised
        first += found & every_other
        second += found >> 8 & every_other
    too_much = 128 * len(rows)
    sums = [0] * size
    for start, lanes in enumerate((first, second)):
        sums[start::2] = (lane - too_much for (lane,) in struct.iter_unpack("<H", lanes.to_bytes(size, "little")))
    return sums[:width]
