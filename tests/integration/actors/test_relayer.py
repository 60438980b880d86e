"""The relayer on a real chain with real proofs of the small circuits."""

from dataclasses import replace

import pytest

from layer2.actors.errors import RefusedError, StoreError
from layer2.actors.relayer import Relayer
from layer2.actors.store import ProposalState, Store
from layer2.chain.coder import coder
from layer2.chain.deploying import deploy_contract
from layer2.chain.sending import send
from layer2.crypto.eddsa import Point, PrivateKey
from layer2.ledger.operations import Operation, SignedOperation
from tests.support.anvil import signer
from tests.support.world import UNIT, USDC, World


def balances(relayer) -> list[int]:
    return [account.balance for _, account in relayer.position.state.accounts()]


# -------------------------------------------------------------------- intake


def cases(world: World):
    """What the relayer must refuse, with its name for the reason."""
    good = world.transfer(world.alice, world.bob, 10 * UNIT, 0)
    yield "invalid_signature", replace(good, signature=world.transfer(world.alice, world.bob, 9 * UNIT, 0).signature)
    yield "invalid_signature", replace(good, nonce=1)
    yield "invalid_signature", replace(good, operation=replace(good.operation, token=0, account=2, to=1))  # see below
    yield "unknown_account", replace(good, operation=replace(good.operation, account=200))
    yield "unknown_account", replace(good, operation=replace(good.operation, account=0))
    yield "token_mismatch", world.transfer(world.alice, world.bob, 10 * UNIT, 0, token=0)
    yield "unknown_recipient", world.transfer(world.alice, replace(world.bob, account=9), UNIT, 0)
    yield "recipient_owner_mismatch", world.transfer(world.alice, replace(world.bob, account=3), UNIT, 0)
    stranger = replace(world.bob, key=PrivateKey.from_seed(bytes(32)))
    yield "recipient_key_mismatch", world.transfer(world.alice, stranger, UNIT, 0)
    yield "invalid_signature", replace(good, recipient_key=stranger.key.public_key)
    yield "insufficient_balance", world.transfer(world.alice, world.bob, 100 * UNIT, 0, fee=1)
    yield "insufficient_balance", world.withdrawal(world.alice, 100 * UNIT + 1, 0)
    yield "amount_not_representable", world.transfer(world.alice, world.bob, (1 << 35) + 1, 0)
    yield "expired", world.transfer(world.alice, world.bob, UNIT, 0, expiry=1_000_000_000)
    yield "nonce_gap", world.transfer(world.alice, world.bob, UNIT, 1)
    key, nowhere = world.carol.key.public_key, Point(1, 2)
    yield "owner_zero", world.sign(world.alice, Operation.transfer_to_new(1, USDC, UNIT, 0, key), 0)
    yield "invalid_key", world.sign(world.alice, Operation.transfer_to_new(1, USDC, UNIT, 7, nowhere), 0)
    yield "invalid_key", world.sign(world.alice, Operation.key_change(1, USDC, nowhere), 0)
    yield "owner_mismatch", world.sign(world.alice, Operation.withdrawal(1, USDC, UNIT, world.bob.owner), 0)
    operation = replace(Operation.transfer(1, 2, USDC, UNIT), owner=7)
    yield "malformed", world.sign(world.alice, operation, 0, world.bob)


def test_refuses(world: World) -> None:
    with world.relayer() as relayer:
        relayer.step()
        for code, signed in cases(world):
            if code == "invalid_signature" and signed.operation.token == 0:
                code = "token_mismatch"
            with pytest.raises(RefusedError) as caught:
                relayer.submit(signed)
            assert caught.value.code == code, f"{caught.value}"
        assert relayer.overview().pending == 0


def test_refuses_a_fee_below_the_minimum(world: World) -> None:
    with world.relayer(minimum_fees={USDC: 1000}) as relayer:
        relayer.step()
        with pytest.raises(RefusedError, match="minimum of 1000") as caught:
            relayer.submit(world.transfer(world.alice, world.bob, UNIT, 0, fee=900))
        assert caught.value.code == "fee_too_low"
        relayer.submit(world.transfer(world.alice, world.bob, UNIT, 0, fee=1000))


def test_attack_a_token_of_no_value_pays_for_no_proof(world: World) -> None:
    """Anybody can make and list tokens, so fees are taken in chosen ones only."""
    address, _ = deploy_contract(world.chain, signer(5), "TestUSDC")
    send(world.chain, signer(5), world.deployment.registry, coder("TokenRegistry").encode("register", address))
    send(world.chain, signer(5), address, coder("TestUSDC").encode("mint", world.alice.signer.address, UNIT))
    allow = coder("TestUSDC").encode("approve", world.deployment.rollup, UNIT)
    send(world.chain, world.alice.signer, address, allow)
    world.deposit(world.alice, UNIT, token=2)
    pauper = replace(world.alice, account=4)
    with world.relayer() as relayer:
        relayer.run_until_idle()

    def pay(fee: int) -> SignedOperation:
        return world.transfer(pauper, pauper, 1000, 0, fee, token=2)

    def refusal(relayer: Relayer, fee: int) -> str:
        with pytest.raises(RefusedError) as caught:
            relayer.submit(pay(fee))
        assert caught.value.code == "fee_token"
        return str(caught.value)

    with world.relayer(default_minimum_fee=10) as relayer:
        for fee in (0, 10):
            assert "in tokens 0, 1 only, not in token 2: pay from an account of one of these" in refusal(relayer, fee)
        relayer.submit(world.transfer(world.bob, world.alice, UNIT, 0, fee=10))
    with world.relayer() as relayer:
        assert "not in token 2: sign with a fee of 0" in refusal(relayer, 10)
        relayer.submit(pay(0))
    with world.relayer(minimum_fees={2: 10}, database="other.sqlite") as relayer:
        relayer.step()
        relayer.submit(pay(10))


def test_refuses_what_waiting_operations_have_spent(world: World) -> None:
    with world.relayer() as relayer:
        relayer.step()
        relayer.submit(world.transfer(world.alice, world.bob, 60 * UNIT, 0))
        with pytest.raises(RefusedError, match="60000000 that waits"):
            relayer.submit(world.transfer(world.alice, world.bob, 60 * UNIT, 1))
        relayer.submit(world.transfer(world.alice, world.bob, 40 * UNIT, 1))
        assert relayer.account(1).next_nonce == 2


def test_refuses_a_nonce_twice_and_takes_the_same_operation_once(world: World) -> None:
    with world.relayer() as relayer:
        relayer.step()
        signed = world.transfer(world.alice, world.bob, UNIT, 0)
        assert relayer.submit(signed) == relayer.submit(signed)
        with pytest.raises(RefusedError) as caught:
            relayer.submit(world.transfer(world.alice, world.bob, 2 * UNIT, 0))
        assert caught.value.code == "nonce_taken"
        assert relayer.overview().pending == 1


def test_takes_operations_in_the_order_of_their_nonces_only(world: World) -> None:
    """Otherwise operations that nothing can be done with would fill the pool."""
    with world.relayer(max_pending_per_account=2) as relayer:
        relayer.step()
        first, second, third = (world.transfer(world.alice, world.bob, UNIT, nonce) for nonce in range(3))
        with pytest.raises(RefusedError, match="the next is 0") as caught:
            relayer.submit(second)
        assert caught.value.code == "nonce_gap"
        relayer.submit(first)
        with pytest.raises(RefusedError, match="the next is 1"):
            relayer.submit(world.transfer(world.alice, world.bob, UNIT, 63))
        relayer.submit(second)
        with pytest.raises(RefusedError, match="at most 2 operations may wait") as caught:
            relayer.submit(third)
        assert caught.value.code == "nonce_too_far"
        relayer.run_until_idle()
        relayer.submit(third)
        assert relayer.account(1).next_nonce == 3


def test_refuses_when_the_pool_is_full(world: World) -> None:
    with world.relayer(max_pending=1) as relayer:
        relayer.step()
        relayer.submit(world.transfer(world.alice, world.bob, UNIT, 0))
        with pytest.raises(RefusedError) as caught:
            relayer.submit(world.transfer(world.bob, world.alice, UNIT, 0))
        assert caught.value.code == "pool_full"


def test_a_full_pool_keeps_nothing_that_cannot_be_executed(world: World) -> None:
    with world.relayer(batch_timeout=10**6, max_pending=2) as relayer:
        relayer.step()
        keys = [relayer.submit(world.transfer(world.alice, world.bob, UNIT, nonce)) for nonce in range(2)]
    world.force(world.alice, 1)
    with world.relayer(max_pending=2) as relayer:
        relayer.run_until_idle()
        first, second = (relayer.status(key) for key in keys)
        assert first.state == second.state == "dropped"
        assert "the pool is full" in first.reason
        assert "account 1 holds 0" in first.reason
        relayer.submit(world.transfer(world.bob, world.alice, UNIT, 0))


def test_many_at_once_are_checked_by_several_processes(world: World) -> None:
    with world.relayer(workers=2, max_pending_per_account=200) as relayer:
        relayer.step()
        operations = [world.transfer(world.alice, world.bob, 1000, nonce) for nonce in range(100)]
        operations[98] = replace(operations[98], signature=operations[99].signature)
        results = relayer.submit_many(operations)
        assert [(n, r.code) for n, r in enumerate(results) if isinstance(r, RefusedError)] == [
            (98, "invalid_signature"),
            (99, "nonce_gap"),
        ]
        assert relayer.overview().pending == 98


# -------------------------------------------------------------------- batches


def test_workflow(world: World) -> None:
    with world.relayer() as relayer:
        relayer.step()
        before = relayer.position
        key = relayer.submit(world.transfer(world.alice, world.bob, 10 * UNIT, 0))
        out = relayer.submit(world.withdrawal(world.carol, 5 * UNIT, 0, fee=1000))
        assert relayer.status(key).state == "pending"
        relayer.run_until_idle()
        assert relayer.position.batch_id == before.batch_id + 1
        assert relayer.position.state.root == world.rollup.tip().state_root != before.state.root
        assert balances(relayer) == [90 * UNIT, 60 * UNIT, 15 * UNIT - 1000]
        assert relayer.status(key).state == relayer.status(out).state == "verified"
        assert relayer.status(key).batch_id == relayer.position.batch_id
        assert world.rollup.payout(world.carol.signer.address, USDC) == 5 * UNIT
        assert world.rollup.payout(world.operator.address, USDC) == 1000


def test_transfers_go_into_compact_segments(world: World) -> None:
    with world.relayer() as relayer:
        relayer.step()
        for nonce in range(3):
            relayer.submit(world.transfer(world.alice, world.bob, UNIT, nonce))
        relayer.run_until_idle()
    with Store(world.folder / world.database) as store:
        (proposal,) = store.proposals()
        assert len(proposal.proofs) == 2
        # Two segments: circuit, count, root, number of fees; 2 · 1 + 6 bytes a transfer at 4 levels.
        assert len(proposal.data) == 5 + 2 * (1 + 2 + 32 + 1) + 3 * 8


def test_a_later_operation_does_not_overtake_an_earlier_one(world: World) -> None:
    with world.relayer() as relayer:
        relayer.step()
        first = relayer.submit(world.transfer(world.alice, world.bob, UNIT, 0))
        second = relayer.submit(world.withdrawal(world.alice, UNIT, 1))
        third = relayer.submit(world.transfer(world.alice, world.bob, UNIT, 2))
        relayer.run_until_idle()
        batches = [relayer.status(key).batch_id for key in (first, second, third)]
        assert batches == [2, 3, 3]
        assert balances(relayer) == [97 * UNIT, 52 * UNIT, 20 * UNIT]


def old_key(world: World, relayer: Relayer) -> list[bytes]:
    """Three transfers of Alice after a key change of hers: at intake their signatures still hold."""
    key = PrivateKey.from_seed(bytes(31) + b"\1").public_key
    relayer.submit(world.sign(world.alice, Operation.key_change(1, USDC, key), 0))
    return [relayer.submit(world.transfer(world.alice, world.bob, UNIT, nonce)) for nonce in (1, 2, 3)]


def test_attack_refused_operations_take_no_place_from_others(world: World) -> None:
    with world.relayer(max_batch_size=2) as relayer:
        relayer.step()
        refused, *later = [relayer.status(key) for key in old_key(world, relayer)]
        behind = relayer.submit(world.transfer(world.bob, world.carol, UNIT, 0))
        relayer.step()
        assert relayer.position.batch_id == 1
        assert relayer.status(behind).state == "submitted"
        assert relayer.status(refused.id).state == "dropped"
        assert "not signed by the key of account 1" in relayer.status(refused.id).reason
        # What came after it loses its place as well.
        for status in later:
            assert relayer.status(status.id).state == "dropped"
            assert "comes after nonce 1 of account 1" in relayer.status(status.id).reason
        assert relayer.overview().pending == 2
        relayer.run_until_idle()
        assert relayer.position.batch_id == 2
        assert relayer.position.state.account(1).nonce == 1


def test_attack_refused_operations_make_no_batch_due(world: World) -> None:
    with world.relayer(max_batch_size=3, batch_timeout=10**6) as relayer:
        relayer.step()
        refused, *_ = old_key(world, relayer)
        assert relayer.step().planned is None
        assert relayer.status(refused).state == "dropped"
        assert relayer.overview().pending == 1


def test_operations_dropped_as_expired_lose_their_places(world: World) -> None:
    expiry = world.chain.head().timestamp + 600
    with world.relayer(batch_timeout=10**6) as relayer:
        relayer.step()
        relayer.submit(world.transfer(world.alice, world.bob, UNIT, 0, expiry=expiry))
        second = world.transfer(world.alice, world.bob, UNIT, 1)
        key = relayer.submit(second)
        world.anvil.warp(700)
        relayer.step()
        assert f"comes after nonce 0 of account 1, which was dropped (expired at {expiry}" in relayer.status(key).reason
        with pytest.raises(RefusedError, match="the next is 0"):
            relayer.submit(second)
        # It is not cancelled: after another operation with nonce 0 it is taken again.
        relayer.submit(world.transfer(world.alice, world.bob, 2 * UNIT, 0))
        assert relayer.submit(second) == key
        assert relayer.status(key).state == "pending"


def test_a_batch_waits_for_its_timeout(world: World) -> None:
    moment = [1000.0 + 2**33]
    world_now, world.now = world.now, lambda: moment[0]
    try:
        with world.relayer(batch_timeout=30, max_batch_size=4) as relayer:
            relayer.step()
            relayer.submit(world.transfer(world.alice, world.bob, UNIT, 0))
            moment[0] += 29
            assert relayer.step().planned is None
        with world.relayer(batch_timeout=30, max_batch_size=4) as relayer:
            moment[0] += 1
            assert relayer.step().planned is not None
    finally:
        world.now = world_now


def test_an_urgent_queue_entry_does_not_wait_for_the_timeout(world: World) -> None:
    with world.relayer(batch_timeout=10**6) as relayer:
        world.deposit(world.alice, UNIT, account=1)
        assert relayer.step().planned is None
        world.anvil.warp(world.deployment.inclusion_deadline // 2 + 60)
        relayer.run_until_idle()
        assert balances(relayer)[0] == 101 * UNIT


def test_a_forced_withdrawal_leaves_a_waiting_transfer_behind(world: World) -> None:
    with world.relayer(batch_timeout=10**6, pending_timeout=0) as relayer:
        relayer.step()
        key = relayer.submit(world.transfer(world.alice, world.bob, 10 * UNIT, 0))
    world.force(world.alice, 1)
    with world.relayer(pending_timeout=0) as relayer:
        relayer.run_until_idle()
        assert balances(relayer) == [0, 50 * UNIT, 20 * UNIT]
        status = relayer.status(key)
        assert status.state == "dropped"
        assert "account 1 holds 0" in status.reason
        assert world.rollup.payout(world.alice.signer.address, USDC) == 100 * UNIT


def test_an_expired_operation_is_dropped_with_the_reason(world: World) -> None:
    expiry = world.chain.head().timestamp + 600
    with world.relayer(batch_timeout=10**6) as relayer:
        relayer.step()
        key = relayer.submit(world.transfer(world.alice, world.bob, UNIT, 0, expiry=expiry))
        world.anvil.warp(700)
        assert relayer.step().planned is None
        status = relayer.status(key)
        assert status.state == "dropped"
        assert f"expired at {expiry}" in status.reason


def test_transfer_to_new_and_key_change(world: World) -> None:
    key = PrivateKey.from_seed(bytes(31) + b"\1")
    with world.relayer() as relayer:
        relayer.step()
        new = Operation.transfer_to_new(1, USDC, 7 * UNIT, world.carol.owner, key.public_key)
        relayer.submit(world.sign(world.alice, new, 0))
        relayer.submit(world.sign(world.bob, Operation.key_change(2, USDC, key.public_key), 0))
        relayer.run_until_idle()
        assert balances(relayer) == [93 * UNIT, 50 * UNIT, 20 * UNIT, 7 * UNIT]
        assert [view.index for view in relayer.accounts_of(world.carol.owner)] == [3, 4]
        with pytest.raises(RefusedError) as caught:
            relayer.submit(world.transfer(world.bob, world.alice, UNIT, 1))
        assert caught.value.code == "invalid_signature"
        relayer.submit(world.transfer(replace(world.bob, key=key), world.alice, UNIT, 1))


def test_too_old_a_plan_is_made_anew(world: World) -> None:
    with world.relayer() as relayer:
        relayer.step()
        key = relayer.submit(world.transfer(world.alice, world.bob, UNIT, 0))

    def stop(point: str) -> None:
        if point == "planned":
            raise KeyboardInterrupt

    with world.relayer(stop) as relayer, pytest.raises(KeyboardInterrupt):
        relayer.step()
    world.anvil.warp(world.deployment.max_batch_age)
    with world.relayer() as relayer:
        report = relayer.step()
        assert "too old" in report.abandoned[0][1]
        relayer.run_until_idle()
        assert relayer.status(key).state == "verified"


# -------------------------------------------------------------------- other relayers


def test_a_batch_lost_to_another_relayer_is_planned_anew(world: World) -> None:
    def stop(point: str) -> None:
        if point == "proven":
            raise KeyboardInterrupt

    with world.relayer() as relayer:
        relayer.step()
        mine = relayer.submit(world.transfer(world.alice, world.bob, 10 * UNIT, 0))
        shared = world.transfer(world.bob, world.carol, 3 * UNIT, 0)
        both = relayer.submit(shared)
    with world.relayer(stop) as relayer, pytest.raises(KeyboardInterrupt):
        relayer.step()
    with world.relayer(database="other.sqlite") as other:
        other.step()
        other.submit(shared)
        other.run_until_idle()
    with world.relayer() as relayer:
        report = relayer.step()
        assert "L1 is at batch 2" in report.abandoned[0][1]
        assert relayer.status(both).batch_id == 2
        relayer.run_until_idle()
        assert relayer.status(mine).batch_id == 3
        assert balances(relayer) == [90 * UNIT, 57 * UNIT, 23 * UNIT]


def test_an_operation_whose_nonce_another_relayer_used_is_dropped(world: World) -> None:
    with world.relayer(batch_timeout=10**6) as relayer:
        relayer.step()
        key = relayer.submit(world.transfer(world.alice, world.bob, 10 * UNIT, 0))
        with world.relayer(database="other.sqlite") as other:
            other.step()
            other.submit(world.transfer(world.alice, world.carol, UNIT, 0))
            other.run_until_idle()
        relayer.step()
        status = relayer.status(key)
        assert status.state == "dropped"
        assert "batch 2 used nonce 0" in status.reason


def test_others_wait_until_the_operator_has_been_idle(world: World) -> None:
    other = signer(4)
    with world.relayer(sender=other) as relayer:
        relayer.step()
        key = relayer.submit(world.transfer(world.alice, world.bob, 10 * UNIT, 0))
        report = relayer.step()
        assert report.planned is None
        assert "only the operator" in report.waiting_for
        world.anvil.warp(world.deployment.priority_timeout + 10)
        relayer.run_until_idle()
        assert relayer.status(key).state == "verified"


def test_others_submit_while_the_operator_leaves_the_queue_overdue(world: World) -> None:
    with world.relayer(sender=signer(4), database="other.sqlite") as other:
        other.step()
        world.force(world.bob, 2)
        world.anvil.warp(world.deployment.inclusion_deadline // 2)
        other.submit(world.transfer(world.alice, world.carol, UNIT, 0))
        report = other.step()
        assert report.planned is None
        assert "only the operator" in report.waiting_for
        world.anvil.warp(world.deployment.inclusion_deadline // 2 + 10)
        assert world.chain.head().timestamp < world.rollup.view("operatorLastSeen") + world.deployment.priority_timeout
        other.run_until_idle()
        assert world.rollup.payout(world.bob.signer.address, USDC) == 50 * UNIT
        # The queue is empty: the operator's priority is back.
        other.submit(world.transfer(world.alice, world.carol, UNIT, 1))
        report = other.step()
        assert report.planned is None
        assert "only the operator" in report.waiting_for


# -------------------------------------------------------------------- payouts


def test_withdrawals_are_paid_out_on_behalf(world: World) -> None:
    before = world.l1_usdc(world.bob)
    with world.relayer(serve_withdrawals=True) as relayer:
        relayer.step()
        relayer.submit(world.withdrawal(world.bob, 20 * UNIT, 0, fee=1000))
        relayer.run_until_idle()
        assert world.l1_usdc(world.bob) - before == 20 * UNIT
        # The relayer's own fees are for it to claim.
        assert world.rollup.payout(world.operator.address, USDC) == 1000


def test_a_payout_that_its_owner_claims_first_is_no_trouble(world: World) -> None:
    with world.relayer() as relayer:
        relayer.step()
        relayer.submit(world.withdrawal(world.bob, 20 * UNIT, 0))
        relayer.run_until_idle()
    claim = world.rollup.withdraw_call(USDC, world.bob.signer.address)
    send(world.chain, world.bob.signer, world.rollup.address, claim)
    with world.relayer(serve_withdrawals=True) as relayer:
        relayer.run_until_idle()
    with Store(world.folder / world.database) as store:
        assert store.unserved_payouts() == []
        assert store.open_letters() == []


@pytest.mark.parametrize("payee", ["RevertingPayee", "GasBurningPayee"])
def test_attack_payee_that_refuses_or_burns_gas_keeps_nobody_else_waiting(world: World, payee: str) -> None:
    contract, _ = deploy_contract(world.chain, world.operator, payee)
    # Whoever deposits for a contract can give it any key, here Carol's own.
    call = world.rollup.deposit_call(0, 10**9, contract, 0, world.carol.key.public_key)
    send(world.chain, world.carol.signer, world.rollup.address, call, value=10**9)
    before = world.l1_usdc(world.bob)
    with world.relayer(serve_withdrawals=True) as relayer:
        relayer.run_until_idle()
        out = Operation.withdrawal(4, 0, 10**9, int(contract, 16))
        relayer.submit(world.sign(world.carol, out, 0))
        relayer.submit(world.withdrawal(world.bob, 20 * UNIT, 0))
        nonce = world.chain.nonce(world.operator.address)
        relayer.run_until_idle()
        assert world.l1_usdc(world.bob) - before == 20 * UNIT
        assert world.rollup.payout(contract, 0) == 10**9
        # It goes on with the next batch.
        key = relayer.submit(world.transfer(world.alice, world.bob, UNIT, 0))
        relayer.run_until_idle()
        assert relayer.status(key).state == "verified"
        # The refusing payee cost nothing: these were two batches and one payout.
        assert world.chain.nonce(world.operator.address) == nonce + 3


def test_with_confirmations(world: World) -> None:
    with world.relayer(confirmations=2) as relayer:
        world.anvil.mine(2)
        relayer.step()
        key = relayer.submit(world.transfer(world.alice, world.bob, UNIT, 0))
        assert relayer.step().submitted is not None
        for _ in range(10):
            if relayer.status(key).state == "verified":
                break
            assert relayer.step().planned is None
            world.anvil.mine()
        assert relayer.status(key).state == "verified"
        assert relayer.step().sync.rewound_to is None
        assert world.rollup.tip().batch_id == relayer.position.batch_id == 2


# -------------------------------------------------------------------- database


def test_two_relayers_cannot_share_a_database(world: World) -> None:
    with world.relayer(), pytest.raises(StoreError, match="another process uses it"):
        Store(world.folder / world.database)


def test_the_database_of_another_rollup_is_refused(world: World) -> None:
    with Store(world.folder / world.database) as store:
        store.bind("rollup 0x0 on chain 1 with genesis 0x0")
    with pytest.raises(StoreError, match="belongs to rollup 0x0 on chain 1"), world.relayer():
        pass


def test_a_lost_database_comes_back_from_l1(world: World) -> None:
    with world.relayer(database="fresh.sqlite") as relayer:
        relayer.step()
        assert balances(relayer) == [100 * UNIT, 50 * UNIT, 20 * UNIT]
        assert relayer.position.state.root == world.rollup.tip().state_root


def test_own_batches_keep_their_history(world: World) -> None:
    with world.relayer() as relayer:
        relayer.step()
        relayer.submit(world.transfer(world.alice, world.bob, UNIT, 0))
        relayer.run_until_idle()
    with Store(world.folder / world.database) as store:
        (proposal,) = store.proposals()
        assert proposal.state is ProposalState.VERIFIED
        assert proposal.batch_id == 2
