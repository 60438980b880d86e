"""Leaving an optimistic rollup that nobody runs any more: accounts, positions, withdrawals, refunds, from L1 alone."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from layer2.actors.escape import Escaped, EscapeError, OptimisticFinalState, escape, optimistic_reader
from layer2.actors.optimistic_store import OptimisticStore
from layer2.chain import optimistic_deployment
from layer2.chain.blobs import BlobSource
from layer2.chain.connection import BlockRef
from layer2.chain.errors import DataMissingError, RevertedError
from layer2.chain.sending import send
from layer2.optimistic.operations import CreatePool, MintNFT, Swap
from tests.support.anvil import Anvil, signer
from tests.support.commands import run
from tests.support.optimistic_world import ETHER, FOREVER, UNIT, USDC, Lookup, OptimisticWorld

HELPER = signer(5)
"""Pays for transactions and owns nothing on Layer 2."""

DAY = 24 * 3600
LOCKED = 1000
"""Shares of each pool that belong to nobody."""


def records_of(world: OptimisticWorld) -> Lookup:
    """What the last right batch on L1 says."""
    with world.follower() as follower:
        follower.sync()
        return follower.position.state.record


@pytest.fixture(scope="module")
def _waiting_world(_open_world: OptimisticWorld) -> OptimisticWorld:
    """Four confirmed batches, and a pending one in a blob.

    Alice has 1 ETH in account 4, of which half is, with 50 of her 100 USDC, in a pool (6) with nearly all of its shares
    (7). Bob has swapped 10 of his 50 USDC for ETH (account 5), and withdrawn 7 in the pending batch. Carol has 20 USDC
    and an NFT. In the queue wait a forced withdrawal of Carol's and a deposit of 5 USDC of Bob's.
    """
    world = _open_world
    world.deposit(world.alice, ETHER, token=0)
    world.deposit(world.bob, ETHER // 100, token=0)
    world.post(world.make(queue=2))
    pool = CreatePool(1, 4, 50 * UNIT, ETHER // 2, 0, FOREVER)
    swap = Swap(2, 5, 6, 10 * UNIT, 0, 0, FOREVER)
    nft = MintNFT(3, b"\x01" * 32, 0, FOREVER)
    world.post(world.make(world.sign(world.alice, pool, records_of(world))))
    record = records_of(world)
    world.post(world.make(world.sign(world.bob, swap, record), world.sign(world.carol, nft, record)))
    world.anvil.warp(world.deployment.challenge_period + 1)
    confirm(world, 4)
    world.post(world.make(world.withdrawal(world.bob, 7 * UNIT, records_of(world))), blob=True)
    world.force(world.carol, 3)
    world.deposit(world.bob, 5 * UNIT, account=2)
    return world


def confirm(world: OptimisticWorld, last: int) -> None:
    """Confirm the batches up to `last`."""
    with world.follower() as follower:
        follower.sync()
        for row in follower._store.all_batches():
            if row.is_pending and row.batch_id <= last:
                call = world.rollup.confirm_call(row.batch_id, row.header)
                send(world.chain, HELPER, world.rollup.address, call)


@pytest.fixture
def waiting(_waiting_world: OptimisticWorld, tmp_path: Path) -> Iterator[OptimisticWorld]:
    snapshot = _waiting_world.anvil.snapshot()
    _waiting_world.folder = tmp_path
    yield _waiting_world
    _waiting_world.anvil.revert(snapshot)


@pytest.fixture
def stuck(waiting: OptimisticWorld) -> OptimisticWorld:
    """The rollup can be frozen."""
    waiting.anvil.warp(waiting.deployment.freeze_deadline + 1)
    return waiting


def run_escape(
    world: OptimisticWorld,
    owner: int,
    lines: list[str] | None = None,
    blobs: BlobSource | None = None,
    database: str | Path = ":memory:",
    **options: bool,
) -> Escaped:
    say = (lambda line: None) if lines is None else lines.append
    with OptimisticStore(database) as store:
        read = optimistic_reader(world.rollup, store, blobs or world.blobs)
        return escape(read, world.rollup, HELPER, owner, say=say, **options)


def read(world: OptimisticWorld, blobs: BlobSource | None = None) -> OptimisticFinalState:
    with OptimisticStore() as store:
        return optimistic_reader(world.rollup, store, blobs or world.blobs)()


class NoBlobs:
    """A chain whose blobs are gone."""

    def fetch(self, transaction: bytes, block: BlockRef, versioned_hash: bytes) -> bytes:
        raise DataMissingError("consensus nodes delete blobs after about 18 days")


# -------------------------------------------------------------------- what escapes


def test_everybody_gets_everything(stuck: OptimisticWorld) -> None:
    """Accounts, a position, a withdrawal and a deposit; the pending batch is confirmed first. Locked shares stay."""
    rollup = stuck.rollup
    held = {token: rollup.view("held", token) for token in (0, USDC)}
    assert held == {0: ETHER + ETHER // 100, USDC: 175 * UNIT}
    record = records_of(stuck)
    pool, position = record(6), record(7)
    part = [position.shares * reserve // pool.shares for reserve in (pool.reserve_a, pool.reserve_b)]
    assert pool.reserve_a == 60 * UNIT
    lines: list[str] = []
    alice = run_escape(stuck, stuck.alice.owner, lines, freeze=True)
    assert [line.split(":")[0] for line in lines[:2]] == ["batch 5 confirmed", "frozen for ever"]
    assert [claim.what for claim in alice.claims] == ["account 1", "account 4", "position 7 in pool 6"]
    assert alice.claims[2].credits == ((USDC, part[0]), (0, part[1]))
    assert alice.payouts == {USDC: 50 * UNIT + part[0], 0: ETHER // 2 + part[1]}
    bob = run_escape(stuck, stuck.bob.owner)
    assert [claim.what for claim in bob.claims] == ["account 2", "account 5", "withdrawal 0", "deposit 6 of the queue"]
    swapped = ETHER // 2 - pool.reserve_b
    assert bob.payouts == {USDC: (33 + 7 + 5) * UNIT, 0: ETHER // 100 + swapped}
    carol = run_escape(stuck, stuck.carol.owner)
    assert [claim.what for claim in carol.claims] == ["account 3"]
    for one in (stuck.alice, stuck.bob, stuck.carol):
        again = run_escape(stuck, one.owner, claim=True)
        assert (again.sent, again.payouts) == (0, {})
        assert all(claim.is_done for claim in again.claims)
    left = {0: pool.reserve_b - part[1], USDC: pool.reserve_a - part[0]}
    assert {token: rollup.view("held", token) for token in (0, USDC)} == left
    assert left[USDC] <= -(-pool.reserve_a * LOCKED // pool.shares)
    assert stuck.chain.balance(rollup.address) - left[0] == ETHER  # the sequencer's bond


def test_who_freezes_gets_withdrawals_that_became_final_by_that(stuck: OptimisticWorld) -> None:
    bob = run_escape(stuck, stuck.bob.owner, freeze=True)
    assert "withdrawal 0" in [claim.what for claim in bob.claims]
    assert bob.sent == 4


def test_what_is_pending_is_void(stuck: OptimisticWorld, anvil: Anvil, tmp_path: Path) -> None:
    """With deadlines of the same length, and a queue that is longer than the quota, a batch can still be disputed when
    the rollup is frozen: owners escape from the state before it."""
    world = OptimisticWorld.create(
        anvil, tmp_path, freeze_deadline=7 * DAY, challenge_period=7 * DAY, inclusion_deadline=0, queue_quota=1
    )
    world.deposit(world.alice, 100 * UNIT)
    world.alice.account = 1
    world.post(world.make(queue=1))
    anvil.warp(7 * DAY + 1)
    confirm(world, 1)
    for _ in range(2):
        world.force(world.bob, 1)
    late = world.make(world.withdrawal(world.alice, 40 * UNIT, records_of(world)), queue=1)
    anvil.warp(3600)
    world.post(late)
    anvil.warp(7 * DAY - 1800)
    lines: list[str] = []
    alice = run_escape(world, world.alice.owner, lines, freeze=True)
    assert [line.split(":")[0] for line in lines] == ["frozen for ever", "account 1"]
    assert alice.payouts == {USDC: 100 * UNIT}
    assert world.rollup.view("confirmedBatchId") == 1


def test_it_may_be_stopped_and_started_again(stuck: OptimisticWorld) -> None:
    """Stopped after each of its transactions: confirmation, freeze, two accounts and a position."""
    stopped: list[str] = []

    def stop(line: str) -> None:
        if "transaction" in line:
            stopped.append(line.split(":")[0])
            raise KeyboardInterrupt

    nonce = stuck.chain.nonce(HELPER.address)
    for _ in range(5):
        with pytest.raises(KeyboardInterrupt):
            escape(lambda: read(stuck), stuck.rollup, HELPER, stuck.alice.owner, freeze=True, say=stop)
    assert stopped == ["batch 5 confirmed", "frozen for ever", "account 1", "account 4", "position 7 in pool 6"]
    done = run_escape(stuck, stuck.alice.owner)
    assert done.sent == 0
    assert all(claim.is_done for claim in done.claims)
    assert done.payouts == {
        token: sum(amount for claim in done.claims for one, amount in claim.credits if one == token)
        for token in (0, USDC)
    }
    assert stuck.chain.nonce(HELPER.address) == nonce + 5


def test_a_reorg_of_freeze_and_escape(stuck: OptimisticWorld, tmp_path: Path) -> None:
    """All of it is gone, and is done again with the database that saw it."""
    database = tmp_path / "node.sqlite"
    before = stuck.anvil.snapshot()
    first = run_escape(stuck, stuck.bob.owner, database=database, freeze=True)
    assert (first.sent, stuck.rollup.view("isFrozen")) == (4, True)
    stuck.anvil.revert(before)
    stuck.anvil.mine(3)
    assert not stuck.rollup.view("isFrozen")
    again = run_escape(stuck, stuck.bob.owner, database=database, freeze=True)
    assert [(claim.what, claim.is_done) for claim in again.claims] == [(claim.what, False) for claim in first.claims]
    assert (again.sent, again.payouts) == (4, first.payouts)


# -------------------------------------------------------------------- when it cannot


def test_not_due(waiting: OptimisticWorld) -> None:
    with pytest.raises(EscapeError, match="is not frozen: withdraw"):
        run_escape(waiting, waiting.alice.owner)
    waiting.anvil.warp(waiting.deployment.freeze_deadline // 2 - 60)
    with pytest.raises(EscapeError, match="cannot be frozen before 20"):
        run_escape(waiting, waiting.alice.owner, freeze=True)
    assert not waiting.rollup.view("isFrozen")


def test_attack_escape_before_the_freeze(waiting: OptimisticWorld) -> None:
    final = read(waiting)
    alice = final.leaves(waiting.alice.owner)
    for claim in (*alice, *final.refunds(waiting.bob.owner)):
        with pytest.raises(RevertedError, match="NotFrozen"):
            send(waiting.chain, HELPER, waiting.rollup.address, claim.call)
    # The pending withdrawal is no claim yet.
    (withdrawal,) = [claim for claim in final.leaves(waiting.bob.owner) if claim.what == "withdrawal 0"]
    with pytest.raises(RevertedError, match="WithdrawalOutOfRange"):
        send(waiting.chain, HELPER, waiting.rollup.address, withdrawal.call)


def test_attack_wrong_batch_made_final_by_a_freeze(waiting: OptimisticWorld) -> None:
    """Nobody disputed it: freezing would need its confirmation, and this program does not help with that."""
    draft = waiting.make(waiting.transfer(waiting.alice, waiting.bob, UNIT, records_of(waiting)))
    waiting.post(draft.with_(state_root=b"\x01" * 32))
    waiting.anvil.warp(waiting.deployment.freeze_deadline + 1)
    with pytest.raises(EscapeError, match="batch 6 is wrong, and nobody can dispute it any more"):
        run_escape(waiting, waiting.alice.owner, freeze=True)
    assert waiting.rollup.tip().confirmed_id == 4


def test_blobs_that_are_gone(stuck: OptimisticWorld, tmp_path: Path) -> None:
    """Batch 5 is in a blob. Who has followed the rollup has it in a database."""
    with pytest.raises(EscapeError, match="batch 5 could not be judged, since its data are not to be had"):
        run_escape(stuck, stuck.alice.owner, blobs=NoBlobs(), freeze=True)
    database = tmp_path / "node.sqlite"
    with stuck.follower(str(database)) as follower:
        follower.sync()
    assert run_escape(stuck, stuck.alice.owner, blobs=NoBlobs(), database=database, freeze=True).sent == 3
    with pytest.raises(EscapeError, match=r"after batch 5.*is not known: .*18 days.*database of a node"):
        run_escape(stuck, stuck.bob.owner, blobs=NoBlobs())
    assert run_escape(stuck, stuck.bob.owner, blobs=NoBlobs(), database=database).sent == 4


def test_who_comes_after_the_freeze_reads_the_same(stuck: OptimisticWorld) -> None:
    before = read(stuck)
    assert run_escape(stuck, HELPER_OWNER, freeze=True).claims == ()
    after = read(stuck)
    assert before.place == after.place
    for one in (stuck.alice, stuck.bob, stuck.carol):
        assert before.refunds(one.owner) == after.refunds(one.owner)
        worth = [[(claim.what, claim.credits) for claim in final.leaves(one.owner)] for final in (before, after)]
        assert worth[0] == worth[1] != []


# -------------------------------------------------------------------- the command


def test_the_command(stuck: OptimisticWorld, tmp_path: Path) -> None:
    file = optimistic_deployment.write(stuck.deployment, tmp_path / "31337-optimistic.json")
    network = ["--network", f"ethereum:local:{stuck.anvil.url}"]
    common = ["escape", *network, "--rollup", "optimistic", "--deployment", str(file)]
    assert "is not frozen" in run(*common, "--account", "1", code=1)
    output = run(*common, "--account", "1", "--freeze")
    assert output.index("batch 5 confirmed: transaction 0x") < output.index("frozen for ever: transaction 0x")
    assert "account 1: 50 USDC credited, transaction 0x" in output
    assert re.search(r"position 7 in pool 6: 59\.9\d* USDC and 0\.4\d* ETH credited, transaction 0x", output)
    bob = stuck.bob.signer.address
    database = tmp_path / "node.sqlite"
    with stuck.follower(str(database)) as follower:
        follower.sync()
    before = stuck.l1_usdc(stuck.bob)
    output = run(*common, "--account", "5", "--owner", bob, "--claim", "--database", str(database))
    assert "withdrawal 0: 7 USDC credited" in output
    assert f"45 USDC paid to {bob}" in output
    assert stuck.l1_usdc(stuck.bob) - before == 45 * UNIT
    assert "is not of format" in run(*common[:-4], "--deployment", str(file), code=1)
    assert "is not a database" in run(*common, "--database", str(file), code=1)


HELPER_OWNER = int(HELPER.address, 16)
