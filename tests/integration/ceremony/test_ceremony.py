"""A whole ceremony on a small circuit, from powers of tau that snarkjs makes here to a proof, and its refusals."""

import importlib.util
import shutil
import stat
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import solcx
from click.testing import CliRunner, Result

from layer2.actors.proving import points
from layer2.chain.deploying import RollupConfig, deploy
from layer2.chain.errors import DeploymentError, RevertedError
from layer2.chain.rollup import open_rollup
from layer2.chain.sending import send
from layer2.crypto.field import R
from layer2.toolchain import PROJECT, SOLC_VERSION, find_program
from layer2.zk import ceremony
from layer2.zk.build import BUILD, DEFAULT_CIRCUITS, GENERATED, verifying_keys
from layer2.zk.ceremony import Beacon, CeremonyError
from layer2.zk.circom import Compiled, compile_circuit
from layer2.zk.keys import VerifyingKeys
from layer2.zk.params import DEFAULT_OPERATIONS, DEFAULT_TRANSFERS, TEST_TRANSFERS
from layer2.zk.prover import Proof, Q, ZKProver
from layer2.zk.r1cs import FormatError
from layer2.zk.segments import PublicInputs
from layer2.zk.witness import WitnessCalculator
from tests.support.anvil import Anvil, signer
from tests.support.batches import OPERATIONS, TRANSFERS, Batch, Segment, Sizes, slot, transfer

SOURCE = """pragma circom 2.2.3;
template Small() {{
    signal input z;
    signal input D;
    signal input y;
    signal input w[4];
    signal t[4];
    t[0] <== w[0] * w[1];
    t[1] <== t[0] * w[2];
    t[2] <== t[1] * w[3];
    t[3] <== t[2] * D;
    z * y === {factor} * t[3];
}}
component main {{public [z, D, y]}} = Small();
"""
INPUTS = {"z": 30, "D": 2, "y": 4, "w": [1, 3, 4, 5]}
VALUE = "ab" * 32
POWER = 5
"""One more than needed: powers may be more than the circuit has use for."""


def compiled(factor: int) -> Compiled:
    return compile_circuit(SOURCE.format(factor=factor), PROJECT / "build" / "circuits-test")


def snarkjs(*arguments: object, stdin: str = "") -> None:
    run = subprocess.run(
        [find_program("snarkjs"), *map(str, arguments)], input=stdin, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


@dataclass(frozen=True)
class Powers:
    raw: Path
    prepared: Path


def make_powers(folder: Path, power: int) -> Powers:
    start, raw, prepared = (folder / f"{name}.ptau" for name in ("start", "raw", "prepared"))
    snarkjs("powersoftau", "new", "bn128", power, start)
    snarkjs("powersoftau", "contribute", start, raw, "--name=test", stdin="some text\n")
    snarkjs("powersoftau", "prepare", "phase2", raw, prepared)
    return Powers(raw, prepared)


@pytest.fixture(scope="module")
def powers(tmp_path_factory: pytest.TempPathFactory) -> Powers:
    return make_powers(tmp_path_factory.mktemp("powers"), POWER)


@pytest.fixture(scope="module")
def other_powers(tmp_path_factory: pytest.TempPathFactory) -> Powers:
    """No more than the small circuit needs."""
    return make_powers(tmp_path_factory.mktemp("other powers"), 4)


@dataclass(frozen=True)
class Ceremony:
    """A finished ceremony with two contributors."""

    r1cs: Path
    ptau: Path
    keys: tuple[Path, ...]
    digests: tuple[str, ...]

    @property
    def final(self) -> Path:
        return self.keys[-1]


@pytest.fixture(scope="module")
def finished(powers: Powers, tmp_path_factory: pytest.TempPathFactory) -> Ceremony:
    folder = tmp_path_factory.mktemp("ceremony")
    r1cs = compiled(1).r1cs
    keys = tuple(folder / f"{number}.zkey" for number in range(4))
    digests = (
        ceremony.new(r1cs, powers.prepared, keys[0]),
        ceremony.contribute(keys[0], keys[1], "Alice", "her text"),
        ceremony.contribute(keys[1], keys[2], "Bob: contribution #9"),
        ceremony.beacon(keys[2], keys[3], "0x" + VALUE.upper(), 11),
    )
    assert sorted(folder.iterdir()) == sorted(keys)  # nothing else is left behind
    return Ceremony(r1cs, powers.prepared, keys, digests)


@pytest.fixture(scope="module")
def keys(finished: Ceremony, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exports of two ceremonies from the same powers, in folders with the names of the default circuits.

    Their circuits are the small one, which has a witness for any public inputs.
    """
    folder = tmp_path_factory.mktemp("keys")
    other = folder / "other.zkey"
    ceremony.beacon(finished.keys[1], other, VALUE)
    for key, params in ((finished.final, DEFAULT_TRANSFERS), (other, DEFAULT_OPERATIONS)):
        ceremony.export(key, finished.r1cs, finished.ptau, folder / params.name)
    return folder


@dataclass(frozen=True)
class SmallProver:
    """Proves any public inputs with an exported key."""

    prover: ZKProver
    calculator: WitnessCalculator

    @classmethod
    def load(cls, folder: Path) -> "SmallProver":
        wasm = folder / "circuit.wasm"
        # The circuit's name is not looked at.
        prover = ZKProver(folder / "circuit.zkey", folder / "verification_key.json", TEST_TRANSFERS, wasm=wasm)
        return cls(prover, WitnessCalculator(wasm))

    def prove(self, z: int, digest: int, y: int) -> Proof:
        w = [z * y * pow(digest, -1, R) % R, 1, 1, 1]
        witness = self.calculator.calculate({"z": z, "D": digest, "y": y, "w": w})
        return self.prover.prove_witness(witness, PublicInputs(z, digest, y))


def section(key: Path, kind: int) -> tuple[int, int]:
    """Offset and length of a section of a .zkey file."""
    data = key.read_bytes()
    offset = 12
    while True:
        number, length = struct.unpack_from("<IQ", data, offset)
        if number == kind:
            return offset + 12, length
        offset += 12 + length


def invoke(*arguments: object, stdin: str | None = None) -> Result:
    """`ape run ceremony …` as click sees it."""
    spec = importlib.util.spec_from_file_location("ceremony_script", PROJECT / "scripts" / "ceremony.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return CliRunner().invoke(module.cli, [str(argument) for argument in arguments], input=stdin)


def refused(message: str, *arguments: object) -> None:
    """The command ends with one line and exit code 1."""
    result = invoke(*arguments)
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    assert [line.startswith("Error: ") for line in result.output.splitlines()].count(True) == 1
    last = result.output.splitlines()[-1]
    assert last.startswith("Error: ")
    assert message in last


# --- The whole way


def test_transcript_names_everybody_with_the_hash_they_saw(finished: Ceremony) -> None:
    transcript = ceremony.verify(finished.final, finished.r1cs, finished.ptau)
    assert transcript.circuit_hash == finished.digests[0]
    assert [(entry.name, entry.digest, entry.beacon) for entry in transcript.contributions] == [
        ("Alice", finished.digests[1], None),
        ("Bob: contribution #9", finished.digests[2], None),
        ("beacon", finished.digests[3], Beacon(VALUE, 11)),
    ]
    assert all(len(digest) == 128 for digest in finished.digests)


def test_every_key_on_the_way_verifies(finished: Ceremony) -> None:
    for number, key in enumerate(finished.keys):
        assert len(ceremony.verify(key, finished.r1cs, finished.ptau).contributions) == number


def test_exported_keys_prove(finished: Ceremony, tmp_path: Path) -> None:
    exported = ceremony.export(finished.final, finished.r1cs, finished.ptau, tmp_path / "out")
    assert exported.transcript == ceremony.verify(finished.final, finished.r1cs, finished.ptau)
    prover = ZKProver(exported.proving_key, exported.verification_key, TEST_TRANSFERS)
    witness = WitnessCalculator(tmp_path / "out" / "circuit.wasm").calculate(INPUTS)
    public = PublicInputs(30, 2, 4)
    proof = prover.prove_witness(witness, public)
    assert prover.verify_proof(proof, public)
    # Each contribution makes another key: a proof for one is none for the next.
    earlier = tmp_path / "earlier.json"
    snarkjs("zkey", "export", "verificationkey", finished.keys[2], earlier)
    before = ZKProver(finished.keys[2], earlier, TEST_TRANSFERS, wasm=tmp_path / "out" / "circuit.wasm")
    assert not before.verify_proof(proof, public)


def test_exported_solidity_verifier_takes_the_keys_proofs_only(keys: Path, anvil: Anvil) -> None:
    folder, other = keys / DEFAULT_TRANSFERS.name, keys / DEFAULT_OPERATIONS.name
    question = {
        "language": "Solidity",
        "sources": {"verifier.sol": {"content": (folder / "verifier.sol").read_text()}},
        "settings": {"outputSelection": {"*": {"*": ["abi", "evm.bytecode.object"]}}},
    }
    compiled = solcx.compile_standard(question, solc_version=SOLC_VERSION)["contracts"]["verifier.sol"]
    contract = compiled["Groth16Verifier"]
    web3 = anvil.chain.web3
    factory = web3.eth.contract(abi=contract["abi"], bytecode=contract["evm"]["bytecode"]["object"])
    made = web3.eth.wait_for_transaction_receipt(factory.constructor().transact({"from": signer(0).address}))
    verify = web3.eth.contract(address=made["contractAddress"], abi=contract["abi"]).functions.verifyProof

    public = [30, 2, 4]
    proof = SmallProver.load(folder).prove(*public)
    assert verify(proof.a, proof.b, proof.c, public).call()
    for position in range(3):
        for change in (1, R):
            changed = [value + change * (i == position) for i, value in enumerate(public)]
            assert not verify(proof.a, proof.b, proof.c, changed).call()
    assert not verify(proof.a, proof.b, (proof.c[0], Q - proof.c[1]), public).call()
    theirs = SmallProver.load(other).prove(*public)
    assert not verify(theirs.a, theirs.b, theirs.c, public).call()


# --- From exported keys to a rollup


def test_joined_keys_are_deployed_on_a_public_chain_and_take_a_batch(keys: Path, tmp_path: Path) -> None:
    joined = tmp_path / "verifying_keys.json"
    result = invoke("join", keys, joined)
    assert result.exit_code == 0, result.output
    assert f"written: {joined}" in result.output
    real = VerifyingKeys.from_json(joined)
    assert real.circuits == DEFAULT_CIRCUITS
    assert not real.is_development
    assert real == verifying_keys(DEFAULT_CIRCUITS, keys)

    operator = signer(0)
    with Anvil(tmp_path / "log", "--chain-id", "9999") as anvil:
        development = VerifyingKeys.from_json(GENERATED / "verifying_keys.json")
        with pytest.raises(DeploymentError, match="development keys on chain 9999"):
            deploy(anvil.chain, operator, development, RollupConfig())
        assert anvil.chain.nonce(operator.address) == 0
        deployment = deploy(anvil.chain, operator, real, RollupConfig()).deployment
        assert (deployment.chain_id, deployment.development_keys, deployment.tokens) == (9999, False, ())

        rollup, sizes = open_rollup(anvil.chain, deployment), Sizes(12, 6, 5, 4)
        tip = rollup.tip()
        segments = (
            Segment(TRANSFERS, (transfer(sizes, 1, 2, 5),), root=11),
            Segment(OPERATIONS, (slot(6, account=1),), root=12),
        )
        batch = Batch(tip.timestamp, segments)
        inputs = batch.public_inputs(sizes, deployment.domain, tip.state_root, tip.next_index)
        proofs = [
            points(SmallProver.load(keys / params.name).prove(z, segment.digest, y))
            for params, segment, (z, y) in zip((DEFAULT_TRANSFERS, DEFAULT_OPERATIONS), segments, inputs, strict=True)
        ]
        tip_hash, data = rollup.view("tipHash"), bytearray(batch.encode())
        data[-1] ^= 1
        for wrong in (
            rollup.submit_call(batch.root, tip_hash, bytes(data), proofs),
            rollup.submit_call(batch.root, tip_hash, batch.encode(), proofs[::-1]),
        ):
            with pytest.raises(RevertedError) as refusal:
                anvil.chain.call(rollup.address, wrong, operator.address)
            assert refusal.value.name == "InvalidProof"
        send(anvil.chain, operator, rollup.address, rollup.submit_call(batch.root, tip_hash, batch.encode(), proofs))
        assert (rollup.tip().batch_id, rollup.tip().state_root) == (1, batch.root)


def test_join_refuses_development_keys(tmp_path: Path) -> None:
    refused("holds development keys: export those of a ceremony to it", "join", BUILD, tmp_path / "keys.json")
    assert not (tmp_path / "keys.json").exists()


def test_join_refuses_missing_keys(tmp_path: Path) -> None:
    refused("is missing", "join", tmp_path, tmp_path / "keys.json")
    assert not (tmp_path / "keys.json").exists()


def test_join_refuses_keys_from_different_powers_of_tau(keys: Path, tmp_path: Path) -> None:
    (tmp_path / DEFAULT_TRANSFERS.name).symlink_to(keys / DEFAULT_TRANSFERS.name)
    (tmp_path / DEFAULT_OPERATIONS.name).symlink_to(BUILD / DEFAULT_OPERATIONS.name)
    refused("differ in alpha, beta or gamma", "join", tmp_path, tmp_path / "keys.json")
    assert not (tmp_path / "keys.json").exists()


# --- The same as commands, and secrets


def test_same_ceremony_on_the_command_line(powers: Powers, tmp_path: Path) -> None:
    circuit = ("--circuit", compiled(1).r1cs, "--ptau", powers.prepared)
    keys = [tmp_path / f"{number}.zkey" for number in range(3)]
    secret = "correct horse battery staple"
    for arguments, stdin in (
        (("powers", powers.prepared), None),
        (("new", *circuit, keys[0]), None),
        (("contribute", keys[0], keys[1], "--name", "Carol"), secret + "\n"),
        (("beacon", keys[1], keys[2], "--value", VALUE), None),
        (("verify", *circuit, keys[2]), None),
        (("export", *circuit, "--out", tmp_path / "out", keys[2]), None),
    ):
        result = invoke(*arguments, stdin=stdin)
        assert result.exit_code == 0, result.output
        assert secret not in result.output
    assert "1. Carol" in result.output
    assert f"2. beacon (beacon {VALUE}, 2^10 hashes)" in result.output
    assert (tmp_path / "out" / "circuit.zkey").read_bytes() == keys[2].read_bytes()


def test_entropy_is_in_no_process_list_and_no_environment(
    finished: Ceremony, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, seen = find_program("node"), tmp_path / "seen"
    program = tmp_path / "bin" / "node"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n(echo "$@"; env) > "{seen}"\nexec "{node}" "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    secret = "my dog's maiden name"
    result = invoke("contribute", finished.keys[0], tmp_path / "new.zkey", "--name", "Dave", stdin=secret)
    assert result.exit_code == 0, result.output
    assert "ceremony.mjs" in seen.read_text()
    for text in (seen.read_text(), result.output, (tmp_path / "new.zkey").read_bytes().decode("latin-1")):
        assert secret not in text


def test_same_text_twice_gives_two_contributions(finished: Ceremony, tmp_path: Path) -> None:
    digests = {ceremony.contribute(finished.keys[0], tmp_path / f"{number}.zkey", "Eve", "text") for number in range(2)}
    assert len(digests) == 2


# --- Tampering


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (2, "keys"),
        (3, "IC"),
        (4, "coefficients"),
        (5, "A"),
        (6, "B1"),
        (7, "B2"),
        (8, "L"),
        (9, "H"),
        (10, "transcript"),
    ],
)
def test_any_changed_section_is_noticed(kind: int, what: str, finished: Ceremony, tmp_path: Path) -> None:
    offset, length = section(finished.final, kind)
    data = bytearray(finished.final.read_bytes())
    # In section 2, the points after the sizes; in the transcript, in the first contribution's points.
    position = {2: length - 200, 4: length - 1, 10: 64 + 4 + 70}.get(kind, length // 2)
    data[offset + position] ^= 1
    tampered = tmp_path / f"{what}.zkey"
    tampered.write_bytes(data)
    # Export verifies.
    arguments = ("--circuit", finished.r1cs, "--ptau", finished.ptau)
    refused(str(tampered), "export", *arguments, "--out", tmp_path / "out", tampered)
    assert not (tmp_path / "out").exists()


def test_key_with_a_contribution_cut_from_its_transcript(finished: Ceremony, tmp_path: Path) -> None:
    """The transcript of an earlier key, with the points of the last one."""
    last, earlier = finished.final.read_bytes(), finished.keys[1].read_bytes()
    (offset, length), (start, size) = section(finished.final, 10), section(finished.keys[1], 10)
    tampered = tmp_path / "tampered.zkey"
    tampered.write_bytes(last[: offset - 8] + struct.pack("<Q", size) + earlier[start : start + size])
    assert offset + length == len(last)
    with pytest.raises(CeremonyError, match="does not verify"):
        ceremony.verify(tampered, finished.r1cs, finished.ptau)


def test_key_of_another_circuit_of_the_same_size(finished: Ceremony) -> None:
    other = compiled(7).r1cs
    assert other.stat().st_size == finished.r1cs.stat().st_size
    with pytest.raises(CeremonyError, match="does not verify"):
        ceremony.verify(finished.final, other, finished.ptau)


def test_key_of_a_circuit_of_another_size(finished: Ceremony) -> None:
    source = "pragma circom 2.2.3; template A() { signal input a; signal output b; b <== a * a; } component main = A();"
    other = compile_circuit(source, PROJECT / "build" / "circuits-test").r1cs
    with pytest.raises(CeremonyError, match=r"key of another circuit: \d+ wires and 3 public inputs"):
        ceremony.verify(finished.final, other, finished.ptau)


def test_key_from_other_powers_of_tau(finished: Ceremony, other_powers: Powers) -> None:
    with pytest.raises(CeremonyError, match="does not verify"):
        ceremony.verify(finished.final, finished.r1cs, other_powers.prepared)


def test_development_key_is_no_ceremonys(finished: Ceremony, tmp_path: Path) -> None:
    key = tmp_path / "development.zkey"
    script = PROJECT / "circuits" / "tools" / "dev_setup.mjs"
    subprocess.run(
        [find_program("node"), script, finished.r1cs, key, "transfers"], check=True, capture_output=True, text=True
    )
    with pytest.raises(CeremonyError, match="does not verify"):
        ceremony.verify(key, finished.r1cs, finished.ptau)


# --- Too early


def test_export_needs_a_contribution_and_a_beacon(finished: Ceremony, tmp_path: Path) -> None:
    out, circuit = tmp_path / "out", (finished.r1cs, finished.ptau)
    with pytest.raises(CeremonyError, match="nobody has contributed"):
        ceremony.export(finished.keys[0], *circuit, out)
    ceremony.beacon(finished.keys[0], tmp_path / "beacon.zkey", VALUE)
    with pytest.raises(CeremonyError, match="nobody has contributed"):
        ceremony.export(tmp_path / "beacon.zkey", *circuit, out)
    with pytest.raises(CeremonyError, match="no beacon closes"):
        ceremony.export(finished.keys[2], *circuit, out)
    assert not out.exists()


# --- Wrong files and values


def damage(path: Path, target: Path, change: Callable[[bytearray], object]) -> Path:
    data = bytearray(path.read_bytes())
    change(data)
    target.write_bytes(data)
    return target


def test_powers_of_tau_that_cannot_be_used(powers: Powers, finished: Ceremony, tmp_path: Path) -> None:
    r1cs, key, good = finished.r1cs, tmp_path / "new.zkey", powers.prepared
    half = good.stat().st_size // 2
    cases = {
        tmp_path / "nowhere.ptau": "nowhere.ptau is missing",
        tmp_path: "Is a directory",
        powers.raw: "is not prepared for phase 2",
        finished.final: "this is another kind of file",
        damage(good, tmp_path / "empty", lambda data: data.clear()): "this is another kind of file",
        damage(good, tmp_path / "cut", lambda data: data.__delitem__(slice(half, None))): "cut short",
        damage(good, tmp_path / "header", lambda data: data.__delitem__(slice(20, None))): "ends before section 1",
    }
    for ptau, message in cases.items():
        for arguments in (("new", key), ("verify", finished.final)):
            refused(message, arguments[0], "--circuit", r1cs, "--ptau", ptau, arguments[1])
        refused(message, "powers", ptau)
    assert not key.exists()


def test_changed_powers_of_tau_do_not_verify(powers: Powers, tmp_path: Path) -> None:
    half = powers.prepared.stat().st_size // 2

    def flip(data: bytearray) -> None:
        data[half] ^= 1

    ceremony.verify_powers(powers.prepared)
    changed = damage(powers.prepared, tmp_path / "changed.ptau", flip)
    assert ceremony.file_hash(changed) != ceremony.file_hash(powers.prepared)
    with pytest.raises(CeremonyError, match=r"does not verify|broke off"):
        ceremony.verify_powers(changed)


def test_too_small_powers_of_tau_name_the_power_needed(tmp_path: Path, finished: Ceremony) -> None:
    ptau = make_powers(tmp_path, 2).prepared
    assert ceremony.needed_power(finished.r1cs) == 4
    message = "has power 2, " + str(finished.r1cs) + " needs 4: take a file of power 4 or more"
    refused(message, "new", "--circuit", finished.r1cs, "--ptau", ptau, tmp_path / "x.zkey")
    refused(message, "verify", "--circuit", finished.r1cs, "--ptau", ptau, finished.final)


def test_smallest_sufficient_powers_of_tau_do(tmp_path: Path, finished: Ceremony, other_powers: Powers) -> None:
    ptau = other_powers.prepared
    ceremony.new(finished.r1cs, ptau, tmp_path / "0.zkey")
    assert ceremony.verify(tmp_path / "0.zkey", finished.r1cs, ptau).contributions == ()


def test_circuits_and_keys_that_cannot_be_used(finished: Ceremony, tmp_path: Path) -> None:
    ptau, out = finished.ptau, tmp_path / "x.zkey"
    refused("nowhere.r1cs is missing", "new", "--circuit", tmp_path / "nowhere.r1cs", "--ptau", ptau, out)
    refused("circuit.r1cs is missing", "new", "--circuit", "transfers-9-9-9", "--ptau", ptau, out)
    broken = damage(finished.r1cs, tmp_path / "broken.r1cs", lambda data: data.__delitem__(slice(40, None)))
    refused("broken.r1cs", "new", "--circuit", broken, "--ptau", ptau, out)
    half = damage(finished.final, tmp_path / "half.zkey", lambda data: data.__delitem__(slice(900, None)))
    for key, message in ((tmp_path / "nowhere.zkey", "is missing"), (ptau, "another kind"), (half, "half.zkey")):
        refused(message, "contribute", key, out, "--name", "Frank")
        refused(message, "beacon", key, out, "--value", VALUE)
        refused(message, "verify", "--circuit", finished.r1cs, "--ptau", ptau, key)
    assert not out.exists()


def test_no_contribution_is_overwritten(finished: Ceremony) -> None:
    before = finished.keys[1].read_bytes()
    for arguments in (
        ("new", "--circuit", finished.r1cs, "--ptau", finished.ptau, finished.keys[1]),
        ("contribute", finished.keys[0], finished.keys[1], "--name", "Grace"),
        ("contribute", finished.keys[1], finished.keys[1], "--name", "Grace"),
        ("beacon", finished.keys[0], finished.keys[1], "--value", VALUE),
    ):
        refused("exists: choose another name", *arguments)
    assert finished.keys[1].read_bytes() == before


@pytest.mark.parametrize("value", ["", "0x", "ab" * 31, "ab" * 33, "zz" * 32, "ab" * 31 + "a"])
def test_beacons_that_are_not_32_bytes(value: str, finished: Ceremony, tmp_path: Path) -> None:
    refused("is not 32 bytes of hex", "beacon", finished.keys[2], tmp_path / "x.zkey", "--value", value)


@pytest.mark.parametrize("iterations", [-1, 9, 33, 1000])
def test_iterations_out_of_range(iterations: int, finished: Ceremony, tmp_path: Path) -> None:
    with pytest.raises(CeremonyError, match="give an exponent from 10 to 32"):
        ceremony.beacon(finished.keys[2], tmp_path / "x.zkey", VALUE, iterations)


@pytest.mark.parametrize("name", ["", "x" * 101, "line\nbreak", "\x1b[31mred"])
def test_names_that_would_spoil_the_transcript(name: str, finished: Ceremony, tmp_path: Path) -> None:
    with pytest.raises(CeremonyError, match="printable characters"):
        ceremony.contribute(finished.keys[0], tmp_path / "x.zkey", name)


def test_hostile_name_in_a_key_cannot_pose_as_a_beacon(finished: Ceremony, tmp_path: Path) -> None:
    """A contributor without our checks: the name holds what a verified transcript looks like."""
    name = f"x:\nBeacon generator: {VALUE}\nBeacon iterations Exp: 10\n\x1b[2J"
    key = tmp_path / "hostile.zkey"
    snarkjs("zkey", "contribute", finished.keys[0], key, f"--name={name}", stdin="text\n")
    transcript = ceremony.verify(key, finished.r1cs, finished.ptau)
    assert [entry.beacon for entry in transcript.contributions] == [None]
    assert transcript.contributions[0].name.isprintable()


def test_missing_and_failing_node(finished: Ceremony, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    out = tmp_path / "x.zkey"
    refused("Node is not on the PATH: install Node 20", "contribute", finished.keys[0], out, "--name", "Heidi")
    program = tmp_path / "node"
    program.write_text("#!/bin/sh\necho 'RangeError: out of memory' >&2\nexit 134\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    refused("exit code 134 (RangeError: out of memory)", "contribute", finished.keys[0], out, "--name", "Heidi")
    assert sorted(tmp_path.iterdir()) == [program]


def test_unreadable_headers_are_format_errors(finished: Ceremony, tmp_path: Path) -> None:
    from layer2.zk.keyfiles import read_zkey_header

    offset, _ = section(finished.final, 1)
    path = damage(finished.final, tmp_path / "plonk.zkey", lambda data: data.__setitem__(offset, 2))
    with pytest.raises(FormatError, match="protocol 2, not Groth16"):
        read_zkey_header(path)


def test_export_into_the_circuits_own_folder(finished: Ceremony, tmp_path: Path) -> None:
    """Exporting beside the circuit must not truncate the files it copies."""
    for name in ("circuit.r1cs", "circuit.wasm", "circuit.sym"):
        shutil.copy(finished.r1cs.with_name(name), tmp_path / name)
    ceremony.export(finished.final, tmp_path / "circuit.r1cs", finished.ptau, tmp_path)
    assert (tmp_path / "circuit.wasm").read_bytes() == finished.r1cs.with_name("circuit.wasm").read_bytes()
