"""The optimistic rollup's contract as Python sees it: typed views, calls to send, events and batches read from L1.

May import `layer2.chain`, `layer2.ledger` and `layer2.optimistic`.
"""

from dataclasses import astuple, dataclass
from typing import Any

from eth_utils.address import to_checksum_address

from layer2.chain.coder import Event
from layer2.chain.connection import BlockRef, Chain
from layer2.chain.custody import CustodyContract
from layer2.chain.errors import DataMissingError
from layer2.chain.optimistic_deployment import OptimisticDeployment, verify
from layer2.optimistic.batches import BatchHeader, Claim
from layer2.optimistic.errors import StateError
from layer2.optimistic.evidence import Evidence
from layer2.optimistic.records import Position, encode
from layer2.optimistic.state import RollupState


@dataclass(frozen=True)
class OptimisticTip:
    """The contract's state: last and last confirmed batch, the last one's hash, queue positions."""

    batch_id: int
    confirmed_id: int
    batch_hash: bytes
    queue_cursor: int
    queue_tail: int


@dataclass(frozen=True)
class SubmittedBatch:
    """A batch that the contract took. calldata: its `transactions`, empty in blob mode."""

    batch_id: int
    header: BatchHeader
    calldata: bytes
    transaction: bytes
    block: BlockRef


@dataclass(frozen=True)
class Bond:
    """A sequencer's bond in wei, and since when it leaves; 0 while it may submit."""

    amount: int
    exit_started_at: int


@dataclass(frozen=True)
class Reward:
    """See `IOptimisticRollup.Reward`: wei (0 once claimed), times, block of the reservation shown, what was proven."""

    amount: int
    proven_at: int
    reserved_at: int
    chunk: int
    commitment: bytes


class OptimisticRollup(CustodyContract):
    """One deployed optimistic rollup on a connected chain."""

    def __init__(self, chain: Chain, deployment: OptimisticDeployment) -> None:
        """Nothing is asked of the chain yet; `open_optimistic_rollup` also verifies the deployment."""
        super().__init__(chain, deployment.rollup, deployment.registry, "OptimisticRollup")
        self.deployment = deployment

    # ---------------------------------------------------------------- views

    def tip(self) -> OptimisticTip:
        """Where the contract stands now (several calls: not one snapshot)."""
        return OptimisticTip(
            self.view("currentBatchId"),
            self.view("confirmedBatchId"),
            self.view("tipHash"),
            self.view("queueCursor"),
            self.view("queueTail"),
        )

    def batch_hash(self, batch_id: int) -> bytes:
        """The hash of the batch with this id, 0 when there is none."""
        return bytes(self.view("batches", batch_id)[0])

    def bond(self, sequencer: str) -> Bond:
        """A sequencer's bond."""
        return Bond(*self.view("bonds", to_checksum_address(sequencer)))

    def reward(self, batch_hash: bytes) -> Reward:
        """The reward for the proof against a batch; all zero when there was none."""
        return Reward(*self.view("rewards", batch_hash))

    def genesis(self) -> BatchHeader:
        """The header of batch 0. Raises DataMissingError when the node does not give the block of the deployment."""
        block = self.chain.block(self.deployment.block)
        if block is None:
            raise DataMissingError(
                f"block {self.deployment.block} of the deployment is not to be had from {self.chain.name}: use a node "
                "that has it"
            )
        header = BatchHeader.genesis(block.timestamp, block.number)
        if header.hash != self.batch_hash(0):
            raise DataMissingError(
                f"block {block.number} is not that of the deployment of {self.address}: restore the deployment file"
            )
        return header

    # ---------------------------------------------------------------- calls to send

    def submit_call(self, state_root: bytes, parent_hash: bytes, claim: Claim, data: bytes) -> bytes:
        """Input of `submitBatch` in its canonical encoding. data: `transactions`, empty in blob mode."""
        return self.coder.encode("submitBatch", state_root, parent_hash, astuple(claim), data)

    def prove_call(self, evidence: Evidence) -> bytes:
        """Input of `submitFraudProof`."""
        return self.coder.encode("submitFraudProof", *evidence.arguments())

    def confirm_call(self, batch_id: int, header: BatchHeader) -> bytes:
        """Input of `confirmBatch`."""
        return self.coder.encode("confirmBatch", batch_id, astuple(header))

    def reserve_call(self, reservation: bytes) -> bytes:
        """Input of `reserveReward`."""
        return self.coder.encode("reserveReward", reservation)

    def take_call(self, batch_hash: bytes, salt: bytes) -> bytes:
        """Input of `takeReward`."""
        return self.coder.encode("takeReward", batch_hash, salt)

    def claim_call(self, batch_hash: bytes) -> bytes:
        """Input of `claimReward`."""
        return self.coder.encode("claimReward", batch_hash)

    def bond_call(self) -> bytes:
        """Input of `bond`; the bond goes along as value."""
        return self.coder.encode("bond")

    def start_exit_call(self) -> bytes:
        """Input of `startExit`."""
        return self.coder.encode("startExit")

    def withdraw_bond_call(self) -> bytes:
        """Input of `withdrawBond`."""
        return self.coder.encode("withdrawBond")

    def claim_withdrawal_call(self, batch_id: int, header: BatchHeader, state: RollupState, index: int) -> bytes:
        """Input of `claimWithdrawal`, for withdrawal `index` of a confirmed batch that ends in `state`.

        Raises StateError when there is no such withdrawal.
        """
        withdrawal = state.withdrawal(index)
        owner = to_checksum_address(withdrawal.owner.to_bytes(20))
        path = state.withdrawal_path(index)
        return self.coder.encode(
            "claimWithdrawal", batch_id, astuple(header), index, owner, withdrawal.token, withdrawal.amount, path
        )

    def freeze_call(self, last_confirmed: BatchHeader, first_pending: BatchHeader) -> bytes:
        """Input of `freeze`. first_pending: anything when nothing is pending."""
        return self.coder.encode("freeze", astuple(last_confirmed), astuple(first_pending))

    def escape_call(self, index: int, state: RollupState) -> bytes:
        """Input of `escape`: after a freeze in this state, an account's balance to its owner."""
        return self.coder.encode("escape", index, *_leaf(state, index))

    def escape_position_call(self, index: int, state: RollupState) -> bytes:
        """Input of `escapePosition`: after a freeze in this state, a position's part of its pool to its owner."""
        position = state.record(index)
        if not isinstance(position, Position):
            raise StateError(f"{index} is no position but {position}: escape it as what it is")
        return self.coder.encode("escapePosition", index, *_leaf(state, index), *_leaf(state, position.pool))

    # ---------------------------------------------------------------- what L1 says

    def submitted_batch(self, event: Event) -> SubmittedBatch:
        """The batch of a `BatchSubmitted` event, with the data that is in its transaction's input.

        Raises DataMissingError when the node does not give the transaction, or another header than the hash is of.
        """
        log = event.log
        transaction = self.chain.transaction(log.transaction)
        number = event.arguments["batchId"]
        if transaction is None or transaction.to != self.address:
            raise DataMissingError(
                f"transaction 0x{log.transaction.hex()} of batch {number} is not to be had as a direct call of "
                f"{self.address} from {self.chain.name}: use a node with full history"
            )
        header = _header(event.arguments["batch"])
        if header.hash != event.arguments["batchHash"]:
            raise DataMissingError(f"the header of batch {number} from {self.chain.name} has another hash: check it")
        _, _, _, data = self.coder.decode_input("submitBatch", transaction.input)
        return SubmittedBatch(number, header, data, log.transaction, log.block)


def open_optimistic_rollup(chain: Chain, deployment: OptimisticDeployment) -> OptimisticRollup:
    """The rollup of a deployment file, after checking that it is what the file says; raises as `verify`."""
    verify(chain, deployment)
    return OptimisticRollup(chain, deployment)


def _leaf(state: RollupState, index: int) -> tuple[bytes, list[bytes]]:
    """A record's bytes and its siblings. Raises StateError when there is none."""
    record = state.record(index)
    if record is None:
        raise StateError(f"there is nothing at index {index} of the state: look the index up")
    return encode(record), state.path(index)


def _header(raw: tuple[Any, ...]) -> BatchHeader:
    values: list[Any] = list(raw)
    values[4] = to_checksum_address(values[4])
    values[-1] = tuple(values[-1])
    return BatchHeader(*values)
