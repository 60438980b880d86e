"""The rollup's contracts as Python sees them: typed views, calls to send, events and batches read from L1.

May import `layer2.chain` and `layer2.ledger`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from eth_utils.address import to_checksum_address

from layer2.chain.coder import Event, coder
from layer2.chain.connection import BlockRef, Chain, Log
from layer2.chain.deployment import Deployment, verify
from layer2.chain.errors import DataMissingError
from layer2.crypto.eddsa import Point
from layer2.ledger.constants import Kind
from layer2.ledger.operations import Operation


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
class QueuedOperation:
    """Entry `index` of the L1 queue."""

    index: int
    operation: Operation
    block: BlockRef


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


@dataclass(frozen=True)
class PayoutCredit:
    """Money that became claimable: `owner` as EIP-55 address."""

    owner: str
    token: int
    amount: int
    block: BlockRef


class Rollup:
    """One deployed rollup on a connected chain."""

    def __init__(self, chain: Chain, deployment: Deployment) -> None:
        """Nothing is asked of the chain yet; `open_rollup` also verifies the deployment."""
        self.chain = chain
        self.deployment = deployment
        self.address = deployment.rollup
        self.coder = coder("ZKRollup")
        self._registry = coder("TokenRegistry")
        self._erc20 = coder("TestUSDC")

    # ---------------------------------------------------------------- views

    def view(self, function: str, *arguments: Any) -> Any:
        """The single value that a view of ZKRollup answers."""
        return self._view(self.coder, self.address, function, *arguments)

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

    def payout(self, owner: str, token: int) -> int:
        """What the owner can claim of a token now, in smallest units."""
        return int(self.view("payouts", to_checksum_address(owner), token))

    def token_address(self, token: int) -> str:
        """A token's contract. Raises RevertedError (UnknownToken) for an id that is not listed."""
        return to_checksum_address(self._view(self._registry, self.deployment.registry, "tokenOf", token))

    def token_id(self, address: str) -> int:
        """The id of a listed token. Raises RevertedError (TokenNotRegistered) for another contract."""
        return int(self._view(self._registry, self.deployment.registry, "idOf", to_checksum_address(address)))

    def token_view(self, token: int, function: str, *arguments: Any) -> Any:
        """The answer of an ERC-20 view of a listed token."""
        return self._view(self._erc20, self.token_address(token), function, *arguments)

    def _view(self, contract: Any, address: str, function: str, *arguments: Any) -> Any:
        answer = self.chain.call(address, contract.encode(function, *arguments))
        values = contract.decode_result(function, answer)
        return values[0] if len(values) == 1 else values

    # ---------------------------------------------------------------- calls to send

    def deposit_call(self, token: int, amount: int, owner: str, account: int, key: Point) -> bytes:
        """Input of `deposit`; ETH (token 0) goes along as value."""
        return self.coder.encode("deposit", token, amount, owner, account, list(key))

    def force_withdraw_call(self, account: int) -> bytes:
        """Input of `forceWithdraw`."""
        return self.coder.encode("forceWithdraw", account)

    def withdraw_call(self, token: int, to: str) -> bytes:
        """Input of `withdraw`: the sender's own payout, to any address."""
        return self.coder.encode("withdraw", token, to)

    def withdraw_for_call(self, owner: str, token: int) -> bytes:
        """Input of `withdrawFor`: anybody's payout, to its owner."""
        return self.coder.encode("withdrawFor", owner, token)

    def submit_call(self, state_root: int, parent_hash: bytes, data: bytes, proofs: Sequence[ProofPoints]) -> bytes:
        """Input of `submitBatch` in its canonical encoding."""
        encoded = [(list(p.a), [list(row) for row in p.b], list(p.c), [p.digest]) for p in proofs]
        return self.coder.encode("submitBatch", state_root.to_bytes(32), parent_hash, data, encoded)

    # ---------------------------------------------------------------- what L1 says

    def event(self, log: Log) -> Event | None:
        """The rollup's event in a log, None for another log."""
        return self.coder.decode_log(log)

    def queued_operation(self, event: Event) -> QueuedOperation:
        """The queue entry of an `OperationQueued` event."""
        a = event.arguments
        operation = Operation(
            Kind(a["kind"]), a["account"], 0, a["token"], 0, a["amount"], int(a["owner"], 16), *a["key"]
        )
        return QueuedOperation(a["index"], operation, event.log.block)

    def payout_credit(self, event: Event) -> PayoutCredit:
        """The credit of a `PayoutCredited` event."""
        a = event.arguments
        return PayoutCredit(to_checksum_address(a["owner"]), a["token"], a["amount"], event.log.block)

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
