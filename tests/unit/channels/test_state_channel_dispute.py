"""StateChannel.startClose, challenge and finishClose: the later state wins, and old ones cost everything."""

from dataclasses import astuple, replace

import pytest
from eth_abi import encode
from eth_utils import keccak

from tests.support.reverts import call, reverts
from tests.support.state_channels import (
    CLOSED,
    CLOSING,
    DAY,
    NO_HASH,
    NOBODY,
    OPEN,
    Channel,
    Lock,
    Signed,
    digest,
    hash_of_locks,
    hash_of_secret,
    struct_hash,
)

LAST = 2**64 - 1
FAR = 2**39
"""A deadline that is not reached here."""


def lock(amount: int = 20, deadline: int = FAR, to_a: bool = True, secret: bytes = b"s" * 32) -> Lock:
    return Lock(amount, deadline, to_a, hash_of_secret(secret))


def in_events(signed: Signed) -> dict:
    """What CloseStarted and Challenged say of a state."""
    return {"state": list(astuple(signed.state)), "locks": [astuple(lock) for lock in signed.locks]}


def plain(event) -> dict:
    """An event's values, with structs as lists of plain values."""
    values = dict(event.event_arguments)
    values["state"] = [bytes(item) if isinstance(item, bytes) else item for item in values["state"]]
    values["locks"] = [tuple(bytes(i) if isinstance(i, bytes) else i for i in item) for item in values["locks"]]
    return values


# ---------------------------------------------------------------- startClose


@pytest.mark.parametrize("is_a", [True, False])
def test_start_puts_a_state_on_the_table(state_channel, channel, alice, bob, at_time, now, is_a):
    agreed = channel.agreed(7, 60, 70, [lock()])
    closer = alice if is_a else bob
    at_time(now + 100)
    receipt = channel.start(closer, agreed)
    (event,) = receipt.events
    assert event.event_name == "CloseStarted"
    deadline = now + 100 + DAY
    expected = {"channelId": channel.id, "closer": closer.address, "deadline": deadline, **in_events(agreed)}
    assert plain(event) == expected
    assert tuple(state_channel.closings(channel.id)) == (struct_hash(agreed.state), 7, 7, deadline, is_a)
    assert (channel.status, channel.owed) == (CLOSING, (0, 0))
    assert tuple(state_channel.depositsOf(channel.id)) == (100, 50)


def test_digest_is_what_the_contract_says(state_channel, channel):
    agreed = channel.state(7, 60, 70, [lock()])
    assert state_channel.stateDigest(astuple(agreed.state)) == digest(state_channel, agreed.state)


def test_start_with_what_nobody_signs(state_channel, channel, alice, bob, at_time):
    channel.deposit(bob, True, 3)
    channel.start(bob, replace(channel.initial(), a=b"ignored"))
    assert tuple(state_channel.closings(channel.id))[1:3] == (0, 0)
    at_time(channel.deadline + 1)
    channel.finish(alice, channel.initial())
    assert channel.owed == (103, 50)


def test_start_is_for_parties(state_channel, channel, mallory):
    """A stranger who has an old state could make a party the one who closed with it."""
    for signed in (channel.initial(), channel.agreed(1, 60, 90)):
        with reverts(
            state_channel.NotAParty,
            caller=mallory,
            partyA=channel.config.party_a,
            partyB=channel.config.party_b,
        ):
            channel.try_start(mallory, signed)


def test_attack_closing_started_twice(state_channel, channel, alice, bob, at_time):
    """Not to bring another state, nor to gain time; not even after the challenge period."""
    channel.start(alice, channel.agreed(1, 60, 90))
    deadline = channel.deadline
    later = channel.agreed(2, 50, 100)
    for party in (alice, bob):
        with reverts(state_channel.ChannelIsClosing, channelId=channel.id, deadline=deadline):
            channel.try_start(party, later)
    at_time(deadline + 1)
    state_channel.revealSecret(b"z" * 32, sender=alice)
    with reverts(state_channel.ChannelIsClosing, channelId=channel.id, deadline=deadline):
        channel.try_start(bob, later)


def test_channels_that_nobody_opened(state_channel, channel, alice, bob):
    other = Channel.of(state_channel, alice, bob, salt=b"o" * 32)
    for attempt in (other.try_start, other.try_challenge, other.try_finish):
        with reverts(state_channel.ChannelNotOpen, channelId=other.id):
            attempt(alice, other.initial())


def test_initial_state_has_nothing_in_it(state_channel, channel, alice):
    """Nobody has signed it, so nobody has agreed to anything in it."""
    for a, b in ((100, 50), (100, 0), (0, 50), (1, 0)):
        for signed in (channel.state(0, a, b, deposits=(a, b)), channel.state(0, b, a, deposits=(a, b))):
            for given in (signed, channel.sign(signed)):
                with reverts(state_channel.InitialStateNotEmpty):
                    channel.try_start(alice, given)
    with reverts(state_channel.InitialStateNotEmpty):
        channel.try_start(alice, channel.state(0, 0, 0, [lock(0)], deposits=(0, 0)))
    with reverts(state_channel.UnbalancedState, total=1, deposits=0):
        channel.try_start(alice, channel.state(0, 1, 0, deposits=(0, 0)))
    with reverts(state_channel.UnbalancedState, total=20, deposits=0):
        channel.try_start(alice, channel.state(0, 0, 0, [lock()], deposits=(0, 0)))


# ---------------------------------------------------------------- states that cannot be put on the table


@pytest.fixture(params=["start", "challenge"])
def bring(request, channel, alice, bob):
    """Puts a state on the table: as the first one, or as a later one."""
    if request.param == "start":
        return lambda signed: channel.try_start(alice, signed)
    channel.start(bob, channel.initial())
    return lambda signed: channel.try_challenge(alice, signed)


def test_refuses_another_channels(state_channel, channel, bring, alice, bob):
    other = Channel.of(state_channel, alice, bob, salt=b"o" * 32)
    agreed = other.sign(other.state(1, 0, 150, deposits=(100, 50)))
    with reverts(state_channel.WrongChannel, channelId=other.id, expected=channel.id):
        bring(agreed)
    with reverts(state_channel.InvalidSignature, signer=alice):
        bring(agreed.with_(channel_id=channel.id))


def test_refuses_deposits_that_have_not_arrived(state_channel, channel, bring, alice, bob):
    for party, stated, deposits in ((alice, 101, (101, 49)), (bob, 51, (99, 51))):
        with reverts(state_channel.DepositsMissing, party=party, stated=stated, received=stated - 1):
            bring(channel.sign(channel.state(1, 75, 75, deposits=deposits)))


@pytest.mark.parametrize(
    ("a", "b", "locks"),
    [
        (60, 91, ()),
        (60, 89, ()),
        (0, 0, ()),
        (2**128 - 1, 151, ()),
        (60, 90, (lock(1),)),
        (60, 70, (lock(10), lock(9))),
        (75, 75, (lock(2**128 - 1),) * 16),
    ],
)
def test_refuses_unbalanced_even_if_both_signed(state_channel, channel, bring, a, b, locks):
    total = a + b + sum(item.amount for item in locks)
    with reverts(state_channel.UnbalancedState, total=total, deposits=150):
        bring(channel.agreed(1, a, b, locks))


def test_at_most_sixteen_locks(state_channel, channel, bring):
    with reverts(state_channel.TooManyLocks, count=17, max=16):
        bring(channel.agreed(1, 60, 73, [lock(1)] * 17))
    bring(channel.agreed(1, 60, 74, [lock(1)] * 16))


def test_locks_have_to_be_the_states(state_channel, channel, bring):
    locks = [lock(10), lock(20, to_a=False)]
    agreed = channel.agreed(1, 60, 60, locks)
    bring(agreed)
    for wrong in (
        (),
        locks[:1],
        [*locks, lock(0)],
        locks[::-1],
        [replace(locks[0], amount=20), replace(locks[1], amount=10)],
        [replace(locks[0], deadline=FAR - 1), locks[1]],
        [replace(locks[0], to_a=False), locks[1]],
        [replace(locks[0], hash=NO_HASH), locks[1]],
    ):
        with reverts(state_channel.LocksMismatch, hash=hash_of_locks(wrong), expected=agreed.state.locks):
            bring(replace(agreed, locks=tuple(wrong)))


def test_no_locks_have_one_hash_only(state_channel, channel, bring):
    """0, and not the hash of an empty list: each state has one form."""
    empty = keccak(encode(["(uint128,uint40,bool,bytes32)[]"], [[]]))
    for hashed in (empty, keccak(b""), b"\1" * 32):
        state = channel.state(1, 60, 90)
        with reverts(state_channel.LocksMismatch, hash=NO_HASH, expected=hashed):
            bring(channel.sign(state.with_(locks=hashed)))
    with reverts(state_channel.LocksMismatch, hash=hash_of_locks([lock(0)]), expected=NO_HASH):
        bring(replace(channel.agreed(1, 60, 90), locks=(lock(0),)))


def test_attack_signatures_of_something_else(state_channel, channel, bring, alice, bob, mallory):
    """Another chain, another contract; one signature only; swapped; of another state."""
    agreed = channel.agreed(3, 60, 90)
    bring(agreed)
    earlier = channel.agreed(2, 60, 90)
    for wrong, signer in (
        (channel.sign(agreed, chainId=1), alice),
        (channel.sign(agreed, verifyingContract=mallory.address), alice),
        (replace(agreed, a=b""), alice),
        (replace(agreed, b=b""), bob),
        (replace(agreed, a=agreed.b), alice),
        (replace(agreed, b=agreed.a), bob),
        (replace(agreed, a=agreed.b, b=agreed.a), alice),
        (replace(agreed, a=earlier.a), alice),
        (replace(agreed, b=earlier.b), bob),
        (replace(agreed, a=agreed.a + b"\0"), alice),
        (agreed.with_(version=4), alice),
        (agreed.with_(version=LAST), alice),
        (agreed.with_(balance_a=61, balance_b=89), alice),
        (agreed.with_(deposits_a=99, balance_a=59), alice),
        (agreed.with_(deposits_b=49, balance_b=89), alice),
    ):
        with reverts(state_channel.InvalidSignature, signer=signer):
            bring(wrong)


def test_locks_are_signed(state_channel, channel, bring, alice):
    agreed = channel.agreed(3, 60, 70, [lock()])
    other = [lock(secret=b"t" * 32)]
    with reverts(state_channel.InvalidSignature, signer=alice):
        bring(replace(agreed.with_(locks=hash_of_locks(other)), locks=tuple(other)))


def test_deposits_since_do_not_invalidate_a_state(state_channel, channel, alice, bob, mallory, at_time):
    """A deposit that races with a signature: the surplus is its party's."""
    agreed = channel.agreed(1, 60, 90)
    channel.deposit(mallory, True, 5)
    channel.deposit(bob, False, 7)
    channel.start(alice, agreed)
    at_time(channel.deadline + 1)
    channel.finish(mallory, agreed)
    assert channel.owed == (65, 97)


def test_malformed_arguments(state_channel, channel, alice):
    """Values that do not fit their types are refused, not cut."""
    agreed = channel.agreed(1, 60, 70, [lock()])
    types = [
        "(address,address,address,uint40,bytes32)",
        "(bytes32,uint256,uint256,uint256,uint256,uint256,bytes32)",
        "(uint256,uint256,uint256,bytes32)[]",
        "bytes",
        "bytes",
    ]
    selector = state_channel.startClose.encode_input(*channel.arguments(agreed))[:4]

    def attempt(state: tuple, locks: list) -> None:
        config = astuple(channel.config)
        call(state_channel, selector + encode(types, [config, state, locks, agreed.a, agreed.b]), alice)

    state, (given,) = agreed.tuples
    the_lock = (*given[:2], int(given[2]), given[3])
    attempt(state, [the_lock])
    for place, bits in ((1, 64), (2, 128), (3, 128), (4, 128), (5, 128)):
        wrong = [*state]
        wrong[place] += 1 << bits
        with reverts():
            attempt(tuple(wrong), [the_lock])
    for place, value in ((0, 20 + (1 << 128)), (1, FAR + (1 << 40)), (2, 2)):
        wrong = [*the_lock]
        wrong[place] = value
        with reverts():
            attempt(state, [tuple(wrong)])


# ---------------------------------------------------------------- challenge


def test_anybody_brings_a_later_state(state_channel, channel, alice, mallory):
    """A watchtower needs no rights, and the deadline stays."""
    channel.start(alice, channel.agreed(1, 100, 50))
    deadline = channel.deadline
    later = channel.agreed(2, 60, 70, [lock()])
    (event,) = channel.challenge(mallory, later).events
    assert event.event_name == "Challenged"
    assert plain(event) == {"channelId": channel.id, "challenger": mallory.address, **in_events(later)}
    assert tuple(state_channel.closings(channel.id)) == (struct_hash(later.state), 2, 1, deadline, True)


def test_challenge_deadline(state_channel, channel, alice, bob, at_time, mine_at):
    """The deadline is the last second."""
    channel.start(alice, channel.agreed(1, 100, 50))
    deadline = channel.deadline
    at_time(deadline - 1)
    channel.challenge(bob, channel.agreed(2, 90, 60))
    at_time(deadline)
    channel.challenge(bob, channel.agreed(3, 80, 70))
    mine_at(deadline + 1)
    with reverts(state_channel.ChallengePeriodOver, deadline=deadline):
        channel.try_challenge(bob, channel.agreed(4, 70, 80))


@pytest.mark.parametrize("version", [0, 1, 4, 5])
def test_challenge_needs_a_later_version(state_channel, channel, alice, bob, version):
    """Lower, and the same one again, be it with the same content or another that both signed."""
    agreed = channel.agreed(5, 60, 90)
    channel.start(alice, agreed)
    for wrong in (channel.agreed(version, 60, 90), channel.agreed(version, 0, 150)):
        with reverts(state_channel.VersionNotLater, version=version, current=5):
            channel.try_challenge(bob, wrong)
    channel.challenge(bob, channel.agreed(6, 50, 100))
    with reverts(state_channel.VersionNotLater, version=5, current=6):
        channel.try_challenge(alice, agreed)


def test_nothing_is_later_than_the_last_version(state_channel, channel, alice, bob, at_time):
    last = channel.agreed(LAST, 60, 90)
    channel.start(alice, last)
    for version in (0, 1, LAST - 1, LAST):
        with reverts(state_channel.VersionNotLater, version=version, current=LAST):
            channel.try_challenge(bob, channel.agreed(version, 0, 150))
    at_time(channel.deadline + 1)
    channel.finish(bob, last)
    assert channel.owed == (60, 90)


def test_challenge_only_while_closing(state_channel, channel, alice, at_time):
    agreed = channel.agreed(1, 60, 90)
    with reverts(state_channel.ChannelNotClosing, channelId=channel.id):
        channel.try_challenge(alice, agreed)
    with reverts(state_channel.ChannelNotClosing, channelId=channel.id):
        channel.try_finish(alice, agreed)
    channel.start(alice, agreed)
    at_time(channel.deadline + 1)
    channel.finish(alice, agreed)
    with reverts(state_channel.ChannelIsClosed, channelId=channel.id):
        channel.try_challenge(alice, channel.sign(channel.state(2, 0, 0, deposits=(0, 0))))
    with reverts(state_channel.ChannelIsClosed, channelId=channel.id):
        channel.try_start(alice, channel.initial())


def test_attack_front_run_with_a_state_in_between(state_channel, channel, alice, bob, mallory):
    """The cheat answers itself with less, so that the watchtower's answer fails: it does not."""
    channel.start(alice, channel.agreed(1, 100, 50))
    channel.challenge(alice, channel.agreed(2, 90, 60))
    channel.challenge(mallory, channel.agreed(4, 20, 130))
    assert state_channel.closings(channel.id).version == 4


# ---------------------------------------------------------------- finishClose


def test_finish_deadline(state_channel, channel, alice, mallory, at_time, mine_at):
    agreed = channel.agreed(1, 60, 90)
    channel.start(alice, agreed)
    deadline = channel.deadline
    for moment in (deadline - 1, deadline):
        mine_at(moment)
        with reverts(state_channel.ChallengePeriodRunning, deadline=deadline):
            channel.try_finish(mallory, agreed)
    at_time(deadline + 1)
    receipt = channel.finish(mallory, agreed)
    assert receipt.events == [
        state_channel.ChannelClosed(channelId=channel.id, version=1, amountA=60, amountB=90, penalised=NOBODY)
    ]
    assert (channel.status, channel.owed) == (CLOSED, (60, 90))
    assert tuple(state_channel.depositsOf(channel.id)) == (0, 0)
    assert tuple(state_channel.closings(channel.id)) == (NO_HASH, 0, 0, 0, False)
    with reverts(state_channel.ChannelIsClosed, channelId=channel.id):
        channel.try_finish(mallory, agreed)


def test_finish_takes_the_state_on_the_table_only(state_channel, channel, alice, bob, mine_at):
    first, later = channel.agreed(1, 100, 50), channel.agreed(2, 60, 70, [lock()])
    channel.start(alice, first)
    channel.challenge(bob, later)
    mine_at(channel.deadline + 1)
    expected = struct_hash(later.state)
    for wrong in (
        first,
        channel.initial(),
        later.with_(balance_a=70, balance_b=60),
        later.with_(version=3),
        later.with_(deposits_a=0),
        later.with_(channel_id=NO_HASH),
        later.with_(locks=NO_HASH),
        channel.agreed(3, 0, 150),
    ):
        with reverts(state_channel.StateMismatch, hash=struct_hash(wrong.state), expected=expected):
            channel.try_finish(alice, wrong)
    with reverts(state_channel.LocksMismatch, hash=NO_HASH, expected=later.state.locks):
        channel.try_finish(alice, replace(later, locks=()))
    with reverts(state_channel.TooManyLocks, count=17, max=16):
        channel.try_finish(alice, replace(later, locks=later.locks * 17))


def test_finished_from_chain_data_alone(state_channel, channel, alice, bob, mallory, at_time, chain):
    """Settings from the opening event, state and locks from the last event of the closing."""
    channel.start(bob, channel.agreed(1, 100, 50))
    channel.challenge(alice, channel.agreed(2, 60, 60, [lock(20), lock(10, to_a=False, secret=b"t" * 32)]))
    at_time(channel.deadline + 1)
    state_channel.revealSecret(b"s" * 32, sender=bob)
    state_channel.revealSecret(b"t" * 32, sender=bob)
    end = chain.blocks.height
    opened = [e for e in state_channel.ChannelOpened.range(0, end + 1) if bytes(e.channelId) == channel.id]
    states = [e for e in state_channel.Challenged.range(0, end + 1) if bytes(e.channelId) == channel.id]
    event, found = opened[0], plain(states[-1])
    config = event.partyA, event.partyB, event.token, event.challengePeriod, bytes(event.salt)
    state_channel.finishClose(config, found["state"], found["locks"], sender=mallory)
    assert channel.owed == (80, 70)


# ---------------------------------------------------------------- the rule for old states


@pytest.mark.parametrize(
    ("first", "last"),
    [(0, 0), (0, 1), (5, 5), (5, 6), (LAST - 1, LAST), (LAST, LAST)],
)
@pytest.mark.parametrize("is_a", [True, False])
def test_no_penalty_for_the_version_before(state_channel, channel, alice, bob, at_time, first, last, is_a):
    """The other party may have kept its signature of the last one back."""
    final = close(channel, alice if is_a else bob, first, last, mallory=bob, at_time=at_time)
    assert final.penalised == NOBODY
    assert channel.owed == ((100, 50) if last == 0 else (30, 120))


@pytest.mark.parametrize(("first", "last"), [(0, 2), (5, 7), (5, LAST), (LAST - 2, LAST), (0, LAST)])
@pytest.mark.parametrize("is_a", [True, False])
def test_closer_with_an_older_version_loses_everything(
    state_channel, channel, alice, bob, mallory, at_time, first, last, is_a
):
    """All deposits, those that came after the states too, whatever the last state says, and whoever brought it."""
    channel.deposit(mallory, True, 4)
    channel.deposit(mallory, False, 2)
    closer = alice if is_a else bob
    final = close(channel, closer, first, last, mallory, at_time)
    assert final.penalised == closer
    assert (final.version, final.amountA, final.amountB) == (last, *((0, 156) if is_a else (156, 0)))
    assert channel.owed == ((0, 156) if is_a else (156, 0))


def close(channel, closer, first: int, last: int, mallory, at_time):
    """A closing with one version, answered with another if it is later; its ChannelClosed."""
    signed = channel.initial() if first == 0 else channel.sign(channel.state(first, 30, 120, deposits=(100, 50)))
    channel.start(closer, signed)
    if last != first:
        signed = channel.sign(channel.state(last, 30, 120, deposits=(100, 50)))
        channel.challenge(mallory, signed)
    at_time(channel.deadline + 1)
    (event,) = channel.finish(mallory, signed).events
    return event


def test_penalty_counts_from_what_the_closer_brought(state_channel, channel, alice, bob, at_time):
    """Not from the state before the last one; and closers do not get off by answering themselves."""
    channel.start(alice, channel.agreed(5, 100, 50))
    channel.challenge(alice, channel.agreed(6, 90, 60))
    last = channel.agreed(7, 80, 70)
    channel.challenge(alice, last)
    at_time(channel.deadline + 1)
    (event,) = channel.finish(bob, last).events
    assert (event.penalised, event.amountA, event.amountB) == (alice, 0, 150)


def test_the_other_is_never_penalised(state_channel, channel, alice, bob, at_time):
    """Whoever answers with an old state only does nobody any good."""
    channel.start(alice, channel.agreed(5, 100, 50))
    channel.challenge(bob, channel.agreed(6, 90, 60))
    last = channel.agreed(9, 80, 70)
    channel.challenge(bob, last)
    at_time(channel.deadline + 1)
    (event,) = channel.finish(bob, last).events
    assert event.penalised == alice


def test_penalty_does_not_wait_for_locks(state_channel, channel, alice, bob, mine_at):
    """The other party gets their amounts too, decided or not, and whoever they were for."""
    state_channel.revealSecret(b"r" * 32, sender=alice)
    locks = [lock(20, to_a=True), lock(30, to_a=False, secret=b"t" * 32), lock(40, secret=b"r" * 32)]
    last = channel.agreed(3, 30, 30, locks)
    channel.start(alice, channel.agreed(1, 100, 50))
    channel.challenge(bob, last)
    mine_at(channel.deadline + 1)
    with reverts(state_channel.LocksMismatch, hash=NO_HASH, expected=last.state.locks):
        channel.try_finish(bob, replace(last, locks=()))
    channel.finish(bob, last)
    assert channel.owed == (0, 150)


def test_attack_old_state_and_nobody_looks(state_channel, channel, alice, bob, at_time):
    """What the challenge period is for: without an answer, the old state is what counts."""
    channel.agreed(9, 0, 150)
    old = channel.agreed(1, 100, 50)
    channel.start(alice, old)
    at_time(channel.deadline + 1)
    channel.finish(alice, old)
    assert channel.owed == (100, 50)


def test_honest_closer_cannot_be_penalised(state_channel, channel, alice, bob, at_time):
    """Alice holds version 5, and has signed 6, which Bob kept: there is no version 7 with her signature."""
    channel.start(alice, channel.agreed(5, 100, 50))
    kept = channel.agreed(6, 20, 130)
    channel.challenge(bob, kept)
    assert channel.status == CLOSING
    forged = replace(channel.agreed(7, 0, 150), a=kept.a)
    with reverts(state_channel.InvalidSignature, signer=alice):
        channel.try_challenge(bob, forged)
    at_time(channel.deadline + 1)
    channel.finish(alice, kept)
    assert channel.owed == (20, 130)


def test_takes_no_value(state_channel, channel, alice):
    agreed = channel.agreed(1, 60, 90)
    with reverts():
        state_channel.startClose(*channel.arguments(agreed), value=1, sender=alice)
    channel.start(alice, agreed)
    with reverts():
        state_channel.challenge(*channel.arguments(channel.agreed(2, 60, 90)), value=1, sender=alice)
    with reverts():
        state_channel.finishClose(astuple(channel.config), *agreed.tuples, value=1, sender=alice)
    with reverts():
        state_channel.revealSecret(b"s" * 32, value=1, sender=alice)


def test_closings_are_apart(state_channel, channel, alice, bob, at_time):
    """Channels of the same parties have nothing to do with each other."""
    other = Channel.of(state_channel, alice, bob, salt=b"o" * 32)
    other.deposit(alice, True, 10)
    channel.start(alice, channel.initial())
    assert other.status == OPEN
    other.start(bob, other.initial())
    at_time(other.deadline + 1)
    channel.finish(alice, channel.initial())
    assert (other.status, channel.owed) == (CLOSING, (100, 50))
    other.finish(alice, other.initial())
    assert other.owed == (110, 50)
