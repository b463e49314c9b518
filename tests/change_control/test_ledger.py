"""The Merkle tree against RFC 6962's own definition, and its proofs against every way of being wrong."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from change_control.ledger import EMPTY_ROOT, LedgerMismatch, append, consistency, inclusion, root, verify_consistency
from policy.proof import Checkpoint, ProofRefused, leaf_hash, node_hash, root_from_inclusion


def definition(leaves):
    """MTH of RFC 6962, section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return node_hash(definition(leaves[:k]), definition(leaves[k:]))


def grown(leaves):
    nodes = {}
    for size, leaf in enumerate(leaves):
        append(nodes, size, leaf_hash(leaf))
    return nodes


LEAVES = st.lists(st.binary(max_size=8), min_size=1, max_size=40)


def test_rfc_6962_test_vectors():
    leaves = [
        bytes.fromhex(text)
        for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
    ]
    assert root({}, 0) == EMPTY_ROOT == definition([])
    assert root(grown(leaves), 8).hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    assert root(grown(leaves), 3).hex() == "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"


@given(LEAVES)
def test_every_size_has_the_root_of_the_definition(leaves):
    nodes = grown(leaves)
    for size in range(1, len(leaves) + 1):
        assert root(nodes, size) == definition(leaves[:size])


@given(LEAVES, st.data())
def test_inclusion_holds_for_the_leaf_at_its_place_and_for_nothing_else(leaves, data):
    nodes, size = grown(leaves), len(leaves)
    index = data.draw(st.integers(0, size - 1))
    path = inclusion(nodes, index, size)
    assert root_from_inclusion(index, size, leaf_hash(leaves[index]), path) == root(nodes, size)
    other = data.draw(st.binary(max_size=8).filter(lambda leaf: leaf != leaves[index]))
    assert root_from_inclusion(index, size, leaf_hash(other), path) != root(nodes, size)
    if path:
        step = data.draw(st.integers(0, len(path) - 1))
        flipped = [bytes([each[0] ^ 1]) + each[1:] if n == step else each for n, each in enumerate(path)]
        assert root_from_inclusion(index, size, leaf_hash(leaves[index]), flipped) != root(nodes, size)
        with pytest.raises(ProofRefused):
            root_from_inclusion(index, size, leaf_hash(leaves[index]), path[:-1])
    with pytest.raises(ProofRefused):
        root_from_inclusion(index, size, leaf_hash(leaves[index]), [*path, path[0] if path else b"x" * 32])
    with pytest.raises(LedgerMismatch):
        inclusion(nodes, size, size)


@given(LEAVES, st.data())
def test_a_longer_log_continues_a_shorter_one_only_if_it_does(leaves, data):
    nodes, size = grown(leaves), len(leaves)
    old = data.draw(st.integers(1, size))
    path = consistency(nodes, old, size)
    older, newer = Checkpoint("log", old, root(nodes, old)), Checkpoint("log", size, root(nodes, size))
    verify_consistency(older, newer, path)
    altered = Checkpoint("log", old, hashlib.sha256(older.root).digest())
    with pytest.raises(ProofRefused):
        verify_consistency(altered, newer, path)
    if old < size:
        with pytest.raises(ProofRefused):
            verify_consistency(newer, older, path)
