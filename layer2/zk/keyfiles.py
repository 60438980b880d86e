"""Headers of circuits (.r1cs), proving keys (.zkey) and powers of tau (.ptau), enough to tell a wrong file early.

Formats: snarkjs 0.7's, little-endian, of numbered sections. May import of this package only r1cs.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from layer2.zk.r1cs import FormatError

_GROTH16 = 1
_MAX_HEADER = 1 << 16
_PREPARED = {12, 13, 14, 15}
"""Sections that `powersoftau prepare phase2` adds: the powers in Lagrange form."""


@dataclass(frozen=True)
class R1csHeader:
    """Sizes of a constraint system. public: outputs and public inputs together."""

    constraints: int
    wires: int
    public: int


@dataclass(frozen=True)
class ZkeyHeader:
    """Sizes of a Groth16 proving key: wires of the circuit, public inputs, size of the evaluation domain."""

    wires: int
    public_inputs: int
    domain_size: int


@dataclass(frozen=True)
class PtauHeader:
    """A powers-of-tau file serves domains of up to 2^power once it is prepared for phase 2."""

    power: int
    prepared: bool


def read_r1cs_header(path: Path) -> R1csHeader:
    """Reads it. Raises FormatError if the file is damaged or of another kind, OSError if it cannot be read."""
    with path.open("rb") as file:
        header = _section(file, _sections(file, b"r1cs", path), 1, path)
    try:
        (size,) = struct.unpack_from("<I", header)
        wires, outputs, inputs, _, _, constraints = struct.unpack_from("<4IQI", header, 4 + size)
    except struct.error:
        raise FormatError(f"{path}: its header is cut short: compile the circuit again") from None
    return R1csHeader(constraints, wires, outputs + inputs)


def read_zkey_header(path: Path) -> ZkeyHeader:
    """Reads it. Raises FormatError if the file is damaged or no Groth16 key, OSError if it cannot be read."""
    with path.open("rb") as file:
        sections = _sections(file, b"zkey", path)
        (protocol,) = struct.unpack("<I", _section(file, sections, 1, path)[:4])
        if protocol != _GROTH16:
            raise FormatError(f"{path}: a key for protocol {protocol}, not Groth16: make the key again")
        header = _section(file, sections, 2, path)
    try:
        (base,) = struct.unpack_from("<I", header)
        (scalar,) = struct.unpack_from("<I", header, 4 + base)
        return ZkeyHeader(*struct.unpack_from("<3I", header, 8 + base + scalar))
    except struct.error:
        raise FormatError(f"{path}: its header is cut short: make the file again") from None


def read_ptau_header(path: Path) -> PtauHeader:
    """Reads it. Raises FormatError if the file is damaged or of another kind, OSError if it cannot be read."""
    with path.open("rb") as file:
        sections = _sections(file, b"ptau", path)
        header = _section(file, sections, 1, path)
    try:
        (size,) = struct.unpack_from("<I", header)
        (power,) = struct.unpack_from("<I", header, 4 + size)
    except struct.error:
        raise FormatError(f"{path}: its header is cut short: download the file again") from None
    return PtauHeader(power, sections.keys() >= _PREPARED)


def _sections(file: BinaryIO, magic: bytes, path: Path) -> dict[int, tuple[int, int]]:
    """(offset, length) of each section."""
    start = file.read(12)
    if start[:4] != magic or len(start) < 12:
        raise FormatError(f"{path}: begins with {start[:4]!r}, not {magic!r}: this is another kind of file")
    end = file.seek(0, 2)
    (count,) = struct.unpack_from("<I", start, 8)
    offset = 12
    sections: dict[int, tuple[int, int]] = {}
    for number in range(1, count + 1):
        file.seek(offset)
        header = file.read(12)
        if len(header) < 12:
            raise FormatError(f"{path}: ends before section {number} of {count}: get the file again")
        kind, length = struct.unpack("<IQ", header)
        sections[kind] = (offset + 12, length)
        offset += 12 + length
        if offset > end:
            raise FormatError(f"{path}: section {kind} is cut short at byte {end}: get the file again")
    return sections


def _section(file: BinaryIO, sections: dict[int, tuple[int, int]], kind: int, path: Path) -> bytes:
    if kind not in sections:
        raise FormatError(f"{path}: section {kind} is missing: get the file again")
    offset, length = sections[kind]
    file.seek(offset)
    return file.read(min(length, _MAX_HEADER))
