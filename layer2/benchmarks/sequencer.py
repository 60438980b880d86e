"""Measures the sequencer: signed transfers a second through `Sequencer.submit_many`, of one core's time.

Run it with `python -m layer2.benchmarks.sequencer [transfers]`. May import what the sequencer does; nothing is asked of
a chain.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from web3 import HTTPProvider, Web3

from layer2.actors.errors import RefusedError
from layer2.actors.fees import ETHER
from layer2.actors.optimistic_store import OptimisticStore, Verdict
from layer2.actors.sequencer import Sequencer, SequencerConfig
from layer2.chain.blobs import AnvilBlobs
from layer2.chain.connection import Block, Chain
from layer2.chain.optimistic_deployment import OptimisticDeployment
from layer2.chain.optimistic_rollup import OptimisticRollup, SubmittedBatch
from layer2.chain.signer import LocalSigner
from layer2.crypto.addresses import int_to_address
from layer2.crypto.eip712 import address_of
from layer2.optimistic.batches import NOBODY, BatchHeader
from layer2.optimistic.constants import DEFAULT_LEVELS, EMPTY
from layer2.optimistic.errors import OptimisticError
from layer2.optimistic.operations import Transfer
from layer2.optimistic.records import Account
from layer2.optimistic.signing import sign_operation
from layer2.optimistic.state import NO_FEES, RollupState
from layer2.toolchain import PROJECT

ACCOUNTS: Final = 1024
TOGETHER: Final = 256
"""Transfers that share one write to the disk, as a busy sequencer's do."""

RUNS: Final = 5

_FEE: Final = 10
_FOREVER: Final = 2**32 - 1


@dataclass(frozen=True)
class SequencerSpeed:
    """Transfers a second of one core's time: in the middle one and in the best of several runs of so many transfers."""

    transfers: int
    runs: int
    median: float
    best: float


def sequencer_speed(count: int, runs: int = RUNS, folder: Path | None = None) -> SequencerSpeed:
    """How many transfers a sequencer takes a second, over `count` of them in each run; each run has its own database.

    Included is all that `submit_many` does with 256 at a time: reading the bytes and checking that they are canonical,
    whether each is known already, fee, expiry and all rules, recovering the signer, the place in a batch with the state
    root after each chunk of 16, and storing all in a file before the receipts are given. CPU time of the whole process,
    the system's included. Not included: making accounts and signatures, HTTP, and what the disk takes by the clock.
    folder: whose disk is used, the project's unless given. Raises OptimisticError unless both numbers are positive.
    """
    for name, number in (("count", count), ("runs", runs)):
        if type(number) is not int or number < 1:
            raise OptimisticError(f"{name} {number!r} is not a positive integer; give the number of {name} to measure")
    keys = [number.to_bytes(32) for number in range(1, ACCOUNTS + 1)]
    state = RollupState.of(DEFAULT_LEVELS, [Account(address_of(key), ETHER, 0, 10**18) for key in keys])
    rollup = _Rollup()
    bodies = [_transfer(number, keys, state, rollup.deployment.domain_separator) for number in range(count)]
    speeds = [_run(rollup, state, bodies, folder or PROJECT) for _ in range(runs)]
    return SequencerSpeed(count, runs, median(speeds), max(speeds))


def _run(rollup: "_Rollup", state: RollupState, bodies: Sequence[bytes], folder: Path) -> float:
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix=".bench-") as place,
        OptimisticStore(Path(place) / "sequencer.sqlite") as store,
    ):
        _begin_with(state, store)
        config = SequencerConfig(minimum_fees={ETHER: _FEE}, max_pending=len(bodies))
        chain = rollup.chain
        sequencer = Sequencer(rollup, store, LocalSigner((1).to_bytes(32)), AnvilBlobs(chain), config)
        before = time.process_time()
        for start in range(0, len(bodies), TOGETHER):
            for answer in sequencer.submit_many(bodies[start : start + TOGETHER]):
                if isinstance(answer, RefusedError):
                    raise OptimisticError(f"the measurement is of transfers that are refused: {answer}; correct it")
        taken = time.process_time() - before
        if [row.body for row in store.waiting()] != bodies:
            raise OptimisticError("the measurement is of transfers that were not stored; correct it")
        return len(bodies) / taken


def _begin_with(state: RollupState, store: OptimisticStore) -> None:
    """Store a right batch that ends in this state, as if it had been read from L1."""
    header = BatchHeader(
        state_root=state.state_root,
        parent_hash=_GENESIS.hash,
        timestamp=_BLOCK.timestamp,
        block_number=_BLOCK.number,
        sequencer=NOBODY,
        executed_at=_BLOCK.timestamp,
        is_blob=False,
        chunks=1,
        data_commitment=bytes(32),
        withdrawal_root=EMPTY,
        withdrawal_count=0,
        next_index=state.next_index,
        queue_cursor=0,
        fees=NO_FEES,
    )
    row = store.add_batch(SubmittedBatch(1, header, b"", bytes(32), _BLOCK.ref), b"")
    store.set_verdict(row.sequence, Verdict.RIGHT)
    store.save_snapshot(1, header.hash, state.dump())


def _transfer(number: int, keys: list[bytes], state: RollupState, domain: bytes) -> bytes:
    """The number-th transfer: senders take turns, recipients are spread over all accounts."""
    nonce, sender = divmod(number, ACCOUNTS)

    def record(index: int) -> Account:
        account = state.record(index)
        assert isinstance(account, Account)
        return account._replace(nonce=nonce)

    operation = Transfer(1 + sender, 1 + (number * 37 + 5) % ACCOUNTS, 1000 + number, _FEE, _FOREVER)
    return sign_operation(operation, record, domain, keys[sender]).encode()


_BLOCK: Final = Block(1, bytes(32), 1_700_000_000, 1)
_GENESIS: Final = BatchHeader.genesis(_BLOCK.timestamp, _BLOCK.number)


class _Chain(Chain):
    """A chain of one block. Nobody asks it anything else."""

    def head(self) -> Block:
        return _BLOCK


class _Rollup(OptimisticRollup):
    """A deployment on that chain."""

    def __init__(self) -> None:
        rollup, registry, others = (int_to_address(number) for number in (1, 2, 3))
        deployment = OptimisticDeployment(
            chain_id=31337,
            block=_BLOCK.number,
            rollup=rollup,
            registry=registry,
            state_transition=others,
            cell_verifier=others,
            operator=NOBODY,
            levels=DEFAULT_LEVELS,
            inclusion_deadline=3600,
            queue_quota=20,
            freeze_deadline=86400,
            priority_timeout=3600,
            max_batch_age=3600,
            challenge_period=86400,
            reward_delay=3600,
            minimum_stake=10**18,
            rollup_code="",
            registry_code="",
            state_transition_code="",
            cell_verifier_code="",
        )
        super().__init__(_Chain(Web3(HTTPProvider("http://127.0.0.1:9"))), deployment)

    def genesis(self) -> BatchHeader:
        return _GENESIS


if __name__ == "__main__":
    speed = sequencer_speed(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
    print(
        f"{speed.median:,.0f} transfers a second of one core's time, the best of {speed.runs} runs {speed.best:,.0f}; "
        f"{TOGETHER} in one write to the disk"
    )
