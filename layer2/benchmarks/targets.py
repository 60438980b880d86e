"""What the measurements have to reach. May import the records of `layer2.benchmarks`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from layer2.benchmarks.report import Report

CONSTRAINTS: Final = {12: 21_500, 16: 26_500}
"""Most constraints of a transfer, by levels of the tree."""
TRANSFER_BYTES: Final = 12
SPEEDUP: Final = 2
"""Least core-seconds of snarkjs for one of the native prover."""
LEDGER: Final = 400
SEQUENCER: Final = 5000
VOUCHERS: Final = 2000
"""Least of these a second of one core."""
FRAUD_PROOF: Final = 2_500_000
BLOB_BATCH: Final = 90_000
"""Most gas, the latter for 1,000 transfers."""


@dataclass(frozen=True)
class Target:
    """A figure and what it must not exceed (`at_most`) or fall below."""

    what: str
    measured: float
    bound: float
    at_most: bool = True

    @property
    def is_reached(self) -> bool:
        """Whether it is."""
        return self.measured <= self.bound if self.at_most else self.measured >= self.bound


def targets(report: Report) -> tuple[Target, ...]:
    """All of them, with what was measured."""
    proofs = [gas for proof in report.optimistic.proofs for gas in (proof.calldata, proof.blob)]
    (blob,) = (b for b in report.optimistic.batches if b.mode == "blob" and b.transfers == 1000)
    return (
        *(
            Target(f"constraints of a transfer, {c.levels} levels", c.constraints, CONSTRAINTS[c.levels])
            for c in report.constraints
        ),
        Target("bytes of a transfer in the ZK rollup", report.bytes_per_transfer, TRANSFER_BYTES),
        Target(
            "core-seconds of snarkjs for one of the native prover",
            min(p.speedup for p in report.provers),
            SPEEDUP,
            False,
        ),
        Target("signed transfers a second, ZK ledger", report.ledger_transfers_per_second, LEDGER, False),
        Target("signed transfers a second, sequencer", report.sequencer.median, SEQUENCER, False),
        Target("vouchers a second, payee", report.vouchers.per_core, VOUCHERS, False),
        Target("gas of the dearest fraud proof", max(proofs), FRAUD_PROOF),
        Target("gas of a batch of 1,000 transfers in a blob", blob.gas, BLOB_BATCH),
        *(
            Target(f"gas of x402's {a.name}", a.alike, a.x402)
            for a in report.channels
            if a.x402 is not None and a.alike
        ),
    )
