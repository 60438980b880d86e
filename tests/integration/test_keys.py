"""Development keys and the build: what circuits/tools/dev_setup.mjs writes, and what is committed of it.

The key of a small circuit is compared number by number with one computed here from the published secrets, with py_ecc's
curve arithmetic and Lagrange polynomials written out; snarkjs and the native prover use it as any other key.
"""

import json
import shutil
import struct
import subprocess
from dataclasses import dataclass
from functools import cache
from hashlib import sha256, sha512
from pathlib import Path

import groth16py
import pytest
from eth_utils.crypto import keccak
from py_ecc import optimized_bn128 as curve

from layer2.crypto.field import R
from layer2.toolchain import find_program
from layer2.zk import build as building
from layer2.zk.build import (
    DEFAULT_CIRCUITS,
    DEV_SETUP,
    GENERATED,
    TEST_CIRCUITS,
    Artifacts,
    BuildError,
    build_circuit,
    generate,
)
from layer2.zk.circom import compile_circuit
from layer2.zk.keys import DEVELOPMENT_ALPHA, VerifyingKeys
from layer2.zk.params import TEST_TRANSFERS, CircuitParams
from layer2.zk.r1cs import Constraint, R1cs, read_r1cs
from layer2.zk.witness import WitnessCalculator

SEED = "layer2 development keys, INSECURE: everybody knows tau"
Q = curve.field_modulus
G1_INFINITY, G2_INFINITY = (0, 0), (0, 0, 0, 0)

TOY = """pragma circom 2.2.3;
template Toy(n) {
    signal input z; signal input D; signal input y;
    signal input x;
    signal power[n];
    power[0] <== x * x + 3 * z;
    for (var i = 1; i < n; i++) power[i] <== (power[i - 1] - i * x) * (x + D);
    y === power[n - 1] * D + 5;
}
component main {public [z, D, y]} = Toy(%d);
"""


@dataclass(frozen=True)
class Toy:
    """A small circuit and its development key."""

    folder: Path
    length: int

    @property
    def r1cs(self) -> Path:
        return self.folder / "circuit.r1cs"

    @property
    def zkey(self) -> Path:
        return self.folder / "circuit.zkey"

    def witness(self, z: int, d: int, x: int) -> tuple[bytes, list[int]]:
        """A satisfying witness and its public inputs z, D, y."""
        power = x * x + 3 * z
        for i in range(1, self.length):
            power = (power - i * x) * (x + d)
        y = (power * d + 5) % R
        inputs = {"z": z, "D": d, "y": y, "x": x}
        return WitnessCalculator(self.folder / "circuit.wasm", self.folder / "wasm").calculate(inputs), [z, d, y]


def dev_setup(r1cs: Path, zkey: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = ["node", str(DEV_SETUP), str(r1cs), str(zkey), *more]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def snarkjs(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(find_program("snarkjs")), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def make_toy(folder: Path, length: int) -> Toy:
    compiled = compile_circuit(TOY % length, folder)
    toy = Toy(compiled.folder, length)
    made = dev_setup(toy.r1cs, toy.zkey)
    assert made.returncode == 0, made.stderr
    return toy


@pytest.fixture(scope="module")
def short_toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return make_toy(tmp_path_factory.mktemp("toy"), 4)


@pytest.fixture(scope="module")
def longer_toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return make_toy(tmp_path_factory.mktemp("longer"), 9)


# -------------------------------------------------------------------- the key, number by number


def secret(label: str, more: bytes = b"") -> int:
    return int.from_bytes(sha512(f"{SEED}: {label}".encode() + more).digest()) % (R - 1) + 1


def lagrange(size: int, tau: int) -> list[int]:
    """The Lagrange polynomials of the size-th roots of unity at tau, from their definition."""
    roots = [pow(5, (R - 1) // size * i, R) for i in range(size)]
    values = []
    for i, own in enumerate(roots):
        value = 1
        for j, other in enumerate(roots):
            if j != i:
                value = value * (tau - other) * pow(own - other, -1, R) % R
        values.append(value)
    return values


@cache
def doublings(group: str) -> list[tuple[object, ...]]:
    """2ⁱ times the generator G1 or G2: with them each of a hundred multiplications is additions only."""
    points = [getattr(curve, group)]
    while len(points) < R.bit_length():
        points.append(curve.double(points[-1]))
    return points


def times(group: str, scalar: int) -> tuple[object, ...]:
    point = curve.multiply(getattr(curve, group), 0)
    for i, doubled in enumerate(doublings(group)):
        if scalar >> i & 1:
            point = curve.add(point, doubled)
    return point


@cache
def g1(scalar: int) -> tuple[int, ...]:
    point = times("G1", scalar)
    return G1_INFINITY if curve.is_inf(point) else tuple(int(c) for c in curve.normalize(point))


@cache
def g2(scalar: int) -> tuple[int, ...]:
    point = times("G2", scalar)
    if curve.is_inf(point):
        return G2_INFINITY
    return tuple(int(part) for coordinate in curve.normalize(point) for part in coordinate.coeffs)


def sections(path: Path) -> dict[int, bytes]:
    data = path.read_bytes()
    magic, version, count = struct.unpack_from("<4sII", data)
    assert (magic, version) == (b"zkey", 1)
    result, offset = {}, 12
    for _ in range(count):
        kind, size = struct.unpack_from("<IQ", data, offset)
        assert kind not in result
        result[kind] = data[offset + 12 : offset + 12 + size]
        offset += 12 + size
    assert offset == len(data)
    return result


def points(data: bytes, coordinates: int) -> list[tuple[int, ...]]:
    """Affine points of so many base field elements, each in Montgomery form."""
    factor = pow(1 << 256, -1, Q)
    numbers = [int.from_bytes(data[i : i + 32], "little") * factor % Q for i in range(0, len(data), 32)]
    assert len(numbers) % coordinates == 0
    return [tuple(numbers[i : i + coordinates]) for i in range(0, len(numbers), coordinates)]


def polynomials(r1cs: R1cs, basis: list[int]) -> list[list[int]]:
    """A_s, B_s, C_s at tau for each wire s, by definition; the public wires' own rows (snarkjs) included."""
    rows = [*r1cs.constraints]
    rows += [Constraint(((wire, 1),), (), ()) for wire in range(r1cs.public_outputs + r1cs.public_inputs + 1)]
    sums = [[0] * r1cs.wires for _ in range(3)]
    for row, value in zip(rows, basis, strict=False):
        for side, combination in zip(sums, (row.a, row.b, row.c), strict=True):
            for wire, coefficient in combination:
                side[wire] = (side[wire] + coefficient * value) % R
    return sums


@pytest.mark.parametrize("name", ["short_toy", "longer_toy"])
def test_every_number_of_the_key_follows_from_the_published_secrets(name: str, request: pytest.FixtureRequest) -> None:
    short_toy: Toy = request.getfixturevalue(name)
    key = sections(short_toy.zkey)
    r1cs = read_r1cs(short_toy.r1cs)
    rows = len(r1cs.constraints) + 4
    size = 1 << (rows - 1).bit_length()
    tau, alpha, beta = (secret(label) for label in ("tau", "alpha", "beta"))
    delta = secret("delta", sha256(short_toy.r1cs.read_bytes()).digest())
    over_delta = pow(delta, -1, R)

    assert key[1] == struct.pack("<I", 1)
    header = key[2]
    assert header[:80] == b"".join(
        [struct.pack("<I", 32), Q.to_bytes(32, "little"), struct.pack("<I", 32), R.to_bytes(32, "little")]
    ) + struct.pack("<II", r1cs.wires, 3)
    assert struct.unpack_from("<I", header, 80) == (size,)
    assert points(header[84:212], 2) == [g1(alpha), g1(beta)]
    assert points(header[212:468], 4) == [g2(beta), g2(1)]
    assert points(header[468:532], 2) == [g1(delta)]
    assert points(header[532:], 4) == [g2(delta)]

    a, b, c = polynomials(r1cs, lagrange(size, tau))
    k = [(beta * x + alpha * y + z) % R for x, y, z in zip(a, b, c, strict=True)]
    assert points(key[3], 2) == [g1(value) for value in k[:4]]
    assert points(key[5], 2) == [g1(value) for value in a]
    assert points(key[6], 2) == [g1(value) for value in b]
    assert points(key[7], 4) == [g2(value) for value in b]
    assert points(key[8], 2) == [g1(value * over_delta % R) for value in k[4:]]
    assert points(key[9], 2) == [g1(value * over_delta % R) for value in lagrange(2 * size, tau)[1::2]]
    assert G1_INFINITY in points(key[6], 2), "a wire that is in no B"

    entries = [
        (side, number, wire, coefficient)
        for number, row in enumerate(r1cs.constraints)
        for side, combination in enumerate((row.a, row.b))
        for wire, coefficient in combination
    ] + [(0, len(r1cs.constraints) + wire, wire, 1) for wire in range(4)]
    assert key[4] == struct.pack("<I", len(entries)) + b"".join(
        struct.pack("<3I", side, row, wire) + (value * (1 << 512) % R).to_bytes(32, "little")
        for side, row, wire, value in entries
    )
    assert key[10][64:] == bytes(4), "no contribution"


def test_circuits_share_all_but_delta(short_toy: Toy, longer_toy: Toy) -> None:
    first, second = sections(short_toy.zkey)[2], sections(longer_toy.zkey)[2]
    assert first[84:468] == second[84:468]
    assert first[468:] != second[468:]


def test_the_known_alpha_is_the_one_of_the_published_secrets() -> None:
    assert g1(secret("alpha")) == DEVELOPMENT_ALPHA


def test_the_same_circuit_gives_the_same_bytes(short_toy: Toy, tmp_path: Path) -> None:
    shutil.copy(short_toy.r1cs, tmp_path / "other.r1cs")
    assert dev_setup(tmp_path / "other.r1cs", tmp_path / "other.zkey", "another name").returncode == 0
    assert (tmp_path / "other.zkey").read_bytes() == short_toy.zkey.read_bytes()


# -------------------------------------------------------------------- other programs use it


def test_snarkjs_proves_exports_and_verifies(short_toy: Toy, tmp_path: Path) -> None:
    witness, public = short_toy.witness(11, 22, 33)
    files = {name: tmp_path / name for name in ("w.wtns", "proof.json", "public.json", "vk.json", "v.sol")}
    files["w.wtns"].write_bytes(witness)
    proved = snarkjs("groth16", "prove", short_toy.zkey, files["w.wtns"], files["proof.json"], files["public.json"])
    assert proved.returncode == 0, proved.stdout
    assert json.loads(files["public.json"].read_text()) == [str(value) for value in public]
    assert snarkjs("zkey", "export", "verificationkey", short_toy.zkey, files["vk.json"]).returncode == 0
    assert snarkjs("zkey", "export", "solidityverifier", short_toy.zkey, files["v.sol"]).returncode == 0
    assert str(DEVELOPMENT_ALPHA[0]) in files["v.sol"].read_text()

    verify = ("groth16", "verify", files["vk.json"], files["public.json"], files["proof.json"])
    assert snarkjs(*verify).returncode == 0
    files["public.json"].write_text(json.dumps([str(value) for value in (public[0] + 1, *public[1:])]))
    refused = snarkjs(*verify)
    assert refused.returncode != 0
    assert "Invalid proof" in refused.stdout


def test_a_native_proof_passes_the_pairing_of_py_ecc(short_toy: Toy, tmp_path: Path) -> None:
    key, verifying_key = groth16py.import_zkey(str(short_toy.zkey))
    witness, public = short_toy.witness(1, 2, 3)
    (tmp_path / "w.wtns").write_bytes(witness)
    proof = groth16py.prove_wtns(key, str(tmp_path / "w.wtns"))
    assert groth16py.Verifier(verifying_key).verify(proof, public)
    ic = [curve.multiply(curve.G1, scalar) for scalar in _ic_scalars(short_toy)]
    assert pairing_holds(short_toy, ic, proof, public)
    assert not pairing_holds(short_toy, ic, proof, [public[0], public[1], public[2] + 1])


def _ic_scalars(short_toy: Toy) -> list[int]:
    r1cs = read_r1cs(short_toy.r1cs)
    size = 1 << (len(r1cs.constraints) + 3).bit_length()
    a, b, c = polynomials(r1cs, lagrange(size, secret("tau")))
    return [(secret("beta") * a[s] + secret("alpha") * b[s] + c[s]) % R for s in range(4)]


def pairing_holds(short_toy: Toy, ic: list[object], proof: bytes, public: list[int]) -> bool:
    """e(A, B) = e(alpha, beta)·e(vkx, gamma)·e(C, delta), all points but the proof's from the published secrets."""
    n = [int.from_bytes(proof[i : i + 32]) for i in range(0, 256, 32)]
    a = (curve.FQ(n[0]), curve.FQ(n[1]), curve.FQ(1))
    b = (curve.FQ2((n[3], n[2])), curve.FQ2((n[5], n[4])), curve.FQ2.one())
    c = (curve.FQ(n[6]), curve.FQ(n[7]), curve.FQ(1))
    delta = secret("delta", sha256(short_toy.r1cs.read_bytes()).digest())
    vkx = ic[0]
    for point, value in zip(ic[1:], public, strict=True):
        vkx = curve.add(vkx, curve.multiply(point, value))
    pairs = [
        (b, a),
        (curve.multiply(curve.G2, secret("beta")), curve.neg(curve.multiply(curve.G1, secret("alpha")))),
        (curve.G2, curve.neg(vkx)),
        (curve.multiply(curve.G2, delta), curve.neg(c)),
    ]
    product = curve.FQ12.one()
    for g2_point, g1_point in pairs:
        product *= curve.pairing(g2_point, g1_point)
    return product == curve.FQ12.one()


# -------------------------------------------------------------------- wrong files


def _refused(r1cs: Path, folder: Path) -> str:
    """The message of a failed run, which must leave nothing behind."""
    result = dev_setup(r1cs, folder / "out.zkey")
    assert result.returncode == 1
    assert not list(folder.glob("out.zkey*"))
    return result.stderr


def test_a_missing_file_and_another_kind_of_file_are_named(tmp_path: Path) -> None:
    assert "missing.r1cs" in _refused(tmp_path / "missing.r1cs", tmp_path)
    (tmp_path / "text.r1cs").write_text("this is a text file")
    assert "text.r1cs is no .r1cs file" in _refused(tmp_path / "text.r1cs", tmp_path)


@pytest.mark.parametrize("keep", [12, 20, 60, 150, -1])
def test_a_cut_file_is_named(keep: int, short_toy: Toy, tmp_path: Path) -> None:
    (tmp_path / "cut.r1cs").write_bytes(short_toy.r1cs.read_bytes()[:keep])
    assert "cut short" in _refused(tmp_path / "cut.r1cs", tmp_path)


def test_a_circuit_over_another_field_is_refused(tmp_path: Path) -> None:
    compiled = compile_circuit(TOY % 2, tmp_path / "c", flags=("--O2", "--prime", "bls12381"), wasm=False)
    assert "not over BN254's scalar field" in _refused(compiled.r1cs, tmp_path)


def test_usage_without_file_names() -> None:
    result = subprocess.run(["node", str(DEV_SETUP)], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "usage:" in result.stderr


# -------------------------------------------------------------------- the build


def test_what_is_committed_is_what_the_command_makes() -> None:
    made = generate()
    committed = {path.name: path.read_text() for path in GENERATED.iterdir()}
    assert committed == made, "run `make circuits` and commit contracts/zk/generated"


def test_committed_verifiers_keep_their_licence_and_have_names_of_their_own() -> None:
    for kind in ("Transfers", "Operations"):
        source = (GENERATED / f"{kind}Verifier.sol").read_text()
        assert source.startswith("// SPDX-License-Identifier: GPL-3.0\n")
        assert "0KIMS" in source
        assert f"\ncontract {kind}Verifier {{" in source


def test_committed_keys_are_marked_as_development_keys() -> None:
    path = GENERATED / "verifying_keys.json"
    keys = VerifyingKeys.from_json(path)
    assert keys.circuits == DEFAULT_CIRCUITS
    assert keys.is_development
    assert json.loads(path.read_text())["development"] is True


def test_the_build_makes_the_same_keys_elsewhere_and_only_once(tmp_path: Path) -> None:
    built = Artifacts.of(TEST_TRANSFERS)
    elsewhere = tmp_path / "by-hash" / built.folder.resolve().name
    elsewhere.mkdir(parents=True)
    for path in (built.r1cs, built.wasm, built.sym):
        (elsewhere / path.name).symlink_to(path)
    again = build_circuit(TEST_TRANSFERS, tmp_path)
    assert again.zkey.read_bytes() == built.zkey.read_bytes()
    assert again.verification_key.read_bytes() == built.verification_key.read_bytes()

    before = again.zkey.stat()
    build_circuit(TEST_TRANSFERS, tmp_path)
    after = again.zkey.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_both_test_circuits_are_ready_and_share_their_powers() -> None:
    keys = building.verifying_keys(TEST_CIRCUITS)
    assert keys.is_development
    assert keys.alpha == DEVELOPMENT_ALPHA
    assert keys.transfers.delta != keys.operations.delta


def test_a_circuit_that_is_not_built_is_named_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"circuit\.zkey is missing: run `make test-circuits`"):
        Artifacts.of(TEST_TRANSFERS, tmp_path)
    with pytest.raises(BuildError, match="run `make circuits`"):
        Artifacts.of(CircuitParams("transfers", 12, 6, 4), tmp_path)


def test_the_default_circuits_fit_a_domain_of_2_to_the_17() -> None:
    for params in (DEFAULT_CIRCUITS.transfers, DEFAULT_CIRCUITS.operations):
        header = sections(Artifacts.of(params).zkey)[2]
        assert struct.unpack_from("<I", header, 80) == (1 << 17,)


# -------------------------------------------------------------------- the committed verifiers on a chain


@pytest.mark.parametrize("kind", ["transfers", "operations"])
def test_committed_verifiers_accept_exactly_what_is_proven(kind: str, project, accounts, tmp_path: Path) -> None:
    """Their keys' secrets are public, so a proof of any statement can be made: of one nobody could prove honestly."""
    keys = VerifyingKeys.from_json(GENERATED / "verifying_keys.json")
    ic = getattr(keys, kind).ic
    r1cs = Artifacts.of(getattr(DEFAULT_CIRCUITS, kind)).r1cs
    public = [int.from_bytes(keccak(text=f"{kind} {name}")) % R for name in ("z", "D", "y")]
    proof = _forge(ic, r1cs, public)
    verifier = accounts[0].deploy(getattr(project, f"{kind.capitalize()}Verifier"))
    assert verifier.verifyProof(*proof, public)
    for position in range(3):
        changed = [value + (index == position) for index, value in enumerate(public)]
        assert not verifier.verifyProof(*proof, changed)
        beyond = [value + R * (index == position) for index, value in enumerate(public)]
        assert not verifier.verifyProof(*proof, beyond)
    a, b, c = proof
    assert not verifier.verifyProof(c, b, a, public)
    assert not verifier.verifyProof([0, 0], [[0, 0], [0, 0]], [0, 0], public)


def _forge(
    ic: tuple[tuple[int, int], ...], r1cs: Path, public: list[int]
) -> tuple[list[int], list[list[int]], list[int]]:
    """A = alpha + 1, B = beta (as scalars), so C = (beta − vkx) / delta: needs no circuit and no witness."""
    delta = secret("delta", sha256(r1cs.read_bytes()).digest())
    vkx = _affine(ic[0])
    for point, value in zip(ic[1:], public, strict=True):
        vkx = curve.add(vkx, curve.multiply(_affine(point), value))
    beta1 = curve.multiply(curve.G1, secret("beta"))
    c = curve.multiply(curve.add(beta1, curve.neg(vkx)), pow(delta, -1, R))
    b = g2(secret("beta"))
    return list(g1((secret("alpha") + 1) % R)), [[b[1], b[0]], [b[3], b[2]]], [int(v) for v in curve.normalize(c)]


def _affine(point: tuple[int, int]) -> tuple[object, object, object]:
    return curve.FQ(point[0]), curve.FQ(point[1]), curve.FQ(1)
