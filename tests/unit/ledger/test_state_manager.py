import pytest

from layer2.ledger.amounts import encode_fee8
from layer2.ledger.errors import (
    BatchError,
    BatchRejectedError,
    LedgerError,
    OperationError,
    StaleValidationError,
    TimestampError,
)
from layer2.ledger.operations import Operation
from layer2.ledger.state_manager import StateManager
from layer2.ledger.transition import Failure
from tests.unit.ledger.world import (
    ALICE_ETH,
    BOB,
    BOB_ETH,
    BOB_USDC,
    CAROL,
    CAROL_ETH,
    DOMAIN,
    ETH,
    NEW_KEY,
    NOW,
    STATE,
    USDC,
    edit,
    sign,
    transfer,
)


@pytest.fixture
def manager():
    return StateManager(STATE, DOMAIN)


def traceless(manager, state=STATE, timestamp=0):
    """Asserts that nothing happened."""
    assert manager.state is state
    assert manager.timestamp == timestamp
    assert manager.calculate_state_root() == state.root


def test_submit_batch_applies_in_order(manager):
    items = [
        Operation.deposit(USDC, 50, CAROL, NEW_KEY),
        transfer(100, encode_fee8(20)),
        sign(Operation.transfer(BOB_ETH, CAROL_ETH, ETH, 1100), key=1, recipient_owner=CAROL),
        sign(Operation.withdrawal(BOB_USDC, USDC, 3, BOB, encode_fee8(4)), key=1),
        Operation.padding(),
    ]
    batch = manager.submit_batch(items, NOW)
    assert [step.item for step in batch.steps] == items
    assert (batch.parent_root, batch.state_root, batch.timestamp) == (STATE.root, manager.state.root, NOW)
    assert batch.fees == {ETH: 20, USDC: 4}
    assert manager.calculate_state_root() == manager.state.root != STATE.root
    assert manager.state.account(CAROL_ETH).balance == 1100
    assert manager.state.account(BOB_ETH).balance == 0
    assert manager.state.account(5).balance == 50
    assert manager.timestamp == NOW
    # Roots are chained from step to step.
    roots = [STATE.root, *(step.witness.root_after for step in batch.steps)]
    assert [step.witness.root_before for step in batch.steps] == roots[:-1]


def test_an_empty_batch_changes_nothing(manager):
    assert manager.submit_batch([], NOW).state_root == STATE.root


def test_validation_alone_changes_nothing(manager):
    validation = manager.validate_transactions([transfer()], NOW)
    assert validation.valid
    traceless(manager)
    assert validation.state_after.root != STATE.root


def test_what_was_validated_is_applied_as_it_is(manager):
    validation = manager.validate_transactions([transfer()], NOW)
    batch = manager.apply_transactions(validation)
    assert batch.steps is validation.steps
    assert manager.state is validation.state_after


def test_attack_same_sender_twice_in_one_batch_spending_the_same_balance(manager):
    """The documents' sample checks both spends against the state before the batch and lets both pass."""
    items = [transfer(600), transfer(600, nonce=1)]
    validation = manager.validate_transactions(items, NOW)
    assert [step.valid for step in validation.steps] == [True, False]
    assert validation.steps[1].failure is Failure.INSUFFICIENT_BALANCE
    assert validation.steps[1].reason == "amount and fee are 600, account 1 holds 400; spend less or deposit"
    with pytest.raises(BatchRejectedError, match="operation 1 of the batch is not valid: amount and fee are 600"):
        manager.submit_batch(items, NOW)
    traceless(manager)


def test_attack_same_nonce_twice_in_one_batch(manager):
    validation = manager.validate_transactions([transfer(1), transfer(1)], NOW)
    assert [step.failure for step in validation.steps] == [None, Failure.NONCE_MISMATCH]


def test_a_refused_item_does_not_count_for_the_next(manager):
    """The second has the nonce that is right when the first is left out."""
    items = [transfer(5000), transfer(100)]
    validation = manager.validate_transactions(items, NOW)
    assert [step.valid for step in validation.steps] == [False, True]
    assert [step.item for step in validation.rejected] == items[:1]
    batch = manager.apply_transactions(validation.accepted)
    assert [step.item for step in batch.steps] == items[1:]
    assert manager.state.account(ALICE_ETH).balance == 900


def test_money_can_be_passed_on_within_a_batch(manager):
    items = [
        transfer(1000, to=CAROL_ETH, owner=CAROL),
        sign(Operation.transfer(CAROL_ETH, BOB_ETH, ETH, 1000), key=2, recipient_owner=BOB),
    ]
    manager.submit_batch(items, NOW)
    assert manager.state.account(BOB_ETH).balance == 2000


@pytest.mark.parametrize("position", [0, 1, 2])
def test_applying_a_rejected_batch_leaves_no_trace(manager, position):
    items = [transfer(1), transfer(1, nonce=1)]
    items.insert(position, transfer(1, to=15, nonce=position))
    with pytest.raises(BatchRejectedError) as error:
        manager.submit_batch(items, NOW)
    assert error.value.index == position
    assert "there is no account 15 to pay" in error.value.reason
    traceless(manager)
    # The same without it goes through afterwards.
    assert manager.submit_batch([item for item in items if item is not items[position]], NOW).steps[0].valid


def test_an_item_that_is_none_leaves_no_trace(manager):
    with pytest.raises(OperationError, match="kind 3 needs a signature"):
        manager.submit_batch([transfer(1), Operation.transfer(1, 2, ETH, 1)], NOW)
    traceless(manager)


def test_validation_against_another_state_is_not_applied(manager):
    stale = manager.validate_transactions([transfer(1)], NOW)
    manager.submit_batch([Operation.deposit(ETH, 1, CAROL, NEW_KEY)], NOW)
    state = manager.state
    with pytest.raises(StaleValidationError, match="validate again"):
        manager.apply_transactions(stale)
    traceless(manager, state, NOW)


def test_the_same_validation_is_not_applied_twice(manager):
    validation = manager.validate_transactions([transfer(1)], NOW)
    manager.apply_transactions(validation)
    with pytest.raises(StaleValidationError):
        manager.apply_transactions(validation)


def test_validation_with_a_time_before_the_last_batch_is_not_applied(manager):
    early = manager.validate_transactions([], NOW - 1)
    manager.submit_batch([], NOW)
    with pytest.raises(StaleValidationError, match=f"at {NOW - 1}"):
        manager.apply_transactions(early)


@pytest.mark.parametrize(("timestamp", "works"), [(NOW - 1, False), (NOW, True), (NOW + 1, True)])
def test_time_does_not_run_backwards(timestamp, works):
    manager = StateManager(STATE, DOMAIN, NOW)
    if works:
        assert manager.submit_batch([], timestamp).timestamp == timestamp
    else:
        with pytest.raises(TimestampError, match=rf"batch timestamp {timestamp} is not an integer in \[{NOW}, 2\^40\)"):
            manager.submit_batch([], timestamp)
        traceless(manager, timestamp=NOW)


@pytest.mark.parametrize("timestamp", [-1, 2**40, 1.5, "1", None, True])
def test_refuses_malformed_timestamps(manager, timestamp):
    with pytest.raises(TimestampError, match=f"batch timestamp {timestamp!r} is not an integer"):
        manager.validate_transactions([], timestamp)
    with pytest.raises(LedgerError, match=f"timestamp {timestamp!r} is not an integer"):
        StateManager(STATE, DOMAIN, timestamp)


@pytest.mark.parametrize(("expiry", "valid"), [(NOW - 1, False), (NOW, True), (NOW + 1, True)])
def test_attack_expiry_edge_is_the_batchs_timestamp(manager, expiry, valid):
    assert manager.validate_transactions([transfer(expiry=expiry)], NOW).valid is valid


def test_amounts_of_transfers_are_float40():
    state = edit(STATE, ALICE_ETH, balance=10**18)
    manager = StateManager(state, DOMAIN)
    amount = 2**35 + 1
    items = [
        transfer(amount),
        sign(Operation.transfer_to_new(ALICE_ETH, ETH, amount, CAROL, NEW_KEY)),
        sign(Operation.withdrawal(ALICE_ETH, ETH, amount, 0xA11CE)),
        Operation.deposit(ETH, amount, CAROL, NEW_KEY),
    ]
    validation = manager.validate_transactions(items, NOW)
    assert [step.failure for step in validation.steps] == [
        Failure.AMOUNT_NOT_REPRESENTABLE,
        Failure.AMOUNT_NOT_REPRESENTABLE,
        None,
        None,
    ]
    assert "the nearest that fit are 34359738367 and 34359738370" in validation.steps[0].reason
    assert validation.accepted.state_after is validation.state_after
    # 2³⁵ - 1 is the largest with exponent 0.
    assert manager.validate_transactions([transfer(2**35 - 1)], NOW).valid


def test_an_earlier_state_can_be_put_back(manager):
    """A rollback is an assignment: states are snapshots."""
    first = manager.submit_batch([transfer(1)], NOW)
    snapshot = manager.state
    manager.submit_batch([transfer(1, nonce=1, expiry=NOW + 5)], NOW + 5)
    manager.state, manager.timestamp = snapshot, NOW
    assert manager.calculate_state_root() == first.state_root
    assert manager.submit_batch([transfer(1, nonce=1)], NOW).steps[0].valid


def test_every_error_is_a_ledger_error():
    for error in (BatchError, BatchRejectedError, StaleValidationError, TimestampError, OperationError):
        assert issubclass(error, LedgerError)
    assert issubclass(LedgerError, ValueError)
