"""The sequencer: real-time receipts, batches in both data modes, confirmation, bonds; what it refuses and why."""

from dataclasses import replace

import pytest

from layer2.actors.errors import RefusedError, SequencerError
from layer2.actors.sequencer import Sequencer, SequencerConfig
from layer2.actors.watcher import Watcher, follow_operation
from layer2.chain.coder import coder
from layer2.chain.connection import BlockRef
from layer2.chain.deploying import deploy_contract
from layer2.chain.errors import DataMissingError
from layer2.chain.sending import send
from layer2.optimistic.operations import MintNFT, Nothing, QueueEntry, Transfer, TransferToNew
from layer2.optimistic.records import NFT, Account
from tests.support.anvil import signer
from tests.support.optimistic_world import ETHER, FOREVER, UNIT, OptimisticWorld, balances, ids, records
from tests.support.wrong_batches import transfers, wrong_state_root


@pytest.mark.parametrize("data", ["calldata", "blob"])
def test_from_receipt_to_confirmation(world: OptimisticWorld, data: str) -> None:
    with world.sequencer(data=data) as sequencer:
        sequencer.step()
        look = records(sequencer)
        assert balances(look) == [100 * UNIT, 50 * UNIT, 20 * UNIT]
        first = sequencer.submit(world.transfer(world.alice, world.bob, 10 * UNIT, look))
        second = sequencer.submit(world.transfer(world.alice, world.carol, UNIT, look, fee=1000))
        # At once, before anything is on L1.
        assert balances(look) == [89 * UNIT - 1000, 60 * UNIT, 21 * UNIT]
        assert sequencer.status(first.id).state == "accepted"
        sequencer.run_until_idle()
        status = sequencer.status(second.id)
        assert (status.state, status.batch_id) == ("posted", 2)
        assert world.chain.receipt(status.l1_transaction).ok
        assert balances(sequencer.position.state.record) == balances(look)
        world.anvil.warp(world.deployment.challenge_period + 1)
        sequencer.run_until_idle()
        assert world.rollup.tip().confirmed_id == 2
        assert sequencer.status(first.id).state == "confirmed"
        assert world.rollup.payout(world.operator.address, 1) == 1000


def test_a_withdrawal_is_paid_after_confirmation(world: OptimisticWorld) -> None:
    with world.sequencer() as sequencer:
        sequencer.step()
        receipt = sequencer.submit(world.withdrawal(world.bob, 30 * UNIT, records(sequencer)))
        assert receipt.withdrawals == (0,)
        sequencer.run_until_idle()
        world.anvil.warp(world.deployment.challenge_period + 1)
        sequencer.run_until_idle()
        position = sequencer.position
    before = world.l1_usdc(world.bob)
    call = world.rollup.claim_withdrawal_call(position.batch_id, position.header, position.state, 0)
    send(world.chain, signer(5), world.deployment.rollup, call)
    pay = world.rollup.withdraw_for_call(world.bob.signer.address, 1)
    send(world.chain, signer(5), world.deployment.rollup, pay)
    assert world.l1_usdc(world.bob) - before == 30 * UNIT


def test_a_receipt_names_what_was_made(world: OptimisticWorld) -> None:
    with world.sequencer() as sequencer:
        sequencer.step()
        look = records(sequencer)
        opened = sequencer.submit(world.sign(world.alice, TransferToNew(1, world.carol.owner, UNIT, 0, FOREVER), look))
        minted = sequencer.submit(world.sign(world.bob, MintNFT(2, b"c" * 32, 0, FOREVER), look))
        assert (opened.created, minted.created) == ((4,), (5,))
        assert look(4) == Account(world.carol.owner, 1, 0, UNIT)
        assert look(5) == NFT(world.bob.owner, world.bob.owner, 0, b"c" * 32)
        assert [view.index for view in sequencer.accounts_of(world.carol.owner)] == [3, 4]
        assert sequencer.record(4).posted is None
        sequencer.run_until_idle()
        assert sequencer.record(4).posted == look(4)


def test_the_same_operation_twice_is_taken_once(world: OptimisticWorld) -> None:
    with world.sequencer() as sequencer:
        sequencer.step()
        body = world.transfer(world.alice, world.bob, UNIT, records(sequencer))
        assert sequencer.submit(body).id == sequencer.submit(body).id
        assert [receipt.id for receipt in sequencer.submit_many([body, body])] == ids([body, body])
        sequencer.run_until_idle()
        assert balances(sequencer.position.state.record)[0] == 99 * UNIT
        assert sequencer.submit(body).id == ids([body])[0]


# -------------------------------------------------------------------- refusals


def refusal(sequencer: Sequencer, body: bytes) -> tuple[str, str]:
    before = sequencer.overview()
    with pytest.raises(RefusedError) as caught:
        sequencer.submit(body)
    assert sequencer.overview() == before
    return caught.value.code, str(caught.value)


def test_refuses_with_a_reason(world: OptimisticWorld) -> None:
    with world.sequencer(default_minimum_fee=10, batch_timeout=3600) as sequencer:
        sequencer.step()
        look = records(sequencer)
        now = int(world.now())
        good = Transfer(1, 2, UNIT, 10, FOREVER)
        cases = [
            (world.sign(world.carol, good, look), "invalid_signature", "is not signed by"),
            (
                world.sign(world.alice, replace(good, amount=100 * UNIT), look),
                "insufficient_balance",
                "holds 100000000",
            ),
            (world.sign(world.alice, replace(good, to=1), look)[:-1], "malformed", "is not one signed operation"),
            (world.sign(world.alice, good, look) + b"\0", "malformed", "is not one signed operation"),
            (b"", "malformed", "of 0 bytes"),
            (Nothing().encode(), "malformed", "is not one signed operation"),
            (QueueEntry().encode(), "malformed", "is not one signed operation"),
            (
                world.sign(world.alice, replace(good, fee=9), look),
                "fee_too_low",
                "below this sequencer's minimum of 10",
            ),
            (world.sign(world.alice, replace(good, expiry=now), look), "expired", "sign with a later one"),
            (world.transfer(world.alice, world.bob, UNIT, look, fee=10, nonce=1), "invalid_signature", "nonce"),
            (replace(good, to=7).encode(), "wrong_record", "index 7 holds None"),
        ]
        for body, code, words in cases:
            found, message = refusal(sequencer, body)
            assert (found, words in message) == (code, True), (found, message)


def test_non_canonical_amounts_are_refused_at_the_door(world: OptimisticWorld) -> None:
    """They would have the same signature, and another id."""
    with world.sequencer() as sequencer:
        sequencer.step()
        body = world.transfer(world.alice, world.bob, UNIT, records(sequencer))
        amount = body[9:14]
        other = (1 << 35 | UNIT // 10).to_bytes(5)
        assert amount != other
        assert refusal(sequencer, body[:9] + other + body[14:])[0] == "malformed"


def test_refuses_more_than_may_wait(world: OptimisticWorld) -> None:
    with world.sequencer(max_pending=2, batch_timeout=3600) as sequencer:
        sequencer.step()
        look = records(sequencer)
        for _ in range(2):
            sequencer.submit(world.transfer(world.alice, world.bob, UNIT, look))
        body = world.transfer(world.alice, world.bob, UNIT, look)
        assert refusal(sequencer, body)[0] == "pool_full"


@pytest.mark.parametrize("size", [0, 1025])
def test_refuses_an_impossible_batch_size(size: int) -> None:
    with pytest.raises(SequencerError, match=f"max_batch_size is {size}: a batch has 1 to 1024 operations"):
        SequencerConfig(max_batch_size=size)


# -------------------------------------------------------------------- batches


def test_a_full_batch_is_cut_and_the_rest_goes_into_the_next(world: OptimisticWorld) -> None:
    with world.sequencer(max_batch_size=3, batch_timeout=3600) as sequencer:
        sequencer.step()
        look = records(sequencer)
        keys = [sequencer.submit(world.transfer(world.alice, world.bob, UNIT, look)).id for _ in range(7)]
        sequencer.run_until_idle()
        assert [sequencer.status(key).batch_id for key in keys] == [2, 2, 2, 3, 3, 3, None]
        assert sequencer.status(keys[6]).state == "accepted"


def test_a_batch_of_many_chunks(world: OptimisticWorld) -> None:
    with world.sequencer(batch_timeout=3600) as sequencer:
        sequencer.step()
        results = sequencer.submit_many(transfers(world, 80))
        assert not [result for result in results if isinstance(result, RefusedError)]
    with world.sequencer() as sequencer:
        sequencer.run_until_idle()
        assert sequencer.position.header.chunks == 5
        assert balances(sequencer.position.state.record)[:2] == [20 * UNIT, 130 * UNIT]
    with world.challenger() as challenger:
        challenger.run_until_idle()
        assert challenger.position.batch_id == 2


def test_a_batch_is_cut_when_its_oldest_operation_has_waited(world: OptimisticWorld) -> None:
    moment = [float(world.chain.head().timestamp)]
    world.now, before = lambda: moment[0], world.now
    try:
        with world.sequencer(batch_timeout=30) as sequencer:
            sequencer.step()
            sequencer.submit(world.transfer(world.alice, world.bob, UNIT, records(sequencer)))
            moment[0] += 29
            assert sequencer.step().submitted is None
            moment[0] += 2
            assert sequencer.step().submitted == 1
    finally:
        world.now = before


def five_tokens(world: OptimisticWorld) -> list[int]:
    """Deposits four more tokens of Alice's. Returns her accounts, of five tokens, once a batch has taken them."""
    registry = world.deployment.registry
    for number in range(4):
        address, _ = deploy_contract(world.chain, world.operator, "TestUSDC")
        send(world.chain, world.operator, registry, coder("TokenRegistry").encode("register", address))
        mint = coder("TestUSDC").encode("mint", world.alice.signer.address, UNIT)
        send(world.chain, world.operator, address, mint)
        allow = coder("TestUSDC").encode("approve", world.deployment.rollup, UNIT)
        send(world.chain, world.alice.signer, address, allow)
        world.deposit(world.alice, UNIT, token=number + 2)
    return [1, 4, 5, 6, 7]


def test_fees_in_more_tokens_than_a_batch_takes(world: OptimisticWorld) -> None:
    """The fifth token's operation goes into the next batch, by itself, if this sequencer has named the token."""
    accounts = five_tokens(world)
    with world.sequencer(minimum_fees={5: 1}) as sequencer:
        sequencer.run_until_idle()
        look = records(sequencer)
        keys = []
        for account in accounts:
            operation = TransferToNew(account, world.bob.owner, 1000, fee=10, expiry=FOREVER)
            keys.append(sequencer.submit(world.sign(world.alice, operation, look)).id)
        sequencer.run_until_idle()
        assert [sequencer.status(key).batch_id for key in keys] == [3, 3, 3, 3, 4]


def test_attack_fees_in_tokens_of_no_value_end_no_batch(world: OptimisticWorld) -> None:
    """Every fifth operation would cost the sequencer an L1 transaction."""
    accounts = five_tokens(world)
    with world.sequencer(minimum_fees={1: 1}) as sequencer:
        sequencer.run_until_idle()
        look = records(sequencer)
        for account in accounts[:4]:
            operation = TransferToNew(account, world.bob.owner, 1000, fee=10, expiry=FOREVER)
            sequencer.submit(world.sign(world.alice, operation, look))
        junk = TransferToNew(accounts[4], world.bob.owner, 1000, fee=10, expiry=FOREVER)
        with pytest.raises(RefusedError) as error:
            sequencer.submit(world.sign(world.alice, junk, look))
        assert error.value.code == "fees_full"
        last = sequencer.submit(world.transfer(world.bob, world.alice, 7, look, fee=10)).id
        sequencer.run_until_idle()
        assert sequencer.status(last).batch_id == 3


def test_attack_an_operation_that_nobody_signed_ends_no_batch(world: OptimisticWorld) -> None:
    """Its fee has no place in this batch, and its signature is looked at later."""
    accounts = five_tokens(world)
    with world.sequencer(minimum_fees={5: 1}) as sequencer:
        sequencer.run_until_idle()
        look = records(sequencer)
        for account in accounts[:4]:
            operation = TransferToNew(account, world.bob.owner, 1000, fee=10, expiry=FOREVER)
            sequencer.submit(world.sign(world.alice, operation, look))
        forged = TransferToNew(accounts[4], world.bob.owner, 1000, fee=10, expiry=FOREVER)
        with pytest.raises(RefusedError) as error:
            sequencer.submit(world.sign(world.bob, forged, look))
        assert error.value.code == "invalid_signature"
        last = sequencer.submit(world.transfer(world.bob, world.alice, 7, look, fee=10)).id
        sequencer.run_until_idle()
        assert sequencer.status(last).batch_id == 3


def test_an_urgent_queue_entry_does_not_wait(world: OptimisticWorld) -> None:
    """Operations were first; the entry is overdue soon, so both go at once, in two batches."""
    with world.sequencer(batch_timeout=10**6) as sequencer:
        sequencer.step()
        sequencer.submit(world.transfer(world.alice, world.bob, UNIT, records(sequencer)))
        world.deposit(world.alice, 7 * UNIT, account=1)
        assert sequencer.step().submitted is None
        world.anvil.warp(world.deployment.inclusion_deadline // 2 + 1)
        sequencer.run_until_idle()
        assert world.rollup.tip().queue_cursor == 4
        assert balances(sequencer.position.state.record)[0] == 106 * UNIT


def test_a_flood_of_queue_entries_leaves_room_for_operations(world: OptimisticWorld) -> None:
    for _ in range(9):
        world.deposit(world.carol, UNIT, account=3)
    with world.sequencer(max_batch_size=8) as sequencer:
        sequencer.run_until_idle()
        assert world.rollup.tip().queue_cursor == 12
        assert world.rollup.tip().batch_id == 4  # 4 + 4 + 1 entries
        assert balances(sequencer.position.state.record)[2] == 29 * UNIT


def test_a_batch_that_got_too_old_is_made_anew(world: OptimisticWorld) -> None:
    with world.sequencer(batch_timeout=10**6) as sequencer:
        sequencer.step()
        key = sequencer.submit(world.transfer(world.alice, world.bob, UNIT, records(sequencer))).id
        first = sequencer._drafts[0].context.executed_at
        world.anvil.warp(world.deployment.max_batch_age)
        sequencer.step()
        assert sequencer._drafts[0].context.executed_at > first
    with world.sequencer() as sequencer:
        sequencer.run_until_idle()
        assert sequencer.status(key).state == "posted"


def test_what_expires_before_it_is_posted_is_dropped(world: OptimisticWorld) -> None:
    with world.sequencer(batch_timeout=10**6, expiry_margin=0) as sequencer:
        sequencer.step()
        look = records(sequencer)
        expiry = max(int(world.now()), world.chain.head().timestamp) + 100
        key = sequencer.submit(world.sign(world.alice, Transfer(1, 2, UNIT, 0, expiry), look)).id
        world.anvil.warp(world.deployment.max_batch_age)
        report = sequencer.step()
        assert [dropped for dropped, _ in report.dropped] == [key]
        status = sequencer.status(key)
        assert (status.state, "expired at" in status.reason) == ("dropped", True)
        assert balances(look)[0] == 100 * UNIT


# -------------------------------------------------------------------- bonds


def test_without_a_bond_it_waits_and_says_so(world: OptimisticWorld) -> None:
    world.anvil.warp(world.deployment.priority_timeout + 1)
    with world.sequencer(sender=signer(5)) as sequencer:
        sequencer.step()
        key = sequencer.submit(world.transfer(world.alice, world.bob, UNIT, records(sequencer))).id
        report = sequencer.step()
        assert report.submitted is None
        assert "has a bond of 0 wei and needs 1000000000000000000: add to it (--bond)" in report.waiting_for
        sequencer.ensure_bond(ETHER)
        sequencer.ensure_bond(ETHER)  # is on its way already
        sequencer.run_until_idle()
        assert world.rollup.bond(signer(5).address).amount == ETHER
        assert sequencer.status(key).state == "posted"


def test_leaving(world: OptimisticWorld) -> None:
    with world.sequencer() as sequencer:
        sequencer.step()
        sequencer.start_exit()
        sequencer.run_until_idle()
        assert world.rollup.bond(world.operator.address).exit_started_at
        sequencer.submit(world.transfer(world.alice, world.bob, UNIT, records(sequencer)))
        assert "began to leave at" in sequencer.step().waiting_for
        with pytest.raises(SequencerError, match="take the bond out first"):
            sequencer.ensure_bond(ETHER)
        sequencer.withdraw_bond()
        with pytest.raises(SequencerError, match="the contract refuses withdraw bond: ChallengePeriodRunning"):
            sequencer.step()
        world.anvil.warp(world.deployment.challenge_period + 1)
        before = world.chain.balance(world.operator.address)
        sequencer.withdraw_bond()
        sequencer.run_until_idle()
        assert world.chain.balance(world.operator.address) - before > 0.99 * ETHER


# -------------------------------------------------------------------- what it must not build on


class Withheld:
    """A source of blobs that has none, until it is told to have them."""

    def __init__(self, world: OptimisticWorld) -> None:
        self.source = world.blobs
        self.has_them = False

    def fetch(self, transaction: bytes, block: BlockRef, versioned_hash: bytes) -> bytes:
        if not self.has_them:
            raise DataMissingError(f"blob 0x{versioned_hash.hex()} is withheld")
        return self.source.fetch(transaction, block, versioned_hash)


def test_a_blob_that_is_withheld(world: OptimisticWorld) -> None:
    """Nobody can check the batch: nothing is built on it, it is not confirmed, and everybody says why."""
    (body,) = transfers(world, 1)
    world.post(world.make(body), blob=True)
    kept = world.blobs
    withheld = world.blobs = Withheld(world)
    try:
        with world.sequencer() as sequencer, world.follower() as follower, world.challenger() as challenger:
            sequencer.step()
            sequencer.submit(world.transfer(world.bob, world.carol, UNIT, records(sequencer)))
            report = sequencer.step()
            assert report.submitted is None
            assert "batch 2 cannot be checked: blob 0x" in report.waiting_for
            assert not sequencer.follower.is_tip_right
            watcher = Watcher(follower, follower._store)
            assert "is withheld" in watcher.look().news[-1]
            place = follow_operation(follower, follower._store, ids([body])[0])
            assert place.state == "unknown"
            challenger.run_until_idle()
            assert challenger.position.batch_id == 1
            world.anvil.warp(world.deployment.challenge_period + 1)
            sequencer.run_until_idle()
            assert world.rollup.tip().confirmed_id == 1
            withheld.has_them = True
            sequencer.run_until_idle()
            assert world.rollup.tip().confirmed_id == 2
            assert balances(sequencer.position.state.record) == [99 * UNIT, 50 * UNIT, 21 * UNIT]
            assert watcher.look().findings == ()
            assert follow_operation(follower, follower._store, ids([body])[0]).state == "confirmed"
    finally:
        world.blobs = kept


def test_it_does_not_confirm_what_is_wrong(world: OptimisticWorld) -> None:
    world.post(wrong_state_root(world))
    world.anvil.warp(world.deployment.challenge_period + 1)
    with world.sequencer() as sequencer:
        sequencer.run_until_idle()
        assert world.rollup.tip().confirmed_id == 1
        header = sequencer._store.live(2).header
        send(world.chain, signer(5), world.deployment.rollup, world.rollup.confirm_call(2, header))
        with pytest.raises(SequencerError, match="was confirmed: nobody disputed it in time"):
            sequencer.step()
