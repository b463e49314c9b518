"""The change log's arithmetic: an append-only Merkle tree (RFC 6962) over canonical entries. Pure.

The theory. A tree of n leaves is the largest full tree of 2^k < n leaves beside the tree of the rest. Every *full* subtree,
once complete, never changes, so each is computed once and kept: `nodes[level, index]` is the root of the 2^level leaves that
begin at index * 2^level. Appending completes at most log2(n) of them; root, inclusion and consistency proofs read as many.
Where the nodes live (a table, a dict) is the caller's business.

What is *in* an entry, and what makes it good, is in `policy/proof.py` (a worker must check it) and `verify.py` (the replay).
"""

import base64
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import islice

from policy.proof import Checkpoint, ProofRefused, canonical, leaf_hash, node_hash

type Nodes = Mapping[tuple[int, int], bytes]

EMPTY_ROOT = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")  # SHA-256 of nothing


class LedgerMismatch(ValueError):
    """What is stored is not what was signed. The message names the first thing that does not agree."""


def append(nodes: MutableMapping[tuple[int, int], bytes], size: int, leaf: bytes) -> None:
    """Add leaf number `size` (counted from 0) and complete the full subtrees that it completes."""
    nodes[0, size] = leaf
    level, index = 0, size
    while index & 1:
        nodes[level + 1, index >> 1] = node_hash(nodes[level, index - 1], nodes[level, index])
        level, index = level + 1, index >> 1


def root(nodes: Nodes, size: int) -> bytes:
    """The root of the first `size` leaves."""
    return _subtree(nodes, 0, size) if size else EMPTY_ROOT


def roots_of(leaves: Iterable[bytes], sizes: Iterable[int]) -> dict[int, bytes]:
    """The roots of the first so many leaves, for each of some sizes; the leaves are read once, and no further than needed.

    The full subtrees so far, the largest first, are all that is kept. A size beyond the leaves is left out.
    """
    rest, full, count = iter(leaves), list[bytes](), 0
    found: dict[int, bytes] = {}
    for size in sorted(set(sizes)):
        for leaf in islice(rest, size - count):
            node, count = leaf, count + 1
            for _ in range((count & -count).bit_length() - 1):
                node = node_hash(full.pop(), node)
            full.append(node)
        if count == size:
            found[size] = reduce(lambda right, left: node_hash(left, right), reversed(full)) if full else EMPTY_ROOT
    return found


def needed(size: int, index: int | None = None) -> list[tuple[int, int]]:
    """Which nodes a root of `size` leaves, and the inclusion proof of leaf `index`, are made from."""
    seen: list[tuple[int, int]] = []
    recording = _Recorder(seen)
    if size:
        _subtree(recording, 0, size)
    if index is not None:
        inclusion(recording, index, size)
    return seen


class _Recorder(Mapping[tuple[int, int], bytes]):
    """Nodes that only remember which were asked for."""

    def __init__(self, seen: list[tuple[int, int]]) -> None:
        self._seen = seen

    def __getitem__(self, key: tuple[int, int]) -> bytes:
        self._seen.append(key)
        return b""

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._seen)

    def __len__(self) -> int:
        return len(self._seen)


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1


def _subtree(nodes: Nodes, start: int, count: int) -> bytes:
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return nodes[level, start >> level]
    left = _split(count)
    return node_hash(_subtree(nodes, start, left), _subtree(nodes, start + left, count - left))


def inclusion(nodes: Nodes, index: int, size: int) -> list[bytes]:
    """The audit path of leaf `index` in a tree of `size` (RFC 9162, 2.1.3.1), from the leaf upwards."""
    if not 0 <= index < size:
        raise LedgerMismatch(f"entry {index} is not in a log of {size}")
    path: list[bytes] = []
    start, count = 0, size
    while count > 1:
        left = _split(count)
        if index - start < left:
            path.append(_subtree(nodes, start + left, count - left))
            count = left
        else:
            path.append(_subtree(nodes, start, left))
            start, count = start + left, count - left
    return path[::-1]


def consistency(nodes: Nodes, old: int, new: int) -> list[bytes]:
    """The proof that the tree of `old` leaves is a prefix of the tree of `new` (RFC 9162, 2.1.4.1)."""
    if not 0 < old <= new:
        raise LedgerMismatch(f"a log of {old} cannot be the beginning of one of {new}")
    path: list[bytes] = []
    start, count, whole = 0, new, True
    while old != start + count:
        left = _split(count)
        if old - start <= left:
            path.append(_subtree(nodes, start + left, count - left))
            count = left
        else:
            path.append(_subtree(nodes, start, left))
            start, count, whole = start + left, count - left, False
    return path[::-1] if whole else [_subtree(nodes, start, count), *path[::-1]]


def verify_consistency(old: Checkpoint, new: Checkpoint, path: Sequence[bytes]) -> None:
    """ProofRefused unless the newer tree continues the older one (RFC 9162, 2.1.4.2)."""
    if old.size > new.size:
        raise ProofRefused(f"the log shrank from {old.size} to {new.size} entries")
    if old.size == new.size:
        if old.root != new.root or path:
            raise ProofRefused("two roots for one size")
        return
    steps = list(path)
    if old.size & (old.size - 1) == 0:
        steps.insert(0, old.root)
    node, last = old.size - 1, new.size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    if not steps:
        raise ProofRefused("the consistency proof is empty")
    old_root = new_root = steps.pop(0)
    for step in steps:
        if last == 0:
            raise ProofRefused("the consistency proof is too long")
        if node & 1 or node == last:
            old_root, new_root = node_hash(step, old_root), node_hash(step, new_root)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new_root = node_hash(new_root, step)
        node, last = node >> 1, last >> 1
    if last or old_root != old.root or new_root != new.root:
        raise ProofRefused("the newer log does not continue the older one")


@dataclass(frozen=True, slots=True)
class Leaf:
    """An entry as it is hashed: its canonical text and the leaf hash of that."""

    text: str
    hash: bytes

    @classmethod
    def of(cls, entry: Mapping[str, object]) -> "Leaf":
        text = canonical(entry)
        return cls(text, leaf_hash(text.encode()))


def shown(number: int, text: str, path: Sequence[bytes]) -> dict[str, object]:
    """An entry with its inclusion proof, as a published part carries it."""
    return {"n": number, "entry": text, "path": [base64.b64encode(step).decode() for step in path]}
