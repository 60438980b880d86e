"""Reads circom's .r1cs, .sym and .wtns files and evaluates constraints on a full witness.

It is the judge of the circuits' tests: whether a witness is accepted is decided here by the constraints alone,
not by the checks of a witness generator. Formats: iden3's "r1csfile" and "wtnsfile" binary formats,
little-endian. May import nothing of this package.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from heapq import heapify, heappop, heappush
from pathlib import Path

Term = tuple[int, int]
"""(wire, coefficient); coefficients of more than half of the prime are written as negative numbers."""
Combination = tuple[Term, ...]
"""Linear combination of wires."""


class FormatError(ValueError):
    """A file is not what its format says."""


@dataclass(frozen=True)
class Constraint:
    """a · b = c over linear combinations of wires."""

    a: Combination
    b: Combination
    c: Combination

    def wires(self) -> set[int]:
        """The wires that occur in it, without the constant wire 0."""
        return {wire for side in (self.a, self.b, self.c) for wire, _ in side} - {0}


@dataclass(frozen=True)
class R1cs:
    """A constraint system. Wire 0 is the constant 1; public outputs, public inputs, private inputs, the rest follow."""

    prime: int
    wires: int
    public_outputs: int
    public_inputs: int
    private_inputs: int
    constraints: tuple[Constraint, ...]

    @cached_property
    def touching(self) -> Sequence[Sequence[tuple[int, int, int, int]]]:
        """For each wire, (constraint, coefficient in a, in b, in c) of every constraint it occurs in."""
        table: list[list[tuple[int, int, int, int]]] = [[] for _ in range(self.wires)]
        for number, constraint in enumerate(self.constraints):
            coefficients: dict[int, list[int]] = {}
            for side, combination in enumerate((constraint.a, constraint.b, constraint.c)):
                for wire, coefficient in combination:
                    entry = coefficients.setdefault(wire, [0, 0, 0])
                    entry[side] = (entry[side] + coefficient) % self.prime
            for wire, (a, b, c) in coefficients.items():
                table[wire].append((number, a, b, c))
        return table

    def violated(self, witness: Sequence[int]) -> list[int]:
        """Numbers of the constraints that the full witness (one value a wire) does not satisfy."""
        return [number for number, (a, b, c) in enumerate(self.values(witness)) if (a * b - c) % self.prime]

    def values(self, witness: Sequence[int]) -> Iterator[tuple[int, int, int]]:
        """Values of a, b and c of each constraint. Raises ValueError for a witness of another length."""
        if len(witness) != self.wires:
            raise ValueError(
                f"witness has {len(witness)} values, the circuit {self.wires} wires: use the circuit's own"
            )
        prime = self.prime
        for constraint in self.constraints:
            a = b = c = 0
            for wire, coefficient in constraint.a:
                a += witness[wire] * coefficient
            for wire, coefficient in constraint.b:
                b += witness[wire] * coefficient
            for wire, coefficient in constraint.c:
                c += witness[wire] * coefficient
            yield a % prime, b % prime, c % prime


class WitnessProbe:
    """Answers quickly whether a satisfying witness stays satisfying when a few wires change.

    Keeps the value of every linear combination, so a change costs only the constraints that its wires touch.
    Raises ValueError if the witness does not satisfy the constraints to begin with.
    """

    def __init__(self, r1cs: R1cs, witness: Sequence[int]) -> None:
        self.r1cs = r1cs
        self.witness = tuple(witness)
        self._values = list(r1cs.values(witness))
        for number, (a, b, c) in enumerate(self._values):
            if (a * b - c) % r1cs.prime:
                raise ValueError(f"constraint {number} does not hold: start from a satisfying witness")

    def violated(self, changes: Mapping[int, int]) -> list[int]:
        """Numbers of the constraints that fail once each wire in `changes` has its new value."""
        prime = self.r1cs.prime
        moved: dict[int, tuple[int, int, int]] = {}
        for wire, value in changes.items():
            delta = (value - self.witness[wire]) % prime
            for number, a, b, c in self.r1cs.touching[wire]:
                old = moved.get(number) or self._values[number]
                moved[number] = (old[0] + a * delta, old[1] + b * delta, old[2] + c * delta)
        return [number for number, (a, b, c) in moved.items() if (a * b - c) % prime]

    def alternative(self, wire: int) -> int | None:
        """Another value that the wire alone, all others staying, can have under every constraint, or None.

        Exact for all r - 1 other values: a constraint is at most quadratic in one wire, so one that is not flat
        holds for at most one other value, and only that needs to be tried on the rest.
        """
        prime = self.r1cs.prime
        for number, da, db, dc in self.r1cs.touching[wire]:
            a, b, _ = self._values[number]
            slope = (da * b + a * db - dc) % prime
            curvature = da * db % prime
            if not curvature:
                if slope:
                    return None
                continue  # holds for every value
            other = (self.witness[wire] - slope * pow(curvature, -1, prime)) % prime
            return None if other == self.witness[wire] or self.violated({wire: other}) else other
        return (self.witness[wire] + 1) % prime

    def freedom(self, fixed: Set[int]) -> int:
        """In how many directions the wires can drift while those in `fixed` (and wire 0) stay.

        0 means that the fixed wires determine all others, at least near this witness: it is the dimension of the
        kernel of the constraints' derivative (a'·b + a·b' - c' for each wire) restricted to the other wires.
        """
        prime = self.r1cs.prime
        rows: dict[int, dict[int, int]] = {}
        holders: dict[int, set[int]] = {}
        unknown = set(range(1, self.r1cs.wires)) - fixed
        for wire in unknown:
            holders[wire] = set()
            for number, da, db, dc in self.r1cs.touching[wire]:
                a, b, _ = self._values[number]
                if derivative := (da * b + a * db - dc) % prime:
                    rows.setdefault(number, {})[wire] = derivative
                    holders[wire].add(number)
        # Gaussian elimination, always with the constraint that has the fewest wires left: nearly all have one.
        queue = [(len(row), number) for number, row in rows.items()]
        heapify(queue)
        rank = 0
        while queue:
            length, number = heappop(queue)
            row = rows.get(number)
            if row is None or len(row) != length:
                continue  # changed since: it is in the queue again
            rank += 1
            pivot = min(row, key=lambda wire: len(holders[wire]))
            inverse = pow(row[pivot], -1, prime)
            del rows[number]
            for wire in row:
                holders[wire].discard(number)
            for other in tuple(holders[pivot]):
                target = rows[other]
                factor = -target[pivot] * inverse % prime
                for wire, coefficient in row.items():
                    value = (target.get(wire, 0) + factor * coefficient) % prime
                    if value:
                        target[wire] = value
                        holders[wire].add(other)
                    else:
                        target.pop(wire, None)
                        holders[wire].discard(other)
                if target:
                    heappush(queue, (len(target), other))
                else:
                    del rows[other]
        return len(unknown) - rank


def read_r1cs(path: Path) -> R1cs:
    """Reads a .r1cs file of format version 1. Raises FormatError if it is damaged or of another kind."""
    data = path.read_bytes()
    sections = _sections(data, b"r1cs", path)
    header = sections[1]
    size = struct.unpack_from("<I", header)[0]
    prime = int.from_bytes(header[4 : 4 + size], "little")
    wires, outputs, inputs, private = struct.unpack_from("<4I", header, 4 + size)
    count = struct.unpack_from("<I", header, 4 + size + 24)[0]
    body = sections[2]
    known: dict[bytes, int] = {}
    offset = 0

    def combination() -> Combination:
        nonlocal offset
        terms: list[Term] = []
        (length,) = struct.unpack_from("<I", body, offset)
        offset += 4
        for _ in range(length):
            (wire,) = struct.unpack_from("<I", body, offset)
            raw = body[offset + 4 : offset + 4 + size]
            coefficient = known.get(raw)
            if coefficient is None:
                # Nearly all are small or a small one's negative: products with those are quicker.
                value = int.from_bytes(raw, "little")
                coefficient = known[raw] = value if value <= prime // 2 else value - prime
            terms.append((wire, coefficient))
            offset += 4 + size
        return tuple(terms)

    constraints = tuple(Constraint(combination(), combination(), combination()) for _ in range(count))
    if offset != len(body):
        raise FormatError(f"{path}: constraints end at byte {offset} of {len(body)}: compile the circuit again")
    return R1cs(prime, wires, outputs, inputs, private, constraints)


def constraint_count(path: Path) -> int:
    """Number of constraints of a .r1cs file, without reading them."""
    header = _sections(path.read_bytes(), b"r1cs", path)[1]
    size: int = struct.unpack_from("<I", header)[0]
    count: int = struct.unpack_from("<I", header, 4 + size + 24)[0]
    return count


def read_symbols(path: Path) -> dict[str, int]:
    """Reads a .sym file: wire of each named signal, e.g. "main.transfer[0].token".

    Signals that the compiler replaced by a linear combination of others have no wire and are left out.
    """
    symbols: dict[str, int] = {}
    for line in path.read_text().splitlines():
        _, wire, _, name = line.split(",", 3)
        if wire != "-1":
            symbols[name] = int(wire)
    return symbols


def read_witness(data: bytes) -> list[int]:
    """Values of all wires of a .wtns file's content. Raises FormatError if it is damaged or of another kind."""
    sections = _sections(data, b"wtns", Path("witness"))
    (size,) = struct.unpack_from("<I", sections[1])
    (count,) = struct.unpack_from("<I", sections[1], 4 + size)
    values = sections[2]
    if len(values) != size * count:
        raise FormatError(f"witness: {len(values)} bytes for {count} values of {size} bytes: calculate it again")
    return [int.from_bytes(values[i : i + size], "little") for i in range(0, len(values), size)]


def _sections(data: bytes, magic: bytes, path: Path) -> dict[int, bytes]:
    """Sections of an iden3 binary file by their type."""
    if data[:4] != magic or len(data) < 12:
        raise FormatError(f"{path}: begins with {data[:4]!r}, not {magic!r}: this is another kind of file")
    (count,) = struct.unpack_from("<I", data, 8)
    offset = 12
    sections: dict[int, bytes] = {}
    for _ in range(count):
        if offset + 12 > len(data):
            raise FormatError(f"{path}: ends within section {len(sections) + 1} of {count}: make the file again")
        kind, length = struct.unpack_from("<IQ", data, offset)
        sections[kind] = data[offset + 12 : offset + 12 + length]
        if len(sections[kind]) != length:
            raise FormatError(f"{path}: section {kind} is cut short: make the file again")
        offset += 12 + length
    for needed in (1, 2):
        if needed not in sections:
            raise FormatError(f"{path}: section {needed} is missing: make the file again")
    return sections
