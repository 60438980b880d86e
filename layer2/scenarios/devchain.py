"""A development chain that can be turned: time travel, blocks at will, reorgs, money for everybody (Anvil's methods).

May import `layer2.chain`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast

from layer2.chain.connection import Chain
from layer2.chain.errors import ChainError

_AT_ONCE: Final = 200
"""Transactions in one request."""


class DevChain:
    """Anvil's own methods on a connected chain."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain

    def request(self, method: str, *parameters: Any) -> Any:
        """A JSON-RPC call. Raises ChainError with the node's words when it refuses."""
        answer = cast(Mapping[str, Any], self.chain.web3.provider.make_request(cast(Any, method), list(parameters)))
        if "error" in answer:
            raise ChainError(f"{self.chain.name} refuses {method}: {answer['error']}; use Anvil")
        return answer["result"]

    @property
    def now(self) -> int:
        """The latest block's time, seconds since 1970."""
        return self.chain.head().timestamp

    def pass_time(self, seconds: int) -> None:
        """Mine a block this much later than the last one."""
        self.pass_until(self.now + seconds)

    def pass_until(self, timestamp: int) -> None:
        """Mine a block with this time."""
        self.next_block_at(timestamp)
        self.mine()

    def next_block_at(self, timestamp: int) -> None:
        """Give the next block this time; those after it follow on."""
        self.request("evm_setNextBlockTimestamp", hex(timestamp))

    def mine(self, blocks: int = 1) -> None:
        """Mine blocks with what waits."""
        self.request("anvil_mine", hex(blocks))

    def mine_all(self, raws: Sequence[bytes]) -> int:
        """Have these signed transactions mined, in this order for each sender; the gas of all of them.

        Raises ChainError when one is refused or fails.
        """
        first = self.chain.head().number + 1
        with self.no_blocks():
            for start in range(0, len(raws), _AT_ONCE):
                batch = [("eth_sendRawTransaction", ["0x" + raw.hex()]) for raw in raws[start : start + _AT_ONCE]]
                cast(Any, self.chain.web3.provider).make_batch_request(batch)
            while int(self.request("txpool_status")["pending"], 16):
                self.mine()
        receipts = []
        for number in range(first, self.chain.head().number + 1):
            receipts += self.request("eth_getBlockReceipts", hex(number))
        if len(receipts) != len(raws) or any(receipt["status"] != "0x1" for receipt in receipts):
            raise ChainError(
                f"of {len(raws)} transactions {len(receipts)} were mined, and not all succeeded; see the log"
            )
        return sum(int(receipt["gasUsed"], 16) for receipt in receipts)

    @contextmanager
    def no_blocks(self) -> Iterator[None]:
        """Within, transactions wait until `mine`."""
        self.request("evm_setAutomine", False)
        try:
            yield
        finally:
            self.request("evm_setAutomine", True)

    @contextmanager
    def undone(self) -> Iterator[None]:
        """What happens within never happened afterwards."""
        snapshot = self.request("evm_snapshot")
        try:
            yield
        finally:
            if self.request("evm_revert", snapshot) is not True:
                raise ChainError("the chain could not go back to its snapshot: start again on a fresh one")

    def reorg(self, depth: int) -> None:
        """Replace the last blocks by as many empty ones."""
        self.request("anvil_reorg", depth, [])

    def set_balance(self, address: str, wei: int) -> None:
        """Give an account this much ETH."""
        self.request("anvil_setBalance", address, hex(wei))
