"""Train the model of names: on names that we wrote, or on a box on the lists it subscribes to.

What ships is trained on our own starter lists and on names made from our own words (model/words.yaml), and on nothing
else, so that no list's licence reaches it. A box whose lists hold enough names trains again on those, as part of compiling
its dictionary (change_control/dictionaries.py); that model stays on the box.

One softmax regression over all kinds, harmless names weighted up, by small steps whose size each row earns (Adagrad). The
line that a name must pass is set on harmless names that training has not seen. The same examples always give the same
model. numpy is loaded only here.
"""

import random
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from zlib import crc32

from category_lists import suffixes
from category_lists.classifier import ROWS, SHIPPED, Model, rows_of
from category_lists.examples import Examples, our_examples, some_of
from category_lists.linear import HARMLESS, harm_in
from category_lists.lists import Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FEWEST: Final = 40  # names that a kind needs to be learned
_MOST: Final = 8_000  # names of one kind that are used; more add time, and drown harmless names
_MOST_HARMLESS: Final = 110_000
_ROUNDS: Final = 2
_BATCH: Final = 1024
_STEP: Final = 0.09
_HARMLESS_COUNTS: Final = 3.0  # how much more a mistake about a harmless name weighs
_VAGUE: Final = {"malware_phishing": 0.5, "ads_trackers": 0.5}  # kinds whose names say little: mistakes about them weigh less
_ALLOWED: Final = 0.004  # share of unseen harmless names that may get a proposal at all
_ALLOWED_UNTAUGHT: Final = 0.002  # the same before any feed is known: other harmless names are less like ours
_AGAINST: Final = 0.5  # see Model.against; measured between 0 (the likeliest kind alone) and 2 (harmless alone)
_HELD: Final = 3  # one in so many sites that are surely harmless is kept from learning, to set the line by
_SEED: Final = 2026


def train(
    examples: Examples,
    about: Mapping[str, object],
    progress: Progress | None = None,
    *,
    allowed: float = _ALLOWED,
) -> Model:
    """Learn from names by kind and harmless names. Raises ValueError when there are too few."""
    dice = random.Random(_SEED)  # noqa: S311 - the same choice every time is what is wanted
    known = {
        kind: some_of(names, _MOST, dice) for kind, names in sorted(examples.named.items()) if len(set(names)) >= _FEWEST
    }
    site_of = suffixes.load().site_of
    held = [name for name in some_of(examples.sure, _MOST_HARMLESS, dice) if not crc32(site_of(name).encode()) % _HELD]
    hidden = frozenset(map(site_of, held))
    calm = [name for name in some_of(examples.harmless, _MOST_HARMLESS, dice) if site_of(name) not in hidden]
    if not known or len(held) < 5 * _FEWEST:
        raise ValueError("There are too few names to learn from.")
    counted = {HARMLESS: len(calm)} | {kind: len(some) for kind, some in known.items()}
    found = learned({HARMLESS: calm, **known}, progress)
    told = {**about, "names": counted}
    model = Model(found.kinds, found.biases, found.scales, 1.0, _AGAINST, found.weights, told)
    scores = sorted((harm_in(model.probabilities(name), _AGAINST) for name in held), reverse=True)
    return replace(model, line=scores[int(len(scores) * allowed)] + 1e-4)


@dataclass(frozen=True, slots=True)
class Weights:
    """What was learned: signed bytes, a row of kinds after the other, what they mean, and a bias for each kind."""

    kinds: tuple[str, ...]
    biases: tuple[float, ...]
    scales: tuple[float, ...]
    weights: "array[int]"


@dataclass(frozen=True, slots=True)
class Pace:
    """How it is learned: what the rows of an example are, how often all are gone through, how many at once."""

    rows_of: Callable[[str], list[int]] = rows_of
    rounds: int = _ROUNDS
    batch: int = _BATCH
    step: float = _STEP
    harmless_counts: float = _HARMLESS_COUNTS
    slight: frozenset[str] = frozenset()  # examples that count little
    vague: Mapping[str, float] = field(default_factory=lambda: _VAGUE)
    rows: int = ROWS  # that there are
    least: int = 1  # rows that an example counts as having (linear.scores)


_SLIGHT: Final = 0.3


class _Examples:
    """Examples as the rows of their pieces, one after the other."""

    def __init__(self, known: Mapping[str, Sequence[str]], pace: Pace, progress: Progress | None) -> None:
        import numpy as np

        rows, sizes, kinds, counts = array("i"), array("i"), array("i"), array("f")
        for number, names in enumerate(known.values()):
            for name in names:
                found = pace.rows_of(name)
                rows.extend(found)
                sizes.append(len(found))
                kinds.append(number)
                counts.append(_SLIGHT if name in pace.slight else 1.0)
                if progress and not len(sizes) & 1023:
                    progress(len(sizes))
        self.rows = np.frombuffer(rows, np.int32)
        self.sizes = np.frombuffer(sizes, np.int32).astype(np.int64)
        self.kinds = np.frombuffer(kinds, np.int32)
        self.counts = np.frombuffer(counts, np.float32)
        self.starts = np.concatenate([[0], np.cumsum(self.sizes)])

    def some(self, chosen: "NDArray[np.int64]") -> "tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]":
        """The rows of some names, how many each has, and where each begins."""
        import numpy as np

        sizes = self.sizes[chosen]
        begins = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        places = np.repeat(self.starts[chosen] - begins, sizes) + np.arange(int(sizes.sum()))
        return self.rows[places], sizes, begins


def learned(known: Mapping[str, Sequence[str]], progress: Progress | None, pace: Pace | None = None) -> Weights:
    """Learn from examples by kind, the harmless ones first."""
    import numpy as np

    pace = pace or Pace()
    names = _Examples(known, pace, progress)
    kinds = len(known)
    counts = np.bincount(names.kinds, minlength=kinds).astype(np.float64)
    counts_for = np.sqrt(counts.mean() / counts)
    counts_for[0] *= pace.harmless_counts
    counts_for *= [pace.vague.get(kind, 1.0) for kind in known]
    weights = np.zeros((pace.rows, kinds), np.float32)
    seen = np.full(pace.rows, 1e-3, np.float32)
    bias = np.zeros(kinds, np.float32)
    chance = np.random.default_rng(_SEED)
    done = names.kinds.size
    for _ in range(pace.rounds):
        order = chance.permutation(names.kinds.size)
        for first in range(0, order.size, pace.batch):
            chosen = order[first : first + pace.batch]
            _step(names, chosen, pace, counts_for.astype(np.float32), weights, seen, bias)
            done += chosen.size
            if progress:
                progress(done)
    most = np.quantile(np.abs(weights), 0.9995, axis=0)  # the few beyond are cut, or the many small ones would be lost
    scales = np.maximum(most / 127, 1e-6)
    whole = np.clip(np.rint(weights / scales), -127, 127).astype(np.int8)
    return Weights(tuple(known), tuple(map(float, bias)), tuple(map(float, scales)), array("b", whole.tobytes()))


def _step(
    names: _Examples,
    chosen: "NDArray[np.int64]",
    pace: Pace,
    counts_for: "NDArray[np.float32]",
    weights: "NDArray[np.float32]",
    seen: "NDArray[np.float32]",
    bias: "NDArray[np.float32]",
) -> None:
    """Learn from some examples: `weights`, `seen` and `bias` are moved in place."""
    import numpy as np

    rows, sizes, begins = names.some(chosen)
    kinds = names.kinds[chosen]
    share = (1 / np.sqrt(np.maximum(sizes, pace.least))).astype(np.float32)[:, None]
    score = np.add.reduceat(weights[rows], begins, axis=0) * share + bias
    miss = np.exp(score - score.max(axis=1, keepdims=True))
    miss /= miss.sum(axis=1, keepdims=True)
    miss[np.arange(kinds.size), kinds] -= 1
    miss *= (counts_for[kinds] * names.counts[chosen])[:, None]
    order = np.argsort(rows, kind="stable")
    touched, first = np.unique(rows[order], return_index=True)
    of_name = np.repeat(np.arange(kinds.size), sizes)[order]
    slope = np.add.reduceat((miss * share)[of_name], first, axis=0)
    seen[touched] += (slope**2).mean(axis=1)
    weights[touched] -= (pace.step / np.sqrt(seen[touched]))[:, None] * slope
    bias -= 0.02 * miss.mean(axis=0)


def write_shipped() -> None:
    """Write the model that ships. Run by hand after a change of the words: .venv/bin/python -m category_lists.train"""
    about = {"trained_on": "starter lists and names made from our own words"}
    examples = our_examples()
    SHIPPED.write_bytes(train(examples, about, allowed=_ALLOWED_UNTAUGHT).to_bytes())


if __name__ == "__main__":
    write_shipped()
