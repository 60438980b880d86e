"""The sparse Keccak tree (docs/optimistic.md §1) against a naive one that holds all leaves."""

import pytest
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from layer2.optimistic.errors import TreeError
from layer2.optimistic.tree import Tree, node, root_of_path

ZERO = bytes(32)
values = st.binary(min_size=32, max_size=32).filter(any)


def naive_root(levels, leaves):
    row = [leaves.get(index, ZERO) for index in range(2**levels)]
    while len(row) > 1:
        pairs = zip(row[::2], row[1::2], strict=True)
        row = [ZERO if left == right == ZERO else keccak(left + right) for left, right in pairs]
    return row[0]


def test_an_empty_subtree_is_0():
    assert node(ZERO, ZERO) == ZERO
    assert node(ZERO, b"\1" * 32) == keccak(ZERO + b"\1" * 32)
    assert node(b"\1" * 32, ZERO) == keccak(b"\1" * 32 + ZERO)
    assert Tree(24).root == Tree(32).root == ZERO
    assert Tree(5).path(3) == [ZERO] * 5


def test_the_least_significant_bit_selects_among_the_leaves():
    a, b = b"\1" * 32, b"\2" * 32
    tree = Tree(2).set({1: (a, "a"), 2: (b, "b")})
    assert tree.root == keccak(keccak(ZERO + a) + keccak(b + ZERO))
    assert tree.path(1) == [ZERO, keccak(b + ZERO)]
    assert (tree.payload(1), tree.payload(2), tree.payload(3)) == ("a", "b", None)


@pytest.mark.parametrize("levels", [1, 2, 5])
@given(st.data())
def test_any_leaves_in_any_portions(levels, data):
    tree, leaves = Tree(levels), {}
    for _ in range(data.draw(st.integers(1, 4))):
        portion = data.draw(st.dictionaries(st.integers(0, 2**levels - 1), values, max_size=2**levels))
        before, root = tree, tree.root
        tree = tree.set({index: (value, index) for index, value in portion.items()})
        leaves |= portion
        assert tree.root == naive_root(levels, leaves)
        assert before.root == root
    for index in range(2**levels):
        assert tree.payload(index) == (index if index in leaves else None)
        assert root_of_path(index, leaves.get(index, ZERO), tree.path(index)) == tree.root


@given(st.dictionaries(st.integers(0, 2**32 - 1), values, max_size=20))
def test_32_levels(leaves):
    at_once = Tree(32).set({index: (value, None) for index, value in leaves.items()})
    one_by_one = Tree(32)
    for index, value in leaves.items():
        one_by_one = one_by_one.set({index: (value, None)})
    assert at_once == one_by_one
    assert hash(at_once) == hash(one_by_one)
    for index, value in leaves.items():
        assert root_of_path(index, value, at_once.path(index)) == at_once.root


def test_trees_differ_by_root_and_levels():
    tree = Tree(2).set({1: (b"\1" * 32, None)})
    assert tree != Tree(2)
    assert Tree(2) != Tree(3)
    assert Tree(2) != 0
    assert tree.set({}) is tree


@pytest.mark.parametrize("levels", [0, 33, -1, 1.0, None])
def test_levels_out_of_range(levels):
    with pytest.raises(TreeError, match="is not an integer from 1 to 32"):
        Tree(levels)


@pytest.mark.parametrize("index", [-1, 4, 2**32])
def test_indices_out_of_range(index):
    tree = Tree(2)
    for use in (tree.payload, tree.path, lambda index: tree.set({1: (b"\1" * 32, None), index: (b"\1" * 32, None)})):
        with pytest.raises(TreeError, match=f"index {index} is not in"):
            use(index)
    with pytest.raises(TreeError, match=f"index {index} is not below"):
        root_of_path(index, ZERO, [ZERO] * 2)
