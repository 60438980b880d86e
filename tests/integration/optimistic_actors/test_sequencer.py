"""The sequencer: real-time receipts, batches in both data modes, confirmation, bonds; what it refuses and why."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from layer2.actors.errors import RefusedError, SequencerError
from layer2.actors.sequencer import Sequencer, SequencerConfig
from layer2.actors.watcher import Watcher, follow_operation
from layer2.chain.coder import coder
from layer2.chain.connection import BlockRef
from layer2.chain.deploying import deploy_contract
from layer2.chain.errors import DataMissingError, InsufficientFundsError
from layer2.chain.sending import send
from layer2.optimistic.operations import MintNFT, Nothing, QueueEntry, Transfer, TransferToNew
from layer2.optimistic.records import NFT, Account
from layer2.optimistic.transition import ChunkExecution
from tests.support.anvil import signer
from tests.support.killing import Killed, Killer
from tests.support.optimistic_world import ETHER, FOREVER, UNIT, Lookup, OptimisticWorld, balances, ids, records
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


def paying(world: OptimisticWorld, account: int, fee: int, look: Lookup) -> bytes:
    """An operation with a fee in the token of one of Alice's accounts."""
    return world.sign(world.alice, TransferToNew(account, world.bob.owner, 1000, fee, FOREVER), look)


ALL_FIVE = dict.fromkeys((1, 2, 3, 4, 5), 1)


def test_fees_in_more_tokens_than_a_batch_takes(world: OptimisticWorld) -> None:
    """The fifth token's operation goes into the next batch, by itself, if this sequencer is paid in all of them."""
    accounts = five_tokens(world)
    with world.sequencer(minimum_fees=ALL_FIVE) as sequencer:
        sequencer.run_until_idle()
        look = records(sequencer)
        keys = [sequencer.submit(paying(world, account, 10, look)).id for account in accounts]
        sequencer.run_until_idle()
        assert [sequencer.status(key).batch_id for key in keys] == [3, 3, 3, 3, 4]


@pytest.mark.parametrize("named", [{}, {1: 1}, {0: 5}, {2: 0}])
def test_attack_fees_in_tokens_of_no_value_end_no_batch(world: OptimisticWorld, named: dict[int, int]) -> None:
    """They would take the places of those with a value, whose next fee would cost this sequencer an L1 transaction."""
    accounts = five_tokens(world)
    with world.sequencer(minimum_fees=named) as sequencer:
        sequencer.run_until_idle()
        look = records(sequencer)
        keys = []
        for token, account in enumerate(accounts, 1):
            if token in (1, *named):
                keys.append(sequencer.submit(paying(world, account, 10, look)).id)
                continue
            code, message = refusal(sequencer, paying(world, account, 10, look))
            assert code == "fee_token"
            assert f"not in token {token}: sign with a fee of 0" in message
            keys.append(sequencer.submit(paying(world, account, 0, look)).id)
        keys.append(sequencer.submit(world.transfer(world.bob, world.alice, 7, look, fee=10)).id)
        sequencer.run_until_idle()
        assert {sequencer.status(key).batch_id for key in keys} == {3}


def test_a_minimum_for_all_tokens_is_to_be_paid_in_those_that_were_chosen(world: OptimisticWorld) -> None:
    accounts = five_tokens(world)
    with world.sequencer(default_minimum_fee=10) as sequencer:
        sequencer.run_until_idle()
        look = records(sequencer)
        for fee in (0, 10):
            code, message = refusal(sequencer, paying(world, accounts[1], fee, look))
            assert code == "fee_token"
            assert "takes fees in tokens 0, 1 only, not in token 2: pay from an account of one of these" in message


def test_attack_an_operation_that_nobody_signed_ends_no_batch(
    world: OptimisticWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its fee has no place in this batch, and its signature is looked at later; nothing is hashed for it."""
    accounts = five_tokens(world)
    with world.sequencer(minimum_fees=ALL_FIVE) as sequencer:
        sequencer.run_until_idle()
        look = records(sequencer)
        for account in accounts[:4]:
            sequencer.submit(paying(world, account, 10, look))
        forged = TransferToNew(accounts[4], world.bob.owner, 1000, fee=10, expiry=FOREVER)
        with monkeypatch.context() as patched:
            patched.setattr(ChunkExecution, "finish", lambda self: pytest.fail("hashed"))
            assert refusal(sequencer, world.sign(world.bob, forged, look))[0] == "invalid_signature"
        last = sequencer.submit(world.transfer(world.bob, world.alice, 7, look, fee=10)).id
        sequencer.run_until_idle()
        assert sequencer.status(last).batch_id == 3


# -------------------------------------------------------------------- what a reorg made impossible


@contextmanager
def with_impossible(world: OptimisticWorld, count: int, **config: Any) -> Iterator[tuple[Sequencer, list[bytes]]]:
    """A sequencer with operations of Alice's that wait: a reorg took the money away that the first one spends."""
    with world.sequencer(**config) as sequencer:
        sequencer.step()
        before = world.anvil.snapshot()
        world.deposit(world.alice, 7 * UNIT, account=1)
        sequencer.run_until_idle()
        look = records(sequencer)
        amounts = [102 * UNIT] + [UNIT] * (count - 1)
        bodies = []
        for amount in amounts:
            bodies.append(world.transfer(world.alice, world.bob, amount, look))
            sequencer.submit(bodies[-1])
        world.anvil.revert(before)
        world.anvil.mine()
        sequencer.run_until_idle()
        keys = ids(bodies)
        assert [sequencer.status(key).state for key in keys] == ["waiting"] * count
        yield sequencer, keys


def executions(sequencer: Sequencer, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The ids of operations that are executed from now on."""
    executed: list[bytes] = []
    execute = sequencer._execute

    def recording(key: bytes, *arguments: Any) -> Any:
        executed.append(key)
        return execute(key, *arguments)

    monkeypatch.setattr(sequencer, "_execute", recording)
    return executed


def test_attack_impossible_operations_leave_no_room_for_others(world: OptimisticWorld) -> None:
    """A full pool takes what can be executed, and drops what cannot; nobody gets that for what is refused."""
    with with_impossible(world, 3, max_pending=3, batch_timeout=3600) as (sequencer, keys):
        look = records(sequencer)
        assert refusal(sequencer, world.sign(world.carol, Transfer(2, 1, UNIT, 0, FOREVER), look))[0] == (
            "invalid_signature"
        )
        assert [sequencer.status(key).state for key in keys] == ["waiting"] * 3
        new = [sequencer.submit(world.transfer(world.bob, world.carol, UNIT, look)).id]
        assert [sequencer.status(key).state for key in keys] == ["dropped", "waiting", "waiting"]
        assert "others wait that can be executed" in sequencer.status(keys[0]).reason
        for _ in range(2):
            new.append(sequencer.submit(world.transfer(world.bob, world.carol, UNIT, look)).id)
        assert sequencer.overview().pending == 3
        assert [sequencer.status(key).state for key in keys] == ["dropped"] * 3
        assert refusal(sequencer, world.transfer(world.bob, world.carol, UNIT, look))[0] == "pool_full"
    with world.sequencer(max_pending=3) as sequencer:
        sequencer.run_until_idle()
        assert [sequencer.status(key).state for key in new] == ["posted"] * 3


@pytest.mark.parametrize("is_interrupted", [False, True])
def test_a_reorg_brings_back_what_made_room(
    world: OptimisticWorld, monkeypatch: pytest.MonkeyPatch, is_interrupted: bool
) -> None:
    """It touches no batch, so the drafts stay as they are: what waits again is executed on top of them.

    The step that reads the reorg need not be the one that does so: the node may be lost in between.
    """
    with with_impossible(world, 1, max_pending=2, batch_timeout=3600) as (sequencer, (key,)):
        before = world.anvil.snapshot()
        world.anvil.mine()
        sequencer.step()
        look = records(sequencer)
        for to in (world.carol, world.alice):
            sequencer.submit(world.transfer(world.bob, to, 2 * UNIT, look))
        assert sequencer.status(key).state == "dropped"
        assert balances(look) == [102 * UNIT, 46 * UNIT, 22 * UNIT]
        world.anvil.revert(before)
        world.anvil.warp(5)  # or it would be the same block
        if is_interrupted:
            monkeypatch.setattr(sequencer, "_checkpoint", Killer("synced"))
            with pytest.raises(Killed):
                sequencer.step()
            sequencer.step()
        else:
            assert sequencer.step().sync.rewound_to is not None
        assert sequencer.status(key).state == "accepted"
        assert balances(look) == [0, 148 * UNIT, 22 * UNIT]


def test_attack_impossible_operations_are_not_executed_at_each_step(
    world: OptimisticWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    with with_impossible(world, 3, batch_timeout=3600) as (sequencer, keys):
        executed = executions(sequencer, monkeypatch)
        for _ in range(3):
            sequencer.step()
        assert executed == []
        # A new one with the first nonce: the others have that of the second and third.
        look = records(sequencer)
        sequencer.submit(world.transfer(world.alice, world.carol, UNIT, look))
        for _ in range(3):
            sequencer.step()
        assert sequencer.status(keys[0]).state == "waiting"
        assert [sequencer.status(key).state for key in keys[1:]] == ["accepted"] * 2
        executed.clear()
        sequencer.step()
        assert executed == []
        # The first one's nonce is used. Once there is money enough it fails for that, and money makes no difference.
        for times in (1, 0):
            given = sequencer.submit(world.transfer(world.bob, world.alice, 10 * UNIT, look)).id
            for _ in range(3):
                sequencer.step()
            assert executed == [given] + [keys[0]] * times
            assert "is not signed by" in sequencer.status(keys[0]).reason
            executed.clear()


def test_what_became_possible_again_is_executed_in_portions(
    world: OptimisticWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layer2.actors.sequencer.RETRIES", 2)
    with with_impossible(world, 3, batch_timeout=3600) as (sequencer, keys):
        world.deposit(world.alice, 7 * UNIT, account=1)
        sequencer.step()
        assert [sequencer.status(key).state for key in keys] == ["waiting"] * 3
        sequencer.step()
        assert [sequencer.status(key).state for key in keys] == ["accepted", "accepted", "waiting"]
        sequencer.step()
        assert [sequencer.status(key).state for key in keys] == ["accepted"] * 3


def test_what_stays_impossible_is_dropped_in_the_end(world: OptimisticWorld) -> None:
    with with_impossible(world, 2, batch_timeout=3600) as (sequencer, keys):
        world.now, before = lambda: before() + sequencer.config.pending_timeout + 1, world.now
        sequencer._clock = world.now
        try:
            dropped = sequencer.step().dropped
        finally:
            world.now = before
        assert [key for key, _ in dropped] == keys
        assert "account 1 holds 100000000" in sequencer.status(keys[0]).reason


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


def test_a_bond_that_cannot_be_paid_for(world: OptimisticWorld) -> None:
    poor = signer(5)
    with world.sequencer(sender=poor) as sequencer:
        sequencer.step()
        world.anvil.request("anvil_setBalance", poor.address, hex(ETHER))
        with pytest.raises(SequencerError, match=f"a bond of {ETHER} wei cannot be paid for: .* holds {ETHER} wei"):
            sequencer.ensure_bond(ETHER)
        assert sequencer._store.open_letters() == []
        sequencer.ensure_bond(ETHER // 2)
        sequencer.run_until_idle()
    assert world.rollup.bond(poor.address).amount == ETHER // 2


def test_what_cannot_be_paid_for_holds_up_no_dispute(world: OptimisticWorld) -> None:
    """It is said each time, when all else is done."""
    world.post(wrong_state_root(world))
    other = signer(5)
    with world.sequencer(sender=other, reserve=False) as sequencer:
        sequencer._write("bond", "", world.rollup.bond_call(), value=10**30)
        for _ in range(3):
            with pytest.raises(InsufficientFundsError, match="send it some ETH"):
                sequencer.step()
            world.wait(other)
        assert world.rollup.tip().batch_id == 1
        assert [letter.purpose for letter in sequencer._store.open_letters()] == ["bond"]


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
