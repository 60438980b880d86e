"""Attacks on the execution of a chunk: signatures, gas, data that nobody would write."""

import random
from dataclasses import replace

import pytest
from coincurve import PrivateKey
from eth_abi import encode as abi_encode
from eth_utils import keccak

from layer2.crypto.eip712 import GROUP_ORDER, MAX_S, address_of
from layer2.optimistic.batches import StateWords
from layer2.optimistic.constants import CHUNK_BYTES
from layer2.optimistic.operations import PurchaseNFT, Transfer, Withdraw
from layer2.optimistic.signing import domain_separator, message_of
from layer2.optimistic.transition import Context, execute_chunk
from layer2.optimistic.witness import Arguments, make_witness
from tests.unit.optimistic.world import (
    ALICE_ETH,
    ALICE_NFT,
    BOB_ETH,
    CHAIN_ID,
    CONTEXT,
    DOMAIN,
    NOW,
    ROLLUP,
    STATE,
    edit,
    sign,
)

TRANSFER = Transfer(ALICE_ETH, BOB_ETH, 100, 10, NOW)
SIGNED = sign(TRANSFER)
STATE_TYPE = "(bytes32,bytes32,uint64,uint64,uint64,uint256[4])"


@pytest.fixture
def execute(transition):
    """Executes operations in the contract; the state after."""

    def run(operations: bytes, state=STATE, context: Context = CONTEXT) -> StateWords:
        made = make_witness(state, context, operations, ())
        (answer,) = transition.execute([Arguments(state, context, operations, b"", made.witness)])
        assert isinstance(answer, StateWords), answer
        return answer

    return run


@pytest.fixture(scope="module")
def meter(project, deployer):
    return deployer.deploy(project.GasMeter)


def with_signature(r: int, s: int, parity: int) -> bytes:
    return replace(TRANSFER, signature=r.to_bytes(32) + (s | parity << 255).to_bytes(32)).encode()


R, S = int.from_bytes(SIGNED.signature[:32]), int.from_bytes(SIGNED.signature[32:]) & (1 << 255) - 1
PARITY = SIGNED.signature[32] >> 7


def test_the_signature_is_good(execute):
    assert with_signature(R, S, PARITY) == SIGNED.encode()
    assert execute(SIGNED.encode()) == StateWords.of(execute_chunk(STATE, CONTEXT, SIGNED.encode(), ())[0])
    assert execute(SIGNED.encode()) != StateWords.of(STATE)


@pytest.mark.parametrize(
    "signature",
    [
        # The twin of every signature. Some have an s beyond 2²⁵⁵, which does not fit beside the parity: then another.
        (R, GROUP_ORDER - S if GROUP_ORDER - S < 1 << 255 else (1 << 255) - 1, PARITY ^ 1),
        (R, MAX_S + 1, PARITY),
        (R, S, PARITY ^ 1),
        (R, 0, PARITY),
        (0, S, PARITY),
        (0, 0, 0),
        (GROUP_ORDER, S, PARITY),
        ((1 << 256) - 1, S, PARITY),
        # No point has this x.
        (5, S, PARITY),
        (R ^ 1, S, PARITY),
    ],
    ids=["high s", "just high s", "parity", "s 0", "r 0", "zero", "r order", "r max", "r off curve", "r changed"],
)
def test_attack_signature_that_is_not_the_owners(execute, signature):
    assert execute(with_signature(*signature)) == StateWords.of(STATE)


@pytest.mark.parametrize("s", [1, MAX_S, MAX_S + 1, (1 << 255) - 1])
def test_attack_high_s_that_recovers_the_owner(execute, s):
    """Most high s do not fit beside the parity, but some do: whoever chooses s first can find the key for it."""
    withdraw = Withdraw(ALICE_ETH, 100, 10, NOW)
    digest = int.from_bytes(message_of(withdraw, STATE.record).digest(DOMAIN))
    nonce = 12345
    r, y = PrivateKey.from_int(nonce).public_key.point()
    key = ((s * nonce - digest) * pow(r, -1, GROUP_ORDER) % GROUP_ORDER).to_bytes(32)
    state = edit(STATE, ALICE_ETH, owner=address_of(key))
    signed = replace(withdraw, signature=r.to_bytes(32) + (s | (y & 1) << 255).to_bytes(32)).encode()

    after = execute(signed, state)

    assert (after == StateWords.of(state)) == (s > MAX_S)
    assert after == StateWords.of(execute_chunk(state, CONTEXT, signed, ())[0])


def test_attack_recovered_zero_is_the_owner_zero(execute):
    """An account of address 0 cannot come to be. If there were one, no signature that recovers nothing would spend."""
    state = edit(STATE, ALICE_ETH, owner=0)
    for signature in (bytes(64), b"\xff" * 64, (5).to_bytes(32) + S.to_bytes(32)):
        assert execute(replace(TRANSFER, signature=signature).encode(), state) == StateWords.of(state)


@pytest.mark.parametrize(("chain_id", "rollup"), [(CHAIN_ID + 1, ROLLUP), (CHAIN_ID, ROLLUP + 1)])
def test_attack_signature_of_another_chain_or_deployment(execute, chain_id, rollup):
    assert execute(sign(TRANSFER, STATE, domain_separator(chain_id, rollup)).encode()) == StateWords.of(STATE)


def test_attack_the_same_operation_twice(execute):
    once = StateWords.of(execute_chunk(STATE, CONTEXT, SIGNED.encode(), ())[0])
    assert execute(SIGNED.encode() * 2) == once != StateWords.of(STATE)


def test_attack_recipient_that_changed_under_a_signature(execute):
    """After a rollback, the index may be somebody else's."""
    state = edit(STATE, BOB_ETH, owner=0xDEAD)
    assert execute(SIGNED.encode(), state) == StateWords.of(state)


def test_attack_too_little_gas_makes_a_signature_invalid(meter, transition):
    """ecrecover without gas returns nothing, as for a bad signature; no amount gives another state than enough does.

    Two things see to that: Solidity reverts when the precompile fails, and the 64th of the gas that is left then is too
    little to go on.
    """
    sale = sign(PurchaseNFT(ALICE_NFT, BOB_ETH, ALICE_ETH, 10, 10, NOW)).encode()
    for operations in (SIGNED.encode(), sale, sale + SIGNED.encode()):
        made = make_witness(STATE, CONTEXT, operations, ())
        data = transition.calldata(Arguments(STATE, CONTEXT, operations, b"", made.witness))
        used, result = meter.measure(transition.address, data)
        assert result == encode_state(made.after)
        assert made.after != STATE

        # The window in which ecrecover has too little is 3,000 wide.
        step = 11
        failed = different = 0
        for start in range(0, used + 5000, 250 * step):
            bad, other = meter.sweep(transition.address, data, start, start + 250 * step, step, keccak(result))
            failed, different = failed + bad, different + other
        assert different == 0
        # Somewhat more than what is used in the end is needed, since a call gets 63/64 of what is left.
        assert used - 3000 < failed * step < used + 2000


def encode_state(state) -> bytes:
    words = StateWords.of(state)
    return abi_encode(
        [STATE_TYPE],
        [
            (
                words.state_root,
                words.withdrawal_root,
                words.next_index,
                words.queue_cursor,
                words.withdrawal_count,
                words.fees,
            )
        ],
    )


def test_attack_data_that_makes_the_verifier_revert(execute):
    """Any bytes have an outcome: otherwise a sequencer could hide a wrong state behind data that nobody can execute."""
    source = random.Random(7)
    for size in (*range(130), CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5000):
        for kind in range(13):
            data = (bytes([kind]) + source.randbytes(size))[:size]
            assert execute(data) == StateWords.of(execute_chunk(STATE, CONTEXT, data, ())[0])


def test_attack_operations_without_end(execute):
    """Sixteen operations are executed, however many bytes follow."""
    state = edit(STATE, ALICE_ETH, balance=2**100)
    chunk = b""
    expected = after = state
    for number in range(20):
        operation = sign(Withdraw(ALICE_ETH, 1, 0, NOW), after).encode()
        chunk += operation
        after = execute_chunk(after, CONTEXT, operation, ())[0]
        if number == 15:
            expected = after
    assert execute(chunk, state) == StateWords.of(expected)
    assert expected.withdrawal_count == 16


def test_attack_withdrawal_beyond_the_tree(execute, transition):
    """2³² withdrawals fill their tree. One more has no place, so it must not be valid: no witness could dispute it."""
    withdraw = sign(Withdraw(ALICE_ETH, 100, 10, NOW)).encode()
    last = replace(STATE, withdrawal_count=2**32 - 1)
    assert execute(withdraw, last).withdrawal_count == 2**32
    assert execute(withdraw, last) == StateWords.of(execute_chunk(last, CONTEXT, withdraw, ())[0])
    full = replace(STATE, withdrawal_count=2**32)
    assert execute(withdraw, full) == StateWords.of(full)


def test_attack_withdrawal_root_moved_by_a_withdrawal_of_nothing(execute):
    nothing = sign(Withdraw(ALICE_ETH, 0, 10, NOW)).encode()
    after = execute(nothing)
    assert (after.withdrawal_root, after.withdrawal_count) == (STATE.withdrawal_root, STATE.withdrawal_count)
    assert after.state_root != STATE.state_root


def test_the_contract_fits_below_the_limit_of_code(transition_contract):
    code = transition_contract.provider.get_code(transition_contract.address)
    assert len(code) < 24_576
