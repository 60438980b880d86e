"""attacks.md, section "Ledger", end to end through the state manager. The rules one by one are in
test_transition_signed.py and test_state_manager.py, non-canonical floats in test_amounts.py."""

from dataclasses import replace

import pytest

from layer2.crypto.eddsa import Signature
from layer2.ledger.amounts import decode_float40, encode_float40
from layer2.ledger.operations import Operation, domain, queue_chain, sign_operation
from layer2.ledger.state import State
from layer2.ledger.state_manager import StateManager
from layer2.ledger.transition import Failure
from tests.unit.ledger.world import (
    ALICE,
    ALICE_ETH,
    BOB,
    BOB_ETH,
    BOB_USDC,
    CAROL,
    DOMAIN,
    ETH,
    KEYS,
    NOW,
    STATE,
    USDC,
    sign,
    transfer,
)

ALICE_DEPOSIT = Operation.deposit(ETH, 1000, ALICE, KEYS[0].public_key)
BOB_DEPOSIT = Operation.deposit(ETH, 1000, BOB, KEYS[1].public_key)
CAROL_DEPOSIT = Operation.deposit(ETH, 1000, CAROL, KEYS[2].public_key)

# Anybody can open an account that names Bob as its owner, with a key of their own.
MALLORY = KEYS[6]
BAIT_DEPOSIT = Operation.deposit(ETH, 1000, BOB, MALLORY.public_key)


def failure_of(manager, item, timestamp=NOW):
    (step,) = manager.validate_transactions([item], timestamp).steps
    return step.failure


def test_attack_recipient_index_repointed_after_a_rollback():
    """Alice signs for index 2 while it is Bob's. After a rollback (a reorg reordered the deposits) it is Carol's."""
    manager = StateManager(State.genesis(2), DOMAIN)
    manager.submit_batch([ALICE_DEPOSIT], NOW)
    snapshot = manager.state
    manager.submit_batch([BOB_DEPOSIT], NOW)
    item = transfer(500, to=2, owner=BOB)
    assert failure_of(manager, item) is None

    manager.state = snapshot
    manager.submit_batch([CAROL_DEPOSIT, BOB_DEPOSIT], NOW)
    assert failure_of(manager, item) is Failure.RECIPIENT_OWNER_MISMATCH
    # Nor does it help a relayer to name another owner than the one signed, or the index where Bob is now.
    assert failure_of(manager, replace(item, recipient_owner=CAROL)) is Failure.RECIPIENT_KEY_MISMATCH
    renamed = replace(item, recipient_owner=CAROL, recipient_key=KEYS[2].public_key)
    assert failure_of(manager, renamed) is Failure.INVALID_SIGNATURE
    redirected = replace(item, operation=replace(item.operation, to=3))
    assert failure_of(manager, redirected) is Failure.INVALID_SIGNATURE
    assert manager.state.account(2).balance == 1000


def test_attack_recipient_index_repointed_to_an_account_of_the_same_owner_with_another_key():
    """As above, but the deposit that takes Bob's index names Bob as well: Mallory opened it, with Mallory's key."""
    manager = StateManager(State.genesis(2), DOMAIN)
    manager.submit_batch([ALICE_DEPOSIT], NOW)
    snapshot = manager.state
    manager.submit_batch([BOB_DEPOSIT], NOW)
    item = transfer(500, to=2, owner=BOB)
    assert failure_of(manager, item) is None

    manager.state = snapshot
    manager.submit_batch([BAIT_DEPOSIT, BOB_DEPOSIT], NOW)
    assert manager.state.account(2).owner == manager.state.account(3).owner == BOB
    assert failure_of(manager, item) is Failure.RECIPIENT_KEY_MISMATCH
    # Nor does it help to name the key that the index has now, or the index where Bob's key is now.
    assert failure_of(manager, replace(item, recipient_key=MALLORY.public_key)) is Failure.INVALID_SIGNATURE
    redirected = replace(item, operation=replace(item.operation, to=3))
    assert failure_of(manager, redirected) is Failure.INVALID_SIGNATURE
    assert manager.state.account(2).balance == 1000


def test_attack_deposit_does_not_enter_an_account_with_another_key():
    """Bob tops up the account that the relayer says is his: it names him as its owner, and obeys Mallory."""
    manager = StateManager(State.genesis(2), DOMAIN)
    manager.submit_batch([BAIT_DEPOSIT], NOW)
    (step,) = manager.submit_batch([replace(BOB_DEPOSIT, account=1)], NOW).steps
    assert step.operation.to == 2
    bait, own = manager.state.account(1), manager.state.account(2)
    assert (bait.owner, bait.key, bait.balance) == (BOB, MALLORY.public_key, 1000)
    assert (own.owner, own.key, own.balance) == (BOB, KEYS[1].public_key, 1000)

    theft = sign_operation(MALLORY, DOMAIN, Operation.withdrawal(2, ETH, 1000, BOB), 0, NOW)
    assert failure_of(manager, theft) is Failure.INVALID_SIGNATURE
    # The account with Bob's key is his to top up.
    manager.submit_batch([replace(BOB_DEPOSIT, account=2)], NOW)
    assert (manager.state.account(2).balance, manager.state.next_index) == (2000, 3)


def test_attack_double_spend_between_transfer_and_withdrawal():
    manager = StateManager(STATE, DOMAIN)
    items = [transfer(1000), sign(Operation.withdrawal(ALICE_ETH, ETH, 1000, ALICE), nonce=1)]
    validation = manager.validate_transactions(items, NOW)
    assert [step.failure for step in validation.steps] == [None, Failure.INSUFFICIENT_BALANCE]


def test_attack_double_spend_after_a_forced_withdrawal():
    manager = StateManager(STATE, DOMAIN)
    items = [Operation.forced_withdrawal(ALICE_ETH, ALICE), transfer(1)]
    validation = manager.validate_transactions(items, NOW)
    assert [step.failure for step in validation.steps] == [None, Failure.INSUFFICIENT_BALANCE]
    assert validation.steps[0].operation.amount == 1000


def test_attack_replay_after_a_round_trip():
    """The balance comes back; the signature stays spent."""
    manager = StateManager(STATE, DOMAIN)
    item = transfer(1000)
    back = sign(Operation.transfer(BOB_ETH, ALICE_ETH, ETH, 1000), key=1, recipient_owner=ALICE)
    manager.submit_batch([item, back], NOW)
    assert manager.state.account(ALICE_ETH).balance == 1000
    assert failure_of(manager, item) is Failure.NONCE_MISMATCH


@pytest.mark.parametrize(("chain_id", "rollup"), [(31337, 0xABCE), (31338, 0xABCD), (31337 + 2**32, 0xABCD), (1, 1)])
def test_attack_cross_chain_and_cross_deployment_replay(chain_id, rollup):
    """The same accounts, keys, nonces and indices elsewhere."""
    item = transfer()
    elsewhere = StateManager(STATE, domain(chain_id, rollup))
    assert failure_of(StateManager(STATE, DOMAIN), item) is None
    assert failure_of(elsewhere, item) is Failure.INVALID_SIGNATURE


def test_attack_signature_of_one_kind_used_for_another():
    """Every signature of Alice put under every other operation of hers."""
    operations = [
        Operation.transfer(ALICE_ETH, BOB_ETH, ETH, 100),
        Operation.transfer_to_new(ALICE_ETH, ETH, 100, ALICE, KEYS[7].public_key),
        Operation.withdrawal(ALICE_ETH, ETH, 100, ALICE),
        Operation.key_change(ALICE_ETH, ETH, KEYS[7].public_key),
    ]
    items = [sign(operation, recipient_owner=BOB if index == 0 else 0) for index, operation in enumerate(operations)]
    manager = StateManager(STATE, DOMAIN)
    for item in items:
        for other in items:
            expected = None if item is other else Failure.INVALID_SIGNATURE
            assert failure_of(manager, replace(item, signature=other.signature)) is expected


def test_attack_token_mismatch_in_both_directions():
    manager = StateManager(STATE, DOMAIN)
    eth_to_usdc = sign(Operation.transfer(ALICE_ETH, BOB_USDC, ETH, 1), recipient_owner=BOB)
    usdc_to_eth = sign(Operation.transfer(BOB_USDC, ALICE_ETH, USDC, 1), key=1, recipient_owner=ALICE)
    assert failure_of(manager, eth_to_usdc) is Failure.RECIPIENT_TOKEN_MISMATCH
    assert failure_of(manager, usdc_to_eth) is Failure.RECIPIENT_TOKEN_MISMATCH


def test_attack_fee_that_wraps_the_balance():
    """Amount within the balance, amount and fee beyond it, for every fee byte."""
    manager = StateManager(STATE, DOMAIN)
    for fee in range(1, 256):
        value = (fee & 15) * 10 ** (fee >> 4)
        item = transfer(1000, fee)
        assert failure_of(manager, item) is (None if value == 0 else Failure.INSUFFICIENT_BALANCE)


def test_attack_non_canonical_float_cannot_change_what_was_signed():
    """A relayer that posts another encoding of the same amount posts the same operation."""
    canonical, other = encode_float40(500), 2 << 35 | 5
    assert canonical != other
    signed = transfer(decode_float40(canonical))
    manager = StateManager(STATE, DOMAIN)
    posted = replace(signed, operation=replace(signed.operation, amount=decode_float40(other)))
    assert posted == signed
    assert failure_of(manager, posted) is None


def test_attack_key_holder_of_the_old_key_after_a_key_change_in_the_same_batch():
    manager = StateManager(STATE, DOMAIN)
    items = [sign(Operation.key_change(ALICE_ETH, ETH, KEYS[7].public_key)), transfer(nonce=1)]
    validation = manager.validate_transactions(items, NOW)
    assert [step.failure for step in validation.steps] == [None, Failure.INVALID_SIGNATURE]


def test_attack_withdrawal_replayed():
    manager = StateManager(STATE, DOMAIN)
    item = sign(Operation.withdrawal(ALICE_ETH, ETH, 500, ALICE))
    validation = manager.validate_transactions([item, item], NOW)
    assert [step.failure for step in validation.steps] == [None, Failure.NONCE_MISMATCH]


def test_attack_malleated_signature_is_not_a_second_operation():
    item = transfer()
    (x, y), s = item.signature
    negated = Signature(type(item.signature.r8)(-x % (2**254), y), s)
    manager = StateManager(STATE, DOMAIN)
    assert failure_of(manager, replace(item, signature=negated)) is Failure.INVALID_SIGNATURE


def test_attack_signing_under_a_foreign_domain_for_ones_own_account_is_no_use():
    item = sign_operation(KEYS[0], domain(1, 1), transfer().operation, 0, NOW, BOB, KEYS[1].public_key)
    assert failure_of(StateManager(STATE, DOMAIN), item) is Failure.INVALID_SIGNATURE


def test_attack_queue_order_is_under_the_chain():
    """Leaving out, doubling or swapping entries gives another chain value."""
    entries = [ALICE_DEPOSIT, BOB_DEPOSIT, Operation.forced_withdrawal(1, ALICE)]

    def chain(sequence):
        value = b"\x00" * 32
        for entry in sequence:
            value = queue_chain(value, entry)
        return value

    a, b, c = entries
    sequences = [[a, b, c], [b, a, c], [a, b], [a, b, b], [a, b, c, c], [a, c, b], []]
    assert len({chain(sequence) for sequence in sequences}) == len(sequences)
