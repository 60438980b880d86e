"""Phase 2 of a real Groth16 set-up, from a powers-of-tau file to keys (docs/ceremony.md), over snarkjs.

Every function takes and leaves files. May import `layer2.toolchain` and of this package keyfiles and r1cs.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layer2.toolchain import PROJECT, ToolMissingError, find_program
from layer2.zk.keyfiles import read_ptau_header, read_r1cs_header, read_zkey_header
from layer2.zk.r1cs import FormatError

_SCRIPT = PROJECT / "circuits" / "tools" / "ceremony.mjs"
_BEACON_BYTES = 32
_MAX_NAME = 100
_MIN_ITERATIONS, _MAX_ITERATIONS = 10, 32


class CeremonyError(Exception):
    """A step of the ceremony cannot be done or something does not verify; the message says what to do."""


@dataclass(frozen=True)
class Beacon:
    """A public random value that nobody could know before: hex, hashed 2^iterations times."""

    value: str
    iterations: int


@dataclass(frozen=True)
class Contribution:
    """One contribution of a verified transcript. digest: 64 bytes as hex, what its contributor saw and published."""

    name: str
    digest: str
    beacon: Beacon | None


@dataclass(frozen=True)
class Transcript:
    """What a verified key was made from, oldest contribution first. circuit_hash: 64 bytes as hex."""

    circuit_hash: str
    contributions: tuple[Contribution, ...]


@dataclass(frozen=True)
class Exported:
    """The files for nodes (proving key, verification key) and the stand-alone Solidity verifier."""

    proving_key: Path
    verification_key: Path
    solidity_verifier: Path
    transcript: Transcript


def needed_power(r1cs: Path) -> int:
    """Power of the smallest powers-of-tau file for a circuit. Raises CeremonyError if it cannot be read."""
    with _file_errors():
        header = read_r1cs_header(r1cs)
    return (header.constraints + header.public).bit_length()


def file_hash(path: Path) -> str:
    """BLAKE2b-512 of a file as hex: what published lists of powers-of-tau files give."""
    with _file_errors(), path.open("rb") as file:
        return hashlib.file_digest(file, hashlib.blake2b).hexdigest()


def verify_powers(ptau: Path) -> None:
    """Checks a whole powers-of-tau file: every contribution and every power. Takes long for large files.

    Raises CeremonyError if it does not verify.
    """
    _check_ptau(ptau)
    answer = _snarkjs(step="powers", ptau=ptau)
    if answer.result is not True:
        raise CeremonyError(f"{ptau} does not verify ({answer.why}): download it again and compare its hash")


def new(r1cs: Path, ptau: Path, output: Path) -> str:
    """Starts a ceremony: the circuit's key without any contribution, which everybody can forge proofs for.

    Returns the circuit hash (hex), which stays the same through the ceremony. Raises CeremonyError if the files do
    not fit.
    """
    _check_circuit(r1cs, ptau)
    with _new_file(output) as temporary:
        return _digest(_snarkjs(step="new", r1cs=r1cs, ptau=ptau, output=temporary), f"no key from {r1cs} and {ptau}")


def contribute(zkey: Path, output: Path, name: str, entropy: str = "") -> str:
    """Adds a contribution to a key; returns its digest (hex), which its contributor publishes.

    name: for the transcript, up to 100 printable characters. entropy: any text; the system's randomness is always
    mixed in, so it need not be good, and nothing keeps it. Raises CeremonyError.
    """
    _check_name(name)
    _check_zkey(zkey)
    mixed = hashlib.blake2b(entropy.encode() + b"\0" + secrets.token_bytes(64)).hexdigest()
    with _new_file(output) as temporary:
        answer = _snarkjs(step="contribute", zkey=zkey, output=temporary, name=name, entropy=mixed)
        return _digest(answer, f"no contribution to {zkey}")


def beacon(zkey: Path, output: Path, value: str, iterations: int = 10, name: str = "beacon") -> str:
    """Adds the closing contribution from a public random value; returns its digest (hex).

    value: 32 bytes as hex, e.g. the hash of a block that was announced before it existed. iterations: exponent of two
    of how often it is hashed, 10 to 32. Raises CeremonyError.
    """
    _check_name(name)
    value = value.removeprefix("0x").lower()
    if not re.fullmatch(rf"[0-9a-f]{{{2 * _BEACON_BYTES}}}", value):
        raise CeremonyError(
            f"the beacon {value!r} is not {_BEACON_BYTES} bytes of hex: give the announced block's hash"
        )
    if not _MIN_ITERATIONS <= iterations <= _MAX_ITERATIONS:
        raise CeremonyError(f"2^{iterations} iterations: give an exponent from {_MIN_ITERATIONS} to {_MAX_ITERATIONS}")
    _check_zkey(zkey)
    with _new_file(output) as temporary:
        answer = _snarkjs(step="beacon", zkey=zkey, output=temporary, name=name, value=value, iterations=iterations)
        return _digest(answer, f"no beacon on {zkey}")


def verify(zkey: Path, r1cs: Path, ptau: Path) -> Transcript:
    """Checks that a key is the circuit's, from these powers of tau, through the contributions in its transcript.

    It does not check the powers themselves: see verify_powers. Raises CeremonyError if anything is wrong.
    """
    _check_circuit(r1cs, ptau)
    _check_zkey(zkey)
    with _file_errors():
        key, circuit = read_zkey_header(zkey), read_r1cs_header(r1cs)
    if (key.wires, key.public_inputs) != (circuit.wires, circuit.public):
        raise CeremonyError(
            f"{zkey} is the key of another circuit: {key.wires} wires and {key.public_inputs} public inputs, "
            f"{r1cs} has {circuit.wires} and {circuit.public}: give the circuit that the ceremony began with"
        )
    answer = _snarkjs(step="verify", r1cs=r1cs, ptau=ptau, zkey=zkey)
    if answer.result is not True:
        raise CeremonyError(
            f"{zkey} does not verify against {r1cs} and {ptau} ({answer.why}): do not use it; "
            "go back to the last key that does"
        )
    return _transcript(answer.info)


def export(zkey: Path, r1cs: Path, ptau: Path, folder: Path) -> Exported:
    """Verifies a finished key and writes circuit.zkey, verification_key.json and verifier.sol into `folder`.

    The circuit's circuit.wasm, .sym and .r1cs go with them if they are beside r1cs, so that the folder serves a prover.
    Raises CeremonyError, and writes nothing, if the key does not verify, nobody contributed or no beacon closes it.
    """
    transcript = verify(zkey, r1cs, ptau)
    if all(contribution.beacon for contribution in transcript.contributions):
        raise CeremonyError(f"nobody has contributed to {zkey}, so anybody can forge proofs: contribute first")
    if transcript.contributions[-1].beacon is None:
        raise CeremonyError(f"no beacon closes {zkey}: the last contributor could have chosen the key; add the beacon")
    key = _snarkjs(step="verificationKey", zkey=zkey)
    solidity = _snarkjs(step="solidity", zkey=zkey)
    if not isinstance(key.result, dict) or not isinstance(solidity.result, str):
        raise CeremonyError(f"{zkey} cannot be exported: {key.why}; {solidity.why}")
    exported = Exported(folder / "circuit.zkey", folder / "verification_key.json", folder / "verifier.sol", transcript)
    with _file_errors():
        folder.mkdir(parents=True, exist_ok=True)
        for source, target in [
            (zkey, exported.proving_key),
            *((path, folder / path.name) for path in map(r1cs.with_suffix, (".wasm", ".sym", ".r1cs"))),
        ]:
            if source.exists() and source.resolve() != target.resolve():
                shutil.copyfile(source, target)
        exported.verification_key.write_text(json.dumps(key.result, indent=1) + "\n")
        exported.solidity_verifier.write_text(solidity.result)
    return exported


@dataclass(frozen=True)
class _Answer:
    """What circuits/tools/ceremony.mjs says."""

    result: Any
    info: list[str]
    errors: list[str]

    @property
    def why(self) -> str:
        return "; ".join(_printable(error) for error in self.errors) or "snarkjs gives no reason"


def _snarkjs(**request: str | int | Path) -> _Answer:
    """Runs one step in Node. Only a program that breaks raises; what snarkjs finds is in the answer."""
    try:
        node = find_program("node")
    except ToolMissingError:
        raise CeremonyError("Node is not on the PATH: install Node 20 or later") from None
    run = subprocess.run(
        [str(node), str(_SCRIPT)],
        input=json.dumps({name: v if isinstance(v, int) else str(v) for name, v in request.items()}),
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        answer = json.loads(run.stdout)
        return _Answer(answer["result"], answer["info"], answer["errors"])
    except (ValueError, KeyError, TypeError):
        reasons = [line for line in run.stderr.splitlines() if "Error" in line] or run.stderr.splitlines()[-1:]
        reason = _printable(reasons[0]) if reasons else "it says nothing"
        raise CeremonyError(
            f"snarkjs broke off in step {request['step']!r} with exit code {run.returncode} ({reason}): check that "
            "there is enough memory and that `make setup` has run"
        ) from None


def _digest(answer: _Answer, what: str) -> str:
    if not isinstance(answer.result, str) or not answer.result:
        raise CeremonyError(f"{what}: {answer.why}")
    return answer.result


def _transcript(info: list[str]) -> Transcript:
    """Reads snarkjs's report of a verification, which goes from the newest contribution to the oldest.

    Each entry is one message: a title, which holds the contributor's words, and four lines of hash.
    """
    circuit_hash = ""
    contributions: list[Contribution] = []
    value = ""
    for message in info:
        title, *_ = message.split("\n")
        if title.startswith("Circuit Hash"):
            circuit_hash = _hash(message)
        elif match := re.match(r"contribution #\d+ (.*):\n(?:\t\t[0-9a-f ]+\n?){4}\Z", message, re.DOTALL):
            contributions.append(Contribution(_printable(match[1]), _hash(message), None))
        elif title.startswith("Beacon generator: "):
            value = title.removeprefix("Beacon generator: ")
        elif title.startswith("Beacon iterations Exp: "):
            iterations = int(title.removeprefix("Beacon iterations Exp: "))
            last = contributions.pop()
            contributions.append(Contribution(last.name, last.digest, Beacon(value, iterations)))
    return Transcript(circuit_hash, tuple(reversed(contributions)))


def _hash(message: str) -> str:
    return re.sub(r"\s", "", "".join(message.split("\n")[-4:]))


def _printable(text: str) -> str:
    """The text without characters that could play tricks on a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= _MAX_NAME or not name.isprintable():
        raise CeremonyError(f"the name {name!r} is not 1 to {_MAX_NAME} printable characters: choose another")


def _check_zkey(zkey: Path) -> None:
    with _file_errors():
        read_zkey_header(zkey)


def _check_ptau(ptau: Path) -> None:
    with _file_errors():
        header = read_ptau_header(ptau)
    if not header.prepared:
        raise CeremonyError(f"{ptau} is not prepared for phase 2: take a prepared file (docs/ceremony.md)")


def _check_circuit(r1cs: Path, ptau: Path) -> None:
    power = needed_power(r1cs)
    _check_ptau(ptau)
    has = read_ptau_header(ptau).power
    if has < power:
        raise CeremonyError(f"{ptau} has power {has}, {r1cs} needs {power}: take a file of power {power} or more")


@contextmanager
def _new_file(output: Path) -> Iterator[Path]:
    """A temporary file that becomes `output` when all goes well. Nobody's contribution is ever overwritten."""
    if output.exists():
        raise CeremonyError(f"{output} exists: choose another name for the new key")
    with _file_errors():
        output.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".ceremony-", dir=output.parent))
    try:
        yield folder / "new.zkey"
        os.rename(folder / "new.zkey", output)
    finally:
        shutil.rmtree(folder)


@contextmanager
def _file_errors() -> Iterator[None]:
    """Errors of reading and writing files as CeremonyError."""
    try:
        yield
    except FormatError as error:
        raise CeremonyError(str(error)) from None
    except FileNotFoundError as error:
        raise CeremonyError(f"{error.filename} is missing: docs/ceremony.md says where it comes from") from None
    except OSError as error:
        raise CeremonyError(f"{error.filename}: {error.strerror}") from None
