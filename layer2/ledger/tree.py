"""The state tree: Poseidon, arity 4, persistent (docs/protocol.md §2).

A tree is never changed. `set` returns another one that shares all nodes off the changed path, so
keeping a snapshot costs nothing. Nodes are plain tuples whose first item is the node's value: (value,
child, child, child, child) inside and (value, payload) for a leaf. The payload is whatever the caller
wants to find again beside the leaf; it is not hashed.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from layer2.crypto.field import R
from layer2.crypto.poseidon import climb, poseidon
from layer2.ledger.constants import ARITY, MAX_LEVELS
from layer2.ledger.errors import TreeError

Path = list[tuple[int, int, int]]
"""For each level, lowest first, the values of the three siblings in child order, the own one left out."""

_Node = tuple[Any, ...]


def _empty_nodes() -> tuple[_Node, ...]:
    nodes: list[_Node] = [(0, None)]
    for _ in range(MAX_LEVELS):
        child = nodes[-1]
        nodes.append((poseidon([child[0]] * ARITY), *[child] * ARITY))
    return tuple(nodes)


_EMPTY: Final = _empty_nodes()


def zero(level: int) -> int:
    """Z_level: the value of an empty subtree, Z₀ = 0. Raises TreeError for a level outside 0 … 16."""
    if type(level) is not int or not 0 <= level <= MAX_LEVELS:
        raise TreeError(f"level {level!r} is not an integer from 0 to {MAX_LEVELS}; ask for a level of the tree")
    value: int = _EMPTY[level][0]
    return value


def root_of_path(index: int, leaf: int, path: Sequence[tuple[int, int, int]]) -> int:
    """The root that a leaf value at `index` has under a path (lowest level first).

    Raises TreeError for an index that the path's length does not reach.
    """
    if type(index) is not int or not 0 <= index < ARITY ** len(path):
        raise TreeError(f"index {index!r} is not below {ARITY}^{len(path)}; give the path of this index")
    value = leaf
    for siblings in path:
        children = list(siblings)
        children.insert(index % ARITY, value)
        value = poseidon(children)
        index //= ARITY
    return value


class StateTree:
    """A tree of 4^levels leaves, at first all 0. `levels` is 1 … 16; raises TreeError otherwise."""

    __slots__ = ("_node", "levels")

    levels: int
    _node: _Node

    def __init__(self, levels: int) -> None:
        if type(levels) is not int or not 1 <= levels <= MAX_LEVELS:
            raise TreeError(f"levels {levels!r} is not an integer from 1 to {MAX_LEVELS}; use 12 unless you know why")
        self.levels = levels
        self._node = _EMPTY[levels]

    @classmethod
    def build(cls, levels: int, leaves: Iterable[tuple[int, int, object]]) -> "StateTree":
        """The tree with the given (index, leaf value, payload): one hash a node, for loading many leaves.

        Raises TreeError for an index or leaf out of range or an index given twice.
        """
        tree = cls(levels)
        nodes: dict[int, _Node] = {}
        for index, leaf, payload in leaves:
            tree._check_index(index)
            _check_leaf(leaf)
            if index in nodes:
                raise TreeError(f"index {index} is given twice; give every leaf once")
            nodes[index] = (leaf, payload)
        for level in range(levels):
            empty = _EMPTY[level]
            parents: dict[int, _Node] = {}
            for position in dict.fromkeys(index // ARITY for index in nodes):
                first = position * ARITY
                children = [nodes.get(first + digit, empty) for digit in range(ARITY)]
                parents[position] = (poseidon([child[0] for child in children]), *children)
            nodes = parents
        return tree._with(nodes.get(0, _EMPTY[levels]))

    @property
    def root(self) -> int:
        """The value of the top node."""
        value: int = self._node[0]
        return value

    @property
    def capacity(self) -> int:
        """The number of leaves, 4^levels."""
        return 1 << 2 * self.levels

    def get(self, index: int) -> int:
        """The leaf value at `index`, 0 when unused. Raises TreeError for an index out of range."""
        value: int = self._leaf(index)[0]
        return value

    def payload(self, index: int) -> Any:
        """What was given with the leaf at `index`, None when unused. Raises TreeError for an index out of range."""
        return self._leaf(index)[1]

    def set(self, index: int, leaf: int, payload: object = None) -> "StateTree":
        """The tree with another leaf at `index`: `levels` hashes, none when the value stays the same.

        Raises TreeError for an index out of range or a leaf that is not an integer in [0, r).
        """
        self._check_index(index)
        _check_leaf(leaf)
        spine: list[tuple[_Node, int]] = []
        node = self._node
        for shift in range(2 * (self.levels - 1), -1, -2):
            digit = 1 + (index >> shift & 3)
            spine.append((node, digit))
            node = node[digit]
        spine.reverse()
        if node[0] == leaf:
            values = [parent[0] for parent, _ in spine]
        else:
            values = climb(index, leaf, [(a[0], b[0], c[0], d[0]) for (_, a, b, c, d), _ in spine])
        node = (leaf, payload)
        for value, (parent, digit) in zip(values, spine, strict=True):
            node = (value, *parent[1:digit], node, *parent[digit + 1 :])
        return self._with(node)

    def path(self, index: int) -> Path:
        """The siblings on the way from the leaf at `index` to the root: `levels` triples, lowest level first.

        Raises TreeError for an index out of range.
        """
        self._check_index(index)
        path: Path = []
        node = self._node
        for shift in range(2 * (self.levels - 1), -1, -2):
            digit = index >> shift & 3
            _, a, b, c, d = node
            if digit == 0:
                path.append((b[0], c[0], d[0]))
                node = a
            elif digit == 1:
                path.append((a[0], c[0], d[0]))
                node = b
            elif digit == 2:
                path.append((a[0], b[0], d[0]))
                node = c
            else:
                path.append((a[0], b[0], c[0]))
                node = d
        path.reverse()
        return path

    def leaves(self) -> Iterator[tuple[int, int, Any]]:
        """(index, leaf value, payload) of every leaf that is not 0, in ascending order of index."""
        stack: list[tuple[int, int, _Node]] = [(self.levels, 0, self._node)]
        while stack:
            level, first, node = stack.pop()
            if level == 0:
                if node[0]:
                    yield first, node[0], node[1]
            elif node is not _EMPTY[level]:
                width = ARITY ** (level - 1)
                stack.extend((level - 1, first + digit * width, node[1 + digit]) for digit in (3, 2, 1, 0))

    def _leaf(self, index: int) -> _Node:
        self._check_index(index)
        node = self._node
        for shift in range(2 * (self.levels - 1), -1, -2):
            node = node[1 + (index >> shift & 3)]
        return node

    def _with(self, node: _Node) -> "StateTree":
        tree = StateTree.__new__(StateTree)
        tree.levels = self.levels
        tree._node = node
        return tree

    def _check_index(self, index: int) -> None:
        if type(index) is not int or not 0 <= index < self.capacity:
            raise TreeError(
                f"index {index!r} is not an integer in [0, {self.capacity}); this tree has {self.levels} levels"
            )


def _check_leaf(leaf: int) -> None:
    if type(leaf) is not int or not 0 <= leaf < R:
        raise TreeError(f"leaf {leaf!r} is not an integer in [0, r); use Account.leaf()")
