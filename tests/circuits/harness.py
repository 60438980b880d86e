"""Compiled circuits for the tests: honest witnesses, and witnesses made with every check of the generator switched off.

A test of a circuit must not trust the witness generator: a cheating prover writes the wires as they like. So a
circuit here has a second generator in which a failed `===` only goes on, and the constraints alone judge what comes
out.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from layer2.toolchain import PROJECT
from layer2.zk.circom import CIRCUITS, compile_circuit
from layer2.zk.params import CircuitParams
from layer2.zk.r1cs import R1cs, WitnessProbe, read_r1cs, read_symbols, read_witness
from layer2.zk.witness import WitnessCalculator, WitnessError

SOURCES = Path(os.environ.get("CIRCUITS_UNDER_TEST", CIRCUITS))
"""The folder circuits/ that is tested; mutate.py gives another one."""
CACHE = PROJECT / "build" / "circuits-test" if SOURCES == CIRCUITS else SOURCES.parent / "build"

_FAILED_CHECK = re.compile(rb"(\x10[\x00-\x0f])\x41\x04\x0f\x0b", re.DOTALL)
"""call printErrorMessage; i32.const 4; return; end: what circom compiles a failed `===` to."""


def without_checks(wasm: bytes) -> bytes:
    """The witness generator with `i32.const 4; return` after a failed check replaced by no-operations."""
    patched, count = _FAILED_CHECK.subn(lambda match: match[1] + b"\x01\x01\x01\x0b", wasm)
    assert count, "no check found: circom's code generation has changed"
    return patched


@dataclass(frozen=True)
class Circuit:
    """One compiled main component."""

    folder: Path

    @cached_property
    def r1cs(self) -> R1cs:
        return read_r1cs(self.folder / "circuit.r1cs")

    @cached_property
    def symbols(self) -> dict[str, int]:
        return read_symbols(self.folder / "circuit.sym")

    @cached_property
    def names(self) -> dict[int, list[str]]:
        """The names of each wire: connected signals share one."""
        names: dict[int, list[str]] = {}
        for name, wire in self.symbols.items():
            names.setdefault(wire, []).append(name)
        return names

    @cached_property
    def _checked(self) -> WitnessCalculator:
        return WitnessCalculator(self.folder / "circuit.wasm", CACHE / "wasm")

    @cached_property
    def _unchecked(self) -> WitnessCalculator:
        path = self.folder / "unchecked.wasm"
        if not path.exists():
            path.write_bytes(without_checks((self.folder / "circuit.wasm").read_bytes()))
        return WitnessCalculator(path, CACHE / "wasm")

    def witness(self, inputs: dict[str, Any]) -> list[int]:
        """The witness of valid inputs; asserts that it satisfies every constraint."""
        witness = read_witness(self._checked.calculate(inputs))
        assert not self.r1cs.violated(witness)
        return witness

    def accepts(self, inputs: dict[str, Any]) -> bool:
        """Whether the witness made without checks satisfies; the generator with its checks must say the same."""
        return not self._agreed_violations(inputs)

    def refuses(self, inputs: dict[str, Any], *rules: str) -> bool:
        """Whether inputs are refused, by the generator and by the constraints, for nothing but the given rules.

        Every constraint that is violated must have a wire whose name contains one of them, and each must be found.
        """
        violations = self._agreed_violations(inputs)
        if not violations:
            return False
        blamed = [{rule for rule in rules if any(rule in name for name in names)} for names in violations]
        assert all(blamed), f"violated for another reason: {[sorted(v)[:8] for v in violations]}"
        assert set().union(*blamed) == set(rules), f"not violated: {set(rules) - set().union(*blamed)}"
        return True

    def _agreed_violations(self, inputs: dict[str, Any]) -> list[frozenset[str]]:
        """`violations`; the generator with its checks must refuse the inputs if and only if there are any."""
        violations = self.violations(inputs)
        try:
            self._checked.calculate(inputs)
        except WitnessError:
            assert violations, "the generator refuses inputs that the constraints accept"
        else:
            assert not violations, f"the generator lets pass what the constraints refuse: {violations}"
        return violations

    def violations(self, inputs: dict[str, Any]) -> list[frozenset[str]]:
        """For each constraint that the witness made without checks violates, the names of its wires."""
        witness = read_witness(self._unchecked.calculate(inputs))
        return [
            frozenset(name for wire in self.r1cs.constraints[number].wires() for name in self.names[wire])
            for number in self.r1cs.violated(witness)
        ]

    def probe(self, inputs: dict[str, Any]) -> WitnessProbe:
        return WitnessProbe(self.r1cs, self.witness(inputs))


@cache
def main_circuit(source: str) -> Circuit:
    """The circuit of a main file's source."""
    return Circuit(compile_circuit(source, CACHE, circuits=SOURCES).folder)


def segment_circuit(params: CircuitParams) -> Circuit:
    return main_circuit(params.main_source)


def template_circuit(file: str, instance: str, public: str = "") -> Circuit:
    """A template of circuits/lib/ on its own, e.g. ("amounts", "Float40()")."""
    clause = f" {{public [{public}]}}" if public else ""
    return main_circuit(
        f'pragma circom 2.2.3;\ninclude "circuits/lib/{file}.circom";\ncomponent main{clause} = {instance};\n'
    )
