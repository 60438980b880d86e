"""A persistent sparse binary Keccak tree: H(0, 0) = 0 (docs/optimistic.md §1). Knows nothing of what leaves stand for.

A tree is never changed: `set` returns another one that shares all nodes off the changed paths, so keeping one costs
nothing. Nodes are plain tuples: (value, left, right) inside and (value, payload) for a leaf. The payload is whatever
the caller wants to find again beside the leaf; it is not hashed.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

from sha3 import keccak_256

from layer2.optimistic.constants import EMPTY, MAX_LEVELS
from layer2.optimistic.errors import TreeError

_Node = tuple[Any, ...]


def _empty_nodes() -> tuple[_Node, ...]:
    nodes: list[_Node] = [(EMPTY, None)]
    for _ in range(MAX_LEVELS):
        nodes.append((EMPTY, nodes[-1], nodes[-1]))
    return tuple(nodes)


_EMPTY: Final = _empty_nodes()


def node(left: bytes, right: bytes) -> bytes:
    """H(left, right): 0 if both are 0, else keccak256(left ‖ right)."""
    if left == right == EMPTY:
        return EMPTY
    value: bytes = keccak_256(left + right).digest()
    return value


def root_of_path(index: int, leaf: bytes, path: Sequence[bytes]) -> bytes:
    """The root that a leaf value at `index` has under siblings, lowest level first.

    Raises TreeError for an index that the path's length does not reach.
    """
    if not 0 <= index < 1 << len(path):
        raise TreeError(f"index {index} is not below 2^{len(path)}; give the path of this index")
    value = leaf
    for level, sibling in enumerate(path):
        value = node(sibling, value) if index >> level & 1 else node(value, sibling)
    return value


class Tree:
    """A tree of 2^levels leaves, at first all 0. Raises TreeError unless levels is 1 to 32."""

    __slots__ = ("_node", "levels")

    levels: int
    _node: _Node

    def __init__(self, levels: int) -> None:
        if type(levels) is not int or not 1 <= levels <= MAX_LEVELS:
            raise TreeError(f"levels {levels!r} is not an integer from 1 to {MAX_LEVELS}; use 24 unless you know why")
        self.levels = levels
        self._node = _EMPTY[levels]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tree) and (self.levels, self.root) == (other.levels, other.root)

    def __hash__(self) -> int:
        return hash((self.levels, self.root))

    @property
    def root(self) -> bytes:
        """The value of the top node, 32 bytes."""
        value: bytes = self._node[0]
        return value

    @property
    def capacity(self) -> int:
        """The number of leaves."""
        return 1 << self.levels

    def payload(self, index: int) -> Any:
        """What was given with the leaf at `index`, None when empty. Raises TreeError for an index out of range."""
        self._check(index)
        node = self._node
        for bit in bin(index | 1 << self.levels)[3:]:  # faster than shifts
            node = node[2] if bit == "1" else node[1]
        return node[1]

    def path(self, index: int) -> list[bytes]:
        """The siblings of the leaf at `index`, lowest level first. Raises TreeError for an index out of range."""
        self._check(index)
        path: list[bytes] = []
        node = self._node
        for shift in range(self.levels - 1, -1, -1):
            _, left, right = node
            if index >> shift & 1:
                path.append(left[0])
                node = right
            else:
                path.append(right[0])
                node = left
        path.reverse()
        return path

    def set(self, leaves: Mapping[int, tuple[bytes, object]]) -> Self:
        """The tree with these leaves, index → (value, payload): each node above them is hashed once.

        A value is 32 bytes and not 0: no leaf is ever taken away. Raises TreeError for an index out of range.
        """
        if not leaves:
            return self
        indices = sorted(leaves)
        self._check(indices[0])
        self._check(indices[-1])
        tree = object.__new__(type(self))
        tree.levels = self.levels
        tree._node = _set(self._node, self.levels, indices, [leaves[index] for index in indices])
        return tree

    def _check(self, index: int) -> None:
        if not 0 <= index < 1 << self.levels:
            raise TreeError(f"index {index} is not in [0, {self.capacity}); this tree has {self.levels} levels")


def _set(node: _Node, level: int, indices: list[int], leaves: list[_Node]) -> _Node:
    """The subtree with other leaves. `indices` are sorted and not empty; only their low `level` bits count here."""
    if len(indices) == 1:
        return _set_one(node, level, indices[0], leaves[0])
    level -= 1
    _, left, right = node
    # All indices agree above this bit, so those with it set are at the end.
    middle = bisect_left(indices, (indices[-1] >> level | 1) << level)
    if middle == 0:
        right = _set(right, level, indices, leaves)
    elif middle == len(indices):
        left = _set(left, level, indices, leaves)
    else:
        left = _set(left, level, indices[:middle], leaves[:middle])
        right = _set(right, level, indices[middle:], leaves[middle:])
    return keccak_256(left[0] + right[0]).digest(), left, right


def _set_one(node: _Node, level: int, index: int, leaf: _Node) -> _Node:
    spine: list[_Node] = []
    for bit in bin(index & (1 << level) - 1 | 1 << level)[3:]:
        spine.append(node)
        node = node[2] if bit == "1" else node[1]
    node = leaf
    for parent in reversed(spine):
        if index & 1:
            left = parent[1]
            node = keccak_256(left[0] + node[0]).digest(), left, node
        else:
            right = parent[2]
            node = keccak_256(node[0] + right[0]).digest(), node, right
        index >>= 1
    return node
