"""Parameters of a segment circuit (docs/protocol.md §5). May import nothing of this package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

CircuitKind = Literal["transfers", "operations"]

SPONGE_RATE = 11
"""Elements of the data vector that one Poseidon₁₂ call of the digest absorbs (§5.2)."""

MAX_TOKENS = 64
"""Most fee slots that the contract takes."""


@dataclass(frozen=True)
class CircuitParams:
    """Names one circuit: which template, and its sizes.

    kind: "transfers" (plain transfers, 12 bytes each by default) or "operations" (any kinds, 112 bytes each).
    levels: of the arity-4 state tree, 1 … 16. size: operations a segment holds (n or m). tokens: fee slots.
    Raises ValueError for sizes that the templates or the contract do not accept.
    """

    kind: CircuitKind
    levels: int
    size: int
    tokens: int

    def __post_init__(self) -> None:
        if self.kind not in ("transfers", "operations"):
            raise ValueError(f"circuit kind {self.kind!r} is unknown: use 'transfers' or 'operations'")
        if not 1 <= self.levels <= 16:
            raise ValueError(f"{self.levels} tree levels: use 1 to 16")
        if self.size < 1:
            raise ValueError(f"size {self.size}: a segment holds at least 1 operation")
        if not 1 <= self.tokens <= MAX_TOKENS:
            raise ValueError(f"{self.tokens} fee slots: use 1 to {MAX_TOKENS}")

    @property
    def name(self) -> str:
        """The circuit's name in files and messages, e.g. "transfers-12-6-4"."""
        return f"{self.kind}-{self.levels}-{self.size}-{self.tokens}"

    @property
    def index_bytes(self) -> int:
        """Bytes of an account index in compact transfers: w = ceil(2·levels / 8) (§5)."""
        return (2 * self.levels + 7) // 8

    @property
    def operation_bytes(self) -> int:
        """Bytes of one operation in the segment's data (§5.3)."""
        return 2 * self.index_bytes + 6 if self.kind == "transfers" else 112

    @property
    def data_length(self) -> int:
        """Number of elements of the padded data vector (§5.1)."""
        elements = (self.size + 1) // 2 if self.kind == "transfers" else 4 * self.size
        return 4 + self.tokens + elements

    @property
    def main_source(self) -> str:
        """Circom source of the main component; includes resolve from the project root and from node_modules."""
        template = self.kind.capitalize()
        return (
            "pragma circom 2.2.3;\n"
            f'include "circuits/{self.kind}.circom";\n'
            f"component main {{public [z, D, y]}} = {template}({self.levels}, {self.size}, {self.tokens});\n"
        )


DEFAULT_TRANSFERS = CircuitParams("transfers", 12, 6, 4)
DEFAULT_OPERATIONS = CircuitParams("operations", 12, 5, 4)
TEST_TRANSFERS = CircuitParams("transfers", 4, 2, 2)
TEST_OPERATIONS = CircuitParams("operations", 4, 2, 2)
