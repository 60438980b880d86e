"""The ZK rollup's contract as Python sees it: typed views, calls to send, events and batches read from L1.

May import `layer2.chain` and `layer2.ledger`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from eth_utils.address import to_checksum_address

from layer2.chain.coder import Event
from layer2.chain.connection import BlockRef, Chain
from layer2.chain.custody import CustodyContract
from layer2.chain.deployment import Deployment, verify
from layer2.chain.errors import DataMissingError
from layer2.crypto.addresses import int_to_address
from layer2.ledger.account import Account
from layer2.ledger.tree import Path


class ProofPoints(NamedTuple):
    """A proof as `submitBatch` takes it: points in the EVM's order (imaginary parts first) and the digest D."""

    a: tuple[int, int]
    b: tuple[tuple[int, int], tuple[int, int]]
    c: tuple[int, int]
    digest: int


@dataclass(frozen=True)
class Tip:
    """The contract's state: last batch, its hash and timestamp, state root, next index, queue positions."""

    batch_id: int
    batch_hash: bytes
    state_root: int
    timestamp: int
    next_index: int
    queue_cursor: int
    queue_tail: int
    operator_last_seen: int


@dataclass(frozen=True)
class PostedBatch:
    """A batch that the contract accepted, with the data that the transaction carried."""

    batch_id: int
    batch_hash: bytes
    parent_hash: bytes
    state_root: int
    submitter: str
    timestamp: int
    next_index: int
    queue_cursor: int
    data: bytes
    transaction: bytes
    block: BlockRef


class Rollup(CustodyContract):
    """One deployed ZK rollup on a connected chain."""

    def __init__(self, chain: Chain, deployment: Deployment) -> None:
        """Nothing is asked of the chain yet; `open_rollup` also verifies the deployment."""
        super().__init__(chain, deployment.rollup, deployment.registry, "ZKRollup")
        self.deployment = deployment

    def tip(self) -> Tip:
        """Where the contract stands now (several calls: not one snapshot)."""
        return Tip(
            self.view("currentBatchId"),
            self.view("tipHash"),
            int.from_bytes(self.view("stateRoot")),
            self.view("batchTimestamp"),
            self.view("nextIndex"),
            self.view("queueCursor"),
            self.view("queueTail"),
            self.view("operatorLastSeen"),
        )

    # ---------------------------------------------------------------- calls to send

    def submit_call(self, state_root: int, parent_hash: bytes, data: bytes, proofs: Sequence[ProofPoints]) -> bytes:
        """Input of `submitBatch` in its canonical encoding."""
        encoded = [(list(p.a), [list(row) for row in p.b], list(p.c), [p.digest]) for p in proofs]
        return self.coder.encode("submitBatch", state_root.to_bytes(32), parent_hash, data, encoded)

    def freeze_call(self) -> bytes:
        """Input of `freeze`."""
        return self.coder.encode("freeze")

    def escape_call(self, index: int, account: Account, path: Path) -> bytes:
        """Input of `escape`: after a freeze, an account's balance to its owner. path: its siblings in that state."""
        leaf = (int_to_address(account.owner), account.token, account.nonce, account.balance, list(account.key))
        return self.coder.encode("escape", index, leaf, [list(siblings) for siblings in path])

    # ---------------------------------------------------------------- what L1 says

    def posted_batch(self, submitted: Event, verified: Event) -> PostedBatch:
        """The batch of a `BatchSubmitted` event and its `BatchVerified`, with the data from its transaction's input.

        Raises DataMissingError when the node does not give the transaction or it is no direct call.
        """
        log = submitted.log
        transaction = self.chain.transaction(log.transaction)
        if transaction is None or transaction.to != self.address:
            raise DataMissingError(
                f"transaction 0x{log.transaction.hex()} of batch {submitted.arguments['batchId']} is not to be had as "
                f"a direct call of {self.address} from {self.chain.name}: use a node with full history"
            )
        _, _, data, _ = self.coder.decode_input("submitBatch", transaction.input)
        a, b = submitted.arguments, verified.arguments
        return PostedBatch(
            a["batchId"],
            a["batchHash"],
            a["parentHash"],
            int.from_bytes(a["stateRoot"]),
            to_checksum_address(a["submitter"]),
            a["timestamp"],
            b["nextIndex"],
            b["queueCursor"],
            data,
            log.transaction,
            log.block,
        )


def open_rollup(chain: Chain, deployment: Deployment) -> Rollup:
    """The rollup of a deployment file, after checking that it is what the file says; raises as `deployment.verify`."""
    verify(chain, deployment)
    return Rollup(chain, deployment)
