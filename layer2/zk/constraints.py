"""Constraints of every template, for docs/circuits.md: `python -m layer2.zk.constraints` compiles and prints the table.

Compiled with --O2 as the circuits are. May import of this package build, circom, params and r1cs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from layer2.zk.build import BUILD
from layer2.zk.circom import compile_circuit
from layer2.zk.params import DEFAULT_OPERATIONS, DEFAULT_TRANSFERS, CircuitParams
from layer2.zk.r1cs import constraint_count

DOMAIN_SIZE = 1 << 17
"""Evaluation domain that each default circuit must fit."""

LIBRARY = (
    ("tree", "ChildPosition()"),
    ("tree", "TreeLevel()"),
    ("tree", "LeafUpdate(12)"),
    ("amounts", "Float40()"),
    ("amounts", "Fee8()"),
    ("account", "AccountLeaf()"),
    ("account", "Range(128)"),
    ("account", "NonceRange()"),
    ("signature", "CurveDefect()"),
    ("signature", "Signature()"),
    ("message", "OperationMessage()"),
    ("fees", "FeeSlot(4)"),
    ("binding", "DataDigest(11)"),
    ("binding", "Evaluation(11)"),
    ("transfer", "Transfer(12, 4)"),
    ("operation", "Operation(12, 4)"),
)
"""Files of circuits/lib/ and the instances that are measured."""


MEASURED_TRANSFERS = ((12, (2, 6)), (16, (1, 2)))
"""Levels, and how many transfers the two circuits hold whose difference says what one more costs."""


@dataclass(frozen=True)
class TemplateCount:
    """Constraints of one instance of a template; `file` is below circuits/."""

    file: str
    instance: str
    constraints: int


def count(main_source: str, *, wasm: bool = False) -> int:
    """Constraints of a main component. With `wasm` the result is shared with `make circuits`."""
    return constraint_count(compile_circuit(main_source, BUILD / "by-hash", wasm=wasm).r1cs)


def segment_constraints(params: CircuitParams) -> int:
    """Constraints of a whole segment circuit."""
    return count(params.main_source, wasm=True)


def domain_needed(params: CircuitParams) -> int:
    """Constraints that count for the size of the evaluation domain: Groth16 adds one for each public input and for the
    constant; 4 are kept as a reserve."""
    return segment_constraints(params) + 3 + 4


def transfer_constraints(levels: int, sizes: tuple[int, int]) -> float:
    """What one more transfer costs, all in: the difference of two circuits that hold `sizes` transfers."""
    small, large = (_transfers(levels, size) for size in sizes)
    return (large - small) / (sizes[1] - sizes[0])


def _transfers(levels: int, size: int) -> int:
    params = CircuitParams("transfers", levels, size, DEFAULT_TRANSFERS.tokens)
    # `make circuits` has compiled the default circuit already, in the form that has a witness generator.
    return count(params.main_source, wasm=params == DEFAULT_TRANSFERS)


def template_table() -> Iterable[TemplateCount]:
    """Every template of circuits/lib/ on its own, then the two default circuits."""
    for file, instance in LIBRARY:
        source = f'pragma circom 2.2.3;\ninclude "circuits/lib/{file}.circom";\ncomponent main = {instance};\n'
        yield TemplateCount(f"lib/{file}.circom", instance, count(source))
    for params in (DEFAULT_TRANSFERS, DEFAULT_OPERATIONS):
        instance = f"{params.kind.capitalize()}({params.levels}, {params.size}, {params.tokens})"
        yield TemplateCount(f"{params.kind}.circom", instance, segment_constraints(params))


def markdown(counts: Iterable[TemplateCount]) -> str:
    """The counts as a Markdown table."""
    rows = [f"| `{entry.instance}` | `{entry.file}` | {entry.constraints:,} |" for entry in counts]
    return "\n".join(["| template | file | constraints |", "|---|---|---|", *rows])


if __name__ == "__main__":
    print(markdown(template_table()))
    for levels, sizes in MEASURED_TRANSFERS:
        print(f"\nOne more transfer at {levels} levels: {transfer_constraints(levels, sizes):,.0f} constraints")
