"""What kind of site might a name be that no list knows? A small linear model of the letters in names.

The theory. A name is cut into overlapping pieces of three to five letters, with its beginning, its dots and its end
marked; what it looks like as a whole (how long, how many digits and hyphens) makes some pieces more. Every piece is hashed to
one of 2**16 rows. A kind's score is the mean-like sum of its column over the pieces plus a
bias, and the scores of all kinds, of which one is *harmless*, share one probability between them (softmax). A name gets
proposals when its *harm* passes the line that was set on harmless names which training had not seen
(category_lists/train.py), so that fewer than one harmless name in two hundred gets any. Harm is how likely its likeliest kind
is against how likely it is that the name is harmless: two kinds that cannot be told apart (advertising or malware?) halve
each other's share and say nothing for a harmless site, so a line on the likeliest kind's share alone would miss both.

One kind is no category: *generated* looks like the names that programs make up by the thousand.

A page can be asked about with its text. What the name says for a kind against harmless, beyond what is so of any name, is
added at half its weight to what the text reads like (reading.py), so that both make one probability with a line of its own.

It proposes and never decides: a proposal is for a person, or for a rule that somebody signed, and lists always go first.
The weights are one byte each; reading them needs no numpy, so a worker stays small. Pure but for `load`.
"""

import hashlib
import json
import math
import re
import struct
import zlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final, Self

from xxhash import xxh32_intdigest as hash_of

from category_lists.linear import HARMLESS, harm_in, scores, shares
from category_lists.names import is_address
from category_lists.reading import NO_CATEGORIES, Reader
from category_lists.weigh import vetted

BITS: Final = 16
ROWS: Final = 1 << BITS
SHORTEST, LONGEST = 3, 5  # letters of a piece
GENERATED: Final = "generated"  # the kind that is no category
CLASSIFIER: Final = "classifier"  # what stands in the place of a list where a proposal decided
READER: Final = "classifier-page"  # the same where the text of a page counted, too
_MAGIC: Final = b"SGNAMES\x04"
_HEADER: Final = struct.Struct("<8sII")  # magic, bytes of the JSON table, bytes of the packed weights
_TOLD: Final = 3  # proposals for one name at most
_LEAST: Final = 0.1  # probability of what is told
_SURE: Final = 0.5  # of *generated*, to be called so
_COMMON: Final = frozenset(("www", "m", "mobile", "en", "uk"))  # labels in front that say nothing
_MOST_KINDS: Final = 200
_KEPT: Final = 4096  # guesses that are remembered
_NAME_COUNTS: Final = 0.5  # how much of what a name says counts beside a text

_LETTERS, _DIGITS = re.compile("[a-z]+"), re.compile("[0-9]+")

_DAMAGED: Final = "The model of names is damaged; train it again."


@dataclass(frozen=True, slots=True)
class Proposal:
    """A category that a name may be in, and how sure the model is."""

    category: str
    probability: float


@dataclass(frozen=True, slots=True)
class Guess:
    """What the letters of a name suggest: categories, likeliest first, and whether a program seems to have made it up."""

    proposals: tuple[Proposal, ...] = ()
    generated: bool = False


NOTHING: Final = Guess()


@dataclass(frozen=True, slots=True)
class Model:
    """Weights of one training. `scales` turn a kind's bytes into numbers; `line` is what the harm of a name has to pass."""

    kinds: tuple[str, ...]
    biases: tuple[float, ...]
    scales: tuple[float, ...]
    line: float
    against: float  # the power of the probability of being harmless by which harm is divided
    weights: "array[int]" = field(repr=False)  # ROWS * len(kinds) signed bytes, a row of kinds after the other
    about: Mapping[str, object]
    version: str = field(default="", compare=False)  # the beginning of its file's digest: by what a decision names it
    _kept: dict[str, Guess] = field(default_factory=dict, compare=False, repr=False)  # the same names are asked all day

    def probabilities(self, host: str) -> dict[str, float]:
        """The probability of every kind for a canonical name; nothing for an address."""
        return {} if is_address(host) else shares(self._scores(host, self.biases))

    def read(self, host: str, reader: Reader | None, text: str) -> Guess:
        """What a name that no list knows and the text of a page there suggest together. `host` "": the text alone.

        `reader` and `text` are as `Phrases.reading` gives them; older phrase sets come without a reader.
        """
        if reader is None or vetted(host):
            return NOTHING
        found = self.together(host, reader.scores_of(text))
        line = reader.line if host and not is_address(host) else reader.alone
        return NOTHING if harm_in(found, reader.against) < line else Guess(_told_of(found))

    def together(self, host: str, text_scores: Mapping[str, float]) -> dict[str, float]:
        """One probability for each kind, from what a text scored and what the letters of the name say beyond any name."""
        known = {kind: score for kind, score in text_scores.items() if kind not in NO_CATEGORIES}
        if not host or is_address(host):
            return shares(known)
        name = self._scores(host, (0.0,) * len(self.kinds))
        return shares({kind: score + _NAME_COUNTS * name.get(kind, name[HARMLESS]) for kind, score in known.items()})

    def _scores(self, host: str, biases: Sequence[float]) -> dict[str, float]:
        return scores(memoryview(self.weights), rows_of(host), self.kinds, biases, self.scales)

    def guess(self, host: str) -> Guess:
        """What a canonical name suggests, if anything does."""
        kept = self._kept.get(host)
        if kept is None:
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            kept = self._kept[host] = self._guess(host)
        return kept

    def _guess(self, host: str) -> Guess:
        found = {} if vetted(host) else self.probabilities(host)  # only schools and the state register there
        if not found or harm_in(found, self.against) < self.line:
            return NOTHING
        return Guess(_told_of(found), found.get(GENERATED, 0.0) >= _SURE)

    def propose(self, host: str) -> tuple[Proposal, ...]:
        """The categories that a name may be in, likeliest first; none for nearly every harmless name."""
        return self.guess(host).proposals

    def to_bytes(self) -> bytes:
        table = json.dumps(
            {
                "kinds": self.kinds,
                "biases": [round(one, 5) for one in self.biases],
                "scales": [round(one, 8) for one in self.scales],
                "line": round(self.line, 5),
                "against": self.against,
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
            end = _HEADER.size + table_size + packed_size
            if magic != _MAGIC or len(data) < end:
                raise ValueError(_DAMAGED)
            table = json.loads(data[_HEADER.size : _HEADER.size + table_size])
            # Older files held a model of texts as well, behind this one.
            if not isinstance(table, dict) or len(data) - end != table.get("texts", 0):
                raise ValueError(_DAMAGED)
            kinds = tuple(map(str, table["kinds"]))
            if not 1 < len(kinds) <= _MOST_KINDS or kinds[0] != HARMLESS:
                raise ValueError(_DAMAGED)
            wanted = ROWS * len(kinds)
            weights = array("b", zlib.decompressobj().decompress(data[_HEADER.size + table_size : end], wanted + 1))
            biases, scales = (tuple(map(float, table[name])) for name in ("biases", "scales"))
            if len(weights) != wanted or len(biases) != len(kinds) or len(scales) != len(kinds):
                raise ValueError(_DAMAGED)
            if not all(map(math.isfinite, (*biases, *scales))):
                raise ValueError(_DAMAGED)
            line, against = float(table["line"]), float(table.get("against", 0))  # models of older versions say nothing of it
            if not math.isfinite(line) or not 0 <= against <= 1:
                raise ValueError(_DAMAGED)
            version = hashlib.sha256(data).hexdigest()[:12]
            return cls(kinds, biases, scales, line, against, weights, dict(table["about"]), version)
        except (struct.error, zlib.error, KeyError, TypeError, RecursionError, OverflowError, ValueError) as error:
            raise ValueError(_DAMAGED) from error


def _told_of(found: Mapping[str, float]) -> tuple[Proposal, ...]:
    likely = sorted(((share, kind) for kind, share in found.items() if kind not in {HARMLESS, GENERATED}), reverse=True)
    return tuple(Proposal(kind, round(share, 3)) for share, kind in likely[:_TOLD] if share >= _LEAST)


def pieces(host: str) -> list[bytes]:
    """The pieces of a name. `^` begins the label that somebody chose, dots and the end are marked."""
    labels = host.split(".")
    while len(labels) > 2 and labels[0] in _COMMON:
        del labels[0]
    text = f"^{'.'.join(labels[-4:])[-60:]}$".encode()
    found = {text[at : at + size] for size in range(SHORTEST, LONGEST + 1) for at in range(len(text) - size + 1)}
    found.add(b"." + labels[-1].encode())
    found.update(_looks(labels))
    return sorted(found)


def _looks(labels: list[str]) -> Iterator[bytes]:
    """What a name looks like as a whole. Each begins with a capital, so that it is no piece of letters."""
    chosen, ending = "".join(labels[:-1]), labels[-1]
    long, digits = len(chosen), sum(map(str.isdigit, chosen))
    shape = _DIGITS.sub("9", _LETTERS.sub("a", ".".join(labels[-3:-1])))[:12]
    yield from (
        each.encode()
        for each in (
            f"L{min(long // 2, 20)}", f"D{min(digits, 8)}", f"H{min(chosen.count('-'), 4)}", f"N{len(labels)}",
            f"V{10 * sum(map(chosen.count, 'aeiou')) // max(long, 1)}", f"S{shape}",
            f"E{min(long // 3, 9)}.{ending}", f"F{min(digits, 4)}.{ending}",
        )
    )  # fmt: skip


def rows_of(host: str) -> list[int]:
    return [hash_of(piece) & (ROWS - 1) for piece in pieces(host)]


def open_model(path: Path) -> Model:
    """A model from its file. ValueError when it is no model."""
    return Model.from_bytes(path.read_bytes())


SHIPPED: Final = Path(__file__).parent / "model" / "names.model"


@cache
def shipped() -> Model:
    """The model that ships with the product."""
    return open_model(SHIPPED)
