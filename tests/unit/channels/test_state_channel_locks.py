"""StateChannel.revealSecret, and payments that depend on a secret: decided in time, in one channel or in two."""

import pytest

from tests.support.reverts import call, reverts
from tests.support.state_channels import (
    CLOSED,
    DAY,
    HOUR,
    NO_HASH,
    NOBODY,
    Channel,
    Lock,
    Signed,
    hash_of_secret,
)

SECRET = b"s" * 32
HASH = hash_of_secret(SECRET)


@pytest.fixture
def reveal(state_channel, at_time, mallory):
    """Reveals a secret at a time, by a stranger."""

    def at(timestamp: int, secret: bytes = SECRET) -> None:
        at_time(timestamp)
        state_channel.revealSecret(secret, sender=mallory)

    return at


@pytest.fixture
def deadline(now) -> int:
    """A lock's deadline, after the challenge period."""
    return now + 3 * DAY


def closing(channel: Channel, closer, locks: list[Lock], a: int, b: int) -> Signed:
    """A closing with these locks, started."""
    agreed = channel.agreed(1, a, b, locks)
    channel.start(closer, agreed)
    return agreed


# ---------------------------------------------------------------- revealSecret


def test_reveal_notes_the_time(state_channel, mallory, at_time, now):
    assert state_channel.revealedAt(HASH) == 0
    at_time(now + 50)
    receipt = state_channel.revealSecret(SECRET, sender=mallory)
    assert receipt.events == [state_channel.SecretRevealed(hash=HASH, secret=SECRET)]
    assert state_channel.revealedAt(HASH) == now + 50
    assert state_channel.revealedAt(SECRET) == 0


def test_first_time_only(state_channel, reveal, alice, now):
    """Otherwise a later reveal would take a payment back."""
    reveal(now + 50)
    with reverts(state_channel.SecretAlreadyRevealed, hash=HASH, revealedAt=now + 50):
        call(state_channel, state_channel.revealSecret.encode_input(SECRET), alice)
    reveal(now + 70, bytes(32))
    assert state_channel.revealedAt(hash_of_secret(bytes(32))) == now + 70


# ---------------------------------------------------------------- one lock


@pytest.mark.parametrize("to_a", [True, False])
@pytest.mark.parametrize(("late", "is_paid"), [(-1, True), (0, True), (1, False)])
def test_attack_secret_one_second_late(
    state_channel, channel, alice, mallory, reveal, mine_at, deadline, to_a, late, is_paid
):
    """Revealed by the deadline, the lock is paid; one second later it goes back to who gave it."""
    agreed = closing(channel, alice, [Lock(20, deadline, to_a, HASH)], 60, 70)
    reveal(deadline + late)
    mine_at(deadline + 2)
    channel.finish(mallory, agreed)
    assert channel.owed == ((80, 70) if to_a == is_paid else (60, 90))


@pytest.mark.parametrize("to_a", [True, False])
def test_returned_after_the_deadline_only(state_channel, channel, alice, mallory, at_time, mine_at, deadline, to_a):
    agreed = closing(channel, alice, [Lock(20, deadline, to_a, HASH)], 60, 70)
    for moment in (deadline - 1, deadline):
        mine_at(moment)
        with reverts(state_channel.LockUndecided, index=0, deadline=deadline):
            channel.try_finish(mallory, agreed)
    at_time(deadline + 1)
    channel.finish(mallory, agreed)
    assert channel.owed == ((60, 90) if to_a else (80, 70))


def test_paid_as_soon_as_the_period_is_over(channel, alice, mallory, reveal, at_time, deadline, now):
    """A secret that is public needs no waiting for the lock's deadline."""
    agreed = closing(channel, alice, [Lock(20, deadline, True, HASH)], 60, 70)
    reveal(now + HOUR)
    assert channel.deadline < deadline
    at_time(channel.deadline + 1)
    channel.finish(mallory, agreed)
    assert channel.owed == (80, 70)


def test_lock_that_expires_before_closing_starts(channel, alice, reveal, at_time, now):
    """The register of secrets needs no closing: what counts is when it was revealed."""
    locks = [Lock(20, now + 500, True, HASH), Lock(30, now + 500, True, hash_of_secret(b"t" * 32))]
    reveal(now + 500)
    at_time(now + 5 * DAY)
    agreed = closing(channel, alice, locks, 60, 40)
    at_time(channel.deadline + 1)
    channel.finish(alice, agreed)
    assert channel.owed == (80, 70)


def test_secret_that_was_public_before(channel, alice, bob, reveal, at_time, deadline, now):
    """Whoever signs a lock with a hash whose secret is public has paid."""
    reveal(now + 10)
    agreed = closing(channel, bob, [Lock(20, deadline, False, HASH)], 60, 70)
    at_time(channel.deadline + 1)
    channel.finish(alice, agreed)
    assert channel.owed == (60, 90)


def test_hash_that_is_no_hash(state_channel, channel, alice, mine_at, at_time, deadline):
    """A lock with hash 0, or with the secret in the hash's place, is nobody's before its deadline."""
    agreed = closing(channel, alice, [Lock(20, deadline, True, NO_HASH), Lock(30, deadline, True, SECRET)], 60, 40)
    state_channel.revealSecret(SECRET, sender=alice)
    mine_at(deadline)
    with reverts(state_channel.LockUndecided, index=0, deadline=deadline):
        channel.try_finish(alice, agreed)
    at_time(deadline + 1)
    channel.finish(alice, agreed)
    assert channel.owed == (60, 90)


# ---------------------------------------------------------------- many locks


def test_sixteen_locks_each_decided_for_itself(state_channel, channel, alice, bob, mallory, reveal, mine_at, deadline):
    """Both directions, paid and returned, with powers of two, so that every lock counts."""
    channel.deposit(alice, True, 2**16)
    locks = [
        Lock(2**number, deadline + number % 3, number % 2 == 0, hash_of_secret(bytes([number]) * 32))
        for number in range(16)
    ]
    agreed = closing(channel, bob, locks, 100, 51)
    for number in (0, 1, 4, 7, 10, 15):
        reveal(deadline - 20 + number, bytes([number]) * 32)
    paid = {0, 1, 4, 7, 10, 15}
    mine_at(deadline + 1)
    with reverts(state_channel.LockUndecided, index=2, deadline=deadline + 2):
        channel.try_finish(mallory, agreed)
    mine_at(deadline + 3)
    channel.finish(mallory, agreed)
    to_a = sum(2**number for number in range(16) if (number % 2 == 0) == (number in paid))
    assert channel.owed == (100 + to_a, 51 + 2**16 - 1 - to_a)


def test_one_secret_decides_all_its_locks(channel, alice, reveal, at_time, deadline, now):
    """The same lock twice, and one with an earlier deadline: each by its own."""
    locks = [Lock(10, deadline, True, HASH), Lock(10, deadline, True, HASH), Lock(5, now + 100, True, HASH)]
    agreed = closing(channel, alice, locks, 60, 65)
    reveal(now + 200)
    at_time(channel.deadline + 1)
    channel.finish(alice, agreed)
    assert channel.owed == (80, 70)


def test_largest_lock(state_channel, alice, bob, usdc, reveal, at_time, deadline, now):
    total = 2**128 - 1
    usdc.mint(alice, total, sender=alice)
    usdc.approve(state_channel, total, sender=alice)
    channel = Channel.of(state_channel, alice, bob, token=usdc.address)
    channel.deposit(alice, True, total)
    agreed = closing(channel, alice, [Lock(total, deadline, False, HASH)], 0, 0)
    reveal(now + 100)
    at_time(channel.deadline + 1)
    channel.finish(alice, agreed)
    assert channel.owed == (0, total)


def test_lock_of_nothing(channel, alice, at_time, now):
    agreed = closing(channel, alice, [Lock(0, now + 1, True, NO_HASH)], 60, 90)
    at_time(channel.deadline + 1)
    channel.finish(alice, agreed)
    assert channel.owed == (60, 90)


def test_old_state_with_a_lock_is_replaced(state_channel, channel, alice, bob, mallory, reveal, at_time, deadline):
    """The lock was settled off chain, in the next version: the old state would pay it back."""
    locked = channel.agreed(4, 80, 50, [Lock(20, deadline, False, HASH)])
    settled = channel.agreed(5, 80, 70)
    channel.start(alice, locked)
    channel.challenge(mallory, settled)
    at_time(channel.deadline + 1)
    with reverts(state_channel.StateMismatch):
        channel.finish(alice, locked)
    channel.finish(bob, settled)
    assert (channel.status, channel.owed) == (CLOSED, (80, 70))


# ---------------------------------------------------------------- two hops


def hop(state_channel, payer, payee, amount: int, deadline: int) -> tuple[Channel, Signed]:
    """A channel with 100 of the payer's, and a state in which some of it is locked for the payee."""
    channel = Channel.of(state_channel, payer, payee, challenge_period=HOUR)
    channel.deposit(payer, True, 100)
    return channel, channel.agreed(1, 100 - amount, 0, [Lock(amount, deadline, False, HASH)])


@pytest.fixture
def hops(state_channel, alice, bob, carol, deadline):
    """Alice pays Carol 20 over Bob, who keeps 1: Alice's lock for Bob runs an hour longer than Bob's for Carol."""
    return *hop(state_channel, alice, bob, 21, deadline + HOUR), *hop(state_channel, bob, carol, 20, deadline)


@pytest.fixture
def owed(state_channel, alice, bob, carol):
    """What the three can settle."""
    return lambda: tuple(state_channel.owed(party, NOBODY) for party in (alice, bob, carol))


def test_stalled_middle_party(state_channel, hops, alice, bob, carol, mallory, at_time, mine_at, deadline):
    """Bob does nothing any more. Carol reveals on chain in the last second, and both hops are paid, by strangers."""
    first, to_bob, second, to_carol = hops
    second.start(carol, to_carol)
    at_time(deadline)
    state_channel.revealSecret(SECRET, sender=carol)
    first.start(alice, to_bob)
    mine_at(first.deadline + 1)
    second.finish(mallory, to_carol)
    first.finish(mallory, to_bob)
    for party, amount in ((alice, 79), (bob, 101), (carol, 20)):
        before = party.balance
        state_channel.settle(party, NOBODY, sender=mallory)
        assert party.balance == before + amount


def test_stalled_last_party(hops, owed, alice, bob, at_time, mine_at, deadline):
    """Carol never reveals: everybody gets their money back, in each hop after its own deadline."""
    first, to_bob, second, to_carol = hops
    second.start(bob, to_carol)
    first.start(alice, to_bob)
    mine_at(deadline + 1)
    second.finish(bob, to_carol)
    with reverts(first.contract.LockUndecided, index=0, deadline=deadline + HOUR):
        first.try_finish(alice, to_bob)
    mine_at(deadline + HOUR + 1)
    first.finish(alice, to_bob)
    assert owed() == (100, 100, 0)


def test_secret_told_off_chain(state_channel, hops, owed, bob, carol, at_time, deadline):
    """Carol tells Bob, who pays her off chain; Alice is gone, so he reveals within the hour that is left."""
    first, to_bob, second, _ = hops
    second.close(carol, second.sign(second.final(80, 20)))
    at_time(deadline + HOUR)
    state_channel.revealSecret(SECRET, sender=bob)
    first.start(bob, to_bob)
    at_time(first.deadline + 1)
    first.finish(bob, to_bob)
    assert owed() == (79, 101, 20)


@pytest.mark.parametrize("late", [0, 1])
def test_same_deadlines_are_decided_alike(state_channel, owed, alice, bob, carol, at_time, mine_at, deadline, late):
    """One register for all: no second is in time for Carol's lock and too late for Bob's."""
    first, to_bob = hop(state_channel, alice, bob, 20, deadline)
    second, to_carol = hop(state_channel, bob, carol, 20, deadline)
    first.start(alice, to_bob)
    second.start(bob, to_carol)
    at_time(deadline + late)
    state_channel.revealSecret(SECRET, sender=carol)
    mine_at(deadline + 2)
    first.finish(bob, to_bob)
    second.finish(carol, to_carol)
    assert owed() == ((100, 100, 0) if late else (80, 100, 20))


def test_attack_deadlines_in_the_wrong_order(state_channel, owed, alice, bob, carol, at_time, mine_at, deadline):
    """Why a middle party gives less time than it got: Carol reveals in between, and Bob pays without being paid."""
    first, to_bob = hop(state_channel, alice, bob, 20, deadline)
    second, to_carol = hop(state_channel, bob, carol, 20, deadline + 1)
    first.start(alice, to_bob)
    second.start(carol, to_carol)
    at_time(deadline + 1)
    state_channel.revealSecret(SECRET, sender=carol)
    mine_at(deadline + 2)
    first.finish(alice, to_bob)
    second.finish(carol, to_carol)
    assert owed() == (100, 80, 20)
