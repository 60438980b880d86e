"""Proofs by every backend, what is refused, and proofs of whole batches."""

import json
import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st
from py_ecc.optimized_bn128 import FQ, FQ2, FQ12, add, b2, is_on_curve, multiply, pairing

from layer2.crypto.eddsa import PrivateKey
from layer2.crypto.field import R
from layer2.ledger.account import Account
from layer2.ledger.constants import Kind
from layer2.ledger.operations import Operation, SignedOperation, sign_operation
from layer2.ledger.state import State
from layer2.ledger.transition import Context, Failure, Step, apply
from layer2.toolchain import find_program
from layer2.zk.build import Artifacts
from layer2.zk.inputs import circuit_inputs
from layer2.zk.params import TEST_OPERATIONS, TEST_TRANSFERS, CircuitParams
from layer2.zk.prover import (
    RAPIDSNARK,
    Backend,
    NativeBackend,
    Proof,
    ProofError,
    ZKProver,
    default_backend,
    prove_batch,
)
from layer2.zk.segments import PublicInputs, Segment, SegmentError
from layer2.zk.witness import WitnessCalculator, WitnessError
from tests.circuits.harness import without_checks

Q = 21888242871839275222246405745257275088696311157297823662689037894645226208583

# Whoever has no circuits is told so, test by test.
pytestmark = pytest.mark.usefixtures("transfers_files", "operations_files")


def script(path: Path, body: str) -> str:
    """A program with rapidsnark's arguments: zkey, wtns, proof.json, public.json."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.fixture(scope="session")
def transfers_files() -> Artifacts:
    return Artifacts.of(TEST_TRANSFERS)


@pytest.fixture(scope="session")
def operations_files() -> Artifacts:
    return Artifacts.of(TEST_OPERATIONS)


@pytest.fixture(scope="module")
def witness(transfers_files: Artifacts, transfers_segment: Segment) -> bytes:
    return WitnessCalculator(transfers_files.wasm).calculate(circuit_inputs(transfers_segment))


def with_bad_signature(segment: Segment) -> Segment:
    """The segment with its last signature's S changed."""
    *before, last = segment.steps
    signature = last.witness.signature
    changed = replace(last.witness, signature=signature._replace(s=signature.s + 1))
    return replace(segment, steps=(*before, replace(last, proof_witness=changed)))


# --- Backends


@pytest.mark.parametrize("backend", ["native", "snarkjs"])
@pytest.mark.parametrize("circuit", [TEST_TRANSFERS, TEST_OPERATIONS], ids=lambda circuit: circuit.name)
def test_backend_proves_every_circuit(
    backend: str,
    circuit: CircuitParams,
    transfers_prover: ZKProver,
    operations_prover: ZKProver,
    transfers_segment: Segment,
    operations_segment: Segment,
) -> None:
    transfers = circuit == TEST_TRANSFERS
    segment = transfers_segment if transfers else operations_segment
    proof = ZKProver.load(circuit, backend=backend).generate_proof(segment)
    assert proof.public_inputs == segment.public_inputs
    assert (transfers_prover if transfers else operations_prover).verify_proof(proof, segment.public_inputs)
    assert not (operations_prover if transfers else transfers_prover).verify_proof(proof, segment.public_inputs)


def test_rapidsnark_is_called_as_it_wants(
    transfers_files: Artifacts,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    transfers_segment: Segment,
    proof: Proof,
) -> None:
    """With zkey, wtns, proof.json and public.json, as snarkjs is, which makes real proofs of them in other tests."""
    (tmp_path / "made.json").write_text(proof.to_snarkjs()[0])
    body = f"""test "$#" = 4 && test "$1" -ef "{transfers_files.zkey}" && test "$(head -c 4 "$2")" = wtns &&
        test "$4" = public.json && cp "{tmp_path}/made.json" "$3\""""
    monkeypatch.setenv(RAPIDSNARK, script(tmp_path / "prover", body))
    assert default_backend() == "rapidsnark"
    assert ZKProver.load(TEST_TRANSFERS).generate_proof(transfers_segment) == proof


def test_rapidsnark_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(RAPIDSNARK, raising=False)
    assert default_backend() == "native"
    with pytest.raises(ProofError, match="LAYER2_RAPIDSNARK is not set"):
        ZKProver.load(TEST_TRANSFERS, backend="rapidsnark")
    monkeypatch.setenv(RAPIDSNARK, str(tmp_path / "nowhere"))
    with pytest.raises(ProofError, match="nowhere', which is no program"):
        ZKProver.load(TEST_TRANSFERS)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("echo no memory >&2; exit 3", "exit code 3: no memory"),
        ("exit 0", "exit code 0: it says nothing"),
        ('echo "{}" > "$3"', "not a proof as snarkjs writes it"),
        ('printf "\\377\\376" > "$3"', "not a proof as snarkjs writes it"),
    ],
)
def test_programs_that_fail(
    body: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, transfers_segment: Segment
) -> None:
    monkeypatch.setenv(RAPIDSNARK, script(tmp_path / "prover", body))
    with pytest.raises(ProofError, match=message):
        ZKProver.load(TEST_TRANSFERS).generate_proof(transfers_segment)


def test_program_that_answers_with_another_proof(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, proof: Proof, transfers_segment: Segment
) -> None:
    (tmp_path / "other.json").write_text(proof.to_snarkjs()[0])
    monkeypatch.setenv(RAPIDSNARK, script(tmp_path / "prover", f'cp "{tmp_path}/other.json" "$3"'))
    prover = ZKProver.load(TEST_TRANSFERS)
    assert prover.generate_proof(transfers_segment) == proof  # the right one is taken
    other = replace(transfers_segment, steps=transfers_segment.steps[:1])
    with pytest.raises(ProofError, match="does not verify and is not given out"):
        prover.generate_proof(other)


def test_unknown_backend() -> None:
    with pytest.raises(ProofError, match="'fast' is unknown: use one of native, snarkjs, rapidsnark"):
        ZKProver.load(TEST_TRANSFERS, backend="fast")


# --- Independent checks


def test_pairing_equation_holds_in_py_ecc(transfers_files: Artifacts, proof: Proof) -> None:
    key = json.loads(transfers_files.verification_key.read_text())

    def g1(point: list[str] | tuple[int, int]) -> tuple[FQ, FQ, FQ]:
        return FQ(int(point[0])), FQ(int(point[1])), FQ(1)

    def g2(point: list[list[str]]) -> tuple[FQ2, FQ2, FQ2]:
        return FQ2([int(n) for n in point[0]]), FQ2([int(n) for n in point[1]]), FQ2([1, 0])

    b = g2([[str(n) for n in reversed(part)] for part in proof.b])
    public = g1(key["IC"][0])
    for value, point in zip(proof.public_inputs, key["IC"][1:], strict=True):
        public = add(public, multiply(g1(point), value))

    def holds(a: tuple[FQ, FQ, FQ]) -> bool:
        right = FQ12.one()
        for left_point, right_point in (
            (g1(key["vk_alpha_1"]), key["vk_beta_2"]),
            (public, key["vk_gamma_2"]),
            (g1(proof.c), key["vk_delta_2"]),
        ):
            right *= pairing(g2(right_point), left_point)
        return pairing(b, a) == right

    assert holds(g1(proof.a))
    assert not holds(multiply(g1(proof.a), 2))


def test_snarkjs_accepts_a_native_proof_and_agrees_on_the_order_of_coordinates(
    transfers_files: Artifacts, proof: Proof, tmp_path: Path
) -> None:
    for name, text in zip(("proof.json", "public.json"), proof.to_snarkjs(), strict=True):
        (tmp_path / name).write_text(text)
    snarkjs = str(find_program("snarkjs"))
    verify = [snarkjs, "groth16", "verify", str(transfers_files.verification_key), "public.json", "proof.json"]
    assert subprocess.run(verify, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    calldata = subprocess.run(
        [snarkjs, "zkey", "export", "soliditycalldata", "public.json", "proof.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    a, b, c, public = json.loads(f"[{calldata}]")
    given = proof.as_tuple()
    assert [int(n, 16) for n in a] == list(given.a)
    assert [[int(n, 16) for n in part] for part in b] == [list(part) for part in given.b]
    assert [int(n, 16) for n in c] == list(given.c)
    assert [int(n, 16) for n in public] == list(proof.public_inputs)
    assert given.publicInputs == (proof.public_inputs.digest,)


# --- What is refused


@pytest.mark.parametrize("backend", ["native", "snarkjs"])
def test_proof_of_a_corrupted_witness_does_not_leave(backend: str, witness: bytes, transfers_segment: Segment) -> None:
    damaged = witness[:-1] + bytes([witness[-1] ^ 1])
    prover = ZKProver.load(TEST_TRANSFERS, backend=backend)
    with pytest.raises(ProofError, match="does not verify and is not given out"):
        prover.prove_witness(damaged, transfers_segment.public_inputs)


@pytest.mark.parametrize("backend", ["native", "snarkjs"])
def test_witness_of_another_length_is_refused(
    backend: str, operations_files: Artifacts, operations_segment: Segment, transfers_segment: Segment
) -> None:
    other = WitnessCalculator(operations_files.wasm).calculate(circuit_inputs(operations_segment))
    with pytest.raises(ProofError, match=r"witness of \d+ values, the key is for|Invalid witness length"):
        ZKProver.load(TEST_TRANSFERS, backend=backend).prove_witness(other, transfers_segment.public_inputs)


def test_damaged_witness_file_is_refused(
    transfers_prover: ZKProver, witness: bytes, transfers_segment: Segment
) -> None:
    for damaged in (witness[:-1], b"", b"wtns", witness[: len(witness) // 2]):
        with pytest.raises(ProofError, match="witness"):
            transfers_prover.prove_witness(damaged, transfers_segment.public_inputs)


def test_flipping_any_byte_of_a_proof_is_rejected(transfers_prover: ZKProver, proof: Proof) -> None:
    data = proof.to_bytes()
    assert transfers_prover.verify_proof(data, proof.public_inputs)
    for position in range(len(data)):
        for bit in (1, 0x80):
            changed = bytearray(data)
            changed[position] ^= bit
            assert not transfers_prover.verify_proof(bytes(changed), proof.public_inputs), position


@given(position=st.integers(0, 255), value=st.integers(0, 255))
def test_any_other_byte_is_rejected(transfers_prover: ZKProver, proof: Proof, position: int, value: int) -> None:
    data = bytearray(proof.to_bytes())
    same = data[position] == value
    data[position] = value
    assert transfers_prover.verify_proof(bytes(data), proof.public_inputs) == same


@pytest.mark.parametrize("length", [0, 255, 257, 512])
def test_proofs_of_another_length_are_rejected(transfers_prover: ZKProver, proof: Proof, length: int) -> None:
    data = (proof.to_bytes() * 2)[:length]
    assert not transfers_prover.verify_proof(data, proof.public_inputs)
    with pytest.raises(ProofError, match=f"{length} bytes"):
        Proof.from_bytes(data, proof.public_inputs)


def test_coordinates_plus_q_are_rejected(transfers_prover: ZKProver, proof: Proof) -> None:
    data = proof.to_bytes()
    for start in range(0, 256, 32):
        alias = int.from_bytes(data[start : start + 32]) + Q
        changed = data[:start] + alias.to_bytes(32) + data[start + 32 :]
        assert not transfers_prover.verify_proof(changed, proof.public_inputs)
        with pytest.raises(ProofError, match=f"proof coordinate {alias} is not"):
            Proof.from_bytes(changed, proof.public_inputs)


@pytest.mark.parametrize("position", [0, 1, 2])
def test_other_public_inputs_are_rejected(transfers_prover: ZKProver, proof: Proof, position: int) -> None:
    for change in (1, -1, R, -R, 2 * R, 1 << 256):
        values = list(proof.public_inputs)
        values[position] += change
        assert not transfers_prover.verify_proof(proof, values), change
        if not 0 <= values[position] < R:
            with pytest.raises(ProofError, match="is not from 0 to r - 1"):
                replace(proof, public_inputs=PublicInputs(*values))


def test_public_inputs_of_another_number_or_order_are_rejected(transfers_prover: ZKProver, proof: Proof) -> None:
    z, d, y = proof.public_inputs
    for values in ([], [z], [z, d], [z, d, y, 0], [d, z, y], [y, d, z], [z, y, d]):
        assert not transfers_prover.verify_proof(proof, values)


def test_points_at_infinity_and_outside_the_subgroup_are_rejected(transfers_prover: ZKProver, proof: Proof) -> None:
    zero = (0, 0)
    for changed in (replace(proof, a=zero), replace(proof, b=(zero, zero)), replace(proof, c=zero)):
        assert not transfers_prover.verify_proof(changed, proof.public_inputs)
    # A point of the twist that is not in the group of order r.
    for offset in range(100):
        x = FQ2([1, offset])
        y = square_root(x * x * x + b2)
        if y is not None and multiply((x, y, FQ2.one()), R)[2] != FQ2.zero():
            break
    assert is_on_curve((x, y, FQ2.one()), b2)
    b = tuple((int(n.coeffs[1]), int(n.coeffs[0])) for n in (x, y))
    assert not transfers_prover.verify_proof(replace(proof, b=b), proof.public_inputs)


def square_root(value: FQ2) -> FQ2 | None:
    """In F_q² with i² = -1 and q = 3 mod 4."""
    real, imaginary = (int(n) for n in value.coeffs)
    norm = pow(real * real + imaginary * imaginary, (Q + 1) // 4, Q)
    for sign in (1, -1):
        x = pow((real + sign * norm) * pow(2, -1, Q), (Q + 1) // 4, Q)
        root = FQ2([x, imaginary * pow(2 * x, -1, Q)])
        if root * root == value:
            return root
    return None


def test_wrong_verification_key_stops_a_right_proof(
    transfers_files: Artifacts, operations_files: Artifacts, transfers_segment: Segment
) -> None:
    prover = ZKProver(
        transfers_files.zkey, operations_files.verification_key, TEST_TRANSFERS, wasm=transfers_files.wasm
    )
    with pytest.raises(ProofError, match="the two keys are not a pair"):
        prover.generate_proof(transfers_segment)


def test_segment_that_does_not_satisfy_the_circuit(transfers_prover: ZKProver, transfers_segment: Segment) -> None:
    with pytest.raises(WitnessError, match=r"does not hold: .*EdDSA"):
        transfers_prover.generate_proof(with_bad_signature(transfers_segment))


# What the ledger refuses, as a segment whose maker lies to the prover: everything else about it is as it should be.

KEY = PrivateKey.from_seed(b"\1" * 32)
HELD = Account(0xA11CE, KEY.public_key, 7, 5, 1000)
OTHER = Account(0xB0B, KEY.public_key, 7, 0, 1000)
DOMAIN, NOW = 4242, 1_800_000_000


def signed(operation: Operation, *, nonce: int = HELD.nonce, expiry: int = NOW) -> SignedOperation:
    payee = (OTHER.owner, OTHER.key) if operation.kind is Kind.TRANSFER else ()
    return sign_operation(KEY, DOMAIN, operation, nonce, expiry, *payee)


def step_from(state: State, item: SignedOperation, time: int = NOW) -> Step:
    step = apply(state, item, Context(DOMAIN, time))
    assert step.valid, step.reason
    return step


def claiming(step: Step, **changes: object) -> Step:
    """The step with something else about its witness."""
    return replace(step, proof_witness=replace(step.witness, **changes))


def lie(what: str, circuit: CircuitParams) -> Segment:
    """A segment with one operation that the ledger refuses."""
    state = State.from_accounts(circuit.levels, [HELD, OTHER])
    if circuit is TEST_TRANSFERS:
        operation = Operation.transfer(1, 2, 7, 600)
    else:
        operation = Operation.withdrawal(1, 7, 600, HELD.owner)
    honest = step_from(state, signed(operation))
    if what == "double spend":
        # Signed in order, and each has the money; together they have not: 2 · 600 of 1000.
        again = signed(operation, nonce=HELD.nonce + 1)
        rich = honest.state_after.put(1, replace(HELD, nonce=HELD.nonce + 1))
        refused, before = again, honest.state_after
        steps = (honest, claiming(step_from(rich, again), root_before=before.root))
    elif what == "the same again":
        refused, before = honest.item, honest.state_after
        steps = (honest, claiming(honest, root_before=before.root))
    elif what == "wrong nonce":
        refused, before = signed(operation, nonce=HELD.nonce + 1), state
        steps = (claiming(honest, signature=refused.signature),)
    elif what == "wrong token":
        refused, before = signed(replace(operation, token=8)), state
        rich = state.put(1, replace(HELD, token=8)).put(2, replace(OTHER, token=8))
        steps = (claiming(step_from(rich, refused), root_before=state.root),)
    else:
        refused, before = signed(operation, expiry=NOW - 1), state
        steps = (step_from(state, refused, NOW - 1),)
    assert apply(before, refused, Context(DOMAIN, NOW)).failure is LIES[what]
    return Segment(circuit, steps, DOMAIN, NOW)


LIES = {
    "double spend": Failure.INSUFFICIENT_BALANCE,
    "the same again": Failure.NONCE_MISMATCH,
    "wrong nonce": Failure.NONCE_MISMATCH,
    "wrong token": Failure.TOKEN_MISMATCH,
    "expired": Failure.EXPIRED,
}


@pytest.fixture(scope="module")
def unchecked(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Artifacts], WitnessCalculator]:
    """The witness calculator of somebody who has taken the checks out of it."""
    folder = tmp_path_factory.mktemp("unchecked")

    def calculator(files: Artifacts) -> WitnessCalculator:
        path = folder / f"{files.folder.name}.wasm"
        path.write_bytes(without_checks(files.wasm.read_bytes()))
        return WitnessCalculator(path)

    return calculator


@pytest.mark.parametrize("circuit", [TEST_TRANSFERS, TEST_OPERATIONS], ids=lambda circuit: circuit.kind)
@pytest.mark.parametrize("what", LIES)
def test_attack_segment_that_the_ledger_refuses(
    what: str,
    circuit: CircuitParams,
    transfers_prover: ZKProver,
    operations_prover: ZKProver,
    unchecked: Callable[[Artifacts], WitnessCalculator],
) -> None:
    """No witness; and from the witness of who leaves the checks out, no proof."""
    prover = transfers_prover if circuit is TEST_TRANSFERS else operations_prover
    segment = lie(what, circuit)
    with pytest.raises(WitnessError, match="the inputs do not satisfy the circuit"):
        prover.generate_proof(segment)
    witness = unchecked(Artifacts.of(circuit)).calculate(circuit_inputs(segment))
    with pytest.raises(ProofError, match="does not verify and is not given out"):
        prover.prove_witness(witness, segment.public_inputs)


def test_segment_of_another_circuit(transfers_prover: ZKProver, operations_segment: Segment) -> None:
    with pytest.raises(ProofError, match=r"segment of operations-4-2-2 for the prover of transfers-4-2-2"):
        transfers_prover.generate_proof(operations_segment)


def test_steps_instead_of_a_segment(transfers_prover: ZKProver, transfers_segment: Segment) -> None:
    steps, domain, timestamp = transfers_segment.steps, transfers_segment.domain, transfers_segment.timestamp
    made = transfers_prover.generate_proof(iter(steps), domain=domain, timestamp=timestamp)
    assert made.public_inputs == transfers_segment.public_inputs
    with pytest.raises(ProofError, match="domain and timestamp: give both"):
        transfers_prover.generate_proof(steps)
    with pytest.raises(SegmentError):
        transfers_prover.generate_proof(steps * 2, domain=domain, timestamp=timestamp)


@pytest.mark.parametrize("name", ["circuit.zkey", "verification_key.json", "circuit.wasm"])
def test_missing_and_damaged_files(name: str, transfers_files: Artifacts, tmp_path: Path) -> None:
    folder = tmp_path / TEST_TRANSFERS.name
    folder.mkdir()
    for path in (transfers_files.zkey, transfers_files.verification_key, transfers_files.wasm):
        (folder / path.name).symlink_to(path.resolve())
    ZKProver.load(TEST_TRANSFERS, tmp_path)
    content = (folder / name).read_bytes()
    (folder / name).unlink()
    with pytest.raises(ProofError, match=rf"{name} is missing: run `make test-circuits`"):
        ZKProver.load(TEST_TRANSFERS, tmp_path)
    with pytest.raises(ProofError, match=rf"{name} is missing: run `make circuits`"):
        ZKProver(folder / "circuit.zkey", folder / "verification_key.json", TEST_TRANSFERS)
    for damaged in (b"", b"nothing of the kind", content[: len(content) // 2]):
        (folder / name).write_bytes(damaged)
        with pytest.raises(ProofError, match=name):
            ZKProver.load(TEST_TRANSFERS, tmp_path, "native")


def test_key_for_another_number_of_public_inputs(transfers_files: Artifacts, tmp_path: Path) -> None:
    key = json.loads(transfers_files.verification_key.read_text())
    path = tmp_path / "key.json"
    path.write_text(json.dumps(key | {"nPublic": 2, "IC": key["IC"][:3]}))
    with pytest.raises(ProofError, match="for 2 public inputs, not z, D, y"):
        ZKProver(transfers_files.zkey, path, TEST_TRANSFERS)


# --- Forms of a proof


def test_forms_of_a_proof_give_it_back(proof: Proof) -> None:
    data = proof.to_bytes()
    assert len(data) == 256
    assert Proof.from_bytes(data, proof.public_inputs) == proof
    assert Proof.from_snarkjs(*proof.to_snarkjs()) == proof
    (x_imaginary, x_real), _ = proof.b
    assert json.loads(proof.to_snarkjs()[0])["pi_b"][0] == [str(x_real), str(x_imaginary)]
    assert data[64:96] == x_imaginary.to_bytes(32)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pi_a": 1, "pi_b": 2, "pi_c": 3}', "null"])
def test_other_json_is_no_proof(text: str, proof: Proof) -> None:
    with pytest.raises(ProofError, match="not a proof as snarkjs writes it"):
        Proof.from_snarkjs(text, proof.to_snarkjs()[1])
    with pytest.raises(ProofError, match="not the public inputs"):
        Proof.from_snarkjs(proof.to_snarkjs()[0], text)


# --- Batches


def test_batch_in_order_with_progress(
    transfers_prover: ZKProver, operations_prover: ZKProver, transfers_segment: Segment, operations_segment: Segment
) -> None:
    shorter = replace(transfers_segment, steps=transfers_segment.steps[:1])
    segments = [operations_segment, transfers_segment, shorter, operations_segment]
    seen: list[tuple[int, int]] = []
    proofs = prove_batch(
        segments, [transfers_prover, operations_prover], workers=2, progress=lambda *counts: seen.append(counts)
    )
    assert [proof.public_inputs for proof in proofs] == [segment.public_inputs for segment in segments]
    for segment, made in zip(segments, proofs, strict=True):
        prover = transfers_prover if segment.params.kind == "transfers" else operations_prover
        assert prover.verify_proof(made, segment.public_inputs)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


class InThisOrder:
    """A backend that waits before it proves, or tells when it has proven."""

    def __init__(self, backend: Backend, *, after: Event | None = None, then: Event | None = None) -> None:
        self.backend, self.after, self.then = backend, after, then

    def prove(self, witness: bytes) -> bytes:
        assert self.after is None or self.after.wait(60), "nobody else proves meanwhile"
        made = self.backend.prove(witness)
        if self.then is not None:
            self.then.set()
        return made


def test_segments_are_proven_at_the_same_time_and_come_in_their_own_order(
    transfers_files: Artifacts,
    operations_files: Artifacts,
    transfers_segment: Segment,
    operations_segment: Segment,
) -> None:
    """The first segment's proof is not made before the second's is: one after the other they would never be."""
    second = Event()
    first_backend = InThisOrder(NativeBackend(operations_files.zkey), after=second)
    second_backend = InThisOrder(NativeBackend(transfers_files.zkey), then=second)
    provers = [
        ZKProver.load(TEST_OPERATIONS, backend=first_backend),
        ZKProver.load(TEST_TRANSFERS, backend=second_backend),
    ]
    proofs = prove_batch([operations_segment, transfers_segment], provers, workers=2)
    assert [proof.public_inputs for proof in proofs] == [
        operations_segment.public_inputs,
        transfers_segment.public_inputs,
    ]


def test_batch_shows_a_progress_bar_when_asked(
    transfers_prover: ZKProver, transfers_segment: Segment, capfd: pytest.CaptureFixture[str]
) -> None:
    prove_batch([transfers_segment], [transfers_prover])
    assert capfd.readouterr().err == ""
    prove_batch([transfers_segment], [transfers_prover], bar=True)
    assert "Proving: 100%" in capfd.readouterr().err


def test_batch_names_the_segment_that_fails(transfers_prover: ZKProver, transfers_segment: Segment) -> None:
    bad = with_bad_signature(transfers_segment)
    with pytest.raises(WitnessError, match="segment 1 of 3: the inputs do not satisfy"):
        prove_batch([transfers_segment, bad, transfers_segment], [transfers_prover], workers=1)


def test_batch_without_a_prover_for_a_circuit(
    transfers_prover: ZKProver, transfers_segment: Segment, operations_segment: Segment
) -> None:
    with pytest.raises(ProofError, match=r"segment 1 is of operations-4-2-2: give a prover"):
        prove_batch([transfers_segment, operations_segment], [transfers_prover])
    with pytest.raises(ProofError, match="0 workers: give 1 or more"):
        prove_batch([transfers_segment], [transfers_prover], workers=0)
    assert prove_batch([], []) == []


def test_native_proofs_differ_each_time(transfers_prover: ZKProver, transfers_segment: Segment, proof: Proof) -> None:
    """Zero knowledge needs fresh randomness in every proof."""
    assert transfers_prover.generate_proof(transfers_segment).to_bytes() != proof.to_bytes()


def test_batch_stops_when_the_progress_callback_raises(transfers_prover: ZKProver, transfers_segment: Segment) -> None:
    counts: list[int] = []

    def stop(done: int, _: int) -> None:
        counts.append(done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prove_batch([transfers_segment] * 50, [transfers_prover], workers=1, progress=stop)
    assert counts == [1]
