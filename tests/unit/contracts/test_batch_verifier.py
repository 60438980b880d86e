"""BatchVerifier: all proofs of a batch, one pairing.

The keys are toys whose trapdoor makes proofs; the pairing is real.
"""

from dataclasses import replace
from functools import partial

import pytest
from eth_utils import keccak

from tests.support.batches import Sizes
from tests.support.reverts import call, reverts
from tests.support.toy_keys import (
    Proof,
    Q,
    R,
    Statement,
    Trapdoor,
    add_g1,
    encode,
    g1,
    negate_g1,
    negate_g2,
    scalar,
    twist_point_outside_subgroup,
)
from tests.unit.contracts.conftest import OUT_OF_GAS, failure, selector


@pytest.fixture(scope="module")
def statements(trapdoor) -> list[Statement]:
    """Three valid statements: two of the transfers circuit and one of the operations circuit between them."""
    return [trapdoor.prove(circuit, 100 + i, 200 + i, 300 + i, salt=str(i)) for i, circuit in enumerate((0, 1, 0))]


def batch(statements: list[Statement]) -> bytes:
    return b"".join(statement.encode() for statement in statements)


def refused(verifier, data: bytes, gas: int = 30_000_000) -> None:
    with reverts(verifier.InvalidProof):
        call(verifier, bytes(verifier.verify.encode_input(data)), gas=gas)


@pytest.mark.parametrize("size", [0, 1, 31, 383, 385, 767])
def test_refuses_what_is_not_a_list_of_statements(verifier, statements, size):
    refused(verifier, batch(statements)[:size])


def test_refuses_extra_bytes(verifier, statements):
    refused(verifier, batch(statements) + b"\0")
    refused(verifier, batch(statements) + bytes(384))


@pytest.mark.parametrize("circuit", [2, 3, 256, 2**256 - 2, 2**256 - 1])
def test_refuses_unknown_circuits(verifier, statements, circuit):
    refused(verifier, batch([replace(statements[0], circuit=circuit)]))
    refused(verifier, batch([statements[1], replace(statements[0], circuit=circuit)]))


@pytest.mark.parametrize("position", range(3))
@pytest.mark.parametrize("name", ["z", "digest", "y"])
def test_attack_public_input_plus_r(verifier, statements, position, name):
    """Scalars are reduced by the curve, so the equation holds: the range has to be checked."""
    changed = list(statements)
    changed[position] = replace(changed[position], **{name: getattr(changed[position], name) + R})
    refused(verifier, batch(changed))


@pytest.mark.parametrize("name", ["z", "digest", "y"])
def test_public_inputs_may_be_anything_below_r(verifier, trapdoor, name):
    for value in (0, R - 1):
        inputs = {"z": 1, "digest": 2, "y": 3, name: value}
        assert verifier.verify(batch([trapdoor.prove(1, **inputs)]))
    refused(verifier, batch([replace(trapdoor.prove(1, **{**inputs, name: 0}), **{name: R})]))


@pytest.mark.parametrize("position", range(3))
@pytest.mark.parametrize("word", range(12))
def test_attack_any_word_changed(verifier, statements, position, word):
    """The circuit, each public input and each coordinate of each proof."""
    words = [w for statement in statements for w in statement.words()]
    words[12 * position + word] ^= 1
    refused(verifier, encode(words))


@pytest.mark.parametrize("position", range(3))
@pytest.mark.parametrize("word", range(4, 12))
def test_attack_coordinate_plus_q(verifier, statements, position, word):
    words = [w for statement in statements for w in statement.words()]
    words[12 * position + word] += Q
    refused(verifier, encode(words))


@pytest.mark.parametrize("position", range(2))
def test_attack_all_zero_proof(verifier, statements, position):
    zero = Proof((0, 0), ((0, 0), (0, 0)), (0, 0))
    changed = list(statements)
    changed[position] = replace(changed[position], proof=zero)
    refused(verifier, batch(changed))
    refused(verifier, batch([Statement(0, 0, 0, 0, zero)]))
    refused(verifier, bytes(384))


@pytest.mark.parametrize("position", range(3))
def test_attack_single_points_at_infinity(verifier, statements, position):
    proof = statements[position].proof
    for spoilt in (replace(proof, a=(0, 0)), replace(proof, b=((0, 0), (0, 0))), replace(proof, c=(0, 0))):
        changed = list(statements)
        changed[position] = replace(changed[position], proof=spoilt)
        refused(verifier, batch(changed))


@pytest.mark.parametrize("position", range(3))
def test_attack_point_not_in_subgroup(verifier, statements, position):
    changed = list(statements)
    changed[position] = replace(
        changed[position], proof=replace(changed[position].proof, b=twist_point_outside_subgroup())
    )
    refused(verifier, batch(changed))


@pytest.mark.parametrize("position", range(3))
def test_attack_point_off_curve(verifier, statements, position):
    proof = statements[position].proof
    for spoilt in (
        replace(proof, a=(1, 1)),
        replace(proof, b=((1, 1), (1, 1))),
        replace(proof, c=(1, 1)),
        replace(proof, a=(0, 1)),
        replace(proof, c=(0, 1)),
    ):
        changed = list(statements)
        changed[position] = replace(changed[position], proof=spoilt)
        refused(verifier, batch(changed))


@pytest.mark.parametrize("position", range(2))
def test_attack_points_off_curve_that_count_as_nothing(verifier, trapdoor, statements, position):
    """A precompile that fails writes nothing. If that went unnoticed, a bad point would stand for infinity."""
    valid = [statements[1], statements[1]]
    valid[position] = trapdoor.prove_without_c(0, 1, 2, 3)
    assert verifier.verify(batch(valid))
    for bad in ((1, 1), (0, 1), (Q, 0), (0, Q), (1, Q + 2)):
        changed = list(valid)
        changed[position] = replace(changed[position], proof=replace(changed[position].proof, c=bad))
        refused(verifier, batch(changed))


def test_attack_proof_of_the_other_circuit(verifier, statements):
    for position in range(3):
        changed = list(statements)
        changed[position] = replace(changed[position], circuit=1 - changed[position].circuit)
        refused(verifier, batch(changed))


def test_attack_swapped_proofs_and_inputs(verifier, statements):
    first, _, third = statements
    refused(verifier, batch([replace(first, proof=third.proof), replace(third, proof=first.proof)]))
    refused(verifier, batch([replace(first, y=third.y), replace(third, y=first.y)]))


@pytest.mark.parametrize("pair", [(0, 1), (0, 2), (1, 2), (2, 3)])
def test_attack_compensating_points(verifier, trapdoor, pair):
    """What C of one proof gains, C of another loses. It goes unnoticed without coefficients, or with equal ones."""
    good = [trapdoor.prove(1, 10 + i, 20 + i, 30 + i) for i in range(4)]
    assert verifier.verify(batch(good))
    difference = g1(scalar("difference"))
    spoilt = list(good)
    for position, change in zip(pair, (difference, negate_g1(difference)), strict=True):
        proof = good[position].proof
        spoilt[position] = replace(good[position], proof=replace(proof, c=add_g1(proof.c, change)))
    refused(verifier, batch(spoilt))


def coefficient(seed: bytes, i: int) -> int:
    """ρᵢ as the specification has it."""
    return 1 if i == 0 else int.from_bytes(keccak(seed + i.to_bytes(32))[16:])


def compensated(trapdoor: Trapdoor, coefficients: list[int], salt: str) -> list[Statement]:
    """Two false statements whose errors cancel under these coefficients: C₀ is off by ρ₁, C₁ by −ρ₀."""
    rho0, rho1 = coefficients
    good = [trapdoor.prove(0, 11, 12, 13, salt="x"), trapdoor.prove(0, 21, 22, 23, salt=salt)]
    return [
        replace(good[0], proof=replace(good[0].proof, c=add_g1(good[0].proof.c, g1(rho1)))),
        replace(good[1], proof=replace(good[1].proof, c=add_g1(good[1].proof.c, g1(-rho0 % R)))),
    ]


def test_attack_coefficients_from_less_than_the_whole_batch(verifier, trapdoor):
    """Errors that cancel under some coefficients do so only as long as the coefficients stay the same. They are a hash
    over every word, so writing the errors into the proofs changes them."""
    good = [trapdoor.prove(0, 11, 12, 13, salt="x"), trapdoor.prove(0, 21, 22, 23, salt="y")]
    assert verifier.verify(batch(good))
    seed = keccak(batch(good))
    spoilt = compensated(trapdoor, [coefficient(seed, 0), coefficient(seed, 1)], salt="y")
    refused(verifier, batch(spoilt))

    # The forgery is a good one against a verifier whose coefficients leave out the points: shown by combining the
    # equations by hand, in the exponent.
    def error_in_exponent(coefficients: list[int]) -> int:
        return (coefficients[0] * coefficient(seed, 1) - coefficients[1] * coefficient(seed, 0)) % R

    assert error_in_exponent([coefficient(seed, 0), coefficient(seed, 1)]) == 0
    assert error_in_exponent([coefficient(keccak(batch(spoilt)), 0), coefficient(keccak(batch(spoilt)), 1)]) != 0


@pytest.mark.parametrize("word", range(24))
def test_every_word_of_the_batch_is_in_the_seed(verifier, trapdoor, word):
    """The seed is the hash of all words, in order: the coefficients depend on everything."""
    good = [trapdoor.prove(0, 11, 12, 13, salt="x"), trapdoor.prove(1, 21, 22, 23, salt="y")]
    words = [w for statement in good for w in statement.words()]
    assert bytes(verifier.verify(encode(words))) == keccak(encode(words))
    words[word] ^= 1
    assert keccak(encode(words)) != bytes(verifier.verify(batch(good)))


def test_order_matters_to_the_seed_only(verifier, statements):
    seeds = {bytes(verifier.verify(batch(order))) for order in (statements, statements[::-1])}
    assert seeds == {keccak(batch(statements)), keccak(batch(statements[::-1]))}


@pytest.mark.parametrize("circuits", [(0,), (1,), (0, 0), (1, 1), (0, 1), (1, 0), (0, 1, 1, 0, 0, 1, 0)])
def test_accepts_valid_batches_of_any_mix(verifier, trapdoor, circuits):
    data = batch([trapdoor.prove(c, i, i + 1, i + 2, salt=str(i)) for i, c in enumerate(circuits)])
    assert bytes(verifier.verify(data)) == keccak(data)


def test_the_same_proof_twice_is_as_true_as_once(verifier, statements):
    assert verifier.verify(batch([statements[0]] * 3))


def test_rerandomised_proofs_are_valid_too(verifier, statements):
    """Groth16 proofs can be changed into others of the same statement; nothing may depend on their being unique."""
    proof = statements[0].proof
    other = replace(statements[0], proof=replace(proof, a=negate_g1(proof.a), b=negate_g2(proof.b)))
    assert verifier.verify(batch([other, *statements[1:]]))


def test_sizes(verifier, sizes):
    assert (
        verifier.levels(),
        verifier.transfers(),
        verifier.operations(),
        verifier.tokens(),
    ) == sizes.astuple()


@pytest.mark.parametrize(
    "sizes",
    [
        Sizes(levels=0),
        Sizes(levels=17),
        Sizes(transfers=0),
        Sizes(transfers=2**16),
        Sizes(operations=0),
        Sizes(operations=2**16),
        Sizes(tokens=0),
        Sizes(tokens=65),
    ],
)
def test_deployment_refuses_sizes_that_the_data_format_cannot_hold(project, deployer, trapdoor, sizes):
    with reverts(project.BatchVerifier.InvalidSizes):
        deployer.deploy(project.BatchVerifier, trapdoor.key(), sizes.astuple())


@pytest.mark.parametrize("sizes", [Sizes(1, 1, 1, 1), Sizes(16, 2**16 - 1, 2**16 - 1, 64)])
def test_deployment_accepts_the_extreme_sizes(project, deployer, trapdoor, sizes):
    verifier = deployer.deploy(project.BatchVerifier, trapdoor.key(), sizes.astuple())
    assert verifier.levels() == sizes.levels


PARTS = ["alpha", "beta", "gamma", "delta 0", "delta 1", *(f"ic {c} {i}" for c in range(2) for i in range(4))]


@pytest.mark.parametrize("defect", ["infinity", "off curve", "not in subgroup"])
@pytest.mark.parametrize("part", PARTS)
def test_deployment_refuses_broken_keys(project, chain, deployer, trapdoor, sizes, part, defect):
    name, *numbers = part.split()
    in_g2 = name in ("beta", "gamma", "delta")
    if defect == "not in subgroup" and not in_g2:
        broken = (1, Q + 2)  # G1 has no other points; a coordinate that is not reduced instead
    elif in_g2:
        broken = {
            "infinity": ((0, 0), (0, 0)),
            "off curve": ((1, 2), (3, 4)),
            "not in subgroup": twist_point_outside_subgroup(),
        }[defect]
    else:
        broken = {"infinity": (0, 0), "off curve": (1, 3)}[defect]
    alpha, beta, gamma, *circuits = trapdoor.key()
    circuits = [[delta, list(ic)] for delta, ic in circuits]
    alpha, beta, gamma = (broken if name == n else v for n, v in (("alpha", alpha), ("beta", beta), ("gamma", gamma)))
    if name == "delta":
        circuits[int(numbers[0])][0] = broken
    if name == "ic":
        circuits[int(numbers[0])][1][int(numbers[1])] = broken
    container = project.BatchVerifier
    deployment = container.constructor.serialize_transaction(
        (alpha, beta, gamma, *map(tuple, circuits)), sizes.astuple(), sender=deployer, gas=10**7
    )
    # A call instead of a transaction: the same code, and Ape spends a second or two on tracing a failed deployment.
    with reverts(container.InvalidVerifyingKey):
        chain.provider.web3.eth.call({"data": bytes(deployment.data)})


@pytest.mark.parametrize("circuit", range(2))
def test_attack_key_without_phase_2(project, chain, deployer, trapdoor, sizes, circuit):
    """δ = γ, as in a key before phase 2: then A = α, B = β, C = −vkx is a proof of anything, without any secret."""
    alpha, beta, gamma, *circuits = trapdoor.key()
    circuits[circuit] = (gamma, circuits[circuit][1])
    container = project.BatchVerifier
    deployment = container.constructor.serialize_transaction(
        (alpha, beta, gamma, *circuits), sizes.astuple(), sender=deployer, gas=10**7
    )
    with reverts(container.InvalidVerifyingKey):
        chain.provider.web3.eth.call({"data": bytes(deployment.data)})


def test_attack_proof_under_another_key(project, deployer, sizes):
    """A verifier with other keys refuses what this one accepts."""
    other = Trapdoor("other")
    verifier = deployer.deploy(project.BatchVerifier, other.key(), sizes.astuple())
    assert verifier.verify(batch([other.prove(0, 1, 2, 3)]))
    refused(verifier, batch([Trapdoor().prove(0, 1, 2, 3)]))


def test_attack_pairing_that_fails_is_no_acceptance(project, deployer, sizes):
    """Keys whose last point is (1, 2): 1 is what the pairing says for yes, and it lies where the answer would."""
    keys = Trapdoor("generator")
    for ic in keys.ic:
        ic[3] = 1
    verifier = deployer.deploy(project.BatchVerifier, keys.key(), sizes.astuple())
    good = keys.prove(1, 1, 2, 3)
    assert verifier.verify(good.encode())
    refused(verifier, replace(good, proof=replace(good.proof, b=((1, 1), (1, 1)))).encode())


def test_too_little_gas_is_no_acceptance(verifier, statements):
    """A precompile that runs out of gas fails; it must not count as a yes."""
    refusal = selector(verifier.InvalidProof)
    bad = batch([*statements[:2], replace(statements[2], y=1)])
    for data, most in ((bad, 700_000), (batch(statements), 300_000)):
        calldata = bytes(verifier.verify.encode_input(data))
        seen = {failure(partial(call, verifier, calldata, gas=gas)) for gas in range(60_000, most, 40_000)}
        assert {refusal} <= seen <= {refusal, OUT_OF_GAS}
    assert verifier.verify(batch(statements), gas=700_000)
