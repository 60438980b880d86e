"""Runs all measurements and writes docs/benchmarks.json, docs/benchmarks.md and docs/gas-per-transfer.png."""

import json
import os
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from layer2.benchmarks.channels import ActionGas
from layer2.benchmarks.gas import CallGas, GasReport, draw
from layer2.benchmarks.optimistic import OptimisticReport
from layer2.benchmarks.sequencer import ACCOUNTS, TOGETHER, SequencerSpeed, sequencer_speed
from layer2.benchmarks.targets import targets
from layer2.channels import bench as payee
from layer2.channels import bench_http as paid
from layer2.ledger import bench as ledger
from layer2.toolchain import PROJECT
from layer2.zk.bench import CircuitBench, bench_provers
from layer2.zk.constraints import MEASURED_TRANSFERS, transfer_constraints
from layer2.zk.params import DEFAULT_TRANSFERS

DOCS: Final = PROJECT / "docs"
LEDGER_TRANSFERS: Final = 2000
SEQUENCER_TRANSFERS: Final = 10_000
VOUCHERS: Final = 20_000
HTTP_PAYMENTS: Final = 400

HERMEZ: Final = 54_400
LOOPRING: Final = 155_000
"""Constraints of a transfer in those projects' circuits, the hashing of its data included."""


@dataclass(frozen=True)
class TransferConstraints:
    """What one more transfer adds to the circuit `Transfers`, for a tree of 4^levels accounts."""

    levels: int
    constraints: float


@dataclass(frozen=True)
class Report:
    """Everything that is measured."""

    constraints: tuple[TransferConstraints, ...]
    bytes_per_transfer: int
    gas: GasReport
    provers: tuple[CircuitBench, ...]
    ledger_transfers_per_second: float
    sequencer: SequencerSpeed
    optimistic: OptimisticReport
    channels: tuple[ActionGas, ...]
    vouchers: payee.VoucherSpeed
    http: paid.HttpSpeed


def measure(
    gas: Callable[[], GasReport],
    optimistic: Callable[[], OptimisticReport],
    channels: Callable[[], tuple[ActionGas, ...]],
    say: Callable[[str], None] = lambda line: None,
) -> Report:
    """Runs everything; `gas`, `optimistic` and `channels` use a chain. Takes minutes. Raises what the parts raise."""
    say("constraints of a transfer at 12 and 16 levels: compiling")
    constraints = tuple(
        TransferConstraints(levels, transfer_constraints(levels, sizes)) for levels, sizes in MEASURED_TRANSFERS
    )
    say(f"ledger: {LEDGER_TRANSFERS} signed transfers")
    ledger_speed = ledger.transfers_per_second(LEDGER_TRANSFERS)
    say(f"sequencer: {SEQUENCER_TRANSFERS} signed transfers")
    sequencer = sequencer_speed(SEQUENCER_TRANSFERS)
    say(f"payee: {VOUCHERS} vouchers")
    vouchers = payee.vouchers_per_second(VOUCHERS)
    say(f"paid service: {HTTP_PAYMENTS} payments over HTTP")
    http = paid.payments_per_second(HTTP_PAYMENTS)
    say("provers: the same proofs by the native prover and by snarkjs")
    provers = tuple(bench_provers())
    size = DEFAULT_TRANSFERS.operation_bytes
    return Report(constraints, size, gas(), provers, ledger_speed, sequencer, optimistic(), channels(), vouchers, http)


def write(report: Report, folder: Path = DOCS) -> list[Path]:
    """Writes the three files and returns their paths."""
    picture = folder / "gas-per-transfer.png"
    draw(report.gas, picture)
    data = folder / "benchmarks.json"
    data.write_text(json.dumps({"machine": _machine(), **asdict(report)}, indent=2) + "\n")
    table = folder / "benchmarks.md"
    table.write_text(markdown(report, picture.name))
    return [data, table, picture]


def markdown(report: Report, picture: str) -> str:
    """The report as a page of tables."""
    fit = report.gas.fit
    size = report.gas.size
    return "\n".join(
        [
            "# Benchmarks",
            "",
            "Made by `make bench`; numbers are in [benchmarks.json](benchmarks.json). Gas, bytes and constraints are "
            "the same on every machine; "
            f"seconds are of this one: {_machine()}.",
            "",
            "## Targets",
            "",
            *_table(
                ("", "measured", "target", ""),
                [
                    (
                        target.what,
                        f"{target.measured:,.1f}" if target.measured < 10 else f"{target.measured:,.0f}",
                        f"{'at most' if target.at_most else 'at least'} {target.bound:,}",
                        "reached" if target.is_reached else "**missed**",
                    )
                    for target in targets(report)
                ],
            ),
            "",
            "## A transfer",
            "",
            *_table(
                ("", "constraints", "accounts"),
                [
                    *(
                        (f"this project, {c.levels} levels", f"{c.constraints:,.0f}", f"4^{c.levels}")
                        for c in report.constraints
                    ),
                    ("Hermez", f"{HERMEZ:,}", "2^32"),
                    ("Loopring", f"{LOOPRING:,}", "2^32"),
                ],
            ),
            "",
            f"Bytes of data on L1: **{report.bytes_per_transfer}**.",
            "",
            "## Gas of submitBatch",
            "",
            "Real batches, real proofs, `gasUsed` of the transaction's receipt: intrinsic gas and calldata included.",
            "",
            *_table(
                (
                    "batch",
                    "segments",
                    "transfers",
                    "others",
                    "data bytes",
                    "calldata bytes",
                    "gas",
                    "gas per operation",
                ),
                [
                    (
                        s.name,
                        str(s.segments),
                        str(s.transfers),
                        str(s.others),
                        f"{s.data_bytes:,}",
                        f"{s.calldata_bytes:,}",
                        f"{s.gas:,}",
                        f"{s.gas / (s.transfers + s.others):,.0f}",
                    )
                    for s in report.gas.samples
                ],
            ),
            "",
            f"Fitted to the batches of transfers: **{fit.batch:,.0f}** a batch + **{fit.segment:,.0f}** a segment + "
            f"**{fit.transfer:,.0f}** a transfer (largest error {fit.largest_error:.2%}).",
            "",
            f"A segment holds {size} transfers with the default circuits, which a laptop proves in seconds. The number "
            "is a parameter of the circuit, and the cost of a segment does not depend on it:",
            "",
            *_table(
                ("transfers in the batch", *(f"{n} a segment" for n in (size, 48, 384))),
                [
                    (f"{count:,}", *(f"{fit.of(count, n) / count:,.0f}" for n in (size, 48, 384)))
                    for count in (size, 100, 1000)
                ],
            ),
            "",
            f"Gas per transfer by the fit; only the column of {size} is made of circuits that are built here. "
            "One transaction is limited to 16.7M gas (EIP-7825).",
            "",
            f"![Gas per transfer by batch size]({picture})",
            "",
            *_calls(report.gas.calls),
            "",
            "## Provers",
            "",
            "The same key and witness, one full segment, each prover in a process of its own. Core-seconds are user "
            "and system time.",
            "",
            *_table(
                (
                    "circuit",
                    "constraints",
                    "native core-s",
                    "snarkjs core-s",
                    "ratio",
                    "s per operation",
                ),
                [
                    (
                        p.circuit,
                        f"{p.constraints:,}",
                        f"{p.native.core_seconds:.1f}",
                        f"{p.snarkjs.core_seconds:.1f}",
                        f"{p.speedup:.1f}×",
                        f"{p.prove_seconds / p.operations:.2f}",
                    )
                    for p in report.provers
                ],
            ),
            "",
            "## Ledger",
            "",
            "Signed transfers through validation and application on one core, signature check and both tree paths "
            f"included: **{report.ledger_transfers_per_second:,.0f}** a second.",
            "",
            "## Sequencer",
            "",
            f"Signed transfers of {ACCOUNTS:,} senders through the sequencer of the optimistic rollup, by the call "
            f"that takes them (`Sequencer.submit_many`, {TOGETHER} at a time): canonical encoding, whether it is known "
            "already, fee, expiry, all rules, recovery of the signer, its place in a batch, a state root after every "
            "chunk of 16, and storing it in a file before the receipt is given. Not included: HTTP, and waiting for "
            "the disk. Per second of one core's time, the system's included: "
            f"**{report.sequencer.median:,.0f}**, the median of {report.sequencer.runs} runs of "
            f"{report.sequencer.transfers:,} transfers; the best is {report.sequencer.best:,.0f}.",
            "",
            *_optimistic(report.optimistic),
            "",
            *_channels(report.channels, report.vouchers, report.http),
            "",
        ]
    )


def _optimistic(report: OptimisticReport) -> list[str]:
    return [
        "## The optimistic rollup: submitBatch",
        "",
        "Signed transfers between accounts that exist, gas of the transaction. A blob has one size and one price, in "
        "blob gas, however full it is.",
        "",
        *_table(
            ("data in", "transfers", "chunks", "bytes", "bytes a transfer", "gas", "gas a transfer", "blob gas"),
            [
                (
                    f"{b.mode}",
                    f"{b.transfers:,}",
                    str(b.chunks),
                    f"{b.data_bytes:,}",
                    f"{b.data_bytes / b.transfers:,.1f}",
                    f"{b.gas:,}",
                    f"{b.gas / b.transfers:,.1f}",
                    f"{b.blob_gas:,}",
                )
                for b in report.batches
            ],
        ),
        "",
        "## The optimistic rollup: fraud proofs",
        "",
        "`submitFraudProof` against the last of 64 chunks, full of valid operations of one kind, in a tree of 24 "
        "levels that is so full that no sibling on any path is empty. The queue's entries are forced withdrawals of "
        "shares of pools. Without zero bytes in balances and fees the dearest proof takes 3 % more, with each further "
        "level 40,000 to 80,000 gas more.",
        "",
        *_table(
            ("kind", "operations", "bytes of witness", "gas, calldata", "gas, blob"),
            [
                (p.kind, str(p.operations), f"{p.witness_bytes:,}", f"{p.calldata:,}", f"{p.blob:,}")
                for p in report.proofs
            ],
        ),
        "",
        *_calls(report.calls),
    ]


def _channels(actions: Iterable[ActionGas], vouchers: payee.VoucherSpeed, http: paid.HttpSpeed) -> list[str]:
    def number(gas: int | None) -> str:
        return "" if gas is None else f"{gas:,}"

    return [
        "## Channels",
        "",
        "x402 publishes the gas of one call inside of a transaction that has touched the same storage before: no "
        "intrinsic gas, no calldata. The next column is measured in the same way. Transactions are what users pay.",
        "",
        *_table(
            ("action", "x402 (published)", "measured alike", "transaction"),
            [(a.name, number(a.x402), number(a.alike), number(a.whole)) for a in actions],
        ),
        "",
        "A payee checks a voucher whole (reading, rules, digest, signature) and stores it before it answers. The paid "
        f"service and {paid.BUYERS} buyers at once, each with a channel, are processes of their own on this machine, "
        "beside the node; requests are real ones over loopback. A purchase by `fetch` is one of them, over a kept "
        "connection, once the client knows the terms; each is signed, and stored before and after.",
        "",
        *_table(
            ("vouchers", "a second"),
            [
                ("checked and stored, of one core's time", f"**{vouchers.per_core:,.0f}**"),
                (
                    f"by the clock, {payee.TOGETHER} that came together share a write to the disk",
                    f"{vouchers.together:,.0f}",
                ),
                ("by the clock, each with its own write", f"{vouchers.alone:,.0f}"),
                (
                    "signed before, one in each request over open connections, of one core's time of the service",
                    f"{http.checks:,.0f}",
                ),
                ("by `fetch`, of one core's time of the service", f"{http.per_service_core:,.0f}"),
                ("by `fetch`, of one core's time of the buyers", f"{http.per_buyer_core:,.0f}"),
                ("by `fetch`, by the clock", f"{http.by_clock:,.0f}"),
            ],
        ),
    ]


def _calls(calls: Iterable[CallGas]) -> list[str]:
    return _table(("other calls", "gas"), [(call.name, f"{call.gas:,}") for call in calls])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" + "--:|" * (len(head) - 1),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def _machine() -> str:
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
