"""BatchVerifier against the verifiers that snarkjs exports, on proofs of the default circuits."""

from dataclasses import replace

import pytest
from eth_utils import keccak

from layer2.crypto.eddsa import PrivateKey
from layer2.ledger.operations import Operation, sign_operation
from layer2.ledger.state import State
from layer2.ledger.transition import Context, apply
from layer2.zk.batch import Circuits, plan_segments
from layer2.zk.build import DEFAULT_CIRCUITS, GENERATED, build_circuits
from layer2.zk.keys import VerifyingKeys
from layer2.zk.prover import ZKProver, prove_batch
from tests.support.reverts import call, reverts
from tests.support.toy_keys import Proof, Q, R, Statement, negate_g1, negate_g2

KEY = PrivateKey.from_seed(keccak(b"key"))
OWNER = 0xA11CE


@pytest.fixture(scope="module")
def statements() -> list[Statement]:
    """A proof of each default circuit: three deposits, then six transfers."""
    circuits: Circuits = DEFAULT_CIRCUITS
    build_circuits([circuits.transfers, circuits.operations])
    state, steps = State.genesis(circuits.levels), []
    items = [Operation.deposit(0, 10**18, OWNER, KEY.public_key) for _ in range(3)]
    items += [
        sign_operation(
            KEY,
            5,
            Operation.transfer(1, 2, 0, 10**9 + i, 0x11),
            nonce=i,
            expiry=99,
            recipient_owner=OWNER,
            recipient_key=KEY.public_key,
        )
        for i in range(6)
    ]
    for item in items:
        steps.append(apply(state, item, Context(5, 77)))
        state = steps[-1].state_after
    segments = plan_segments(steps, circuits, 5, 77)
    proofs = prove_batch(segments, [ZKProver.load(p) for p in (circuits.transfers, circuits.operations)])
    numbers = {"transfers": 0, "operations": 1}
    return [
        Statement(
            numbers[s.params.kind], s.public_inputs.z, s.public_inputs.digest, s.public_inputs.y, Proof(p.a, p.b, p.c)
        )
        for s, p in zip(segments, proofs, strict=True)
    ]


@pytest.fixture(scope="module")
def default_verifier(project, deployer):
    keys = VerifyingKeys.from_json(GENERATED / "verifying_keys.json")
    return deployer.deploy(project.BatchVerifier, *keys.constructor_arguments)


@pytest.fixture(scope="module")
def snarkjs(project, deployer):
    """snarkjs's verifiers by circuit number."""
    return [deployer.deploy(project.TransfersVerifier), deployer.deploy(project.OperationsVerifier)]


@pytest.fixture
def verdict(default_verifier, snarkjs):
    """What both say of a statement, which has to be the same."""

    def agree(statement: Statement) -> bool:
        p = statement.proof
        inputs = [statement.z, statement.digest, statement.y]
        theirs = snarkjs[statement.circuit].verifyProof(p.a, p.b, p.c, inputs)
        calldata = bytes(default_verifier.verify.encode_input(statement.encode()))
        if theirs:
            call(default_verifier, calldata)
        else:
            with reverts(default_verifier.InvalidProof):
                call(default_verifier, calldata)
        return bool(theirs)

    return agree


def test_both_accept_good_proofs(statements, verdict, default_verifier):
    assert [s.circuit for s in statements] == [1, 0]
    assert all(verdict(s) for s in statements)
    assert default_verifier.verify(b"".join(s.encode() for s in statements))


def test_both_accept_rerandomised_proofs(statements, verdict):
    for s in statements:
        assert verdict(replace(s, proof=replace(s.proof, a=negate_g1(s.proof.a), b=negate_g2(s.proof.b))))


@pytest.mark.parametrize("word", range(1, 12))
def test_both_refuse_changed_words(statements, verdict, word):
    for s in statements:
        for change in (1, -1, R, Q, Q - R):
            words = s.words()
            words[word] += change
            circuit, z, digest, y, a0, a1, b0, b1, b2, b3, c0, c1 = words
            if min(words) >= 0 and max(words) < 2**256:
                changed = Statement(circuit, z, digest, y, Proof((a0, a1), ((b0, b1), (b2, b3)), (c0, c1)))
                assert not verdict(changed)


def test_both_refuse_the_other_circuits_proof(statements, verdict):
    operations, transfers = statements
    assert not verdict(replace(transfers, circuit=1))
    assert not verdict(replace(operations, circuit=0))
    assert not verdict(replace(transfers, proof=operations.proof))


def test_both_refuse_zeros(statements, verdict):
    zero = Proof((0, 0), ((0, 0), (0, 0)), (0, 0))
    for s in statements:
        assert not verdict(replace(s, proof=zero))
        assert not verdict(Statement(s.circuit, 0, 0, 0, zero))
