"""Train the model of names: on names that we wrote, or on a box on the lists it subscribes to.

What ships is trained on our own starter lists and on names made from our own words (model/words.yaml), and on nothing
else, so that no list's licence reaches it. A box that subscribes to feeds may train again on those (`schoolgate lists
train`); that model stays on the box.

One logistic regression a category against all other names, harmless ones weighted up. The lines that a probability must
pass are set on harmless names that training has not seen. numpy is loaded only here.
"""

import random
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from category_lists.classifier import MODEL, ROWS, Model, rows_of
from category_lists.examples import Examples, our_examples, some_of
from category_lists.lists import Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    type _Features = tuple[NDArray[np.int64], NDArray[np.int64]]

_FEWEST: Final = 40  # names that a category needs to be learned
_MOST: Final = 6_000  # names of one category that are used; more add time and little knowledge
_MOST_HARMLESS: Final = 24_000
_MOST_OTHERS: Final = 9_000  # names of other categories beside which one is learned
_ROUNDS: Final = 40
_DECAY: Final = 1e-6
_ALLOWED: Final = 0.003  # share of unseen harmless names that may get a proposal at all
_UNSURE: Final = 0.6  # no line lies lower, however rare a category's letters are
_SEED: Final = 2026


def train(examples: Examples, about: Mapping[str, object], progress: Progress | None = None) -> Model:
    """Learn from names by category and harmless names. Raises ValueError when there are too few.

    The lines are those of a first training that did not see the names by which they are set; the weights are those of a
    second one that saw all.
    """
    dice = random.Random(_SEED)
    known = {
        category: some_of(names, _MOST, dice)
        for category, names in sorted(examples.named.items())
        if len(set(names)) >= _FEWEST
    }
    held = some_of(examples.sure, _MOST_HARMLESS, dice)[::2]
    hidden = frozenset(held)
    calm = some_of(examples.harmless, _MOST_HARMLESS, dice)
    if not known or len(held) < 5 * _FEWEST:
        raise ValueError("There are too few names to learn from.")
    first = _learned(known, [name for name in calm if name not in hidden], dice, progress)
    lines = _lines(first, held)
    second = _learned(known, [*calm, *held], dice, progress)
    counted = {"harmless": len(calm)} | {category: len(some) for category, some in known.items()}
    return replace(second, lines=tuple(lines), about={**about, "names": counted})


def _learned(
    known: Mapping[str, Sequence[str]], calm: Sequence[str], dice: random.Random, progress: Progress | None
) -> Model:
    import numpy as np

    columns, biases = [], []
    quiet = _features(calm)
    parts = {category: _features(names) for category, names in known.items()}
    for number, category in enumerate(known, start=1):
        others = [part for name, part in parts.items() if name != category]
        each = _MOST_OTHERS // max(1, len(others))
        chosen = [quiet, *(_first(part, each) for part in others), parts[category]]
        features = np.concatenate([rows for rows, _ in chosen])
        shift = np.cumsum([0, *(rows.size for rows, _ in chosen[:-1])])
        starts = np.concatenate([begin + by for (_, begin), by in zip(chosen, shift, strict=True)])
        kind = np.repeat(np.arange(len(chosen)), [begin.size for _, begin in chosen])
        column, bias = _learn(features, starts, (kind == len(chosen) - 1).astype(np.float32), kind == 0)
        columns.append(column)
        biases.append(bias)
        if progress:
            progress(number)
    scales = [max(float(np.abs(column).max()) / 127, 1e-6) for column in columns]
    whole = np.stack([np.rint(column / scale) for column, scale in zip(columns, scales, strict=True)], axis=1).astype(np.int8)
    return Model(tuple(known), tuple(biases), tuple(scales), (1.0,) * len(known), array("b", whole.tobytes()), {})


def _first(part: "_Features", count: int) -> "_Features":
    """The first names of some that stand in chance order already."""
    rows, starts = part
    return (rows[: starts[count]], starts[:count]) if count < starts.size else part


def _features(names: Sequence[str]) -> "_Features":
    """The rows of all names one after the other, and where each name begins."""
    import numpy as np

    rows, starts = array("i"), array("q")
    for name in names:
        starts.append(len(rows))
        rows.extend(rows_of(name))
    return np.frombuffer(rows, np.int32).astype(np.int64), np.frombuffer(starts, np.int64)


def _scores(
    features: "NDArray[np.int64]", starts: "NDArray[np.int64]", column: "NDArray[np.float32]"
) -> "NDArray[np.float32]":
    import numpy as np

    return np.add.reduceat(column[features], starts)


def _learn(
    features: "NDArray[np.int64]", starts: "NDArray[np.int64]", is_it: "NDArray[np.float32]", calm: "NDArray[np.bool_]"
) -> "tuple[NDArray[np.float32], float]":
    """One logistic regression by gradient steps whose size each row earns (Adagrad); frequent pieces move slowly."""
    import numpy as np

    sizes = np.diff(starts, append=features.size)
    wanted = float(is_it.sum())
    # The category weighs as much as the harmless names; other harmful names count a little, to tell neighbours apart.
    share = np.where(is_it > 0, 0.5 / wanted, np.where(calm, 0.4 / calm.sum(), 0.1 / max(1.0, float((~calm).sum() - wanted))))
    share = (share * is_it.size).astype(np.float32)
    column = np.zeros(ROWS, np.float32)
    seen = np.full(ROWS, 1e-4, np.float64)
    bias, bias_seen = -1.0, 1e-4
    for step in range(_ROUNDS):
        score = _scores(features, starts, column) + bias
        miss = (1 / (1 + np.exp(-np.clip(score, -30, 30))) - is_it) * share
        slope = np.bincount(features, np.repeat(miss, sizes), ROWS) / is_it.size + _DECAY * np.sign(column)
        seen += slope**2
        rate = 0.5 * (1 - step / _ROUNDS) + 0.05
        column -= (rate * slope / np.sqrt(seen)).astype(np.float32)
        lean = float(miss.mean())
        bias_seen += lean**2
        bias -= rate * lean / bias_seen**0.5
    column[np.abs(column) < 0.02] = 0
    return column, float(bias)


def _lines(model: Model, held: Sequence[str]) -> list[float]:
    """Probabilities to pass, so that at most `_ALLOWED` of harmless names that training has not seen get any proposal.

    Every category gets the same share of what is allowed; the share is cut until all of them together keep to it.
    """
    import numpy as np

    scores = np.array([list(model.probabilities(name).values()) for name in held], np.float64).T
    share = _ALLOWED
    for _ in range(20):
        edge = np.maximum(np.quantile(scores, 1 - share, axis=1) + 1e-4, _UNSURE)
        if (scores >= edge[:, None]).any(axis=0).mean() <= _ALLOWED:
            break
        share /= 1.4
    return [min(float(one), 0.9999) for one in edge]


def write_shipped() -> None:
    """Write the model that ships. Run by hand after a change of the words: .venv/bin/python -m category_lists.train"""
    model = train(our_examples(), {"trained_on": "starter lists and names made from our own words"})
    (Path(__file__).parent / "model" / MODEL).write_bytes(model.to_bytes())


if __name__ == "__main__":
    write_shipped()
