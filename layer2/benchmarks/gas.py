"""Gas of `submitBatch` for real batches with real proofs, and the cost per segment and per transfer fitted to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from layer2.actors.proving import SegmentProver
from layer2.chain.rollup import ProofPoints, Rollup
from layer2.chain.sending import send
from layer2.chain.signer import Signer
from layer2.crypto.eddsa import PrivateKey
from layer2.ledger.amounts import encode_fee8
from layer2.ledger.constants import TIMESTAMP_BITS
from layer2.ledger.operations import Operation, SignedOperation, sign_operation
from layer2.ledger.state import State
from layer2.ledger.state_manager import StateManager
from layer2.ledger.transition import Item
from layer2.scenarios.devchain import DevChain
from layer2.zk.batch import Circuits, encode_batch, plan_segments

ACCOUNTS: Final = 8
DEPOSIT: Final = 10**15
FEE: Final = encode_fee8(10)
NO_EXPIRY: Final = (1 << TIMESTAMP_BITS) - 1


@dataclass(frozen=True)
class GasSample:
    """One batch that was submitted: what it held, its bytes of data and of calldata, and the gas of the transaction."""

    name: str
    segments: int
    transfers: int
    others: int
    data_bytes: int
    calldata_bytes: int
    gas: int


@dataclass(frozen=True)
class GasFit:
    """gas ≈ batch + segment·segments + transfer·transfers, for batches of transfers; least squares."""

    batch: float
    segment: float
    transfer: float
    largest_error: float

    def of(self, transfers: int, size: int) -> float:
        """Gas of a batch of transfers in full segments of `size` (the last one may be smaller)."""
        return self.batch + self.segment * -(-transfers // size) + self.transfer * transfers


@dataclass(frozen=True)
class CallGas:
    """Gas of another call, intrinsic gas and calldata included."""

    name: str
    gas: int


@dataclass(frozen=True)
class GasReport:
    """All samples, those of transfers only first, and the fit to these. size: transfers in a full segment.

    calls: what other calls take.
    """

    size: int
    samples: tuple[GasSample, ...]
    fit: GasFit
    calls: tuple[CallGas, ...] = ()

    @property
    def transfers_only(self) -> list[GasSample]:
        """The samples that the fit is made from."""
        return [sample for sample in self.samples if not sample.others]


class GasBench:
    """Submits batches to a rollup that nobody else uses."""

    def __init__(
        self,
        rollup: Rollup,
        signer: Signer,
        circuits: Circuits,
        prover: SegmentProver,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        """rollup: fresh, with `signer` as operator; circuits: those of its verifier; say: gets progress lines."""
        self._rollup = rollup
        self._signer = signer
        self._circuits = circuits
        self._prover = prover
        self._say = say
        self._manager = StateManager(State.genesis(circuits.levels), rollup.deployment.domain)
        # One more for the deposit at the end.
        self._keys = [PrivateKey.from_seed(number.to_bytes(32)) for number in range(1, ACCOUNTS + 2)]
        self._owner = int(signer.address, 16)

    def run(self) -> GasReport:
        """Measures batches of several shapes. Raises ChainError or ProofError when one cannot be submitted."""
        size = self._circuits.transfers.size
        others = [
            self._submit("1 deposit", self._deposits(1)),
            self._submit(f"{ACCOUNTS - 1} deposits", self._deposits(ACCOUNTS - 1)),
        ]
        half = self._circuits.operations.size
        # Withdrawals first: they open the storage slots that fees are credited to, as in any rollup that is in use.
        others.append(self._submit(f"{half} withdrawals", self._withdrawals(half)))
        others.append(
            self._submit(
                f"{half} withdrawals and {size} transfers", [*self._withdrawals(half), *self._transfers(size, half)]
            )
        )
        shapes = sorted({1, size // 2, size, 2 * size, 3 * size, 5 * size})
        transfers = [
            self._submit("1 transfer" if count == 1 else f"{count} transfers", self._transfers(count))
            for count in shapes
        ]
        return GasReport(size, (*transfers, *others), fit(transfers), self._end())

    def _end(self) -> tuple[CallGas, ...]:
        """The rollup is frozen and an account escapes; afterwards that has not happened."""
        rollup, dev = self._rollup, DevChain(self._rollup.chain)
        self._say("gas: freeze and escape")
        with dev.undone():
            self._deposits(1)
            dev.pass_time(rollup.deployment.freeze_deadline + 1)
            freeze = send(rollup.chain, self._signer, rollup.address, rollup.freeze_call())
            state = self._manager.state
            account = state.account(1)
            assert account is not None
            call = rollup.escape_call(1, account, state.path(1))
            escape = send(rollup.chain, self._signer, rollup.address, call)
        return CallGas("freeze", freeze.gas_used), CallGas("escape of an account", escape.gas_used)

    def _deposits(self, count: int) -> list[Item]:
        items: list[Item] = []
        for _ in range(count):
            key = self._keys[self._rollup.view("queueTail")].public_key
            call = self._rollup.deposit_call(0, DEPOSIT, self._signer.address, 0, key)
            send(self._rollup.chain, self._signer, self._rollup.address, call, value=DEPOSIT)
            items.append(Operation.deposit(0, DEPOSIT, self._owner, key))
        return items

    def _transfers(self, count: int, skip: int = 0) -> list[Item]:
        """Transfers by accounts in turn, from the `skip`-th on; `skip` operations before them count for nonces."""
        return [
            self._sign(Operation.transfer(1 + n % ACCOUNTS, 1 + (n + 1) % ACCOUNTS, 0, 1000 + n, FEE), n, skip)
            for n in range(skip, skip + count)
        ]

    def _withdrawals(self, count: int) -> list[Item]:
        return [
            self._sign(Operation.withdrawal(1 + n % ACCOUNTS, 0, 10**6 + n, self._owner, FEE), n, 0)
            for n in range(count)
        ]

    def _sign(self, operation: Operation, number: int, skip: int) -> SignedOperation:
        account = self._manager.state.account(operation.account)
        assert account is not None
        nonce = account.nonce + number // ACCOUNTS
        recipient = (self._owner, self._keys[operation.to - 1].public_key) if operation.to else ()
        key = self._keys[operation.account - 1]
        return sign_operation(key, self._manager.domain, operation, nonce, NO_EXPIRY, *recipient)

    def _submit(self, name: str, items: list[Item]) -> GasSample:
        chain = self._rollup.chain
        timestamp = max(chain.head().timestamp, self._manager.timestamp)
        batch = self._manager.submit_batch(items, timestamp)
        segments = plan_segments(batch.steps, self._circuits, self._manager.domain, timestamp)
        self._say(f"gas: {name}, proving {len(segments)} segment(s)")
        proofs: list[ProofPoints] = []
        self._prover(segments, lambda _, points: proofs.append(points))
        data = encode_batch(segments)
        call = self._rollup.submit_call(batch.state_root, self._rollup.view("tipHash"), data, proofs)
        receipt = send(chain, self._signer, self._rollup.address, call)
        plain = sum(len(s.steps) for s in segments if s.params.kind == "transfers")
        return GasSample(name, len(segments), plain, len(items) - plain, len(data), len(call), receipt.gas_used)


def fit(samples: Sequence[GasSample]) -> GasFit:
    """Least squares over batches of transfers only; they must differ in segments and in transfers a segment."""
    matrix = np.array([[1, sample.segments, sample.transfers] for sample in samples], dtype=float)
    gas = np.array([sample.gas for sample in samples], dtype=float)
    solution, *_ = np.linalg.lstsq(matrix, gas, rcond=None)
    errors = np.abs(matrix @ solution - gas) / gas
    batch, segment, transfer = (float(value) for value in solution)
    return GasFit(batch, segment, transfer, float(errors.max()))


def draw(report: GasReport, path: Path) -> None:
    """Saves a picture of gas per transfer by batch size: measured batches as points, the fit as a line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    measured = report.transfers_only
    counts = range(1, 1025)  # each: the line jumps wherever a segment begins
    axes.plot(counts, [report.fit.of(n, report.size) / n for n in counts], color="0.6", label="fitted")
    axes.scatter(
        [s.transfers for s in measured], [s.gas / s.transfers for s in measured], color="C0", zorder=3, label="measured"
    )
    for sample in measured:
        axes.annotate(
            f"{sample.gas / sample.transfers:,.0f}",
            (sample.transfers, sample.gas / sample.transfers),
            textcoords="offset points",
            xytext=(6, 6),
        )
    axes.axhline(21_000, color="C3", linestyle="--", linewidth=1, label="plain ETH transfer on L1 (21,000)")
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="transfers in the batch",
        ylabel="gas per transfer, everything included",
        title=f"submitBatch, {report.size} transfers a segment",
    )
    axes.grid(True, which="both", alpha=0.2)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
