"""Batches that a cheating sequencer submits, each wrong in another way, on the last right batch."""

from collections.abc import Callable

from layer2.optimistic.operations import Transfer
from layer2.optimistic.records import leaf
from layer2.optimistic.signing import sign_operation
from tests.support.optimistic import Draft
from tests.support.optimistic_world import FOREVER, UNIT, OptimisticWorld

GARBAGE = b"\x11" * 32


def transfers(world: OptimisticWorld, count: int) -> list[bytes]:
    """Transfers of Alice to Bob, one after the other."""
    with world.follower() as follower:
        follower.sync()
        look = follower.position.state.record
        return [world.transfer(world.alice, world.bob, UNIT, look, nonce=nonce) for nonce in range(count)]


def wrong_state_root(world: OptimisticWorld) -> Draft:
    return world.make(*transfers(world, 1)).with_(state_root=GARBAGE)


def wrong_withdrawal_root(world: OptimisticWorld) -> Draft:
    return world.make(*transfers(world, 1)).with_(withdrawal_root=GARBAGE)


def withdrawals_out_of_nothing(world: OptimisticWorld) -> Draft:
    return world.make(*transfers(world, 1)).with_(withdrawal_count=5)


def fees_out_of_nothing(world: OptimisticWorld) -> Draft:
    return world.make(*transfers(world, 1)).with_(fees=((1 << 128) + 10 * UNIT, 0, 0, 0))


def wrong_next_index(world: OptimisticWorld) -> Draft:
    return world.make(*transfers(world, 1)).with_(next_index=2)


def wrong_chunk_in_the_middle(world: OptimisticWorld) -> Draft:
    return world.make(*transfers(world, 40)).with_chunk(1, commitment=GARBAGE[:31])


def minted_balance(world: OptimisticWorld) -> Draft:
    draft = world.make(*transfers(world, 2))
    state = draft.states[-1]
    account = state.record(1)
    richer = account._replace(balance=account.balance + 1000 * UNIT)
    return draft.with_(state_root=state.tree.set({1: (leaf(richer), richer)}).root)


def stolen_with_a_forged_signature(world: OptimisticWorld) -> Draft:
    with world.follower() as follower:
        follower.sync()
        record = follower.position.state.record
    theft = Transfer(1, 3, 50 * UNIT, 0, FOREVER)
    forged = sign_operation(theft, record, world.deployment.domain_separator, world.carol.key)
    draft = world.make(forged.encode())
    state = draft.states[-1]
    alice, carol = record(1), record(3)
    after = {
        1: alice._replace(balance=alice.balance - 50 * UNIT, nonce=1),
        3: carol._replace(balance=carol.balance + 50 * UNIT),
    }
    return draft.with_(state_root=state.tree.set({index: (leaf(r), r) for index, r in after.items()}).root)


def skipped_queue_entry(world: OptimisticWorld) -> Draft:
    """The header says that an entry was taken, the data does not take it."""
    world.force(world.alice, 1)
    return world.make(*transfers(world, 1)).with_(queue_cursor=4, queue_chain=world.queue_chain(4))


def swallowed_deposit(world: OptimisticWorld) -> Draft:
    """The data takes the entry, and the state is as if it had not."""
    world.deposit(world.alice, 7 * UNIT, account=1)
    draft = world.make(queue=1)
    return draft.with_(state_root=draft.states[0].state_root)


def cut_off_data(world: OptimisticWorld) -> Draft:
    """The last operation is cut off, so it does not happen."""
    draft = world.make(*transfers(world, 2))
    return draft.with_chunk(0, operations=draft.chunks[0].operations[:-1])


KINDS: list[Callable[[OptimisticWorld], Draft]] = [
    wrong_state_root,
    wrong_withdrawal_root,
    withdrawals_out_of_nothing,
    fees_out_of_nothing,
    wrong_next_index,
    wrong_chunk_in_the_middle,
    minted_balance,
    stolen_with_a_forged_signature,
    skipped_queue_entry,
    swallowed_deposit,
    cut_off_data,
]
