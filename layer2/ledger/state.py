"""The state: accounts in their tree, and the next unused index (docs/protocol.md §2)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Self

from layer2.ledger.account import ACCOUNT_BYTES, Account
from layer2.ledger.constants import DEFAULT_LEVELS, FIRST_INDEX
from layer2.ledger.errors import StateError
from layer2.ledger.tree import Path, StateTree

_HEADER_BYTES: Final = 1 + 5 + 32


@dataclass(frozen=True, slots=True)
class State:
    """A state never changes: `put` returns another one that shares what is equal, so keeping one is a snapshot.

    Accounts fill the indices 1 … next_index - 1 without gaps and are never removed.
    Make one with `genesis`, `from_accounts` or `load`.
    """

    tree: StateTree
    next_index: int

    @classmethod
    def genesis(cls, levels: int = DEFAULT_LEVELS) -> Self:
        """The empty state of a tree with `levels` levels. Raises TreeError unless 1 ≤ levels ≤ 16."""
        return cls(StateTree(levels), FIRST_INDEX)

    @classmethod
    def from_accounts(cls, levels: int, accounts: Iterable[Account], root: int | None = None) -> Self:
        """The state with the given accounts at 1, 2, 3, …: one hash a node.

        Raises StateError when they do not fit or, if `root` is given, do not have this root.
        """
        held = list(accounts)
        capacity = StateTree(levels).capacity
        if len(held) >= capacity:
            raise StateError(f"{len(held)} accounts do not fit a tree of {levels} levels; use one with more levels")
        leaves = ((index, account.leaf(), account) for index, account in enumerate(held, FIRST_INDEX))
        state = cls(StateTree.build(levels, leaves), FIRST_INDEX + len(held))
        if root is not None and state.root != root:
            raise StateError(
                f"the accounts have the root {state.root:#066x}, not {root:#066x}; rebuild the state from L1"
            )
        return state

    @property
    def root(self) -> int:
        """The state root, an integer below r."""
        return self.tree.root

    @property
    def levels(self) -> int:
        """Levels of the tree."""
        return self.tree.levels

    @property
    def capacity(self) -> int:
        """4^levels: indices lie below it."""
        return self.tree.capacity

    @property
    def is_full(self) -> bool:
        """Whether no index is left for a new account."""
        return self.next_index == self.capacity

    def account(self, index: int) -> Account | None:
        """The account at `index`, None when there is none, also for an index beyond the tree."""
        if type(index) is not int:
            raise StateError(f"account index {index!r} is not an integer; give the number of an account")
        if not 0 <= index < self.next_index:
            return None
        found: Account | None = self.tree.payload(index)
        return found

    def accounts(self) -> Iterator[tuple[int, Account]]:
        """(index, account) of all accounts in ascending order of index."""
        return ((index, account) for index, _, account in self.tree.leaves())

    def path(self, index: int) -> Path:
        """The siblings of the leaf at `index`, lowest level first. Raises TreeError for an index beyond the tree."""
        return self.tree.path(index)

    def put(self, index: int, account: Account) -> "State":
        """The state with `account` at an index in use, or at `next_index`, which then grows by one.

        Raises StateError for another index, or when the tree is full.
        """
        if type(index) is not int or not FIRST_INDEX <= index <= self.next_index or index == self.capacity:
            raise StateError(
                f"account index {index!r} is neither in use nor the next one, {self.next_index}, "
                f"of {self.capacity}; new accounts take the next index"
            )
        tree = self.tree.set(index, account.leaf(), account)
        return State(tree, max(self.next_index, index + 1))

    def dump(self) -> bytes:
        """levels (1) ‖ next index (5) ‖ root (32) ‖ accounts in order, 106 bytes each (`Account.to_bytes`)."""
        header = self.levels.to_bytes(1) + self.next_index.to_bytes(5) + self.root.to_bytes(32)
        return header + b"".join(account.to_bytes() for _, account in self.accounts())

    @classmethod
    def load(cls, data: bytes) -> Self:
        """The inverse of `dump`; every hash is computed anew.

        Raises StateError when the data is cut off, too long, or does not have the root it names.
        """
        levels, next_index, root = (int.from_bytes(data[start:end]) for start, end in ((0, 1), (1, 6), (6, 38)))
        expected = _HEADER_BYTES + ACCOUNT_BYTES * (next_index - FIRST_INDEX)
        if len(data) < _HEADER_BYTES or next_index < FIRST_INDEX or len(data) != expected:
            raise StateError(f"a stored state of {len(data)} bytes is damaged; rebuild the state from L1")
        accounts = (
            Account.from_bytes(data[start : start + ACCOUNT_BYTES])
            for start in range(_HEADER_BYTES, len(data), ACCOUNT_BYTES)
        )
        return cls.from_accounts(levels, accounts, root)
