"""Verifying keys of a rollup's two circuits, as the contract `BatchVerifier` takes them.

May import `layer2.zk.params` and `layer2.zk.batch` only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from layer2.zk.batch import Circuits
from layer2.zk.params import CircuitParams

G1 = tuple[int, int]
"""An affine point (x, y)."""
G2 = tuple[tuple[int, int], tuple[int, int]]
"""An affine point (x, y), each coordinate with the imaginary part first, as in the EVM."""

DEVELOPMENT_ALPHA: Final[G1] = (
    10333053076039789584725523213666920792915935954404996030208195606781644666411,
    12952344261875896768711879338938002707227317150503912857057778561293876868640,
)
"""α of every key that circuits/tools/dev_setup.mjs makes; its secret is public."""


class KeyFileError(ValueError):
    """A verifying key that cannot be read or used; the message names the file and the remedy."""


@dataclass(frozen=True)
class CircuitKey:
    """The part of a Groth16 verifying key that belongs to one circuit: δ and the points IC₀ … IC₃."""

    delta: G2
    ic: tuple[G1, G1, G1, G1]


@dataclass(frozen=True)
class VerifyingKeys:
    """The keys of both circuits, which share α, β and γ (docs/protocol.md §6.3)."""

    circuits: Circuits
    alpha: G1
    beta: G2
    gamma: G2
    transfers: CircuitKey
    operations: CircuitKey

    @property
    def is_development(self) -> bool:
        """Whether anybody can forge proofs: α is the public development α, or a circuit's δ has no contribution yet."""
        return self.alpha == DEVELOPMENT_ALPHA or self.gamma in (self.transfers.delta, self.operations.delta)

    @property
    def constructor_arguments(self) -> tuple[Any, ...]:
        """`key` and `sizes` for the constructor of `BatchVerifier`."""
        parts = [(circuit.delta, circuit.ic) for circuit in (self.transfers, self.operations)]
        c = self.circuits
        return (
            (self.alpha, self.beta, self.gamma, *parts),
            (c.levels, c.transfers.size, c.operations.size, c.transfers.tokens),
        )

    @classmethod
    def from_snarkjs(cls, circuits: Circuits, transfers: Path, operations: Path) -> Self:
        """Joins two verification_key.json files of snarkjs.

        Raises KeyFileError for a file that is no such key or keys from different powers of tau.
        """
        both = [_read_snarkjs(path) for path in (transfers, operations)]
        if both[0][:3] != both[1][:3]:
            raise KeyFileError(
                f"{transfers} and {operations} differ in alpha, beta or gamma: make both from one powers-of-tau file"
            )
        return cls(circuits, both[0][0], both[0][1], both[0][2], both[0][3], both[1][3])

    def to_json(self) -> str:
        """The file form: numbers as decimal strings, points as the EVM takes them."""
        (alpha, beta, gamma, transfers, operations), sizes = self.constructor_arguments
        content = {
            "development": self.is_development,
            "sizes": dict(zip(("levels", "transfers", "operations", "tokens"), sizes, strict=True)),
            "alpha": _strings(alpha),
            "beta": _strings(beta),
            "gamma": _strings(gamma),
            "transfers": {"delta": _strings(transfers[0]), "ic": _strings(transfers[1])},
            "operations": {"delta": _strings(operations[0]), "ic": _strings(operations[1])},
        }
        return json.dumps(content, indent=2) + "\n"

    @classmethod
    def from_json(cls, path: Path) -> Self:
        """Reads what `to_json` wrote. Raises KeyFileError for a missing or malformed file."""
        content = _load(path)
        try:
            levels, transfers, operations, tokens = (
                int(content["sizes"][name]) for name in ("levels", "transfers", "operations", "tokens")
            )
            circuits = Circuits(
                CircuitParams("transfers", levels, transfers, tokens),
                CircuitParams("operations", levels, operations, tokens),
            )
            keys = [
                CircuitKey(_g2(content[name]["delta"]), _ic([_g1(point) for point in content[name]["ic"]]))
                for name in ("transfers", "operations")
            ]
            return cls(circuits, _g1(content["alpha"]), _g2(content["beta"]), _g2(content["gamma"]), *keys)
        except (KeyError, TypeError, ValueError) as error:
            raise KeyFileError(f"{path} is no file of verifying keys ({error!r}): run `make circuits`") from error


def _read_snarkjs(path: Path) -> tuple[G1, G2, G2, CircuitKey]:
    content = _load(path)
    try:
        if (content["protocol"], content["curve"], content["nPublic"]) != ("groth16", "bn128", 3):
            raise ValueError("it is not a Groth16 key over BN254 with 3 public inputs")
        ic = _ic([_g1(point) for point in content["IC"]])
        # snarkjs writes the real part first.
        beta, gamma, delta = (
            _g2([coordinate[::-1] for coordinate in content[f"vk_{name}_2"]]) for name in ("beta", "gamma", "delta")
        )
        return _g1(content["vk_alpha_1"]), beta, gamma, CircuitKey(delta, ic)
    except (KeyError, TypeError, ValueError) as error:
        raise KeyFileError(f"{path} is no verification key of a segment circuit: {error}") from error


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read ({error.strerror}): run `make circuits`") from error
    except ValueError as error:
        raise KeyFileError(f"{path} is not JSON ({error}): run `make circuits`") from error


def _g1(point: Any) -> G1:
    return int(point[0]), int(point[1])


def _g2(point: Any) -> G2:
    return _g1(point[0]), _g1(point[1])


def _ic(points: list[G1]) -> tuple[G1, G1, G1, G1]:
    first, second, third, fourth = points
    return first, second, third, fourth


def _strings(value: Any) -> Any:
    return [_strings(part) for part in value] if isinstance(value, tuple) else str(value)
