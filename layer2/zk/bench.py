"""Measures provers: each circuit, one full segment, the same key and witness for every backend.

May import `layer2.crypto`, `layer2.ledger` and this package.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from layer2.crypto.eddsa import PrivateKey
from layer2.ledger.account import Account
from layer2.ledger.amounts import encode_fee8
from layer2.ledger.operations import Operation, SignedOperation, sign_operation
from layer2.ledger.state import State
from layer2.ledger.transition import Context, Step, apply
from layer2.toolchain import find_program
from layer2.zk.build import BUILD, Artifacts
from layer2.zk.inputs import circuit_inputs
from layer2.zk.params import DEFAULT_OPERATIONS, DEFAULT_TRANSFERS, CircuitParams
from layer2.zk.prover import ProofError, ZKProver
from layer2.zk.r1cs import constraint_count
from layer2.zk.segments import Segment
from layer2.zk.witness import WitnessCalculator

_ACCOUNTS: Final = 3
_DOMAIN: Final = 31337
_TIMESTAMP: Final = 1_700_000_000
_NATIVE: Final = """
import sys, groth16py
key, _ = groth16py.import_zkey(sys.argv[1])
groth16py.prove_wtns(key, sys.argv[2])
"""


@dataclass(frozen=True)
class ProverRun:
    """One proof by one backend, in a process of its own that starts from files.

    core_seconds: user and system CPU time. wall_seconds: elapsed.
    """

    backend: str
    core_seconds: float
    wall_seconds: float


@dataclass(frozen=True)
class CircuitBench:
    """A circuit's measurements.

    operations: in the segment. witness_seconds: from the segment to the .wtns bytes. prove_seconds: elapsed for
    generate_proof with the keys already loaded, witness and check of the proof included, on one core.
    """

    circuit: str
    operations: int
    constraints: int
    witness_seconds: float
    prove_seconds: float
    native: ProverRun
    snarkjs: ProverRun

    @property
    def speedup(self) -> float:
        """How many times fewer core-seconds the native prover needs than snarkjs."""
        return self.snarkjs.core_seconds / self.native.core_seconds


def bench_provers(
    circuits: Sequence[CircuitParams] = (DEFAULT_TRANSFERS, DEFAULT_OPERATIONS), build_dir: Path = BUILD
) -> list[CircuitBench]:
    """Measures every circuit in turn. Raises BuildError if one is not built, ProofError if a prover fails."""
    return [bench_circuit(circuit, build_dir) for circuit in circuits]


def bench_circuit(circuit: CircuitParams, build_dir: Path = BUILD) -> CircuitBench:
    """Measures one circuit; see bench_provers."""
    files = Artifacts.of(circuit, build_dir)
    segment = sample_segment(circuit)
    prover = ZKProver.load(circuit, build_dir, "native")
    calculator = WitnessCalculator(files.wasm)
    started = time.perf_counter()
    witness = calculator.calculate(circuit_inputs(segment))
    witness_seconds = time.perf_counter() - started
    started = time.perf_counter()
    prover.generate_proof(segment)
    prove_seconds = time.perf_counter() - started
    with tempfile.TemporaryDirectory(prefix="layer2-bench-") as folder:
        path = Path(folder) / "witness.wtns"
        path.write_bytes(witness)
        native = [sys.executable, "-c", _NATIVE, str(files.zkey), str(path)]
        outputs = [str(Path(folder) / name) for name in ("proof.json", "public.json")]
        snarkjs = [str(find_program("snarkjs")), "groth16", "prove", str(files.zkey), str(path), *outputs]
        return CircuitBench(
            circuit.name,
            len(segment.steps),
            constraint_count(files.r1cs),
            witness_seconds,
            prove_seconds,
            _measure("native", native),
            _measure("snarkjs", snarkjs),
        )


def sample_segment(circuit: CircuitParams) -> Segment:
    """A full segment of valid operations with fees, of every kind that the circuit and its tree have room for."""
    keys = [PrivateKey.from_seed(bytes([number]) * 32) for number in range(1, _ACCOUNTS + 1)]
    accounts = [Account(index, key.public_key, 0, 0, 10**18) for index, key in enumerate(keys, 1)]
    state = State.from_accounts(circuit.levels, accounts)
    steps: list[Step] = []
    for number in range(circuit.size):
        item = _transfer(state, keys) if circuit.kind == "transfers" else _operation(state, keys, number)
        step = apply(state, item, Context(_DOMAIN, _TIMESTAMP))
        steps.append(step)
        state = step.state_after
    return Segment(circuit, tuple(steps), _DOMAIN, _TIMESTAMP)


def _operation(state: State, keys: list[PrivateKey], number: int) -> SignedOperation | Operation:
    """Kinds take turns; those that make accounts become transfers once the tree is full."""
    fee, owner, key = encode_fee8(10), 1, keys[0]
    new = PrivateKey.from_seed(number.to_bytes(32, "big"))
    kind = number % 5
    if kind == 0 and not state.is_full:
        return Operation.deposit(0, 10**6, 7, new.public_key)
    if kind == 2 and not state.is_full:
        return _sign(state, key, Operation.transfer_to_new(1, 0, 1000, 9, new.public_key, fee))
    if kind == 3:
        return _sign(state, key, Operation.withdrawal(1, 0, 12345, owner, fee))
    if kind == 4:
        return _sign(state, key, Operation.key_change(1, 0, key.public_key, fee))
    return _transfer(state, keys)


def _transfer(state: State, keys: list[PrivateKey]) -> SignedOperation:
    """From the account whose turn it is by nonces, to the next."""
    senders = islice(state.accounts(), _ACCOUNTS)
    sender, _ = min(senders, key=lambda entry: entry[1].nonce)
    to = 1 + sender % _ACCOUNTS
    operation = Operation.transfer(sender, to, 0, 1000, encode_fee8(10))
    return _sign(state, keys[sender - 1], operation)


def _sign(state: State, key: PrivateKey, operation: Operation) -> SignedOperation:
    account = state.account(operation.account)
    nonce = account.nonce if account else 0
    payee = state.account(operation.to)
    recipient = (payee.owner, payee.key) if payee else ()
    return sign_operation(key, _DOMAIN, operation, nonce, _TIMESTAMP, *recipient)


def _measure(backend: str, command: list[str]) -> ProverRun:
    """Runs a prover to its end. Raises ProofError if it fails."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    wall = time.perf_counter() - started
    if process.returncode != 0:
        raise ProofError(f"the {backend} prover failed with exit code {process.returncode}: {text}")
    return ProverRun(backend, usage.ru_utime + usage.ru_stime, wall)
