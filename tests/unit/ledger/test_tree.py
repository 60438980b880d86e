import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layer2.crypto.field import R
from layer2.crypto.poseidon import poseidon
from layer2.ledger.errors import TreeError
from layer2.ledger.tree import StateTree, root_of_path, zero

LEVELS = 3
leaves = st.dictionaries(st.integers(0, 4**LEVELS - 1), st.integers(1, R - 1), max_size=12)


def plain_root(levels: int, values: dict[int, int]) -> int:
    """The root computed from the whole row of leaves."""
    row = [values.get(index, 0) for index in range(4**levels)]
    while len(row) > 1:
        row = [poseidon(row[start : start + 4]) for start in range(0, len(row), 4)]
    return row[0]


def test_zeros():
    assert zero(0) == 0
    for level in range(16):
        assert zero(level + 1) == poseidon([zero(level)] * 4)
        assert StateTree(level + 1).root == zero(level + 1)


@pytest.mark.parametrize("level", [-1, 17, 1.0, None])
def test_zero_refuses_other_levels(level):
    with pytest.raises(TreeError, match=f"level {level!r} is not an integer from 0 to 16"):
        zero(level)


@pytest.mark.parametrize("levels", [0, 17, -1, 2.0, None])
def test_refuses_other_depths(levels):
    with pytest.raises(TreeError, match=f"levels {levels!r} is not an integer from 1 to 16"):
        StateTree(levels)


@given(leaves)
@settings(max_examples=30)
def test_root_of_every_way_to_make_a_tree(values):
    tree = StateTree(LEVELS)
    for index, leaf in values.items():
        tree = tree.set(index, leaf, f"payload {index}")
    assert tree.root == plain_root(LEVELS, values)
    built = StateTree.build(LEVELS, [(index, leaf, f"payload {index}") for index, leaf in values.items()])
    assert built.root == tree.root
    expected = [(index, leaf, f"payload {index}") for index, leaf in sorted(values.items())]
    assert list(tree.leaves()) == list(built.leaves()) == expected


@given(leaves, st.integers(0, 4**LEVELS - 1))
@settings(max_examples=30)
def test_paths_lead_from_leaves_to_the_root(values, index):
    tree = StateTree.build(LEVELS, [(i, leaf, None) for i, leaf in values.items()])
    path = tree.path(index)
    assert len(path) == LEVELS
    assert root_of_path(index, tree.get(index), path) == tree.root
    # The path to a leaf is also that of its next value.
    assert root_of_path(index, 99, path) == tree.set(index, 99).root


def test_siblings_are_in_child_order_without_the_own_one():
    tree = StateTree.build(2, [(i, 100 + i, None) for i in range(16)])
    inner = [poseidon([100 + 4 * i + j for j in range(4)]) for i in range(4)]
    assert tree.path(6) == [(104, 105, 107), (inner[0], inner[2], inner[3])]
    assert tree.path(0) == [(101, 102, 103), (inner[1], inner[2], inner[3])]
    assert tree.path(15) == [(112, 113, 114), (inner[0], inner[1], inner[2])]


@given(leaves, st.integers(0, 4**LEVELS - 1), st.integers(0, R - 1))
@settings(max_examples=30)
def test_a_tree_never_changes(values, index, leaf):
    before = StateTree.build(LEVELS, [(i, value, None) for i, value in values.items()])
    root, old = before.root, list(before.leaves())
    after = before.set(index, leaf)
    assert (before.root, list(before.leaves())) == (root, old)
    assert after.get(index) == leaf
    assert after.set(index, before.get(index)).root == root


def test_what_did_not_change_is_shared():
    """A snapshot costs the changed path only: all other nodes are the same objects."""
    before = StateTree.build(4, [(i, i + 1, None) for i in range(256)])
    after = before.set(0, 77)
    shared = 0
    old, new = before._node, after._node
    for _ in range(3):
        shared += sum(a is b for a, b in zip(old[1:], new[1:], strict=True))
        old, new = old[1], new[1]
    assert shared == 9


def test_the_same_value_keeps_the_root_and_replaces_the_payload():
    tree = StateTree(LEVELS).set(5, 9, "old")
    same = tree.set(5, 9, "new")
    assert same.root == tree.root
    assert (tree.payload(5), same.payload(5)) == ("old", "new")


def test_unused_leaves():
    tree = StateTree(LEVELS)
    assert tree.get(3) == 0
    assert tree.payload(3) is None
    assert list(tree.leaves()) == []


@pytest.mark.parametrize("index", [-1, 64, 2.0, "1", None, True])
def test_refuses_indices_beyond_the_tree(index):
    tree = StateTree(LEVELS)
    for use in (tree.get, tree.payload, tree.path, lambda i: tree.set(i, 1), lambda i: tree.build(3, [(i, 1, None)])):
        with pytest.raises(TreeError, match=rf"index {index!r} is not an integer in \[0, 64\); this tree has 3 levels"):
            use(index)
    with pytest.raises(TreeError, match=r"is not below 4\^3"):
        root_of_path(index, 1, tree.path(0))


@pytest.mark.parametrize("leaf", [-1, R, 1.0, None])
def test_refuses_leaves_outside_the_field(leaf):
    with pytest.raises(TreeError, match=rf"leaf {leaf!r} is not an integer in \[0, r\)"):
        StateTree(LEVELS).set(1, leaf)
    with pytest.raises(TreeError, match=rf"leaf {leaf!r} is not an integer in \[0, r\)"):
        StateTree.build(LEVELS, [(1, leaf, None)])


def test_build_refuses_an_index_twice():
    with pytest.raises(TreeError, match="index 1 is given twice"):
        StateTree.build(LEVELS, [(1, 1, None), (1, 2, None)])
