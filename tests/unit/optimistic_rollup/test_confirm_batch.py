"""OptimisticRollup.confirmBatch: when, in which order, and what it credits."""

from dataclasses import replace

import pytest

from layer2.optimistic.operations import Transfer
from tests.support.optimistic import FOREVER
from tests.support.reverts import reverts


@pytest.fixture
def posted(rollup, sequencer, alice, bob):
    """Three batches; the second has fees of 30 wei."""
    for who in (alice, bob):
        rollup.deposit(who, 0, 10**18)
    drafts = (
        lambda: rollup.make(queue=2),
        lambda: rollup.make(
            rollup.sign(alice, Transfer(1, 2, 10, 10, FOREVER)), rollup.sign(bob, Transfer(2, 1, 10, 20, FOREVER))
        ),
        rollup.make,
    )
    return [rollup.post(draft(), sequencer) for draft in drafts]


def try_to_confirm(rollup, posted, **changes) -> None:
    rollup.call("confirmBatch", changes.pop("number", posted.id), replace(posted, **changes).arguments)


@pytest.mark.parametrize(("late", "is_taken"), [(-1, False), (0, False), (1, True)])
def test_attack_time_confirmation(rollup, posted, late, is_taken):
    first = posted[0]
    rollup.mine(first.end + late)
    if is_taken:
        return try_to_confirm(rollup, first)
    with reverts(rollup.contract.ChallengePeriodRunning, end=first.end):
        try_to_confirm(rollup, first)


def test_confirms_and_credits_the_fees(rollup, posted, sequencer, mallory):
    c = rollup.contract
    receipt = rollup.confirm(posted[0], mallory)
    assert receipt.events == [c.BatchConfirmed(batchId=1, batchHash=posted[0].hash)]
    receipt = rollup.confirm(posted[1], mallory)
    assert receipt.events == [
        c.PayoutCredited(owner=sequencer, token=0, amount=30),
        c.BatchConfirmed(batchId=2, batchHash=posted[1].hash),
    ]
    assert c.payouts(sequencer, 0) == 30
    assert c.confirmedBatchId() == 2
    assert [c.batches(number).isConfirmed for number in range(4)] == [True, True, True, False]
    assert c.currentBatchId() == 3
    assert c.tipHash() == posted[2].hash


def test_credits_fees_in_four_tokens(rollup, sequencer, mallory):
    """Whatever the words are: the lower half is the sum, the token above it."""
    fees = (1 << 128 | 5, 65535 << 128 | 2**128 - 1, 0, 7)
    posted = rollup.post(rollup.make().with_(fees=fees), sequencer)
    rollup.confirm(posted, mallory)
    payouts = [rollup.contract.payouts(sequencer, token) for token in (1, 65535, 0)]
    assert payouts == [5, 2**128 - 1, 7]


def test_only_in_order(rollup, posted, mallory):
    rollup.mine(posted[2].end + 1)
    for number in (2, 3, 4, 2**256 - 1):
        with reverts(rollup.contract.NotNextToConfirm, batchId=number, next=1):
            try_to_confirm(rollup, posted[min(number, 3) - 1], number=number)
    for batch in posted:
        rollup.confirm(batch, mallory)
    assert rollup.contract.confirmedBatchId() == 3


def test_only_once(rollup, posted, mallory):
    rollup.confirm(posted[0], mallory)
    for number in (0, 1):
        with reverts(rollup.contract.BatchAlreadyConfirmed, batchId=number):
            try_to_confirm(rollup, posted[0], number=number)


def test_refuses_another_header(rollup, posted):
    rollup.mine(posted[0].end + 1)
    for batch in (posted[1], rollup.posted[0]):
        with reverts(rollup.contract.UnknownBatch, batchId=1, batchHash=batch.hash):
            try_to_confirm(rollup, batch, number=1)
    header = replace(posted[0].header, fees=(10**18, 0, 0, 0))
    with reverts(rollup.contract.UnknownBatch, batchId=1, batchHash=header.hash):
        try_to_confirm(rollup, posted[0], batch=replace(posted[0].batch, header=header))


def test_refuses_what_is_not_there(rollup, sequencer):
    posted = rollup.post(rollup.make(), sequencer)
    rollup.confirm(posted, sequencer)
    with reverts(rollup.contract.UnknownBatch, batchId=2, batchHash=posted.hash):
        try_to_confirm(rollup, posted, number=2)


def test_attack_confirm_a_batch_that_fell(rollup, posted, sequencer, prover):
    """Its hash is still in storage, above the tip."""
    rollup.mine(rollup.now + 100)
    wrong = rollup.post(rollup.make().with_(state_root=b"\x01" * 32), sequencer)
    for batch in posted:
        rollup.confirm(batch, sequencer)
    with reverts(rollup.contract.ChallengePeriodRunning, end=wrong.end):
        try_to_confirm(rollup, wrong)
    rollup.prove(wrong, prover)
    rollup.mine(wrong.end + 1)
    with reverts(rollup.contract.UnknownBatch, batchId=4, batchHash=wrong.hash):
        try_to_confirm(rollup, wrong)
