"""What kind of site might a name be that no list knows? A small linear model of the letters in names.

The theory. A name is cut into overlapping pieces of three to five letters, with its beginning, its dots and its end
marked; every piece is hashed to one of 2**15 rows; a category's score is the sum of that column over the pieces plus a
bias, and a logistic curve makes it a probability. A category is *proposed* when its probability passes the line that was
set on harmless names when the model was trained (category_lists/train.py), so that fewer than one harmless name in two
hundred gets any proposal.

It proposes and never decides: a proposal is for a person, or for a policy that somebody signed, and lists always go first.
The weights are one byte each; reading them needs no numpy, so a worker stays small. Pure but for `load`.
"""

import json
import math
import struct
import zlib
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Self

from xxhash import xxh32_intdigest as hash_of

from category_lists.names import is_address

BITS: Final = 15
ROWS: Final = 1 << BITS
SHORTEST, LONGEST = 3, 5  # letters of a piece
_MAGIC: Final = b"SGNAMES\x02"
_HEADER: Final = struct.Struct("<8sII")  # magic, bytes of the JSON table, bytes of the packed weights
_TOLD: Final = 3  # proposals for one name at most
_COMMON: Final = frozenset(("www", "m", "mobile", "en", "uk"))  # labels in front that say nothing

_DAMAGED: Final = "The model of names is damaged; train it again."


@dataclass(frozen=True, slots=True)
class Proposal:
    """A category that a name may be in, and how sure the model is."""

    category: str
    probability: float


@dataclass(frozen=True, slots=True)
class Model:
    """Weights of one training. `scales` turn a category's bytes into numbers; `lines` are the probabilities to pass."""

    categories: tuple[str, ...]
    biases: tuple[float, ...]
    scales: tuple[float, ...]
    lines: tuple[float, ...]
    weights: "array[int]"  # ROWS * len(categories) signed bytes, a row of categories after the other
    about: Mapping[str, object]

    def probabilities(self, host: str) -> dict[str, float]:
        """The probability of every category for a canonical name; nothing for an address."""
        if is_address(host):
            return {}
        width, weights = len(self.categories), self.weights
        sums = [0] * width
        for row in rows_of(host):
            at = row * width
            sums = [total + weight for total, weight in zip(sums, weights[at : at + width], strict=True)]
        return {
            category: _logistic(bias + total * scale)
            for category, bias, total, scale in zip(self.categories, self.biases, sums, self.scales, strict=True)
        }

    def propose(self, host: str) -> tuple[Proposal, ...]:
        """The categories that pass their line, likeliest first."""
        passed = [
            Proposal(category, round(probability, 3))
            for (category, probability), line in zip(self.probabilities(host).items(), self.lines, strict=False)
            if probability >= line
        ]
        return tuple(sorted(passed, key=lambda one: -one.probability)[:_TOLD])

    def to_bytes(self) -> bytes:
        table = json.dumps(
            {
                "categories": self.categories,
                "biases": [round(one, 5) for one in self.biases],
                "scales": self.scales,
                "lines": [round(one, 5) for one in self.lines],
                "about": dict(self.about),
            },
            sort_keys=True,
        ).encode()
        packed = zlib.compress(self.weights.tobytes(), 9)
        return _HEADER.pack(_MAGIC, len(table), len(packed)) + table + packed

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote. Raises ValueError for anything else."""
        try:
            magic, table_size, packed_size = _HEADER.unpack_from(data)
            if magic != _MAGIC or len(data) != _HEADER.size + table_size + packed_size:
                raise ValueError(_DAMAGED)
            table = json.loads(data[_HEADER.size : _HEADER.size + table_size])
            categories = tuple(map(str, table["categories"]))
            wanted = ROWS * len(categories)
            stream = zlib.decompressobj()
            weights = array("b", stream.decompress(data[_HEADER.size + table_size :], wanted + 1))
            columns = [tuple(map(float, table[name])) for name in ("biases", "scales", "lines")]
            if len(weights) != wanted or any(len(column) != len(categories) for column in columns):
                raise ValueError(_DAMAGED)
            return cls(categories, columns[0], columns[1], columns[2], weights, dict(table["about"]))
        except (struct.error, zlib.error, KeyError, TypeError, RecursionError, ValueError) as error:
            raise ValueError(_DAMAGED) from error


def pieces(host: str) -> list[bytes]:
    """The pieces of a name. `^` begins the label that somebody chose, dots and the end are marked."""
    labels = host.split(".")
    while len(labels) > 2 and labels[0] in _COMMON:
        del labels[0]
    text = f"^{'.'.join(labels[-4:])[-60:]}$".encode()
    found = {text[at : at + size] for size in range(SHORTEST, LONGEST + 1) for at in range(len(text) - size + 1)}
    found.add(b"." + labels[-1].encode())
    return sorted(found)


def rows_of(host: str) -> list[int]:
    return [hash_of(piece) & (ROWS - 1) for piece in pieces(host)]


def _logistic(score: float) -> float:
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, score))))


MODEL: Final = "names.model"  # in an installation's data folder, once it has been trained there


def load(data: Path | None = None) -> Model:
    """The model that was trained on this machine, else the one that ships with the product."""
    if data is not None and (data / "models" / MODEL).is_file():
        return Model.from_bytes((data / "models" / MODEL).read_bytes())
    return _shipped()


@cache
def _shipped() -> Model:
    return Model.from_bytes((Path(__file__).parent / "model" / MODEL).read_bytes())
