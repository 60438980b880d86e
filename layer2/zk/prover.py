"""Groth16 proofs of segments: made by interchangeable backends, checked before they leave (docs/protocol.md §5).

May import `layer2.crypto`, `layer2.ledger`, `layer2.toolchain` and this package.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import groth16py
from tqdm import tqdm

from layer2.crypto.field import R
from layer2.ledger.transition import Step
from layer2.toolchain import ToolMissingError, find_program
from layer2.zk.build import BUILD, Artifacts, BuildError
from layer2.zk.inputs import circuit_inputs
from layer2.zk.keyfiles import read_zkey_header
from layer2.zk.params import CircuitParams
from layer2.zk.r1cs import FormatError, read_witness
from layer2.zk.segments import PublicInputs, Segment
from layer2.zk.witness import WitnessCalculator, WitnessError

Q = 21888242871839275222246405745257275088696311157297823662689037894645226208583
"""Modulus of BN254's base field, in which proof coordinates are (docs/protocol.md §1)."""

RAPIDSNARK = "LAYER2_RAPIDSNARK"
"""Environment variable with the path of a rapidsnark `prover` program."""

_T = TypeVar("_T")
_REMEDY = "run `make circuits`"


class ProofError(Exception):
    """A proof could not be made, or what was made is wrong. The message says what to do."""


class ProofTuple(NamedTuple):
    """The contract's ZKProof: points in the EVM's order, and D."""

    a: tuple[int, int]
    b: tuple[tuple[int, int], tuple[int, int]]
    c: tuple[int, int]
    publicInputs: tuple[int]


@dataclass(frozen=True)
class Proof:
    """A Groth16 proof and its public inputs.

    a and c are points (x, y); b is ((x imaginary, x real), (y imaginary, y real)), the order of the EVM's pairing.
    Whether the points lie on the curve is for verify_proof to say. Raises ProofError for numbers out of range.
    """

    a: tuple[int, int]
    b: tuple[tuple[int, int], tuple[int, int]]
    c: tuple[int, int]
    public_inputs: PublicInputs

    def __post_init__(self) -> None:
        for value in self._coordinates():
            if not 0 <= value < Q:
                raise ProofError(f"proof coordinate {value} is not from 0 to q - 1: the proof is damaged")
        for name, value in self.public_inputs._asdict().items():
            if not 0 <= value < R:
                raise ProofError(f"public input {name} = {value} is not from 0 to r - 1: compute it again")

    def to_bytes(self) -> bytes:
        """256 bytes: a, b, c as 32-byte big-endian numbers in the EVM's order."""
        return b"".join(value.to_bytes(32) for value in self._coordinates())

    @classmethod
    def from_bytes(cls, data: bytes, public_inputs: PublicInputs) -> Proof:
        """Reads what to_bytes makes. Raises ProofError for another length or coordinates ≥ q."""
        if len(data) != 256:
            raise ProofError(f"proof of {len(data)} bytes: give 256")
        n = [int.from_bytes(data[i : i + 32]) for i in range(0, 256, 32)]
        return cls((n[0], n[1]), ((n[2], n[3]), (n[4], n[5])), (n[6], n[7]), public_inputs)

    def to_snarkjs(self) -> tuple[str, str]:
        """snarkjs's proof.json and public.json. Its G2 points have the real part first."""
        (x_imaginary, x_real), (y_imaginary, y_real) = self.b
        proof = {
            "pi_a": [str(self.a[0]), str(self.a[1]), "1"],
            "pi_b": [[str(x_real), str(x_imaginary)], [str(y_real), str(y_imaginary)], ["1", "0"]],
            "pi_c": [str(self.c[0]), str(self.c[1]), "1"],
            "protocol": "groth16",
            "curve": "bn128",
        }
        return json.dumps(proof, indent=1), json.dumps([str(value) for value in self.public_inputs], indent=1)

    @classmethod
    def from_snarkjs(cls, proof_json: str, public_json: str) -> Proof:
        """Reads snarkjs's proof.json and public.json. Raises ProofError when they are not that."""
        data = _bytes_of_snarkjs(proof_json)
        try:
            z, digest, y = (int(value) for value in json.loads(public_json))
        except (ValueError, TypeError) as error:
            raise ProofError(f"not the public inputs z, D, y as snarkjs writes them ({error})") from None
        return cls.from_bytes(data, PublicInputs(z, digest, y))

    def as_tuple(self) -> ProofTuple:
        """What `submitBatch` takes for this proof: the contract computes z and y itself."""
        return ProofTuple(self.a, self.b, self.c, (self.public_inputs.digest,))

    def _coordinates(self) -> tuple[int, ...]:
        return (*self.a, *self.b[0], *self.b[1], *self.c)


class Backend(Protocol):
    """A program that turns witnesses of one circuit into proofs. May be used from several threads at once."""

    def prove(self, witness: bytes) -> bytes:
        """A proof (256 bytes in the EVM's order) for the content of a .wtns file.

        A wrong witness may give a wrong proof: whoever calls checks it. Raises ProofError when the backend fails.
        """
        ...


class NativeBackend:
    """groth16py (arkworks) in this process, one core a proof. Raises ProofError for a damaged key."""

    def __init__(self, proving_key: Path) -> None:
        self._wires = _wires(proving_key)
        self._key = _native(lambda: groth16py.import_zkey(str(proving_key))[0], f"{proving_key} is damaged")

    def prove(self, witness: bytes) -> bytes:
        # The wheel panics on a witness that is too short, and takes one that is too long.
        try:
            count = len(read_witness(witness))
        except FormatError as error:
            raise ProofError(str(error)) from None
        if count != self._wires:
            raise ProofError(f"witness of {count} values, the key is for {self._wires}: use the same circuit's files")
        with tempfile.TemporaryDirectory(prefix="layer2-prove-") as folder:
            path = Path(folder) / "witness.wtns"
            path.write_bytes(witness)
            return _native(lambda: groth16py.prove_wtns(self._key, str(path)), "the native prover failed")


class ProgramBackend:
    """A program called with zkey, wtns, proof.json and public.json, as snarkjs and rapidsnark take them."""

    def __init__(self, command: Sequence[str], proving_key: Path) -> None:
        _wires(proving_key)
        self._command = (*command, str(proving_key.resolve()))

    def prove(self, witness: bytes) -> bytes:
        with tempfile.TemporaryDirectory(prefix="layer2-prove-") as folder:
            Path(folder, "witness.wtns").write_bytes(witness)
            command = [*self._command, "witness.wtns", "proof.json", "public.json"]
            try:
                run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            except OSError as error:
                raise ProofError(f"{self._command[0]} cannot be started: {error}") from None
            proof = Path(folder, "proof.json")
            if run.returncode != 0 or not proof.exists():
                output = (run.stdout + run.stderr).strip() or "it says nothing"
                raise ProofError(f"{self._command[0]} failed with exit code {run.returncode}: {output}")
            return _bytes_of_snarkjs(proof.read_bytes())


def snarkjs_backend(proving_key: Path) -> Backend:
    """snarkjs (npm package) in Node. Raises ProofError if it is not installed."""
    try:
        program = find_program("snarkjs")
    except ToolMissingError as error:
        raise ProofError(str(error)) from None
    return ProgramBackend([str(program), "groth16", "prove"], proving_key)


def rapidsnark_backend(proving_key: Path) -> Backend:
    """The rapidsnark `prover` program that LAYER2_RAPIDSNARK names. Raises ProofError if there is none."""
    name = os.environ.get(RAPIDSNARK, "")
    if not name:
        raise ProofError(f"{RAPIDSNARK} is not set: let it name rapidsnark's `prover` program, or use another backend")
    program = shutil.which(name)
    if program is None:
        raise ProofError(f"{RAPIDSNARK} is {name!r}, which is no program: let it name rapidsnark's `prover`")
    return ProgramBackend([str(Path(program).resolve())], proving_key)


BACKENDS: Mapping[str, Callable[[Path], Backend]] = {
    "native": NativeBackend,
    "snarkjs": snarkjs_backend,
    "rapidsnark": rapidsnark_backend,
}


def default_backend() -> str:
    """ "rapidsnark" if LAYER2_RAPIDSNARK is set, otherwise "native"."""
    return "rapidsnark" if os.environ.get(RAPIDSNARK) else "native"


class ZKProver:
    """Proves segments of one circuit. May be used from several threads at once.

    proving_key: .zkey. verification_key: snarkjs's verification_key.json. circuit: whose keys they are.
    backend: a name of BACKENDS, or a backend. wasm: the circuit's witness calculator, by default the file circuit.wasm
    beside the proving key. Raises ProofError when a file is missing or damaged or the backend is not there.
    """

    def __init__(
        self,
        proving_key: Path,
        verification_key: Path,
        circuit: CircuitParams,
        backend: str | Backend = "native",
        *,
        wasm: Path | None = None,
    ) -> None:
        wasm = wasm or proving_key.with_name("circuit.wasm")
        for path in (proving_key, verification_key, wasm):
            if not path.is_file():
                raise ProofError(f"{path} is missing: {_REMEDY}")
        self.circuit = circuit
        key = _native(
            lambda: groth16py.VerifyingKey.from_snarkjs(verification_key.read_text()), f"{verification_key} is damaged"
        )
        if key.n_public != len(PublicInputs._fields):
            raise ProofError(f"{verification_key} is for {key.n_public} public inputs, not z, D, y: {_REMEDY}")
        self._verifier = groth16py.Verifier(key)
        try:
            self._witness = WitnessCalculator(wasm)
        except WitnessError as error:
            raise ProofError(str(error)) from None
        if isinstance(backend, str):
            if backend not in BACKENDS:
                raise ProofError(f"prover backend {backend!r} is unknown: use one of {', '.join(BACKENDS)}")
            backend = BACKENDS[backend](proving_key)
        self._backend = backend

    @classmethod
    def load(cls, circuit: CircuitParams, build_dir: Path = BUILD, backend: str | Backend | None = None) -> ZKProver:
        """The prover of a circuit that layer2.zk.build has made. The backend is default_backend()'s if None."""
        try:
            files = Artifacts.of(circuit, build_dir)
        except BuildError as error:
            raise ProofError(str(error)) from None
        return cls(files.zkey, files.verification_key, circuit, backend or default_backend(), wasm=files.wasm)

    def generate_proof(
        self, transactions: Segment | Iterable[Step], *, domain: int | None = None, timestamp: int | None = None
    ) -> Proof:
        """The proof of a segment, or of steps that make one under `domain` (§4.1) and `timestamp` (seconds).

        Raises ProofError if it is another circuit's segment or the proof made does not verify, WitnessError if the
        segment does not satisfy the circuit, SegmentError if the steps make no segment.
        """
        if not isinstance(transactions, Segment):
            if domain is None or timestamp is None:
                raise ProofError("steps alone do not say the batch's domain and timestamp: give both, or a Segment")
            transactions = Segment(self.circuit, tuple(transactions), domain, timestamp)
        if transactions.params != self.circuit:
            raise ProofError(f"a segment of {transactions.params.name} for the prover of {self.circuit.name}")
        return self.prove_witness(self._witness.calculate(circuit_inputs(transactions)), transactions.public_inputs)

    def prove_witness(self, witness: bytes, public_inputs: PublicInputs) -> Proof:
        """The proof for the content of a .wtns file. Raises ProofError if it does not verify."""
        proof = Proof.from_bytes(self._backend.prove(witness), public_inputs)
        if not self.verify_proof(proof, public_inputs):
            raise ProofError(
                f"the proof made for {self.circuit.name} does not verify and is not given out: the witness is damaged "
                f"or does not belong to these public inputs, or the two keys are not a pair ({_REMEDY})"
            )
        return proof

    def verify_proof(self, proof: Proof | bytes, public_inputs: Sequence[int]) -> bool:
        """Whether the proof (or its 256 bytes) holds for z, D, y. False for anything malformed as well."""
        data = proof if isinstance(proof, bytes) else proof.to_bytes()
        try:
            return self._verifier.verify(data, list(public_inputs))
        except (groth16py.EncodingError, groth16py.VerificationError, OverflowError, TypeError):
            return False


Progress = Callable[[int, int], None]
"""Called with the number of proofs done and of all, from the calling thread."""


def prove_batch(
    segments: Sequence[Segment],
    provers: Iterable[ZKProver],
    *,
    workers: int | None = None,
    progress: Progress | None = None,
    bar: bool = False,
) -> list[Proof]:
    """Proves segments in parallel; the proofs come in the segments' order.

    provers: one for each circuit that occurs. workers: threads, by default one for each core this process may use.
    progress: see Progress; bar: show a progress bar on stderr. Raises ProofError or WitnessError, naming the
    segment, for the first by number of those that failed; segments not begun then are dropped.
    """
    by_circuit = {prover.circuit: prover for prover in provers}
    for number, segment in enumerate(segments):
        if segment.params not in by_circuit:
            raise ProofError(f"segment {number} is of {segment.params.name}: give a prover of that circuit")
    if workers is not None and workers < 1:
        raise ProofError(f"{workers} workers: give 1 or more")
    workers = workers or available_cores()
    with (
        ThreadPoolExecutor(workers, thread_name_prefix="prover") as pool,
        tqdm(total=len(segments), desc="Proving", unit="segment", disable=not bar) as shown,
    ):
        futures = [pool.submit(by_circuit[segment.params].generate_proof, segment) for segment in segments]
        try:
            for done, future in enumerate(as_completed(futures), 1):
                if future.exception() is not None:
                    break
                shown.update()
                if progress is not None:
                    progress(done, len(segments))
        finally:
            pool.shutdown(cancel_futures=True)
    for number, future in enumerate(futures):
        if future.cancelled():
            continue
        error = future.exception()
        if isinstance(error, (ProofError, WitnessError)):
            raise type(error)(f"segment {number} of {len(segments)}: {error}") from error
        if error is not None:
            raise error
    return [future.result() for future in futures]


def available_cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def _wires(proving_key: Path) -> int:
    """Number of values of a witness for the key."""
    try:
        return read_zkey_header(proving_key).wires
    except (FormatError, OSError) as error:
        raise ProofError(f"the proving key cannot be used ({error}): {_REMEDY}") from None


def _native(call: Callable[[], _T], what: str) -> _T:
    """Calls groth16py; its errors, Rust panics among them, become ProofError."""
    try:
        return call()
    except Exception as error:
        raise ProofError(f"{what}: {error}") from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise ProofError(f"{what}: {error}") from None


def _bytes_of_snarkjs(proof_json: str | bytes) -> bytes:
    """The 256 bytes of snarkjs's proof.json."""
    try:
        proof = json.loads(proof_json)
        (ax, ay, _), ((x_real, x_imaginary), (y_real, y_imaginary), _), (cx, cy, _) = (
            proof["pi_a"],
            proof["pi_b"],
            proof["pi_c"],
        )
        numbers = [int(n) for n in (ax, ay, x_imaginary, x_real, y_imaginary, y_real, cx, cy)]
        return b"".join(number.to_bytes(32) for number in numbers)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise ProofError(f"not a proof as snarkjs writes it ({type(error).__name__}: {error})") from None
