"""A development chain of one's own, with control over mining, time and reorgs."""

from collections.abc import Iterator
from contextlib import contextmanager

from layer2.chain import local
from layer2.chain.local import signer

__all__ = ["Anvil", "signer"]


class Anvil(local.Anvil):
    """A running chain; a context manager that ends it."""

    def snapshot(self) -> str:
        return str(self.request("evm_snapshot"))

    def revert(self, snapshot: str) -> None:
        """Back to a snapshot: its later blocks are gone, as in a reorg."""
        if self.request("anvil_getAutomine"):
            # A transaction that was sent a moment ago may be being mined. If that goes on during the revert, Anvil ends
            # with one block's state and another one's blocks; mining once more waits for it.
            self.mine()
        assert self.request("evm_revert", snapshot) is True

    @contextmanager
    def undone(self) -> Iterator[None]:
        """What happens inside is undone afterwards, and nothing of it waits to be mined."""
        snapshot = self.snapshot()
        try:
            yield
        finally:
            self.automine(True)
            self.drop_all()
            self.revert(snapshot)

    def mine(self, blocks: int = 1) -> None:
        self.request("anvil_mine", hex(blocks))

    def automine(self, on: bool) -> None:
        self.request("evm_setAutomine", on)

    def drop_all(self) -> None:
        """Empty the mempool."""
        self.request("anvil_dropAllTransactions")

    def warp(self, seconds: int) -> None:
        """Let time pass, and mine a block."""
        self.request("evm_increaseTime", hex(seconds))
        self.mine()
